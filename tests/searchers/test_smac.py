"""SMAC's facades as searchers: what they propose is what ``optimize`` evaluates, in any process."""

import importlib.util
import json
import logging
import math
import types
import warnings
from pathlib import Path

import pytest
from elsewhere import proposed_elsewhere
from native import (
    CATEGORICAL,
    CONDITIONAL,
    CONTINUOUS,
    MIXED,
    SEEDS,
    fate,
    objective,
    ours,
    ours_in_parallel,
    plain,
    start,
)
from test_dehb import configuration_space

from harness import registry
from harness.space import Choice, Float, Int, Space
from harness.trial import Budget, Curve, Evaluation, Fidelity, Objective, Problem, Status
from searchers.conformance import one_thread
from searchers.smac import SmacForest

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("smac") is None, reason="needs smac, which is not installed with the project"
)

FACADES = {
    "smac_forest": "HyperparameterOptimizationFacade",
    "smac_gp": "BlackBoxFacade",
    "smac_hyperband": "MultiFidelityFacade",
}
QUICK = {"n_configs": 4, "challengers": 50, "local_search_iterations": 2}
FAILURE = 1e9
SPACES = {"mixed": MIXED, "conditional": CONDITIONAL, "continuous": CONTINUOUS, "categorical": CATEGORICAL}
ALL = pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)


