"""DEHB proposes what its own loop does: configurations, fidelities and brackets; and leaves nothing behind."""

import importlib.util
import json
import warnings
from pathlib import Path

import pytest
from elsewhere import proposed_elsewhere
from native import CATEGORICAL, CONDITIONAL, CONTINUOUS, MIXED, SEEDS, objective, plain

from harness.space import Choice, Float, Int
from harness.trial import Budget, Curve, Evaluation, Fidelity, Objective, Problem, Status
from searchers.conformance import one_thread
from searchers.dehb import DEHB, inside

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("dehb") is None, reason="needs dehb, which is not installed with the project"
)

FAILURE = 30.0
EPOCHS = {"R9": Fidelity(1, 9), "R50": Fidelity(1, 50)}


@pytest.fixture(autouse=True)
def reproducible():
    with one_thread(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def configuration_space(space, seed):
    """The space as a user of the library writes it: categories by their values, and conditions."""
    import ConfigSpace

    parameters = {}
    for name, domain in space.parameters.items():
        if isinstance(domain, Choice):
            parameters[name] = ConfigSpace.CategoricalHyperparameter(name, domain.values)
            continue
        kind = {Float: "UniformFloatHyperparameter", Int: "UniformIntegerHyperparameter"}[type(domain)]
        parameters[name] = getattr(ConfigSpace, kind)(name, domain.low, domain.high, log=domain.log)
    built = ConfigSpace.ConfigurationSpace(seed=seed)
    built.add(*parameters.values())
    for name, condition in space.conditions.items():
        parent = parameters[condition.parent]
        built.add(ConfigSpace.InCondition(parameters[name], parent, list(condition.values)))
    return built


def loss(config, epochs):
    """Longer training is better, by ever less; three configurations in seven fail, for good or beyond an epoch."""
    value = objective(config) + 0.5 / epochs
    return (FAILURE, Status.CRASHED) if int(value * 1e4) % 7 == 0 else (value, Status.OK)


def native(space, seed, evaluations, folder, *, fidelity=EPOCHS["R9"], **settings):
    """Return what ``DEHB.run`` evaluates, with how many epochs."""
    import dehb
    import loguru

    def f(config, fidelity):
        epochs = int(fidelity + 1e-9)
        seen.append((plain(space, dict(config)), epochs))
        return {"fitness": loss(seen[-1][0], epochs)[0], "cost": epochs}

    seen = []
    try:
        optimizer = dehb.DEHB(
            f=f,
            cs=configuration_space(space, seed),
            min_fidelity=fidelity.low,
            max_fidelity=fidelity.high,
            seed=seed,
            n_workers=1,
            output_path=folder,
            **settings,
        )
        optimizer.run(fevals=evaluations)
    finally:
        loguru.logger.remove()
    assert len(seen) == evaluations
    return seen


def start(space, seed, evaluations, *, fidelity=EPOCHS["R9"], workers=1, **settings):
    problem = Problem(space, fidelity, Objective("error", "min", failure=FAILURE))
    return DEHB(problem, seed=seed, budget=Budget("evaluations", evaluations), workers=workers, **settings)


def evaluate(searcher, proposal):
    value, status = loss(proposal.config, proposal.epochs)
    curve = Curve({"error": [value] * proposal.epochs}) if status is Status.OK else Curve()
    searcher.tell(proposal, Evaluation(status, curve, proposal.epochs))


def ours(space, seed, evaluations, **settings):
    searcher = start(space, seed, evaluations, **settings)
    seen = []
    for trial in range(evaluations):
        proposal = searcher.ask()
        assert proposal.trial == trial  # each from scratch
        seen.append((dict(proposal.config), proposal.epochs))
        evaluate(searcher, proposal)
    return seen


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(
    "space",
    [CONTINUOUS, MIXED, CONDITIONAL, CATEGORICAL],
    ids=["continuous", "mixed", "conditional", "categorical"],
)
def test_own_loop_where_some_evaluations_fail(space, seed, tmp_path):
    expected = native(space, seed, 60, tmp_path)
    assert ours(space, seed, 60) == expected
    assert {epochs for _, epochs in expected} == {1, 3, 9}
    assert any(loss(config, epochs)[1] is Status.CRASHED for config, epochs in expected)
    promoted = [config for config, epochs in expected if epochs == 3]
    assert any(config == other for config in promoted for other, epochs in expected if epochs == 1)


@pytest.mark.parametrize(
    "settings",
    [
        {"strategy": "best2_exp", "mutation_factor": 0.9, "crossover_prob": 0.8},
        {"strategy": "currenttobest1_bin", "eta": 2},
        {"strategy": "rand2dir_exp", "eta": 4},
    ],
    ids=lambda settings: settings["strategy"],
)
def test_settings(settings, tmp_path):
    assert ours(MIXED, 3, 60, **settings) == native(MIXED, 3, 60, tmp_path, **settings)
    assert ours(MIXED, 3, 60, **settings) != ours(MIXED, 3, 60)


def test_fidelities_are_trained_for_the_whole_epochs_they_have(tmp_path):
    expected = native(CONTINUOUS, 3, 60, tmp_path, fidelity=EPOCHS["R50"])
    assert ours(CONTINUOUS, 3, 60, fidelity=EPOCHS["R50"]) == expected
    assert {epochs for _, epochs in expected} == {1, 5, 16, 50}


@pytest.mark.parametrize("high", [*range(3, 60), 81, 100, 243, 1000])
def test_the_first_rung_is_known_before(high):
    fidelity = Fidelity(1, high)
    searcher = start(CONTINUOUS, 3, 9, fidelity=fidelity)
    assert searcher.ask().epochs == DEHB.least_epochs(searcher.problem, searcher.budget, searcher.settings)


def by_hand(space, seed, evaluations, *, batch=1, first=None):
    """Return what its ask and tell propose, several at a time, with a configuration in the place of the first."""
    import ConfigSpace
    import dehb

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("dehb.optimizers.dehb.DEHBBase._setup_logger", quiet)
        optimizer = dehb.DEHB(
            cs=configuration_space(space, seed), min_fidelity=1, max_fidelity=9, seed=seed, n_workers=1
        )
    optimizer.save_freq, seen = "end", []
    while len(seen) < evaluations:
        jobs = optimizer.ask(n_configs=batch)
        jobs = jobs if isinstance(jobs, list) else [jobs]
        if first is not None and not seen:
            jobs[0]["config"] = ConfigSpace.Configuration(optimizer.cs, values=first)
            vector = optimizer.configspace_to_vector(jobs[0]["config"])
            optimizer.config_repository.configs[jobs[0]["config_id"]].config = vector
        told = []
        for job in jobs:
            epochs = int(job["fidelity"] + 1e-9)
            seen.append((plain(space, dict(job["config"])), epochs))
            told.append((job, {"fitness": loss(seen[-1][0], epochs)[0], "cost": epochs}))
        for job, result in reversed(told):
            optimizer.tell(job, result)
    return seen


def quiet(self, arguments):
    import logging

    self.output_path, self.logger, self.log_filename = Path(), logging.getLogger("quiet"), ""


@pytest.mark.parametrize("space", [MIXED, CONDITIONAL], ids=["mixed", "conditional"])
def test_several_workers_never_wait(space):
    searcher, seen = start(space, 3, 60, workers=4), []
    while len(seen) < 60:
        waiting = [searcher.ask() for _ in range(4)]
        seen += [(dict(proposal.config), proposal.epochs) for proposal in waiting]
        for proposal in reversed(waiting):
            evaluate(searcher, proposal)
    assert seen == by_hand(space, 3, 60, batch=4)
    assert seen != ours(space, 3, 60)


def test_starting_point():
    first = dict(MIXED.references["published"])
    proposed = ours(MIXED, 3, 50, start_at_reference=True)
    assert proposed == by_hand(MIXED, 3, 50, first=first)
    assert proposed[0] == (first, 1)
    assert proposed[1:] != ours(MIXED, 3, 50)[1:]


def test_a_point_on_a_bound_is_taken_where_the_library_fails(tmp_path):
    settings = {"boundary_fix_type": "clip", "mutation_factor": 1.0}
    with pytest.raises(AssertionError, match=r"^assert \d+ == 60"):  # its `run` logs the error, and ends
        native(MIXED, 3, 60, tmp_path, **settings)
    seen = [config for config, _ in ours(MIXED, 3, 60, **settings)]
    assert any(config["rate"] in (1e-4, 1e-1) for config in seen)
    assert any(config["units"] in (4, 512) for config in seen)


def test_points_inside_are_left_as_they_are():
    import numpy as np

    space = configuration_space(MIXED, 1)
    points = np.random.default_rng(1).random((200, len(space)))
    assert all((inside(space, point) == point).all() for point in points)


ELSEWHERE = """
import json, os, sys, warnings
warnings.simplefilter("error")
import loguru
own = loguru.logger.add(sys.stderr, level="CRITICAL")
before = sorted(loguru.logger._core.handlers)
from test_dehb import MIXED, ours
proposed = ours(MIXED, 3, 40)
assert sorted(loguru.logger._core.handlers) == before
print(json.dumps(proposed))
"""


@pytest.mark.parametrize("hash_seed", ["1", "2"])
def test_the_same_anywhere_without_a_trace(hash_seed, tmp_path):
    """In other processes, with other hash seeds: nothing printed or written, and no handler of a log replaced."""
    proposed = proposed_elsewhere(ELSEWHERE, Path(__file__).parent, tmp_path, hash_seed)
    assert proposed == json.loads(json.dumps(ours(MIXED, 3, 40)))
