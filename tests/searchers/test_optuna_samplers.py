"""Optuna's quasi-random sequences, CMA-ES and Gaussian process: what its own loop proposes, and what they refuse."""

import importlib.util
import logging
import warnings

import optuna
import pytest
from native import (
    CATEGORICAL,
    CONDITIONAL,
    CONTINUOUS,
    MIXED,
    SEEDS,
    SPACES,
    objective,
    ours,
    start,
    suggested,
)

from harness.errors import IncompatibleError, MissingLibraryError
from harness.space import Condition, Float, Int, Space
from searchers.conformance import one_thread

NUMBERS = Space(
    {
        "rate": Float(1e-4, 1e-1, log=True),
        "share": Float(-2.0, 3.0),
        "layers": Int(1, 5),
        "units": Int(4, 512, log=True),
    },
    references={"published": {"rate": 1e-3, "share": 0.5, "layers": 1, "units": 12}},
)
NUMERIC = {"continuous": CONTINUOUS, "numbers": NUMBERS}


@pytest.fixture(autouse=True)
def reproducible():
    logger = logging.getLogger("optuna")
    level = logger.level
    logger.setLevel(logging.WARNING)
    with one_thread(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
    logger.setLevel(level)


def optimize(sampler, space, evaluations, *, first=None):
    """Return what `Study.optimize` evaluates, the objective suggesting every parameter of the space."""

    def run(trial):
        config = suggested(trial, space, conditions=False)
        seen.append(space.active_part(config))
        return objective(seen[-1])

    seen = []
    study = optuna.create_study(sampler=sampler)
    if first is not None:
        study.enqueue_trial(first)
    study.optimize(run, n_trials=evaluations)
    return seen


# Quasi-random sequences


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("space", SPACES)
def test_qmc(space, seed):
    native = optimize(optuna.samplers.QMCSampler(seed=seed), SPACES[space], 40)
    assert ours("optuna_qmc", SPACES[space], seed, 40) == native


@pytest.mark.parametrize(
    "settings",
    [{"scramble": True}, {"qmc_type": "halton"}, {"qmc_type": "halton", "scramble": True}],
)
@pytest.mark.parametrize(
    "space", [CONDITIONAL, MIXED, CATEGORICAL], ids=["conditional", "mixed", "categorical"]
)
def test_qmc_settings(space, settings):
    native = optimize(optuna.samplers.QMCSampler(seed=3, **settings), space, 40)
    assert ours("optuna_qmc", space, 3, 40, **settings) == native


def test_qmc_starting_point():
    first = dict(MIXED.references["published"])
    proposed = ours("optuna_qmc", MIXED, 3, 20, start_at_reference=True)
    assert proposed == optimize(optuna.samplers.QMCSampler(seed=3), MIXED, 20, first=first)
    assert proposed[0] == first


def test_qmc_starting_point_of_a_conditional_space():
    reference = {"optimizer": "sgd", "rate": 1e-3}
    space = Space(CONDITIONAL.parameters, CONDITIONAL.conditions, {"published": reference})
    proposed = ours("optuna_qmc", space, 3, 40, start_at_reference=True)
    assert proposed[0] == reference
    # The sequence has a coordinate for the parameters that the reference leaves out, too.
    assert proposed[1:] == ours("optuna_qmc", space, 3, 40)[1:]


def test_qmc_without_scrambling_differs_in_its_first_trial_only():
    one, other = (ours("optuna_qmc", MIXED, seed, 20) for seed in (1, 2))
    assert one[0] != other[0]
    assert one[1:] == other[1:]
    assert one[1].pop("rate") == pytest.approx(1e-4)
    assert one[1] == {"layers": 1, "units": 4, "optimizer": "sgd", "nesterov": True}


def test_qmc_fills_the_cube_evenly():
    proposed = ours("optuna_qmc", CONTINUOUS, 1, 33, scramble=True)[1:]
    for i in range(2):
        assert sorted(int(CONTINUOUS.to_unit(config)[i] * 32) for config in proposed) == list(range(32))


def test_qmc_goes_on_with_the_sequence_while_others_run():
    searcher = start("optuna_qmc", MIXED, 1, 20, scramble=True)
    waiting = [dict(searcher.ask().config) for _ in range(10)]
    assert waiting == ours("optuna_qmc", MIXED, 1, 10, scramble=True)


# CMA-ES


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("space", NUMERIC)
def test_cmaes(space, seed):
    native = optimize(optuna.samplers.CmaEsSampler(seed=seed), NUMERIC[space], 40)
    assert ours("optuna_cmaes", NUMERIC[space], seed, 40) == native


@pytest.mark.parametrize(
    "settings",
    [
        {"popsize": 9, "n_startup_trials": 5},
        {"use_separable_cma": True},
        {"with_margin": True, "popsize": 4},
        {"lr_adapt": True, "n_startup_trials": 0},
    ],
)
@pytest.mark.parametrize("space", NUMERIC)
def test_cmaes_settings(space, settings):
    native = optimize(optuna.samplers.CmaEsSampler(seed=3, **settings), NUMERIC[space], 40)
    assert ours("optuna_cmaes", NUMERIC[space], 3, 40, **settings) == native


def test_cmaes_starting_point():
    first = dict(NUMBERS.references["published"])
    proposed = ours("optuna_cmaes", NUMBERS, 3, 20, start_at_reference=True)
    assert proposed == optimize(optuna.samplers.CmaEsSampler(seed=3), NUMBERS, 20, first=first)
    assert proposed[0] == first


def test_nothing_falls_back_to_random(caplog, monkeypatch):
    monkeypatch.setattr(logging.getLogger("optuna"), "propagate", True)
    for space in NUMERIC.values():
        ours("optuna_cmaes", space, 1, 30)
    for space in (MIXED, CONDITIONAL):
        ours("optuna_qmc", space, 1, 30)
    assert not caplog.records  # the library warns where it does
    optimize(optuna.samplers.CmaEsSampler(seed=1), MIXED, 3)
    assert "RandomSampler" in caplog.text


@pytest.mark.parametrize("space", [MIXED, CATEGORICAL], ids=["mixed", "categorical"])
def test_cmaes_refuses_categories(space):
    with pytest.raises(IncompatibleError, match="is a Choice; it searches Float, Int only"):
        start("optuna_cmaes", space, 1, 5)


def test_cmaes_refuses_conditions():
    space = Space({"layers": Int(1, 3), "width": Int(1, 9)}, {"width": Condition("layers", (2, 3))})
    with pytest.raises(IncompatibleError, match="it cannot search conditional parameters"):
        start("optuna_cmaes", space, 1, 5)


def test_cmaes_refuses_variants_that_the_library_would_ignore():
    with pytest.raises(IncompatibleError, match="at least two parameters"):
        start("optuna_cmaes", Space({"a": Float(0, 1), "b": Int(3, 3)}), 1, 5, use_separable_cma=True)
    with pytest.raises(ValueError, match="at most one of"):
        start("optuna_cmaes", NUMBERS, 1, 5, with_margin=True, lr_adapt=True)


# Gaussian process


MISSING = [name for name in ("torch", "greenlet") if importlib.util.find_spec(name) is None]
needs_torch = pytest.mark.skipif(bool(MISSING), reason=f"needs {MISSING}, which the project does not install")


@needs_torch
@pytest.mark.parametrize(
    ("space", "seed"),
    [
        pytest.param(space, seed, marks=() if seed == SEEDS[0] else pytest.mark.slow)
        for space in SPACES
        for seed in SEEDS
    ],
)
def test_gp(space, seed):
    expected = optimize(optuna.samplers.GPSampler(seed=seed), SPACES[space], 40)
    assert ours("optuna_gp", SPACES[space], seed, 40) == expected


@needs_torch
@pytest.mark.parametrize("space", [CONDITIONAL, CATEGORICAL], ids=["conditional", "categorical"])
def test_gp_settings(space):
    settings = {"n_startup_trials": 4, "deterministic_objective": True}
    expected = optimize(optuna.samplers.GPSampler(seed=3, **settings), space, 12)
    assert ours("optuna_gp", space, 3, 12, **settings) == expected


@needs_torch
def test_gp_starting_point():
    first = dict(MIXED.references["published"])
    expected = optimize(optuna.samplers.GPSampler(seed=3, n_startup_trials=4), MIXED, 9, first=first)
    assert ours("optuna_gp", MIXED, 3, 9, start_at_reference=True, n_startup_trials=4) == expected
    assert expected[0] == first


@pytest.mark.skipif(not MISSING, reason="nothing is missing")
def test_gp_says_what_to_install():
    with pytest.raises(MissingLibraryError, match=r"pip install 'hpo-derby\[optuna-gp\]'"):
        start("optuna_gp", CONTINUOUS, 1, 5)


# All of them


@pytest.mark.parametrize("name", ["optuna_qmc", "optuna_cmaes", "optuna_gp"])
def test_no_reference_to_start_at(name):
    with pytest.raises(IncompatibleError, match="no reference configuration"):
        start(name, Space({"a": Float(0, 1)}), 1, 5, start_at_reference=True)
