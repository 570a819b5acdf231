"""The synthetic functions against their published values."""

from __future__ import annotations

import math

import numpy as np
import pytest

from harness.task import Checkpoint
from harness.trial import Status
from tasks.synthetic import Branin, Hartmann6, Mixed

FUNCTIONS = (Branin, Hartmann6, Mixed)


def sample(task, count):
    rng = np.random.default_rng(0)
    corners = np.array(np.meshgrid(*[[0.0, 1.0]] * len(task.space))).reshape(len(task.space), -1).T
    for point in [*corners, *rng.random((count, len(task.space)))]:
        yield task.space.from_unit(point.tolist())


@pytest.mark.parametrize("function", FUNCTIONS)
def test_optimum_is_reached_and_never_beaten(function):
    task = function()
    for config in task.optimisers:
        assert task.value(task.space.validate(config)) == pytest.approx(task.optimum, abs=1e-9)
    values = [task.value(config) for config in sample(task, 5000)]
    assert min(values) >= task.optimum
    assert max(values) <= task.upper == task.objective.failure


@pytest.mark.parametrize("function", FUNCTIONS)
def test_regret_runs_from_the_optimum_to_the_median_of_random_points(function):
    task = function()
    rng = np.random.default_rng(1)
    values = [
        task.value(task.space.from_unit(point)) for point in rng.random((20_000, len(task.space))).tolist()
    ]
    assert task.regret.best == task.optimum
    assert np.mean(np.array(values) < task.regret.reference) == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize("function", [Branin, Hartmann6])
def test_optimisers_are_local_minima(function):
    task = function()
    for config in task.optimisers:
        for name in config:
            for step in (-1e-3, 1e-3):
                assert task.value({**config, name: config[name] + step}) > task.optimum


def test_published_values():
    assert Branin.optimum == pytest.approx(0.397887, abs=1e-6)
    assert Branin().value({"x1": -5.0, "x2": 0.0}) == pytest.approx(308.129, abs=1e-3)
    assert Hartmann6.optimum == pytest.approx(-3.32237, abs=1e-5)
    published = (0.20169, 0.150011, 0.476874, 0.275332, 0.311652, 0.6573)
    assert list(Hartmann6.optimisers[0].values()) == pytest.approx(published, abs=1e-6)


def test_mixed_by_hand():
    value = Mixed().value({"rate": 1e-2, "depth": 4, "width": 32, "kind": "c"})
    z = -2 + 2.5 + 0.25 - 0.5
    expected = z**2 + 0.3 * (1 - math.cos(2 * math.pi * z)) + 0.2 + 0.1 * (-1 + 1) ** 2 + 0.1
    assert value == pytest.approx(expected)


def test_every_category_changes_the_function():
    values = [Mixed().value({**Mixed.optimisers[0], "kind": kind}) for kind in "abcd"]
    assert len(set(values)) == 4
    assert min(values) == values[1]


def test_evaluation():
    task = Branin()
    checkpoint = Checkpoint.fresh()
    evaluation = task.evaluate(task.optimisers[1], epochs=1, seed=0, data=task.load(), checkpoint=checkpoint)
    assert evaluation.status is Status.OK
    assert evaluation.curve["value"] == (task.value(task.optimisers[1]),)
    assert checkpoint.curve == evaluation.curve
    assert task.objective.loss(evaluation) == pytest.approx(task.optimum)
