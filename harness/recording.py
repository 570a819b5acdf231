"""A recording: one file with real trainings of one task, which a replay of it is made of.

`harness.recording_file` writes and reads the file.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Annotated, Any, Final, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from harness.errors import DataError
from harness.keys import canonical_json
from harness.plurals import plural
from harness.space import Choice, Condition, Config, Domain, Float, Int, Space
from harness.trial import Curve, Evaluation, Fidelity, Objective, Status

FORMAT: Final = 1
"""Version of the file's layout; a file of another version is refused, never guessed at."""

KEPT: Final = (Status.OK, Status.DIVERGED)
"""How an evaluation of a recording ended: what depends on nothing but configuration and seed."""

OK: Final = KEPT.index(Status.OK)
DIVERGED: Final = KEPT.index(Status.DIVERGED)

SECONDS: Final = "seconds"
"""Column of a curve that is measured, not computed."""

ABSENT: Final = -1
"""Status of a training that there is not."""


class Scales(msgspec.Struct, frozen=True):
    """How far apart configurations are, as chosen by `harness.interpolation.fitted`.

    Args:
        parameters: By name, what a difference counts: of unit coordinates for numbers, of unequal categories for
            others.
        neighbours: How many recorded configurations a value is made of.
        power: Weights fall with distance to this power, an even number.
    """

    parameters: dict[str, Annotated[float, msgspec.Meta(gt=0, le=1024)]]
    neighbours: Annotated[int, msgspec.Meta(ge=1)]
    power: Annotated[int, msgspec.Meta(ge=2, multiple_of=2)]


