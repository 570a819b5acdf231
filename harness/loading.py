"""Loading the data of a sweep's tasks, once each, and holding them to what they were when the sweep was planned."""

from __future__ import annotations

from collections.abc import Callable

from harness.checks import folder_kept
from harness.errors import DataError, DerbyError, Interruption, TaskError, said
from harness.executors.base import Executor
from harness.keys import TaskKey
from harness.task import Task, checked_data, data_digest, read_only


class TaskData:
    """Hands the data of tasks to an executor before they are needed.

    Args:
        on_data: Called with the digest of every task's data, by label, when one was loaded.
    """

    def __init__(self, on_data: Callable[[dict[str, str]], None]) -> None:
        self._on_data = on_data
        self._loaded: dict[str, DerbyError | None] = {}
        self.digests: dict[str, str] = {}
        """Digest of the data of every task that was loaded, by label."""

    def load(self, task: Task, key: TaskKey, executor: Executor) -> None:
        """Load a task's data, unless they are; what went wrong is said to each study that asks.

        Args:
            task: The task.
            key: Its key in a study.
            executor: Who gets the data.

        Raises:
            DataError: There are none, or they are no longer those that the sweep was planned with.
            TaskError: The task failed to load them.
        """
        key = key.unsplit
        if key.id not in self._loaded:
            self._loaded[key.id] = self._add(task, key, executor)
        problem = self._loaded[key.id]
        if problem is not None:
            raise problem

    def _add(self, task: Task, key: TaskKey, executor: Executor) -> DerbyError | None:
        try:
            with folder_kept():
                data = read_only(checked_data(task.load()))
            digest = data_digest(data)
            if task.pinned_data is None and digest != key.data:
                raise DataError(
                    f"the data of task {task.label!r} changed while the sweep ran: digest {digest}, and it was "
                    f"{key.data} when it was planned; run again to evaluate on what is there now"
                )
        except Interruption:
            raise
        except DataError as error:
            return error
        except BaseException as error:  # noqa: BLE001 - the boundary: a bug fails its studies, not the sweep
            failure = TaskError(f"task {task.name!r} failed to load its data: {said(error)}")
            failure.__cause__ = error
            return failure
        executor.add_data(key, data)
        self.digests[task.label] = digest
        self._on_data(self.digests)
        return None
