"""A recording: one file with real trainings of one task, which a replay of it is made of.

Parquet, one row for each configuration and training seed, with whole curves. The schema's metadata hold, as JSON under
the key `METADATA`, what the numbers mean and where they come from: see `About`. Nothing is pickled, and nothing depends
on a library's version.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from harness.errors import DataError, SpaceError, WriteError
from harness.keys import canonical_json
from harness.space import Choice, Condition, Config, Domain, Float, Int, Scalar, Space
from harness.trial import Curve, Evaluation, Fidelity, Objective, Status

FORMAT: Final = 1
"""Version of the file's layout; a file of another version is refused, never guessed at."""

METADATA: Final = b"derby.recording"
"""Key of the schema's metadata."""

KEPT: Final = (Status.OK, Status.DIVERGED)
"""How an evaluation of a recording ended: what depends on nothing but configuration and seed."""

SECONDS: Final = "seconds"
"""Column of a curve that is measured, not computed."""

_ABSENT: Final = -1
_ADVICE: Final = "get it anew, or make it with `derby record`"


class Scales(msgspec.Struct, frozen=True):
    """How far apart configurations are, as chosen by `harness.interpolation.fitted`.

    Args:
        parameters: By name, what a difference counts: of unit coordinates for numbers, of unequal categories for
            others.
        neighbours: How many recorded configurations a value is made of.
        power: Weights fall with distance to this power, an even number.
    """

    parameters: dict[str, float]
    neighbours: int
    power: int


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
        provenance: When, where and with what it was made: machines, versions, arithmetic, threads, revision.
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
    provenance: dict[str, Any]
    certificate: dict[str, Any] | None = None


class Row(NamedTuple):
    """A recorded training."""

    config: Config
    seed: int
    evaluation: Evaluation


