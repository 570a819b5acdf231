"""What each library makes of evaluations that fail: the adapter tells it what the library's own loop would."""

import logging
import warnings

import optuna
import pytest
from native import CONDITIONAL, CONTINUOUS, MIXED, SPACES, failing, fate, objective, ours, start, suggested
from test_native_equivalence import (
    HYPEROPT,
    KERAS_TUNER,
    gpyopt_run,
    hyperopt_fmin,
    kerastuner_ours,
    kerastuner_search,
    optuna_study,
    pyswarms_optimize,
    skopt_minimize,
)

from harness import registry
from harness.errors import SearcherError
from harness.searcher import FailureOptions, Searcher, Suggestion
from harness.space import Float, Space
from harness.trial import Budget, Curve, Evaluation, Fidelity, Objective, Problem, Proposal, Status
from searchers.conformance import one_thread

IMPUTED = 1e9
"""The failure value of the test problems."""


@pytest.fixture(autouse=True)
def reproducible():
    logger = logging.getLogger("optuna")
    level = logger.level
    logger.setLevel(logging.ERROR)
    with one_thread(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
    logger.setLevel(level)


def imputed(config):
    """The objective as a user of a library that knows no failure would write it."""
    return objective(config) if fate(config) is Status.OK else IMPUTED


def says_fail(config):
    """The objective as a user of hyperopt would write it."""
    return objective(config) if fate(config) is Status.OK else {"status": "fail"}


def test_the_fates_are_all_met():
    met = {fate(config) for config in ours("random", MIXED, 1, 40)}
    assert met == set(Status)


# Libraries that know failures


@pytest.mark.parametrize("space", [*SPACES.values(), CONDITIONAL], ids=[*SPACES, "conditional"])
def test_optuna_tpe(space):
    native = optuna_study(space, 3, 40, evaluate=failing)
    assert ours("optuna_tpe", space, 3, 40, fate=fate) == native
    assert ours("optuna_tpe", space, 3, 40) != native


def optimize(sampler, space, evaluations):
    """Return what `Study.optimize` evaluates, the objective suggesting every parameter."""

    def run(trial):
        seen.append(space.active_part(suggested(trial, space, conditions=False)))
        return failing(seen[-1])

    seen = []
    study = optuna.create_study(sampler=sampler)
    study.optimize(run, n_trials=evaluations, catch=(RuntimeError,))
    return seen


def test_optuna_cmaes():
    native = optimize(optuna.samplers.CmaEsSampler(seed=3), CONTINUOUS, 60)
    assert ours("optuna_cmaes", CONTINUOUS, 3, 60, fate=fate) == native
    assert ours("optuna_cmaes", CONTINUOUS, 3, 60) != native


def test_optuna_gp():
    for library in ("torch", "greenlet"):
        pytest.importorskip(library, reason="not installed with the project")
    native = optimize(optuna.samplers.GPSampler(seed=3, n_startup_trials=4), CONTINUOUS, 9)
    assert ours("optuna_gp", CONTINUOUS, 3, 9, fate=fate, n_startup_trials=4) == native


def test_optuna_qmc_begins_its_sequence_after_the_first_success():
    seed = next(seed for seed in range(99) if fate(ours("optuna_qmc", MIXED, seed, 1)[0]) is not Status.OK)
    native = optimize(optuna.samplers.QMCSampler(seed=seed), MIXED, 20)
    proposed = ours("optuna_qmc", MIXED, seed, 20, fate=fate)
    assert proposed == native
    assert proposed[1] != ours("optuna_qmc", MIXED, seed, 20)[1]


@pytest.mark.parametrize("name", HYPEROPT)
@pytest.mark.parametrize("space", [MIXED, CONDITIONAL], ids=["mixed", "conditional"])
def test_hyperopt(name, space):
    native = hyperopt_fmin(HYPEROPT[name], space, 3, 40, evaluate=says_fail)
    assert ours(name, space, 3, 40, fate=fate) == native


@pytest.mark.tensorflow
@pytest.mark.parametrize("name", ["kerastuner_random", "kerastuner_grid"])
def test_kerastuner(name, tmp_path):
    native = kerastuner_search(
        KERAS_TUNER[name],
        CONDITIONAL,
        3,
        tmp_path,
        evaluate=failing,
        max_trials=40,
        max_consecutive_failed_trials=99,
    )
    assert kerastuner_ours(name, CONDITIONAL, 3, 40, fate=fate) == native


@pytest.mark.tensorflow
@pytest.mark.slow
def test_kerastuner_bayes(tmp_path):
    settings = {"num_initial_points": 6}
    native = kerastuner_search(
        "BayesianOptimization",
        CONTINUOUS,
        3,
        tmp_path,
        evaluate=failing,
        max_trials=9,
        max_consecutive_failed_trials=99,
        **settings,
    )
    assert {fate(config) is Status.OK for config, _, _ in native} == {True, False}
    assert kerastuner_ours("kerastuner_bayes", CONTINUOUS, 3, 9, fate=fate, **settings) == native
    told = kerastuner_ours("kerastuner_bayes", CONTINUOUS, 3, 9, fate=fate, on_failure="impute", **settings)
    assert told[:6] == native[:6]
    assert told != native


@pytest.mark.tensorflow
@pytest.mark.parametrize("seed", [1, 3])
def test_kerastuner_hyperband(seed, tmp_path):
    """Every failure takes a promotion away, so that few of them leave some trials to go on, and many none."""
    settings = {"hyperband_iterations": 2}

    def spared(config):
        return int(objective(config) * 1e5) % 10 > 2

    def seldom(config):
        return Status.OK if spared(config) else fate(config)

    native = kerastuner_search(
        "Hyperband",
        MIXED,
        seed,
        tmp_path,
        evaluate=lambda config: objective(config) if spared(config) else failing(config),
        max_epochs=9,
        max_consecutive_failed_trials=999,
        **settings,
    )
    proposed = kerastuner_ours("kerastuner_hyperband", MIXED, seed, 10**6, epochs=9, fate=seldom, **settings)
    assert proposed == native
    assert any(past is not None for _, _, past in native)
    assert all(seldom(config) is Status.OK for config, _, past in native if past is not None)
    assert not all(seldom(config) is Status.OK for config, _, _ in native)


@pytest.mark.tensorflow
def test_kerastuner_goes_on_after_many_failures_in_a_row():
    proposed = kerastuner_ours("kerastuner_random", CONTINUOUS, 3, 12, fate=lambda config: Status.CRASHED)
    assert len(proposed) == 12


# Libraries that know none


@pytest.mark.parametrize("minimize", ["gp", pytest.param("forest", marks=pytest.mark.slow)])
def test_skopt(minimize):
    settings = {"n_initial_points": 5, "n_points": 300}
    options = {"acq_func": "EI"} if minimize == "gp" else {}
    native = skopt_minimize(f"{minimize}_minimize", MIXED, 3, 10, evaluate=imputed, **settings, **options)
    assert {fate(config) is Status.OK for config in native} == {True, False}
    assert ours(f"skopt_{minimize}", MIXED, 3, 10, fate=fate, **settings) == native


@pytest.mark.slow
def test_gpyopt():
    settings = {"optimize_restarts": 1, "eps": -1.0}
    native = gpyopt_run(CONTINUOUS, 3, 9, evaluate=imputed, **settings)
    assert {fate(config) is Status.OK for config in native} == {True, False}
    assert ours("gpyopt_gp", CONTINUOUS, 3, 9, fate=fate, **settings) == native


def test_pyswarms():
    native = pyswarms_optimize(MIXED, 3, 6, evaluate=imputed)
    assert ours("pyswarms_pso", MIXED, 3, 60, fate=fate) == native


# The setting, and the contract


def test_impute_tells_a_loss_instead():
    native = optuna_study(MIXED, 3, 40, evaluate=imputed)
    assert ours("optuna_tpe", MIXED, 3, 40, fate=fate, on_failure="impute") == native
    assert ours("optuna_tpe", MIXED, 3, 40, fate=fate) != native
    native = hyperopt_fmin("anneal", MIXED, 3, 40, evaluate=imputed)
    assert ours("hyperopt_anneal", MIXED, 3, 40, fate=fate, on_failure="impute") == native


def test_methods_that_learn_and_whose_library_knows_failures_can_be_told_a_loss():
    offering = {
        name for name, kind in registry.searchers().items() if issubclass(kind.Settings, FailureOptions)
    }
    assert offering == {
        *(f"optuna_{each}" for each in ("tpe", "gp", "cmaes", "qmc", "sha", "hyperband")),
        *("hyperopt_tpe", "hyperopt_anneal", "kerastuner_bayes", "raytune_optuna", "raytune_hyperopt"),
        *(
            "raytune_search",
            "nevergrad",
            *(f"nevergrad_{each}" for each in ("cma", "de", "oneplusone", "pso")),
        ),
        *("flaml_cfo", "flaml_blendsearch", "ax_botorch"),
    }


@pytest.mark.parametrize("name", ["optuna_tpe", "optuna_cmaes", "hyperopt_tpe", "raytune_optuna"])
def test_recorded_failures_are_told_as_such(name):
    """From recorded trials it goes on otherwise where some of them are told as failures than where they are losses."""
    recorded = ours("random", CONTINUOUS, 1, 30)

    def after(**settings):
        searcher = start(name, CONTINUOUS, 2, 40, workers=3, **settings)
        for number, config in enumerate(recorded):
            ended = fate(config)
            curve = Curve({"error": (float(objective(config)),)}) if ended is Status.OK else Curve()
            searcher.take(Proposal(number, config, 1), Evaluation(ended, curve, 1))
        return [dict(searcher.ask().config) for _ in range(3)]

    assert after() == after()
    assert (after() == after(on_failure="impute")) == (name == "hyperopt_tpe")  # to which both are the worst


def test_a_method_that_continues_a_failed_trial_is_refused():
    class Stubborn(Searcher):
        """Continues whatever it proposed. A test."""

        name = "stubborn"
        multi_fidelity = True
        last = None

        def _ask(self):
            self.last = Suggestion({"x": 0.5}, epochs=1 if self.last is None else 2, continues=self.last)
            return self.last

        def _tell(self, suggestion, loss):
            pass

    problem = Problem(Space({"x": Float(0, 1)}), Fidelity(1, 9), Objective("error", "min", failure=1.0))
    searcher = Stubborn(problem, seed=1, budget=Budget("epochs", 9))
    searcher.tell(searcher.ask(), Evaluation(Status.TIMEOUT, Curve(), 1))
    with pytest.raises(SearcherError, match="trial 0: continued, and its evaluation failed"):
        searcher.ask()
