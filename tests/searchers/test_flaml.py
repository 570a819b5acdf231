"""FLAML's CFO and BlendSearch: what `flaml.tune`'s own loops propose, in every corner, and what is refused."""

import logging
import math
import subprocess
import sys
import time
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
    fate,
    objective,
    ours,
    ours_in_parallel,
    plain,
    problem,
    start,
    tell,
)

from harness import registry
from harness.errors import IncompatibleError
from harness.events import Asked
from harness.space import Choice, Float, Int, Space
from harness.study import Study
from harness.trial import Budget, Curve, Evaluation, Proposal, Status
from searchers._adapt import coincide

pytest.importorskip("flaml", reason="not installed with the project")

NAMES = {"flaml_cfo": "CFO", "flaml_blendsearch": "BlendSearch"}
ALL = {**SPACES, "conditional": CONDITIONAL, "categorical": CATEGORICAL}


@pytest.fixture(autouse=True)
def quiet():
    disabled = logging.root.manager.disable
    logging.disable(logging.ERROR)  # the search is told of trials that it proposed twice
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
    logging.disable(disabled)


def algorithm(name, space, seed, **arguments):
    """Return the library's own search, with the categories themselves."""
    import flaml
    from flaml import tune

    def domain(own):
        if isinstance(own, Choice):
            return tune.choice(list(own.values))
        if isinstance(own, Int):
            return (tune.lograndint if own.log else tune.randint)(own.low, own.high + 1)
        return (tune.loguniform if own.log else tune.uniform)(own.low, own.high)

    domains = {each: domain(own) for each, own in space.parameters.items()}
    return getattr(flaml, NAMES[name])(metric="loss", mode="min", space=domains, seed=seed, **arguments)


def run(name, space, seed, evaluations, *, results=lambda config: {}, **arguments):
    """Return what ``flaml.tune.run`` evaluates."""
    from flaml import tune

    def evaluate(values):
        seen.append(space.active_part(plain(space, values)))
        return {"loss": objective(seen[-1]), **results(seen[-1])}

    seen = []
    search = algorithm(name, space, seed, **arguments)
    tune.run(evaluate, metric="loss", mode="min", search_alg=search, num_samples=evaluations, verbose=0)
    return seen


def run_trials(name, space, seed, evaluations, *, result, workers=1):
    """Return what the loop of ``flaml.tune.run(use_spark=True)`` evaluates, with errors told as Ray Tune tells them."""
    from flaml.tune.trial_runner import SparkTrialRunner

    seen = []
    search = algorithm(name, space, seed)
    search.set_search_properties("loss", "min", None, num_samples=evaluations)
    runner = SparkTrialRunner(search_alg=search, metric="loss", mode="min")
    while len(seen) < evaluations:
        failures = 0
        while len(runner.running_trials) < min(workers, evaluations - len(seen)) and failures < 100:
            failures += runner.step() is None
        if not runner.running_trials:
            break
        configs = {
            trial.trial_id: space.active_part(plain(space, trial.config)) for trial in runner.running_trials
        }
        seen += configs.values()
        for trial in reversed(list(runner.running_trials)):
            outcome = result(configs[trial.trial_id])
            if outcome is None:  # its own runner tells the search nothing of it; Ray Tune's controller does
                search.on_trial_complete(trial.trial_id, error=True)
                runner.running_trials.remove(trial)
                continue
            reported = {"loss": outcome, "training_iteration": 0, "config": trial.config}
            runner.process_trial_result(trial, reported | prefixed(trial.config))
            runner.stop_trial(trial)
    return seen


def prefixed(config):
    return {f"config/{name}": value for name, value in config.items()}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("space", ALL)
@pytest.mark.parametrize("seed", SEEDS[:2])
def test_proposes_what_its_loop_does(name, space, seed):
    assert ours(name, ALL[space], seed, 40) == run(name, ALL[space], seed, 40)


@pytest.mark.parametrize("name", NAMES)
def test_the_largest_seeds_are_taken_within_31_bits(name):
    proposed = ours(
        name, MIXED, 2**32 - 1, 200
    )  # with local searches that begin anew, each with a seed of its own
    assert proposed == run(name, MIXED, 2**31 - 1, 200)


