"""pymoo's algorithms propose what the ask-and-tell loop of its documentation evaluates."""

import math

import pytest
from native import (
    CONDITIONAL,
    CONTINUOUS,
    MIXED,
    SEEDS,
    SPACES,
    fate,
    objective,
    ours,
    ours_in_parallel,
    start,
)
from pydantic import ValidationError

from harness.errors import MissingLibraryError
from harness.space import Choice, Float, Int, Space
from harness.trial import Status

try:
    import pymoo
except ImportError:
    pymoo = None
else:
    import numpy as np
    from pymoo.algorithms.soo.nonconvex.de import DE
    from pymoo.algorithms.soo.nonconvex.ga import GA
    from pymoo.core.evaluator import Evaluator
    from pymoo.core.mixed import MixedVariableGA
    from pymoo.core.problem import Problem
    from pymoo.core.termination import NoTermination
    from pymoo.core.variable import Binary, Integer, Real
    from pymoo.core.variable import Choice as Category
    from pymoo.problems.static import StaticProblem

needs_pymoo = pytest.mark.skipif(pymoo is None, reason="pymoo is not installed with the project")
NAMES = ("pymoo_ga", "pymoo_de", "pymoo_mixed_ga")


def variables(space):
    """Return a space as a user of mixed variables writes it, exponents for logarithms, and what reads a point."""
    made, read = {}, {}
    for name, domain in space.parameters.items():
        if isinstance(domain, Choice) and set(domain.values) == {True, False}:
            made[name], read[name] = Binary(), bool
        elif isinstance(domain, Choice):
            made[name] = Category(options=list(range(len(domain.values))))
            read[name] = domain.values.__getitem__
        elif isinstance(domain, Float) and domain.log:
            made[name] = Real(bounds=(math.log(domain.low), math.log(domain.high)))
            read[name] = lambda x: float(math.exp(x))
        elif isinstance(domain, Int) and domain.log:
            made[name], read[name] = Real(bounds=(0.0, 1.0)), domain.from_unit
        else:
            kind = Integer if isinstance(domain, Int) else Real
            made[name] = kind(bounds=(domain.low, domain.high))
            read[name] = int if isinstance(domain, Int) else float
    return made, lambda point: {name: read[name](point[name]) for name in space.parameters}


def evolved(name, space, seed, generations, *, evaluate=objective, first=None, **settings):
    """Return what the documented loop evaluates, individual by individual."""
    if name == "pymoo_mixed_ga":
        algorithm = MixedVariableGA(**settings)
        made, read = variables(space)
        problem = Problem(vars=made, n_obj=1)
    else:
        algorithm = (GA if name == "pymoo_ga" else DE)(**settings)
        problem = Problem(n_var=len(space), n_obj=1, xl=np.zeros(len(space)), xu=np.ones(len(space)))

        def read(point):
            return space.from_unit(point.tolist())

    algorithm.setup(problem, termination=NoTermination(), seed=seed, verbose=False)
    seen = []
    for generation in range(generations):
        infills = algorithm.ask()
        if first is not None and generation == 0:
            infills[0].set("X", first)
        configs = [space.active_part(read(individual.X)) for individual in infills]
        seen += configs
        losses = np.array([[evaluate(config)] for config in configs])
        Evaluator().eval(StaticProblem(problem, F=losses), infills)
        algorithm.tell(infills=infills)
    return seen


@needs_pymoo
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("space", [*SPACES.values(), CONDITIONAL], ids=[*SPACES, "conditional"])
@pytest.mark.parametrize("seed", SEEDS)
def test_proposes_what_the_documented_loop_evaluates(name, space, seed):
    native = evolved(name, space, seed, 7, pop_size=7)
    assert len(native) > 40
    assert ours(name, space, seed, len(native), pop_size=7) == native


