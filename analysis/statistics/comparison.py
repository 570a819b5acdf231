"""The final ranking: every method's mean rank, scores, wins, ties and losses, effect sizes and tests in one table."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from analysis.errors import AnalysisError
from analysis.statistics.aggregates import aggregate, improvement
from analysis.statistics.bootstrap import mean_interval
from analysis.statistics.inputs import Inputs
from analysis.statistics.moments import mean
from analysis.statistics.paired import compare_within_task
from analysis.statistics.ranks import rounded
from analysis.statistics.scores import (
    PairedDifferences,
    TaskScores,
    mean_losses,
    paired_differences,
    task_scores,
)
from analysis.statistics.significance import (
    ALPHA,
    FEW_BLOCKS,
    Friedman,
    Posterior,
    bayesian_signed_rank,
    friedman,
    nemenyi,
    wilcoxon_of_differences,
)
from analysis.statistics.targets import baseline_of

ROPE = 0.01
"""Half-width of the region of practical equivalence, in normalised regret or the metric's unit."""


@dataclass(frozen=True, eq=False)
class Comparison:
    """Everything that compares the methods of a sweep by their final results, computed when first asked for.

    Attributes:
        scores: By task, the scores of all compared methods in its complete repetitions.
        left_out: What is not compared and why, in words: every ranking names it.
        baseline: The sweep's random search; ``None`` if it has none among the compared methods.
        directions: ``min`` or ``max``, by task.
    """

    scores: Mapping[str, TaskScores]
    left_out: tuple[str, ...]
    baseline: str | None
    directions: Mapping[str, str]

    @property
    def searchers(self) -> tuple[str, ...]:
        """The compared methods, sorted."""
        return next(iter(self.scores.values())).searchers

    @property
    def few(self) -> bool:
        """Whether there are too few tasks for a test over tasks: comparisons within tasks then come first."""
        return len(self.scores) < FEW_BLOCKS

    @functools.cached_property
    def losses(self) -> pd.DataFrame:
        """Mean final losses, tasks × methods."""
        return mean_losses(self.scores)

    @functools.cached_property
    def friedman(self) -> Friedman | None:
        """Friedman's test; ``None`` with fewer than 3 methods or 2 tasks."""
        return friedman(self.losses) if len(self.searchers) > 2 and len(self.scores) > 1 else None

    @functools.cached_property
    def mean_ranks(self) -> dict[str, float]:
        """Mean over tasks of the rank of each method's mean final loss, best first."""
        ranks = rankdata(rounded(self.losses.to_numpy(dtype=float)), axis=1).mean(axis=0)
        pairs = sorted(zip(ranks.tolist(), self.searchers, strict=True))
        return {name: rank for rank, name in pairs}

    @property
    def best(self) -> str:
        """The method with the lowest mean rank, the first by name where several have it."""
        return next(iter(self.mean_ranks))

    @functools.cached_property
    def differences(self) -> PairedDifferences:
        """Differences of every pair, one per task."""
        return paired_differences(self.scores)

    @functools.cached_property
    def pairs(self) -> pd.DataFrame:
        """What `wilcoxon_of_differences` says of every pair."""
        return wilcoxon_of_differences(self.differences.pairs)

    @functools.cached_property
    def nemenyi(self) -> pd.DataFrame:
        """Nemenyi's p-values."""
        return nemenyi(self.losses)

    @functools.cached_property
    def posteriors(self) -> Mapping[tuple[str, str], Posterior]:
        """The Bayesian signed-rank test of every pair, with the region `ROPE`."""
        return bayesian_signed_rank(self.differences.pairs, ROPE)

    @functools.cached_property
    def improvement(self) -> pd.DataFrame:
        """What `analysis.statistics.aggregates.improvement` says of every ordered pair."""
        return improvement(self.scores)

    @functools.cached_property
    def within(self) -> pd.DataFrame:
        """Comparisons within each task over repetitions: every method with the control, task by task."""
        return pd.concat(
            [compare_within_task(own, control=self.control) for own in self.scores.values()],
            ignore_index=True,
        )

    @property
    def control(self) -> str:
        """What methods are compared with inside tasks: random search, or where there is none the best method."""
        return self.baseline or self.best

    def aggregated(self, what: str) -> pd.DataFrame | None:
        """Return the interquartile mean of ``regrets`` or ``anytime``; ``None`` where no task declares references."""
        strata = [part for own in self.scores.values() if (part := getattr(own, what)) is not None]
        return aggregate(strata, self.searchers) if strata else None

    def unnormalised(self) -> list[str]:
        """Return the tasks that no score over tasks includes, because they declare no references."""
        return [task for task, own in self.scores.items() if own.regrets is None]


