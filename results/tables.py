"""The tidy tables of a sweep: what analysis reads and ``derby export`` writes. `results.columns` says every column."""

from __future__ import annotations

import contextlib
import functools
import gc
import itertools
import json
import math
import operator
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pandas as pd
import pyarrow as pa

from harness.errors import RecordError
from harness.events import Asked, Told
from harness.keys import canonical_json, text_digest
from harness.plan import Compare, Extends, LeftOut, Plan, StudyPlan
from results import baseline_table, confirmed_table, plans, reevaluation_table
from results import compact as packed
from results.columns import OPTIONAL, STUDIES, TABLES, TASKS, TRIALS
from results.documents import converted, read_json, read_machine, read_text
from results.epochs import epochs_of
from results.imports import origin
from results.journal import RESTORE
from results.layout import Layout, make_folder, write_atomically
from results.reading import StudyRecord, read_study
from results.reevaluations import Wanted, wanted_of
from results.schema import Opened


@dataclass(frozen=True, slots=True, eq=False)
class SweepTables:
    """Everything analysis may know of a sweep. `results.columns` documents every column.

    Attributes:
        name: The sweep's name.
        trials: One row per evaluation told to a searcher, in the order told within each study.
        studies: One row per planned study.
        tasks: One row per task, indexed by label.
        provenance: The sweep as it ran: ``sweep`` (the sweep file's content), ``revision``, ``versions``, ``machines``
            (list of descriptions), ``data`` (task label to data digest), ``runs``, ``compare``; see `results.plans`;
            ``left_out`` (methods and tasks that they cannot search), ``extends`` (what is published of the same sweep
            and is not here; see `results.extended`). Of results from elsewhere also ``imported``; see
            `results.imports.origin`.
        read_epochs: Returns the table of epochs; see `epochs`.
        reevaluations: One row per fresh seed of each finished study's winner, where the sweep re-evaluates.
        baselines: One row per baseline, task and repetition, where the sweep has baselines: no method is among them.
        baseline_trials: The evaluations of the studies that give these, with the columns of ``trials``.
        confirmed: One row per winner that was trained for real, where the sweep was confirmed.
    """

    name: str
    trials: pd.DataFrame
    studies: pd.DataFrame
    tasks: pd.DataFrame
    provenance: Mapping[str, Any]
    read_epochs: Callable[[], pd.DataFrame]
    reevaluations: pd.DataFrame = field(default_factory=reevaluation_table.frame)
    baselines: pd.DataFrame = field(default_factory=baseline_table.frame)
    baseline_trials: pd.DataFrame = field(default_factory=baseline_table.no_trials)
    confirmed: pd.DataFrame = field(default_factory=confirmed_table.frame)

    @property
    def compared(self) -> plans.Compared | None:
        """What the sweep file says is to be compared; ``None`` where it does not say."""
        return plans.compared(self.provenance)

    @property
    def looks(self) -> tuple[plans.Look, ...]:
        """When repetitions were added after results of some existed, oldest first."""
        return plans.looks(self.provenance)

    @property
    def left_out(self) -> tuple[LeftOut, ...]:
        """Methods and tasks that have no studies because the method cannot search the task."""
        return tuple(msgspec.convert(self.provenance.get("left_out") or [], list[LeftOut]))

    @property
    def extends(self) -> Extends | None:
        """What is published of the same sweep, where these are only the studies that extend it."""
        about = self.provenance.get("extends")
        return None if about is None else msgspec.convert(about, Extends)

    @property
    def imported(self) -> origin.Imported | None:
        """What was run elsewhere; ``None`` where all was run here."""
        return origin.imported(self.provenance)

    @property
    def paired(self) -> bool:
        """Whether methods share their seeds within a repetition, so that it compares them in pairs."""
        about = self.imported
        return about is None or about.paired

    @property
    def epochs(self) -> pd.DataFrame:
        """One row per epoch of every row of ``trials`` as it was recorded; of imported results, those that are known.

        Published tables have none of tasks that replay recorded trainings: their curves are in what is replayed.

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
    wanted: list[Wanted] = []

    def on_record(planned: StudyPlan, record: StudyRecord) -> None:
        wanted.extend(wanted_of(planned, record, plan))

    with _no_collection():
        studies, trials = _read_studies(layout, plan, plan.studies, on_record)
        given, baseline_trials = _read_studies(layout, plan, plan.baselines)
    about_tasks = {
        label: {**msgspec.structs.asdict(task), "splits": plan.splits} for label, task in plan.tasks.items()
    }
    tasks = pd.DataFrame.from_dict(about_tasks, orient="index").rename_axis("task")
    tasks = tasks.astype(
        {"budget_amount": TASKS["budget_amount"].dtype}
    )  # counts are written as whole numbers
    again = reevaluation_table.table(layout, plan, wanted)
    machines = {
        machine for table in (trials, again, baseline_trials) for machine in table["machine"].unique()
    }
    return SweepTables(
        name=name,
        trials=trials,
        studies=studies,
        tasks=with_none(tasks),
        provenance=_provenance(layout, plan, sorted(machines - {""})),
        read_epochs=functools.cache(
            _no_collection()(functools.partial(epochs_of, layout, trials, tasks[["name", "metric"]]))
        ),
        reevaluations=again,
        baselines=baseline_table.table(plan, given),
        baseline_trials=baseline_trials,
        confirmed=confirmed_table.read(layout.sweep(name) / "confirmed"),
    )


def _read_studies(
    layout: Layout,
    plan: Plan,
    wanted: Sequence[StudyPlan],
    on_record: Callable[[StudyPlan, StudyRecord], None] = lambda *_: None,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the tables ``studies`` and ``trials`` of some planned studies; each is handed on with its record."""
    columns = _TrialColumns()
    rows: list[tuple[Any, ...]] = []
    for index, planned in enumerate(wanted):
        record = read_study(layout.study(planned.study))
        columns.add(index, record)
        on_record(planned, record)
        place = (planned.study, planned.task, planned.searcher, planned.repetition)
        spent = record.spent(plan.budget_of(planned).unit)
        state = (record.state, record.reason, len(record.told), spent, record.followed_told)
        rows.append((*place, *state, *_identity(record.opened)))
    names = ["study", "task", "searcher", "repetition", "state", "reason", "evaluations", "spent", "followed"]
    frame = pd.DataFrame(rows, columns=[*names, "method", "workers", "protocol", "split"])
    studies = _typed(frame, {c: a.dtype for c, a in STUDIES.items()})
    return studies, columns.frame(studies)


