"""Ray Tune's searchers as ours; `searchers.raytune_asha` is its ASHA, and `searchers.tune_search` the way back."""

from __future__ import annotations

import logging
import operator
from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar, Final

from pydantic import Field

from harness.options import Options
from harness.searcher import FailureOptions, Searcher, Suggestion
from harness.space import Choice, Config, Domain, Float, Scalar, Space
from harness.trial import Budget, Problem, Status
from searchers import _adapt

LOSS: Final = "loss"
"""The metric under which Ray Tune is told our losses; it always minimises."""
STEP: Final = "training_iteration"
"""Ray Tune's own name for how far a trial was trained."""
PATIENCE: Final = 100
"""How often a searcher is asked again that suggests nothing while nothing runs; Ray Tune would go on forever."""


class _Raising(logging.Handler):
    """Turns a warning into an exception, at the place in the library where it is logged."""

    def emit(self, record: logging.LogRecord) -> None:
        raise RuntimeError(record.getMessage())


@contextmanager
def warnings_raised() -> Iterator[None]:
    """Raise what Ray Tune's searchers only log: that they dropped a loss, or part of a search space."""
    logger, handler = logging.getLogger("ray.tune.search"), _Raising(logging.WARNING)
    level = logger.level
    logger.setLevel(logging.WARNING)
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)


@contextmanager
def _announcements_dropped() -> Iterator[None]:
    """Drop what Ray Tune's searchers log as they suggest: that they repeat themselves, or have ended."""
    logger = logging.getLogger("ray.tune.search")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def tune_domains(space: Space) -> dict[str, Any]:
    """Return Ray Tune's domains of a space, as for the ``param_space`` of a ``tune.Tuner``.

    A category is given as its position, because libraries behind Ray Tune look categories up with
    ``==``, which takes ``1``, ``1.0`` and ``True`` for the same. The upper bound of Ray Tune's integers is
    exclusive. Numbers with a single possible value are left out, as a Ray Tune user would give
    them as constants: hyperopt refuses them. Conditions are not expressed.

    Example:
        >>> from harness.space import Int
        >>> domains = tune_domains(Space({"lr": Float(1e-4, 1e-1, log=True), "units": Int(4, 64)}))
        >>> domains["units"].lower, domains["units"].upper
        (4, 65)
    """
    constants = _adapt.constants(space)
    return {name: _tune_domain(d) for name, d in space.parameters.items() if name not in constants}


def _tune_domain(domain: Domain) -> Any:
    from ray import tune

    if isinstance(domain, Choice):
        return tune.choice(list(range(len(domain.values))))
    if isinstance(domain, Float):
        return (tune.loguniform if domain.log else tune.uniform)(domain.low, domain.high)
    return (tune.lograndint if domain.log else tune.randint)(domain.low, domain.high + 1)


def _decoded(domain: Domain, value: Any) -> Scalar:
    """Return our value of Ray Tune's; `operator.index` refuses a whole number that isn't one."""
    if isinstance(domain, Choice):
        return domain.values[operator.index(value)]
    return _adapt.clipped(domain, float(value)) if isinstance(domain, Float) else operator.index(value)


def complete_config(space: Space, suggested: dict[str, Any]) -> dict[str, Scalar]:
    """Return the configuration of a suggestion: decoded, with the parameters left out of `tune_domains`."""
    config = _adapt.constants(space)
    config.update({name: _decoded(space.parameters[name], value) for name, value in suggested.items()})
    return config


def nested_names(problem: Problem) -> list[str]:
    """Return which names Ray Tune would take for nested ones."""
    return [
        f"parameter {name!r}: Ray Tune takes the / for a nested search space"
        for name in problem.space.parameters
        if "/" in name
    ]


