"""The tidy tables of a sweep: what analysis reads and ``derby export`` writes. `results.columns` says every column."""

from __future__ import annotations

import contextlib
import functools
import gc
import itertools
import json
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from harness.errors import RecordError
from harness.keys import canonical_json
from results.columns import EPOCHS, STUDIES, TABLES, TRIALS
from results.layout import Layout, make_folder, read_json, write_atomically
from results.reading import Asked, Done, Failed, Opened, Told, read_evaluations, read_events


@dataclass(frozen=True, slots=True, eq=False)
class SweepTables:
    """Everything analysis may know of a sweep. `results.columns` documents every column.

    Attributes:
        name: The sweep's name.
        trials: One row per evaluation told to a searcher, in the order told within each study.
        studies: One row per planned study.
        tasks: One row per task, indexed by label.
        provenance: The sweep as it ran: ``sweep`` (the sweep file's content), ``revision``, ``versions``, ``machines``
            (list of descriptions), ``data`` (task label to data digest), ``runs``.
        read_epochs: Returns the table of epochs; see `epochs`.
    """

    name: str
    trials: pd.DataFrame
    studies: pd.DataFrame
    tasks: pd.DataFrame
    provenance: Mapping[str, Any]
    read_epochs: Callable[[], pd.DataFrame]

    @property
    def epochs(self) -> pd.DataFrame:
        """One row per epoch of every row of ``trials`` as it was recorded.

        Read when it is first asked for: curves are most of a record, and few analyses need them.
        """
        return self.read_epochs()


def read_tables(root: Path, name: str) -> SweepTables:
    """Read a sweep's tables from a results folder; works while the sweep runs.

    Raises:
        RecordError: No such sweep, or its record is damaged.
    """
    layout = Layout(root)
    plan = layout.plan(name)
    planned = pd.DataFrame(plan["studies"])
    columns = _TrialColumns()
    rows: list[tuple[Any, ...]] = []
    with _no_collection():
        for index, study in enumerate(planned["study"]):
            path = layout.study(study)
            events = read_events(path)
            told = columns.add(index, events, path)
            rows.append((*_state(events), told, *_identity(events)))
    about = pd.DataFrame(rows, columns=["state", "reason", "evaluations", "method", "workers", "protocol"])
    studies = _typed(pd.concat([planned, about], axis=1), {c: a.dtype for c, a in STUDIES.items()})
    trials = columns.frame(studies)
    tasks = pd.DataFrame.from_dict(plan["tasks"], orient="index").rename_axis("task")
    return SweepTables(
        name=name,
        trials=trials,
        studies=studies,
        tasks=_with_none(tasks),
        provenance=_provenance(layout, name, sorted(set(trials["machine"].unique()) - {""})),
        read_epochs=functools.cache(
            _no_collection()(functools.partial(_epochs, layout, trials, tasks["name"]))
        ),
    )


def export(tables: SweepTables, folder: Path) -> list[Path]:
    """Write the tables as Parquet files, and the provenance as JSON; `read_exported` reads them back.

    Returns:
        The paths written.

    Raises:
        WriteError: The folder cannot be written.
    """
    make_folder(folder)
    written = []
    for name in TABLES:
        path = folder / f"{name}.parquet"
        getattr(tables, name).to_parquet(path)
        written.append(path)
    path = folder / "provenance.json"
    write_atomically(path, json.dumps({"name": tables.name, **tables.provenance}, indent=1) + "\n")
    return [*written, path]


def read_exported(folder: Path) -> SweepTables:
    """Read back the tables that `export` wrote.

    Raises:
        RecordError: A file is missing or is no table of a sweep.
    """
    provenance = read_json(folder / "provenance.json")

    def read(name: str) -> pd.DataFrame:
        path = folder / f"{name}.parquet"
        try:
            frame = pd.read_parquet(path)
        except (OSError, ValueError) as error:  # pyarrow's errors are ValueErrors
            raise RecordError(
                f"cannot read {path}: {error}; expected a table that `derby export` wrote"
            ) from error
        lacking = [column for column in TABLES[name] if column not in frame.columns]
        if lacking:
            raise RecordError(
                f"{path} lacks the columns {', '.join(lacking)}; it was written by another version of the project: "
                "export the sweep again"
            )
        return frame

    return SweepTables(
        name=str(provenance.pop("name", folder.name)),
        trials=read("trials"),
        studies=read("studies"),
        tasks=_with_none(read("tasks")),
        provenance=provenance,
        read_epochs=functools.cache(lambda: read("epochs")),
    )


Event = Opened | Asked | Told | Done | Failed


