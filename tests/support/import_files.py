"""Files of rows for tests of imports."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

HEADER = "task,method,repetition,step,value"
RUNS = f"""{HEADER}
quad,tpe,0,1,0.9
quad,tpe,0,2,0.5
quad,tpe,1,1,0.8
quad,tpe,1,2,0.4
quad,random,0,1,1.5
quad,random,0,2,0.7
quad,random,1,1,0.6
quad,random,1,2,1.2
"""


def written(folder: Path, text: str, name: str = "runs.csv") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def csv_of(rows: Iterable[Mapping[str, Any]]) -> str:
    """The rows as CSV; a column that a row lacks is empty."""
    rows = list(rows)
    names = list(dict.fromkeys(name for row in rows for name in row))
    file = io.StringIO()
    writer = csv.DictWriter(file, names, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return file.getvalue()
