"""Mean incumbent curves of each method on a task, and the final results they end in."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from analysis.statistics.bootstrap import FEWEST_UNITS, mean_interval
from analysis.statistics.moments import sd
from analysis.statistics.steps import COSTS, KEY, SPENT_COST, Steps, study_steps, union_grid, usable_studies
from analysis.statistics.tasks import Measure
from results.tables import SweepTables

CURVE_COLUMNS = ["measure", "searcher", "cost", "mean", "low", "high", "repetitions"]
UNIT_COLUMNS = ["measure", "searcher", "unit", "cost", "value"]


def mean_steps(runs: Sequence[Steps]) -> Steps | None:
    """Return the mean of several runs with its interval, as one step function.

    It starts where every run has a value and ends at the largest cost any run reached; a run that
    ended earlier is held at its last value. Its costs are the union of the runs' own, without
    those at which nothing changes: nothing is interpolated.

    Args:
        runs: The repetitions, at least one, with value of shape ``(n,)``.

    Returns:
        Steps with value of shape ``(3, n)``: mean, low end, high end; ``None`` if a run never has a value.
    """
    starts = [run.start for run in runs]
    if not np.isfinite(starts).all():
        return None
    grid = union_grid(runs, max(starts))
    estimate = mean_interval(np.stack([run.at(grid) for run in runs]))
    return Steps(grid, np.stack(estimate)).simplified()


def mean_curves(best: pd.DataFrame, task: str, cost: str, measure: Measure) -> pd.DataFrame:
    """Return the mean incumbent curve of every method on a task; each depends on its own runs only.

    Args:
        best: What `analysis.statistics.steps.incumbents` returned.
        task: Label of the task.
        cost: One of `analysis.statistics.steps.COSTS`.
        measure: Value of the incumbent's objective, or of its test companion.

    Returns:
        Rows sorted by searcher and cost with the columns of `CURVE_COLUMNS`; ``mean`` holds from ``cost``
        to the next row's. A method with a repetition that never succeeded has no mean and no rows.
    """
    runs = study_steps(best, task, cost, measure)
    parts = []
    for searcher in sorted({searcher for searcher, _ in runs}):
        own = [steps for (name, _), steps in runs.items() if name == searcher]
        mean = mean_steps(own)
        if mean is not None:
            parts.append(curve_frame(measure, searcher, mean).assign(repetitions=len(own)))
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=CURVE_COLUMNS)


def shown_singly(count: int) -> bool:
    """Whether so many repetitions or tasks are shown one by one: several, and too few for an interval."""
    return 1 < count < FEWEST_UNITS


def single_curves(best: pd.DataFrame, task: str, cost: str, measure: Measure) -> pd.DataFrame:
    """Return the incumbent curve of every repetition of the methods that have too few of them for an interval.

    Arguments as for `mean_curves`; those without a mean have no rows here either.

    Returns:
        Rows sorted by searcher, repetition and cost with the columns of `UNIT_COLUMNS`; ``value`` holds from
        ``cost`` to the next row's.
    """
    runs = study_steps(best, task, cost, measure)
    parts = []
    for searcher in sorted({searcher for searcher, _ in runs}):
        own = {f"repetition {r}": steps for (name, r), steps in runs.items() if name == searcher}
        if shown_singly(len(own)) and all(np.isfinite(steps.start) for steps in own.values()):
            parts += [unit_frame(measure, searcher, unit, steps) for unit, steps in own.items()]
    return units_of(parts)


def unit_frame(measure: Measure, searcher: str, unit: str, steps: Steps) -> pd.DataFrame:
    """Return one repetition's or task's steps, value of shape ``(n,)``, as rows of `UNIT_COLUMNS`."""
    simple = steps.simplified()
    there = np.isfinite(simple.value)
    columns = {"measure": measure, "searcher": searcher, "unit": unit}
    return pd.DataFrame({**columns, "cost": simple.costs[there], "value": simple.value[there]})


def units_of(parts: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Return the rows of several `unit_frame` as one table, also of none."""
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=UNIT_COLUMNS)


