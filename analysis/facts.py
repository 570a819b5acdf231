"""What the tables say of one task, typed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from results.tables import SweepTables

Measure = Literal["validation", "test"]
"""Whose value of the incumbent: the objective that chose it, or its test companion."""


@dataclass(frozen=True, slots=True)
class TaskFacts:
    """The row of a task in ``tables.tasks``, as far as analysis uses it.

    Attributes:
        label: The task's label.
        metrics: Metric name by measure, validation first; without test where the task has none.
        direction: ``min`` or ``max``, of both metrics.
        full_epochs: Epochs of full fidelity.
        budget: Amount and unit, such as ``60 evaluations``.
        source: Where the task comes from; may be empty.
        subset: Whether its numbers were made on a data subset.
    """

    label: str
    metrics: Mapping[Measure, str]
    direction: str
    full_epochs: int
    budget: str
    source: str
    subset: bool

    @property
    def sign(self) -> float:
        """Multiplier that turns a metric into a loss."""
        return 1.0 if self.direction == "min" else -1.0


def task_facts(tables: SweepTables, task: str) -> TaskFacts:
    """Return the facts of a task.

    Raises:
        KeyError: The sweep has no such task.
    """
    row = dict(tables.tasks.loc[[task]].iloc[0])
    metrics: dict[Measure, str] = {"validation": str(row["metric"])}
    if isinstance(row["test_metric"], str):  # pandas may have turned None into NaN
        metrics["test"] = row["test_metric"]
    return TaskFacts(
        label=task,
        metrics=metrics,
        direction=str(row["direction"]),
        full_epochs=int(row["full_epochs"]),
        budget=f"{row['budget_amount']} {row['budget_unit']}",
        source=row["source"] if isinstance(row["source"], str) else "",
        subset=bool(row["subset"]),
    )
