"""The tidy table of confirmed winners: what ``derby confirm`` wrote beside a sweep, which a publication takes along."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd

from harness.errors import RecordError
from results.columns import CONFIRMED

WINNERS = "winners.csv"
"""The file in a sweep's folder ``confirmed``."""

_TYPES = {name: column.dtype for name, column in CONFIRMED.items()}


def frame(rows: Iterable[dict[str, Any]] = ()) -> pd.DataFrame:
    """Return rows as a table of confirmed winners."""
    return pd.DataFrame(list(rows), columns=list(_TYPES)).astype(_TYPES)


def read(folder: Path) -> pd.DataFrame:
    """Return the winners that were confirmed; an empty table where none were.

    Args:
        folder: What ``derby confirm`` wrote.

    Raises:
        RecordError: The file is there, and is no such table.
    """
    path = folder / WINNERS
    if not path.exists():
        return frame()
    try:
        # A method may be labelled NA or null; only what is empty is missing.
        table = pd.read_csv(
            path, dtype={"task": "str", "searcher": "str"}, keep_default_na=False, na_values=[""]
        )
        return table[list(_TYPES)].astype(_TYPES)
    except (OSError, ValueError, KeyError) as error:
        raise RecordError(
            f"cannot read {path}: {error}; expected a table that `derby confirm` wrote: confirm the sweep again, or "
            "move the folder away"
        ) from error
