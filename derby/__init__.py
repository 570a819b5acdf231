"""HPO Derby for its users: objectives and search methods of one's own, and recorded results, under one short name.

The parts of the project are top-level packages with plain names (see `derby.rooms`), which files of a user's
folder may have, too. Whoever imports this package, or any part of the project, is given the project's own. A file that
a sweep names (``tasks.py:MyTask``) is loaded under a name of its own and may be called as it likes.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Final

from derby import rooms as rooms

if TYPE_CHECKING:
    from analysis.notebook import read, select
    from derby import figures, latex, statistics
    from harness.searcher import Searcher, SearcherOptions, Suggestion
    from harness.space import Choice, Condition, Config, Float, Int, Space
    from harness.task import Checkpoint, Known, RegretScale, Task
    from harness.trial import Budget, Curve, Evaluation, Fidelity, Objective, Status
    from results.imports.sources import import_results
    from results.tables import export
    from searchers.conformance import SearcherConformance
    from tasks.conformance import TaskCase, TaskConformance
    from tasks.own.estimator import Examples, Grows, sklearn_task
    from tasks.own.function import task
    from tasks.own.network import keras_task

_HOMES: Final = {
    "analysis.notebook": ("read", "select"),
    "harness.searcher": ("Searcher", "SearcherOptions", "Suggestion"),
    "harness.space": ("Choice", "Condition", "Config", "Float", "Int", "Space"),
    "harness.task": ("Checkpoint", "Known", "RegretScale", "Task"),
    "harness.trial": ("Budget", "Curve", "Evaluation", "Fidelity", "Objective", "Status"),
    "results.imports.sources": ("import_results",),
    "results.tables": ("export",),
    "searchers.conformance": ("SearcherConformance",),
    "tasks.conformance": ("TaskCase", "TaskConformance"),
    "tasks.own.estimator": ("Examples", "Grows", "sklearn_task"),
    "tasks.own.function": ("task",),
    "tasks.own.network": ("keras_task",),
}
_PARTS: Final = ("figures", "latex", "statistics")
"""Modules of this package that are imported when they are asked for."""

_HOME_OF: Final = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [
    "Budget", "Checkpoint", "Choice", "Condition", "Config", "Curve", "Evaluation", "Examples", "Fidelity", "Float",
    "Grows", "Int", "Known", "Objective", "RegretScale", "Searcher", "SearcherConformance", "SearcherOptions",
    "Space", "Status", "Suggestion", "Task", "TaskCase", "TaskConformance", "export", "figures",
    "import_results", "keras_task", "latex", "read", "select", "sklearn_task", "statistics", "task",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    """Import what is asked for, then: ``derby --help`` and a file of one's own load nothing that they do not use."""
    if name in _PARTS:
        return importlib.import_module(f"derby.{name}")
    if name not in _HOME_OF:
        raise AttributeError(
            f"module 'derby' has no attribute {name!r}; it has {', '.join(sorted((*_HOME_OF, *_PARTS)))}"
        )
    return getattr(importlib.import_module(_HOME_OF[name]), name)


def main() -> None:
    """Run the command line."""
    from harness.cli import main as run

    run()
