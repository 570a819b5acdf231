"""What a race's winners gave when they were trained for real, as texts: beside what the race found them with."""

from __future__ import annotations

from typing import Any

from analysis.statistics.confirmation import by_method, in_words, overall
from analysis.words import interval, number
from harness.plurals import plural
from results.tables import SweepTables


def confirmed_rows(tables: SweepTables) -> list[dict[str, Any]]:
    """Return for each recording whose winners were confirmed its label, what all came to, and a row for each method.

    Values are of the task's metric, in its own direction; a difference is what was trained less what was found.
    """
    found = []
    for task, winners in tables.confirmed.groupby("task", sort=True):
        about = tables.tasks.loc[task]
        sign = 1.0 if about["direction"] == "min" else -1.0
        all_of = overall(winners)
        rows = []
        for row in by_method(winners).to_dict("records"):
            ends = _ends(sign, row["low"], row["high"])
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
                "winners": all_of.winners,
                "different": all_of.different,
                "found": number(sign * all_of.found, 4),
                "trained": number(sign * all_of.trained, 4),
                "difference": number(sign * all_of.difference, 2),
                "interval": interval(*_ends(sign, all_of.low, all_of.high), 2),
                "agreement": number(all_of.agreement, 2) if all_of.agreement is not None else "–",
                "trainings": " or ".join([*map(str, trainings[:-1]), plural(trainings[-1], "fresh seed")]),
                "rows": rows,
            }
        )
    return found


def _ends(sign: float, low: float, high: float) -> tuple[float, float]:
    """Return the ends of an interval of losses in the metric's own direction, the lower first; NaN where none is."""
    first, second = sign * low, sign * high
    return (first, second) if sign > 0 else (second, first)
