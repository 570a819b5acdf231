"""Tests over tasks: reference values, and what must not change them."""

import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from reference_data import classifier_losses
from scipy import stats
from statsmodels.stats.multitest import multipletests

from analysis.errors import AnalysisError
from analysis.statistics.bayesian import PRIOR_STRENGTH, bayesian_signed_rank
from analysis.statistics.significance import (
    cliques,
    critical_difference,
    differences,
    fewest_blocks,
    friedman,
    friedman_of_ranks,
    holm,
    nemenyi,
    p_matrix,
    rank_biserial,
    signed_rank_p,
    smallest_p,
    vargha_delaney,
    wilcoxon_of_differences,
    won_minus_lost,
)


def losses_of(columns):
    table = pd.DataFrame(columns)
    return table.set_axis([f"t{index}" for index in range(len(table))])


def wilcoxon(losses):
    """Wilcoxon's test of every pair of methods, by name."""
    pairs = itertools.combinations(sorted(losses), 2)
    return wilcoxon_of_differences(
        {(a, b): differences(losses[a].to_numpy(), losses[b].to_numpy()) for a, b in pairs}
    )


@st.composite
def tables(draw, most=4):
    k, n = draw(st.integers(3, most)), draw(st.integers(2, 7))
    cells = draw(st.lists(st.integers(0, 12), min_size=k * n, max_size=k * n))
    return losses_of(dict(zip("abcdefgh"[:k], np.reshape(cells, (k, n)) / 4, strict=True)))


def test_five_classifiers_on_thirty_data_sets():
    """García and Herrera (2008)."""
    test = friedman(classifier_losses(), corrected=False)
    expected = {"C4.5": 2.1, "NB": 2.2, "CN2": 3.1167, "1NN": 3.25, "Kernel": 4.3333}
    assert list(test.mean_ranks) == list(expected)
    assert list(test.mean_ranks.values()) == pytest.approx(list(expected.values()), abs=5e-5)
    assert test.chi2 == pytest.approx(39.647, abs=5e-4)
    assert test.chi2_p == pytest.approx(5.121e-8, rel=1e-3)
    assert test.f == pytest.approx(14.309, abs=5e-4)
    assert test.f_df == (4, 116)
    assert test.f_p == pytest.approx(stats.f.sf(14.309, 4, 116), rel=2e-3)
    assert critical_difference(5, 30) == pytest.approx(1.1136, abs=5e-5)


def test_ties_are_corrected_for():
    """García and Herrera (2008), with the correction that they left out."""
    test, losses = friedman(classifier_losses()), classifier_losses()
    assert test.chi2 == pytest.approx(39.9128, abs=5e-5)
    assert test.chi2 == pytest.approx(stats.friedmanchisquare(*losses.to_numpy().T).statistic)
    assert test.f == pytest.approx(29 * test.chi2 / (120 - test.chi2))


def test_f_of_averaged_ranks_is_that_of_an_analysis_of_variance():
    rng = np.random.default_rng(0)
    ranks = np.stack(
        [stats.rankdata(rng.normal([0, 0.2, 0.5, 1], size=(6, 4)), axis=1).mean(axis=0) for _ in range(9)]
    )
    table = pd.DataFrame(ranks, columns=list("abcd"))
    n, k = ranks.shape
    between = n * ((ranks.mean(axis=0) - 2.5) ** 2).sum()
    rest = ((ranks - ranks.mean(axis=0)) ** 2).sum()  # blocks have equal means
    expected = (between / (k - 1)) / (rest / ((n - 1) * (k - 1)))
    assert friedman_of_ranks(table).f == pytest.approx(expected)


def test_shares_of_repetitions_add_up_to_the_rank():
    rng = np.random.default_rng(1)
    losses = rng.integers(0, 4, (7, 5)) / 3
    losses[2, 1] = np.inf
    ranks = stats.rankdata(losses, axis=1).mean(axis=0)
    for j in range(5):
        others = [won_minus_lost(losses[:, j], losses[:, i]) for i in range(5) if i != j]
        assert 1 + sum((1 + share) / 2 for share in others) == pytest.approx(ranks[j])
    assert won_minus_lost(np.array([1.0, np.nan, 2.0]), np.array([2.0, 1.0, np.nan])) == -1
    assert np.isnan(won_minus_lost(np.array([np.nan]), np.array([1.0])))
    assert won_minus_lost(np.array([np.inf]), np.array([np.inf])) == 0


