"""Ray Tune both ways: its searchers and its ASHA as ours, and ours as a search algorithm for ``tune.Tuner``."""

from __future__ import annotations

import json
import logging
import math
import operator
from abc import abstractmethod
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, Final

from pydantic import Field

from harness.errors import IncompatibleError, ProtocolError, ReplayMismatchError
from harness.options import Options
from harness.searcher import Searcher, SearcherOptions, Suggestion
from harness.space import Choice, Config, Domain, Float, Scalar, Space
from harness.trial import Budget, Curve, Evaluation, Problem, Proposal, Status
from searchers import _adapt

LOSS: Final = "loss"
"""The metric under which Ray Tune is told our losses; it always minimises."""
STEP: Final = "training_iteration"
"""Ray Tune's own name for how far a trial was trained."""


class _Raising(logging.Handler):
    """Turns a warning into an exception, at the place in the library where it is logged."""

    def emit(self, record: logging.LogRecord) -> None:
        raise RuntimeError(record.getMessage())


@contextmanager
def _warnings_raised() -> Iterator[None]:
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


def tune_domains(space: Space) -> dict[str, Any]:
    """Return Ray Tune's domains of a space, as for the ``param_space`` of a ``tune.Tuner``.

    A category is given as its position, because libraries behind Ray Tune look categories up with
    ``==``, which takes ``1``, ``1.0`` and ``True`` for the same. The upper bound of Ray Tune's integers is
    exclusive. Parameters with a single possible value are left out, as a Ray Tune user would give
    them as constants: hyperopt refuses them. Conditions are not expressed.

    Example:
        >>> from harness.space import Int
        >>> domains = tune_domains(Space({"lr": Float(1e-4, 1e-1, log=True), "units": Int(4, 64)}))
        >>> domains["units"].lower, domains["units"].upper
        (4, 65)
    """
    return {name: _tune_domain(domain) for name, domain in space.parameters.items() if domain.size != 1}


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


def _complete(space: Space, suggested: dict[str, Any]) -> dict[str, Scalar]:
    """Return the configuration of a suggestion: decoded, with the parameters left out of `tune_domains`."""
    config: dict[str, Scalar] = {k: d.grid(1)[0] for k, d in space.parameters.items() if d.size == 1}
    config.update({name: _decoded(space.parameters[name], value) for name, value in suggested.items()})
    return config


def _nested_names(problem: Problem) -> list[str]:
    """Return which names Ray Tune would take for nested ones."""
    return [
        f"parameter {name!r}: Ray Tune takes the / for a nested search space"
        for name in problem.space.parameters
        if "/" in name
    ]


# Ray Tune's searchers as ours.


