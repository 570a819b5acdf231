"""Ax's Bayesian optimisation: what a loop over its `Client` proposes, in every corner, and what is refused."""

import logging
import math
import warnings

import pytest
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

from harness.errors import IncompatibleError
from harness.space import Choice, Condition, Float, Int, Space
from harness.trial import Curve, Evaluation, Proposal, Status
from searchers.ax import hierarchical

for library in ("ax", "botorch"):
    pytest.importorskip(library, reason="not installed with the project")

NAME = "ax_botorch"
KINDS = {bool: "bool", int: "int", float: "float", str: "str"}
TREE = Space(
    {
        "optimizer": Choice(("sgd", "momentum", "rmsprop")),
        "momentum": Float(0.5, 0.99),
        "nesterov": Choice((False, True)),
        "layers": Int(1, 5),
        "rate": Float(1e-4, 1e-1, log=True),
    },
    conditions={
        "momentum": Condition("optimizer", ("momentum",)),
        "nesterov": Condition("optimizer", ("momentum",)),
        "layers": Condition("nesterov", (True,)),
    },
)


@pytest.fixture(autouse=True)
def alone():
    """The library on one thread, without its log."""
    import torch

    disabled, threads = logging.root.manager.disable, torch.get_num_threads()
    logging.disable(logging.WARNING)
    torch.set_num_threads(1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
    torch.set_num_threads(threads)
    logging.disable(disabled)


def parameters(space, dependents):
    from ax.api.configs import ChoiceParameterConfig, RangeParameterConfig

    for name, own in space.parameters.items():
        if isinstance(own, Choice):
            yield ChoiceParameterConfig(
                name=name,
                values=list(own.values),
                parameter_type=KINDS[type(own.values[0])],
                dependent_parameters=dependents.get(name),
            )
        else:
            yield RangeParameterConfig(
                name=name,
                bounds=(own.low, own.high),
                parameter_type="float" if isinstance(own, Float) else "int",
                scaling="log" if own.log else "linear",
            )


def loop(space, seed, evaluations, *, evaluate=objective, first=None, workers=1, dependents=(), **settings):
    """Return what the loop of Ax's documentation evaluates, over as many trials at a time as there are workers."""
    from ax.api.client import Client

    client, seen = Client(random_seed=seed), []
    client.configure_experiment(parameters=list(parameters(space, dict(dependents))))
    client.configure_optimization(objective="-loss")
    if settings:
        client.configure_generation_strategy(**settings)
    if first is not None:
        seen.append(first)
        client.complete_trial(client.attach_trial(parameters=first), raw_data={"loss": evaluate(first)})
    while len(seen) < evaluations:
        wanted, configs = min(workers, evaluations - len(seen)), {}
        while len(configs) < wanted:  # of its initial trials it makes no more than there are to be
            trials = client.get_next_trials(max_trials=wanted - len(configs))
            configs |= {index: space.active_part(plain(space, values)) for index, values in trials.items()}
        seen += configs.values()
        for index, config in reversed(configs.items()):
            try:
                client.complete_trial(index, raw_data={"loss": float(evaluate(config))})
            except RuntimeError:
                client.mark_trial_failed(index)
    return seen


def failing(config):
    if fate(config) is not Status.OK:
        raise RuntimeError(fate(config))
    return objective(config)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("space", "seed"), [(CONTINUOUS, SEEDS[0]), (CONTINUOUS, SEEDS[-1]), (MIXED, SEEDS[0]), (MIXED, SEEDS[1])]
)
def test_proposes_what_its_loop_does(space, seed):
    assert ours(NAME, space, seed, 9) == loop(space, seed, 9)


def test_categories():
    """Numbers among them are sorted, and taken for ordered."""
    assert ours(NAME, CATEGORICAL, 3, 8) == loop(CATEGORICAL, 3, 8)


@pytest.mark.slow
def test_starting_point():
    first = dict(MIXED.references["published"])
    proposed = ours(NAME, MIXED, 3, 8, start_at_reference=True)
    assert proposed == loop(MIXED, 3, 8, first=first)
    assert proposed[0] == first


@pytest.mark.slow
@pytest.mark.parametrize(
    "settings",
    [
        {"initialization_budget": 3, "initialize_with_center": False},
        {"initialization_budget": 4, "min_observed_initialization_trials": 4},
        {"initialization_budget": 3, "simplify_parameter_changes": True},
    ],
)
def test_settings(settings):
    assert ours(NAME, CONTINUOUS, 3, 7, **settings) == loop(CONTINUOUS, 3, 7, **settings)


def test_initial_trials_need_no_model():
    """Quick, for everyday: the middle of the space, then a scrambled Sobol' sequence."""
    proposed = ours(NAME, MIXED, 3, 5)
    assert proposed == loop(MIXED, 3, 5)
    assert proposed[0]["rate"] == pytest.approx(math.sqrt(1e-4 * 1e-1))
    assert proposed[1:] != ours(NAME, MIXED, 4, 5)[1:]


