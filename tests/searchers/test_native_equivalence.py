"""Each adapter proposes exactly what its library's own loop would, under the same seed and losses."""

import contextlib
import itertools
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
    suggested,
)

from harness import registry
from harness.errors import IncompatibleError
from harness.space import Float, Int, Space
from harness.trial import Budget, Curve, Evaluation, Fidelity, Objective, Problem, Status
from searchers.conformance import one_thread

# Of the slow ones, and where there are many settings, each space has one seed, the smallest and the largest that there
# are: a seed comes to all the same way, which the quick ones compare for each. Ten proposals of a model are enough of
# the slow ones: where one differs, all that follow do.
GRID = [(space, seed) for space in SPACES for seed in SEEDS]
ENDS = list(zip(SPACES, (SEEDS[0], SEEDS[-1]), strict=True))
SLOW_GRID = [pytest.param(*each, marks=pytest.mark.slow) for each in ENDS]


@pytest.fixture(autouse=True)
def reproducible():
    with one_thread(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


# Optuna


def optuna_study(space, seed, evaluations, *, first=None, evaluate=objective, **options):
    """Return what `Study.optimize` evaluates, define-by-run."""
    import optuna

    def run(trial):
        config = suggested(trial, space)
        seen.append(config)
        return evaluate(config)

    seen = []
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=seed, **options))
    if first is not None:
        study.enqueue_trial(first)
    study.optimize(run, n_trials=evaluations, catch=(RuntimeError,))
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


def skopt_minimize(minimize, space, seed, evaluations, *, first=None, evaluate=objective, **options):
    """Return what one of the library's ``*_minimize`` functions evaluates."""
    import skopt

    def run(x):
        config = space.active_part(plain(space, dict(zip(space.parameters, x, strict=True))))
        seen.append(config)
        return float(evaluate(config))

    seen = []
    x0 = None if first is None else list(first.values())
    getattr(skopt, minimize)(
        run, skopt_dimensions(space), n_calls=evaluations, random_state=seed, x0=x0, **options
    )
    return seen


@pytest.mark.parametrize(("space", "seed"), SLOW_GRID)
def test_skopt_gp(space, seed):
    space = SPACES[space]
    native = skopt_minimize("gp_minimize", space, seed, 20, acq_func="EI")
    assert ours("skopt_gp", space, seed, 20) == native


@pytest.mark.slow
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
    space = SPACES[space]
    native = skopt_minimize("forest_minimize", space, seed, 20)
    assert ours("skopt_forest", space, seed, 20) == native


@pytest.mark.slow
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


@pytest.fixture
def mended_gbrt(monkeypatch):
    """Have the library's own model work: give numpy back what it lost, and tell scikit-learn what it is."""
    import numpy as np
    from sklearn.base import BaseEstimator
    from sklearn.utils import RegressorTags
    from skopt.learning import GradientBoostingQuantileRegressor

    def tags(self):
        own = BaseEstimator.__sklearn_tags__(self)
        own.estimator_type, own.regressor_tags = "regressor", RegressorTags()
        return own

    monkeypatch.setattr(np, "in1d", np.isin, raising=False)
    monkeypatch.setattr(GradientBoostingQuantileRegressor, "__sklearn_tags__", tags)


@pytest.mark.parametrize(("space", "seed"), SLOW_GRID)
def test_skopt_gbrt(space, seed, mended_gbrt):
    space = SPACES[space]
    native = skopt_minimize("gbrt_minimize", space, seed, 20)
    assert ours("skopt_gbrt", space, seed, 20) == native


@pytest.mark.slow
@pytest.mark.parametrize(
    ("space", "settings"),
    [
        (CONDITIONAL, {"acq_func": "EI", "xi": 0.1, "n_points": 300}),
        (MIXED, {"acq_func": "gp_hedge", "initial_point_generator": "lhs", "n_points": 300}),
        (CATEGORICAL, {"acq_func": "PI", "n_points": 300}),
    ],
)
def test_skopt_gbrt_settings(space, settings, mended_gbrt):
    settings = {"n_initial_points": 5, **settings}
    assert ours("skopt_gbrt", space, 3, 12, **settings) == skopt_minimize(
        "gbrt_minimize", space, 3, 12, **settings
    )


