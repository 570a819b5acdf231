"""GPyOpt's Bayesian optimisation with a Gaussian process of GPy."""

from __future__ import annotations

import math
from typing import Any, ClassVar, Final, Literal

from pydantic import Field

from harness.options import Options
from harness.searcher import Searcher, SearcherOptions, Suggestion
from harness.space import Choice, Config, Domain, Float, Int, Scalar
from harness.trial import Budget, Problem
from searchers import _adapt

LARGEST_DISCRETE: Final = 1_000_000
"""Whole numbers of more values are refused: GPyOpt lists all of them, and would not get to its first proposal."""


class GPyOptGP(Searcher):
    """Bayesian optimisation with a Gaussian process, by GPyOpt's ``BayesianOptimization``.

    After the initial random points, each step fits a Gaussian process (Matérn 5/2 and noise, on normalised
    losses, ``optimize_restarts`` times) to everything known, and proposes the maximiser of the
    acquisition function: of random candidates, the best few are refined by L-BFGS.

    Real parameters are GPyOpt's continuous variables and whole numbers its discrete ones, on the scale
    that the task gives them: their logarithm is searched where that is logarithmic, since GPyOpt has
    no such scale. Categories are its categorical variables (one-hot). Parameters with a single possible value
    are kept out of the library. It knows no conditional parameters: those are searched as if always
    active, and dropped from the configuration where they are not.

    It proposes exactly what ``run_optimization`` does after ``numpy.random.seed(seed)``, with as
    many threads. With ``start_at_reference`` the reference configuration is the first row of the initial
    design, as of the argument ``X``, before the random points.

    Surprises of the library:

    * It stops when two successive proposals are (almost) equal: see ``eps``. A study then ends before
      its budget is spent.
    * Inputs are not rescaled and, unless ``ARD`` is set, one length scale serves all parameters. Parameters of
      different magnitude (a rotation of 40 degrees, a shift of 0.1) are poorly modelled together.
    * Discrete and categorical variables are optimised as if continuous, and then rounded.
    * It draws from numpy's global generator, which is swapped in and out for it. Importing it
      switches all of Python's warnings off, which is undone.
    * Its Latin and Sobol' initial designs need packages that it doesn't install, so only the random one
      is offered.

    References: J. Mockus (EI, 1974); H. Kushner (MPI, 1964); N. Srinivas et al., "Gaussian Process
    Optimization in the Bandit Setting", ICML 2010 (LCB); The GPyOpt authors, "GPyOpt: A Bayesian
    Optimization framework in Python", 2016. Defaults are those of GPyOpt 1.2.
    """

    name = "gpyopt_gp"
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

    settings: Settings

    @classmethod
    def incompatibilities(cls, problem: Problem, budget: Budget, settings: Options) -> list[str]:
        """Refuse, besides, whole numbers of more values than the library can list."""
        return super().incompatibilities(problem, budget, settings) + [
            f"parameter {name!r} has {domain.size} values, more than the {LARGEST_DISCRETE} that GPyOpt can list"
            for name, domain in problem.space.parameters.items()
            if isinstance(domain, Int) and domain.size > LARGEST_DISCRETE
        ]

    def _start(self) -> None:
        parameters = self.problem.space.parameters
        self._fixed = {name: domain.grid(1)[0] for name, domain in parameters.items() if domain.size == 1}
        self._names = [name for name in parameters if name not in self._fixed]
        self._search: Any = None
        self._losses: list[float] = []
        if not self._names:
            return
        with _adapt.ignored_warnings():
            from GPyOpt.core.task.space import Design_space
            from GPyOpt.experiment_design import initial_design

            self._variables = [_variable(name, parameters[name]) for name in self._names]
            space = Design_space(self._variables, None)
            self._design = initial_design("random", space, self.settings.initial_design_numdata)
        if self.starting_point is not None:
            import numpy as np

            start = _adapt.completed(self.problem.space, self.starting_point)
            row = [_encoded(parameters[name], start[name]) for name in self._names]
            self._design = np.vstack((row, self._design))

    def _ask(self) -> Suggestion | None:
        if not self._names:  # the space is a single point
            return Suggestion(self._fixed)
        told = len(self._losses)
        if told < len(self._design):
            x = self._design[told]
        else:
            with _adapt.ignored_warnings():
                if self._search is None:
                    self._search = self._optimization()
                if told > 1 and self._search._distance_last_evaluations() <= self.settings.eps:
                    return None
                x = self._search.suggest_next_locations()[0]
        parameters = self.problem.space.parameters
        searched = {
            name: _decoded(parameters[name], float(value)) for name, value in zip(self._names, x, strict=True)
        }
        config = {name: searched[name] if name in searched else self._fixed[name] for name in parameters}
        return Suggestion(config, handle=x)

    def _optimization(self) -> Any:
        """Return the library's search, beginning with the evaluated initial design."""
        import numpy as np
        from GPyOpt.methods import BayesianOptimization

        options = {name: value for name, value in self.settings.own().items() if name != "eps"}
        return BayesianOptimization(
            f=None, domain=self._variables, X=self._design, Y=np.array(self._losses)[:, None], **options
        )

    def _take(self, config: Config, loss: float) -> None:
        """Add a row to X and Y, in the place of one of the initial design while there is one left."""
        import numpy as np

        parameters = self.problem.space.parameters
        complete = _adapt.completed(self.problem.space, config)
        row = [_encoded(parameters[name], complete[name]) for name in self._names]
        if self._names and self._search is None:
            told = len(self._losses)
            self._design = np.vstack((self._design[:told], row, self._design[told + 1 :]))
        self._tell(Suggestion(config, handle=row), loss)

    def _tell(self, suggestion: Suggestion, loss: float) -> None:
        import numpy as np

        self._losses.append(loss)
        if self._search is not None:
            self._search.X = np.vstack((self._search.X, suggestion.handle))
            self._search.Y = np.vstack((self._search.Y, [[loss]]))


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
