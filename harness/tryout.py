"""Tries a task out before a sweep is spent on it: a few evaluations, what they must have in common, and their time."""

from __future__ import annotations

import os
import pickle
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar

import numpy as np

from harness import files, registry
from harness.budgets import epoch_costs
from harness.checks import check_task, checked_evaluation, folder_kept
from harness.errors import Interruption, UnknownNameError, said
from harness.evaluator import task_of
from harness.keys import TaskKey
from harness.plurals import plural
from harness.space import Config
from harness.task import Checkpoint, Data, Task, checked_data, data_digest, read_only
from harness.threads import bind, held_to
from harness.trial import Curve, Evaluation, Status

T = TypeVar("T")

SEED: Final = 1
ENOUGH_SECONDS: Final = 0.5
"""Seconds of training from which the threads that it used can be told."""
EXAMPLE: Final = (5, 5, 30)
"""Searchers, repetitions and full evaluations of the sweep that is projected."""


@dataclass(frozen=True, slots=True)
class Check:
    """Something that a task must keep: ``good`` is ``None`` where it could not be told."""

    what: str
    good: bool | None
    words: str = ""


@dataclass(slots=True)
class Tried:
    """What came of trying a task.

    Attributes:
        evaluations: Name, configuration, evaluation and wall seconds of each.
        checks: What was checked.
        sweep_seconds: Training of a sweep as `EXAMPLE` says, on one evaluator; ``None`` where nothing succeeded.
    """

    evaluations: list[tuple[str, Config, Evaluation, float]] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)
    sweep_seconds: float | None = None

    @property
    def good(self) -> bool:
        """Whether nothing that was checked is wrong."""
        return all(check.good is not False for check in self.checks)


class _Trying:
    """A task, prepared as an evaluator does."""

    def __init__(self, task: Task, threads: int) -> None:
        self.task, self.threads = task, threads
        with folder_kept():
            check_task(task)
            bind(threads, task.libraries)
            task.prepare(threads)
            self.data: Data = read_only(checked_data(task.load()))

    def evaluate(self, config: Config, epochs: int, checkpoint: Checkpoint | None = None) -> Evaluation:
        with held_to(self.threads), folder_kept():
            made = self.task.evaluate(
                dict(config),
                epochs=epochs,
                seed=SEED,
                data=self.data,
                checkpoint=checkpoint or Checkpoint.fresh(),
            )
        return checked_evaluation(made, self.task.objective, epochs)


def try_task(task: Task, *, threads: int = 1, randoms: int = 3, seed: int = 0) -> Tried:
    """Evaluate the first reference, or the middle of the space, and random configurations, and check them.

    Args:
        task: The task.
        threads: Threads of one evaluation.
        randoms: Random configurations.
        seed: Of these.

    Returns:
        What came of it; a bug in the task is a check that failed.
    """
    tried = Tried()
    try:
        tried.checks += _checks(tried, task, threads, randoms, seed)
    except Interruption:
        raise
    except BaseException as error:  # noqa: BLE001 - the boundary: code of others
        place = files.place_of(error)
        tried.checks.append(Check("it runs", False, f"{place}: {said(error)}" if place else said(error)))
    return tried


def _checks(tried: Tried, task: Task, threads: int, randoms: int, seed: int) -> Iterator[Check]:
    trying = _Trying(task, threads)
    digest, full = data_digest(trying.data), task.fidelity.high
    threads_used: list[float] = []
    for name, config in _points(task, randoms, seed):
        wall, used = time.perf_counter(), _cpu_seconds()
        evaluation = trying.evaluate(config, full)
        wall, used = time.perf_counter() - wall, _cpu_seconds() - used
        tried.evaluations.append((name, config, evaluation, wall))
        if wall > ENOUGH_SECONDS:
            threads_used.append(used / wall)
    yield Check("it runs", True)
    yield _ended_well(tried, task)
    _, config, whole, _ = tried.evaluations[0]
    _, other, whole_of_other, _ = tried.evaluations[-1]
    yield _repeats(trying, config, whole)
    yield _repeats_elsewhere(trying, other, whole_of_other)
    if full > task.fidelity.low:
        yield _prefix(trying, other, whole_of_other)
        yield _continues(trying, config, whole, other)
    yield Check("it leaves its data as they are", data_digest(trying.data) == digest)
    yield _threads(threads_used, threads)
    seconds = [took for *_, took in tried.evaluations[1:] or tried.evaluations]
    searchers, repetitions, evaluations = EXAMPLE
    tried.sweep_seconds = searchers * repetitions * evaluations * float(np.mean(seconds))
    epoch_costs(task)  # raises where a cost is not what it must be
    yield Check("its costs are positive and finite", True)


def _points(task: Task, randoms: int, seed: int) -> Sequence[tuple[str, Config]]:
    """Return the first reference, or the middle of the space, and random configurations."""
    space, rng = task.space, np.random.default_rng(seed)
    middle = ("middle of the space", space.from_unit([0.5] * len(space)))
    first = next(((f"reference {name}", config) for name, config in space.references.items()), middle)
    return [
        first,
        *((f"random {i + 1}", space.from_unit(rng.random(len(space)).tolist())) for i in range(randoms)),
    ]


