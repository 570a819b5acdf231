"""What is said of methods that cannot search every task, which the ranking over all tasks therefore lacks."""

from __future__ import annotations

from collections.abc import Collection

from analysis.report.verdicts import claims
from analysis.statistics.comparison import Comparison
from analysis.statistics.partial import elsewhere
from analysis.words import plural
from harness.plan import left_out_words
from results.tables import SweepTables


def partial_words(comparison: Comparison, only: Collection[str] | None = None) -> list[str]:
    """Return a paragraph for each such method, or for some: where it stands on the tasks that it can search."""
    names = [name for name in comparison.partial if only is None or name in only]
    found = elsewhere(comparison.scores, comparison.every, names, paired=comparison.paired)
    paragraphs = []
    for own in found:
        standing, name = own.standing, own.searcher
        ranks = standing.mean_ranks
        tasks = list(standing.ranks.index)
        where = f"the {len(tasks)} ranked tasks that" if len(tasks) > 1 else f"{tasks[0]}, which"
        best, *_ = ranks
        place = "the lowest" if name in standing.leaders else f"behind {best} with {ranks[best]:.2f}"
        said = (
            f"{name} cannot search every task, and is not ranked with the others. On {where} it can search, its "
            f"mean rank is {ranks[name]:.2f} among {plural(len(ranks), 'method')}, {place}."
        )
        paragraphs.append(said if standing.few else f"{said} {claims('It', standing.verdict(name))}")
    return paragraphs


def left_out_notices(tables: SweepTables) -> list[str]:
    """Return which methods have no studies of which tasks, and why; nothing where none is left out."""
    parts = left_out_words(tables.left_out)
    if not parts:
        return []
    return [f"As its file says, this sweep leaves out what a method cannot search: {'. '.join(parts)}."]
