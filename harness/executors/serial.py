"""The reference executor: every evaluation in this process, one after the other.

So it can't isolate what ends its process (``os._exit``, a crash in C): that ends the run. Ray's evaluators can be lost.
"""

from __future__ import annotations

from collections import deque

from harness.evaluator import Evaluator, Job
from harness.executors.base import Finished, Workforce
from harness.host import Step, Stepped, StudyHost
from harness.keys import StudyKey, TaskKey
from harness.task import Data


class SerialExecutor:
    """Runs jobs and steps in this process, in the order submitted, steps first.

    Args:
        threads: Threads one evaluation may use.
    """

    job_slots = 1
    step_slots = 1
    workforce = Workforce()

    def __init__(self, threads: int) -> None:
        self._data: dict[str, Data] = {}
        self._evaluator = Evaluator(threads, lambda key: self._data[key.id])
        self._host = StudyHost(threads, lambda key: self._data[key.id])
        self._jobs: deque[Job] = deque()
        self._steps: deque[Step] = deque()

    def demand(self, jobs: int, cheap: int) -> None:
        """Do nothing: one process it is, whatever is wanted."""

    def add_data(self, task: TaskKey, data: Data) -> None:
        """Take a task's data."""
        self._data[task.id] = data

    def submit(self, job: Job) -> None:
        """Queue a job."""
        self._jobs.append(job)

    def step(self, step: Step, *, cheap: bool) -> None:
        """Queue a step."""
        del cheap  # all are evaluated here
        self._steps.append(step)

    def drop(self, key: StudyKey) -> None:
        """Forget a study."""
        self._host.drop(key)

    def wait(self) -> list[Finished | Stepped]:
        """Run the oldest step, or the oldest job."""
        if self._steps:
            return [self._host.step(self._steps.popleft())]
        job = self._jobs.popleft()
        return [Finished(job, self._evaluator.evaluate(job))]

    def close(self) -> None:
        """Forget what is queued."""
        self._jobs.clear()
        self._steps.clear()
