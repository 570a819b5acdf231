"""Values between recorded configurations, against loops that say the same in other words."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from recordings import MIXED, drawn, spaces

from harness import interpolation
from harness.interpolation import Coordinates, fitted, left_out, weights
from harness.recording import Scales
from harness.space import Choice, Float, Int, Space


def distance(space, one, other, scales):
    """The squared distance of two configurations, by a loop."""
    total = 0.0
    for name, domain in space.parameters.items():
        if isinstance(domain, Choice):
            positions = [domain.index(each[name]) if name in each else None for each in (one, other)]
            difference = 0.0 if positions[0] == positions[1] else 1.0
        elif name in one and name in other:
            difference = domain.to_unit(one[name]) - domain.to_unit(other[name])
        else:
            difference = 0.0
        total += (scales.parameters[name] * difference) ** 2
    return total


def weighed(squared, neighbours, power):
    """Neighbours and weights of one configuration, by a loop."""
    near = sorted(range(len(squared)), key=lambda place: (squared[place], place))[:neighbours]
    at_it = [place for place in near if squared[place] == 0]
    if at_it:
        shares = [1 / len(at_it) if place in at_it else 0.0 for place in near]
    else:
        closeness = [(squared[near[0]] / squared[place]) ** (power / 2) for place in near]
        shares = [each / math.fsum(closeness) for each in closeness]
    return near, shares


@settings(deadline=None)
@given(space=spaces(), count=st.integers(1, 8), seed=st.integers(0, 1000), data=st.data())
def test_distances_are_those_of_a_loop(space, count, seed, data):
    rng = random.Random(seed)
    configs = drawn(space, count, rng)
    scales = Scales({name: data.draw(st.sampled_from([0.25, 1.0, 8.0])) for name in space.parameters}, 3, 4)
    at = space.from_unit([rng.random() for _ in space.parameters])
    found = Coordinates.of(space, configs).distances(at, scales)
    assert found == pytest.approx([distance(space, config, at, scales) for config in configs], rel=1e-12)
    itself = Coordinates.of(space, configs).distances(configs[0], scales)
    assert itself[0] == 0.0


@given(
    squared=st.lists(st.sampled_from([0.0, 1e-300, 0.1, 0.1, 0.25, 1.0, 7.0, 1e6]), min_size=1, max_size=12),
    neighbours=st.integers(1, 14),
    power=st.sampled_from([2, 4, 6]),
)
def test_weights_are_those_of_a_loop(squared, neighbours, power):
    near, weight = weights(np.array(squared), Scales({}, neighbours, power))
    expected = weighed(squared, neighbours, power)
    assert near.tolist() == expected[0]
    assert weight == pytest.approx(expected[1], rel=1e-12, abs=1e-300)
    assert sum(weight) == pytest.approx(1.0, rel=1e-12)


@given(seed=st.integers(0, 200), power=st.sampled_from([2, 4, 6]), neighbours=st.integers(1, 9))
def test_what_is_left_out_is_said_by_the_others(seed, power, neighbours):
    rng = random.Random(seed)
    count = rng.randrange(3, 9)
    points = [rng.choice([0.0, 0.25, 0.5, rng.random()]) for _ in range(count)]  # with ties and equal points
    squared = np.array([[(one - other) ** 2 for other in points] for one in points])
    np.fill_diagonal(squared, np.inf)
    losses = np.array([rng.random() for _ in points])
    said = left_out(squared, losses, neighbours, power)
    for place in range(count):
        row = squared[place].tolist()
        near, shares = weighed(row, min(neighbours, count - 1), power)
        assert place not in near
        value = math.fsum(share * losses[each] for each, share in zip(near, shares, strict=True))
        assert said[place] == pytest.approx(value, rel=1e-12)


def bowl(config):
    return (config["lr"] - 0.3) ** 2


def test_scales_tell_what_matters():
    space = Space({"noise": Float(0.0, 1.0), "lr": Float(0.0, 1.0), "kind": Choice(("a", "b", "c"))})
    configs = drawn(space, 60, random.Random(0))
    losses = np.array([bowl(config) for config in configs])
    found = fitted(space, configs, losses)
    assert found.parameters["lr"] >= 4 * found.parameters["noise"]
    assert found.parameters["lr"] >= 4 * found.parameters["kind"]

    def error(scales):
        coordinates = Coordinates.of(space, configs)
        fresh = drawn(space, 50, random.Random(1))
        near = [weights(coordinates.distances(config, scales), scales) for config in fresh]
        said = [float(weight @ losses[places]) for places, weight in near]
        return math.sqrt(
            sum((value - bowl(config)) ** 2 for value, config in zip(said, fresh, strict=True)) / 50
        )

    assert error(found) < 0.6 * error(Scales(dict.fromkeys(space.parameters, 1.0), 5, 4))
    assert fitted(space, configs, losses) == found


def test_where_nothing_can_be_chosen_nothing_is():
    for count in (1, 2):
        found = fitted(MIXED, drawn(MIXED, count, random.Random(0)), np.arange(float(count)))
        assert found == Scales(dict.fromkeys(MIXED.parameters, 1.0), 1, 2)
    three = fitted(MIXED, drawn(MIXED, 3, random.Random(0)), np.array([1.0, 3.0, 2.0]))
    assert 1 <= three.neighbours <= 3


def test_equal_losses_and_single_values_are_no_trouble():
    """Warnings of our own modules are errors: a correlation of constants would be one."""
    space = Space({"only": Float(2.5, 2.5), "one": Choice(("a",)), "x": Int(0, 9)})
    configs = [{"only": 2.5, "one": "a", "x": x} for x in range(10)]
    for losses in (np.ones(10), np.array([1.0] * 9 + [2.0]), np.arange(10.0)):
        found = fitted(space, configs, losses)
        assert set(found.parameters) == set(space.parameters)


def test_of_many_some_stand_for_all(monkeypatch):
    monkeypatch.setattr(interpolation, "_LARGEST_FIT", 20)
    space = Space({"noise": Float(0.0, 1.0), "lr": Float(0.0, 1.0)})
    configs = sorted(drawn(space, 59, random.Random(0)), key=lambda config: config["lr"])
    losses = np.array([bowl(config) for config in configs])
    third = fitted(space, configs[::3], losses[::3])
    assert fitted(space, configs, losses) == third
    assert third.parameters["lr"] > third.parameters["noise"]
