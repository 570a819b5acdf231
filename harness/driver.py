"""Drives a sweep: advances its studies, matches requests to the record, hands the rest to an executor.

The driver is the only writer. Losing it costs the evaluations in flight and nothing else: running it again
replays each unfinished study through a fresh searcher against its journal, and goes on.
"""

from __future__ import annotations

import time
import traceback
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from harness import registry
from harness.errors import DataError, DerbyError, RecordError, ReplayMismatchError
from harness.evaluator import Bug, Job
from harness.events import Asked, Done, Told
from harness.executors.base import Executor, Finished
from harness.keys import EvaluationKey
from harness.machine import versions
from harness.progress import Best, Progress
from harness.study import Study
from harness.sweep import PlannedStudy, Sweep
from harness.task import Inspection, Task, data_digest, read_only
from harness.threads import hold_to_one
from harness.trial import Status
from results.layout import read_study
from results.writer import RecordWriter, StudyJournal


@dataclass(slots=True, eq=False)
class _Active:
    """A study under way."""

    plan: PlannedStudy
    task: Task
    study: Study
    journal: StudyJournal


@dataclass(slots=True)
class _InFlight:
    """A job and who waits for it: the study, the number of its proposal, the epochs it asked for."""

    job: Job
    waiting: list[tuple[_Active, int, int]] = field(default_factory=list)