@pytest.mark.parametrize("name", NAMES)
def test_numbers_among_categories_are_ordered_and_others_not(name):
    space = Space(
        {"size": Choice((32, 16, 128, 64)), "rate": Choice((0.1, 1)), "act": Choice(("z", "b", "a"))}
    )

    def worth(config):
        return objective({"b": config["size"] / 64}) + config["rate"]

    searcher, proposed = start(name, space, 5, 20), []
    while len(proposed) < 20 and (proposal := searcher.ask()):
        proposed.append(dict(proposal.config))
        curve = Curve({"error": (float(worth(proposal.config)),)})
        searcher.tell(proposal, Evaluation(Status.OK, curve, 1))
    assert proposed == run(name, space, 5, 20, results=lambda config: {"loss": worth(config)})


@pytest.mark.parametrize("name", NAMES)
def test_starting_point(name):
    first = dict(MIXED.references["published"])
    proposed = ours(name, MIXED, 3, 40, start_at_reference=True)
    native = run(name, MIXED, 3, 40, points_to_evaluate=[first])
    assert proposed[0] == first
    assert coincide(MIXED, native[0], first)  # it rounds, and is told the loss of what it rounded
    assert proposed[1:] == native[1:]


@pytest.mark.parametrize("name", NAMES)
def test_low_cost_configuration(name):
    low_cost = {"units": 4, "optimizer": "sgd"}
    proposed = ours(name, MIXED, 3, 40, low_cost_partial_config=low_cost)
    assert proposed == run(name, MIXED, 3, 40, low_cost_partial_config=low_cost)
    assert proposed != ours(name, MIXED, 3, 40)
    assert proposed[0]["units"] == 4
    assert proposed[0]["optimizer"] == "sgd"


def test_blendsearch_experimental():
    proposed = ours("flaml_blendsearch", MIXED, 3, 40, experimental=True)
    assert proposed == run("flaml_blendsearch", MIXED, 3, 40, experimental=True)


# Failures and several workers


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("space", ["continuous", "mixed", "conditional"])
@pytest.mark.parametrize("seed", [3, 4])
def test_failures(name, space, seed):
    """A divergence is reported as infinite, and anything else is an error that says nothing of the configuration."""

    def result(config):
        worth = {Status.OK: objective(config), Status.DIVERGED: math.inf}
        return worth.get(fate(config))

    space = ALL[space]
    native = run_trials(name, space, seed, 40, result=result)
    assert {fate(config) for config in native} == set(Status)
    assert ours(name, space, seed, 40, fate=fate) == native


@pytest.mark.parametrize("name", NAMES)
def test_failures_imputed(name):
    def result(config):
        return objective(config) if fate(config) is Status.OK else 1e9

    native = run_trials(name, MIXED, 3, 40, result=result)
    assert ours(name, MIXED, 3, 40, fate=fate, on_failure="impute") == native


def test_its_own_sequential_loop_ends_at_the_first_error():
    """The reason why failures are compared with another of its loops; see the docstring."""
    from flaml import tune

    seen = []
    search = algorithm("flaml_cfo", CONTINUOUS, 3)
    tune.run(seen.append, metric="loss", mode="min", search_alg=search, num_samples=9, verbose=0)
    assert len(seen) == 1


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("space", ["continuous", "mixed"])
@pytest.mark.parametrize("workers", [2, 4])
def test_several_workers(name, space, workers):
    native = run_trials(name, ALL[space], 3, 40, result=objective, workers=workers)
    assert ours_in_parallel(name, ALL[space], 3, 40, workers) == native