# Conditional parameters


@pytest.mark.slow
def test_conditions_on_one_value_are_dependent_parameters():
    assert hierarchical(TREE)
    dependents = {"optimizer": {"momentum": ["momentum", "nesterov"]}, "nesterov": {True: ["layers"]}}
    assert ours(NAME, TREE, 3, 8) == loop(TREE, 3, 8, dependents=dependents)


@pytest.mark.slow
def test_other_conditions_are_dropped_from_the_proposals():
    """Ax has trees only, in which one parameter cannot hang on two values."""
    space = Space(
        {"kind": Choice(("a", "b", "c")), "x": Float(0.0, 1.0)},
        conditions={"x": Condition("kind", ("a", "b"))},
    )
    assert not hierarchical(space)
    proposed = ours(NAME, space, 3, 8)
    assert proposed == loop(space, 3, 8)
    assert {("x" in config) == (config["kind"] != "c") for config in proposed} == {True}


def test_a_parameter_that_hangs_on_two_values_is_refused_by_ax_itself():
    from ax.exceptions.core import UserInputError

    space = Space({"kind": Choice(("a", "b", "c")), "x": Float(0.0, 1.0)})
    with pytest.raises(UserInputError, match="could be reached from multiple paths"):
        loop(space, 3, 1, dependents={"kind": {"a": ["x"], "b": ["x"]}})


# Failures and several workers


@pytest.mark.slow
@pytest.mark.parametrize("space", [CONTINUOUS, CONDITIONAL], ids=["continuous", "conditional"])
def test_failures(space):
    native = loop(space, 3, 9, evaluate=failing)
    assert {fate(config) is Status.OK for config in native} == {True, False}
    assert ours(NAME, space, 3, 9, fate=fate) == native
    assert ours(NAME, space, 3, 9) != native


@pytest.mark.slow
def test_failures_imputed():
    def imputed(config):
        return objective(config) if fate(config) is Status.OK else 1e9

    native = loop(CONTINUOUS, 3, 8, evaluate=imputed)
    assert ours(NAME, CONTINUOUS, 3, 8, fate=fate, on_failure="impute") == native


@pytest.mark.slow
@pytest.mark.parametrize("workers", [2, 3])
def test_several_workers(workers):
    native = loop(CONTINUOUS, 3, 9, workers=workers)
    assert ours_in_parallel(NAME, CONTINUOUS, 3, 9, workers) == native
    assert native != ours(NAME, CONTINUOUS, 3, 9)


def test_workers_wait_for_half_of_the_initial_trials():
    searcher = start(NAME, CONTINUOUS, 3, 20, workers=5)
    waiting = [searcher.ask() for _ in range(5)]
    for number, proposal in enumerate(waiting[:2]):
        assert searcher.ask() is None, number
        curve = Curve({"error": (objective(proposal.config),)})
        searcher.tell(proposal, Evaluation(Status.OK, curve, 1))
    assert searcher.ask() is not None


# Recorded trials, what is refused, and where it ends


@pytest.mark.slow
def test_recorded_trials_are_attached():
    recorded = ours("random", CONTINUOUS, 1, 6)
    searcher = start(NAME, CONTINUOUS, 3, 20)
    for number, config in enumerate(recorded):
        curve = Curve({"error": (objective(config),)})
        searcher.take(Proposal(number, config, 1), Evaluation(Status.OK, curve, 1))
    proposal = searcher.ask()
    assert proposal.trial == len(recorded)
    assert dict(proposal.config) not in [*recorded, ours(NAME, CONTINUOUS, 3, 1)[0]]


def test_a_range_that_ax_refuses_is_refused_when_planned():
    space = Space({"rate": Float(1e-6, 1e-5, log=True)})
    with pytest.raises(IncompatibleError, match="'rate': Ax takes no range narrower than 1.5e-05"):
        start(NAME, space, 1, 5)
    start(NAME, Space({"rate": Float(1e-6, 2e-5, log=True)}), 1, 5)


def test_ends_where_every_configuration_was_evaluated():
    """Ax itself notices by drawing in vain for minutes; failed configurations may come back."""
    space = Space({"a": Choice(("x", "y")), "b": Int(1, 2)})
    searcher = start(NAME, space, 3, 20)
    seen = []
    for status in (Status.OK, Status.CRASHED, Status.OK, Status.OK, Status.OK, Status.OK):
        if (proposal := searcher.ask()) is None:
            break
        seen.append(dict(proposal.config))
        curve = Curve({"error": (1.0 + len(seen),)}) if status is Status.OK else Curve()
        searcher.tell(proposal, Evaluation(status, curve, 1))
    assert len(seen) == 5
    assert seen.count(seen[1]) == 2
    assert searcher.ask() is None
