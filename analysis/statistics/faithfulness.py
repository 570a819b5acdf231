"""How faithful a replay is to the task it replays: of values at fresh configurations, and of whole races."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import kendalltau, rankdata, spearmanr

from analysis.statistics.bootstrap import Floats, mean_interval
from analysis.statistics.comparison import Comparison
from analysis.statistics.ranks import rounded

BEST = 0.1
"""Share of the fresh configurations that are the best ones."""

CEILING_DRAWS = 200
_SEED = 20_240_001


def values_agree(trained: Floats, said: Floats, spread: float) -> dict[str, Any]:
    """Return how far what a replay says of configurations agrees with fresh trainings of them.

    Args:
        trained: Losses of fresh trainings, (configurations, seeds); a failure as its finite loss.
        said: What the replay says of each, free of its noise; (configurations,).
        spread: Standard deviation of a loss over seeds, pooled over configurations; 0 where it is not known.

    Returns:
        ``configurations``, ``seeds``; ``spearman`` and ``kendall`` of ``said`` with the mean trained loss;
        ``ceiling``: the Spearman's correlation that knowing each configuration's true mean would have with means of
        as many seeds, ``None`` with one seed; ``error``: the root mean square difference in units of
        ``spread``, expected to be at least ``error_ceiling``, the square root of 1 / seeds, from the seeds' noise
        alone; ``median_error`` likewise, of absolute differences; ``bias``: mean difference, said minus trained, in
        units of ``spread``; all of these but the ceilings also of the best tenth, by trained loss, with ``best_``
        before their names. What cannot be computed is ``None``.
    """
    mean = trained.mean(axis=1)
    best = mean <= np.quantile(mean, BEST)
    found: dict[str, Any] = {
        "configurations": len(mean),
        "seeds": trained.shape[1],
        "spread": spread,
        "error_ceiling": math.sqrt(1 / trained.shape[1]),
        "ceiling": ceiling(trained),
    }
    for prefix, part in (("", np.full(len(mean), True)), ("best_", best)):
        found[f"{prefix}spearman"] = _or_none(_correlation(spearmanr, said[part], mean[part]))
        found[f"{prefix}kendall"] = _or_none(_correlation(kendalltau, said[part], mean[part]))
        difference = said[part] - mean[part]
        for name, size in (
            ("error", np.sqrt(np.mean(difference**2))),
            ("median_error", np.median(np.abs(difference))),
            ("bias", np.mean(difference)),
        ):
            found[prefix + name] = float(size) / spread if spread > 0 else None
    return found


def ceiling(trained: Floats) -> float | None:
    """Return the Spearman's correlation with means over seeds that knowing the true means would have.

    Simulated: the means stand for true ones, whose own noise makes the result slightly too large. Each configuration
    has noise of its own size, since bad ones scatter most; what a seed does to all of them alike changes no rank.

    Args:
        trained: Losses, (configurations, seeds).

    Returns:
        The correlation; ``None`` with fewer than two seeds, which show no noise.
    """
    configurations, seeds = trained.shape
    if seeds < 2:
        return None
    means = trained.mean(axis=1)
    own = trained - means[:, None]
    own -= own.mean(axis=0)
    errors = np.sqrt((own**2).sum(axis=1) / (seeds - 1) / seeds)
    draws = np.random.default_rng(_SEED).standard_normal((CEILING_DRAWS, configurations))
    found = [_correlation(spearmanr, means, means + errors * noise) for noise in draws]
    return _or_none(float(np.mean(found)))


def races_agree(trained: Comparison, replayed: Comparison) -> dict[str, Any]:
    """Return how far a race on a replay agrees with the same race on the task.

    Both have the same methods, repetitions, budgets and search seeds, so that their studies are pairs.

    Returns:
        ``repetitions``; ``shift``: the mean final loss of all methods on the replay minus that on the task, the luck of
        other training seeds included; by method, under ``methods``: ``rank`` and ``replayed_rank``, its mean ranks, and
        ``difference``, ``low``, ``high``, the same difference of its own without what all methods have in common in a
        repetition, with a bootstrap interval over repetitions; ``off``: how many of these intervals leave 0 out, a
        method that failed in one of the races alone among them, ``None`` where there are too few repetitions for an
        interval; ``spearman`` and ``largest`` (difference) of the mean ranks. Of methods and repetitions that are in
        both.
    """
    ((_, first),) = trained.scores.items()
    ((_, second),) = replayed.scores.items()
    shared = sorted(set(first.repetitions) & set(second.repetitions))
    one, other = (own.only(rival.searchers, shared) for own, rival in ((first, second), (second, first)))
    with np.errstate(invalid="ignore"):  # a study without a success is infinitely bad
        differences = other.losses - one.losses
    finite = np.isfinite(differences)
    common = np.where(finite, differences, 0.0).sum(axis=1, keepdims=True) / np.maximum(
        finite.sum(axis=1, keepdims=True), 1
    )
    # Failed both ways: no difference. Failed one way: beyond any interval.
    estimate = mean_interval(np.where(finite, differences - common, 0.0))
    failed_alone: NDArray[np.bool_] = np.logical_or.reduce(np.isinf(differences), axis=0)
    known = np.isfinite(estimate.low).all()
    ranks = [rankdata(rounded(own.losses), axis=1).mean(axis=0) for own in (one, other)]
    methods = {
        name: {
            "rank": float(ranks[0][place]),
            "replayed_rank": float(ranks[1][place]),
            "difference": None if failed_alone[place] else _or_none(float(estimate.mean[place])),
            "low": None if failed_alone[place] else _or_none(float(estimate.low[place])),
            "high": None if failed_alone[place] else _or_none(float(estimate.high[place])),
        }
        for place, name in enumerate(one.searchers)
    }
    a, b = (np.array([each[which] for each in methods.values()]) for which in ("rank", "replayed_rank"))
    return {
        "repetitions": len(shared),
        "shift": float(common.mean()),
        "methods": methods,
        "off": int((failed_alone | (estimate.low > 0) | (estimate.high < 0)).sum()) if known else None,
        "spearman": _or_none(_correlation(spearmanr, a, b)),
        "largest": float(np.abs(a - b).max()),
    }


def _correlation(statistic: Any, first: Floats, second: Floats) -> float:
    """Return a rank correlation; NaN where one side has one value only."""
    if len(first) < 3 or not np.ptp(first) or not np.ptp(second):
        return math.nan
    return float(statistic(first, second).statistic)


def _or_none(value: float) -> float | None:
    return value if math.isfinite(value) else None
