"""How long the search itself takes: seconds of ask and tell over the length of the history."""

from __future__ import annotations

import numpy as np
import pandas as pd

from analysis.statistics.steps import usable_studies
from results.tables import SweepTables

POINTS = 60
"""History lengths at which times are given at most, evenly spaced in the logarithm."""


def search_seconds(tables: SweepTables) -> pd.DataFrame:
    """Return the search time of every evaluation of the finished studies.

    Returns:
        One row per evaluation: ``task``, ``searcher``, ``repetition``, ``history`` (evaluations told before it),
        ``seconds`` (of its ask and its tell, at least 0) and ``train`` (training seconds charged for it).
    """
    used = usable_studies(tables)["study"]
    rows = tables.trials[tables.trials["study"].isin(used)].sort_values(["study", "step"])
    study = rows["study"]
    seconds = rows["ask_seconds"] + rows["tell_seconds"]
    train = rows["train_seconds"] - rows["train_seconds"].groupby(study).shift(fill_value=0.0)
    result = rows[["task", "searcher", "repetition"]].assign(
        history=rows["step"] - 1, seconds=seconds.clip(lower=0.0), train=train.clip(lower=0.0)
    )
    return result.reset_index(drop=True)


def overhead_over_history(seconds: pd.DataFrame) -> pd.DataFrame:
    """Return the median search time of one evaluation over the length of the history, by method.

    Args:
        seconds: What `search_seconds` returned.

    Returns:
        Rows by searcher and history: ``searcher``, ``cost`` (evaluations told before, plus 1, so that it can be drawn
        on a log axis), ``mean`` (the median over tasks and repetitions), ``low`` and ``high`` (10 % and 90 %
        quantiles: a spread, not an interval), ``evaluations``. Histories in between are pooled where there
        are more than `POINTS`.
    """
    longest = int(seconds["history"].max()) + 1
    edges = np.unique(np.round(np.geomspace(1, longest + 1, POINTS)).astype(int))
    place = edges[np.searchsorted(edges, seconds["history"].to_numpy() + 1, side="right") - 1]
    groups = seconds.assign(cost=place).groupby(["searcher", "cost"], sort=True)["seconds"]
    parts = {"mean": 0.5, "low": 0.1, "high": 0.9}
    table = pd.DataFrame({name: groups.quantile(share) for name, share in parts.items()})
    return table.assign(evaluations=groups.size()).reset_index()


def overhead_shares(seconds: pd.DataFrame) -> pd.DataFrame:
    """Return by method the mean search seconds per evaluation and their share of all seconds.

    Returns:
        Columns ``searcher``, ``evaluations``, ``search_seconds`` and ``train_seconds`` (means per evaluation) and
        ``share`` (of the search in search and training together; NaN where nothing took any time).
    """
    groups = seconds.groupby("searcher", sort=True)
    table = groups[["seconds", "train"]].mean()
    total = groups[["seconds", "train"]].sum()
    whole = total["seconds"] + total["train"]
    return pd.DataFrame(
        {
            "searcher": table.index.astype(str),
            "evaluations": groups.size().to_numpy(),
            "search_seconds": table["seconds"].to_numpy(),
            "train_seconds": table["train"].to_numpy(),
            "share": (total["seconds"] / whole.where(whole > 0)).to_numpy(),
        }
    )