@dataclass(frozen=True, eq=False)
class Recording:
    """Trainings of one task, as arrays over configurations, seeds, metrics and epochs.

    Attributes:
        about: What they mean.
        space: The search space.
        configs: The configurations, in the order recorded.
        seeds: Training seeds, (seeds,).
        status: Index into `KEPT`, or -1 where a configuration was not trained with a seed; int8 (configurations,
            seeds).
        epochs: Epochs paid for, of a divergence the one it happened in included; int32 (configurations, seeds).
        measured: Seconds of set-up and of a lost epoch; float64 (configurations, seeds, 2).
        curves: Metrics after each epoch, NaN after the last; float64 (configurations, seeds, metrics, epochs).
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
    """Number of a configuration by its canonical JSON."""

    def __post_init__(self) -> None:
        places = {canonical_json(dict(config)): place for place, config in enumerate(self.configs)}
        object.__setattr__(self, "places", places)

    @classmethod
    def of(cls, about: About, rows: Iterable[Row]) -> Recording:
        """Arrange trainings.

        Args:
            about: What they mean.
            rows: The trainings, each with a status of `KEPT`; the latest counts where one is given twice.

        Raises:
            DataError: There is none, or one lacks a metric or stops short of full fidelity.
        """
        full = about.fidelity[1]
        found = {(canonical_json(dict(row.config)), row.seed): row for row in rows}
        if not found:
            raise DataError(
                f"nothing to make a recording of {about.label} of: no finished training was found"
            )
        configs = {text: row.config for (text, _), row in found.items()}
        seeds = sorted({seed for _, seed in found})
        places, columns = (
            {text: i for i, text in enumerate(configs)},
            {seed: i for i, seed in enumerate(seeds)},
        )
        shape = len(configs), len(seeds)
        status = np.full(shape, _ABSENT, np.int8)
        epochs = np.zeros(shape, np.int32)
        measured = np.zeros((*shape, 2))
        curves = np.full((*shape, len(about.metrics), full), np.nan)
        for (text, seed), row in found.items():
            at, made = (places[text], columns[seed]), row.evaluation
            whole = made.status is Status.DIVERGED or made.curve.epochs == full
            if made.status not in KEPT or not whole or (made.curve and set(made.curve) != set(about.metrics)):
                raise DataError(
                    f"a training of {about.label} cannot be recorded: expected {full} epochs, or a divergence, of "
                    f"{list(about.metrics)}, got {made.status.value} after {made.curve.epochs} of {list(made.curve)}: "
                    f"{dict(row.config)}, seed {seed}"
                )
            status[at], epochs[at] = KEPT.index(made.status), made.epochs
            measured[at] = made.setup_seconds, made.lost_seconds
            for number, metric in enumerate(about.metrics if made.curve else ()):
                curves[(*at, number)][: made.curve.epochs] = made.curve[metric]
        space = space_of(about.space)
        return cls(about, space, tuple(configs.values()), np.array(seeds), status, epochs, measured, curves)

    @property
    def problem(self) -> tuple[Space, Fidelity, Objective]:
        """Space, fidelity and objective of the recorded task."""
        about = self.about
        objective = Objective(about.metric, about.direction, about.failure, about.test_metric)  # type: ignore[arg-type]
        return self.space, Fidelity(*about.fidelity), objective

    @property
    def trainings(self) -> int:
        """How many there are."""
        return int((self.status != _ABSENT).sum())

    @property
    def whole(self) -> bool:
        """Whether the space is finite and every configuration of it was recorded."""
        return self.space.size() == len(self.configs)

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
            "shape": list(self.curves.shape),
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
        for place, number in zip(*np.nonzero(self.status != _ABSENT), strict=True):
            yield Row(self.configs[place], int(self.seeds[number]), self.evaluation(place, number))

    def evaluation(self, place: int, number: int) -> Evaluation:
        """Return a training as it was recorded, by the numbers of its configuration and seed."""
        return made(
            KEPT[self.status[place, number]],
            self.about.metrics,
            self.curves[place, number],
            int(self.epochs[place, number]),
            self.measured[place, number],
        )


def made(
    status: Status,
    metrics: Sequence[str],
    curves: NDArray[np.float64],
    epochs: int,
    measured: NDArray[np.float64],
) -> Evaluation:
    """Return an evaluation from a recording's arrays.

    Args:
        status: How it ended.
        metrics: Names of the curves.
        curves: (metrics, epochs), NaN after the last.
        epochs: Epochs paid for.
        measured: Seconds of set-up and of a lost epoch, (2,).
    """
    length = int(np.count_nonzero(~np.isnan(curves[0])))
    columns = {name: tuple(row) for name, row in zip(metrics, curves[:, :length].tolist(), strict=True)}
    setup, lost = measured.tolist()
    message = "" if status is Status.OK else "diverged, as recorded"
    return Evaluation(
        status,
        Curve(columns if length else {}),
        epochs,
        setup_seconds=setup,
        lost_seconds=lost,
        message=message,
    )


def save(recording: Recording, path: Path) -> None:
    """Write a recording as a file, whole or not at all.

    Raises:
        WriteError: It cannot be written; what was there before stands.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = np.argwhere(recording.status != _ABSENT)
    at = tuple(rows.T)
    configs = [recording.configs[place] for place in rows[:, 0]]
    columns: dict[str, Any] = {
        "configuration": pa.array(rows[:, 0], pa.int32()),
        "seed": pa.array(recording.seeds[rows[:, 1]], pa.int64()),
        "status": pa.array([KEPT[kind].value for kind in recording.status[at]]),
        "epochs": pa.array(recording.epochs[at], pa.int32()),
        "setup_seconds": pa.array(recording.measured[at][:, 0]),
        "lost_seconds": pa.array(recording.measured[at][:, 1]),
    }
    for name, domain in recording.space.parameters.items():
        values = [config.get(name) for config in configs]
        columns[f"parameter {name}"] = pa.array([_cell(domain, value) for value in values], _type(domain, pa))
    lengths = np.count_nonzero(~np.isnan(recording.curves[at][:, 0]), axis=1)
    inside = np.arange(recording.curves.shape[-1]) < lengths[:, None]
    offsets = pa.array(np.concatenate([[0], np.cumsum(lengths)]), pa.int32())
    for number, metric in enumerate(recording.about.metrics):
        values = recording.curves[at][:, number][inside]
        columns[f"curve {metric}"] = pa.ListArray.from_arrays(offsets, pa.array(values))
    about = {**msgspec.to_builtins(recording.about), "digest": recording.digest}
    table = pa.table(columns).replace_schema_metadata({METADATA: canonical_json(about)})
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table, draft, compression="zstd", compression_level=19)
        draft.replace(path)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise WriteError(f"cannot write {path}: {error}; make room or mend the folder") from error


