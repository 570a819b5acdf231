"""Keras Tuner's oracles: Bayesian optimisation, Hyperband, random search and grid search."""

from __future__ import annotations

import contextlib
import math
import sys
import weakref
from typing import Any, ClassVar, Final

from pydantic import Field

from harness.options import Options
from harness.searcher import FailureOptions, Searcher, SearcherOptions, Suggestion
from harness.space import Choice, Config, Domain, Float, Int, Scalar
from harness.trial import Budget, Problem, Status
from searchers import _adapt

OWN_NAMES: Final = "tuner/"
"""How the names of Hyperband's own values begin, which are among a trial's: ``tuner/epochs`` and four more."""


class _KerasTunerSearcher(Searcher):
    """One of Keras Tuner's oracles, which decide what its tuners train.

    The search space becomes Keras Tuner's hyperparameters, conditional scopes included: ``Float``, ``Int`` and
    ``Choice``, ``Boolean`` for a choice between true and false, ``Fixed`` for a number with a single possible
    value. Other categories are given as their positions, which is what the oracles work with, because a
    ``Choice`` takes values of a single type only. Nothing is written to disk.

    A failed evaluation is a trial of status ``FAILED``, which is what a tuner makes of a model that cannot be built or
    trained, and of a score that is NaN. It is not tried again, as by the tuners' default ``max_retries_per_trial``.

    Surprises that all of its oracles share:

    * Importing it imports TensorFlow: seconds, and hundreds of megabytes.
    * A seed of 0 counts as no seed: it then draws one from Python's global generator (which is
      seeded, and isolated, here).
    * Three failed trials in a row end a tuner's search, by its default ``max_consecutive_failed_trials``. Here none
      ends it, as if that were set to a number that is never reached.
    * A tuner scores a trial by its *best* epoch; here a searcher is told the last one, whatever the library.
    * A random draw that was tried before is drawn again, 20 times; then the space counts as
      exhausted, and the search ends.

    The library has no way of its own to begin at a given point, but for its grid search. The starting
    point takes the place of the first random draw, so that the oracle treats it as one of its own trials.
    """

    version: ClassVar[int] = 2
    libraries: ClassVar[dict[str, str]] = {"keras_tuner": "keras-tuner", "tensorflow": "tensorflow"}
    conditional: ClassVar[bool] = True
    parallel: ClassVar[bool] = True
    global_random: ClassVar[bool] = True

    @classmethod
    def incompatibilities(cls, problem: Problem, budget: Budget, settings: Options) -> list[str]:
        """Refuse, besides, names that the library keeps for itself, and scales that overflow in it."""
        reasons = super().incompatibilities(problem, budget, settings)
        for name, domain in problem.space.parameters.items():
            if name.startswith(OWN_NAMES):
                reasons.append(
                    f"parameter {name!r}: Keras Tuner keeps names that begin with {OWN_NAMES} for itself; rename it"
                )
            if isinstance(domain, Float) and domain.log and math.isinf(domain.high / domain.low):
                reasons.append(
                    f"parameter {name!r} is logarithmic from {domain.low} to {domain.high}, and Keras Tuner computes "
                    f"with high / low, which must be below {sys.float_info.max:.1e}; narrow its range"
                )
        return reasons

    def _oracle(self, **common: Any) -> Any:
        """Return the library's oracle, given the arguments that all of them take."""
        raise NotImplementedError

    def _start(self) -> None:
        with _adapt.ignored_warnings():
            import keras_tuner
            from keras_tuner.src.engine import oracle as engine

            objective = keras_tuner.Objective("loss", "min")
            self._search = self._oracle(
                objective=objective,
                hyperparameters=self._hyperparameters(),
                seed=self.seed,
                max_consecutive_failed_trials=sys.maxsize,
            )
        self._search.verbose = 0
        self._search.save = self._search._save_trial = lambda *_: None
        # Its table of locks would keep every oracle for as long as the process lives.
        for table in (engine.LOCKS, engine.THREADS):
            weakref.finalize(self, table.pop, self._search, None)
        self._asked: dict[str, Suggestion] = {}
        self._ended = False

    def _hyperparameters(self) -> Any:
        from keras_tuner import HyperParameters

        space = self.problem.space
        hyperparameters = HyperParameters()
        constants, defaults = _adapt.constants(space), self._defaults()
        for name, domain in space.parameters.items():
            default = defaults.get(name)
            scopes = []
            condition = space.conditions.get(name)
            while condition is not None:
                parent = space.parameters[condition.parent]
                values = [_encoded(parent, value) for value in condition.values]
                scopes.append((condition.parent, values))
                condition = space.conditions.get(condition.parent)
            with contextlib.ExitStack() as stack:
                for scope in reversed(scopes):
                    stack.enter_context(hyperparameters.conditional_scope(*scope))
                sampling = "log" if isinstance(domain, Float | Int) and domain.log else "linear"
                if _is_boolean(domain):
                    hyperparameters.Boolean(name, default=bool(default))
                elif name in constants:
                    hyperparameters.Fixed(name, constants[name])
                elif isinstance(domain, Choice):
                    positions = list(range(len(domain.values)))
                    hyperparameters.Choice(name, positions, ordered=False, default=default)
                else:
                    make = hyperparameters.Float if isinstance(domain, Float) else hyperparameters.Int
                    make(name, domain.low, domain.high, sampling=sampling, default=default)
        return hyperparameters

    def _defaults(self) -> dict[str, Scalar]:
        """Return values that the library is given as its hyperparameters' defaults, by name."""
        return {}

    def _ask_at(self, config: Config) -> Suggestion | None:
        parameters = self.problem.space.parameters
        values = {name: _encoded(parameters[name], value) for name, value in config.items()}
        self._search._random_values = lambda: values  # by which every oracle's first trial is drawn
        try:
            return self._ask()
        finally:
            del self._search._random_values

    def _ask(self) -> Suggestion | None:
        if self._ended:
            return None
        with _adapt.ignored_warnings():
            trial = self._search.create_trial(f"worker of trial {len(self._search.trials)}")
        if trial.status != "RUNNING":
            self._ended = trial.status == "STOPPED"
            return None
        values = trial.hyperparameters.values
        config: dict[str, Scalar] = {}
        for name, domain in self.problem.space.parameters.items():
            if self.problem.space.is_active(name, config):
                config[name] = _decoded(domain, values[name])
        suggestion = Suggestion(
            config,
            epochs=values.get("tuner/epochs"),
            handle=trial,
            continues=self._asked.get(values.get("tuner/trial_id")),
        )
        self._asked[trial.trial_id] = suggestion
        return suggestion

    def _take(self, config: Config, loss: float) -> None:
        """Let the oracle create a trial of these values, and end it."""
        self._tell(self._created(config), loss)

    def _take_failed(self, config: Config, status: Status, loss: float) -> None:
        self._fail(self._created(config), status, loss)

    def _created(self, config: Config) -> Suggestion:
        """Return the suggestion of a trial that the oracle created of given values."""
        parameters = self.problem.space.parameters
        values = {name: _encoded(parameters[name], value) for name, value in config.items()}
        self._search.populate_space = lambda _: {"status": "RUNNING", "values": values}
        try:
            suggestion = self._ask()
        finally:
            del self._search.populate_space
        assert suggestion is not None  # noqa: S101 - the status says so
        return suggestion

    def _tell(self, suggestion: Suggestion, loss: float) -> None:
        trial = suggestion.handle
        with _adapt.ignored_warnings():
            self._search.update_trial(trial.trial_id, {"loss": loss})
            trial.status = "COMPLETED"
            self._search.end_trial(trial)

    def _fail(self, suggestion: Suggestion, status: Status, loss: float) -> None:
        if self.imputes:
            self._tell(suggestion, loss)
            return
        with _adapt.ignored_warnings():
            suggestion.handle.status = "FAILED"
            self._search.end_trial(suggestion.handle)


