"""Which method for which problem: rankings of some methods on some tasks at some budget, with what tests show of them.

One sweep is asked many questions: after so many evaluations, on such tasks, with such methods. All are answered from
the losses that a `Look` reads from the same curves, and each by `analysis.statistics.standing`: ranks within
repetitions, over tasks, and tests over tasks with Holm's correction over all pairs of the methods that the question
leaves. A share of repetitions won knows no other method, so that a question about fewer methods changes no p before
that correction.

Nothing corrects for reading several answers: one is what the sweep was for, and the others explore.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from analysis.statistics.bootstrap import FEWEST_UNITS, RESAMPLES, Floats, mean_interval, resampled_means
from analysis.statistics.inputs import Inputs
from analysis.statistics.overhead import overhead_shares, search_seconds
from analysis.statistics.paired import compare_within_tasks
from analysis.statistics.ranks import cannot_search, rounded
from analysis.statistics.scores import TaskScores, budget_of, losses_at
from analysis.statistics.significance import (
    ALPHA,
    cliques,
    differences,
    wilcoxon_of_differences,
)
from analysis.statistics.standing import Standing
from harness.plurals import plural
from results.tables import SweepTables

POINTS = (10, 25, 50, 100)
"""Budgets that a sweep is read at, in full evaluations, as far as it goes; its own end besides."""

LACKING = 0.5
"""A method without a finished repetition on more than this share of the tasks asked for is left out of an answer."""

_NEAR = 1e-9
"""Part of a budget that decides nothing: a cost is a sum of floats."""


def full_evaluations(tables: SweepTables) -> dict[str, float]:
    """Return for how many full evaluations the budget of every task pays, on average where it is one of cost."""
    result = {}
    for task, row in tables.tasks.iterrows():
        unit, amount = str(row["budget_unit"]), float(row["budget_amount"])
        each = {"epochs": float(row["full_epochs"]), "cost": float(row["budget_full_cost"])}.get(unit, 1.0)
        result[str(task)] = amount / each
    return result


def points_of(tables: SweepTables, wanted: Sequence[float] = POINTS) -> tuple[float, ...]:
    """Return the budgets to read a sweep at, in full evaluations, ascending: those it reaches, and its largest."""
    largest = max(full_evaluations(tables).values())
    return tuple(sorted({float(n) for n in wanted if n < largest * (1 - _NEAR)} | {largest}))


@dataclass(frozen=True, eq=False)
class Look:
    """The losses of a sweep's methods after some budget.

    Attributes:
        point: The budget, in full evaluations.
        losses: By task whose budget reaches it, of the incumbents of all methods in every repetition: infinite before
            a first success, NaN where the study is not finished; shape ``(R, k)``.
        searchers: The k methods, sorted.
        paired: Whether methods share their seeds within a repetition.
        short: Tasks whose budget ends before, sorted.
        cannot: Pairs of a task and a method that cannot search it, which the sweep therefore left out.
    """

    point: float
    losses: Mapping[str, Floats]
    searchers: tuple[str, ...]
    paired: bool
    short: tuple[str, ...]
    cannot: frozenset[tuple[str, str]]


def look(inputs: Inputs, every: Mapping[str, TaskScores], point: float) -> Look:
    """Read the curves of a sweep at a budget.

    Args:
        inputs: The sweep.
        every: What `analysis.statistics.scores.task_scores` returns for it.
        point: In full evaluations; a task whose budget is smaller is left out.
    """
    searchers = tuple(sorted({name for own in every.values() for name in own.searchers}))
    pays = full_evaluations(inputs.tables)
    losses, short = {}, []
    for task, own in every.items():
        if pays[task] < point * (1 - _NEAR):
            short.append(task)
            continue
        part = point / pays[task]
        values = own.losses if part > 1 - _NEAR else losses_at(inputs, own, part)
        table = np.full((len(own.repetitions), len(searchers)), np.nan)
        table[:, [searchers.index(name) for name in own.searchers]] = values
        losses[task] = table
    cannot = frozenset((pair.task, pair.searcher) for pair in inputs.tables.left_out)
    return Look(point, losses, searchers, inputs.tables.paired, tuple(sorted(short)), cannot)


@dataclass(frozen=True, eq=False)
class Answer:
    """A ranking of some methods on some tasks at some budget.

    Attributes:
        point: The budget, in full evaluations.
        standing: Ranks and tests of the methods ranked.
        left_out: Methods and tasks that were asked for and are not ranked, each with the reason.
    """

    point: float
    standing: Standing
    left_out: tuple[str, ...]

    @property
    def tasks(self) -> tuple[str, ...]:
        """The tasks that it rests on."""
        return tuple(self.standing.complete)

    @property
    def order(self) -> tuple[str, ...]:
        """The methods ranked, best first."""
        return tuple(self.standing.mean_ranks)

    @functools.cached_property
    def table(self) -> pd.DataFrame:
        """One row per method, best first.

        ``method``; ``rank``, ``low``, ``high`` (mean over tasks with a bootstrap interval that resamples them, NaN with
        fewer than five); ``leads``; ``first`` (the share of resamples of the tasks in which its mean rank is the
        lowest, shared where several are; NaN as above); ``first_on`` (tasks on which its mean rank is the lowest,
        alone or with others); ``groups`` (numbers of the sets that it is in of which no test separates two: see
        `groups`); ``better`` and ``worse`` (how many of the others it is shown to be so than); ``compared`` (``leads``;
        ``worse``, where tests show so of it and the first leader; ``not shown``; ``untested``, where so few tasks could
        show nothing).
        """
        names = list(self.order)
        ranks = self.standing.ranks[names].to_numpy(dtype=float)
        estimate = mean_interval(ranks)
        first = firsts(ranks)
        best = rounded(ranks) == rounded(ranks).min(axis=1, keepdims=True)
        sets = groups(self.standing.pairs, names)
        said = self.standing.verdict(self.standing.leaders[0])
        compared = {
            **dict.fromkeys(said.better_than, "worse"),
            **dict.fromkeys(said.worse_than, "better"),
            **dict.fromkeys(said.alike, "not shown"),
            **dict.fromkeys(said.untested, "untested"),
            **dict.fromkeys(self.standing.leaders, "leads"),
        }
        shown = self.standing.pairs
        shown = shown[(shown["p_holm"] <= ALPHA) & (shown["effect"] != 0)]
        wins = shown["first"].where(shown["effect"] > 0, shown["second"]).value_counts()
        losses = shown["second"].where(shown["effect"] > 0, shown["first"]).value_counts()
        return pd.DataFrame(
            {
                "method": names,
                "rank": estimate.mean,
                "low": estimate.low,
                "high": estimate.high,
                "leads": [name in self.standing.leaders for name in names],
                "first": first,
                "first_on": best.sum(axis=0),
                "groups": [" ".join(map(str, sets[name])) for name in names],
                "better": [int(wins.get(name, 0)) for name in names],
                "worse": [int(losses.get(name, 0)) for name in names],
                "compared": [compared[name] for name in names],
            }
        )


def firsts(ranks: Floats) -> Floats:
    """Return in which share of resamples of the tasks each method has the lowest mean rank.

    Args:
        ranks: Tasks × methods.

    Returns:
        Shape ``(methods,)``, adding up to 1: methods that are lowest together share a resample. NaN with fewer than
        five tasks.
    """
    if len(ranks) < FEWEST_UNITS:
        return np.full(ranks.shape[1], np.nan)
    means = rounded(resampled_means(ranks))
    lowest = means == means.min(axis=1, keepdims=True)
    shares: Floats = (lowest / lowest.sum(axis=1, keepdims=True)).sum(axis=0) / RESAMPLES
    return shares


def answer(seen: Look, tasks: Collection[str], searchers: Collection[str]) -> Answer | None:
    """Rank some methods on some tasks.

    Where two or more methods can search all of the tasks, the others are left out, as in the sweep's own ranking. So is
    a method that finished no repetition on more than half of the tasks; then a task on which one of the
    others finished none, for a rank is one among the same methods everywhere. Pairs are tested on every task that
    both of them finished.

    Returns:
        The answer; ``None`` where fewer than two methods or no task are left.
    """
    asked = [task for task in seen.losses if task in set(tasks)]
    finished = {
        name: [task for task in asked if not np.isnan(seen.losses[task][:, seen.searchers.index(name)]).all()]
        for name in seen.searchers
        if name in set(searchers)
    }
    barred = {
        name: count for name in finished if (count := sum((task, name) in seen.cannot for task in asked))
    }
    everywhere = [name for name in finished if name not in barred]
    ranked = everywhere if len(everywhere) > 1 else [*finished]
    kept = [
        name for name in ranked if finished[name] and len(asked) - len(finished[name]) <= LACKING * len(asked)
    ]
    left_out = cannot_search({name: count for name, count in barred.items() if name not in kept}, len(asked))
    left_out += [
        f"{name} (finished on {len(own)} of {plural(len(asked), 'task')})"
        for name, own in finished.items()
        if name not in kept and name not in barred
    ]
    left_out += [f"{name} (no finished study)" for name in searchers if name not in seen.searchers]
    columns = [seen.searchers.index(name) for name in kept]
    every = {task: seen.losses[task][:, columns] for task in asked}
    complete = {}
    for task, values in every.items():
        lacking = [name for name in kept if task not in finished[name]]
        rows = np.asarray(~np.isnan(values).any(axis=1))
        if lacking:
            left_out.append(f"{task} (not finished by {', '.join(lacking)})")
        elif not rows.any():
            left_out.append(f"{task} (no repetition finished by every method)")
        else:
            complete[task] = values[rows]
            if not rows.all():
                left_out.append(
                    f"{len(rows) - int(rows.sum())} of {plural(len(rows), 'repetition')} on {task}"
                )
    absent = [task for task in tasks if task not in seen.losses]
    left_out += [
        f"{task} ({'its budget is smaller' if task in seen.short else 'no finished study'})"
        for task in absent
    ]
    if len(kept) < 2 or not complete:
        return None
    return Answer(seen.point, Standing(complete, every, tuple(kept), seen.paired), tuple(left_out))


def groups(pairs: pd.DataFrame, order: Sequence[str], level: float = ALPHA) -> dict[str, tuple[int, ...]]:
    """Return the numbers of the sets that each method is in of which no test separates two.

    Two methods that share a number are not shown to differ; two that share none are. A method that differs from all
    others has a set of its own.

    Args:
        pairs: Rows of ``first``, ``second`` and ``p_holm``; a pair that is not there was not tested.
        order: All methods, best first.
        level: Two methods differ where p is below or at this.

    Returns:
        Numbers from 1, by method, ascending along the order.
    """
    place = {name: index for index, name in enumerate(order)}
    table = np.ones((len(order), len(order)))
    for first, second, p in zip(pairs["first"], pairs["second"], pairs["p_holm"], strict=True):
        table[place[first], place[second]] = table[place[second], place[first]] = p
    sets = cliques(pd.DataFrame(table, list(order), list(order)), order, level)
    sets += [(name,) for name in order if not any(name in members for members in sets)]
    sets.sort(key=lambda members: [place[name] for name in (members[0], members[-1])])
    return {
        name: tuple(number for number, members in enumerate(sets, 1) if name in members) for name in order
    }


def pairs_within(own: TaskScores, *, paired: bool) -> pd.DataFrame:
    """Test all pairs of methods over the repetitions of one task, with Holm's correction over these pairs.

    Returns:
        ``first``, ``second``, ``effect``, ``p_holm`` and ``possible``, as
        `analysis.statistics.paired.compare_within_tasks` gives them; of paired repetitions without its intervals, which
        take most of its time.
    """
    columns = ["first", "second", "effect", "p_holm", "possible"]
    if not paired:
        return compare_within_tasks([own], paired=False)[columns]
    pairs = {}
    for (i, first), (j, second) in itertools.combinations(enumerate(own.searchers), 2):
        both = ~np.isnan(own.losses[:, [i, j]]).any(axis=1)
        if both.any():
            pairs[first, second] = differences(own.losses[both, i], own.losses[both, j])
    return wilcoxon_of_differences(pairs)[columns]


def lowers_fidelity(tables: SweepTables) -> set[str]:
    """Return the methods that had a success before full fidelity: those that stop trainings early."""
    trials = tables.trials
    full = trials["task"].map(tables.tasks["full_epochs"])
    return set(trials.loc[(trials["status"] == "ok") & (trials["epochs"] < full), "searcher"].astype(str))


def search_costs(inputs: Inputs, points: Sequence[float]) -> pd.DataFrame:
    """Return what the search itself takes up to each budget.

    Returns:
        One row per method and point: ``point``, and the columns of
        `analysis.statistics.overhead.overhead_shares` over the evaluations told by then.
    """
    tables, trials = inputs.tables, inputs.tables.trials
    pays = full_evaluations(tables)
    spent: Floats = np.zeros(len(trials))
    for task, places in trials.reset_index(drop=True).groupby("task").indices.items():
        cost, budget = budget_of(inputs, str(task))
        spent[places] = trials[cost].to_numpy(dtype=float)[places] / budget * pays[str(task)]
    parts = []
    for point in points:
        until = trials[spent <= point * (1 + _NEAR)]
        if len(until):
            seconds = search_seconds(replace(tables, trials=until))
            parts.append(overhead_shares(seconds).assign(point=point))
    return pd.concat(parts, ignore_index=True)
