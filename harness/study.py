"""The study: one searcher's loop as a state machine without I/O, clock or executor.

A study emits events and consumes evaluations. What it does depends on nothing but its searcher, its budget
and the evaluations it is given, never on when they arrive, so every executor gives the same record.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from typing import Protocol

from harness.errors import ProtocolError, SearcherError, TaskError
from harness.events import EXHAUSTED, Asked, Done, Event, Told
from harness.plurals import plural
from harness.space import Config
from harness.trial import (
    Budget,
    Evaluation,
    Problem,
    Proposal,
    Status,
    amount_in_words,
    charged_epochs,
    in_unit,
)


class AskTell(Protocol):
    """What a study needs of a `harness.searcher.Searcher`, which says what each is."""

    problem: Problem
    budget: Budget
    ask_seconds: float
    tell_seconds: float

    @property
    def name(self) -> str:
        """Its name."""
        ...

    @property
    def parallel(self) -> bool:
        """Whether it may be asked again before it was told."""
        ...

    def ask(self) -> Proposal | None:
        """Return the next proposal; ``None``: nothing to propose until something is told, or ever."""
        ...

    def tell(self, proposal: Proposal, evaluation: Evaluation, cost: float | None = None) -> None:
        """Take the evaluation of a proposal, and what it is charged in the budget's unit."""
        ...


@dataclass(slots=True)
class _Running:
    """A proposal on a virtual worker: what an epoch of it costs, and what is reserved for it, in the budget's unit."""

    proposal: Proposal
    cost: float
    finish: float
    reserved: float
    evaluation: Evaluation | None = None


