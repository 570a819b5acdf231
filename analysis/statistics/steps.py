"""Right-continuous step functions of cost, and the incumbents of a sweep's studies as such."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.errors import AnalysisError
from analysis.statistics.bootstrap import Floats
from analysis.statistics.tasks import Measure
from harness.plan import study_label
from harness.plurals import plural
from results.tables import SweepTables

COSTS = ("evaluations", "spent_epochs", "train_seconds", "total_seconds")
"""The cumulative costs that the curves of every sweep can be drawn over: columns of the trials table."""

SPENT_COST = "spent_cost"
"""The cost axis of budgets that are spent in it: deterministic, in the task's own cost unit."""

VIRTUAL_TIME = "virtual_time"
"""The cost axis of parallel studies: their deterministic clock, in the task's own cost unit."""

COST_OF_UNIT: Mapping[str, str] = {"evaluations": "evaluations", "epochs": "spent_epochs", "cost": SPENT_COST}
"""The cost in which a budget is spent, by the budget's unit."""

KEY = ["task", "searcher", "repetition"]
"""What names a study for people; unique within a sweep."""


@dataclass(frozen=True, slots=True, eq=False)
class Steps:
    """A right-continuous step function: ``value[..., j]`` from ``costs[j]`` on, NaN before ``costs[0]``.

    Args:
        costs: Shape ``(n,)``, n at least 1, ascending; where costs are equal the last one counts.
        value: Shape ``(..., n)``; NaN where undefined.
    """

    costs: Floats
    value: Floats

    def __post_init__(self) -> None:
        if self.costs.ndim != 1 or not self.costs.size or self.value.shape[-1:] != self.costs.shape:
            raise ValueError(
                f"Steps needs n >= 1 costs and values, got {self.costs.shape}, {self.value.shape}"
            )
        if not (np.diff(self.costs) >= 0).all():
            raise ValueError("Steps needs finite costs in ascending order")

    @property
    def start(self) -> float:
        """Cost at which a value is first defined; NaN if none ever is."""
        defined = np.isfinite(self.value).reshape(-1, self.costs.size).all(axis=0)
        return float(self.costs[defined.argmax()]) if defined.any() else float("nan")

    @property
    def end(self) -> float:
        """The last cost; beyond it the last value is held."""
        return float(self.costs[-1])

    def at(self, grid: Floats) -> Floats:
        """Return the values at the costs of a grid: shape ``(..., g)`` for a grid of shape ``(g,)``."""
        index = np.searchsorted(self.costs, grid, side="right") - 1
        return np.where(index >= 0, self.value[..., np.maximum(index, 0)], np.nan)

    def average(self, end: float, before: float) -> Floats:
        """Return the mean over costs from 0 to ``end``, shape ``(...)``, with a value to stand where none is defined.

        Args:
            end: Positive; the last value is held up to it, and what was found after it does not count.
            before: The value before the first defined one.
        """
        if not end > 0:
            raise ValueError(f"an average over costs needs a positive end, got {end}")
        edges = np.clip(np.concatenate([[0.0], self.costs, [max(end, self.end)]]), 0.0, end)
        held = np.concatenate([np.full((*self.value.shape[:-1], 1), np.nan), self.value], axis=-1)
        mean = (np.where(np.isnan(held), before, held) * np.diff(edges)).sum(axis=-1) / end
        return np.asarray(mean, dtype=float)

    def simplified(self) -> Steps:
        """Return the same function without the costs at which nothing changes; first and last cost stay."""
        last_of_equal = np.append(np.diff(self.costs) > 0, True)
        costs, values = self.costs[last_of_equal], self.value[..., last_of_equal]
        rows = values.reshape(-1, costs.size)
        same = (rows[:, 1:] == rows[:, :-1]) | (np.isnan(rows[:, 1:]) & np.isnan(rows[:, :-1]))
        keep = np.ones(costs.size, dtype=bool)
        keep[1:-1] = ~same.all(axis=0)[: costs.size - 2]
        return Steps(costs[keep], values[..., keep])


GRID_LIMIT = 300
"""Costs at which a drawn curve is evaluated at most: closer than these, steps cannot be told apart in print."""


def union_grid(runs: Iterable[Steps], start: float, limit: int = GRID_LIMIT) -> Floats:
    """Return the costs at which one of the runs finishes something, from ``start`` on, ascending.

    Where there are more than ``limit``, about that many of them are chosen, evenly spaced in the
    logarithm of cost (in cost where it is 0 somewhere), first and last included. What is read there is exact.
    """
    costs = np.unique(np.concatenate([run.costs for run in runs]))
    costs = costs[costs >= start]
    if costs.size <= limit:
        return costs
    space = np.geomspace if costs[0] > 0 else np.linspace
    # The last cost not beyond each place, so that a held value is never a later one.
    chosen = np.searchsorted(costs, space(costs[0], costs[-1], limit), side="right") - 1
    chosen[0], chosen[-1] = 0, costs.size - 1
    return costs[np.unique(chosen)]


def cost_axes(tables: SweepTables) -> tuple[str, ...]:
    """Return the costs to draw a sweep's curves over: `COSTS`, in which a budget is, and virtual time if parallel."""
    own = (SPENT_COST,) if (tables.tasks["budget_unit"] == "cost").any() else ()
    parallel = (VIRTUAL_TIME,) if (tables.studies["workers"] > 1).any() else ()
    return (*COSTS, *own, *parallel)


def cost_units(tables: SweepTables, cost: str, tasks: Iterable[str]) -> set[str]:
    """Return the units in which a cost is counted on some tasks: several where they are the tasks' own."""
    if cost not in (SPENT_COST, VIRTUAL_TIME):
        return {""}
    return set(tables.tasks.loc[list(tasks), "cost_unit"])


