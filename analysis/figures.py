"""The figures of a sweep: convergence per task, mean rank over cost per task and over tasks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from analysis import captions, overall, style
from analysis.captions import COST_LABELS
from analysis.curves import mean_curves, never_succeeded
from analysis.drawing import Plot, draw_convergence, draw_ranks, file_names, value_axis
from analysis.facts import Measure, task_facts
from analysis.inputs import Inputs
from analysis.ranking import Comparison, comparable, compare
from analysis.ranks import (
    TaskRanks,
    complete_blocks,
    mean_ranks,
    mean_ranks_over_tasks,
    rankable,
    same_costs,
    task_ranks,
)
from analysis.steps import unusable_studies
from results.tables import SweepTables


def convergence(tables: SweepTables, best: pd.DataFrame, task: str, cost: str) -> Plot | None:
    """Draw the mean incumbent of every method on a task over a cost.

    Args:
        tables: The sweep.
        best: What `analysis.steps.incumbents` made of it.
        task: Label of the task.
        cost: One of `analysis.steps.COSTS`.

    Returns:
        The plot; ``None`` if no method has a mean, or if nothing was spent in this cost.
    """
    facts, label = task_facts(tables, task), COST_LABELS[cost]
    data = pd.concat([mean_curves(best, task, cost, measure) for measure in facts.metrics], ignore_index=True)
    if data.empty or not data["cost"].max() > 0:
        return None
    values = value_axis(data, may_be_log=facts.direction == "min")
    caption = captions.convergence_caption(
        task=task,
        axis=_axis_words(data, label),
        metric=facts.metrics["validation"],
        test_metric=facts.metrics.get("test"),
        direction=facts.direction,
        repetitions=_counts(data),
        partial_epochs=_partial_epochs(tables, task, facts.full_epochs),
        log=values.log,
        cut=values.cut,
        absent=_absent(tables, best, task),
        subset=facts.subset,
    )
    return Plot(
        title=f"Convergence on {task} over {label}",
        caption=caption,
        alt=f"Step curves of the best {facts.metrics['validation']} so far on {task} over {label}. "
        + _final_words(data, "final mean"),
        figure=draw_convergence(data, facts.metrics, values, task, label, _looks(tables)),
        data=_with_columns(data, task=task, cost_axis=cost),
    )


def task_rank(tables: SweepTables, best: pd.DataFrame, task: str, cost: str) -> Plot | None:
    """Draw the mean rank of every method on a task over a cost.

    Arguments and result as for `convergence`; also ``None`` with fewer than two methods or without a
    repetition that all of them finished.
    """
    facts, label = task_facts(tables, task), COST_LABELS[cost]
    blocks = complete_blocks(tables, task)
    parts = []
    for measure in facts.metrics:
        ranks = task_ranks(best, facts, blocks, cost, measure)
        if ranks is None or ranks.steps.end <= 0:
            return None
        parts.append(mean_ranks(ranks, measure))
    data = pd.concat(parts, ignore_index=True)
    titles: dict[Measure, str] = {m: m if len(facts.metrics) > 1 else "" for m in facts.metrics}
    caption = captions.task_rank_caption(
        task=task,
        axis=_axis_words(data, label),
        methods=len(blocks.searchers),
        repetitions=len(blocks.repetitions),
        test="test" in facts.metrics,
        unsuccessful=_unsuccessful(best, {task: blocks.repetitions}),
        absent=blocks.left_out,
        subset=facts.subset,
    )
    return Plot(
        title=f"Mean rank on {task} over {label}",
        caption=caption,
        alt=f"Step curves of mean rank on {task} over {label}. {_final_words(data, 'final mean rank')}",
        figure=draw_ranks(data, titles, task, label, _looks(tables)),
        data=_with_columns(data, task=task, cost_axis=cost),
    )


def overall_rank(tables: SweepTables, best: pd.DataFrame, cost: str) -> Plot | None:
    """Draw the mean rank of every method over all tasks that have every method, over a cost.

    Where the tasks do not all end at the same cost, the axis is the fraction of each task's end.
    Arguments and result as for `convergence`; also ``None`` where no task can be ranked.
    """
    field = rankable(tables)
    parts = {str(task): own for task, own in best.groupby("task", sort=True)}
    ranked: dict[Measure, list[TaskRanks]] = {"validation": [], "test": []}
    absent = list(field.left_out)
    for task, blocks in field.tasks.items():
        facts = task_facts(tables, task)
        own = {measure: task_ranks(parts[task], facts, blocks, cost, measure) for measure in facts.metrics}
        if any(ranks is None or ranks.steps.end <= 0 for ranks in own.values()):
            absent.append(f"task {task} (no success, or nothing spent in {COST_LABELS[cost]})")
            continue
        for measure, ranks in own.items():
            if ranks is not None:
                ranked[measure].append(ranks)
    shown = {measure: ranks for measure, ranks in ranked.items() if ranks}
    if not shown:
        return None
    # One scale for both panels: absolute only where it is so for all tasks.
    fraction = not same_costs(ranked["validation"])
    data = pd.concat(
        [mean_ranks_over_tasks(ranks, measure, fraction=fraction) for measure, ranks in shown.items()],
        ignore_index=True,
    )
    label = COST_LABELS[cost]
    words = f"the fraction of each task's largest final cost in {label}" if fraction else label
    tasks = {ranks.task: len(ranks.repetitions) for ranks in ranked["validation"]}
    caption = captions.overall_rank_caption(
        axis=_axis_words(data, words),
        methods=len(field.searchers),
        tasks=tasks,
        test_tasks=len(ranked["test"]),
        unsuccessful=_unsuccessful(best, {task: field.tasks[task].repetitions for task in tasks}),
        absent=absent,
        subsets=[task for task in tasks if task_facts(tables, task).subset],
    )
    count = captions.plural(len(tasks), "task")
    return Plot(
        title=f"Mean rank over {count} and {label}",
        caption=caption,
        alt=f"Step curves of mean rank over {count} and {label}. {_final_words(data, 'final mean rank')}",
        figure=draw_ranks(
            data,
            {
                measure: f"{measure}, {captions.plural(len(ranks), 'task')}"
                for measure, ranks in shown.items()
            },
            "mean rank over tasks",
            f"fraction of each task's largest cost\n({label})" if fraction else label,
            _looks(tables),
        ),
        data=_with_columns(data, cost_axis=f"fraction of {cost}" if fraction else cost),
    )


def _looks(tables: SweepTables) -> dict[str, style.Look]:
    """Return the looks of all planned methods, so that each has the same in every figure of the sweep."""
    return style.looks(str(name) for name in tables.studies["searcher"])


def _with_columns(data: pd.DataFrame, **constants: str) -> pd.DataFrame:
    """Return the data with constant columns in front."""
    return data.assign(**constants)[[*constants, *data.columns]]


def _axis_words(data: pd.DataFrame, label: str) -> str:
    """Return the name of the cost axis with its scale, which `cost_axis` decides."""
    return f"{label} ({'log' if data['cost'].min() > 0 else 'linear'} axis)"


def _counts(data: pd.DataFrame) -> dict[str, int]:
    """Return the repetitions of each method drawn, in the order of the legend."""
    counts = {str(s): int(n) for s, n in zip(data["searcher"], data["repetitions"], strict=True)}
    return {name: counts[name] for name in style.ordered(counts)}


def _partial_epochs(tables: SweepTables, task: str, full: int) -> int | None:
    """Return a task's full epochs if a successful evaluation had fewer, else ``None``."""
    trials = tables.trials[(tables.trials["task"] == task) & (tables.trials["status"] == "ok")]
    return full if bool((trials["epochs"] < full).any()) else None


