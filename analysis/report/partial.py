"""What is said of methods that cannot search every task, which the ranking over all tasks therefore lacks."""

from __future__ import annotations

from collections.abc import Collection

import pandas as pd

from analysis.report.verdicts import claims
from analysis.statistics.comparison import Comparison
from analysis.statistics.partial import elsewhere
from analysis.words import mean_rank
from harness.plan import left_out_words
from harness.plurals import plural
from results.tables import SweepTables

MOST = 3
"""Such methods that have a paragraph each; more have a table."""


def partial_words(comparison: Comparison, only: Collection[str] | None = None) -> list[str]:
    """Return a paragraph for each such method, or for some: where it stands on the tasks that it can search."""
    names = [name for name in comparison.partial if only is None or name in only]
    if only is None and len(names) > MOST:
        return [
            f"{len(names)} methods cannot search every task, and are not ranked with the others: a table beside the "
            "ranking has where each stands on the ranked tasks that it can search, among all methods that can search "
            "these."
        ]
    found = elsewhere(comparison.scores, comparison.every, names, paired=comparison.paired)
    paragraphs = []
    for own in found:
        standing, name = own.standing, own.searcher
        ranks = standing.mean_ranks
        tasks = list(standing.ranks.index)
        where = f"the {len(tasks)} ranked tasks that" if len(tasks) > 1 else f"{tasks[0]}, which"
        best, *_ = ranks
        place = "the lowest" if name in standing.leaders else f"behind {best} with {mean_rank(ranks[best])}"
        said = (
            f"{name} cannot search every task, and is not ranked with the others. On {where} it can search, its "
            f"mean rank is {mean_rank(ranks[name])} among {plural(len(ranks), 'method')}, {place}."
        )
        paragraphs.append(
            said
            if standing.few
            else f"{said} {claims('It', standing.verdict(name), leads=name in standing.leaders)}"
        )
    return paragraphs


def partial_table(comparison: Comparison) -> pd.DataFrame:
    """Return where each method stands that cannot search every task: a row each, by tasks and then by rank.

    Returns:
        ``searcher``; ``tasks``, the ranked ones that it can search, and ``methods``, those that can search all of
        these; ``rank``, its mean rank among them, ``best``, who has the lowest, and ``best_rank``; ``better`` and
        ``worse``, how many of them it is shown to be better and worse than; ``possible``, whether so many tasks can
        show that at all.
    """
    found = elsewhere(comparison.scores, comparison.every, comparison.partial, paired=comparison.paired)
    rows = []
    for own in found:
        standing = own.standing
        said, (best, *_) = standing.verdict(own.searcher), standing.mean_ranks
        rows.append(
            {
                "searcher": own.searcher,
                "tasks": len(standing.ranks),
                "methods": len(standing.searchers),
                "rank": standing.mean_ranks[own.searcher],
                "best": best,
                "best_rank": standing.mean_ranks[best],
                "better": len(said.better_than),
                "worse": len(said.worse_than),
                "possible": not standing.few,
            }
        )
    frame = pd.DataFrame(rows)
    return (
        frame if frame.empty else frame.sort_values(["tasks", "rank"], ascending=[False, True], kind="stable")
    )


def partial_rows(table: pd.DataFrame) -> list[dict[str, str | float]]:
    """Return `partial_table` as texts, with what its ranks sort by."""
    return [
        {
            "searcher": row["searcher"],
            "tasks": row["tasks"],
            "rank": mean_rank(row["rank"]),
            "sort": row["rank"],
            "methods": row["methods"],
            "best": f"{row['best']}, {mean_rank(row['best_rank'])}",
            "better": row["better"] if row["possible"] else "–",
            "worse": row["worse"] if row["possible"] else "–",
        }
        for row in table.to_dict("records")
    ]


def left_out_notices(tables: SweepTables) -> list[str]:
    """Return which methods have no studies of which tasks, and why; nothing where none is left out."""
    parts = left_out_words(tables.left_out, [str(task) for task in tables.tasks.index])
    if not parts:
        return []
    return [f"As its file says, this sweep leaves out what a method cannot search: {'. '.join(parts)}."]