@needs_pymoo
@pytest.mark.parametrize(
    ("name", "settings"),
    [
        *((name, {}) for name in NAMES),
        ("pymoo_ga", {"pop_size": 9, "n_offsprings": 4}),
        ("pymoo_ga", {"pop_size": 9, "eliminate_duplicates": False}),
        *(
            ("pymoo_de", {"pop_size": 8, "variant": f"DE/{base}/{differences}/{crossover}"})
            for base, differences, crossover in [
                ("rand", 1, "exp"),
                ("target-to-best", 2, "line"),
                ("best", 1, "hypercube"),
            ]
        ),
        (
            "pymoo_de",
            {"pop_size": 8, "n_offsprings": 3, "F": 0.8, "CR": 0.9, "jitter": True, "prob_mut": 0.0},
        ),
        ("pymoo_mixed_ga", {"pop_size": 9, "n_offsprings": 3}),
    ],
    ids=str,
)
def test_settings(name, settings):
    native = evolved(name, MIXED, 3, 6 if settings else 2, **settings)
    assert ours(name, MIXED, 3, len(native), **settings) == native


@needs_pymoo
@pytest.mark.parametrize("name", NAMES)
def test_failures_are_the_failure_value(name):
    def imputed(config):
        return objective(config) if fate(config) is Status.OK else 1e9

    native = evolved(name, MIXED, 3, 6, evaluate=imputed, pop_size=8)
    assert {fate(config) for config in native} == set(Status)
    assert ours(name, MIXED, 3, len(native), fate=fate, pop_size=8) == native


@needs_pymoo
@pytest.mark.parametrize("name", NAMES)
def test_proposes_the_same_with_any_number_of_workers(name):
    native = evolved(name, MIXED, 3, 5, pop_size=8)
    for workers in (3, 8):
        assert ours_in_parallel(name, MIXED, 3, len(native), workers, pop_size=8) == native


@needs_pymoo
@pytest.mark.parametrize("name", NAMES)
def test_starting_point(name):
    first = dict(MIXED.references["published"])
    point = np.array(MIXED.to_unit(first))
    if name == "pymoo_mixed_ga":
        point = {
            "rate": math.log(first["rate"]),
            "layers": first["layers"],
            "units": MIXED.parameters["units"].to_unit(first["units"]),
            "optimizer": 1,
            "nesterov": False,
        }
    native = evolved(name, MIXED, 3, 4, first=point, pop_size=8)
    proposed = ours(name, MIXED, 3, len(native), start_at_reference=True, pop_size=8)
    assert proposed[0] == first
    assert proposed[1:] == native[1:]
    assert proposed[8:] != ours(name, MIXED, 3, len(native), pop_size=8)[8:]


@needs_pymoo
@pytest.mark.parametrize("name", NAMES)
def test_numbers_of_one_value_are_none_of_its_variables(name):
    space = Space({**MIXED.parameters, "fixed": Float(0.5, 0.5), "only": Choice(("x",))})
    without = Space({key: domain for key, domain in space.parameters.items() if key != "fixed"})
    native = evolved(name, without, 3, 4, pop_size=8)
    proposed = ours(name, space, 3, len(native), pop_size=8)
    assert [{key: config[key] for key in without.parameters} for config in proposed] == native
    assert all(config["fixed"] == 0.5 for config in proposed)


@pytest.mark.parametrize(
    ("name", "settings", "reason"),
    [
        ("pymoo_de", {"variant": "DE/worst/1/bin"}, "DE/"),
        ("pymoo_de", {"variant": "DE/rand/2/bin", "pop_size": 5}, "pop_size must be at least 6; got 5"),
        ("pymoo_de", {"pop_size": 5, "n_offsprings": 6}, "at most pop_size = 5; got 6"),
        ("pymoo_ga", {"pop_size": 3}, "greater than or equal to 4"),
    ],
)
def test_settings_that_the_library_cannot_use_are_refused(name, settings, reason):
    with pytest.raises(ValidationError, match=reason):
        start(name, CONTINUOUS, 1, 5, **settings)


@pytest.mark.skipif(pymoo is not None, reason="nothing is missing")
def test_says_what_to_install():
    with pytest.raises(MissingLibraryError, match=r"pip install 'hpo-derby\[pymoo\]'"):
        start("pymoo_ga", CONTINUOUS, 1, 5)
