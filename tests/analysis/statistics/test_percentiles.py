"""Percentiles among random searches: of a random search, of ties and failures, and what they are worth."""

import numpy as np
import pytest

from analysis.errors import AnalysisError
from analysis.statistics.percentiles import Yardstick, speed_up, yardsticks


def test_a_random_search_is_on_a_par_with_random_searches_ties_or_not():
    random = np.random.default_rng(0)
    for values in (
        random.random(4000),
        random.integers(14, size=4000),
        np.r_[np.ones(2000), random.random(2000)],
    ):
        stick = Yardstick(np.sort(values), 30.0)
        best = random.choice(values, size=(4000, 30)).min(axis=1)
        assert stick.percentile(best).mean() == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize("evaluations", [15, 90])
def test_a_percentile_is_worth_a_multiple_of_the_budget(evaluations):
    random = np.random.default_rng(0)
    stick = Yardstick(np.linspace(0, 1, 4000), 30.0)
    found = stick.percentile(random.random((4000, evaluations)).min(axis=1)).mean()
    assert speed_up(found) == pytest.approx(evaluations / 30, rel=0.05)


def test_the_ends_are_0_and_1_and_better_is_less():
    stick = Yardstick(np.arange(1.0, 101), 30.0)
    values = stick.percentile(np.array([0.0, 1.0, 2.0, 50.0, 101.0]))
    assert (values[0], values[-1]) == (0, 1)
    assert (np.diff(values) > 0).all()
    assert speed_up(0) == float("inf")


def test_a_metric_in_other_units_has_the_same_percentiles():
    values = np.sort(np.random.default_rng(0).random(500))
    best = np.array([0.01, 0.2, values[3]])
    one = Yardstick(values, 10.0).percentile(best)
    other = Yardstick(np.exp(7 * values), 10.0).percentile(np.exp(7 * best))
    assert one == pytest.approx(other)


def test_yardsticks_are_of_what_was_told_failures_included(rows, make):
    told = [
        row
        for task in ("a", "b")
        for number in range(3)
        for row in rows(task, "random", number, [3, None, 2])
    ]
    sticks = yardsticks(make(told, {}))
    assert set(sticks) == {"a", "b"}
    assert sticks["a"].evaluations == 3
    assert sticks["a"].losses.size == 9
    assert (np.diff(sticks["a"].losses) >= 0).all()
    assert sticks["a"].losses[-1] > 3  # as a failure is told


def test_a_yardstick_is_not_made_of_half_a_search(rows, make):
    tables = make([row for number in range(3) for row in rows("a", "random", number, [3, 2])], {})
    tables.studies.loc[1, "state"] = "running"
    with pytest.raises(AnalysisError, match="random search has not finished on 'a', repetition 1"):
        yardsticks(tables)