def _is_boolean(domain: Domain) -> bool:
    """Whether a Keras user would write ``hp.Boolean``: a choice between true and false, in any order."""
    return isinstance(domain, Choice) and sorted(map(repr, domain.values)) == ["False", "True"]


def _encoded(domain: Domain, value: Scalar) -> Scalar:
    return value if _is_boolean(domain) else _adapt.encoded(domain, value)


def _decoded(domain: Float | Int | Choice, value: Any) -> Scalar:
    if _is_boolean(domain):
        return bool(value)
    if isinstance(domain, Choice):
        return domain.values[int(value)]
    if isinstance(domain, Float):
        return _adapt.clipped(domain, float(value))
    # At the very end of a logarithmic scale, the library's own value is one too many.
    return domain.high if value == domain.high + 1 else int(value)


class KerasTunerRandom(_KerasTunerSearcher):
    """Random search without repetition, by Keras Tuner's ``RandomSearchOracle``.

    Every parameter of every trial is drawn by a generator of its own, seeded with successive numbers. It
    proposes exactly what the ``RandomSearch`` tuner does with the same seed. With ``start_at_reference`` the
    reference configuration comes before the first draw. A failed evaluation is told as a failed trial.

    Surprises of the library: three failed trials in a row end a tuner's search, and don't here; it imports
    TensorFlow; a draw that was tried before is drawn again, 20 times, then the space counts as exhausted and the
    search ends; a seed of 0 counts as no seed, and one is drawn from Python's global generator (seeded, and
    isolated, here).

    Reference: J. Bergstra and Y. Bengio, 2012; T. O'Malley et al., Keras Tuner, 2019.
    """

    name = "kerastuner_random"
    learns: ClassVar[bool] = False

    def _oracle(self, **common: Any) -> Any:
        from keras_tuner.oracles import RandomSearchOracle

        return RandomSearchOracle(max_trials=None, **common)