def test_differences_of_one_size_tie_from_whatever_losses_they_come():
    first = np.array([0.3, 10.5, 0.75, 1e9, 2.0, 1.0])
    second = np.array([0.2, 10.4, 0.85, 1e9 + 10, 2.0 + 1e-12, np.inf])
    assert differences(first, second).tolist() == [0.09999999999999964] * 2 + [
        -0.09999999999999964,
        -10.0,
        0.0,
        -np.inf,
    ]
    assert differences(7.3 * first, 7.3 * second)[3] == pytest.approx(-73.0)


def test_one_huge_loss_makes_no_other_differences_equal():
    first, second = np.array([1e10, 0.125, 0.25, 0.5]), np.array([0.0, 0.0625, 0.125, 0.25])
    assert differences(first, second).tolist() == [1e10, 0.0625, 0.125, 0.25]
    assert differences(second, first).tolist() == [-1e10, -0.0625, -0.125, -0.25]


def test_unlike_scales_make_no_ties():
    """Six tasks, 1 against 1.5 on each, one of them in a unit 1e9 times as small: six wins."""
    units = np.array([1.0, 1, 1, 1e9, 1, 1])
    table = wilcoxon(losses_of({"a": units, "b": 1.5 * units}))
    assert table.loc[0, ["wins", "ties"]].tolist() == [6, 0]
    assert table.loc[0, "p"] == pytest.approx(0.03125)


def test_so_many_blocks_a_corrected_test_needs():
    assert [fewest_blocks(comparisons=pairs) for pairs in (1, 3, 6)] == [6, 7, 8]
    for methods, blocks in ((2, 6), (3, 7), (4, 8), (11, 12)):
        names = [f"m{i:02}" for i in range(methods)]
        for count in (blocks - 1, blocks):
            every = wilcoxon(
                losses_of({name: np.arange(1.0, count + 1) * i for i, name in enumerate(names, 1)})
            )
            assert (every["p_holm"].min() <= 0.05) == every["possible"].all() == (count == blocks)


def test_nemenyi_and_the_critical_difference_say_the_same():
    table = classifier_losses()
    test = friedman(table)
    p = nemenyi(test.mean_ranks, 30)
    for a, b in itertools.combinations(test.mean_ranks, 2):
        apart = abs(test.mean_ranks[a] - test.mean_ranks[b])
        assert (p.loc[a, b] < 0.05) == (apart > critical_difference(5, 30))
        assert p.loc[a, b] == p.loc[b, a]


@settings(max_examples=25, deadline=None)
@given(tables(), st.randoms(use_true_random=False))
def test_row_and_column_order_are_irrelevant(table, random):
    rows, columns = list(table.index), list(table.columns)
    random.shuffle(rows)
    random.shuffle(columns)
    shuffled = table.loc[rows, columns]
    assert friedman(shuffled) == friedman(table)
    pd.testing.assert_frame_equal(wilcoxon(shuffled), wilcoxon(table))


@settings(max_examples=25, deadline=None)
@given(tables(), st.lists(st.integers(0, 12), min_size=7, max_size=7))
def test_adding_a_method_changes_no_p_of_the_others(table, more):
    added = table.assign(zz=np.array(more[: len(table)]) / 4)
    before = wilcoxon(table).set_index(["first", "second"])
    after = wilcoxon(added).set_index(["first", "second"]).loc[before.index]
    pd.testing.assert_frame_equal(after.drop(columns="p_holm"), before.drop(columns="p_holm"))
    assert (after["p_holm"] >= before["p_holm"] - 1e-12).all()


@settings(max_examples=20, deadline=None)
@given(tables())
def test_a_duplicated_method_ties_itself(table):
    doubled = table.assign(zz=table["a"])
    test = friedman(doubled)
    assert test.mean_ranks["a"] == test.mean_ranks["zz"]
    row = wilcoxon(doubled).set_index(["first", "second"]).loc[("a", "zz")]
    assert (row["p"], row["effect"], row["ties"]) == (1.0, 0.0, len(table))
    assert nemenyi(test.mean_ranks, len(doubled)).loc["a", "zz"] == 1.0
    assert vargha_delaney(table["a"], table["a"]) == 0.5


def test_methods_that_tie_everywhere_do_not_differ():
    test = friedman(losses_of({name: [1.0, 2.0, 3.0] for name in "abc"}))
    assert (test.chi2, test.f, test.f_p) == (0.0, 0.0, 1.0)


