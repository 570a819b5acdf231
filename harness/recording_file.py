"""The file of a recording.

Parquet, one row for each configuration and training seed, with whole curves. The schema's metadata hold, as JSON under
the key `METADATA`, what the numbers mean and where they come from: see `harness.recording.About`. Nothing is pickled,
and nothing depends on a library's version.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np

from harness.errors import DataError, SpaceError, WriteError, refusal
from harness.keys import TaskKey, canonical_json
from harness.keys import digest as check_of
from harness.plurals import plural
from harness.recording import ABSENT, FORMAT, KEPT, About, Recording, space_of
from harness.space import Choice, Domain, Float, Scalar, Space
from harness.trial import Status

METADATA: Final = b"derby.recording"
"""Key of the schema's metadata."""

_ADVICE: Final = "get it anew, or make it with `derby record`"


def save(recording: Recording, path: Path) -> None:
    """Write a recording as a file, whole or not at all; where ``path`` is a link, what it leads to is written.

    Raises:
        WriteError: It cannot be written; what was there before stands.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    at = np.nonzero(recording.status != ABSENT)
    places, numbers = at
    lengths = np.count_nonzero(~np.isnan(recording.curves[:, 0]), axis=1)
    inside = np.arange(recording.curves.shape[-1]) < lengths[:, None]
    offsets = pa.array(np.concatenate([[0], np.cumsum(lengths)]), pa.int32())
    columns: list[Any] = [
        places,
        recording.seeds[numbers],
        [KEPT[kind].value for kind in recording.status[at].tolist()],
        recording.epochs[at],
        *recording.measured[at].T,
    ]
    for name, domain in recording.space.parameters.items():
        cells = [_cell(domain, config.get(name)) for config in recording.configs]
        columns.append([cells[place] for place in places.tolist()])
    for number in range(len(recording.about.metrics)):
        values = pa.array(recording.curves[:, number][inside])
        columns.append(pa.ListArray.from_arrays(offsets, values))
    about = {**msgspec.to_builtins(recording.about), "digest": recording.digest}
    sealed = canonical_json({**about, "check": check_of(about)})
    schema = _schema(recording.space, recording.about.metrics)
    table = pa.table(columns, schema=schema.with_metadata({METADATA: sealed}))
    path = Path(os.path.realpath(path))
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with draft.open("wb") as file:
            pq.write_table(table, file, compression="zstd", compression_level=19, write_page_checksum=True)
            file.flush()
            os.fsync(file.fileno())
        load(draft)  # what cannot be read back replaces nothing
        draft.replace(path)
    except (OSError, DataError) as error:
        raise WriteError(f"cannot write {path}: {refusal(error)}; make room or mend the folder") from error
    finally:
        with contextlib.suppress(OSError):
            draft.unlink(missing_ok=True)


def load(path: Path) -> Recording:
    """Read a recording, and hold it to the digest it was written with.

    Raises:
        DataError: The file is missing, damaged, of another format version, or no recording.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not path.is_file():
        what = "is a folder, or no plain file" if path.exists() else "does not exist"
        raise DataError(f"{path} {what}, expected a recording; {_ADVICE}")
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            about, digest = _about(file.schema_arrow.metadata or {}, path)
            table = file.read()
        recording = _arranged(about, table)
    except DataError:
        raise
    except (
        OSError,
        pa.ArrowException,
        msgspec.MsgspecError,
        SpaceError,
        LookupError,
        ValueError,
        TypeError,
        ArithmeticError,
        AttributeError,
        RecursionError,
        MemoryError,
    ) as error:  # damaged bytes make every part of this fail in its own way
        raise DataError(
            f"{path} cannot be read as a recording: {type(error).__name__}: {error}; {_ADVICE}"
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
    if content.pop("check") != check_of(content):
        raise DataError(f"{path} was changed after it was written: its metadata do not add up; {_ADVICE}")
    digest = content.pop("digest")
    return msgspec.convert(content, About), digest


def _arranged(about: About, table: Any) -> Recording:
    """Return the recording that a table's rows are. Raises `ValueError` where they cannot be one."""
    space = space_of(about.space)
    expected = _schema(space, about.metrics)
    if not table.schema.equals(expected):
        found = table.schema.remove_metadata().to_string()
        raise ValueError(f"expected the columns {expected.to_string()}, got {found}")
    place = table["configuration"].to_numpy()
    known, first = np.unique(place, return_index=True)
    if not np.array_equal(known, np.arange(len(known))):
        raise ValueError("its configurations are not numbered 0, 1, 2 and so on")
    cells = {name: table[f"parameter {name}"].take(first).to_pylist() for name in space.parameters}
    configs = tuple(
        space.validate(
            {
                name: _value(domain, cells[name][number])
                for name, domain in space.parameters.items()
                if cells[name][number] is not None
            }
        )
        for number in range(len(known))
    )
    seeds, number = np.unique(table["seed"].to_numpy(), return_inverse=True)
    shape, at = (len(known), len(seeds)), (place, number)
    status = np.full(shape, ABSENT, np.int8)
    status[at] = [KEPT.index(Status(text)) for text in table["status"].to_pylist()]
    epochs = np.zeros(shape, np.int32)
    epochs[at] = table["epochs"].to_numpy()
    measured = np.zeros((*shape, 2))
    for part, name in enumerate(("setup_seconds", "lost_seconds")):
        measured[(*at, part)] = table[name].to_numpy()
    lists = [table[f"curve {metric}"].combine_chunks() for metric in about.metrics]
    lengths = np.diff(lists[0].offsets.to_numpy())
    if lengths.max() != about.fidelity[1]:  # before memory is taken for so many
        raise ValueError(
            f"its longest curve has {plural(lengths.max(), 'epoch')}, expected {about.fidelity[1]}"
        )
    inside = np.arange(about.fidelity[1]) < lengths[:, None]
    curves = np.full((len(place), len(lists), about.fidelity[1]), np.nan)
    for column, values in enumerate(lists):
        curves[:, column][inside] = values.flatten().to_numpy()
    recording = Recording(about, space, configs, seeds, status, epochs, measured, curves)
    canonical_json(TaskKey(**about.task).searched)
    _, _, objective = recording.problem
    if not set(objective.metrics) <= set(about.metrics):
        raise ValueError(f"its curves lack one of {objective.metrics}")
    if about.scales is None and not recording.whole:
        raise ValueError("it has no scales, by which configurations are replayed that were not recorded")
    if about.scales is not None and set(about.scales.parameters) != set(space.parameters):
        raise ValueError(f"its scales are of {sorted(about.scales.parameters)}")
    return recording


def _schema(space: Space, metrics: Sequence[str]) -> Any:
    """Return names and types of a file's columns."""
    import pyarrow as pa

    number = pa.float64()
    fixed = {
        "configuration": pa.int32(),
        "seed": pa.int64(),
        "status": pa.string(),
        "epochs": pa.int32(),
        "setup_seconds": number,
        "lost_seconds": number,
    }
    parameters = {f"parameter {name}": _type(domain, pa) for name, domain in space.parameters.items()}
    curves = {f"curve {metric}": pa.list_(number) for metric in metrics}
    return pa.schema({**fixed, **parameters, **curves})


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