def curve_frame(measure: Measure, searcher: str, steps: Steps) -> pd.DataFrame:
    """Return steps of values ``(mean, low, high)`` as rows of measure, searcher, cost, mean, low, high."""
    mean, low, high = steps.value
    return pd.DataFrame(
        {
            "measure": measure,
            "searcher": searcher,
            "cost": steps.costs,
            "mean": mean,
            "low": low,
            "high": high,
        }
    )


def never_succeeded(best: pd.DataFrame) -> pd.DataFrame:
    """Return task, searcher and repetition of the finished studies without one successful evaluation."""
    last = best.groupby(KEY, sort=True)["validation"].last().reset_index()
    return last.loc[last["validation"].isna(), KEY].reset_index(drop=True)


def final_values(tables: SweepTables, best: pd.DataFrame) -> pd.DataFrame:
    """Return where every finished study ended, one row each.

    An evaluation finishes before the searcher is told of it, so the last point of a study on the axis
    ``total_seconds`` lacks the last tell. What a study cost in all does not: here ``total_seconds`` is its training
    seconds and the seconds of every ask and tell.

    Returns:
        Rows sorted by task, searcher, repetition, with these columns, the final costs of `COSTS`, ``spent_cost``, and
        ``validation`` and ``test`` of the final incumbent (NaN without one).
    """
    last = best.sort_values([*KEY, "step"]).drop_duplicates(KEY, keep="last")
    last = last[[*KEY, *COSTS, SPENT_COST, "validation", "test"]].reset_index(drop=True)
    trials = tables.trials.sort_values([*KEY, "step"])
    search = (trials["ask_seconds"] + trials["tell_seconds"]).groupby([trials[key] for key in KEY]).sum()
    own = search.reindex(pd.MultiIndex.from_frame(last[KEY])).to_numpy(dtype=float)
    return last.assign(total_seconds=last["train_seconds"] + own)


def final_results(tables: SweepTables, best: pd.DataFrame) -> pd.DataFrame:
    """Return the final result of every planned (task, method), best mean validation value first in each task.

    Returns:
        Columns ``task``, ``searcher``, ``planned`` and ``repetitions`` (finished), ``unsuccessful`` (finished
        without a success), ``validation``, ``validation_sd``, ``validation_low``, ``validation_high``, the same
        four for ``test``, and the mean final costs of `COSTS` and ``spent_cost`` per repetition. A value's mean is over
        all finished repetitions, so it is NaN where one of them has none.
    """
    finals = final_values(tables, best)
    used = usable_studies(tables)
    rows = []
    for (task, searcher), plan in tables.studies.groupby(["task", "searcher"], sort=True):
        own = finals[(finals["task"] == task) & (finals["searcher"] == searcher)]
        row: dict[str, object] = {
            "task": task,
            "searcher": searcher,
            "planned": len(plan),
            "repetitions": int(used["study"].isin(plan["study"]).sum()),
            "unsuccessful": int(own["validation"].isna().sum()),
        }
        for measure in ("validation", "test"):
            values = own[measure].to_numpy(dtype=float) if len(own) else np.array([np.nan])
            estimate = mean_interval(values)
            row[measure] = float(estimate.mean)
            spread = len(values) > 1 and np.isfinite(values).all()
            row[f"{measure}_sd"] = sd(values) if spread else np.nan
            row[f"{measure}_low"], row[f"{measure}_high"] = float(estimate.low), float(estimate.high)
        row |= {cost: float(own[cost].mean()) for cost in (*COSTS, SPENT_COST)}
        rows.append(row)
    result = pd.DataFrame(rows)
    sign = np.where(result["task"].map(tables.tasks["direction"]) == "min", 1.0, -1.0)
    order = pd.DataFrame(
        {"task": result["task"], "loss": sign * result["validation"], "searcher": result["searcher"]}
    )
    return result.loc[order.sort_values(["task", "loss", "searcher"], na_position="last").index].reset_index(
        drop=True
    )
