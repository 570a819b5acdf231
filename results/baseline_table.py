"""The tidy table of baselines: which there are, and which trials or known values give each."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Any

import pandas as pd

from harness.baselines import REFERENCES, random_name
from harness.plan import BaselineStudy, KnownValue, Plan
from results.columns import BASELINES, TRIALS

KNOWN = "known"
"""The state of a baseline that needs no study."""


def table(plan: Plan, studies: pd.DataFrame) -> pd.DataFrame:
    """Return the table of a sweep's baselines; see `results.columns`.

    Args:
        plan: The sweep's plan.
        studies: Its baselines' studies, in the order planned: ``state`` and ``reason`` of each.
    """
    states = studies[["state", "reason"]].to_dict("records")
    rows = [
        {**row, **state}
        for planned, state in zip(plan.baselines, states, strict=True)
        for row in _rows(planned)
    ]
    return frame([*rows, *map(_known, plan.known)])


def frame(rows: Iterable[dict[str, Any]] = ()) -> pd.DataFrame:
    """Return rows as a table of baselines."""
    types = {name: column.dtype for name, column in BASELINES.items()}
    return pd.DataFrame(list(rows), columns=list(types)).astype(types)


def no_trials() -> pd.DataFrame:
    """Return the trials of a sweep without baselines."""
    types = {name: column.dtype for name, column in TRIALS.items()}
    return pd.DataFrame(columns=list(types)).astype(types)


def _rows(planned: BaselineStudy) -> Iterator[dict[str, Any]]:
    """Yield the baselines that a study gives."""
    common = {
        "task": planned.task,
        "repetition": planned.repetition,
        "study": planned.study,
        "multiple": 0,
        "trial": -1,
        "value": math.nan,
        "test": math.nan,
    }
    for multiple in planned.multiples:
        about = f"random search with {multiple} times the budget of a method"
        yield {**common, "baseline": random_name(multiple), "multiple": multiple, "about": about}
    if planned.names:
        count = len(planned.names)
        about = (
            "the task's reference configuration"
            if count == 1
            else f"the best of {count} reference configurations"
        )
        yield {**common, "baseline": REFERENCES, "about": about}
    for trial, name in enumerate(planned.names):
        about = f"the reference configuration {name!r}"
        yield {**common, "baseline": f"reference {name}", "trial": trial, "about": about}


def _known(known: KnownValue) -> dict[str, Any]:
    return {
        "task": known.task,
        "baseline": known.baseline,
        "repetition": -1,
        "study": "",
        "state": KNOWN,
        "reason": "",
        "multiple": 0,
        "trial": -1,
        "value": known.value,
        "test": math.nan if known.test is None else known.test,
        "about": known.about,
    }
