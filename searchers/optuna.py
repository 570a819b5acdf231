"""Optuna's samplers: the tree-structured Parzen estimator, CMA-ES and quasi-random sequences."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from harness.options import Options
from harness.searcher import FailureOptions, Searcher, Suggestion
from harness.space import Choice, Config, Domain, Float, Int, Scalar
from harness.trial import Budget, Problem, Status
from searchers import _adapt


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence Optuna's log below warnings, leaving the verbosity as the user set it afterwards."""
    logger = logging.getLogger("optuna")
    level = logger.level
    logger.setLevel(max(level, logging.WARNING))
    try:
        yield
    finally:
        logger.setLevel(level)


class OptunaSearcher(Searcher):
    """A single-objective, in-memory Optuna study behind ask and tell.

    `Study.optimize` is a loop of `Study.ask`, the objective's suggest calls, and `Study.tell`. This is
    the same loop with the objective's suggest calls made in the space's order, define-by-run: a
    conditional parameter is suggested only where it is active.

    Categories are given to Optuna as their positions, because it looks categories up with ``==``,
    which takes ``1``, ``1.0`` and ``True`` for the same; its samplers use the position only.

    A starting point is enqueued, as by `Study.enqueue_trial`.

    A failed evaluation is a failed trial (``TrialState.FAIL``), which is what `Study.optimize` makes of an objective
    that returns NaN, or raises what ``catch`` names. Optuna's samplers learn nothing from these, and don't count
    them as startup trials.
    """

    version: ClassVar[int] = 2
    libraries: ClassVar[dict[str, str]] = {"optuna": "optuna"}
    conditional: ClassVar[bool] = True
    parallel: ClassVar[bool] = True

    def _sampler(self) -> Any:
        """Return the Optuna sampler, seeded."""
        raise NotImplementedError

    def _pruner(self) -> Any:
        """Return the Optuna pruner: none prunes, unless a subclass says otherwise."""
        import optuna

        return optuna.pruners.NopPruner()

    def _study_name(self) -> str:
        """Return the study's name in Optuna, which some of its pruners draw from."""
        return f"{self.name}-{self.seed}"

    def _start(self) -> None:
        import optuna

        with _quiet(), _adapt.ignored_warnings(optuna.exceptions.ExperimentalWarning):
            self._study = optuna.create_study(
                sampler=self._sampler(),
                pruner=self._pruner(),
                study_name=self._study_name(),
                direction="minimize",
            )

    def _ask(self) -> Suggestion:
        trial = self._study.ask()
        return Suggestion(self._suggested(trial), handle=trial)

    def _ask_at(self, config: Config) -> Suggestion:
        self._enqueue(config)
        return self._ask()

    def _suggested(self, trial: Any) -> dict[str, Scalar]:
        """Return the values that Optuna suggests for a trial, of the parameters that are searched."""
        config: dict[str, Scalar] = {}
        for name, domain in self.problem.space.parameters.items():
            if not (self.drops_inactive or self.problem.space.is_active(name, config)):
                continue
            if isinstance(domain, Choice):
                config[name] = domain.values[trial.suggest_categorical(name, range(len(domain.values)))]
            elif isinstance(domain, Float):
                value = trial.suggest_float(name, domain.low, domain.high, log=domain.log)
                config[name] = _adapt.clipped(domain, value)
            else:
                config[name] = trial.suggest_int(name, domain.low, domain.high, log=domain.log)
        return config

    def _tell(self, suggestion: Suggestion, loss: float) -> None:
        self._study.tell(suggestion.handle, loss)

    def _fail(self, suggestion: Suggestion, status: Status, loss: float) -> None:
        import optuna

        if self.imputes:
            self._tell(suggestion, loss)
        else:
            self._study.tell(suggestion.handle, state=optuna.trial.TrialState.FAIL)

    def _take(self, config: Config, loss: float) -> None:
        """Add a finished trial, by `Study.add_trial`."""
        self._add(config, loss)

    def _take_failed(self, config: Config, status: Status, loss: float) -> None:
        self._take(config, loss) if self.imputes else self._add(config, None)

    def _add(self, config: Config, loss: float | None) -> None:
        """Add a trial that was not proposed here; without a loss it has failed."""
        import optuna

        state = optuna.trial.TrialState.FAIL if loss is None else optuna.trial.TrialState.COMPLETE
        space = self.problem.space
        complete = _adapt.completed(space, config) if self.drops_inactive else config
        values = {name: _adapt.encoded(space.parameters[name], value) for name, value in complete.items()}
        distributions = {name: _distribution(space.parameters[name]) for name in values}
        self._study.add_trial(
            optuna.trial.create_trial(params=values, distributions=distributions, value=loss, state=state)
        )

    def _add_in_turn(self, config: Config, loss: float | None) -> None:
        """Enqueue a trial, ask for it and tell it: for samplers that keep a state of their own with each trial."""
        import optuna

        complete = _adapt.completed(self.problem.space, config) if self.drops_inactive else config
        self._enqueue(complete)
        trial = self._study.ask()
        _ = (
            trial.relative_params
        )  # without being asked for these, a sampler takes no part in an enqueued trial
        self._suggested(trial)
        self._placed(trial)
        self._study.tell(trial, loss, optuna.trial.TrialState.FAIL if loss is None else None)

    def _placed(self, trial: Any) -> None:
        """Correct what the sampler noted with a trial whose values are not its own."""

    def _enqueue(self, config: Config) -> None:
        domains = self.problem.space.parameters
        self._study.enqueue_trial({k: _adapt.encoded(domains[k], value) for k, value in config.items()})


