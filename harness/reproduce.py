"""Runs a report's own experiments again, as its tasks declare them, and sets our figures beside the published ones.

Experiments are collected over all registered tasks. Each becomes one study per repetition of an ordinary sweep, so that
nothing is trained twice and an interrupted reproduction goes on. Where a report trained its search's best
configuration afresh, that is a second sweep.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import yaml

from analysis.reproduction import page, published
from analysis.reproduction.published import Line, selected
from analysis.words import listed, plural
from harness import registry
from harness.errors import DerbyError, UnknownNameError, nearest
from harness.evaluator import Evaluated, Job
from harness.executors.base import Finished
from harness.experiment import Experiment
from harness.keys import EvaluationKey, derive_seed
from harness.launch import InterruptedRunError, Place, launch
from harness.progress import Progress, duration
from harness.sweep import PlannedStudy, Sweep, parse_sweep
from harness.task import Inspection, Task, read_only
from results.inspections import confusion_matrices, load_inspection, save_inspection
from results.layout import Layout, read_study
from results.tables import SweepTables, read_tables

if TYPE_CHECKING:
    from rich.console import Console

FULL = "full"
"""The variant of the source's sizes."""


@dataclass(frozen=True, slots=True)
class Setting:
    """What the user chose.

    Args:
        variant: Of every task that comes in variants.
        repetitions: Seeded repetitions of every experiment.
        seed: Root of every seed.
        threads: Threads of one evaluation.
        options: Further options of every task that has them, such as where its images are.
    """

    variant: str = FULL
    repetitions: int = 1
    seed: int = 0
    threads: int = 1
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Entry:
    """An experiment, its task, and its studies by repetition."""

    experiment: Experiment
    task: Task
    studies: tuple[PlannedStudy, ...]

    @property
    def incomparable(self) -> str:
        """Why its numbers cannot be compared with the published ones; empty where they can."""
        variant = self.task.options.as_json().get("variant", FULL)
        if variant != FULL:
            return f"variant {variant} trains on a part of the data, and for fewer epochs where the source has many"
        if self.task.on_subset:
            return "data or starting weights are not the report's own"
        used = self.task.options.as_json()
        changed = [name for name, value in self.experiment.options.items() if used[name] != value]
        return f"the report's protocol was changed ({', '.join(changed)})" if changed else ""

    def key(self, repetition: int, config: Mapping[str, Any]) -> EvaluationKey:
        """Return the identity of an evaluation of a repetition that has a study."""
        study = next(study for study in self.studies if study.key.repetition == repetition)
        return study.key.evaluation(dict(config))


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
    def sources(self) -> list[str]:
        """The reports' titles, as the tasks give them."""
        return list(dict.fromkeys(entry.task.source for entry in self.entries))


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


def reports() -> dict[str, list[tuple[type[Task], Experiment]]]:
    """Return the experiments of every report that a registered task declares some of."""
    found: dict[str, list[tuple[type[Task], Experiment]]] = {}
    for kind in registry.tasks().values():
        for experiment in kind.experiments:
            found.setdefault(experiment.report, []).append((kind, experiment))
    return dict(sorted(found.items()))


def parse_options(given: Sequence[str]) -> dict[str, Any]:
    """Read ``name=value`` texts, the values as YAML.

    Raises:
        DerbyError: A text has no ``=``, or its value is not valid YAML.
    """
    options = {}
    for text in given:
        name, equals, value = text.partition("=")
        try:
            options[name] = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise DerbyError(f"--option {text}: not a valid value: {error}") from error
        if not (name and equals):
            raise DerbyError(f"--option {text}: expected NAME=VALUE, such as images=folder")
    return options


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
    known = reports()
    if report not in known:
        raise UnknownNameError(f"no task declares experiments of report {report!r}; {nearest(report, known)}")
    labels = [experiment.label for _, experiment in known[report]]
    twice = {label for label in labels if labels.count(label) > 1}
    if twice:
        raise DerbyError(f"report {report}: two experiments are called {min(twice)!r}; rename one of them")
    for label in only:
        if label not in labels:
            raise UnknownNameError(f"report {report} has no experiment {label!r}; {nearest(label, labels)}")
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", f"reproduce-{report}-{setting.variant}")[:80]
    for option in setting.options:
        valid = sorted({name for kind, _ in known[report] for name in kind.Options.model_fields})
        if option not in valid or option == "variant":
            raise UnknownNameError(
                f"no task of report {report} has an option {option!r} to set here; {nearest(option, valid)}"
            )
    entries, sweeps = [], []
    for kind, experiment in known[report]:
        if only and experiment.label not in only:
            continue
        searcher, settings, budget = _method(experiment)
        given = {name: v for name, v in setting.options.items() if name in kind.Options.model_fields}
        options = {**experiment.options, **given}
        sweep = _block(name, setting, kind, experiment, options, searcher, settings, budget)
        (task,) = sweep.tasks.values()
        sweeps.append(sweep)
        entries.append(Entry(experiment, task, tuple(sweep.studies)))
    return Reproduction(report, setting, _joined(sweeps), tuple(entries))


