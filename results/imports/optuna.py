"""Results from an Optuna storage: a database, or a journal's file."""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import pandas as pd

from harness.errors import RecordError, said
from harness.machine import require_libraries
from harness.plurals import plural
from results.imports.names import Naming
from results.imports.runs import Facts, Problems, Reading, Runs, curve_column, frame
from results.imports.table import config_json

_SQLITE: Final = b"SQLite format 3\0"


def is_storage(source: str) -> bool:
    """Whether a source looks like a storage: an address, a SQLite file, or the file of a journal."""
    if "://" in source:
        return True
    try:
        with Path(source).open("rb") as file:
            begin = file.read(64)
    except OSError:
        return False
    return begin.startswith((_SQLITE, b'{"op_code"'))


def read_storage(source: str, reading: Reading) -> Runs:
    """Read the studies of a storage; nothing is written to it.

    An evaluation's order is that in which trials ended. A pruned trial is an evaluation that ended at its last
    reported value; the steps at which it reported are its epochs. Trials that have not ended are left out, and said.

    Args:
        source: An address such as ``sqlite:///runs.db``, a SQLite file, or the file of a journal.
        reading: How studies are named; ``test``: the user attribute with the test value.

    Raises:
        MissingLibraryError: Optuna is not installed.
        RecordError: The storage cannot be read.
        ForeignResultsError: A study cannot be used; every problem is named.
    """
    require_libraries("reading an Optuna storage", {"optuna": "optuna"})
    import optuna

    shown = _shown(source)
    try:
        with _quiet(optuna):
            storage = _opened(source)
            studies = {study.study_name: study for study in storage.get_all_studies()}
            problems = Problems(shown)
            identities = Naming(reading, "study").of(sorted(studies), problems)
            if not studies:
                problems.add("it holds no study")
            problems.check()
            trials = {
                name: storage.get_all_trials(studies[name]._study_id, deepcopy=False) for name in identities
            }
    except (OSError, sqlite3.Error) as error:
        raise RecordError(f"cannot read {shown}: {error}; expected an Optuna storage") from error
    except Exception as error:
        if type(error).__module__.split(".")[0] not in ("optuna", "sqlalchemy", "json", "builtins"):
            raise
        raise RecordError(
            f"cannot read {shown}: {_masked(said(error), source)}; expected an Optuna storage"
        ) from error
    rows: list[dict[str, Any]] = []
    curves: list[dict[str, Any]] = []
    facts: dict[str, Facts] = {}
    open_trials = 0
    for name, (task, method, repetition) in identities.items():
        directions = studies[name].directions
        if len(directions) != 1:
            problems.add(
                f"study {name!r}: expected one objective, got {len(directions)}; leave it out with --mapping"
            )
            continue
        direction = "min" if directions[0] is optuna.study.StudyDirection.MINIMIZE else "max"
        known = facts.get(task)
        if known is not None and known.direction != direction:
            problems.add(
                f"study {name!r}: its direction is {direction}, and that of others on {task!r} is not"
            )
        metric = reading.metric or _metric(studies[name]) or "value"
        facts[task] = Facts(direction=direction, metric=metric, test_metric=reading.test)
        ended = [trial for trial in trials[name] if trial.state.is_finished()]
        open_trials += len(trials[name]) - len(ended)
        ended.sort(key=lambda trial: (_moment(trial), trial.number))
        first = min((step for trial in ended for step in trial.intermediate_values), default=1)
        most = max((_epochs(trial, first) for trial in ended), default=0)
        for step, trial in enumerate(ended, 1):
            curves += _curve(trial, first, len(rows), metric)
            rows.append(
                {
                    **{"task": task, "method": method, "repetition": repetition, "step": step},
                    **_evaluation(trial, first, most, reading.test, optuna),
                    "where": f"study {name!r}, trial {trial.number}",
                }
            )
    if reading.test and rows and all(math.isnan(row["test"]) for row in rows):
        problems.add(f"--test {reading.test}: no trial has a user attribute of that name")
    if not rows:
        problems.add("no study that is read has a trial that ended")
    problems.check()
    notes = (
        [
            f"Left out: {plural(open_trials, 'trial')} of {shown} that {'has' if open_trials == 1 else 'have'} not "
            "ended."
        ]
        if open_trials
        else []
    )
    if any(row["epochs"] for row in rows):
        notes.append(
            "A pruned trial counts as an evaluation with its last reported value; steps reported are epochs."
        )
    return Runs(frame(rows), shown, facts, pd.DataFrame(curves) if curves else None, tuple(notes))