def _distribution(domain: Domain) -> Any:
    """Return what Optuna records of a parameter's suggest call."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if isinstance(domain, Choice):
        return CategoricalDistribution(range(len(domain.values)))
    assert isinstance(domain, Float | Int)  # noqa: S101 - there are no other domains
    kind = FloatDistribution if isinstance(domain, Float) else IntDistribution
    return kind(domain.low, domain.high, log=domain.log)


class TPEOptions(Options):
    """Settings of Optuna's TPE; each has the name and the default of `TPESampler`'s argument."""

    n_startup_trials: int = Field(10, ge=0, description="random trials before the model is used")
    n_ei_candidates: int = Field(24, ge=1, description="draws from l(x) that compete for each proposal")
    multivariate: bool | None = Field(
        None, description="model parameters jointly; null leaves it to Optuna, which does so since 5.0"
    )
    group: bool = Field(
        False,
        description="in conditional spaces, model jointly each set of parameters that occur together",
    )
    constant_liar: bool = Field(True, description="take running trials for bad ones")

    @model_validator(mode="after")
    def _group_is_multivariate(self) -> Self:
        if self.group and self.multivariate is False:
            raise ValueError("group: true needs multivariate: true (or null)")
        return self


class OptunaTPE(OptunaSearcher):
    """Tree-structured Parzen estimator, by Optuna's ``TPESampler``.

    The best of the finished trials and the rest are each modelled by a mixture of Gaussians (of
    categorical weights, for categories), l(x) and g(x). Of ``n_ei_candidates`` draws from l, the
    one with the largest l(x) / g(x) is proposed. The first ``n_startup_trials`` are random.

    It proposes exactly what ``Study.optimize`` does with the same seed. Trials asked while others
    are running see these through Optuna's constant liar, which takes them for bad ones. With
    ``start_at_reference`` the reference configuration is enqueued, and is one of the startup trials. A failed
    evaluation is told as a failed trial.

    Surprises of the library:

    * It learns nothing from failed trials, so that it can propose their neighbours again and again;
      ``on_failure: impute`` tells it the task's failure value instead.
    * Since Optuna 5.0, a ``multivariate`` that isn't set means true for a single objective, and
      ``constant_liar`` is on. Studies published with earlier versions had both off: set
      ``multivariate: false`` to compare with these.
    * A multivariate model covers the parameters that *every* trial so far had. In a conditional space
      the others are modelled one by one, unless ``group`` is set.
    * Integers on a log scale are modelled continuously between low - 0.5 and high + 0.5.
    * A value on a log scale can come out a rounding error above its bound; it is evaluated at the
      bound, while Optuna remembers its own number.

    References: J. Bergstra et al., "Algorithms for Hyper-Parameter Optimization", NeurIPS 2011;
    S. Falkner et al., "BOHB", ICML 2018 (multivariate); S. Watanabe, "Tree-Structured Parzen
    Estimator: Understanding Its Algorithm Components and Their Roles for Better Empirical
    Performance", arXiv:2304.11127. Defaults are those of Optuna 5.0.
    """

    name = "optuna_tpe"

    class Settings(TPEOptions, FailureOptions):
        """Settings of Optuna's TPE."""

    settings: Settings

    def _sampler(self) -> Any:
        import optuna

        return optuna.samplers.TPESampler(seed=self.seed, **self.settings.own())


