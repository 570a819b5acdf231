"""Scores over all tasks: interquartile mean, probability of improvement, performance profiles, with intervals.

Runs are the complete repetitions of every task. Intervals resample repetitions inside tasks, the same ones for every
method: they say how sure the numbers are for these tasks, not for tasks in general.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from scipy import stats

from analysis.statistics.bootstrap import (
    RESAMPLES,
    SEED,
    Floats,
    product,
    stratified_interval,
    stratified_weights,
)
from analysis.statistics.ranks import rounded
from analysis.statistics.scores import TaskScores
from harness.plurals import plural

TRIMMED = 0.25
"""Share of runs that the interquartile mean leaves out at either end."""


def interquartile_mean(scores: Floats, axis: int | None = None) -> Floats:
    """Return the mean of the middle half of scores: a quarter, rounded down, is dropped at either end.

    Args:
        scores: Any shape, at least one.
        axis: Over which to average; all when ``None``.

    Source: R. Agarwal et al., "Deep reinforcement learning at the edge of the statistical precipice",
    NeurIPS 2021; as there, it is scipy's trimmed mean.
    """
    return np.asarray(stats.trim_mean(scores, TRIMMED, axis=axis), dtype=float)


def _weighted_interquartile_means(scores: Floats, weights: Floats) -> Floats:
    """Return the mean of the middle half of weighted scores, `interquartile_mean` where every weight is 1.

    Args:
        scores: Shape ``(n,)``.
        weights: Shape ``(resamples, n)``, each row adding up to n.

    Returns:
        Shape ``(resamples,)``.
    """
    order, n = np.argsort(scores, kind="stable"), scores.size
    cut = int(TRIMMED * n)
    below = np.clip(np.cumsum(weights[:, order], axis=1), cut, n - cut)
    kept = np.diff(below, axis=1, prepend=float(cut))
    return product(kept, scores[order][:, None])[:, 0] / (n - 2 * cut)


def aggregate(
    strata: Sequence[Floats], names: Sequence[str], *, resamples: int = RESAMPLES, seed: int = SEED
) -> pd.DataFrame:
    """Return the interquartile mean over all runs of every method, with its interval.

    Args:
        strata: For each task, scores of shape ``(r, k)``: repetitions × methods; r may differ between tasks.
        names: The k methods.
        resamples: Number of resamples.
        seed: Of the draws.

    Returns:
        Columns ``searcher``, ``mean``, ``low``, ``high``, ``tasks``, ``runs``; sorted by mean. The ends are NaN where
        `analysis.statistics.bootstrap.interval_inside_strata` says that there is no interval.

    Raises:
        ValueError: There is no task, or the shapes do not fit.
    """
    if not strata or any(part.shape[1:] != (len(names),) for part in strata):
        raise ValueError(
            f"aggregate needs tasks with scores of {plural(len(names), 'method')}, got {[p.shape for p in strata]}"
        )
    sizes = [part.shape[0] for part in strata]
    value = interquartile_mean(np.concatenate(strata), axis=0)
    weights = stratified_weights(sizes, resamples=resamples, seed=seed)
    runs = np.concatenate([own * size for own, size in zip(weights, sizes, strict=True)], axis=1)
    resampled = [
        _weighted_interquartile_means(column, runs) for column in np.concatenate(strata).astype(float).T
    ]
    low, high = stratified_interval(value, np.stack(resampled, axis=1), sizes)
    frame = pd.DataFrame(
        {
            "searcher": list(names),
            "mean": value,
            "low": low,
            "high": high,
            "tasks": len(strata),
            "runs": sum(sizes),
        }
    )
    return frame.sort_values(["mean", "searcher"], ignore_index=True)


def _wins(first: Floats, second: Floats) -> Floats:
    """Return 1 where a loss of the first is smaller, ½ where equal, else 0; shape ``(m, n)``."""
    a, b = rounded(first)[:, None], rounded(second)[None, :]
    return np.asarray((a < b) + 0.5 * (a == b), dtype=float)


def improvement(
    scores: Mapping[str, TaskScores], *, resamples: int = RESAMPLES, seed: int = SEED
) -> pd.DataFrame:
    """Return for every ordered pair the probability that a run of the first method is better than one of the second.

    The mean over tasks of Vargha and Delaney's A of final losses: it needs no references.

    Args:
        scores: What `analysis.statistics.scores.task_scores` returned, at least one task.
        resamples: Number of resamples.
        seed: Of the draws.

    Returns:
        Columns ``first``, ``second``, ``probability``, ``low``, ``high``, ``tasks``; the ends are NaN where
        `analysis.statistics.bootstrap.interval_inside_strata` says that there is no interval.
    """
    parts = list(scores.values())
    names = parts[0].searchers
    sizes = [len(part.repetitions) for part in parts]
    weights = stratified_weights(sizes, resamples=resamples, seed=seed)
    rows = []
    for i in range(len(names)):
        for j in range(i + 1, len(names)):
            tables = [_wins(part.losses[:, i], part.losses[:, j]) for part in parts]
            value = float(np.mean([table.mean() for table in tables]))
            pairs = zip(weights, tables, strict=True)
            resampled = np.mean([(product(w, table) * w).sum(axis=1) for w, table in pairs], axis=0)
            low, high = stratified_interval(value, resampled, sizes, inside=(0.0, 1.0)).tolist()
            rows.append((names[i], names[j], value, low, high, len(parts)))
            rows.append((names[j], names[i], 1 - value, 1 - high, 1 - low, len(parts)))
    return pd.DataFrame(rows, columns=["first", "second", "probability", "low", "high", "tasks"])


PROFILE_FLOOR = 1e-3
"""The smallest regret at which performance profiles are drawn, on a log axis."""


def performance_profile(
    strata: Sequence[Floats],
    names: Sequence[str],
    *,
    points: int = 200,
    resamples: int = RESAMPLES,
    seed: int = SEED,
) -> pd.DataFrame:
    """Return, for every method, the share of runs whose regret is at most τ, over τ from `PROFILE_FLOOR` to 1.

    The share of a task's runs, averaged over tasks; a right-continuous step function, given at every τ where
    it changes, or at ``points`` values evenly spaced in log τ where there are more.

    Args:
        strata: For each task, normalised regrets of shape ``(r, k)``.
        names: The k methods.
        points: Most values of τ.
        resamples: Number of resamples.
        seed: Of the draws.

    Returns:
        Rows by searcher and τ: ``searcher``, ``cost`` (τ), ``mean``, ``low``, ``high``, ``tasks``.

    Source: R. Agarwal et al. (2021), after E. D. Dolan and J. J. Moré (2002).
    """
    found = np.unique(np.concatenate([part.ravel() for part in strata]))
    inside = found[(found > PROFILE_FLOOR) & (found < 1)]
    grid = np.concatenate([[PROFILE_FLOOR], inside, [1.0]])
    if grid.size > points:
        grid = np.geomspace(PROFILE_FLOOR, 1.0, points)
    sizes = [part.shape[0] for part in strata]
    weights = stratified_weights(sizes, resamples=resamples, seed=seed)
    frames = []
    for column, name in enumerate(names):
        reached = [(part[:, column][:, None] <= grid).astype(float) for part in strata]
        mean = np.mean([table.mean(axis=0) for table in reached], axis=0)
        resampled = np.mean([product(w, table) for w, table in zip(weights, reached, strict=True)], axis=0)
        low, high = stratified_interval(mean, resampled, sizes, inside=(0.0, 1.0))
        frames.append(pd.DataFrame({"searcher": name, "cost": grid, "mean": mean, "low": low, "high": high}))
    return pd.concat(frames, ignore_index=True).assign(tasks=len(strata))
