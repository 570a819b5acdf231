"""Parameters of a single value, a choice between true and false, and ranges that a library cannot take."""

import warnings

import pytest
from native import ours, problem
from test_native_equivalence import (
    HYPEROPT,
    gpyopt_run,
    hyperopt_fmin,
    kerastuner_ours,
    kerastuner_search,
    optuna_study,
    skopt_minimize,
)

from harness import registry
from harness.space import Choice, Condition, Float, Int, Space
from harness.trial import Budget
from searchers.conformance import one_thread

CONSTANT = Space(
    {
        "optimizer": Choice(("adam",)),
        "rate": Float(1e-4, 1e-1, log=True),
        "a": Choice(("x",)),
        "layers": Int(1, 5),
        "c": Choice((True, False)),
    }
)
NUMBERS_TOO = Space({**CONSTANT.parameters, "units": Int(50, 50), "share": Float(0.5, 0.5)})


@pytest.fixture(autouse=True)
def reproducible():
    with one_thread(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def test_optuna():
    assert ours("optuna_tpe", CONSTANT, 3, 25) == optuna_study(CONSTANT, 3, 25)


@pytest.mark.parametrize("name", ["skopt_gp", pytest.param("skopt_forest", marks=pytest.mark.slow)])
def test_skopt(name):
    settings = {"n_initial_points": 4, "n_points": 300}
    options = {"acq_func": "EI"} if name == "skopt_gp" else {}
    native = skopt_minimize(name.replace("skopt_", "") + "_minimize", CONSTANT, 3, 8, **settings, **options)
    assert ours(name, CONSTANT, 3, 8, **settings) == native


@pytest.mark.parametrize("name", HYPEROPT)
def test_hyperopt(name):
    assert ours(name, CONSTANT, 3, 30) == hyperopt_fmin(HYPEROPT[name], CONSTANT, 3, 30)


@pytest.mark.slow
def test_gpyopt():
    settings = {"optimize_restarts": 1, "eps": -1.0, "initial_design_numdata": 4}
    assert ours("gpyopt_gp", CONSTANT, 3, 6, **settings) == gpyopt_run(CONSTANT, 3, 6, **settings)


@pytest.mark.parametrize("name", ["raytune_optuna", "raytune_hyperopt"])
def test_raytune(name):
    from test_raytune import driven, tune_search

    assert ours(name, CONSTANT, 3, 30) == driven(tune_search(name, 3), CONSTANT, 30)


@pytest.mark.tensorflow
@pytest.mark.parametrize("name", ["random", "grid"])
def test_kerastuner(name, tmp_path):
    tuner = {"random": "RandomSearch", "grid": "GridSearch"}[name]
    native = kerastuner_search(tuner, CONSTANT, 3, tmp_path, max_trials=20)
    assert kerastuner_ours(f"kerastuner_{name}", CONSTANT, 3, 20) == native


@pytest.mark.tensorflow
@pytest.mark.slow
def test_kerastuner_bayes(tmp_path):
    settings = {"num_initial_points": 6}
    native = kerastuner_search("BayesianOptimization", CONSTANT, 3, tmp_path, max_trials=8, **settings)
    assert kerastuner_ours("kerastuner_bayes", CONSTANT, 3, 8, **settings) == native


@pytest.mark.tensorflow
def test_kerastuner_boolean_with_dependents(tmp_path):
    """A condition on a Boolean, in either order of its values."""
    for values in ((True, False), (False, True)):
        space = Space(
            {"c": Choice(values), "layers": Int(1, 5), "share": Float(0, 1)},
            conditions={"layers": Condition("c", (True,))},
        )
        native = kerastuner_search("RandomSearch", space, 3, tmp_path, max_trials=20)
        proposed = kerastuner_ours("kerastuner_random", space, 3, 20)
        assert proposed == native
        assert {config["c"] for config, _, _ in proposed} == {True, False}
        assert all(("layers" in config) == config["c"] for config, _, _ in proposed)


@pytest.mark.tensorflow
def test_kerastuner_takes_no_other_choice_for_a_boolean():
    import keras_tuner

    for values, kind in (((0, 1), "Choice"), ((True, False), "Boolean"), ((False, 1), "Choice")):
        searcher = registry.searcher("kerastuner_random")(
            problem(Space({"c": Choice(values)})), seed=1, budget=Budget("evaluations", 3)
        )
        (parameter,) = searcher._search.hyperparameters.space
        assert isinstance(parameter, getattr(keras_tuner.engine.hyperparameters, kind))


@pytest.mark.parametrize("name", ["optuna_tpe", "skopt_gp", "hyperopt_tpe", "raytune_optuna"])
def test_numbers_of_one_value_are_as_without_them(name):
    settings = {"n_initial_points": 4, "n_points": 300} if name == "skopt_gp" else {}
    proposed = ours(name, NUMBERS_TOO, 3, 7, **settings)
    assert all(config.pop("units") == 50 and config.pop("share") == 0.5 for config in proposed)
    assert len({config["rate"] for config in proposed}) == 7


def test_ranges_that_keras_tuner_cannot_compute_with_are_refused_when_planned():
    wide = Space({"rate": Float(1e-300, 1e300, log=True)})
    for name, kind in registry.searchers().items():
        reasons = kind.incompatibilities(problem(wide), Budget("evaluations", 9), kind.Settings())
        refused = [each for each in reasons if "'rate' is logarithmic from 1e-300 to 1e+300" in each]
        assert bool(refused) == name.startswith("kerastuner"), name
    narrower = Space({"rate": Float(1e-150, 1e150, log=True)})
    kind = registry.searcher("kerastuner_random")
    assert not kind.incompatibilities(problem(narrower), Budget("evaluations", 9), kind.Settings())
