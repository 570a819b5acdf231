"""Makes recordings: a sweep of a task's space, then one file of what it trained.

A finite space is recorded whole. Of any other, a scrambled Sobol' design is, which fills it evenly at any length: to
record more, ask for more configurations, and what there is stays. All configurations share the training seeds.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

from harness.arithmetic import Arithmetic
from harness.errors import DataError, RecordError
from harness.events import Asked
from harness.interpolation import fitted
from harness.keys import TaskKey, canonical_json
from harness.plurals import plural
from harness.provenance import now, revision
from harness.recording import FORMAT, KEPT, About, Provenance, Recording, Row, named, space_as_json
from harness.recording_file import load
from harness.sweep import Sweep, make_sweep
from harness.task import Task
from harness.trial import Evaluation, Status
from results.documents import read_machine
from results.journal import files_in
from results.layout import Layout
from results.reading import evaluation_of, read_evaluations, read_study

SEEDS: Final = 3
"""Training seeds of each configuration, by default."""

ARITHMETIC: Final = Arithmetic.PORTABLE
"""What computes: a recording is to be the same wherever it is made again."""

LARGEST_WHOLE: Final = 4096
"""Finite spaces of at most this many configurations are recorded whole, unless fewer are asked for."""


@dataclass(frozen=True, slots=True)
class Design:
    """Which configurations are trained, and how often.

    Args:
        configurations: How many; ``None``: the whole space.
        seeds: Training seeds of each.
        seed: Root of the training seeds, and seed of the design.
    """

    configurations: int | None = None
    seeds: int = SEEDS
    seed: int = 0


def sweep_of(
    task: str,
    options: Mapping[str, Any],
    design: Design,
    *,
    threads: int = 1,
) -> Sweep:
    """Return the sweep that trains a design, checked as if a user had written it.

    Args:
        task: Name, or name/variant.
        options: Further options of the task.
        design: What to train.
        threads: Threads of one evaluation.

    Raises:
        SweepError: The task cannot be run.
        DataError: No number of configurations is given, and the space is not small and finite.
    """

    def of(name: str, searcher: Mapping[str, Any], evaluations: int) -> Sweep:
        content = {
            "name": name,
            "description": "Trainings for a recording.",
            "seed": design.seed,
            "repetitions": design.seeds,
            "budget": {"evaluations": evaluations},
            "threads": threads,
            "tasks": [{"name": task, "options": dict(options)}],
            "searchers": [dict(searcher)],
        }
        return make_sweep(content, f"recording of {task}")

    sobol = {"name": "random", "settings": {"design": "sobol", "design_seed": design.seed}}
    (kind,) = of("record", sobol, 1).tasks.values()
    size, asked = kind.space.size(), design.configurations
    name = f"record-{file_name(kind)}"[:80]
    if size is not None and (asked is None or asked >= size) and size <= LARGEST_WHOLE:
        return of(name, {"name": "grid", "settings": {"order": "lexicographic"}}, size)
    if asked is None:
        what = "uncountable" if size is None else f"{plural(size, 'configuration')}"
        raise DataError(f"the space of {kind.label} is {what}: say how many to record, with --configurations")
    return of(name, sobol, asked)


def described(sweep: Sweep) -> str:
    """Return how the configurations of a sweep that `sweep_of` made are chosen, in words."""
    key = sweep.studies[0].key
    if key.searcher == "grid":
        return "every configuration of the space"
    return (
        f"the first {plural(key.budget.amount, 'point')} of a scrambled Sobol' sequence of seed "
        f"{key.settings['design_seed']}"
    )


def file_name(task: Task) -> str:
    """Return what a task's recording is called by default."""
    return re.sub(r"[^A-Za-z0-9._]+", "-", task.label).strip("-.")


@dataclass(frozen=True, slots=True)
class Found:
    """What a recording is made of.

    Attributes:
        rows: Trainings, cut to full fidelity.
        machines: Descriptions of the machines that they ran on.
        left_out: How many ended in another way than a recording holds: crashes and timeouts depend on a machine.
        short: How many were not trained to full fidelity.
    """

    rows: Sequence[Row]
    machines: Sequence[Mapping[str, Any]]
    left_out: int = 0
    short: int = 0


def asked_by(sweep: Sweep, results: Path) -> frozenset[str]:
    """Return the ids of all evaluations that a sweep's studies asked for.

    Raises:
        RecordError: A study is damaged.
    """
    layout = Layout(results)
    return frozenset(
        plan.key.evaluation(event.proposal.config).id
        for plan in sweep.studies
        for event in read_study(layout.study(plan.key.id)).events
        if isinstance(event, Asked)
    )