def test_the_same_order_on_every_task_is_as_sure_as_it_gets():
    test = friedman(losses_of({"a": [1.0] * 4, "b": [2.0] * 4, "c": [3.0] * 4}))
    assert test.f == np.inf
    assert test.f_p == 0.0
    assert test.chi2 == pytest.approx(8.0)


def test_a_missing_cell_fails_and_is_named():
    table = losses_of({"a": [1.0, 2.0], "b": [1.0, np.nan], "c": [0.0, 0.0]})
    with pytest.raises(AnalysisError, match="missing: b on t1"):
        friedman(table)


def test_too_little_is_refused():
    with pytest.raises(AnalysisError, match=r"at least 1 task and 3 methods, got 2 task"):
        friedman(losses_of({"a": [1.0, 2.0], "b": [1.0, 2.0]}))
    with pytest.raises(AnalysisError, match="at least 2 tasks"):
        friedman(losses_of({"a": [1.0], "b": [1.0], "c": [2.0]}))
    with pytest.raises(AnalysisError, match="every method once"):
        friedman(pd.DataFrame([[1.0, 2, 3]], columns=["a", "a", "b"]))


def test_a_method_without_success_is_last_and_fails_no_test():
    table = losses_of({"a": [0.1, 0.2, 0.3], "b": [0.2, np.inf, 0.4], "c": [np.inf, np.inf, 0.5]})
    assert friedman(table).mean_ranks == pytest.approx({"a": 1.0, "b": 13 / 6, "c": 17 / 6})
    row = wilcoxon(table).set_index(["first", "second"]).loc[("b", "c")]
    assert (row["wins"], row["ties"], row["losses"]) == (2, 1, 0)


def test_wilcoxon_by_hand():
    """Five differences of one sign: p is 2 / 2⁵; the smallest that five blocks can give."""
    table = losses_of({"a": [1.0, 2, 3, 4, 5], "b": [1.5, 2.7, 3.9, 5.1, 6.3]})
    (row,) = wilcoxon(table).to_dict("records")
    assert row["p"] == pytest.approx(2 / 2**5)
    assert row["p"] == smallest_p(5)
    assert (row["wins"], row["losses"], row["effect"]) == (5, 0, 1.0)
    assert row["median"] == pytest.approx(-0.9)


def test_signed_rank_p_is_exact_with_ties_by_enumeration():
    values = np.array([-1.0, -1.0, 2.0, 0.0, -3.0])
    ranks = np.array([2.5, 2.5, 4, 0, 5])  # Pratt: the zero has rank 1 and no sign
    plus = [
        sum(r for r, s in zip(ranks, signs, strict=True) if s)
        for signs in itertools.product([0, 1], repeat=5)
    ]
    plus = np.array(plus)
    expected = 2 * min((plus <= 4).mean(), (plus >= 4).mean())
    assert signed_rank_p(values) == pytest.approx(min(expected, 1))


def test_signed_rank_p_is_that_of_scipy_where_scipy_is_exact():
    rng = np.random.default_rng(0)
    for count in (3, 8, 20, 50, 60):
        values = rng.normal(0.3, 1, count)
        assert signed_rank_p(values) == pytest.approx(stats.wilcoxon(values).pvalue, rel=1e-9)
    tied = np.array([1.0, -1, 2, 2, 3, -0.5, 0.5])
    assert signed_rank_p(tied) == pytest.approx(stats.wilcoxon(tied).pvalue, rel=1e-9)


def test_rank_biserial_by_hand():
    assert rank_biserial(np.array([-1.0, -2.0, 3.0])) == pytest.approx((1 + 2 - 3) / 6)
    assert rank_biserial(np.array([0.0, -2.0])) == 1.0


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([]).size == 0


def test_holm_is_that_of_statsmodels():
    p = np.random.default_rng(0).uniform(0, 0.2, 20).round(2)
    np.testing.assert_allclose(holm(p), multipletests(p, method="holm")[1])


def test_noise_beyond_the_rounding_is_a_tie():
    table = losses_of({"a": [0.3, 0.6], "b": [0.1 + 0.2, 0.6 + 1e-13], "c": [0.9, 0.9]})
    assert friedman(table).mean_ranks == {"a": 1.5, "b": 1.5, "c": 3.0}
    assert wilcoxon(table)["ties"].tolist() == [2, 0, 0]
    assert differences(np.array([np.inf, 0.1 + 0.2]), np.array([np.inf, 0.3])).tolist() == [0, 0]


