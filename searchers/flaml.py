"""FLAML's cost-frugal searches: CFO, a randomised direct search, and BlendSearch, which blends it with TPE."""

from __future__ import annotations

import logging
import math
import operator
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, ClassVar, Final

from pydantic import Field

from harness.errors import SpaceError, nearest
from harness.options import Options
from harness.searcher import FailureOptions, Searcher, Suggestion
from harness.space import Choice, Config, Domain, Float, Scalar, Space
from harness.trial import Budget, Problem, Status
from searchers import _adapt

LOSS: Final = "loss"
"""The metric under which FLAML is told our losses."""
COST: Final = "cost"
"""The attribute of a result under which it is told what an evaluation cost."""
TRIES: Final = 100
"""How often ``tune.run`` asks in a row before it takes a search for ended: its ``max_failure``."""


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence FLAML's and Optuna's logs below errors, leaving the levels as they are set afterwards."""
    import optuna

    del optuna  # when first imported it sets the level that is set here
    loggers = [logging.getLogger(name) for name in ("flaml", "optuna", "ray.tune.search")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(max(logger.level, logging.ERROR))
    try:
        with _adapt.ignored_warnings():
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _numeric(domain: Choice) -> bool:
    """Whether FLAML takes these categories for ordered: they are numbers, and it can tell them apart."""
    return all(isinstance(value, int | float) for value in domain.values) and len(set(domain.values)) == len(
        domain.values
    )


def _given(domain: Domain, value: Scalar) -> Any:
    """Return a value as FLAML is given it: a category that isn't a number as its position, as text."""
    if isinstance(domain, Choice) and not _numeric(domain):
        return str(domain.index(value))
    return value


def _decoded(domain: Domain, value: Any) -> Scalar:
    if isinstance(domain, Choice):
        return domain.values[domain.values.index(value) if _numeric(domain) else int(value)]
    return _adapt.clipped(domain, float(value)) if isinstance(domain, Float) else operator.index(value)


def flaml_space(space: Space) -> dict[str, Any]:
    """Return FLAML's domains of a space, without the numbers that have one value. Conditions are not expressed.

    The upper bound of its integers is exclusive. Categories that are all numbers are given as they are, because
    FLAML sorts such and takes them for ordered; others are given as their positions, as text, because it looks
    categories up with ``==``, and draws them through a numpy array, which has one type.
    """
    constants = _adapt.constants(space)
    return {name: _domain(domain) for name, domain in space.parameters.items() if name not in constants}


def _domain(domain: Domain) -> Any:
    from flaml import tune

    if isinstance(domain, Choice):
        return tune.choice([_given(domain, value) for value in domain.values])
    if isinstance(domain, Float):
        return (tune.loguniform if domain.log else tune.uniform)(domain.low, domain.high)
    return (tune.lograndint if domain.log else tune.randint)(domain.low, domain.high + 1)


