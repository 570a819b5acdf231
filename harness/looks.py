"""Networks looked into, for pictures: what was kept of a run, and training once more what was not."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analysis.reproduction.published import selected
from harness.entries import Entry, Setting, joined, options_of, with_given
from harness.keys import EvaluationKey
from harness.launch import InterruptedRunError, Placement, launch
from harness.task import Inspection
from results.inspections import load_inspection, save_inspection
from results.tables import SweepTables, read_tables

if TYPE_CHECKING:
    from rich.console import Console


def known_beforehand(entries: Sequence[Entry]) -> frozenset[str]:
    """Return the ids of the evaluations of the first repetition whose configuration is known beforehand."""
    ids = set()
    for entry in entries:
        for key in (study.key for study in entry.studies if study.key.repetition == 0):
            if key.searcher == "references":
                names = key.settings["names"] or ()
                given = key.settings["configurations"]
                for config in given or [entry.task.space.references[name] for name in names]:
                    ids.add(key.evaluation(config).id)
    return frozenset(ids)


@dataclass(frozen=True, slots=True)
class Look:
    """An evaluation to look into: the one that counts in the first repetition of an experiment."""

    entry: Entry
    key: EvaluationKey
    epochs: int


def first_look(entry: Entry, tables: SweepTables) -> list[Look]:
    """Return the evaluation that counts in the first repetition, if there is one."""
    rows = selected(tables, entry.task.label, entry.experiment.label)
    return [
        Look(entry, entry.key(0, json.loads(row["config"])), int(row["epochs"]))
        for row in rows[rows["repetition"] == 0].to_dict("records")
    ]


def inspections_of(
    looks: Sequence[Look], setting: Setting, results: Path, placement: Placement, console: Console
) -> tuple[dict[str, Inspection], tuple[str, ...]]:
    """Return networks by experiment, and notes on those that cannot be shown; what was not kept is trained again."""
    missing = {look.key.id: look for look in looks if load_inspection(results, look.key, look.epochs) is None}
    reasons: Mapping[str, str] = {}
    if missing:
        console.print(f"training {len(missing)} of the networks once more, for pictures", highlight=False)
        try:
            reasons = _train_again(list(missing.values()), setting, results, placement, console)
        except InterruptedRunError:
            raise InterruptedRunError(
                "interrupted while networks were trained once more for pictures; run it again, with --no-pictures to "
                "leave them out"
            ) from None
    inspections, notes = {}, []
    for look in looks:
        label = look.entry.experiment.label
        seen = load_inspection(results, look.key, look.epochs)
        if seen is None:
            reason = reasons.get(look.key.id, "the task shows none")
            notes.append(f"{label}: no picture of its weights and predictions: {reason}")
        else:
            inspections[label] = seen
    return inspections, tuple(notes)


def _train_again(
    looks: Sequence[Look], setting: Setting, results: Path, placement: Placement, console: Console
) -> dict[str, str]:
    """Train evaluations again and keep what is seen of them; return why one did not end well, by evaluation id.

    They run as a sweep of their own in a folder that is then removed: the record has them already.
    """
    sweeps = {}
    for number, look in enumerate(looks):
        entry, full = look.entry, look.entry.task.fidelity.high
        given: dict[str, Any] = {"configurations": [dict(look.key.config)]}
        if look.epochs != full:
            given["epochs"] = look.epochs
        own = replace(setting, seed=entry.sweep.spec.seed)
        sweep = with_given(entry, "pictures", own, options_of(entry), {0: given})
        # Experiments may differ in nothing but their labels and seeds, and each look is a study of its own.
        sweeps[look.key.id] = replace(
            sweep, studies=[replace(study, searcher=f"look {number}") for study in sweep.studies]
        )
    with tempfile.TemporaryDirectory(prefix="derby-pictures-") as scratch:
        sweep = joined(list(sweeps.values()))
        progress = launch(
            sweep,
            Path(scratch),
            replace(placement, sync_to=None),
            console,
            inspect=lambda _: True,
            on_inspection=lambda job, seen: save_inspection(results, job.key, job.epochs, seen),
        )
        trials = read_tables(Path(scratch), sweep.name).trials
    reasons = {
        evaluation: progress.failed[study.label]
        for evaluation, sweep in sweeps.items()
        for study in sweep.studies
        if study.label in progress.failed
    }
    ended = trials[trials["status"] != "ok"]
    return reasons | {
        str(evaluation): f"its training {status} this time"
        for evaluation, status in zip(ended["evaluation"], ended["status"], strict=True)
    }
