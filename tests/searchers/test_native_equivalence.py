"""Each adapter proposes exactly what its library's own loop would, under the same seed and losses."""

import contextlib
import math
import os
import subprocess
import sys
import warnings
from pathlib import Path

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
    plain,
    start,
)

from harness import registry
from harness.space import Float, Int
from harness.trial import Budget, Curve, Evaluation, Fidelity, Objective, Problem, Status
from searchers.conformance import one_thread

# Of the slow ones, only the first seed runs without the slow tests.
GRID = [(space, seed) for space in SPACES for seed in SEEDS]
SLOW_GRID = [
    pytest.param(space, seed, marks=() if seed == SEEDS[0] else pytest.mark.slow) for space, seed in GRID
]


@pytest.fixture(autouse=True)
def reproducible():
    with one_thread(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


# Optuna


def optuna_study(space, seed, evaluations, *, first=None, **options):
    """Return what `Study.optimize` evaluates, define-by-run."""
    import optuna

    def run(trial):
        config = {}
        for name, domain in space.parameters.items():
            if not space.is_active(name, config):
                continue
            if isinstance(domain, Float):
                config[name] = trial.suggest_float(name, domain.low, domain.high, log=domain.log)
            elif isinstance(domain, Int):
                config[name] = trial.suggest_int(name, domain.low, domain.high, log=domain.log)
            else:
                config[name] = trial.suggest_categorical(name, domain.values)
        seen.append(config)
        return objective(config)

    seen = []
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=seed, **options))
    if first is not None:
        study.enqueue_trial(first)
    study.optimize(run, n_trials=evaluations)
    optuna.logging.set_verbosity(verbosity)
    return seen


@pytest.mark.parametrize(("space", "seed"), GRID)
def test_optuna_tpe(space, seed):
    space = SPACES[space]
    assert ours("optuna_tpe", space, seed, 40) == optuna_study(space, seed, 40)


@pytest.mark.parametrize(
    "settings",
    [
        {"multivariate": False, "constant_liar": False},
        {"group": True, "n_startup_trials": 6},
        {"n_ei_candidates": 5},
    ],
)
@pytest.mark.parametrize(
    "space", [CONDITIONAL, MIXED, CATEGORICAL], ids=["conditional", "mixed", "categorical"]
)
def test_optuna_tpe_settings(space, settings):
    assert ours("optuna_tpe", space, 3, 40, **settings) == optuna_study(space, 3, 40, **settings)


def test_optuna_tpe_starting_point():
    first = dict(MIXED.references["published"])
    proposed = ours("optuna_tpe", MIXED, 3, 20, start_at_reference=True)
    assert proposed == optuna_study(MIXED, 3, 20, first=first)
    assert proposed[0] == first


# scikit-optimize


def skopt_dimensions(space):
    """Return the library's dimensions, with the categories themselves."""
    from skopt.space import Categorical, Integer, Real

    dimensions = []
    for name, domain in space.parameters.items():
        if isinstance(domain, Float | Int):
            kind = Real if isinstance(domain, Float) else Integer
            prior = "log-uniform" if domain.log else "uniform"
            dimensions.append(kind(domain.low, domain.high, prior=prior, name=name))
        else:
            dimensions.append(Categorical(list(domain.values), name=name))
    return dimensions


def skopt_minimize(minimize, space, seed, evaluations, *, first=None, **options):
    """Return what one of the library's ``*_minimize`` functions evaluates."""
    import skopt

    def run(x):
        config = space.active_part(plain(space, dict(zip(space.parameters, x, strict=True))))
        seen.append(config)
        return float(objective(config))

    seen = []
    x0 = None if first is None else list(first.values())
    getattr(skopt, minimize)(
        run, skopt_dimensions(space), n_calls=evaluations, random_state=seed, x0=x0, **options
    )
    return seen


@pytest.mark.parametrize(("space", "seed"), SLOW_GRID)
def test_skopt_gp(space, seed):
    space = SPACES[space]
    native = skopt_minimize("gp_minimize", space, seed, 40, acq_func="EI")
    assert ours("skopt_gp", space, seed, 40) == native