def compare(inputs: Inputs) -> Comparison:
    """Return the comparison of a sweep's methods by final results.

    Raises:
        AnalysisError: No task has a repetition that all compared methods, two or more, finished.
    """
    scores = task_scores(inputs)
    if not scores or len(inputs.field.searchers) < 2:
        raise AnalysisError(
            "a comparison needs two methods and a task with a repetition that both finished; left out: "
            f"{'; '.join(inputs.field.left_out) or 'nothing'}. Run more of the sweep"
        )
    baseline = baseline_of(inputs)
    return Comparison(
        scores=scores,
        left_out=inputs.field.left_out,
        baseline=baseline if baseline in inputs.field.searchers else None,
        directions={task: inputs.facts[task].direction for task in scores},
    )


def comparable(inputs: Inputs) -> bool:
    """Whether `compare` has anything to compare."""
    return len(inputs.field.searchers) > 1 and bool(inputs.field.tasks)


def ranking(comparison: Comparison) -> pd.DataFrame:
    """Return the final ranking, one row per method, lowest mean rank first.

    Returns:
        ``searcher``; ``rank``, ``rank_low``, ``rank_high`` (mean over tasks with an interval that resamples tasks);
        ``wins``, ``ties``, ``losses`` (over tasks and the other methods, by mean final loss); ``regret``,
        ``regret_low``, ``regret_high`` and ``anytime``, ``anytime_low``, ``anytime_high`` (interquartile means over
        runs, NaN without references); ``improvement`` (probability that a run is better than one of the best
        method's, NaN for that method itself); ``effect`` (rank-biserial correlation with the best method) and
        ``p_holm`` (Wilcoxon against the best method, with Holm's correction over all pairs), both NaN for the best
        method itself, the latter also with too few tasks; ``tasks``.
    """
    names = list(comparison.mean_ranks)
    losses = rounded(comparison.losses[names].to_numpy(dtype=float))
    ranks = mean_interval(rankdata(losses, axis=1))
    below = (losses[:, :, None] < losses[:, None, :]).sum(axis=(0, 2))
    above = (losses[:, :, None] > losses[:, None, :]).sum(axis=(0, 2))
    frame = pd.DataFrame(
        {
            "searcher": names,
            "rank": ranks.mean,
            "rank_low": ranks.low,
            "rank_high": ranks.high,
            "wins": below,
            "ties": losses.shape[0] * (len(names) - 1) - below - above,
            "losses": above,
        }
    )
    for what, column in (("regrets", "regret"), ("anytime", "anytime")):
        table = comparison.aggregated(what)
        for source, suffix in (("mean", ""), ("low", "_low"), ("high", "_high")):
            values = (
                table.set_index("searcher")[source].reindex(names).to_numpy() if table is not None else np.nan
            )
            frame[column + suffix] = values
    best = comparison.best
    own = comparison.improvement
    chances = own[own["second"] == best].set_index("first")["probability"]
    frame["improvement"] = chances.reindex(names).to_numpy()
    effects, p = {}, {}
    for row in comparison.pairs.to_dict("records"):
        if best in (row["first"], row["second"]):
            other = row["second"] if row["first"] == best else row["first"]
            effects[other] = row["effect"] if row["second"] == best else -row["effect"]
            p[other] = np.nan if comparison.few else row["p_holm"]
    frame["effect"] = frame["searcher"].map(effects)
    frame["p_holm"] = frame["searcher"].map(p).astype(float)
    return frame.assign(tasks=losses.shape[0])


def worse_than_best(comparison: Comparison, task: str, level: float = ALPHA) -> tuple[str, set[str]]:
    """Return the best method of one task by mean final loss, and those significantly worse.

    By signed-rank tests over repetitions of every other method against the best, with Holm's correction.
    """
    own = comparison.scores[task]
    means = mean(own.losses, axis=0)
    best = own.searchers[int(np.argmin(rounded(means)))]
    table = compare_within_task(own, control=best)
    return best, set(table.loc[(table["p_holm"] <= level) & (table["wins"] < table["losses"]), "first"])
