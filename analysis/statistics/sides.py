"""What the two sides of a gate reached and cost, in pairs: a method on the same tasks, repetitions and seeds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd

from analysis.errors import AnalysisError
from analysis.statistics.bootstrap import Floats, mean_interval
from analysis.statistics.overhead import search_seconds
from analysis.statistics.percentiles import Yardstick
from analysis.statistics.steps import COST_OF_UNIT, Steps, usable_studies
from results.tables import SweepTables

SIDES = ("baseline", "candidate")

FRACTIONS: Floats = np.linspace(0, 1, 101)[1:]
"""Of the budget, where curves are read."""

ON_A_PAR = 0.5
"""The percentile of a random search, on average."""

ALL_TASKS = ""
"""In place of a task's name: the mean over all."""


def percentile_differences(
    baseline: SweepTables, candidate: SweepTables, searcher: str, sticks: Mapping[str, Yardstick]
) -> pd.DataFrame:
    """Return a method's percentiles among random searches on both sides, in pairs.

    By the best loss that it was told (validation), which is what a method searches by.

    Args:
        baseline: The sweep as one side ran it.
        candidate: As the other did.
        searcher: The method's label.
        sticks: Of every task; see `analysis.statistics.percentiles.yardsticks`.

    Returns:
        One row per task and repetition: ``task``, ``repetition``, ``baseline``, ``candidate`` and ``difference``, the
        latter minus the former.

    Raises:
        AnalysisError: A study finished on one side only, or on none.
    """

    def scores(tables: SweepTables) -> dict[tuple[str, int], float]:
        return {
            (task, repetition): float(sticks[task].percentile(run.value[-1]))
            for task, repetition, run in _runs(tables, searcher)
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


def percentile_curves(
    baseline: SweepTables, candidate: SweepTables, searcher: str, sticks: Mapping[str, Yardstick]
) -> pd.DataFrame:
    """Return both sides' mean percentiles over the budget, by task and over all tasks.

    After each evaluation the other searches have had as much of it; before the first one nobody has anything.

    Args:
        baseline: The sweep as one side ran it.
        candidate: As the other did.
        searcher: The method's label.
        sticks: Of every task.

    Returns:
        Rows by side, task and cost: ``task`` (`ALL_TASKS` first), ``side``, ``cost`` (a fraction of the budget),
        ``mean`` over repetitions with its 95 % bootstrap interval ``low`` and ``high`` (repetitions resampled, those of
        all tasks together for the mean over tasks).
    """
    frames = []
    for side, sweep in zip(SIDES, (baseline, candidate), strict=True):
        values: dict[str, dict[int, Floats]] = {}
        for task, repetition, run in _runs(sweep, searcher):
            end = float(sweep.tasks["budget_amount"].loc[task])
            spent = np.append(np.minimum(run.costs, end), end) / end
            curve = Steps(spent, sticks[task].percentile(np.append(run.value, run.value[-1]), spent)).at(
                FRACTIONS
            )
            values.setdefault(task, {})[repetition] = np.where(np.isnan(curve), ON_A_PAR, curve)
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


def _runs(tables: SweepTables, searcher: str) -> Iterator[tuple[str, int, Steps]]:
    """Yield task, repetition and the least loss so far over the budget's cost, of a method's finished studies."""
    studies = usable_studies(tables)
    wanted = studies.loc[studies["searcher"] == searcher, "study"]
    rows = tables.trials[tables.trials["study"].isin(wanted)].sort_values("step")
    for _, own in rows.groupby(["task", "repetition"], sort=True):
        task, repetition = str(own["task"].iloc[0]), int(own["repetition"].iloc[0])
        cost = COST_OF_UNIT[str(tables.tasks["budget_unit"].loc[task])]
        costs, losses = (own[name].to_numpy(dtype=float) for name in (cost, "loss"))
        yield task, repetition, Steps(costs, np.minimum.accumulate(losses))


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
