"""The comparison of methods by final results, and the final ranking."""

import numpy as np
import pandas as pd
import pytest
from large_sweeps import large
from synthetic_sweeps import told_of

from analysis.errors import AnalysisError
from analysis.statistics.comparison import by_group, comparable, compare, ranking, sensitivity
from analysis.statistics.inputs import prepare
from analysis.statistics.significance import best_first
from analysis.statistics.standing import leaders_of


@pytest.fixture(scope="module")
def many():
    """4 methods, 8 tasks, 8 repetitions."""
    return prepare(large(4, 8, 8, 15))


@pytest.fixture(scope="module")
def few(tables):
    return prepare(tables)


def test_wins_ties_and_losses_add_up_and_the_best_ranks_first(many):
    table = ranking(compare(many))
    assert table["rank"].is_monotonic_increasing
    assert ((table[["wins", "ties", "losses"]].sum(axis=1)) == 3 * 8).all()
    assert table["wins"].sum() == table["losses"].sum()
    assert table["rank"].mean() == pytest.approx(2.5)
    assert table["searcher"].iloc[0] == compare(many).reference == "skopt_gp"
    assert (table["rank_low"] <= table["rank"]).all()
    assert table.loc[0, ["won", "effect", "p_holm", "p_anytime"]].isna().all()
    # Everybody else is worse than the best, and the effect says so.
    assert (table["effect"].iloc[1:] < 0).all()
    assert (table["won"].iloc[1:] < 0.5).all()
    assert table["leads"].tolist() == [True, False, False, False]
    # The rank is one more than the shares of repetitions lost to each of the others.
    improvements = dict.fromkeys(table["searcher"], 0.0)
    for (first, second), shares in compare(many).final.shares.items():
        improvements[first] += (1 + shares.mean()) / 2
        improvements[second] += (1 - shares.mean()) / 2
    assert (1 + table["searcher"].map(improvements)).to_numpy() == pytest.approx(table["rank"].to_numpy())
    assert table["regret"].is_monotonic_increasing


def test_the_worst_of_clearly_different_methods_differs(many):
    comparison = compare(many)
    assert not comparison.few
    assert comparison.final.friedman.f_p < 0.001
    assert comparison.final.nemenyi.loc["random", "skopt_gp"] < 0.01
    assert (comparison.final.posteriors["random", "skopt_gp"].second) > 0.95


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


def test_on_a_task_the_leader_is_held_against_all_pairs(rows, make):
    told = []
    for r in range(10):
        told += rows("t", "a", r, [0.1 + r / 100]) + rows("t", "b", r, [0.2 + r / 100])
        told += rows("t", "c", r, [0.1 + r / 100 + (-0.002 if r in (1, 3, 5) else 0.001)])
    comparison = compare(prepare(make(told, {"t": {}})))
    (said,) = comparison.verdict_on("t").values()
    assert comparison.final.leaders_on("t") == ("a",)
    assert (said.better_than, said.alike, said.worse_than, said.untested) == (("b",), ("c",), (), ())


def of(make, told, tasks=8, **about):
    inputs = prepare(make(told, {f"t{task}": about for task in range(tasks)}))
    return inputs, compare(inputs)


def test_rank_and_test_look_at_the_same_thing(rows, make):
    """One awful value per task: last in its repetition, and no more."""
    told = told_of(
        {"a": lambda t, r: 0.30, "b": lambda t, r: 0.31, "s": lambda t, r: 50.0 if r == t % 5 else 0.05}
    )
    inputs, comparison = of(make, told)
    assert comparison.mean_ranks == pytest.approx({"s": 1.4, "a": 1.8, "b": 2.8})
    assert comparison.leaders == ("s",)
    pairs = comparison.final.pairs.set_index(["first", "second"])
    assert pairs.loc[("a", "s"), "p_holm"] == pytest.approx(0.0234375)
    assert comparison.final.verdict("s").better_than == ("a", "b")
    assert comparison.final.verdict("a").worse_than == ("s",)
    other = sensitivity(inputs, comparison).set_index("searcher")
    assert other["by_mean"].to_dict() == {"s": 3.0, "a": 1.0, "b": 2.0}
    assert other["without_failures"].to_dict() == pytest.approx(other["rank"].to_dict())


def test_a_failure_is_last_in_its_repetition_by_the_one_rule_and_decides_the_task_by_the_other(rows, make):
    told = told_of({"a": lambda t, r: 0.3, "s": lambda t, r: None if r == 0 else 0.05})
    inputs, comparison = of(make, told)
    assert comparison.mean_ranks == pytest.approx({"s": 1.2, "a": 1.8})
    other = sensitivity(inputs, comparison).set_index("searcher")
    assert other["by_mean"].to_dict() == {"s": 2.0, "a": 1.0}
    assert other["without_failures"].to_dict() == {"s": 1.0, "a": 2.0}


