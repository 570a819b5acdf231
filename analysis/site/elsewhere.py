"""Methods that cannot search every task of a ranking, which therefore lacks them: where they stand elsewhere."""

from __future__ import annotations

from typing import Any

import pandas as pd

from analysis.site.arenas import Arena
from analysis.site.rankings import Ranked
from analysis.statistics.answers import answer
from analysis.words import interval, mean_rank

COLUMNS = (
    "full_evaluations",
    "tasks",
    "method",
    "number_of_tasks",
    "methods",
    "rank",
    "low",
    "high",
    "best",
    "best_rank",
    "better",
    "worse",
    "possible",
)


def elsewhere(arena: Arena, ranked: Ranked) -> pd.DataFrame:
    """Return where each such method stands, on the ranking's tasks that it can search.

    Its rank there is one among all methods that can search these tasks, so that it compares with ranks over the same
    tasks alone.

    Returns:
        One row per method, by tasks and then by rank: ``full_evaluations`` and ``tasks``, the ranking's budget and key;
        ``method``; ``number_of_tasks`` that it can search; ``methods`` ranked on these; its mean ``rank`` among them
        with the ends ``low`` and ``high`` of its interval, NaN with fewer than five tasks; ``best`` and ``best_rank``,
        who has the lowest; ``better`` and ``worse``, how many it is shown to be so than; ``possible``, whether so many
        tasks could show that at all.
    """
    rows = []
    seen = arena.looks[ranked.point]
    asked = [task for task in ranked.selection.tasks if task in seen.losses]
    absent = set(arena.methods) - set(() if ranked.answer is None else ranked.answer.order)
    by_tasks: dict[tuple[str, ...], list[str]] = {}
    for name in sorted(absent):
        own = tuple(task for task in asked if (task, name) not in seen.cannot)
        if own and len(own) < len(asked):
            by_tasks.setdefault(own, []).append(name)
    for tasks, names in by_tasks.items():
        found = answer(seen, tasks, arena.methods)
        if found is None:
            continue
        best = found.table.iloc[0]
        rows += [
            {
                "full_evaluations": ranked.point,
                "tasks": ranked.selection.key,
                "method": row["method"],
                "number_of_tasks": len(found.tasks),
                "methods": len(found.order),
                **{name: row[name] for name in ("rank", "low", "high")},
                "best": best["method"],
                "best_rank": best["rank"],
                **{name: row[name] for name in ("better", "worse")},
                "possible": not found.standing.few,
            }
            for row in found.table.to_dict("records")
            if row["method"] in names
        ]
    frame = pd.DataFrame(rows, columns=list(COLUMNS))
    return frame.sort_values(
        ["number_of_tasks", "rank"], ascending=[False, True], kind="stable", ignore_index=True
    )


def elsewhere_rows(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Return `elsewhere` as texts, with what its ranks sort by."""
    return [
        {
            "method": row["method"],
            "tasks": row["number_of_tasks"],
            "methods": row["methods"],
            "rank": mean_rank(row["rank"]),
            "sort": row["rank"],
            "interval": interval(row["low"], row["high"], 3),
            "best": f"{row['best']}, {mean_rank(row['best_rank'])}",
            "better": row["better"] if row["possible"] else "–",
            "worse": row["worse"] if row["possible"] else "–",
        }
        for row in frame.to_dict("records")
    ]
