"""Nevergrad's optimizers propose what they do in Nevergrad's own loop, in whatever process."""

import gc
import math
import os
import random
import re
import subprocess
import sys
import threading
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
    within,
)

from harness import registry
from harness.errors import IncompatibleError, MissingLibraryError
from harness.space import Choice, Condition, Float, Int, Space
from harness.trial import Budget, Status
from searchers.conformance import one_thread

try:
    import nevergrad as ng
except ImportError:
    ng = None
else:
    import numpy as np

    from searchers._nevergrad import mended

needs_nevergrad = pytest.mark.skipif(ng is None, reason="nevergrad is not installed with the project")
REGISTERED = {
    "nevergrad": "NGOpt",
    "nevergrad_cma": "CMA",
    "nevergrad_de": "TwoPointsDE",
    "nevergrad_oneplusone": "OnePlusOne",
    "nevergrad_pso": "PSO",
}


@pytest.fixture(autouse=True)
def reproducible():
    with one_thread(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def number(domain):
    made = (ng.p.Log if domain.log else ng.p.Scalar)(lower=domain.low, upper=domain.high)
    return made if isinstance(domain, Float) else made.set_integer_casting()


def written(space):
    """Return a space without conditions as Nevergrad's documentation writes one, with the categories themselves."""
    return ng.p.Instrumentation(
        **{
            name: ng.p.Choice(domain.values) if isinstance(domain, Choice) else number(domain)
            for name, domain in space.parameters.items()
        }
    )


def optimizer(registered, made, seed, evaluations, workers=1):
    """Return a seeded optimizer of Nevergrad's; making it draws from numpy's global generator, which is seeded."""
    np.random.seed(seed)
    parametrization = made()
    parametrization.random_state = np.random.RandomState(seed)
    return ng.optimizers.registry[registered](
        parametrization=parametrization, budget=evaluations, num_workers=workers
    )


def minimized(registered, space, seed, evaluations, *, evaluate=objective, first=None):
    """Return what ``minimize`` evaluates."""
    seen = []

    def run(**config):
        seen.append(within(space, plain(space, config)))
        return evaluate(seen[-1])

    search = optimizer(registered, lambda: written(space), seed, evaluations)
    if first is not None:
        search.suggest(**first)
    search.minimize(run)
    return seen


@needs_nevergrad
@pytest.mark.parametrize("name", REGISTERED)
@pytest.mark.parametrize(
    ("space", "seed"),
    [
        ("continuous", SEEDS[1]),
        *(pytest.param("continuous", seed, marks=pytest.mark.slow) for seed in (SEEDS[0], SEEDS[2])),
        *(("mixed", seed) for seed in (SEEDS[0], SEEDS[2])),
        pytest.param("mixed", SEEDS[1], marks=pytest.mark.slow),
    ],
)
def test_proposes_what_minimize_evaluates(name, space, seed):
    assert ours(name, SPACES[space], seed, 40) == minimized(REGISTERED[name], SPACES[space], seed, 40)


@needs_nevergrad
@pytest.mark.parametrize(
    "registered",
    [
        "Powell",
        "RCobyla",
        "MetaModel",
        "CmaFmin2",
        "NgIohTuned",
        "ScrHammersleySearch",
        "NoisyBandit",
        "TBPSA",
        "cGA",
    ],
)
def test_any_registered_optimizer(registered):
    """Those that run in a thread, that draw from numpy's global generator, and one that is mended among them."""
    with mended():
        native = minimized(registered, MIXED, 3, 40)
    assert ours("nevergrad", MIXED, 3, 40, optimizer=registered) == native


@needs_nevergrad
@pytest.mark.parametrize("name", ["nevergrad", pytest.param("nevergrad_cma", marks=pytest.mark.slow)])
def test_categories_and_constants(name):
    assert ours(name, CATEGORICAL, 3, 40) == minimized(REGISTERED[name], CATEGORICAL, 3, 40)
    one = Space({**MIXED.parameters, "c": Choice((False,)), "b": Int(7, 7)})
    without = Space({name: domain for name, domain in one.parameters.items() if name != "b"})
    native = minimized(REGISTERED[name], without, 3, 40)
    proposed = ours(name, one, 3, 40)
    assert [{k: v for k, v in config.items() if k != "b"} for config in proposed] == native
    assert all(config["b"] == 7 for config in proposed)


def conditional_written():
    """Return `CONDITIONAL` as Nevergrad's documentation writes it: options with parameters of their own."""
    p = CONDITIONAL.parameters
    return ng.p.Instrumentation(
        optimizer=ng.p.Choice(
            [
                "sgd",
                ng.p.Dict(kind="momentum", momentum=number(p["momentum"])),
                ng.p.Dict(kind="rmsprop", rho=number(p["rho"])),
            ]
        ),
        rate=number(p["rate"]),
    )


@needs_nevergrad
@pytest.mark.parametrize("name", REGISTERED)
def test_conditions_are_options_with_parameters(name):
    seen = []

    def run(optimizer, rate):
        chosen = dict(optimizer) if isinstance(optimizer, dict) else {"kind": optimizer}
        config = {"optimizer": chosen.pop("kind"), **chosen, "rate": rate}
        seen.append(within(CONDITIONAL, plain(CONDITIONAL, config)))
        return objective(seen[-1])

    optimizer(REGISTERED[name], conditional_written, 3, 40).minimize(run)
    assert ours(name, CONDITIONAL, 3, 40) == seen
    assert {config["optimizer"] for config in seen} == {"sgd", "momentum", "rmsprop"}


@needs_nevergrad
@pytest.mark.parametrize("name", REGISTERED)
def test_failures_are_losses_that_are_no_numbers(name):
    def failing(config):
        return objective(config) if fate(config) is Status.OK else math.nan

    native = minimized(REGISTERED[name], MIXED, 3, 50, evaluate=failing)
    proposed = ours(name, MIXED, 3, 50, fate=fate)
    assert proposed == native
    assert {fate(config) for config in native} == set(Status)


@needs_nevergrad
def test_impute_tells_the_failure_value():
    def imputed(config):
        return objective(config) if fate(config) is Status.OK else 1e9

    native = minimized("TwoPointsDE", MIXED, 3, 60, evaluate=imputed)
    assert ours("nevergrad_de", MIXED, 3, 60, fate=fate, on_failure="impute") == native


@needs_nevergrad
@pytest.mark.parametrize("name", REGISTERED)
def test_starting_point_is_suggested(name):
    first = dict(MIXED.references["published"])
    native = minimized(REGISTERED[name], MIXED, 3, 40, first=first)
    proposed = ours(name, MIXED, 3, 40, start_at_reference=True)
    assert proposed[0] == first
    assert proposed[1:] == native[1:]
    assert proposed[1:] != ours(name, MIXED, 3, 40)[1:]


@needs_nevergrad
@pytest.mark.parametrize("name", REGISTERED)
def test_several_workers(name):
    """Asked for as many as there are workers, then told, latest first."""
    search, native = optimizer(REGISTERED[name], lambda: written(MIXED), 3, 42, workers=3), []
    while len(native) < 42:
        candidates = [search.ask() for _ in range(3)]
        native += [within(MIXED, plain(MIXED, candidate.kwargs)) for candidate in candidates]
        for candidate in reversed(candidates):
            search.tell(candidate, objective(plain(MIXED, candidate.kwargs)))
    assert ours_in_parallel(name, MIXED, 3, 42, 3) == native


@needs_nevergrad
def test_what_proposes_one_at_a_time_is_refused_for_several_workers():
    with pytest.raises(IncompatibleError, match="Powell proposes one at a time; it needs workers: 1"):
        start("nevergrad", MIXED, 1, 9, workers=2, optimizer="Powell")
    kind = registry.searcher("nevergrad")
    assert not kind.asks_ahead(kind.Settings(optimizer="Powell"))
    assert kind.asks_ahead(kind.Settings())


@needs_nevergrad
@pytest.mark.parametrize(
    ("registered", "reason"),
    [
        ("OnePlusOnee", "did you mean 'OnePlusOne'"),
        ("PolyLN", "drawn when Nevergrad is imported"),
        ("AXP", "no seed"),
        ("VoxelizeMetaModelOnePlusOne", "seven seconds"),
    ],
)
def test_names_that_cannot_be_used_are_refused_when_planned(registered, reason):
    kind = registry.searcher("nevergrad")
    reasons = kind.incompatibilities(
        problem(MIXED), Budget("evaluations", 9), kind.Settings(optimizer=registered)
    )
    assert len(reasons) == 1
    assert reason in reasons[0]


@needs_nevergrad
@pytest.mark.parametrize("registered", ["BOBYQA", "NLOPT_LN_PRAXIS", "NLOPT_GN_DIRECT", "FCMA", "PymooNSGA2"])
def test_optimizers_whose_own_library_is_missing_are_refused_when_planned(registered, monkeypatch):
    """They look for it at the first proposal or the second, in a thread or not."""
    for module in ("pybobyqa", "nlopt", "fcmaes", "pymoo.factory"):
        monkeypatch.setitem(
            sys.modules, module, None
        )  # which is what a module that is not there is to an import
    kind = registry.searcher("nevergrad")
    random.seed(4)
    np.random.seed(4)
    before = random.getstate(), np.random.get_state()[1].tolist()
    (reason,) = kind.incompatibilities(
        problem(MIXED), Budget("evaluations", 9), kind.Settings(optimizer=registered)
    )
    assert re.match(
        rf"Nevergrad's {registered} does not propose anything here: .*(not installed|fcmaes)", reason
    )
    assert (random.getstate(), np.random.get_state()[1].tolist()) == before


@needs_nevergrad
def test_what_fails_for_parameters_with_names_is_refused_when_planned():
    with pytest.raises(
        IncompatibleError, match="DiscreteOnePlusOneT does not propose anything here: TypeError"
    ):
        start("nevergrad", MIXED, 1, 9, optimizer="DiscreteOnePlusOneT")


@needs_nevergrad
@pytest.mark.parametrize(
    ("space", "reason"),
    [
        (Space({"a": Float(1e-200, 1e-150, log=True)}), "'a': Nevergrad begins at the middle"),
        (Space({"a": Float(1e308, 1.7e308)}), "'a': Nevergrad begins at the middle"),
        (
            Space({"n": Int(1, 3), "a": Float(0, 1)}, conditions={"a": Condition("n", (1,))}),
            "only a Choice can have dependents",
        ),
    ],
)
def test_spaces_that_it_cannot_take_are_refused(space, reason):
    with pytest.raises(IncompatibleError, match=reason):
        start("nevergrad_cma", space, 1, 9)


@needs_nevergrad
def test_what_can_be_told_only_what_it_proposed_says_so():
    searcher = start("nevergrad", MIXED, 1, 9, optimizer="EDA", start_at_reference=True)
    proposal = searcher.ask()
    with pytest.raises(IncompatibleError, match="EDA can be told only what it proposed itself"):
        tell(searcher, proposal)


@needs_nevergrad
def test_a_search_in_one_dimension_spoils_no_other():
    with mended():
        alone = minimized("CMA", MIXED, 3, 20)
        with pytest.raises(ImportError, match="fcmaes"):
            minimized("SplitCMA", MIXED, 3, 20)
    assert ours("nevergrad_cma", MIXED, 3, 20) == alone
    with pytest.raises(IncompatibleError, match="of a single number.*fcmaes"):
        start("nevergrad_cma", Space({"a": Float(0, 1), "b": Int(3, 3)}), 1, 9)


def random_twice(seeds=(3, 4)):
    """Return what two searches propose that draw from the global generator in threads, asked by turns."""
    searchers = [start("nevergrad", MIXED, seed, 30, optimizer="RPowell") for seed in seeds]
    configs = [[] for _ in searchers]
    for _ in range(30):
        for searcher, own in zip(searchers, configs, strict=True):
            proposal = searcher.ask()
            own.append(dict(proposal.config))
            tell(searcher, proposal)
            random.random()
            np.random.random()
    return configs


@needs_nevergrad
def test_threads_do_not_disturb_each_other_nor_stay():
    assert random_twice() == [ours("nevergrad", MIXED, seed, 30, optimizer="RPowell") for seed in (3, 4)]
    gc.collect()
    for thread in threading.enumerate():
        if hasattr(thread, "resting"):
            thread.join(5)
            assert not thread.is_alive()
    waiting = start("nevergrad", MIXED, 3, 30, optimizer="Powell")
    waiting.ask()
    assert all(thread.daemon for thread in threading.enumerate() if hasattr(thread, "resting"))


ELSEWHERE = """
import json, sys, numpy as np
sys.path[:0] = sys.argv[1:]
np.random.seed(5)
from native import MIXED, ours
names = ("NGOptF3", "NGOptF5", "NGOpt", "RPowell", "CmaFmin2")
proposed = [ours("nevergrad", MIXED, 3, 30, optimizer=name) for name in names]
print(json.dumps([proposed, float(np.random.random())]))
"""


@needs_nevergrad
@pytest.mark.slow
def test_proposes_the_same_whatever_the_hash_seed_and_leaves_the_global_generator_alone():
    paths = [str(Path(__file__).parent), str(Path(__file__).parents[1] / "support")]
    told = {
        subprocess.run(
            [sys.executable, "-W", "ignore", "-c", ELSEWHERE, *paths],
            env={**os.environ, "PYTHONHASHSEED": seed, "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(told) == 1
    assert told.pop().endswith(f"{float(np.random.RandomState(5).random())}]\n")


@pytest.mark.skipif(ng is not None, reason="nothing is missing")
def test_says_what_to_install():
    with pytest.raises(MissingLibraryError, match=r"pip install 'hpo-derby\[nevergrad\]'"):
        start("nevergrad", CONTINUOUS, 1, 5)