@pytest.mark.parametrize(
    ("space", "settings"),
    [
        (CONTINUOUS, {"acq_func": "gp_hedge", "initial_point_generator": "lhs"}),
        (CONTINUOUS, {"acq_func": "EI", "initial_point_generator": "sobol", "xi": 0.5}),
        (MIXED, {"acq_func": "LCB", "kappa": 3.0, "acq_optimizer": "sampling", "n_points": 300}),
        (MIXED, {"acq_func": "PI", "initial_point_generator": "halton", "n_restarts_optimizer": 2}),
        (MIXED, {"acq_func": "EI", "initial_point_generator": "hammersly", "n_points": 300}),
        (CONDITIONAL, {"acq_func": "EI", "initial_point_generator": "grid", "n_points": 300}),
        (CATEGORICAL, {"acq_func": "EI"}),
    ],
)
def test_skopt_gp_settings(space, settings):
    settings = {"n_initial_points": 5, **settings}
    assert ours("skopt_gp", space, 3, 9, **settings) == skopt_minimize("gp_minimize", space, 3, 9, **settings)


def test_skopt_gp_starting_point():
    first = dict(MIXED.references["published"])
    proposed = ours("skopt_gp", MIXED, 3, 9, start_at_reference=True, n_initial_points=4)
    assert proposed == skopt_minimize(
        "gp_minimize", MIXED, 3, 9, first=first, acq_func="EI", n_initial_points=4
    )
    assert proposed[0] == first


@pytest.mark.parametrize(("space", "seed"), SLOW_GRID)
def test_skopt_forest(space, seed):
    space, evaluations = SPACES[space], 20 if seed == SEEDS[0] else 40
    native = skopt_minimize("forest_minimize", space, seed, evaluations)
    assert ours("skopt_forest", space, seed, evaluations) == native


@pytest.mark.parametrize(
    ("space", "settings"),
    [
        (CONDITIONAL, {"base_estimator": "RF", "acq_func": "LCB", "kappa": 3.0, "n_points": 300}),
        (MIXED, {"acq_func": "gp_hedge", "initial_point_generator": "lhs", "n_points": 300}),
        (CATEGORICAL, {"acq_func": "PI", "xi": 0.5, "n_points": 300}),
    ],
)
def test_skopt_forest_settings(space, settings):
    settings = {"n_initial_points": 5, **settings}
    assert ours("skopt_forest", space, 3, 10, **settings) == skopt_minimize(
        "forest_minimize", space, 3, 10, **settings
    )


# hyperopt


def hyperopt_space(space):
    """Return the library's search space for the test spaces, with the categories themselves."""
    from hyperopt import hp
    from hyperopt.pyll import scope

    def node(name):
        domain = space.parameters[name]
        if isinstance(domain, Float):
            if domain.log:
                return hp.loguniform(name, math.log(domain.low), math.log(domain.high))
            return hp.uniform(name, domain.low, domain.high)
        if isinstance(domain, Int):
            if domain.log:
                return scope.int(hp.qloguniform(name, math.log(domain.low), math.log(domain.high), 1))
            return hp.uniformint(name, domain.low, domain.high)
        return hp.choice(name, list(domain.values))

    if space is not CONDITIONAL:
        return {name: node(name) for name in space.parameters}
    return {
        "optimizer": hp.choice(
            "optimizer",
            [
                "sgd",
                {"optimizer": "momentum", "momentum": hp.uniform("momentum", 0.5, 0.99)},
                {"optimizer": "rmsprop", "rho": hp.uniform("rho", 0.8, 0.999)},
            ],
        ),
        "rate": node("rate"),
    }


def hyperopt_fmin(algorithm, space, seed, evaluations, *, first=None, **options):
    """Return what `fmin` evaluates."""
    import functools

    import hyperopt
    import numpy as np

    def run(values):
        if isinstance(values.get("optimizer"), dict):
            values = {**values, **values["optimizer"]}
        seen.append(plain(space, values))
        return objective(seen[-1])

    seen = []
    hyperopt.fmin(
        run,
        hyperopt_space(space),
        algo=functools.partial(getattr(hyperopt, algorithm).suggest, **options),
        max_evals=evaluations,
        rstate=np.random.default_rng(seed),
        points_to_evaluate=None if first is None else [first],
        verbose=False,
        show_progressbar=False,
    )
    return seen


HYPEROPT = {"hyperopt_tpe": "tpe", "hyperopt_anneal": "anneal", "hyperopt_random": "rand"}


