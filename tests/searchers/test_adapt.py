"""What adapters share: rounding at the bounds, and the starting point."""

import math
import warnings

import pytest

from harness.errors import IncompatibleError
from harness.space import Choice, Condition, Float, Int, Space
from harness.trial import Budget, Fidelity, Objective, Problem
from searchers import _adapt


def test_rounding_errors_are_moved_to_the_bound():
    domain = Float(1e-5, 0.1, log=True)
    assert _adapt.clipped(domain, math.nextafter(0.1, 1)) == 0.1
    assert _adapt.clipped(domain, 1e-5 * (1 - 1e-12)) == 1e-5
    assert _adapt.clipped(domain, 0.05) == 0.05


@pytest.mark.parametrize("value", [0.1 * (1 + 1e-6), 0.0, -1e-5, 1.0, math.inf])
def test_what_is_further_out_is_left_to_be_refused(value):
    assert _adapt.clipped(Float(1e-5, 0.1, log=True), value) == value


@pytest.mark.parametrize("name", ["optuna_tpe", "skopt_gp"])
def test_no_reference_to_start_at_is_an_error(name):
    from harness import registry

    problem = Problem(Space({"x": Float(0, 1)}), Fidelity(1, 1), Objective("e", "min", failure=1.0))
    with pytest.raises(IncompatibleError, match="no reference configuration"):
        registry.searcher(name)(problem, seed=0, budget=Budget("evaluations", 5), start_at_reference=True)


def test_reference_is_completed_for_libraries_without_conditions():
    space = Space(
        {"kind": Choice(("a", "b")), "n": Int(1, 9), "x": Float(0, 1)},
        conditions={"n": Condition("kind", ("b",))},
        references={"published": {"kind": "a", "x": 0.25}},
    )
    problem = Problem(space, Fidelity(1, 1), Objective("e", "min", failure=1.0))
    assert _adapt.reference(problem) == {"kind": "a", "x": 0.25}
    assert list(_adapt.reference(problem, complete=True).items()) == [("kind", "a"), ("n", 5), ("x", 0.25)]


def test_warnings_are_ignored_inside_only():
    with pytest.warns(UserWarning, match="outside"):
        with _adapt.ignored_warnings(UserWarning):
            warnings.warn("inside", UserWarning, stacklevel=1)
        warnings.warn("outside", UserWarning, stacklevel=1)
