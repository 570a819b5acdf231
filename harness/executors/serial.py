"""The reference executor: every evaluation in this process, one after the other."""

from __future__ import annotations

from collections import deque

from harness.evaluator import Evaluator, Job
from harness.executors.base import Finished
from harness.keys import TaskKey
from harness.task import Data


class SerialExecutor:
    """Runs jobs in this process, in the order submitted.

    Args:
        threads: Threads one evaluation may use.
    """

    name = "serial"
    slots = 1

    def __init__(self, threads: int) -> None:
        self._data: dict[str, Data] = {}
        self._evaluator = Evaluator(threads, lambda key: self._data[key.id])
        self._queue: deque[Job] = deque()

    def add_data(self, task: TaskKey, data: Data) -> None:
        """Take a task's data."""
        self._data[task.id] = data

    def submit(self, job: Job) -> None:
        """Queue a job."""
        self._queue.append(job)

    def wait(self) -> Finished:
        """Run the oldest job."""
        job = self._queue.popleft()
        return Finished(job, self._evaluator.evaluate(job))

    def close(self) -> None:
        """Forget what is queued."""
        self._queue.clear()
