"""Mean rank of the methods over cost: within (task, repetition), then over repetitions, then over tasks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from analysis.statistics.bootstrap import Floats, mean_interval
from analysis.statistics.curves import curve_frame
from analysis.statistics.steps import Steps, study_steps, union_grid, usable_studies
from analysis.statistics.tasks import Measure, TaskFacts
from harness.plurals import plural
from results.tables import SweepTables

SIGNIFICANT_DIGITS = 9
"""Losses are compared to so many digits of their own: the order on a task does not depend on its unit."""
LARGEST = np.finfo(float).max
_MOST_DECIMALS = 300


def rounded(losses: Floats) -> Floats:
    """Return losses rounded to 9 significant digits, so that noise breaks no tie.

    Each by its own size: no other loss, of whatever method or task, plays a part. Below 1e-300 they are 0.

    Example:
        >>> rounded(np.array([0.1 + 0.2, 123456.78949, 3e-17, np.inf])).tolist()
        [0.3, 123456.789, 3e-17, inf]
    """
    losses = np.asarray(losses, dtype=float)
    finite = np.isfinite(losses) & (losses != 0)
    exact = np.where(finite, losses, 1.0)
    decimals = np.minimum(SIGNIFICANT_DIGITS - 1 - np.floor(np.log10(np.abs(exact))), _MOST_DECIMALS)
    up, down = 10.0 ** np.maximum(decimals, 0), 10.0 ** np.maximum(-decimals, 0)  # one of the two is 1
    with np.errstate(over="ignore"):  # the largest numbers may be rounded up to more than there is
        near = np.round(exact * up / down) * down / up
    return np.where(finite, np.clip(near, -LARGEST, LARGEST), losses)


@dataclass(frozen=True, slots=True)
class Blocks:
    """What of a task can be ranked: every one of its methods in every one of its repetitions.

    Attributes:
        searchers: Methods with at least one finished study, sorted.
        repetitions: Those that all of these methods finished, ascending.
        left_out: What is not ranked and why, in words.
    """

    searchers: tuple[str, ...]
    repetitions: tuple[int, ...]
    left_out: tuple[str, ...]


def complete_blocks(tables: SweepTables, task: str, usable: pd.DataFrame | None = None) -> Blocks:
    """Return the complete (task, repetition) blocks of a task, and what was left out to get them.

    A method without one finished study on the task is left out; then a repetition that one of the
    other methods did not finish. Of runs that are not paired, these are the runs that a method has beyond
    those of the method with the fewest.

    Args:
        tables: The sweep.
        task: Label of the task.
        usable: What `analysis.statistics.steps.usable_studies` returns for the tables, where it is known already.
    """
    plan = tables.studies[tables.studies["task"] == task]
    done = usable_studies(tables) if usable is None else usable
    done = done[done["task"] == task]
    finished = {(str(s), int(r)) for s, r in zip(done["searcher"], done["repetition"], strict=True)}
    state = {
        (str(s), int(r)): str(state)
        for s, r, state in zip(plan["searcher"], plan["repetition"], plan["state"], strict=True)
    }
    searchers = tuple(sorted({searcher for searcher, _ in finished}))
    left_out = [f"{name} (no finished study)" for name in sorted({s for s, _ in state} - set(searchers))]
    repetitions = []
    for repetition in sorted({r for _, r in state}):
        absent = [name for name in searchers if (name, repetition) not in finished]
        if absent:
            why = ", ".join(f"{name} {state.get((name, repetition), 'not planned')}" for name in absent)
            if tables.paired:
                left_out.append(f"repetition {repetition} ({why})")
        elif searchers:
            repetitions.append(repetition)
    if not tables.paired:
        runs = Counter(name for name, _ in finished)
        beyond = [
            f"{runs[name] - len(repetitions)} of {name}"
            for name in searchers
            if runs[name] > len(repetitions)
        ]
        if beyond:
            left_out.append(f"repetitions beyond {len(repetitions)} ({', '.join(beyond)})")
    return Blocks(searchers, tuple(repetitions), tuple(left_out))


@dataclass(frozen=True, slots=True)
class Field:
    """Which tasks can be ranked together.

    Attributes:
        searchers: The methods that finished a study anywhere in the sweep and can search all its tasks, sorted.
        tasks: Tasks with a complete repetition of all these methods, with its blocks.
        left_out: What is not ranked and why, in words.
    """

    searchers: tuple[str, ...]
    tasks: Mapping[str, Blocks]
    left_out: tuple[str, ...]


def cannot_search(absent: Mapping[str, int], tasks: int) -> list[str]:
    """Return in words which methods cannot search how many of some tasks, those that lack as many together.

    Args:
        absent: How many tasks each cannot search.
        tasks: How many there are.
    """
    alike: dict[int, list[str]] = {}
    for name in sorted(absent):
        alike.setdefault(absent[name], []).append(name)
    return [
        f"{', '.join(names)} (cannot search {count} of {plural(tasks, 'task')})"
        for count, names in sorted(alike.items())
    ]


def rankable(tables: SweepTables) -> Field:
    """Return the tasks that can be ranked together, and what is left out.

    Every method with a finished study anywhere is ranked, and a task that lacks one of them is left
    out: a mean over tasks is of the same methods on each. Methods that cannot search some of the tasks, which the sweep
    therefore left out, are not ranked: they would leave none of these tasks to rank the others on. `elsewhere` of
    `analysis.statistics.partial` ranks each on the tasks that it can search. Where fewer than two methods can
    search all tasks, all are ranked, over the tasks that all of them can search.
    """
    absent = Counter(pair.searcher for pair in tables.left_out)
    planned = {str(name) for name in tables.studies["searcher"]}
    partial: list[str] = []
    if len(planned - set(absent)) > 1:
        partial = sorted(planned & set(absent))
        tables = replace(tables, studies=tables.studies[~tables.studies["searcher"].isin(partial)])
    usable = usable_studies(tables)
    blocks = {str(task): complete_blocks(tables, str(task), usable) for task in sorted(tables.tasks.index)}
    searchers = tuple(sorted({name for block in blocks.values() for name in block.searchers}))
    tasks: dict[str, Blocks] = {}
    left_out = [
        f"{name} (no finished study on any task)"
        for name in sorted({str(name) for name in tables.studies["searcher"]} - set(searchers))
    ]
    left_out += cannot_search({name: absent[name] for name in partial}, len(tables.tasks))
    for task, block in blocks.items():
        lacking = [name for name in searchers if name not in block.searchers]
        if lacking:
            left_out.append(f"task {task} (no finished study of {', '.join(lacking)})")
        elif not block.repetitions:
            left_out.append(f"task {task} (no repetition finished by every method)")
        else:
            tasks[task] = block
            left_out += [f"{item} on {task}" for item in block.left_out if item.startswith("repetition")]
    return Field(searchers, tasks, tuple(left_out))


@dataclass(frozen=True, slots=True, eq=False)
class TaskRanks:
    """Ranks of all methods in all complete repetitions of one task.

    Attributes:
        task: Label.
        searchers: k methods, sorted.
        repetitions: r repetitions, ascending.
        steps: Ranks 1 (best) to k of shape ``(r, k, n)``; of runs that are not paired, what `run_ranks` returns.
    """

    task: str
    searchers: tuple[str, ...]
    repetitions: tuple[int, ...]
    steps: Steps


def task_ranks(
    best: pd.DataFrame, facts: TaskFacts, blocks: Blocks, cost: str, measure: Measure, *, paired: bool = True
) -> TaskRanks | None:
    """Rank the methods of a task by their incumbents, within each repetition and at each cost.

    Incumbents whose losses agree after `rounded` share their averaged rank. Ranks begin at the
    smallest cost at which every method has an incumbent in every ranked repetition, so that their
    mean is over the same repetitions throughout, and run to the largest cost a ranked study
    reached; a study that ended earlier is held at its last incumbent. A finished study without one
    success is a result: it ranks last throughout, and delays nothing.

    Args:
        best: What `analysis.statistics.steps.incumbents` returned.
        facts: The task.
        blocks: The task's complete blocks.
        cost: One of `analysis.statistics.steps.COSTS`.
        measure: Rank by the incumbents' validation or test values.
        paired: Whether methods share their seeds within a repetition; otherwise every run is ranked among all runs of
            the other methods, see `run_ranks`.

    Returns:
        The ranks; ``None`` with fewer than two methods, without a complete repetition, or without any success.
    """
    if len(blocks.searchers) < 2 or not blocks.repetitions:
        return None
    every = study_steps(best, facts.label, cost, measure, blocks.searchers)
    runs = {
        (name, repetition): every[name, repetition]
        for repetition in blocks.repetitions
        for name in blocks.searchers
    }
    starts = [run.start for run in runs.values()]
    if np.isnan(starts).all():
        return None
    grid = union_grid(runs.values(), float(np.nanmax(starts)))
    values = [
        [facts.sign * runs[name, repetition].at(grid) for name in blocks.searchers]
        for repetition in blocks.repetitions
    ]
    # From the start on, NaN is left only where a study never has a success.
    losses = np.where(np.isnan(values), np.inf, values)
    ranks = rankdata(rounded(losses), axis=1) if paired else run_ranks(losses)
    steps = Steps(grid, ranks).simplified()
    return TaskRanks(facts.label, blocks.searchers, blocks.repetitions, steps)


def run_ranks(losses: Floats) -> Floats:
    r"""Return for each run of each method a number whose mean over runs is the method's expected rank.

    .. math:: Z_r(a) = 1 + \sum_{b \ne a} \bigl(P_s(b_s < a_r) + P_s(b_r < a_s) - P(b < a)\bigr)

    The second and third term have mean 0 beside the first: they carry how far the other methods' runs decide the rank,
    so that resampling rows gives the interval of a rank in which all runs are random. A single one is no rank.

    Args:
        losses: Shape ``(r, k, n)``: runs × methods × costs; infinite where there is no success.

    Returns:
        The same shape.

    Source: the projection of a U-statistic, W. Hoeffding, Annals of Mathematical Statistics 19 (1948).
    """
    values = rounded(losses)
    result = np.ones_like(values)
    for i in range(values.shape[1]):
        for j in range(values.shape[1]):
            if i != j:
                own, other = values[:, None, i], values[None, :, j]
                worse = (other < own) + 0.5 * (other == own)  # of run r of i against run s of j
                result[:, i] += worse.mean(axis=1) + worse.mean(axis=0) - worse.mean(axis=(0, 1))
    return result


def mean_ranks(ranks: TaskRanks, measure: Measure) -> pd.DataFrame:
    """Return the mean rank over the repetitions of one task, with an interval that resamples them.

    Returns:
        Rows by searcher and cost: measure, searcher, cost, mean, low, high, repetitions.
    """
    frame = _estimate(ranks.searchers, ranks.steps, measure)
    # Ends from ranks of runs that are not paired may lie beyond what a rank can be.
    ends = {name: frame[name].clip(1, len(ranks.searchers)) for name in ("low", "high")}
    return frame.assign(**ends, repetitions=len(ranks.repetitions))


def same_costs(tasks: Sequence[TaskRanks]) -> bool:
    """Whether the ranks of all tasks end at the same cost, so that absolute costs can be compared."""
    return len({ranks.steps.end for ranks in tasks}) <= 1


def mean_ranks_over_tasks(tasks: Sequence[TaskRanks], measure: Measure, *, fraction: bool) -> pd.DataFrame:
    """Return the mean over tasks of each task's mean rank, with an interval that resamples tasks.

    Ranks begin at the largest of the tasks' starts.

    Args:
        tasks: At least one, all of the same methods.
        measure: What the ranks rest on, copied to the result.
        fraction: Whether costs are taken as fractions of each task's own end, which is what tasks
            have in common where they do not end at the same cost.

    Returns:
        Rows by searcher and cost: measure, searcher, cost, mean, low, high, tasks. With one task the interval is NaN.

    Raises:
        ValueError: No task, or tasks of different methods.
    """
    if len({ranks.searchers for ranks in tasks}) != 1:
        raise ValueError("mean_ranks_over_tasks needs one or more tasks of the same methods")
    means = [
        Steps(ranks.steps.costs / (ranks.steps.end if fraction else 1.0), mean_of_repetitions(ranks))
        for ranks in tasks
    ]
    grid = union_grid(means, max(float(steps.costs[0]) for steps in means))
    stacked = Steps(grid, np.stack([steps.at(grid) for steps in means])).simplified()
    return _estimate(tasks[0].searchers, stacked, measure).assign(tasks=len(tasks))


def mean_of_repetitions(ranks: TaskRanks) -> Floats:
    """Return the mean ranks of a task, shape ``(k, n)``."""
    return np.asarray(ranks.steps.value.mean(axis=0), dtype=float)


def _estimate(searchers: Sequence[str], steps: Steps, measure: Measure) -> pd.DataFrame:
    """Return mean and interval over the first axis of steps of shape ``(units, k, n)``, by searcher."""
    estimate = np.stack(mean_interval(steps.value))
    parts = [
        curve_frame(measure, name, Steps(steps.costs, estimate[:, index]).simplified())
        for index, name in enumerate(searchers)
    ]
    return pd.concat(parts, ignore_index=True)
