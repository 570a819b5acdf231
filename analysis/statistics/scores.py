"""One number per task, method and repetition: final loss, normalised regret, anytime score."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from analysis.statistics.bootstrap import Floats
from analysis.statistics.inputs import Inputs
from analysis.statistics.steps import COST_OF_UNIT, Steps, study_steps
from analysis.statistics.tasks import Measure, References

WORST = 1.0
"""The regret of the reference: what a run has before its first success, without one, and at worst."""


@dataclass(frozen=True, slots=True, eq=False)
class TaskScores:
    """The scores of the methods that finished a study of a task.

    Attributes:
        task: Label.
        measure: Whose values: test where the task has a test set, else validation.
        metric: Their name.
        searchers: k methods, sorted.
        repetitions: r repetitions, ascending.
        losses: Final values of the incumbents, smaller is better; infinite where a finished study had no success, NaN
            where there is no finished study; shape ``(r, k)``.
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

    def only(self, searchers: Collection[str], repetitions: Collection[int]) -> TaskScores:
        """Return the scores of some methods in some repetitions."""
        rows = np.isin(self.repetitions, list(repetitions))
        columns = np.isin(self.searchers, list(searchers))

        def part(values: Floats) -> Floats:
            return values[rows][:, columns]

        return TaskScores(
            task=self.task,
            measure=self.measure,
            metric=self.metric,
            searchers=tuple(name for name in self.searchers if name in searchers),
            repetitions=tuple(number for number in self.repetitions if number in repetitions),
            losses=part(self.losses),
            regrets=None if self.regrets is None else part(self.regrets),
            anytime=None if self.anytime is None else part(self.anytime),
        )

    def failed(self, name: str) -> int:
        """Return in how many repetitions a finished study of a method had no success."""
        return int(np.isinf(self.losses[:, self.searchers.index(name)]).sum())


def task_scores(inputs: Inputs) -> dict[str, TaskScores]:
    """Return the scores of every task with a finished study, by label, incomplete repetitions included.

    The anytime score is the area under the regret of the incumbent over the task's own budget, in the unit in which
    it is counted, divided by the budget: it depends on nothing but the run and the task. Before the first success
    the regret is 1.
    """
    result = {}
    for task, facts in inputs.facts.items():
        if task not in inputs.by_task:
            continue
        cost, budget = budget_of(inputs, task)
        runs = study_steps(inputs.by_task[task], task, cost, facts.reported)
        searchers = tuple(sorted({name for name, _ in runs}))
        repetitions = tuple(sorted({repetition for _, repetition in runs}))
        shape = (len(repetitions), len(searchers))
        losses = np.full(shape, np.nan)
        regrets = np.full(shape, np.nan) if facts.references is not None else None
        anytime = np.full(shape, np.nan) if facts.references is not None else None
        for (name, repetition), run in runs.items():
            place = repetitions.index(repetition), searchers.index(name)
            final = float(run.value[-1])
            losses[place] = np.inf if np.isnan(final) else facts.sign * final
            if facts.references is not None and regrets is not None and anytime is not None:
                curve = regret_steps(run, facts.references)
                regrets[place] = curve.value[-1]
                anytime[place] = float(curve.average(budget, WORST))
        result[task] = TaskScores(
            task=task,
            measure=facts.reported,
            metric=facts.metrics[facts.reported],
            searchers=searchers,
            repetitions=repetitions,
            losses=losses,
            regrets=regrets,
            anytime=anytime,
        )
    return result


def losses_at(inputs: Inputs, scores: TaskScores, fraction: float) -> Floats:
    """Return the losses of the incumbents that the methods of a task had after a fraction of its budget.

    Args:
        inputs: The sweep.
        scores: Which methods and repetitions.
        fraction: Of the task's own budget, in (0, 1].

    Returns:
        Shape ``(r, k)``; infinite before the first success, NaN where there is no finished study.
    """
    facts = inputs.facts[scores.task]
    cost, budget = budget_of(inputs, scores.task)
    runs = study_steps(inputs.by_task[scores.task], scores.task, cost, scores.measure, scores.searchers)
    at = np.array([fraction * budget])
    losses = np.full((len(scores.repetitions), len(scores.searchers)), np.nan)
    for i, repetition in enumerate(scores.repetitions):
        for j, name in enumerate(scores.searchers):
            if (name, repetition) in runs:
                value = float(runs[name, repetition].at(at)[0])
                losses[i, j] = np.inf if np.isnan(value) else facts.sign * value
    return losses


def budget_of(inputs: Inputs, task: str) -> tuple[str, float]:
    """Return the cost in which a task's own budget is counted, and how much it is."""
    row = dict(inputs.tables.tasks.loc[[task]].iloc[0])
    return COST_OF_UNIT[str(row["budget_unit"])], float(row["budget_amount"])


def regret_steps(run: Steps, references: References) -> Steps:
    """Return a run's bounded normalised regret as a step function of the same costs."""
    return Steps(run.costs, bounded_regret(references.regret(run.value)))


def bounded_regret(regret: Floats) -> Floats:
    """Return regrets of at most 1, and 1 where there is none: no run is worse than not to have searched."""
    return np.minimum(np.where(np.isnan(regret), WORST, regret), WORST)
