"""What a race's winners gave when they were trained for real, as texts: beside what the race found them with."""

from __future__ import annotations

import math
from typing import Any

from analysis.statistics.confirmation import by_method, in_words
from analysis.words import interval, number
from results.tables import SweepTables


def confirmed_rows(tables: SweepTables) -> list[dict[str, Any]]:
    """Return for each recording whose winners were confirmed its label, a sentence, and a row for each method.

    Values are of the task's metric, in its own direction; a difference is what was trained less what was found.
    """
    found = []
    for task, winners in tables.confirmed.groupby("task", sort=True):
        about = tables.tasks.loc[task]
        sign = 1.0 if about["direction"] == "min" else -1.0
        rows = []
        for row in by_method(winners).to_dict("records"):
            ends = (
                sorted((sign * row["low"], sign * row["high"]))
                if math.isfinite(row["low"])
                else [math.nan] * 2
            )
            rows.append(
                {
                    "searcher": row["searcher"],
                    "winners": row["winners"],
                    **{name: number(sign * row[name], 4) for name in ("found", "promised", "trained")},
                    "difference": number(sign * row["difference"], 2),
                    "interval": interval(ends[0], ends[1], 2),
                    "sort": sign * row["difference"],
                }
            )
        trainings = sorted({int(count) for count in winners["trainings"]})
        found.append(
            {
                "task": str(task),
                "metric": about["metric"],
                "words": in_words(winners),
                "trainings": " or ".join(map(str, trainings)),
                "rows": rows,
            }
        )
    return found