class _FlamlSearcher(Searcher):
    """A `flaml.tune` search algorithm, driven as ``flaml.tune.run`` drives it.

    Each ask is a ``suggest``, and each tell what a function leads to that returns its loss: ``on_trial_result``, then
    ``on_trial_complete``. A search that suggests nothing is asked again at once, as often as ``tune.run`` does by
    default, 100 times; then it waits for what is running, or has ended.

    No decision is taken by the clock: FLAML takes such only where it is given a ``time_budget_s``. Of a budget of
    evaluations it is told the number (``num_samples``); of one of epochs or of cost, what each evaluation was
    charged is its ``cost_attr``, and the budget its ``cost_budget``.

    The library's seeds go on from the given one, within 32 bits: of seeds from 2³¹ on, it gets the remainder.
    """

    # Ray is required, although FLAML does without: where it is there, FLAML takes Ray Tune's domains for its own, whose
    # numbers differ in the last digit.
    libraries: ClassVar[dict[str, str]] = {"flaml": "flaml", "ray": "ray[tune]", "optuna": "optuna"}
    drops_inactive: ClassVar[bool] = True
    parallel: ClassVar[bool] = True

    class Settings(FailureOptions):
        """Settings of CFO and BlendSearch, under the names of their arguments."""

        low_cost_partial_config: dict[str, bool | int | float | str] = Field(
            {},
            description="values, of some parameters, at which an evaluation is cheap: the local search begins there",
        )

    settings: Settings

    @classmethod
    def incompatibilities(cls, problem: Problem, budget: Budget, settings: Options) -> list[str]:
        """Refuse, besides, names that FLAML would take apart, and a low-cost configuration outside the space."""
        reasons = super().incompatibilities(problem, budget, settings)
        parameters = problem.space.parameters
        for name in parameters:
            if "/" in name or ":" in name or name.endswith("_choice_"):
                reasons.append(
                    f"parameter {name!r}: FLAML gives / and : and an end of _choice_ a meaning in names"
                )
        for name, value in getattr(settings, "low_cost_partial_config", {}).items():
            try:
                if name not in parameters:
                    reasons.append(
                        f"low_cost_partial_config: no parameter {name!r}; {nearest(name, parameters)}"
                    )
                else:
                    parameters[name].canonical(value)
            except SpaceError as error:
                reasons.append(f"low_cost_partial_config, {name!r}: {error}")
        return reasons

    def _algorithm(self, flaml: Any, **arguments: Any) -> Any:
        """Return the library's search algorithm."""
        raise NotImplementedError

    def _start(self) -> None:
        self._recorded: list[tuple[dict[str, Any], float]] = []
        """Points that were not proposed here, and their losses: what ``evaluated_rewards`` are for."""
        self._begin()

    def _begin(self) -> None:
        """Make the library's search anew."""
        parameters = self.problem.space.parameters
        self._stale = False
        self._suggested = 0
        self._running = 0
        self._ended = False
        self._search: Any = None
        with _quiet():
            import flaml

            space = flaml_space(self.problem.space)
            if not space:  # a single point
                return
            low_cost = {
                name: _given(parameters[name], parameters[name].canonical(value))
                for name, value in self.settings.low_cost_partial_config.items()
                if name in space
            }
            points = [point for point, _ in self._recorded]
            if self.starting_point is not None and not points:
                points = [self._point(self.starting_point)]
            by_cost = self.budget.unit != "evaluations"
            self._search = self._algorithm(
                flaml,
                metric=LOSS,
                mode="min",
                space=space,
                seed=self.seed % 2**31,
                low_cost_partial_config=low_cost or None,
                points_to_evaluate=points or None,
                evaluated_rewards=[loss for _, loss in self._recorded] or None,
                **({"cost_attr": COST, "cost_budget": self.budget.amount} if by_cost else {}),
            )
            if not by_cost:
                self._search.set_search_properties(LOSS, "min", None, num_samples=int(self.budget.amount))

    def _point(self, config: Config) -> dict[str, Any]:
        """Return a configuration as FLAML is given it."""
        parameters = self.problem.space.parameters
        complete = _adapt.completed(self.problem.space, config)
        constants = _adapt.constants(self.problem.space)
        return {
            name: _given(parameters[name], value) for name, value in complete.items() if name not in constants
        }

    def _ask(self) -> Suggestion | None:
        if self._stale:
            self._begin()
        parameters = self.problem.space.parameters
        config = _adapt.constants(self.problem.space)
        if self._search is None:
            return Suggestion(config)
        if self._ended:
            return None
        with _quiet():
            for _ in range(TRIES):
                self._suggested += 1
                trial = f"{self._suggested:08d}"
                values = self._search.suggest(trial)
                if values is not None:
                    self._running += 1
                    config.update({name: _decoded(parameters[name], value) for name, value in values.items()})
                    return Suggestion(
                        {name: config[name] for name in parameters}, handle=(trial, dict(values))
                    )
        self._ended = not self._running
        return None

    def _ask_at(self, config: Config) -> Suggestion | None:
        suggestion = self._ask()  # the library has had it from the start, and rounds it
        return None if suggestion is None else replace(suggestion, config=config)

    def _tell(self, suggestion: Suggestion, loss: float) -> None:
        if self._search is None:
            return
        trial, values = suggestion.handle
        self._running -= 1
        result = {LOSS: loss, COST: self.told_cost, "training_iteration": 0, "config": values}
        result |= {f"config/{name}": value for name, value in values.items()}
        with _quiet():
            self._search.on_trial_result(trial, result)
            self._search.on_trial_complete(trial, result)

    def _fail(self, suggestion: Suggestion, status: Status, loss: float) -> None:
        if self.imputes:
            self._tell(suggestion, loss)
        elif status is Status.DIVERGED:
            self._tell(suggestion, math.inf)
        elif self._search is not None:
            self._running -= 1
            with _quiet():
                self._search.on_trial_complete(suggestion.handle[0], None, error=True)

    def _take(self, config: Config, loss: float) -> None:
        """Begin with what is known, as ``points_to_evaluate`` with their ``evaluated_rewards``."""
        self._recorded.append((self._point(config), loss))
        self._stale = not self._suggested

    def _take_failed(self, config: Config, status: Status, loss: float) -> None:
        if self.imputes or status is Status.DIVERGED:
            self._take(config, loss if self.imputes else math.inf)


