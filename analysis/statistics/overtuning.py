"""What selecting by validation costs on the test set."""

from __future__ import annotations

import numpy as np
import pandas as pd

from analysis.statistics.bootstrap import mean_interval
from analysis.statistics.inputs import Inputs
from analysis.statistics.steps import KEY


def overtuning(inputs: Inputs) -> pd.DataFrame:
    """Return how much better than its final incumbent an earlier incumbent of each run was on the test set.

    Overtuning is the test value of the final incumbent minus the best test value that any incumbent of the
    run had, in the direction in which more is worse: 0 where the search ended with the best configuration
    that it ever held.

    Returns:
        One row per finished run with a success on a task with a test set: ``task``, ``searcher``, ``repetition``,
        ``overtuning`` (at least 0, in the metric's unit) and ``regret`` (the same in units of normalised regret, NaN
        where the task declares no references).

    Source: L. Schneider, B. Bischl and M. Feurer, "Overtuning in hyperparameter optimization", AutoML 2025.
    """
    tested = [task for task, facts in inputs.facts.items() if facts.reported == "test"]
    rows = inputs.best[inputs.best["task"].isin(tested) & inputs.best["test"].notna()]
    sign = rows["task"].map({task: inputs.facts[task].sign for task in tested}).to_numpy(dtype=float)
    own = rows[[*KEY, "step"]].assign(loss=sign * rows["test"].to_numpy(dtype=float))
    own = own.sort_values([*KEY, "step"])
    runs = own.groupby(KEY, sort=True)["loss"].agg(["last", "min"]).reset_index()
    gap = runs["last"] - runs["min"]
    spans = {}
    for task in tested:
        references = inputs.facts[task].references
        spans[task] = abs(references.reference - references.best) if references else np.nan
    span = runs["task"].map(spans).to_numpy(dtype=float)
    return runs[KEY].assign(overtuning=gap, regret=gap / span)


def mean_overtuning(inputs: Inputs) -> pd.DataFrame:
    """Return the mean overtuning of every (task, method) with an interval that resamples repetitions.

    Returns:
        Columns ``task``, ``searcher``, ``mean``, ``low``, ``high``, ``repetitions``, ``overtuned`` (runs above 0).
    """
    rows = []
    for (task, searcher), group in overtuning(inputs).groupby(["task", "searcher"], sort=True):
        values = group["overtuning"].to_numpy(dtype=float)
        estimate = mean_interval(values)
        rows.append(
            {
                "task": task,
                "searcher": searcher,
                "mean": float(estimate.mean),
                "low": float(estimate.low),
                "high": float(estimate.high),
                "repetitions": values.size,
                "overtuned": int((values > 0).sum()),
            }
        )
    columns = ["task", "searcher", "mean", "low", "high", "repetitions", "overtuned"]
    return pd.DataFrame(rows, columns=columns)
