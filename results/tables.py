"""The tidy tables of a sweep: what analysis reads and ``derby export`` writes."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from harness.keys import canonical_json
from harness.trial import Status
from results.layout import Layout, evaluation_lines, make_folder, read_json, read_study


@dataclass(frozen=True, slots=True)
class SweepTables:
    """Everything analysis may know of a sweep.

    Attributes:
        name: The sweep's name.
        trials: One row per evaluation told to a searcher, in the order told within each study.

            ============== ======= ================================================================
            column         type    meaning
            ============== ======= ================================================================
            task           str     task label, such as ``mnist_mlp/small``
            searcher       str     searcher label as in the sweep file
            repetition     int     0-based
            study          str     study id
            step           int     1-based order in which it was told, within the study
            trial          int     0-based trial number; repeated when a trial was continued
            config         str     the configuration as canonical JSON
            epochs         int     epochs of the evaluation, from the first
            status         str     ``ok``, ``diverged``, ``crashed`` or ``timeout``
            value          float   the objective's metric; NaN when it failed
            test           float   the test companion; NaN when it failed or there is none
            loss           float   what the searcher was told, minimised; finite
            evaluations    int     cumulative cost: evaluations told so far, this one included
            spent_epochs   int     cumulative cost: epochs charged so far
            train_seconds  float   cumulative cost: seconds of the charged epochs as first measured
            total_seconds  float   ``train_seconds`` plus seconds of ask and tell so far
            virtual_time   float   virtual finishing time, in the task's cost unit
            machine        str     id of the machine it was trained on
            ============== ======= ================================================================
        epochs: One row per epoch of every row of ``trials``: its ``study``, ``step`` and ``epoch`` (1-based), and
            a float column per metric of the curves (NaN where a task does not have it).
        studies: One row per planned study: ``task``, ``searcher``, ``repetition``, ``study``, ``state`` (``done``,
            ``running``, ``failed`` or ``missing``), ``reason`` (str) and ``evaluations`` told so far.
        tasks: One row per task, indexed by label: ``metric``, ``test_metric`` (``None`` if there is none),
            ``direction`` (``min`` or ``max``), ``failure`` (float), ``full_epochs`` (int), ``budget_unit``,
            ``budget_amount``, ``source`` (str), ``subset`` (bool: numbers were made on a data subset, never compare
            them with published ones).
        provenance: The sweep as it ran: ``sweep`` (the sweep file's content), ``revision``, ``versions``, ``machines``
            (list of descriptions), ``data`` (task label to data digest).
    """

    name: str
    trials: pd.DataFrame
    epochs: pd.DataFrame
    studies: pd.DataFrame
    tasks: pd.DataFrame
    provenance: Mapping[str, Any]


def read_tables(root: Path, name: str) -> SweepTables:
    """Read a sweep's tables from a results folder; works while the sweep runs.

    Raises:
        RecordError: No such sweep, or its record is damaged.
    """
    layout = Layout(root)
    plan = layout.plan(name)
    studies: list[dict[str, Any]] = []
    trials: list[dict[str, Any]] = []
    wanted: dict[str, dict[str, list[tuple[str, int, int, str]]]] = {}
    for planned in plan["studies"]:
        record = read_study(layout.study(planned["study"]))
        rows = _trials(planned, record.events)
        for row in rows:
            place = (row["study"], row["step"], row["epochs"], row["status"])
            wanted.setdefault(plan["tasks"][planned["task"]]["name"], {}).setdefault(
                row.pop("evaluation"), []
            ).append(place)
        trials += rows
        studies.append(
            {
                "task": planned["task"],
                "searcher": planned["searcher"],
                "repetition": planned["repetition"],
                "study": planned["study"],
                "state": record.state,
                "reason": record.reason,
                "evaluations": len(rows),
            }
        )
    frame = pd.DataFrame(trials, columns=list(_TRIAL_TYPES)).astype(_TRIAL_TYPES)
    tasks = pd.DataFrame.from_dict(plan["tasks"], orient="index").rename_axis("task")
    tasks["test_metric"] = tasks["test_metric"].astype(object).where(tasks["test_metric"].notna(), None)
    return SweepTables(
        name=name,
        trials=frame,
        epochs=_epochs(layout, wanted),
        studies=pd.DataFrame(studies),
        tasks=tasks,
        provenance=_provenance(layout, name, sorted(set(frame["machine"]) - {""})),
    )


def export(tables: SweepTables, folder: Path) -> list[Path]:
    """Write the tables as Parquet files and return their paths."""
    make_folder(folder)
    written = []
    for name in ("trials", "epochs", "studies", "tasks"):
        path = folder / f"{name}.parquet"
        getattr(tables, name).to_parquet(path)
        written.append(path)
    path = folder / "provenance.json"
    path.write_text(json.dumps(tables.provenance, indent=1) + "\n", encoding="utf-8")
    return [*written, path]


_TRIAL_TYPES: Mapping[str, str] = {
    "task": "str",
    "searcher": "str",
    "repetition": "int64",
    "study": "str",
    "step": "int64",
    "trial": "int64",
    "config": "str",
    "epochs": "int64",
    "status": "str",
    "value": "float64",
    "test": "float64",
    "loss": "float64",
    "evaluations": "int64",
    "spent_epochs": "int64",
    "train_seconds": "float64",
    "total_seconds": "float64",
    "virtual_time": "float64",
    "machine": "str",
}


def _trials(planned: Mapping[str, Any], events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return a study's rows of ``trials``, each with the id of its evaluation besides."""
    asked: dict[int, dict[str, Any]] = {}
    rows: list[dict[str, Any]] = []
    epochs, train, search = 0, 0.0, 0.0
    for event in events:
        if event["event"] == "asked":
            asked[event["number"]] = event
            search += event["ask_seconds"]
        elif event["event"] == "told":
            question = asked.pop(event["number"])
            epochs += event["epochs"]
            train += event["seconds"]
            rows.append(
                {
                    "task": planned["task"],
                    "searcher": planned["searcher"],
                    "repetition": planned["repetition"],
                    "study": planned["study"],
                    "step": len(rows) + 1,
                    "trial": question["trial"],
                    "config": canonical_json(question["config"]),
                    "epochs": question["epochs"],
                    "status": event["status"],
                    "value": math.nan if event["value"] is None else event["value"],
                    "test": math.nan if event["test"] is None else event["test"],
                    "loss": event["loss"],
                    "evaluations": len(rows) + 1,
                    "spent_epochs": epochs,
                    "train_seconds": train,
                    "total_seconds": train + search,
                    "virtual_time": event["finish"],
                    "machine": event["machine"],
                    "evaluation": question["evaluation"],
                }
            )
            search += event["tell_seconds"]
    return rows


def _epochs(
    layout: Layout, wanted: Mapping[str, Mapping[str, list[tuple[str, int, int, str]]]]
) -> pd.DataFrame:
    """Return the curves of the evaluations wanted: task to evaluation id to (study, step, epochs, status)."""
    tables: dict[tuple[str, ...], dict[str, list[Any]]] = {}
    for task, ids in wanted.items():
        served: set[tuple[str, int]] = set()
        for _, _, line in evaluation_lines(layout, task):
            for study, step, epochs, status in ids.get(line["id"], ()):
                curve = line["curve"]
                length = min(len(next(iter(curve.values()), ())), epochs)
                # The first record that reaches far enough is the one the study was given.
                if (study, step) in served or (status == Status.OK.value and length < epochs):
                    continue
                served.add((study, step))
                table = tables.setdefault(
                    tuple(curve), {name: [] for name in ("study", "step", "epoch", *curve)}
                )
                table["study"] += [study] * length
                table["step"] += [step] * length
                table["epoch"] += range(1, length + 1)
                for metric, values in curve.items():
                    table[metric] += values[:length]
    pieces = [pd.DataFrame(table) for table in tables.values() if table["study"]]
    empty = pd.DataFrame({"study": [], "step": [], "epoch": []})
    return pd.concat(pieces, ignore_index=True) if pieces else empty


def _provenance(layout: Layout, name: str, machines: list[str]) -> dict[str, Any]:
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