class RayTuneSearcher(Searcher):
    """Any ``ray.tune.search.Searcher``, driven as Ray Tune's controller drives it; to be subclassed.

    The searcher gets the space as Ray Tune's own domains (see `tune_domains`), through the call by which a
    ``tune.Tuner`` hands ``param_space`` on. Then each ask is a ``suggest``, and each tell is what a
    trainable that reports once, when it is done, leads to: ``on_trial_result``, then
    ``on_trial_complete``. No cluster is needed, and none is started.

    A searcher that answers ``suggest`` with ``None`` is asked again after the next tell; one that
    answers ``FINISHED`` has ended.

    What they share:

    * With ``start_at_reference`` the reference configuration is given as ``points_to_evaluate``.
    * Losses are always minimised: a score to maximise arrives with its sign changed.
    * The domains know no conditions. Every parameter is searched as if it were always active, and
      those that aren't are dropped from what is evaluated; the library remembers its full proposal.
    * What Ray Tune's searchers only log as a warning, such as a loss that the library behind did not
      take, is raised.
    * A failure is told as the task's failure value, like any other method is told. In Ray Tune
      itself, a failed trial is left out of what its searchers learn from.

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

    @classmethod
    def incompatibilities(cls, problem: Problem, budget: Budget, settings: Options) -> list[str]:
        """Refuse, besides, names with a slash."""
        return super().incompatibilities(problem, budget, settings) + _nested_names(problem)

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
        with _warnings_raised():
            self._search = self._tune_searcher(points)
            if not self._search.set_search_properties(LOSS, "min", domains):
                raise RuntimeError(
                    f"{type(self._search).__name__} did not take the search space: it must be made without "
                    "space, metric and mode"
                )

    def _ask(self) -> Suggestion | None:
        if self._search is None:
            return Suggestion(_complete(self.problem.space, {}))
        if self._ended:
            return None
        trial = f"{self._suggested:08d}"
        suggested = self._search.suggest(trial)
        self._ended = suggested == type(self._search).FINISHED
        if suggested is None or self._ended:
            return None
        self._suggested += 1
        return Suggestion(_complete(self.problem.space, suggested), handle=trial)

    def _ask_at(self, config: Config) -> Suggestion | None:
        return self._ask()  # the library has had it from the start

    def _tell(self, suggestion: Suggestion, loss: float) -> None:
        if self._search is None:
            return
        trial = suggestion.handle
        with _warnings_raised():
            # Two dictionaries, because a searcher may keep or change what it is given.
            self._search.on_trial_result(trial, {LOSS: loss, STEP: 1, "trial_id": trial, "done": True})
            self._search.on_trial_complete(trial, {LOSS: loss, STEP: 1, "trial_id": trial, "done": True})


class RayTuneOptuna(RayTuneSearcher):
    """Tree-structured Parzen estimator, by Ray Tune's ``OptunaSearch`` with its default sampler.

    It proposes exactly what ``tune.Tuner`` does with ``OptunaSearch(seed=seed)`` and one concurrent trial. Its
    sampler is Optuna's ``TPESampler`` with that library's defaults, so that in a space without
    conditions it agrees with ``optuna_tpe``; see there for the method, its surprises and references. With
    ``start_at_reference`` the reference configuration is given as ``points_to_evaluate``.

    Surprises of the library: all parameters of a trial are drawn at once, from fixed distributions, so
    that Optuna's own handling of conditional parameters plays no part; other settings of the sampler than
    the seed can't be given but by making the sampler oneself; a loss that Optuna refuses is only logged
    (it is raised here). Otherwise as `RayTuneSearcher` says.
    """

    name = "raytune_optuna"
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
            with _warnings_raised():
                self._search.add_evaluated_point(values, loss)


class RayTuneHyperopt(RayTuneSearcher):
    """Tree-structured Parzen estimator, by Ray Tune's ``HyperOptSearch``.

    It proposes exactly what ``tune.Tuner`` does with ``HyperOptSearch(random_state_seed=seed)`` and one
    concurrent trial. The method is that of ``hyperopt_tpe``; see there for its surprises and references. With
    ``start_at_reference`` the reference configuration is given as ``points_to_evaluate``.
    With the same seed it does not agree with ``hyperopt_tpe``, because Ray Tune draws hyperopt's seeds
    from an older kind of numpy generator than hyperopt's ``fmin`` does.

    Surprises of the library: importing it sets the level of hyperopt's logger to warnings for the whole
    process; only the first ``n_initial_points`` and ``gamma`` of the method's settings can be given.
    Otherwise as `RayTuneSearcher` says.
    """

    name = "raytune_hyperopt"
    libraries: ClassVar[dict[str, str]] = {**RayTuneSearcher.libraries, "hyperopt": "hyperopt"}

    class Settings(SearcherOptions):
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


# Ray Tune's ASHA as a searcher.


@dataclass(frozen=True, slots=True)
class _Trial:
    """All that Ray Tune's scheduler looks at in a trial."""

    trial_id: str


