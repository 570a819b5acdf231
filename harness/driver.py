"""Drives a sweep: matches what its studies ask for to the record, hands the rest to an executor, records what comes.

It is long because all of it changes the same few tables: who is under way, what is in flight, who waits for what.

The driver is the only writer. Losing it costs the evaluations in flight and nothing else: running it again
replays each unfinished study through a fresh searcher against its journal, and goes on.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec

from harness import registry
from harness.checks import folder_kept
from harness.errors import (
    DataError,
    DerbyError,
    Interruption,
    RecordError,
    ReplayMismatchError,
    TaskError,
    said,
)
from harness.evaluator import Bug, Cause, Evaluated, Job, Lost
from harness.events import EXHAUSTED, Asked, Done, Told
from harness.executors.base import Executor, Finished
from harness.history import cannot_take
from harness.host import Step, Stepped
from harness.keys import EvaluationKey
from harness.machine import UNTOLD, versions
from harness.progress import Progress
from harness.reevaluation import Reevaluation, reevaluations
from harness.schedule import EpochTimes, next_to_begin, next_to_submit
from harness.sweep import PlannedStudy, Sweep
from harness.tally import Tally
from harness.task import Inspection, Task, checked_data, data_digest, read_only
from harness.trial import Curve, Evaluation, Proposal, Status, amount_in_words, in_unit, unit_in_words
from results.logs import StudyLogs
from results.reading import StudyRecord, read_study
from results.writer import RecordWriter, StudyJournal

OnMismatch = Literal["fail", "restart", "tell"]
"""What to do with a study whose replay departs from its journal: let it fail, run it anew, or tell its searcher the
recorded trials and go on from there."""

HOPELESS = 2
"""Studies that a task may fail by a bug, having never given an evaluation, until those left on it are not begun."""

ATTEMPTS = 2
"""An evaluation that ends its process, or its memory, this many times is recorded as crashed."""


@dataclass(slots=True, eq=False)
class _Active:
    """A study under way."""

    plan: PlannedStudy
    task: Task
    journal: StudyJournal
    deaths: int = 0
    """How often its searcher's process died at work on it."""
    delivered: dict[int, Evaluation] = field(default_factory=dict)
    """Evaluations it has not been handed yet, by the number of their proposal."""
    proposals: dict[int, Proposal] = field(default_factory=dict)
    """Proposals that have not been told."""
    costs: dict[int, float] = field(default_factory=dict)
    """What an epoch of each of these costs."""
    replayed: int = 0
    """Evaluations that it has yet to be told again, since it was told them before."""
    untold: frozenset[int] = frozenset()
    """Of the proposals that it repeats, those that had not been told."""
    known: dict[int, Evaluation] = field(default_factory=dict)
    """What was on record of those that its host evaluated itself."""
    charged: Counter[int] = field(default_factory=Counter)
    """Epochs charged, by trial."""
    in_flight: int = 0
    epochs_left: float = 0.0
    """Epochs to come: at full fidelity of a budget in evaluations, and about so many of one in cost."""


@dataclass(slots=True, eq=False)
class _InFlight:
    """A job and who waits for it: the study, the number of its proposal, the epochs it asked for."""

    job: Job
    plan: PlannedStudy
    """Of who asked first."""
    waiting: list[tuple[_Active, int, int]]
    again: list[tuple[PlannedStudy, Reevaluation]] = field(default_factory=list)
    """The winners that it evaluates again."""
    submitted: bool = False
    deaths: int = 0

    @property
    def owner(self) -> _Active | None:
        """The study that asked first; ``None`` where it evaluates a winner again."""
        return None if self.again else self.waiting[0][0]


