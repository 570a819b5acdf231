"""What a race's winners on a recording were worth when they were trained for real."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
from scipy.stats import spearmanr

from analysis.statistics.bootstrap import mean_interval
from harness.plurals import plural


def by_method(winners: pd.DataFrame) -> pd.DataFrame:
    """Summarise confirmed winners of one recording by method.

    Args:
        winners: What `harness.confirm.confirmed` returned; losses, smaller is better.

    Returns:
        One row for each method, by its ``trained`` loss, best first: ``searcher``, ``winners`` (repetitions with one),
        the means over these of ``found`` (in the race), ``promised`` (by the replay, free of noise) and ``trained``
        (for real); ``difference``, ``low``, ``high``: the mean of trained minus found with its bootstrap interval
        over repetitions, positive where the race promised too much; NaN ends with fewer than five; and ``rank`` and
        ``trained_rank``, by the mean loss found and trained.
    """
    rows = []
    for searcher, group in winners.groupby("searcher"):
        estimate = mean_interval((group["trained"] - group["found"]).to_numpy(dtype=float))
        means = group[["found", "promised", "trained"]].mean()
        rows.append(
            {
                "searcher": searcher,
                "winners": len(group),
                **{name: float(value) for name, value in means.items()},
                "difference": float(estimate.mean),
                "low": float(estimate.low),
                "high": float(estimate.high),
            }
        )
    table = pd.DataFrame(rows)
    table["rank"] = table["found"].rank()
    table["trained_rank"] = table["trained"].rank()
    return table.sort_values(["trained", "searcher"], ignore_index=True)


def agreement(winners: pd.DataFrame) -> float | None:
    """Return Spearman's correlation of what winners were found with and what they gave, over all winners.

    ``None`` with fewer than three winners, or where all of one side are equal.
    """
    found, trained = (winners[name].to_numpy(dtype=float) for name in ("found", "trained"))
    if len(winners) < 3 or not np.ptp(found) or not np.ptp(trained):
        return None
    value = float(spearmanr(found, trained).statistic)
    return value if math.isfinite(value) else None


@dataclass(frozen=True, slots=True)
class Overall:
    """What all confirmed winners of a recording came to, in losses.

    Attributes:
        winners: How many there are.
        different: How many configurations they are: several methods may find the same.
        found: Mean loss in the race.
        trained: Mean loss trained for real.
        difference: Mean of trained less found, positive where the race promised too much.
        low: Lower end of its bootstrap interval, which resamples repetitions; NaN with fewer than five.
        high: Upper end.
        agreement: What `agreement` returns.
    """

    winners: int
    different: int
    found: float
    trained: float
    difference: float
    low: float
    high: float
    agreement: float | None


def overall(winners: pd.DataFrame) -> Overall:
    """Summarise all confirmed winners of one recording; the methods of a repetition may share winners and luck."""
    by_repetition = (winners["trained"] - winners["found"]).groupby(winners["repetition"]).mean()
    estimate = mean_interval(by_repetition.to_numpy(dtype=float))
    return Overall(
        winners=len(winners),
        different=len(winners[["config", "epochs"]].drop_duplicates()),
        found=float(winners["found"].mean()),
        trained=float(winners["trained"].mean()),
        difference=float((winners["trained"] - winners["found"]).mean()),
        low=float(estimate.low),
        high=float(estimate.high),
        agreement=agreement(winners),
    )


HEADER: Final = ("method", "winners", "found", "promised", "trained", "trained - found", "95 % interval")


def rows(methods: pd.DataFrame) -> list[tuple[str, ...]]:
    """Return what `by_method` returned as the cells of a table under `HEADER`."""
    return [
        (
            str(row["searcher"]),
            str(row["winners"]),
            *(f"{row[name]:.4g}" for name in ("found", "promised", "trained")),
            f"{row['difference']:+.2g}",
            f"{row['low']:+.2g} … {row['high']:+.2g}" if math.isfinite(row["low"]) else "from 5 winners",
        )
        for row in methods.to_dict("records")
    ]


def in_words(winners: pd.DataFrame) -> str:
    """Return what confirming came to, as a sentence."""
    said = overall(winners)
    ranks = (
        "too few or equal ones for a rank correlation"
        if said.agreement is None
        else f"rank correlation of found and trained {said.agreement:.2f}"
    )
    return (
        f"{plural(said.winners, 'winner')}, {said.different} of them different: trained for real they are "
        f"{abs(said.difference):.2g} {'worse' if said.difference > 0 else 'better'} in the mean than the race found "
        f"them; {ranks}"
    )


def joined(tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Return tables of several recordings as one, whose first column ``task`` is their label."""
    return pd.concat([table.assign(task=label) for label, table in tables.items()])[
        ["task", *next(iter(tables.values())).columns]
    ]
