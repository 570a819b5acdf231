"""The comparison of a sweep's methods: standings by final value and over the budget, scores, and one table of all."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.errors import AnalysisError
from analysis.statistics.aggregates import aggregate, improvement
from analysis.statistics.bootstrap import Floats, mean_interval
from analysis.statistics.inputs import Inputs
from analysis.statistics.paired import compare_within_tasks
from analysis.statistics.partial import common_standing
from analysis.statistics.scores import TaskScores, losses_at, task_scores
from analysis.statistics.standing import Standing, Verdict, verdict
from analysis.statistics.targets import baseline_of

FRACTIONS: Mapping[str, float] = {"quarter": 0.25, "half": 0.5}
"""Parts of the budget at which the ranking is looked at besides its end."""


@dataclass(frozen=True, eq=False)
class Comparison:
    """Everything that compares the methods of a sweep by their results, computed when first asked for.

    Attributes:
        scores: By task, the scores of all compared methods in its complete repetitions.
        every: By task, the scores of whichever methods and repetitions are finished: what pairs are tested on. Methods
            that cannot search every task are among them.
        searchers: The compared methods, sorted.
        left_out: What the ranking lacks and why, in words: every ranking names it.
        baseline: The sweep's random search; ``None`` if it has none among the compared methods.
        directions: ``min`` or ``max``, by task.
        paired: Whether methods share their seeds within a repetition, so that it compares them in pairs.
    """

    scores: Mapping[str, TaskScores]
    every: Mapping[str, TaskScores]
    searchers: tuple[str, ...]
    left_out: tuple[str, ...]
    baseline: str | None
    directions: Mapping[str, str]
    paired: bool = True

    def _standing(self, what: str) -> Standing:
        """Return the standing by an array of the scores, on the tasks that have it."""
        complete = {
            task: part for task, own in self.scores.items() if (part := getattr(own, what)) is not None
        }
        every = {
            task: _aligned(own, part, self.searchers)
            for task, own in self.every.items()
            if (part := getattr(own, what)) is not None
        }
        return Standing(complete, every, self.searchers, self.paired)

    @functools.cached_property
    def final(self) -> Standing:
        """The standing by final values: the one that decides who leads."""
        return self._standing("losses")

    @functools.cached_property
    def anytime(self) -> Standing | None:
        """The standing by mean regret over the budget; ``None`` where no ranked task declares references."""
        result = self._standing("anytime")
        return result if result.complete else None

    @functools.cached_property
    def partial(self) -> tuple[str, ...]:
        """The methods with finished studies that are not ranked, sorted: they cannot search every task."""
        return tuple(
            sorted({name for own in self.every.values() for name in own.searchers} - set(self.searchers))
        )

    def pairwise(self, losses: Mapping[str, Floats]) -> Standing:
        """Return the standing of all methods in pairs, those that are not ranked included: for tests, not for ranks.

        Args:
            losses: By task, values of the methods and repetitions of `every`.
        """
        searchers = tuple(sorted({*self.searchers, *self.partial}))
        every = {task: _aligned(self.every[task], own, searchers) for task, own in losses.items()}
        return Standing({}, every, searchers, self.paired)

    @property
    def mean_ranks(self) -> Mapping[str, float]:
        """Mean rank by final values, best first."""
        return self.final.mean_ranks

    @property
    def leaders(self) -> tuple[str, ...]:
        """Who leads by final values; several where they are equal."""
        return self.final.leaders

    @property
    def few(self) -> bool:
        """Whether there are too few tasks for a test over tasks: comparisons within tasks then come first."""
        return self.final.few

    @functools.cached_property
    def improvement(self) -> pd.DataFrame:
        """What `analysis.statistics.aggregates.improvement` says of every ordered pair."""
        return improvement(self.scores)

    @functools.cached_property
    def within(self) -> pd.DataFrame:
        """Comparisons within each task over repetitions: every method with the control, task by task."""
        return compare_within_tasks(
            list(self.every.values()),
            control=self.control,
            chosen=self.baseline is None,
            paired=self.paired,
        )

    @property
    def control(self) -> str:
        """What methods are compared with inside tasks: random search, or where there is none one that leads."""
        return self.baseline or self.leaders[0]

    @property
    def reference(self) -> str:
        """What figures over tasks compare with: the leader, or the control where several lead."""
        return self.leaders[0] if len(self.leaders) == 1 else self.control

    def verdict_on(self, task: str) -> Mapping[str, Verdict]:
        """Return what tests of all pairs over the repetitions of one task say of each method that leads on it.

        With Holm's correction over all pairs of the task: who leads is known from the same results, so that tests of
        the others against it alone would find too much.
        """
        pairs = compare_within_tasks([self.scores[task]], paired=self.paired)
        order = list(self.final.ranks_on(task))
        return {name: verdict(pairs, name, order) for name in self.final.leaders_on(task)}

    def aggregated(self, what: str) -> pd.DataFrame | None:
        """Return the interquartile mean of ``regrets`` or ``anytime``; ``None`` where no task declares references."""
        strata = [part for own in self.scores.values() if (part := getattr(own, what)) is not None]
        return aggregate(strata, self.searchers) if strata else None

    def unnormalised(self) -> list[str]:
        """Return the tasks that no score over tasks includes, because they declare no references."""
        return [task for task, own in self.scores.items() if own.regrets is None]


def _aligned(own: TaskScores, values: Floats, searchers: tuple[str, ...]) -> Floats:
    """Return values with a column for each of some methods, NaN where the task lacks it."""
    result = np.full((len(own.repetitions), len(searchers)), np.nan)
    for column, name in enumerate(own.searchers):
        if name in searchers:
            result[:, searchers.index(name)] = values[:, column]
    return result


def compare(inputs: Inputs) -> Comparison:
    """Return the comparison of a sweep's methods.

    Raises:
        AnalysisError: No task has a repetition that all compared methods, two or more, finished.
    """
    if not comparable(inputs):
        raise AnalysisError(
            "a comparison needs two methods and a task with a repetition that both finished; left out: "
            f"{'; '.join(inputs.field.left_out) or 'nothing'}. Run more of the sweep"
        )
    every, blocks = task_scores(inputs), inputs.field.tasks
    baseline = baseline_of(inputs)
    return Comparison(
        scores={task: every[task].only(own.searchers, own.repetitions) for task, own in blocks.items()},
        every=every,
        searchers=inputs.field.searchers,
        left_out=inputs.field.left_out,
        baseline=baseline if baseline in inputs.field.searchers else None,
        directions={task: inputs.facts[task].direction for task in every},
        paired=inputs.tables.paired,
    )


def comparable(inputs: Inputs) -> bool:
    """Whether `compare` has anything to compare."""
    return len(inputs.field.searchers) > 1 and bool(inputs.field.tasks)


def ranking(comparison: Comparison) -> pd.DataFrame:
    """Return the final ranking, one row per method, lowest mean rank first.

    Returns:
        ``searcher``; ``leads`` (whether its mean rank is the lowest, alone or with others); ``rank``, ``rank_low``,
        ``rank_high`` (mean over tasks with an interval that resamples tasks, NaN with fewer than five); ``wins``,
        ``ties``, ``losses`` (over tasks and the other methods: whether it wins more repetitions of a task than it
        loses); ``regret``, ``regret_low``, ``regret_high`` and ``anytime``, ``anytime_low``, ``anytime_high``
        (interquartile means over runs, NaN without references); and against the leader, NaN for itself and where
        several lead: ``won`` (share of repetitions in which it is better, ties counting half, mean over tasks),
        ``effect`` (rank-biserial correlation over tasks, negative: worse), ``p_holm`` (Wilcoxon's test, with Holm's
        correction over all pairs) and ``p_anytime`` (the same of anytime scores), both NaN where too few tasks could
        show nothing; ``tasks``.
    """
    final = comparison.final
    names = list(final.mean_ranks)
    ranks = mean_interval(final.ranks[names].to_numpy(dtype=float))
    frame = pd.DataFrame(
        {
            "searcher": names,
            "leads": [name in final.leaders for name in names],
            "rank": ranks.mean,
            "rank_low": ranks.low,
            "rank_high": ranks.high,
        }
    )
    counts = {name: np.zeros(3, dtype=int) for name in names}
    for (first, second), shares in final.shares.items():
        signs = np.array([(shares < 0).sum(), (shares == 0).sum(), (shares > 0).sum()])
        counts[first] += signs
        counts[second] += signs[::-1]
    frame[["wins", "ties", "losses"]] = np.array([counts[name] for name in names])
    for what, column in (("regrets", "regret"), ("anytime", "anytime")):
        table = comparison.aggregated(what)
        for source, suffix in (("mean", ""), ("low", "_low"), ("high", "_high")):
            values = (
                table.set_index("searcher")[source].reindex(names).to_numpy() if table is not None else np.nan
            )
            frame[column + suffix] = values
    against = _against_leader(final)
    for column in ("won", "effect", "p_holm"):
        frame[column] = [against.get(name, {}).get(column, np.nan) for name in names]
    anytime = _against_leader(comparison.anytime, final.leaders) if comparison.anytime else {}
    frame["p_anytime"] = [anytime.get(name, {}).get("p_holm", np.nan) for name in names]
    return frame.assign(tasks=len(final.ranks))


def _against_leader(
    standing: Standing, leaders: tuple[str, ...] | None = None
) -> dict[str, dict[str, float]]:
    """Return what each method is against the one leader; empty where several lead."""
    leading = standing.leaders if leaders is None else leaders
    if len(leading) != 1:
        return {}
    (leader,) = leading
    result = {}
    for row in standing.pairs.to_dict("records"):
        first, second = str(row["first"]), str(row["second"])
        if leader in (first, second):
            name, sign = (first, 1.0) if second == leader else (second, -1.0)
            result[name] = {
                "won": (1 - float(standing.share(name, leader).mean())) / 2,
                "effect": sign * row["effect"],
                "p_holm": row["p_holm"] if row["possible"] else np.nan,
            }
    return result


def sensitivity(inputs: Inputs, comparison: Comparison) -> pd.DataFrame:
    """Return every method's mean rank under other sensible rules, in the order of the ranking.

    Returns:
        ``searcher``; ``rank`` (the ranking's); ``by_mean`` (of the mean final loss over repetitions: one repetition
        without a success makes a mean infinite, and one awful value can outweigh the rest); ``without_failures``
        (repetitions in which a method had no success left out for all; NaN where none is left); ``quarter`` and
        ``half`` (after these parts of the budget; NaN where nobody has a success by then).
    """
    final = comparison.final
    names = list(final.mean_ranks)
    columns = {"rank": final, "by_mean": final.by_mean(), "without_failures": final.without_failures()}
    for name, fraction in FRACTIONS.items():
        losses = {task: losses_at(inputs, own, fraction) for task, own in comparison.scores.items()}
        if not any(np.isfinite(own).any() for own in losses.values()):
            losses = {}
        columns[name] = Standing(losses, losses, comparison.searchers, comparison.paired)
    return pd.DataFrame(
        {
            "searcher": names,
            **{
                column: [own.mean_ranks[name] if own.complete else np.nan for name in names]
                for column, own in columns.items()
            },
        }
    )


def by_group(inputs: Inputs, comparison: Comparison) -> pd.DataFrame:
    """Return the mean rank over the tasks of each group of every method that can search them, in the ranking's order.

    Methods that cannot search every task are ranked among the others in the groups that they can search throughout.

    Returns:
        ``searcher``, ``group`` (tasks without one are ``other``), ``rank``, ``methods`` (how many are ranked there) and
        ``tasks``; empty where all ranked tasks are of one group.
    """
    groups: dict[str, list[str]] = {}
    for task in comparison.scores:
        groups.setdefault(inputs.facts[task].group or "other", []).append(task)
    rows = []
    for group, tasks in sorted(groups.items()) if len(groups) > 1 else ():
        ranks = common_standing(
            comparison.scores, comparison.every, tasks, paired=comparison.paired
        ).mean_ranks
        rows += [
            (name, group, ranks[name], len(ranks), len(tasks))
            for name in (*comparison.mean_ranks, *comparison.partial)
            if name in ranks
        ]
    return pd.DataFrame(rows, columns=["searcher", "group", "rank", "methods", "tasks"])
