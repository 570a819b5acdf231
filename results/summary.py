"""How far a sweep is: states, failures, machines and what is left, read from its journals."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from harness.errors import RecordError
from harness.events import EXHAUSTED, ended_short
from harness.machine import Description, kinds, numbers_of
from harness.plan import BaselineStudy, Plan, StudyPlan
from harness.plurals import plural
from harness.progress import Snapshot
from harness.trial import Fidelity
from results.documents import Beat, Holder, read_document, read_machine
from results.layout import Layout
from results.reading import State, StudyRecord, read_study
from results.reevaluations import MISSING, Wanted, states, wanted_of


@dataclass(frozen=True, slots=True)
class Cost:
    """What a sweep takes on one task, its baselines included.

    Attributes:
        studies: Studies planned.
        studies_done: Those that are done.
        evaluations: Evaluations planned, an estimate at full fidelity where the budget is in epochs or in cost.
        evaluations_told: Those told so far.
        reevaluations: Re-evaluations of winners planned; not of studies in which nothing succeeded.
        reevaluated: Those on record.
        epochs: Epochs planned, at full fidelity where the budget is in evaluations, an estimate where it is in cost.
        seconds: Training time left on one evaluator at the recorded pace, re-evaluations included, each at full
            fidelity until its epochs are known; ``None`` without a record.
        pace: Recorded training seconds of an epoch; ``None`` without a record.
        longest: Seconds left of the study that has the most left, without re-evaluations; ``None`` without a record.
    """

    studies: int
    studies_done: int
    evaluations: int
    evaluations_told: int
    reevaluations: int
    reevaluated: int
    epochs: int
    seconds: float | None
    pace: float | None
    longest: float | None


@dataclass(frozen=True, slots=True)
class Standing:
    """How far a study is.

    Attributes:
        state: ``missing``, ``running`` (begun and not ended), ``failed`` or ``done``.
        reason: Why it failed, or how it ended.
        evaluations: Evaluations told.
        epochs: Epochs charged.
        spent: What of its budget is spent, in the budget's unit.
        seconds: Training seconds of those.
        machines: Digests of the machines they were trained on.
        followed: Evaluations that its searcher was told from the record when it went on; see `results.schema.Followed`.
        again: Re-evaluations of its winner, once it is done.
    """

    state: State
    reason: str
    evaluations: int
    epochs: int
    spent: float
    seconds: float
    machines: frozenset[str]
    followed: int
    again: Sequence[Wanted]


Records = Sequence[tuple[StudyPlan, Standing]]
"""The studies of a plan, those that give baselines last, each with how far it is."""


def read_records(root: Path, plan: Plan) -> Records:
    """Read the journals of a plan's studies and of its baselines', once for all that is asked of them.

    Raises:
        RecordError: A journal is damaged.
    """
    layout = Layout(root)
    return [
        (planned, _standing(planned, read_study(layout.study(planned.study)), plan))
        for planned in plan.every_study
    ]


def _standing(planned: StudyPlan, record: StudyRecord, plan: Plan) -> Standing:
    return Standing(
        state=record.state,
        reason=record.reason,
        evaluations=len(record.told),
        epochs=record.spent_epochs,
        spent=record.spent(plan.budget_of(planned).unit),
        seconds=sum(told.seconds for told in record.told),
        machines=frozenset(told.machine for told in record.told) - {""},
        followed=record.followed_told,
        again=() if isinstance(planned, BaselineStudy) else wanted_of(planned, record, plan),
    )


def state_counts(records: Records) -> dict[tuple[str, str], Counter[str]]:
    """Count studies by state, and evaluations told, for each task and searcher."""
    counts: dict[tuple[str, str], Counter[str]] = {}
    for planned, record in records:
        count = counts.setdefault((planned.task, planned.searcher), Counter())
        count[record.state] += 1
        count["evaluations"] += record.evaluations
    return counts


def failures_of(records: Records) -> dict[str, str]:
    """Say of each failed study, by its name, why it failed."""
    return {planned.label: record.reason for planned, record in records if record.state == "failed"}


def short_of(records: Records, plan: Plan) -> list[str]:
    """Name the studies that ended with budget left, with what they spent of it."""
    lines = []
    for planned, record in records:
        if record.state == "done" and record.reason == EXHAUSTED:
            amount = plan.budget_of(planned).amount
            lines.append(ended_short(planned.label, record.spent, amount, plan.unit_of(planned)))
    return lines


def followed_of(records: Records) -> list[str]:
    """Name the studies whose searchers were told recorded trials, and how many."""
    return [
        f"{planned.label}: its searcher was told {plural(record.followed, 'recorded evaluation')} and proposed the rest"
        for planned, record in records
        if record.followed
    ]


def machines_of(root: Path, records: Records) -> list[str]:
    """Describe the machines a sweep was trained on: one of each kind that can give other numbers."""
    ids = {machine for _, record in records for machine in record.machines}
    layout = Layout(root)
    machines = [read_machine(layout.machine(machine)) for machine in sorted(ids)]
    return [_described(alike) for alike in kinds(machines, numbers_of)]


def _described(alike: Sequence[Description]) -> str:
    """Describe machines that give the same numbers."""
    about = alike[0]
    processors = " or ".join(sorted({each.processor for each in alike if each.processor}))
    kernels = ", ".join(f"{owner} {blas}" for owner, blas in sorted(about.arithmetic.blas.items()))
    versions = {name: number for each in alike for name, number in each.versions.items()}
    libraries = ", ".join(f"{name} {number}" for name, number in sorted(versions.items()))
    threads = plural(about.threads, "thread") if about.threads else "? threads"
    parts = [processors, about.device, threads, about.arithmetic.level, kernels, libraries]
    return ", ".join(part for part in parts if part)


def expected_cost(root: Path, plan: Plan) -> dict[str, Cost]:
    """Return what a sweep takes, by task label."""
    grouped: dict[str, list[tuple[StudyPlan, Standing]]] = {label: [] for label in plan.tasks}
    records = read_records(root, plan)
    for planned, record in records:
        grouped[planned.task].append((planned, record))
    counts = reevaluated_of(root, plan, records)
    return {label: _cost(label, own, plan, counts[label]) for label, own in grouped.items()}


def reevaluated_of(root: Path, plan: Plan, records: Records) -> dict[str, Counter[str]]:
    """Count the re-evaluations of the finished studies' winners by status, ``missing`` among them, for each task.

    Raises:
        RecordError: A file of evaluations is damaged.
    """
    return states(Layout(root), plan, [each for _, record in records for each in record.again])


def _cost(label: str, records: Records, plan: Plan, counts: Counter[str]) -> Cost:
    full = plan.tasks[label].full_epochs
    fidelity = Fidelity(1, full)
    budgets = [plan.budget_of(planned) for planned, _ in records]
    each = [round(budget.epochs(fidelity)) for budget in budgets]
    spent = sum(record.epochs for _, record in records)
    of_each = [
        epochs * max(1 - record.spent / budget.amount, 0)
        for (_, record), budget, epochs in zip(records, budgets, each, strict=True)
        if record.state != "done"
    ]
    left: float = sum(of_each)
    longest = max(of_each, default=0.0)
    seconds = sum(record.seconds for _, record in records)
    unfinished = sum(
        record.state != "done" and not isinstance(planned, BaselineStudy) for planned, record in records
    )
    missing = counts[MISSING] + unfinished * plan.reevaluate
    # Which of a winner's are missing is not told apart; a study's winner has the same epochs each time.
    left += counts[MISSING] * max((w.again.epochs for _, r in records for w in r.again), default=full)
    left += unfinished * plan.reevaluate * full
    return Cost(
        studies=len(records),
        studies_done=sum(record.state == "done" for _, record in records),
        evaluations=sum(budget.full_evaluations(fidelity) for budget in budgets),
        evaluations_told=sum(record.evaluations for _, record in records),
        reevaluations=counts.total() - counts[MISSING] + missing,
        reevaluated=counts.total() - counts[MISSING],
        epochs=sum(each),
        seconds=left * seconds / spent if spent else (0.0 if not left else None),
        pace=seconds / spent if spent else None,
        longest=longest * seconds / spent if spent else (0.0 if not longest else None),
    )


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """What the driver of a running sweep said last.

    Attributes:
        snapshot: What it said, see `harness.progress.Progress.snapshot`; ``None`` while it said nothing yet.
        age: Seconds since then, or since that driver began.
    """

    snapshot: Snapshot | None
    age: float


def heartbeat_of(root: Path, name: str) -> Heartbeat | None:
    """Return the heartbeat of the driver that holds a results folder; ``None`` where it runs another sweep.

    What an earlier driver left is never taken for this one's. Whether a driver holds the folder at all,
    `results.writer.is_held` tells.
    """
    try:
        driver = read_document(root / "driver.json", Holder)
        began = datetime.fromisoformat(driver.since)
    except (RecordError, FileNotFoundError, ValueError):
        return None
    if driver.sweep != name:
        return None
    try:
        beat = read_document(Layout(root).progress(name), Beat)
    except (RecordError, FileNotFoundError):
        return Heartbeat(None, _age(began))
    if beat.run != driver.run:  # an earlier driver's: this one has not beaten yet
        return Heartbeat(None, _age(began))
    return Heartbeat(beat.snapshot, _age(beat.snapshot.at))


def _age(at: datetime) -> float:
    """Return the seconds since a time; none where the clock of the driver's machine is ahead of ours."""
    return max((datetime.now(UTC) - at).total_seconds(), 0.0)
