"""What tasks and searchers may hand over: checked once, where it arrives, so that nothing else need doubt it.

Code of others runs in this project's processes. Whatever it raises or returns becomes a fault that names it and fails
the studies that use it; only the end of the process itself is out of reach (see `harness.executors.serial`).
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Annotated, Any, Final

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, InstanceOf, ValidationError

from harness.errors import TaskError, plain_text, typed
from harness.keys import GROUP, TaskKey
from harness.plurals import plural
from harness.space import Space
from harness.task import Inspection, Known, RegretScale, Task
from harness.trial import Curve, Evaluation, Fidelity, Objective, Status

RESERVED_METRICS: Final = frozenset({"study", "step", "epoch"})
"""Columns that the table of epochs has beside a curve's."""

_Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]
_Count = Annotated[int, Field(ge=0)]


class _Allowed(BaseModel):
    """An evaluation as a task may return it, field by field; `checked_evaluation` holds the fields to each other."""

    model_config = ConfigDict(strict=True, from_attributes=True, frozen=True)

    status: Status
    curve: InstanceOf[Curve]
    epochs: _Count
    setup_seconds: _Seconds
    lost_seconds: _Seconds
    message: str
    deadline: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None
    confusion: dict[str, tuple[tuple[_Count, ...], ...]]


def checked_evaluation(made: object, objective: Objective, epochs: int) -> Evaluation:
    """Return what a task's `evaluate` returned, as plain values.

    Args:
        made: What it returned.
        objective: The task's.
        epochs: What was asked for.

    Raises:
        TaskError: It is no evaluation that `Task.evaluate` allows; says what is wrong with it.
    """
    if not isinstance(made, Evaluation):
        raise TaskError(f"evaluate must return an Evaluation, got {typed(made)}")
    try:
        allowed = _Allowed.model_validate(made)
    except ValidationError as error:
        faults = (
            f"{'.'.join(map(str, fault['loc']))}: {_lowered(fault['msg'])}, got {typed(fault['input'])}"
            for fault in error.errors()
        )
        raise TaskError(f"evaluate returned an Evaluation that is not valid: {'; '.join(faults)}") from None
    curve, status = allowed.curve, allowed.status
    contradiction = next(_inconsistencies(allowed, objective, epochs), None)
    if contradiction is not None:
        raise TaskError(f"evaluate returned an Evaluation that is not valid: {contradiction}")
    return Evaluation(
        status=status,
        curve=curve,
        epochs=allowed.epochs,
        setup_seconds=float(allowed.setup_seconds),
        lost_seconds=float(allowed.lost_seconds),
        message=plain_text(allowed.message),
        deadline=None if allowed.deadline is None else float(allowed.deadline),
        confusion=allowed.confusion,
    )


def _inconsistencies(made: _Allowed, objective: Objective, epochs: int) -> Iterator[str]:
    """Yield how the fields of an evaluation contradict each other or what was asked."""
    status, curve = made.status, made.curve
    if status is Status.OK:
        if made.epochs != curve.epochs:
            yield f"it is ok after {plural(made.epochs, 'epoch')}, with a curve of {curve.epochs}"
        if curve.epochs < epochs:
            yield f"it is ok after {plural(curve.epochs, 'epoch')} of {epochs}"
    elif curve.epochs > made.epochs:
        yield f"it is {status.value} after {plural(made.epochs, 'epoch')}, with a curve of {curve.epochs}"
    if status is Status.DIVERGED and made.epochs < 1:
        yield "it diverged after 0 epochs; the epoch it happened in counts"
    if status is Status.TIMEOUT and made.deadline is None:
        yield "it is a timeout without the deadline that it ran into"
    # Whatever became of it, its curve stands for every request that it reaches.
    for metric in objective.metrics if curve.epochs else ():
        if metric not in curve:
            yield f"its curve lacks {metric!r}, the objective's; it has {', '.join(map(repr, curve))}"
    for metric in curve:
        if not isinstance(metric, str) or metric in RESERVED_METRICS:
            reserved = ", ".join(sorted(RESERVED_METRICS))
            yield f"a column of its curve is called {metric!r}; expected a text other than {reserved}"
    if any(seconds < 0 for seconds in curve.get("seconds", ())):
        yield f"an epoch took {min(curve['seconds'])} seconds"
    for part, rows in made.confusion.items():
        if any(len(row) != len(rows) for row in rows):
            yield f"its confusion matrix {part!r} is not square"


