"""Nevergrad's optimizers, any of those that it has registered by its name."""

from __future__ import annotations

import math
import operator
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any, ClassVar

from pydantic import Field

from harness.errors import IncompatibleError
from harness.options import Options
from harness.searcher import FailureOptions, Searcher, Suggestion
from harness.space import Choice, Config, Domain, Float, Scalar, Space
from harness.trial import Budget, Problem, Status
from searchers import _adapt
from searchers._nevergrad import Threads, imported, mended, registered


def parametrization(space: Space) -> Any:
    """Return a space as Nevergrad's ``Instrumentation``, written as its documentation writes one.

    A real parameter is a ``Scalar`` or a ``Log`` between its bounds, a whole one the same with ``set_integer_casting``,
    and a categorical one a ``Choice`` of the positions of its values. Where other parameters depend on a category, that
    option is a ``Dict`` of the position and of them: one that is active under several categories is a parameter of its
    own in each. Numbers of one value are left out.

    Example:
        >>> from harness.space import Int
        >>> parametrization(Space({"units": Int(4, 64), "kind": Choice(("a", "b"))})).dimension
        3
    """
    p = imported().p
    fixed = _adapt.constants(space)

    def number(domain: Domain) -> Any:
        assert not isinstance(domain, Choice)  # noqa: S101 - tells the type checker
        made = (p.Log if domain.log else p.Scalar)(lower=domain.low, upper=domain.high)
        return made if isinstance(domain, Float) else made.set_integer_casting()

    def options(name: str, domain: Choice) -> Any:
        made: list[Any] = []
        for position, value in enumerate(domain.values):
            own = below(name, value)
            made.append(p.Dict(**{name: position, **own}) if own else position)
        return p.Choice(made)

    def below(parent: str | None, value: Scalar | None = None) -> dict[str, Any]:
        names = [name for name in _adapt.dependents(space, parent, value) if name not in fixed]
        domains = {name: space.parameters[name] for name in names}
        return {
            name: options(name, domain) if isinstance(domain, Choice) else number(domain)
            for name, domain in domains.items()
        }

    return p.Instrumentation(**below(None))


