"""Losses near the largest number there is: ranks, means and intervals are numbers, without a warning."""

import numpy as np
import pytest

from analysis.statistics.bootstrap import mean_interval
from analysis.statistics.comparison import compare
from analysis.statistics.inputs import prepare
from analysis.statistics.moments import mean, sd
from analysis.statistics.ranks import rounded

pytestmark = pytest.mark.filterwarnings("error")
LARGEST = np.finfo(float).max


def test_rounding_keeps_large_numbers_apart():
    given = np.array([-LARGEST, -1e308, 1.0, 1e300, 1.000000001e300, 2e300, LARGEST, np.inf])
    found = rounded(given)
    assert np.isfinite(found[:-1]).all()
    assert found[3] == found[4]  # equal in nine digits
    assert (np.diff(np.delete(found, 4)) > 0).all()


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1e308, 1.5e308], 1.25e308),
        ([-LARGEST, LARGEST], 0.0),
        ([1e308, 1e308, 1e308, 1.0], 7.5e307),
        ([0.1, 0.2], 0.15000000000000002),
        ([1.0, np.inf], np.inf),
    ],
)
def test_means(values, expected):
    assert mean(np.array(values)) == pytest.approx(expected, rel=1e-15)
    assert mean(np.array([values, values]), axis=1) == pytest.approx([expected] * 2, rel=1e-15)


def test_standard_deviations():
    for values in ([1e300, 2e300, 4e300], [1e-3, 2e-3, 7.0]):
        scale = max(values)
        assert sd(np.array(values)) == pytest.approx(
            np.std(np.array(values) / scale, ddof=1) * scale, rel=1e-14
        )


def test_intervals_are_those_of_smaller_numbers():
    values = np.random.default_rng(0).normal(size=(6, 3))
    small, large = mean_interval(values), mean_interval(np.ldexp(values, 1020))
    for a, b in zip(small, large, strict=True):
        assert np.array_equal(np.ldexp(a, 1020), b)


@pytest.mark.parametrize("size", [1e300, 1e308, LARGEST])
def test_a_comparison_ranks_them_as_it_ranks_small_ones(rows, make, size):
    def of(unit):
        told = [
            row
            for task in "abc"
            for repetition in range(4)
            for searcher, loss in (("x", -1.0), ("y", 0.5), ("z", 0.9))
            for row in rows(
                task,
                searcher,
                repetition,
                [loss * unit, loss * unit * (1 - 0.01 * repetition)],
                direction="min",
            )
        ]
        return compare(prepare(make(told, {task: {"direction": "min"} for task in "abc"})))

    small, large = of(1.0), of(size)
    assert list(large.mean_ranks) == list(small.mean_ranks)
    assert dict(large.mean_ranks) == dict(small.mean_ranks)
    assert list(large.final.by_mean().mean_ranks) == list(small.final.by_mean().mean_ranks)
    assert (large.within["wins"] == small.within["wins"]).all()
