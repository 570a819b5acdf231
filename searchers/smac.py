"""SMAC3's Bayesian optimisation: random forests and Gaussian processes over any space."""

from __future__ import annotations

import logging
import tempfile
import types
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field

from harness.options import Options
from harness.searcher import Searcher, SearcherOptions, Suggestion
from harness.space import Config
from harness.trial import Budget, Problem, Status
from searchers import _adapt, _configspace


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence SMAC's log, leaving its level as the user set it afterwards, and its warnings."""
    logger = logging.getLogger("smac")
    level = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        with _adapt.ignored_warnings():
            yield
    finally:
        logger.setLevel(level)


class SmacOptions(SearcherOptions):
    """Settings of every SMAC search, named as the arguments of its facades' methods."""

    n_configs: int | None = Field(
        None, ge=1, description="configurations of the initial design; null: by the number of parameters"
    )
    n_configs_per_hyperparameter: int = Field(
        10, ge=1, description="as many configurations of the initial design for each parameter"
    )
    max_ratio: float = Field(
        0.25,
        gt=0,
        le=1,
        description="part of the evaluations that the budget pays for, at most, in the initial design",
    )
    xi: float = Field(0.0, ge=0, description="improvement asked over the best so far")
    challengers: int = Field(
        10_000, ge=1, description="random candidates at which the acquisition is computed"
    )
    local_search_iterations: int = Field(
        10,
        ge=1,
        description="local searches begin at as many of the candidates, and of the configurations evaluated",
    )
    probability: float = Field(
        0.2, ge=0, le=1, description="how often a random configuration is proposed instead"
    )
    retrain_after: int = Field(8, ge=1, description="proposals from one fit of the model")
    retries: int = Field(
        16,
        ge=1,
        description="configurations met again, at a search for a new one, after which the space is exhausted",
    )


class SmacForestOptions(SmacOptions):
    """The settings of its random forest besides."""

    n_trees: int = Field(10, ge=1, description="trees of the forest")
    ratio_features: float = Field(
        1.0, gt=0, le=1, description="part of the parameters that are considered for a split"
    )
    min_samples_split: int = Field(2, ge=2, description="evaluations that a node needs to be split")
    min_samples_leaf: int = Field(1, ge=1, description="evaluations in a leaf, at least")
    max_depth: int = Field(2**20, ge=1, description="depth of a tree, at most")
    bootstrapping: bool = Field(True, description="fit each tree to a bootstrap sample")

    def forest(self) -> dict[str, Any]:
        """Return the settings of the forest."""
        return self.model_dump(include=set(SmacForestOptions.__annotations__))


@cache
def _in_order() -> Any:
    """Return the library's choice of points at which local searches begin, in the order that its documentation says.

    That of SMAC 2.4 (``smac/acquisition/maximizer/local_search.py``, line 301) removes repetitions with a ``set`` of
    configurations, whose hashes are those of texts: the order, and with it which of the seeded random numbers each
    local search gets, is another in every process, unless ``PYTHONHASHSEED`` is set. This is the same function with a
    ``dict`` in the place of the ``set``.
    """
    from smac.acquisition.maximizer.local_search import LocalSearch

    own = LocalSearch._get_init_points_from_previous_configs
    names = {**own.__globals__, "set": dict.fromkeys}
    return types.FunctionType(own.__code__, names, own.__name__, own.__defaults__, own.__closure__)


