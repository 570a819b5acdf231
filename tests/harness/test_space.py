"""Domains and spaces: what they refuse, and the ways to the unit cube and back."""

import math
import random
import sys
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import SpaceError
from harness.space import Choice, Condition, Float, Int, Space

OPTIMISERS = Space(
    {
        "optimizer": Choice(("sgd", "momentum", "rmsprop")),
        "lr": Float(1e-4, 1e-1, log=True),
        "momentum": Float(0.5, 0.99),
        "rho": Float(0.8, 0.999),
        "layers": Int(1, 5),
    },
    conditions={
        "momentum": Condition("optimizer", ("momentum",)),
        "rho": Condition("optimizer", ("rmsprop",)),
    },
    references={"report": {"optimizer": "momentum", "lr": 0.01, "momentum": 0.9, "layers": 2}},
)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Float(1.0, 0.0), "low <= high"),
        (lambda: Float(0.0, 1.0, log=True), "low > 0"),
        (lambda: Float(0.0, math.inf), "finite"),
        (lambda: Float(0.0, True), "finite number"),
        (lambda: Float(0.0, 10**400), "finite number"),
        (lambda: Float(-1e308, 1e308), "below 1.8e308, got low=-1e\\+308"),
        (lambda: Int(0, 2**53), r"at most 2\*\*53 values"),
        (lambda: Int(2**53, 2**53 + 1), r"within ±2\*\*53"),
        (lambda: Int(-(2**53) - 1, 0), r"within ±2\*\*53"),
        (lambda: Int(1, 2**44 + 1, log=True), r"on a log scale needs bounds within ±2\*\*44"),
        (lambda: Space({"": Int(0, 1)}), "name must be text, got ''"),
        (lambda: Space({1: Int(0, 1)}), "name must be text, got 1"),
        (lambda: Int(3, 1), "low <= high"),
        (lambda: Int(0, 1, log=True), "low >= 1"),
        (lambda: Int(1.0, 2), "must be an int"),
        (lambda: Choice(()), "at least one"),
        (lambda: Choice(("a", "a")), "twice"),
        (lambda: Choice((math.nan,)), "finite"),
        (lambda: Space({}), "at least one parameter"),
        (lambda: Space({"a": Int(0, 1)}, conditions={"b": Condition("a", (1,))}), "unknown parameter 'b'"),
        (
            lambda: Space({"a": Int(0, 1), "b": Int(0, 1)}, conditions={"a": Condition("b", (1,))}),
            "must come before",
        ),
        (
            lambda: Space({"a": Int(0, 1), "b": Int(0, 1)}, conditions={"b": Condition("a", (7,))}),
            "7 is not in",
        ),
        (lambda: Space({"a": Int(0, 1)}, references={"best": {"a": 5}}), "'best'"),
    ],
)
def test_nonsense_is_refused_with_the_reason(make, words):
    with pytest.raises(SpaceError, match=words):
        make()


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"optimizer": "sgd", "lr": 1.0, "layers": 2}, r"'lr' = 1.0 is not in Float\(low=0.0001, high=0.1"),
        ({"optimizer": "sgd", "lr": 0.01}, "'layers' is missing"),
        (
            {"optimizer": "sgd", "lr": 0.01, "layers": 2, "lrr": 1},
            "unknown parameter 'lrr'; did you mean 'lr'",
        ),
        ({"optimizer": "sgd", "lr": 0.01, "layers": 2, "rho": 0.9}, "'rho' = 0.9 is not active.*'rmsprop'"),
        ({"optimizer": "sgd", "lr": 0.01, "layers": 2.0}, "'layers' = 2.0"),
        ({"optimizer": "sgd", "lr": 0.01, "layers": True}, "'layers' = True"),
        ({"optimizer": "adam", "lr": 0.01, "layers": 2}, "'optimizer' = 'adam'"),
        ({"optimizer": "sgd", "lr": math.nan, "layers": 2}, "'lr' = nan"),
    ],
)
def test_an_invalid_configuration_names_parameter_value_and_domain(config, words):
    with pytest.raises(SpaceError, match=words):
        OPTIMISERS.validate(config)


