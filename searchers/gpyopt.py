"""GPyOpt's Bayesian optimisation with a Gaussian process of GPy."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import cache
from typing import Any, ClassVar, Final, Literal

from pydantic import Field

from harness.options import Options
from harness.searcher import Searcher, SearcherOptions, Suggestion
from harness.space import Choice, Config, Domain, Float, Int, Scalar
from harness.trial import Budget, Problem
from searchers import _adapt

LARGEST_DISCRETE: Final = 100_000
"""Whole numbers of more values are refused: GPyOpt goes through the list of all of them for each rounding, which from a
million takes seconds, and up to most of a minute, for each proposal."""


class GPyOptGP(Searcher):
    """Bayesian optimisation with a Gaussian process, by GPyOpt's ``BayesianOptimization``.

    After the initial random points, each step fits a Gaussian process (Matérn 5/2 and noise, on normalised
    losses, ``optimize_restarts`` times) to everything known, and proposes the maximiser of the
    acquisition function: of random candidates, the best few are refined by L-BFGS.

    Real parameters are GPyOpt's continuous variables and whole numbers its discrete ones, on the scale
    that the task gives them: their logarithm is searched where that is logarithmic, since GPyOpt has
    no such scale. Categories are its categorical variables (one-hot). A number with a single possible value
    is kept out of the library. It knows no conditional parameters: those are searched as if always
    active, and dropped from the configuration where they are not.

    It proposes exactly what ``run_optimization`` does after ``numpy.random.seed(seed)``, with as
    many threads. With ``start_at_reference`` the reference configuration is the first row of the initial
    design, as of the argument ``X``, before the random points. The library knows no failure: a failed evaluation is
    told as the task's failure value.

    With several workers it is ``run_optimization`` with a ``batch_size`` of as many and an ``evaluator_type``
    that makes batches: the initial design is evaluated, then batch after batch, each as a whole before the next
    one is proposed, so that a worker that is done before the others waits.

    Surprises of the library:

    * It stops when two successive proposals are (almost) equal: see ``eps``. A study then ends before
      its budget is spent.
    * Inputs are not rescaled and, unless ``ARD`` is set, one length scale serves all parameters. Parameters of
      different magnitude (a rotation of 40 degrees, a shift of 0.1) are poorly modelled together.
    * Discrete and categorical variables are optimised as if continuous, and then rounded.
    * It draws from numpy's global generator, which is swapped in and out for it. Importing it
      switches all of Python's warnings off, which is undone.
    * A discrete variable is rounded by going through the list of its values: whole numbers of more than 100 000
      values are refused. Give such a parameter as a real one, or in steps.
    * Its default ``evaluator_type`` is ``sequential``, with which ``batch_size`` has no effect; here it is that of its
      documentation on batches. Local penalization fails with today's scipy, of which it expects an array where
      there is a number, and is mended here (`mended_local_penalization`).
    * Where it ends is judged by the last two points, which with several workers are of the same batch.
    * Its Latin and Sobol' initial designs need packages that it doesn't install, so only the random one
      is offered.

    References: J. Mockus (EI, 1974); H. Kushner (MPI, 1964); N. Srinivas et al., "Gaussian Process
    Optimization in the Bandit Setting", ICML 2010 (LCB); The GPyOpt authors, "GPyOpt: A Bayesian
    Optimization framework in Python", 2016. Defaults are those of GPyOpt 1.2.
    """

    name = "gpyopt_gp"
    version: ClassVar[int] = 2
    parallel: ClassVar[bool] = True
    libraries: ClassVar[dict[str, str]] = {"GPyOpt": "GPyOpt", "GPy": "GPy"}
    drops_inactive: ClassVar[bool] = True
    global_random: ClassVar[bool] = True

    class Settings(SearcherOptions):
        """Settings of ``BayesianOptimization``, under its names."""

        acquisition_type: Literal["EI", "MPI", "LCB"] = Field(
            "EI",
            description="expected improvement, probability of improvement, or lower confidence bound",
        )
        initial_design_numdata: int = Field(5, ge=1, description="random points before the model is used")
        acquisition_jitter: float = Field(0.01, ge=0, description="improvement asked for, for EI and MPI")
        acquisition_weight: float = Field(2.0, ge=0, description="weight of the standard deviation, for LCB")
        ARD: bool = Field(False, description="give each parameter a length scale of its own")
        exact_feval: bool = Field(False, description="take losses to be free of noise")
        normalize_Y: bool = Field(True, description="centre and scale losses")  # noqa: N815 - the library's name
        optimize_restarts: int = Field(5, ge=1, description="starts of each fit of the model")
        eps: float = Field(
            1e-8,
            description="end the search when successive proposals are this near; negative: never",
        )
        evaluator_type: Literal["local_penalization", "random", "thompson_sampling"] = Field(
            "local_penalization", description="how the batch of several workers is made; with one, no matter"
        )

        def as_json(self) -> dict[str, Any]:
            """Leave out the default ``evaluator_type``: an identity that it is no part of."""
            settings = super().as_json()
            if self.evaluator_type == "local_penalization":
                del settings["evaluator_type"]
            return settings

    settings: Settings

    @classmethod
    def incompatibilities(cls, problem: Problem, budget: Budget, settings: Options) -> list[str]:
        """Refuse, besides, whole numbers of more values than the library can list."""
        return super().incompatibilities(problem, budget, settings) + [
            f"parameter {name!r} has {domain.size} values, more than the {LARGEST_DISCRETE} that GPyOpt can list in "
            "reasonable time: search it as a Float, or with another method"
            for name, domain in problem.space.parameters.items()
            if isinstance(domain, Int) and domain.size > LARGEST_DISCRETE
        ]

    def _start(self) -> None:
        parameters = self.problem.space.parameters
        self._fixed, self._names = _adapt.searched(self.problem.space)
        self._search: Any = None
        self._losses: dict[int, float] = {}
        """What was told of the points of the present batch, by their position."""
        self._handed_out = 0
        """How many of them were proposed."""
        if not self._names:
            return
        with _adapt.ignored_warnings():
            from GPyOpt.core.task.space import Design_space
            from GPyOpt.experiment_design import initial_design

            self._variables = [_variable(name, parameters[name]) for name in self._names]
            space = Design_space(self._variables, None)
            self._batch = initial_design("random", space, self.settings.initial_design_numdata)
            self._known: tuple[list[Any], list[float]] = [], []
            """Points and losses before there is a search."""
        if self.starting_point is not None:
            import numpy as np

            start = _adapt.completed(self.problem.space, self.starting_point)
            row = [_encoded(parameters[name], start[name]) for name in self._names]
            self._batch = np.vstack((row, self._batch))

    def _ask(self) -> Suggestion | None:
        if not self._names:  # the space is a single point
            return Suggestion(self._fixed)
        if self._handed_out == len(self._batch):
            if len(self._losses) < self._handed_out:
                return None  # the batch is told as a whole
            with _adapt.ignored_warnings():
                self._add(self._batch, [self._losses[i] for i in range(len(self._batch))])
                if self._search is None:
                    self._search = self._optimization()
                self._batch, self._handed_out, self._losses = self._batch[:0], 0, {}
                known = len(self._search.X)
                if known > 1 and self._search._distance_last_evaluations() <= self.settings.eps:
                    return None
                self._batch = self._search.suggest_next_locations()
        x = self._batch[self._handed_out]
        self._handed_out += 1
        parameters = self.problem.space.parameters
        searched = {
            name: _decoded(parameters[name], float(value)) for name, value in zip(self._names, x, strict=True)
        }
        config = {name: searched[name] if name in searched else self._fixed[name] for name in parameters}
        return Suggestion(config, handle=self._handed_out - 1)

    def _ask_at(self, config: Config) -> Suggestion | None:
        first = self._ask()  # the first row of the initial design
        return None if first is None else replace(first, config=config)  # without the rounding of exp(log(x))

    def _optimization(self) -> Any:
        """Return the library's search, beginning with what is known."""
        import numpy as np
        from GPyOpt.methods import BayesianOptimization

        options = {name: value for name, value in self.settings.own().items() if name != "eps"}
        points, losses = self._known
        search = BayesianOptimization(
            f=None,
            domain=self._variables,
            X=np.vstack(points),
            Y=np.array(losses)[:, None],
            batch_size=self.workers,
            **options,
        )
        if self.workers > 1 and self.settings.evaluator_type == "local_penalization":
            search.evaluator = mended_local_penalization()(search.evaluator.acquisition, self.workers)
        return search

    def _add(self, points: Any, losses: list[float]) -> None:
        """Add rows to what is known: X and Y of the library's search, once there is one."""
        import numpy as np

        if self._search is None:
            self._known[0].extend(points)
            self._known[1].extend(losses)
        elif len(points):
            self._search.X = np.vstack((self._search.X, points))
            self._search.Y = np.vstack((self._search.Y, np.array(losses)[:, None]))

    def _take(self, config: Config, loss: float) -> None:
        """Add a row to X and Y, in the place of one of the initial design while there is one left."""
        if not self._names:
            return
        parameters = self.problem.space.parameters
        complete = _adapt.completed(self.problem.space, config)
        if self._search is None and self._handed_out < len(self._batch):
            self._batch = self._batch[1:] if not self._handed_out else self._batch[:-1]
        self._add([[_encoded(parameters[name], complete[name]) for name in self._names]], [loss])

    def _tell(self, suggestion: Suggestion, loss: float) -> None:
        self._losses[suggestion.handle] = loss


