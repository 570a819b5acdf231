"""Baselines on the page of a report, as rows and in words: what they are, and what methods are worth beside them."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd

from analysis.figures.guides import label_of
from analysis.statistics.bootstrap import FEWEST_UNITS
from analysis.statistics.comparison import Comparison
from analysis.words import listed, number
from harness.plurals import plural


def baseline_rows(lines: pd.DataFrame, task: str) -> list[dict[str, Any]]:
    """Return the baselines of a task as text.

    Args:
        lines: What `analysis.statistics.baselines.baseline_lines` returned.
        task: Label of the task.
    """
    return [
        {
            "label": label_of(str(row["baseline"])),
            "about": row["about"],
            "validation": number(row["validation"], 5),
            "test": number(row["test"], 5),
            "repetitions": f"{row['repetitions']} of {row['planned']}" if row["planned"] else "known",
        }
        for row in lines[lines["task"] == task].to_dict("records")
    ]


def worth_rows(worth: pd.DataFrame) -> list[dict[str, Any]]:
    """Return what methods are worth in random search over all ranked tasks, the best first, as text.

    Args:
        worth: What `analysis.statistics.baselines.worth` returned.
    """
    rows = []
    for row in (
        worth[worth["task"] == ""]
        .sort_values(["budgets", "searcher"], ascending=[False, True])
        .to_dict("records")
    ):
        own = worth[(worth["task"] != "") & (worth["searcher"] == row["searcher"])]
        beyond = own["budgets"].map(math.isinf)
        rows.append(
            {
                "searcher": row["searcher"],
                "text": times(row["budgets"], row["most"]),
                "sort": row["budgets"] if math.isfinite(row["budgets"]) else 1e300,
                "interval": _interval(row),
                "more": f"{int((own['budgets'] > 1).sum())} of {len(own)}",
                "beyond": f"{int(beyond.sum())} of {len(own)}",
                "most": f"{row['most']:g}×",
            }
        )
    return rows


def times(budgets: float, most: float) -> str:
    """Return a multiple of the budget as text, such as ``2.4×``, or ``> 4×`` where it is beyond what was run."""
    return f"> {most:g}×" if math.isinf(budgets) else f"{number(budgets, 2)}×"


def _interval(row: dict[Any, Any]) -> str:
    """Return the interval of a row, or nothing where there is none."""
    if math.isnan(row["low"]):
        return ""
    return f"[{times(row['low'], row['most'])}, {times(row['high'], row['most'])}]"


def worth_words(comparison: Comparison, worth: pd.DataFrame) -> str:
    """Return how much of random search the leaders are worth, in sentences; empty without such a baseline."""
    own = worth[(worth["task"] == "") & worth["searcher"].isin(comparison.leaders)]
    if own.empty:
        return ""
    parts = []
    for row in own.to_dict("records"):
        ends = _interval(row)
        said = (
            f"more than {row['most']:g} times"
            if math.isinf(row["budgets"])
            else f"{number(row['budgets'], 2)} times"
        )
        shown = f" {ends}" if ends else ""
        parts.append(f"to be as good as {row['searcher']}, random search needs {said} the budget{shown}")
    text = listed(parts)
    tasks, count = int(own["tasks"].iloc[0]), int(own["repetitions"].iloc[0])
    few = "" if own["low"].notna().any() else f"; too few of them for an interval, which takes {FEWEST_UNITS}"
    return (
        f"{text[:1].upper()}{text[1:]}, by the validation objective, over {plural(tasks, 'task')} with "
        f"{plural(count, 'repetition')} in all{few}."
    )
