"""Drives a sweep: begins its studies, lets them go on, records what happens in them, and ends them.

What they ask for is matched to the record, or handed to an executor, by `harness.jobs`.

The driver is the only writer. Losing it costs the evaluations in flight and nothing else: running it again
replays each unfinished study through a fresh searcher against its journal, and goes on.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import msgspec

from harness import registry
from harness.errors import Interruption, RecordError, ReplayMismatchError
from harness.evaluator import Bug, Cause, Job, Lost
from harness.events import EXHAUSTED, Asked, Done, Told
from harness.executors.base import Executor, Finished
from harness.history import cannot_take
from harness.hopeless import Hopeless
from harness.host import Step, Stepped
from harness.jobs import ATTEMPTS, Jobs
from harness.keys import EvaluationKey
from harness.loading import TaskData
from harness.machine import versions
from harness.plurals import plural
from harness.progress import Progress
from harness.schedule import next_to_begin
from harness.sweep import Sweep
from harness.sweep_studies import PlannedStudy
from harness.tally import Tally
from harness.task import Inspection
from harness.trial import Evaluation, amount_in_words, in_unit, unit_in_words
from harness.underway import Active
from results.logs import StudyLogs
from results.reading import read_study
from results.study_journal import StudyJournal
from results.writer import RecordWriter

OnMismatch = Literal["fail", "restart", "tell"]
"""What to do with a study whose replay departs from its journal: let it fail, run it anew, or tell its searcher the
recorded trials and go on from there."""


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
        self._on_mismatch = on_mismatch
        self._data = TaskData(on_data)
        self._jobs = Jobs(
            sweep, writer, progress, self._data, self._log, inspect=inspect, on_inspection=on_inspection
        )
        self._executor: Executor
        self._logs = StudyLogs()
        self._active: dict[str, Active] = {}
        self._stepping: set[str] = set()
        """Studies whose hosts are at work on them, by id."""
        self._hopeless = Hopeless()
        unfinished = self._unfinished()
        self._planned = [plan for plan in unfinished if not sweep.tasks[plan.task].cheap]
        self._planned_cheap = [plan for plan in unfinished if sweep.tasks[plan.task].cheap]

    @property
    def data_digests(self) -> dict[str, str]:
        """Digest of the data of every task that was trained, by label."""
        return self._data.digests

    @property
    def unfinished(self) -> int:
        """Studies that are not done, and re-evaluations that are not on record."""
        studies = len(self._planned) + len(self._planned_cheap) + len(self._active)
        return studies + self._jobs.again

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
        self._jobs.use(executor)
        wait = wait or executor.wait
        try:
            while True:
                self._begin_studies()
                while self._jobs.submit(ending=not self._planned):
                    self._begin_studies()
                self._writer.sync()
                self._count_workforce()
                self._logs.flush()
                self._tick()
                if not self._stepping and not self._jobs.left:
                    break
                for report in wait():
                    if isinstance(report, Stepped):
                        self._take_step(report)
                    else:
                        self._take_evaluated(report)
        finally:
            self._logs.close()

    def _unfinished(self) -> list[PlannedStudy]:
        unfinished = []
        for plan in self._sweep.every_study:
            record = read_study(self._writer.layout.study(plan.key.id))
            last = record.events[-1] if record.events else None
            self._tally.found(plan, record.told, record.answered, ended=isinstance(last, Done))
            if record.told:
                self._hopeless.works(plan.searcher)
            if isinstance(last, Done):
                self._progress.complete += 1
                self._note_short(plan, last)
                self._progress.reevaluated_before += self._jobs.plan_again(plan, record)
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
        progress.evaluators_starting, progress.waiting = force.starting, self._jobs.waiting
        progress.missing = force.missing

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
                (len(self._planned) + len(training)) * workers + self._jobs.again_wanted,
                len(self._planned_cheap) + len(self._active) - len(training),
            )
            if len(self._stepping) >= executor.step_slots:
                return
            if self._planned and self._jobs.begun < executor.job_slots:
                place = next_to_begin(self._planned, self._expected, near_end=2 * executor.job_slots)
                plan = self._planned.pop(place)
            elif self._planned_cheap:
                plan = self._planned_cheap.pop(0)
            else:
                return
            self._open(plan)

    def _expected(self, plan: PlannedStudy) -> float:
        return self._jobs.expected(plan.task, self._epochs(plan)) / plan.key.workers

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
                self._data.load(task, plan.key.task, self._executor)
            recorded = self._recorded(plan, journal)
        except (RecordError, Interruption):
            raise
        except BaseException as error:  # noqa: BLE001 - the boundary: a bug fails its study, not the sweep
            self._fail_for(plan, journal, Bug.of(error))
            return
        told = {event.number for event in journal.recorded if isinstance(event, Told)}
        asked = {event.number for event in journal.recorded if isinstance(event, Asked)}
        active = Active(
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
            f"training seed {plan.key.training_seed}; {plural(len(recorded), 'evaluation')} recorded",
        )
        self._step(active, Step(plan.key, begin=True, recorded=recorded, history=journal.history))

    def _recorded(self, plan: PlannedStudy, journal: StudyJournal) -> dict[int, tuple[str, Evaluation]]:
        """Return what a study's proposals of earlier runs came to, as far as that is on record."""
        recorded = {}
        for event in journal.recorded:
            if isinstance(event, Asked):
                key = plan.key.evaluation(event.proposal.config)
                found = self._jobs.find(plan, key, event.epochs)
                if found is not None:
                    recorded[event.number] = (key.id, found)
        return recorded

    def _advance(self, active: Active, *, more: bool = False) -> None:
        """Hand a study what it waits for, or let it go on with ``more``, unless it is at work."""
        if active.plan.key.id not in self._stepping and (active.delivered or more):
            delivered, active.delivered = active.delivered, {}
            self._step(active, Step(active.plan.key, delivered=delivered))

    def _step(self, active: Active, step: Step) -> None:
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
            self._give_up_on(active.plan, stepped.problem)
        elif stepped.problem is not None:
            self._take_lost_study(active, stepped.problem)
        elif stepped.done:
            self._close(active)
            self._progress.done += 1
            if self._sweep.spec.reevaluate:
                record = read_study(self._writer.layout.study(active.plan.key.id))
                self._progress.reevaluated += self._jobs.plan_again(active.plan, record)
        else:
            self._advance(active, more=stepped.more)

    def _take_evaluated(self, finished: Finished) -> None:
        """Let the studies go on that waited for a job, or end them where it showed a bug."""
        waiting, bug = self._jobs.take(finished)
        for active in waiting:
            if active.over:  # it waited for it twice
                continue
            if bug is None:
                self._advance(active)
            else:
                self._fail(active, bug)
                self._give_up_on(active.plan, bug)

    def _take_mismatch(self, active: Active, error: ReplayMismatchError) -> None:
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

    def _take_event(self, active: Active, event: Asked | Told | Done, stepped: Stepped) -> None:
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
                        plan,
                        "asked",
                        f"trial {proposal.trial}: {config}, up to {plural(proposal.epochs, 'epoch')}",
                    )
                if number in stepped.recorded:
                    self._jobs.alive.add(plan.task)
                    progress.reused += not repeated
                elif number in stepped.evaluated:
                    self._jobs.take_own(active, event, stepped.evaluated[number])
                elif not active.task.cheap:  # whose host evaluates it, or says why it could not
                    self._jobs.request(active, event)
            case Told():
                self._hopeless.works(plan.searcher)
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
                    plan,
                    "done",
                    f"{event.reason}: {plural(event.evaluations, 'evaluation')}, {plural(event.epochs, 'epoch')}",
                )

    def _take_lost_study(self, active: Active, lost: Lost) -> None:
        """Begin a study again whose host is gone, unless it is to blame for that."""
        deaths = active.deaths + (lost.cause is not Cause.NODE)
        if deaths >= ATTEMPTS:
            self._fail(active, Bug(f"{lost.message}; that {deaths} times", ""))
            return
        self._log(active.plan, "again", f"{lost.message}; beginning again from the record")
        self._close(active)
        self._open(active.plan, deaths=deaths)

    def _close(self, active: Active) -> None:
        active.over = True
        del self._active[active.plan.key.id]
        self._writer.close_journal(active.journal)

    def _fail(self, active: Active, bug: Bug, *, in_doubt: bool = True) -> None:
        """End a study that cannot go on; a replay that differs leaves its journal, which is not in doubt, as it is."""
        active.over = True
        del self._active[active.plan.key.id]
        self._stepping.discard(active.plan.key.id)
        self._executor.drop(active.plan.key)
        self._fail_for(active.plan, active.journal, bug, in_doubt=in_doubt)

    def _give_up_on(self, failed: PlannedStudy, bug: Bug) -> None:
        """Begin no further study of a task or a method that has never worked, where a study that failed shows that."""
        if bug.of_task:
            who, works = failed.task, failed.task in self._jobs.alive
            message = self._hopeless.task(who, bug, works=works)
        else:
            who = failed.searcher
            message = self._hopeless.method(who, bug) if bug.of_method else ""
        if not message:
            return
        for planned in (self._planned, self._planned_cheap):
            for plan in [plan for plan in planned if who == (plan.task if bug.of_task else plan.searcher)]:
                planned.remove(plan)
                self._tally.ended(plan)
                self._log(plan, "failed", f"not begun: {message}")
                self._progress.failed[plan.label] = message
                self._progress.unbegun[f"{'task' if bug.of_task else 'method'} {who!r}"] += 1

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
