"""The questions that people come with: on such tasks, after so many evaluations, with such methods, which one?"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from analysis.site.about import KINDS, About
from analysis.site.arenas import Arena
from analysis.statistics.answers import Answer, answer

LIMITS: Mapping[str, float] = {"any": math.inf, "1": 1.0, "0.1": 0.1, "0.01": 0.01}
"""Mean seconds of search per evaluation that can be afforded, the most first."""

FIDELITY = ("any", "yes", "no")
"""Whether a training can be stopped early and continued: not asked; it can; it runs to its end."""


@dataclass(frozen=True, slots=True)
class Selection:
    """Some tasks of an arena.

    Attributes:
        key: Names it: ``all``, ``space-…`` or ``group-…``.
        title: What they have in common, after "on".
        tasks: Their labels, sorted; none where the arena has no such task.
    """

    key: str
    title: str
    tasks: tuple[str, ...]


def selections(arena: Arena, about: About) -> list[Selection]:
    """Return the sets of an arena's tasks that are asked about: all, of each kind of space, of each group.

    Groups are left out where there is only one.
    """
    labels = tuple(sorted(map(str, arena.tables.tasks.index)))
    found = [Selection("all", "all tasks", labels)]
    for kind in KINDS:
        own = tuple(task for task in labels if kind in about.task(task).kinds)
        found.append(Selection(f"space-{kind}", f"{kind} spaces", own))
    groups: dict[str, list[str]] = {}
    for task in labels:
        groups.setdefault(arena.inputs.facts[task].group or "other", []).append(task)
    if len(groups) > 1:
        found += [
            Selection(f"group-{group}", f"tasks of group {group}", tuple(own))
            for group, own in sorted(groups.items())
        ]
    return found


@dataclass(frozen=True, slots=True)
class Question:
    """A question with its answer; several conditions that leave the same tasks and methods are one.

    Attributes:
        id: Its anchor, and its name in the tables.
        arena: Where it is asked.
        point: The budget, in full evaluations.
        selection: On which tasks.
        when: Pairs of `FIDELITY` and a key of `LIMITS`.
        tasks: The tasks asked about, after `when`.
        methods: The methods asked about, after `when`.
        answer: ``None`` where there is nothing to rank.
    """

    id: str
    arena: Arena
    point: float
    selection: Selection
    when: tuple[tuple[str, str], ...]
    tasks: tuple[str, ...] = ()
    methods: tuple[str, ...] = ()
    answer: Answer | None = field(default=None)


def questions(arena: Arena, about: About) -> Iterator[Question]:
    """Ask an arena everything: by budget, then tasks, then what can be afforded."""
    for point in arena.looks:
        for selection in selections(arena, about):
            if not selection.tasks:
                continue
            for number, ((tasks, methods), when) in enumerate(
                _conditions(arena, point, selection).items(), 1
            ):
                yield Question(
                    id=f"{arena.id}-{point:g}-{selection.key}-{number}",
                    arena=arena,
                    point=point,
                    selection=selection,
                    when=tuple(when),
                    tasks=tasks,
                    methods=methods,
                    answer=answer(arena.looks[point], tasks, methods),
                )


def _conditions(
    arena: Arena, point: float, selection: Selection
) -> Mapping[tuple[tuple[str, ...], tuple[str, ...]], Sequence[tuple[str, str]]]:
    """Return the tasks and methods that conditions leave, each with the conditions that leave just these."""
    found: dict[tuple[tuple[str, ...], tuple[str, ...]], list[tuple[str, str]]] = {}
    for stops in FIDELITY:
        tasks = tuple(
            task for task in selection.tasks if stops != "yes" or arena.inputs.facts[task].full_epochs > 1
        )
        for limit, most in LIMITS.items():
            methods = tuple(
                name
                for name in arena.methods
                if (stops != "no" or name not in arena.lower)
                and (limit == "any" or arena.seconds(name, point) <= most)
            )
            found.setdefault((tasks, methods), []).append((stops, limit))
    return found