class Study:
    """One searcher against one task under one budget, with a number of virtual workers.

    A trial occupies a worker for its deterministic cost: the epochs asked beyond those it had, times
    the task's cost of an epoch. Whatever ends first in virtual time is told first; what ends at the
    same time is told in the order asked, before anything new is asked. A trial that diverges early
    is charged only the epochs it took, but holds its worker for all of them, so that the order of
    tells is known without waiting for trials that finish later.

    Of the budget, in whatever unit, a trial reserves what it was asked for while it runs, and is charged
    what it took when it is told. A proposal that does not fit beside what is spent and reserved is held: it is
    evaluated once something that runs gave back enough, and where nothing can, the study ends by its budget.

    Args:
        searcher: The method; its problem and budget are the study's.
        workers: Number of virtual workers, at least 1; more than one needs a parallel searcher.
        cost: Deterministic cost of one epoch of a configuration, positive.
    """

    def __init__(self, searcher: AskTell, *, workers: int, cost: Callable[[Config], float]) -> None:
        if workers > 1 and not searcher.parallel:
            raise ProtocolError(f"searcher {searcher.name!r} proposes one at a time; it needs workers = 1")
        self._searcher = searcher
        self._objective = searcher.problem.objective
        self._workers = workers
        self._cost = cost
        self._clock = 0.0
        self._asked = 0
        self._told = 0
        self._spent_epochs = 0
        self._spent_cost = 0.0
        self._running: dict[int, _Running] = {}
        self._asked_epochs: dict[int, int] = {}
        self._charged: dict[int, int] = {}
        self._held: Proposal | None = None
        self._ask_seconds = 0.0
        self._filling = True
        self._ending = ""
        self.done: Done | None = None
        """The final event, once there is one."""

    def advance(self) -> Iterator[Event]:
        """Yield the events that can happen now; stop when an evaluation is needed to go on.

        Take every event before acting on the next: a delivery made while iterating counts.

        Raises:
            SearcherError: The searcher failed; events yielded before it stand.
        """
        while self.done is None:
            if self._filling:
                # Once until something is told: what is asked, and when, must not depend on how often
                # an executor looks in.
                self._ending = yield from self._fill()
                self._filling = False
            if not self._running:
                if not self._told:
                    raise self._nothing_done()
                self.done = Done(self._ending, self._told, self._spent_epochs, self._spent_cost)
                yield self.done
                return
            finish = min(running.finish for running in self._running.values())
            due = [number for number, running in self._running.items() if running.finish == finish]
            if any(self._running[number].evaluation is None for number in due):
                return
            self._clock = finish
            for number in due:
                yield self._tell(number)
            self._filling = True

    def deliver(self, number: int, evaluation: Evaluation) -> None:
        """Hand in the evaluation of the `Asked` event of that number, once, in any order.

        Raises:
            ProtocolError: Nothing of that number is waiting, or the evaluation stops short.
        """
        running = self._running.get(number)
        if running is None or running.evaluation is not None:
            raise ProtocolError(f"proposal {number} is not waiting for an evaluation")
        if evaluation.status is Status.OK and evaluation.epochs != running.proposal.epochs:
            raise ProtocolError(
                f"proposal {number} asked for {plural(running.proposal.epochs, 'epoch')}, got {evaluation.epochs}"
            )
        running.evaluation = evaluation

    def _fill(self) -> Generator[Asked, None, str]:
        """Ask while a worker is free; return why asking stopped, as it would end the study."""
        while len(self._running) < self._workers:
            if not self._affords(self._searcher.budget.least(self._searcher.problem.fidelity)):
                return "budget"
            proposal = self._next()
            if proposal is None:
                return EXHAUSTED
            increment = proposal.epochs - self._asked_epochs.get(proposal.trial, 0)
            if increment < 1:
                raise SearcherError(
                    f"searcher {self._searcher.name!r} continues trial {proposal.trial} up to "
                    f"{plural(proposal.epochs, 'epoch, but', 'epochs, but')} it has been evaluated that far already"
                )
            cost = self._cost(proposal.config)
            taken = in_unit(
                self._searcher.budget.unit, evaluations=1, epochs=increment, cost=increment * cost
            )
            if not self._affords(taken):
                # A running trial that ends early gives epochs back, so the proposal may yet fit.
                self._held = proposal
                return "budget"
            self._asked_epochs[proposal.trial] = proposal.epochs
            number = self._asked
            finish = self._finite(self._clock + increment * cost)
            self._running[number] = _Running(proposal, cost, finish, taken)
            self._asked += 1
            seconds, self._ask_seconds = self._ask_seconds, 0.0
            yield Asked.of(number, proposal, self._clock, cost, seconds)
        return "budget"

    def _next(self) -> Proposal | None:
        if self._held is not None:
            proposal, self._held = self._held, None
            return proposal
        asked = self._searcher.ask()
        self._ask_seconds += self._searcher.ask_seconds
        return asked

    def _nothing_done(self) -> SearcherError:
        """Return why a study came to its end without one evaluation: that is no result."""
        name, budget = self._searcher.name, self._searcher.budget
        if self._ending == EXHAUSTED:
            return SearcherError(f"searcher {name!r} proposed nothing at all")
        held = self._held
        needed = plural(self._searcher.problem.fidelity.low if held is None else held.epochs, "epoch")
        if held is not None and budget.unit == "cost":
            needed += f" of {dict(held.config)}, at a cost of {held.epochs * self._cost(held.config):.6g}"
        return SearcherError(
            f"searcher {name!r} first needs {needed}, and the budget is {amount_in_words(budget.amount)} "
            f"{budget.unit}: that pays for no evaluation; raise the budget"
        )

    def _affords(self, taken: float) -> bool:
        """Whether the budget pays for so much more, in its unit, besides what is spent and what is running."""
        budget = self._searcher.budget
        spent = in_unit(budget.unit, evaluations=self._told, epochs=self._spent_epochs, cost=self._spent_cost)
        reserved = (running.reserved for running in self._running.values())
        return budget.covers(math.fsum([spent, *reserved, taken]))

    def _finite(self, cost: float) -> float:
        if not math.isfinite(cost):
            raise TaskError(
                f"cost adds up to more than a float holds after {plural(self._asked, 'proposal')}"
            )
        return cost

    def _tell(self, number: int) -> Told:
        running = self._running.pop(number)
        proposal, evaluation = running.proposal, running.evaluation
        assert evaluation is not None  # noqa: S101 - checked by advance
        before = self._charged.get(proposal.trial, 0)
        charge = charged_epochs(proposal, evaluation, before)
        cost = charge * running.cost
        self._charged[proposal.trial] = before + charge
        self._spent_epochs += charge
        self._spent_cost = self._finite(self._spent_cost + cost)
        self._told += 1
        unit = self._searcher.budget.unit
        self._searcher.tell(proposal, evaluation, in_unit(unit, evaluations=1, epochs=charge, cost=cost))
        objective = self._objective
        ok = evaluation.status is Status.OK
        return Told(
            number=number,
            status=evaluation.status,
            value=evaluation.curve[objective.metric][-1] if ok else None,
            test=evaluation.curve[objective.test_metric][-1] if ok and objective.test_metric else None,
            loss=objective.loss(evaluation),
            epochs=charge,
            finish=running.finish,
            seconds=evaluation.seconds(after=before),
            tell_seconds=self._searcher.tell_seconds,
            machine=evaluation.machine,
        )
