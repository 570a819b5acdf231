"""The tidy table of re-evaluations; apart from `results.reevaluations`, which `derby status` reads without pandas."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import pandas as pd

from harness.plan import Plan
from harness.trial import Evaluation
from results.columns import REEVALUATIONS
from results.layout import Layout
from results.reevaluations import MISSING, Wanted, found_of


def table(layout: Layout, plan: Plan, wanted: Sequence[Wanted]) -> pd.DataFrame:
    """Return the table of re-evaluations; see `results.columns`."""
    found = found_of(layout, plan, wanted)
    return frame(_row(plan, each, made) for each, made in zip(wanted, found, strict=True))


def frame(rows: Iterable[dict[str, Any]] = ()) -> pd.DataFrame:
    """Return rows as a table of re-evaluations."""
    types = {name: column.dtype for name, column in REEVALUATIONS.items()}
    return pd.DataFrame(list(rows), columns=list(types)).astype(types)


def _row(plan: Plan, each: Wanted, made: Evaluation | None) -> dict[str, Any]:
    planned, again, about = each.planned, each.again, plan.tasks[each.planned.task]
    ok = made is not None and made.status == "ok"

    def last(metric: str | None) -> float:
        return made.curve[metric][-1] if made is not None and ok and metric else math.nan

    return {
        "task": planned.task,
        "searcher": planned.searcher,
        "repetition": planned.repetition,
        "study": planned.study,
        "number": again.number,
        "step": again.step,
        "epochs": again.epochs,
        "evaluation": again.key.id,
        "seed": again.key.seed,
        "status": MISSING if made is None else made.status.value,
        "value": last(about.metric),
        "test": last(about.test_metric),
        "seconds": math.nan if made is None else made.seconds(),
        "machine": "" if made is None else made.machine,
        "incumbent_value": again.value,
        "incumbent_test": math.nan if again.test is None else again.test,
    }