def checked_inspection(made: object) -> Inspection | None:
    """Return what a task's `inspect` returned.

    Raises:
        TaskError: It is neither ``None`` nor an inspection of arrays.
    """
    if made is None:
        return None
    if not isinstance(made, Inspection):
        raise TaskError(f"inspect must return an Inspection or None, got {typed(made)}")
    arrays: dict[str, Any] = {"images": made.images, "labels": made.labels, "predicted": made.predicted}
    for name in ("before", "after"):
        weights = getattr(made, name)
        if not isinstance(weights, Mapping):
            raise TaskError(f"inspect: {name} must be a mapping of names to arrays, got {typed(weights)}")
        arrays |= {f"{name} {key}": value for key, value in weights.items()}
    for name, array in arrays.items():
        if not isinstance(array, np.ndarray) or array.dtype.kind not in "biuf":
            raise TaskError(f"inspect: {name} must be an array of numbers, got {typed(array)}")
    if not isinstance(made.classes, tuple) or not all(isinstance(name, str) for name in made.classes):
        raise TaskError(f"inspect: classes must be a tuple of names, got {typed(made.classes)}")
    return made


def check_task(task: Task) -> None:
    """Check what a task says of itself before anything is planned for it.

    Raises:
        TaskError: It says something that `Task` does not allow.
        DataError: Its data, which are part of its identity, were not found or are not the expected ones.
    """
    kinds: dict[str, type | tuple[type, ...]] = {
        "space": Space,
        "fidelity": Fidelity,
        "objective": Objective,
        "regret": (RegretScale, type(None)),
        "known": (Known, type(None)),
        "cheap": bool,
        "on_subset": bool,
        "version": int,
        "source": str,
        "cost_unit": str,
        "group": str,
        "draws_splits": bool,
        "levels": Mapping,
        "replayed": str,
        "seeds_of": (Mapping, type(None)),
    }
    for name, kind in kinds.items():
        value = getattr(task, name, None)
        if not isinstance(value, kind):
            wanted = " or ".join(k.__name__ for k in (kind if isinstance(kind, tuple) else (kind,)))
            raise TaskError(f"task {task.name!r}: {name} must be {wanted}, got {typed(value)}")
    if task.group and not re.fullmatch(GROUP, task.group):
        raise TaskError(
            f"task {task.name!r}: group must be up to 40 small letters, digits and '-', beginning with a letter, such "
            f"as 'image', got {task.group!r}"
        )
    unit = task.cost_unit
    if unit != unit.strip() or not 1 <= len(unit) <= 40 or not unit.isprintable():
        raise TaskError(
            f"task {task.name!r}: cost_unit must be 1 to 40 printable characters, such as 'FLOPs', got {unit!r}"
        )
    if not isinstance(task.key, TaskKey):  # which takes its data
        raise TaskError(f"task {task.name!r}: key must be a TaskKey, got {typed(task.key)}")


def checked_cost(cost: object) -> float:
    """Return the cost of an epoch that a task declared.

    Raises:
        TaskError: It is not finite and positive: virtual time would stand still, run backwards or end.
    """
    value = math.nan
    if isinstance(cost, int | float | np.integer | np.floating) and not isinstance(cost, bool):
        try:
            value = float(cost)
        except OverflowError:
            value = math.inf
    if not math.isfinite(value) or value <= 0:
        raise TaskError(f"cost must return a positive, finite number, got {typed(cost)}")
    return value


@contextmanager
def folder_kept() -> Iterator[None]:
    """Go back to the working folder afterwards: paths that a user gave are relative to it."""
    before = os.getcwd()  # noqa: PTH109 - a text is what is compared, twice for every evaluation
    try:
        yield
    finally:
        if _folder() != before:
            os.chdir(before)


def _folder() -> str:
    try:
        return os.getcwd()  # noqa: PTH109
    except OSError:  # it was deleted
        return ""


def _lowered(text: str) -> str:
    return text[:1].lower() + text[1:]
