"""Methods that cannot search every task of a sweep: their ranks on the tasks that they can, among all that can."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np

from analysis.statistics.scores import TaskScores
from analysis.statistics.standing import Standing


@dataclass(frozen=True, slots=True, eq=False)
class Elsewhere:
    """A method that is not in the ranking, on the tasks that it can search.

    Attributes:
        searcher: Its label.
        standing: Of it and all other methods that finished these tasks, on these tasks.
    """

    searcher: str
    standing: Standing


def common_standing(
    scores: Mapping[str, TaskScores],
    every: Mapping[str, TaskScores],
    tasks: Collection[str],
    *,
    paired: bool = True,
) -> Standing:
    """Return the standing on some ranked tasks of all methods that finished every ranked repetition of them.

    Args:
        scores: By ranked task, the scores of the ranked methods in the ranked repetitions.
        every: By task, the scores of whichever methods and repetitions are finished.
        tasks: One or more of the ranked tasks.
        paired: Whether methods share their seeds within a repetition.
    """
    names = set.intersection(*(_finished(every[task], scores[task].repetitions) for task in tasks))
    losses = {task: every[task].only(names, scores[task].repetitions).losses for task in tasks}
    return Standing(losses, losses, tuple(sorted(names)), paired)


def elsewhere(
    scores: Mapping[str, TaskScores],
    every: Mapping[str, TaskScores],
    partial: Collection[str],
    *,
    paired: bool = True,
) -> list[Elsewhere]:
    """Return the standing of each method that cannot search every task, on the ranked tasks that it finished.

    Args:
        scores: As of `common_standing`.
        every: As of `common_standing`.
        partial: The methods. One that finished no ranked task has no standing.
        paired: Whether methods share their seeds within a repetition.
    """
    found = []
    for name in partial:
        tasks = [task for task, own in scores.items() if name in _finished(every[task], own.repetitions)]
        if tasks:
            found.append(Elsewhere(name, common_standing(scores, every, tasks, paired=paired)))
    return found


def _finished(own: TaskScores, repetitions: Collection[int]) -> set[str]:
    """Return the methods that finished all of some repetitions of a task."""
    ranked = own.only(own.searchers, repetitions)
    return {name for i, name in enumerate(ranked.searchers) if not np.isnan(ranked.losses[:, i]).any()}
