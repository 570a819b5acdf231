"""What failed and what is missing: evaluations by status, and planned studies by state."""

from __future__ import annotations

import pandas as pd

from analysis.statistics.steps import usable_studies
from harness.events import EXHAUSTED
from harness.trial import unit_in_words
from results.imports.origin import SHORTER
from results.tables import SweepTables

STATUSES = ("ok", "diverged", "crashed", "timeout")
"""How an evaluation can end."""


def failures(tables: SweepTables) -> pd.DataFrame:
    """Return how the evaluations of every planned method ended, unfinished studies included.

    Returns:
        One row per (task, method): ``task``, ``searcher``, one column per status, ``told`` (their sum), ``failed`` (all
        but ``ok``) and ``share`` (failed of told; NaN where nothing was told).
    """
    plan = tables.studies[["task", "searcher"]].drop_duplicates().sort_values(["task", "searcher"])
    trials = tables.trials
    counts = pd.crosstab([trials["task"], trials["searcher"]], trials["status"])
    counts = counts.reindex(pd.MultiIndex.from_frame(plan), fill_value=0)
    counts = counts.reindex(columns=list(STATUSES), fill_value=0).astype(int)
    counts["told"] = counts[list(STATUSES)].sum(axis=1)
    counts["failed"] = counts["told"] - counts["ok"]
    counts["share"] = counts["failed"] / counts["told"].where(counts["told"] > 0)
    counts.columns.name = None
    return counts.reset_index()


def failures_by_method(table: pd.DataFrame) -> pd.DataFrame:
    """Return `failures` summed over tasks, one row per method."""
    columns = [*STATUSES, "told", "failed"]
    sums = table.groupby("searcher", sort=True)[columns].sum()
    sums["share"] = sums["failed"] / sums["told"].where(sums["told"] > 0)
    return sums.reset_index()


def ended_short(tables: SweepTables) -> pd.DataFrame:
    """Return the methods whose studies ended with budget left, because they had nothing more to propose.

    Of imported results, those with runs that are shorter than their task's budget.

    Returns:
        One row per (task, method) that has such: ``task``, ``searcher``, ``repetitions`` (how many), ``low`` and
        ``high`` (the least and the most they spent), ``budget`` and its ``unit`` in words.
    """
    studies = tables.studies
    ended = studies[(studies["state"] == "done") & studies["reason"].isin([EXHAUSTED, SHORTER])]
    found = ended.groupby(["task", "searcher"], sort=True)["spent"].agg(["size", "min", "max"]).reset_index()
    found.columns = pd.Index(["task", "searcher", "repetitions", "low", "high"])
    about = tables.tasks[["budget_unit", "cost_unit"]].to_dict("index")
    units = {task: unit_in_words(row["budget_unit"], row["cost_unit"]) for task, row in about.items()}
    return found.assign(
        budget=found["task"].map(tables.tasks["budget_amount"]), unit=found["task"].map(units)
    )


def completeness(tables: SweepTables) -> pd.DataFrame:
    """Return what the sweep planned and what is finished, for every (task, method) that is planned anywhere.

    Returns:
        Columns ``task``, ``searcher``, ``planned``, ``finished`` and, of the rest, ``running``, ``failed`` and
        ``missing`` studies. A cell that was never planned has 0 planned.
    """
    plan = tables.studies
    used = plan["study"].isin(usable_studies(tables)["study"])
    # A study that is done and told nothing is of no use: it counts as missing.
    state = plan["state"].where(~used, "finished").replace("done", "missing")
    counts = pd.crosstab([plan["task"], plan["searcher"]], state)
    every = pd.MultiIndex.from_product(
        [sorted(plan["task"].unique()), sorted(plan["searcher"].unique())], names=["task", "searcher"]
    )
    states = ["finished", "running", "failed", "missing"]
    counts = counts.reindex(every, fill_value=0).reindex(columns=states, fill_value=0).astype(int)
    counts.insert(0, "planned", counts.sum(axis=1))
    counts.columns.name = None
    return counts.reset_index()