def export(tables: SweepTables, folder: str | Path, *, compact: bool = False) -> list[Path]:
    """Write the tables as Parquet files, and the provenance as JSON; `read_exported` reads them back.

    Args:
        tables: The sweep.
        folder: Where; made if absent.
        compact: As a publication has them, see `results.compact`: without columns that others give exactly, which are
            there again when it is read, and without epochs of trainings that a task replays.

    Returns:
        The paths written.

    Raises:
        WriteError: The folder cannot be written.
    """
    folder = Path(folder)
    make_folder(folder)
    written = []
    for name in TABLES:
        path = folder / f"{name}.parquet"
        frame = getattr(tables, name)
        if name == "confirmed" and frame.empty:
            continue
        if compact:
            if TABLES[name] is TRIALS:
                frame = packed.without_derived(frame, tables.tasks)
            elif name == "epochs":
                frame = packed.without_replayed(frame, tables.studies, tables.tasks)
            packed.write(frame, path)
        else:
            frame.to_parquet(path)
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
    converted(provenance, _Provenance, folder / "provenance.json")

    def read(name: str, tasks: pd.DataFrame | None = None) -> pd.DataFrame:
        path = folder / f"{name}.parquet"
        if name in OPTIONAL and not path.exists():
            return _WITHOUT[name]()
        try:
            frame = pd.read_parquet(path)
        except (OSError, ValueError) as error:  # pyarrow's errors are ValueErrors
            raise RecordError(
                f"cannot read {path}: {error}; expected a table that `derby export` wrote"
            ) from error
        if tasks is not None:
            frame = packed.with_derived(frame, tasks)
        lacking = [column for column in TABLES[name] if column not in frame.columns]
        if lacking:
            raise RecordError(
                f"{path} lacks the columns {', '.join(lacking)}; it was written by another version of the project: "
                "export the sweep again"
            )
        for column, about in TABLES[name].items():
            if about.dtype != "object" and str(frame[column].dtype) != about.dtype:
                raise RecordError(
                    f"{path}: expected {about.dtype} in column {column!r}, got {frame[column].dtype}; "
                    "export the sweep again"
                )
        return frame

    tasks = with_none(read("tasks"))
    return SweepTables(
        name=str(provenance.pop("name", folder.name)),
        trials=read("trials", tasks),
        studies=read("studies"),
        tasks=tasks,
        provenance=provenance,
        read_epochs=functools.cache(lambda: read("epochs")),
        reevaluations=read("reevaluations"),
        baselines=read("baselines"),
        baseline_trials=read("baseline_trials", tasks),
        confirmed=read("confirmed"),
    )


