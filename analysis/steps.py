"""Right-continuous step functions of cost, and the incumbents of a sweep's studies as such."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.bootstrap import Floats
from analysis.errors import AnalysisError
from analysis.facts import Measure
from results.tables import SweepTables

COSTS = ("evaluations", "spent_epochs", "train_seconds", "total_seconds")
"""The cumulative costs a curve can be drawn over: columns of the trials table."""

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

    def simplified(self) -> Steps:
        """Return the same function without the costs at which nothing changes; first and last cost stay."""
        last_of_equal = np.append(np.diff(self.costs) > 0, True)
        costs, values = self.costs[last_of_equal], self.value[..., last_of_equal]
        rows = values.reshape(-1, costs.size)
        same = (rows[:, 1:] == rows[:, :-1]) | (np.isnan(rows[:, 1:]) & np.isnan(rows[:, :-1]))
        keep = np.ones(costs.size, dtype=bool)
        keep[1:-1] = ~same.all(axis=0)[: costs.size - 2]
        return Steps(costs[keep], values[..., keep])


def union_grid(runs: Iterable[Steps], start: float) -> Floats:
    """Return every cost at which one of the runs finishes something, from ``start`` on, ascending."""
    costs = np.unique(np.concatenate([run.costs for run in runs]))
    return costs[costs >= start]


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
            f"sweep {tables.name!r} has two studies of {searcher} on {task}, repetition {repetition}; "
            "studies are paired by task, searcher and repetition: give the searchers different labels"
        )
    if tables.trials.empty:
        raise AnalysisError(
            f"sweep {tables.name!r} has no evaluation to report yet ({len(tables.studies)} studies planned); "
            "run it first: `derby run SWEEP`"
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
        costs of `COSTS`, ``validation`` (the incumbent's objective) and ``test`` (the test value of
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
    result = trials[[*KEY, "step", *COSTS]].copy()
    result["validation"] = np.where(row >= 0, value[row], np.nan)
    result["test"] = np.where(row >= 0, trials["test"].to_numpy(dtype=float)[row], np.nan)
    return result


def study_steps(
    best: pd.DataFrame, task: str, cost: str, measure: Measure, searchers: Sequence[str] | None = None
) -> dict[tuple[str, int], Steps]:
    """Return the incumbent's value as a step function of cost, by (searcher, repetition).

    Args:
        best: What `incumbents` returned.
        task: Label of the task.
        cost: One of `COSTS`.
        measure: Whose value.
        searchers: Only these; all of the task when ``None``.
    """
    rows = best[best["task"] == task]
    if searchers is not None:
        rows = rows[rows["searcher"].isin(searchers)]
    groups = rows.sort_values(["searcher", "repetition", "step"]).groupby(
        ["searcher", "repetition"], sort=True
    )
    return {
        (str(group["searcher"].iloc[0]), int(group["repetition"].iloc[0])): Steps(
            group[cost].to_numpy(dtype=float), group[measure].to_numpy(dtype=float)
        )
        for _, group in groups
    }
