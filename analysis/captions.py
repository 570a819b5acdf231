"""The words under a figure: statistic, interval, what was resampled, counts, and everything left out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from analysis import style
from analysis.bootstrap import LEVEL, RESAMPLES
from analysis.ranks import DECIMALS, SIGNIFICANT_DIGITS
from analysis.significance import FEW_BLOCKS
from analysis.steps import GRID_LIMIT

COST_LABELS: Mapping[str, str] = {
    "evaluations": "evaluations",
    "spent_epochs": "epochs trained",
    "train_seconds": "training seconds",
    "total_seconds": "training + search seconds",
    "virtual_time": "virtual time (task's own cost unit)",
}

SUBSET = "Data subset or stand-in: not comparable with published figures."

_INTERVAL = f"{LEVEL:.0%}".replace("%", " %") + " expanded percentile bootstrap intervals"


def plural(count: int, word: str) -> str:
    """Return ``1 task`` or ``2 tasks``."""
    return f"{count} {word}" if count == 1 else f"{count} {word}s"


def listed(items: Sequence[str]) -> str:
    """Return ``a``, ``a and b`` or ``a, b and c``."""
    return " and ".join(filter(None, [", ".join(items[:-1]), *items[-1:]]))


def by_method(values: pd.Series, spec: str = "") -> str:
    """Return ``random 0.81, grid 0.79``: the values in the methods' order of every figure, formatted by ``spec``."""
    return ", ".join(f"{name} {values[name]:{spec}}" for name in style.ordered(values.index))


def number_ranges(numbers: Sequence[int]) -> str:
    """Return ascending numbers with runs joined: ``0–2, 5``."""
    runs: list[list[int]] = []
    for number in sorted(set(numbers)):
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ", ".join(f"{run[0]}" if len(run) == 1 else f"{run[0]}–{run[-1]}" for run in runs)


def repetition_counts(counts: Mapping[str, int]) -> str:
    """Return ``5 repetitions per method``, or the count of each method where they differ."""
    if len(set(counts.values())) == 1:
        return f"{plural(next(iter(counts.values())), 'repetition')} per method"
    return "repetitions: " + ", ".join(f"{name} {count}" for name, count in counts.items())


def absent_studies(rows: pd.DataFrame) -> list[str]:
    """Return unfinished studies of one task in words, one item per method and state."""
    return [
        f"{searcher}, repetition{'s' if len(group) > 1 else ''} "
        f"{number_ranges([int(r) for r in group['repetition']])} ({state})"
        for (searcher, state), group in rows.groupby(["searcher", "state"], sort=True)
    ]


def left_out(items: Sequence[str]) -> str:
    """Return the sentence that names what a figure lacks; empty when it lacks nothing."""
    return f"Left out: {'; '.join(items)}." if items else ""


def joined(*sentences: str) -> str:
    """Return the sentences that are not empty as one paragraph."""
    return " ".join(filter(None, sentences))


def convergence_caption(
    *,
    task: str,
    axis: str,
    metric: str,
    test_metric: str | None,
    direction: str,
    repetitions: Mapping[str, int],
    partial_epochs: int | None,
    log: bool,
    cut: bool,
    absent: Sequence[str],
    subset: bool,
) -> str:
    """Return the caption of a convergence figure.

    Args:
        task: Label of the task.
        axis: The cost axis in words.
        metric: The objective.
        test_metric: Its test companion, if the task has one.
        direction: ``min`` or ``max``.
        repetitions: Finished repetitions by method drawn.
        partial_epochs: Epochs of full fidelity where some evaluations were shorter, else ``None``.
        log: Whether the value axis is logarithmic.
        cut: Whether the value axis leaves out the beginning of some curves.
        absent: What the figure lacks, in words.
        subset: Whether the task ran on a data subset.
    """
    incumbent = (
        f"the validation value ({metric}) of the incumbent, the finished evaluation with the best one so far"
    )
    if test_metric is None:
        what = (
            f"Shown is the objective ({metric}) of the incumbent, the best finished evaluation so far; "
            "nothing is held out for a test."
        )
    else:
        what = (
            f"Left: {incumbent}; right: the test value ({test_metric}) of that same evaluation, selected by "
            "validation, so that it can get worse again."
        )
    enough = any(count > 1 for count in repetitions.values())
    return joined(
        f"Best so far on {task} over {axis}; {'smaller' if direction == 'min' else 'larger'} is better.",
        what,
        f"Lines: mean over repetitions, in exact steps read at up to {GRID_LIMIT} costs "
        f"({repetition_counts(repetitions)}, 1 task).",
        f"Bands: {_INTERVAL} of the mean, resampling repetitions ({RESAMPLES} resamples)."
        if enough
        else "One repetition per method: no interval.",
        "A line starts where every repetition of its method has a successful evaluation and ends at the largest "
        "cost any of them reached; repetitions that spent their budget earlier are held at their last incumbent.",
        f"Evaluations of fewer than the full {plural(partial_epochs, 'epoch')} count with the value they reached."
        if partial_epochs
        else "",
        "The value axis is cut to the means in the right half of the cost axis and the final intervals: the "
        "beginning of some lines and bands lies outside."
        if cut
        else "",
        "The value axis is logarithmic." if log else "",
        left_out(absent),
        SUBSET if subset else "",
    )


