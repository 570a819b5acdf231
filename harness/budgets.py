"""A study's budget: what a sweep file says of it, on a task, and what evaluations of that task cost."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from typing import Final

from harness.checks import checked_cost, folder_kept
from harness.errors import SweepError
from harness.plurals import plural
from harness.space import Config
from harness.sweep_fields import MOST_BUDGET, BudgetSpec
from harness.task import Task
from harness.trial import RECORDED_SECONDS, Budget, amount_in_words, in_unit, unit_in_words

POINTS: Final = 256
"""Configurations by which a task's costs are judged before any is known: always the same, all over its space."""


@dataclass(frozen=True, slots=True)
class EpochCosts:
    """What an epoch of a task costs, in its own unit, over `POINTS` configurations and its references.

    Attributes:
        mean: Mean over the points, to six significant digits: a last digit of a processor's logarithm names no study.
        least: The least of all these.
        example: That of the first reference configuration; of one in the middle of the space where there is none.
        example_name: What configuration that is, in words.
    """

    mean: float
    least: float
    example: float
    example_name: str


def epoch_costs(task: Task) -> EpochCosts:
    """Return what epochs of a task cost.

    The points are a Latin hypercube, centred in its cells, from Python's own generator, whose numbers stay the same.

    Raises:
        TaskError: A cost is not finite and positive.
    """

    def cost(config: Config) -> float:
        with folder_kept():
            return checked_cost(task.cost(dict(config)))

    space, draw = task.space, random.Random(0).random  # noqa: S311 - no secret
    columns = []
    for _ in space.parameters:
        keys = [draw() for _ in range(POINTS)]
        columns.append([(cell + 0.5) / POINTS for cell in sorted(range(POINTS), key=keys.__getitem__)])
    costs = [cost(space.from_unit(point)) for point in zip(*columns, strict=True)]
    references = {name: cost(config) for name, config in space.references.items()}
    mean = math.fsum(each / len(costs) for each in costs)
    first = next(iter(references), None)
    return EpochCosts(
        mean=float(f"{mean:.6g}"),
        least=min([*costs, *references.values()]),
        example=cost(space.from_unit([0.5] * len(space))) if first is None else references[first],
        example_name="a configuration in the middle of its space"
        if first is None
        else f"its reference configuration {first!r}",
    )


@dataclass(frozen=True, slots=True)
class Budgeted:
    """A task and what each study of it may spend.

    Attributes:
        task: The task.
        budget: The budget.
        least_cost: Of a budget of cost, the least that an epoch is known to cost; 0 in other units.
    """

    task: Task
    budget: Budget
    least_cost: float = 0.0

    def too_small_for(self, epochs: int) -> list[str]:
        """Return why the budget pays for no evaluation of so many epochs; nothing where it pays for one."""
        budget = self.budget
        taken = in_unit(budget.unit, evaluations=1, epochs=epochs, cost=epochs * self.least_cost)
        if budget.covers(taken):
            return []
        needs = f"the first needs {plural(epochs, 'epoch')}"
        if budget.unit == "cost":
            needs += f", and of {POINTS} configurations all over its space the cheapest costs {amount_in_words(taken)}"
        amount = f"{amount_in_words(budget.amount)} {unit_in_words(budget.unit, self.task.cost_unit)}"
        return [f"its budget of {amount} pays for no evaluation: {needs}; raise the budget"]


def with_budget(task: Task, spec: BudgetSpec) -> Budgeted:
    """Return a task with the budget that a sweep file gives each of its studies.

    Raises:
        SweepError: It is in seconds, and what the task costs is not on record; or it never ends.
        TaskError: The task's costs are not what they must be.
    """
    if spec.evaluations is not None:
        return Budgeted(task, Budget("evaluations", spec.evaluations))
    if spec.epochs is not None:
        return Budgeted(task, Budget("epochs", spec.epochs))
    if spec.full is not None:
        return Budgeted(task, Budget("epochs", spec.full * task.fidelity.high))
    costs = epoch_costs(task)
    full = costs.mean * task.fidelity.high
    amount = spec.cost
    if spec.seconds is not None:
        if task.cost_unit != RECORDED_SECONDS:
            raise SweepError(
                f"task {task.label!r} is no recording: how many seconds it takes depends on the machine, so that a "
                "study with such a budget could not be repeated. Give {cost: n} instead, with n in "
                f"{task.cost_unit}: an epoch of {costs.example_name} costs {amount_in_words(costs.example)}, and a "
                f"full evaluation {amount_in_words(full)} on average over its space"
            )
        amount = spec.seconds
    assert amount is not None  # noqa: S101 - exactly one is given
    budget = Budget("cost", amount, full)
    if budget.full_evaluations(task.fidelity) > MOST_BUDGET:
        raise SweepError(
            f"it pays for more than {MOST_BUDGET} full evaluations of task {task.label!r}, which cost "
            f"{amount_in_words(full)} {task.cost_unit} each, on average over its space; lower it, or give the task a "
            "budget of its own"
        )
    return Budgeted(task, budget, costs.least)
