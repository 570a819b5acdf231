"""Progress over cost: mean incumbents on a task, and mean ranks on a task and over tasks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from analysis import style, words
from analysis.figures.canvas import Plot, looks_of
from analysis.figures.curves import draw_convergence, draw_ranks, value_axis
from analysis.statistics.bootstrap import FEWEST_UNITS, RESAMPLES
from analysis.statistics.curves import mean_curves, never_succeeded
from analysis.statistics.ranks import (
    SIGNIFICANT_DIGITS,
    TaskRanks,
    complete_blocks,
    mean_ranks,
    mean_ranks_over_tasks,
    rankable,
    same_costs,
    task_ranks,
)
from analysis.statistics.steps import GRID_LIMIT, unusable_studies
from analysis.statistics.tasks import Measure, TaskFacts, task_facts
from analysis.words import COST_LABELS, joined, left_out, plural
from results.tables import SweepTables


def convergence(tables: SweepTables, best: pd.DataFrame, task: str, cost: str) -> Plot | None:
    """Draw the mean incumbent of every method on a task over a cost.

    Args:
        tables: The sweep.
        best: What `analysis.statistics.steps.incumbents` made of it.
        task: Label of the task.
        cost: One of `analysis.statistics.steps.COSTS`.

    Returns:
        The plot; ``None`` if no method has a mean, or if nothing was spent in this cost.
    """
    facts, label = task_facts(tables, task), COST_LABELS[cost]
    data = pd.concat([mean_curves(best, task, cost, measure) for measure in facts.metrics], ignore_index=True)
    if data.empty or not data["cost"].max() > 0:
        return None
    values = value_axis(data, may_be_log=facts.direction == "min")
    repetitions = _counts(data)
    enough = any(count > 1 for count in repetitions.values())
    caption = joined(
        f"Best so far on {task} over {_axis_words(data, label)}; "
        f"{'smaller' if facts.direction == 'min' else 'larger'} is better.",
        _incumbent(facts),
        f"Lines: mean over repetitions, in exact steps read at up to {GRID_LIMIT} costs "
        f"({words.repetition_counts(repetitions)}, 1 task).",
        f"Bands: {words.INTERVAL}s of the mean, resampling repetitions ({RESAMPLES} resamples)."
        if enough
        else "One repetition per method: no interval.",
        "A line starts where every repetition of its method has a successful evaluation and ends at the largest "
        "cost any of them reached; repetitions that spent their budget earlier are held at their last incumbent.",
        f"Evaluations of fewer than the full {plural(facts.full_epochs, 'epoch')} count with the value they reached."
        if _partial(tables, facts)
        else "",
        "The value axis is cut to the means in the right half of the cost axis and the final intervals: the "
        "beginning of some lines and bands lies outside."
        if values.cut
        else "",
        "The value axis is logarithmic." if values.log else "",
        left_out(_absent(tables, best, task)),
        words.caveats(tables, facts),
    )
    figure, curves = draw_convergence(data, facts.metrics, values, task, label, looks_of(tables))
    return Plot(
        title=f"Convergence on {task} over {label}",
        caption=caption,
        alt=f"Step curves of the best {facts.metrics['validation']} so far on {task} over {label}. "
        + _final_words(data, "final mean"),
        figure=figure,
        data=_with_columns(data, task=task, cost_axis=cost),
        curves=curves,
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
    repetitions = len(blocks.repetitions)
    caption = joined(
        f"Mean rank on {task} over {_axis_words(data, label)}.",
        _ranked(len(blocks.searchers), "test" in facts.metrics, "repetition"),
        f"Lines: mean over {plural(repetitions, 'repetition')} of 1 task, in exact steps "
        f"read at up to {GRID_LIMIT} costs.",
        f"Bands: {words.INTERVAL}s of the mean, resampling repetitions ({RESAMPLES} resamples)."
        if repetitions > 1
        else "One repetition: no interval.",
        _range("ranked repetition"),
        _unsuccessful(best, {task: blocks.repetitions}),
        left_out(blocks.left_out),
        words.caveats(tables, facts),
    )
    figure, curves = draw_ranks(data, titles, task, label, looks_of(tables))
    return Plot(
        title=f"Mean rank on {task} over {label}",
        caption=caption,
        alt=f"Step curves of mean rank on {task} over {label}. {_final_words(data, 'final mean rank')}",
        figure=figure,
        data=_with_columns(data, task=task, cost_axis=cost),
        curves=curves,
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
    axis = f"the fraction of each task's largest final cost in {label}" if fraction else label
    tasks = {ranks.task: len(ranks.repetitions) for ranks in ranked["validation"]}
    count = plural(len(tasks), "task")
    caption = joined(
        f"Mean rank over {count} and {_axis_words(data, axis)}.",
        _ranked(len(field.searchers), bool(ranked["test"]), "task and repetition"),
        f"Lines: mean over repetitions, then over tasks ({count}, {words.span(list(tasks.values()), 'repetition')} "
        f"per task), in exact steps read at up to {GRID_LIMIT} costs.",
        _interval_over_tasks(len(tasks)),
        _test_panel(len(ranked["test"]), len(tasks)),
        _range("ranked repetition of every task"),
        _unsuccessful(best, {task: field.tasks[task].repetitions for task in tasks}),
        left_out(absent),
        words.short(tables, list(tasks), field.searchers),
        words.subsets([task for task in tasks if task_facts(tables, task).subset]),
    )
    figure, curves = draw_ranks(
        data,
        {measure: f"{measure}, {plural(len(ranks), 'task')}" for measure, ranks in shown.items()},
        "mean rank over tasks",
        f"fraction of each task's largest cost\n({label})" if fraction else label,
        looks_of(tables),
    )
    return Plot(
        title=f"Mean rank over {count} and {label}",
        caption=caption,
        alt=f"Step curves of mean rank over {count} and {label}. {_final_words(data, 'final mean rank')}",
        figure=figure,
        data=_with_columns(data, cost_axis=f"fraction of {cost}" if fraction else cost),
        curves=curves,
    )


# Sentences.


def _incumbent(facts: TaskFacts) -> str:
    """Return the sentence that says whose value is shown."""
    metric = facts.metrics["validation"]
    if "test" not in facts.metrics:
        return (
            f"Shown is the objective ({metric}) of the incumbent, the best finished evaluation so far; nothing is held "
            "out for a test."
        )
    return (
        f"Left: the validation value ({metric}) of the incumbent, the finished evaluation with the best one so far; "
        f"right: the test value ({facts.metrics['test']}) of that same evaluation, selected by validation, so that it "
        "can get worse again."
    )


def _ranked(methods: int, test: bool, per: str) -> str:
    """Return the sentence on how ranks are made."""
    by = (
        "their incumbents' validation values (left) and by the test values of these same incumbents (right)"
        if test
        else "their incumbents' validation values"
    )
    return (
        f"Within each {per} and at each cost, the {methods} methods are ranked by {by}, 1 being best; values equal "
        f"after rounding to {SIGNIFICANT_DIGITS} significant digits share their averaged rank."
    )


def _range(ranked: str) -> str:
    """Return the sentence on where ranks begin and end."""
    return (
        f"Ranks begin at the smallest cost at which every method has an incumbent in every {ranked}; studies that "
        "spent their budget earlier are held at their last incumbent."
    )


def _interval_over_tasks(count: int) -> str:
    """Return the sentences on the interval of a mean over tasks."""
    if count == 1:
        return "One task: there is no interval over tasks."
    bands = f"Bands: {words.INTERVAL}s of the mean, resampling tasks ({RESAMPLES} resamples)."
    return bands if count >= FEWEST_UNITS else f"{count} tasks: too few for an interval over tasks."


def _test_panel(tested: int, count: int) -> str:
    """Return the sentence on a right panel of fewer tasks; empty where both have all, or there is none."""
    if tested in (0, count):
        return ""
    panel = f"The right panel is over the {plural(tested, 'task')} that have a test set"
    return panel + (", without an interval." if tested == 1 else ".")


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


def _partial(tables: SweepTables, facts: TaskFacts) -> bool:
    """Whether a successful evaluation of a task had fewer epochs than full fidelity."""
    trials = tables.trials[(tables.trials["task"] == facts.label) & (tables.trials["status"] == "ok")]
    return bool((trials["epochs"] < facts.full_epochs).any())


def _absent(tables: SweepTables, best: pd.DataFrame, task: str) -> list[str]:
    """Return what the curves of a task lack: unfinished studies, and methods without a mean."""
    unusable = unusable_studies(tables)
    items = words.absent_studies(unusable[unusable["task"] == task])
    unsuccessful = never_succeeded(best)
    for searcher, group in unsuccessful[unsuccessful["task"] == task].groupby("searcher", sort=True):
        numbers = words.number_ranges([int(r) for r in group["repetition"]])
        items.append(f"the line of {searcher} (no successful evaluation in repetition {numbers})")
    return items


def _unsuccessful(best: pd.DataFrame, blocks: Mapping[str, Sequence[int]]) -> str:
    """Return the sentence on ranked studies without a success; empty where there are none."""
    names = [
        f"{row.searcher}, repetition {row.repetition}, on {row.task}"
        for row in never_succeeded(best).itertuples()
        if row.repetition in blocks.get(str(row.task), ())
    ]
    if not names:
        return ""
    return f"Without one successful evaluation, and so ranked last throughout: {'; '.join(names)}."


def _final_words(data: pd.DataFrame, what: str) -> str:
    """Return the last mean of every line, for the alternative text."""
    parts = []
    for measure, group in data.groupby("measure", sort=False):
        last = group.groupby("searcher")["mean"].last()
        values = words.by_method(last, ".4g")
        parts.append(f"{str(measure).capitalize()}, {what}: {values}.")
    return " ".join(parts[::-1] if parts[0].startswith("Test") else parts)