class RayTuneASHA(Searcher):
    """Asynchronous successive halving, by Ray Tune's ``AsyncHyperBandScheduler``, over random search.

    Configurations are Ray Tune's own random samples. Each is trained up to the first rung, at
    ``grace_period`` epochs, and the next ones, each ``reduction_factor`` times further. At a rung it is
    compared with those that came there before: below the top 1 / ``reduction_factor`` of them (their
    percentile, by interpolation) it is stopped, and otherwise continued at once, up to full fidelity.
    With several ``brackets``, bracket s leaves out the first s rungs, and a trial's bracket is drawn at
    random, in proportion to the exponential of its number of rungs.

    Every decision is the scheduler's own, told results in virtual finishing order. It takes the decisions
    that it takes for trials that report every epoch, because with a whole ``reduction_factor`` it acts
    at rungs only. With one worker, one bracket and the same seed, it trains the same configurations for the
    same number of epochs as ``tune.Tuner`` with this scheduler, ``BasicVariantGenerator(random_state=seed,
    max_concurrent=1)`` and a trainable without failures. With ``start_at_reference`` the reference
    configuration is that generator's ``points_to_evaluate``: the first to reach the first rung, in the bracket
    that the first trial draws.

    Surprises of the library:

    * This is the stopping variant of ASHA: a stopped trial never comes back. The first to
      arrive at a rung always goes on, so that the first trial of a study is always trained in full.
    * The result at full fidelity decides nothing, and a last rung there changes nothing.
    * A bracket too many has no rungs at all: its trials are all trained in full.
    * The scheduler draws brackets from numpy's global generator, which is isolated here, and which others
      also draw from in a ``tune.Tuner``: with several brackets, that can't be repeated there.
    * Ray Tune drops a failed trial. Here it is told the task's failure value like any other loss,
      which can be enough to go on at a rung that few have reached.
    * A parameter that isn't active is drawn nevertheless, and dropped.

    Reference: L. Li et al., "A System for Massively Parallel Hyperparameter Tuning", MLSys 2020,
    arXiv:1810.05934. Defaults are those of Ray 2.60.
    """

    name = "raytune_asha"
    libraries: ClassVar[dict[str, str]] = {"ray": "ray[tune]"}
    drops_inactive: ClassVar[bool] = True
    parallel: ClassVar[bool] = True
    multi_fidelity: ClassVar[bool] = True
    global_random: ClassVar[bool] = True
    learns: ClassVar[bool] = False

    class Settings(SearcherOptions):
        """Settings of ``AsyncHyperBandScheduler``, under its names; ``max_t`` is the task's full fidelity."""

        grace_period: int | None = Field(
            None, ge=1, description="epochs of the first rung; null: the task's lowest fidelity"
        )
        reduction_factor: int = Field(
            4, ge=2, description="how much further each rung is, and what part of the trials goes beyond"
        )
        brackets: int = Field(
            1, ge=1, description="number of brackets, each without the first rung of the last"
        )

    settings: Settings

    @classmethod
    def incompatibilities(cls, problem: Problem, budget: Budget, settings: Options) -> list[str]:
        """Refuse, besides, names with a slash, and a first rung that the task can't be trained for."""
        reasons = super().incompatibilities(problem, budget, settings) + _nested_names(problem)
        fidelity = problem.fidelity
        if (
            isinstance(settings, cls.Settings)
            and settings.grace_period is not None
            and not fidelity.low <= settings.grace_period <= fidelity.high
        ):
            reasons.append(f"grace_period = {settings.grace_period} is outside {fidelity}")
        return reasons

    def _start(self) -> None:
        import numpy as np
        from ray.tune.schedulers import AsyncHyperBandScheduler

        fidelity = self.problem.fidelity
        self._scheduler = AsyncHyperBandScheduler(
            time_attr=STEP,
            metric=LOSS,
            mode="min",
            max_t=fidelity.high,
            grace_period=self.settings.grace_period or fidelity.low,
            reduction_factor=self.settings.reduction_factor,
            brackets=self.settings.brackets,
        )
        self._domains = tune_domains(self.problem.space)
        self._generator = np.random.default_rng(self.seed)  # as `BasicVariantGenerator` makes it of a seed
        self._sampled = 0
        self._going_on: deque[Suggestion] = deque()

    def _ask(self) -> Suggestion:
        if self._going_on:
            return self._going_on.popleft()
        from ray.tune.search.variant_generator import generate_variants

        _, sample = next(generate_variants({"config": self._domains}, random_state=self._generator))
        return self._added(_complete(self.problem.space, sample["config"]))

    def _ask_at(self, config: Config) -> Suggestion:
        return self._added(config)  # a complete one takes no random number in Ray Tune, either

    def _added(self, config: Config) -> Suggestion:
        """Return a new trial's suggestion, up to its first rung."""
        trial = _Trial(f"{self._sampled:08d}")
        self._sampled += 1
        self._scheduler.on_trial_add(None, trial)
        return Suggestion(config, epochs=self._next_rung(trial, 0), handle=trial)

    def _next_rung(self, trial: _Trial, epochs: int) -> int:
        """Return where a trial is compared next. The scheduler has no public way to ask for its rungs."""
        rungs = (milestone for milestone, _ in self._scheduler._trial_info[trial.trial_id]._rungs)
        return min((rung for rung in rungs if rung > epochs), default=self.problem.fidelity.high)

    def _tell(self, suggestion: Suggestion, loss: float) -> None:
        trial, epochs = suggestion.handle, suggestion.epochs
        assert epochs is not None  # noqa: S101 - always set by _ask
        result = {STEP: epochs, LOSS: loss}
        if self._scheduler.on_trial_result(None, trial, result) == self._scheduler.STOP:
            self._scheduler.on_trial_complete(None, trial, result)
            return
        self._going_on.append(
            Suggestion(
                suggestion.config,
                epochs=self._next_rung(trial, epochs),
                handle=trial,
                continues=suggestion,
            )
        )