def estimate(prepared: Reproduction, results: Path) -> list[tuple[str, ...]]:
    """Return what running takes, one row per experiment under `ESTIMATE`; see `derby plan`."""
    layout = Layout(results)
    rows: list[tuple[str, ...]] = []
    for entry in prepared.entries:
        budget, full = entry.studies[0].key.budget, entry.task.fidelity.high
        each = budget.amount * full if budget.unit == "evaluations" else budget.amount
        records = [read_study(layout.study(study.key.id)) for study in entry.studies]
        told = [event for record in records for event in record.events if event["event"] == "told"]
        spent, seconds = sum(e["epochs"] for e in told), sum(e["seconds"] for e in told)
        done = sum(record.state == "done" for record in records)
        retrain = min(entry.experiment.retrain or 0, full)
        left = (len(records) - done) * each + len(records) * retrain
        if done == len(records) and not retrain:
            time = "nothing: done"
        else:
            time = f"at most {duration(left * seconds / spent)}" if spent else "unknown"
        rows.append(
            (
                entry.experiment.label,
                entry.studies[0].task,
                entry.studies[0].key.searcher,
                f"{done}/{len(records)}",
                f"at most {each + retrain}",
                time,
            )
        )
    return rows


ESTIMATE = ("experiment", "task", "searcher", "done", "epochs, each repetition", "training left")


def run(
    prepared: Reproduction,
    results: Path,
    place: Place,
    console: Console,
    *,
    restart: bool = False,
    pictures: bool = True,
) -> Reproduced:
    """Run what is not recorded yet, and return where everything is.

    Args:
        prepared: What `prepare` returned.
        results: The results folder.
        place: Where evaluations run.
        console: Where progress is shown.
        restart: Run anew the studies whose replay differs from their journal.
        pictures: Look into the networks of the first repetition. A network that was trained before is trained
            once more for that, since the record keeps no weights.

    Raises:
        InterruptedRunError: The user stopped it.
        RecordError: The record cannot be read or written.
    """
    wanted = _wanted(prepared.entries) if pictures else frozenset[str]()

    def go(sweep: Sweep, ids: frozenset[str]) -> Progress:
        return launch(
            sweep,
            results,
            place,
            console,
            restart=restart,
            inspect=lambda key: key.id in ids,
            on_inspection=lambda job, seen: save_inspection(results, job.key, job.epochs, seen),
        )

    failed = dict(go(prepared.sweep, wanted).failed)
    tables = read_tables(results, prepared.sweep.name)
    entries, holding = list(prepared.entries), dict.fromkeys(range(len(prepared.entries)), tables)
    found = {i: _found(entry, tables) for i, entry in enumerate(entries) if entry.experiment.search}
    afresh = {
        i: _retraining(prepared, entry, found[i])
        for i, entry in enumerate(entries)
        if entry.experiment.retrain and found[i]
    }
    if afresh:
        sweep = _joined([sweep for sweep, _ in afresh.values()])
        ids = _wanted([entry for _, entry in afresh.values()]) if pictures else frozenset[str]()
        failed |= go(sweep, ids).failed
        second = read_tables(results, sweep.name)
        for i, (_, entry) in afresh.items():
            entries[i], holding[i] = entry, second
    inspections: dict[str, Inspection] = {}
    notes: list[str] = []
    if pictures:
        inspections, notes = _inspections(entries, holding, results, place, prepared.setting.threads)
    lines = tuple(
        _line(entry, holding[i], results, prepared.setting, found.get(i, {}), inspections)
        for i, entry in enumerate(entries)
    )
    return Reproduced(lines, inspections, failed, tuple(notes))


# What is shown.