def _ended_well(tried: Tried, task: Task) -> Check:
    objective, what = task.objective, "its metrics are finite"
    failed = [name for name, _, evaluation, _ in tried.evaluations if evaluation.status is not Status.OK]
    if failed:
        first = next(evaluation for name, _, evaluation, _ in tried.evaluations if name == failed[0])
        good = None if len(failed) < len(tried.evaluations) else False
        return Check(what, good, f"not at {', '.join(failed)}: {first.status.value}, {first.message}")
    worst = max(
        objective.sign * evaluation.curve[objective.metric][-1] for *_, evaluation, _ in tried.evaluations
    )
    if worst > objective.sign * objective.failure:
        return Check(
            what, None,
            f"{objective.metric} reaches {objective.sign * worst:g}, worse than the {objective.failure:g} that stands "
            "for a failure: searchers are told no worse than that; declare another `failure`",
        )  # fmt: skip
    return Check(what, True)


def _repeats(trying: _Trying, config: Config, whole: Evaluation) -> Check:
    """Evaluate again, with other states of the global generators."""
    random.seed(99)
    np.random.seed(99)  # noqa: NPY002 - the global generator, which must not matter
    again = trying.evaluate(config, trying.task.fidelity.high)
    return Check("it repeats itself", *_equal(whole.curve, again.curve, "the same seed gave"))


def _repeats_elsewhere(trying: _Trying, config: Config, whole: Evaluation) -> Check:
    """Evaluate in another process."""
    what, task = "another process gives the same", trying.task
    try:
        registry.task(task.name, task.package)
    except UnknownNameError as error:
        return Check(what, None, f"it cannot be made there: {error}")
    low = task.fidelity.low
    try:
        found = in_another_process(evaluated, files.sources(), task.key, trying.threads, dict(config), low)
    except FailedThereError as error:
        return Check(what, False, str(error))
    return Check(what, *_equal(whole.curve.prefix(low), found.curve, "the same seed gave"))


class FailedThereError(Exception):
    """A process that was begun for one call has not answered; its last line says why."""


_CALL: Final = (
    "import pickle, sys, derby; from pathlib import Path; "
    "function, given = pickle.loads(Path(sys.argv[1]).read_bytes()); "
    "Path(sys.argv[2]).write_bytes(pickle.dumps(function(*given)))"
)


def in_another_process(function: Callable[..., T], *given: Any) -> T:
    """Call a function of the project in a process that has just begun, and return what it returns.

    Python hashes texts otherwise there, so that sets have another order.

    Raises:
        FailedThereError: It has failed there.
    """
    seed = "1" if os.environ.get("PYTHONHASHSEED") != "1" else "2"
    with tempfile.TemporaryDirectory() as folder:
        asked, answer = Path(folder) / "asked", Path(folder) / "answer"
        asked.write_bytes(pickle.dumps((function, given)))
        done = subprocess.run(  # noqa: S603 - this Python, our own code
            [sys.executable, "-P", "-c", _CALL, asked, answer],
            env={**os.environ, "PYTHONHASHSEED": seed}, capture_output=True, text=True, errors="replace", check=False,
        )  # fmt: skip
        if done.returncode:
            raise FailedThereError(
                (done.stderr.strip().splitlines() or [f"it ended with {done.returncode}"])[-1]
            )
        result: T = pickle.loads(answer.read_bytes())  # noqa: S301 - just written by ourselves
        return result


def evaluated(
    sources: tuple[files.Source, ...], key: TaskKey, threads: int, config: Config, epochs: int
) -> Evaluation:
    """Evaluate in a process that has just begun."""
    files.add(sources)
    return _Trying(task_of(key), threads).evaluate(config, epochs)


def _prefix(trying: _Trying, config: Config, whole: Evaluation) -> Check:
    low = trying.task.fidelity.low
    short = trying.evaluate(config, low)
    words = "a shorter training differs from the beginning of a longer one:"
    return Check(
        "a longer training contains a shorter one", *_equal(whole.curve.prefix(low), short.curve, words)
    )


def _continues(trying: _Trying, config: Config, whole: Evaluation, other: Config) -> Check:
    """Train to the lowest fidelity, train something else, and continue."""
    checkpoint = Checkpoint.fresh()
    trying.evaluate(config, trying.task.fidelity.low, checkpoint)
    trying.evaluate(other, trying.task.fidelity.low)
    rest = trying.evaluate(config, trying.task.fidelity.high, checkpoint)
    words = "a continued training differs from one in one go:"
    return Check("a trial can be continued", *_equal(whole.curve, rest.curve, words))


def _threads(used: list[float], threads: int) -> Check:
    what = f"it keeps to {threads} {'thread' if threads == 1 else 'threads'}"
    if not used:
        return Check(what, None, f"its evaluations are shorter than {ENOUGH_SECONDS} s: it cannot be told")
    most = max(used)
    return Check(what, most < threads + 0.3, f"{most:.1f} cores were busy")


def _cpu_seconds() -> float:
    """Return the processor time of this process and of those it has waited for."""
    return sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))


def _equal(expected: Curve, found: Curve, words: str) -> tuple[bool, str]:
    """Tell whether curves agree but for seconds, and where they first do not."""
    for metric in expected:
        if metric == "seconds":
            continue
        there: tuple[Any, ...] = found.get(metric, ())
        for epoch, (one, other) in enumerate(zip(expected[metric], there, strict=False), 1):
            if one != other:
                return False, f"{words} {metric} {one!r} and then {other!r} in epoch {epoch}"
        if len(expected[metric]) != len(there):
            return (
                False,
                f"{words} {plural(len(expected[metric]), 'epoch')} of {metric} and then {len(there)}",
            )
    return True, ""
