"""Ax's Bayesian optimisation, on BoTorch's Gaussian processes."""

from __future__ import annotations

import logging
import math
import operator
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar, Final, Literal

from pydantic import Field

from harness.options import Options
from harness.searcher import FailureOptions, Searcher, Suggestion
from harness.space import Choice, Config, Domain, Float, Scalar, Space
from harness.trial import Budget, Problem, Status
from searchers import _adapt

LOSS: Final = "loss"
"""The metric under which Ax is told our losses; an objective of ``-loss`` has it minimise them."""
LEAST_RANGE: Final = 1.5e-5
"""The narrowest range that Ax takes for a real parameter, also for one on a logarithmic scale."""


@contextmanager
def _at_work() -> Iterator[None]:
    """Keep Ax's log below errors from the screen, and PyTorch on one thread: more change last digits."""
    disabled = logging.root.manager.disable
    logging.disable(max(disabled, logging.WARNING))  # the handler comes with the import, which logs already
    try:
        import torch

        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            with _adapt.ignored_warnings():
                yield
        finally:
            torch.set_num_threads(threads)
    finally:
        logging.disable(disabled)


def _kind(domain: Choice) -> Literal["bool", "int", "float", "str"] | None:
    """Return Ax's name of the one type that all categories have; ``None``: there are several."""
    names: dict[type, Literal["bool", "int", "float", "str"]]
    names = {bool: "bool", int: "int", float: "float", str: "str"}
    kinds = {type(value) for value in domain.values}
    return names[kinds.pop()] if len(kinds) == 1 else None


def _given(domain: Domain, value: Scalar) -> Scalar:
    """Return a value as Ax is given it: categories of several types as their positions, as text."""
    if isinstance(domain, Choice) and _kind(domain) is None:
        return str(domain.index(value))
    return value


def _decoded(domain: Domain, value: Any) -> Scalar:
    if isinstance(domain, Choice):
        return domain.values[int(value) if _kind(domain) is None else domain.values.index(value)]
    return _adapt.clipped(domain, float(value)) if isinstance(domain, Float) else operator.index(value)


def hierarchical(space: Space) -> bool:
    """Whether Ax can express a space's conditions: by trees, in which a parameter hangs on one value of a choice."""
    return bool(space.conditions) and all(
        len(condition.values) == 1 and isinstance(space.parameters[condition.parent], Choice)
        for condition in space.conditions.values()
    )


def ax_parameters(space: Space) -> list[Any]:
    """Return Ax's configurations of a space's parameters, without the numbers that have one value."""
    from ax.api.configs import ChoiceParameterConfig, RangeParameterConfig

    constants = _adapt.constants(space)
    dependents: dict[str, dict[Scalar, list[str]]] = {}
    if hierarchical(space):
        for name, condition in space.conditions.items():
            if name not in constants:
                parent = space.parameters[condition.parent]
                value = _given(parent, parent.canonical(condition.values[0]))
                dependents.setdefault(condition.parent, {}).setdefault(value, []).append(name)
    parameters: list[Any] = []
    for name, domain in space.parameters.items():
        if name in constants:
            continue
        if isinstance(domain, Choice):
            parameters.append(
                ChoiceParameterConfig(
                    name=name,
                    values=[_given(domain, value) for value in domain.values],
                    parameter_type=_kind(domain) or "str",
                    dependent_parameters=dependents.get(name),
                )
            )
        else:
            parameters.append(
                RangeParameterConfig(
                    name=name,
                    bounds=(domain.low, domain.high),
                    parameter_type="float" if isinstance(domain, Float) else "int",
                    scaling="log" if domain.log else "linear",
                )
            )
    return parameters