@pytest.mark.parametrize("name", HYPEROPT)
@pytest.mark.parametrize(("space", "seed"), GRID)
def test_hyperopt(name, space, seed):
    space = SPACES[space]
    assert ours(name, space, seed, 40) == hyperopt_fmin(HYPEROPT[name], space, seed, 40)


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("hyperopt_tpe", {"n_startup_jobs": 5, "n_EI_candidates": 7, "gamma": 0.5, "prior_weight": 0.5}),
        ("hyperopt_anneal", {"avg_best_idx": 1.5, "shrink_coef": 0.5}),
        ("hyperopt_random", {}),
    ],
)
@pytest.mark.parametrize("space", [CONDITIONAL, CATEGORICAL], ids=["conditional", "categorical"])
def test_hyperopt_settings(name, space, settings):
    assert ours(name, space, 3, 40, **settings) == hyperopt_fmin(HYPEROPT[name], space, 3, 40, **settings)


@pytest.mark.parametrize("name", HYPEROPT)
def test_hyperopt_starting_point(name):
    first = dict(MIXED.references["published"])
    proposed = ours(name, MIXED, 3, 30, start_at_reference=True)
    domains = MIXED.parameters
    point = {k: domains[k].index(v) if hasattr(domains[k], "index") else v for k, v in first.items()}
    assert proposed == hyperopt_fmin(HYPEROPT[name], MIXED, 3, 29, first=point)  # one more than max_evals
    assert proposed[0] == first


# GPyOpt


def gpyopt_run(space, seed, evaluations, *, eps=1e-8, initial_design_numdata=5, **options):
    """Return what `BayesianOptimization` and its `run_optimization` evaluate."""
    import numpy as np
    from GPyOpt.methods import BayesianOptimization

    def run(x):
        config = {}
        for (name, domain), value in zip(space.parameters.items(), x[0], strict=True):
            if isinstance(domain, Float | Int):
                own = min(max(math.exp(value), domain.low), domain.high) if domain.log else value
                config[name] = round(own) if isinstance(domain, Int) else float(own)
            else:
                config[name] = domain.values[int(value)]
        seen.append(space.active_part(config))
        return objective(seen[-1])

    domains = []
    for name, domain in space.parameters.items():
        if not isinstance(domain, Float | Int):
            domains.append({"name": name, "type": "categorical", "domain": tuple(range(domain.size))})
        elif isinstance(domain, Int):
            values = range(domain.low, domain.high + 1)
            values = tuple(math.log(v) if domain.log else v for v in values)
            domains.append({"name": name, "type": "discrete", "domain": values})
        else:
            ends = (domain.low, domain.high)
            ends = tuple(map(math.log, ends)) if domain.log else ends
            domains.append({"name": name, "type": "continuous", "domain": ends})
    seen = []
    np.random.seed(seed)
    search = BayesianOptimization(
        run, domain=domains, initial_design_numdata=initial_design_numdata, **options
    )
    search.run_optimization(max_iter=evaluations - initial_design_numdata, eps=eps)
    return seen


@pytest.mark.parametrize(("space", "seed"), SLOW_GRID)
def test_gpyopt_gp(space, seed):
    space = SPACES[space]
    evaluations = 16 if seed == SEEDS[0] else 40
    assert ours("gpyopt_gp", space, seed, evaluations) == gpyopt_run(space, seed, evaluations)


@pytest.mark.parametrize(
    ("space", "settings"),
    [
        (CONTINUOUS, {"acquisition_type": "LCB", "acquisition_weight": 1.0, "ARD": True}),
        (MIXED, {"acquisition_type": "MPI", "acquisition_jitter": 0.1, "optimize_restarts": 2}),
        (CONDITIONAL, {"normalize_Y": False, "initial_design_numdata": 3, "optimize_restarts": 1}),
        (CATEGORICAL, {"exact_feval": True, "optimize_restarts": 1, "eps": -1.0}),
        (CATEGORICAL, {"exact_feval": True, "optimize_restarts": 1}),
    ],
)
def test_gpyopt_gp_settings(space, settings):
    assert ours("gpyopt_gp", space, 3, 12, **settings) == gpyopt_run(space, 3, 12, **settings)


# Keras Tuner


