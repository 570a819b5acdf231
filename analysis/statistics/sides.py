"""What the two sides of a gate reached and cost, in pairs: a method on the same tasks, repetitions and seeds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal

import numpy as np
import pandas as pd

from analysis.errors import AnalysisError
from analysis.statistics.bootstrap import Floats, mean_interval
from analysis.statistics.inputs import Inputs
from analysis.statistics.overhead import search_seconds
from analysis.statistics.scores import WORST, budget_of, regret_steps
from analysis.statistics.steps import Steps, study_steps
from results.tables import SweepTables

SIDES = ("baseline", "candidate")

Measure = Literal["final", "anytime"]
"""Regret at the end of the budget, or its mean over the budget."""

FRACTIONS: Floats = np.linspace(0, 1, 101)[1:]
"""Of the budget, where curves are read."""

ALL_TASKS = ""
"""In place of a task's name: the mean over all."""


def regret_differences(
    baseline: Inputs, candidate: Inputs, searcher: str, measure: Measure = "final"
) -> pd.DataFrame:
    """Return a method's normalised regret on both sides, in pairs.

    By the objective (validation), which is what a method searches by; within 0, the best known value, and 1, the
    task's reference.

    Args:
        baseline: The sweep as one side ran it.
        candidate: As the other did.
        searcher: The method's label.
        measure: At the end of the budget, or on average over it.

    Returns:
        One row per task and repetition: ``task``, ``repetition``, ``baseline``, ``candidate`` and ``difference``, the
        latter minus the former.

    Raises:
        AnalysisError: A study finished on one side only, or on none, or a task declares no references.
    """

    def scores(inputs: Inputs) -> dict[tuple[str, int], float]:
        return {
            (task, repetition): float(run.value[-1] if measure == "final" else run.average(end, WORST))
            for task, repetition, run, end in _runs(inputs, searcher)
        }

    pairs = _paired(scores(baseline), scores(candidate), searcher)
    return pairs.assign(difference=pairs["candidate"] - pairs["baseline"])


def second_ratios(baseline: SweepTables, candidate: SweepTables, searcher: str) -> pd.DataFrame:
    """Return a method's seconds of ask and tell per study on both sides, in pairs.

    Args:
        baseline: The sweep as one side ran it.
        candidate: As the other did, at the same time on the same machine.
        searcher: The method's label.

    Returns:
        One row per task and repetition: ``task``, ``repetition``, ``baseline``, ``candidate`` and ``ratio``, the latter
        divided by the former.

    Raises:
        AnalysisError: A study finished on one side only, or on none.
    """

    def seconds(tables: SweepTables) -> dict[tuple[str, int], float]:
        rows = search_seconds(tables)
        sums = (
            rows[rows["searcher"] == searcher].groupby(["task", "repetition"])["seconds"].sum().reset_index()
        )
        keys = zip(sums["task"].astype(str), sums["repetition"].astype(int), strict=True)
        return dict(zip(keys, sums["seconds"].astype(float), strict=True))

    pairs = _paired(seconds(baseline), seconds(candidate), searcher)
    return pairs.assign(ratio=pairs["candidate"] / pairs["baseline"])


def regret_curves(baseline: Inputs, candidate: Inputs, searcher: str) -> pd.DataFrame:
    """Return both sides' mean normalised regret over the budget, by task and over all tasks.

    Args:
        baseline: The sweep as one side ran it.
        candidate: As the other did.
        searcher: The method's label.

    Returns:
        Rows by side, task and cost: ``task`` (`ALL_TASKS` first), ``side``, ``cost`` (a fraction of the budget),
        ``mean`` over repetitions with its 95 % bootstrap interval ``low`` and ``high`` (repetitions resampled, those of
        all tasks together for the mean over tasks).
    """
    frames = []
    for side, inputs in zip(SIDES, (baseline, candidate), strict=True):
        values: dict[str, dict[int, Floats]] = {}
        for task, repetition, run, end in _runs(inputs, searcher):
            curve = run.at(FRACTIONS * end)
            values.setdefault(task, {})[repetition] = np.where(np.isnan(curve), WORST, curve)
        tables = {task: np.stack([own[number] for number in sorted(own)]) for task, own in values.items()}
        for task, table in {ALL_TASKS: np.mean(list(tables.values()), axis=0), **tables}.items():
            estimate = mean_interval(table)
            frames.append(
                pd.DataFrame(
                    {"task": task, "side": side, "cost": FRACTIONS}
                    | dict(zip(("mean", "low", "high"), estimate, strict=True))
                )
            )
    return pd.concat(frames, ignore_index=True)


def _runs(inputs: Inputs, searcher: str) -> Iterator[tuple[str, int, Steps, float]]:
    """Yield task, repetition, regret within 0 and 1 as steps, and the task's budget, of a method's finished studies."""
    for task, facts in inputs.facts.items():
        if facts.references is None:
            raise AnalysisError(
                f"task {task!r} declares no references, so its regret has no unit that a gate's margin could "
                "be in; gate on recordings, or give the task a `regret`"
            )
        if task not in inputs.by_task:
            continue
        cost, end = budget_of(inputs, task)
        runs = study_steps(inputs.by_task[task], task, cost, "validation", [searcher])
        for (_, repetition), run in runs.items():
            regret = regret_steps(run, facts.references)
            yield task, repetition, Steps(regret.costs, np.maximum(regret.value, 0.0)), end


def _paired(
    baseline: Mapping[tuple[str, int], float], candidate: Mapping[tuple[str, int], float], searcher: str
) -> pd.DataFrame:
    """Return the values of both sides by task and repetition."""
    alone = sorted(set(baseline) ^ set(candidate))
    if alone or not baseline:
        where = (
            f"{alone[0][0]!r}, repetition {alone[0][1]}, is finished in the "
            f"{SIDES[alone[0] in candidate]} only"
            if alone
            else "no study is finished"
        )
        raise AnalysisError(
            f"a gate compares pairs, but of {searcher!r} {where}; run both sides to the end first"
        )
    keys = sorted(baseline)
    return pd.DataFrame(
        {
            "task": [task for task, _ in keys],
            "repetition": [repetition for _, repetition in keys],
            "baseline": [baseline[key] for key in keys],
            "candidate": [candidate[key] for key in keys],
        }
    )
