"""Progress over cost: mean incumbents on a task, and mean ranks on a task and over tasks."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import pandas as pd

from analysis import style, words
from analysis.figures.canvas import Plot, by_end, leading, standing_back
from analysis.figures.curves import (
    ValueAxis,
    draw_convergence,
    draw_ranks,
    end_hidden,
    reaching,
    value_axis,
)
from analysis.figures.guides import guide_details, guide_words, guides, lacking
from analysis.statistics.baselines import baseline_lines, baseline_values, of_task
from analysis.statistics.bootstrap import FEWEST_UNITS
from analysis.statistics.curves import (
    mean_curves,
    never_succeeded,
    shown_singly,
    single_curves,
    unit_frame,
    units_of,
)
from analysis.statistics.ranks import (
    SIGNIFICANT_DIGITS,
    TaskRanks,
    complete_blocks,
    mean_of_repetitions,
    mean_ranks,
    mean_ranks_over_tasks,
    rankable,
    same_costs,
    task_ranks,
)
from analysis.statistics.significance import fewest_blocks
from analysis.statistics.steps import GRID_LIMIT, Steps, cost_units, unusable_studies
from analysis.statistics.tasks import Measure, TaskFacts, task_facts
from analysis.words import cost_label, joined, left_out
from harness.plurals import plural
from results.tables import SweepTables


def convergence(
    tables: SweepTables,
    best: pd.DataFrame,
    task: str,
    cost: str,
    highlight: Collection[str] | None = None,
) -> Plot | None:
    """Draw the mean incumbent of every method on a task over a cost.

    Args:
        tables: The sweep.
        best: What `analysis.statistics.steps.incumbents` made of it.
        task: Label of the task.
        cost: One of `analysis.statistics.steps.COSTS`.
        highlight: The methods that stand out; ``None``: with many those with the best final means, see `leading`.

    Returns:
        The plot; ``None`` if no method has a mean, or if nothing was spent in this cost.
    """
    facts, label = task_facts(tables, task), cost_label(tables, cost, [task])
    data = pd.concat([mean_curves(best, task, cost, measure) for measure in facts.metrics], ignore_index=True)
    if data.empty or not data["cost"].max() > 0:
        return None
    units = units_of([single_curves(best, task, cost, measure) for measure in facts.metrics])
    reported = data[data["measure"] == facts.reported]
    looks = leading(tables, by_end(reported, facts.sign), highlight)
    values = value_axis(_reaching(data, units), may_be_log=facts.direction == "min")
    lines = baseline_lines(baseline_values(of_task(tables, task)))
    straight = guides(lines)
    values = reaching(values, straight, list(facts.metrics))
    repetitions = _counts(data)
    caption = joined(
        f"Best so far on {task} over {_axis_words(data, label)}; "
        f"{'smaller' if facts.direction == 'min' else 'larger'} is better.",
        _incumbent(facts),
        f"Lines: mean over repetitions ({words.repetition_counts(repetitions)}, 1 task).",
        words.uncertainty(list(repetitions.values()), "repetition"),
        standing_back(looks, data["searcher"]),
        _value_axis_words(data, values, len(facts.metrics) > 1),
        guide_words(straight, lines, list(facts.metrics), values.low, values.high),
        left_out([*_absent(tables, best, task), *lacking(lines)]),
        words.caveats(tables, facts),
    )
    details = joined(
        f"Curves are exact steps, read at up to {GRID_LIMIT} costs.",
        "A line starts where every repetition of its method has a successful evaluation and ends at the largest "
        "cost any of them reached; repetitions that spent their budget earlier are held at their last incumbent.",
        f"Evaluations of fewer than the full {plural(facts.full_epochs, 'epoch')} count with the value they reached."
        if _partial(tables, facts)
        else "",
        guide_details(lines),
    )
    figure, curves = draw_convergence(data, facts.metrics, values, task, label, looks, units, straight)
    return Plot(
        title=f"Convergence on {task} over {label}",
        caption=caption,
        details=details,
        alt=f"Step curves of the best {facts.metrics['validation']} so far on {task} over {label}. "
        + _final_words(data, "final mean"),
        figure=figure,
        data=_with_columns(data, task=task, cost_axis=cost),
        curves=curves,
        units=_with_columns(units, task=task, cost_axis=cost),
        baselines=lines if len(lines) else None,
    )


def task_rank(
    tables: SweepTables,
    best: pd.DataFrame,
    task: str,
    cost: str,
    highlight: Collection[str] | None = None,
) -> Plot | None:
    """Draw the mean rank of every method on a task over a cost.

    Arguments and result as for `convergence`; also ``None`` with fewer than two methods or without a
    repetition that all of them finished.
    """
    facts, label = task_facts(tables, task), cost_label(tables, cost, [task])
    blocks = complete_blocks(tables, task)
    parts, singles = [], []
    for measure in facts.metrics:
        ranks = task_ranks(best, facts, blocks, cost, measure, paired=tables.paired)
        if ranks is None or ranks.steps.end <= 0:
            return None
        parts.append(mean_ranks(ranks, measure))
        if not tables.paired:  # a single run has no rank of its own
            continue
        each = [Steps(ranks.steps.costs, part) for part in ranks.steps.value]
        singles.append(
            _single_ranks(measure, ranks.searchers, [f"repetition {r}" for r in ranks.repetitions], each)
        )
    data, units = pd.concat(parts, ignore_index=True), units_of(singles)
    titles: dict[Measure, str] = {m: m if len(facts.metrics) > 1 else "" for m in facts.metrics}
    repetitions = len(blocks.repetitions)
    looks = leading(tables, by_end(data[data["measure"] == facts.reported]), highlight)
    caption = joined(
        f"Mean rank on {task} over {_axis_words(data, label)}; 1 is best.",
        _ranked(len(blocks.searchers), "test" in facts.metrics),
        f"Lines: mean over {plural(repetitions, 'repetition')} of 1 task.",
        words.uncertainty([repetitions], "repetition", singly="Thin lines" if tables.paired else ""),
        standing_back(looks, data["searcher"]),
        _unsuccessful(best, {task: blocks.repetitions}),
        left_out(blocks.left_out),
        words.caveats(tables, facts),
    )
    figure, curves = draw_ranks(data, titles, task, label, looks, units)
    return Plot(
        title=f"Mean rank on {task} over {label}",
        caption=caption,
        details=_rank_details("repetition", "ranked repetition", paired=tables.paired),
        alt=f"Step curves of mean rank on {task} over {label}. {_final_words(data, 'final mean rank')}",
        figure=figure,
        data=_with_columns(data, task=task, cost_axis=cost),
        curves=curves,
        units=_with_columns(units, task=task, cost_axis=cost),
    )


def overall_rank(
    tables: SweepTables, best: pd.DataFrame, cost: str, highlight: Collection[str] | None = None
) -> Plot | None:
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
        own = {
            measure: task_ranks(parts[task], facts, blocks, cost, measure, paired=tables.paired)
            for measure in facts.metrics
        }
        if any(ranks is None or ranks.steps.end <= 0 for ranks in own.values()):
            absent.append(f"task {task} (no success, or nothing spent in {cost_label(tables, cost, [task])})")
            continue
        for measure, ranks in own.items():
            if ranks is not None:
                ranked[measure].append(ranks)
    shown = {measure: ranks for measure, ranks in ranked.items() if ranks}
    if not shown:
        return None
    # One scale for both panels: absolute only where it is so for all tasks.
    tasks = {ranks.task: len(ranks.repetitions) for ranks in ranked["validation"]}
    fraction = not same_costs(ranked["validation"]) or len(cost_units(tables, cost, tasks)) > 1
    data = pd.concat(
        [mean_ranks_over_tasks(ranks, measure, fraction=fraction) for measure, ranks in shown.items()],
        ignore_index=True,
    )
    units = units_of(
        [
            _single_ranks(
                measure,
                ranks[0].searchers,
                [own.task for own in ranks],
                [
                    Steps(own.steps.costs / (own.steps.end if fraction else 1.0), mean_of_repetitions(own))
                    for own in ranks
                ],
            )
            for measure, ranks in shown.items()
        ]
    )
    label = cost_label(tables, cost, tasks)
    axis = f"the fraction of each task's largest final cost in {label}" if fraction else label
    count = plural(len(tasks), "task")
    last = "test" if len(ranked["test"]) == len(tasks) else "validation"
    looks = leading(tables, by_end(data[data["measure"] == last]), highlight)
    caption = joined(
        f"Mean rank over {count} and {_axis_words(data, axis)}; 1 is best.",
        _ranked(len(field.searchers), bool(ranked["test"])),
        f"Lines: mean over repetitions, then over tasks ({count}, {words.span(list(tasks.values()), 'repetition')} "
        "per task).",
        words.uncertainty([len(tasks)], "task"),
        _few(len(tasks)),
        standing_back(looks, data["searcher"]),
        _test_panel(len(ranked["test"]), len(tasks)),
        _unsuccessful(best, {task: field.tasks[task].repetitions for task in tasks}),
        left_out(absent),
        words.short(tables, list(tasks), field.searchers),
        words.marks([task_facts(tables, task) for task in tasks]),
    )
    figure, curves = draw_ranks(
        data,
        {measure: f"{measure}, {plural(len(ranks), 'task')}" for measure, ranks in shown.items()},
        "mean rank over tasks",
        f"fraction of each task's largest cost\n({label})" if fraction else label,
        looks,
        units,
    )
    axis_name = f"fraction of {cost}" if fraction else cost
    return Plot(
        title=f"Mean rank over {count} and {label}",
        caption=caption,
        details=_rank_details("task and repetition", "ranked repetition of every task", paired=tables.paired),
        alt=f"Step curves of mean rank over {count} and {label}. {_final_words(data, 'final mean rank')}",
        figure=figure,
        data=_with_columns(data, cost_axis=axis_name),
        curves=curves,
        units=_with_columns(units, cost_axis=axis_name),
    )


def _single_ranks(
    measure: Measure, searchers: Sequence[str], names: Sequence[str], each: Sequence[Steps]
) -> pd.DataFrame:
    """Return the ranks of single repetitions or tasks, value of shape ``(k, n)`` each, where they are few."""
    if not shown_singly(len(each)):
        return units_of([])
    return units_of(
        [
            unit_frame(measure, searcher, name, Steps(steps.costs, steps.value[index]))
            for index, searcher in enumerate(searchers)
            for name, steps in zip(names, each, strict=True)
        ]
    )


def _reaching(data: pd.DataFrame, units: pd.DataFrame) -> pd.DataFrame:
    """Return the curves with the last values of single repetitions as ends where there is no interval."""
    if units.empty:
        return data
    last = units.groupby(["measure", "searcher", "unit"])["value"].last().groupby(["measure", "searcher"])
    keys = pd.MultiIndex.from_frame(data[["measure", "searcher"]])
    final = ~data.duplicated(["measure", "searcher"], keep="last")
    return data.assign(
        low=data["low"].where(data["low"].notna() | ~final, last.min().reindex(keys).to_numpy()),
        high=data["high"].where(data["high"].notna() | ~final, last.max().reindex(keys).to_numpy()),
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
    one, other = words.sides()
    return (
        f"{one.capitalize()}: the validation value ({metric}) of the incumbent, the finished evaluation with the best "
        f"one so far; {other}: the test value ({facts.metrics['test']}) of that same evaluation, selected by "
        "validation, so that it can get worse again."
    )


def _value_axis_words(data: pd.DataFrame, values: ValueAxis, two: bool) -> str:
    """Return what a reader must know of the value axis."""
    return joined(
        "The value axis is cut: the beginning of some lines lies outside." if values.cut else "",
        "The value axis is logarithmic." if values.log else "",
        f"{_late_place(two)}: the last half of the cost apart, on the range of its means."
        if end_hidden(data, values)
        else "",
    )


def _late_place(two: bool) -> str:
    """Return where the last half of the cost is drawn apart."""
    stacked = words.sides() != ("left", "right")
    return "Below" if two or stacked else "Right"


def _ranked(methods: int, test: bool) -> str:
    """Return the sentence on what is ranked."""
    one, other = words.sides()
    by = (
        f"their incumbents' validation values ({one}) and by the test values of these same incumbents ({other})"
        if test
        else "their incumbents' validation values"
    )
    return f"At each cost the {methods} methods are ranked by {by}."


def _rank_details(per: str, ranked: str, *, paired: bool) -> str:
    """Return how ranks are made, and where they begin and end."""
    taken = f"within each {per}" if paired else "among all runs of a task, which share no seeds"
    return (
        f"Ranks are taken {taken}; values equal after rounding to {SIGNIFICANT_DIGITS} significant digits "
        f"share their averaged rank. Curves are exact steps, read at up to {GRID_LIMIT} costs. "
        f"Ranks begin at the smallest cost at which every method has an incumbent in every {ranked}; studies that "
        "spent their budget earlier are held at their last incumbent."
    )


def _few(count: int) -> str:
    """Return the sentence that limits a mean over few tasks to them; empty with enough of them."""
    if count == 1 or count >= fewest_blocks():
        return ""
    return f"This rests on {count} tasks only and speaks about these tasks, not about tasks in general."


def _test_panel(tested: int, count: int) -> str:
    """Return the sentence on a right panel of fewer tasks; empty where both have all, or there is none."""
    if tested in (0, count):
        return ""
    panel = f"The {words.sides()[1]} panel is over the {plural(tested, 'task')} that have a test set"
    if tested == 1:
        return f"{panel}, without an interval."
    if tested < FEWEST_UNITS <= count:
        return f"{panel}; its thin lines are these tasks (fewer than {FEWEST_UNITS}: no interval)."
    return f"{panel}."


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