class OptunaQMC(OptunaSearcher):
    """A quasi-random (low-discrepancy) sequence, by Optuna's ``QMCSampler``.

    A Sobol' or Halton sequence fills the unit cube more evenly than independent draws do. Each of
    its points becomes a configuration: real and whole numbers on their own scale, a category by the
    interval that its coordinate lies in. It learns nothing from losses.

    It proposes exactly what ``Study.optimize`` does with the same seed, for an objective that
    suggests every parameter. The sequence has one fixed dimension for each of these, so that
    conditional parameters are searched as if they were always active, and dropped from a proposal
    where they aren't. A failed evaluation is told as a failed trial.

    Surprises of the library:

    * The first trial isn't of the sequence: it is random, because Optuna learns the parameters from
      it. ``start_at_reference`` puts the reference configuration in its place. Should it fail, the next is
      random, too: the sequence begins after the first trial that succeeds.
    * ``scramble`` is off by default. The sequence is then the same whatever the seed, only the first,
      random, trial differs, and its first point is the corner where every number is at its lower
      bound. To compare repetitions, set ``scramble: true``.
    * A Sobol' sequence is balanced after a power of two of its points: budgets of 2ᵏ + 1 trials,
      the random one included.

    References: I. M. Sobol', "On the Distribution of Points in a Cube and the Approximate Evaluation
    of Integrals", USSR Computational Mathematics and Mathematical Physics 7 (1967) 86–112; J. H.
    Halton, "On the Efficiency of Certain Quasi-Random Sequences of Points in Evaluating
    Multi-Dimensional Integrals", Numerische Mathematik 2 (1960) 84–90; J. Bergstra and Y. Bengio,
    "Random Search for Hyper-Parameter Optimization", Journal of Machine Learning Research 13 (2012)
    281–305. Defaults are those of Optuna 5.0.
    """

    name = "optuna_qmc"
    conditional: ClassVar[bool] = False
    drops_inactive: ClassVar[bool] = True
    learns: ClassVar[bool] = False

    class Settings(FailureOptions):
        """Settings of Optuna's quasi-random search, under the names of `QMCSampler`'s arguments."""

        qmc_type: Literal["sobol", "halton"] = Field("sobol", description="which sequence")
        scramble: bool = Field(False, description="randomise the sequence by the seed")

    settings: Settings

    def _sampler(self) -> Any:
        import optuna

        return optuna.samplers.QMCSampler(seed=self.seed, **self.settings.own())

    _add = OptunaSearcher._add_in_turn  # each takes the place of a point of the sequence