_WITHOUT: Mapping[str, Callable[[], pd.DataFrame]] = {
    "baselines": baseline_table.frame,
    "baseline_trials": baseline_table.no_trials,
    "confirmed": confirmed_table.frame,
}
"""What stands for each table that may be absent."""


class _Provenance(msgspec.Struct):
    """What an exported provenance must be, as far as it is there; see `SweepTables` and `results.merge`."""

    name: str = ""
    sweep: str = ""
    revision: str | dict[str, str] = ""
    versions: dict[str, Any] = {}
    machines: list[dict[str, Any]] = []
    data: dict[str, Any] = {}
    runs: list[plans.RunSeen] = []
    compare: Compare | None = None
    left_out: list[LeftOut] = []
    extends: Extends | None = None
    sources: dict[str, str] = {}
    merged: list[str] = []
    imported: origin.Imported | None = None


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
        self._floats: dict[str, array[float]] = {
            name: array("d") for name, column in TRIALS.items() if column.dtype == "float64"
        }
        self._configs: list[bytes] = []  # one text after the other, a study each
        self._sizes = array("q", [0])  # of each text, after a 0: their sums are where texts begin and end
        self._evaluations: list[pa.Array] = []  # of each study that was told something
        self._labels: dict[str, list[str]] = {"status": [], "machine": []}
        self._studies = array("q")

    def add(self, study: int, record: StudyRecord) -> None:
        """Add a study's evaluations."""
        told, questions = record.told, record.answered
        if not told:
            return
        # Seconds of every ask and tell before each tell: with several workers asks come in bunches.
        search, before = 0.0, []
        for event in record.events:
            if type(event) is Asked:
                search += event.ask_seconds
            elif type(event) is Told:
                before.append(search)
                search += event.tell_seconds
        seconds = [event.seconds for event in told]
        train = list(itertools.accumulate(seconds))
        self._studies.extend([study] * len(told))
        ints, floats = self._ints, self._floats
        ints["step"].extend(range(1, len(told) + 1))
        ints["trial"].fromlist([event.trial for event in questions])
        ints["epochs"].fromlist([event.epochs for event in questions])
        ints["spent_epochs"].extend(itertools.accumulate([event.epochs for event in told]))
        floats["spent_cost"].fromlist(record.spent_costs)
        floats["value"].fromlist([math.nan if event.value is None else event.value for event in told])
        floats["test"].fromlist([math.nan if event.test is None else event.test for event in told])
        floats["loss"].fromlist([event.loss for event in told])
        floats["train_seconds"].fromlist(train)
        floats["total_seconds"].fromlist(list(map(operator.add, train, before)))
        floats["virtual_time"].fromlist([event.finish for event in told])
        floats["virtual_start"].fromlist([event.start for event in questions])
        floats["seconds"].fromlist(seconds)
        floats["ask_seconds"].fromlist([event.ask_seconds for event in questions])
        floats["tell_seconds"].fromlist([event.tell_seconds for event in told])
        self._configs.append(b"".join([bytes(event.config) for event in questions]))
        self._sizes.fromlist([len(bytes(event.config)) for event in questions])
        self._evaluations.append(pa.array([event.evaluation for event in questions], pa.large_string()))
        self._labels["status"] += [event.status for event in told]
        self._labels["machine"] += [event.machine for event in told]

    def frame(self, studies: pd.DataFrame) -> pd.DataFrame:
        """Return the table."""
        index = np.frombuffer(self._studies, dtype=np.int64) if self._studies else np.zeros(0, dtype=np.int64)
        made: dict[str, Any] = {"evaluations": np.asarray(self._ints["step"], dtype=np.int64)}
        for name in ("task", "searcher", "repetition", "study"):
            made[name] = studies[name].array.take(index)
        made |= {name: np.asarray(values, dtype=np.int64) for name, values in self._ints.items()}
        made |= {name: np.asarray(values, dtype=float) for name, values in self._floats.items()}
        made["config"] = pa.Array.from_buffers(
            pa.large_binary(),
            len(index),
            [None, pa.py_buffer(np.cumsum(self._sizes)), pa.py_buffer(b"".join(self._configs))],
        ).cast(pa.large_string())
        made["evaluation"] = pa.chunked_array(self._evaluations, pa.large_string()).combine_chunks()
        for name, labels in self._labels.items():
            codes, distinct = pd.factorize(np.array(labels, dtype=object))
            made[name] = pd.array(list(distinct), dtype="str").take(codes)
        for name in ("config", "evaluation"):
            made[name] = pd.array(made[name], dtype="str")
        return pd.DataFrame({name: made[name] for name in TRIALS}, copy=False)