class SmacSearcher(Searcher):
    """One of SMAC's facades behind its own ask and tell.

    The scenario is ``deterministic``: one seed, and so one evaluation, for each configuration. ``n_trials`` is the
    number of evaluations at full fidelity that the budget pays for, of which the initial design takes a part. The
    facade's parts are its own, with the settings as arguments, but for the order of starting points: see `_in_order`.

    The space is given to it with its conditions. A starting point is the first configuration of the initial design,
    which has the others besides.

    A failed evaluation is told as the library's runner tells one: ``StatusType.TIMEOUT`` of one that ran into the
    deadline, and ``CRASHED`` else, with the scenario's ``crash_cost``, which is the task's failure value: with its
    own default, infinity, the models cannot be fitted.

    What it writes, a description of the scenario, goes to a temporary folder that is removed at once.
    """

    libraries: ClassVar[dict[str, str]] = {"smac": "smac", "ConfigSpace": "ConfigSpace"}
    conditional: ClassVar[bool] = True
    parallel: ClassVar[bool] = True

    settings: SmacOptions

    @classmethod
    def incompatibilities(cls, problem: Problem, budget: Budget, settings: Options) -> list[str]:
        """Refuse, besides, ranges that ConfigSpace cannot take."""
        return super().incompatibilities(problem, budget, settings) + _configspace.limits(problem.space)

    def _facade(self) -> Any:
        """Return the library's facade."""
        raise NotImplementedError

    def _scenario(self) -> dict[str, Any]:
        """Return what a scenario says of budgets."""
        return {"n_trials": max(self.budget.full_evaluations(self.problem.fidelity), 1)}

    def _parts(self, facade: Any, scenario: Any) -> dict[str, Any]:
        """Return the parts of a facade that have settings which not all facades share."""
        raise NotImplementedError

    def _start(self) -> None:
        self._space = _configspace.configuration_space(self.problem.space, self.seed)
        self._ended = False
        self._size = self.problem.space.size() if self.workers > 1 else None
        if not len(self._space):  # the space is a single point
            return
        from smac import Scenario

        objective = self.problem.objective
        with _quiet(), tempfile.TemporaryDirectory() as folder:
            scenario = Scenario(
                self._space,
                name=self.name,
                output_directory=Path(folder),
                deterministic=True,
                crash_cost=objective.sign * objective.failure,
                seed=self.seed,
                **self._scenario(),
            )
            self._search = self._optimizer(self._facade(), scenario)
            if self.starting_point is not None:
                first = _configspace.encoded(self.problem.space, self._space, self.starting_point)
                self._search._config_selector._initial_design_configs.insert(0, first)

    def _optimizer(self, facade: Any, scenario: Any) -> Any:
        settings = self.settings
        maximizer = facade.get_acquisition_maximizer(
            scenario,
            challengers=settings.challengers,
            local_search_iterations=settings.local_search_iterations,
        )
        local = maximizer._local_search
        local._get_init_points_from_previous_configs = types.MethodType(_in_order(), local)
        return facade(
            scenario,
            None,
            acquisition_function=facade.get_acquisition_function(scenario, xi=settings.xi),
            acquisition_maximizer=maximizer,
            initial_design=facade.get_initial_design(
                scenario,
                n_configs=settings.n_configs,
                n_configs_per_hyperparameter=settings.n_configs_per_hyperparameter,
                max_ratio=settings.max_ratio,
            ),
            random_design=facade.get_random_design(scenario, probability=settings.probability),
            config_selector=facade.get_config_selector(
                scenario, retrain_after=settings.retrain_after, retries=settings.retries
            ),
            logging_level=False,
            overwrite=True,
            **self._parts(facade, scenario),
        )

    def _ask(self) -> Suggestion | None:
        if not len(self._space):
            return Suggestion(_configspace.decoded(self.problem.space, {}))
        info = self._next()
        return None if info is None else self._suggested(info)

    def _next(self) -> Any:
        """Return the library's next trial, or nothing: it ends a search where it finds no new configuration.

        Before anything was told it draws until it finds one, which is forever where all there are run: it is not asked.
        """
        from smac.main.exceptions import ConfigurationSpaceExhaustedException

        if self._ended:
            return None
        if (
            self._size is not None
            and len(self._pending) >= self._size
            and not self._search.runhistory.finished
        ):
            return None
        with _quiet():
            try:
                return self._search.ask()
            except (StopIteration, ConfigurationSpaceExhaustedException):
                self._ended = True
                return None

    def _suggested(self, info: Any) -> Suggestion:
        """Return the suggestion of one of the library's trials."""
        return Suggestion(_configspace.decoded(self.problem.space, info.config), handle=info)

    def _ask_at(self, config: Config) -> Suggestion | None:
        suggestion = self._ask()
        return suggestion and replace(suggestion, config=config)  # without the rounding of a conversion

    def _given(self, config: Config) -> Any:
        """Return the library's trial of a configuration that it did not propose."""
        from smac.runhistory import TrialInfo

        seeds = self._search.intensifier._tf_seeds
        configuration = _configspace.encoded(self.problem.space, self._space, config)
        return TrialInfo(configuration, seed=seeds[0] if seeds else 0)

    def _tell(self, suggestion: Suggestion, loss: float) -> None:
        if suggestion.handle is not None:
            self._record(suggestion.handle, loss)

    def _fail(self, suggestion: Suggestion, status: Status, loss: float) -> None:
        if suggestion.handle is not None:
            self._record(suggestion.handle, loss, status)

    def _take(self, config: Config, loss: float) -> None:
        """Tell a trial, which takes the place of the initial design, as in the library's example of a warm start."""
        self._take_failed(config, Status.OK, loss)

    def _take_failed(self, config: Config, status: Status, loss: float) -> None:
        if len(self._space):
            self._search._config_selector._initial_design_configs.clear()
            self._record(self._given(config), loss, status)

    def _record(self, info: Any, loss: float, status: Status = Status.OK) -> None:
        from smac.runhistory import StatusType, TrialValue

        outcome = StatusType.SUCCESS
        if status is not Status.OK:
            outcome = StatusType.TIMEOUT if status is Status.TIMEOUT else StatusType.CRASHED
        with _quiet():
            self._search.tell(info, TrialValue(cost=loss, status=outcome), save=False)


