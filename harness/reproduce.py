"""Runs a report's own experiments again, as its tasks declare them.

Experiments are collected over all registered tasks. Each becomes one study per repetition of an ordinary sweep, so that
nothing is trained twice and an interrupted reproduction goes on. The sweep holds what is asked for and what was
finished before, so that a report can be run in parts. Where a report trained its search's best configuration afresh,
that is a second sweep. `analysis.reproduction` sets what came of it beside the published figures.
"""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analysis.reproduction.kept import Outcome
from analysis.reproduction.published import Line, line_of, selected
from analysis.reproduction.shown import shown_of
from analysis.words import span
from harness import registry
from harness.display import took
from harness.driver import OnMismatch
from harness.entries import FULL, Entry, Setting, joined, options_of, sweep_of, with_given
from harness.errors import DerbyError, UnknownNameError, nearest
from harness.keys import as_name, derive_seed
from harness.launch import Placement, launch
from harness.looks import first_look, inspections_of, known_beforehand
from harness.plurals import plural
from harness.progress import Progress
from harness.sweep import Sweep
from harness.task import Inspection
from results.inspections import save_inspection
from results.layout import Layout
from results.reading import read_study
from results.summary import expected_cost
from results.tables import SweepTables, read_tables

if TYPE_CHECKING:
    from rich.console import Console


@dataclass(frozen=True, slots=True)
class Reproduction:
    """A report's experiments, ready to run.

    Attributes:
        report: Its short name.
        setting: What the user chose.
        sweep: All studies but those that follow a search.
        entries: The experiments, in the order of the table: those asked for, and those that have finished repetitions.
        absent: Labels of the report's other experiments.
        notes: What is left out of what was begun before, in words.
    """

    report: str
    setting: Setting
    sweep: Sweep
    entries: tuple[Entry, ...]
    absent: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def about(self) -> str:
        """What is run, in a sentence or two: the reports' titles as the tasks give them, and the setting."""
        sources = dict.fromkeys(entry.task.source for entry in self.entries)
        counts = sorted({len(entry.studies) for entry in self.entries})
        return (
            f"{'; '.join(sources)}. Variant {self.setting.variant}, {span(counts, 'repetition')}, "
            f"seed {self.setting.seed}."
        )

    @property
    def command(self) -> str:
        """The command that runs all of it, into the usual folder."""
        setting = self.setting
        words = ["derby", "reproduce", self.report]
        words += ["--variant", setting.variant] if setting.variant != FULL else []
        words += ["--repetitions", str(max(len(entry.studies) for entry in self.entries))]
        words += [
            word for entry in self.entries for word in ("--only", entry.experiment.label) if self.absent
        ]
        words += [
            word
            for name, value in setting.options.items()
            for word in ("--option", f"{name}={'none' if value is None else value}")
        ]
        words += ["--seed", str(setting.seed)] if setting.seed else []
        return shlex.join(words)


@dataclass(frozen=True, slots=True)
class Reproduced:
    """What came of it.

    Attributes:
        tables: The sweep.
        lines: The experiments with where their evaluations are.
        inspections: Networks of the first repetition looked into, by experiment.
        failed: Studies that failed, and why.
        notes: What else a user must know.
    """

    tables: SweepTables
    lines: tuple[Line, ...]
    inspections: Mapping[str, Inspection]
    failed: Mapping[str, str]
    notes: tuple[str, ...]