class Provenance(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where a recording comes from.

    Args:
        made: When.
        revision: Of this project.
        arithmetic: That every training was computed in; see `harness.arithmetic`.
        threads: Of every training.
        machines: Descriptions of the machines that trained: processor, device, versions.
    """

    made: str
    revision: str
    arithmetic: str
    threads: int
    machines: tuple[Mapping[str, Any], ...]


class About(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a recording's numbers mean, and where they come from.

    Args:
        format: `FORMAT`.
        label: The recorded task, for people.
        task: Its key as JSON; see `harness.keys.TaskKey`.
        source: The report or paper that the task comes from.
        group: Its kind.
        subset: Whether its numbers were made on other data than the source's.
        space: The search space as JSON; see `space_as_json`.
        fidelity: Fewest and most epochs.
        metric: What is optimised.
        direction: ``"min"`` or ``"max"``.
        failure: Value that stands for a failure.
        test_metric: The companion on test examples.
        metrics: Columns of the curves.
        design: How configurations were chosen, in words.
        scales: How values between configurations are made; ``None`` where the space is finite and recorded whole.
        provenance: When, where and with what it was made.
        certificate: How far a race on it agrees with one on the task; see `harness.certify`.
    """

    format: int
    label: str
    task: dict[str, Any]
    source: str
    group: str
    subset: bool
    space: dict[str, Any]
    fidelity: tuple[int, int]
    metric: str
    direction: str
    failure: float
    test_metric: str | None
    metrics: tuple[str, ...]
    design: str
    scales: Scales | None
    provenance: Provenance
    certificate: dict[str, Any] | None = None


class Row(NamedTuple):
    """A recorded training."""

    config: Config
    seed: int
    evaluation: Evaluation


@dataclass(frozen=True, eq=False)
class Recording:
    """Trainings of one task, as arrays.

    Attributes:
        about: What they mean.
        space: The search space.
        configs: The configurations, in the file's order; `of` sorts them by their unit coordinates.
        seeds: Training seeds, ascending; int64 (seeds,).
        status: Index into `KEPT`, or -1 where a configuration was not trained with a seed; int8 (configurations,
            seeds).
        epochs: Epochs paid for, of a divergence the one it happened in included; int32 (configurations, seeds).
        measured: Seconds of set-up and of a lost epoch; float64 (configurations, seeds, 2).
        curves: Metrics after each epoch, NaN after the last, of the trainings that there are, one configuration's
            after the other's; float64 (trainings, metrics, epochs).
        places: Number of a configuration by its canonical JSON.
        training: Number of a training, or -1; int64 (configurations, seeds).
    """

    about: About
    space: Space
    configs: tuple[Config, ...]
    seeds: NDArray[np.int64]
    status: NDArray[np.int8]
    epochs: NDArray[np.int32]
    measured: NDArray[np.float64]
    curves: NDArray[np.float64]
    places: Mapping[str, int] = field(init=False, repr=False)
    training: NDArray[np.int64] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        there = self.status != ABSENT
        number = np.cumsum(there).reshape(there.shape) - 1
        object.__setattr__(self, "places", {named(config): at for at, config in enumerate(self.configs)})
        object.__setattr__(self, "training", np.where(there, number, ABSENT))

    @classmethod
    def of(cls, about: About, rows: Iterable[Row]) -> Recording:
        """Arrange trainings.

        Args:
            about: What they mean.
            rows: The trainings, each with a status of `KEPT`; the latest counts where one is given twice.

        Raises:
            DataError: None succeeded, or one lacks a metric or stops short of full fidelity.
        """
        full, space = about.fidelity[1], space_of(about.space)
        found = {(named(row.config), row.seed): row for row in rows}
        if all(row.evaluation.status is not Status.OK for row in found.values()):
            raise DataError(
                f"nothing to make a recording of {about.label} of: none of {plural(len(found), 'training')} succeeded"
            )
        for row in found.values():
            _check(about, row)
        configs = {text: row.config for (text, _), row in found.items()}
        # An order that does not depend on who trained what first.
        order = sorted(configs, key=lambda text: (space.to_unit(configs[text]), text))
        places = {text: place for place, text in enumerate(order)}
        columns = {seed: number for number, seed in enumerate(sorted({seed for _, seed in found}))}
        shape = len(places), len(columns)
        status = np.full(shape, ABSENT, np.int8)
        epochs = np.zeros(shape, np.int32)
        measured = np.zeros((*shape, 2))
        curves = np.full((len(found), len(about.metrics), full), np.nan)
        ordered = sorted(found.items(), key=lambda item: (places[item[0][0]], item[0][1]))
        for training, ((text, seed), row) in enumerate(ordered):
            at, made = (places[text], columns[seed]), row.evaluation
            status[at], epochs[at] = KEPT.index(made.status), made.epochs
            measured[at] = made.setup_seconds, made.lost_seconds
            for number, metric in enumerate(about.metrics if made.curve else ()):
                curves[training, number, : made.curve.epochs] = made.curve[metric]
        known = tuple(configs[text] for text in order)
        return cls(about, space, known, np.array(list(columns), np.int64), status, epochs, measured, curves)

    @property
    def problem(self) -> tuple[Space, Fidelity, Objective]:
        """Space, fidelity and objective of the recorded task."""
        about = self.about
        objective = Objective(about.metric, about.direction, about.failure, about.test_metric)  # type: ignore[arg-type]
        return self.space, Fidelity(*about.fidelity), objective

    @property
    def trainings(self) -> int:
        """How many there are."""
        return len(self.curves)

    @property
    def whole(self) -> bool:
        """Whether the space is finite and every configuration of it was recorded."""
        return self.space.size() == len(self.configs)

    @cached_property
    def losses(self) -> NDArray[np.float64]:
        """Loss of each training at full fidelity, a failure as its finite one, NaN where there is none.

        Shape (configurations, seeds); see `harness.trial.Objective.loss`.
        """
        _, _, objective = self.problem
        failure = objective.sign * objective.failure
        last = objective.sign * self.curves[:, self.about.metrics.index(objective.metric), -1]
        found = np.full(self.status.shape, np.nan)
        found[self.status == DIVERGED] = failure
        found[self.status == OK] = np.minimum(last[self.training[self.status == OK]], failure)
        return found

    @property
    def mean_losses(self) -> NDArray[np.float64]:
        """Mean loss of each configuration over its seeds, (configurations,)."""
        there = self.status != ABSENT
        mean: NDArray[np.float64] = in_order(np.where(there, self.losses, 0.0), axis=1) / there.sum(axis=1)
        return mean

    @cached_property
    def digest(self) -> str:
        """Name of what decides a replay's values, by content; provenance and certificate do not."""
        about = self.about
        decisive = {
            "task": about.task,
            "space": about.space,
            "fidelity": list(about.fidelity),
            "objective": [about.metric, about.direction, about.failure, about.test_metric],
            "metrics": list(about.metrics),
            "scales": msgspec.to_builtins(about.scales),
            "configs": list(map(dict, self.configs)),
            "shape": [*self.status.shape, *self.curves.shape[1:]],
        }
        sha = hashlib.sha256(canonical_json(decisive).encode())
        for array in (self.seeds, self.status, self.epochs, self.measured, self.curves):
            sha.update(np.ascontiguousarray(array).data)
        return sha.hexdigest()[:16]

    def with_(self, **changes: Any) -> Recording:
        """Return the recording with other fields of `About`."""
        return replace(self, about=msgspec.structs.replace(self.about, **changes))

    def rows(self) -> Iterable[Row]:
        """Yield the trainings, configuration by configuration."""
        for place, number in np.argwhere(self.status != ABSENT).tolist():
            yield Row(self.configs[place], int(self.seeds[number]), self.evaluation(place, number))

    def evaluation(self, place: int, number: int) -> Evaluation:
        """Return a training as it was recorded, by the numbers of its configuration and seed.

        Raises:
            LookupError: The configuration was not trained with that seed.
        """
        if self.status[place, number] == ABSENT:
            raise LookupError(f"configuration {place} was not trained with seed {self.seeds[number]}")
        status, epochs = KEPT[self.status[place, number]], int(self.epochs[place, number])
        curves = self.curves[self.training[place, number]]
        setup, lost = self.measured[place, number].tolist()
        return Evaluation(
            status,
            curve_of(self.about.metrics, curves[:, ~np.isnan(curves[0])]),
            epochs,
            setup_seconds=setup,
            lost_seconds=lost,
            message="" if status is Status.OK else f"diverged in epoch {epochs}, as recorded",
        )


def _check(about: About, row: Row) -> None:
    """Raise `DataError` where a training does not belong into a recording."""
    made, full = row.evaluation, about.fidelity[1]
    whole = made.status is Status.DIVERGED or made.curve.epochs == full
    same = not made.curve or set(made.curve) == set(about.metrics)
    if made.status not in KEPT or made.curve.epochs > full or not whole or not same:
        raise DataError(
            f"a training of {about.label} cannot be recorded: expected {plural(full, 'epoch')}, or a divergence, of "
            f"{list(about.metrics)}, got {made.status.value} after {made.curve.epochs} of {list(made.curve)}: "
            f"{dict(row.config)}, seed {row.seed}"
        )
    for metric in filter(None, (about.metric, about.test_metric)):
        if metric not in about.metrics:
            raise DataError(
                f"the trainings of {about.label} have no {metric!r}, which the objective needs; they have "
                f"{list(about.metrics)}"
            )


def named(config: Config) -> str:
    """Return what a configuration is found by."""
    return canonical_json(dict(config))


def curve_of(metrics: Sequence[str], values: NDArray[np.float64]) -> Curve:
    """Return a curve of (metrics, epochs); an empty one without epochs."""
    return Curve(dict(zip(metrics, map(tuple, values.tolist()), strict=True)) if values.size else {})


def in_order(values: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
    """Add along an axis, one after the other: the order of numpy's own sum depends on the processor."""
    total: NDArray[np.float64] = np.add.accumulate(values, axis=axis).take(-1, axis=axis)
    return total


# A space as JSON.


def space_as_json(space: Space) -> dict[str, Any]:
    """Return a space as JSON types."""
    return {
        "parameters": [[name, _domain_as_json(domain)] for name, domain in space.parameters.items()],
        "conditions": {
            name: {"parent": condition.parent, "values": list(condition.values)}
            for name, condition in space.conditions.items()
        },
        "references": [[name, dict(config)] for name, config in space.references.items()],
    }


def space_of(value: Mapping[str, Any]) -> Space:
    """Return the space that `space_as_json` returned as JSON types. Raises `SpaceError` where it is not valid."""
    return Space(
        {name: _domain(fields) for name, fields in value["parameters"]},
        conditions={
            name: Condition(each["parent"], tuple(each["values"]))
            for name, each in value["conditions"].items()
        },
        references=dict(value["references"]),
    )


_KINDS: Final[Mapping[str, type[Float | Int]]] = {"float": Float, "int": Int}


def _domain_as_json(domain: Domain) -> dict[str, Any]:
    if isinstance(domain, Choice):
        return {"kind": "choice", "values": list(domain.values)}
    kind = next(name for name, each in _KINDS.items() if isinstance(domain, each))
    return {"kind": kind, "low": domain.low, "high": domain.high, "log": domain.log}


def _domain(fields: Mapping[str, Any]) -> Domain:
    if fields["kind"] == "choice":
        return Choice(fields["values"])
    return _KINDS[fields["kind"]](fields["low"], fields["high"], fields["log"])
