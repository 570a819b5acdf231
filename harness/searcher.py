"""The searcher contract: one HPO method behind ask and tell, with everything adapters share.

One module, because it is the contract: whoever writes an adapter reads it whole.
"""

from __future__ import annotations

import contextlib
import operator
import random
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, final

import numpy as np
from pydantic import Field

from harness.errors import (
    DerbyError,
    IncompatibleError,
    Interruption,
    ProtocolError,
    SearcherError,
    SpaceError,
    said,
    typed,
)
from harness.machine import require_libraries
from harness.options import Options
from harness.plurals import plural
from harness.space import Choice, Config, Domain, Float, Int
from harness.trial import Budget, Evaluation, Problem, Proposal, Status


@dataclass(frozen=True, slots=True, eq=False)
class Suggestion:
    """What an adapter's library proposes, before the base class has checked it.

    Args:
        config: The active parameters; numpy scalars are converted, values outside the space refused.
        epochs: Fidelity to reach; ``None`` is full fidelity.
        handle: The library's own trial object, for the adapter's ``_tell``.
        continues: The suggestion whose trial is continued with more epochs.
    """

    config: Mapping[str, Any]
    epochs: int | None = None
    handle: Any = None
    continues: Suggestion | None = None


class SearcherOptions(Options):
    """The settings that every method has. A method's own `Settings` derive from it, and add to it."""

    start_at_reference: bool = Field(
        False,
        description="begin with the space's first reference configuration: the first evaluation, paid by the "
        "budget, and told to the method like any other",
    )

    def own(self) -> dict[str, Any]:
        """Return the method's own settings by name, without those that every method has."""
        return self.model_dump(exclude=set(SearcherOptions.model_fields))


class FailureOptions(SearcherOptions):
    """The settings of a method that learns and whose library knows failures: what it is told of one."""

    on_failure: Literal["library", "impute"] = Field(
        "library",
        description="what a failed evaluation is told as: what its library offers for a failure, or, with impute, the "
        "task's failure value, as methods are told whose libraries know no failure",
    )

    def own(self) -> dict[str, Any]:
        """Return the method's own settings by name, without those that others share."""
        return self.model_dump(exclude=set(FailureOptions.model_fields))


def _starts_at_reference(settings: Options) -> bool:
    """Whether a search begins with a reference configuration; a plug-in's settings need not know of it."""
    return isinstance(settings, SearcherOptions) and settings.start_at_reference


