"""Where the time of a task's evaluation goes, for the task's author: nothing is recorded."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from pydantic import ValidationError

from harness import registry
from harness.errors import DerbyError, UnknownNameError, nearest
from harness.options import faults_of
from harness.phases import Stopwatch
from harness.space import Config
from harness.task import Checkpoint, Task, read_only
from harness.threads import bind, held_to
from harness.trial import Evaluation

REST = "everything else"
"""What a task that marks phases does outside of them."""
UNMARKED = "evaluate"
"""All that a task does that marks none."""
HEADER = ("phase", "once", "first evaluation", "later ones", "an epoch of those", "share")

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Profile:
    """Seconds of each part of a task's work.

    Args:
        once: What a process does once: ``start``, the training library, and ``load``, the data.
        runs: Each evaluation's phases and `REST`, or `UNMARKED` alone; the first one also compiles what is compiled.
        evaluation: The last evaluation.
    """

    once: Mapping[str, float]
    runs: tuple[Mapping[str, float], ...]
    evaluation: Evaluation

    def rows(self) -> list[tuple[str, ...]]:
        """Return a table's rows under `HEADER`, in seconds; "later ones" are medians."""
        rows: list[tuple[str, ...]] = [
            (name, _text(seconds), "", "", "", "") for name, seconds in self.once.items()
        ]
        first, *later = self.runs
        names = list(dict.fromkeys(name for run in self.runs for name in run))
        median = {name: statistics.median(run.get(name, 0.0) for run in later or [first]) for name in names}
        whole, epochs = sum(median.values()), self.evaluation.epochs
        for name in sorted(names, key=REST.__eq__):
            took, share = median[name], f"{median[name] / whole:.0%}" if whole else ""
            per_epoch = _text(took / epochs)
            rows.append(
                (name, "", _text(first.get(name, 0.0)), _text(took) if later else "", per_epoch, share)
            )
        total = _text(whole) if later else ""
        rows.append(("in all", "", _text(sum(first.values())), total, _text(whole / epochs), ""))
        return rows


def task_named(text: str, options: Mapping[str, Any]) -> Task:
    """Return the task that ``name`` or ``name/variant`` means, with further options.

    Raises:
        DerbyError: There is no such task, or it has no such options.
    """
    cls, options = registry.named_task(text, options)
    try:
        return cls(**options)
    except ValidationError as error:
        faults = faults_of(error, cls.Options)
        raise DerbyError(
            f"task {text!r} does not take these options: {faults}. `derby tasks {cls.name}` lists them"
        ) from error


def configuration(task: Task, given: str | None, random: int | None) -> Config:
    """Return a configuration: a reference by name or one in JSON, a random one, or else the first reference.

    Where a task has no references, the middle of its space stands for the first one.

    Raises:
        DerbyError: There is no such reference, or the JSON is no configuration of the task.
    """
    references = task.space.references
    if given is not None and random is not None:
        raise DerbyError("--config and --random: expected one of them, got both")
    if random is not None:
        return task.space.from_unit(np.random.default_rng(random).random(len(task.space)).tolist())
    if given is None:
        return next(iter(references.values()), None) or task.space.from_unit([0.5] * len(task.space))
    if not given.lstrip().startswith("{"):
        if given not in references:
            raise UnknownNameError(
                f"--config: no reference is called {given!r}; {nearest(given, references)}"
            )
        return references[given]
    try:
        return task.space.validate(json.loads(given))
    except json.JSONDecodeError as error:
        raise DerbyError(f"--config: expected a reference's name or JSON, got {given!r}: {error}") from error


def profile(task: Task, config: Config, *, epochs: int, threads: int, repeats: int, seed: int) -> Profile:
    """Evaluate a configuration again and again, and return where the time went.

    Args:
        task: The task.
        config: One of its configurations.
        epochs: Epochs of each evaluation.
        threads: Threads of each.
        repeats: Evaluations, at least 1; every one begins anew, with the same seed.
        seed: Training seed.
    """
    once = {}
    task.require_libraries()
    bind(threads, task.libraries)
    once["start"], _ = _timed(lambda: task.prepare(threads))
    once["load"], data = _timed(lambda: read_only(task.load()))
    runs = []
    for _ in range(repeats):
        watch = Stopwatch()
        with held_to(threads), watch.running():
            took, evaluation = _timed(
                lambda: task.evaluate(
                    config, epochs=epochs, seed=seed, data=data, checkpoint=Checkpoint.fresh()
                )
            )
        rest = took - sum(watch.seconds.values())
        runs.append({**watch.seconds, REST: rest} if watch.seconds else {UNMARKED: took})
    return Profile(once, tuple(runs), evaluation)


def _timed(work: Callable[[], T]) -> tuple[float, T]:
    began = time.perf_counter()
    result = work()
    return time.perf_counter() - began, result


def _text(seconds: float) -> str:
    if seconds < 5e-7:
        return "0"
    return f"{seconds:.3f}" if seconds >= 0.0005 else f"{seconds:.6f}"
