"""What selecting by validation costs on the test set, and what random draws could have selected."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.special import gammaln

from analysis.bootstrap import Floats, mean_interval
from analysis.inputs import Inputs
from analysis.steps import KEY


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


def expected_minimum(values: ArrayLike, draws: int | Sequence[int] | np.ndarray) -> Floats:
    """Return the expected minimum of m draws without replacement from values.

    What random search with m evaluations would have found, from a pool of its evaluations.

    Args:
        values: The pool, smaller is better, shape ``(n,)``, n at least 1.
        draws: One or several m, each from 1 to n.

    Returns:
        One number for each m.

    Raises:
        ValueError: The pool is empty, or a number of draws is outside 1 … n.

    Source: J. Dodge et al., "Show your work", EMNLP 2019; without replacement, R. Tang et al., ACL 2020.

    Example:
        >>> expected_minimum([1, 2, 3, 4, 5], [1, 2, 3, 4, 5]).round(3).tolist()
        [3.0, 2.0, 1.5, 1.2, 1.0]
    """
    pool = np.sort(np.asarray(values, dtype=float).ravel())
    n, m = pool.size, np.atleast_1d(np.asarray(draws))
    if not n or (m < 1).any() or (m > n).any():
        raise ValueError(f"expected_minimum needs 1 to {n} draws from {n} values, got {m.tolist()}")
    position = np.arange(n)
    # The minimum is the value at a position if it is drawn and the other m - 1 come from the larger ones.
    with np.errstate(invalid="ignore"):
        logs = _log_choose(n - 1 - position[None, :], m[:, None] - 1) - _log_choose(n, m[:, None])
    shares = np.where(n - 1 - position[None, :] >= m[:, None] - 1, np.exp(logs), 0.0)
    return np.asarray(shares @ pool, dtype=float)


def _log_choose(n: ArrayLike, k: ArrayLike) -> Floats:
    n, k = np.asarray(n, dtype=float), np.asarray(k, dtype=float)
    valid = n >= k
    safe = np.where(valid, n, k)
    result = gammaln(safe + 1) - gammaln(k + 1) - gammaln(safe - k + 1)
    return np.where(valid, result, -np.inf)