@cache
def mended_local_penalization() -> Any:
    """Return GPyOpt's local penalization, as a class that works with today's scipy.

    That of GPyOpt 1.2 takes the result of ``scipy.optimize.minimize`` for an array of shape (1, 1), and it is a
    number since scipy 1.8. Nothing else differs.
    """
    import numpy as np
    import scipy.optimize
    from GPyOpt.core.evaluators import LocalPenalization
    from GPyOpt.util.general import samples_multidimensional_uniform

    def steepest(model: Any, bounds: Any) -> float:
        """Return the library's estimate of the Lipschitz constant: the largest norm of the mean's gradient."""

        def negative(x: Any) -> Any:
            gradient, _ = model.predictive_gradients(np.atleast_2d(x))
            return -np.sqrt((gradient * gradient).sum(1))

        samples = np.vstack([samples_multidimensional_uniform(bounds, 500), model.X])
        begin = samples[np.argmin(negative(samples))]
        found = scipy.optimize.minimize(
            lambda x: negative(x).item(), begin, method="L-BFGS-B", bounds=bounds, options={"maxiter": 200}
        )
        return 10.0 if -found.fun < 1e-7 else -float(found.fun)  # 10: "cases in which the model is flat"

    class Mended(LocalPenalization):  # type: ignore[misc]
        def compute_batch(self, duplicate_manager: Any = None, context_manager: Any = None) -> Any:
            del duplicate_manager, context_manager  # the library's own makes no use of them, either
            acquisition = self.acquisition
            acquisition.update_batches(None, None, None)
            batch = acquisition.optimize()[0]
            constant = steepest(acquisition.model.model, acquisition.space.get_bounds())
            smallest = acquisition.model.model.Y.min()
            while len(batch) < self.batch_size:
                acquisition.update_batches(batch, constant, smallest)
                batch = np.vstack((batch, acquisition.optimize()[0]))
            acquisition.update_batches(None, None, None)
            return batch

    return Mended


def _variable(name: str, domain: Domain) -> dict[str, Any]:
    """Return GPyOpt's description of a parameter."""
    if isinstance(domain, Choice):
        return {"name": name, "type": "categorical", "domain": tuple(range(len(domain.values)))}
    scaled = math.log if domain.log else float
    if isinstance(domain, Float):
        return {"name": name, "type": "continuous", "domain": (scaled(domain.low), scaled(domain.high))}
    values = tuple(scaled(value) for value in range(domain.low, domain.high + 1))
    return {"name": name, "type": "discrete", "domain": values}


def _encoded(domain: Domain, value: Any) -> float:
    """Return a value on the library's scale."""
    if isinstance(domain, Choice):
        return float(domain.index(value))
    return math.log(value) if domain.log else float(value)


def _decoded(domain: Domain, value: float) -> Scalar:
    if isinstance(domain, Choice):
        return domain.values[round(value)]
    value = math.exp(value) if domain.log else value
    return _adapt.clipped(domain, value) if isinstance(domain, Float) else round(value)
