"""Means with percentile bootstrap intervals, resampling whole units (repetitions or tasks)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

LEVEL = 0.95
RESAMPLES = 2000
SEED = 0

# Resampled means held in memory at once (8 bytes each).
_CHUNK = 4_000_000


class Estimate(NamedTuple):
    """A mean and the ends of its interval, of equal shape; the ends are NaN where one unit is all there is."""

    mean: Floats
    low: Floats
    high: Floats


def mean_interval(
    values: Floats, *, level: float = LEVEL, resamples: int = RESAMPLES, seed: int = SEED
) -> Estimate:
    """Return the mean over the first axis with its percentile bootstrap interval.

    Whole units are resampled, the same draws for every column, so that a curve's interval is that of
    resampled curves and does not jump between neighbouring costs. With few units the percentile
    interval is narrower than its level says (of 5 normal values it covers the mean in about 84 % of
    samples, of 20 in about 93 %).

    Args:
        values: Shape ``(n, ...)``, one row per unit; n at least 1.
        level: Coverage of the interval, inside (0, 1).
        resamples: Number of resamples.
        seed: Seed of the draws; equal seeds and values give equal intervals.

    Returns:
        Mean and interval ends of shape ``(...)``; a column with a NaN has NaN for all three.

    Raises:
        ValueError: There is no unit, or the level is outside (0, 1).
    """
    if values.ndim < 1 or values.shape[0] < 1:
        raise ValueError(f"mean_interval needs at least one unit, got shape {values.shape}")
    if not 0 < level < 1:
        raise ValueError(f"an interval's level lies inside (0, 1), got {level}")
    n, shape = values.shape[0], values.shape[1:]
    columns = values.reshape(n, -1)
    # Differences from the first unit are exactly 0 where all units agree, and so is their interval's width.
    first = columns[0]
    differences = columns - first
    mean = first + differences.mean(axis=0)
    if n == 1:
        nothing = np.full(shape, np.nan)
        return Estimate(mean.reshape(shape), nothing, nothing.copy())
    # Steps repeat: each run of equal neighbouring columns is resampled once.
    changed = np.ones(columns.shape[1], dtype=bool)
    changed[1:] = (columns[:, 1:] != columns[:, :-1]).any(axis=0)
    distinct = differences[:, changed]
    weights = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), size=resamples) / n
    tails = np.array([(1 - level) / 2, (1 + level) / 2])
    ends = np.empty((2, distinct.shape[1]))
    width = max(_CHUNK // resamples, 1)
    for begin in range(0, distinct.shape[1], width):
        part = slice(begin, begin + width)
        ends[:, part] = np.quantile(weights @ distinct[:, part], tails, axis=0)
    ends = ends[:, np.cumsum(changed) - 1] + first
    return Estimate(mean.reshape(shape), ends[0].reshape(shape), ends[1].reshape(shape))