def prepare(
    report: str, setting: Setting, only: Sequence[str] = (), results: Path | None = None
) -> Reproduction:
    """Collect and check a report's experiments.

    Args:
        report: Its short name, such as ``"S1"``.
        setting: What the user chose.
        only: Labels of the experiments wanted; all when empty.
        results: A results folder, whose finished repetitions of the other experiments, and repetitions beyond those
            wanted, are part of it.

    Raises:
        UnknownNameError: No such report or experiment.
        SweepError: An experiment cannot be run: no such variant, a missing library, a wrong declaration.
        DerbyError: Two experiments share a label.
        RecordError: The record of a study that was begun before cannot be read.
    """
    known = registry.report(report)
    labels = [experiment.label for _, experiment in known]
    twice = {label for label in labels if labels.count(label) > 1}
    if twice:
        raise DerbyError(f"report {report}: two experiments are called {min(twice)!r}; rename one of them")
    for label in only:
        if label not in labels:
            raise UnknownNameError(f"report {report} has no experiment {label!r}; {nearest(label, labels)}")
    for option in setting.options:
        valid = sorted({name for kind, _ in known for name in kind.Options.model_fields})
        if option not in valid or option == "variant":
            raise UnknownNameError(
                f"no task of report {report} has an option {option!r} to set here; {nearest(option, valid)}"
            )
    name = _name(report, setting)
    begun = {} if results is None else _begun(results, name)
    entries: list[Entry] = []
    absent, notes = [], []
    for kind, experiment in known:
        label = experiment.label
        given = {name: v for name, v in setting.options.items() if name in kind.Options.model_fields}
        options = {**experiment.options, **given}
        wanted = setting.repetitions if not only or label in only else 0
        before = begun.get(label, {})
        count = wanted
        if before:
            own = replace(setting, repetitions=max(before) + 1)
            ids = [study.key.id for study in sweep_of(name, own, kind, experiment, options).studies]
            same = [ids[r] == study for r, (study, _) in before.items()]
            finished = next((r for r, id_ in enumerate(ids) if before.get(r) != (id_, True)), len(ids))
            if all(same) and finished < len(before) and not wanted:
                notes.append(
                    f"{label}: {finished} of {plural(len(before), 'repetition')} planned before are finished; to go on "
                    "with it, name it with --only too"
                )
            count = max(wanted, finished)
        if not count:
            absent.append(label)
            continue
        entries.append(
            Entry(experiment, sweep_of(name, replace(setting, repetitions=count), kind, experiment, options))
        )
    sweep = joined([entry.sweep for entry in entries])
    return Reproduction(report, setting, sweep, tuple(entries), tuple(absent), tuple(notes))


def _name(report: str, setting: Setting) -> str:
    """Return the sweep's name: settings that give other evaluations have sweeps of their own."""
    parts = [f"reproduce-{report}-{setting.variant}"]
    parts += [f"{option}-{value}" for option, value in sorted(setting.options.items())]
    parts += [f"seed-{setting.seed}"] if setting.seed else []
    return as_name("-".join(parts))[:80]


def _begun(results: Path, name: str) -> dict[str, dict[int, tuple[str, bool]]]:
    """Return the studies that a sweep had when it was run last: id and whether done, by experiment and repetition."""
    layout = Layout(results)
    if not os.path.lexists(layout.sweep(name) / "plan.json"):
        return {}
    begun: dict[str, dict[int, tuple[str, bool]]] = {}
    for study in layout.plan(name).studies:
        done = read_study(layout.study(study.study)).state == "done"
        begun.setdefault(study.searcher, {})[study.repetition] = study.study, done
    return begun


ESTIMATE = ("experiment", "task", "searcher", "done", "epochs, each repetition", "training left")


def estimate(prepared: Reproduction, results: Path) -> list[tuple[str, ...]]:
    """Return what running takes, one row per experiment under `ESTIMATE`; see `derby plan`."""
    rows: list[tuple[str, ...]] = []
    for entry in prepared.entries:
        ((label, cost),) = expected_cost(results, entry.sweep.as_plan()).items()
        retrain = min(entry.experiment.retrain or 0, entry.task.fidelity.high)
        if cost.studies_done == cost.studies and not retrain:
            time = "nothing: done"
        elif cost.seconds is None or cost.pace is None:
            time = "unknown"
        else:
            time = f"at most {took(cost.seconds + cost.studies * retrain * cost.pace)}"
        rows.append(
            (
                entry.experiment.label,
                label,
                entry.studies[0].key.searcher,
                f"{cost.studies_done}/{cost.studies}",
                f"at most {cost.epochs // cost.studies + retrain}",
                time,
            )
        )
    return rows


