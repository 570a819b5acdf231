"""Any of Ray Tune's searchers by name proposes what it does when Ray Tune drives it."""

import random
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from native import (
    CONDITIONAL,
    CONTINUOUS,
    MIXED,
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
from test_raytune import cluster, domains, driven, tuned  # noqa: F401 - a fixture

from harness import registry
from harness.errors import IncompatibleError
from harness.space import Float, Space
from harness.trial import Budget, Status
from searchers import raytune
from searchers.conformance import one_thread

LINEAR = Space(
    {"share": Float(-2.0, 3.0), "momentum": Float(0.5, 0.99)},
    references={"published": {"share": 0.5, "momentum": 0.9}},
)
ONE = {"optimizer": {"import": "nevergrad:optimizers.OnePlusOne"}}
BAYES = {"random_search_steps": 4}


@pytest.fixture(autouse=True)
def reproducible():
    with one_thread(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def native_nevergrad(seed, **options):
    """Return Ray Tune's searcher for Nevergrad, which has its seed from numpy's global generator."""
    nevergrad = pytest.importorskip("nevergrad", reason="not installed with the project")
    from ray.tune.search.nevergrad import NevergradSearch

    np.random.seed(seed)
    return NevergradSearch(optimizer=nevergrad.optimizers.OnePlusOne, **options)


def native_bayesopt(seed, **options):
    pytest.importorskip("bayes_opt", reason="not installed with the project")
    from ray.tune.search.bayesopt import BayesOptSearch

    return BayesOptSearch(random_state=seed, **BAYES, **options)


def native_optuna(seed, **options):
    from ray.tune.search.optuna import OptunaSearch

    return OptunaSearch(seed=seed, **options)


def native_hyperopt(seed, **options):
    from ray.tune.search.hyperopt import HyperOptSearch

    return HyperOptSearch(random_state_seed=seed, n_initial_points=5, **options)


CASES = {
    "nevergrad": (native_nevergrad, MIXED, {"searcher": "nevergrad", "arguments": ONE}),
    "nevergrad-conditional": (native_nevergrad, CONDITIONAL, {"searcher": "nevergrad", "arguments": ONE}),
    "bayesopt": (native_bayesopt, LINEAR, {"searcher": "bayesopt", "arguments": BAYES}),
    "optuna": (native_optuna, MIXED, {}),
    "hyperopt": (native_hyperopt, MIXED, {"searcher": "hyperopt", "arguments": {"n_initial_points": 5}}),
    "by its place": (native_optuna, MIXED, {"searcher": "ray.tune.search.optuna:OptunaSearch"}),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("seed", [3, 2**32 - 1])
def test_proposes_what_it_suggests(case, seed):
    native, space, settings = CASES[case]
    steps = 12 if case == "bayesopt" else 30
    expected = [within(space, config) for config in driven(native(seed), space, steps)]
    assert ours("raytune_search", space, seed, steps, **settings) == expected


@pytest.mark.parametrize("case", ["nevergrad", "bayesopt", "optuna"])
def test_failures_are_told_as_errors(case):
    native, space, settings = CASES[case]

    def fails(config):
        return case != "bayesopt" and fate(config) is not Status.OK

    steps = 10 if case == "bayesopt" else 30
    expected = [within(space, config) for config in driven(native(3), space, steps, fails=fails)]
    after = {"fate": fate} if case != "bayesopt" else {}
    assert ours("raytune_search", space, 3, steps, **settings, **after) == expected


def test_bayesopt_forgets_failures_after_its_random_trials():
    native_bayesopt(3)
    expected = driven(native_bayesopt(3), LINEAR, 12, fails=lambda config: config["share"] > 2.9)
    proposed = ours(
        "raytune_search",
        LINEAR,
        3,
        12,
        fate=lambda config: Status.CRASHED if config["share"] > 2.9 else Status.OK,
        searcher="bayesopt",
        arguments=BAYES,
    )
    assert proposed == expected


def test_bayesopt_waits_forever_for_a_random_trial_that_failed():
    native_bayesopt(3)
    searcher = start("raytune_search", LINEAR, 3, 12, searcher="bayesopt", arguments=BAYES)
    for _ in range(4):
        tell(searcher, searcher.ask(), Status.CRASHED)
    assert searcher.ask() is None


@pytest.mark.parametrize("case", ["nevergrad", "bayesopt", "optuna"])
def test_starting_point(case):
    native, space, settings = CASES[case]
    first = dict(space.references["published"])
    expected = driven(native(3, points_to_evaluate=[dict(first)]), space, 8)
    proposed = ours("raytune_search", space, 3, 8, start_at_reference=True, **settings)
    assert proposed[0] == first
    assert proposed[1:] == expected[1:]


def test_several_workers():
    search, native = native_nevergrad(3), []
    assert search.set_search_properties("error", "min", domains(MIXED))
    while len(native) < 30:
        waiting = {str(number): search.suggest(str(number)) for number in range(len(native), len(native) + 3)}
        native += [within(MIXED, plain(MIXED, values)) for values in waiting.values()]
        for trial, values in reversed(waiting.items()):
            search.on_trial_complete(trial, {"error": float(objective(plain(MIXED, values)))})
    settings = {"searcher": "nevergrad", "arguments": ONE}
    assert ours_in_parallel("raytune_search", MIXED, 3, 30, 3, **settings) == native


@pytest.mark.ray
def test_proposes_what_a_tuner_does(cluster, tmp_path):  # noqa: F811 - the fixture
    results = tuned(
        tmp_path,
        lambda config: {"error": float(objective(config))},
        param_space=domains(LINEAR),
        search_alg=native_bayesopt(5),
        metric="error",
        mode="min",
        num_samples=9,
        max_concurrent_trials=1,
    )
    settings = {"searcher": "bayesopt", "arguments": BAYES}
    assert ours("raytune_search", LINEAR, 5, 9, **settings) == [
        plain(LINEAR, each.config) for each in results
    ]


def test_the_global_generators_are_kept_apart():
    native_nevergrad(3)

    def after(seed):
        random.seed(seed)
        np.random.seed(seed)
        return ours("raytune_search", MIXED, 3, 9, searcher="nevergrad", arguments=ONE)

    assert after(1) == after(2)


@pytest.mark.parametrize(
    ("settings", "space", "reason"),
    [
        ({"searcher": "optunaa"}, MIXED, "no searcher 'optunaa'.*did you mean 'optuna'"),
        ({"searcher": "random"}, MIXED, "none that is a ray.tune.search.Searcher"),
        ({"searcher": "hebo"}, MIXED, "'hebo' needs HEBO: run `pip install HEBO`"),
        ({"searcher": "no_such_module:Mine"}, MIXED, "should be the place of something.*no_such_module"),
        ({"searcher": "math:sqrt"}, MIXED, "'math:sqrt' is not a class of ray.tune.search.Searcher"),
        ({"arguments": {"sead": 3}}, MIXED, "takes no argument 'sead'; did you mean 'seed'"),
        (
            {"arguments": {"sampler": {"import": "optuna:Nothing"}}},
            MIXED,
            "'optuna:Nothing' should be the place",
        ),
        (
            {"arguments": {"mode": "max"}},
            MIXED,
            "'mode' is not to be given: the harness gives metric, mode, space",
        ),
        ({"arguments": {"metric": "test_loss"}}, MIXED, "'metric' is not to be given"),
        ({"arguments": {"seed": "x"}}, MIXED, "OptunaSearch does not start with these arguments: TypeError"),
    ],
    ids=str,
)
def test_what_cannot_be_is_refused_when_planned(settings, space, reason):
    kind = registry.searcher("raytune_search")
    reasons = kind.incompatibilities(problem(space), Budget("evaluations", 9), kind.Settings(**settings))
    assert len(reasons) == 1
    with pytest.raises(IncompatibleError, match=reason):
        start("raytune_search", space, 1, 9, **settings)


def test_a_space_that_the_searcher_would_change_is_refused_when_planned():
    native_bayesopt(1)
    with pytest.raises(IncompatibleError, match="BayesOptSearch does not take the space: .*LogUniform"):
        start("raytune_search", CONTINUOUS, 1, 9, searcher="bayesopt")


def test_arguments_that_are_missing_are_told_when_planned():
    pytest.importorskip("nevergrad", reason="not installed with the project")
    with pytest.raises(IncompatibleError, match="NevergradSearch does not start .*`optimizer` argument"):
        start("raytune_search", MIXED, 1, 9, searcher="nevergrad")


def test_an_optimizer_whose_own_library_is_missing_is_refused_when_planned(monkeypatch):
    pytest.importorskip("nevergrad", reason="not installed with the project")
    monkeypatch.setitem(sys.modules, "pybobyqa", None)
    arguments = {"optimizer": {"import": "nevergrad.optimization.optimizerlib:BOBYQA"}}
    with pytest.raises(
        IncompatibleError, match="NevergradSearch does not suggest anything here: .*'?pybobyqa"
    ):
        start("raytune_search", MIXED, 1, 9, searcher="nevergrad", arguments=arguments)


def test_a_search_in_a_thread_keeps_no_process_from_ending():
    pytest.importorskip("nevergrad", reason="not installed with the project")
    code = (
        "from native import MIXED, start\n"
        "arguments = {'optimizer': {'import': 'nevergrad:optimizers.Powell'}}\n"
        "searcher = start('raytune_search', MIXED, 1, 9, searcher='nevergrad', arguments=arguments)\n"
        "print(searcher.ask() is not None)\n"
    )
    told = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert told.stdout == "True\n"


def test_ax_is_refused_when_planned_and_prints_nothing():
    pytest.importorskip("ax", reason="not installed with the project")
    code = (
        "from native import MIXED, problem\n"
        "from harness import registry\n"
        "from harness.trial import Budget\n"
        "kind = registry.searcher('raytune_search')\n"
        "print(kind.incompatibilities(problem(MIXED), Budget('evaluations', 9), kind.Settings(searcher='ax')))\n"
    )
    told = subprocess.run(
        [sys.executable, "-c", code], cwd=Path(__file__).parent, capture_output=True, text=True, check=True
    )
    assert "AxSearch does not start with these arguments: AttributeError" in told.stdout
    assert told.stdout.count("\n") == 1
    assert told.stderr == ""


def test_a_searcher_that_suggests_nothing_is_asked_again(monkeypatch):
    """As Ray Tune's controller does while nothing runs; while something does, it is asked after the next tell."""
    from ray.tune.search.optuna import OptunaSearch

    calls = []
    suggest = OptunaSearch.suggest
    monkeypatch.setattr(
        OptunaSearch,
        "suggest",
        lambda self, trial: calls.append(trial) or (suggest(self, trial) if len(calls) % 3 == 0 else None),
    )
    searcher = start("raytune_search", MIXED, 1, 9, workers=2)
    first = searcher.ask()
    assert len(calls) == 3
    assert searcher.ask() is None
    assert len(calls) == 4
    tell(searcher, first)
    assert searcher.ask() is not None
    monkeypatch.setattr(OptunaSearch, "suggest", lambda self, trial: calls.append(trial))
    alone = start("raytune_search", MIXED, 1, 9)
    calls.clear()
    assert alone.ask() is None
    assert len(calls) == raytune.PATIENCE + 1