def all_maximal_cliques(p, names):
    """By trying every subset."""
    sets = [
        set(members)
        for size in range(2, len(names) + 1)
        for members in itertools.combinations(names, size)
        if all(p.loc[a, b] > 0.05 for a, b in itertools.combinations(members, 2))
    ]
    return {frozenset(own) for own in sets if not any(own < other for other in sets)}


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 6), st.data())
def test_bars_are_the_maximal_cliques(k, data):
    names = list("abcdef"[:k])
    p = pd.DataFrame(1.0, names, names)
    for a, b in itertools.combinations(names, 2):
        p.loc[a, b] = p.loc[b, a] = data.draw(st.sampled_from([0.01, 0.5]))
    found = cliques(p, names)
    assert {frozenset(bar) for bar in found} == all_maximal_cliques(p, names)
    assert all(list(bar) == sorted(bar) for bar in found)


def test_cliques_of_wilcoxon_need_not_be_contiguous():
    table = classifier_losses()
    order = list(friedman(table).mean_ranks)
    bars = cliques(p_matrix(wilcoxon(table)), order)
    assert bars == [("C4.5", "NB"), ("NB", "1NN"), ("CN2", "1NN")]  # CN2 ranks between NB and 1NN
    assert ("NB", "CN2", "1NN") in cliques(nemenyi(friedman(table).mean_ranks, 30), order)


def brute_posterior(values, rope, draws):
    z = np.concatenate([[0.0], values])
    wins = np.zeros(3)
    for weights in draws:
        shares = np.zeros(3)
        for i, j in itertools.product(range(z.size), repeat=2):
            total = z[i] + z[j]
            region = 0 if total < -2 * rope else 2 if total > 2 * rope else 1
            shares[region] += weights[i] * weights[j]
        wins[shares.argmax()] += 1
    return wins / len(draws)


def test_bayesian_signed_rank_is_the_definition():
    values = np.array([-0.3, -0.1, 0.05, -0.02, 0.2])
    draws = np.random.default_rng(0).dirichlet([PRIOR_STRENGTH, 1, 1, 1, 1, 1], 300)
    own = bayesian_signed_rank({("a", "b"): values}, 0.03, samples=300)["a", "b"]
    assert (own.first, own.rope, own.second) == pytest.approx(brute_posterior(values, 0.03, draws))


@settings(max_examples=20, deadline=None)
@given(st.lists(st.floats(-1, 1), min_size=1, max_size=12), st.sampled_from([0.0, 0.01, 0.2]))
def test_the_posterior_is_a_probability_and_turns_with_the_pair(values, rope):
    z = np.array(values)
    pairs = bayesian_signed_rank({("a", "b"): z, ("b", "a"): -z}, rope, samples=500)
    own, turned = pairs["a", "b"], pairs["b", "a"]
    assert own.first + own.rope + own.second == pytest.approx(1)
    assert (own.first, own.rope, own.second) == pytest.approx((turned.second, turned.rope, turned.first))
    assert bayesian_signed_rank({("a", "b"): z}, rope, samples=500)["a", "b"] == own


def test_the_posterior_at_its_extremes():
    def own(values):
        return bayesian_signed_rank({("a", "b"): np.array(values)}, 0.01)["a", "b"]

    assert own([-0.5] * 10).first > 0.99
    assert own([0.001, -0.002] * 6).rope > 0.99
    assert own([np.inf] * 10).second > 0.99
    with pytest.raises(AnalysisError, match="at least 0, got -1"):
        bayesian_signed_rank({}, -1)


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.integers(0, 6), min_size=1, max_size=6), st.lists(st.integers(0, 6), min_size=1, max_size=6)
)
def test_vargha_delaney_is_a_share_of_pairs(first, second):
    shares = [(a < b) + 0.5 * (a == b) for a in first for b in second]
    assert vargha_delaney(first, second) == pytest.approx(np.mean(shares))
    assert vargha_delaney(first, second) + vargha_delaney(second, first) == pytest.approx(1)


def test_vargha_delaney_needs_losses():
    with pytest.raises(ValueError, match="at least one loss"):
        vargha_delaney([], [1.0])
    assert vargha_delaney([1.0, np.inf], [np.inf]) == 0.75


@settings(max_examples=20, deadline=None)
@given(tables(most=3), st.floats(0.1, 10))
def test_scaling_all_losses_changes_no_p(table, scale):
    assume(table.to_numpy().std() > 0)
    pd.testing.assert_series_equal(wilcoxon(table * scale)["p"], wilcoxon(table)["p"])
