"""Write docs/findings.md from the races under results/published.

``derby publish derby-2026 --replace --brief --format png``, then ``.venv/bin/python docs/make_race.py``.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from analysis.report.confirmed import confirmed_rows
from analysis.report.partial import partial_rows, partial_table
from analysis.site.arenas import Arena, arenas, read_race
from analysis.site.planned import planned
from analysis.site.sentences import (
    answer_words,
    budget_words,
    lead_words,
    percent,
    seconds_words,
    shown_words,
)
from analysis.statistics.answers import POINTS, Answer, answer
from analysis.statistics.comparison import compare
from analysis.words import grouped, interval, listed, mean_rank, plural

ROOT: Final = Path(__file__).parent.parent
TARGET: Final = ROOT / "docs" / "findings.md"
PUBLISHED: Final = ROOT / "results" / "published"
RACES: Final = ("derby-2026", "derby-2026-parallel")

INTRODUCTION: Final = (
    "What came of [the race](race.md): every number here is computed from the tables under `results/published`, and "
    "`derby site` makes [pages](leaderboard.md) with many more of them. Ranks are within repetitions and means over "
    "tasks, 1 is best; intervals (95 %) resample the tasks; two methods differ where Wilcoxon's signed-rank test over "
    "tasks says so after Holm's correction over all pairs of a table. What was planned comes first, with a correction "
    "of its own. The rest explores."
)
DEAREST: Final = 5
"""Methods that are named for what their search costs."""


def wrapped(text: str) -> str:
    """Wrap a paragraph."""
    return "\n".join(textwrap.wrap(text, 118, break_long_words=False, break_on_hyphens=False))


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(
        "| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |" for line in lines
    )


def ranking(found: Answer) -> str:
    """Return the methods that an answer ranks, best first."""
    rows = [
        (
            row["method"],
            mean_rank(row["rank"]),
            interval(row["low"], row["high"], 3),
            percent(row["first"]),
            row["better"],
            row["worse"],
        )
        for row in found.table.to_dict("records")
    ]
    header = ("method", "mean rank", "95 % interval", "leads in resamples", "better than", "worse than")
    return table(header, rows)


def answered(arena: Arena, point: float, tasks: Sequence[str]) -> Answer | None:
    """Return who is ahead at a budget on some tasks, among all methods that can search these."""
    return answer(arena.looks[point], tasks, arena.methods)


def tasks_of(arena: Arena) -> list[str]:
    """Return the labels of a race's tasks."""
    return [str(task) for task in arena.tables.tasks.index]


def run_words(arena: Arena) -> list[str]:
    """Return how a race was run: its size, its machines, and which repetitions were added when."""
    tables = arena.tables
    studies, told = len(tables.studies), len(tables.trials)
    failed = int((tables.trials["status"] != "ok").sum())
    repetitions = tables.studies["repetition"].nunique()
    processors = sorted({str(machine["processor"]) for machine in tables.provenance["machines"]})
    size = [(len(arena.methods), "method"), (len(tables.tasks), "task"), (repetitions, "repetition")]
    said = [
        f"{listed([plural(count, word) for count, word in [*size, (arena.workers, 'worker')]])}: "
        f"{grouped(studies)} studies, all finished, with {grouped(told)} evaluations, of which {grouped(failed)} "
        f"failed. Processor: {listed(processors)}."
    ]
    said += [
        f"Repetitions were added on {look.when[:10]}, after results of {look.complete} existed ({look.before} → "
        f"{look.after})."
        for look in tables.looks
    ]
    costs = arena.costs[arena.costs["point"] == arena.end].sort_values("search_seconds", ascending=False)
    dear = [
        f"{row['searcher']} {seconds_words(row['search_seconds'])}"
        for row in costs.head(DEAREST).to_dict("records")
    ]
    said.append(f"The search itself takes longest, for each evaluation, with {listed(dear)}.")
    return said


def groups(arena: Arena) -> list[str]:
    """Return who is ahead on each group of tasks at the end of the budget, a paragraph each."""
    said = []
    for group, own in arena.tables.tasks.groupby("group", sort=True):
        found = answered(arena, arena.end, [str(task) for task in own.index])
        if found is not None:
            said.append(f"**{group or 'other'}**: {lead_words(found)} {shown_words(found)}")
    return said


def confirmed(arena: Arena) -> list[str]:
    """Return what the leading methods' winners gave when they were trained for real; nothing where none were."""
    found = confirmed_rows(arena.tables)
    if not found:
        return []
    header = (
        "recording",
        "winners",
        "each trained with",
        "metric",
        "found",
        "trained",
        "difference",
        "95 % interval",
        "rank correlation",
    )
    rows = [
        (
            own["task"],
            f"{own['winners']} ({own['different']} different)",
            own["trainings"],
            own["metric"],
            own["found"],
            own["trained"],
            own["difference"],
            own["interval"],
            own["agreement"],
        )
        for own in found
    ]
    return [
        "## Winners trained for real",
        wrapped(
            "The incumbents of the leading methods' studies on this project's own recordings, trained again on the "
            "real task with fresh seeds. What a search found is the best of many noisy values, so that some of it is "
            "luck; the correlation is between the values found and the values trained."
        ),
        table(header, rows),
    ]


def text(folder: Path = PUBLISHED) -> str:
    """Return the page."""
    race, parallel = arenas([read_race(folder / name) for name in RACES], POINTS)
    parts = ["# What the race found", wrapped(INTRODUCTION), "## What was planned"]
    parts += [wrapped(words) for found in planned(race) for words in found.said]
    for point in reversed(race.looks):
        found = answered(race, point, tasks_of(race))
        if found is not None:
            parts.append(f"## After {budget_words(point)}")
            parts += [wrapped(words) for words in answer_words(found, race.reference)]
            parts += [ranking(found)] if point == race.end else []
    rows = partial_rows(partial_table(compare(race.inputs)))
    if rows:
        header = ("method", "tasks", "mean rank", "among", "lowest", "better than", "worse than")
        keys = ("searcher", "tasks", "rank", "methods", "best", "better", "worse")
        parts += [
            "## Methods that cannot search every task",
            wrapped(
                "Each on the tasks that it can search, at the end of the budget, among all methods that can search "
                "these."
            ),
            table(header, [[row[key] for key in keys] for row in rows]),
        ]
    parts.append(f"## By group of tasks, after {budget_words(race.end)}")
    parts += [wrapped(words) for words in groups(race)]
    parts += confirmed(race)
    parts.append(f"## With {plural(parallel.workers, 'parallel worker')}, after {budget_words(parallel.end)}")
    parts += [wrapped(words) for found in planned(parallel) for words in found.said]
    found = answered(parallel, parallel.end, tasks_of(parallel))
    if found is not None:
        parts += [wrapped(words) for words in answer_words(found, parallel.reference)]
        parts.append(ranking(found))
    parts.append("## How they were run")
    parts += [wrapped(f"**{arena.name}**: {' '.join(run_words(arena))}") for arena in (race, parallel)]
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    TARGET.write_text(text(), encoding="utf-8", newline="\n")