class Driver:
    """Runs a sweep's studies that are not done yet.

    Args:
        sweep: The sweep.
        writer: The record.
        progress: Counters to keep.
        tick: Called whenever something happened, and now and then.
        on_data: Called with the digest of every task's data, by label, when one was loaded.
        on_mismatch: What to do with a study whose replay departs from its journal.
        inspect: Whether to look into the network of an evaluation when it is trained in this run.
        on_inspection: Called with what was seen, and its job.

    Raises:
        RecordError: The record cannot be read.
    """

    def __init__(
        self,
        sweep: Sweep,
        writer: RecordWriter,
        progress: Progress,
        *,
        tick: Callable[[], None] = lambda: None,
        on_data: Callable[[dict[str, str]], None] = lambda _: None,
        on_mismatch: OnMismatch = "fail",
        inspect: Callable[[EvaluationKey], bool] = lambda _: False,
        on_inspection: Callable[[Job, Inspection], None] = lambda *_: None,
    ) -> None:
        self._sweep = sweep
        self._writer = writer
        self._progress = progress
        self._tally = Tally(sweep, progress)
        self._tick = tick
        self._on_data = on_data
        self._on_mismatch = on_mismatch
        self._inspect = inspect
        self._on_inspection = on_inspection
        self._executor: Executor
        self._logs = StudyLogs()
        self._active: dict[str, _Active] = {}
        self._stepping: set[str] = set()
        """Studies whose hosts are at work on them, by id."""
        self._in_flight: dict[tuple[str, float | None], list[_InFlight]] = {}
        self._queue: list[_InFlight] = []
        self._again: deque[tuple[PlannedStudy, Reevaluation]] = deque()
        """Winners to evaluate again, once no study is left to begin."""
        self._submitted = 0
        self._times = EpochTimes()
        self._alive: set[str] = set()
        """Labels of tasks that have given an evaluation."""
        self._failures: dict[str, list[Bug]] = {}
        """What the studies on a task failed by, where its evaluations did."""
        self._loaded: dict[str, DerbyError | None] = {}
        self.data_digests: dict[str, str] = {}
        """Digest of the data of every task that was trained, by label."""
        unfinished = self._unfinished()
        self._planned = [plan for plan in unfinished if not sweep.tasks[plan.task].cheap]
        self._planned_cheap = [plan for plan in unfinished if sweep.tasks[plan.task].cheap]

    @property
    def unfinished(self) -> int:
        """Studies that are not done, and re-evaluations that are not on record."""
        studies = len(self._planned) + len(self._planned_cheap) + len(self._active)
        return studies + len(self._again)

    def run(
        self,
        executor: Executor,
        wait: Callable[[], list[Finished | Stepped]] | None = None,
    ) -> None:
        """Run until every study is done or has failed, and every winner was re-evaluated as often as planned.

        Args:
            executor: Where evaluations and searchers run.
            wait: Called in place of the executor's `wait`; for who must know when nothing is being written.

        Raises:
            RecordError: The record cannot be read or written; everything recorded is safe.
        """
        self._executor = executor
        wait = wait or executor.wait
        try:
            while True:
                self._begin_studies()
                while self._submit():
                    self._begin_studies()
                self._writer.sync()
                self._count_workforce()
                self._logs.flush()
                self._tick()
                if not self._stepping and not self._in_flight and not self._again:
                    break
                for report in wait():
                    if isinstance(report, Stepped):
                        self._take_step(report)
                    else:
                        self._take(report)
        finally:
            self._logs.close()

    def _unfinished(self) -> list[PlannedStudy]:
        unfinished = []
        for plan in self._sweep.every_study:
            record = read_study(self._writer.layout.study(plan.key.id))
            last = record.events[-1] if record.events else None
            self._tally.found(plan, record.told, record.answered, ended=isinstance(last, Done))
            if isinstance(last, Done):
                self._progress.complete += 1
                self._note_short(plan, last)
                self._progress.reevaluated_before += self._plan_again(plan, record)
            else:
                unfinished.append(plan)
        return unfinished

    def _note_short(self, plan: PlannedStudy, done: Done) -> None:
        """Keep the name of a study that ended with budget left."""
        if done.reason == EXHAUSTED:
            budget = plan.key.budget
            spent = in_unit(budget.unit, evaluations=done.evaluations, epochs=done.epochs, cost=done.cost)
            self._progress.short[plan.label] = (spent, budget.amount, self._unit(plan))

    def _unit(self, plan: PlannedStudy) -> str:
        """Name what a study's budget is counted in."""
        return unit_in_words(plan.key.budget.unit, self._sweep.tasks[plan.task].cost_unit)

    def _count_workforce(self) -> None:
        force, progress = self._executor.workforce, self._progress
        progress.evaluators_busy, progress.evaluators_idle = force.busy, force.idle
        progress.evaluators_starting, progress.waiting = force.starting, len(self._queue)

    def _log(self, plan: PlannedStudy, what: str, message: str = "") -> None:
        layout = self._writer.layout
        self._logs.line(layout.log(self._sweep.name, plan.label, plan.key.id), what, message)

    # Studies.

    def _begin_studies(self) -> None:
        """Begin studies while evaluators, or for cheap tasks hosts, could do more."""
        executor = self._executor
        while True:
            training = [active for active in self._active.values() if not active.task.cheap]
            workers = self._sweep.spec.workers
            executor.demand(
                (len(self._planned) + len(training)) * workers + len(self._again) + self._again_in_flight,
                len(self._planned_cheap) + len(self._active) - len(training),
            )
            if len(self._stepping) >= executor.step_slots:
                return
            if self._planned and self._submitted + len(self._queue) < executor.job_slots:
                place = next_to_begin(self._planned, self._expected, near_end=2 * executor.job_slots)
                plan = self._planned.pop(place)
            elif self._planned_cheap:
                plan = self._planned_cheap.pop(0)
            else:
                return
            self._open(plan)

    def _expected(self, plan: PlannedStudy) -> float:
        return self._times.expected(plan.task, self._epochs(plan)) / plan.key.workers

    def _epochs(self, plan: PlannedStudy) -> float:
        """Return the epochs a study may train."""
        return plan.key.budget.epochs(self._sweep.tasks[plan.task].fidelity)

    def _open(self, plan: PlannedStudy, *, restart: bool = False, deaths: int = 0) -> None:
        """Let a study begin, or begin again, with a fresh searcher; what it did before is replayed."""
        task = self._sweep.tasks[plan.task]
        journal: StudyJournal | None = None
        try:
            kind = registry.searcher(plan.key.searcher, plan.key.searcher_file)
            libraries = versions(["hpo-derby", "numpy", "scipy", *kind.libraries.values()]) | kind.origin()
            if restart:
                self._tally.restarted(plan, read_study(self._writer.layout.study(plan.key.id)).told)
            journal = self._writer.journal(plan.key, libraries, restart=restart)
            if task.cheap:
                self._load_data(task, plan)
            recorded = self._recorded(plan, journal)
        except (RecordError, Interruption):
            raise
        except BaseException as error:  # noqa: BLE001 - the boundary: a bug fails its study, not the sweep
            self._fail_for(plan, journal, Bug.of(error))
            return
        told = {event.number for event in journal.recorded if isinstance(event, Told)}
        asked = {event.number for event in journal.recorded if isinstance(event, Asked)}
        active = _Active(
            *(plan, task, journal, deaths),
            replayed=len(told),
            untold=frozenset(asked - told),
            epochs_left=self._epochs(plan),
        )
        self._active[plan.key.id] = active
        budget = f"{amount_in_words(plan.key.budget.amount)} {self._unit(plan)}"
        self._log(
            plan,
            "opened",
            f"{plan.label}: budget {budget}, search seed {plan.key.search_seed}, "
            f"training seed {plan.key.training_seed}; {len(recorded)} evaluations recorded",
        )
        self._step(active, Step(plan.key, begin=True, recorded=recorded, history=journal.history))

    def _recorded(self, plan: PlannedStudy, journal: StudyJournal) -> dict[int, tuple[str, Evaluation]]:
        """Return what a study's proposals of earlier runs came to, as far as that is on record."""
        recorded = {}
        for event in journal.recorded:
            if isinstance(event, Asked):
                key = plan.key.evaluation(event.proposal.config)
                found = self._find(plan, key, event.epochs)
                if found is not None:
                    recorded[event.number] = (key.id, found)
        return recorded

    def _advance(self, active: _Active, *, more: bool = False) -> None:
        """Hand a study what it waits for, or let it go on with ``more``, unless it is at work."""
        if active.plan.key.id not in self._stepping and (active.delivered or more):
            delivered, active.delivered = active.delivered, {}
            self._step(active, Step(active.plan.key, delivered=delivered))

    def _step(self, active: _Active, step: Step) -> None:
        self._stepping.add(active.plan.key.id)
        self._executor.step(step, cheap=active.task.cheap)

    def _take_step(self, stepped: Stepped) -> None:
        """Record what happened in a study, and serve what it asks for."""
        active = self._active.get(stepped.key.id)
        if active is None:  # it failed meanwhile
            return
        self._stepping.discard(stepped.key.id)
        if stepped.machine is not None:
            self._writer.add_machine(stepped.machine)
            active.journal.hosted(stepped.machine)
        try:
            for event in stepped.events:
                self._take_event(active, event, stepped)
        except (RecordError, Interruption):
            raise
        except ReplayMismatchError as error:
            self._take_mismatch(active, error)
            return
        except BaseException as error:  # noqa: BLE001 - the boundary: a bug fails its study, not the sweep
            self._fail(active, Bug.of(error))
            return
        if isinstance(stepped.problem, Bug):
            self._fail(active, stepped.problem)
            if stepped.problem.of_task:
                self._give_up_on(active.plan.task, stepped.problem)
        elif stepped.problem is not None:
            self._take_lost_study(active, stepped.problem)
        elif stepped.done:
            self._close(active)
            self._progress.done += 1
            if self._sweep.spec.reevaluate:
                record = read_study(self._writer.layout.study(active.plan.key.id))
                self._progress.reevaluated += self._plan_again(active.plan, record)
        else:
            self._advance(active, more=stepped.more)

    def _take_mismatch(self, active: _Active, error: ReplayMismatchError) -> None:
        """Do as was asked with a study whose replay departs from its journal."""
        plan, way = active.plan, self._on_mismatch
        # What is followed departs only where evaluations do: telling them to a searcher is no way out of that.
        kind = registry.searcher(plan.key.searcher, plan.key.searcher_file)
        can_tell = kind.takes() and not active.journal.following
        if way == "fail" or (way == "tell" and not can_tell):
            message = str(error) if way == "fail" else f"{error}; {cannot_take(plan.key.searcher)}"
            self._fail(active, Bug(message, ""), in_doubt=False)
            return
        self._executor.drop(plan.key)
        if way == "tell":
            active.journal.follow(str(error))
            self._log(
                plan, "followed", f"its searcher is told what is recorded and proposes the rest: {error}"
            )
            self._progress.followed.append(plan.label)
        self._close(active)
        self._open(plan, restart=way == "restart")

    def _take_event(self, active: _Active, event: Asked | Told | Done, stepped: Stepped) -> None:
        plan, progress = active.plan, self._progress
        # The log told of what is replayed when it happened, and a cheap task's trials are soon read in the journal.
        logged = not active.task.cheap and not active.journal.replaying
        match event:
            case Asked():
                number, proposal = event.number, event.proposal
                repeated = active.journal.replaying and number not in active.untold
                active.journal.record(event)
                active.proposals[number], active.costs[number] = proposal, event.cost
                progress.search_seconds += event.ask_seconds
                if logged:
                    config = dict(proposal.config)
                    self._log(
                        plan, "asked", f"trial {proposal.trial}: {config}, up to {proposal.epochs} epochs"
                    )
                if number in stepped.recorded:
                    self._alive.add(plan.task)
                    progress.reused += not repeated
                elif number in stepped.evaluated:
                    self._take_own(active, event, stepped.evaluated[number])
                elif not active.task.cheap:  # whose host evaluates it, or says why it could not
                    self._request(active, event)
            case Told():
                proposal = active.proposals.pop(event.number)
                if event.number in active.known:
                    # What was recorded first is what everyone is charged.
                    first = active.known.pop(event.number)
                    seconds = first.seconds(after=active.charged[proposal.trial])
                    event = msgspec.structs.replace(event, seconds=seconds, machine=first.machine)
                active.charged[proposal.trial] += event.epochs
                active.epochs_left -= event.epochs
                active.journal.record(event)
                cost = active.costs.pop(event.number)
                progress.search_seconds += event.tell_seconds
                if active.replayed:
                    active.replayed -= 1  # it was counted when it was told first
                else:
                    self._tally.told(plan, event, cost)
                if logged:
                    self._log(
                        plan, "told", f"trial {proposal.trial}: {event.status.value}, loss {event.loss:g}"
                    )
            case Done():
                active.journal.record(event)
                self._tally.ended(plan)
                self._note_short(plan, event)
                self._log(
                    plan, "done", f"{event.reason}: {event.evaluations} evaluations, {event.epochs} epochs"
                )

    def _take_own(self, active: _Active, asked: Asked, made: Evaluated) -> None:
        """Record what a study's host evaluated itself, unless it is on record."""
        key = active.plan.key.evaluation(asked.proposal.config)
        found = self._find(active.plan, key, asked.proposal.epochs)
        if found is None:
            self._record(active.plan, key, made)
            return
        reached = made.evaluation.at(asked.proposal.epochs)
        if reached is None or _without_seconds(reached) != _without_seconds(found):
            raise DerbyError(
                f"task {key.task.name!r} does not repeat itself: {dict(key.config)} with seed {key.seed} gave "
                f"{found.status.value} {dict(found.curve)} before and {dict(made.evaluation.curve)} now; an "
                "evaluation must depend on nothing but configuration and seed"
            )
        self._progress.reused += 1
        active.known[asked.number] = found

    def _take_lost_study(self, active: _Active, lost: Lost) -> None:
        """Begin a study again whose host is gone, unless it is to blame for that."""
        deaths = active.deaths + (lost.cause is not Cause.NODE)
        if deaths >= ATTEMPTS:
            self._fail(active, Bug(f"{lost.message}; that {deaths} times", ""))
            return
        self._log(active.plan, "again", f"{lost.message}; beginning again from the record")
        self._close(active)
        self._open(active.plan, deaths=deaths)

    def _close(self, active: _Active) -> None:
        if self._active.get(active.plan.key.id) is active:
            del self._active[active.plan.key.id]
        self._writer.close_journal(active.journal)

    def _fail(self, active: _Active, bug: Bug, *, in_doubt: bool = True) -> None:
        """End a study that cannot go on; a replay that differs leaves its journal, which is not in doubt, as it is."""
        del self._active[active.plan.key.id]
        self._stepping.discard(active.plan.key.id)
        self._executor.drop(active.plan.key)
        self._fail_for(active.plan, active.journal, bug, in_doubt=in_doubt)

    def _give_up_on(self, task: str, bug: Bug) -> None:
        """Begin no further study on a task whose first evaluations all ended in a bug."""
        failures = self._failures.setdefault(task, [])
        failures.append(bug)
        if task in self._alive or len(failures) < HOPELESS:
            return
        for planned in (self._planned, self._planned_cheap):
            for plan in [plan for plan in planned if plan.task == task]:
                planned.remove(plan)
                self._tally.ended(plan)
                self._log(plan, "failed", f"not begun: {failures[0].message}")
                self._progress.failed[plan.label] = failures[0].message

    def _fail_for(
        self, plan: PlannedStudy, journal: StudyJournal | None, bug: Bug, *, in_doubt: bool = True
    ) -> None:
        if journal is not None:
            if in_doubt:
                journal.fail(bug.message, bug.details)
            self._writer.close_journal(journal)
        self._log(plan, "failed", f"{bug.message}\n{bug.details}")
        self._tally.ended(plan)
        self._progress.failed[plan.label] = bug.message

    # Evaluations.

    def _find(self, plan: PlannedStudy, key: EvaluationKey, epochs: int) -> Evaluation | None:
        """Return what is on record of an evaluation, as far as a study can use it."""
        return self._writer.find(
            key, epochs, plan.key.deadline, self._sweep.tasks[plan.task].objective.metrics
        )

    def _request(self, active: _Active, asked: Asked) -> None:
        """Serve a request from the record, join an equal one in flight, or start a job."""
        plan, epochs = active.plan, asked.proposal.epochs
        key, deadline = plan.key.evaluation(asked.proposal.config), plan.key.deadline
        found = self._find(plan, key, epochs)
        if found is not None:
            self._alive.add(plan.task)
            self._progress.reused += 1
            self._log(plan, "reused", f"trial {asked.proposal.trial}: its evaluation is on record")
            active.delivered[asked.number] = found
            return
        for flight in self._in_flight.get((key.id, deadline), []):
            if flight.job.epochs >= epochs:
                self._progress.merged += 1
                self._log(plan, "joined", f"trial {asked.proposal.trial}: an equal evaluation is under way")
                flight.waiting.append((active, asked.number, epochs))
                return
        self._load_data(active.task, plan)
        job = Job(key, epochs, deadline, inspect=self._inspect(key))
        flight = _InFlight(job, plan, [(active, asked.number, epochs)])
        self._in_flight.setdefault((key.id, deadline), []).append(flight)
        self._queue.append(flight)

    def _submit(self) -> bool:
        """Hand over as many requests as the executor has a use for; return whether some were dropped."""
        dropped = False
        while self._queue and self._submitted < self._executor.job_slots:
            place = next_to_submit(
                self._queue,
                lambda flight: flight.owner.in_flight if flight.owner else 0,
                lambda flight: self._times.expected(
                    flight.plan.task, flight.owner.epochs_left if flight.owner else flight.job.epochs
                ),
                ending=not self._planned,
            )
            flight = self._queue.pop(place)
            if not flight.again and not any(self._is_active(active) for active, _, _ in flight.waiting):
                self._forget(flight)  # all who waited have failed
                dropped = True
                continue
            self._hand_over(flight)
        while self._again and not self._planned and self._submitted < self._executor.job_slots:
            flight_again = self._flight_again(*self._again.popleft())
            if flight_again is not None:
                self._hand_over(flight_again)
        return dropped

    def _hand_over(self, flight: _InFlight) -> None:
        flight.submitted = True
        if flight.owner is not None:
            flight.owner.in_flight += 1
        self._submitted += 1
        self._executor.submit(flight.job)

    def _is_active(self, active: _Active) -> bool:
        return self._active.get(active.plan.key.id) is active

    def _load_data(self, task: Task, plan: PlannedStudy) -> None:
        """Hand a task's data to the executor before they are needed; what went wrong is said to each study."""
        identity = plan.key.task.unsplit.id
        if identity not in self._loaded:
            self._loaded[identity] = self._add_data(task, plan)
        problem = self._loaded[identity]
        if problem is not None:
            raise problem

    def _add_data(self, task: Task, plan: PlannedStudy) -> DerbyError | None:
        try:
            with folder_kept():
                data = read_only(checked_data(task.load()))
            digest = data_digest(data)
            if task.pinned_data is None and digest != plan.key.task.data:
                raise DataError(
                    f"the data of task {task.label!r} changed while the sweep ran: digest {digest}, and it was "
                    f"{plan.key.task.data} when it was planned; run again to evaluate on what is there now"
                )
        except Interruption:
            raise
        except DataError as error:
            return error
        except BaseException as error:  # noqa: BLE001 - the boundary: a bug fails its studies, not the sweep
            failure = TaskError(f"task {task.name!r} failed to load its data: {said(error)}")
            failure.__cause__ = error
            return failure
        self._executor.add_data(plan.key.task.unsplit, data)
        self.data_digests[task.label] = digest
        self._on_data(self.data_digests)
        return None

    def _forget(self, flight: _InFlight) -> None:
        place = (flight.job.key.id, flight.job.deadline)
        self._in_flight[place].remove(flight)
        if not self._in_flight[place]:
            del self._in_flight[place]

    def _take(self, finished: Finished) -> None:
        """Record what came of a job and let those who waited go on."""
        job, outcome = finished.job, finished.outcome
        flights = self._in_flight[job.key.id, job.deadline]
        flight = next(flight for flight in flights if flight.submitted and flight.job == job)
        self._submitted -= 1
        if flight.owner is not None:
            flight.owner.in_flight -= 1
        if isinstance(outcome, Lost):
            self._progress.lost += 1
            made = self._judged(flight, outcome, finished.where)
            if made is None:
                return
            outcome = made
        self._forget(flight)
        waiting = [entry for entry in flight.waiting if self._is_active(entry[0])]
        if isinstance(outcome, Bug):
            for active, _, _ in waiting:
                if self._is_active(active):
                    self._fail(active, outcome)
                    self._give_up_on(active.plan.task, outcome)
            for plan, again in flight.again:
                self._fail_again(plan, again, outcome)
            return
        evaluation = outcome.evaluation
        self._record(flight.plan, job.key, outcome)
        if outcome.inspection is not None:
            self._on_inspection(job, outcome.inspection)
        for active, number, epochs in waiting:
            reached = evaluation.at(epochs)
            assert reached is not None  # noqa: S101 - who joins a job asks for no more than it trains
            seconds = evaluation.seconds() + evaluation.setup_seconds
            trial = active.proposals[number].trial
            text = f"trial {trial}: {evaluation.status.value} in {seconds:.2f} s {finished.where}"
            self._log(active.plan, "returned", f"{text} {evaluation.message}".rstrip())
            active.delivered[number] = reached
        for active, _, _ in waiting:
            if self._is_active(active):
                self._advance(active)
        for plan, again in flight.again:
            self._count_again(plan, again, evaluation)

    # Winners evaluated again.

    @property
    def _again_in_flight(self) -> int:
        """Jobs of re-evaluations that are handed over, or were lost and wait to be."""
        return sum(bool(flight.again) for flights in self._in_flight.values() for flight in flights)

    def _plan_again(self, plan: PlannedStudy, record: StudyRecord) -> int:
        """Plan what is missing of the re-evaluations of a finished study; return how many are on record.

        None are of a study that gives a baseline: it has no winner.
        """
        if plan.baseline is not None:
            return 0
        count, task = self._sweep.spec.reevaluate, self._sweep.tasks[plan.task]
        wanted = reevaluations(plan.key, record.told, record.answered, task.objective.direction, count)
        self._progress.reevaluations -= count - len(wanted)  # nothing succeeded
        missing = [again for again in wanted if self._find(plan, again.key, again.epochs) is None]
        self._again += [(plan, again) for again in missing]
        return len(wanted) - len(missing)

    def _flight_again(self, plan: PlannedStudy, again: Reevaluation) -> _InFlight | None:
        """Return the job of a re-evaluation; ``None`` where another method's gives it, or it cannot be run."""
        found = self._find(plan, again.key, again.epochs)
        if found is not None:
            self._count_again(plan, again, found)
            return None
        place = (again.key.id, again.deadline)
        for flight in self._in_flight.get(place, []):
            if flight.again and flight.job.epochs >= again.epochs:
                flight.again.append((plan, again))
                return None
        try:
            self._load_data(self._sweep.tasks[plan.task], plan)
        except DerbyError as error:
            self._fail_again(plan, again, Bug.of(error))
            return None
        flight = _InFlight(Job(again.key, again.epochs, again.deadline), plan, [], [(plan, again)])
        self._in_flight.setdefault(place, []).append(flight)
        return flight

    def _count_again(self, plan: PlannedStudy, again: Reevaluation, evaluation: Evaluation) -> None:
        self._progress.reevaluated += 1
        self._progress.begin_pace()
        seed = f"seed {again.key.seed} ({again.number})"
        self._log(
            plan, "again", f"the winner, {dict(again.key.config)}, with {seed}: {evaluation.status.value}"
        )

    def _fail_again(self, plan: PlannedStudy, again: Reevaluation, bug: Bug) -> None:
        label = f"{plan.label}, re-evaluation {again.number}"
        self._log(plan, "failed", f"{label}: {bug.message}\n{bug.details}")
        self._progress.unreevaluated[label] = bug.message

    def _record(self, plan: PlannedStudy, key: EvaluationKey, made: Evaluated) -> None:
        evaluation = made.evaluation
        seconds = evaluation.seconds() + evaluation.setup_seconds
        self._alive.add(plan.task)
        self._progress.trained += 1
        self._progress.train_seconds += seconds
        self._writer.add(key, evaluation, made.machine)
        if evaluation.curve.epochs:
            self._times.add(plan.task, evaluation.curve.epochs, seconds)

    def _judged(self, flight: _InFlight, lost: Lost, where: str) -> Evaluated | None:
        """Queue a lost evaluation again, or return what is recorded of it when it is to blame."""
        flight.deaths += lost.cause in (Cause.CRASH, Cause.MEMORY)
        if lost.cause is Cause.DEADLINE:
            return _failed(Status.TIMEOUT, lost.message, flight.job.deadline)
        if flight.deaths >= ATTEMPTS:
            return _failed(Status.CRASHED, f"{lost.message}; that {flight.deaths} times", None)
        for active, number, _ in flight.waiting:
            if self._is_active(active):
                trial = active.proposals[number].trial
                self._log(
                    active.plan, "again", f"trial {trial}: {lost.message} ({lost.cause.value}, {where})"
                )
        for plan, again in flight.again:
            self._log(
                plan, "again", f"re-evaluation {again.number}: {lost.message} ({lost.cause.value}, {where})"
            )
        self._progress.retried += 1
        flight.submitted = False
        self._queue.insert(0, flight)
        return None


def _failed(status: Status, message: str, deadline: float | None) -> Evaluated:
    """Return what is recorded of an evaluation that took its process along."""
    evaluation = Evaluation(status, Curve(), 0, message=message, deadline=deadline, machine=UNTOLD.id)
    return Evaluated(evaluation, UNTOLD)


def _without_seconds(evaluation: Evaluation) -> tuple[Any, ...]:
    curve = {name: values for name, values in evaluation.curve.items() if name != "seconds"}
    return evaluation.status, evaluation.epochs, curve
