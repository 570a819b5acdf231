"""What the progress page shows of a sweep: read from heartbeat and journals, of which only those that changed."""

from __future__ import annotations

import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

import msgspec

from harness.baselines import PREFIX
from harness.display import SILENT_SECONDS, duration
from harness.errors import RecordError
from harness.plan import Plan, StudyPlan
from harness.plurals import plural
from harness.progress import Snapshot
from harness.trial import Fidelity
from results.documents import Beat, read_document
from results.layout import Layout
from results.reading import State, read_study
from results.summary import heartbeat_of
from results.writer import holder_of, is_held

FRESH_SECONDS: Final = 2.0
"""The journals are looked through at most so often."""
SHARE: Final = 0.05
"""Share of a core that looking through them may take: of a large record that is seldom."""
FAILURES: Final = 100
"""At most so many failures are named; all are counted."""
REASON: Final = 1000
"""Characters of a reason that are shown."""

Phase = Literal[
    "waiting", "starting", "running", "silent", "elsewhere", "stopped", "ended", "done", "damaged"
]


class Row(msgspec.Struct, frozen=True):
    """A method on a task.

    Args:
        searcher: Its label.
        done: Studies done; and so on.
        evaluations: Evaluations told.
        failed_evaluations: Those of them that failed.
        best: Best validation value of all its studies; ``None`` before the first.
        mean: Mean over its studies of the best value of each; of those that have one.
        studies: How many have one.
        baseline: Whether it is no method, but what gives a baseline.
    """

    searcher: str
    done: int
    running: int
    failed: int
    missing: int
    evaluations: int
    failed_evaluations: int
    best: float | None
    mean: float | None
    studies: int
    baseline: bool = False


class TaskRows(msgspec.Struct, frozen=True):
    """A task with its methods, as planned."""

    task: str
    metric: str
    direction: str
    rows: list[Row]


class Failure(msgspec.Struct, frozen=True):
    """A study that failed, and why."""

    study: str
    reason: str


class Recorded(msgspec.Struct, frozen=True):
    """What the journals say: studies by state, evaluations, failures, and the methods on each task."""

    states: dict[str, int]
    evaluations: int
    evaluations_planned: int
    statuses: dict[str, int]
    tasks: list[TaskRows]
    failures: list[Failure]
    failures_in_all: int
    machines: int


class View(msgspec.Struct, frozen=True):
    """All that the page shows, but for the figures.

    Args:
        name: The sweep.
        results: Its results folder.
        phase: ``waiting`` (there is no such sweep yet), ``starting``, ``running``, ``silent`` (its driver has said
            nothing for a while), ``elsewhere`` (the folder's driver runs another sweep), ``stopped`` (there is no
            driver, and something is left), ``ended`` (something failed, and nothing else is left), ``done``, or
            ``damaged``.
        words: The same in a sentence.
        age: Seconds since the last heartbeat; ``None`` where there is none.
        snapshot: That heartbeat.
        reevaluate: Whether winners are evaluated again.
        recorded: What the journals say; ``None`` before there are any.
    """

    name: str
    results: str
    phase: Phase
    words: str
    age: float | None = None
    snapshot: Snapshot | None = None
    reevaluate: bool = False
    recorded: Recorded | None = None


@dataclass(frozen=True, slots=True)
class _Study:
    """What is kept of a journal, and by what is known whether it is still the same."""

    stamp: tuple[int, int, int]
    state: State
    reason: str
    evaluations: int
    statuses: Counter[str]
    values: tuple[float, float] | None
    machines: frozenset[str]

    def best(self, direction: str) -> float | None:
        """Return its best value."""
        return None if self.values is None else self.values[direction == "max"]


_MISSING: Final = _Study((0, 0, 0), "missing", "", 0, Counter(), None, frozenset())


