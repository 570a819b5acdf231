"""A method entered into a published race: a sweep of that method alone, on the race's tasks, budgets and seeds."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from harness import document, files
from harness.errors import SweepError
from harness.frozen_sweeps import runnable
from harness.keys import NAME, as_name
from harness.plan import LeftOut
from harness.plurals import plural
from harness.sweep import Sweep, alike, make_sweep
from results.entries import check_entry, protocol_planned
from results.layout import Layout
from results.tables import SweepTables

_OWN = ("name", "description", "searchers", "compare", "figures", "incompatible", "baselines")
"""Fields of the race's sweep file that an entry does not take over; its baselines are published with the race."""


def entry_name(race: str, label: str) -> str:
    """Return what an entry's sweep is called, and by default its published folder."""
    words = as_name(label).strip("-.") or "entry"
    return f"{race[: 79 - len(words)]}-{words}"  # of a long one the race's end is cut: never what tells entries apart


def entry_sweep(
    race: SweepTables,
    name: str,
    searcher: str,
    *,
    label: str | None = None,
    settings: Mapping[str, Any] | None = None,
    leave_out: bool = False,
) -> Sweep:
    """Return the sweep of an entry, checked against the race before anything is run.

    Args:
        race: The published race.
        name: Its published name.
        searcher: A searcher's name, or ``my_search.py:MySearch``.
        label: The method's name in figures; the searcher's by default.
        settings: The searcher's settings.
        leave_out: Leave out the tasks that it cannot search, instead of refusing them.

    Raises:
        SweepError: The searcher or its settings are unusable, its label is taken, or it cannot search some tasks.
        RecordError: The race's tasks, data or budgets are others here than they were.
    """
    own = label or files.label_of(searcher)
    taken = [str(other) for other in race.studies["searcher"].unique() if alike(str(other)) == alike(own)]
    if taken:
        raise SweepError(
            f"the race has a method called {taken[0]!r} already; enter yours under another --label"
        )
    chosen = entry_name(name, own)
    if not re.fullmatch(NAME, chosen):
        raise SweepError(
            f"no sweep can be called {chosen!r}; enter your method under a --label of letters and digits"
        )
    entry = {"name": searcher, "label": own, "settings": dict(settings or {})}
    text, sources = str(race.provenance.get("sweep", "")), race.provenance.get("sources") or {}
    origin = f"the sweep file of {name!r}"
    with runnable(text, sources, origin) as content:
        common = {field: value for field, value in content.items() if field not in _OWN}
        every = {"name": chosen, **common, "searchers": [entry]}
        left_out = _left_out(every, own, f"{searcher} in {name!r}") if leave_out else []
        given = {**every, "tasks": _without(every["tasks"], left_out, race)}
        try:
            sweep = make_sweep(given, f"{searcher} in {name!r}")
        except SweepError as error:
            raise SweepError(f"{error}{'' if leave_out else _hint(every, own, searcher)}") from error
    # As the race's file has it, not with the paths of the copies of its files.
    written = {**given, "tasks": _without(document.read(text).value["tasks"], left_out, race)}
    sweep = replace(sweep, text=document.write(written), left_out=left_out)
    keys = {study.key.id: study.key for study in sweep.studies}
    check_entry(race, protocol_planned(sweep.as_plan(), keys))
    return sweep


def refuse_other(layout: Layout, sweep: Sweep) -> None:
    """Raise `SweepError` where a results folder has another sweep by an entry's name, whose place it would take."""
    if sweep.spec.name not in layout.sweep_names():
        return
    (own,) = {study.searcher for study in sweep.as_plan().studies}
    theirs = sorted({study.searcher for study in layout.plan(sweep.spec.name).studies} - {own})
    if theirs:
        raise SweepError(
            f"{layout.root} has a sweep {sweep.spec.name!r} already, which is no entry of {own!r}: it races "
            f"{', '.join(theirs)}. Enter your method under another --label, or into another folder with --results"
        )


def _left_out(content: Mapping[str, Any], label: str, origin: str) -> Sequence[LeftOut]:
    """Return the tasks that a method cannot search, as a sweep finds them that has a method for every task."""
    others = [{"name": "random", "label": f"not {label}"[:40]}]
    every = {**content, "searchers": [*content["searchers"], *others], "incompatible": "leave_out"}
    return make_sweep(every, origin).left_out


def _hint(content: Mapping[str, Any], label: str, searcher: str) -> str:
    """Return what to do about tasks that a method cannot search; nothing where something else is wrong, too."""
    try:
        left_out = _left_out(content, label, searcher)
    except SweepError:
        return ""
    count, all_of = len(left_out), len(content["tasks"])
    return (
        f"\nWith --leave-out it enters the other {all_of - count} of {plural(all_of, 'task')}"
        if left_out
        else ""
    )


def _without(tasks: Sequence[Any], left_out: Sequence[LeftOut], race: SweepTables) -> list[Any]:
    """Return the entries of a race's tasks that are not left out; both are in the order of the sweep file."""
    absent = {pair.task for pair in left_out}
    labels = [str(label) for label in race.tasks.index]
    return [entry for entry, label in zip(tasks, labels, strict=True) if label not in absent]