def test_validation_gives_the_canonical_form():
    given_config = {"layers": 2, "lr": 0.01, "optimizer": "rmsprop", "rho": 0.9}
    out = OPTIMISERS.validate(given_config)
    assert list(out) == ["optimizer", "lr", "rho", "layers"]
    whole = Space({"x": Float(0, 2)}).validate({"x": 1})
    assert whole == {"x": 1.0}
    assert type(whole["x"]) is float


def test_categories_are_told_apart_as_json_tells_them():
    mixed = Choice((1, 1.0, True, "1"))
    assert [mixed.index(v) for v in (1, 1.0, True, "1")] == [0, 1, 2, 3]
    assert [type(mixed.from_unit(mixed.to_unit(v))) for v in (1, 1.0, True, "1")] == [int, float, bool, str]


bounds = st.tuples(st.integers(-50, 50), st.integers(0, 100)).map(lambda t: (t[0], t[0] + t[1]))


@given(bounds, st.data())
def test_every_int_comes_back_from_the_unit_cube(ends, data):
    domain = Int(*ends)
    value = data.draw(st.integers(*ends))
    assert domain.from_unit(domain.to_unit(value)) == value


@given(st.integers(1, 40), st.integers(0, 5000), st.data())
def test_every_log_int_comes_back_from_the_unit_cube(low, width, data):
    domain = Int(low, low + width, log=True)
    value = data.draw(st.integers(low, low + width))
    assert domain.from_unit(domain.to_unit(value)) == value


@pytest.mark.parametrize(
    "domain",
    [
        Int(1, 2**53),
        Int(0, 2**53 - 1),
        Int(-(2**53), -1),
        Int(1, 2**44, log=True),
        Int(2**44 - 1, 2**44, log=True),
    ],
)
def test_both_ends_lie_below_one_and_come_back(domain):
    for value in (domain.low, domain.high):
        assert 0 <= domain.to_unit(value) < 1
        assert domain.from_unit(domain.to_unit(value)) == value


