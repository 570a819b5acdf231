"""Runs the searchers' conformance suite over every registered searcher."""

import subprocess
import sys

import pytest

pytest.register_assert_rewrite("searchers.conformance")

from harness import registry  # noqa: E402
from searchers.conformance import Case, SearcherConformance  # noqa: E402

# Small initial designs get a search to its model within few evaluations. A searcher that is not
# named here is tested with its defaults.
SETTINGS = {
    "optuna_tpe": {"n_startup_trials": 5},
    "skopt_gp": {"n_initial_points": 4, "n_points": 1000, "n_restarts_optimizer": 2},
}
STEPS = {"random": 12, "grid": 12, "skopt_gp": 7}
RACE = {"optuna_tpe": 60, "skopt_gp": 14}
MORE_CASES = {
    "grid-lexicographic": ("grid", {"order": "lexicographic", "resolution": 2}),
    "optuna_tpe-group": ("optuna_tpe", {"n_startup_trials": 5, "group": True}),
    "optuna_tpe-univariate": ("optuna_tpe", {"n_startup_trials": 5, "multivariate": False, "constant_liar": False}),
    "skopt_gp-hedge": ("skopt_gp", {"n_initial_points": 4, "n_points": 500, "acq_func": "gp_hedge"}),
}


def _cases():
    for name in registry.searchers():
        yield name, name, SETTINGS.get(name, {})
    for label, (name, settings) in MORE_CASES.items():
        yield label, name, settings


CASES = {
    label: Case(registry.searcher(name), settings, STEPS.get(name, 16), RACE.get(name, 40))
    for label, name, settings in _cases()
}


class TestSearchers(SearcherConformance):
    @pytest.fixture(params=CASES)
    def case(self, request):
        return CASES[request.param]


def test_listing_searchers_loads_no_library():
    libraries = sorted({module for cls in registry.searchers().values() for module in cls.libraries})
    assert libraries
    code = (
        "import sys; from harness import registry; registry.searchers(); "
        f"print([m for m in {[*libraries, 'pytest', 'sklearn', 'tensorflow']!r} if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