@contextlib.contextmanager
def _no_collection() -> Iterator[None]:
    """Leave cyclic garbage alone meanwhile: what is read is a million objects, and none refers to another."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


class _TrialColumns:
    """The columns of ``trials`` while journals are read: C arrays and lists, never a row at a time."""

    def __init__(self) -> None:
        self._ints: dict[str, array[int]] = {
            name: array("q") for name in ("step", "trial", "epochs", "spent_epochs")
        }
        self._floats: dict[str, list[NDArray[np.float64]]] = {
            name: [] for name, column in TRIALS.items() if column.dtype == "float64"
        }
        self._texts: dict[str, list[Any]] = {"config": [], "evaluation": []}
        self._labels: dict[str, list[str]] = {"status": [], "machine": []}
        self._studies = array("q")

    def add(self, study: int, events: Sequence[Event], path: Path) -> int:
        """Add a study's evaluations and return how many there are."""
        asked: dict[int, Asked] = {}
        questions: list[Asked] = []
        told: list[Told] = []
        # Seconds of every ask and tell before each tell: with several workers asks come in bunches.
        search, before = 0.0, []
        for event in events:
            if type(event) is Asked:
                asked[event.number] = event
                search += event.ask_seconds
            elif type(event) is Told:
                told.append(event)
                before.append(search)
                search += event.tell_seconds
        try:
            questions = [asked[event.number] for event in told]
        except KeyError as error:
            raise RecordError(
                f"{path}: evaluation {error} was told without having been asked; the journal was damaged after it "
                "was written: restore it from a copy, or run its sweep with --restart"
            ) from None
        if not told:
            return 0
        seconds = np.array([event.seconds for event in told])
        train = np.cumsum(seconds)
        self._studies.extend([study] * len(told))
        ints, floats = self._ints, self._floats
        ints["step"].extend(range(1, len(told) + 1))
        ints["trial"].extend([event.trial for event in questions])
        ints["epochs"].extend([event.epochs for event in questions])
        ints["spent_epochs"].extend(itertools.accumulate(event.epochs for event in told))
        floats["value"].append(np.array([event.value for event in told], dtype=float))
        floats["test"].append(np.array([event.test for event in told], dtype=float))
        floats["loss"].append(np.array([event.loss for event in told]))
        floats["train_seconds"].append(train)
        floats["total_seconds"].append(train + np.array(before))
        floats["virtual_time"].append(np.array([event.finish for event in told]))
        floats["virtual_start"].append(np.array([event.start for event in questions]))
        floats["seconds"].append(seconds)
        floats["ask_seconds"].append(np.array([event.ask_seconds for event in questions]))
        floats["tell_seconds"].append(np.array([event.tell_seconds for event in told]))
        self._texts["config"] += [bytes(event.config) for event in questions]
        self._texts["evaluation"] += [event.evaluation for event in questions]
        self._labels["status"] += [event.status for event in told]
        self._labels["machine"] += [event.machine for event in told]
        return len(told)

    def frame(self, studies: pd.DataFrame) -> pd.DataFrame:
        """Return the table."""
        index = np.frombuffer(self._studies, dtype=np.int64) if self._studies else np.zeros(0, dtype=np.int64)
        made: dict[str, Any] = {"evaluations": np.asarray(self._ints["step"], dtype=np.int64)}
        for name in ("task", "searcher", "repetition", "study"):
            made[name] = studies[name].array.take(index)
        made |= {name: np.asarray(values, dtype=np.int64) for name, values in self._ints.items()}
        made |= {name: np.concatenate([np.zeros(0), *parts]) for name, parts in self._floats.items()}
        made["config"] = pa.array(self._texts["config"], pa.large_binary()).cast(pa.large_string())
        made["evaluation"] = pa.array(self._texts["evaluation"], pa.large_string())
        for name, labels in self._labels.items():
            codes, distinct = pd.factorize(np.array(labels, dtype=object))
            made[name] = pd.array(list(distinct), dtype="str").take(codes)
        for name in ("config", "evaluation"):
            made[name] = pd.array(made[name], dtype="str")
        return pd.DataFrame({name: made[name] for name in TRIALS}, copy=False)


def _state(events: Sequence[Event]) -> tuple[str, str]:
    """Return a study's state and reason."""
    if not events:
        return "missing", ""
    match events[-1]:
        case Done(reason=reason):
            return "done", reason
        case Failed(message=message):
            return "failed", message
        case _:
            return "running", ""


def _identity(events: Sequence[Event]) -> tuple[str, int, str]:
    """Return a study's method, workers, and protocol: its key without what the plan says."""
    if not events or not isinstance(events[0], Opened):
        return "", 0, ""
    key = dict(events[0].key)
    method, _ = str(key.pop("searcher", "")), key.pop("repetition", None)
    return method, int(key.get("workers", 0)), canonical_json(key)


def _typed(frame: pd.DataFrame, types: Mapping[str, str]) -> pd.DataFrame:
    """Return the columns in order with their types."""
    return frame[list(types)].astype(dict(types))


def _with_none(tasks: pd.DataFrame) -> pd.DataFrame:
    """Return the tasks with ``None`` where there is no test companion, and NaN where there is no regret."""
    test = tasks["test_metric"].astype(object)
    scale = tasks[["regret_best", "regret_reference"]].astype(float)
    return tasks.assign(test_metric=test.where(test.notna(), None), **scale)


