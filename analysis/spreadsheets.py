"""CSV files: what a spreadsheet opens without taking a text for a formula."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd

_FORMULA = re.compile(r"'*[=+\-@\t\r\n＝＋－＠]")
"""What begins a formula, after as many quotes as were put before one; see OWASP's page on CSV injection."""

_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")


def write_csv(frame: pd.DataFrame, path: Path) -> None:
    """Write a table as CSV, without its index; the same table gives the same bytes.

    A label such as ``=2+5`` or ``-a`` would be a formula in a spreadsheet, so a single quote is put before it. Numbers
    stay as they are. `read_csv` takes the quote away.
    """
    safe = _changed(frame, _quoted)
    # Alone, a carriage return would end its row: the library puts those cells only in quotes that hold a newline.
    returns = any("\r" in value for column in _texts(safe) for value in column)
    safe.to_csv(
        path,
        index=False,
        lineterminator="\n",
        quoting=csv.QUOTE_NONNUMERIC if returns else csv.QUOTE_MINIMAL,
    )


def read_csv(path: Path) -> pd.DataFrame:
    """Read back what `write_csv` wrote.

    Numbers are the same to the last bit. Texts are as they were, but for columns whose texts are all numbers, which are
    read as numbers. Empty cells are missing values.
    """
    return _changed(pd.read_csv(path, keep_default_na=False, na_values=[""]), _unquoted)


def _texts(frame: pd.DataFrame) -> Iterator[list[str]]:
    """Yield the names of the columns, and the texts of each that has some."""
    yield list(map(str, frame.columns))
    for place, dtype in enumerate(frame.dtypes):
        if not pd.api.types.is_numeric_dtype(dtype):
            yield [value for value in frame.iloc[:, place] if isinstance(value, str)]


def _changed(frame: pd.DataFrame, change: Callable[[str], str]) -> pd.DataFrame:
    """Return a table whose texts were changed, those of its heading too."""
    result = frame.copy(deep=False)
    for place, dtype in enumerate(frame.dtypes):
        if not pd.api.types.is_numeric_dtype(dtype):
            values = frame.iloc[:, place]
            texts = [change(value) if isinstance(value, str) else value for value in values]
            result.isetitem(place, pd.array(texts, dtype=object))
    result.columns = pd.Index([change(str(name)) for name in frame.columns])
    return result


def _quoted(text: str) -> str:
    return f"'{text}" if _FORMULA.match(text) and not _NUMBER.fullmatch(text) else text


def _unquoted(text: str) -> str:
    return text[1:] if text.startswith("'") and _FORMULA.match(text) else text