def overview() -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Return the reports that can be reproduced, as the header and the rows of a table."""
    rows: list[tuple[str, ...]] = [
        (report, experiment.label, kind.name, ", ".join(f"{m} {f}" for m, f in experiment.published.items()))
        for report, declared in reports().items()
        for kind, experiment in declared
    ]
    return ("report", "experiment", "task", "published"), rows


def tables(done: Reproduced) -> Iterator[tuple[str, tuple[str, ...], list[tuple[str, ...]]]]:
    """Yield what is printed: heading, header and rows of each table."""
    heading = f"Published and ours, on {_tasks(done)}"
    yield heading, published.HEADER, published.as_text(published.side_by_side(done.lines))
    for line in done.lines:
        if line.experiment.per_class and line.confusion:
            heading = (
                f"{line.experiment.label}: test images, {plural(line.confusions, 'repetition')} together"
            )
            yield heading, page.CLASS_HEADER, page.class_rows(line)


def notes(done: Reproduced) -> list[str]:
    """Return what a reader must know of the tables."""
    return [*published.notes(done.lines), *done.notes]


def write(prepared: Reproduction, done: Reproduced, results: Path, folder: Path | None = None) -> Path:
    """Write tables and figures, in the sweep's folder unless another is given; return the page's path."""
    setting = prepared.setting
    about = (
        f"{'; '.join(prepared.sources)}. Variant {setting.variant}, {plural(setting.repetitions, 'repetition')}, "
        f"seed {setting.seed}. Tasks: {_tasks(done)}."
    )
    return page.write(
        done.lines,
        done.inspections,
        folder or Layout(results).sweep(prepared.sweep.name) / "reproduction",
        title=f"Report {prepared.report}, reproduced",
        about=about,
    )


def _tasks(done: Reproduced) -> str:
    """Name the tasks, with everything in their labels that was not as in the report."""
    return listed(list(dict.fromkeys(line.task for line in done.lines)))


# Studies.


def _method(experiment: Experiment) -> tuple[str, dict[str, Any], dict[str, int]]:
    """Return searcher, settings and budget of an experiment."""
    if experiment.search is None:
        return "references", {"names": [experiment.reference]}, {"evaluations": 1}
    search = experiment.search
    return search.searcher, dict(search.settings), dict(search.budget)


def _block(
    name: str,
    setting: Setting,
    kind: type[Task],
    experiment: Experiment,
    options: dict[str, Any],
    searcher: str,
    settings: dict[str, Any],
    budget: dict[str, int],
) -> Sweep:
    """Return the sweep of one experiment, checked as if a user had written it."""
    if "variant" in kind.Options.model_fields:
        options = {"variant": setting.variant, **options}
    text = yaml.safe_dump(
        {
            "name": name,
            "description": f"Experiment {experiment.label!r} of report {experiment.report}.",
            "seed": setting.seed,
            "repetitions": setting.repetitions,
            "budget": budget,
            "threads": setting.threads,
            "tasks": [{"name": kind.name, "options": options}],
            "searchers": [{"name": searcher, "label": experiment.label, "settings": settings}],
        },
        sort_keys=False,
        allow_unicode=True,
    )
    return parse_sweep(text, f"report {experiment.report}, experiment {experiment.label!r}")


def _joined(sweeps: Sequence[Sweep]) -> Sweep:
    """Return one sweep of all studies, repetition by repetition; its text has one document for each sweep."""
    studies = [study for sweep in sweeps for study in sweep.studies]
    return replace(
        sweeps[0],
        text="---\n".join(sweep.text for sweep in sweeps),
        tasks={label: task for sweep in sweeps for label, task in sweep.tasks.items()},
        studies=sorted(studies, key=lambda study: study.key.repetition),
    )


def _retraining(
    prepared: Reproduction, entry: Entry, found: Mapping[int, Mapping[str, Any]]
) -> tuple[Sweep, Entry]:
    """Return the studies that train the best configuration of each repetition afresh, from other initial weights."""
    experiment, setting = entry.experiment, prepared.setting
    epochs = min(experiment.retrain or 0, entry.task.fidelity.high)
    chosen = {name: v for name, v in entry.task.options.as_json().items() if name != "variant"}
    options = {**chosen, "epochs": epochs}
    setting = replace(setting, seed=derive_seed(setting.seed, "retrain"))
    name = f"{prepared.sweep.name[:70]}-retrained"
    sweeps = [
        _block(
            name,
            setting,
            type(entry.task),
            experiment,
            options,
            "references",
            {"configurations": [dict(config)]},
            {"evaluations": 1},
        )
        for config in found.values()
    ]
    studies = [
        next(study for study in sweep.studies if study.key.repetition == repetition)
        for repetition, sweep in zip(found, sweeps, strict=True)
    ]
    sweep = replace(_joined(sweeps), studies=studies)
    (task,) = sweep.tasks.values()
    return sweep, Entry(experiment, task, tuple(studies))


def _found(entry: Entry, tables: SweepTables) -> dict[int, dict[str, Any]]:
    """Return the best configuration of a search, by repetition."""
    rows = selected(tables, entry.studies[0].task, entry.experiment.label)
    return {int(row["repetition"]): json.loads(row["config"]) for row in rows.to_dict("records")}


# Networks looked into.


def _wanted(entries: Sequence[Entry]) -> frozenset[str]:
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


def _inspections(
    entries: Sequence[Entry],
    holding: Mapping[int, SweepTables],
    results: Path,
    place: Place,
    threads: int,
) -> tuple[dict[str, Inspection], list[str]]:
    """Return the networks of the first repetition, by experiment, and notes; what was not kept is trained again."""
    inspections: dict[str, Inspection] = {}
    missing: list[tuple[Entry, Job]] = []
    for i, entry in enumerate(entries):
        for row in _first(entry, holding[i]):
            job = Job(entry.key(0, json.loads(row["config"])), int(row["epochs"]), inspect=True)
            seen = load_inspection(results, job.key, job.epochs)
            if seen is None:
                missing.append((entry, job))
            else:
                inspections[entry.experiment.label] = seen
    notes = []
    if missing:
        try:
            for entry, outcome in _look(missing, place, threads):
                if isinstance(outcome, str):
                    notes.append(
                        f"{entry.experiment.label}: no picture of its weights and predictions: {outcome}"
                    )
                    continue
                job, seen = outcome
                save_inspection(results, job.key, job.epochs, seen)
                inspections[entry.experiment.label] = seen
        except KeyboardInterrupt:
            raise InterruptedRunError(
                "interrupted while networks were trained once more for pictures; run it again, with --no-pictures to "
                "leave them out"
            ) from None
    return inspections, notes


def _first(entry: Entry, tables: SweepTables) -> list[dict[str, Any]]:
    """Return the evaluation that counts in the first repetition, if there is one."""
    rows = selected(tables, entry.studies[0].task, entry.experiment.label)
    return [{str(k): v for k, v in row.items()} for row in rows[rows["repetition"] == 0].to_dict("records")]


def _look(
    missing: Sequence[tuple[Entry, Job]], place: Place, threads: int
) -> Iterator[tuple[Entry, tuple[Job, Inspection] | str]]:
    """Train networks again and yield what was seen, or why nothing was."""
    executor = place.start(threads)
    loaded: set[str] = set()
    entries = {(job.key.id, job.epochs): entry for entry, job in missing}
    executor.demand(len(entries), 0)
    try:
        for entry, job in missing:
            if job.key.task.id not in loaded:
                executor.add_data(job.key.task, read_only(entry.task.load()))
                loaded.add(job.key.task.id)
            executor.submit(job)
        while entries:
            for report in executor.wait():
                assert isinstance(report, Finished)  # noqa: S101 - no studies were handed over
                job, outcome = report.job, report.outcome
                entry = entries.pop((job.key.id, job.epochs))
                if not isinstance(outcome, Evaluated):
                    yield entry, outcome.message
                elif outcome.inspection is None:
                    yield entry, "the task shows none"
                else:
                    yield entry, (job, outcome.inspection)
    finally:
        executor.close()


# Lines of the table.


def _line(
    entry: Entry,
    tables: SweepTables,
    results: Path,
    setting: Setting,
    found: Mapping[int, Mapping[str, Any]],
    inspections: Mapping[str, Inspection],
) -> Line:
    label, task = entry.experiment.label, entry.studies[0].task
    wanted = [
        (entry.key(int(row["repetition"]), json.loads(row["config"])).id, int(row["epochs"]))
        for row in selected(tables, task, label).to_dict("records")
    ]
    recorded = confusion_matrices(results, entry.task.name, wanted)
    matrices = [np.asarray(parts["test"]) for parts in recorded.values() if "test" in parts]
    seen = inspections.get(label)
    return Line(
        experiment=entry.experiment,
        task=task,
        searcher=label,
        tables=tables,
        planned=setting.repetitions,
        incomparable=entry.incomparable,
        classes=() if seen is None else seen.classes,
        confusion=tuple(map(tuple, np.sum(matrices, axis=0).tolist())) if matrices else (),
        confusions=len(matrices),
        found=found,
    )
