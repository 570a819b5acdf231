"""What a running sweep has done so far: its counters and its pace."""

from __future__ import annotations

import time
from collections import Counter, deque
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Annotated

import msgspec

from harness.events import Count, Seconds

RATE_SECONDS = 60.0
"""The rate shown is that of the last so many seconds."""
ROUNDING = 1e-6
"""Full evaluations that are none: what sums of many small shares may leave."""
PACE_SECONDS = 300.0
"""The time left is reckoned from the last so many seconds: steadier than the rate shown."""


class Evaluators(msgspec.Struct, frozen=True):
    """How many evaluators there are; see `Progress`."""

    busy: Count
    idle: Count
    starting: Count
    lost: Count


class BestSeen(msgspec.Struct, frozen=True):
    """The best validation value seen on a task; see `Best`."""

    metric: str
    value: float
    searcher: str


class Snapshot(msgspec.Struct, frozen=True):
    """What `Progress` says at one time, for display and heartbeat.

    Args:
        at: When.
        elapsed: Seconds since the run began.
        remaining: Expected seconds to the end; ``None`` where there is no pace or no end to see.
        per_second: Evaluations told, and re-evaluations brought, per second over the last minute.
        studies: As in `Progress`, and so on.
        studies_done: Studies done, before this run and in it.
        studies_failed: Studies that failed in this run.
        evaluations_told: Evaluations told, before this run and in it.
        reevaluated: Re-evaluations on record, of before this run and of it.
        evaluators: How many evaluators there are.
        best: Best value by task label.
    """

    at: Annotated[datetime, msgspec.Meta(tz=True)]
    elapsed: Seconds
    remaining: Seconds | None
    per_second: float
    studies: Count
    studies_done: Count
    studies_failed: Count
    evaluations: Count
    evaluations_told: Count
    reevaluations: Count
    reevaluated: Count
    trained: Count
    reused: Count
    merged: Count
    waiting: Count
    retried: Count
    evaluators: Evaluators
    missing: tuple[str, ...]
    statuses: dict[str, Count]
    train_seconds: Seconds
    search_seconds: Seconds
    best: dict[str, BestSeen]


@dataclass(slots=True)
class Best:
    """The best validation value seen on a task, before this run and in it."""

    metric: str
    value: float
    loss: float
    searcher: str
    found: float = field(default_factory=time.monotonic)
    """When; a panel too low for all tasks shows those that changed last."""


