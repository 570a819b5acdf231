"""One number per task, method and repetition: final loss, normalised regret, anytime score."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.statistics.bootstrap import Floats
from analysis.statistics.inputs import Inputs
from analysis.statistics.moments import mean
from analysis.statistics.significance import differences, vargha_delaney
from analysis.statistics.steps import Steps, study_steps
from analysis.statistics.tasks import Measure, References

WORST = 1.0
"""The regret of the reference: what a run has before its first success, without one, and at worst."""


@dataclass(frozen=True, slots=True, eq=False)
class TaskScores:
    """The scores of all methods in the complete repetitions of one task.

    Attributes:
        task: Label.
        measure: Whose values: test where the task has a test set, else validation.
        metric: Their name.
        searchers: k methods, sorted.
        repetitions: r repetitions, ascending: those that every one of the methods finished.
        losses: Final values of the incumbents, smaller is better, infinite without a success; shape ``(r, k)``.
        regrets: Normalised regret of these, at most 1; ``None`` where the task declares no references.
        anytime: Mean regret over the budget, from 0 (good) to 1; ``None`` where the task declares no references.
    """

    task: str
    measure: Measure
    metric: str
    searchers: tuple[str, ...]
    repetitions: tuple[int, ...]
    losses: Floats
    regrets: Floats | None
    anytime: Floats | None


def task_scores(inputs: Inputs) -> dict[str, TaskScores]:
    """Return the scores of every task that all compared methods finished, by label.

    What is left out, and why, is ``inputs.field.left_out``. The anytime score is the area under the
    regret of the incumbent over the task's own budget, in the unit in which it is counted, divided
    by the budget: it depends on nothing but the run and the task. Before the first success the regret is 1.
    """
    result = {}
    for task, blocks in inputs.field.tasks.items():
        facts = inputs.facts[task]
        cost, budget = budget_of(inputs, task)
        best = inputs.by_task.get(task, inputs.best.iloc[:0])
        runs = study_steps(best, task, cost, facts.reported, blocks.searchers)
        own = [[runs[name, repetition] for name in blocks.searchers] for repetition in blocks.repetitions]
        final = facts.sign * np.array([[run.value[-1] for run in row] for row in own])
        regrets = anytime = None
        if facts.references is not None:
            regrets = bounded_regret(facts.references.regret(facts.sign * final))
            curves = [[regret_steps(run, facts.references) for run in row] for row in own]
            anytime = np.array([[float(curve.average(budget, WORST)) for curve in row] for row in curves])
        result[task] = TaskScores(
            task=task,
            measure=facts.reported,
            metric=facts.metrics[facts.reported],
            searchers=blocks.searchers,
            repetitions=blocks.repetitions,
            losses=np.where(np.isnan(final), np.inf, final),
            regrets=regrets,
            anytime=anytime,
        )
    return result


def budget_of(inputs: Inputs, task: str) -> tuple[str, float]:
    """Return the cost in which a task's own budget is counted, and how much it is."""
    row = dict(inputs.tables.tasks.loc[[task]].iloc[0])
    return "evaluations" if row["budget_unit"] == "evaluations" else "spent_epochs", float(
        row["budget_amount"]
    )


def regret_steps(run: Steps, references: References) -> Steps:
    """Return a run's bounded normalised regret as a step function of the same costs."""
    return Steps(run.costs, bounded_regret(references.regret(run.value)))


def bounded_regret(regret: Floats) -> Floats:
    """Return regrets of at most 1, and 1 where there is none: no run is worse than not to have searched."""
    return np.minimum(np.where(np.isnan(regret), WORST, regret), WORST)


def mean_losses(scores: Mapping[str, TaskScores]) -> pd.DataFrame:
    """Return the mean final loss over repetitions: tasks × methods, infinite where a repetition had no success."""
    return pd.DataFrame(
        {task: mean(own.losses, axis=0) for task, own in scores.items()},
        index=list(next(iter(scores.values())).searchers) if scores else [],
    ).T


@dataclass(frozen=True, slots=True, eq=False)
class PairedDifferences:
    """Differences of every pair of methods, one per task, on a scale that tasks share.

    Attributes:
        pairs: By (first, second) method, first minus second, one number per task; negative: the first is better.
        tasks: The tasks, in order.
        scale: ``regret``, ``metric`` or ``wins``.
        words: The scale in words.
    """

    pairs: Mapping[tuple[str, str], Floats]
    tasks: tuple[str, ...]
    scale: str
    words: str


def paired_differences(scores: Mapping[str, TaskScores]) -> PairedDifferences:
    """Return the differences that signed-rank tests over tasks rest on.

    The difference of mean normalised regrets where every task declares its references; else that of
    mean final values where all tasks have the same metric and nothing failed throughout; else, within
    each task, the share of pairs of repetitions that the second method wins minus the share that the first
    wins. None of these depends on which other methods there are.

    Args:
        scores: What `task_scores` returned, at least one task.
    """
    parts = list(scores.values())
    searchers = parts[0].searchers
    every = list(itertools.combinations(range(len(searchers)), 2))
    if all(part.regrets is not None for part in parts):
        scale, words = "regret", "mean normalised regret"
        columns = np.array([part.regrets.mean(axis=0) for part in parts if part.regrets is not None])
    elif len({part.metric for part in parts}) == 1 and all(np.isfinite(part.losses).all() for part in parts):
        scale, words = "metric", f"mean final {parts[0].metric}"
        columns = np.array([mean(part.losses, axis=0) for part in parts])
    else:
        scale, words = "wins", "share of repetitions won (the tasks have no common scale)"
        columns = np.empty((0, 0))
    pairs = {}
    for i, j in every:
        if scale == "wins":
            values = np.array(
                [1 - 2 * vargha_delaney(part.losses[:, i], part.losses[:, j]) for part in parts]
            )
        else:
            values = differences(columns[:, i], columns[:, j])
        pairs[searchers[i], searchers[j]] = values
    return PairedDifferences(pairs, tuple(scores), scale, words)
