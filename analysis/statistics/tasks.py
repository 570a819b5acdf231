"""What the tables say of one task, typed."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from analysis.errors import AnalysisError
from harness.trial import amount_in_words, unit_in_words
from results.tables import SweepTables

Measure = Literal["validation", "test"]
"""Whose value of the incumbent: the objective that chose it, or its test companion."""


@dataclass(frozen=True, slots=True)
class References:
    """The two metric values that normalise the regret of a task, frozen with the task.

    Both are constants of the task, never taken from the methods of a sweep, so that adding a method
    changes no other method's score. They apply to the objective and to its test companion alike.

    Attributes:
        best: The metric's best possible or best known value: regret 0.
        reference: A value that anybody has without a search, such as that of guessing: regret 1.
    """

    best: float
    reference: float

    def regret(self, values: Any) -> Any:
        """Return ``(y - best) / (reference - best)`` of metric values of any shape; NaN stays NaN."""
        return (values - self.best) / (self.reference - self.best)


@dataclass(frozen=True, slots=True)
class TaskFacts:
    """The row of a task in ``tables.tasks``, as far as analysis uses it.

    Attributes:
        label: The task's label.
        metrics: Metric name by measure, validation first; without test where the task has none.
        direction: ``min`` or ``max``, of both metrics.
        full_epochs: Epochs of full fidelity.
        budget: Amount and unit, such as ``60 evaluations``.
        cost_unit: What a budget of cost is counted in, in words; empty where the budget is in another unit.
        source: Where the task comes from; may be empty.
        subset: Whether its numbers were made on a data subset.
        group: Kind of task, such as ``image``; empty where it declares none.
        replayed: What recorded trainings it replays, in words; empty where it trains or computes.
        imported: What it was imported from, in words; empty where this project ran it.
        references: What normalises its regret; ``None`` where the task declares nothing.
    """

    label: str
    metrics: Mapping[Measure, str]
    direction: str
    full_epochs: int
    budget: str
    source: str
    subset: bool
    group: str = ""
    replayed: str = ""
    imported: str = ""
    cost_unit: str = ""
    references: References | None = None

    @property
    def reported(self) -> Measure:
        """What final results rest on: the test value where the task has one, else the objective."""
        return "test" if "test" in self.metrics else "validation"

    @property
    def sign(self) -> float:
        """Multiplier that turns a metric into a loss."""
        return 1.0 if self.direction == "min" else -1.0


def task_facts(tables: SweepTables, task: str) -> TaskFacts:
    """Return the facts of a task.

    Raises:
        KeyError: The sweep has no such task.
        AnalysisError: The task's references are not two numbers in the task's direction.
    """
    row = dict(tables.tasks.loc[[task]].iloc[0])
    amount, unit = row["budget_amount"], unit_in_words(row["budget_unit"], str(row["cost_unit"]))
    in_cost = row["budget_unit"] == "cost"
    metrics: dict[Measure, str] = {"validation": str(row["metric"])}
    if isinstance(row["test_metric"], str):  # pandas may have turned None into NaN
        metrics["test"] = row["test_metric"]
    return TaskFacts(
        label=task,
        metrics=metrics,
        direction=str(row["direction"]),
        full_epochs=int(row["full_epochs"]),
        budget=f"{amount_in_words(float(amount) if in_cost else int(amount))} {unit}",
        source=str(row["source"]),
        subset=bool(row["subset"]),
        group=str(row["group"]),
        replayed=str(row["replayed"]),
        imported=tables.imported.words if tables.imported is not None else "",
        cost_unit=unit if in_cost else "",
        references=_references(task, row),
    )


def _references(task: str, row: Mapping[Any, Any]) -> References | None:
    """Return the references of a task's row, if it has them."""
    best, reference = (
        math.nan if value is None else float(value) for value in (row["regret_best"], row["regret_reference"])
    )
    if math.isnan(best) and math.isnan(reference):
        return None
    sign = 1.0 if row["direction"] == "min" else -1.0
    if not (math.isfinite(best) and math.isfinite(reference) and sign * best < sign * reference):
        raise AnalysisError(
            f"task {task!r}: regret_best must be a better value than regret_reference (the objective's direction "
            f"is {row['direction']!r}), got {best} and {reference}; correct the task's references or leave both out"
        )
    return References(best, reference)