def overview() -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Return the reports that can be reproduced, as the header and the rows of a table."""
    rows: list[tuple[str, ...]] = [
        (report, experiment.label, kind.name, ", ".join(f"{m} {f}" for m, f in experiment.published.items()))
        for report, declared in registry.reports().items()
        for kind, experiment in declared
    ]
    return ("report", "experiment", "task", "published"), rows


def run(
    prepared: Reproduction,
    results: Path,
    placement: Placement,
    console: Console,
    *,
    on_mismatch: OnMismatch = "fail",
    pictures: bool = True,
) -> Reproduced:
    """Run what is not recorded yet, and return where everything is.

    Args:
        prepared: What `prepare` returned.
        results: The results folder.
        placement: Where evaluations run.
        console: Where progress is shown.
        on_mismatch: What to do with studies whose replay departs from their journal.
        pictures: Look into the networks of the first repetition. A network that was trained before is trained
            once more for that, since the record keeps no weights.

    Raises:
        InterruptedRunError: The user stopped it.
        RecordError: The record cannot be read or written.
    """

    def go(sweep: Sweep, entries: Sequence[Entry]) -> Progress:
        wanted = known_beforehand(entries) if pictures else frozenset()
        return launch(
            sweep,
            results,
            placement,
            console,
            on_mismatch=on_mismatch,
            inspect=lambda key: key.id in wanted,
            on_inspection=lambda job, seen: save_inspection(results, job.key, job.epochs, seen),
        )

    entries = list(prepared.entries)
    failed = dict(go(prepared.sweep, entries).failed)
    first = read_tables(results, prepared.sweep.name)
    tables = dict.fromkeys(range(len(entries)), first)
    found = {i: _found(entry, tables[i]) for i, entry in enumerate(entries) if entry.experiment.search}
    afresh = {
        i: _retraining(prepared, entries[i], configs)
        for i, configs in found.items()
        if configs and entries[i].experiment.retrain
    }
    if afresh:
        sweep = joined([entry.sweep for entry in afresh.values()])
        failed |= go(sweep, list(afresh.values())).failed
        second = read_tables(results, sweep.name)
        for i, entry in afresh.items():
            entries[i], tables[i] = entry, second
    inspections: dict[str, Inspection] = {}
    notes: tuple[str, ...] = ()
    if pictures:
        looks = [look for i, entry in enumerate(entries) for look in first_look(entry, tables[i])]
        inspections, notes = inspections_of(looks, prepared.setting, results, placement, console)
    lines = tuple(
        line_of(
            entry.experiment,
            entry.task.label,
            tables[i],
            results,
            planned=len(prepared.entries[i].studies),
            incomparable=entry.incomparable,
            classes=inspections[label].classes if (label := entry.experiment.label) in inspections else (),
            found=found.get(i, {}),
        )
        for i, entry in enumerate(entries)
    )
    return Reproduced(first, lines, inspections, failed, (*prepared.notes, *notes))


def outcome(prepared: Reproduction, done: Reproduced) -> Outcome:
    """Return what a page is made of: what came of it, with of each network that was looked into what pictures show."""
    return Outcome(
        report=prepared.report,
        about=prepared.about,
        command=prepared.command,
        tables=done.tables,
        lines=done.lines,
        shown={label: shown_of(seen) for label, seen in done.inspections.items()},
        absent=prepared.absent,
        notes=tuple(f"{note}." for note in done.notes),
    )


def _found(entry: Entry, tables: SweepTables) -> dict[int, dict[str, Any]]:
    """Return the best configuration of a search, by repetition."""
    rows = selected(tables, entry.task.label, entry.experiment.label)
    return {int(row["repetition"]): json.loads(row["config"]) for row in rows.to_dict("records")}


def _retraining(prepared: Reproduction, entry: Entry, found: Mapping[int, Mapping[str, Any]]) -> Entry:
    """Return the studies that train the best configuration of each repetition afresh, from other initial weights."""
    options = {**options_of(entry), "epochs": min(entry.experiment.retrain or 0, entry.task.fidelity.high)}
    setting = replace(
        prepared.setting,
        repetitions=len(entry.studies),
        seed=derive_seed(prepared.setting.seed, "retrain"),
    )
    given = {repetition: {"configurations": [dict(config)]} for repetition, config in found.items()}
    name = f"{prepared.sweep.name[:70]}-retrained"
    return Entry(entry.experiment, with_given(entry, name, setting, options, given))