def _ranking(methods: int, test: bool, per: str) -> str:
    """Return the sentences on how ranks are made."""
    by = (
        "their incumbents' validation values (left) and by the test values of these same incumbents (right)"
        if test
        else "their incumbents' validation values"
    )
    return (
        f"Within each {per} and at each cost, the {methods} methods are ranked by {by}, 1 being best; values equal "
        f"after rounding to {SIGNIFICANT_DIGITS} significant digits (and to 1e-{DECIMALS}) share their averaged rank."
    )


_RANGE = (
    "Ranks begin at the smallest cost at which every method has an incumbent in every ranked repetition; studies "
    "that spent their budget earlier are held at their last incumbent."
)


def _unsuccessful(names: Sequence[str]) -> str:
    """Return the sentence on finished studies without a success."""
    return (
        f"Without one successful evaluation, and so ranked last throughout: {'; '.join(names)}."
        if names
        else ""
    )


def task_rank_caption(
    *,
    task: str,
    axis: str,
    methods: int,
    repetitions: int,
    test: bool,
    unsuccessful: Sequence[str],
    absent: Sequence[str],
    subset: bool,
) -> str:
    """Return the caption of one task's figure of ranks over cost."""
    return joined(
        f"Mean rank on {task} over {axis}.",
        _ranking(methods, test, "repetition"),
        f"Lines: mean over {plural(repetitions, 'repetition')} of 1 task, in exact steps "
        f"read at up to {GRID_LIMIT} costs.",
        f"Bands: {_INTERVAL} of the mean, resampling repetitions ({RESAMPLES} resamples)."
        if repetitions > 1
        else "One repetition: no interval.",
        _RANGE,
        _unsuccessful(unsuccessful),
        left_out(absent),
        SUBSET if subset else "",
    )


def overall_rank_caption(
    *,
    axis: str,
    methods: int,
    tasks: Mapping[str, int],
    test_tasks: int,
    unsuccessful: Sequence[str],
    absent: Sequence[str],
    subsets: Sequence[str],
) -> str:
    """Return the caption of the figure of ranks over tasks.

    Args:
        axis: The cost axis in words.
        methods: How many are ranked.
        tasks: Ranked repetitions by task.
        test_tasks: How many of the tasks have test values (the right panel).
        unsuccessful: Finished studies without a success, in words.
        absent: What the figure lacks, in words.
        subsets: Tasks that ran on a data subset.
    """
    count = len(tasks)
    counts = sorted(set(tasks.values()))
    span = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    repetitions = f"{span} repetition{'' if counts == [1] else 's'} per task"
    if count == 1:
        interval = "One task: there is no interval over tasks."
    else:
        interval = f"Bands: {_INTERVAL} of the mean, resampling tasks ({RESAMPLES} resamples)."
    if 1 < count < FEW_BLOCKS:
        interval += (
            f" They rest on {count} tasks only and speak about these tasks, not about tasks in general."
        )
    test = ""
    if test_tasks and test_tasks < count:
        test = f"The right panel is over the {plural(test_tasks, 'task')} that have a test set"
        test += ", without an interval." if test_tasks == 1 else "."
    return joined(
        f"Mean rank over {plural(count, 'task')} and {axis}.",
        _ranking(methods, bool(test_tasks), "task and repetition"),
        f"Lines: mean over repetitions, then over tasks ({plural(count, 'task')}, {repetitions}), in exact steps "
        f"read at up to {GRID_LIMIT} costs.",
        interval,
        test,
        _RANGE.replace("ranked repetition;", "ranked repetition of every task;"),
        _unsuccessful(unsuccessful),
        left_out(absent),
        f"{SUBSET[:-1]} ({', '.join(subsets)})." if subsets else "",
    )