def test_skopt_gbrt_is_mended_where_the_library_fails():
    with pytest.raises(ValueError, match="has to be a regressor"):
        skopt_minimize("gbrt_minimize", CONTINUOUS, 3, 12)


@pytest.mark.parametrize("name", ["forest", "gbrt"])
def test_skopt_trees_starting_point(name, mended_gbrt):
    first = dict(MIXED.references["published"])
    settings = {"n_initial_points": 4, "n_points": 300}
    proposed = ours(f"skopt_{name}", MIXED, 3, 9, start_at_reference=True, **settings)
    assert proposed == skopt_minimize(f"{name}_minimize", MIXED, 3, 9, first=first, **settings)
    assert proposed[0] == first


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


def hyperopt_fmin(
    algorithm, space, seed, evaluations, *, first=None, evaluate=objective, max_queue_len=1, **options
):
    """Return what `fmin` evaluates."""
    import functools

    import hyperopt
    import numpy as np

    def run(values):
        if isinstance(values.get("optimizer"), dict):
            values = {**values, **values["optimizer"]}
        seen.append(plain(space, values))
        return evaluate(seen[-1])

    seen = []
    hyperopt.fmin(
        run,
        hyperopt_space(space),
        algo=functools.partial(getattr(hyperopt, algorithm).suggest, **options),
        max_evals=evaluations,
        max_queue_len=max_queue_len,
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


def gpyopt_run(
    space,
    seed,
    evaluations,
    *,
    eps=1e-8,
    initial_design_numdata=5,
    first=None,
    evaluate=objective,
    batch_size=1,
    **options,
):
    """Return what `BayesianOptimization` and its `run_optimization` evaluate."""
    import numpy as np
    from GPyOpt.core.task.space import Design_space
    from GPyOpt.experiment_design import initial_design
    from GPyOpt.methods import BayesianOptimization

    def run(x):
        return np.array([[evaluated(row)] for row in x])

    def evaluated(row):
        config = {}
        for (name, domain), value in zip(space.parameters.items(), row, strict=True):
            if isinstance(domain, Float | Int):
                own = min(max(math.exp(value), domain.low), domain.high) if domain.log else value
                config[name] = round(own) if isinstance(domain, Int) else float(own)
            else:
                config[name] = domain.values[int(value)]
        config = first if first and not seen else config  # without the rounding of exp(log(x))
        seen.append(space.active_part(config))
        return float(evaluate(seen[-1]))

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
    if first is not None:
        row = []
        for name, domain in space.parameters.items():
            value = domain.index(first[name]) if hasattr(domain, "index") else first[name]
            row.append(math.log(value) if getattr(domain, "log", False) else value)
        random = initial_design("random", Design_space(domains), initial_design_numdata)
        options["X"] = np.vstack((row, random))
    search = BayesianOptimization(
        run,
        domain=domains,
        initial_design_numdata=initial_design_numdata,
        batch_size=batch_size,
        **options,
    )
    search.run_optimization(max_iter=(evaluations - len(seen)) // batch_size, eps=eps)
    return seen


@pytest.mark.parametrize(("space", "seed"), SLOW_GRID)
def test_gpyopt_gp(space, seed):
    space = SPACES[space]
    # Where the library ends when successive proposals agree to `eps` depends on the processor's last digits, so it
    # does not end here; that both end at the same proposal is for the settings below.
    native = gpyopt_run(space, seed, 15, eps=-1.0)
    assert ours("gpyopt_gp", space, seed, 15, eps=-1.0) == native
    assert len(native) == 15


@pytest.mark.slow
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


@pytest.mark.parametrize("space", SPACES)
def test_gpyopt_gp_starting_point(space):
    space = SPACES[space]
    first, settings = dict(space.references["published"]), {"optimize_restarts": 1}
    proposed = ours("gpyopt_gp", space, 3, 12, start_at_reference=True, **settings)
    assert proposed == gpyopt_run(space, 3, 12, first=first, **settings)
    assert proposed[0] == first


# Keras Tuner


def kerastuner_search(tuner, space, seed, directory, *, first=None, evaluate=objective, **options):
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
            return evaluate(config) / values.get("tuner/epochs", 1)

    parameters = keras_tuner.HyperParameters()
    for name, domain in space.parameters.items():
        condition = space.conditions.get(name)
        scope = contextlib.nullcontext()
        if condition is not None:
            scope = parameters.conditional_scope(condition.parent, list(condition.values))
        with scope:
            default = first[name] if first and tuner == "GridSearch" else None
            if isinstance(domain, Float | Int):
                make = parameters.Float if isinstance(domain, Float) else parameters.Int
                sampling = "log" if domain.log else "linear"
                make(name, domain.low, domain.high, sampling=sampling, default=default)
            elif set(domain.values) == {True, False}:
                parameters.Boolean(name, default=bool(default))
            else:
                parameters.Choice(name, list(domain.values), default=default)
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
    if first and tuner != "GridSearch":
        kerastuner_begin(search.oracle, first)
    search.search(verbose=0)
    return seen


def kerastuner_begin(oracle, first):
    """Have the library's oracle begin at a point, by the method that its subclasses write."""

    def begin(trial_id):
        oracle.populate_space = populate
        values = dict(first)
        if hasattr(oracle, "_brackets"):
            (bracket,) = oracle._brackets
            bracket["rounds"][0].append({"past_id": None, "id": trial_id})
            number = bracket["bracket_num"]
            values.update({"tuner/epochs": oracle._get_epochs(number, 0), "tuner/initial_epoch": 0})
            values.update({"tuner/bracket": number, "tuner/round": 0})
        return {"status": "RUNNING", "values": values}

    populate, oracle.populate_space = oracle.populate_space, begin


def kerastuner_ours(name, space, seed, evaluations, *, epochs=1, fate=lambda config: Status.OK, **settings):
    """Return the same of our adapter; each of the library's trials is one of our proposals."""
    problem = Problem(space, Fidelity(1, epochs), Objective("error", "min", failure=1e9))
    searcher = registry.searcher(name)(problem, seed=seed, budget=Budget("evaluations", 1), **settings)
    seen, last = [], {}
    while len(seen) < evaluations and (proposal := searcher.ask()) is not None:
        seen.append((dict(proposal.config), proposal.epochs, last.get(proposal.trial)))
        last[proposal.trial] = len(seen) - 1
        value = objective(proposal.config) / proposal.epochs
        curve = Curve({"error": (9.0,) * (proposal.epochs - 1) + (value,)})
        status = fate(proposal.config)
        ended = curve if status is Status.OK else Curve()
        searcher.tell(proposal, Evaluation(status, ended, proposal.epochs))
    return seen


KERAS_TUNER = {
    "kerastuner_random": "RandomSearch",
    "kerastuner_grid": "GridSearch",
    "kerastuner_bayes": "BayesianOptimization",
}


@pytest.mark.tensorflow
@pytest.mark.parametrize("name", ["kerastuner_random", "kerastuner_grid"])
@pytest.mark.parametrize("space", [CONTINUOUS, MIXED, CONDITIONAL, CATEGORICAL])
@pytest.mark.parametrize("seed", SEEDS)
def test_kerastuner(name, space, seed, tmp_path):
    native = kerastuner_search(KERAS_TUNER[name], space, seed, tmp_path, max_trials=40)
    assert kerastuner_ours(name, space, seed, 40) == native


@pytest.mark.tensorflow
@pytest.mark.parametrize("name", ["kerastuner_random", "kerastuner_grid"])
@pytest.mark.parametrize("space", SPACES)
def test_kerastuner_starting_point(name, space, tmp_path):
    space = SPACES[space]
    first = dict(space.references["published"])
    native = kerastuner_search(KERAS_TUNER[name], space, 3, tmp_path, first=first, max_trials=40)
    proposed = kerastuner_ours(name, space, 3, 40, start_at_reference=True)
    assert proposed == native
    assert proposed[0][0] == first
    assert [config for config, _, _ in proposed].count(first) == 1


@pytest.mark.tensorflow
def test_kerastuner_bayes_starting_point(tmp_path):
    first, settings = dict(CONTINUOUS.references["published"]), {"num_initial_points": 4}
    native = kerastuner_search(
        "BayesianOptimization", CONTINUOUS, 3, tmp_path, first=first, max_trials=6, **settings
    )
    proposed = kerastuner_ours("kerastuner_bayes", CONTINUOUS, 3, 6, start_at_reference=True, **settings)
    assert proposed == native
    assert proposed[0][0] == first


@pytest.mark.tensorflow
def test_kerastuner_hyperband_starting_point(tmp_path):
    first, settings = dict(MIXED.references["published"]), {"hyperband_iterations": 1}
    native = kerastuner_search("Hyperband", MIXED, 3, tmp_path, first=first, max_epochs=9, **settings)
    ours = kerastuner_ours(
        "kerastuner_hyperband", MIXED, 3, 10**6, epochs=9, start_at_reference=True, **settings
    )
    assert ours == native
    assert ours[0] == (first, 1, None)


@pytest.mark.tensorflow
@pytest.mark.parametrize(("space", "seed"), SLOW_GRID)
def test_kerastuner_bayes(space, seed, tmp_path):
    space = SPACES[space]
    evaluations = (
        3 * len(space) + 2
    )  # two proposals of a model, a second and more each, after the initial design
    native = kerastuner_search("BayesianOptimization", space, seed, tmp_path, max_trials=evaluations)
    assert kerastuner_ours("kerastuner_bayes", space, seed, evaluations) == native
    assert len(native) == evaluations


@pytest.mark.tensorflow
def test_kerastuner_bayes_leaves_the_range():
    """The library's defect that the adapter mends: a logarithmic integer one above its upper bound."""
    import keras_tuner

    parameter = keras_tuner.HyperParameters()
    parameter.Int("units", 4, 512, sampling="log")
    assert parameter.space[0].prob_to_value(1.0) == 513

    from searchers.kerastuner import _decoded

    assert _decoded(Int(4, 512, log=True), 513) == 512
    assert _decoded(Int(4, 512, log=True), 514) == 514  # for the base class to refuse


@pytest.mark.tensorflow
@pytest.mark.parametrize(
    ("space", "settings"),
    [
        (CONDITIONAL, {"num_initial_points": 6, "beta": 0.5}),
        (CATEGORICAL, {"num_initial_points": 5, "alpha": 1e-2}),
    ],
    ids=["conditional", "categorical"],
)
@pytest.mark.slow
def test_kerastuner_bayes_settings(space, settings, tmp_path):
    evaluations = settings["num_initial_points"] + 2
    native = kerastuner_search("BayesianOptimization", space, 3, tmp_path, max_trials=evaluations, **settings)
    assert kerastuner_ours("kerastuner_bayes", space, 3, evaluations, **settings) == native
    assert len(native) == evaluations


@pytest.mark.tensorflow
@pytest.mark.parametrize(("epochs", "settings"), [(9, {}), (30, {"factor": 4}), (7, {"factor": 2}), (1, {})])
@pytest.mark.parametrize("seed", SEEDS)
def test_kerastuner_hyperband(epochs, settings, seed, tmp_path):
    settings = {**settings, "hyperband_iterations": 2}
    native = kerastuner_search("Hyperband", MIXED, seed, tmp_path, max_epochs=epochs, **settings)
    assert (epochs == 1) == all(past is None for _, _, past in native)  # some are continued
    ours = kerastuner_ours("kerastuner_hyperband", MIXED, seed, 10**6, epochs=epochs, **settings)
    assert ours == native


@pytest.mark.tensorflow
@pytest.mark.parametrize("seed", SEEDS)
def test_kerastuner_hyperband_ends_when_a_small_space_is_tried(seed, tmp_path):
    """The library's own search stops where 20 draws in a row were tried before, however many iterations it is given."""
    settings = {"hyperband_iterations": 1000}
    native = kerastuner_search("Hyperband", CATEGORICAL, seed, tmp_path, max_epochs=9, **settings)
    begun = [config for config, _, past in native if past is None]
    assert len(begun) == len({tuple(config.values()) for config in begun}) <= CATEGORICAL.size()
    assert len(begun) > CATEGORICAL.size() / 2
    ours = kerastuner_ours("kerastuner_hyperband", CATEGORICAL, seed, 10**6, epochs=9, **settings)
    assert ours == native
    endless = kerastuner_ours("kerastuner_hyperband", CATEGORICAL, seed, 10**6, epochs=9)
    assert endless == native  # as many iterations as the budget pays for


def brackets(searcher):
    """Return Hyperband's schedule as it is run: by each bracket's first epochs, how many trials reach which epochs.

    Promotions are checked on the way: those that go on are the best of their round.
    """
    rounds, losses = {}, {}
    while (proposal := searcher.ask()) is not None:
        loss = objective(proposal.config) + math.sin(proposal.trial * proposal.epochs)
        losses.setdefault(proposal.trial, {})[proposal.epochs] = loss
        rounds.setdefault(min(losses[proposal.trial]), {}).setdefault(proposal.epochs, []).append(
            proposal.trial
        )
        curve = Curve({"error": (9.0,) * (proposal.epochs - 1) + (loss,)})
        searcher.tell(proposal, Evaluation(Status.OK, curve, proposal.epochs))
    for reached in rounds.values():
        for (epochs, trials), following in itertools.pairwise([*reached.items(), (None, [])]):
            ranked = sorted(trials, key=lambda trial: losses[trial][epochs])
            assert following[0] is None or set(following[1]) == set(ranked[: len(following[1])])
    return {
        first: {epochs: len(trials) for epochs, trials in reached.items()}
        for first, reached in rounds.items()
    }


# Algorithm 1 of Li et al. (2018) at R = 81 and η = 3: ⌈5 · 3ˢ / (s + 1)⌉ begin, and of n, ⌊n / 3ⁱ⌋ reach round i.
PUBLISHED = {
    1: {1: 81, 3: 27, 9: 9, 27: 3, 81: 1},
    3: {3: 34, 9: 11, 27: 3, 81: 1},
    9: {9: 15, 27: 5, 81: 1},
    27: {27: 8, 81: 2},
    81: {81: 5},
}


@pytest.mark.tensorflow
def test_kerastuner_hyperband_schedule():
    """The published brackets and rounds, but that the library rounds up wherever the paper rounds down."""
    problem = Problem(CONTINUOUS, Fidelity(1, 81), Objective("error", "min", failure=1e9))
    schedule = brackets(
        registry.searcher("kerastuner_hyperband")(
            problem, seed=1, budget=Budget("evaluations", 1), hyperband_iterations=1
        )
    )
    assert list(schedule) == list(PUBLISHED)  # the most aggressive bracket first
    for number, (first, published) in enumerate(PUBLISHED.items()):
        s = 4 - number
        assert schedule[first] == {
            epochs: math.ceil(5 / (s + 1) * 3 ** (s - i)) for i, epochs in enumerate(published)
        }
        assert schedule[first][first] == published[first]
        for epochs, trials in schedule[first].items():
            assert published[epochs] <= trials <= published[epochs] + 1
    assert schedule[1] == PUBLISHED[1]


# pyswarms


@contextlib.contextmanager
def pyswarms_topology(name, static):
    """Yield one of the library's own topologies, which may put arrays of unequal length into one, as it used to."""
    import numpy as np
    from pyswarms.backend import topology

    class Numpy:
        def __getattr__(self, name):
            return getattr(np, name)

        def array(self, values):
            try:
                return np.array(values)
            except ValueError:
                return np.array(values, dtype=object)

    kind = {
        "star": "Star",
        "ring": "Ring",
        "von_neumann": "VonNeumann",
        "pyramid": "Pyramid",
        "random": "Random",
    }
    with pytest.MonkeyPatch.context() as patch:
        for module in ("pyramid", "random"):
            patch.setattr(f"pyswarms.backend.topology.{module}.np", Numpy())
        yield getattr(topology, kind[name])(static=static)


def pyswarms_optimize(
    space,
    seed,
    generations,
    *,
    n_particles=10,
    init_pos=lambda: None,
    general=False,
    evaluate=objective,
    **options,
):
    """Return what the library's `optimize` evaluates on the unit cube, particle by particle.

    Args:
        init_pos: Returns the initial positions; called once the seed is set.
        general: Use its general optimizer for the global and the local best, too, which have their own.
    """
    import numpy as np

    from searchers.pyswarms import _logging_untouched

    def run(positions):
        configs = [space.from_unit(position.tolist()) for position in positions]
        seen.extend(configs)
        return np.array([evaluate(config) for config in configs])

    seen = []
    np.random.seed(seed)
    with _logging_untouched(), contextlib.ExitStack() as stack:
        from pyswarms import single

        coefficients = {"c1": 1.49618, "c2": 1.49618, "w": 0.7298}
        coefficients = {key: options.pop(key, value) for key, value in coefficients.items()}
        coefficients |= {key: options.pop(key) for key in ("k", "p", "r") if key in options}
        topology = options.pop("topology", "star")
        if general or topology not in ("star", "ring"):
            optimizer = single.GeneralOptimizerPSO
            static = options.pop("static", False)
            options["topology"] = stack.enter_context(pyswarms_topology(topology, static))
        else:
            optimizer = single.GlobalBestPSO if topology == "star" else single.LocalBestPSO
        search = optimizer(
            n_particles,
            len(space),
            options=coefficients,
            bounds=(np.zeros(len(space)), np.ones(len(space))),
            init_pos=init_pos(),
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


TOPOLOGIES = [
    {"topology": "ring", "k": 3, "p": 2},
    {"topology": "ring", "k": 4, "p": 1, "static": True},
    {"topology": "von_neumann", "p": 1, "r": 1, "n_particles": 20},
    {"topology": "pyramid"},
    {"topology": "pyramid", "static": True},
    {"topology": "random", "k": 3},
    {"topology": "random", "k": 2, "static": True},
]


@pytest.mark.parametrize("settings", TOPOLOGIES, ids=lambda x: "-".join(map(str, x.values())))
@pytest.mark.parametrize(("space", "seed"), ENDS)
def test_pyswarms_pso_topologies(space, seed, settings):
    space, particles = SPACES[space], settings.get("n_particles", 10)
    proposed = ours("pyswarms_pso", space, seed, 6 * particles, **settings)
    assert proposed == pyswarms_optimize(space, seed, 6, **settings)
    if settings["topology"] == "ring":
        assert proposed == pyswarms_optimize(space, seed, 6, general=True, **settings)
    assert proposed != ours("pyswarms_pso", space, seed, 6 * particles, n_particles=particles)


@pytest.mark.parametrize("strategy", ["exp_decay", "lin_variation", "nonlin_mod"])
@pytest.mark.parametrize("topology", [{}, {"topology": "random", "k": 3}], ids=["star", "random"])
def test_pyswarms_pso_varies_its_coefficients(strategy, topology):
    settings = {"oh_strategy": {"w": strategy, "c1": "lin_variation"}, "w": 0.9, **topology}
    native = pyswarms_optimize(MIXED, 3, 6, **settings)
    assert ours("pyswarms_pso", MIXED, 3, 60, **settings) == native
    assert ours("pyswarms_pso", MIXED, 3, 60, w=0.9, **topology) != native


@pytest.mark.parametrize("topology", ["pyramid", "random"])
def test_pyswarms_topologies_are_mended_where_the_library_fails(topology):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(f"{__name__}.pyswarms_topology", unmended)
        with pytest.raises(ValueError, match="inhomogeneous"):
            pyswarms_optimize(
                CONTINUOUS, 3, 6, topology=topology, **({"k": 3} if topology == "random" else {})
            )


@contextlib.contextmanager
def unmended(name, static):
    from pyswarms.backend import topology

    yield {"pyramid": topology.Pyramid, "random": topology.Random}[name](static=static)


def test_pyswarms_pyramid_is_the_delaunay_triangulation():
    """On a line of a grid's points, neighbours are those of the triangulation, not the particle itself."""
    import numpy as np

    from searchers.pyswarms import _logging_untouched, topologies

    with _logging_untouched():
        from pyswarms.backend import create_swarm

    corners_and_middle = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [0.45, 0.55]])
    swarm = create_swarm(5, 2, init_pos=corners_and_middle)
    swarm.pbest_cost = np.array([3.0, 2.0, 4.0, 5.0, 1.0])
    with _logging_untouched():
        topology = topologies()["pyramid"]()
    positions, cost = topology.compute_gbest(swarm)
    assert [sorted(each.tolist()) for each in topology.neighbor_idx] == [
        [1, 2, 4],
        [0, 3, 4],
        [0, 3, 4],
        [1, 2, 4],
        [0, 1, 2, 3],
    ]
    assert cost == 1.0
    assert positions.tolist() == [[0.45, 0.55]] * 4 + [[1.0, 0.0]]


@pytest.mark.parametrize("settings", [{}, {"topology": "ring", "k": 3, "p": 2}], ids=["star", "ring"])
@pytest.mark.parametrize("init", ["uniform", "maximin_lhs"])
@pytest.mark.parametrize("space", SPACES)
def test_pyswarms_pso_starting_point(space, init, settings):
    import numpy as np

    space = SPACES[space]
    first = dict(space.references["published"])

    def initial():
        if init == "uniform":
            positions = np.random.random((10, len(space)))
        else:
            positions = start("pyswarms_pso", space, 3, 60, init=init)._search.swarm.position.copy()
        positions[0] = space.to_unit(first)
        return positions

    proposed = ours("pyswarms_pso", space, 3, 60, start_at_reference=True, init=init, **settings)
    native = pyswarms_optimize(space, 3, 6, init_pos=initial, **settings)
    assert proposed[0] == first
    assert space.to_unit(native[0]) == pytest.approx(space.to_unit(first))
    assert proposed[1:] == native[1:]


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"topology": "star", "k": 4}, "k is a setting of topology: ring, random, and it is star"),
        ({"topology": "ring", "r": 2}, "r is a setting of topology: von_neumann"),
        (
            {"topology": "von_neumann", "static": True},
            "static is a setting of topology: ring, pyramid, random",
        ),
        ({"topology": "ring", "k": 1}, "a ring needs 2 <= k"),
        ({"topology": "ring", "k": 11}, "k = 11 of 10"),
        ({"topology": "random", "k": 10}, "need more than 10 particles"),
    ],
)
def test_pyswarms_refuses_settings_without_effect_or_sense(settings, reason):
    with pytest.raises(ValueError, match=reason):
        start("pyswarms_pso", MIXED, 1, 10, **settings)


@pytest.mark.parametrize(
    ("space", "settings", "reason"),
    [
        (MIXED, {"topology": "von_neumann"}, "needs n_particles >= 11, got 10"),
        (CONTINUOUS, {"topology": "von_neumann", "r": 2}, "needs n_particles >= 13, got 10"),
        (Space({"a": Float(0, 1)}), {"topology": "pyramid"}, "at least two parameters"),
    ],
)
def test_pyswarms_refuses_spaces_that_a_topology_cannot_span(space, settings, reason):
    with pytest.raises(IncompatibleError, match=reason):
        start("pyswarms_pso", space, 1, 10, **settings)


def test_pyswarms_pso_from_a_maximin_design():
    searcher = start("pyswarms_pso", MIXED, 3, 60, init="maximin_lhs", n_particles=8)
    design = searcher._search.swarm.position.copy()
    assert ours("pyswarms_pso", MIXED, 3, 48, init="maximin_lhs", n_particles=8) == pyswarms_optimize(
        MIXED, 3, 6, n_particles=8, init_pos=lambda: design
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