class Driver:
    """Runs a sweep's studies that are not done yet.

    Args:
        sweep: The sweep.
        writer: The record.
        executor: Where evaluations run.
        progress: Counters to keep.
        tick: Called whenever something happened.
        on_data: Called with the digest of every task's data, by label, when one was loaded.
        restart: Set aside the journal of a study whose replay differs, and run it anew.
        inspect: Whether to look into the network of an evaluation when it is trained in this run.
        on_inspection: Called with what was seen, and its job.
    """

    def __init__(
        self,
        sweep: Sweep,
        writer: RecordWriter,
        executor: Executor,
        progress: Progress,
        *,
        tick: Callable[[], None] = lambda: None,
        on_data: Callable[[dict[str, str]], None] = lambda _: None,
        restart: bool = False,
        inspect: Callable[[EvaluationKey], bool] = lambda _: False,
        on_inspection: Callable[[Job, Inspection], None] = lambda *_: None,
    ) -> None:
        self._sweep = sweep
        self._writer = writer
        self._executor = executor
        self._progress = progress
        self._tick = tick
        self._on_data = on_data
        self._restart = restart
        self._inspect = inspect
        self._on_inspection = on_inspection
        self._active: set[_Active] = set()
        self._in_flight: dict[tuple[str, float | None], list[_InFlight]] = {}
        self._loaded: dict[str, DataError | None] = {}
        self._limited: set[str] = set()
        self.data_digests: dict[str, str] = {}
        """Digest of the data of every task that was trained, by label."""

    def run(self) -> None:
        """Run until every study is done or has failed.

        Raises:
            RecordError: The record cannot be read or written; everything recorded is safe.
        """
        planned = deque(self._unfinished())
        while True:
            while planned and self._jobs() < self._executor.slots:
                active = self._open(planned.popleft(), restart=False)
                if active is not None:
                    self._advance(active)
                self._writer.sync()
                self._tick()
            if not self._in_flight:
                break
            self._take(self._executor.wait())
            self._writer.sync()
            self._tick()

    def _unfinished(self) -> list[PlannedStudy]:
        unfinished = []
        for plan in self._sweep.studies:
            record = read_study(self._writer.layout.study(plan.key.id))
            if record.state == "done":
                self._progress.complete += 1
                self._progress.told_before += record.events[-1]["evaluations"]
            else:
                unfinished.append(plan)
        return unfinished

    def _jobs(self) -> int:
        return sum(len(jobs) for jobs in self._in_flight.values())

    # Studies.

    def _open(self, plan: PlannedStudy, *, restart: bool) -> _Active | None:
        """Make a study with a fresh searcher; `None` when that failed, which its journal then says."""
        kind = registry.searcher(plan.key.searcher)
        task = self._sweep.tasks[plan.task]
        libraries = versions(["hpo-derby", "numpy", "scipy", *kind.libraries.values()])
        journal: StudyJournal | None = None
        try:
            journal = self._writer.journal(plan.key, libraries, restart=restart)
            searcher = kind(
                task.problem, seed=plan.key.search_seed, budget=plan.key.budget, **plan.key.settings
            )
            self._limit_threads(kind.name)
            study = Study(searcher, workers=plan.key.workers, cost=task.cost)
        except RecordError:
            raise
        except Exception as error:  # noqa: BLE001 - the boundary: a bug fails its study, not the sweep
            self._fail(plan, journal, error)
        else:
            active = _Active(plan, task, study, journal)
            self._active.add(active)
            return active
        return None

    def _limit_threads(self, name: str) -> None:
        """Hold what a searcher's library has loaded to one thread; see `harness.threads`."""
        if name not in self._limited:
            hold_to_one()
            self._limited.add(name)

    def _advance(self, active: _Active) -> None:
        """Let a study do all it can now."""
        try:
            for event in active.study.advance():
                active.journal.record(event)
                match event:
                    case Asked():
                        self._progress.search_seconds += event.ask_seconds
                        self._request(active, event)
                    case Told():
                        self._count(active, event)
                    case Done():
                        self._close(active)
                        self._progress.done += 1
        except RecordError:
            raise
        except ReplayMismatchError as error:
            if not self._restart:
                self._fail(active.plan, active.journal, error, active=active)
                return
            self._close(active)
            again = self._open(active.plan, restart=True)
            if again is not None:
                self._advance(again)
        except Exception as error:  # noqa: BLE001 - the boundary: a bug fails its study, not the sweep
            self._fail(active.plan, active.journal, error, active=active)

    def _close(self, active: _Active) -> None:
        self._active.discard(active)
        self._writer.close_journal(active.journal)

    def _fail(
        self,
        plan: PlannedStudy,
        journal: StudyJournal | None,
        error: Exception,
        *,
        details: str = "",
        active: _Active | None = None,
    ) -> None:
        message = str(error) if isinstance(error, DerbyError) else f"{type(error).__name__}: {error}"
        if journal is not None:
            # A replay that differs leaves the journal as it is: what it holds is not in doubt.
            if not isinstance(error, ReplayMismatchError):
                journal.fail(message, details or "".join(traceback.format_exception(error)))
            self._writer.close_journal(journal)
        if active is not None:
            self._active.discard(active)
        self._progress.failed[plan.label] = message

    def _count(self, active: _Active, told: Told) -> None:
        progress = self._progress
        progress.told += 1
        progress.paced_from = progress.paced_from or time.monotonic()
        progress.search_seconds += told.tell_seconds
        progress.statuses[told.status.value] += 1
        if told.status is Status.OK and told.value is not None:
            best = progress.best.get(active.plan.task)
            if best is None or told.loss < best.loss:
                metric = active.task.objective.metric
                progress.best[active.plan.task] = Best(metric, told.value, told.loss, active.plan.searcher)

    # Evaluations.

    def _request(self, active: _Active, asked: Asked) -> None:
        """Serve a request from the record, join an equal one in flight, or start a job."""
        key = active.plan.key.evaluation(asked.proposal.config)
        epochs, deadline = asked.proposal.epochs, active.plan.key.deadline
        found = self._writer.find(key, epochs, deadline)
        if found is not None:
            self._progress.reused += 1
            active.study.deliver(asked.number, found)
            return
        same = self._in_flight.setdefault((key.id, deadline), [])
        for flight in same:
            if flight.job.epochs >= epochs:
                self._progress.merged += 1
                flight.waiting.append((active, asked.number, epochs))
                return
        try:
            self._load_data(active.task, key)
        except DataError:
            if not same:
                del self._in_flight[key.id, deadline]
            raise
        job = Job(key, epochs, deadline, inspect=self._inspect(key))
        flight = _InFlight(job, [(active, asked.number, epochs)])
        same.append(flight)
        self._executor.submit(flight.job)

    def _load_data(self, task: Task, key: EvaluationKey) -> None:
        """Hand a task's data to the executor before its first job."""
        identity = key.task.id
        if identity not in self._loaded:
            self._loaded[identity] = self._add_data(task, key)
        problem = self._loaded[identity]
        if problem is not None:
            raise problem

    def _add_data(self, task: Task, key: EvaluationKey) -> DataError | None:
        """Load a task's data once; what went wrong is kept, so that each of its studies says so."""
        try:
            data = read_only(task.load())
        except DataError as error:
            return error
        self._executor.add_data(key.task, data)
        self.data_digests[task.label] = data_digest(data)
        self._on_data(self.data_digests)
        return None

    def _take(self, finished: Finished) -> None:
        """Record what came of a job and let those who waited go on."""
        job, outcome = finished.job, finished.outcome
        place = (job.key.id, job.deadline)
        flight = next(flight for flight in self._in_flight[place] if flight.job == job)
        self._in_flight[place].remove(flight)
        if not self._in_flight[place]:
            del self._in_flight[place]
        waiting = [entry for entry in flight.waiting if entry[0] in self._active]
        if isinstance(outcome, Bug):
            for active, _, _ in waiting:
                if active in self._active:
                    error = DerbyError(outcome.message)
                    self._fail(active.plan, active.journal, error, details=outcome.details, active=active)
            return
        self._progress.trained += 1
        self._progress.train_seconds += outcome.evaluation.seconds() + outcome.evaluation.setup_seconds
        self._writer.add(job.key, outcome.evaluation, outcome.machine)
        if outcome.inspection is not None:
            self._on_inspection(job, outcome.inspection)
        for active, number, epochs in waiting:
            evaluation = outcome.evaluation.at(epochs)
            assert evaluation is not None  # noqa: S101 - who joins a job asks for no more than it trains
            active.study.deliver(number, evaluation)
        for active, _, _ in waiting:
            if active in self._active:
                self._advance(active)
