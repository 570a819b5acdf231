"""Comparisons within a task, and planning."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from analysis.errors import AnalysisError
from analysis.statistics.paired import (
    attained_level,
    compare_within_tasks,
    detectable_difference,
    power_of,
    repetitions_needed,
)
from analysis.statistics.scores import TaskScores
from analysis.statistics.significance import fewest_blocks


def scores_of(losses, searchers="abcdef", task="t"):
    losses = np.array(losses, dtype=float)
    return TaskScores(
        task=task,
        measure="test",
        metric="test_loss",
        searchers=tuple(searchers[: losses.shape[1]]),
        repetitions=tuple(range(len(losses))),
        losses=losses,
        regrets=None,
        anytime=None,
    )


def test_pairs_share_their_repetition():
    """Repetitions differ more than methods do: only the paired difference shows it."""
    hard = np.array([0.1, 0.9, 0.4, 0.7, 0.2, 0.5])
    (row,) = compare_within_tasks([scores_of(np.stack([hard, hard + 0.01], axis=1))]).to_dict("records")
    assert (row["first"], row["second"], row["wins"], row["losses"]) == ("a", "b", 6, 0)
    assert row["difference"] == pytest.approx(-0.01)
    assert (row["low"], row["high"]) == pytest.approx((-0.01, -0.01))
    assert row["p"] == pytest.approx(2 / 2**6)
    assert 0.5 < row["a"] < 0.7


def test_a_control_needs_fewer_tests_than_all_pairs():
    rng = np.random.default_rng(0)
    own = scores_of(rng.normal(size=(12, 4)))
    every, against = compare_within_tasks([own]), compare_within_tasks([own], control="a")
    assert (len(every), len(against)) == (6, 3)
    assert against["second"].tolist() == ["a"] * 3
    key = ["first", "second"]
    turned = against.set_index(key).loc[("b", "a")]
    straight = every.set_index(key).loc[("a", "b")]
    assert turned["p"] == straight["p"]
    assert turned["difference"] == -straight["difference"]
    assert (turned["low"], turned["high"]) == pytest.approx((-straight["high"], -straight["low"]), abs=0.05)
    assert turned["detectable"] < straight["detectable"]
    assert compare_within_tasks([own], control="z").empty


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 1000), st.randoms(use_true_random=False))
def test_the_order_of_repetitions_is_irrelevant_and_the_seed_fixed(seed, random):
    losses = np.random.default_rng(seed).normal(size=(6, 3))
    order = list(range(6))
    random.shuffle(order)
    columns = ["wins", "difference", "sd", "a", "p", "p_holm", "detectable"]
    one, other = compare_within_tasks([scores_of(losses)]), compare_within_tasks([scores_of(losses[order])])
    pd.testing.assert_frame_equal(one[columns], other[columns])
    pd.testing.assert_frame_equal(one, compare_within_tasks([scores_of(losses)]))


def test_a_control_chosen_for_its_results_is_tested_as_one_of_all_pairs():
    own = scores_of(np.random.default_rng(0).normal(size=(12, 4)))
    every = compare_within_tasks([own]).set_index(["first", "second"])
    chosen = compare_within_tasks([own], control="b", chosen=True).set_index("first")
    assert chosen.index.tolist() == ["a", "c", "d"]
    assert chosen["comparisons"].unique().tolist() == [6]
    for name, pair in (("a", ("a", "b")), ("c", ("b", "c")), ("d", ("b", "d"))):
        assert chosen.loc[name, "p_holm"] == every.loc[pair, "p_holm"]
    assert chosen.loc["c", "difference"] == pytest.approx(-every.loc[("b", "c"), "difference"])


def test_the_correction_is_over_the_tasks_that_are_read_together():
    rng = np.random.default_rng(0)
    tasks = [scores_of(rng.normal([0, 0.5, 1], size=(12, 3)), task=f"t{i}") for i in range(4)]
    alone, together = compare_within_tasks(tasks[:1], control="a"), compare_within_tasks(tasks, control="a")
    assert together["comparisons"].tolist() == [8] * 8
    first = together[together["task"] == "t0"].reset_index(drop=True)
    assert first["p"].tolist() == alone["p"].tolist()
    assert (first["p_holm"] > alone["p_holm"]).all()
    assert (first["detectable"] > alone["detectable"]).all()
    assert alone["possible"].all()
    assert not compare_within_tasks([scores_of(rng.normal(size=(6, 3)))])["possible"].any()


def test_a_pair_needs_no_other_method_to_be_finished():
    losses = [[0.1, 0.2, np.nan], [0.1, 0.3, 0.4], [np.nan, 0.1, 0.5]]
    table = compare_within_tasks([scores_of(losses)]).set_index(["first", "second"])
    assert table["repetitions"].to_dict() == {("a", "b"): 2, ("a", "c"): 1, ("b", "c"): 2}
    assert compare_within_tasks([scores_of([[0.1, np.nan], [np.nan, 0.2]])]).empty


def test_one_huge_loss_makes_no_other_repetition_a_tie():
    losses = [[1.0, 1.5], [1.0, 1.5], [1.0, 1.5], [1.0, 1e10], [1.0, 1.5], [1.0, 1.5]]
    row = compare_within_tasks([scores_of(losses)]).to_dict("records")[0]
    assert (row["wins"], row["ties"], row["p"]) == (6, 0, 2 / 2**6)


def test_a_run_without_success_has_no_mean_and_still_a_rank():
    table = compare_within_tasks([scores_of([[0.1, np.inf], [0.2, 0.3]])])
    row = table.to_dict("records")[0]
    assert (row["wins"], row["ties"], row["a"]) == (2, 0, 1.0)
    assert np.isnan([row["difference"], row["low"], row["sd"], row["detectable"]]).all()


def test_one_repetition_says_nothing():
    row = compare_within_tasks([scores_of([[0.1, 0.2]])]).to_dict("records")[0]
    assert row["p"] == 1.0
    assert np.isnan([row["low"], row["sd"], row["detectable"]]).all()


def test_fewest_repetitions_is_where_a_test_can_first_be_significant():
    for comparisons in (1, 3, 11, 66):
        fewest = fewest_blocks(comparisons=comparisons)
        best = [stats.wilcoxon(np.arange(1.0, n + 1)).pvalue for n in (fewest - 1, fewest)]
        assert best[0] > 0.05 / comparisons >= best[1]
        assert attained_level(fewest - 1, 0.05 / comparisons) == 0
        assert detectable_difference(fewest - 1, 1.0, comparisons=comparisons) == np.inf
        assert power_of(fewest - 1, 100.0, comparisons=comparisons) == 0


def test_attained_level_is_the_largest_p_not_above_the_level():
    possible = {
        stats.wilcoxon(np.where(np.arange(8) < k, -1, 1) * np.arange(1.0, 9)).pvalue for k in range(9)
    }
    assert attained_level(8, 0.05) == pytest.approx(0.0390625)
    assert attained_level(8, 0.05) >= max(p for p in possible if p <= 0.05)
    assert attained_level(1000, 0.05) == 0.05


@pytest.mark.parametrize("effect", [0.3, 0.8, 2.0])
@pytest.mark.parametrize("comparisons", [1, 11])
def test_planning_and_detecting_are_each_others_inverse(effect, comparisons):
    n = repetitions_needed(effect * 0.02, 0.02, comparisons=comparisons)
    assert power_of(n, effect, comparisons=comparisons) >= 0.8
    assert power_of(n - 1, effect, comparisons=comparisons) < 0.8
    assert detectable_difference(n, 0.02, comparisons=comparisons) <= effect * 0.02 * (1 + 1e-6)


def test_larger_differences_need_no_more_repetitions():
    needs = [repetitions_needed(d, 1.0) for d in (0.2, 0.4, 0.8, 1.6, 50.0)]
    assert needs == sorted(needs, reverse=True)
    assert needs[-1] == 6
    assert repetitions_needed(-0.4, 1.0) == needs[1]
    assert repetitions_needed(0.0, 1.0) is None
    assert repetitions_needed(1e-4, 1.0) is None
    with pytest.raises(AnalysisError, match="positive standard deviation"):
        repetitions_needed(1.0, 0.0)
