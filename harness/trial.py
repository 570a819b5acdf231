"""The data that flows between rooms: budgets, proposals, evaluations and what a searcher may know of a task."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final, Literal

from harness.plurals import plural
from harness.space import Config, Space


@dataclass(frozen=True, slots=True)
class Objective:
    """What is optimised: one metric of the learning curve, at the last epoch of an evaluation.

    Args:
        metric: Column of the curve the searcher sees, such as ``"val_accuracy"``.
        direction: Whether larger or smaller is better.
        failure: The metric value that stands for a failed evaluation, such as 0.0 for an accuracy.
            It is a constant of the task, and nothing that succeeded is ever told as worse: see `loss`.
            Methods whose libraries know failures are told these instead: see `Searcher`.
        test_metric: The companion reported for the selected configuration and never shown to a
            searcher; ``None`` where a task has no test set (synthetic functions).
    """

    metric: str
    direction: Literal["min", "max"]
    failure: float
    test_metric: str | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.metric, str) or not isinstance(self.test_metric, str | None):
            raise ValueError(f"Objective needs metrics by name, got {self.metric!r} and {self.test_metric!r}")
        if self.direction not in ("min", "max"):
            raise ValueError(f"Objective.direction must be 'min' or 'max', got {self.direction!r}")
        if not isinstance(self.failure, int | float) or not math.isfinite(self.failure):
            raise ValueError(f"Objective.failure must be a finite number, got {self.failure!r}")

    @property
    def metrics(self) -> tuple[str, ...]:
        """The columns that a curve must have."""
        return (self.metric,) if self.test_metric is None else (self.metric, self.test_metric)

    @property
    def sign(self) -> float:
        """Multiplier that turns the metric into a loss: 1.0 for ``min``, -1.0 for ``max``."""
        return 1.0 if self.direction == "min" else -1.0

    def loss(self, evaluation: Evaluation) -> float:
        """Return the loss of an evaluation; always finite, smaller is better.

        That of a failed one is the failure value, whatever the reason, and that of a success at most that:
        a failure never looks better than a success.
        """
        if evaluation.status is not Status.OK:
            return self.sign * self.failure
        return min(self.sign * evaluation.curve[self.metric][-1], self.sign * self.failure)


@dataclass(frozen=True, slots=True)
class Fidelity:
    """Range of training lengths, in epochs; ``high`` is full fidelity."""

    low: int
    high: int

    def __post_init__(self) -> None:
        if type(self.low) is not int or type(self.high) is not int or not 1 <= self.low <= self.high:
            raise ValueError(
                f"Fidelity needs whole numbers 1 <= low <= high, got low={self.low!r}, high={self.high!r}"
            )


@dataclass(frozen=True, slots=True)
class Problem:
    """Everything a searcher may know of a task."""

    space: Space
    fidelity: Fidelity
    objective: Objective


Unit = Literal["evaluations", "epochs", "cost"]
"""What budgets are counted in."""

RECORDED_SECONDS: Final = "s"
"""The unit of cost of a task that costs the seconds on record, which are the same in every run."""

ROUNDING: Final = 1e-9
"""Part of a budget of cost that decides nothing: what is spent is a sum, and 0.1 three times is to fit into 0.3."""


def in_unit(unit: Unit, *, evaluations: float, epochs: float, cost: float) -> float:
    """Return which of the three a budget of that unit is spent in."""
    return {"evaluations": evaluations, "epochs": epochs, "cost": cost}[unit]


def unit_in_words(unit: Unit, cost_unit: str) -> str:
    """Name what a budget is counted in, in the plural: ``evaluations``, ``epochs``, ``recorded seconds``, ``FLOPs``.

    Args:
        unit: The budget's.
        cost_unit: The task's own unit of cost.
    """
    if unit != "cost":
        return unit
    return "recorded seconds" if cost_unit == RECORDED_SECONDS else cost_unit


def amount_in_words(amount: float) -> str:
    """Return an amount of a budget as text: a count as it is, a cost with six significant digits."""
    return str(amount) if isinstance(amount, int) else f"{amount:.6g}"


@dataclass(frozen=True, slots=True)
class Budget:
    """What one study may spend.

    Args:
        unit: ``"evaluations"`` counts proposals evaluated; ``"epochs"`` counts epochs trained, a continued trial only
            for its additional ones; ``"cost"`` counts these epochs at the task's own cost of each.
        amount: How many: whole and at least 1, or of cost any positive, finite number.
        full_cost: Of a budget of cost, what an evaluation at full fidelity costs: the mean over the task's space. It
            is how methods know about how many evaluations they can plan with. 0 in the other units.

    Raises:
        ValueError: These contradict each other.
    """

    unit: Unit
    amount: float
    full_cost: float = 0.0

    def __post_init__(self) -> None:
        if self.unit != "cost":
            if self.amount < 1 or self.full_cost:
                raise ValueError(
                    f"a budget of {self.unit} must be at least 1, without a full_cost, got {self}"
                )
        elif not (0 < self.amount < math.inf and 0 < self.full_cost < math.inf):
            raise ValueError(f"a budget of cost needs a positive, finite amount and full_cost, got {self}")

    def covers(self, amount: float) -> bool:
        """Whether it pays for so much in all, in its unit."""
        return amount <= self.amount + (self.amount * ROUNDING if self.unit == "cost" else 0)

    def least(self, fidelity: Fidelity) -> float:
        """What must be left of it for another proposal to be worth asking for, in its unit.

        What a configuration costs is only known when it is there, so of a cost it is whatever is more than `ROUNDING`.
        """
        return in_unit(self.unit, evaluations=1, epochs=fidelity.low, cost=2 * ROUNDING * self.amount)

    def epochs(self, fidelity: Fidelity) -> float:
        """How many epochs it pays for: at full fidelity of evaluations, and on the whole space's average of cost."""
        if self.unit == "epochs":
            return self.amount
        evaluations = self.amount if self.unit == "evaluations" else self.amount / self.full_cost
        return evaluations * fidelity.high

    def full_evaluations(self, fidelity: Fidelity) -> int:
        """How many evaluations at full fidelity the budget pays for (0 when it pays for none).

        Of a budget of cost: as many as it pays for on average over the space, for what each costs is not known before.
        """
        return int(self.epochs(fidelity) * (1 + ROUNDING) // fidelity.high)

    def usual(self, epochs: int, fidelity: Fidelity) -> float:
        """What a new trial of so many epochs is charged, in its unit: of a cost, on average over the space."""
        cost = self.full_cost * epochs / fidelity.high
        return in_unit(self.unit, evaluations=1, epochs=epochs, cost=cost)

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON types: the fields that it has."""
        fields = {"unit": self.unit, "amount": self.amount}
        return fields if self.unit != "cost" else {**fields, "full_cost": self.full_cost}


@dataclass(frozen=True, slots=True)
class Proposal:
    """Evaluate this trial's configuration up to this many epochs.

    A trial number seen before with more epochs means: continue that trial.
    """

    trial: int
    config: Config
    epochs: int


class Status(StrEnum):
    """How an evaluation ended."""

    OK = "ok"
    DIVERGED = "diverged"
    """The loss became NaN or infinite: a property of the configuration."""
    CRASHED = "crashed"
    """The process died or ran out of memory, twice at this evaluation."""
    TIMEOUT = "timeout"
    """The deadline passed."""


class Curve(Mapping[str, tuple[float, ...]]):
    """A learning curve: metric name to one finite value per completed epoch, columns of equal length.

    Raises:
        ValueError: Columns differ in length, or a value is not a finite float.

    Example:
        >>> curve = Curve({"val_loss": (0.9, 0.7), "seconds": (0.1, 0.1)})
        >>> curve.epochs, curve.prefix(1)["val_loss"]
        (2, (0.9,))
    """

    __slots__ = ("_columns", "epochs")

    def __init__(self, columns: Mapping[str, tuple[float, ...] | list[float]] = MappingProxyType({})) -> None:
        checked = {}
        for name, values in columns.items():
            checked[name] = column = tuple(values)
            if set(map(type, column)) <= {float} and math.isfinite(sum(column)):
                continue  # the usual case, in a tenth of the time
            for value in column:
                if type(value) is not float or not math.isfinite(value):
                    raise ValueError(f"curve column {name!r} needs finite Python floats, got {value!r}")
        lengths = {name: len(values) for name, values in checked.items()}
        if len(set(lengths.values())) > 1:
            raise ValueError(f"curve columns need equal lengths, got {lengths}")
        self._columns: Mapping[str, tuple[float, ...]] = checked
        self.epochs: int = next(iter(lengths.values()), 0)

    def __getitem__(self, metric: str) -> tuple[float, ...]:
        return self._columns[metric]

    def __iter__(self) -> Iterator[str]:
        return iter(self._columns)

    def __len__(self) -> int:
        return len(self._columns)

    def __repr__(self) -> str:
        return f"Curve({dict(self._columns)!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Curve) and dict(self._columns) == dict(other._columns)

    def __hash__(self) -> int:
        return hash(tuple(sorted(self._columns.items())))

    def prefix(self, epochs: int) -> Curve:
        """Return the first ``epochs`` epochs."""
        return self if epochs >= self.epochs else Curve({k: v[:epochs] for k, v in self._columns.items()})

    def extended(self, row: Mapping[str, float]) -> Curve:
        """Return the curve with one more epoch."""
        if not self._columns:
            return Curve({name: (value,) for name, value in row.items()})
        return Curve({name: (*values, row[name]) for name, values in self._columns.items()})


ConfusionMatrix = tuple[tuple[int, ...], ...]
"""Examples counted by true class (row) and predicted class (column)."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What training one configuration gave.

    Args:
        status: How it ended.
        curve: One row of metrics per completed epoch; ``seconds`` is each epoch's own wall time.
        epochs: Epochs paid for: those of the curve, plus the one a divergence happened in.
        setup_seconds: Building and compiling before the first epoch; measured, never charged.
        lost_seconds: Wall time of the epoch that a failed evaluation did not complete.
        message: Why a failed evaluation failed, for people.
        deadline: Of a timeout, the limit in seconds that it ran into.
        machine: Digest of the machine description recorded beside it; empty until recorded.
        confusion: Confusion matrices after the last epoch of the curve, by part (``"val"``, ``"test"``);
            empty where a task has none, or where the evaluation is cut out of a longer one.
    """

    status: Status
    curve: Curve
    epochs: int
    setup_seconds: float = 0.0
    lost_seconds: float = 0.0
    message: str = ""
    deadline: float | None = None
    machine: str = ""
    confusion: Mapping[str, ConfusionMatrix] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.status is Status.OK and self.epochs != self.curve.epochs:
            raise ValueError(
                f"an ok evaluation of {plural(self.epochs, 'epoch')} has a curve of {self.curve.epochs}"
            )

    def at(self, epochs: int) -> Evaluation | None:
        """Return the evaluation this one implies after ``epochs`` epochs; ``None`` if it does not reach there.

        Nothing in training depends on the final epoch count, so a curve contains every shorter one.
        """
        if epochs <= self.curve.epochs:
            curve = self.curve.prefix(epochs)
            return replace(
                self,
                status=Status.OK,
                curve=curve,
                epochs=epochs,
                lost_seconds=0.0,
                message="",
                deadline=None,
                confusion=self.confusion if epochs == self.curve.epochs else {},
            )
        return None if self.status is Status.OK else self

    def seconds(self, after: int = 0) -> float:
        """Wall seconds of the epochs after epoch ``after``, a lost one included and set-up not."""
        completed = math.fsum(self.curve["seconds"][after:]) if "seconds" in self.curve else 0.0
        return completed + self.lost_seconds


def charged_epochs(proposal: Proposal, evaluation: Evaluation, before: int) -> int:
    """Return how many epochs an evaluation costs its study.

    Args:
        proposal: What was asked.
        evaluation: What came of it.
        before: Epochs this trial had been charged already.

    A divergence costs the epochs it took, which depend on nothing but the configuration and the
    seed. What a crash or a timeout reached depends on the machine, so these cost all that was asked.
    """
    reached = evaluation.epochs if evaluation.status in (Status.OK, Status.DIVERGED) else proposal.epochs
    return max(min(reached, proposal.epochs) - before, 0)
