"""The page that answers which method for which problem: all answers, race by race, which a script only filters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from analysis.site import rankings
from analysis.site.about import KINDS, About
from analysis.site.arenas import Arena
from analysis.site.questions import FIDELITY, LIMITS, Question, selections
from analysis.site.sentences import FIDELITY_WORDS, LIMIT_WORDS, budget_words


def chooser(arenas: Sequence[Arena], about: About, asked: Sequence[Question]) -> dict[str, Any]:
    """Return what the page shows.

    Args:
        arenas: All of them.
        about: What is known of methods and tasks.
        asked: All questions of all arenas.
    """
    chosen = {arena.id: {each.key: each for each in selections(arena, about)} for arena in arenas}
    keys = {key: each.title for own in chosen.values() for key, each in own.items()}
    return {
        "races": [
            {
                "id": arena.id,
                "name": arena.name,
                "workers": arena.workers,
                "points": [
                    {
                        "point": f"{point:g}",
                        "title": budget_words(point),
                        "selections": [
                            {
                                "title": chosen[arena.id][key].title,
                                "key": key,
                                "tasks": chosen[arena.id][key].tasks,
                                "items": [rankings.choice(question) for question in own],
                            }
                            for key, own in _by_selection(asked, arena, point).items()
                        ],
                    }
                    for point in arena.looks
                ],
                "none": [each.title for each in chosen[arena.id].values() if not each.tasks],
            }
            for arena in arenas
        ],
        "points": [
            (f"{point:g}", budget_words(point))
            for point in sorted({point for arena in arenas for point in arena.looks})
        ],
        "keys": keys,
        "fidelity": [(key, FIDELITY_WORDS[key]) for key in FIDELITY],
        "limits": [(key, LIMIT_WORDS[key]) for key in LIMITS],
        "kinds": KINDS,
        "answers": len(asked),
    }


def _by_selection(asked: Sequence[Question], arena: Arena, point: float) -> Mapping[str, list[Question]]:
    found: dict[str, list[Question]] = {}
    for question in asked:
        if question.arena is arena and question.point == point:
            found.setdefault(question.selection.key, []).append(question)
    return found
