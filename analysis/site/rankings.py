"""Rankings as rows of pages and of CSV files: the same numbers in both."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from analysis.site.arenas import Arena
from analysis.site.questions import Question, Selection
from analysis.site.sentences import (
    COMPARED,
    MOST_SETS,
    answer_words,
    budget_words,
    percent,
    seconds_words,
    when_words,
)
from analysis.statistics.answers import Answer, answer
from analysis.words import interval, listed, mean_rank


@dataclass(frozen=True, slots=True)
class Ranked:
    """All methods of an arena on some tasks at a budget.

    Attributes:
        point: The budget, in full evaluations.
        selection: Which tasks.
        answer: ``None`` where nothing can be ranked.
    """

    point: float
    selection: Selection
    answer: Answer | None

    @property
    def id(self) -> str:
        """Its anchor."""
        return f"b{self.point:g}-{self.selection.key}"


def rankings(arena: Arena, chosen: Sequence[Selection]) -> list[Ranked]:
    """Rank all methods of an arena at every budget on every selection that has tasks; the largest budget first."""
    return [
        Ranked(point, each, answer(arena.looks[point], each.tasks, arena.methods))
        for point in sorted(arena.looks, reverse=True)
        for each in chosen
        if each.tasks
    ]


def answer_rows(arena: Arena, found: Answer) -> list[dict[str, Any]]:
    """Return a ranking as texts, with what its columns sort by and where its interval lies on an axis of ranks."""
    lowest, highest = axis_of(found)
    rows = []
    for row in found.table.to_dict("records"):
        seconds = arena.seconds(str(row["method"]), found.point)
        ends = [
            100 * (value - lowest) / max(highest - lowest, 1)
            for value in (row["low"], row["rank"], row["high"])
        ]
        rows.append(
            {
                "method": row["method"],
                "leads": row["leads"],
                "rank": mean_rank(row["rank"]),
                "sort": row["rank"],
                "interval": interval(row["low"], row["high"], 3),
                "bar": [f"{value:.1f}" for value in ends] if math.isfinite(row["low"]) else [],
                "dot": f"{ends[1]:.1f}",
                "groups": row["groups"],
                "better": row["better"] if not found.standing.few else "–",
                "worse": row["worse"] if not found.standing.few else "–",
                "first_on": row["first_on"],
                "first": percent(row["first"]),
                "first_sort": row["first"] if math.isfinite(row["first"]) else "",
                "compared": "leads, tied with others"
                if row["leads"] and len(found.standing.leaders) > 1
                else COMPARED[str(row["compared"])],
                "seconds": seconds_words(seconds),
                "seconds_sort": seconds if math.isfinite(seconds) else "",
            }
        )
    return rows


def axis_of(found: Answer) -> tuple[int, int]:
    """Return the whole ranks at the ends of an axis on which all mean ranks and intervals of an answer are."""
    values = found.table[["rank", "low", "high"]].to_numpy(dtype=float)
    return math.floor(np.nanmin(values)), math.ceil(np.nanmax(values))


def _sets(found: Answer) -> bool:
    """Return whether the sets of methods that no test separates are so few that their numbers can be read."""
    numbers = {number for text in found.table["groups"] for number in text.split()}
    return not found.standing.few and len(numbers) <= MOST_SETS


def section(arena: Arena, ranked: Ranked) -> dict[str, Any]:
    """Return a ranking as a section of a page."""
    found = ranked.answer
    budget = budget_words(ranked.point)
    about: dict[str, Any] = {
        "id": ranked.id,
        "title": f"{ranked.selection.title[:1].upper()}{ranked.selection.title[1:]}",
        "budget": budget,
        "point": ranked.point,
        "all": ranked.selection.key == "all",
        "tasks": ranked.selection.tasks,
        "rows": [],
        "words": ["Nothing to rank: fewer than two methods finished these tasks."],
    }
    if found is not None:
        about |= {
            "rows": answer_rows(arena, found),
            "words": answer_words(found, arena.reference),
            "axis": " … ".join(map(str, axis_of(found))),
            "sets": _sets(found),
            "few": found.standing.few,
            "caption": f"After {budget}, over {_tasks_words(found, ranked.selection)}.",
        }
    return about


def _tasks_words(found: Answer, selection: Selection) -> str:
    """Return the tasks of an answer: by name where they are not just all of an arena's."""
    if selection.key == "all" and len(found.tasks) == len(selection.tasks):
        return "all tasks" if len(found.tasks) > 1 else found.tasks[0]
    return ", ".join(found.tasks)


