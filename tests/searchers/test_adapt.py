"""What adapters share: rounding at the bounds, and configurations as libraries are given them."""

import math
import warnings

import pytest

from harness.space import Choice, Condition, Float, Int, Space
from searchers import _adapt


def test_rounding_errors_are_moved_to_the_bound():
    domain = Float(1e-5, 0.1, log=True)
    assert _adapt.clipped(domain, math.nextafter(0.1, 1)) == 0.1
    assert _adapt.clipped(domain, 1e-5 * (1 - 1e-12)) == 1e-5
    assert _adapt.clipped(domain, 0.05) == 0.05


@pytest.mark.parametrize("value", [0.1 * (1 + 1e-6), 0.0, -1e-5, 1.0, math.inf])
def test_what_is_further_out_is_left_to_be_refused(value):
    assert _adapt.clipped(Float(1e-5, 0.1, log=True), value) == value


SPACE = Space(
    {"kind": Choice(("a", "b", 1, 1.0, True)), "n": Int(1, 9), "x": Float(1e-4, 1, log=True)},
    conditions={"n": Condition("kind", ("b",))},
)


def test_configurations_are_completed_for_libraries_without_conditions():
    completed = _adapt.completed(SPACE, {"kind": "a", "x": 0.25})
    assert list(completed.items()) == [("kind", "a"), ("n", 5), ("x", 0.25)]


@pytest.mark.parametrize(
    ("other", "same"),
    [
        ({"kind": "b", "n": 3, "x": 0.01}, True),
        ({"kind": "b", "n": 3, "x": math.nextafter(0.01, 1)}, True),
        ({"kind": "b", "n": 3, "x": 0.010001}, False),
        ({"kind": "b", "n": 4, "x": 0.01}, False),
        ({"kind": "a", "x": 0.01}, False),
    ],
)
def test_configurations_coincide_up_to_rounding(other, same):
    assert _adapt.coincide(SPACE, {"kind": "b", "n": 3, "x": 0.01}, other) is same


def test_categories_that_look_alike_do_not_coincide():
    lookalikes = [{"kind": value, "x": 0.01} for value in (1, 1.0, True)]
    assert [[_adapt.coincide(SPACE, a, b) for a in lookalikes] for b in lookalikes] == [
        [True, False, False],
        [False, True, False],
        [False, False, True],
    ]


def test_warnings_are_ignored_inside_only():
    with pytest.warns(UserWarning, match="outside"):
        with _adapt.ignored_warnings(UserWarning):
            warnings.warn("inside", UserWarning, stacklevel=1)
        warnings.warn("outside", UserWarning, stacklevel=1)
