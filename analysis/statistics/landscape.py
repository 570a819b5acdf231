"""What a task looks like to a search: how its values spread over configurations, and how far seeds change them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.statistics.bootstrap import Floats
from results.tables import SweepTables

QUANTILES: Mapping[str, float] = {
    "best": 0.0,
    "best 1 %": 0.01,
    "best 10 %": 0.1,
    "median": 0.5,
    "worst 10 %": 0.9,
    "worst": 1.0,
}
"""Parts of the sample, best first."""


@dataclass(frozen=True, slots=True, eq=False)
class Landscape:
    """A task as a sample of its configurations shows it.

    Attributes:
        sample: Whose evaluations these are: methods that draw at random, or all where there are none.
        random: Whether they are drawn at random.
        evaluations: How many there are at full fidelity, failures among them.
        failed: How many of them failed.
        sorted_values: The objective of the others, best first.
        quantiles: Of these, by the names of `QUANTILES`; empty where there is none.
        seeds: Configurations that were evaluated with two or more training seeds.
        noise: The median over these of the standard deviation over seeds; NaN where there is none.
    """

    sample: tuple[str, ...]
    random: bool
    evaluations: int
    failed: int
    sorted_values: Floats
    quantiles: Mapping[str, float]
    seeds: int
    noise: float


def landscape(tables: SweepTables, task: str) -> Landscape:
    """Return what the evaluations of a task at full fidelity say of it; one that studies share counts once."""
    facts = tables.tasks.loc[task]
    rows = tables.trials[tables.trials["task"] == task]
    full = rows[(rows["epochs"] == facts["full_epochs"]) | (rows["status"] != "ok")]
    methods = dict(zip(tables.studies["searcher"], tables.studies["method"], strict=True))
    drawn = tuple(
        sorted(name for name in set(full["searcher"]) if methods.get(name) in ("random", "hyperopt_random"))
    )
    own = full[full["searcher"].isin(drawn)] if drawn else full
    own = _distinct(own)
    ok = own["status"] == "ok"
    values = np.sort(own.loc[ok, "value"].to_numpy(dtype=float))
    if facts["direction"] == "max":
        values = values[::-1]
    places = {name: min(int(part * values.size), values.size - 1) for name, part in QUANTILES.items()}
    seeds = _distinct(full[full["status"] == "ok"]).groupby("config")["value"].agg(["size", "std"])
    seeds = seeds[seeds["size"] > 1]
    return Landscape(
        sample=drawn or tuple(sorted(set(full["searcher"].astype(str)))),
        random=bool(drawn),
        evaluations=len(own),
        failed=int((~ok).sum()),
        sorted_values=values,
        quantiles={name: float(values[place]) for name, place in places.items()} if values.size else {},
        seeds=len(seeds),
        noise=float(seeds["std"].median()) if len(seeds) else float("nan"),
    )


def _distinct(rows: pd.DataFrame) -> pd.DataFrame:
    """Return one row per evaluation: where there is no id, by configuration and repetition."""
    key = ["evaluation"] if "evaluation" in rows else ["config", "repetition"]
    return rows.drop_duplicates(key)
