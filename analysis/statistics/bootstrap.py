"""Bootstrap intervals by resampling whole units: repetitions, tasks, or repetitions inside tasks."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Floats = NDArray[np.float64]

LEVEL = 0.95
FEWEST_UNITS = 5
"""With fewer units there is no interval: of two to four, intervals called 95 % cover 50 to 88 %."""
RESAMPLES = 2000
SEED = 0

FEWEST_UNITS = 5
"""With fewer units there is no interval: of two to four, it covers the mean in 50 to 88 % of samples."""

# Resampled means held in memory at once (8 bytes each).
_CHUNK = 4_000_000
_LARGE, _SHIFT = 1e290, 600


class Estimate(NamedTuple):
    """A mean and the ends of its interval, of equal shape; the ends are NaN where one unit is all there is."""

    mean: Floats
    low: Floats
    high: Floats


def product(first: Floats, second: Floats) -> Floats:
    """Return a matrix product as plain sums: the same to the last bit on every processor, as BLAS's is not.

    Args:
        first: Shape ``(n, m)``.
        second: Shape ``(m, k)``.

    Returns:
        Shape ``(n, k)``.
    """
    result: Floats = np.einsum("ij,jk->ik", first, second, optimize=False)
    return result


def tail(units: int, level: float = LEVEL) -> float:
    r"""Return the probability below and above a percentile interval that is expanded for few units.

    The plain interval's tails are too short by a factor :math:`\sqrt{(n - 1) / n}` and it ignores that the
    spread itself is estimated; the tails :math:`\Phi(-\sqrt{n / (n - 1)}\, t_{n - 1})` make up for both.

    Args:
        units: n, at least 2.
        level: Coverage of the interval, inside (0, 1).

    Source: T. C. Hesterberg, "What teachers should know about the bootstrap", The American Statistician 69 (2015).
    """
    quantile = stats.t.ppf((1 + level) / 2, units - 1)
    return float(stats.norm.cdf(-np.sqrt(units / (units - 1)) * quantile))


def _checked_level(level: float) -> None:
    if not 0 < level < 1:
        raise ValueError(f"an interval's level lies inside (0, 1), got {level}")


def quantiles(resampled: Floats, units: int, level: float = LEVEL) -> Floats:
    """Return the ends of the expanded percentile interval of resampled statistics.

    Args:
        resampled: Shape ``(..., resamples)``.
        units: How many units each resample drew; at least 2.
        level: Coverage of the interval, inside (0, 1).

    Returns:
        Shape ``(2, ...)``.
    """
    below = tail(units, level)
    return np.asarray(np.quantile(resampled, [below, 1 - below], axis=-1), dtype=float)


def mean_interval(
    values: Floats, *, level: float = LEVEL, resamples: int = RESAMPLES, seed: int = SEED
) -> Estimate:
    """Return the mean over the first axis with its expanded percentile bootstrap interval.

    Whole units are resampled, the same draws for every column, so that a curve's interval is that of
    resampled curves and does not jump between neighbouring costs. Expanded by `tail`, the interval of the mean
    of normal values covers it in 95 % of samples of 20 and more, in 94 % of samples of 8 and in 92 % of samples
    of 5, because no resample leaves their range.

    Args:
        values: Shape ``(n, ...)``, one row per unit; n at least 1.
        level: Coverage of the interval, inside (0, 1).
        resamples: Number of resamples.
        seed: Seed of the draws; equal seeds and values give equal intervals.

    Returns:
        Mean and interval ends of shape ``(...)``; a column with a NaN or an infinity has NaN for all three.

    Raises:
        ValueError: There is no unit, or the level is outside (0, 1).
    """
    if values.ndim < 1 or values.shape[0] < 1:
        raise ValueError(f"mean_interval needs at least one unit, got shape {values.shape}")
    _checked_level(level)
    n, shape = values.shape[0], values.shape[1:]
    columns = values.reshape(n, -1)
    columns = np.where(np.isfinite(columns), columns, np.nan)
    if np.nanmax(np.abs(columns), initial=0.0) > _LARGE:
        # Their differences and sums may be larger than the largest number; a power of two changes no digit.
        small = mean_interval(np.ldexp(values, -_SHIFT), level=level, resamples=resamples, seed=seed)
        with np.errstate(over="ignore"):
            return Estimate(*(np.ldexp(part, _SHIFT) for part in (small.mean, small.low, small.high)))
    # Differences from the first unit are exactly 0 where all units agree, and so is their interval's width.
    first = columns[0]
    differences = columns - first
    mean = first + differences.mean(axis=0)
    if n < FEWEST_UNITS:
        nothing = np.full(shape, np.nan)
        return Estimate(mean.reshape(shape), nothing, nothing.copy())
    # Steps repeat: each run of equal neighbouring columns is resampled once.
    changed = np.ones(columns.shape[1], dtype=bool)
    changed[1:] = (columns[:, 1:] != columns[:, :-1]).any(axis=0)
    distinct = np.ascontiguousarray(differences[:, changed].T)
    weights = _weights(n, resamples, seed)
    ends = np.empty((2, distinct.shape[0]))
    width = max(_CHUNK // resamples, 1)
    for begin in range(0, distinct.shape[0], width):
        part = slice(begin, begin + width)
        ends[:, part] = quantiles(product(distinct[part], weights.T), n, level)
    ends = ends[:, np.cumsum(changed) - 1] + first
    return Estimate(mean.reshape(shape), ends[0].reshape(shape), ends[1].reshape(shape))


@functools.lru_cache(maxsize=4)
def _weights(units: int, resamples: int, seed: int) -> Floats:
    """Return how often each unit is drawn, as shares: shape ``(resamples, units)``."""
    counts = np.random.default_rng(seed).multinomial(units, np.full(units, 1 / units), size=resamples)
    weights = counts / units
    weights.flags.writeable = False
    return weights


def stratified_draws(
    sizes: Sequence[int], *, resamples: int = RESAMPLES, seed: int = SEED
) -> list[NDArray[np.intp]]:
    """Return draws with replacement inside strata: repetitions inside tasks.

    All methods share a draw: within a task and a repetition they are paired by common random numbers.

    Args:
        sizes: Units of each stratum, at least 1 each.
        resamples: Number of resamples.
        seed: Seed of the draws.

    Returns:
        For each stratum the unit indices drawn, shape ``(resamples, size)``.
    """
    generator = np.random.default_rng(seed)
    return [generator.integers(0, size, (resamples, size)) for size in sizes]


def counted(draws: NDArray[np.intp], size: int) -> Floats:
    """Return drawn indices as weights of the units, shape ``(resamples, size)``, each row adding up to 1."""
    resamples = draws.shape[0]
    flat = (draws + size * np.arange(resamples)[:, None]).ravel()
    counts = np.bincount(flat, minlength=resamples * size).reshape(resamples, size)
    return np.asarray(counts / draws.shape[1], dtype=float)
