"""Each figure by its name: what it shows, what it needs, and its drawing, for the command line and for notebooks."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal

import numpy as np

from analysis import style
from analysis.errors import AnalysisError
from analysis.figures import (
    aggregates,
    differences,
    exploration,
    overhead,
    overtuning,
    progress,
    quality,
    reevaluation,
    standings,
    targets,
)
from analysis.figures.canvas import Plot, file_names
from analysis.statistics.comparison import Comparison, comparable, compare
from analysis.statistics.inputs import Inputs
from analysis.statistics.steps import COSTS, SPENT_COST, VIRTUAL_TIME
from analysis.words import joined, listed
from harness.errors import nearest

OVER: Final[Mapping[str, str]] = MappingProxyType(
    {
        **{cost: cost for cost in (*COSTS, SPENT_COST, VIRTUAL_TIME)},
        "epochs": "spent_epochs",
        "cost": SPENT_COST,
        "seconds": "total_seconds",
        "time": VIRTUAL_TIME,
    }
)
"""Costs to draw over: columns of the trials, and shorter names of some."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a figure is drawn of.

    Attributes:
        inputs: The sweep, prepared.
        comparison: Its comparison; ``None`` where there is nothing to compare.
        task: Label of the task; empty for all tasks.
        cost: The cost to draw over.
    """

    inputs: Inputs
    comparison: Comparison | None
    task: str
    cost: str

    @property
    def compared(self) -> Comparison:
        """The comparison, or `AnalysisError` with the reason why there is none."""
        return compare(self.inputs) if self.comparison is None else self.comparison


@dataclass(frozen=True, slots=True)
class Named:
    """A figure.

    Attributes:
        about: What it shows.
        of: Whether it is over ``all`` tasks, of one ``task``, or ``either``.
        draw: Draws it; ``None`` where there is nothing to show.
        needs: What a sweep lacks that has nothing to show, in words.
        over: Whether it is drawn over a cost that can be chosen.
    """

    about: str
    of: Literal["all", "task", "either"]
    draw: Callable[[Wanted], Plot | None]
    needs: str
    over: bool = False


_REFERENCES = "tasks that declare references of regret"
_TEST = "a task with a test set"
_TASKS = "three methods, and enough tasks for a test over them"

FIGURES: Final[Mapping[str, Named]] = MappingProxyType(
    {
        "rank": Named(
            "mean rank over the budget, over all tasks or on one",
            "either",
            lambda w: (
                progress.task_rank(w.inputs.tables, w.inputs.best, w.task, w.cost)
                if w.task
                else progress.overall_rank(w.inputs.tables, w.inputs.best, w.cost)
            ),
            "a task with a repetition that two or more methods finished",
            over=True,
        ),
        "convergence": Named(
            "best value so far on a task over the budget, by validation and on test",
            "task",
            lambda w: progress.convergence(w.inputs.tables, w.inputs.best, w.task, w.cost),
            "a method with a success in each repetition",
            over=True,
        ),
        "regret": Named(
            "mean normalised regret over the fraction of the budget",
            "all",
            lambda w: aggregates.regret_curves(w.inputs, w.compared),
            _REFERENCES,
        ),
        "ranking": Named(
            "mean rank of every method over all tasks, with its interval",
            "all",
            lambda w: standings.mean_ranks(w.inputs, w.compared),
            "a task with a repetition that two or more methods finished",
        ),
        "differences": Named(
            "critical-difference diagram: mean ranks and who differs (Wilcoxon–Holm)",
            "all",
            lambda w: differences.critical_difference_wilcoxon(w.inputs, w.compared),
            _TASKS,
        ),
        "differences-nemenyi": Named(
            "critical-difference diagram after Nemenyi",
            "all",
            lambda w: differences.critical_difference_nemenyi(w.inputs, w.compared),
            _TASKS,
        ),
        "differences-anytime": Named(
            "critical-difference diagram of anytime scores",
            "all",
            lambda w: differences.critical_difference_wilcoxon(w.inputs, w.compared, anytime=True),
            f"{_TASKS}, that declare references of regret",
        ),
        "posterior": Named(
            "Bayesian signed-rank test: probability of being better, equivalent, worse",
            "all",
            lambda w: differences.posterior(w.inputs, w.compared),
            _TASKS,
        ),
        "scores": Named(
            "interquartile mean of final regret and anytime score",
            "all",
            lambda w: aggregates.aggregate_scores(w.inputs, w.compared),
            _REFERENCES,
        ),
        "improvement": Named(
            "probability that a run of one method is better than one of another",
            "all",
            lambda w: differences.improvement_matrix(w.inputs, w.compared),
            "two methods",
        ),
        "profile": Named(
            "performance profile: share of runs whose regret is at most τ",
            "all",
            lambda w: aggregates.profiles(w.inputs, w.compared),
            _REFERENCES,
        ),
        "targets": Named(
            "share of targets reached (ECDF)",
            "all",
            lambda w: targets.targets_reached(w.inputs, w.compared, w.cost),
            _REFERENCES,
            over=True,
        ),
        "speed-up": Named(
            "speed-up over random search",
            "all",
            lambda w: targets.speed_ups(w.inputs, w.compared, w.cost),
            "random search among its methods, and another one",
            over=True,
        ),
        "quality": Named(
            "final quality against seconds, with the Pareto front",
            "either",
            lambda w: (
                quality.quality_of_task(w.inputs, w.task)
                if w.task
                else quality.quality_of_tasks(w.inputs, w.compared)
            ),
            "two methods that took time",
        ),
        "paired": Named(
            "each method against the control on a task, over repetitions",
            "task",
            lambda w: differences.paired_on_task(w.inputs, w.compared, w.task),
            "a repetition of the task that the control and another method finished",
        ),
        "overtuning": Named(
            "what selecting by validation lost on the test set",
            "either",
            lambda w: (
                overtuning.overtuning_of_task(w.inputs, w.task)
                if w.task
                else overtuning.overtuning_over_tasks(w.inputs, w.compared)
            ),
            f"{_TEST}, and over tasks references of regret",
        ),
        "reevaluation": Named(
            "winners trained again with fresh seeds: how much was luck",
            "either",
            lambda w: (
                reevaluation.luck_on_task(w.inputs, w.task)
                if w.task
                else reevaluation.luck_over_tasks(w.inputs, w.compared)
            ),
            "`reevaluate` in its file, and over tasks references of regret",
        ),
        "search-time": Named(
            "seconds that the search itself takes",
            "all",
            lambda w: overhead.search_time(w.inputs),
            "measured seconds of search",
        ),
        "importance": Named(
            "importance of a task's parameters (PED-ANOVA)",
            "task",
            lambda w: exploration.importance_plot(w.inputs.tables, w.task),
            "enough successful evaluations of random search at full fidelity",
        ),
        "slices": Named(
            "the objective over each parameter of a task",
            "task",
            lambda w: exploration.slices_plot(w.inputs.tables, w.task),
            "a successful evaluation",
        ),
        "coordinates": Named(
            "parallel coordinates of what each method tried on a task",
            "task",
            lambda w: exploration.coordinates_plot(w.inputs.tables, w.task),
            "two parameters, and a successful evaluation",
        ),
    }
)
"""The figures by name; the report's are the same, drawn over each cost and on each task."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """A figure that was drawn, and the name of its files without ending."""

    plot: Plot
    stem: str


