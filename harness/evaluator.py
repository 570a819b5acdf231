"""Runs evaluations in one process: what the serial executor calls and what a Ray actor wraps."""

from __future__ import annotations

import traceback
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace

from harness import registry
from harness.keys import EvaluationKey, TaskKey
from harness.machine import Machine, describe_machine
from harness.task import Checkpoint, Data, Inspection, Task
from harness.threads import held_to
from harness.trial import Evaluation, Status

CHECKPOINTS_KEPT = 16
"""Checkpoints an evaluator keeps so that trials can be continued; a lost one costs time, never a result."""


@dataclass(frozen=True, slots=True)
class Job:
    """One evaluation to run.

    Args:
        key: What to evaluate.
        epochs: Epochs in all.
        deadline: Seconds it may take.
        inspect: Whether to look into the network when it succeeded; see `Task.inspect`.
    """

    key: EvaluationKey
    epochs: int
    deadline: float | None = None
    inspect: bool = False


@dataclass(frozen=True, slots=True)
class Evaluated:
    """A job's evaluation, the machine it ran on, and what was seen inside where that was asked."""

    evaluation: Evaluation
    machine: Machine
    inspection: Inspection | None = None


@dataclass(frozen=True, slots=True)
class Bug:
    """A task raised: a bug, never a result."""

    message: str
    details: str
    """The traceback."""


def task_of(key: TaskKey) -> Task:
    """Build the task a key names.

    Raises:
        UnknownNameError: No such task is installed.
    """
    return registry.task(key.name)(**key.options, **key.scoring)


class Evaluator:
    """Evaluates jobs, keeping tasks and the latest checkpoints.

    Args:
        threads: Threads one evaluation may use.
        data: Returns a task's data, read-only.
    """

    def __init__(self, threads: int, data: Callable[[TaskKey], Data]) -> None:
        self._threads = threads
        self._data = data
        self._tasks: dict[str, Task] = {}
        self._machines: dict[str, Machine] = {}
        self._checkpoints: OrderedDict[str, Checkpoint] = OrderedDict()

    def evaluate(self, job: Job) -> Evaluated | Bug:
        """Run one job; a bug in the task comes back as a `Bug`, never as an exception."""
        try:
            task = self._task(job.key.task)
            data = self._data(job.key.task)
            checkpoint = self._checkpoints.pop(job.key.id, None) or Checkpoint.fresh()
            if job.inspect and checkpoint.curve.epochs > job.epochs:
                checkpoint = Checkpoint.fresh()  # it has gone on to other weights
            inspection = None
            with held_to(self._threads):
                evaluation = task.evaluate(
                    job.key.config,
                    epochs=job.epochs,
                    seed=job.key.seed,
                    data=data,
                    checkpoint=checkpoint,
                    deadline=job.deadline,
                )
                if job.inspect and evaluation.status is Status.OK:
                    inspection = task.inspect(
                        job.key.config, seed=job.key.seed, data=data, checkpoint=checkpoint
                    )
        except Exception as error:  # noqa: BLE001 - the boundary: a bug fails its study, not the sweep
            where = f"task {job.key.task.name!r} on {dict(job.key.config)}, seed {job.key.seed}"
            return Bug(f"{where}: {type(error).__name__}: {error}", traceback.format_exc())
        if checkpoint.state is not None:
            self._checkpoints[job.key.id] = checkpoint
            while len(self._checkpoints) > CHECKPOINTS_KEPT:
                self._checkpoints.popitem(last=False)
        if evaluation.at(job.epochs) is None:
            return Bug(f"task {task.name!r} trained {evaluation.epochs} epochs of {job.epochs}", "")
        machine = self._machines[task.name]
        return Evaluated(replace(evaluation, machine=machine.id), machine, inspection)

    def _task(self, key: TaskKey) -> Task:
        if key.id not in self._tasks:
            task = task_of(key)
            if task.name not in self._machines:
                device = task.prepare(self._threads)
                self._machines[task.name] = describe_machine(device, self._threads, task.libraries.values())
            self._tasks[key.id] = task
        return self._tasks[key.id]