@pytest.mark.parametrize("name", NAMES)
def test_recorded_trials_are_evaluated_rewards(name):
    recorded = [config for config in ours("random", MIXED, 1, 12) if fate(config) is not Status.CRASHED]
    worth = {Status.OK: objective, Status.DIVERGED: lambda config: math.inf}
    known = [config for config in recorded if fate(config) in worth]
    rewards = [float(worth[fate(config)](config)) for config in known]
    assert len(known) < len(recorded)
    searcher, proposed = start(name, MIXED, 3, 20), []
    for number, config in enumerate(recorded):
        curve = Curve({"error": (float(objective(config)),)}) if fate(config) is Status.OK else Curve()
        searcher.take(Proposal(number, config, 1), Evaluation(fate(config), curve, 1))
    while len(proposed) < 20:
        proposal = searcher.ask()
        proposed.append(dict(proposal.config))
        tell(searcher, proposal)
    given = {"points_to_evaluate": known, "evaluated_rewards": rewards}
    assert proposed == run(name, MIXED, 3, 20, **given)
    assert proposed != ours(name, MIXED, 3, 20)


# Cost, and no clock


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("unit", ["cost", "epochs"])
def test_what_evaluations_are_charged_is_their_cost(name, unit):
    """As with ``cost_attr`` and ``cost_budget``: BlendSearch then searches otherwise than by numbers of trials."""

    def cost(config):
        return 1.0 + config["units"] / 100 + config["layers"]

    amount = 150.0 if unit == "cost" else 40
    budget = Budget(unit, amount, 5.0 if unit == "cost" else 0.0)
    searcher = registry.searcher(name)(problem(MIXED), seed=3, budget=budget)
    study, proposed = Study(searcher, workers=1, cost=cost), []
    while study.done is None:
        for event in study.advance():
            if isinstance(event, Asked):
                proposed.append(dict(event.proposal.config))
                curve = Curve({"error": (float(objective(proposed[-1])),)})
                study.deliver(event.number, Evaluation(Status.OK, curve, 1))

    def charged(config):
        return {"cost": cost(config) if unit == "cost" else 1}

    native = run(name, MIXED, 3, -1, results=charged, cost_attr="cost", cost_budget=amount)
    assert len(proposed) > 20
    assert proposed == native[: len(proposed)]
    assert len(native) <= len(proposed) + 1  # it ends once the budget is overdrawn, a study before
    if (name, unit) == ("flaml_blendsearch", "cost"):
        assert proposed != ours(name, MIXED, 3, len(proposed))


@pytest.mark.parametrize("name", NAMES)
def test_no_decision_is_taken_by_the_clock(name, monkeypatch):
    before = ours(name, MIXED, 3, 60)
    hours = iter(range(0, 10**9, 3600))
    monkeypatch.setattr(time, "time", lambda: float(next(hours)))
    assert ours(name, MIXED, 3, 60) == before


# What is refused, and where it ends


def test_names_with_a_meaning_in_flaml_are_refused():
    for name in ("a/b", "a:1", "a_choice_"):
        with pytest.raises(IncompatibleError, match=f"parameter '{name}': FLAML gives"):
            start("flaml_cfo", Space({name: Float(0, 1)}), 1, 5)


def test_a_low_cost_configuration_outside_the_space_is_refused():
    with pytest.raises(IncompatibleError, match="no parameter 'unit'; did you mean 'units'"):
        start("flaml_cfo", MIXED, 1, 5, low_cost_partial_config={"unit": 4})
    with pytest.raises(IncompatibleError, match="low_cost_partial_config, 'units'"):
        start("flaml_cfo", MIXED, 1, 5, low_cost_partial_config={"units": 3})


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("seed", [1, 3])
def test_ends_where_its_loop_does(name, seed):
    """It evaluates nothing twice, and gives up after a hundred tries: CFO also before it knows a small space."""
    space = Space({"a": Choice(("x", "y")), "c": Choice((True, False))})
    proposed = ours(name, space, seed, 20)
    assert proposed == run(name, space, seed, 20)
    assert len(proposed) == len({repr(config) for config in proposed}) <= 4


def test_the_first_search_of_a_process_announces_nothing():
    code = "from native import MIXED, ours\nours('flaml_blendsearch', MIXED, 3, 4)\n"
    told = subprocess.run(
        [sys.executable, "-c", code], cwd=Path(__file__).parent, capture_output=True, text=True, check=True
    )
    assert told.stdout + told.stderr == ""
