"""One function for all that can be imported."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, Literal

from harness.errors import ForeignResultsError, RecordError
from harness.trial import Budget
from results.imports import kerastuner, optuna, raytune
from results.imports.build import tables_of
from results.imports.names import read_mapping
from results.imports.runs import Facts, Reading, Runs, Said
from results.imports.table import read_rows
from results.sources import check_there, import_name
from results.tables import SweepTables

Kind = Literal["table", "optuna", "raytune", "kerastuner"]
"""What can be imported; see `kind_of`."""

_TABLES: Final = frozenset({".csv", ".tsv", ".txt", ".parquet", ".pq"})

Stated = str | Mapping[str, str]
"""What is said of all tasks, or by the label of each."""

Numbers = float | Mapping[str, float]
"""A number for all tasks, or by the label of each."""


def import_results(
    sources: str | Path | Sequence[str | Path],
    *,
    name: str | None = None,
    kind: Kind | None = None,
    task: str = "",
    method: str = "",
    metric: str = "",
    test: str = "",
    columns: Mapping[str, str] | None = None,
    pattern: str = "",
    mapping: str | Path | Mapping[str, tuple[str, str, str]] | None = None,
    direction: Stated = "",
    best: Numbers | None = None,
    reference: Numbers | None = None,
    budget: Budget | None = None,
    paired: bool = False,
    baseline: str = "",
) -> SweepTables:
    """Return the tables of results that were run elsewhere, of the same kind as those of a sweep.

    ``docs/import.md`` says what is read of each source, and what cannot be known.

    Args:
        sources: One or more: files of rows (CSV, Parquet), an Optuna storage (address or file), folders with Ray Tune's
            experiments or Keras Tuner's projects.
        name: What the tables are called; after the first source by default.
        kind: What the sources are; recognised by default.
        task: Label of the task of all rows, where these do not say it.
        method: Label of the method of all rows, where these do not say it.
        metric: What the source calls the objective.
        test: What the source calls the test value.
        columns: Of a file of rows: its own names of columns, by ours.
        pattern: How studies, experiments or projects are named, such as ``{task}-{method}-{repetition}``.
        mapping: A CSV file that says which run is which instead, or task, method and repetition by name.
        direction: ``min`` or ``max``, of all tasks or by the label of each.
        best: Value of the metric where regret is 0, likewise.
        reference: Value of the metric where regret is 1, likewise.
        budget: What each run may spend, in evaluations or epochs; what the longest run of its task spent by default.
        paired: Whether runs of different methods with the same repetition share their seeds or data splits.
        baseline: Label of the method that is random search; one that is called so by default.

    Raises:
        RecordError: A source cannot be read.
        ForeignResultsError: It cannot be used; every problem is named with its place.
        MissingLibraryError: An Optuna storage is to be read, and Optuna is not installed.

    Example:
        >>> tables = import_results("runs.csv", direction="min")  # doctest: +SKIP
        >>> tables.trials.groupby(["task", "searcher"])["value"].min()  # doctest: +SKIP
    """
    listed = [sources] if isinstance(sources, str | Path) or not isinstance(sources, Sequence) else sources
    other = next((each for each in listed if not isinstance(each, str | Path)), None)
    if other is not None:
        raise ForeignResultsError(
            f"expected paths or addresses to import, got a {type(other).__name__}; write a table in memory to a file, "
            "as with DataFrame.to_csv(PATH, index=False), and give its path"
        )
    given = [str(each) for each in listed]
    if not given:
        raise ForeignResultsError("expected one or more sources to import, got none")
    if budget is not None and budget.unit == "cost":
        raise ForeignResultsError(
            "expected a budget of evaluations or epochs: what an epoch costs is not known elsewhere"
        )
    twice = sorted({each for each in given if given.count(each) > 1})
    if twice:
        raise ForeignResultsError(f"{', '.join(twice)} is given twice; give each source once")
    known = read_mapping(Path(mapping)) if isinstance(mapping, str | Path) else mapping
    reading = Reading(task, method, metric, test, dict(columns or {}), pattern, known)
    parts = [_read(source, kind or kind_of(source), reading) for source in given]
    said = Said(_said(direction, best, reference), budget, paired, baseline)
    return tables_of(name or import_name(given[0]), parts, said)


def kind_of(source: str) -> Kind:
    """Return what a source is, by its ending and content.

    Raises:
        RecordError: It is not there, or is nothing that can be imported.
    """
    path = Path(source)
    check_there([source])
    if optuna.is_storage(source):
        return "optuna"
    if path.is_dir():
        if kerastuner.is_folder(path):
            return "kerastuner"
        if raytune.is_folder(path):
            return "raytune"
    elif path.suffix.lower() in _TABLES:
        return "table"
    raise RecordError(
        f"{source} is nothing that can be imported: expected a CSV or Parquet file, an Optuna storage (SQLite, journal "
        "or address), or a folder with Ray Tune's experiments or Keras Tuner's projects; say with --kind which it is"
    )


def _read(source: str, kind: Kind, reading: Reading) -> Runs:
    if kind == "optuna":
        return optuna.read_storage(source, reading)
    path = Path(source)
    if kind == "table":
        return read_rows(path, reading)
    if not path.is_dir():
        raise RecordError(
            f"{source} is no folder; expected one with {'experiments' if kind == 'raytune' else 'projects'}"
        )
    return (kerastuner.read_projects if kind == "kerastuner" else raytune.read_experiments)(path, reading)


def _said(direction: Stated, best: Numbers | None, reference: Numbers | None) -> dict[str, Facts]:
    """Return what is said of tasks, by label; under the empty label what is said of all."""
    directions = {"": direction} if isinstance(direction, str) else dict(direction)
    wrong = sorted(text for text in directions.values() if text not in ("", "min", "max"))
    if wrong:
        raise ForeignResultsError(f"direction: expected min or max, got {', '.join(map(repr, wrong))}")
    bests, references = (
        {} if value is None else dict(value) if isinstance(value, Mapping) else {"": float(value)}
        for value in (best, reference)
    )
    for what, values in (("best", bests), ("reference", references)):
        if not all(math.isfinite(value) for value in values.values()):
            raise ForeignResultsError(f"{what}: expected finite numbers, got {list(values.values())}")
    result = {"": Facts()}
    for task in {*directions, *bests, *references}:
        result[task] = dataclasses.replace(
            Facts(), direction=directions.get(task, ""), best=bests.get(task), reference=references.get(task)
        )
    return result
