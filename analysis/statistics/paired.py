"""Comparisons within one task over its repetitions, and how many repetitions a difference would need.

Within a repetition all methods train with the same seeds (common random numbers), so their results are paired; runs
from elsewhere are independent, and compared by `analysis.statistics.independent`. Such a comparison speaks about its
task only.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Collection, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd
from statsmodels.stats.power import TTestIndPower, TTestPower  # type: ignore[import-untyped]

from analysis.errors import AnalysisError
from analysis.statistics import independent, moments
from analysis.statistics.bootstrap import Floats, mean_interval
from analysis.statistics.scores import TaskScores
from analysis.statistics.significance import (
    ALPHA,
    MOST_EXACT,
    differences,
    holm,
    rank_biserial,
    signed_rank_null,
    signed_rank_p,
    smallest_p,
    vargha_delaney,
)

POWER = 0.8
"""The power that numbers of repetitions are stated for."""

EFFICIENCY = 3 / math.pi
"""Asymptotic efficiency of Wilcoxon's signed-rank test relative to the t-test, of normal differences."""

MOST = 100_000
"""No more repetitions than these are looked for."""

COLUMNS = (
    *("task", "first", "second", "repetitions", "wins", "ties", "losses"),
    *("difference", "low", "high", "sd", "a", "effect", "p", "p_holm", "possible", "detectable"),
    "comparisons",
)


def compare_within_tasks(
    parts: Sequence[TaskScores],
    *,
    control: str | None = None,
    chosen: bool = False,
    planned: Collection[tuple[str, str]] | None = None,
    level: float = ALPHA,
    paired: bool = True,
) -> pd.DataFrame:
    """Compare methods pairwise over the repetitions of each of some tasks.

    Holm's correction is over all rows, those of all tasks: they are read together, as one list of who differs where,
    so that the level holds for the list and not only for each task by itself.

    Args:
        parts: The tasks' scores; a pair is compared in the repetitions that both finished.
        control: Compare every other method with this one; all pairs when ``None``. Fewer comparisons
            need fewer repetitions, because of the correction. A task without it has no rows.
        chosen: Whether the control was chosen for its results. Its rows are then a selection among those of all
            pairs, over which the correction is.
        planned: Compare these pairs alone, each in its own order.
        level: Of all rows together.
        paired: Whether methods share their seeds within a repetition.

    Returns:
        One row per task and pair with the columns of `COLUMNS`: ``wins``, ``ties`` and ``losses`` of the first method
        over repetitions; ``difference`` the mean of first minus second loss with its 95 % interval ``low``, ``high``
        (repetitions resampled) and ``sd`` the standard deviation of the paired differences, in the metric's unit;
        ``a`` Vargha and Delaney's A (1: the first is always better); ``effect`` the matched-pairs rank-biserial
        correlation (positive: the first is better); ``p`` of the signed-rank test and ``p_holm``; ``possible``
        whether so many repetitions could show a difference at the level after the correction; ``detectable`` the mean
        difference that these repetitions would detect with a power of 0.8 at the level Holm's first step demands,
        were the differences normal with that standard deviation (infinite where no difference could be detected);
        ``comparisons`` how many the correction is over. A pair without a common repetition has no row.

        Of runs that are not paired, all runs of both methods count: ``repetitions`` is the smaller number of them;
        ``wins``, ``ties`` and ``losses`` are over all pairs of runs; the interval resamples the runs of each;
        ``sd`` is that of the difference of two runs; ``effect`` is the rank-biserial correlation, 2 ``a`` − 1; the test
        is the rank-sum test.

        With ``planned`` also ``part``: of which of the ``parts`` a row is.
    """
    rows = []
    for part, own in enumerate(parts):
        names = list(own.searchers)
        for first, second in _pairs(names, control, planned, every=chosen):
            a, b = (own.losses[:, names.index(name)] for name in (first, second))
            if paired:
                a, b = (values[~(np.isnan(a) | np.isnan(b))] for values in (a, b))
            else:
                a, b = (values[~np.isnan(values)] for values in (a, b))
            if a.size and b.size:
                said = _paired(a, b) if paired else independent.compared(a, b)
                rows.append({"part": part, "task": own.task, "first": first, "second": second, **said})
    corrected = holm([row["p"] for row in rows])
    for row, p in zip(rows, corrected.tolist(), strict=True):
        row["p_holm"] = p
        smallest = smallest_p(row["repetitions"]) if paired else independent.smallest_p(*row["sizes"])
        row["possible"] = smallest * len(rows) <= level
        row["detectable"] = detectable_difference(
            row["repetitions"], row["sd"], level=level, comparisons=len(rows), paired=paired
        )
        row["comparisons"] = len(rows)
    frame = pd.DataFrame(rows, columns=[*COLUMNS, *(["part"] if planned is not None else [])])
    return frame if control is None else frame[frame["second"] == control].reset_index(drop=True)


def _pairs(
    names: Sequence[str],
    control: str | None,
    planned: Collection[tuple[str, str]] | None,
    *,
    every: bool,
) -> list[tuple[str, str]]:
    """Return the pairs of methods to compare on a task that has some methods: the control always second."""
    if planned is not None:
        return [pair for pair in planned if set(pair) <= set(names)]
    pairs = list(itertools.combinations(names, 2))
    if control is None:
        return pairs
    turned = [pair if pair[0] != control else pair[::-1] for pair in pairs]
    return turned if every else [pair for pair in turned if pair[1] == control]


