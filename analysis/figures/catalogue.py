"""The list of a sweep's figures: which there are, in what order, and where in the report each belongs."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from analysis import style
from analysis.figures import (
    aggregates,
    differences,
    overhead,
    overtuning,
    progress,
    quality,
    reevaluation,
    standings,
    targets,
)
from analysis.figures.canvas import MOST, Plot, file_names, leading
from analysis.statistics.comparison import Comparison, comparable, compare
from analysis.statistics.inputs import Inputs

SECTIONS: Mapping[str, str] = {
    "paired": "Comparisons within each task",
    "curves": "Progress over cost",
    "differences": "Who differs, and how sure that is",
    "aggregates": "Scores over all tasks",
    "targets": "Reaching targets, and speed",
    "quality": "Quality against cost",
    "selection": "Selection by validation, seen on the test set",
    "overhead": "Time the search itself takes",
    "task": "One task",
}
"""Heading of every section of figures, in the order of the report; ``paired`` is empty with enough tasks."""


@dataclass(frozen=True, slots=True, eq=False)
class Listed:
    """A figure in its place in the report.

    Attributes:
        section: A key of `SECTIONS`.
        task: Label of the one task it shows; ``None`` where it is over tasks.
        stem: File name without ending, different for every figure of a sweep.
        primary: Whether it belongs to what is read first; otherwise it may be folded away.
        plot: Title, caption, alternative text, drawing and the numbers drawn.
    """

    section: str
    task: str | None
    stem: str
    primary: bool
    plot: Plot


def all_plots(
    inputs: Inputs,
    *,
    tasks: Sequence[str] | None = None,
    over_tasks: bool = True,
    comparison: Comparison | None = None,
    highlight: Collection[str] | None = None,
) -> Iterator[Listed]:
    """Draw every figure of a sweep, one after another, in the order of the report.

    Figures that would show nothing (no complete block, a task without references, no test set) are
    not among them, nor, where the style is brief, those of a task but its convergence. Drawing
    depends on nothing but the inputs: the same inputs give the same bytes.

    Args:
        inputs: What `prepare` returned.
        tasks: Draw the figures of these tasks only; of all when ``None``. With ``over_tasks`` this divides the work:
            ``all_plots(inputs, tasks=[])`` and ``all_plots(inputs, tasks=[...], over_tasks=False)`` are
            independent and can run in different processes.
        over_tasks: Whether to draw the figures over tasks.
        comparison: What `compare` returned for the whole sweep, where it is known already.
        highlight: The methods that stand out where there are many; ``None``: over tasks those with the best mean ranks,
            and on a task those that end best there, random search among them.

    Yields:
        Figures over tasks first, in the order of `SECTIONS`, then those of each task.
    """
    if comparison is None and comparable(inputs):
        comparison = compare(inputs)
    if over_tasks:
        yield from _overall_plots(inputs, comparison, highlight)
    names = file_names(inputs.facts)
    for task in inputs.facts if tasks is None else tasks:
        own = inputs.of_task(task)
        if not own.best.empty:
            yield from _task_plots(own, comparison, task, names[task], highlight)


def _overall_plots(
    inputs: Inputs, comparison: Comparison | None, highlight: Collection[str] | None
) -> Iterator[Listed]:
    """Draw the figures over tasks, and with few tasks the comparisons within each."""
    if highlight is None and comparison is not None:
        looks = leading(inputs.tables, list(comparison.mean_ranks))
        highlight = [name for name, look in looks.items() if look != style.QUIET]
    drawn: list[tuple[str, str | None, str, bool, Plot | None]] = []
    if comparison is not None and comparison.few:
        names = file_names(inputs.facts)
        drawn += [
            (
                "paired",
                task,
                f"paired_{names[task]}",
                True,
                differences.paired_on_task(inputs, comparison, task),
            )
            for task in comparison.scores
        ]
    for cost in (inputs.primary, *inputs.axes):
        plot = progress.overall_rank(inputs.tables, inputs.best, cost, highlight)
        drawn.append(("curves", None, f"rank_all-tasks_{cost}", cost == inputs.primary, plot))
    if comparison is not None:
        c = comparison
        if len(c.searchers) > MOST:  # of fewer, the diagrams of differences and the lines show as much
            drawn.append(("differences", None, "ranking", True, standings.mean_ranks(inputs, c)))
        drawn += [
            ("curves", None, "regret_all-tasks", True, aggregates.regret_curves(inputs, c, highlight)),
            (
                "differences",
                None,
                "differences_wilcoxon",
                True,
                differences.critical_difference_wilcoxon(inputs, c),
            ),
            (
                "differences",
                None,
                "differences_nemenyi",
                False,
                differences.critical_difference_nemenyi(inputs, c),
            ),
            (
                "differences",
                None,
                "differences_anytime",
                False,
                differences.critical_difference_wilcoxon(inputs, c, anytime=True),
            ),
            ("differences", None, "differences_posterior", True, differences.posterior(inputs, c)),
            ("aggregates", None, "scores", True, aggregates.aggregate_scores(inputs, c)),
            ("aggregates", None, "improvement", True, differences.improvement_matrix(inputs, c)),
            ("aggregates", None, "profile", True, aggregates.profiles(inputs, c, highlight)),
        ]
        for cost in dict.fromkeys((inputs.primary, *(a for a in inputs.axes if a == "total_seconds"))):
            first = cost == inputs.primary
            drawn += [
                (
                    "targets",
                    None,
                    f"targets_{cost}",
                    first,
                    targets.targets_reached(inputs, c, cost, highlight),
                ),
                ("targets", None, f"speed-up_{cost}", first, targets.speed_ups(inputs, c, cost)),
            ]
        drawn += [
            ("quality", None, "quality", True, quality.quality_of_tasks(inputs, c, highlight)),
            ("selection", None, "overtuning", True, overtuning.overtuning_over_tasks(inputs, c)),
            ("selection", None, "reevaluation", True, reevaluation.luck_over_tasks(inputs, c)),
        ]
    drawn.append(("overhead", None, "search-time", True, overhead.search_time(inputs, highlight)))
    for section, task, stem, primary, plot in drawn:
        if plot is not None:
            yield Listed(section, task, stem, primary, plot)


def _task_plots(
    inputs: Inputs, comparison: Comparison | None, task: str, name: str, highlight: Collection[str] | None
) -> Iterator[Listed]:
    """Draw the figures of one task, from inputs that hold its evaluations only."""
    drawn: list[tuple[str, bool, Plot | None]] = []
    brief = style.current().brief
    for cost in (inputs.primary,) if brief else (inputs.primary, *inputs.axes):
        first = cost == inputs.primary
        drawn.append(
            (
                f"convergence_{name}_{cost}",
                first,
                progress.convergence(inputs.tables, inputs.best, task, cost, highlight),
            )
        )
        if first and not brief:
            ranks = progress.task_rank(inputs.tables, inputs.best, task, cost, highlight)
            drawn.append((f"rank_{name}_{cost}", first, ranks))
    if not brief:
        drawn.append((f"quality_{name}", True, quality.quality_of_task(inputs, task, highlight)))
        if comparison is not None and not comparison.few:
            drawn.append((f"paired_{name}", False, differences.paired_on_task(inputs, comparison, task)))
        drawn += [
            (f"overtuning_{name}", False, overtuning.overtuning_of_task(inputs, task)),
            (f"reevaluation_{name}", False, reevaluation.luck_on_task(inputs, task)),
        ]
    for stem, primary, plot in drawn:
        if plot is not None:
            yield Listed("task", task, stem, primary, plot)