def _absent(tables: SweepTables, best: pd.DataFrame, task: str) -> list[str]:
    """Return what the curves of a task lack: unfinished studies, and methods without a mean."""
    unusable = unusable_studies(tables)
    items = captions.absent_studies(unusable[unusable["task"] == task])
    unsuccessful = never_succeeded(best)
    for searcher, group in unsuccessful[unsuccessful["task"] == task].groupby("searcher", sort=True):
        numbers = captions.number_ranges([int(r) for r in group["repetition"]])
        items.append(f"the line of {searcher} (no successful evaluation in repetition {numbers})")
    return items


def _unsuccessful(best: pd.DataFrame, blocks: Mapping[str, Sequence[int]]) -> list[str]:
    """Return the ranked studies without a success, in words."""
    return [
        f"{row.searcher}, repetition {row.repetition}, on {row.task}"
        for row in never_succeeded(best).itertuples()
        if row.repetition in blocks.get(str(row.task), ())
    ]


def _final_words(data: pd.DataFrame, what: str) -> str:
    """Return the last mean of every line, for the alternative text."""
    parts = []
    for measure, group in data.groupby("measure", sort=False):
        last = group.groupby("searcher")["mean"].last()
        values = captions.by_method(last, ".4g")
        parts.append(f"{str(measure).capitalize()}, {what}: {values}.")
    return " ".join(parts[::-1] if parts[0].startswith("Test") else parts)