def draw(inputs: Inputs, name: str, *, task: str | None = None, over: str | None = None) -> Drawn:
    """Draw one figure of a sweep.

    Args:
        inputs: What `analysis.statistics.inputs.prepare` returned.
        name: One of `FIGURES`.
        task: Label of a task; ``None`` for a figure over all tasks, or the only task.
        over: One of `OVER`; ``None`` for the cost in which the budget is counted.

    Raises:
        AnalysisError: No figure, task or cost is called so, the figure is of another kind, or it has nothing to show;
            the message says what there is, or what the sweep lacks.
    """
    if name not in FIGURES:
        raise AnalysisError(f"no figure is called {name!r}; {nearest(name, FIGURES)}")
    kind, tasks = FIGURES[name], list(inputs.facts)
    if over is not None and not kind.over:
        others = listed([other for other, own in FIGURES.items() if own.over])
        raise AnalysisError(
            f"figure {name!r} is not drawn over a cost that can be chosen; these are: {others}"
        )
    if over is not None and over not in OVER:
        raise AnalysisError(f"no cost is called {over!r}; {nearest(over, OVER)}")
    if task is not None and kind.of == "all":
        raise AnalysisError(f"figure {name!r} is over all tasks; leave the task out")
    if task is not None and task not in inputs.facts:
        raise AnalysisError(f"the sweep has no task {task!r}; {nearest(task, tasks)}")
    if task is None and kind.of == "task":
        if len(tasks) > 1:
            raise AnalysisError(f"figure {name!r} is of one task; say which: {', '.join(tasks)}")
        task = tasks[0]
    own = inputs if task is None else inputs.of_task(task)
    cost = inputs.primary if over is None else _cost(own, name, over)
    comparison = compare(inputs) if comparable(inputs) else None
    plot = kind.draw(Wanted(own, comparison, task or "", cost))
    if plot is None:
        where = "" if task is None else f" on {task}"
        raise AnalysisError(f"figure {name!r} has nothing to show{where}: it takes {kind.needs}")
    parts = [name, *([file_names(tasks)[task]] if task is not None else []), *([cost] if kind.over else [])]
    caption = joined(plot.caption, style.current().note)
    return Drawn(dataclasses.replace(plot, caption=caption), "_".join(parts))


def _cost(inputs: Inputs, name: str, over: str) -> str:
    """Return the column of a cost that was asked for; raise `AnalysisError` where the results do not have it.

    Of imported results the seconds are those of the evaluations alone, and how runs were parallel is not known.
    """
    unknown = {VIRTUAL_TIME} if inputs.tables.imported is not None else set()
    known = [
        cost
        for cost in (*COSTS, SPENT_COST, VIRTUAL_TIME)
        if cost not in unknown and np.isfinite(inputs.best[cost].to_numpy(dtype=float)).all()
    ]
    cost = OVER[over]
    if over == "seconds" and cost not in known:
        cost = "train_seconds"
    if cost not in known:
        raise AnalysisError(
            f"figure {name!r} has nothing to show over {over!r}, which these results do not have; they have "
            f"{listed(known)}"
        )
    return cost
