"""Counts what the studies of a sweep were told, before a run and in it: totals, best values, and how much is left."""

from __future__ import annotations

import itertools
import time
from collections import Counter
from collections.abc import Sequence

from harness.events import Asked, Told
from harness.progress import Best, Progress
from harness.sweep import Sweep
from harness.sweep_studies import PlannedStudy
from harness.trial import Status, in_unit


class Tally:
    """Keeps those counters of a run that hold for all that is on record of its sweep, whichever run it came from.

    What is left is counted in full evaluations: a study that has spent a third of its budget, in whatever unit, has two
    thirds of its evaluations left. A study that ended has none left, whatever it spent.

    Args:
        sweep: The sweep.
        progress: The counters to keep.
    """

    def __init__(self, sweep: Sweep, progress: Progress) -> None:
        self._sweep = sweep
        self._progress = progress
        self._left: dict[str, float] = {}
        """Full evaluations left, by id of the studies that have not ended."""
        self._spent: dict[str, float] = {}
        """What these have spent, in the unit of their budget."""
        self._best: dict[str, dict[str, Best]] = {}
        """The best value that each study was told, by its id, by task."""

    def found(self, plan: PlannedStudy, told: Sequence[Told], asked: Sequence[Asked], *, ended: bool) -> None:
        """Count what a study was told before this run.

        Args:
            plan: The study.
            told: What it was told, in order.
            asked: The question that each of these answers.
            ended: Whether it is done.
        """
        progress = self._progress
        progress.told_before += len(told)
        progress.statuses.update(Counter(each.status.value for each in told))
        self._note_best(plan, told)
        if not ended:
            self._spent[plan.key.id] = sum(
                map(_charge, itertools.repeat(plan), told, (question.cost for question in asked))
            )
            self._leave(plan)

    def told(self, plan: PlannedStudy, told: Told, cost: float) -> None:
        """Count what a study was told just now; ``cost`` is that of an epoch of it."""
        progress, study = self._progress, plan.key.id
        progress.told += 1
        progress.statuses[told.status.value] += 1
        self._note_best(plan, [told])
        before = self._left[study]
        self._spent[study] += _charge(plan, told, cost)
        self._leave(plan)
        progress.worked += before - self._left[study]
        progress.begin_pace()

    def ended(self, plan: PlannedStudy) -> None:
        """Expect nothing more of a study that is done or has failed."""
        self._progress.left -= self._left.pop(plan.key.id, 0.0)
        self._spent.pop(plan.key.id, None)

    def restarted(self, plan: PlannedStudy, told: Sequence[Told]) -> None:
        """Take back what was told to a study whose journal was set aside."""
        progress, study = self._progress, plan.key.id
        progress.told_before -= len(told)
        progress.statuses.subtract(each.status.value for each in told)
        self._spent[study] = 0.0
        self._leave(plan)
        best = self._best.get(plan.task, {})
        if best.pop(study, None) is progress.best.get(plan.task) is not None:
            del progress.best[plan.task]
            if best:
                progress.best[plan.task] = min(best.values(), key=lambda each: each.loss)

    def _leave(self, plan: PlannedStudy) -> None:
        """Reckon again what a study has left."""
        budget, study = plan.key.budget, plan.key.id
        planned = budget.full_evaluations(self._sweep.tasks[plan.task].fidelity)
        left = planned * max(1 - self._spent[study] / budget.amount, 0.0)
        self._progress.left += left - self._left.get(study, 0.0)
        self._left[study] = left

    def _note_best(self, plan: PlannedStudy, told: Sequence[Told]) -> None:
        good = [each for each in told if each.status is Status.OK and each.value is not None]
        if not good or plan.baseline is not None:  # the best that a method found
            return
        least = min(good, key=lambda each: each.loss)
        own = self._best.setdefault(plan.task, {})
        before, best = own.get(plan.key.id), self._progress.best.get(plan.task)
        if least.value is None or (before is not None and before.loss <= least.loss):
            return
        metric = self._sweep.tasks[plan.task].objective.metric
        own[plan.key.id] = Best(metric, least.value, least.loss, plan.searcher, time.monotonic())
        if best is None or least.loss < best.loss:
            self._progress.best[plan.task] = own[plan.key.id]


def _charge(plan: PlannedStudy, told: Told, cost: float) -> float:
    """Return what an evaluation takes of a study's budget."""
    return in_unit(plan.key.budget.unit, evaluations=1, epochs=told.epochs, cost=told.epochs * cost)