class KerasTunerGrid(_KerasTunerSearcher):
    """Grid search, by Keras Tuner's ``GridSearchOracle``.

    Every combination once, the last parameter fastest. A `Choice` and a linear integer take every value; a
    real and a logarithmic integer take their lower bound and the middles of ten equal intervals. It
    proposes exactly what the ``GridSearch`` tuner does. A failed evaluation is told as a failed trial.

    With ``start_at_reference`` the reference configuration's values are the library's ``default`` ones, with
    which its grid search begins: each goes first on its axis, the other values after it. It comes once. A
    value that isn't on its axis is then one more value there, in every combination.

    Surprises of the library:

    * A budget smaller than the grid sees one corner of it, whatever the seed.
    * The upper bound of a real parameter is not on the grid, and its values come in no particular order.
    * However many workers there are, at most two ever have work.
    * It imports TensorFlow.

    Reference: T. O'Malley et al., Keras Tuner, 2019.
    """

    name = "kerastuner_grid"
    seeded: ClassVar[bool] = False
    learns: ClassVar[bool] = False

    def _oracle(self, **common: Any) -> Any:
        from keras_tuner.oracles import GridSearchOracle

        return GridSearchOracle(max_trials=None, **common)

    def _defaults(self) -> dict[str, Scalar]:
        parameters = self.problem.space.parameters
        return {k: _encoded(parameters[k], value) for k, value in (self.starting_point or {}).items()}

    def _ask_at(self, config: Config) -> Suggestion | None:
        return self._ask()

    _take, _take_failed = (
        Searcher._take,
        Searcher._take_failed,
    )  # each combination is found from the one before it, which must be its own


class KerasTunerBayes(_KerasTunerSearcher):
    """Bayesian optimisation with a Gaussian process, by Keras Tuner's ``BayesianOptimizationOracle``.

    After the random initial trials, scikit-learn's Gaussian process (isotropic Matérn 5/2, normalised
    losses, fixed noise ``alpha``, 20 restarts) is fitted to everything known, on the unit cube, categories by
    their position; the minimiser of mean - ``beta`` · standard deviation, of 50 runs of L-BFGS, is
    proposed.

    It proposes exactly what the ``BayesianOptimization`` tuner does with the same seed and as many
    threads. With ``start_at_reference`` the reference configuration is the first of the initial trials. A failed
    evaluation is told as a failed trial, which its model leaves out.

    Surprises of the library, besides those of ``kerastuner_random``:

    * Categories are ordered by their position. One length scale serves all parameters.
    * The acquisition's gradient is found by finite differences, which takes seconds where there are many
      parameters.
    * A whole number on a logarithmic scale can come out one above its upper bound; it is evaluated at
      the bound, while Keras Tuner remembers its own number.
    * Failed trials are no initial trials: random ones are drawn until as many have succeeded, and a small space all
      of whose configurations fail counts as exhausted.
    * A model-based proposal may repeat an earlier one.

    Reference: N. Srinivas et al., "Gaussian Process Optimization in the Bandit Setting", ICML 2010;
    T. O'Malley et al., Keras Tuner, 2019. Defaults are those of Keras Tuner 1.4.
    """

    name = "kerastuner_bayes"

    class Settings(FailureOptions):
        """Settings of ``BayesianOptimizationOracle``, under its names."""

        num_initial_points: int | None = Field(
            None, ge=1, description="random trials before the model is used; null: three per parameter"
        )
        alpha: float = Field(1e-4, gt=0, description="variance of the noise, of normalised losses")
        beta: float = Field(2.6, ge=0, description="weight of the standard deviation")

    settings: Settings

    def _oracle(self, **common: Any) -> Any:
        from keras_tuner.oracles import BayesianOptimizationOracle

        return BayesianOptimizationOracle(max_trials=None, **self.settings.own(), **common)