def kerastuner_search(tuner, space, seed, directory, **options):
    """Return what a tuner's `search` trains: configuration, epochs, and the trial it continues."""
    import random

    import keras_tuner

    class Tuner(getattr(keras_tuner, tuner)):
        def run_trial(self, trial, **_):
            values = trial.hyperparameters.values
            config = {name: values[name] for name in space.parameters if name in values}
            for name, domain in space.parameters.items():  # see test_kerastuner_bayes_leaves_the_range
                if isinstance(domain, Int) and config.get(name) == domain.high + 1:
                    config[name] = domain.high
            past = values.get("tuner/trial_id")
            seen.append((config, values.get("tuner/epochs", 1), None if past is None else int(past)))
            return objective(config) / values.get("tuner/epochs", 1)

    parameters = keras_tuner.HyperParameters()
    for name, domain in space.parameters.items():
        condition = space.conditions.get(name)
        scope = contextlib.nullcontext()
        if condition is not None:
            scope = parameters.conditional_scope(condition.parent, list(condition.values))
        with scope:
            if isinstance(domain, Float | Int):
                make = parameters.Float if isinstance(domain, Float) else parameters.Int
                make(name, domain.low, domain.high, sampling="log" if domain.log else "linear")
            else:
                parameters.Choice(name, list(domain.values))
    seen = []
    random.seed(seed)
    search = Tuner(
        objective=keras_tuner.Objective("default_objective", "min"),
        hyperparameters=parameters,
        seed=seed,
        directory=directory,
        overwrite=True,
        **options,
    )
    search.search(verbose=0)
    return seen


def kerastuner_ours(name, space, seed, evaluations, *, epochs=1, **settings):
    """Return the same of our adapter; each of the library's trials is one of our proposals."""
    problem = Problem(space, Fidelity(1, epochs), Objective("error", "min", failure=1e9))
    searcher = registry.searcher(name)(problem, seed=seed, budget=Budget("evaluations", 1), **settings)
    seen, last = [], {}
    while len(seen) < evaluations and (proposal := searcher.ask()) is not None:
        seen.append((dict(proposal.config), proposal.epochs, last.get(proposal.trial)))
        last[proposal.trial] = len(seen) - 1
        value = objective(proposal.config) / proposal.epochs
        curve = Curve({"error": (9.0,) * (proposal.epochs - 1) + (value,)})
        searcher.tell(proposal, Evaluation(Status.OK, curve, proposal.epochs))
    return seen


KERAS_TUNER = {
    "kerastuner_random": "RandomSearch",
    "kerastuner_grid": "GridSearch",
    "kerastuner_bayes": "BayesianOptimization",
}


@pytest.mark.parametrize("name", ["kerastuner_random", "kerastuner_grid"])
@pytest.mark.parametrize("space", [CONTINUOUS, MIXED, CONDITIONAL, CATEGORICAL])
@pytest.mark.parametrize("seed", SEEDS)
def test_kerastuner(name, space, seed, tmp_path):
    native = kerastuner_search(KERAS_TUNER[name], space, seed, tmp_path, max_trials=40)
    assert kerastuner_ours(name, space, seed, 40) == native


@pytest.mark.parametrize(("space", "seed"), SLOW_GRID)
def test_kerastuner_bayes(space, seed, tmp_path):
    space, evaluations = SPACES[space], 3 * len(SPACES[space]) + 3 if seed == SEEDS[0] else 40
    native = kerastuner_search("BayesianOptimization", space, seed, tmp_path, max_trials=evaluations)
    assert kerastuner_ours("kerastuner_bayes", space, seed, evaluations) == native


def test_kerastuner_bayes_leaves_the_range():
    """The library's defect that the adapter mends: a logarithmic integer one above its upper bound."""
    import keras_tuner

    parameter = keras_tuner.HyperParameters()
    parameter.Int("units", 4, 512, sampling="log")
    assert parameter.space[0].prob_to_value(1.0) == 513

    from searchers.kerastuner import _decoded

    assert _decoded(Int(4, 512, log=True), 513) == 512
    assert _decoded(Int(4, 512, log=True), 514) == 514  # for the base class to refuse


