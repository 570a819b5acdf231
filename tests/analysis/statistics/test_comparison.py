"""The comparison of methods by final results, and the final ranking."""

import pytest
from large_sweeps import large

from analysis.errors import AnalysisError
from analysis.statistics.comparison import comparable, compare, ranking, worse_than_best
from analysis.statistics.inputs import prepare


@pytest.fixture(scope="module")
def many():
    """4 methods, 7 tasks, 8 repetitions."""
    return prepare(large(4, 7, 8, 15))


@pytest.fixture(scope="module")
def few(tables):
    return prepare(tables)


def test_wins_ties_and_losses_add_up_and_the_best_ranks_first(many):
    table = ranking(compare(many))
    assert table["rank"].is_monotonic_increasing
    assert ((table[["wins", "ties", "losses"]].sum(axis=1)) == 3 * 7).all()
    assert table["wins"].sum() == table["losses"].sum()
    assert table["rank"].mean() == pytest.approx(2.5)
    assert table["searcher"].iloc[0] == compare(many).best == "skopt_gp"
    assert (table["rank_low"] <= table["rank"]).all()
    assert table.loc[0, ["improvement", "effect", "p_holm"]].isna().all()
    # Everybody else is worse than the best, and the effect says so.
    assert (table["effect"].iloc[1:] < 0).all()
    assert (table["improvement"].iloc[1:] < 0.5).all()
    assert table["regret"].is_monotonic_increasing


def test_the_worst_of_clearly_different_methods_differs(many):
    comparison = compare(many)
    assert not comparison.few
    assert comparison.friedman.f_p < 0.001
    assert comparison.nemenyi.loc["random", "skopt_gp"] < 0.01
    assert (comparison.posteriors["random", "skopt_gp"].second) > 0.95


def test_with_few_tasks_there_is_no_p_over_tasks(few):
    comparison = compare(few)
    assert comparison.few
    table = ranking(comparison)
    assert table["p_holm"].isna().all()
    assert table["regret"].isna().all()  # no references
    assert comparison.control == "random"
    assert set(comparison.within["task"]) == {"branin/2d", "fashion/small", "mnist/small"}
    assert comparison.left_out == few.field.left_out


def test_nothing_to_compare_is_said_so(rows, make):
    inputs = prepare(make(rows("t", "a", 0, [0.1]), {"t": {}}))
    assert not comparable(inputs)
    with pytest.raises(AnalysisError, match="needs two methods and a task"):
        compare(inputs)


def test_worse_than_best_is_by_tests_within_the_task(rows, make):
    told = []
    for r in range(10):
        told += rows("t", "a", r, [0.1 + r / 100]) + rows("t", "b", r, [0.2 + r / 100])
        told += rows("t", "c", r, [0.1 + r / 100 + (0.001 if r % 2 else -0.0005)])
    comparison = compare(prepare(make(told, {"t": {}})))
    assert worse_than_best(comparison, "t") == ("a", {"b"})
