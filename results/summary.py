"""How far a sweep is: states, failures, machines and what is left, read from its journals."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from results.layout import Layout, StudyRecord, read_json, read_study


@dataclass(frozen=True, slots=True)
class Cost:
    """What a sweep takes on one task.

    Attributes:
        studies: Studies planned.
        studies_done: Those that are done.
        evaluations: Evaluations planned, an estimate at full fidelity where the budget is in epochs.
        evaluations_told: Those told so far.
        epochs: Epochs planned, at full fidelity where the budget is in evaluations.
        seconds: Training time left on one evaluator at the recorded pace; ``None`` without a record.
    """

    studies: int
    studies_done: int
    evaluations: int
    evaluations_told: int
    epochs: int
    seconds: float | None


Records = Sequence[tuple[Mapping[str, Any], StudyRecord]]
"""The studies of a plan, each with what its journal says."""


def read_records(root: Path, plan: Mapping[str, Any]) -> Records:
    """Read the journals of a plan's studies, once for all that is asked of them."""
    layout = Layout(root)
    return [(planned, read_study(layout.study(planned["study"]))) for planned in plan["studies"]]


def state_counts(records: Records) -> dict[tuple[str, str], Counter[str]]:
    """Count studies by state, and evaluations told, for each task and searcher."""
    counts: dict[tuple[str, str], Counter[str]] = {}
    for planned, record in records:
        count = counts.setdefault((planned["task"], planned["searcher"]), Counter())
        count[record.state] += 1
        count["evaluations"] += len(_told(record))
    return counts


def failures_of(records: Records) -> list[str]:
    """Name the failed studies and say why each failed."""
    return [
        f"{planned['searcher']} on {planned['task']}, repetition {planned['repetition']}: {record.reason}"
        for planned, record in records
        if record.state == "failed"
    ]


def machines_of(root: Path, records: Records) -> list[str]:
    """Describe the machines a sweep was trained on."""
    ids = {event["machine"] for _, record in records for event in _told(record)} - {""}
    layout = Layout(root)
    described = []
    for machine in sorted(ids):
        about = read_json(layout.machine(machine))
        libraries = ", ".join(f"{name} {number}" for name, number in about.get("versions", {}).items())
        parts = [str(about[part]) for part in ("processor", "device") if part in about]
        described.append(", ".join([*parts, f"{about.get('threads', '?')} threads", libraries]))
    return described


def expected_cost(root: Path, plan: Mapping[str, Any]) -> dict[str, Cost]:
    """Return what a sweep takes, by task label."""
    grouped: dict[str, list[StudyRecord]] = {label: [] for label in plan["tasks"]}
    for planned, record in read_records(root, plan):
        grouped[planned["task"]].append(record)
    return {label: _cost(records, plan["tasks"][label]) for label, records in grouped.items()}


def _cost(records: list[StudyRecord], task: Mapping[str, Any]) -> Cost:
    full, amount = task["full_epochs"], task["budget_amount"]
    in_evaluations = task["budget_unit"] == "evaluations"
    each = amount * full if in_evaluations else amount
    told = [event for record in records for event in _told(record)]
    spent = sum(event["epochs"] for event in told)
    left = sum(
        max(each - sum(event["epochs"] for event in _told(record)), 0)
        for record in records
        if record.state != "done"
    )
    seconds = sum(event["seconds"] for event in told)
    return Cost(
        studies=len(records),
        studies_done=sum(record.state == "done" for record in records),
        evaluations=len(records) * (amount if in_evaluations else amount // full),
        evaluations_told=len(told),
        epochs=len(records) * each,
        seconds=left * seconds / spent if spent else (0.0 if not left else None),
    )


def _told(record: StudyRecord) -> list[dict[str, Any]]:
    return [event for event in record.events if event["event"] == "told"]