def choice(question: Question) -> dict[str, Any]:
    """Return a question and its answer as an item of the chooser."""
    found = question.answer
    about: dict[str, Any] = {
        "id": question.id,
        "race": question.arena.id,
        "point": f"{question.point:g}",
        "selection": question.selection.key,
        "when": " ".join(f"{stops}:{limit}" for stops, limit in question.when),
        "title": when_words(question.when),
        "ranking": f"ranking-{question.arena.id}.html#b{question.point:g}-{question.selection.key}"
        if ("any", "any") in question.when
        else "",
        "leaders": [],
        "rest": 0,
    }
    if found is None:
        methods = listed(list(question.methods)) or "no method"
        tasks = "no task" if not question.tasks else f"{len(question.tasks)} of its tasks"
        return about | {
            "words": [f"No answer: under these conditions {methods} on {tasks} is left to compare."]
        }
    table, reference = found.table, question.arena.reference
    shown = table[(np.arange(len(table)) < _SHOWN) | (table["method"] == reference)]
    return about | {
        "words": answer_words(found, reference),
        "leaders": [
            {
                "method": row["method"],
                "rank": mean_rank(row["rank"]),
                "interval": interval(row["low"], row["high"], 3),
                "seconds": seconds_words(question.arena.seconds(str(row["method"]), question.point)),
                "compared": COMPARED[str(row["compared"])],
            }
            for row in shown.to_dict("records")
        ],
        "rest": len(found.order) - len(shown),
    }


_SHOWN = 5
"""Methods that an item of the chooser has in its table, and random search besides; the CSV has all."""


def questions_frame(asked: Sequence[Question]) -> pd.DataFrame:
    """Return all answers as one table: a row per question and method, methods best first."""
    parts = []
    for question in asked:
        if question.answer is not None:
            about = {
                "answer": question.id,
                "race": question.arena.name,
                "full_evaluations": question.point,
                "tasks": question.selection.key,
                "conditions": " ".join(f"{stops}:{limit}" for stops, limit in question.when),
                "number_of_tasks": len(question.answer.tasks),
            }
            parts.append(_with(about, question.answer.table))
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def rankings_frame(ranked: Sequence[Ranked]) -> pd.DataFrame:
    """Return an arena's rankings as one table: a row per budget, selection and method."""
    parts = [
        _with(
            {
                "full_evaluations": each.point,
                "tasks": each.selection.key,
                "number_of_tasks": len(each.answer.tasks),
            },
            each.answer.table,
        )
        for each in ranked
        if each.answer is not None
    ]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def pairs_frame(ranked: Sequence[Ranked]) -> pd.DataFrame:
    """Return the tests of all pairs behind an arena's rankings."""
    parts = [
        _with({"full_evaluations": each.point, "tasks": each.selection.key}, each.answer.standing.pairs)
        for each in ranked
        if each.answer is not None
    ]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def _with(about: Mapping[str, Any], frame: pd.DataFrame) -> pd.DataFrame:
    left = pd.DataFrame({name: [value] * len(frame) for name, value in about.items()})
    return pd.concat([left, frame.reset_index(drop=True)], axis="columns")


def strengths(found: Answer) -> dict[str, Any]:
    """Return the mean rank of every method on every task, the lowest of each task marked."""
    order = list(found.order)
    ranks = found.standing.ranks[order]
    k = len(order)
    return {
        "methods": order,
        "rows": [
            {
                "task": task,
                "cells": [
                    {
                        "text": f"{rank:.1f}",
                        "sort": rank,
                        "best": name in found.standing.leaders_on(str(task)),
                        "shade": min(int(5 * (rank - 1) / max(k - 1, 1)), 4),
                    }
                    for name, rank in zip(order, row, strict=True)
                ],
            }
            for task, row in zip(ranks.index, ranks.to_numpy(dtype=float).tolist(), strict=True)
        ],
    }
