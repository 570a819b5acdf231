"""What a sweep was to compare and when that was said, and which repetitions were added after a look at results."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from harness.errors import RecordError
from harness.plan import Compare, Plan
from harness.plurals import plural
from harness.provenance import Found, Run
from results.layout import Layout
from results.reading import StudyRecord, read_study


class RunSeen(msgspec.Struct, frozen=True):
    """What of a run matters here; see `harness.provenance.Run`. ``folder``: its results folder, where several are."""

    started: str = ""
    folder: str = ""
    compare: Compare | None = None
    repetitions: int = 0
    found: Found | None = None


@dataclass(frozen=True, slots=True)
class Compared:
    """The comparison that a sweep was made for.

    Attributes:
        stated: What is compared.
        beforehand: Whether it was stated in this form before the first evaluation of the sweep was told, and has been
            since. Otherwise it may have been chosen for what came out, and nothing of it is confirmed.
    """

    stated: Compare
    beforehand: bool


@dataclass(frozen=True, slots=True)
class Look:
    """Repetitions that were added after results existed.

    Attributes:
        when: Start of the run that added them, ISO 8601 in UTC.
        complete: Repetitions whose results existed then, at least 1.
        before: Repetitions planned before.
        after: Repetitions planned from then on.
        folder: The results folder, where several are compared; otherwise empty.
    """

    when: str
    complete: int
    before: int
    after: int
    folder: str = ""


def found_of(root: Path, plan: Plan) -> Found:
    """Return what is on record of a sweep that is about to be run.

    A journal that cannot be read counts as one evaluation: something was there.
    """
    layout = Layout(root)
    before = _before(layout, plan.name)
    studies = {study.study: study for study in (*(before.studies if before else ()), *plan.studies)}
    records = {study: _record(layout, study) for study in studies}
    told = sum(1 if record is None else len(record.told) for record in records.values())
    open_in: Counter[int] = Counter()
    for study in before.studies if before else ():
        record = records[study.study]
        open_in[study.repetition] += record is None or record.state != "done"
    complete = sum(number == 0 for number in open_in.values())
    repetitions = before.repetitions if before else 0
    if plan.extends is not None:  # whose studies are on record where it is published
        told += plan.extends.told
        repetitions = max(repetitions, plan.extends.repetitions)
        complete = max(complete, plan.extends.repetitions)
    return Found(told, repetitions, complete)


def _before(layout: Layout, name: str) -> Plan | None:
    try:
        return layout.plan(name)
    except RecordError:
        return None  # a new one; or one whose plan is damaged, which is written anew


def _record(layout: Layout, study: str) -> StudyRecord | None:
    try:
        return read_study(layout.study(study))
    except RecordError:
        return None


def belated(root: Path, plan: Plan, run: Run) -> Iterator[str]:
    """Yield what the report of a sweep that is about to be run will say against its plan."""
    found, before = run.found, _before(Layout(root), plan.name)
    if found is None:
        return
    if before is not None and before.extends is not None and plan.extends is None:
        yield (
            f"run here again: {plural(before.extends.studies, 'study')} published as {before.extends.name!r}, which "
            f"this sweep extended before; with --extend {before.extends.name} they are left out"
        )
    said = before.compare if before is not None else None if plan.extends is None else plan.extends.compare
    if plan.compare is not None and found.told and said != plan.compare:
        yield (
            "what is to be compared is said, or said otherwise, after "
            f"{plural(found.told, 'evaluation was', 'evaluations were')} told: the report says so"
        )
    if found.complete and plan.repetitions > found.repetitions:
        yield (
            f"repetitions are added ({found.repetitions} → {plan.repetitions}) after results of {found.complete} "
            "existed: the report says so"
        )


def compared(provenance: Mapping[str, Any]) -> Compared | None:
    """Return what a sweep was to compare; ``None`` where that is not said. See `SweepTables.provenance`."""
    if provenance.get("compare") is None:
        return None
    stated = msgspec.convert(provenance["compare"], Compare)
    return Compared(stated, all(_beforehand(stated, own) for own in _by_folder(provenance)))


def _beforehand(stated: Compare, runs: Sequence[RunSeen]) -> bool:
    """Whether it was said by the run that told the first evaluation, and by every one since."""
    since = list(itertools.takewhile(lambda run: run.compare == stated, reversed(runs)))
    return bool(since) and since[-1].found is not None and since[-1].found.told == 0


def looks(provenance: Mapping[str, Any]) -> tuple[Look, ...]:
    """Return when repetitions were added after results existed, oldest first. See `SweepTables.provenance`."""
    return tuple(
        Look(run.started, run.found.complete, run.found.repetitions, run.repetitions, run.folder)
        for own in _by_folder(provenance)
        for run in own
        if run.found is not None and run.found.complete and run.repetitions > run.found.repetitions
    )


def _by_folder(provenance: Mapping[str, Any]) -> list[list[RunSeen]]:
    """Return the runs of each results folder, oldest first; one without runs where there are none."""
    folders: dict[str, list[RunSeen]] = {}
    for run in msgspec.convert(provenance.get("runs") or [], list[RunSeen]):
        folders.setdefault(run.folder, []).append(run)
    # Runs that began within a second are told apart by what they found: a record only grows.
    return [
        sorted(own, key=lambda run: (run.started, run.found.told if run.found else 0))
        for own in folders.values()
    ] or [[]]