@pytest.mark.parametrize("units", [[1.0] * 8, [1, 1, 1e9, 1, 1e-9, 1, 1, 1e-13]])
def test_no_unit_of_a_task_plays_a_part(rows, make, units):
    told = told_of({"a": lambda t, r: units[t], "b": lambda t, r: 1.5 * units[t]})
    _, comparison = of(make, told)
    assert comparison.final.shares["a", "b"].tolist() == [-1.0] * 8
    assert comparison.final.pairs.loc[0, "p"] == pytest.approx(2 / 2**8)
    assert comparison.mean_ranks == {"a": 1.0, "b": 2.0}
    assert (comparison.within["wins"] + comparison.within["losses"] == 5).all()


def test_the_last_digit_of_a_mean_makes_no_leader(rows, make):
    ranks = {"a": [1, 1, 2, 1, 2, 3], "b": [2, 3, 1, 2, 1, 1], "c": [3, 2, 3, 3, 3, 2]}
    told = told_of({n: lambda t, r, own=own: own[t] / 7 for n, own in ranks.items()}, tasks=6, repetitions=3)
    _, comparison = of(make, told, tasks=6)
    assert comparison.leaders == ("a", "b")
    table = ranking(comparison)
    assert table["leads"].tolist() == [True, True, False]
    assert table[["won", "effect", "p_holm"]].isna().all(axis=None)  # no one reference


def test_ranks_that_differ_in_the_last_digit_are_the_same():
    ranks = {"b": 0.3, "a": 0.1 + 0.2, "c": 0.3000001}
    assert ranks["a"] != ranks["b"]
    assert leaders_of(ranks) == ("a", "b")
    assert list(best_first(ranks)) == ["a", "b", "c"]


def test_one_missing_cell_drops_no_task_from_tests_that_do_not_need_it(rows, make):
    told = told_of({"a": lambda t, r: 0.1, "b": lambda t, r: 0.2, "c": lambda t, r: 0.3})
    told = [row for row in told if (row["task"], row["searcher"]) != ("t0", "c")]
    _, comparison = of(make, told)
    assert list(comparison.scores) == [f"t{task}" for task in range(1, 8)]
    assert comparison.final.pairs["blocks"].tolist() == [8, 7, 7]
    assert set(comparison.within["task"]) == {f"t{task}" for task in range(8)}


def test_adding_a_method_changes_no_share(rows, make):
    values = {"a": lambda t, r: (t * 7 + r * 3) % 5, "b": lambda t, r: (t * 5 + r * 4) % 6}
    _, two = of(make, told_of(values))
    _, three = of(make, told_of({**values, "c": lambda t, r: 1e12}))
    np.testing.assert_array_equal(two.final.shares["a", "b"], three.final.shares["a", "b"])
    assert two.final.pairs.loc[0, "p"] == three.final.pairs.loc[0, "p"]


def test_methods_that_swap_names_swap_results(rows, make):
    values = {
        "a": lambda t, r: (t * 7 + r * 3) % 5,
        "b": lambda t, r: (t * 5 + r * 4) % 6,
        "c": lambda t, r: 2.5,
    }
    _, one = of(make, told_of(values))
    _, other = of(make, told_of({"c": values["a"], "b": values["b"], "a": values["c"]}))
    turn = {"a": "c", "b": "b", "c": "a"}
    assert {turn[name]: rank for name, rank in one.mean_ranks.items()} == other.mean_ranks
    assert {turn[name] for name in one.leaders} == set(other.leaders)


def test_anytime_scores_are_tested_as_final_values_are(rows, make):
    """Both end at 0.1; one gets there at once."""
    told = [
        row
        for task in range(8)
        for r in range(5)
        for name, values in (("fast", [0.1, 0.1, 0.1]), ("slow", [0.9, 0.8, 0.1]))
        for row in rows(f"t{task}", name, r, values)
    ]
    _, comparison = of(make, told, regret_best=0.0, regret_reference=1.0, budget_amount=3)
    assert comparison.leaders == ("fast", "slow")
    assert comparison.anytime.leaders == ("fast",)
    assert comparison.anytime.verdict("fast").better_than == ("slow",)
    assert of(make, told)[1].anytime is None
    pd.testing.assert_frame_equal(
        comparison.final.pairs, of(make, told)[1].final.pairs
    )  # references play no part in who leads


def test_groups_of_tasks_are_ranked_apart(rows, make):
    told = told_of({"a": lambda t, r: 0.1 if t < 2 else 0.3, "b": lambda t, r: 0.2}, tasks=5, repetitions=2)
    groups = ["image", "image", "function", "function", ""]
    inputs = prepare(make(told, {f"t{i}": {"group": group} for i, group in enumerate(groups)}))
    table = by_group(inputs, compare(inputs))
    assert compare(inputs).mean_ranks == pytest.approx({"b": 1.4, "a": 1.6})
    assert table.set_index(["group", "searcher"])["rank"].to_dict() == {
        ("function", "b"): 1.0,
        ("function", "a"): 2.0,
        ("image", "b"): 2.0,
        ("image", "a"): 1.0,
        ("other", "b"): 1.0,
        ("other", "a"): 2.0,
    }
    assert table.groupby("group")["tasks"].first().to_dict() == {"function": 2, "image": 2, "other": 1}
    one = prepare(make(told, {f"t{i}": {"group": "image"} for i in range(5)}))
    assert by_group(one, compare(one)).empty
