"""What has never worked in a sweep: tasks whose evaluations, and methods whose first studies, all ended in a bug."""

from __future__ import annotations

from harness.errors import gist
from harness.evaluator import Bug

BROKEN_TASK = 2
"""Studies that a task may fail by a bug, having never given an evaluation, until those left on it are not begun."""

BROKEN_METHOD = 3
"""Studies that a method may fail by one bug, having never been told an evaluation, until its others are not begun."""


class Hopeless:
    """Keeps what tasks and methods failed by that have not worked yet."""

    def __init__(self) -> None:
        self._tasks: dict[str, list[Bug]] = {}
        self._methods: dict[str, list[Bug]] = {}
        self._working: set[str] = set()

    def works(self, method: str) -> None:
        """Note that a method was told an evaluation."""
        self._working.add(method)

    def task(self, task: str, bug: Bug, *, works: bool) -> str:
        """Note that an evaluation of a task ended in a bug.

        Args:
            task: The task.
            bug: What ended it.
            works: Whether the task has ever given an evaluation.

        Returns:
            The first one's message where nothing more is to be begun of the task; else nothing.
        """
        bugs = self._tasks.setdefault(task, [])
        bugs.append(bug)
        return bugs[0].message if not works and len(bugs) >= BROKEN_TASK else ""

    def method(self, method: str, bug: Bug) -> str:
        """Note that a method's study ended in a bug of its own; return as `task` does.

        Several bugs are none that ends all its studies: another task may be without.
        """
        bugs = self._methods.setdefault(method, [])
        bugs.append(bug)
        one = len({gist(each.message) for each in bugs}) == 1
        hopeless = method not in self._working and one and len(bugs) >= BROKEN_METHOD
        return bugs[0].message if hopeless else ""
