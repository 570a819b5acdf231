r"""Is a candidate worse than its baseline? A sequential decision on paired, bounded differences, exact at any size.

The differences of a task and a repetition lie within −1 and 1; tasks are fixed, repetitions are drawn. What is decided
about is their mean :math:`\mu`, over the tasks and over all repetitions that there could be. To refute
:math:`\mu ≥ m`, a gambler bets a share c of the capital against each difference x, which makes of it
:math:`\prod (1 - c (x - m) / (1 - m))`. Where :math:`\mu ≥ m` the game is fair or worse, and the capital ever exceeds
:math:`1/\alpha` with a probability of at most :math:`\alpha` (Ville's inequality). The largest m where it does not is
an upper bound; the lower is its mirror image.

Two things make this fit a gate. It supposes no distribution: of five differences that are exactly 0 it concludes no
more than that failures are rarer than five successes allow, where an interval by t has the width 0. And one may look,
stop or go on as often as one likes, beyond what was planned, too, without a correction.

One capital may be made of the differences of all tasks, although their means differ: bet on with one share, it has an
expectation of at most :math:`\prod_t (1 - c (\mu_t - m) / (1 - m))` in each repetition, which is at most what it would
be were each :math:`\mu_t` their mean (arithmetic and geometric mean). That needs as many repetitions of every task, and
tasks that are independent within a repetition, as seeds derived for each task and repetition make them.

Source: I. Waudby-Smith and A. Ramdas, "Estimating means of bounded random variables by betting", Journal of the Royal
Statistical Society B 86 (2024); mixtures of capitals: S. R. Howard et al., "Time-uniform, nonparametric, nonasymptotic
confidence sequences", Annals of Statistics 49 (2021).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np
import pandas as pd
from scipy.optimize import brentq

from analysis.errors import AnalysisError
from analysis.statistics.bootstrap import Floats
from harness.plurals import plural

SHARES: Final = (0.1, 0.2, 0.4, 0.8)
"""Shares of the capital that are bet, a quarter on each: small ones for noisy differences, large ones for quiet."""

LARGEST_RATIO: Final = 4.0
"""Costs that differ by more than this factor count as if they differed by it: an hour's hiccup is not to decide."""


class Verdict(StrEnum):
    """What a gate says of the candidate."""

    WORSE = "worse"
    """Worse by more than the margin."""
    NOT_WORSE = "not worse"
    """Not worse by more than the margin."""
    UNDECIDED = "undecided"
    """Neither is known after the last look."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is decided before the first repetition.

    Attributes:
        looks: Repetitions of each task at each look, of all so far; rising.
        margin: How much worse the mean percentile among random searches may get, inside (0, 1). By default what random
            search loses with a budget that is smaller by two elevenths: 1 / (1 + 9/11) = .55 instead of .5.
        cost_margin: By what factor a cost may grow, above 1 and below `LARGEST_RATIO`.
        level: Probability, at most, of the verdict "worse" where the candidate is not worse by more than the margin,
            and of "not worse" where it is: each over all looks, inside (0, 0.5).

    Raises:
        AnalysisError: They are not that.
    """

    looks: tuple[int, ...] = (10, 20, 40, 80, 160)
    margin: float = 0.05
    cost_margin: float = 1.25
    level: float = 0.05

    def __post_init__(self) -> None:
        wrong = []
        rising = all(first < second for first, second in zip(self.looks, self.looks[1:], strict=False))
        if not (self.looks and rising and self.looks[0] >= 1):
            wrong.append(f"looks must be rising numbers of repetitions, at least 1 each, got {self.looks}")
        if not 0 < self.margin < 1:
            wrong.append(f"the margin of the percentile must lie inside (0, 1), got {self.margin}")
        if not 1 < self.cost_margin < LARGEST_RATIO:
            wrong.append(
                f"the margin of a cost is a factor inside (1, {LARGEST_RATIO:g}), got {self.cost_margin}"
            )
        if not 0 < self.level < 0.5:
            wrong.append(f"the level must lie inside (0, 0.5), got {self.level}")
        if wrong:
            raise AnalysisError("; ".join(wrong))


@dataclass(frozen=True, slots=True)
class Bounds:
    """What is known of a mean after a look.

    Attributes:
        estimate: The mean of the differences; of costs, the geometric mean of the ratios.
        low: Lower bound of the true one.
        high: Upper bound; both hold over all looks, each but for a probability of ``level``.
        level: One-sided error of each bound, after the correction.
        verdict: What the bounds say of the margin; ``None`` while the gate goes on.
    """

    estimate: float
    low: float
    high: float
    level: float
    verdict: Verdict | None


@dataclass(frozen=True, slots=True)
class Decision:
    """What a look decides.

    Attributes:
        look: Its number, from 1.
        repetitions: Of each task, so far.
        margin: Of the plan, in the unit of the bounds.
        overall: Over the tasks; the gate ends once it has a verdict.
        tasks: By task, at the level divided by their number (Bonferroni), so that all of them hold together. A task
            without a verdict when the gate ends is undecided.
    """

    look: int
    repetitions: int
    margin: float
    overall: Bounds
    tasks: Mapping[str, Bounds]

    @property
    def verdict(self) -> Verdict | None:
        """The gate's: that over the tasks; ``None`` while it goes on."""
        return self.overall.verdict


def decide(differences: pd.DataFrame, plan: Plan, look: int) -> Decision:
    """Return what is known of a candidate's percentile among random searches after a look.

    Args:
        differences: All so far, one row per task and repetition: ``task``, ``repetition`` and ``difference``, the
            candidate's percentile minus the baseline's, within −1 and 1; above 0 the candidate is worse.
        plan: What was decided before.
        look: Its number, from 1 to ``len(plan.looks)``; every task has this look's repetitions.

    Raises:
        AnalysisError: Repetitions are missing, double or too many, or a difference is no number within −1 and 1.
    """
    return _decided(differences, "difference", plan, look, plan.margin)


