"""Hosts studies: where searchers run, in the driver's process or in a Ray actor.

A host makes each study's searcher, hands out the events it comes to, and evaluates tasks itself that cost less
than handing them over. It writes nothing: events and evaluations go to the driver, which records them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from harness import registry
from harness.checks import checked_cost, folder_kept
from harness.errors import Interruption
from harness.evaluator import Bug, Evaluated, Evaluator, Job, Lost, task_of
from harness.events import Asked, Done, Event
from harness.history import Followed, History
from harness.keys import StudyKey, TaskKey, derive_seed
from harness.machine import Machine, describe_machine
from harness.study import Study
from harness.task import Data, Task
from harness.threads import hold_to_one
from harness.trial import Evaluation

SLICE_SECONDS = 1.0
"""How long a host goes on with one study before the driver hears of it; what a lost host costs at most."""


@dataclass(frozen=True, slots=True)
class Step:
    """What a study is to go on with.

    Args:
        key: The study.
        begin: Whether it begins, with a fresh searcher.
        delivered: Evaluations it waits for, by the number of their proposal.
        recorded: At the beginning: what was evaluated in an earlier run, by number, with the evaluation's
            digest, so that a replay needs no further exchange.
        history: At the beginning: what is followed as recorded before the searcher is told of it and goes on; see
            `harness.history`. ``None``: the searcher proposes everything itself.
    """

    key: StudyKey
    begin: bool = False
    delivered: Mapping[int, Evaluation] = field(default_factory=dict)
    recorded: Mapping[int, tuple[str, Evaluation]] = field(default_factory=dict)
    history: History | None = None


@dataclass(frozen=True, slots=True)
class Stepped:
    """How far a study came.

    Attributes:
        key: The study.
        events: What happened, in order.
        evaluated: What the host evaluated itself, by the number of its proposal.
        recorded: Numbers of the proposals that were answered from `Step.recorded`.
        more: Whether it can go on without anything delivered.
        problem: Why it cannot go on: a bug of its searcher or task, or the loss of its host.
        machine: What its searcher computes with, when it began here.
    """

    key: StudyKey
    events: tuple[Event, ...] = ()
    evaluated: Mapping[int, Evaluated] = field(default_factory=dict)
    recorded: frozenset[int] = frozenset()
    more: bool = False
    problem: Bug | Lost | None = None
    machine: Machine | None = None

    @property
    def done(self) -> bool:
        """Whether the study has come to its end."""
        return bool(self.events) and isinstance(self.events[-1], Done)


@dataclass(slots=True)
class _Hosted:
    """A study under way in this process."""

    study: Study
    task: Task
    recorded: Mapping[int, tuple[str, Evaluation]]
    events: Iterator[Event] | None = None
    """Events to come; kept when a slice ends, since a study must not be asked again in the middle."""
    evaluated: dict[str, Evaluated] = field(default_factory=dict)
    """What was evaluated here, so that a point proposed twice is evaluated once, as everywhere."""


class StudyHost:
    """Runs the searchers of any number of studies, one step at a time.

    Args:
        threads: Threads one evaluation may use.
        data: Returns a task's data, read-only; asked for cheap tasks only.
    """

    def __init__(self, threads: int, data: Callable[[TaskKey], Data]) -> None:
        self._evaluator = Evaluator(threads, data)
        self._hosted: dict[str, _Hosted] = {}
        self._machines: dict[tuple[str, str], Machine] = {}
        """What each method computes with here."""

    def step(self, step: Step) -> Stepped:
        """Let a study do all it can; a bug comes back as `Stepped.problem`, never as an exception."""
        events: list[Event] = []
        evaluated: dict[int, Evaluated] = {}
        recorded: set[int] = set()
        more = False
        problem: Bug | Lost | None = None
        machine: Machine | None = None
        until = time.monotonic() + SLICE_SECONDS
        try:
            with folder_kept():
                if step.begin:
                    self._hosted[step.key.id] = self._open(step)
                    machine = self._machines[step.key.searcher, step.key.searcher_file]
                hosted = self._hosted[step.key.id]
                for number, evaluation in step.delivered.items():
                    hosted.study.deliver(number, evaluation)
                if hosted.events is None:
                    hosted.events = hosted.study.advance()
                for event in hosted.events:
                    events.append(event)
                    if isinstance(event, Asked):
                        problem = self._answer(step.key, hosted, event, evaluated, recorded)
                    if problem is not None:
                        break
                    if time.monotonic() > until and not isinstance(event, Done):
                        more = True
                        break
                else:
                    hosted.events = None
        except Interruption:
            raise
        except BaseException as error:  # noqa: BLE001 - the boundary: a bug fails its study, not the sweep
            problem = Bug.of(error)
        stepped = Stepped(step.key, tuple(events), evaluated, frozenset(recorded), more, problem, machine)
        if problem is not None or stepped.done:
            self.drop(step.key)
        return stepped

    def drop(self, key: StudyKey) -> None:
        """Forget a study."""
        self._hosted.pop(key.id, None)

    def _open(self, step: Step) -> _Hosted:
        key = step.key
        task = task_of(key.task)
        kind = registry.searcher(key.searcher, key.searcher_file)
        # The first seed would repeat the draws that the recorded trials came from.
        seed = key.search_seed if step.history is None else derive_seed(key.search_seed, len(step.history))
        searcher = kind(task.problem, seed=seed, budget=key.budget, workers=key.workers, **key.settings)
        if (key.searcher, key.searcher_file) not in self._machines:
            hold_to_one()  # what its library has just loaded; see `harness.threads`
            self._machines[key.searcher, key.searcher_file] = describe_machine("cpu", 1, kind.libraries)
        asker = searcher if step.history is None else Followed(step.history, searcher)
        study = Study(asker, workers=key.workers, cost=lambda config: checked_cost(task.cost(dict(config))))
        return _Hosted(study, task, step.recorded)

    def _answer(
        self,
        key: StudyKey,
        hosted: _Hosted,
        asked: Asked,
        evaluated: dict[int, Evaluated],
        recorded: set[int],
    ) -> Bug | Lost | None:
        """Deliver what is at hand for a proposal: recorded, or evaluated here where that is cheap."""
        number, proposal = asked.number, asked.proposal
        wanted = key.evaluation(proposal.config)
        known = hosted.recorded.get(number)
        if known is not None and known[0] == wanted.id:
            evaluation = known[1].at(proposal.epochs)
            if evaluation is not None:
                recorded.add(number)
                hosted.study.deliver(number, evaluation)
                return None
        if not hosted.task.cheap:
            return None
        outcome = hosted.evaluated.get(wanted.id)
        if outcome is None or outcome.evaluation.at(proposal.epochs) is None:
            made = self._evaluator.evaluate(Job(wanted, proposal.epochs, key.deadline))
            if not isinstance(made, Evaluated):
                return made
            outcome = hosted.evaluated[wanted.id] = made
        reached = outcome.evaluation.at(proposal.epochs)
        assert reached is not None  # noqa: S101 - the evaluator refuses an evaluation that stops short
        evaluated[number] = outcome
        hosted.study.deliver(number, reached)
        return None