def _identity(opened: Opened | None) -> tuple[str, int, str, int]:
    """Return a study's method, workers, protocol (its key without what the plan says) and split."""
    if opened is None:
        return "", 0, "", -1
    key = json.loads(bytes(opened.key))
    method, _ = str(key.pop("searcher", "")), key.pop("repetition", None)
    split = key["task"].pop("split", -1)  # which differs between repetitions
    return method, int(key.get("workers", 0)), canonical_json(key), int(split)


def _typed(frame: pd.DataFrame, types: Mapping[str, str]) -> pd.DataFrame:
    """Return the columns in order with their types."""
    return frame[list(types)].astype(dict(types))


def with_none(tasks: pd.DataFrame) -> pd.DataFrame:
    """Return the tasks with ``None`` where there is no test companion, and NaN where there is no regret."""
    test = tasks["test_metric"].astype(object)
    scale = tasks[["regret_best", "regret_reference"]].astype(float)
    return tasks.assign(test_metric=test.where(test.notna(), None), **scale)


def _provenance(layout: Layout, plan: Plan, machines: Sequence[str]) -> dict[str, Any]:
    name, runs = plan.name, layout.runs(plan.name)
    about = [(machine, read_machine(layout.machine(machine))) for machine in machines]
    described: list[dict[str, Any]] = [msgspec.to_builtins(run) for run in runs]
    return {
        "sweep": read_text(layout.sweep(name) / "sweep.yaml"),
        "revision": runs[-1].revision if runs else "none",
        "versions": runs[-1].versions if runs else {},
        "machines": [{"id": machine, **msgspec.to_builtins(each)} for machine, each in about],
        "data": {label: task.data for label, task in plan.tasks.items()},
        "runs": [{k: v for k, v in run.items() if k != "versions"} for run in described],
        "compare": msgspec.to_builtins(plan.compare),
        "left_out": msgspec.to_builtins(plan.left_out),
        "sources": {
            origin: _source(layout.source(name, origin), origin)
            for origin in (runs[-1].sources if runs else ())
        },
        **({} if plan.extends is None else {"extends": msgspec.to_builtins(plan.extends)}),
    }


def _source(path: Path, origin: str) -> str:
    """Return what a user's file held, which its origin has a digest of."""
    text = read_text(path)
    if not origin.endswith(text_digest(text)):
        raise RecordError(f"{path} was changed after it was written; {RESTORE}")
    return text