@pytest.mark.parametrize(
    "settings", [{"num_initial_points": 5, "alpha": 1e-2}, {"num_initial_points": 6, "beta": 0.5}]
)
@pytest.mark.parametrize("space", [CONDITIONAL, CATEGORICAL], ids=["conditional", "categorical"])
@pytest.mark.slow
def test_kerastuner_bayes_settings(space, settings, tmp_path):
    native = kerastuner_search("BayesianOptimization", space, 3, tmp_path, max_trials=9, **settings)
    assert kerastuner_ours("kerastuner_bayes", space, 3, 9, **settings) == native


@pytest.mark.parametrize(("epochs", "settings"), [(9, {}), (30, {"factor": 4}), (7, {"factor": 2}), (1, {})])
@pytest.mark.parametrize("seed", SEEDS)
def test_kerastuner_hyperband(epochs, settings, seed, tmp_path):
    settings = {**settings, "hyperband_iterations": 2}
    native = kerastuner_search("Hyperband", MIXED, seed, tmp_path, max_epochs=epochs, **settings)
    assert (epochs == 1) == all(past is None for _, _, past in native)  # some are continued
    ours = kerastuner_ours("kerastuner_hyperband", MIXED, seed, 10**6, epochs=epochs, **settings)
    assert ours == native


# pyswarms


def pyswarms_optimize(space, seed, generations, *, n_particles=10, init_pos=None, **options):
    """Return what `GlobalBestPSO.optimize` evaluates on the unit cube, particle by particle."""
    import numpy as np

    from searchers.pyswarms import _logging_untouched

    def run(positions):
        configs = [space.from_unit(position.tolist()) for position in positions]
        seen.extend(configs)
        return np.array([objective(config) for config in configs])

    seen = []
    np.random.seed(seed)
    with _logging_untouched():
        from pyswarms.single import GlobalBestPSO

        search = GlobalBestPSO(
            n_particles,
            len(space),
            options={
                key: options.pop(key, value)
                for key, value in (("c1", 1.49618), ("c2", 1.49618), ("w", 0.7298))
            },
            bounds=(np.zeros(len(space)), np.ones(len(space))),
            init_pos=init_pos,
            **options,
        )
        search.optimize(run, generations, verbose=False)
    return seen


@pytest.mark.parametrize(("space", "seed"), GRID)
def test_pyswarms_pso(space, seed):
    space = SPACES[space]
    assert ours("pyswarms_pso", space, seed, 60) == pyswarms_optimize(space, seed, 6)


@pytest.mark.parametrize("bh_strategy", ["nearest", "random", "shrink", "reflective", "intermediate"])
@pytest.mark.parametrize("vh_strategy", ["unmodified", "adjust", "invert", "zero"])
def test_pyswarms_pso_settings(bh_strategy, vh_strategy):
    common = {"n_particles": 7, "bh_strategy": bh_strategy, "vh_strategy": vh_strategy, "c1": 1.5, "w": 0.7}
    native = pyswarms_optimize(CONDITIONAL, 3, 6, velocity_clamp=(-0.4, 0.4), **common)
    assert ours("pyswarms_pso", CONDITIONAL, 3, 42, velocity_clamp=0.4, **common) == native


def test_pyswarms_pso_from_a_maximin_design():
    searcher = start("pyswarms_pso", MIXED, 3, 60, init="maximin_lhs", n_particles=8)
    design = searcher._search.swarm.position.copy()
    assert ours("pyswarms_pso", MIXED, 3, 48, init="maximin_lhs", n_particles=8) == pyswarms_optimize(
        MIXED, 3, 6, n_particles=8, init_pos=design
    )
    for column in design.T:  # one point in each of eight intervals
        assert sorted((column * 8).astype(int)) == list(range(8))


def test_pyswarms_leaves_logging_and_the_folder_alone(tmp_path):
    code = (
        "import logging, pathlib; logging.basicConfig(level=logging.WARNING); root = logging.getLogger()\n"
        "before = list(root.handlers), root.level\n"
        "from native import *; ours('pyswarms_pso', CONTINUOUS, 0, 25)\n"
        "assert (list(root.handlers), root.level) == before\n"
        "assert not list(pathlib.Path.cwd().iterdir())\n"
    )
    here = Path(__file__)
    path = os.pathsep.join([str(here.parent), str(here.parents[2])])
    subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env={**os.environ, "PYTHONPATH": path}, check=True
    )