def _flat(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of nested options beside the others."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        found.update(_flat(value) if isinstance(value, dict) else {name: value})
    return found


def _decoded(domain: Domain, value: Any) -> Scalar:
    if isinstance(domain, Choice):
        return domain.values[operator.index(value)]
    return _adapt.clipped(domain, float(value)) if isinstance(domain, Float) else operator.index(value)


class NevergradSearcher(Searcher):
    """One of Nevergrad's optimizers, asked and told; to be subclassed with its name.

    The space is what `parametrization` makes of it: Nevergrad's ``Scalar``, ``Log`` and ``Choice``, with the
    parameters that depend on a category inside of that option. The optimizer is given the evaluations that the budget
    pays for in full, and the number of workers, as its ``budget`` and ``num_workers``; the seed is that of the
    parametrization's ``random_state``, and numpy's global generator is seeded with it, too.

    It proposes exactly what a loop of ``ask`` and ``tell`` does, which for one worker is ``minimize``.

    * With ``start_at_reference`` the reference configuration is suggested (``Optimizer.suggest``) before the first ask.
    * A failed evaluation is told as a loss that is not a number, which Nevergrad takes as 5e20: that is how it treats
      an objective that returns one.
    * With several workers it is asked again before it was told. An optimizer that can't be (``no_parallelization``)
      is refused.
    """

    libraries: ClassVar[dict[str, str]] = {"nevergrad": "nevergrad"}
    conditional: ClassVar[bool] = True
    parallel: ClassVar[bool] = True
    global_random: ClassVar[bool] = True
    optimizer: ClassVar[str]
    """Its name in Nevergrad's registry."""
    one_coordinate: ClassVar[bool] = True
    """Whether it searches a single coordinate without another library: CMA, and what may choose it, do not."""

    class Settings(FailureOptions):
        """What all of them have; Nevergrad's optimizers by name have no settings."""

    @classmethod
    def registered_name(cls, settings: Options) -> str:
        """Return the name in Nevergrad's registry."""
        del settings  # for a subclass
        return cls.optimizer

    @classmethod
    def asks_ahead(cls, settings: Options) -> bool:
        """Whether the optimizer can be asked again before it was told."""
        try:
            return not registered(cls.registered_name(settings)).no_parallelization
        except (IncompatibleError, ImportError):
            return True  # which is told elsewhere

    @classmethod
    def incompatibilities(cls, problem: Problem, budget: Budget, settings: Options) -> list[str]:
        """Refuse, besides, names that Nevergrad has not, and what its parameters cannot be."""
        reasons = super().incompatibilities(problem, budget, settings) + _adapt.only_choices_have_dependents(
            problem.space
        )
        for name, domain in problem.space.parameters.items():
            if not isinstance(domain, Choice) and not _has_a_middle(domain):
                reasons.append(
                    f"parameter {name!r}: Nevergrad begins at the middle of {domain}, which it cannot compute"
                )
        if not cls.one_coordinate and _coordinates(problem.space) == 1 and find_spec("fcmaes") is None:
            reasons.append(
                "of a single number, Nevergrad's CMA, which others choose, too, needs the library fcmaes: install it, "
                "or use nevergrad_oneplusone, nevergrad_de or nevergrad_pso"
            )
        try:
            optimizer = registered(cls.registered_name(settings))
        except IncompatibleError as error:
            reasons.append(str(error))
        except ImportError:
            pass  # `require_libraries` says so
        else:
            reasons = reasons or _refused(cls.registered_name(settings), optimizer, problem, budget)
        return reasons

    def _start(self) -> None:
        optimizer = registered(self.registered_name(self.settings))
        if optimizer.no_parallelization and self.workers > 1:
            raise IncompatibleError(
                f"searcher {self.name!r}: Nevergrad's {self.registered_name(self.settings)} proposes one at a time; it "
                f"needs workers: 1"
            )
        self._search: Any = None
        self._fixed, names = _adapt.searched(self.problem.space)
        if not names:  # the space is a single point
            return
        self._threads = Threads()
        with self._calling():
            self._search = _made(optimizer, self.problem, self.budget, self.seed, self.workers)

    @contextmanager
    def _calling(self) -> Iterator[None]:
        """Call Nevergrad inside this."""
        with _adapt.ignored_warnings(), mended(), self._threads.waited_for():
            yield

    def _ask(self) -> Suggestion | None:
        from nevergrad.common.errors import NevergradEarlyStopping

        if self._search is None:
            return Suggestion(self.problem.space.active_part(self._fixed))
        if not getattr(self._search, "can_ask", lambda: True)():
            return None  # its batch is told as a whole
        with self._calling():
            try:
                candidate = self._search.ask()
            except NevergradEarlyStopping:
                return None
        parameters, drawn = self.problem.space.parameters, _flat(candidate.kwargs)
        values = {name: _decoded(parameters[name], value) for name, value in drawn.items()}
        return Suggestion(self.problem.space.active_part({**self._fixed, **values}), handle=candidate)

    def _ask_at(self, config: Config) -> Suggestion | None:
        if self._search is None:
            return self._ask()
        with self._calling():
            self._search.suggest(**self._given(config))
            return Suggestion(config, handle=self._search.ask())  # without the rounding of a conversion

    def _given(self, config: Config) -> dict[str, Any]:
        """Return a configuration as the values of Nevergrad's parameters."""
        space = self.problem.space

        def below(parent: str | None, value: Scalar | None = None) -> dict[str, Any]:
            names = [name for name in _adapt.dependents(space, parent, value) if name not in self._fixed]
            return {name: given(name) for name in names}

        def given(name: str) -> Any:
            domain, value = space.parameters[name], config[name]
            if not isinstance(domain, Choice):
                return value
            own = below(name, value)
            return {name: domain.index(value), **own} if own else domain.index(value)

        return below(None)

    def _tell(self, suggestion: Suggestion, loss: float) -> None:
        if self._search is not None:
            self._told(suggestion.handle, loss)

    def _told(self, candidate: Any, loss: float) -> None:
        from nevergrad.common.errors import TellNotAskedNotSupportedError

        try:
            with self._calling():
                self._search.tell(candidate, loss)
        except TellNotAskedNotSupportedError as error:
            raise IncompatibleError(
                f"searcher {self.name!r}: Nevergrad's {self.registered_name(self.settings)} can be told only what it "
                "proposed itself, and so no reference configuration and no recorded trial"
            ) from error

    def _fail(self, suggestion: Suggestion, status: Status, loss: float) -> None:
        self._tell(suggestion, loss if self.imputes else math.nan)

    def _take(self, config: Config, loss: float) -> None:
        """Tell a candidate that was not asked for, which Nevergrad allows."""
        if self._search is not None:
            child = self._search.parametrization.spawn_child(new_value=((), self._given(config)))
            self._told(child, loss)

    def _take_failed(self, config: Config, status: Status, loss: float) -> None:
        self._take(config, loss if self.imputes else math.nan)


def _made(optimizer: Any, problem: Problem, budget: Budget, seed: int, workers: int) -> Any:
    """Return one of Nevergrad's optimizers, seeded, for a space that is not a single point."""
    import numpy as np

    space = parametrization(problem.space)
    space.random_state = np.random.RandomState(seed)
    evaluations = max(budget.full_evaluations(problem.fidelity), 1)
    return optimizer(parametrization=space, budget=evaluations, num_workers=workers)


def _refused(name: str, optimizer: Any, problem: Problem, budget: Budget) -> list[str]:
    """Return why an optimizer cannot search a space: many look for their library only when they propose."""
    from nevergrad.common.errors import NevergradEarlyStopping

    if not _adapt.searched(problem.space)[1]:
        return []
    try:
        with _adapt.importing(), mended(), Threads().waited_for():
            search = _made(optimizer, problem, budget, 0, 1)
            search.tell(search.ask(), 1.0)
            if getattr(search, "can_ask", lambda: True)():
                search.ask()  # the first may be the middle of the space, which takes no library
    except NevergradEarlyStopping:
        pass  # it ends, and says so in the study
    except Exception as error:  # noqa: BLE001 - whatever the library says
        return [f"Nevergrad's {name} does not propose anything here: {_adapt.why(error)}"]
    return []


def _coordinates(space: Space) -> int:
    """Return how many coordinates Nevergrad searches: one of a number, as many as there are values of a category."""
    return sum(
        len(domain.values) if isinstance(domain, Choice) else 1
        for domain in space.parameters.values()
        if isinstance(domain, Choice) or domain.size != 1
    )


def _has_a_middle(domain: Float | Any) -> bool:
    """Whether the product or sum that Nevergrad takes for the middle of a range is a number."""
    if domain.log:
        return 1e-300 < float(domain.low) * float(domain.high) < math.inf
    return math.isfinite(float(domain.low) + float(domain.high))


class Nevergrad(NevergradSearcher):
    """Any of Nevergrad's optimizers by the name under which it is registered; NGOpt unless another is named.

    NGOpt chooses among the others, by the number of parameters and their kinds, the budget and the number of workers;
    with ``optimizer`` you choose, from ``sorted(nevergrad.optimizers.registry)``. It proposes exactly what
    ``registry[optimizer](parametrization, budget, num_workers)`` does, asked and told by turns, with a
    parametrization as Nevergrad's documentation writes one (``Scalar`` and ``Log`` with bounds,
    ``set_integer_casting`` for whole numbers, ``Choice`` for categories, options with parameters of their own where
    these depend on a category), the seed in its ``random_state`` and in numpy's global generator. With
    ``start_at_reference`` the reference configuration is suggested before the first ask. A failed evaluation is told
    as a loss that is not a number, which Nevergrad takes as 5e20.

    Of the 543 names of Nevergrad 1.0, four cannot be repeated and are refused with the reason; others need libraries
    that are not installed with it (NLopt, fcmaes and others), or versions that are no more (the old Ax and pymoo).
    Thirteen with a list of points not to be repeated (``DiscreteOnePlusOneT`` and others) fail for parameters with
    names. What does not propose two configurations is refused, by ``derby plan`` already, with the module that is
    missing.

    Surprises of the library:

    * A ``Choice`` draws its category anew each time, with the probabilities that are searched (a softmax of as many
      numbers as there are categories): the same point of the search need not be the same configuration again.
    * Ranges are searched by a normal distribution around their middle, three standard deviations to each side, and
      what is outside is mapped back inside. Many optimizers begin at the middle, most often with the very middle.
    * A conditional parameter that is active under several categories is one parameter in each of them: nothing that is
      learnt of it under one is known under another.
    * Losses of failures at 5e20 are far from all others, which spoils models of the loss; ``on_failure: impute`` tells
      the task's failure value.
    * Optimizers that run in a thread (``recast``: SciPy's, such as ``Powell`` and ``Cobyla``) propose one at a time,
      and learn nothing from a reference configuration; some others, such as ``EDA``, cannot be told one. Once
      converged, they propose at random.
    * Budgets and workers are part of the optimizer: the same seed with another budget may be another method.
    * Some draw from numpy's global generator, which is swapped in and out for it, and importing Nevergrad draws from
      it.
    * Its metamodels fail with today's numpy; votes among optimizers depend on Python's hash seed; ``CmaFmin2``, which
      NGOpt takes for some spaces of real parameters, is seeded by the clock; and one search in one dimension spoils
      all later ones by ``CMA``. All of it is mended here (`searchers._nevergrad.mended`).

    References: J. Rapin and O. Teytaud, "Nevergrad: A gradient-free optimization platform", 2018; L. Meunier et al.,
    "Black-Box Optimization Revisited: Improving Algorithm Selection Wizards through Massive Benchmarking", IEEE
    Transactions on Evolutionary Computation 26 (2022) (NGOpt). Defaults are those of Nevergrad 1.0.
    """

    name = "nevergrad"
    one_coordinate: ClassVar[bool] = False

    class Settings(FailureOptions):
        """The optimizer's name."""

        optimizer: str = Field(
            "NGOpt", description="name of the optimizer, of those in nevergrad.optimizers.registry"
        )

    settings: Settings

    @classmethod
    def registered_name(cls, settings: Options) -> str:
        """Return the name that the settings have."""
        assert isinstance(settings, cls.Settings)  # noqa: S101 - tells the type checker; the base built it
        return settings.optimizer


class NevergradCMA(NevergradSearcher):
    """Covariance matrix adaptation, by Nevergrad's ``CMA``, which is the library ``cma``.

    Exact as `nevergrad` is; see there for the parameters, failures, ``start_at_reference`` and surprises. A category
    is as many coordinates as it has values. The population is 4 + 3 ln(coordinates), and at least the number of
    workers.

    Reference: N. Hansen and A. Ostermeier, "Completely Derandomized Self-Adaptation in Evolution Strategies",
    Evolutionary Computation 9 (2001) 159. Defaults are those of Nevergrad 1.0.
    """

    name = "nevergrad_cma"
    optimizer = "CMA"
    one_coordinate: ClassVar[bool] = False
    _take = Searcher._take  # the library drops what it is told before it proposed


class NevergradDE(NevergradSearcher):
    """Differential evolution with two-point crossover, by Nevergrad's ``TwoPointsDE``.

    Exact as `nevergrad` is; see there for the parameters, failures, ``start_at_reference`` and surprises. The
    population is at least 30: with fewer evaluations it is a random search around the middle.

    Reference: R. Storn and K. Price, "Differential Evolution – A Simple and Efficient Heuristic for Global Optimization
    over Continuous Spaces", Journal of Global Optimization 11 (1997) 341. Defaults are those of Nevergrad 1.0.
    """

    name = "nevergrad_de"
    optimizer = "TwoPointsDE"


class NevergradOnePlusOne(NevergradSearcher):
    """The (1+1) evolution strategy with the one-fifth rule, by Nevergrad's ``OnePlusOne``.

    Exact as `nevergrad` is; see there for the parameters, failures, ``start_at_reference`` and surprises. It begins at
    the middle of the space and goes on from the best so far by a step that grows after successes and shrinks otherwise.

    Reference: M. Schumer and K. Steiglitz, "Adaptive step size random search", IEEE Transactions on Automatic Control
    13 (1968) 270. Defaults are those of Nevergrad 1.0.
    """

    name = "nevergrad_oneplusone"
    optimizer = "OnePlusOne"


class NevergradPSO(NevergradSearcher):
    """Particle swarm optimisation, by Nevergrad's ``PSO``.

    Exact as `nevergrad` is; see there for the parameters, failures, ``start_at_reference`` and surprises. The swarm
    has 40 particles, or as many as there are workers where these are more; the coefficients are those of SPSO 2011.

    Reference: M. Zambrano-Bigiarini, M. Clerc and R. Rojas, "Standard Particle Swarm Optimisation 2011 at CEC-2013",
    IEEE Congress on Evolutionary Computation, 2013. Defaults are those of Nevergrad 1.0.
    """

    name = "nevergrad_pso"
    optimizer = "PSO"