class _Curves:
    """Curves end to end, one block per set of metrics; where each begins is its place."""

    def __init__(self) -> None:
        self.blocks: dict[tuple[str, ...], dict[str, array[float]]] = {}
        self._sizes: dict[tuple[str, ...], int] = {}

    def add(self, curves: Sequence[Mapping[str, Sequence[float]]]) -> list[int]:
        """Add curves of the same metrics, and return the place of each in their block."""
        metrics = tuple(curves[0])
        block = self.blocks.setdefault(metrics, {metric: array("d") for metric in metrics})
        for metric, values in block.items():
            values.extend(itertools.chain.from_iterable([curve[metric] for curve in curves]))
        lengths = [len(curve[metrics[0]]) for curve in curves]
        places = list(itertools.accumulate(lengths, initial=self._sizes.get(metrics, 0)))
        self._sizes[metrics] = places.pop()
        return places


def _epochs(layout: Layout, trials: pd.DataFrame, names: pd.Series) -> pd.DataFrame:
    """Return the curves of all trials: of the record that each was given, the epochs it asked for.

    Args:
        layout: The results folder.
        trials: The trials.
        names: Registered name of each task, by label.
    """
    curves = _Curves()
    found: dict[tuple[str, ...], tuple[array[int], array[int], array[int]]] = {}
    folders = trials["task"].map(names)
    asked, succeeded = trials["epochs"].to_numpy(), (trials["status"] == "ok").to_numpy()
    for name in folders.unique():
        rows = np.flatnonzero((folders == name).to_numpy())
        waiting: dict[str, list[int]] = {}
        for row, evaluation in zip(rows.tolist(), trials["evaluation"].array.take(rows), strict=True):
            waiting.setdefault(evaluation, []).append(row)
        for records in read_evaluations(layout.evaluations(name)):
            used: dict[tuple[str, ...], list[tuple[dict[str, list[float]], list[int]]]] = {}
            for record in records:
                if record.id in waiting and record.curve:
                    length = len(next(iter(record.curve.values())))
                    failed = record.status != "ok"
                    # The first that reaches far enough, or that failed as the trial did, is what it was given.
                    places = waiting.pop(record.id)
                    mine = [row for row in places if (length >= asked[row] if succeeded[row] else failed)]
                    if mine:
                        used.setdefault(tuple(record.curve), []).append((record.curve, mine))
                    if len(mine) < len(places):
                        waiting[record.id] = [row for row in places if row not in mine]
            for metrics, pairs in used.items():
                starts = curves.add([curve for curve, _ in pairs])
                own = found.setdefault(metrics, (array("q"), array("q"), array("q")))
                for start, (curve, mine) in zip(starts, pairs, strict=True):
                    length = len(curve[metrics[0]])
                    own[0].extend(mine)
                    own[1].extend([start] * len(mine))
                    own[2].extend([length] * len(mine))
    return _epoch_frame(trials, curves, found)


def _epoch_frame(
    trials: pd.DataFrame,
    curves: _Curves,
    found: Mapping[tuple[str, ...], tuple[array[int], array[int], array[int]]],
) -> pd.DataFrame:
    """Return the curves as one table in the order of the trials.

    Args:
        trials: The trials.
        curves: The curves.
        found: By set of metrics: rows of the trials, where their curves begin, and how long these are.
    """
    none = np.zeros(0, dtype=np.int64)
    asked = trials["epochs"].to_numpy()
    blocks = []
    for metrics, parts in found.items():
        rows, starts, lengths = (np.asarray(part, dtype=np.int64) for part in parts)
        lengths = np.minimum(lengths, asked[rows])
        epoch = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        blocks.append((metrics, np.repeat(rows, lengths), np.repeat(starts, lengths) + epoch, epoch + 1))
    each = np.concatenate([none, *(rows for _, rows, _, _ in blocks)])
    order = np.argsort(each, kind="stable")
    columns: dict[str, Any] = {
        "study": trials["study"].array.take(each[order]),
        "step": trials["step"].to_numpy()[each[order]],
        "epoch": np.concatenate([none, *(epoch for _, _, _, epoch in blocks)])[order],
    }
    for metric in dict.fromkeys(itertools.chain.from_iterable(found)):
        values = [
            np.asarray(curves.blocks[metrics].pop(metric), dtype=float)[index]  # let go as it is copied
            if metric in metrics
            else np.full(index.size, np.nan)
            for metrics, _, index, _ in blocks
        ]
        columns[metric] = np.concatenate(values)[order]
    return pd.DataFrame(columns, copy=False).astype({name: column.dtype for name, column in EPOCHS.items()})


def _provenance(layout: Layout, name: str, machines: Sequence[str]) -> dict[str, Any]:
    runs = [read_json(path) for path in sorted((layout.sweep(name) / "runs").glob("*.json"))]
    latest = runs[-1] if runs else {}
    data: dict[str, str] = {}
    for run in runs:
        data.update(run.get("data", {}))
    return {
        "sweep": (layout.sweep(name) / "sweep.yaml").read_text(encoding="utf-8"),
        "revision": latest.get("revision", "none"),
        "versions": latest.get("versions", {}),
        "machines": [{"id": machine, **read_json(layout.machine(machine))} for machine in machines],
        "data": data,
        "runs": [{k: v for k, v in run.items() if k != "versions"} for run in runs],
    }