@dataclass(slots=True)
class Overview:
    """A sweep as it stands, for any number of who ask at the same time.

    Args:
        root: The results folder; may not be there yet.
        name: The sweep; may not have been run yet.
    """

    root: Path
    name: str
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)
    _studies: dict[str, _Study] = field(default_factory=dict, init=False)
    _recorded: Recorded | None = field(default=None, init=False)
    _plan: Plan | None = field(default=None, init=False)
    _next: float = field(default=0.0, init=False)

    def view(self) -> View:
        """Return how far the sweep is. What cannot be read is said in it, and raises nothing."""
        with self._lock:
            try:
                return self._view()
            except RecordError as error:
                return View(self.name, str(self.root), "damaged", str(error))

    def _view(self) -> View:
        held = is_held(self.root)
        beat = heartbeat_of(self.root, self.name) if held else None
        if not (Layout(self.root).sweep(self.name) / "plan.json").exists():
            return self._unplanned(starting=beat is not None)
        self._look()
        plan, recorded = self._plan, self._recorded
        if plan is None or recorded is None:  # cannot be: `_look` has set both, or raised
            raise RecordError(f"{self.root}: the sweep {self.name!r} cannot be read")
        snapshot, age = self._last_word() if beat is None else (beat.snapshot, beat.age)
        phase, words = self._phase(held, beat is not None, snapshot, age, plan, recorded)
        return View(self.name, str(self.root), phase, words, age, snapshot, bool(plan.reevaluate), recorded)

    def _unplanned(self, *, starting: bool) -> View:
        if starting:
            return View(self.name, str(self.root), "starting", "The driver is starting.")
        there = Layout(self.root).sweep_names() if (self.root / "sweeps").exists() else []
        others = f" There are: {', '.join(there[:20])}." if there else ""
        words = f"No sweep called {self.name!r} has been run into {self.root} yet.{others} This page waits for it."
        return View(self.name, str(self.root), "waiting", words)

    def _last_word(self) -> tuple[Snapshot | None, float | None]:
        """Return what the last driver said last, and how long ago; nothing where it said nothing that is sound."""
        path = Layout(self.root).progress(self.name)
        try:
            beat = read_document(path, Beat)
        except (RecordError, FileNotFoundError):
            return None, None
        return beat.snapshot, max(time.time() - beat.snapshot.at.timestamp(), 0.0)

    def _phase(
        self,
        held: bool,
        ours: bool,
        snapshot: Snapshot | None,
        age: float | None,
        plan: Plan,
        recorded: Recorded,
    ) -> tuple[Phase, str]:
        if ours:
            ago = duration(age or 0.0)
            if age is not None and age > SILENT_SECONDS:
                return "silent", (
                    f"The driver has said nothing for {ago}: it may hang, still be starting, or train one long "
                    "evaluation itself."
                )
            if snapshot is None:
                return "starting", f"The driver began {ago} ago and is starting."
            return "running", f"Running for {duration(snapshot.elapsed)}."
        states = recorded.states
        left = states["missing"] + states["running"]
        again = bool(plan.reevaluate) and (snapshot is None or snapshot.reevaluated < snapshot.reevaluations)
        if not left and not states["failed"] and not again:
            planned = len(plan.every_study)
            return "done", f"All {planned} studies are done." if planned > 1 else "The one study is done."
        if held:
            return "elsewhere", f"Not running: {self.root} is being written by {holder_of(self.root)}."
        said = "" if age is None else f" The last one said something {duration(age)} ago."
        if not left:
            what = (
                f"{plural(states['failed'], 'study')} failed"
                if states["failed"]
                else "winners are left to re-evaluate"
            )
            return "ended", f"No driver is at work; {what}.{said} The same derby run tries again."
        return "stopped", (
            f"No driver is at work, and {left + states['failed']} of {plural(len(plan.every_study), 'study')} are "
            f"not done.{said} The same derby run goes on."
        )

    def _look(self) -> None:
        """Look through the journals, where it is time to; of an unchanged one only its stamp is read."""
        began, busy = time.monotonic(), time.thread_time()
        if self._recorded is not None and began < self._next:
            return
        layout = Layout(self.root)
        plan = layout.plan(self.name)
        studies = {}
        for planned in plan.every_study:
            path = layout.study(planned.study)
            stamp = _stamp(path)
            known = self._studies.get(planned.study)
            if stamp is None:
                studies[planned.study] = _MISSING
            elif known is not None and known.stamp == stamp:
                studies[planned.study] = known
            else:
                studies[planned.study] = _read(path, stamp)
        self._plan, self._studies, self._recorded = plan, studies, _recorded(plan, studies)
        took = time.thread_time() - busy  # what it cost, however long it waited for a core
        self._next = began + max(FRESH_SECONDS, took / SHARE)


