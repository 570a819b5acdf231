"""What lies beside an exported table of trials: its tasks, which say what a value is and which way is better."""

from __future__ import annotations

import math
from pathlib import Path

from results.imports.runs import Facts
from results.sources import PROVENANCE
from results.tables import read_exported


def facts_beside(path: Path) -> dict[str, Facts]:
    """Return what exported tables say of their tasks, by label, where a file is the trials among them; else nothing.

    Args:
        path: A file of rows.

    Raises:
        RecordError: The tables beside it are damaged, or of another version.
    """
    if path.name != "trials.parquet" or not (path.parent / PROVENANCE).is_file():
        return {}
    return {
        str(label): Facts(
            direction=task["direction"],
            metric=task["metric"],
            test_metric=task["test_metric"] or "",
            best=_known(task["regret_best"]),
            reference=_known(task["regret_reference"]),
            group=task["group"],
        )
        for label, task in read_exported(path.parent).tasks.iterrows()
    }


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value
