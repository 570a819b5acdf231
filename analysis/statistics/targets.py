"""How soon targets are reached: expected running time, ECDF over targets, speed-up over random search."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from analysis.statistics.bootstrap import (
    RESAMPLES,
    SEED,
    Floats,
    product,
    stratified_interval,
    stratified_weights,
)
from analysis.statistics.inputs import Inputs
from analysis.statistics.scores import budget_of, regret_steps
from analysis.statistics.steps import Steps, study_steps
from analysis.statistics.tasks import TaskFacts

TARGETS: Floats = np.round(np.geomspace(1.0, 0.01, 41)[1:], 6)
"""Targets of normalised regret, fixed for all sweeps: 40 values from 0.89 to 0.01, evenly spaced in the logarithm."""

ERT_TARGETS = (0.5, 0.2, 0.1, 0.05, 0.02, 0.01)
"""Targets of normalised regret that the table of expected running times lists."""

BASELINE = "random"
"""The method that speed-ups are relative to."""


def first_hits(run: Steps, targets: Floats) -> Floats:
    """Return the cost at which a run's value is first at or below each target; infinite where it never is.

    Args:
        run: Values smaller-is-better, shape ``(n,)``; NaN before the first.
        targets: Shape ``(t,)``.

    Returns:
        Shape ``(t,)``.
    """
    lowest = np.fmin.accumulate(np.where(np.isnan(run.value), np.inf, run.value))
    # The lowest value so far never rises: its reverse is sorted.
    index = lowest.size - np.searchsorted(lowest[::-1], targets, side="right")
    return np.where(index < lowest.size, run.costs[np.minimum(index, lowest.size - 1)], np.inf)


def target_hits(best: pd.DataFrame, facts: TaskFacts, cost: str, targets: Floats = TARGETS) -> pd.DataFrame:
    """Return when every finished run of a task first reached each target of normalised regret.

    By the objective (validation), which is what a method searches by.

    Args:
        best: What `analysis.statistics.steps.incumbents` returned.
        facts: The task; it must declare references.
        cost: One of `analysis.statistics.steps.COSTS`.
        targets: Normalised regrets.

    Returns:
        Columns ``searcher``, ``repetition``, ``target``, ``cost`` (infinite if never reached) and ``spent`` (the run's
        own final cost); empty where the task declares no references.
    """
    columns = ["searcher", "repetition", "target", "cost", "spent"]
    if facts.references is None:
        return pd.DataFrame(columns=columns)
    runs = study_steps(best, facts.label, cost, "validation")
    if not runs:
        return pd.DataFrame(columns=columns)
    hits = [first_hits(regret_steps(run, facts.references), targets) for run in runs.values()]
    count = targets.size
    return pd.DataFrame(
        {
            "searcher": np.repeat([name for name, _ in runs], count),
            "repetition": np.repeat([number for _, number in runs], count),
            "target": np.tile(targets, len(runs)),
            "cost": np.concatenate(hits),
            "spent": np.repeat([run.end for run in runs.values()], count),
        }
    )


def running_times(inputs: Inputs, cost: str) -> pd.DataFrame:
    """Return the expected running time of every method to every target of `ERT_TARGETS`, by task.

    It is what all runs spent until they reached the target, or in all, divided by how many reached it.

    Source: N. Hansen et al., "COCO", Optimization Methods and Software 36 (2021), after A. Auger and N. Hansen (2005).

    Returns:
        Columns ``task``, ``searcher``, ``target``, ``runs``, ``successes``, ``ert`` (infinite without a success); only
        tasks that declare references.
    """
    parts = []
    for task, facts in inputs.facts.items():
        best = inputs.by_task.get(task, inputs.best.iloc[:0])
        hits = target_hits(best, facts, cost, np.array(ERT_TARGETS))
        if hits.empty:
            continue
        hits = hits.assign(reached=np.isfinite(hits["cost"]), used=hits[["cost", "spent"]].min(axis=1))
        groups = hits.groupby(["searcher", "target"], sort=True)
        table = groups.agg(runs=("used", "size"), successes=("reached", "sum"), used=("used", "sum"))
        ert = table["used"] / table["successes"].where(table["successes"] > 0)
        parts.append(table.assign(ert=ert.fillna(math.inf), task=task).reset_index())
    columns = ["task", "searcher", "target", "runs", "successes", "ert"]
    if not parts:
        return pd.DataFrame(columns=columns)
    frame = pd.concat(parts, ignore_index=True)[columns]
    return frame.sort_values(["task", "target", "searcher"], ascending=[True, False, True], ignore_index=True)


def target_ecdf(
    inputs: Inputs, cost: str, *, fraction: bool, resamples: int = RESAMPLES, seed: int = SEED
) -> pd.DataFrame:
    """Return, for every method, the share of (task, target, run) reached, over cost.

    Over the tasks that all compared methods finished and that declare references, in their complete
    repetitions. Every task has the same weight.

    Args:
        inputs: The sweep.
        cost: One of `analysis.statistics.steps.COSTS`.
        fraction: Whether costs are fractions of each task's budget, for a cost in which it is counted, or else of
            the largest final cost on the task.
        resamples: Number of resamples, of repetitions inside tasks.
        seed: Of the draws.

    Returns:
        Rows by searcher and cost: ``searcher``, ``cost``, ``mean``, ``low``, ``high``, ``tasks``; empty without such a
        task.
    """
    tables: list[dict[str, Floats]] = []
    ends = []
    for task, blocks in inputs.field.tasks.items():
        hits = target_hits(inputs.by_task.get(task, inputs.best.iloc[:0]), inputs.facts[task], cost)
        hits = hits[hits["repetition"].isin(blocks.repetitions)]
        if hits.empty:
            continue
        unit, amount = budget_of(inputs, task)
        end = amount if unit == cost else float(hits["spent"].max())
        scale = end if fraction else 1.0
        ends.append(end / scale)
        tables.append(
            {
                str(name): group.sort_values(["repetition", "target"])["cost"]
                .to_numpy(dtype=float)
                .reshape(len(blocks.repetitions), -1)
                / scale
                for name, group in hits.groupby("searcher")
            }
        )
    if not tables:
        return pd.DataFrame(columns=["searcher", "cost", "mean", "low", "high", "tasks"])
    every = np.concatenate([table.ravel() for own in tables for table in own.values()])
    grid = np.unique(np.append(every[np.isfinite(every)], max(ends)))
    if grid.size > 200:
        grid = np.geomspace(max(float(grid[0]), 1e-9), float(grid[-1]), 200)
    sizes = [next(iter(own.values())).shape[0] for own in tables]
    weights = stratified_weights(sizes, resamples=resamples, seed=seed)
    frames = []
    for name in inputs.field.searchers:
        reached = [
            np.stack([np.searchsorted(np.sort(row), grid, side="right") / row.size for row in own[name]])
            for own in tables
        ]
        mean = np.mean([table.mean(axis=0) for table in reached], axis=0)
        resampled = np.mean([product(w, table) for w, table in zip(weights, reached, strict=True)], axis=0)
        low, high = stratified_interval(mean, resampled, sizes, inside=(0.0, 1.0))
        frames.append(pd.DataFrame({"searcher": name, "cost": grid, "mean": mean, "low": low, "high": high}))
    return pd.concat(frames, ignore_index=True).assign(tasks=len(tables))


def speed_up(inputs: Inputs, cost: str, baseline: str = BASELINE) -> pd.DataFrame:
    """Return how much sooner than the baseline each method reaches what the baseline ends with, by task.

    The level of a task is the median of the baseline's final objective over its finished runs. A run's
    speed-up is the baseline's median cost until the end of its runs, divided by the cost at which the run
    first reaches the level. A run that never does is censored: its speed-up is below the baseline's cost
    divided by the run's own final cost.

    Args:
        inputs: The sweep.
        cost: One of `analysis.statistics.steps.COSTS`.
        baseline: The method to be relative to.

    Returns:
        One row per (task, method), the baseline left out: ``task``, ``searcher``, ``level``, ``runs``, ``reached``,
        ``speed_up`` (median over runs; an upper bound where ``censored``), ``low`` and ``high`` (quartiles, NaN where
        they are not known) and ``censored`` (half of the runs or more did not reach the level). Empty without
        the baseline.
    """
    rows = []
    for task, facts in inputs.facts.items():
        own = inputs.by_task.get(task, inputs.best.iloc[:0])
        runs = study_steps(own, task, cost, "validation")
        base = [run for (name, _), run in runs.items() if name == baseline]
        finals = np.array([facts.sign * run.value[-1] for run in base])
        if not base or np.isnan(finals).any():
            continue
        # The lower of the two middle values, so that half of the baseline's runs reach it.
        level = float(np.sort(finals)[(finals.size - 1) // 2])
        whole = float(np.median([run.end for run in base]))
        if not whole > 0:
            continue
        for searcher in sorted({name for name, _ in runs} - {baseline}):
            mine = [run for (name, _), run in runs.items() if name == searcher]
            hits = np.array(
                [first_hits(Steps(r.costs, facts.sign * r.value), np.array([level]))[0] for r in mine]
            )
            reached = np.isfinite(hits)
            cutoff = np.array([run.end for run in mine])
            ratios = whole / np.where(reached, hits, cutoff)
            # Censored runs are slower than every run that reached the level.
            order = np.sort(np.where(reached, ratios, -np.inf))
            median = float(order[order.size // 2])
            censored = math.isinf(median)
            low, high = (
                (math.nan, math.nan)
                if censored
                else (float(order[order.size // 4]), float(order[(3 * order.size) // 4]))
            )
            rows.append(
                {
                    "task": task,
                    "searcher": searcher,
                    "level": facts.sign * level,
                    "runs": len(mine),
                    "reached": int(reached.sum()),
                    "speed_up": float(np.median(ratios[~reached])) if censored else median,
                    "low": math.nan if math.isinf(low) else low,
                    "high": high,
                    "censored": censored,
                }
            )
    columns = ["task", "searcher", "level", "runs", "reached", "speed_up", "low", "high", "censored"]
    return pd.DataFrame(rows, columns=columns)


def baseline_of(inputs: Inputs) -> str | None:
    """Return the label of the sweep's random search, the first by name; ``None`` if it has none."""
    studies = inputs.tables.studies
    labels = sorted(set(studies.loc[studies["method"] == BASELINE, "searcher"]))
    return str(labels[0]) if labels else None