class Pace:
    """How quickly a count grew lately.

    Args:
        seconds: How far back it looks.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._samples: deque[tuple[float, float]] = deque()

    def sample(self, now: float, count: float) -> None:
        """Note what the count is, about once a second."""
        samples = self._samples
        if samples and now - samples[-1][0] < 1.0:
            return
        samples.append((now, count))
        # The oldest kept is just out of sight, so that the window is never shorter than it says.
        while len(samples) > 1 and samples[1][0] <= now - self._seconds:
            samples.popleft()

    def per_second(self, now: float, count: float) -> float:
        """Return the growth per second; 0.0 before the first sample."""
        if not self._samples:
            return 0.0
        then, before = self._samples[0]  # the display's thread reads only this: it needs no lock
        return (count - before) / (now - then) if now > then else 0.0


@dataclass(slots=True)
class Progress:
    """Counters of a running sweep, kept by the driver.

    Attributes:
        studies: Studies planned.
        evaluations: Evaluations planned, an estimate where the budget is in epochs or in cost.
        complete: Studies that were done before this run.
        done: Studies done in this run.
        failed: Label and message of the studies that failed in this run.
        unbegun: How many of these were not begun, by the task or method that never worked.
        told: Evaluations told in this run; what a resumed study repeats was told before.
        told_before: Evaluations that were on record as told when it began.
        left: Evaluations to come, in full ones: what the budgets of the studies that have not ended still pay for.
        worked: By how many of them this run has lessened that.
        reevaluations: Re-evaluations of winners planned; fewer once studies have ended without a success.
        reevaluated: Re-evaluations that this run brought.
        reevaluated_before: Those that were on record when it began.
        unreevaluated: Label and message of the re-evaluations that a bug ended in this run.
        trained: Evaluations trained in this run.
        reused: Evaluations taken from the record, but for those that a resumed study repeats.
        merged: Evaluations that several studies waited for and one training gave.
        waiting: Evaluations queued for an evaluator now.
        retried: Evaluations run again because their evaluator or node was lost.
        evaluators_busy: Evaluators that train now; all three are 0 where an executor has none to tell.
        evaluators_idle: Evaluators that wait for work now.
        evaluators_starting: Evaluators that are being started now.
        lost: Evaluators that died or were killed in this run, each replaced by a new one; not those that are replaced
            since an evaluation ran out of memory.
        crashed: Messages of the evaluations that were recorded as crashed in this run, by task label.
        missing: Machines that should train now and do not, each with the reason.
        followed: Labels of the studies whose searchers were told recorded trials, since their replay departed.
        short: What was spent, the budget, and the name of their unit, by label, of the studies that ended with budget
            left, now or before.
        statuses: Evaluations told by status, before this run and in it.
        train_seconds: Seconds of the trainings of this run.
        search_seconds: Seconds of ask and tell in this run.
        best: Best value by task label, before this run and in it.
        paced_from: When the first evaluation was told, or brought again: starting up says nothing about the pace. When
            the first that this run trained was told, once one was: nor does what comes from the record meanwhile.
        paced_at: What had been worked, and brought again, by then.
    """

    studies: int
    evaluations: int
    complete: int = 0
    done: int = 0
    failed: dict[str, str] = field(default_factory=dict)
    unbegun: Counter[str] = field(default_factory=Counter)
    told: int = 0
    told_before: int = 0
    left: float = 0.0
    worked: float = 0.0
    reevaluations: int = 0
    reevaluated: int = 0
    reevaluated_before: int = 0
    unreevaluated: dict[str, str] = field(default_factory=dict)
    trained: int = 0
    reused: int = 0
    merged: int = 0
    waiting: int = 0
    retried: int = 0
    evaluators_busy: int = 0
    evaluators_idle: int = 0
    evaluators_starting: int = 0
    lost: int = 0
    crashed: dict[str, list[str]] = field(default_factory=dict)
    missing: tuple[str, ...] = ()
    followed: list[str] = field(default_factory=list)
    short: dict[str, tuple[float, float, str]] = field(default_factory=dict)
    statuses: Counter[str] = field(default_factory=Counter)
    train_seconds: float = 0.0
    search_seconds: float = 0.0
    best: dict[str, Best] = field(default_factory=dict)
    started: float = field(default_factory=time.monotonic)
    paced_from: float | None = None
    paced_at: float = 0.0
    _training_paced: bool = field(default=False, init=False, repr=False)
    _rate: Pace = field(default_factory=lambda: Pace(RATE_SECONDS), init=False, repr=False)
    _pace: Pace = field(default_factory=lambda: Pace(PACE_SECONDS), init=False, repr=False)

    @property
    def elapsed(self) -> float:
        """Seconds since the run began."""
        return time.monotonic() - self.started

    @property
    def per_second(self) -> float:
        """Evaluations told, and re-evaluations brought, per second over the last minute."""
        return self._rate.per_second(time.monotonic(), self._made)

    @property
    def ended_well(self) -> bool:
        """Whether all that was planned is done."""
        return self.complete + self.done == self.studies and not self.unreevaluated

    @property
    def _made(self) -> int:
        """Evaluations that this run has brought, for searches and to re-evaluate."""
        return self.told + self.reevaluated

    @property
    def _work(self) -> float:
        """The same in full evaluations, of which it is reckoned how many are left."""
        return self.worked + self.reevaluated

    def begin_pace(self) -> None:
        """Reckon the time left from now on, where this is the first evaluation, or the first since one was trained."""
        if self.paced_from is None or (self.trained and not self._training_paced):
            self.paced_from, self.paced_at = time.monotonic(), self._work
            self._training_paced = self.trained > 0

    @property
    def remaining(self) -> float | None:
        """Expected seconds to the end at the pace of late; ``None`` where there is no pace or no end to see."""
        left = max(self.left, 0.0) + max(self.reevaluations - self.reevaluated - self.reevaluated_before, 0)
        done = self._work - self.paced_at
        if self.paced_from is None or done <= 0 or left <= ROUNDING:
            return None
        now = time.monotonic()
        paced = now - self.paced_from
        lately = self._pace.per_second(now, self._work) if paced > PACE_SECONDS else 0.0
        return left / (lately or done / max(paced, 1e-9))

    def sample(self, now: float) -> None:
        """Note how far it is, for the rate; cheap, and to be called often."""
        self._rate.sample(now, self._made)
        self._pace.sample(now, self._work)

    def snapshot(self) -> Snapshot:
        """Return all of it, with the time."""
        return Snapshot(
            at=datetime.now(UTC),
            elapsed=self.elapsed,
            remaining=self.remaining,
            per_second=self.per_second,
            studies=self.studies,
            studies_done=self.complete + self.done,
            studies_failed=len(self.failed),
            evaluations=self.evaluations,
            evaluations_told=self.told + self.told_before,
            reevaluations=self.reevaluations,
            reevaluated=self.reevaluated + self.reevaluated_before,
            trained=self.trained,
            reused=self.reused,
            merged=self.merged,
            waiting=self.waiting,
            retried=self.retried,
            evaluators=Evaluators(
                busy=self.evaluators_busy,
                idle=self.evaluators_idle,
                starting=self.evaluators_starting,
                lost=self.lost,
            ),
            missing=self.missing,
            statuses=dict(self.statuses),
            train_seconds=self.train_seconds,
            search_seconds=self.search_seconds,
            best={
                label: BestSeen(metric=best.metric, value=best.value, searcher=best.searcher)
                for label, best in list(self.best.items())
            },
        )
