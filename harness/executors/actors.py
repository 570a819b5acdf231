"""What runs in Ray's worker processes: evaluators and study hosts. They return everything and write nothing."""

from __future__ import annotations

import ctypes
import os
import signal
import threading
import time
from dataclasses import dataclass, replace

import psutil
import ray
from ray._common.utils import get_system_memory
from ray._private.utils import get_used_memory

from harness import files
from harness.arithmetic import check_processor, in_use
from harness.evaluator import Evaluator, Job, Outcome
from harness.host import Step, Stepped, StudyHost
from harness.keys import StudyKey, digest
from harness.task import Data

WATCH_SECONDS = 0.2
"""How often an evaluator's memory is looked at while it evaluates."""

SHORT = 0.9
"""Part of a machine's memory in use from which its evaluators are held to their shares. Ray kills processes, not
always the one to blame, from 0.95 on."""

YIELD_SECONDS = 5.0
"""How long an evaluation that is over its memory may take to end before its process does."""


@dataclass(frozen=True, slots=True)
class MemoryLimit:
    """What an evaluator may take.

    Args:
        nbytes: Bytes, without what is shared.
        strict: Whether that holds always, or only while the machine is short of memory.
    """

    nbytes: float
    strict: bool


@dataclass(frozen=True, slots=True)
class Location:
    """Where an actor runs."""

    node: str
    """Ray's id of the node."""
    address: str
    pid: int
    arithmetic: str = ""
    """Digest of what a study host computes with."""

    def __str__(self) -> str:
        return f"{self.address}, process {self.pid}"


def _location() -> Location:
    return Location(ray.get_runtime_context().get_node_id(), ray.util.get_node_ip_address(), os.getpid())


def end_when_told() -> None:
    """Let the signal to terminate end this process at once.

    Ray would raise `SystemExit` in the midst of what runs, which then looked like the fault of a task or a searcher.
    Who sends it takes the machine away, as SLURM does before a job's end; a process that is gone is known as lost, and
    what it did is done again elsewhere. There is nothing to save here.
    """
    signal.signal(signal.SIGTERM, lambda number, _: os._exit(128 + number))


class EvaluatorActor:
    """An evaluator in a process of its own; data come from the object store, zero-copy and read-only.

    Args:
        threads: Threads one evaluation may use.
        gpu_share: Part of a GPU's memory it may use.
        sources: Files of the user that tasks come from.
    """

    def __init__(self, threads: int, gpu_share: float, sources: tuple[files.Source, ...] = ()) -> None:
        end_when_told()
        check_processor()
        files.add(sources)
        self._data: dict[str, Data] = {}
        self._evaluator = Evaluator(threads, lambda key: self._data[key.id], gpu_share=gpu_share)

    def location(self) -> Location:
        """Say where it runs; by that, that it does."""
        return _location()

    def evaluate(self, job: Job, data: Data, limit: MemoryLimit) -> tuple[Outcome, int]:
        """Run one job under a limit of memory; return its outcome and the bytes taken after it."""
        self._data.setdefault(job.key.task.unsplit.id, data)
        with MemoryWatch(limit):
            outcome = self._evaluator.evaluate(job)
        return outcome, own_memory()


class HostActor:
    """A study host in a process of its own.

    Args:
        threads: Threads one evaluation of a cheap task may use.
        sources: Files of the user that tasks and searchers come from.
    """

    def __init__(self, threads: int, sources: tuple[files.Source, ...] = ()) -> None:
        end_when_told()
        check_processor()
        files.add(sources)
        self._data: dict[str, Data] = {}
        self._host = StudyHost(threads, lambda key: self._data[key.id])

    def location(self) -> Location:
        """Say where it runs and what it computes with; by that, that it runs."""
        return replace(_location(), arithmetic=digest(in_use()))

    def step(self, step: Step, data: Data | None) -> Stepped:
        """Let a study go on; ``data`` are those of a cheap task."""
        if data is not None:
            self._data.setdefault(step.key.task.unsplit.id, data)
        return self._host.step(step)

    def drop(self, key: StudyKey) -> None:
        """Forget a study."""
        self._host.drop(key)


def own_memory() -> int:
    """Return this process's memory in bytes, without what it shares, such as data in the object store."""
    memory = psutil.Process().memory_info()
    return int(memory.rss - getattr(memory, "shared", 0))


class MemoryWatch:
    """Ends what runs inside this context with a `MemoryError` when the process takes more than it may.

    Where that is not heeded, as by code outside Python, the process ends: the machine's other evaluators must
    not pay for it.

    Args:
        limit: What it may take.
    """

    def __init__(self, limit: MemoryLimit) -> None:
        self._limit = limit
        self._thread = threading.get_ident()
        self._over = threading.Event()

    def __enter__(self) -> None:
        threading.Thread(target=self._watch, daemon=True, name="memory watch").start()

    def __exit__(self, *_: object) -> None:
        self._over.set()

    def _watch(self) -> None:
        asked: float | None = None
        again = True
        while not self._over.wait(WATCH_SECONDS):
            if own_memory() <= self._limit.nbytes:
                if asked is not None and again:
                    asked, again = None, False  # the evaluator's second try of the job, or what heeds nothing
                continue
            # Both know the limits of a container, which psutil does not.
            if not self._limit.strict and get_used_memory() < SHORT * get_system_memory():
                continue
            if asked is None:
                asked = time.monotonic()
                ctypes.pythonapi.PyThreadState_SetAsyncExc(
                    ctypes.c_ulong(self._thread), ctypes.py_object(MemoryError)
                )
            elif time.monotonic() - asked > YIELD_SECONDS:
                os._exit(1)
