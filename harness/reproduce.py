"""Runs a report's own experiments again, as its tasks declare them.

Experiments are collected over all registered tasks. Each becomes one study per repetition of an ordinary sweep, so that
nothing is trained twice and an interrupted reproduction goes on. Where a report trained its search's best
configuration afresh, that is a second sweep. `analysis.reproduction` sets what came of it beside the published figures.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analysis.reproduction.published import Line, line_of, selected
from harness import registry
from harness.display import took
from harness.driver import OnMismatch
from harness.entries import Entry, Setting, joined, options_of, sweep_of, with_given
from harness.errors import DerbyError, UnknownNameError, nearest
from harness.keys import as_name, derive_seed
from harness.launch import Placement, launch
from harness.looks import first_look, inspections_of, known_beforehand
from harness.progress import Progress
from harness.sweep import Sweep
from harness.task import Inspection
from results.inspections import save_inspection
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
        entries: The experiments, in the order of the table.
    """

    report: str
    setting: Setting
    sweep: Sweep
    entries: tuple[Entry, ...]

    @property
    def about(self) -> str:
        """What is run, in a sentence or two: the reports' titles as the tasks give them, and the setting."""
        sources = dict.fromkeys(entry.task.source for entry in self.entries)
        count = self.setting.repetitions
        return (
            f"{'; '.join(sources)}. Variant {self.setting.variant}, {count} repetition{'' if count == 1 else 's'}, "
            f"seed {self.setting.seed}."
        )


@dataclass(frozen=True, slots=True)
class Reproduced:
    """What came of it.

    Attributes:
        lines: The experiments with where their evaluations are.
        inspections: Networks of the first repetition looked into, by experiment.
        failed: Studies that failed, and why.
        notes: What else a user must know.
    """

    lines: tuple[Line, ...]
    inspections: Mapping[str, Inspection]
    failed: Mapping[str, str]
    notes: tuple[str, ...]


def prepare(report: str, setting: Setting, only: Sequence[str] = ()) -> Reproduction:
    """Collect and check a report's experiments.

    Args:
        report: Its short name, such as ``"S1"``.
        setting: What the user chose.
        only: Labels of the experiments wanted; all when empty.

    Raises:
        UnknownNameError: No such report or experiment.
        SweepError: An experiment cannot be run: no such variant, a missing library, a wrong declaration.
        DerbyError: Two experiments share a label.
    """
    known = registry.report(report)
    labels = [experiment.label for _, experiment in known]
    twice = {label for label in labels if labels.count(label) > 1}
    if twice:
        raise DerbyError(f"report {report}: two experiments are called {min(twice)!r}; rename one of them")
    for label in only:
        if label not in labels:
            raise UnknownNameError(f"report {report} has no experiment {label!r}; {nearest(label, labels)}")
    name = as_name(f"reproduce-{report}-{setting.variant}")[:80]
    for option in setting.options:
        valid = sorted({name for kind, _ in known for name in kind.Options.model_fields})
        if option not in valid or option == "variant":
            raise UnknownNameError(
                f"no task of report {report} has an option {option!r} to set here; {nearest(option, valid)}"
            )
    entries = []
    for kind, experiment in known:
        if only and experiment.label not in only:
            continue
        given = {name: v for name, v in setting.options.items() if name in kind.Options.model_fields}
        options = {**experiment.options, **given}
        entries.append(Entry(experiment, sweep_of(name, setting, kind, experiment, options)))
    return Reproduction(report, setting, joined([entry.sweep for entry in entries]), tuple(entries))


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
    tables = dict.fromkeys(range(len(entries)), read_tables(results, prepared.sweep.name))
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
            planned=prepared.setting.repetitions,
            incomparable=entry.incomparable,
            classes=inspections[label].classes if (label := entry.experiment.label) in inspections else (),
            found=found.get(i, {}),
        )
        for i, entry in enumerate(entries)
    )
    return Reproduced(lines, inspections, failed, notes)


def _found(entry: Entry, tables: SweepTables) -> dict[int, dict[str, Any]]:
    """Return the best configuration of a search, by repetition."""
    rows = selected(tables, entry.task.label, entry.experiment.label)
    return {int(row["repetition"]): json.loads(row["config"]) for row in rows.to_dict("records")}


def _retraining(prepared: Reproduction, entry: Entry, found: Mapping[int, Mapping[str, Any]]) -> Entry:
    """Return the studies that train the best configuration of each repetition afresh, from other initial weights."""
    options = {**options_of(entry), "epochs": min(entry.experiment.retrain or 0, entry.task.fidelity.high)}
    setting = replace(prepared.setting, seed=derive_seed(prepared.setting.seed, "retrain"))
    given = {repetition: {"configurations": [dict(config)]} for repetition, config in found.items()}
    name = f"{prepared.sweep.name[:70]}-retrained"
    return Entry(entry.experiment, with_given(entry, name, setting, options, given))