class Searcher(ABC):
    """One HPO method behind ask/tell. Minimises.

    A subclass declares its name, its capabilities and its settings as class attributes, sets its
    library up in `_start`, and writes `_ask` and `_tell`. It imports its library inside these, not
    at the top of its module, so that listing searchers loads none.

    The base class numbers trials, validates and converts proposals, turns evaluations into finite
    losses (see `Objective.loss`), times ask and tell, and keeps global random state apart. A library's
    exception becomes a `SearcherError` that names the trial; nothing ever falls back to another method.

    A failed evaluation has a loss, too, the same for every failure: what a method is told that knows no
    other word for it. One whose library does tells it in `_fail`. A trial that failed is never continued.

    Where ``start_at_reference`` is set, the base class sees to it that the first proposal is the
    space's first reference configuration, exactly: see `_ask_at`.

    Args:
        problem: Space, fidelities and objective.
        seed: Seed of all of the method's random draws, 0 … 2³² - 1.
        budget: What the study may spend in all.
        workers: How many proposals the study evaluates at a time, at least 1: the size of a batch, for a method that
            proposes in batches. More than the budget pays for in full count for as many as it does.
        settings: The method's own settings, validated by `Settings`.

    Raises:
        IncompatibleError: The method cannot handle this problem.
        MissingLibraryError: The method's library is not installed.
        pydantic.ValidationError: A setting is unknown or not valid.
    """

    name: ClassVar[str]
    """Name in sweep files, records and figures."""
    version: ClassVar[int] = 1
    """Raised where it proposes otherwise than before from the same seed and losses; part of a study's identity."""
    package: ClassVar[str] = ""
    """Distribution and version of the plug-in that it comes from, set when it is found; empty for the project's own."""
    libraries: ClassVar[Mapping[str, str]] = {}
    """Module to distribution, of every library the adapter imports."""
    domains: ClassVar[tuple[type[Domain], ...]] = (Float, Int, Choice)
    """Kinds of parameter the method can search."""
    conditional: ClassVar[bool] = False
    """Whether it knows of parameters that are not always active."""
    drops_inactive: ClassVar[bool] = False
    """Whether it searches every parameter as if it were always active; the base class then drops, from
    what it proposes, those that are not. What its library is told is its own full proposal."""
    parallel: ClassVar[bool] = False
    """Whether it can be asked again before it was told: needed for more than one worker."""
    multi_fidelity: ClassVar[bool] = False
    """Whether it proposes fewer epochs than full fidelity, and continues trials."""
    global_random: ClassVar[bool] = False
    """Whether its library draws from numpy's or Python's global generator, which is then isolated."""
    seeded: ClassVar[bool] = True
    """Whether its proposals depend on the seed."""
    learns: ClassVar[bool] = True
    """Whether the new configurations it proposes depend on the losses it was told."""

    class Settings(SearcherOptions):
        """The method's settings."""

    settings: Options

    def __init_subclass__(cls, **arguments: Any) -> None:
        super().__init_subclass__(**arguments)
        for name in ("ask", "tell", "take", "reserve"):
            if name in vars(cls):
                raise TypeError(
                    f"{cls.__qualname__} overrides {name}, which checks what it proposes: write _{name}"
                )

    def __init__(
        self, problem: Problem, *, seed: int, budget: Budget, workers: int = 1, **settings: Any
    ) -> None:
        self.settings = self.Settings(**settings)
        reasons = self.incompatibilities(problem, budget, self.settings)
        if reasons:
            raise IncompatibleError(f"searcher {self.name!r}: " + "; ".join(reasons))
        self.require_libraries()
        self.problem = problem
        self.seed = seed
        self.budget = budget
        self.workers = max(min(workers, budget.full_evaluations(problem.fidelity)), 1)
        self._asked_ahead = self.asks_ahead(self.settings)
        self.ask_seconds = 0.0
        """Duration of the latest ask."""
        self.tell_seconds = 0.0
        """Duration of the latest tell."""
        self.told_cost = 0.0
        """What the evaluation that is being told cost, in the budget's unit: for a method that goes by cost."""
        self.starting_point: Config | None = None
        """What the search begins with, if that is given."""
        if _starts_at_reference(self.settings):
            self.starting_point = dict(next(iter(problem.space.references.values())))
        self._trials: dict[Suggestion, int] = {}
        self._trial_configs: dict[int, Config] = {}
        """Configurations by trial, of a method that continues trials."""
        self._trial_count = 0
        self._failed: set[int] = set()
        """Trials that failed, of a method that continues trials."""
        self._pending: dict[tuple[int, int], Suggestion] = {}
        self._random_state: tuple[Any, Any] | None = None
        with self._isolated(), self._library_errors("failed to start"):
            self._start()

    # What an adapter writes.

    def _start(self) -> None:  # noqa: B027 - a searcher without set-up is fine
        """Set the library up; runs once, at construction."""

    @abstractmethod
    def _ask(self) -> Suggestion | None:
        """Return the next suggestion; ``None`` when there is none until something is told, or ever."""

    def _ask_at(self, config: Config) -> Suggestion | None:
        """Return the suggestion of the starting point; called once, for the first ask of a search that has one.

        It should take part in the method like the method's own proposals do. As it stands, `_tell` gets
        a suggestion without a handle, which is enough for a method that goes by configurations
        and losses. An adapter gives the point to its library here, or in `_start`, where
        `starting_point` is known already.
        """
        return Suggestion(config)

    @abstractmethod
    def _tell(self, suggestion: Suggestion, loss: float) -> None:
        """Take the finite loss of a suggestion, the same object that `_ask` returned."""

    def _fail(self, suggestion: Suggestion, status: Status, loss: float) -> None:
        """Take a suggestion whose evaluation failed.

        As it stands, `_tell` gets the task's failure value: an adapter whose library offers something for failures
        tells it that instead, unless `imputes`.

        Args:
            suggestion: The same object that `_ask` returned.
            status: How it failed.
            loss: The failure value as a loss: no success has a larger one.
        """
        del status  # for adapters
        self._tell(suggestion, loss)

    def _take_failed(self, config: Config, status: Status, loss: float) -> None:
        """Take a configuration that was not proposed here and whose evaluation failed; see `_take` and `_fail`."""
        del status  # for adapters
        self._take(config, loss)

    @property
    def imputes(self) -> bool:
        """Whether the method is told a loss in the place of a failure although its library knows failures."""
        return isinstance(self.settings, FailureOptions) and self.settings.on_failure == "impute"

    def _take(self, config: Config, loss: float) -> None:
        """Take a configuration and its finite loss that were not proposed here, as the library's users would tell it.

        Optional: a method whose state cannot be had from its trials alone leaves it as it is. Called before
        the first ask, but for trials that were under way; the seed is not the one the trials were proposed with.
        """
        raise NotImplementedError

    @classmethod
    def incompatibilities(cls, problem: Problem, budget: Budget, settings: Options) -> list[str]:
        """Return why the method cannot handle this problem; empty when it can. Extend it, don't replace it."""
        del budget  # for subclasses
        reasons = []
        for name, domain in problem.space.parameters.items():
            if not isinstance(domain, cls.domains):
                kinds = ", ".join(kind.__name__ for kind in cls.domains)
                reasons.append(f"parameter {name!r} is a {type(domain).__name__}; it searches {kinds} only")
        if problem.space.conditions and not (cls.conditional or cls.drops_inactive):
            names = ", ".join(repr(name) for name in problem.space.conditions)
            reasons.append(f"it cannot search conditional parameters ({names})")
        if _starts_at_reference(settings) and not problem.space.references:
            reasons.append("start_at_reference is set, but this space has no reference configuration")
        return reasons

    @classmethod
    def least_epochs(cls, problem: Problem, budget: Budget, settings: Options) -> int:
        """Return the epochs of the shortest evaluation that a search can begin with: a smaller budget pays for none.

        Full fidelity, but for a method that searches fidelities; there, what its first rung trains.
        """
        del budget, settings  # for subclasses
        return problem.fidelity.low if cls.multi_fidelity else problem.fidelity.high

    @classmethod
    def asks_ahead(cls, settings: Options) -> bool:
        """Whether, with these settings, it can be asked again before it was told; as a rule, what `parallel` says."""
        del settings  # for subclasses
        return cls.parallel

    # What everyone else calls.

    @classmethod
    def origin(cls) -> dict[str, str]:
        """Return the plug-in that it comes from and its version; nothing for the project's own."""
        name, _, version = cls.package.partition(" ")
        return {name: version} if name else {}

    @classmethod
    def require_libraries(cls) -> None:
        """Raise `MissingLibraryError` unless the method's libraries are installed."""
        require_libraries(f"searcher {cls.name!r}", cls.libraries)

    @final
    def ask(self) -> Proposal | None:
        """Return the next proposal; ``None``: nothing to propose until something is told, or ever.

        Raises:
            SearcherError: The library failed, or proposed something that is not in the space.
        """
        if self._pending and not (self.parallel and self._asked_ahead):
            return None
        began = time.perf_counter()
        action = f"failed to propose a configuration after {plural(self._trial_count, 'trial')}"
        with self._isolated(), self._library_errors(action):
            start = None if self._trial_count else self.starting_point
            suggestion = self._ask() if start is None else self._ask_at(start)
        if suggestion is None:
            self.ask_seconds = time.perf_counter() - began
            return None
        proposal = self._proposal(suggestion)
        if start is not None and dict(proposal.config) != start:
            raise SearcherError(
                f"searcher {self.name!r} should begin with the reference configuration {start}, and "
                f"{self._proposer} proposed {dict(proposal.config)}"
            )
        self._pending[proposal.trial, proposal.epochs] = suggestion
        self.ask_seconds = time.perf_counter() - began
        return proposal

    @final
    def tell(self, proposal: Proposal, evaluation: Evaluation, cost: float | None = None) -> None:
        """Take the evaluation of a proposal that `ask` returned, once.

        Args:
            proposal: What `ask` returned.
            evaluation: What came of it.
            cost: What it is charged, in the budget's unit; ``None``: as on average, see `Budget.usual`.

        Raises:
            ProtocolError: The proposal was never asked, or has been told already.
            SearcherError: The library failed.
        """
        suggestion = self._pending.pop((proposal.trial, proposal.epochs), None)
        if suggestion is None:
            raise ProtocolError(
                f"searcher {self.name!r} was told about trial {proposal.trial} at {plural(proposal.epochs, 'epoch')}, "
                "which is not waiting for an evaluation: tell each proposal that ask() returned exactly once"
            )
        loss = self.problem.objective.loss(evaluation)
        usual = self.budget.usual(evaluation.epochs, self.problem.fidelity)
        self.told_cost = usual if cost is None else cost
        began = time.perf_counter()
        action = f"failed to take loss {loss!r} of trial {proposal.trial}, {dict(proposal.config)}"
        with self._isolated(), self._library_errors(action):
            if evaluation.status is Status.OK:
                self._tell(suggestion, loss)
            else:
                self._fail(suggestion, evaluation.status, loss)
        if evaluation.status is not Status.OK and self.multi_fidelity:
            self._failed.add(proposal.trial)
        self.tell_seconds = time.perf_counter() - began

    @classmethod
    def takes(cls) -> bool:
        """Whether it can be told trials that it did not propose: those of an earlier run, say."""
        return cls._take is not Searcher._take

    @final
    def take(self, proposal: Proposal, evaluation: Evaluation) -> None:
        """Take a trial that this searcher did not propose, as the library's own users would tell it one.

        Raises:
            ProtocolError: The method has no way to be told such trials; see `takes`.
            SearcherError: The library failed.
        """
        if not self.takes():
            raise ProtocolError(f"searcher {self.name!r} cannot be told trials that it did not propose")
        self.reserve(proposal.trial + 1)
        loss = self.problem.objective.loss(evaluation)
        config = dict(proposal.config)
        action = f"failed to take loss {loss!r} of trial {proposal.trial} of the record, {config}"
        with self._isolated(), self._library_errors(action):
            if evaluation.status is Status.OK:
                self._take(config, loss)
            else:
                self._take_failed(config, evaluation.status, loss)

    @final
    def reserve(self, trials: int) -> None:
        """Number new trials from ``trials`` on, at least: those before are on record."""
        self._trial_count = max(self._trial_count, trials)

    # Checks and isolation.

    @property
    def _proposer(self) -> str:
        """Name who proposes, for messages: its library, or the method itself where it uses none or is a user's file."""
        file = self.package.partition(" ")[0].endswith(".py")
        return "its library" if self.libraries and not file else "it"

    def _proposal(self, suggestion: Suggestion) -> Proposal:
        """Check a suggestion and number it."""
        if not isinstance(suggestion, Suggestion):
            raise SearcherError(
                f"searcher {self.name!r} must propose a Suggestion or None, got {typed(suggestion)}"
            )
        fidelity = self.problem.fidelity
        before = suggestion.continues
        trial = self._trial_count if before is None else self._trials.get(before)
        where = f"searcher {self.name!r}, trial {trial}"
        if trial is None:
            raise SearcherError(f"searcher {self.name!r} continues a suggestion that was never proposed")
        try:
            epochs = fidelity.high if suggestion.epochs is None else operator.index(suggestion.epochs)
            plain = {
                k: v.item() if isinstance(v, np.generic) else v for k, v in dict(suggestion.config).items()
            }
        except (TypeError, ValueError):
            raise SearcherError(
                f"{where}: a suggestion needs a mapping of parameters to values and a whole number of epochs, got "
                f"{typed(suggestion.config)} and {typed(suggestion.epochs)}"
            ) from None
        try:
            if self.drops_inactive:
                plain = self.problem.space.active_part(plain)
            config = self.problem.space.validate(plain)
        except SpaceError as error:
            raise SearcherError(f"{where}: {self._proposer} proposed {plain}: {error}") from None
        except Exception as error:
            raise SearcherError(
                f"{where}: {self._proposer} proposed {typed(plain)}: {said(error)}"
            ) from error
        if not fidelity.low <= epochs <= fidelity.high:
            raise SearcherError(f"{where}: proposed {plural(epochs, 'epoch')}, outside {fidelity}")
        if before is not None and trial in self._failed:
            raise SearcherError(
                f"{where}: continued, and its evaluation failed: what is told in _fail must not be continued"
            )
        if before is not None and config != self._trial_configs[trial]:
            raise SearcherError(
                f"{where}: continued under another configuration, {config}; it began with {self._trial_configs[trial]}"
            )
        if (trial, epochs) in self._pending:
            raise SearcherError(
                f"{where}: proposed twice at {plural(epochs, 'epoch')} without waiting for the first"
            )
        self._trials[suggestion] = trial
        if self.multi_fidelity:
            self._trial_configs[trial] = config
        self._trial_count = max(self._trial_count, trial + 1)
        return Proposal(trial, config, epochs)

    @contextlib.contextmanager
    def _library_errors(self, action: str) -> Iterator[None]:
        try:
            yield
        except DerbyError:
            raise
        except Interruption:
            raise
        except BaseException as error:
            raise SearcherError(f"searcher {self.name!r} {action}: {said(error)}") from error

    @contextlib.contextmanager
    def _isolated(self) -> Iterator[None]:
        """Swap the searcher's own global random state in, and the caller's back afterwards."""
        if not self.global_random:
            yield
            return
        callers = (random.getstate(), np.random.get_state())  # noqa: NPY002 - this is the global generator
        if self._random_state is None:
            random.seed(self.seed)
            np.random.seed(self.seed)  # noqa: NPY002
        else:
            random.setstate(self._random_state[0])
            np.random.set_state(self._random_state[1])  # noqa: NPY002
        try:
            yield
        finally:
            self._random_state = (random.getstate(), np.random.get_state())  # noqa: NPY002
            random.setstate(callers[0])
            np.random.set_state(callers[1])  # noqa: NPY002
