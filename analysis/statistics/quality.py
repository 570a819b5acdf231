"""Final quality against what it cost: mean final value and seconds, and which methods are on the Pareto front."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.statistics.bootstrap import Floats, mean_interval
from analysis.statistics.comparison import Comparison
from analysis.statistics.curves import shown_singly
from analysis.statistics.inputs import Inputs

SECONDS = "total_seconds"
"""The cost: seconds of search and training."""


class Quality(NamedTuple):
    """Quality and cost of every method.

    Attributes:
        means: One row per method, cheapest first: ``searcher``, ``value`` with ``value_low`` and ``value_high``,
            ``seconds`` with ``seconds_low`` and ``seconds_high`` (NaN where there are too few units for an interval),
            ``units`` (how many they are means of) and ``front`` (whether it is on the Pareto front).
        units: The single repetitions or tasks of the methods that have too few for an interval: ``searcher``, ``unit``,
            ``value``, ``seconds``.
        absent: Methods without a mean value, because a repetition had no success.
    """

    means: pd.DataFrame
    units: pd.DataFrame
    absent: tuple[str, ...]


def pareto_front(costs: Floats, losses: Floats) -> NDArray[np.bool_]:
    """Return which points no other one dominates: none is as good in both and better in one.

    Args:
        costs: Smaller is better, shape ``(n,)``.
        losses: Smaller is better, shape ``(n,)``.

    Returns:
        Shape ``(n,)``; false where a number is not finite. Equal points are on the front together.

    Example:
        >>> pareto_front(np.array([1.0, 2.0, 3.0, 2.0]), np.array([5.0, 4.0, 4.0, 6.0])).tolist()
        [True, True, False, False]
    """
    there = np.isfinite(costs) & np.isfinite(losses)
    cost, loss = np.where(there, costs, np.inf), np.where(there, losses, np.inf)
    as_good = (cost[:, None] <= cost) & (loss[:, None] <= loss)
    better = (cost[:, None] < cost) | (loss[:, None] < loss)
    return np.asarray(there & ~(as_good & better).any(axis=0))


def quality_on_task(inputs: Inputs, task: str) -> Quality:
    """Return the final reported value and the seconds of every method on a task, means over finished repetitions."""
    facts = inputs.facts[task]
    finals = inputs.finals[inputs.finals["task"] == task]
    values, seconds, units, absent = {}, {}, {}, []
    for name, own in finals.groupby("searcher", sort=True):
        value = own[facts.reported].to_numpy(dtype=float)
        if not np.isfinite(value).all():
            absent.append(str(name))
            continue
        values[str(name)], seconds[str(name)] = value, own[SECONDS].to_numpy(dtype=float)
        units[str(name)] = [f"repetition {number}" for number in own["repetition"]]
    return _quality(values, seconds, units, tuple(absent), facts.sign)


def quality_over_tasks(inputs: Inputs, comparison: Comparison) -> Quality:
    """Return mean rank and mean seconds of a study by method, over the compared tasks' complete repetitions."""
    seconds: dict[str, list[float]] = {name: [] for name in comparison.searchers}
    for task, own in comparison.scores.items():
        finals = inputs.finals[
            (inputs.finals["task"] == task) & inputs.finals["repetition"].isin(own.repetitions)
        ]
        spent = finals.groupby("searcher")[SECONDS].mean()
        for name in comparison.searchers:
            seconds[name].append(float(spent[name]))
    ranks, tasks = comparison.final.ranks, list(comparison.scores)
    return _quality(
        {name: ranks[name].to_numpy(dtype=float) for name in comparison.searchers},
        {name: np.array(own) for name, own in seconds.items()},
        dict.fromkeys(seconds, tasks),
        (),
        1.0,
    )


def _quality(
    values: Mapping[str, Floats],
    seconds: Mapping[str, Floats],
    units: Mapping[str, list[str]],
    absent: tuple[str, ...],
    sign: float,
) -> Quality:
    """Return means with intervals of the values and seconds of each method's units, shape ``(n,)`` each."""
    rows, singles = [], []
    for name, own in values.items():
        value, spent = mean_interval(own), mean_interval(seconds[name])
        rows.append(
            {
                "searcher": name,
                "value": float(value.mean),
                "value_low": float(value.low),
                "value_high": float(value.high),
                "seconds": float(spent.mean),
                "seconds_low": float(spent.low),
                "seconds_high": float(spent.high),
                "units": own.size,
            }
        )
        if shown_singly(own.size):
            singles += [
                (name, unit, float(one), float(cost))
                for unit, one, cost in zip(units[name], own, seconds[name], strict=True)
            ]
    columns = [
        "searcher",
        "value",
        "value_low",
        "value_high",
        "seconds",
        "seconds_low",
        "seconds_high",
        "units",
    ]
    means = pd.DataFrame(rows, columns=columns)
    front = pareto_front(means["seconds"].to_numpy(dtype=float), sign * means["value"].to_numpy(dtype=float))
    means = means.assign(front=front).sort_values(["seconds", "searcher"], ignore_index=True)
    return Quality(means, pd.DataFrame(singles, columns=["searcher", "unit", "value", "seconds"]), absent)
