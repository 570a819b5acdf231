"""scikit-optimize's sequential model-based searches: Gaussian processes, forests and boosted trees."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any, ClassVar, Literal

from pydantic import Field

from harness.searcher import Searcher, SearcherOptions, Suggestion
from harness.space import Choice, Config, Domain, Float
from searchers import _adapt


class _SkoptSettings(SearcherOptions):
    """Settings of every scikit-optimize search, named as in its ``*_minimize`` functions."""

    n_initial_points: int = Field(10, ge=1, description="points before the surrogate model is used")
    initial_point_generator: Literal["random", "sobol", "halton", "hammersly", "lhs", "grid"] = Field(
        "random", description="how these initial points are drawn"
    )
    kappa: float = Field(1.96, ge=0, description="weight of the standard deviation, for LCB")
    xi: float = Field(0.01, ge=0, description="improvement asked over the best so far, for EI and PI")
    n_points: int = Field(10_000, ge=1, description="random candidates at which the acquisition is computed")


class _SkoptSearcher(Searcher):
    """A `skopt.Optimizer` configured as the library's ``*_minimize`` functions configure it.

    A number with a single possible value is kept out of the library, which has no such dimension; a category is one
    of its dimensions also where it has one value.
    It knows no conditional parameters: those are searched as if always active, and dropped from the
    configuration where they are not, as a user of the library would write the objective.
    Categories are given to it as their positions: it turns lists of categories into numpy arrays,
    where ``[1, "a", True]`` would become three strings. Its models one-hot encode categories by
    position, so this changes no proposal. A starting point is given as ``x0``, before the initial points.

    The library knows no failure: a failed evaluation is told as the task's failure value.

    With several workers it is the loop of its documentation on parallel optimization: ``ask(n_points)`` for as
    many points as there are workers, the constant liar ``cl_min`` behind it, then all of them evaluated, then one
    ``tell`` for all. A worker that is done before the others of its batch waits. A starting point is a batch of
    its own.
    """

    version: ClassVar[int] = 2
    parallel: ClassVar[bool] = True
    libraries: ClassVar[dict[str, str]] = {"skopt": "scikit-optimize"}
    drops_inactive: ClassVar[bool] = True
    settings: _SkoptSettings

    def _optimizer(self, dimensions: list[Any], n_initial_points: int) -> Any:
        """Return the library's optimizer over these dimensions, seeded."""
        raise NotImplementedError

    def _base_optimizer(
        self,
        dimensions: Any,
        estimator: Any,
        n_initial_points: int,
        random_state: Any,
        *,
        acq_func: str,
        acq_optimizer: str,
        n_restarts_optimizer: int,
    ) -> Any:
        """Return the optimizer that ``base_minimize`` makes."""
        from skopt import Optimizer

        return Optimizer(
            dimensions,
            estimator,
            n_initial_points=n_initial_points,
            initial_point_generator=self.settings.initial_point_generator,
            n_jobs=1,
            acq_func=acq_func,
            acq_optimizer=acq_optimizer,
            random_state=random_state,
            model_queue_size=1,  # old models are kept for inspection only
            acq_optimizer_kwargs={
                "n_points": self.settings.n_points,
                "n_restarts_optimizer": n_restarts_optimizer,
                "n_jobs": 1,
            },
            acq_func_kwargs={"xi": self.settings.xi, "kappa": self.settings.kappa},
        )

    def _start(self) -> None:
        parameters = self.problem.space.parameters
        self._fixed, self._names = _adapt.searched(self.problem.space)
        self._batch: list[Any] = []
        """The points that were last asked for."""
        self._handed_out = 0
        """How many of them were proposed."""
        self._losses: dict[int, float] = {}
        """What was told of them, by their position."""
        if self._names:
            dimensions = [_dimension(parameters[name], name) for name in self._names]
            n_initial_points = self.settings.n_initial_points + (self.starting_point is not None)
            with _adapt.ignored_warnings(UserWarning):  # Sobol' points in other than powers of two
                self._search = self._optimizer(dimensions, n_initial_points)

    def _ask(self) -> Suggestion | None:
        if not self._names:  # the space is a single point
            return Suggestion(self._fixed)
        if self._handed_out == len(self._batch):
            if len(self._losses) < self._handed_out:
                return None  # the batch is told as a whole
            with _adapt.ignored_warnings(UserWarning):  # "evaluated at point ... before, using random point"
                self._begin(
                    [self._search.ask()] if self.workers == 1 else self._search.ask(n_points=self.workers)
                )
        return self._next()

    def _begin(self, batch: list[Any]) -> None:
        """Begin a batch of points."""
        self._batch, self._handed_out, self._losses = batch, 0, {}

    def _next(self) -> Suggestion:
        """Return the suggestion of the batch's next point."""
        parameters, position = self.problem.space.parameters, self._handed_out
        self._handed_out += 1
        x = self._batch[position]
        searched = {
            name: _decoded(parameters[name], value) for name, value in zip(self._names, x, strict=True)
        }
        config = {name: searched[name] if name in searched else self._fixed[name] for name in parameters}
        return Suggestion(config, handle=position)

    def _ask_at(self, config: Config) -> Suggestion | None:
        if not self._names:
            return self._ask()
        self._begin([self._point(config)])
        return replace(self._next(), config=config)  # without the rounding of a conversion

    def _point(self, config: Config) -> list[Any]:
        """Return a configuration as one of the library's points."""
        parameters = self.problem.space.parameters
        complete = _adapt.completed(self.problem.space, config)
        return [_adapt.encoded(parameters[name], complete[name]) for name in self._names]

    def _tell(self, suggestion: Suggestion, loss: float) -> None:
        if not self._names:
            return
        self._losses[suggestion.handle] = loss
        if len(self._losses) == len(self._batch):
            losses = [self._losses[position] for position in range(len(self._batch))]
            with _adapt.ignored_warnings(UserWarning):
                if len(losses) == 1:
                    self._search.tell(self._batch[0], losses[0])
                else:
                    self._search.tell(self._batch, losses)

    def _take(self, config: Config, loss: float) -> None:
        if self._names:
            with _adapt.ignored_warnings(UserWarning):
                self._search.tell(self._point(config), loss)  # `tell` takes any point