@pytest.fixture(autouse=True)
def reproducible():
    level = logging.getLogger("smac").level
    logging.getLogger("smac").setLevel(logging.CRITICAL + 1)
    with one_thread(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
    logging.getLogger("smac").setLevel(level)


def documented(self, previous_configs, n_points, additional_start_points):
    """Where local searches begin, as the library's docstring says: each point once, from left to right."""
    import numpy as np

    points = np.array([config.get_array() for config in previous_configs])
    costs = self._acquisition_function.model.predict_marginalized(points)[0]
    order = np.lexsort((self._rng.rand(len(costs)), costs.flatten()))
    first = []
    for config in [
        *[previous_configs[i] for i in order][:n_points],
        *(c for _, c in additional_start_points),
    ]:
        if config not in first:
            first.append(config)
    return first


def facade_of(
    name,
    space,
    seed,
    evaluations,
    folder,
    target,
    *,
    first=None,
    budgets=None,
    crash_cost=FAILURE,
    **settings,
):
    """Return a facade as a user makes it, with the settings given to its parts, and local searches in order."""
    import ConfigSpace
    import smac

    facade = getattr(smac, FACADES[name])
    settings = {**QUICK, **settings}
    scenario = smac.Scenario(
        configuration_space(space, seed),
        output_directory=Path(folder),
        deterministic=True,
        n_trials=evaluations,
        crash_cost=FAILURE,
        seed=seed,
        **(budgets or {}),
    )
    design = facade.get_initial_design(scenario, n_configs=settings["n_configs"])
    if first is not None:
        own = design.select_configurations
        reference = ConfigSpace.Configuration(scenario.configspace, values=first)
        design.select_configurations = lambda: [reference, *own()]
    retrain = {"retrain_after": settings["retrain_after"]} if "retrain_after" in settings else {}
    model = facade.get_model(scenario)
    if hasattr(model, "_rf_opts"):
        model._rf_opts["n_jobs"] = (
            1  # by default it takes all processors, and as many threads for each prediction
        )
    maximizer = facade.get_acquisition_maximizer(
        scenario,
        challengers=settings["challengers"],
        local_search_iterations=settings["local_search_iterations"],
    )
    local = maximizer._local_search
    local._get_init_points_from_previous_configs = types.MethodType(documented, local)
    return facade(
        scenario,
        target,
        model=model,
        acquisition_maximizer=maximizer,
        config_selector=facade.get_config_selector(scenario, **retrain),
        initial_design=design,
        logging_level=False,
        overwrite=True,
    )


@pytest.fixture
def optimize(tmp_path):
    """Return a function that returns what a facade's ``optimize`` evaluates."""

    def run(name, space, seed, evaluations, *, evaluate=objective, **settings):
        def target(config, seed=0):
            seen.append(plain(space, dict(config)))
            return evaluate(seen[-1])

        seen = []
        facade_of(name, space, seed, evaluations, tmp_path, target, **settings).optimize()
        assert len(seen) == evaluations
        return seen

    return run


def failing(config):
    """The objective as a user of the library writes it: a deadline is what its runner would raise."""
    import pynisher

    status = fate(config)
    if status is Status.TIMEOUT:
        raise pynisher.WallTimeoutException
    if status is Status.CRASHED:
        raise RuntimeError
    return math.nan if status is Status.DIVERGED else objective(config)


@ALL
def test_forest(space, optimize):
    expected = optimize("smac_forest", space, 3, 11, retrain_after=4)
    assert ours("smac_forest", space, 3, 11, **QUICK, retrain_after=4) == expected


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("space", [MIXED, CONDITIONAL], ids=["mixed", "conditional"])
def test_forest_with_the_facades_own_settings(space, seed, optimize):
    own = {"challengers": 10_000, "local_search_iterations": 10, "n_configs": None}
    expected = optimize("smac_forest", space, seed, 20, **own)
    assert ours("smac_forest", space, seed, 20) == expected


@pytest.mark.parametrize("space", [MIXED, CONDITIONAL], ids=["mixed", "conditional"])
def test_gp(space, optimize):
    assert ours("smac_gp", space, 3, 6, **QUICK) == optimize("smac_gp", space, 3, 6)


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
@ALL
def test_gp_with_the_facades_own_settings(space, seed, optimize):
    own = {"challengers": 1000, "local_search_iterations": 10, "n_configs": None}
    assert ours("smac_gp", space, seed, 12) == optimize("smac_gp", space, seed, 12, **own)


@pytest.mark.parametrize("name", ["smac_forest", pytest.param("smac_gp", marks=pytest.mark.slow)])
def test_failures(name, optimize):
    expected = optimize(name, MIXED, 3, 10, evaluate=failing, retrain_after=3)
    # The Gaussian process's ten meet successes and crashes, the forest's timeouts as well.
    assert len({fate(config) for config in expected}) >= (2 if name == "smac_gp" else 3)
    assert ours(name, MIXED, 3, 10, fate=fate, **QUICK, retrain_after=3) == expected


def test_starting_point(optimize):
    first = dict(MIXED.references["published"])
    expected = optimize("smac_forest", MIXED, 3, 8, first=first, retrain_after=3)
    proposed = ours("smac_forest", MIXED, 3, 8, start_at_reference=True, **QUICK, retrain_after=3)
    assert proposed == expected
    assert proposed[0] == first
    assert proposed[1:] != ours("smac_forest", MIXED, 3, 8, **QUICK, retrain_after=3)[1:]


@pytest.fixture
def asked(tmp_path):
    """Return a function that returns a facade's ask and tell with trials of before, and several at a time."""

    def run(name, space, seed, evaluations, *, before=(), workers=1, **settings):
        import ConfigSpace
        from smac.runhistory import StatusType, TrialInfo, TrialValue

        facade, seen = facade_of(name, space, seed, evaluations, tmp_path, None, **settings), []
        for config, cost in before:
            info = TrialInfo(ConfigSpace.Configuration(facade.scenario.configspace, values=config), seed=0)
            status = StatusType.SUCCESS if cost < FAILURE else StatusType.CRASHED
            facade.tell(info, TrialValue(cost=cost, status=status))
        while len(seen) < evaluations:
            waiting = [facade.ask() for _ in range(min(workers, evaluations - len(seen)))]
            seen += [plain(space, dict(info.config)) for info in waiting]
            for info in reversed(waiting):
                facade.tell(info, TrialValue(cost=float(objective(plain(space, dict(info.config))))))
        return seen

    return run


@pytest.mark.parametrize("name", FACADES)
@pytest.mark.parametrize("size", [1, 2, 4])
def test_where_all_of_a_space_runs_it_waits(name, size, monkeypatch):
    """Before anything is told the library draws until it finds a new configuration, here forever."""
    from ConfigSpace import ConfigurationSpace

    draws, draw = [], ConfigurationSpace.sample_configuration
    monkeypatch.setattr(
        ConfigurationSpace,
        "sample_configuration",
        lambda *given, **named: (
            draws.append(given) or (draw(*given, **named) if len(draws) < 1000 else pytest.fail("no end"))
        ),
    )
    space = Space({"one": Choice(("only",)), "fixed": Float(0.5, 0.5), "x": Int(1, size)})
    epochs = 9 if name == "smac_hyperband" else 1
    searcher = registry.searcher(name)(
        Problem(space, Fidelity(1, epochs), Objective("error", "min", failure=FAILURE)),
        seed=3,
        budget=Budget("evaluations", 20),
        workers=6,
    )
    waiting = [each for each in (searcher.ask() for _ in range(6)) if each is not None]
    assert {each.config["x"] for each in waiting} == set(range(1, size + 1))
    for each in waiting:
        curve = Curve({"error": (float(each.config["x"]),) * each.epochs})
        searcher.tell(each, Evaluation(Status.OK, curve, each.epochs))
    after = searcher.ask()
    assert after is None or after.config["x"] <= size


def test_several_workers_never_wait(asked):
    proposed = ours_in_parallel("smac_forest", MIXED, 3, 6, 3, **QUICK, retrain_after=1)
    assert proposed == asked("smac_forest", MIXED, 3, 6, workers=3, retrain_after=1)
    assert proposed != ours("smac_forest", MIXED, 3, 6, **QUICK, retrain_after=1)


def test_recorded_trials(asked):
    """They take the place of the initial design, as in the library's example of a warm start."""
    recorded = ours("random", CONDITIONAL, 1, 10)
    searcher = start("smac_forest", CONDITIONAL, 3, 8, **QUICK, retrain_after=3)
    before, proposed = [], []
    for number, config in enumerate(recorded):
        searcher._take(config, objective(config)) if number % 5 else searcher._take_failed(
            config, Status.CRASHED, FAILURE
        )
        before.append((config, objective(config) if number % 5 else FAILURE))
    while len(proposed) < 8:
        proposal = searcher.ask()
        proposed.append(dict(proposal.config))
        curve = Curve({"error": (float(objective(proposal.config)),)})
        searcher.tell(proposal, Evaluation(Status.OK, curve, 1))
    assert proposed == asked("smac_forest", CONDITIONAL, 3, 8, before=before, n_configs=0, retrain_after=3)


# Hyperband


def outcome(config, epochs):
    """Longer training is better, by ever less; some evaluations fail, for good or beyond an epoch."""
    value = objective(config) + 0.5 / epochs
    return value, Status.CRASHED if int(value * 1e4) % 4 == 0 else Status.OK


def hyperband(space, seed, evaluations, *, high=9, **settings):
    """Return what ours proposes: configurations, epochs, and whether a trial is continued."""
    problem = Problem(space, Fidelity(1, high), Objective("error", "min", failure=FAILURE))
    kind = registry.searcher("smac_hyperband")
    searcher = kind(problem, seed=seed, budget=Budget("evaluations", evaluations), **QUICK, **settings)
    seen, trials = [], set()
    for _ in range(evaluations):
        proposal = searcher.ask()
        seen.append((dict(proposal.config), proposal.epochs, proposal.trial in trials))
        trials.add(proposal.trial)
        value, status = outcome(proposal.config, proposal.epochs)
        curve = Curve({"error": [value] * proposal.epochs}) if status is Status.OK else Curve()
        searcher.tell(proposal, Evaluation(status, curve, proposal.epochs))
    return seen


@pytest.mark.parametrize(
    ("space", "high"), [(MIXED, 9), (CONDITIONAL, 9), (CONTINUOUS, 50)], ids=["mixed", "conditional", "R50"]
)
def test_hyperband(space, high, tmp_path):
    seen, ended = [], {}

    def target(config, seed, budget):
        config, epochs = plain(space, dict(config)), math.ceil(budget - 1e-9)
        known = repr(config)
        seen.append((config, epochs, ended.get(known) is Status.OK))
        value, ended[known] = outcome(config, epochs)
        if ended[known] is Status.CRASHED:
            raise RuntimeError
        return value

    budgets = {"min_budget": 1, "max_budget": high}
    facade_of("smac_hyperband", space, 3, 40, tmp_path, target, budgets=budgets).optimize()
    assert hyperband(space, 3, 40, high=high) == seen
    assert {epochs for _, epochs, _ in seen} == ({1, 3, 9} if high == 9 else {2, 6, 17, 50})
    assert any(continued for _, _, continued in seen)


def test_hyperband_begins_its_first_bracket_at_the_starting_point():
    first = dict(MIXED.references["published"])
    proposed = hyperband(MIXED, 3, 14, start_at_reference=True)
    assert proposed[0] == (first, 1, False)
    assert [config for config, _, _ in proposed[1:4]] == [
        config for config, _, _ in hyperband(MIXED, 3, 14)[:3]
    ]


@pytest.mark.parametrize("high", [3, 10, 27, 50, 243])
@pytest.mark.parametrize("eta", [2, 3])
def test_hyperband_knows_its_first_round_before(high, eta):
    kind = registry.searcher("smac_hyperband")
    problem = Problem(CONTINUOUS, Fidelity(1, high), Objective("error", "min", failure=FAILURE))
    searcher = kind(problem, seed=1, budget=Budget("epochs", 20 * high), eta=eta)
    assert searcher.ask().epochs == kind.least_epochs(problem, searcher.budget, searcher.settings)


# Everywhere the same


ELSEWHERE = """
import json, sys
from test_smac import CONDITIONAL, QUICK, hyperband, one_thread, ours
with one_thread():
    forest = ours("smac_forest", CONDITIONAL, 3, 12, **QUICK, retrain_after=2)
    print(json.dumps([forest, hyperband(CONDITIONAL, 3, 20)]))
"""


@pytest.mark.slow
@pytest.mark.parametrize("hash_seed", ["1", "2"])
def test_the_same_anywhere_without_a_trace(hash_seed, tmp_path):
    """In other processes, with other hash seeds; nothing is printed or written."""
    proposed = proposed_elsewhere(ELSEWHERE, Path(__file__).parent, tmp_path, hash_seed)
    here = [ours("smac_forest", CONDITIONAL, 3, 12, **QUICK, retrain_after=2), hyperband(CONDITIONAL, 3, 20)]
    assert proposed == json.loads(json.dumps(here))


def test_a_search_leaves_the_librarys_log_as_it_was():
    logging.getLogger("smac").setLevel(logging.INFO)
    ours("smac_forest", CONTINUOUS, 3, 3, **QUICK)
    assert logging.getLogger("smac").level == logging.INFO


def test_the_initial_design_depends_on_the_budget():
    few = SmacForest(
        Problem(CONTINUOUS, Fidelity(1, 1), Objective("error", "min", failure=1.0)),
        seed=1,
        budget=Budget("evaluations", 12),
    )
    assert len(few._search._config_selector._initial_design_configs) == 3