def decide_cost(ratios: pd.DataFrame, plan: Plan, look: int) -> Decision:
    """Return what is known of a candidate's cost, such as seconds of ask and tell, or memory, after a look.

    It is decided about the geometric mean of the ratios, those beyond `LARGEST_RATIO` or its inverse counted as these.

    Args:
        ratios: All so far, one row per task and repetition: ``task``, ``repetition`` and ``ratio``, the candidate's
            cost divided by the baseline's, positive; above 1 the candidate is dearer.
        plan: What was decided before; its ``cost_margin`` is the margin.
        look: As of `decide`.

    Returns:
        Its bounds and margin are ratios.

    Raises:
        AnalysisError: Repetitions are missing, double or too many, or a ratio is not positive and finite.
    """
    values = ratios["ratio"].to_numpy(dtype=float)
    wrong = ratios[~(np.isfinite(values) & (values > 0))]
    if len(wrong):
        raise AnalysisError(f"a ratio of costs must be positive and finite, got {_row(wrong)}")
    unit = math.log(LARGEST_RATIO)
    scaled = ratios.assign(scaled=np.clip(np.log(values) / unit, -1, 1))
    decision = _decided(scaled, "scaled", plan, look, math.log(plan.cost_margin) / unit)

    def ratio(bounds: Bounds) -> Bounds:
        estimate, low, high = (math.exp(unit * value) for value in (bounds.estimate, bounds.low, bounds.high))
        return Bounds(estimate, low, high, bounds.level, bounds.verdict)

    tasks = {task: ratio(bounds) for task, bounds in decision.tasks.items()}
    return Decision(look, decision.repetitions, plan.cost_margin, ratio(decision.overall), tasks)


def upper_bound(values: Floats, level: float) -> float:
    """Return the least upper bound of a mean that holds but for a probability of ``level``, at all sizes together.

    Args:
        values: Within −1 and 1, shape ``(n,)``.
        level: Inside (0, 1).

    Returns:
        Within the mean of the values and 1.

    Example:
        >>> round(upper_bound(np.zeros(100), 0.05), 3)
        0.044
    """
    needed = -math.log(level)

    def short(m: float) -> float:
        return _log_capital(values, m) - needed

    # The capital rises with m: from at most 1 at the mean, without an end towards 1.
    least, width = float(np.mean(values)), 1 / 16
    while (most := least + width) < 1 and short(most) < 0:
        least, width = most, 2 * width
    most = min(most, 1 - 1e-9)
    return float(brentq(short, least, most, xtol=1e-9)) if least < most and short(most) > 0 else 1.0


def _log_capital(values: Floats, m: float) -> float:
    """Return the logarithm of what a bet against a mean of m or more has made of 1."""
    gains = (values - m) / (1 - m)
    logs = [np.log1p(-share * gains).sum() for share in SHARES]
    return float(np.logaddexp.reduce(logs)) - math.log(len(SHARES))


def _decided(rows: pd.DataFrame, column: str, plan: Plan, look: int, margin: float) -> Decision:
    """Return what is decided about values within −1 and 1."""
    repetitions = _checked(rows, column, plan, look)
    last = look == len(plan.looks)
    overall = _bounds(rows[column], plan.level, margin, last=last)
    ended = overall.verdict is not None
    groups = rows.groupby("task", sort=True)[column]
    level = plan.level / groups.ngroups
    tasks = {str(task): _bounds(own, level, margin, last=ended) for task, own in groups}
    return Decision(look, repetitions, margin, overall, tasks)


def _bounds(values: pd.Series[float], level: float, margin: float, *, last: bool) -> Bounds:
    """Return the bounds of a mean, and what they say of the margin."""
    array: Floats = np.asarray(values, dtype=float)
    low, high = -upper_bound(-array, level), upper_bound(array, level)
    verdict = Verdict.UNDECIDED if last else None
    if low > margin:
        verdict = Verdict.WORSE
    elif high < margin:
        verdict = Verdict.NOT_WORSE
    return Bounds(float(array.mean()), low, high, level, verdict)


def _checked(rows: pd.DataFrame, column: str, plan: Plan, look: int) -> int:
    """Return a look's repetitions, of which the rows have each once for every task."""
    if not 1 <= look <= len(plan.looks):
        raise AnalysisError(f"the plan has looks 1 to {len(plan.looks)}, got {look}")
    wanted = plan.looks[look - 1]
    wrong = rows[~(rows[column].abs() <= 1)]
    if len(wrong):
        raise AnalysisError(f"a {column} must lie within -1 and 1, got {_row(wrong)}")
    double = rows[rows.duplicated(["task", "repetition"])]
    if len(double):
        raise AnalysisError(f"a repetition of a task counts once, got twice {_row(double)}")
    counts = rows.groupby("task", sort=True).size()
    if counts.empty or (counts != wanted).any() or rows["repetition"].nunique() != wanted:
        got = ", ".join(f"{task!r} {count}" for task, count in counts.items()) or "none"
        raise AnalysisError(
            f"look {look} wants the same {plural(wanted, 'repetition')} of every task, got {got}; run both sides to "
            "the end first"
        )
    return wanted


def _row(rows: pd.DataFrame) -> str:
    """Return the first of some rows in words."""
    return ", ".join(f"{name} {value!r}" for name, value in rows.iloc[0].to_dict().items())
