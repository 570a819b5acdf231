"""Makes recordings: a sweep of a task's space, then one file of what it trained.

A finite space is recorded whole. Of any other, a scrambled Sobol' design is, which fills it evenly at any length: to
record more, ask for more configurations, and what there is stays. All configurations share the training seeds.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from harness import recording as file
from harness.arithmetic import Arithmetic
from harness.errors import DataError, RecordError
from harness.interpolation import fitted
from harness.keys import canonical_json
from harness.provenance import now, revision
from harness.recording import KEPT, About, Recording, Row
from harness.sweep import Sweep, make_sweep
from harness.task import Task
from harness.trial import Status
from results.documents import read_machine
from results.journal import files_in
from results.layout import Layout
from results.reading import evaluation_of, read_evaluations

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
        what = "uncountable" if size is None else f"{size} configurations"
        raise DataError(f"the space of {kind.label} is {what}: say how many to record, with --configurations")
    return of(name, sobol, asked)


def described(sweep: Sweep) -> str:
    """Return how the configurations of a sweep that `sweep_of` made are chosen, in words."""
    key = sweep.studies[0].key
    if key.searcher == "grid":
        return "every configuration of the space"
    return f"the first {key.budget.amount} points of a scrambled Sobol' sequence of seed {key.settings['design_seed']}"


def file_name(task: Task) -> str:
    """Return what a task's recording is called by default."""
    return re.sub(r"[^A-Za-z0-9._]+", "-", task.label).strip("-.")


@dataclass(frozen=True, slots=True)
class Found:
    """What a recording is made of.

    Attributes:
        rows: Trainings.
        machines: Descriptions of the machines that they ran on.
        left_out: How many ended in another way than a recording holds: crashes and timeouts depend on a machine.
        short: How many were not trained to full fidelity.
    """

    rows: Sequence[Row]
    machines: Sequence[Mapping[str, Any]]
    left_out: int = 0
    short: int = 0


def found_in(sources: Sequence[Path], task: Task, threads: int) -> Found:
    """Collect a task's trainings.

    Args:
        sources: Results folders, and recordings of the same task.
        task: The task.
        threads: Only what was trained with so many is taken.

    Raises:
        RecordError: A folder's record is damaged.
        DataError: A recording is damaged, or of another task.
    """
    rows: dict[tuple[str, int], Row] = {}
    machines: dict[str, Mapping[str, Any]] = {}
    left_out = short = 0
    full, wanted = task.fidelity.high, task.key.training
    for source in sources:
        if source.is_file():
            before = file.load(source)
            if {**before.about.task, "scoring": None} != {**task.key.as_json(), "scoring": None}:
                raise DataError(
                    f"{source} records {before.about.label}, expected {task.label}, of the same version and data"
                )
            machines |= {
                json.dumps(each, sort_keys=True): each for each in before.about.provenance.get("machines", [])
            }
            rows |= {_name(row): row for row in before.rows()}
            continue
        used: set[str] = set()
        for row in _recorded(source, task, wanted, threads):
            if row.evaluation.status not in KEPT:
                left_out += 1
            elif row.evaluation.status is Status.OK and row.evaluation.epochs < full:
                short += 1
            else:
                rows[_name(row)] = row
                used.add(row.evaluation.machine)
        for path in files_in(source / "machines", "*.json"):
            if path.stem in used:
                described = msgspec.to_builtins(read_machine(path))
                machines[json.dumps(described, sort_keys=True)] = described
    return Found(list(rows.values()), list(machines.values()), left_out, short)


def _name(row: Row) -> tuple[str, int]:
    return canonical_json(dict(row.config)), row.seed


def _recorded(results: Path, task: Task, wanted: Mapping[str, Any], threads: int) -> Iterator[Row]:
    """Yield a task's evaluations from a results folder, each at the most epochs it reached."""
    if not results.is_dir():
        raise RecordError(f"no results folder {results}: give one that a sweep was run into, or a recording")
    latest: dict[str, Row] = {}
    for bunch in read_evaluations(Layout(results).evaluations(task.name)):
        for number, line in enumerate(bunch.lines, start=bunch.number):
            key = json.loads(bytes(line.key))
            if key["task"] != wanted or key["arithmetic"] != ARITHMETIC.value or key["threads"] != threads:
                continue
            evaluation = evaluation_of(line, bunch.path, number)
            known = latest.get(line.id)
            if known is None or evaluation.epochs >= known.evaluation.epochs:
                latest[line.id] = Row(task.space.validate(key["config"]), int(key["seed"]), evaluation)
    yield from latest.values()


def made_of(found: Found, task: Task, design: str, threads: int) -> Recording:
    """Return the recording of some trainings, its scales chosen.

    Args:
        found: The trainings.
        task: What was trained.
        design: How configurations were chosen, in words.
        threads: Of each training.

    Raises:
        DataError: There is nothing to record.
    """
    objective = task.objective
    curves = (row.evaluation.curve for row in found.rows if row.evaluation.status is Status.OK)
    metrics = tuple(next(curves, ()))
    if not metrics:
        raise DataError(
            f"nothing to make a recording of {task.label} of: no training was found that succeeded"
        )
    about = About(
        format=file.FORMAT,
        label=task.label,
        task=task.key.as_json(),
        source=task.source,
        group=task.group,
        subset=task.on_subset,
        space=file.space_as_json(task.space),
        fidelity=(task.fidelity.low, task.fidelity.high),
        metric=objective.metric,
        direction=objective.direction,
        failure=objective.failure,
        test_metric=objective.test_metric,
        metrics=metrics,
        design=design,
        scales=None,
        provenance={
            "made": now(),
            "revision": revision(),
            "arithmetic": ARITHMETIC.value,
            "threads": threads,
            "machines": list(found.machines),
        },
    )
    recording = Recording.of(about, found.rows)
    if recording.whole:
        return recording
    return recording.with_(scales=fitted(recording.space, recording.configs, losses_of(recording)))


def losses_of(recording: Recording) -> NDArray[np.float64]:
    """Return each configuration's loss at full fidelity, the mean over its seeds; (configurations,)."""
    _, _, objective = recording.problem
    losses: dict[int, list[float]] = {place: [] for place in range(len(recording.configs))}
    for row in recording.rows():
        losses[recording.places[canonical_json(dict(row.config))]].append(objective.loss(row.evaluation))
    return np.array([np.mean(each) for each in losses.values()])
