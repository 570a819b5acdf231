"""Runs evaluations in one process: what the serial executor calls and what a Ray actor wraps."""

from __future__ import annotations

import gc
import operator
import traceback
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum

from harness import files, registry
from harness.checks import checked_evaluation, checked_inspection, folder_kept
from harness.errors import DataError, DerbyError, Interruption, SearcherError, plain_text, said
from harness.keys import EvaluationKey, TaskKey
from harness.machine import Machine, describe_machine
from harness.task import Checkpoint, Data, Inspection, Task, checked_data, read_only
from harness.threads import bind, held_to
from harness.trial import Evaluation, Status

CHECKPOINTS_KEPT = 16
"""Checkpoints an evaluator keeps so that trials can be continued; a lost one costs time, never a result."""

CHECKPOINT_BYTES = 1 << 29
"""Memory that they may take together; the latest is kept whatever its size."""

SPLITS_KEPT = 2
"""Drawn splits that an evaluator keeps, those used last: one is drawn anew in the time of a copy."""

_NO_REASON = "it took more than an evaluator's share of its machine"


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
    """A task or searcher raised: a bug, never a result."""

    message: str
    details: str
    """The traceback."""
    of_task: bool = False
    """Whether an evaluation raised it, and not a searcher."""
    of_method: bool = False
    """Whether a searcher raised it, or what it proposed was not to be had: no task is to blame."""

    @classmethod
    def of(cls, error: BaseException, where: str = "") -> Bug:
        """Return what an exception says, after file and line where it comes from a user's own file.

        Args:
            error: Whatever was raised, ``SystemExit`` included.
            where: What raised it, for the message's beginning.
        """
        message = plain_text(str(error)) if isinstance(error, DerbyError) else said(error)
        details = plain_text("".join(traceback.format_exception(error)))
        told = ": ".join(part for part in (files.place_of(error), where, message) if part)
        return cls(told, details, of_method=isinstance(error, SearcherError))


class Cause(StrEnum):
    """Why an evaluation, or what ran it, was lost."""

    NODE = "node"
    """Its machine went away: nothing to do with what was evaluated."""
    CRASH = "crash"
    """Its process died."""
    MEMORY = "memory"
    """Host or device ran out of memory."""
    DEADLINE = "deadline"
    """It neither ended nor stopped long after its deadline, and was killed."""


@dataclass(frozen=True, slots=True)
class Lost:
    """A job that ended without a result; whether it is run again is the driver's to decide."""

    cause: Cause
    message: str


Outcome = Evaluated | Bug | Lost


def task_of(key: TaskKey) -> Task:
    """Build the task a key names.

    Raises:
        UnknownNameError: No such task is installed.
        DataError: Its data are not those that the key names, though they are known before they are loaded.
    """
    task = registry.task(key.name, key.package)(**key.options, **key.scoring)
    if task.pinned_data not in (None, key.data):
        raise DataError(
            f"the data of task {task.label!r} changed while the sweep ran: digest {task.pinned_data}, and it was "
            f"{key.data} when it was planned; run again to evaluate on what is there now"
        )
    return task


class Evaluator:
    """Evaluates jobs, keeping tasks and the latest checkpoints.

    Args:
        threads: Threads one evaluation may use.
        data: Returns a task's data, read-only, by its key without a split.
        gpu_share: Part of a GPU's memory that it may use, where it trains on one.
    """

    def __init__(self, threads: int, data: Callable[[TaskKey], Data], *, gpu_share: float = 1.0) -> None:
        self._threads = threads
        self._gpu_share = gpu_share
        self._data = data
        self._tasks: dict[str, Task] = {}
        self._machines: dict[tuple[str, str], Machine] = {}
        self._checkpoints: OrderedDict[str, Checkpoint] = OrderedDict()
        self._splits: OrderedDict[str, Data] = OrderedDict()

    def evaluate(self, job: Job) -> Outcome:
        """Run one job; a bug in the task comes back as a `Bug`, no memory as `Lost`, neither as an exception.

        Trainings that rest here take memory, on a GPU above all. Where there is none left, they are dropped and the job
        is run again at once: what becomes of it must not depend on what was evaluated before.
        """
        outcome = self._outcome(job)
        if isinstance(outcome, Lost) and self._checkpoints:
            self._checkpoints.clear()
            gc.collect()  # what failed may be held by its own traceback
            outcome = self._outcome(job)
        return outcome

    def _outcome(self, job: Job) -> Outcome:
        try:
            task = self._task(job.key.task)
            data = self._split(task, job.key.task)
            checkpoint = self._checkpoints.pop(job.key.id, None) or Checkpoint.fresh()
            if job.inspect and checkpoint.curve.epochs > job.epochs:
                checkpoint = Checkpoint.fresh()  # it has gone on to other weights
            inspection = None
            with held_to(self._threads), folder_kept():
                made = task.evaluate(
                    dict(job.key.config),
                    epochs=job.epochs,
                    seed=job.key.seed,
                    data=data,
                    checkpoint=checkpoint,
                    deadline=job.deadline,
                )
                evaluation = checked_evaluation(made, task.objective, job.epochs)
                if job.inspect and evaluation.status is Status.OK:
                    inspection = checked_inspection(
                        task.inspect(
                            dict(job.key.config), seed=job.key.seed, data=data, checkpoint=checkpoint
                        )
                    )
                if checkpoint.state is not None:
                    # A task's own: what is no number must not be summed later.
                    operator.index(checkpoint.nbytes)
                    if job.epochs < task.fidelity.high:
                        self._keep(job.key.id, checkpoint)
        except MemoryError as error:
            reason = said(error).removeprefix("MemoryError").removeprefix(": ")
            return Lost(
                Cause.MEMORY,
                f"out of memory: {reason or _NO_REASON}",
            )
        except Interruption:
            raise
        except BaseException as error:  # noqa: BLE001 - the boundary: a bug fails its study, not the sweep
            where = f"task {job.key.task.name!r} on {dict(job.key.config)}, seed {job.key.seed}"
            return replace(Bug.of(error, where), of_task=True)
        machine = self._machines[task.name, task.package]
        return Evaluated(replace(evaluation, machine=machine.id), machine, inspection)

    def _split(self, task: Task, key: TaskKey) -> Data:
        """Return what a task is evaluated on: its data, split as the key says."""
        whole = self._data(key.unsplit)
        if key.split is None:
            return whole
        if key.id not in self._splits:
            with folder_kept():
                self._splits[key.id] = read_only(checked_data(task.split(whole, key.split)))
        self._splits.move_to_end(key.id)
        while len(self._splits) > SPLITS_KEPT:
            self._splits.popitem(last=False)
        return self._splits[key.id]

    def _keep(self, key_id: str, checkpoint: Checkpoint) -> None:
        self._checkpoints[key_id] = checkpoint
        taken = sum(kept.nbytes for kept in self._checkpoints.values())
        while len(self._checkpoints) > 1 and (
            len(self._checkpoints) > CHECKPOINTS_KEPT or taken > CHECKPOINT_BYTES
        ):
            taken -= self._checkpoints.popitem(last=False)[1].nbytes

    def _task(self, key: TaskKey) -> Task:
        if key.id not in self._tasks:
            task = task_of(key)
            if (task.name, task.package) not in self._machines:
                bind(self._threads, task.libraries)
                device = task.prepare(self._threads, self._gpu_share)
                self._machines[task.name, task.package] = describe_machine(
                    device, self._threads, task.libraries
                )
            self._tasks[key.id] = task
        return self._tasks[key.id]