class RayTuneSearcher(Searcher):
    """Any ``ray.tune.search.Searcher``, driven as Ray Tune's controller drives it; to be subclassed.

    The searcher gets the space as Ray Tune's own domains (see `tune_domains`), through the call by which a
    ``tune.Tuner`` hands ``param_space`` on. Then each ask is a ``suggest``, and each tell is what a
    trainable that reports once, when it is done, leads to: ``on_trial_result``, then
    ``on_trial_complete``. No cluster is needed, and none is started.

    A searcher that answers ``suggest`` with ``None`` is asked again after the next tell, or at once where
    nothing runs; one that answers ``FINISHED`` has ended.

    What they share:

    * With ``start_at_reference`` the reference configuration is given as ``points_to_evaluate``.
    * Losses are always minimised: a score to maximise arrives with its sign changed.
    * The domains know no conditions. Every parameter is searched as if it were always active, and
      those that aren't are dropped from what is evaluated; the library remembers its full proposal.
    * What Ray Tune's searchers only log as a warning, such as a loss that the library behind did not
      take, is raised.
    * A failure is told as Ray Tune's controller tells one, by ``on_trial_complete(trial, error=True)``: what the
      searcher makes of it is its own. So is one that diverged, as of a trainable that raises where its loss is NaN.

    Subclass it for a searcher of your own or for one whose library isn't among the dependencies: give
    it a ``name``, name the library in ``libraries``, and write `_tune_searcher`. Set ``global_random``
    if it draws from numpy's or Python's global generator, and ``parallel = False`` if it can't suggest
    again before it was told.

    Example:
        .. code-block:: python

            class RayTuneQMC(RayTuneSearcher):
                name = "raytune_qmc"
                libraries = {**RayTuneSearcher.libraries, "optuna": "optuna"}
                learns = False

                def _tune_searcher(self, points):
                    import optuna
                    from ray.tune.search.optuna import OptunaSearch

                    sampler = optuna.samplers.QMCSampler(seed=self.seed)
                    return OptunaSearch(sampler=sampler, points_to_evaluate=points)
    """

    libraries: ClassVar[dict[str, str]] = {"ray": "ray[tune]"}
    drops_inactive: ClassVar[bool] = True
    parallel: ClassVar[bool] = True

    class Settings(FailureOptions):
        """What all of them have."""

    @classmethod
    def incompatibilities(cls, problem: Problem, budget: Budget, settings: Options) -> list[str]:
        """Refuse, besides, names with a slash."""
        return super().incompatibilities(problem, budget, settings) + nested_names(problem)

    @abstractmethod
    def _tune_searcher(self, points: list[dict[str, Any]] | None) -> Any:
        """Return the seeded Ray Tune searcher, without metric, mode and space.

        Args:
            points: What to begin with, for the argument that is usually called ``points_to_evaluate``;
                ``None``: nothing given.
        """

    def _start(self) -> None:
        self._suggested = 0
        self._ended = False
        domains = tune_domains(self.problem.space)
        self._search: Any = None
        if not domains:  # the space is a single point
            return
        points = None
        if self.starting_point is not None:
            config = _adapt.completed(self.problem.space, self.starting_point)
            parameters = self.problem.space.parameters
            points = [{name: _adapt.encoded(parameters[name], config[name]) for name in domains}]
        with warnings_raised():
            self._search = self._tune_searcher(points)
            if not self._search.set_search_properties(LOSS, "min", domains):
                raise RuntimeError(
                    f"{type(self._search).__name__} did not take the search space: it must be made without "
                    "space, metric and mode"
                )

    def _ask(self) -> Suggestion | None:
        if self._search is None:
            return Suggestion(complete_config(self.problem.space, {}))
        if self._ended:
            return None
        trial = f"{self._suggested:08d}"
        with _announcements_dropped():
            suggested = self._search.suggest(trial)
            for _ in range(PATIENCE):
                if suggested is not None or self._pending:
                    break
                suggested = self._search.suggest(
                    trial
                )  # as Ray Tune's controller does, which has nothing else to do
        self._ended = suggested == type(self._search).FINISHED
        if suggested is None or self._ended:
            return None
        self._suggested += 1
        return Suggestion(complete_config(self.problem.space, suggested), handle=trial)

    def _ask_at(self, config: Config) -> Suggestion | None:
        return self._ask()  # the library has had it from the start

    def _tell(self, suggestion: Suggestion, loss: float) -> None:
        if self._search is None:
            return
        trial = suggestion.handle
        with warnings_raised():
            # Two dictionaries, because a searcher may keep or change what it is given.
            self._search.on_trial_result(trial, {LOSS: loss, STEP: 1, "trial_id": trial, "done": True})
            self._search.on_trial_complete(trial, {LOSS: loss, STEP: 1, "trial_id": trial, "done": True})

    def _fail(self, suggestion: Suggestion, status: Status, loss: float) -> None:
        if self.imputes:
            self._tell(suggestion, loss)
        elif self._search is not None:
            with warnings_raised():
                self._search.on_trial_complete(suggestion.handle, error=True)