SECTIONS: Mapping[str, str] = {
    "paired": "Comparisons within each task",
    "curves": "Progress over cost",
    "differences": "Who differs, and how sure that is",
    "aggregates": "Scores over all tasks",
    "targets": "Reaching targets, and speed",
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
) -> Iterator[Listed]:
    """Draw every figure of a sweep, one after another, in the order of the report.

    Figures that would show nothing (no complete block, a task without references, no test set) are
    not among them. Drawing depends on nothing but the inputs: the same inputs give the same bytes.

    Args:
        inputs: What `analysis.inputs.prepare` returned.
        tasks: Draw the figures of these tasks only; of all when ``None``. With ``over_tasks`` this divides the work:
            ``all_plots(inputs, tasks=[])`` and ``all_plots(inputs, tasks=[...], over_tasks=False)`` are
            independent and can run in different processes.
        over_tasks: Whether to draw the figures over tasks.
        comparison: What `analysis.ranking.compare` returned for the whole sweep, where it is known already.

    Yields:
        Figures over tasks first, in the order of `SECTIONS`, then those of each task.
    """
    if comparison is None and comparable(inputs):
        comparison = compare(inputs)
    if over_tasks:
        yield from _overall_plots(inputs, comparison)
    names = file_names(inputs.facts)
    for task in inputs.facts if tasks is None else tasks:
        own = inputs.of_task(task)
        if not own.best.empty:
            yield from _task_plots(own, comparison, task, names[task])


def _overall_plots(inputs: Inputs, comparison: Comparison | None) -> Iterator[Listed]:
    """Draw the figures over tasks, and with few tasks the comparisons within each."""
    drawn: list[tuple[str, str | None, str, bool, Plot | None]] = []
    if comparison is not None and comparison.few:
        names = file_names(inputs.facts)
        drawn += [
            ("paired", task, f"paired_{names[task]}", True, overall.paired_on_task(inputs, comparison, task))
            for task in comparison.scores
        ]
    for cost in (inputs.primary, *inputs.axes):
        plot = overall_rank(inputs.tables, inputs.best, cost)
        drawn.append(("curves", None, f"rank_all-tasks_{cost}", cost == inputs.primary, plot))
    if comparison is not None:
        c = comparison
        drawn += [
            ("curves", None, "regret_all-tasks", True, overall.regret_curves(inputs, c)),
            (
                "differences",
                None,
                "differences_wilcoxon",
                True,
                overall.critical_difference_wilcoxon(inputs, c),
            ),
            (
                "differences",
                None,
                "differences_nemenyi",
                False,
                overall.critical_difference_nemenyi(inputs, c),
            ),
            ("differences", None, "differences_posterior", True, overall.posterior(inputs, c)),
            ("aggregates", None, "scores", True, overall.aggregate_scores(inputs, c)),
            ("aggregates", None, "improvement", True, overall.improvement_matrix(inputs, c)),
            ("aggregates", None, "profile", True, overall.profiles(inputs, c)),
        ]
        for cost in dict.fromkeys((inputs.primary, *(a for a in inputs.axes if a == "total_seconds"))):
            first = cost == inputs.primary
            drawn += [
                ("targets", None, f"targets_{cost}", first, overall.targets_reached(inputs, c, cost)),
                ("targets", None, f"speed-up_{cost}", first, overall.speed_ups(inputs, c, cost)),
            ]
        drawn.append(("selection", None, "overtuning", True, overall.overtuning_over_tasks(inputs, c)))
    drawn.append(("overhead", None, "search-time", True, overall.search_time(inputs)))
    for section, task, stem, primary, plot in drawn:
        if plot is not None:
            yield Listed(section, task, stem, primary, plot)


def _task_plots(inputs: Inputs, comparison: Comparison | None, task: str, name: str) -> Iterator[Listed]:
    """Draw the figures of one task, from inputs that hold its evaluations only."""
    drawn: list[tuple[str, bool, Plot | None]] = []
    for cost in (inputs.primary, *inputs.axes):
        first = cost == inputs.primary
        drawn.append(
            (f"convergence_{name}_{cost}", first, convergence(inputs.tables, inputs.best, task, cost))
        )
        if first:
            drawn.append((f"rank_{name}_{cost}", first, task_rank(inputs.tables, inputs.best, task, cost)))
    if comparison is not None and not comparison.few:
        drawn.append((f"paired_{name}", False, overall.paired_on_task(inputs, comparison, task)))
    drawn.append((f"overtuning_{name}", False, overall.overtuning_of_task(inputs, task)))
    for stem, primary, plot in drawn:
        if plot is not None:
            yield Listed("task", task, stem, primary, plot)