def forest_of(facade: Any, scenario: Any, settings: SmacForestOptions) -> Any:
    """Return the library's random forest, which otherwise takes all processors: its numbers are the same with one."""
    model = facade.get_model(scenario, **settings.forest())
    model._rf_opts["n_jobs"] = 1
    return model


class SmacForest(SmacSearcher):
    """Bayesian optimisation with a random forest as the model, by SMAC3's ``HyperparameterOptimizationFacade``.

    After a scrambled Sobol' design, a forest of ``n_trees`` trees is fitted to everything known, on losses scaled to
    their range and taken to the logarithm. Log expected improvement is computed at ``challengers`` random
    configurations, and local searches in one-exchange neighbourhoods begin at the best of them and at the
    configurations of the lowest predicted loss. The next ``retrain_after`` proposals are what these ended at, the
    best first, and random ones in between with ``probability``; then the forest is fitted again.

    It proposes exactly what the facade's ask and tell do with the same seed and a ``deterministic`` scenario of as
    many ``n_trials`` as the budget pays for, with its local searches' starting points put in order (below). The
    library's default is a scenario that isn't deterministic, in which a configuration that could be the best is
    evaluated with up to three seeds; here each is evaluated once, as for every method. With ``start_at_reference``
    the reference configuration is the first of the initial design, and one more of it. A failed evaluation is told as
    ``StatusType.CRASHED`` or ``TIMEOUT``, with the task's failure value as ``crash_cost``.

    Surprises of the library:

    * Its proposals depend on ``PYTHONHASHSEED``: the points at which local searches begin are put into a ``set``,
      whose order is another in every process. Here they keep the order in which its documentation lists them.
    * The size of the initial design depends on the budget: at most a quarter of it.
    * A model learns from failures: a crashed evaluation enters it with ``crash_cost``, and so does a timeout. The
      default of ``crash_cost`` is infinity, with which the model cannot be fitted, so that the search fails at the
      first failure after the initial design. The failure value sets the scale of what the model sees, if it is far
      away.
    * Eight proposals in a row come from one model. Of running trials nothing is known to it, but that they need not
      be proposed again.
    * Recorded trials, told before the first ask, take the place of the initial design, as in its example of a warm
      start; otherwise the design would be evaluated besides.
    * No configuration is proposed twice; where a new one isn't found ``retries`` times, the search ends, in a small
      space perhaps before all of it was seen. Where all of a space runs before anything was told, its ask never
      returns; here it waits.
    * Reals are rounded to 13 decimals: on a logarithmic scale from 1e-12 on, the smallest have one digit.
    * The order of parameters is ConfigSpace's, by name: renaming one gives another search.

    References: F. Hutter, H. Hoos and K. Leyton-Brown, "Sequential Model-Based Optimization for General Algorithm
    Configuration", LION 2011; M. Lindauer et al., "SMAC3: A Versatile Bayesian Optimization Package for
    Hyperparameter Optimization", Journal of Machine Learning Research 23 (2022) 1–9. Defaults are those of SMAC 2.4.
    """

    name = "smac_forest"

    class Settings(SmacForestOptions):
        """Settings of ``HyperparameterOptimizationFacade``."""

    settings: Settings

    def _facade(self) -> Any:
        from smac import HyperparameterOptimizationFacade

        return HyperparameterOptimizationFacade

    def _parts(self, facade: Any, scenario: Any) -> dict[str, Any]:
        return {"model": forest_of(facade, scenario, self.settings)}


