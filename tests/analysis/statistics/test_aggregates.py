"""Scores over all tasks, and their intervals."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from large_sweeps import large

from analysis.statistics.aggregates import (
    _weighted_interquartile_means,
    aggregate,
    improvement,
    interquartile_mean,
    performance_profile,
)
from analysis.statistics.bootstrap import (
    interval_inside_strata,
    stratified_interval,
    stratified_weights,
    tail,
)
from analysis.statistics.inputs import prepare
from analysis.statistics.scores import task_scores
from analysis.statistics.significance import vargha_delaney


@pytest.fixture(scope="module")
def scores():
    return task_scores(prepare(large(3, 3, 4, 12)))


def test_interquartile_mean_by_hand():
    assert interquartile_mean(np.array([0.0, 1, 2, 3, 4, 5, 6, 100])) == pytest.approx((2 + 3 + 4 + 5) / 4)
    assert interquartile_mean(np.array([1.0, 2, 6])) == pytest.approx(3.0)  # a quarter of three is none


@settings(max_examples=25, deadline=None)
@given(st.lists(st.floats(-100, 100), min_size=1, max_size=12), st.floats(0.1, 5), st.floats(-5, 5))
def test_interquartile_mean_moves_with_the_scores(values, scale, shift):
    array = np.array(values)
    moved = interquartile_mean(scale * array + shift)
    assert moved == pytest.approx(scale * float(interquartile_mean(array)) + shift, abs=1e-9)
    assert array.min() - 1e-9 <= interquartile_mean(array) <= array.max() + 1e-9


def test_rescaled_weights_give_each_stratum_the_variance_of_its_mean():
    first, second, single = stratified_weights([3, 5, 1], resamples=20_000, seed=1)
    assert (first.shape, second.shape, single.tolist()[:2]) == ((20_000, 3), (20_000, 5), [[1.0], [1.0]])
    np.testing.assert_allclose(second.sum(axis=1), 1)
    assert set(np.unique(first * 2)) == {0.0, 1.0, 2.0}  # two of three are drawn
    for weights, values in ((first, np.array([0.0, 1, 5])), (second, np.array([1.0, 1, 2, 7, 9]))):
        variance = (weights * values).sum(axis=1).var()
        assert variance == pytest.approx(values.var(ddof=1) / values.size, rel=0.03)


def test_the_interval_is_that_of_t_with_the_degrees_of_all_strata():
    """Means of two tasks with three repetitions each, 4 degrees of freedom, by hand."""
    strata = [np.array([1.0, 2, 6]), np.array([0.0, 4, 5])]
    weights = stratified_weights([3, 3], resamples=50_000)
    resampled = np.mean([(w * v).sum(axis=1) for w, v in zip(weights, strata, strict=True)], axis=0)
    low, high = stratified_interval(np.float64(3.0), resampled, [3, 3])
    error = np.sqrt(sum(v.var(ddof=1) / 3 for v in strata)) / 2
    assert [low, high] == pytest.approx([3 - 2.776 * error, 3 + 2.776 * error], abs=0.03)
    assert stratified_interval(np.float64(3.0), resampled, [3, 3], inside=(0, 5))[1] == 5
    with pytest.raises(ValueError, match="level"):
        stratified_interval(np.float64(3.0), resampled, [3, 3], level=1.0)


@pytest.mark.parametrize(
    ("sizes", "there"),
    [([5], True), ([4], False), ([3, 3], True), ([3, 2], False), ([2] * 4, True), ([9, 9, 1], False)],
)
def test_there_is_an_interval_where_the_spread_of_every_task_can_be_seen(sizes, there):
    rng = np.random.default_rng(5)
    assert interval_inside_strata(sizes) == there
    table = aggregate([rng.normal(size=(size, 2)) for size in sizes], ["a", "b"])
    assert table[["low", "high"]].notna().all(axis=None) == there
    profile = performance_profile([rng.random((size, 1)) for size in sizes], ["a"])
    assert profile[["low", "high"]].notna().all(axis=None) == there


def test_an_interval_of_equal_runs_has_no_width_and_one_run_has_none():
    same = aggregate([np.full((4, 2), 0.3), np.full((4, 2), 0.3)], ["a", "b"])
    assert same[["mean", "low", "high"]].to_numpy() == pytest.approx(np.full((2, 3), 0.3))
    one = aggregate([np.array([[0.1, 0.2]])], ["a", "b"])
    assert one["low"].isna().all()
    with pytest.raises(ValueError, match="3 methods"):
        aggregate([np.ones((2, 2))], ["a", "b", "c"])


@settings(max_examples=25, deadline=None)
@given(st.lists(st.floats(-100, 100), min_size=1, max_size=12))
def test_equal_weights_give_the_interquartile_mean(values):
    weighted = _weighted_interquartile_means(np.array(values), np.ones((3, len(values))))
    np.testing.assert_allclose(weighted, interquartile_mean(np.array(values)), atol=1e-9)


def test_scores_depend_on_their_own_runs_and_the_seed_only(scores):
    names = next(iter(scores.values())).searchers
    strata = [own.regrets for own in scores.values()]
    whole = aggregate(strata, names).set_index("searcher")
    part = aggregate([own[:, :2] for own in strata], names[:2]).set_index("searcher")
    assert part.loc[names[0]].tolist() == whole.loc[names[0]].tolist()
    again = aggregate(strata, names).set_index("searcher")
    assert again.equals(whole)
    assert not aggregate(strata, names, seed=1).set_index("searcher")["low"].equals(whole["low"])


def test_improvement_is_the_mean_over_tasks_and_turns_with_the_pair(scores):
    table = improvement(scores).set_index(["first", "second"])
    names = next(iter(scores.values())).searchers
    i, j = 0, 2
    by_hand = np.mean([vargha_delaney(own.losses[:, i], own.losses[:, j]) for own in scores.values()])
    row, turned = table.loc[(names[i], names[j])], table.loc[(names[j], names[i])]
    assert row["probability"] == pytest.approx(by_hand)
    assert (turned["probability"], turned["low"], turned["high"]) == pytest.approx(
        (1 - row["probability"], 1 - row["high"], 1 - row["low"])
    )
    assert row["low"] <= row["probability"] <= row["high"]


def test_a_profile_is_the_share_of_runs():
    strata = [np.array([[0.01], [0.1], [0.5], [1.0]]), np.array([[0.02], [0.02]])]
    data = performance_profile(strata, ["a"]).set_index("cost")["mean"]
    assert data.loc[0.01] == pytest.approx((1 / 4 + 0) / 2)
    assert data.loc[0.02] == pytest.approx((1 / 4 + 1) / 2)
    assert data.loc[0.1] == pytest.approx((2 / 4 + 1) / 2)
    assert data.iloc[-1] == 1.0
    assert data.is_monotonic_increasing


def test_the_tails_of_few_units_are_longer():
    tails = [tail(n) for n in (3, 5, 10, 1000)]
    assert tails == sorted(tails)
    assert tails[-1] == pytest.approx(0.025, rel=0.01)
    assert tail(5) == pytest.approx(0.00095, rel=0.02)
