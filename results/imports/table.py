"""Results from a file of rows: CSV or Parquet, one row for each evaluation, with the columns of `COLUMNS`."""

from __future__ import annotations

import dataclasses
import difflib
import hashlib
import json
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from harness.errors import RecordError, shown
from results.imports.checks import check_steps
from results.imports.exported import facts_beside
from results.imports.runs import ROWS, Facts, Problems, Reading, Runs
from results.imports.text_columns import Texts, csv_columns, parquet_columns

COLUMNS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "task": "label of the task; may be said with `--task` instead",
        "method": "label of the method, up to 40 characters; may be called `searcher`, or said with `--method` instead",
        "repetition": "number or name of the run among those of its task and method; one run where absent",
        "step": "order of the run's evaluations: whole numbers, each once; the order of the rows where absent",
        "value": "the objective that the method was told (of a validation set, say); empty where the evaluation failed",
        "test": "the same configuration's value on a test set; empty where it failed",
        "seconds": "seconds that the evaluation took; empty where unknown",
        "epochs": "epochs of the evaluation, counted from the first; empty where unknown, which counts one",
        "trial": "number of the trial; repeated where an evaluation continues an earlier one to more epochs",
        "status": "`ok`, `diverged`, `crashed` or `timeout`, or another library's word for one of these",
        "config": "the configuration as a JSON object; or a column for each parameter, called `config.NAME` or "
        "`params_NAME`, empty where it is not active",
        "direction": "`min` or `max`, the same for all rows of a task; may be said with `--direction` instead",
        "metric": "name of the objective, the same for all rows of a task",
        "test_metric": "name of the test value, likewise",
        "best": "value of the metric where regret is 0, likewise; empty where unknown",
        "reference": "value of the metric where regret is 1, likewise; empty where unknown",
        "group": "kind of task, such as `image`, likewise",
    }
)
"""Columns of a file of rows, with their meaning. ``value`` is required, and what says task and method."""


def as_markdown() -> str:
    """Return the columns of a file of rows as a table of Markdown."""
    rows = [f"| `{name}` | {meaning} |" for name, meaning in COLUMNS.items()]
    return "\n".join(["| column | meaning |", "| --- | --- |", *rows])


_ALIASES: Final = {"method": ("searcher",)}
_PARAMETERS: Final = ("config.", "params_")
_CLOSE = 0.84
"""How alike an unknown column is to one of `COLUMNS` that it is taken for a slip of the pen."""

_STATUS: Final[Mapping[str, str]] = MappingProxyType(
    {
        **dict.fromkeys(
            ("ok", "complete", "completed", "success", "finished", "done", "terminated", "pruned"), "ok"
        ),
        **dict.fromkeys(("diverged", "nan"), "diverged"),
        **dict.fromkeys(
            ("crashed", "fail", "failed", "error", "errored", "invalid", "infeasible"), "crashed"
        ),
        **dict.fromkeys(("timeout", "timed out"), "timeout"),
    }
)
_NOT_FINITE: Final = frozenset({"nan", "inf", "+inf", "-inf", "infinity", "+infinity", "-infinity"})
_NUMBER: Final = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")
_WHOLE: Final = re.compile(r"[+-]?\d+")
_MOST_WHOLE = 1 << 53


