"""A page per task with its trials, to sort and filter, and the same rows as CSV."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from analysis.report.pictures import script_json

LIMIT = 4000
"""Trials of a task shown at most."""

COLUMNS = {
    "searcher": "method",
    "repetition": "repetition",
    "step": "step",
    "trial": "trial",
    "epochs": "epochs",
    "status": "status",
    "value": "validation",
    "test": "test",
    "seconds": "seconds",
    "config": "configuration",
}
"""The columns of trials shown, and their headings."""


def shown_trials(trials: pd.DataFrame, minimised: bool, limit: int = LIMIT) -> pd.DataFrame:
    """Return the trials of a task to show: all, or with more than ``limit`` the telling ones.

    First every trial that improved its study's incumbent, then failed ones, then the rest, evenly spaced.

    Args:
        trials: The trials of one task.
        minimised: Whether smaller values are better.
        limit: How many to keep.

    Returns:
        Rows sorted by searcher, repetition and step.
    """
    trials = trials.sort_values(["searcher", "repetition", "step"]).reset_index(drop=True)
    if len(trials) <= limit:
        return trials
    ok = trials["status"] == "ok"
    loss = (trials["value"] if minimised else -trials["value"]).where(ok, np.inf)
    before = loss.groupby(trials["study"]).cummin().groupby(trials["study"]).shift(fill_value=np.inf)
    chosen = np.zeros(len(trials), dtype=bool)
    for group in ((loss < before).to_numpy(), (~ok).to_numpy(), np.ones(len(trials), dtype=bool)):
        places = np.flatnonzero(group & ~chosen)
        room = min(limit - int(chosen.sum()), places.size)
        if room > 0:
            chosen[places[np.arange(room) * places.size // room]] = True
    return trials[chosen].reset_index(drop=True)


def page_data(trials: pd.DataFrame) -> str:
    """Return the columns of `COLUMNS` as JSON for a script element: text columns as (distinct values, positions)."""
    data: dict[str, Any] = {}
    for column, heading in COLUMNS.items():
        values = trials[column]
        if pd.api.types.is_numeric_dtype(values):
            numbers = values.astype(float)
            data[heading] = [None if np.isnan(v) else float(f"{v:.6g}") for v in numbers]
        else:
            codes, distinct = pd.factorize(values)
            data[heading] = {"values": [str(value) for value in distinct], "codes": codes.tolist()}
    return script_json(data)
