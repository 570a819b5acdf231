"""What the driver asks of an executor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from harness.evaluator import Job, Outcome
from harness.host import Step, Stepped
from harness.keys import StudyKey, TaskKey
from harness.task import Data


@dataclass(frozen=True, slots=True)
class Finished:
    """A job that ended, in whatever way.

    Args:
        job: The job.
        outcome: What came of it.
        where: The evaluator that ran it, for people.
    """

    job: Job
    outcome: Outcome
    where: str = ""


@dataclass(frozen=True, slots=True)
class Workforce:
    """How many evaluators there are; all 0 where evaluations run in the driver's process."""

    busy: int = 0
    idle: int = 0
    starting: int = 0
    missing: tuple[str, ...] = ()
    """Machines that should train and do not, each with the reason."""


class Executor(Protocol):
    """Runs jobs and the searchers' steps somewhere and hands back what comes of them, in any order."""

    @property
    def job_slots(self) -> int:
        """Jobs worth having handed over now."""
        ...

    @property
    def step_slots(self) -> int:
        """Steps worth having handed over now."""
        ...

    @property
    def workforce(self) -> Workforce:
        """The evaluators there are."""
        ...

    def demand(self, jobs: int, cheap: int) -> None:
        """Learn what the rest of the sweep could use: jobs at once, and studies of cheap tasks."""
        ...

    def add_data(self, task: TaskKey, data: Data) -> None:
        """Take a task's data, however they are split; called once, before its first job or step that needs them."""
        ...

    def submit(self, job: Job) -> None:
        """Start a job, or queue it."""
        ...

    def step(self, step: Step, *, cheap: bool) -> None:
        """Let a study go on, which has no other step under way; a cheap task's is evaluated there too."""
        ...

    def drop(self, key: StudyKey) -> None:
        """Forget a study that has failed; a step of it that is under way may still be handed back."""
        ...

    def wait(self) -> list[Finished | Stepped]:
        """Return what has ended; after a moment without anything, return nothing."""
        ...

    def close(self) -> None:
        """Give everything back; what is still running is lost."""
        ...