def _dimension(domain: Domain, name: str) -> Any:
    from skopt.space import Categorical, Integer, Real

    if isinstance(domain, Choice):
        return Categorical(list(range(len(domain.values))), name=name)
    kind = Real if isinstance(domain, Float) else Integer
    return kind(domain.low, domain.high, prior="log-uniform" if domain.log else "uniform", name=name)


def _decoded(domain: Domain, value: Any) -> Any:
    if isinstance(domain, Choice):
        return domain.values[value]
    return _adapt.clipped(domain, float(value)) if isinstance(domain, Float) else value


class SkoptGP(_SkoptSearcher):
    """Bayesian optimisation with a Gaussian process, by scikit-optimize's ``gp_minimize``.

    After the initial points, each tell fits a Gaussian process (constant × Matérn 5/2 with one length scale
    per encoded dimension + white noise, on normalised losses; a Hamming kernel where all parameters
    are categorical) to everything known, on inputs scaled to the unit cube with one-hot categories.
    The acquisition function is computed at ``n_points`` random points; with ``lbfgs`` the best
    ``n_restarts_optimizer`` of these are then refined by gradient. The best is proposed.

    It proposes exactly what ``gp_minimize`` does with the same seed and as many threads: the
    linear algebra library's thread count changes the last digits, and these grow. With
    ``start_at_reference`` the reference configuration is its ``x0``, evaluated before the initial points.

    Surprises of the library:

    * ``gp_minimize``'s own default acquisition function is ``gp_hedge``; here it is ``EI``, which the
      reports that are reproduced use.
    * A proposal that repeats an earlier configuration is replaced by a random one: in a small
      finite space it soon searches at random.
    * The acquisition is optimised over one-hot coordinates and integers as if they were continuous.
    * All the work is in telling; a tell takes about n³, and one is done after the last evaluation, too.
    * With several workers it proposes in batches: by ``ask(n_points)``, which tells a copy of itself the smallest
      loss so far for each point of the batch (``cl_min``). ``gp_minimize`` itself evaluates one at a time. Where all
      that is known failed, that lie is the failure value.
    * It knows no failure, and is told the task's failure value. Losses are normalised, so that one far from the
      others flattens all that the model sees.

    Reference: J. Mockus, "On Bayesian methods for seeking the extremum", 1974 (EI); J. Snoek et al.,
    "Practical Bayesian Optimization of Machine Learning Algorithms", NeurIPS 2012; M. Hoffman et al.,
    "Portfolio Allocation for Bayesian Optimization", UAI 2011 (gp_hedge); T. Head et al.,
    scikit-optimize. Defaults are those of ``gp_minimize`` in scikit-optimize 0.10, but for ``acq_func``.
    """

    name = "skopt_gp"

    class Settings(_SkoptSettings):
        """Settings of ``gp_minimize``, under its names."""

        acq_func: Literal["EI", "LCB", "PI", "gp_hedge"] = Field(
            "EI", description="acquisition function; gp_hedge chooses among the other three as it goes"
        )
        acq_optimizer: Literal["auto", "sampling", "lbfgs"] = Field(
            "auto", description="take the best random candidate, or refine; auto is lbfgs for this model"
        )
        n_restarts_optimizer: int = Field(5, ge=1, description="candidates refined, for lbfgs")

    settings: Settings

    def _optimizer(self, dimensions: list[Any], n_initial_points: int) -> Any:
        import numpy as np
        from skopt.utils import cook_estimator, normalize_dimensions

        # What gp_minimize does before its loop, draws from the generator included.
        generator = np.random.RandomState(self.seed)
        space = normalize_dimensions(dimensions)
        estimator = cook_estimator(
            "GP",
            space=space,
            random_state=generator.randint(0, np.iinfo(np.int32).max),
            noise="gaussian",
        )
        return self._base_optimizer(
            space,
            estimator,
            n_initial_points,
            generator,
            acq_func=self.settings.acq_func,
            acq_optimizer=self.settings.acq_optimizer,
            n_restarts_optimizer=self.settings.n_restarts_optimizer,
        )


