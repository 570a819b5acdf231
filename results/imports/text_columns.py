"""The columns of a CSV or Parquet file, each value as text."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.errors import ForeignResultsError, RecordError
from harness.plurals import plural
from results.imports.runs import Problems

Texts = NDArray[np.object_]


def csv_columns(path: Path, content: bytes, problems: Problems) -> tuple[dict[str, Texts], int]:
    """Return the columns of a CSV file without spaces around values, and the number of the first row below their names.

    A row of another length is a problem, and its values are left out.

    Raises:
        ForeignResultsError: It is no text in UTF-8, or its quotes do not fit.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise ForeignResultsError(
            f"{path}, line {line}: expected UTF-8, got the byte 0x{content[error.start]:02x}; save it as UTF-8"
        ) from error
    start = next((line for line in text.split("\n") if line.strip()), "")
    delimiter = max(",;\t", key=start.count)
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    rows: list[list[str]] = []
    header: list[str] = []
    first = 1
    try:
        for cells in lines:  # a blank line says nothing
            if not header:
                header = [cell.strip() for cell in cells] if any(cells) else []
                first += 1
            elif len(cells) == len(header):
                rows.append(cells)
            else:
                if any(cells):
                    problems.add(
                        f"row {first + len(rows)}: expected {plural(len(header), 'value')}, as many as columns, got "
                        f"{len(cells)}"
                    )
                rows.append([""] * len(header))
    except csv.Error as error:
        raise ForeignResultsError(f"{path}, line {lines.line_num}: {error}; mend the quotes there") from error
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice:
        problems.add(
            f"row {first - 1}: the columns {', '.join(map(repr, twice))} are there twice; rename or drop one of each"
        )
    columns = list(zip(*rows, strict=True)) or [()] * len(header)
    texts = {
        name: np.array([cell.strip() for cell in cells], dtype=object)
        for name, cells in zip(header, columns, strict=True)
    }
    return texts, first


def parquet_columns(path: Path, content: bytes) -> dict[str, Texts]:
    """Return the columns of a Parquet file, empty where there is no value.

    Raises:
        RecordError: It is no Parquet file.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(io.BytesIO(content))
        columns = {name: table.column(name).to_pylist() for name in dict.fromkeys(table.column_names)}
    except (OSError, ValueError, KeyError, pa.ArrowException) as error:
        raise RecordError(f"cannot read {path}: {error}; expected a Parquet file of rows") from error
    return {
        name: np.array([_text(value) for value in values], dtype=object) for name, values in columns.items()
    }


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, dict | list):
        return json.dumps(value, default=str)
    return repr(value) if isinstance(value, float) else str(value)