def _stamp(path: Path) -> tuple[int, int, int] | None:
    """Return what changes whenever a journal does; ``None`` where there is none."""
    try:
        about = path.stat()
    except OSError:
        return None
    return about.st_ino, about.st_size, about.st_mtime_ns


def _read(path: Path, stamp: tuple[int, int, int]) -> _Study:
    record = read_study(path)
    values = [told.value for told in record.told if told.value is not None]
    return _Study(
        stamp=stamp,
        state=record.state,
        reason=record.reason,
        evaluations=len(record.told),
        statuses=Counter(told.status.value for told in record.told),
        values=(min(values), max(values)) if values else None,
        machines=frozenset(told.machine for told in record.told) - {""},
    )


def _recorded(plan: Plan, studies: dict[str, _Study]) -> Recorded:
    """Sum up studies by task and method, in the order planned."""
    states: Counter[str] = Counter()
    statuses: Counter[str] = Counter()
    failures = []
    grouped: dict[str, dict[str, list[_Study]]] = {label: {} for label in plan.tasks}
    for planned in plan.every_study:
        study = studies[planned.study]
        states[study.state] += 1
        statuses += study.statuses
        grouped[planned.task].setdefault(planned.searcher, []).append(study)
        if study.state == "failed":
            failures.append(_failure(planned, study))
    return Recorded(
        states={state: states[state] for state in ("done", "running", "failed", "missing")},
        evaluations=sum(study.evaluations for study in studies.values()),
        evaluations_planned=_planned(plan),
        statuses=dict(statuses),
        tasks=[
            TaskRows(
                task,
                plan.tasks[task].metric,
                plan.tasks[task].direction,
                [_row(searcher, own, plan.tasks[task].direction) for searcher, own in methods.items()],
            )
            for task, methods in grouped.items()
        ],
        failures=failures[:FAILURES],
        failures_in_all=len(failures),
        machines=len({machine for study in studies.values() for machine in study.machines}),
    )


def _failure(planned: StudyPlan, study: _Study) -> Failure:
    reason = study.reason if len(study.reason) <= REASON else f"{study.reason[:REASON]}…"
    return Failure(planned.label, reason)


def _planned(plan: Plan) -> int:
    """Return how many evaluations are planned: an estimate at full fidelity where the budget is in epochs or cost."""
    return sum(
        plan.budget_of(planned).full_evaluations(Fidelity(1, plan.tasks[planned.task].full_epochs))
        for planned in plan.every_study
    )


def _row(searcher: str, studies: list[_Study], direction: str) -> Row:
    states = Counter(study.state for study in studies)
    best = [value for study in studies if (value := study.best(direction)) is not None]
    statuses = sum((study.statuses for study in studies), Counter())
    return Row(
        searcher=searcher,
        done=states["done"],
        running=states["running"],
        failed=states["failed"],
        missing=states["missing"],
        evaluations=sum(study.evaluations for study in studies),
        failed_evaluations=statuses.total() - statuses["ok"],
        best=(max(best) if direction == "max" else min(best)) if best else None,
        mean=sum(best) / len(best) if best else None,
        studies=len(best),
        baseline=searcher.startswith(PREFIX),
    )
