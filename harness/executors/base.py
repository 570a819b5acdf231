"""What the driver asks of an executor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from harness.evaluator import Bug, Evaluated, Job
from harness.keys import TaskKey
from harness.task import Data


@dataclass(frozen=True, slots=True)
class Finished:
    """A job that ended, in whatever way."""

    job: Job
    outcome: Evaluated | Bug


class Executor(Protocol):
    """Runs jobs somewhere and hands them back in the order they end."""

    name: str

    @property
    def slots(self) -> int:
        """Jobs worth having in flight."""
        ...

    def add_data(self, task: TaskKey, data: Data) -> None:
        """Take a task's data; called once, before its first job."""
        ...

    def submit(self, job: Job) -> None:
        """Start a job, or queue it."""
        ...

    def wait(self) -> Finished:
        """Return the next job that ends; at least one must have been submitted."""
        ...

    def close(self) -> None:
        """Give everything back; jobs still running are lost."""
        ...
