"""The figures of a sweep: convergence per task, mean rank over cost per task and over tasks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from analysis import captions, style
from analysis.captions import COST_LABELS
from analysis.curves import mean_curves, never_succeeded
from analysis.drawing import Plot, draw_convergence, draw_ranks, value_axis
from analysis.facts import Measure, task_facts
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
    ranked: dict[Measure, list[TaskRanks]] = {"validation": [], "test": []}
    absent = list(field.left_out)
    for task, blocks in field.tasks.items():
        facts = task_facts(tables, task)
        own = {measure: task_ranks(best, facts, blocks, cost, measure) for measure in facts.metrics}
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
    """Return the name of the cost axis with its scale, which `_cost_axis` decides."""
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
        values = ", ".join(f"{name} {last[name]:.4g}" for name in style.ordered(last.index))
        parts.append(f"{str(measure).capitalize()}, {what}: {values}.")
    return " ".join(parts[::-1] if parts[0].startswith("Test") else parts)
