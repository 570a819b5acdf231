"""Where two sides of a gate propose something else: trial by trial, as they were told."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from results.tables import SweepTables

NOTHING = "nothing"
"""In place of a value where one side has no such parameter, or proposed nothing any more."""


@dataclass(frozen=True, slots=True)
class Parting:
    """Where the sides part first on a task.

    Attributes:
        task: Label.
        repetition: Its number, from 0: the first in which they part.
        trial: Number of the proposal in its study, from 1: the first that differs.
        parameter: The first parameter that differs, or ``epochs``.
        baseline: Its value there; `NOTHING` where it has none.
        candidate: Its value here.
    """

    task: str
    repetition: int
    trial: int
    parameter: str
    baseline: Any
    candidate: Any


@dataclass(frozen=True, slots=True)
class Proposals:
    """How far two sides agree.

    Attributes:
        compared: Proposals of either side, one of each under the same number counted once.
        equal: How many of these are the same on both.
        partings: Where they part first, one for each task on which they do, in the tasks' order.
    """

    compared: int
    equal: int
    partings: tuple[Parting, ...]

    @property
    def identical(self) -> bool:
        """Whether there are proposals, and all are the same."""
        return 0 < self.compared == self.equal


def compared(baseline: SweepTables, candidate: SweepTables) -> Proposals:
    """Compare the proposals of the same sweep with one searcher, as two sides ran it.

    Until the first that differs both sides knew the same; what comes after it follows from it.
    """
    name = ["task", "repetition", "step"]
    sides = [
        tables.trials.set_index(name)[["config", "epochs"]].astype({"epochs": object})
        for tables in (baseline, candidate)
    ]
    both = sides[0].add_suffix("_baseline").join(sides[1].add_suffix("_candidate"), how="outer")
    same = both["config_baseline"].eq(both["config_candidate"]) & both["epochs_baseline"].eq(
        both["epochs_candidate"]
    )
    rows = both[~same].reset_index().sort_values(name).drop_duplicates("task")
    first = {str(row["task"]): _parting(row) for row in rows.to_dict("records")}
    order = [str(task) for task in baseline.tasks.index]
    return Proposals(len(both), int(same.sum()), tuple(first[task] for task in order if task in first))


def _parting(row: Mapping[Any, Any]) -> Parting:
    one, other = (
        _proposal(row[f"config_{side}"], row[f"epochs_{side}"]) for side in ("baseline", "candidate")
    )
    differing = [key for key in {**one, **other} if one.get(key, NOTHING) != other.get(key, NOTHING)]
    # Texts that differ although no value does differ in the order of parameters, which no adapter decides.
    key = differing[0] if differing else "order of parameters"
    return Parting(
        task=str(row["task"]),
        repetition=int(row["repetition"]),
        trial=int(row["step"]),
        parameter=key,
        baseline=one.get(key, NOTHING),
        candidate=other.get(key, NOTHING),
    )


def _proposal(config: Any, epochs: Any) -> dict[str, Any]:
    return {} if pd.isna(config) else {**json.loads(config), "epochs": int(epochs)}