class SmacGP(SmacSearcher):
    """Bayesian optimisation with a Gaussian process, by SMAC3's ``BlackBoxFacade``.

    After a scrambled Sobol' design, each proposal comes from a Gaussian process (constant × Matérn 5/2 with a length
    scale for each number × Hamming kernel for categories + white noise, with priors on amplitude and noise) that is
    fitted to everything known, on normalised losses. Expected improvement is maximised as in `SmacForest`: over
    random configurations, and local searches that begin at the best of them.

    It proposes exactly what the facade's ask and tell do with the same seed, as many threads, and a ``deterministic``
    scenario of as many ``n_trials`` as the budget pays for, with its local searches' starting points put in order.
    With ``start_at_reference`` the reference configuration is the first of the initial design, and one more of it. A
    failed evaluation is told as ``StatusType.CRASHED`` or ``TIMEOUT``, with the task's failure value as
    ``crash_cost``.

    Surprises of the library: those of ``smac_forest``, but for the model being fitted again for every proposal; the
    linear algebra library's thread count changes last digits, and these grow; an inactive parameter is a value of its
    own to the model, below its range.

    References: F. Hutter, H. Hoos and K. Leyton-Brown, LION 2011; M. Lindauer et al., "SMAC3", Journal of Machine
    Learning Research 23 (2022) 1–9; J. Snoek et al., "Practical Bayesian Optimization of Machine Learning
    Algorithms", NeurIPS 2012. Defaults are those of SMAC 2.4.
    """

    name = "smac_gp"

    class Settings(SmacOptions):
        """Settings of ``BlackBoxFacade``."""

        n_configs_per_hyperparameter: int = Field(
            8, ge=1, description="as many configurations of the initial design for each parameter"
        )
        challengers: int = Field(
            1000, ge=1, description="random candidates at which the acquisition is computed"
        )
        probability: float = Field(
            0.08447232371720552,
            ge=0,
            le=1,
            description="how often a random configuration is proposed instead",
        )
        retrain_after: int = Field(1, ge=1, description="proposals from one fit of the model")

    settings: Settings

    def _facade(self) -> Any:
        from smac import BlackBoxFacade

        return BlackBoxFacade

    def _parts(self, facade: Any, scenario: Any) -> dict[str, Any]:
        return {"model": facade.get_model(scenario)}