def _opened(source: str) -> Any:
    """Return a storage to read from, which is not changed, and not made where there is none."""
    from optuna.storages import JournalStorage, RDBStorage
    from optuna.storages.journal import JournalFileBackend

    path = Path(source.removeprefix("sqlite:///") if source.startswith("sqlite:///") else source)
    if "://" in source and not source.startswith("sqlite:///"):
        return RDBStorage(source, skip_table_creation=True)
    with path.open("rb") as file:
        begin = file.read(len(_SQLITE))
    if begin == _SQLITE:
        # Read only: opened as usual, SQLite and Optuna would write to it.
        uri = path.resolve().as_uri().replace("file://", "file:", 1)
        return RDBStorage(f"sqlite:///{uri}?mode=ro&uri=true", skip_table_creation=True)
    return JournalStorage(JournalFileBackend(str(path)))


def _shown(source: str) -> str:
    """Return a storage's address without its password."""
    if "://" not in source or source.startswith("sqlite:"):
        return source
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        return make_url(source).render_as_string(hide_password=True)
    except (ArgumentError, ValueError) as error:
        raise RecordError(
            "expected the address of an Optuna storage, such as sqlite:///runs.db; the one given is none"
        ) from error


def _masked(text: str, source: str) -> str:
    """Return an error's text, the first line of it, without a password."""
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    first = text.partition("\n")[0]
    try:
        password = make_url(source).password if "://" in source else None
    except (ArgumentError, ValueError):
        return first
    return first.replace(str(password), "***") if password else first


def _quiet(optuna: Any) -> Any:
    """Keep Optuna's log off the terminal while its storage is read."""
    import contextlib

    @contextlib.contextmanager
    def quiet() -> Any:
        before = optuna.logging.get_verbosity()
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        try:
            yield
        finally:
            optuna.logging.set_verbosity(before)

    return quiet()


def _metric(study: Any) -> str:
    names: Sequence[str] = study.system_attrs.get("study:metric_names") or ()
    return str(names[0]) if names else ""


def _moment(trial: Any) -> float:
    return trial.datetime_complete.timestamp() if trial.datetime_complete is not None else math.inf


def _epochs(trial: Any, first: int) -> int:
    """Return how many epochs a trial reported: steps count from 1, or from 0 where any does."""
    return max(trial.intermediate_values, default=first - 1) + (1 if first == 0 else 0)


def _curve(trial: Any, first: int, row: int, metric: str) -> list[dict[str, Any]]:
    shift = 1 if first == 0 else 0
    return [
        {"row": row, "epoch": step + shift, curve_column(metric): float(value)}
        for step, value in sorted(trial.intermediate_values.items())
        if step + shift > 0
    ]


def _evaluation(trial: Any, first: int, most: int, test: str, optuna: Any) -> dict[str, Any]:
    state = trial.state
    value = math.nan if trial.value is None else float(trial.value)
    if state is optuna.trial.TrialState.PRUNED:
        reported = trial.intermediate_values
        value = float(reported[max(reported)]) if reported else math.nan
        status = "ok" if math.isfinite(value) else ("diverged" if reported else "crashed")
    elif state is optuna.trial.TrialState.COMPLETE:
        status = "ok" if math.isfinite(value) else "diverged"
    else:
        status = "crashed"
    attribute = trial.user_attrs.get(test) if test else None
    tested = isinstance(attribute, int | float) and not isinstance(attribute, bool) and status == "ok"
    # A complete trial without a report went to the end, where others reported how far they were.
    silent = most if state is optuna.trial.TrialState.COMPLETE else 0
    reached = _epochs(trial, first) if trial.intermediate_values else silent
    return {
        "trial": trial.number,
        "status": status,
        "value": value if status == "ok" else math.nan,
        "test": float(attribute) if tested else math.nan,  # type: ignore[arg-type]
        "seconds": trial.duration.total_seconds() if trial.duration is not None else math.nan,
        "epochs": max(reached, 0),
        "config": config_json(
            {name: "None" if value is None else value for name, value in trial.params.items()}
        ),
    }
