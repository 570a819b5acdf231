"""Runs the searchers' conformance suite over every registered searcher."""

import subprocess
import sys

import pytest

from harness import registry
from harness.events import Asked, Told
from harness.study import Study
from harness.trial import Budget
from searchers.conformance import Case, SearcherConformance, begun, evaluated, one_thread

# Small initial designs get a search to its model within few evaluations. A searcher that is not
# named here is tested with its defaults.
GP = {"n_initial_points": 4, "n_points": 500, "n_restarts_optimizer": 2}
GPY = {"initial_design_numdata": 3, "optimize_restarts": 1}
SMAC = {"n_configs": 4, "max_ratio": 1.0, "challengers": 50, "local_search_iterations": 1}
SMALL_FOREST = {**SMAC, "n_trees": 3, "retrain_after": 3}
TPE = {"n_startup_trials": 5}
CASES = {
    "ax_botorch": {
        "settings": {"initialization_budget": 3},
        "steps": 6,
        "race": 12,
        "spaces": ("continuous", "mixed", "conditional", "tiny", "single point", "partly fixed"),
    },
    "flaml_blendsearch": {"race": 60},
    "flaml_cfo": {"race": 60},
    "random": {"steps": 12},
    "random-lhs": {"settings": {"design": "lhs"}, "steps": 12},
    "random-sobol": {"settings": {"design": "sobol"}, "steps": 12},
    "grid": {"steps": 12},
    "grid-lexicographic": {"settings": {"order": "lexicographic", "resolution": 2}, "seeded": False},
    "dehb": {"steps": 30},
    "dehb-best": {"settings": {"strategy": "best1_exp", "boundary_fix_type": "clip", "eta": 2}, "steps": 30},
    "gpyopt_gp": {"settings": {**GPY, "eps": -1.0}, "steps": 6, "race": 14},
    "gpyopt_gp-stopping": {"settings": GPY, "steps": 10, "race": 0, "spaces": ("tiny", "one choice")},
    "hyperopt_tpe": {"settings": {"n_startup_jobs": 5}, "race": 100, "race_seeds": 16},
    "hyperopt_anneal": {"race": 60},
    "kerastuner_bayes": {
        "settings": {"num_initial_points": 4},
        "steps": 6,
        "race": 12,
        "spaces": (
            "continuous",
            "conditional",
            "tiny",
            "single point",
            "partly fixed",
            "one int",
            "one choice",
        ),
    },
    "kerastuner_hyperband": {"steps": 30},
    "optuna_cmaes": {"steps": 24, "race": 60},
    "optuna_cmaes-margin": {"settings": {"with_margin": True, "popsize": 5}, "steps": 24, "race": 60},
    "optuna_gp": {
        "settings": {"n_startup_trials": 4},
        "steps": 7,
        "race": 14,
        "spaces": ("continuous", "mixed", "conditional", "tiny", "single point", "partly fixed"),
    },
    "optuna_hyperband": {"settings": TPE, "steps": 30},
    "optuna_hyperband-random": {"settings": {"sampler": "random", "reduction_factor": 2}, "steps": 30},
    "optuna_qmc": {"steps": 12},
    "optuna_qmc-halton": {"settings": {"qmc_type": "halton", "scramble": True}, "steps": 12},
    "optuna_sha": {"settings": TPE, "steps": 30},
    "optuna_sha-random": {"settings": {"sampler": "random", "reduction_factor": 3}, "steps": 30},
    "optuna_tpe": {"settings": TPE, "race": 60},
    "optuna_tpe-group": {"settings": {**TPE, "group": True}, "race": 60},
    "optuna_tpe-univariate": {"settings": {**TPE, "multivariate": False, "constant_liar": False}, "race": 60},
    "nevergrad": {"steps": 24, "race": 60},
    "nevergrad-powell": {
        "settings": {"optimizer": "Powell"},
        "race": 60,
        "spaces": ("continuous", "mixed"),
    },
    "nevergrad_cma": {"steps": 24, "race": 60},
    # Not raced: its first thirty evaluations are random ones around the middle, and the next thirty little else.
    "nevergrad_de": {"steps": 40, "race": 0},
    "nevergrad_oneplusone": {"race": 60},
    # Not raced: of a hundred evaluations, the first forty are random, and each particle has one or two more.
    "nevergrad_pso": {"steps": 50, "race": 0},
    "pymoo_de": {"settings": {"pop_size": 6}, "steps": 20, "race": 100, "race_seeds": 16},
    "pymoo_de-rand": {
        "settings": {"pop_size": 8, "variant": "DE/rand/2/exp", "n_offsprings": 5},
        "steps": 24,
        "race": 0,
    },
    "pymoo_ga": {"settings": {"pop_size": 8}, "steps": 24, "race": 100, "race_seeds": 16},
    "pymoo_mixed_ga": {
        "settings": {"pop_size": 8, "n_offsprings": 5},
        "steps": 24,
        "race": 100,
        "race_seeds": 16,
    },
    "pyswarms_pso": {"settings": {"n_particles": 8}, "race": 100, "race_seeds": 16},
    "pyswarms_pso-pyramid": {
        "settings": {"n_particles": 5, "topology": "pyramid"},
        "race": 0,
        "spaces": ("continuous", "mixed", "conditional", "tiny", "single point"),
    },
    "pyswarms_pso-random": {
        "settings": {"n_particles": 8, "topology": "random", "oh_strategy": {"w": "nonlin_mod"}, "w": 0.9},
        "race": 100,
        "race_seeds": 16,
    },
    "pyswarms_pso-ring": {"settings": {"n_particles": 8, "topology": "ring"}, "race": 100, "race_seeds": 16},
    "pyswarms_pso-maximin": {"settings": {"n_particles": 8, "init": "maximin_lhs"}, "race": 0},
    "raytune_hyperopt": {"settings": {"n_initial_points": 5}, "race": 100, "race_seeds": 16},
    "raytune_optuna": {"race": 60},
    # Not raced: forests of three trees, which are quick, are too small to win in 19 evaluations with every seed.
    "smac_forest": {"settings": SMALL_FOREST, "steps": 7, "race": 0},
    "smac_gp": {
        "settings": SMAC,
        "steps": 6,
        "race": 12,
        "spaces": ("continuous", "mixed", "conditional", "tiny", "single point", "partly fixed"),
    },
    "smac_hyperband": {"settings": SMALL_FOREST, "steps": 24},
    "raytune_search": {"race": 60},
    "raytune_search-nevergrad": {
        "settings": {
            "searcher": "nevergrad",
            "arguments": {"optimizer": {"import": "nevergrad:optimizers.OnePlusOne"}},
        },
        "race": 60,
        "spaces": ("continuous", "mixed", "conditional", "tiny", "single point", "partly fixed"),
    },
    # Not raced: on a smooth function of two parameters, the library's forest is no better than random
    # search within 90 evaluations.
    # What a space is to scikit-optimize is one piece of the adapter, which `skopt_gp` takes through all spaces.
    "skopt_forest": {
        "settings": {"n_initial_points": 4, "n_points": 500},
        "steps": 7,
        "race": 0,
        "spaces": ("continuous", "conditional", "tiny", "single point", "partly fixed"),
    },
    "skopt_gbrt": {
        "settings": {"n_initial_points": 4, "n_points": 500},
        "steps": 6,
        "race": 0,
        "spaces": ("continuous", "conditional", "tiny", "single point", "partly fixed"),
    },
    "skopt_gp": {"settings": GP, "steps": 7, "race": 14},
    "skopt_gp-hedge": {
        "settings": {**GP, "acq_func": "gp_hedge"},
        "steps": 6,
        "race": 0,
        "spaces": ("continuous", "tiny"),
    },
}


