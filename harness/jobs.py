"""The evaluations of a run: found on record, joined to an equal one in flight, or handed to the executor as jobs.

The studies that wait for them and the winners that are evaluated again share one table of what is in flight, since one
job may serve both kinds and several of each.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from harness.errors import DerbyError
from harness.evaluator import Bug, Cause, Evaluated, Job, Lost
from harness.events import Asked
from harness.executors.base import Executor, Finished
from harness.keys import EvaluationKey
from harness.loading import TaskData
from harness.machine import UNTOLD
from harness.progress import Progress
from harness.reevaluation import Reevaluation, reevaluations
from harness.schedule import EpochTimes, next_to_submit
from harness.sweep import Sweep
from harness.sweep_studies import PlannedStudy
from harness.task import Inspection
from harness.trial import Curve, Evaluation, Status
from harness.underway import Active, InFlight
from results.reading import StudyRecord
from results.writer import RecordWriter

ATTEMPTS = 2
"""An evaluation that ends its process, or its memory, this many times is recorded as crashed."""


class Jobs:
    """Keeps what is in flight, in which order it is handed out, and what came of it.

    Args:
        sweep: The sweep.
        writer: The record.
        progress: Counters to keep.
        data: Loads the tasks' data.
        log: Writes a line to a study's log: what happened, and more about it.
        inspect: Whether to look into the network of an evaluation when it is trained in this run.
        on_inspection: Called with what was seen, and its job.
    """

    def __init__(
        self,
        sweep: Sweep,
        writer: RecordWriter,
        progress: Progress,
        data: TaskData,
        log: Callable[[PlannedStudy, str, str], None],
        *,
        inspect: Callable[[EvaluationKey], bool],
        on_inspection: Callable[[Job, Inspection], None],
    ) -> None:
        self._sweep, self._writer, self._progress = sweep, writer, progress
        self._data, self._log = data, log
        self._inspect, self._on_inspection = inspect, on_inspection
        self._executor: Executor
        self._in_flight: dict[tuple[str, float | None], list[InFlight]] = {}
        self._queue: list[InFlight] = []
        self._again: deque[tuple[PlannedStudy, Reevaluation]] = deque()
        """Winners to evaluate again, once no study is left to begin."""
        self._submitted = 0
        self._times = EpochTimes()
        self.alive: set[str] = set()
        """Labels of tasks that have given an evaluation."""

    def use(self, executor: Executor) -> None:
        """Hand everything from now on to an executor."""
        self._executor = executor

    @property
    def waiting(self) -> int:
        """Jobs that wait to be handed over."""
        return len(self._queue)

    @property
    def begun(self) -> int:
        """Jobs that are handed over, or wait to be."""
        return self._submitted + len(self._queue)

    @property
    def again(self) -> int:
        """Re-evaluations that are still to be handed over."""
        return len(self._again)

    @property
    def again_wanted(self) -> int:
        """Re-evaluations still to be handed over, and jobs of those that are, or were lost and wait to be."""
        flying = sum(bool(flight.again) for flights in self._in_flight.values() for flight in flights)
        return len(self._again) + flying

    @property
    def left(self) -> bool:
        """Whether anything is in flight or still to be handed over."""
        return bool(self._in_flight or self._again)

    def expected(self, task: str, epochs: float) -> float:
        """Return the seconds that many epochs of a task will take; infinite for one not seen yet."""
        return self._times.expected(task, epochs)

    # Of studies.

    def find(self, plan: PlannedStudy, key: EvaluationKey, epochs: int) -> Evaluation | None:
        """Return what is on record of an evaluation, as far as a study can use it."""
        return self._writer.find(
            key, epochs, plan.key.deadline, self._sweep.tasks[plan.task].objective.metrics
        )

    def request(self, active: Active, asked: Asked) -> None:
        """Serve a study's request from the record, join an equal one in flight, or queue a job.

        Raises:
            DataError: Its task has no data.
            TaskError: Its task failed to load them.
        """
        plan, epochs = active.plan, asked.proposal.epochs
        key, deadline = plan.key.evaluation(asked.proposal.config), plan.key.deadline
        found = self.find(plan, key, epochs)
        if found is not None:
            self.alive.add(plan.task)
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
        self._data.load(active.task, plan.key.task, self._executor)
        job = Job(key, epochs, deadline, inspect=self._inspect(key))
        flight = InFlight(job, plan, [(active, asked.number, epochs)])
        self._in_flight.setdefault((key.id, deadline), []).append(flight)
        self._queue.append(flight)

    def submit(self, *, ending: bool) -> bool:
        """Hand over as many jobs as the executor has a use for.

        Args:
            ending: Whether every study that trains has begun; winners are evaluated again only then.

        Returns:
            Whether some were dropped because no study waits for them any more.
        """
        dropped = False
        while self._queue and self._submitted < self._executor.job_slots:
            place = next_to_submit(
                self._queue,
                lambda flight: flight.owner.in_flight if flight.owner else 0,
                lambda flight: self._times.expected(
                    flight.plan.task, flight.owner.epochs_left if flight.owner else flight.job.epochs
                ),
                ending=ending,
            )
            flight = self._queue.pop(place)
            if not flight.again and all(active.over for active, _, _ in flight.waiting):
                self._forget(flight)  # all who waited have failed
                dropped = True
                continue
            self._hand_over(flight)
        while self._again and ending and self._submitted < self._executor.job_slots:
            flight_again = self._flight_again(*self._again.popleft())
            if flight_again is not None:
                self._hand_over(flight_again)
        return dropped

    def _hand_over(self, flight: InFlight) -> None:
        flight.submitted = True
        if flight.owner is not None:
            flight.owner.in_flight += 1
        self._submitted += 1
        self._executor.submit(flight.job)

    def _forget(self, flight: InFlight) -> None:
        place = (flight.job.key.id, flight.job.deadline)
        self._in_flight[place].remove(flight)
        if not self._in_flight[place]:
            del self._in_flight[place]

    def take(self, finished: Finished) -> tuple[list[Active], Bug | None]:
        """Record what came of a job.

        Returns:
            The studies that waited for it and are not over, and the bug by which these are to fail; ``None`` where they
            can go on, with its evaluation among what is delivered to them.
        """
        job, outcome = finished.job, finished.outcome
        flights = self._in_flight[job.key.id, job.deadline]
        flight = next(flight for flight in flights if flight.submitted and flight.job == job)
        self._submitted -= 1
        if flight.owner is not None:
            flight.owner.in_flight -= 1
        if isinstance(outcome, Lost):
            self._progress.lost += outcome.cause is not Cause.MEMORY
            made = self._judged(flight, outcome, finished.where)
            if made is None:
                return [], None
            outcome = made
        self._forget(flight)
        waiting = [entry for entry in flight.waiting if not entry[0].over]
        studies = [active for active, _, _ in waiting]
        if isinstance(outcome, Bug):
            for plan, again in flight.again:
                self._fail_again(plan, again, outcome)
            return studies, outcome
        evaluation = outcome.evaluation
        self.record(flight.plan, job.key, outcome)
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
        for plan, again in flight.again:
            self._count_again(plan, again, evaluation)
        return studies, None

    def take_own(self, active: Active, asked: Asked, made: Evaluated) -> None:
        """Record what a study's host evaluated itself, unless it is on record.

        Raises:
            DerbyError: It is on record and differs.
        """
        key = active.plan.key.evaluation(asked.proposal.config)
        found = self.find(active.plan, key, asked.proposal.epochs)
        if found is None:
            self.record(active.plan, key, made)
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

    def record(self, plan: PlannedStudy, key: EvaluationKey, made: Evaluated) -> None:
        """Record an evaluation that was made in this run."""
        evaluation = made.evaluation
        seconds = evaluation.seconds() + evaluation.setup_seconds
        self.alive.add(plan.task)
        self._progress.trained += 1
        self._progress.train_seconds += seconds
        self._writer.add(key, evaluation, made.machine)
        if evaluation.curve.epochs:
            self._times.add(plan.task, evaluation.curve.epochs, seconds)

    def _judged(self, flight: InFlight, lost: Lost, where: str) -> Evaluated | None:
        """Queue a lost evaluation again, or return what is recorded of it when it is to blame."""
        flight.deaths += lost.cause in (Cause.CRASH, Cause.MEMORY)
        if lost.cause is Cause.DEADLINE:
            return _failed(Status.TIMEOUT, lost.message, flight.job.deadline)
        if flight.deaths >= ATTEMPTS:
            message = f"{lost.message}; that {flight.deaths} times"
            self._progress.crashed.setdefault(flight.plan.task, []).append(message)
            return _failed(Status.CRASHED, message, None)
        for active, number, _ in flight.waiting:
            if not active.over:
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

    # Winners evaluated again.

    def plan_again(self, plan: PlannedStudy, record: StudyRecord) -> int:
        """Plan what is missing of the re-evaluations of a finished study; return how many are on record.

        None are of a study that gives a baseline: it has no winner.
        """
        if plan.baseline is not None:
            return 0
        count, task = self._sweep.spec.reevaluate, self._sweep.tasks[plan.task]
        wanted = reevaluations(plan.key, record.told, record.answered, task.objective.direction, count)
        self._progress.reevaluations -= count - len(wanted)  # nothing succeeded
        missing = [again for again in wanted if self.find(plan, again.key, again.epochs) is None]
        self._again += [(plan, again) for again in missing]
        return len(wanted) - len(missing)

    def _flight_again(self, plan: PlannedStudy, again: Reevaluation) -> InFlight | None:
        """Return the job of a re-evaluation; ``None`` where another method's gives it, or it cannot be run."""
        found = self.find(plan, again.key, again.epochs)
        if found is not None:
            self._count_again(plan, again, found)
            return None
        place = (again.key.id, again.deadline)
        for flight in self._in_flight.get(place, []):
            if flight.again and flight.job.epochs >= again.epochs:
                flight.again.append((plan, again))
                return None
        try:
            self._data.load(self._sweep.tasks[plan.task], plan.key.task, self._executor)
        except DerbyError as error:
            self._fail_again(plan, again, Bug.of(error))
            return None
        flight = InFlight(Job(again.key, again.epochs, again.deadline), plan, [], [(plan, again)])
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


def _failed(status: Status, message: str, deadline: float | None) -> Evaluated:
    """Return what is recorded of an evaluation that took its process along."""
    evaluation = Evaluation(status, Curve(), 0, message=message, deadline=deadline, machine=UNTOLD.id)
    return Evaluated(evaluation, UNTOLD)


def _without_seconds(evaluation: Evaluation) -> tuple[Any, ...]:
    curve = {name: values for name, values in evaluation.curve.items() if name != "seconds"}
    return evaluation.status, evaluation.epochs, curve
