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
"""Below this many units there is no interval: of 4 normal values it would cover their mean in 88 % of samples, of 3 in
76 %, of 2 in 50 %, because no resample leaves their range. The units themselves are what can be shown."""

# Resampled means held in memory at once (8 bytes each).
_CHUNK = 4_000_000
_LARGE, _SHIFT = 1e290, 600


class Estimate(NamedTuple):
    """A mean and the ends of its interval, of equal shape; the ends are NaN where there are too few units."""

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


def mean_interval(
    values: Floats, *, level: float = LEVEL, resamples: int = RESAMPLES, seed: int = SEED
) -> Estimate:
    """Return the mean over the first axis with its expanded percentile bootstrap interval.

    Whole units are resampled, the same draws for every column, so that a curve's interval is that of
    resampled curves and does not jump between neighbouring costs. Expanded by `tail`, the interval of the mean
    of normal values covers it in 95 % of samples of 20 and more, in 94 % of samples of 8 and in 92 % of samples
    of 5, because no resample leaves their range; of exponential values in 93 % of samples of 30, 90 % of 8 and 87 %
    of 5. What happens rarely and changes much, such as a failure in one run of ten, is in few small samples: the
    mean is then covered in 94 % of samples of 30, in 65 % of 10 and in 51 % of 5.

    Args:
        values: Shape ``(n, ...)``, one row per unit; n at least 1.
        level: Coverage of the interval, inside (0, 1).
        resamples: Number of resamples.
        seed: Seed of the draws; equal seeds and values give equal intervals.

    Returns:
        Mean and interval ends of shape ``(...)``; a column with a NaN or an infinity has NaN for all three. With fewer
        than `FEWEST_UNITS` units the ends are NaN.

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
    weights, below = _weights(n, resamples, seed), tail(n, level)
    ends = np.empty((2, distinct.shape[0]))
    width = max(_CHUNK // resamples, 1)
    for begin in range(0, distinct.shape[0], width):
        part = slice(begin, begin + width)
        ends[:, part] = np.quantile(product(distinct[part], weights.T), [below, 1 - below], axis=-1)
    ends = ends[:, np.cumsum(changed) - 1] + first
    return Estimate(mean.reshape(shape), ends[0].reshape(shape), ends[1].reshape(shape))


def resampled_means(values: Floats, *, resamples: int = RESAMPLES, seed: int = SEED) -> Floats:
    """Return the means of resamples of whole units, with the draws of `mean_interval`.

    Args:
        values: Shape ``(n, m)``, one row per unit, all finite.
        resamples: Number of resamples.
        seed: Seed of the draws.

    Returns:
        Shape ``(resamples, m)``.
    """
    return product(_weights(len(values), resamples, seed), values)


@functools.lru_cache(maxsize=4)
def _weights(units: int, resamples: int, seed: int) -> Floats:
    """Return how often each unit is drawn, as shares: shape ``(resamples, units)``."""
    counts = np.random.default_rng(seed).multinomial(units, np.full(units, 1 / units), size=resamples)
    weights = counts / units
    weights.flags.writeable = False
    return weights


def stratified_weights(sizes: Sequence[int], *, resamples: int = RESAMPLES, seed: int = SEED) -> list[Floats]:
    r"""Return the weights of the units of each stratum, such as repetitions inside tasks, in rescaled resamples.

    Of r units, r - 1 are drawn with replacement. The variance of the mean of so many is :math:`s^2 / r`, what it
    should be; of r draws it would be too small by :math:`(r - 1) / r`, a half with two repetitions. A stratum of
    one keeps its unit, and adds no variance.

    All methods share a draw: within a task and a repetition they are paired by common random numbers.

    Args:
        sizes: Units of each stratum, at least 1 each.
        resamples: Number of resamples.
        seed: Seed of the draws.

    Returns:
        For each stratum an array of shape ``(resamples, size)``, each row adding up to 1.

    Source: J. N. K. Rao and C. F. J. Wu, "Resampling inference with complex survey data", Journal of the American
    Statistical Association 83 (1988).
    """
    generator = np.random.default_rng(seed)
    return [
        generator.multinomial(size - 1, np.full(size, 1 / size), size=resamples) / (size - 1)
        if size > 1
        else np.ones((resamples, 1))
        for size in sizes
    ]


def interval_inside_strata(sizes: Sequence[int]) -> bool:
    r"""Whether strata of these sizes allow an interval.

    Two units in each stratum are what its spread can be seen from: were a stratum of one left to add none, the mean
    over five strata of which one has one unit and the others five would be covered in 82 % of samples. And
    :math:`\sum_i (r_i - 1)` must be at least 4, as it is of `FEWEST_UNITS` units of one stratum.
    """
    return min(sizes) > 1 and degrees_inside_strata(sizes) >= FEWEST_UNITS - 1


def degrees_inside_strata(sizes: Sequence[int]) -> int:
    r"""Return the degrees of freedom of a spread inside strata, :math:`\sum_i (r_i - 1)`."""
    return sum(size - 1 for size in sizes)


def stratified_interval(
    estimate: Floats | float,
    resampled: Floats,
    sizes: Sequence[int],
    *,
    level: float = LEVEL,
    inside: tuple[float, float] = (-np.inf, np.inf),
) -> Floats:
    r"""Return the ends of an interval of a statistic whose units were resampled inside strata.

    The estimate plus and minus t times the standard deviation of the resampled statistics, with t of
    :math:`\sum_i (r_i - 1)` degrees of freedom: the spread is estimated from so many deviations, in
    however many strata. Percentiles of resamples lose against it where repetitions are few, because
    these have few different means: of two repetitions on each of five tasks they cover 79 %.

    Measured coverage at a level of 95 %, of interquartile means over runs of tasks that differ (1000 samples each,
    error 0.7 %), and of means over tasks of a mean in each; skewed values are exponential, and failures are runs of
    regret 1 with a probability of a tenth, among normal ones of 0.2 to 0.5:

    =====  ===========  ======  ======  ========  ======  ======  ========
    tasks  repetitions  interquartile mean        mean
    -----  -----------  ------------------------  ------------------------
                        normal  skewed  failures  normal  skewed  failures
    =====  ===========  ======  ======  ========  ======  ======  ========
    1      5            97      95      98        95      88      56
    1      10           97      96      98        96      90      66
    5      2            92      89      91        95      91      67
    5      5            94      92      94        96      93      91
    5      10           95      91      94        96      92      93
    12     2            93      91      94        95      92      91
    12     10           94      93      96        94      93      94
    25     2            95      90      95        96      92      93
    25     5            95      93      96        94      93      94
    =====  ===========  ======  ======  ========  ======  ======  ========

    Where the noise of tasks differs a hundredfold, few of them decide, and their degrees of freedom are fewer: of
    two repetitions on each of five tasks the interquartile mean of normal values is covered in 85 %, on each of
    twelve in 92 %, and of five repetitions on each of five in 94 %.

    Args:
        estimate: Shape ``(...)``.
        resampled: With the weights of `stratified_weights`; shape ``(resamples, ...)``.
        sizes: Units of each stratum.
        level: Coverage of the interval, inside (0, 1).
        inside: What the statistic cannot leave, such as 0 and 1 for a share.

    Returns:
        Shape ``(2, ...)``; NaN where `interval_inside_strata` says that there is none.

    Raises:
        ValueError: The level is outside (0, 1).
    """
    _checked_level(level)
    middle = np.asarray(estimate, dtype=float)
    if not interval_inside_strata(sizes):
        return np.full((2, *middle.shape), np.nan)
    half = stats.t.ppf((1 + level) / 2, degrees_inside_strata(sizes)) * np.std(resampled, axis=0)
    return np.asarray(np.clip(np.stack([middle - half, middle + half]), *inside), dtype=float)