@given(st.sampled_from([1, 0, -1, -(2**52), 2**52, -(2**53)]), st.integers(2**50, 2**53), st.data())
def test_every_int_comes_back_from_the_unit_cube_up_to_the_largest(low, size, data):
    domain = Int(low, min(low + size - 1, 2**53))
    near = st.integers(0, 5)
    value = data.draw(
        st.integers(domain.low, domain.high)
        | near.map(lambda n: domain.low + n)
        | near.map(lambda n: domain.high - n)
        | near.map(lambda n: domain.low + domain.size // 2 + n)
    )
    u = domain.to_unit(value)
    assert 0 <= u < 1
    assert domain.from_unit(u) == value


@pytest.mark.parametrize("domain", [Int(1, 2**53), Int(-(2**52), 2**52 - 1), Int(-(2**53), -1)])
def test_of_2_to_the_53_values_each_comes_back(domain):
    rng = random.Random(0)
    values = [domain.low + i for i in range(2000)] + [domain.high - i for i in range(2000)]
    values += [domain.low + 2**52 + i for i in range(-2000, 2000)]
    values += [rng.randint(domain.low, domain.high) for _ in range(20_000)]
    assert [value for value in values if domain.from_unit(domain.to_unit(value)) != value] == []
    assert (domain.from_unit(0.0), domain.from_unit(1.0)) == (domain.low, domain.high)


@given(st.integers(1, 2**20), st.integers(2**30, 2**44), st.data())
def test_every_log_int_comes_back_from_the_unit_cube_up_to_the_largest(low, high, data):
    domain = Int(low, high, log=True)
    value = data.draw(st.integers(low, high) | st.integers(high - 50, high))
    assert domain.from_unit(domain.to_unit(value)) == value


@given(st.floats(5e-324, 1.7e308), st.floats(0, 1))
def test_a_log_scale_reaches_from_the_smallest_float_to_the_largest(value, u):
    domain = Float(5e-324, sys.float_info.max, log=True)
    assert domain.low <= domain.from_unit(u) <= domain.high
    assert math.isclose(domain.from_unit(domain.to_unit(value)), value, rel_tol=1e-9, abs_tol=1e-320)


@given(st.floats(0, 1), st.booleans())
def test_every_float_comes_back_from_the_unit_cube(u, log):
    domain = Float(1e-5, 1e-1, log=log)
    value = domain.from_unit(u)
    assert domain.low <= value <= domain.high
    assert domain.from_unit(domain.to_unit(value)) == pytest.approx(value, rel=1e-12)


def test_the_ends_of_the_unit_interval_are_the_bounds_exactly():
    domain = Float(1e-5, 1e-1, log=True)
    assert (domain.from_unit(0.0), domain.from_unit(1.0)) == (1e-5, 1e-1)
    assert domain.from_unit(0.5) == pytest.approx(1e-3)
    point = Float(2.0, 2.0)
    assert (point.from_unit(0.3), point.to_unit(2.0), point.size) == (2.0, 0.5, 1)


def test_a_log_int_gives_each_decade_an_equal_share():
    domain = Int(1, 1000, log=True)
    shares = [
        sum(low <= domain.from_unit(i / 9999) < low * 10 for i in range(10_000)) for low in (1, 10, 100)
    ]
    assert max(shares) - min(shares) < 0.15 * 10_000


@given(st.lists(st.floats(0, 1), min_size=5, max_size=5))
def test_a_point_of_the_cube_is_a_valid_configuration_and_comes_back(point):
    config = OPTIMISERS.from_unit(point)
    assert OPTIMISERS.validate(config) == config
    again = OPTIMISERS.from_unit(OPTIMISERS.to_unit(config))
    assert again == pytest.approx(config)


def test_a_point_of_the_wrong_length_is_refused():
    with pytest.raises(SpaceError, match="expected 5 coordinates, got 2"):
        OPTIMISERS.from_unit([0.1, 0.2])


def test_a_grid_visits_each_active_combination_once():
    grid = list(OPTIMISERS.grid(3))
    assert len(grid) == OPTIMISERS.grid_size(3) == 3 * 3 * 1 + 3 * 3 * 3 + 3 * 3 * 3
    assert len({tuple(config.items()) for config in grid}) == len(grid)
    assert all(OPTIMISERS.validate(config) == config for config in grid)
    assert grid[0] == {"optimizer": "sgd", "lr": 1e-4, "layers": 1}
    assert sorted({config["lr"] for config in grid}) == pytest.approx([1e-4, 10**-2.5, 1e-1])


def test_a_grid_never_repeats_an_int():
    assert Int(1, 3).grid(10) == (1, 2, 3)
    assert Int(5, 512).grid(2) == (5, 512)


@given(st.integers(-30, 30), st.integers(0, 60), st.integers(1, 400), st.booleans())
def test_the_points_of_a_grid_are_counted_without_making_them(low, width, n, log):
    low = abs(low) + 1 if log else low
    for domain in (Int(low, low + width, log=log), Float(low, low + width, log=log), Choice(("a", "b"))):
        assert domain.points(n) == len(domain.grid(n))
        assert len(set(domain.grid(n))) == len(domain.grid(n)) or isinstance(domain, Float)


def test_a_grid_too_large_to_be_made_is_counted():
    space = Space({"a": Float(0, 1), "b": Int(1, 2**40), "c": Int(1, 5), "d": Int(1, 40, log=True)})
    began = time.process_time()
    assert space.grid_size(10**7) == 10**7 * 10**7 * 5 * 40
    assert time.process_time() - began < 1


def test_a_space_counts_itself():
    assert OPTIMISERS.size() is None
    finite = Space(
        {"a": Choice(("x", "y")), "b": Int(1, 4), "c": Choice((1, 2, 3))},
        conditions={"b": Condition("a", ("y",))},
    )
    assert finite.size() == 1 * 3 + 4 * 3
    assert finite.size() == len(list(finite.grid(100)))
    assert Space({f"c{i}": Choice((0, 1, 2)) for i in range(30)}).size() == 3**30


def test_an_inactive_parent_makes_its_child_inactive():
    space = Space(
        {"a": Choice((0, 1)), "b": Choice((0, 1)), "c": Choice((0, 1))},
        conditions={"b": Condition("a", (1,)), "c": Condition("b", (1,))},
    )
    assert space.from_unit([0.1, 0.9, 0.9]) == {"a": 0}
    assert space.size() == 1 + 1 + 2