def read_rows(path: Path, reading: Reading) -> Runs:
    """Read a file of rows.

    Args:
        path: A CSV file (commas, semicolons or tabs; UTF-8) or a Parquet file, by its ending.
        reading: What its columns are called, and what it does not say itself.

    Raises:
        RecordError: It cannot be read.
        ForeignResultsError: Columns or rows are not as `COLUMNS` says; every problem is named with its row. A file's
            first row is row 1, in CSV that of the columns' names.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise RecordError(f"cannot read {path}: {error.strerror}; give a file of rows") from error
    problems = Problems(str(path))
    if path.suffix.lower() in (".parquet", ".pq"):
        given, first = parquet_columns(path, content), 1
    else:
        given, first = csv_columns(path, content, problems)
    if not given:
        problems.add(
            "expected columns such as task, method and value, and a row for each evaluation, got a file without any; "
            "write the evaluations to it again, or leave it out"
        )
        problems.check()
    return _Table(given, first, reading, problems, facts_beside(path)).runs(
        path.name if path.is_absolute() else str(path), hashlib.sha256(content).hexdigest()
    )


class _Table:
    """The columns of a file as texts, and what comes of them; ``beside`` is what lies beside it of its tasks."""

    def __init__(
        self,
        given: Mapping[str, Texts],
        first: int,
        reading: Reading,
        problems: Problems,
        beside: Mapping[str, Facts],
    ) -> None:
        self._given, self._reading, self._problems, self._beside = given, reading, problems, beside
        self._size = max((len(column) for column in given.values()), default=0)
        filled = np.zeros(self._size, dtype=bool)
        for column in given.values():
            filled |= column != ""
        self._filled = filled  # rows that are not blank
        self._numbers = np.arange(first, self._size + first)
        self._used: set[str] = set()

    def runs(self, name: str, digest: str) -> Runs:
        """Return the evaluations, or raise with everything wrong."""
        before = len(self._problems)
        columns = self._columns()
        facts_columns: dict[str, str] = {field: columns.pop(field) for field in _FACTS if field in columns}
        if len(self._problems) > before:  # of rows nothing can be said without their columns
            self._problems.check()
        texts = {field: self._given[column][self._filled] for field, column in columns.items()}
        self._numbers = self._numbers[self._filled]
        self._size = len(self._numbers)
        if not self._size:
            if not self._problems:
                self._problems.add(
                    f"expected a row for each evaluation below the columns' names ({', '.join(self._given)}), got "
                    "none; write the evaluations to it again, or leave it out"
                )
            self._problems.check()
        made: dict[str, Any] = {"where": np.char.add("row ", self._numbers.astype(str))}
        for field, said in (("task", self._reading.task), ("method", self._reading.method)):
            made[field] = (
                self._labels(field, texts[field]) if field in texts else np.full(self._size, said, object)
            )
        made["repetition"] = self._labels("repetition", texts["repetition"]) if "repetition" in texts else "0"
        rows = pd.DataFrame(made)
        keys = ["task", "method", "repetition"]
        order = rows.groupby(keys, sort=False).cumcount().to_numpy()
        rows["step"] = self._whole("step", texts["step"]) if "step" in texts else order + 1
        rows["trial"] = self._whole("trial", texts["trial"]) if "trial" in texts else order
        rows["epochs"] = self._whole("epochs", texts["epochs"], 1, empty=0) if "epochs" in texts else 0
        rows["seconds"] = self._seconds(texts["seconds"]) if "seconds" in texts else math.nan
        status, value = self._results(texts)
        rows["status"], rows["value"] = status, value
        rows["test"] = self._tests(texts["test"], status) if "test" in texts else math.nan
        rows["config"] = self._configs(texts)
        facts = self._facts(rows["task"].to_numpy(dtype=object), facts_columns, columns)
        known = (rows[["step", "trial"]] >= 0).all(axis=1) & (rows[keys] != "").all(axis=1)
        check_steps(rows[known], self._problems)
        self._problems.check()
        unused = [column or "one without a name" for column in self._given if column not in self._used]
        notes = [f"Columns that were not used: {', '.join(unused)}."] if unused else []
        return Runs(rows[list(ROWS)].astype(dict(ROWS)), name, facts, notes=tuple(notes), digest=digest)

    def _columns(self) -> dict[str, str]:
        """Return the file's name of each of our columns that it has; problems where one is missing or not known."""
        given, reading = self._given, self._reading
        named = dict(reading.columns)
        found: dict[str, str] = {}
        for field, column in named.items():
            if field not in COLUMNS:
                self._problems.add(
                    f"--column {field}={column}: there is no {field!r}; {_nearest(field, COLUMNS)}"
                )
            elif column not in given:
                self._problems.add(
                    f"--column {field}={column}: the file has no {column!r}; {_nearest(column, given)}"
                )
            else:
                found[field] = column
        for field in COLUMNS:
            for column in (field, *_ALIASES.get(field, ())):
                if (
                    field not in found
                    and field not in named
                    and column in given
                    and column not in named.values()
                ):
                    found[field] = column
        for field, column in (("value", reading.metric), ("test", reading.test)):
            if column and column in given and field not in named:
                found[field] = column
            elif column and field not in found:
                option = {"value": "metric"}.get(field, field)
                self._problems.add(
                    f"--{option} {column}: the file has no such column; {_nearest(column, given)}"
                )
        self._used |= set(found.values())
        self._used |= {column for column in given if column.startswith(_PARAMETERS)}
        for field in ("task", "method", "value"):
            said = {"task": reading.task, "method": reading.method}.get(field, "")
            if field not in found and not said and field not in named:
                self._problems.add(
                    f"there is no column {field!r}, and none is named with --column {field}=COLUMN"
                    f"{f' or said with --{field}' if field != 'value' else ''}; its columns: "
                    f"{', '.join(given) or 'none'}"
                )
        for column in given:
            if column not in self._used:
                close = difflib.get_close_matches(
                    column.lower(), [f for f in COLUMNS if f not in found], 1, _CLOSE
                )
                if close:
                    self._problems.add(
                        f"column {column!r} is not known; if it is {close[0]!r}, say --column {close[0]}={column}, "
                        "else give it another name"
                    )
        return found

    def _named(self, bad: NDArray[np.bool_], texts: Texts) -> list[str]:
        """Return the rows that are marked, each with what it holds."""
        return [
            f"row {number}, {shown(str(text))}"
            for number, text in zip(self._numbers[bad].tolist(), texts[bad].tolist(), strict=True)
        ]

    def _labels(self, field: str, texts: Texts) -> Texts:
        self._problems.rows(f"column {field!r} must not be empty", self._named(texts == "", texts))
        return texts

    def _parsed(self, field: str, texts: Texts) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Return a column's numbers, and where a text is none; what is empty is NaN."""
        numbers = np.full(len(texts), math.nan)
        bad = np.zeros(len(texts), dtype=bool)
        for index, text in enumerate(texts.tolist()):
            if _NUMBER.fullmatch(text) or text.lower() in _NOT_FINITE:
                numbers[index] = float(text)
            elif text:
                bad[index] = True
        self._problems.rows(f"column {field!r}: expected a number such as 0.93", self._named(bad, texts))
        return numbers, bad

    def _whole(self, field: str, texts: Texts, low: int = 0, empty: int | None = None) -> NDArray[np.int64]:
        """Return a column's whole numbers, -1 where a text is none; ``empty`` is what an empty one stands for."""
        numbers, bad = self._parsed(field, texts)
        blank = texts == ""
        wrong = ~bad & ~(blank & (empty is not None))
        with np.errstate(invalid="ignore"):
            wrong &= ~((numbers >= low) & (numbers <= _MOST_WHOLE) & (numbers == np.floor(numbers)))
        also = ", or nothing" if empty is not None else ""
        self._problems.rows(
            f"column {field!r}: expected a whole number from {low}{also}", self._named(wrong, texts)
        )
        return np.where(wrong | bad, -1, np.where(blank, empty or 0, numbers)).astype(np.int64)

    def _seconds(self, texts: Texts) -> NDArray[np.float64]:
        numbers, bad = self._parsed("seconds", texts)
        wrong = ~bad & (texts != "") & ~(np.isfinite(numbers) & (numbers >= 0))
        self._problems.rows(
            "column 'seconds': expected a finite number from 0, or nothing", self._named(wrong, texts)
        )
        return np.where(wrong, math.nan, numbers)

    def _results(self, texts: Mapping[str, Texts]) -> tuple[Texts, NDArray[np.float64]]:
        """Return how each evaluation ended, and its value where it succeeded."""
        given = texts["value"]
        numbers, bad = self._parsed("value", given)
        finite = np.isfinite(numbers)
        # Without a word of how it ended: no value says that something failed, and one that is not finite what.
        status = np.where(finite, "ok", np.where(given == "", "crashed", "diverged")).astype(object)
        if "status" in texts:
            words = np.array([str(text).lower() for text in texts["status"]], dtype=object)
            known = np.array([_STATUS.get(word, "") for word in words], dtype=object)
            unknown = (words != "") & (known == "")
            self._problems.rows(
                f"column 'status': expected one of {', '.join(_STATUS)}, or nothing",
                self._named(unknown, texts["status"]),
            )
            empty = (words == "pruned") & (given == "")  # given up before it said anything
            lacking = (known == "ok") & ~finite & ~bad & ~empty
            self._problems.rows(
                "column 'value': expected a finite number where the status says that the evaluation succeeded",
                self._named(lacking, given),
            )
            status = np.where((known != "") & ~empty, known, status)
        return status, np.where(status == "ok", numbers, math.nan)

    def _tests(self, texts: Texts, status: Texts) -> NDArray[np.float64]:
        numbers, _ = self._parsed("test", texts)
        return np.where((status == "ok") & np.isfinite(numbers), numbers, math.nan)

    def _configs(self, texts: Mapping[str, Texts]) -> list[str]:
        """Return every row's configuration as JSON, equal ones as equal texts."""
        prefixed = {
            column.removeprefix(prefix): self._given[column][self._filled].tolist()
            for prefix in _PARAMETERS
            for column in self._given
            if column.startswith(prefix)
        }
        names = sorted(prefixed)
        result, bad = [], np.zeros(self._size, dtype=bool)
        whole = texts["config"].tolist() if "config" in texts else [""] * self._size
        for index, text in enumerate(whole):
            config: Any = {}
            if text:
                try:
                    config = json.loads(text)
                except (ValueError, RecursionError):
                    config = None
            if not isinstance(config, dict):
                bad[index], config = True, {}
            config |= {name: _scalar(prefixed[name][index]) for name in names if prefixed[name][index] != ""}
            result.append(config_json(config))
        if bad.any():
            self._problems.rows(
                "column 'config': expected a JSON object such as {\"lr\": 0.01}",
                self._named(bad, texts["config"]),
            )
        return result

    def _facts(
        self, tasks: Texts, of_facts: Mapping[str, str], columns: Mapping[str, str]
    ) -> dict[str, Facts]:
        """Return what the file says of its tasks; problems where it contradicts itself."""
        said: dict[str, dict[str, Any]] = {str(task): {} for task in dict.fromkeys(tasks.tolist())}
        for field, column in of_facts.items():
            texts = self._given[column][self._filled]
            for task, own in said.items():
                mine = tasks == task
                values = dict.fromkeys(text for text in texts[mine].tolist() if text)
                if len(values) > 1:
                    self._problems.add(
                        f"column {column!r}: expected one value for the task {task!r}, got {', '.join(values)}"
                    )
                for text in values:
                    own[field] = text
        result = {}
        for task, own in said.items():
            for field in ("best", "reference"):
                if field in own:
                    if not _NUMBER.fullmatch(own[field]):
                        self._problems.add(
                            f"column {field!r}: expected a number for {task!r}, got {own[field]!r}"
                        )
                    own[field] = float(own[field]) if _NUMBER.fullmatch(own[field]) else None
            if own.get("direction", "min") not in ("min", "max"):
                self._problems.add(
                    f"column 'direction': expected min or max for {task!r}, got {own['direction']!r}"
                )
            beside = self._beside.get(task, Facts())
            own.setdefault("metric", self._reading.metric or beside.metric or columns.get("value", ""))
            if "test" in columns:
                own.setdefault("test_metric", self._reading.test or beside.test_metric or columns["test"])
            result[task] = dataclasses.replace(beside, **{"test_metric": "", **own})
        return result


_FACTS: Final = ("direction", "metric", "test_metric", "best", "reference", "group")


def _nearest(name: str, valid: Sequence[str] | Mapping[str, object]) -> str:
    from harness.errors import nearest

    return nearest(name, valid)


def _scalar(text: str) -> int | float | bool | str:
    """Return a parameter's value: a number or truth value where the text is one."""
    if len(text) < 20 and _WHOLE.fullmatch(text) and abs(int(text)) <= _MOST_WHOLE:
        return int(text)
    if _NUMBER.fullmatch(text) and math.isfinite(float(text)):
        return float(text)
    return {"true": True, "false": False}.get(text.lower(), text)


def config_json(config: Mapping[str, Any]) -> str:
    """Return a configuration as JSON of plain scalars: parameters by name, what is none of these as text.

    A parameter without a value is left out: it is not active.
    """
    plain = {str(name): _plain(config[name]) for name in sorted(config, key=str) if config[name] is not None}
    return json.dumps(plain, ensure_ascii=False)


def _plain(value: Any) -> int | float | bool | str:
    if isinstance(value, bool | int | str) or (isinstance(value, float) and math.isfinite(value)):
        return value
    return str(value) if isinstance(value, float) else json.dumps(value, default=str, sort_keys=True)