class SkoptForest(_SkoptSearcher):
    """Sequential search with a forest of trees as the model, by scikit-optimize's ``forest_minimize``.

    After the initial points, each tell fits 100 trees (at least 3 samples a leaf) to everything
    known. The trees' mean, and its spread over and within trees, give the acquisition function, whose
    best value among ``n_points`` random points is proposed.

    It proposes exactly what ``forest_minimize`` does with the same seed. With ``start_at_reference`` the
    reference configuration is its ``x0``, evaluated before the initial points.

    Surprises of the library: as for ``skopt_gp``; a forest is constant between its splits, so that
    many candidates tie, and the first of them is taken.

    Reference: F. Hutter, H. Hoos and K. Leyton-Brown, "Sequential Model-Based Optimization for
    General Algorithm Configuration", LION 2011; T. Head et al., scikit-optimize. Defaults are those
    of ``forest_minimize`` in scikit-optimize 0.10.
    """

    name = "skopt_forest"

    class Settings(_SkoptSettings):
        """Settings of ``forest_minimize``, under its names."""

        base_estimator: Literal["ET", "RF"] = Field(
            "ET", description="extremely randomised trees, or a random forest"
        )
        acq_func: Literal["EI", "LCB", "PI", "gp_hedge"] = Field(
            "EI", description="acquisition function; gp_hedge chooses among the other three as it goes"
        )

    settings: Settings

    def _optimizer(self, dimensions: list[Any], n_initial_points: int) -> Any:
        return self._base_optimizer(
            dimensions,
            self.settings.base_estimator,
            n_initial_points,
            self.seed,
            acq_func=self.settings.acq_func,
            acq_optimizer="sampling",
            n_restarts_optimizer=5,
        )