class AxBotorch(Searcher):
    """Bayesian optimisation with a Gaussian process, by Ax's ``Client`` on BoTorch.

    The first trial is the middle of the space, the next are of a scrambled Sobol' sequence, five in all. Then a
    Gaussian process is fitted to all trials that were completed, and each trial is the maximiser of BoTorch's log
    expected improvement for noisy losses.

    It proposes exactly what the loop of Ax's documentation does, with ``Client(random_seed=seed)``, an objective of
    ``-loss``, and for each trial ``get_next_trials`` and ``complete_trial``. With ``start_at_reference`` the
    reference configuration is attached by ``attach_trial``, and counts as one of the initial trials. A failed
    evaluation is told by ``mark_trial_failed``: the model leaves it out, and it is no initial trial.

    With several workers it is asked for as many trials as there are free workers, by ``get_next_trials(max_trials)``,
    and again where it gave fewer; running trials are pending points of its model. Once the initial trials are out, free
    workers wait until half of these are back.

    A conditional parameter is a dependent parameter of Ax's, if each in the space hangs on one value of a choice:
    that is what Ax can express. In any other space all are searched as if they were always active, and
    dropped from a proposal where they aren't.

    Surprises of the library:

    * Of its methods this is ``fast``, the default; ``quality`` needs NumPyro and JAX, and takes minutes a trial.
    * Every call of ``get_next_trials`` begins with the same seed again (``ax/api/client.py``).
    * Choices of numbers are sorted and taken for ordered; so is any choice between two values.
    * It may propose the configuration of a failed trial again, but no other twice: where none is left, it has ended.
    * Where the model cannot be fitted or its proposal was there before, a Sobol' point takes its place.
    * Losses are standardised, so that with ``on_failure: impute`` a failure value far from the others flattens all
      that the model sees.
    * Numbers may differ between versions of PyTorch. It uses one thread.

    References: M. Olson et al., "Ax: A Platform for Adaptive Experimentation", AutoML 2025; M. Balandat et al.,
    "BoTorch: A Framework for Efficient Monte-Carlo Bayesian Optimization", NeurIPS 2020; S. Ament et al.,
    "Unexpected Improvements to Expected Improvement for Bayesian Optimization", NeurIPS 2023. Defaults are those
    of Ax 1.3.
    """

    name = "ax_botorch"
    libraries: ClassVar[dict[str, str]] = {"ax": "ax-platform", "botorch": "botorch", "torch": "torch"}
    conditional: ClassVar[bool] = True
    drops_inactive: ClassVar[bool] = True
    parallel: ClassVar[bool] = True

    class Settings(FailureOptions):
        """Settings of Ax, under the names of `configure_generation_strategy`'s arguments."""

        initialization_budget: int | None = Field(
            None, ge=0, description="trials before the model is used; null leaves it to Ax, which takes five"
        )
        initialize_with_center: bool = Field(True, description="begin with the middle of the space")
        min_observed_initialization_trials: int | None = Field(
            None,
            ge=1,
            description="of these, how many must be completed first; null leaves it to Ax: half of them",
        )
        allow_exceeding_initialization_budget: bool = Field(
            False, description="where several workers wait for initial trials, make more of these"
        )
        simplify_parameter_changes: bool = Field(
            False, description="take back what a proposal changes without need"
        )

    settings: Settings

    @classmethod
    def incompatibilities(cls, problem: Problem, budget: Budget, settings: Options) -> list[str]:
        """Refuse, besides, ranges that are too narrow for Ax."""
        reasons = super().incompatibilities(problem, budget, settings)
        for name, domain in problem.space.parameters.items():
            if isinstance(domain, Float) and 0 < domain.high - domain.low < LEAST_RANGE:
                reasons.append(
                    f"parameter {name!r}: Ax takes no range narrower than {LEAST_RANGE:g}, got {domain}; scale it"
                )
        return reasons

    def _start(self) -> None:
        space = self.problem.space
        self._queue: deque[tuple[int, dict[str, Any]]] = deque()
        """Trials of the latest call that were not proposed yet."""
        self._running = 0
        self._completed = 0
        self._ended = False
        self._hierarchical = hierarchical(space)
        self._size = space.size() if self._hierarchical else _size(space)
        """How many configurations Ax tells apart; ``None``: no end of them."""
        self._client: Any = None
        with _at_work():
            parameters = ax_parameters(space)
            if not parameters:  # a single point
                return
            from ax.api.client import Client

            self._client = Client(random_seed=self.seed)
            self._client.configure_experiment(parameters=parameters)
            self._client.configure_optimization(objective=f"-{LOSS}")
            self._client.configure_generation_strategy(**self.settings.own())

    def _ask(self) -> Suggestion | None:
        if self._client is None:
            return Suggestion(_adapt.constants(self.problem.space))
        if not self._queue and not self._ended:
            self._queue.extend(self._next_trials(max(self.workers - self._running, 1)))
        if not self._queue:
            self._ended = not self._running
            return None
        index, values = self._queue.popleft()
        parameters = self.problem.space.parameters
        config = {name: _decoded(parameters[name], value) for name, value in values.items()}
        constants = _adapt.constants(self.problem.space)
        return Suggestion(self.problem.space.active_part({**constants, **config}), handle=index)

    def _next_trials(self, wanted: int) -> list[tuple[int, dict[str, Any]]]:
        """Return up to so many new trials, with their numbers; none while Ax waits for others, or has no more."""
        from ax.exceptions.core import DataRequiredError, OptimizationComplete
        from ax.exceptions.generation_strategy import MaxParallelismReachedException

        if self._size is not None:
            # Ax would find out by drawing in vain ten thousand times, which takes it minutes.
            wanted = min(wanted, self._size - self._running - self._completed)
            if wanted < 1:
                return []
        with _at_work():
            try:
                trials = self._client.get_next_trials(max_trials=wanted)
            except OptimizationComplete:  # nothing is left
                return []
            except (DataRequiredError, MaxParallelismReachedException, ExceptionGroup) as blocked:
                # It waits for trials that run; of a node's criteria it raises all that say so, as a group.
                reasons = blocked.exceptions if isinstance(blocked, ExceptionGroup) else (blocked,)
                waits = all(
                    isinstance(each, DataRequiredError | MaxParallelismReachedException) for each in reasons
                )
                if not (waits and self._running):
                    raise
                return []
        self._running += len(trials)
        return list(trials.items())

    def _ask_at(self, config: Config) -> Suggestion | None:
        return Suggestion(config, handle=self._attached(config))

    def _attached(self, config: Config) -> int | None:
        """Attach a trial of a configuration; return its number in Ax."""
        if self._client is None:
            return None
        space = self.problem.space
        complete = config if self._hierarchical else _adapt.completed(space, config)
        constants = _adapt.constants(space)
        values = {
            name: _given(space.parameters[name], value)
            for name, value in complete.items()
            if name not in constants
        }
        self._running += 1
        with _at_work():
            return int(self._client.attach_trial(parameters=values))

    def _tell(self, suggestion: Suggestion, loss: float) -> None:
        self._complete(suggestion.handle, loss)

    def _fail(self, suggestion: Suggestion, status: Status, loss: float) -> None:
        self._complete(suggestion.handle, loss if self.imputes else None)

    def _take(self, config: Config, loss: float) -> None:
        """Attach and complete a trial."""
        self._complete(self._attached(config), loss)

    def _take_failed(self, config: Config, status: Status, loss: float) -> None:
        self._complete(self._attached(config), loss if self.imputes else None)

    def _complete(self, index: int | None, loss: float | None) -> None:
        """Tell the end of a trial; without a loss it has failed."""
        if index is None:  # the space is a single point
            return
        self._running -= 1
        with _at_work():
            if loss is None:
                self._client.mark_trial_failed(index)
            else:
                self._completed += 1
                self._client.complete_trial(index, raw_data={LOSS: loss})


def _size(space: Space) -> int | None:
    """Return how many configurations a space has where every parameter is always active; ``None``: no end of them."""
    sizes = [domain.size for domain in space.parameters.values()]
    return None if None in sizes else math.prod(size for size in sizes if size is not None)