def load(path: Path) -> Recording:
    """Read a recording, and hold it to the digest it was written with.

    Raises:
        DataError: The file is missing, damaged, of another format version, or no recording.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path, partitioning=None)
    except FileNotFoundError:
        raise DataError(f"no recording {path}: no such file; {_ADVICE}") from None
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"{path} cannot be read as a recording ({error}); {_ADVICE}") from error
    try:
        about, digest = _about(table.schema.metadata or {}, path)
        recording = _arranged(about, table)
    except DataError:
        raise
    except (
        pa.ArrowException,
        msgspec.MsgspecError,
        SpaceError,
        LookupError,
        ValueError,
        TypeError,
        OverflowError,
    ) as error:
        raise DataError(
            f"{path} is damaged, or no recording: {type(error).__name__}: {error}; {_ADVICE}"
        ) from error
    if recording.digest != digest:
        raise DataError(
            f"{path} was changed after it was written: its digest is {recording.digest}, expected {digest}; {_ADVICE}"
        )
    return recording


def _about(metadata: Mapping[bytes, bytes], path: Path) -> tuple[About, str]:
    if METADATA not in metadata:
        raise DataError(
            f"{path} is a Parquet file, and no recording: its schema lacks {METADATA.decode()!r}; {_ADVICE}"
        )
    content = json.loads(metadata[METADATA])
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        version = content.get("format") if isinstance(content, dict) else None
        raise DataError(
            f"{path} is a recording of format {version!r}, this version reads {FORMAT}; {_ADVICE}"
        )
    digest = content.pop("digest")
    return msgspec.convert(content, About), digest


def _arranged(about: About, table: Any) -> Recording:
    """Return the recording that a table's rows are."""
    space = space_of(about.space)
    place = table["configuration"].to_numpy()
    seeds, number = np.unique(table["seed"].to_numpy(), return_inverse=True)
    shape = int(place.max()) + 1, len(seeds)
    at = (place, number)
    cells = {name: table[f"parameter {name}"].to_pylist() for name in space.parameters}
    configs: list[Config] = [{}] * shape[0]
    for row, index in enumerate(place.tolist()):
        given = {
            name: _value(domain, cells[name][row])
            for name, domain in space.parameters.items()
            if cells[name][row] is not None
        }
        configs[index] = space.validate(given)
    status = np.full(shape, _ABSENT, np.int8)
    status[at] = [KEPT.index(Status(text)) for text in table["status"].to_pylist()]
    epochs = np.zeros(shape, np.int32)
    epochs[at] = table["epochs"].to_numpy()
    measured = np.zeros((*shape, 2))
    for part, name in enumerate(("setup_seconds", "lost_seconds")):
        measured[(*at, part)] = table[name].to_numpy()
    curves = np.full((*shape, len(about.metrics), about.fidelity[1]), np.nan)
    for column, metric in enumerate(about.metrics):
        lists = table[f"curve {metric}"].combine_chunks()
        lengths = np.diff(lists.offsets.to_numpy())
        inside = np.arange(curves.shape[-1]) < lengths[:, None]
        block = np.full(inside.shape, np.nan)
        block[inside] = lists.flatten().to_numpy()
        curves[place, number, column] = block
    return Recording(about, space, tuple(configs), seeds, status, epochs, measured, curves)


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


def _type(domain: Domain, pa: Any) -> Any:
    """Return the column type of a parameter; categories, which may be of several types, are JSON."""
    if isinstance(domain, Choice):
        return pa.string()
    return pa.float64() if isinstance(domain, Float) else pa.int64()


def _cell(domain: Domain, value: Scalar | None) -> Scalar | None:
    return canonical_json(value) if isinstance(domain, Choice) and value is not None else value


def _value(domain: Domain, cell: Any) -> Scalar:
    value: Scalar = json.loads(cell) if isinstance(domain, Choice) else cell
    return value