@cache
def mended_quantile_regressor() -> Any:
    """Return scikit-optimize's quantile regressor, as a class that works with today's scikit-learn and numpy.

    That of scikit-optimize 0.10.2 derives from scikit-learn's base classes in an order in which scikit-learn
    does not take it for a regressor since 1.7, so that `skopt.Optimizer` refuses it; and its ``predict`` calls
    ``numpy.in1d``, which numpy 2.4 no longer has. Nothing else differs.
    """
    from sklearn.utils import RegressorTags
    from skopt.learning import GradientBoostingQuantileRegressor

    class QuantileRegressor(GradientBoostingQuantileRegressor):  # type: ignore[misc]
        def __sklearn_tags__(self) -> Any:
            tags = super().__sklearn_tags__()
            tags.estimator_type, tags.regressor_tags = "regressor", RegressorTags()
            return tags

        def predict(self, X: Any, return_std: bool = False, return_quantiles: bool = False) -> Any:  # noqa: N803
            if not return_std:
                return super().predict(X, return_quantiles=return_quantiles)
            low, middle, high = (
                self.regressors_[self.quantiles.index(quantile)].predict(X) for quantile in (0.16, 0.5, 0.84)
            )
            return middle, (high - low) / 2.0

    return QuantileRegressor


class SkoptGBRT(_SkoptSearcher):
    """Sequential search with gradient-boosted trees as the model, by scikit-optimize's ``gbrt_minimize``.

    After the initial points, each tell fits three ensembles of 30 boosted trees to everything known, for
    the quantiles 0.16, 0.5 and 0.84 of the loss. The median stands for the mean, and half the distance of
    the other two for the standard deviation, in the acquisition function, whose best value among
    ``n_points`` random points is proposed.

    It proposes exactly what ``gbrt_minimize`` does with the same seed, once its model is mended: see
    below. With ``start_at_reference`` the reference configuration is its ``x0``, evaluated before the
    initial points.

    Surprises of the library, besides those of ``skopt_forest``:

    * ``gbrt_minimize`` of scikit-optimize 0.10.2 fails with scikit-learn 1.7 and later, which does not
      take its model for a regressor, and with numpy 2.4, of which it calls a removed function. Here the same
      model is used with these two faults mended (`mended_quantile_regressor`).
    * The quantiles are fitted each by itself and can cross: a standard deviation can be zero or
      negative. With EI and PI such a candidate counts for nothing.

    Reference: J. Friedman, "Greedy Function Approximation: A Gradient Boosting Machine", Annals of
    Statistics 29 (2001) 1189–1232; T. Head et al., scikit-optimize. Defaults are those of
    ``gbrt_minimize`` in scikit-optimize 0.10.
    """

    name = "skopt_gbrt"

    class Settings(_SkoptSettings):
        """Settings of ``gbrt_minimize``, under its names."""

        acq_func: Literal["EI", "LCB", "PI", "gp_hedge"] = Field(
            "LCB", description="acquisition function; gp_hedge chooses among the other three as it goes"
        )

    settings: Settings

    def _optimizer(self, dimensions: list[Any], n_initial_points: int) -> Any:
        import numpy as np
        from sklearn.ensemble import GradientBoostingRegressor

        # What gbrt_minimize makes of the name of its model.
        estimator = mended_quantile_regressor()(
            base_estimator=GradientBoostingRegressor(n_estimators=30, loss="quantile"),
            n_jobs=1,
            random_state=np.random.RandomState(self.seed),
        )
        return self._base_optimizer(
            dimensions,
            estimator,
            n_initial_points,
            self.seed,
            acq_func=self.settings.acq_func,
            acq_optimizer="sampling",
            n_restarts_optimizer=5,
        )
