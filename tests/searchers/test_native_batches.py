"""Several workers: each adapter proposes the batches, or the queue, that its library makes for as many."""

import json
import warnings

import pytest
from native import (
    CATEGORICAL,
    CONDITIONAL,
    CONTINUOUS,
    MIXED,
    objective,
    ours,
    ours_in_parallel,
    plain,
    start,
    suggested,
    tell,
)
from test_native_equivalence import HYPEROPT, gpyopt_run, hyperopt_fmin, pyswarms_optimize, skopt_dimensions
from test_raytune import domains, tune_search

from harness import registry
from searchers.conformance import one_thread


@pytest.fixture(autouse=True)
def reproducible():
    with one_thread(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


# hyperopt


@pytest.mark.parametrize("name", ["hyperopt_tpe", "hyperopt_random"])
@pytest.mark.parametrize("workers", [2, 5])
@pytest.mark.parametrize("space", [MIXED, CONDITIONAL], ids=["mixed", "conditional"])
def test_hyperopt(name, space, workers):
    native = hyperopt_fmin(HYPEROPT[name], space, 3, 38, max_queue_len=workers)
    assert ours_in_parallel(name, space, 3, 38, workers) == native
    assert ours(name, space, 3, 38) != native


def test_hyperopt_starting_point():
    """A given point is one of the first queue."""
    first = dict(MIXED.references["published"])
    domains = MIXED.parameters
    point = {k: domains[k].index(v) if hasattr(domains[k], "index") else v for k, v in first.items()}
    native = hyperopt_fmin("tpe", MIXED, 3, 29, first=point, max_queue_len=3)  # one more than max_evals
    proposed = ours_in_parallel("hyperopt_tpe", MIXED, 3, 30, 3, start_at_reference=True)
    assert proposed == native
    assert proposed[0] == first


def test_hyperopt_anneal_has_no_queue_of_several_in_the_library():
    """It is asked for one trial at a time, the queue being filled all the same."""
    with pytest.raises(ValueError, match="too many values"):
        hyperopt_fmin("anneal", MIXED, 3, 10, max_queue_len=2)
    proposed = ours_in_parallel("hyperopt_anneal", MIXED, 3, 20, 4)
    assert len({tuple(config.items()) for config in proposed}) == 20
    assert proposed == ours_in_parallel("hyperopt_anneal", MIXED, 3, 20, 4)


# scikit-optimize


def skopt_batches(name, space, seed, evaluations, workers, *, first=None, n_initial_points, n_points):
    """Return what the library's documented parallel loop evaluates, with an optimizer as ``gp_minimize`` makes it."""
    import numpy as np
    from skopt import Optimizer
    from skopt.utils import cook_estimator, normalize_dimensions

    dimensions = skopt_dimensions(space)
    random_state, kind = seed, "sampling"
    if name == "skopt_gp":
        random_state, kind = np.random.RandomState(seed), "auto"
        dimensions = normalize_dimensions(dimensions)
        estimator = cook_estimator(
            "GP",
            space=dimensions,
            random_state=random_state.randint(0, np.iinfo(np.int32).max),
            noise="gaussian",
        )
    else:
        estimator = "ET"
    optimizer = Optimizer(
        dimensions,
        estimator,
        n_initial_points=n_initial_points + (first is not None),
        acq_func="EI",
        acq_optimizer=kind,
        random_state=random_state,
        acq_optimizer_kwargs={"n_points": n_points, "n_restarts_optimizer": 5, "n_jobs": 1},
        acq_func_kwargs={"xi": 0.01, "kappa": 1.96},
    )

    def evaluated(x):
        seen.append(space.active_part(plain(space, dict(zip(space.parameters, x, strict=True)))))
        return float(objective(seen[-1]))

    seen = []
    if first is not None:
        x0 = list(first.values())
        optimizer.tell(x0, evaluated(x0))
    while len(seen) < evaluations:
        batch = optimizer.ask(n_points=workers)
        optimizer.tell(batch, [evaluated(x) for x in batch])
    return seen[:evaluations]


@pytest.mark.parametrize("name", ["skopt_gp", pytest.param("skopt_forest", marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    "space", [MIXED, pytest.param(CONTINUOUS, marks=pytest.mark.slow)], ids=["mixed", "continuous"]
)
def test_skopt(name, space):
    settings = {"n_initial_points": 4, "n_points": 300}
    native = skopt_batches(name, space, 3, 11, 3, **settings)
    proposed = ours_in_parallel(name, space, 3, 11, 3, **settings)
    assert proposed == native
    assert proposed != ours(name, space, 3, 11, **settings)


def test_skopt_starting_point():
    first, settings = dict(MIXED.references["published"]), {"n_initial_points": 4, "n_points": 300}
    native = skopt_batches("skopt_gp", MIXED, 3, 7, 3, first=first, **settings)
    searcher = start("skopt_gp", MIXED, 3, 7, workers=3, start_at_reference=True, **settings)
    assert dict(searcher.ask().config) == native[0] == first
    assert searcher.ask() is None  # it is a batch of its own
    assert ours_in_parallel("skopt_gp", MIXED, 3, 7, 3, start_at_reference=True, **settings) == native


def test_skopt_proposes_a_batch_and_waits_for_all_of_it():
    searcher = start("skopt_gbrt", CONTINUOUS, 3, 9, workers=2, n_initial_points=2, n_points=300)
    first, second = searcher.ask(), searcher.ask()
    assert searcher.ask() is None
    tell(searcher, second)
    assert searcher.ask() is None
    tell(searcher, first)
    assert searcher.ask() is not None


# GPyOpt


@pytest.fixture
def working_gpyopt(monkeypatch):
    """Have the library's batches work: with scipy's numbers for arrays, and in the process that counts."""
    import numpy as np
    import scipy.optimize
    from GPyOpt.core.evaluators import batch_local_penalization
    from GPyOpt.core.task.objective import SingleObjective

    class Scipy:
        class optimize:
            @staticmethod
            def minimize(f, x0, **options):
                found = scipy.optimize.minimize(lambda *given: f(*given).item(), x0, **options)
                found.fun = np.array([[found.fun]])
                return found

    monkeypatch.setattr(batch_local_penalization, "scipy", Scipy)
    monkeypatch.setattr(SingleObjective, "_syncronous_batch_evaluation", SingleObjective._eval_func)


@pytest.mark.slow
@pytest.mark.parametrize("evaluator_type", ["local_penalization", "random", "thompson_sampling"])
@pytest.mark.parametrize("space", [CONTINUOUS, MIXED], ids=["continuous", "mixed"])
def test_gpyopt(space, evaluator_type, working_gpyopt):
    settings = {"initial_design_numdata": 3, "optimize_restarts": 1, "eps": -1.0}
    settings["evaluator_type"] = evaluator_type
    native = gpyopt_run(space, 3, 9, batch_size=3, **settings)
    assert len(native) == 9
    assert ours_in_parallel("gpyopt_gp", space, 3, 9, 3, **settings) == native


@pytest.mark.slow
def test_gpyopt_is_mended_where_the_library_fails():
    with pytest.raises(TypeError, match="not subscriptable"):
        gpyopt_run(
            CONTINUOUS, 3, 6, batch_size=2, initial_design_numdata=2, evaluator_type="local_penalization"
        )


def test_the_default_evaluator_is_no_part_of_an_identity():
    settings = registry.searcher("gpyopt_gp").Settings
    assert "evaluator_type" not in settings().as_json()
    assert settings(evaluator_type="random").as_json()["evaluator_type"] == "random"


# Libraries that are asked again before they were told


@pytest.mark.parametrize("constant_liar", [True, False])
def test_optuna(constant_liar):
    """`Study.ask` for as many as there are workers, and `Study.tell` as they end."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    sampler = optuna.samplers.TPESampler(seed=3, constant_liar=constant_liar)
    study, native = optuna.create_study(sampler=sampler), []
    while len(native) < 30:
        waiting = []
        for _ in range(3):
            trial = study.ask()
            waiting.append((trial, suggested(trial, MIXED)))
        native += [config for _, config in waiting]
        for trial, config in reversed(waiting):
            study.tell(trial, objective(config))
    proposed = ours_in_parallel("optuna_tpe", MIXED, 3, 30, 3, constant_liar=constant_liar)
    assert proposed == native
    assert proposed != ours("optuna_tpe", MIXED, 3, 30, constant_liar=constant_liar)


def test_pyswarms_proposes_the_same_with_any_number_of_workers():
    native = pyswarms_optimize(MIXED, 3, 6)
    assert ours_in_parallel("pyswarms_pso", MIXED, 3, 60, 5) == native
    assert ours_in_parallel("pyswarms_pso", MIXED, 3, 60, 4) == native


@pytest.mark.parametrize("name", ["raytune_optuna", "raytune_hyperopt"])
def test_raytune(name):
    """``suggest`` for as many as there are workers, and ``on_trial_complete`` as they end."""
    search, native = tune_search(name, 3), []
    assert search.set_search_properties("error", "min", domains(MIXED))
    while len(native) < 30:
        waiting = {
            f"{number:08d}": search.suggest(f"{number:08d}") for number in range(len(native), len(native) + 3)
        }
        native += [plain(MIXED, values) for values in waiting.values()]
        for trial, values in reversed(waiting.items()):
            result = {"error": float(objective(plain(MIXED, values))), "training_iteration": 1, "done": True}
            search.on_trial_result(trial, dict(result))
            search.on_trial_complete(trial, dict(result))
    assert ours_in_parallel(name, MIXED, 3, 30, 3) == native


# A generation that does not fill the budget, spaces with nothing to search


@pytest.mark.parametrize("name", ["hyperopt_tpe", "skopt_gp"])
def test_batches_in_a_space_of_few_configurations(name):
    settings = {"n_initial_points": 3, "n_points": 100} if name == "skopt_gp" else {}
    assert len(ours_in_parallel(name, CATEGORICAL, 3, 10, 4, **settings)) == 10


def test_a_study_hands_its_workers_to_the_searcher(tmp_path):
    """A sweep of three workers searches in batches of three."""
    import sys

    from rich.console import Console

    from harness.launch import Placement, launch
    from harness.sweep import parse_sweep
    from results.tables import read_tables

    sweep = parse_sweep(
        "{name: s, seed: 1, repetitions: 1, budget: {evaluations: 6}, workers: 3, "
        "tasks: [branin], searchers: [hyperopt_random]}",
        "s.yaml",
    )
    progress = launch(sweep, tmp_path, Placement(), Console(file=sys.stderr))
    assert progress.failed == {}
    trials = read_tables(tmp_path, "s").trials
    (study,) = sweep.studies
    problem = sweep.tasks["branin"].problem
    kind = registry.searcher("hyperopt_random")
    whole, sequential = (
        kind(problem, seed=study.key.search_seed, budget=study.key.budget, workers=workers)
        for workers in (3, 1)
    )
    batch = [dict(whole.ask().config) for _ in range(3)]
    assert [json.loads(config) for config in trials.sort_values("trial")["config"][:3]] == batch
    assert dict(sequential.ask().config) == batch[0]
    assert sequential.ask() is None


def test_no_batch_is_larger_than_the_budget():
    searcher = start("skopt_gp", CONTINUOUS, 3, 4, workers=10_000)
    assert searcher.workers == 4
