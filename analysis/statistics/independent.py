"""Runs that share nothing between methods: ranks among all runs, and the rank-sum test in place of tests of pairs.

Imported runs are such (see `results.tables.SweepTables.paired`): that two of them have the same number says nothing.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from analysis.statistics import moments
from analysis.statistics.bootstrap import (
    FEWEST_UNITS,
    RESAMPLES,
    SEED,
    Floats,
    product,
    stratified_interval,
    stratified_weights,
)
from analysis.statistics.ranks import rounded
from analysis.statistics.significance import ALPHA, vargha_delaney

MOST_EXACT = 50
"""Runs of both methods together up to which the rank-sum test is exact; above, it is the normal approximation."""


def expected_ranks(losses: Floats) -> Floats:
    """Return the mean rank of each method over all ways to take one run of every method.

    1 plus, for every other method, the share of pairs of runs in which that one is better, ties counting half.

    Args:
        losses: One task's, shape ``(r, k)``; NaN where a method has fewer runs, at least one of each.

    Returns:
        Shape ``(k,)``.
    """
    runs = [column[~np.isnan(column)] for column in losses.T]
    return np.array(
        [
            1.0 + sum(1.0 - vargha_delaney(own, other) for j, other in enumerate(runs) if j != i)
            for i, own in enumerate(runs)
        ]
    )


def compared(first: Floats, second: Floats) -> dict[str, Any]:
    """Return what `analysis.statistics.paired.compare_within_tasks` says of two methods on a task, uncorrected.

    Args:
        first: Losses of one method's runs, shape ``(m,)``, at least one; infinite without a success.
        second: Losses of another's, shape ``(n,)``, at least one.
    """
    a, b = rounded(first), rounded(second)
    finite = bool(np.isfinite(first).all() and np.isfinite(second).all())
    difference, low, high = math.nan, math.nan, math.nan
    if finite:
        difference = float(moments.mean(first) - moments.mean(second))
    if finite and min(first.size, second.size) >= FEWEST_UNITS:
        sizes = (first.size, second.size)
        weights = stratified_weights(sizes, resamples=RESAMPLES, seed=SEED)
        one, two = (
            product(own, runs[:, None])[:, 0] for own, runs in zip(weights, (first, second), strict=True)
        )
        low, high = stratified_interval(difference, one - two, sizes).tolist()
    spread = finite and min(first.size, second.size) > 1
    better = vargha_delaney(first, second)
    return {
        "sizes": (first.size, second.size),
        "repetitions": min(first.size, second.size),
        "wins": int((a[:, None] < b[None, :]).sum()),
        "ties": int((a[:, None] == b[None, :]).sum()),
        "losses": int((a[:, None] > b[None, :]).sum()),
        "difference": difference,
        "low": low,
        "high": high,
        "sd": math.hypot(moments.sd(first), moments.sd(second)) if spread else math.nan,
        "a": better,
        "effect": 2 * better - 1,
        "p": rank_sum_p(first, second),
    }


def rank_sum_p(first: Floats, second: Floats) -> float:
    """Return the two-sided p-value of the rank-sum test of Wilcoxon, Mann and Whitney; 1 where all losses are equal.

    Exact for up to 50 runs in all, ties included: over all ways to deal the same ranks out to the two methods.

    Args:
        first: Losses of one method's runs, at least one.
        second: Losses of another's, at least one.
    """
    values = rounded(np.concatenate([first, second]))
    if (values == values[0]).all():
        return 1.0
    if values.size > MOST_EXACT:
        a, b = values[: first.size], values[first.size :]
        return float(stats.mannwhitneyu(a, b, alternative="two-sided", method="asymptotic").pvalue)
    doubled = np.rint(2 * stats.rankdata(values)).astype(int)
    null = rank_sum_null(doubled, first.size)
    found = int(doubled[: first.size].sum())
    return float(min(1.0, 2 * min(null[: found + 1].sum(), null[found:].sum())))


def rank_sum_null(ranks: NDArray[np.int_], size: int) -> Floats:
    """Return the probabilities of 0, 1, … for the sum of ``size`` of some ranks, drawn without replacement.

    Args:
        ranks: Positive whole numbers, shape ``(n,)``; equal ones are ties.
        size: How many are drawn, from 1 to n.
    """
    total = int(ranks.sum())
    ways = np.zeros((size + 1, total + 1))
    ways[0, 0] = 1.0
    for rank in ranks.tolist():
        more = ways.copy()
        more[1:, rank:] += ways[:-1, : total + 1 - rank]
        ways = more
    chances: Floats = ways[size] / ways[size].sum()
    return chances


def smallest_p(first: int, second: int) -> float:
    """Return the smallest p-value that a two-sided rank-sum test of so many runs can give."""
    return min(1.0, 2.0 / math.comb(first + second, first))


def fewest_runs(level: float = ALPHA, comparisons: int = 1) -> int:
    """Return the number of runs of each of two methods below which no rank-sum test can reach the level at all.

    Example:
        >>> [fewest_runs(comparisons=pairs) for pairs in (1, 3, 6, 55)]
        [4, 5, 5, 7]
    """
    runs = 1
    while smallest_p(runs, runs) * comparisons > level:
        runs += 1
    return runs


@lru_cache(maxsize=4096)
def attained_level(runs: int, level: float) -> float:
    """Return the largest level not above ``level`` that the exact test of so many runs of each has; 0 if none."""
    if 2 * runs > MOST_EXACT:  # the p-values are then as good as continuous
        return level
    tails = 2 * np.cumsum(rank_sum_null(np.arange(1, 2 * runs + 1), runs))
    reachable = tails[tails <= level * (1 + 1e-12)]
    reached = reachable[reachable > 0]
    return float(reached[-1]) if reached.size else 0.0


def without_failures(losses: Floats) -> Floats | None:
    """Return losses without the runs that had no success; ``None`` where a method has no other."""
    kept = np.where(np.isfinite(losses), losses, np.nan)
    return None if np.isnan(kept).all(axis=0).any() else kept