def primary_cost(tables: SweepTables, tasks: Sequence[str]) -> str:
    """Return the cost in which the tasks' budgets are counted; epochs where they differ."""
    units = set(tables.tasks.loc[list(tasks), "budget_unit"])
    return COST_OF_UNIT[units.pop()] if len(units) == 1 else COST_OF_UNIT["epochs"]


def distinct_costs(best: pd.DataFrame, costs: Sequence[str]) -> list[str]:
    """Return the costs worth drawing for these rows.

    A cost is left out that is 0 throughout, or a constant multiple of an earlier one: its curves
    would look the same.
    """
    kept: list[str] = []
    for cost in costs:
        own = best[cost].to_numpy(dtype=float)
        if own.size and own.max() > 0 and not any(_proportional(own, best[other]) for other in kept):
            kept.append(cost)
    return kept


def _proportional(values: Floats, others: pd.Series) -> bool:
    other = others.to_numpy(dtype=float)
    return bool(np.allclose(values * other.max(), other * values.max(), rtol=1e-9, atol=0))


def usable_studies(tables: SweepTables) -> pd.DataFrame:
    """Return the rows of ``tables.studies`` that results rest on: done, with at least one evaluation.

    A study that is still running is not among them: held at its last incumbent it would look like
    one that spent its budget and found nothing better.

    Raises:
        AnalysisError: A (task, searcher, repetition) is planned twice, or no evaluation was told yet.
    """
    twice = tables.studies[tables.studies.duplicated(KEY)]
    if not twice.empty:
        task, searcher, repetition = twice[KEY].iloc[0]
        raise AnalysisError(
            f"sweep {tables.name!r} has two studies of {study_label(searcher, task, repetition)}; "
            "studies are paired by task, searcher and repetition: give the searchers different labels"
        )
    if tables.trials.empty:
        raise AnalysisError(
            f"sweep {tables.name!r} has no evaluation to report yet "
            f"({plural(len(tables.studies), 'study planned', 'studies planned')}); run it first: `derby run SWEEP`"
        )
    usable = (tables.studies["state"] == "done") & tables.studies["study"].isin(
        tables.trials["study"].unique()
    )
    return tables.studies[usable].sort_values(KEY).reset_index(drop=True)


def unusable_studies(tables: SweepTables) -> pd.DataFrame:
    """Return the planned studies that no result rests on: task, searcher, repetition, state, reason, evaluations."""
    used = usable_studies(tables)["study"]
    rest = tables.studies[~tables.studies["study"].isin(used)]
    return rest[[*KEY, "state", "reason", "evaluations"]].sort_values(KEY).reset_index(drop=True)


def incumbents(tables: SweepTables) -> pd.DataFrame:
    """Return the incumbent after every evaluation of the finished studies.

    An evaluation is the incumbent from its finish on, until one with a strictly better validation
    value finishes. A failed evaluation (status other than ``ok``) costs and is never an incumbent.
    Evaluations compete with what they reached: where a trial was continued to more epochs and got
    worse, its shorter evaluation stays the incumbent.

    Returns:
        One row per told evaluation, sorted by task, searcher, repetition, step, with these columns, the
        costs that there are, ``validation`` (the incumbent's objective) and ``test`` (the test value of
        that same evaluation, which may get worse with time). Both are NaN before the first success.

    Raises:
        AnalysisError: See `usable_studies`.
    """
    used = usable_studies(tables)["study"]
    trials = tables.trials[tables.trials["study"].isin(used)]
    trials = trials.sort_values([*KEY, "step"]).reset_index(drop=True)
    minimised = (trials["task"].map(tables.tasks["direction"]) == "min").to_numpy()
    value = trials["value"].to_numpy(dtype=float)
    succeeded = (trials["status"] == "ok").to_numpy() & np.isfinite(value)
    loss = pd.Series(np.where(succeeded, np.where(minimised, value, -value), np.inf))
    study = trials["study"]
    before = loss.groupby(study).cummin().groupby(study).shift(fill_value=np.inf)
    improved = pd.Series(np.where(loss < before, np.arange(len(trials)), -1))
    row = improved.groupby(study).cummax().to_numpy()
    result = trials[[*KEY, "step", *COSTS, SPENT_COST, VIRTUAL_TIME]].copy()
    result["validation"] = np.where(row >= 0, value[row], np.nan)
    result["test"] = np.where(row >= 0, trials["test"].to_numpy(dtype=float)[row], np.nan)
    return result


def study_steps(
    best: pd.DataFrame, task: str, cost: str, measure: Measure, searchers: Sequence[str] | None = None
) -> dict[tuple[str, int], Steps]:
    """Return the incumbent's value as a step function of cost, by (searcher, repetition).

    Args:
        best: What `incumbents` returned: sorted by task, searcher, repetition and step.
        task: Label of the task.
        cost: One of `COSTS`.
        measure: Whose value.
        searchers: Only these; all of the task when ``None``.
    """
    rows = best.loc[best["task"] == task, ["searcher", "repetition", cost, measure]]
    if searchers is not None:
        rows = rows[rows["searcher"].isin(searchers)]
    first = np.flatnonzero(~rows.duplicated(["searcher", "repetition"]).to_numpy())
    names, numbers = rows["searcher"].iloc[first], rows["repetition"].iloc[first]
    parts = zip(
        np.split(rows[cost].to_numpy(dtype=float), first[1:]),
        np.split(rows[measure].to_numpy(dtype=float), first[1:]),
        strict=True,
    )
    return {
        (str(name), int(number)): Steps(costs, values)
        for name, number, (costs, values) in zip(names, numbers, parts, strict=False)
    }