OPTIONAL = {
    "torch",
    "greenlet",
    "nevergrad",
    "pymoo",
    "smac",
    "dehb",
    "ConfigSpace",
    "ax",
    "botorch",
    "flaml",
}
"""Libraries that `make test` does without."""


def case_of(label):
    return Case(registry.searcher(label.partition("-")[0]), **CASES.get(label, {}))


LABELS = sorted({*CASES, *registry.searchers()})
FIRST = list({label.partition("-")[0]: label for label in reversed(LABELS)}.values())
"""One case of each class."""
QUICK = {"random", "grid", "optuna_tpe", "optuna_sha-random", "pyswarms_pso-ring"}
"""Cases that are not marked slow: one of each kind of library."""


def marks(label):
    slow = () if label in QUICK else (pytest.mark.slow,)
    return (*slow, pytest.mark.tensorflow) if label.startswith("kerastuner") else slow


def pytest_generate_tests(metafunc):
    if "case" in metafunc.fixturenames:
        once = getattr(metafunc.function, "of_the_class", False)
        chosen = FIRST if once else LABELS
        metafunc.parametrize(
            "case", [pytest.param(each, marks=marks(each)) for each in chosen], indirect=True
        )


@pytest.fixture
def case(request):
    case = case_of(request.param)
    for library in OPTIONAL & {*case.searcher.libraries, request.param.partition("-")[2]}:
        pytest.importorskip(library, reason="not installed with the project")
    return case


class TestSearchers(SearcherConformance):
    """The suite."""


def test_the_starting_point_is_paid_by_the_budget(case):
    if not case.can_begin:
        return
    started, space, first = begun(case, case.space(), 0.35)
    problem = case.problem(space)
    for budget in (Budget("evaluations", 2), Budget("epochs", 2 * problem.fidelity.high)):
        searcher = started.searcher(problem, seed=1, budget=budget, **started.settings)
        study = Study(searcher, workers=1, cost=lambda config: 1.0)
        events = []
        with one_thread():
            while study.done is None:
                for event in study.advance():
                    events.append(event)
                    if isinstance(event, Asked):
                        study.deliver(event.number, evaluated(searcher, event.proposal))
        asked = [event for event in events if isinstance(event, Asked)]
        told = [event for event in events if isinstance(event, Told)]
        assert dict(asked[0].proposal.config) == first
        assert told[0].number == 0
        assert told[0].epochs == asked[0].proposal.epochs
        spent = len(told) if budget.unit == "evaluations" else sum(event.epochs for event in told)
        assert spent <= budget.amount
        assert spent == budget.amount or case.searcher.multi_fidelity or study.done.reason == "exhausted"


def test_every_method_can_begin_at_a_reference_and_says_how():
    cannot = {name for name, cls in registry.searchers().items() if not Case(cls).can_begin}
    assert cannot <= {"references"}  # it searches nothing
    silent = {name for name, cls in registry.searchers().items() if "start_at_reference" not in cls.__doc__}
    assert silent == cannot


def test_listing_searchers_loads_no_library():
    libraries = sorted({module for cls in registry.searchers().values() for module in cls.libraries})
    assert libraries
    code = (
        "import sys; from harness import registry; registry.searchers(); "
        f"print([m for m in {[*libraries, 'pytest', 'sklearn', 'tensorflow']!r} if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