# Ours as a search algorithm for Ray Tune.


def as_tune_search(searcher: Searcher) -> Any:
    """Return a ``ray.tune.search.Searcher`` by which any of our searchers searches in a ``tune.Tuner``.

    With one concurrent trial it proposes exactly what the searcher proposes in a study of one worker. With
    several, the order in which Ray Tune's trials happen to end decides what it is told when, and a
    ``tune.Tuner`` asks for a trial ahead of a free place.

    * The search ends after as many trials as the searcher's budget pays for in full, or when the searcher
      has nothing more to propose; so ``num_samples`` can be -1, for no limit of its own.
    * Trials report the metric of the searcher's problem, in its direction. The last value reported counts.
      A metric that isn't finite is told as a divergence; a trial that failed, or ended before it reported
      anything, as a crash: both by the problem's failure value.
    * ``param_space`` may hold constants only: the searcher has its own space. Of a conditional
      space, a trial's config holds the active parameters only.
    * A searcher that can't be asked again before it was told gets one trial at a time, whatever the
      concurrency.
    * Should the searcher fail at a tell, Ray Tune takes that for a failure of the trial; the error is raised
      again when the next trial is asked for, so that the search stops.
    * Ray Tune saves the search as it goes. What is saved is what was asked and told, as JSON, and restoring
      replays it through a fresh searcher made with the same arguments. So does a copy or a pickle of it.
      A trial that Ray Tune then runs again after it failed stays told as a crash.

    Args:
        searcher: A fresh searcher. It is used up by one search.

    Raises:
        IncompatibleError: The searcher is a multi-fidelity one: it continues trials, while a trial of Ray
            Tune's is suggested once. Use Ray Tune's schedulers instead.

    Example:
        .. code-block:: python

            from ray import tune

            from harness.space import Float, Int, Space
            from harness.trial import Budget, Fidelity, Objective, Problem
            from searchers.raytune import as_tune_search
            from searchers.skopt import SkoptGP

            space = Space({"lr": Float(1e-4, 1e-1, log=True), "units": Int(8, 64)})
            problem = Problem(space, Fidelity(1, 1), Objective("val_loss", "min", failure=10.0))
            searcher = SkoptGP(problem, seed=1, budget=Budget("evaluations", 20))

            def train(config):
                return {"val_loss": (config["lr"] - 0.01) ** 2 + config["units"] / 64}

            tuner = tune.Tuner(
                train,
                tune_config=tune.TuneConfig(
                    search_alg=as_tune_search(searcher), num_samples=-1, max_concurrent_trials=1
                ),
            )
            best = tuner.fit().get_best_result("val_loss", "min")
    """
    if searcher.multi_fidelity:
        raise IncompatibleError(
            f"searcher {searcher.name!r} continues trials, and Ray Tune suggests each trial once: "
            "use one of Ray Tune's schedulers instead"
        )
    return _tune_search_class()(searcher)


def _reported(metric: str, proposal: Proposal, result: dict[str, Any] | None, error: bool) -> Evaluation:
    """Return the evaluation that the end of one of Ray Tune's trials amounts to."""
    if error or not result:
        message = "Ray Tune reports that the trial failed" if error else "the trial ended without a report"
        return Evaluation(Status.CRASHED, Curve(), proposal.epochs, message=message)
    if metric not in result:
        raise ProtocolError(f"a trial must report {metric!r}, the searcher's metric; got {sorted(result)}")
    value = float(result[metric])
    if not math.isfinite(value):
        return Evaluation(Status.DIVERGED, Curve(), proposal.epochs, message=f"{metric} is {value}")
    # A searcher learns from the last row only, and Ray Tune's reports need not be epochs.
    return Evaluation(Status.OK, Curve({metric: (value,)}), 1)