class KerasTunerHyperband(_KerasTunerSearcher):
    """Hyperband, by Keras Tuner's ``HyperbandOracle``.

    Brackets of successive halving: many random configurations are trained for few epochs, the best
    1 / ``factor`` of them for ``factor`` times as many, and so on, up to full fidelity. Each bracket begins with
    fewer configurations and more epochs than the one before it.

    It proposes exactly what the ``Hyperband`` tuner does with the same seed, with ``max_epochs`` the
    task's full fidelity: configurations, epochs, and which trial is continued. With ``start_at_reference``
    the reference configuration is the first one of the first bracket. A failed evaluation is told as a failed
    trial, which is never continued.

    Surprises of the library, besides those of ``kerastuner_random``:

    * Its tuner compares trials by their *best* epoch so far; here every searcher is told the last one.
    * Its own default is a single iteration over the brackets; here it iterates until the budget is
      spent.
    * Each bracket begins with as many configurations, at as many epochs, as in the paper; but of n that
      begin the paper takes ⌊n / factorⁱ⌋ to round i, and the library rounds up a number that was not rounded
      before. With R = 81 and factor 3, the brackets are 81, 27, 9, 3, 1 (as in the paper); 34, 12, 4, 2
      (34, 11, 3, 1); 15, 5, 2 (15, 5, 1); 8, 3 (8, 2); and 5.
    * Every failure in a round takes one promotion away from it, as a failed trial keeps its place: of nine that
      begin, three go on, and with three failures none does. The next bracket then begins.
    * A trial is promoted as soon as its place among the best of its round is certain, before the round is
      complete. With several workers, a new bracket begins where the last one has to wait.

    Reference: L. Li et al., "Hyperband: A Novel Bandit-Based Approach to Hyperparameter Optimization",
    Journal of Machine Learning Research 18 (2018) 1–52; T. O'Malley et al., Keras Tuner, 2019.
    """

    name = "kerastuner_hyperband"
    multi_fidelity: ClassVar[bool] = True
    learns: ClassVar[bool] = False

    class Settings(SearcherOptions):
        """Settings of ``HyperbandOracle``, under its names."""

        factor: int = Field(3, ge=2, description="how many times fewer trials, and more epochs, each round")
        hyperband_iterations: int | None = Field(
            None, ge=1, description="how often to go over all brackets; null: until the budget is spent"
        )

    settings: Settings

    @classmethod
    def incompatibilities(cls, problem: Problem, budget: Budget, settings: Options) -> list[str]:
        """Refuse, besides, a task that cannot be trained for a single epoch."""
        reasons = super().incompatibilities(problem, budget, settings)
        if problem.fidelity.low > 1:
            reasons.append(f"it trains for as little as 1 epoch, and the task needs {problem.fidelity.low}")
        return reasons

    @classmethod
    def least_epochs(cls, problem: Problem, budget: Budget, settings: Options) -> int:
        """Return the epochs of the first round of the first bracket, as the library counts them."""
        if not isinstance(settings, cls.Settings):
            return super().least_epochs(problem, budget, settings)
        factor: int = settings.factor
        rounds, left = 0, problem.fidelity.high / factor
        while left >= 1:
            rounds, left = rounds + 1, left / factor
        first: int = math.ceil(problem.fidelity.high / factor**rounds)
        return first

    def _oracle(self, **common: Any) -> Any:
        from keras_tuner.oracles import HyperbandOracle

        fidelity = self.problem.fidelity
        return HyperbandOracle(max_epochs=fidelity.high, **self.settings.own(), **common)

    _take, _take_failed = (
        Searcher._take,
        Searcher._take_failed,
    )  # a trial is of a bracket and a round, which it does not show