def found_in(
    sources: Sequence[Path], task: Task, threads: int, *, only: Collection[str] | None = None
) -> Found:
    """Collect a task's trainings.

    Args:
        sources: Results folders, and recordings of the same task.
        task: The task.
        threads: Only what was trained with so many is taken.
        only: Ids of the evaluations to take from folders; ``None``: all.

    Raises:
        RecordError: A folder's record is damaged.
        DataError: A recording is damaged, of another task, or of trainings with other threads.
    """
    rows: dict[tuple[str, int], Row] = {}
    machines: dict[str, dict[str, Any]] = {}
    left_out = short = 0
    full, wanted = task.fidelity.high, task.key.training
    for source in sources:
        if source.is_file():
            before = load(source)
            if TaskKey(**before.about.task).training != wanted:
                raise DataError(
                    f"{source} records {before.about.label}, expected {task.label}, of the same version and data"
                )
            origin = before.about.provenance
            if (origin.arithmetic, origin.threads) != (ARITHMETIC.value, threads):
                raise DataError(
                    f"{source} was trained in {origin.arithmetic} arithmetic with "
                    f"{plural(origin.threads, 'thread')}, expected "
                    f"{ARITHMETIC.value} and {threads}; say --threads {origin.threads}, or leave it out"
                )
            machines |= {canonical_json(each): dict(each) for each in origin.machines}
            found: Iterable[Row] = before.rows()
        else:
            found = list(_recorded(source, task, wanted, threads, only))
            used = {row.evaluation.machine for row in found}
            for path in files_in(source / "machines", "*.json"):
                if path.stem in used:
                    machine = msgspec.to_builtins(read_machine(path))
                    machines[canonical_json(machine)] = machine
        for row in found:
            # What is longer than full fidelity, which may be an option of scoring, is cut.
            evaluation = row.evaluation.at(full) or row.evaluation
            if evaluation.status is Status.OK and evaluation.epochs < full:
                short += 1
            elif evaluation.status not in KEPT:
                left_out += 1
            else:
                rows[named(row.config), row.seed] = row._replace(evaluation=evaluation)
    return Found(list(rows.values()), list(machines.values()), left_out, short)


def _recorded(
    results: Path, task: Task, wanted: Mapping[str, Any], threads: int, only: Collection[str] | None
) -> Iterator[Row]:
    """Yield a task's evaluations from a results folder, each at the most epochs it reached."""
    if not results.is_dir():
        raise RecordError(f"no results folder {results}: give one that a sweep was run into, or a recording")
    latest: dict[str, Row] = {}

    def reach(evaluation: Evaluation) -> tuple[bool, int]:
        return evaluation.status in KEPT, evaluation.epochs

    for bunch in read_evaluations(Layout(results).evaluations(task.name)):
        for number, line in enumerate(bunch.lines, start=bunch.number):
            if only is not None and line.id not in only:
                continue
            key = json.loads(bytes(line.key))
            if key["task"] != wanted or key["arithmetic"] != ARITHMETIC.value or key["threads"] != threads:
                continue
            evaluation = evaluation_of(line, bunch.path, number)
            known = latest.get(line.id)
            if known is None or reach(evaluation) >= reach(known.evaluation):
                latest[line.id] = Row(task.space.validate(key["config"]), int(key["seed"]), evaluation)
    yield from latest.values()


def before_at(path: Path, task: Task) -> Recording | None:
    """Return the recording of a task that a new one would replace; ``None`` where there is nothing.

    Raises:
        DataError: Something else is there, which must not be lost.
    """
    if not path.exists():
        return None
    try:
        before = load(path)
    except DataError as error:
        raise DataError(
            f"only a recording is ever replaced: {error}, or name another file with --out"
        ) from error
    if before.about.task != json.loads(canonical_json(task.key.as_json())):
        raise DataError(
            f"{path} records {before.about.label}, and would be replaced by {task.label} of another version, data or "
            "options: move it away, or name another file with --out"
        )
    return before


def made_of(found: Found, task: Task, design: str, threads: int) -> Recording:
    """Return the recording of some trainings, its scales chosen.

    Args:
        found: The trainings.
        task: What was trained.
        design: How configurations were chosen, in words.
        threads: Of each training.

    Raises:
        DataError: There is nothing to record, or trainings that do not belong together.
    """
    objective = task.objective
    curves = (row.evaluation.curve for row in found.rows if row.evaluation.status is Status.OK)
    about = About(
        format=FORMAT,
        label=task.label,
        task=task.key.as_json(),
        source=task.source,
        group=task.group,
        subset=task.on_subset,
        space=space_as_json(task.space),
        fidelity=(task.fidelity.low, task.fidelity.high),
        metric=objective.metric,
        direction=objective.direction,
        failure=float(objective.failure),
        test_metric=objective.test_metric,
        metrics=tuple(next(curves, ())),
        design=design,
        scales=None,
        provenance=Provenance(now(), revision(), ARITHMETIC.value, threads, tuple(found.machines)),
    )
    recording = Recording.of(about, found.rows)
    if recording.whole:
        return recording
    return recording.with_(scales=fitted(recording.space, recording.configs, recording.mean_losses))