class FlamlCFO(_FlamlSearcher):
    """Cost-frugal optimisation (CFO), by FLAML's ``CFO``: a randomised direct search with restarts (FLOW²).

    From a starting point it goes a step in a random direction, or, if that was no better, in the opposite one. The
    step shrinks while nothing gets better; once it is small the search begins again near its start. No gradient or
    model is fitted, so that a proposal takes next to no time.

    It proposes exactly what ``flaml.tune.run`` does with ``search_alg=CFO(seed=seed, …)`` and, of a budget of
    evaluations, as many ``num_samples``; of one of epochs or of cost with ``cost_attr`` and ``cost_budget``. With
    ``start_at_reference`` the reference configuration is its ``points_to_evaluate``, from which it then searches;
    ``low_cost_partial_config`` names cheap values of some parameters, from which it sets out otherwise.

    A training that diverges is reported as an infinite loss, which is how FLAML has a bad configuration told; one that
    crashed or ran out of time as a trial in error, which is for failures that say nothing of the configuration, by
    ``on_trial_complete(error=True)``, as Ray Tune's controller does.

    With several workers it suggests again before it was told, from the same centre of its search. Until there is one,
    as long as its first point is being evaluated, the others are random.

    Of recorded trials it takes the best for its start, by ``evaluated_rewards``; of these only such as ended before its
    first proposal.

    It knows conditional parameters only as alternatives with parameters all their own. They are searched as if always
    active here, and dropped from a proposal where they aren't.

    Surprises of the library:

    * Categories that are all numbers, true and false among them, are sorted and taken for ordered, whatever their
      order in the space; a step in any other category is to a random one.
    * It evaluates no configuration twice, and ends where it finds nothing new in 100 tries.
    * The loop of ``tune.run`` itself, without Ray or Spark, ends at the first trial in error (the end of
      ``flaml/tune/tune.py`` in FLAML 2.7), and its runners tell the search nothing of one (``stop_trial`` in
      ``trial_runner.py``). Here the search is told and goes on, as where Ray Tune drives it.
    * Where a search algorithm is named by text, ``tune.run`` passes no seed, and all its runs are those of seed 20.
    * With Ray installed it takes Ray Tune's domains, without it its own, whose numbers differ in the last
      digit: hence Ray is required here.

    References: Q. Wu, C. Wang and S. Huang, "Frugal Optimization for Cost-related Hyperparameters", AAAI 2021,
    arXiv:2005.01571. Defaults are those of FLAML 2.7.
    """

    name = "flaml_cfo"

    def _algorithm(self, flaml: Any, **arguments: Any) -> Any:
        return flaml.CFO(**arguments)


class FlamlBlendSearch(_FlamlSearcher):
    """BlendSearch, by FLAML's ``BlendSearch``: local searches begun from the proposals of a global one.

    The global search is Optuna's TPE. Where it finds something good, a local search as in ``flaml_cfo`` begins. Which
    of them proposes next is decided by how quickly each improves and what an improvement is expected to cost. Proposals
    of the global search outside the region reached so far are put off.

    It proposes exactly what ``flaml.tune.run`` does with ``search_alg=BlendSearch(seed=seed, …)`` and, of a budget of
    evaluations, as many ``num_samples``; of one of epochs or of cost with ``cost_attr`` and ``cost_budget``, by which
    it then weighs its searches. ``start_at_reference``, ``low_cost_partial_config``, failures, several workers and
    conditional parameters are as of ``flaml_cfo``.

    Surprises of the library, besides those of ``flaml_cfo``:

    * A trial in error is never told to the global search (``flaml/tune/searcher/search_thread.py``), for whose TPE it
      goes on running, and so counts as a bad one.
    * TPE has the seed less ten, or for seeds below ten the last of 32 bits.

    References: C. Wang, Q. Wu, S. Huang and A. Saied, "Economic Hyperparameter Optimization With Blended Search
    Strategy", ICLR 2021. Defaults are those of FLAML 2.7.
    """

    name = "flaml_blendsearch"

    class Settings(_FlamlSearcher.Settings):
        """Settings of BlendSearch, under the names of its arguments."""

        experimental: bool = Field(
            False, description="have TPE model parameters jointly, also in groups that occur together"
        )

    settings: Settings

    def _algorithm(self, flaml: Any, **arguments: Any) -> Any:
        return flaml.BlendSearch(**arguments, experimental=self.settings.experimental)
