"""Each adapter proposes exactly what its library's own loop would, under the same seed and losses."""

import warnings

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
)
from threadpoolctl import threadpool_limits

from harness.space import Float, Int

# Of the slow ones, only the first seed runs without the slow tests.
GRID = [(space, seed) for space in SPACES for seed in SEEDS]
SLOW_GRID = [
    pytest.param(space, seed, marks=() if seed == SEEDS[0] else pytest.mark.slow) for space, seed in GRID
]


@pytest.fixture(autouse=True)
def one_thread():
    """The number of threads changes the last digits of linear algebra, and these grow."""
    with threadpool_limits(1), warnings.catch_warnings():
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
    space = SPACES[space]
    assert ours("skopt_forest", space, seed, 40) == skopt_minimize("forest_minimize", space, seed, 40)


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