def _paired(first: Floats, second: Floats) -> dict[str, Any]:
    """Return what is said of one pair, from its losses in common repetitions."""
    values = differences(first, second)
    estimate = mean_interval(values)
    return {
        "repetitions": values.size,
        "wins": int((values < 0).sum()),
        "ties": int((values == 0).sum()),
        "losses": int((values > 0).sum()),
        "difference": float(estimate.mean),
        "low": float(estimate.low),
        "high": float(estimate.high),
        "sd": moments.sd(values) if np.isfinite(values).all() and values.size > 1 else math.nan,
        "a": vargha_delaney(first, second),
        "effect": rank_biserial(values),
        "p": signed_rank_p(values),
    }


def power_of(
    repetitions: int, effect: float, *, level: float = ALPHA, comparisons: int = 1, paired: bool = True
) -> float:
    """Return the approximate power of a two-sided signed-rank test of normal paired differences.

    That of a t-test with 3/π times the repetitions, at the level that the exact test, whose
    p-values are discrete, really has; 0 where no p-value can reach the level. Of runs that are not paired, that of the
    rank-sum test with so many runs of each method.

    Args:
        repetitions: Pairs, at least 1.
        effect: Mean difference in standard deviations of the differences of two runs, at least 0.
        level: Family-wise level.
        comparisons: Tests that Holm's correction is over: the first step demands level / comparisons.
        paired: Whether methods share their seeds within a repetition.
    """
    attained = (attained_level if paired else independent.attained_level)(repetitions, level / comparisons)
    if attained <= 0:
        return 0.0
    count = max(repetitions * EFFICIENCY, 2.0)
    if paired:
        power = float(TTestPower().power(effect, count, attained))
    else:  # the difference of two runs varies √2 times as much as one does
        power = float(TTestIndPower().power(math.sqrt(2) * effect, count, attained))
    # The non-central t distribution underflows far out, where the power is 1.
    return 1.0 if math.isnan(power) else power


@lru_cache(maxsize=4096)
def attained_level(repetitions: int, level: float) -> float:
    """Return the largest level not above ``level`` that the exact two-sided signed-rank test has; 0 if none."""
    if repetitions > MOST_EXACT:  # the p-values are then as good as continuous
        return level
    tails = 2 * np.cumsum(signed_rank_null(np.arange(1, repetitions + 1)))
    reachable = tails[tails <= level * (1 + 1e-12)]
    return float(reachable[-1]) if reachable.size else 0.0


def repetitions_needed(
    difference: float,
    sd: float,
    *,
    level: float = ALPHA,
    power: float = POWER,
    comparisons: int = 1,
    paired: bool = True,
) -> int | None:
    """Return how many repetitions detect a mean difference between two methods on one task.

    Args:
        difference: True mean of the paired differences, in the metric's unit; its sign plays no part.
        sd: Their standard deviation, positive.
        level: Family-wise level of the tests.
        power: Wanted probability of a significant result, inside (0, 1).
        comparisons: Tests that Holm's correction is over.
        paired: Whether methods share their seeds within a repetition; otherwise it is runs of each method.

    Returns:
        The smallest number from which on the power is reached; ``None`` above 100 000 or where the
        difference is 0.

    Raises:
        AnalysisError: The standard deviation is not positive, or the power is outside (0, 1).

    Example:
        >>> repetitions_needed(0.01, 0.01)
        11
    """
    if not (sd > 0 and math.isfinite(sd)) or not 0 < power < 1:
        raise AnalysisError(
            f"repetitions_needed wants a positive standard deviation and a power inside (0, 1), got {sd} and {power}"
        )
    effect = abs(difference) / sd
    if effect == 0 or power_of(MOST, effect, level=level, comparisons=comparisons, paired=paired) < power:
        return None
    low, high = 1, 2
    while power_of(high, effect, level=level, comparisons=comparisons, paired=paired) < power:
        low, high = high, min(2 * high, MOST)
    # Discrete p-values make the power rise unevenly: start a little below, and take the last shortfall.
    while high - low > 64:
        middle = (low + high) // 2
        if power_of(middle, effect, level=level, comparisons=comparisons, paired=paired) < power:
            low = middle
        else:
            high = middle
    short = [
        n
        for n in range(low, high)
        if power_of(n, effect, level=level, comparisons=comparisons, paired=paired) < power
    ]
    return short[-1] + 1 if short else low


def detectable_difference(
    repetitions: int,
    sd: float,
    *,
    level: float = ALPHA,
    power: float = POWER,
    comparisons: int = 1,
    paired: bool = True,
) -> float:
    """Return the smallest mean difference that these repetitions detect with the wanted power.

    Arguments as for `repetitions_needed`.

    Returns:
        In the unit of ``sd``; infinite where no p-value of so few repetitions can reach the level, NaN where
        the standard deviation is NaN.
    """
    if math.isnan(sd):
        return math.nan
    effect = _detectable_effect(repetitions, level, power, comparisons, paired)
    return math.inf if math.isinf(effect) else effect * sd


@lru_cache(maxsize=4096)
def _detectable_effect(repetitions: int, level: float, power: float, comparisons: int, paired: bool) -> float:
    if (attained_level if paired else independent.attained_level)(repetitions, level / comparisons) <= 0:
        return math.inf
    low, high = 0.0, 1.0
    while power_of(repetitions, high, level=level, comparisons=comparisons, paired=paired) < power:
        low, high = high, 2 * high
        if high > 1e4:
            return math.inf
    for _ in range(40):
        middle = (low + high) / 2
        if power_of(repetitions, middle, level=level, comparisons=comparisons, paired=paired) < power:
            low = middle
        else:
            high = middle
    return high