@cache
def _tune_search_class() -> type[Any]:
    """Return the class behind `as_tune_search`; made when first used, for its base class is Ray Tune's."""
    from ray.tune.search import Searcher as TuneBase

    class TuneSearch(TuneBase):  # type: ignore[misc]
        """One of our searchers, as one of Ray Tune's; see `as_tune_search`."""

        def __init__(self, searcher: Searcher) -> None:
            objective = searcher.problem.objective
            super().__init__(metric=objective.metric, mode=objective.direction)
            self._own = searcher
            self._affordable = searcher.budget.full_evaluations(searcher.problem.fidelity)
            self._asked = 0
            self._waiting: dict[str, Proposal] = {}
            self._told: set[str] = set()
            self._failure: Exception | None = None
            self._events: list[dict[str, Any]] = []

        def set_search_properties(
            self, metric: str | None, mode: str | None, config: dict[str, Any], **spec: Any
        ) -> bool:
            del config, spec  # Ray Tune itself refuses a search space that wasn't taken
            for name, given, own in (("metric", metric, self.metric), ("mode", mode, self.mode)):
                if given not in (None, own):
                    raise ValueError(
                        f"TuneConfig has {name}={given!r}, and the searcher's is {own!r}: leave it out"
                    )
            return False

        def suggest(self, trial_id: str) -> dict[str, Scalar] | str | None:
            if self._failure is not None:
                raise self._failure
            if self._asked >= self._affordable:
                return str(self.FINISHED)
            proposal = self._own.ask()
            if proposal is None:
                return None if self._waiting else str(self.FINISHED)
            self._asked += 1
            self._waiting[trial_id] = proposal
            self._events.append({"asked": trial_id, "config": dict(proposal.config)})
            return dict(proposal.config)

        def on_trial_complete(
            self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
        ) -> None:
            if self._failure is not None or trial_id in self._told:
                return
            try:
                if trial_id not in self._waiting:
                    raise ProtocolError(f"trial {trial_id!r} is not waiting for a result")
                proposal = self._waiting.pop(trial_id)
                evaluation = _reported(self.metric, proposal, result, error)
                self._own.tell(proposal, evaluation)
            except Exception as failure:
                self._failure = failure
                raise
            value = evaluation.curve[self.metric][-1] if evaluation.status is Status.OK else None
            self._told.add(trial_id)
            self._events.append({"told": trial_id, "status": str(evaluation.status), "value": value})

        def save(self, checkpoint_path: str) -> None:
            Path(checkpoint_path).write_text(json.dumps(self._events), encoding="utf-8")

        def restore(self, checkpoint_path: str) -> None:
            if self._events:
                raise ProtocolError("a search can only be restored into a fresh searcher")
            self.replay(json.loads(Path(checkpoint_path).read_text(encoding="utf-8")))

        def replay(self, events: list[dict[str, Any]]) -> None:
            """Ask and tell what a search was asked and told."""
            for event in events:
                if "asked" in event:
                    config = self.suggest(event["asked"])
                    if config != event["config"]:
                        raise ReplayMismatchError(
                            f"restoring the search: trial {event['asked']!r} was {event['config']}, and the "
                            f"searcher now proposes {config}: its settings, seed or library differ"
                        )
                    continue
                failed = {Status.CRASHED: None, Status.DIVERGED: {self.metric: math.nan}}
                result = failed.get(event["status"], {self.metric: event["value"]})
                self.on_trial_complete(event["told"], result, error=event["status"] == Status.CRASHED)

        def __reduce__(self) -> tuple[Any, ...]:
            # A `tune.Tuner` pickles its search when it is made. A searcher's library need not allow that.
            own = self._own
            arguments = (own.problem, own.seed, own.budget, own.settings.model_dump())
            return _rebuilt, (type(own), *arguments, self._events)

        def __deepcopy__(self, memo: dict[int, Any]) -> Any:
            rebuilt, arguments = self.__reduce__()
            return rebuilt(*arguments)

    return TuneSearch


def _rebuilt(
    searcher: type[Searcher],
    problem: Problem,
    seed: int,
    budget: Budget,
    settings: dict[str, Any],
    events: list[dict[str, Any]],
) -> Any:
    """Return a search as it was when it was pickled or copied."""
    search = as_tune_search(searcher(problem, seed=seed, budget=budget, **settings))
    search.replay(events)
    return search