class RayTuneOptuna(RayTuneSearcher):
    """Tree-structured Parzen estimator, by Ray Tune's ``OptunaSearch`` with its default sampler.

    It proposes exactly what ``tune.Tuner`` does with ``OptunaSearch(seed=seed)`` and one concurrent trial. Its
    sampler is Optuna's ``TPESampler`` with that library's defaults, so that in a space without
    conditions it agrees with ``optuna_tpe``; see there for the method, its surprises and references. With
    ``start_at_reference`` the reference configuration is given as ``points_to_evaluate``. A failed evaluation is told
    as an error, of which it makes a failed trial of Optuna's.

    Surprises of the library: all parameters of a trial are drawn at once, from fixed distributions, so
    that Optuna's own handling of conditional parameters plays no part; other settings of the sampler than
    the seed can't be given but by making the sampler oneself; a loss that Optuna refuses is only logged
    (it is raised here). Otherwise as `RayTuneSearcher` says.
    """

    name = "raytune_optuna"
    version: ClassVar[int] = 2
    libraries: ClassVar[dict[str, str]] = {**RayTuneSearcher.libraries, "optuna": "optuna"}

    def _start(self) -> None:
        import optuna

        del optuna  # when first imported it sets the level that is set here
        logger = logging.getLogger("optuna")
        level = logger.level
        logger.setLevel(max(level, logging.WARNING))  # it announces each study
        try:
            super()._start()
        finally:
            logger.setLevel(level)

    def _tune_searcher(self, points: list[dict[str, Any]] | None) -> Any:
        from ray.tune.search.optuna import OptunaSearch

        return OptunaSearch(seed=self.seed, points_to_evaluate=points)

    def _take(self, config: Config, loss: float) -> None:
        """Add a finished trial, by `add_evaluated_point`."""
        self._add(config, loss, failed=False)

    def _take_failed(self, config: Config, status: Status, loss: float) -> None:
        self._add(config, loss, failed=not self.imputes)

    def _add(self, config: Config, loss: float, *, failed: bool) -> None:
        """Add a trial that was not proposed here."""
        if (
            self.starting_point is not None
        ):  # it was the first of them: the library must not begin with it again
            self.starting_point = None
            self._start()
        if self._search is not None:
            space = self.problem.space
            complete = _adapt.completed(space, config)
            values = {
                name: _adapt.encoded(space.parameters[name], complete[name]) for name in tune_domains(space)
            }
            with warnings_raised():
                self._search.add_evaluated_point(values, loss, error=failed)


class RayTuneHyperopt(RayTuneSearcher):
    """Tree-structured Parzen estimator, by Ray Tune's ``HyperOptSearch``.

    It proposes exactly what ``tune.Tuner`` does with ``HyperOptSearch(random_state_seed=seed)`` and one
    concurrent trial. The method is that of ``hyperopt_tpe``; see there for its surprises and references. With
    ``start_at_reference`` the reference configuration is given as ``points_to_evaluate``. A failed evaluation is told
    as an error, after which hyperopt forgets the trial; ``hyperopt_tpe`` is told that it failed, and learns from that.
    With the same seed it does not agree with ``hyperopt_tpe``, because Ray Tune draws hyperopt's seeds
    from an older kind of numpy generator than hyperopt's ``fmin`` does.

    Surprises of the library: importing it sets the level of hyperopt's logger to warnings for the whole
    process; only the first ``n_initial_points`` and ``gamma`` of the method's settings can be given.
    Otherwise as `RayTuneSearcher` says.
    """

    name = "raytune_hyperopt"
    version: ClassVar[int] = 2
    libraries: ClassVar[dict[str, str]] = {**RayTuneSearcher.libraries, "hyperopt": "hyperopt"}

    class Settings(FailureOptions):
        """Settings of ``HyperOptSearch``, under its names."""

        n_initial_points: int = Field(20, ge=1, description="random trials before the model is used")
        gamma: float = Field(0.25, gt=0, description="gamma · √n trials count as good")

    settings: Settings

    def _tune_searcher(self, points: list[dict[str, Any]] | None) -> Any:
        from ray.tune.search.hyperopt import HyperOptSearch

        return HyperOptSearch(
            points_to_evaluate=points,
            n_initial_points=self.settings.n_initial_points,
            random_state_seed=self.seed,
            gamma=self.settings.gamma,
        )