class OptunaCMAES(OptunaSearcher):
    """Covariance matrix adaptation evolution strategy, by Optuna's ``CmaEsSampler`` on ``cmaes``.

    Each generation of ``popsize`` configurations is drawn from a multivariate normal distribution
    over the unit cube, whose mean, step size and covariance then move towards the better half. It
    begins at the middle of the space with a step size of a sixth of its width.

    It proposes exactly what ``Study.optimize`` does with the same seed. A failed evaluation is told as a failed
    trial, which takes no part in its generation.

    It searches real and whole numbers only. Optuna would draw categories, and parameters that are
    not always active, at random by another sampler: such spaces are refused, instead.

    Surprises of the library:

    * The first ``n_startup_trials`` trials, one by default, are random, and take no part in the
      first generation. With several workers, so are all that are asked before as many are told.
    * It still begins at the middle of the space where ``start_at_reference`` is set: the reference
      configuration only takes the place of the first random trial.
    * Of several workers' trials, those of a generation beyond the first ``popsize`` told are
      wasted. It never takes a running trial into account.
    * There is no restart: once converged, it proposes much the same to the end.
    * Without ``with_margin``, a whole number is rounded from a real one, and the step size can
      shrink until it cannot change any more.

    References: N. Hansen, "The CMA Evolution Strategy: A Tutorial", arXiv:1604.00772; R. Ros and
    N. Hansen, "A Simple Modification in CMA-ES Achieving Linear Time and Space Complexity", PPSN 2008
    (separable); R. Hamano et al., "CMA-ES with Margin", GECCO 2022; M. Nomura et al., "CMA-ES with
    Learning Rate Adaptation", GECCO 2023; M. Nomura and M. Shibata, "cmaes: A Simple yet Practical
    Python Library for CMA-ES", arXiv:2402.01373. Defaults are those of Optuna 5.0.
    """

    name = "optuna_cmaes"
    libraries: ClassVar[dict[str, str]] = {"optuna": "optuna", "cmaes": "cmaes"}
    domains: ClassVar[tuple[type[Domain], ...]] = (Float, Int)
    conditional: ClassVar[bool] = False

    class Settings(FailureOptions):
        """Settings of Optuna's CMA-ES, under the names of `CmaEsSampler`'s arguments."""

        n_startup_trials: int = Field(1, ge=0, description="random trials before the first generation")
        popsize: int | None = Field(
            None, ge=2, description="trials in a generation; null: 4 + ⌊3 ln n⌋ for n parameters"
        )
        use_separable_cma: bool = Field(False, description="learn variances only, no covariances")
        with_margin: bool = Field(False, description="keep whole numbers from freezing at one value")
        lr_adapt: bool = Field(False, description="adapt the learning rate, for noisy losses")

        @model_validator(mode="after")
        def _one_variant(self) -> Self:
            if self.use_separable_cma + self.with_margin + self.lr_adapt > 1:
                raise ValueError("set at most one of use_separable_cma, with_margin and lr_adapt")
            return self

    settings: Settings

    @classmethod
    def incompatibilities(cls, problem: Problem, budget: Budget, settings: Options) -> list[str]:
        """Refuse, besides, the separable variant of a single parameter, which Optuna would ignore."""
        reasons = super().incompatibilities(problem, budget, settings)
        searched = sum(domain.size != 1 for domain in problem.space.parameters.values())
        if getattr(settings, "use_separable_cma", False) and searched == 1:
            reasons.append("use_separable_cma needs at least two parameters to search")
        return reasons

    def _sampler(self) -> Any:
        import optuna

        return optuna.samplers.CmaEsSampler(seed=self.seed, **self.settings.own())

    _add = OptunaSearcher._add_in_turn  # generations are made of the recorded points

    def _placed(self, trial: Any) -> None:
        """Put the trial's point in the place of the draw that the variant with margin has noted."""
        if not (self.settings.with_margin and trial.relative_params):
            return
        from optuna._transform import _SearchSpaceTransform

        space = trial.relative_search_space
        transform = _SearchSpaceTransform(space, transform_step=False, transform_0_1=True)
        point = transform.transform({name: trial.params[name] for name in space}).tolist()
        self._study._storage.set_trial_system_attr(trial._trial_id, "x_for_tell", point)
