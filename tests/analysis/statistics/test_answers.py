"""Answers about some methods, tasks and budgets: the numbers of the sweep's comparison, and what is lacking."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from large_sweeps import large
from synthetic_sweeps import study_rows, tables_of, told_of

from analysis.statistics.answers import (
    answer,
    firsts,
    full_evaluations,
    groups,
    look,
    lowers_fidelity,
    pairs_within,
    points_of,
    search_costs,
)
from analysis.statistics.comparison import compare, ranking, sensitivity
from analysis.statistics.inputs import prepare
from analysis.statistics.overhead import overhead_shares, search_seconds
from analysis.statistics.paired import compare_within_tasks
from analysis.statistics.scores import task_scores
from analysis.statistics.significance import shares_within, won_minus_lost


@pytest.fixture(scope="module")
def inputs():
    return prepare(large(4, 9, 5, 40))


@pytest.fixture(scope="module")
def scores(inputs):
    return task_scores(inputs)


def of_all(seen):
    return answer(seen, list(seen.losses), seen.searchers)


def answer_of(values, tasks=8, repetitions=5, **more):
    """Answer all about a sweep of one evaluation per study; ``more`` goes to the tables."""
    rows = told_of(values, tasks, repetitions)
    tables = tables_of(rows, {row["task"]: {"budget_amount": 1} for row in rows}, **more)
    own = prepare(tables)
    return of_all(look(own, task_scores(own), 1))


def test_at_the_end_it_is_the_comparison_of_the_sweep(inputs, scores):
    found, whole = of_all(look(inputs, scores, 40)), compare(inputs)
    assert found.standing.mean_ranks == whole.mean_ranks
    pd.testing.assert_frame_equal(found.standing.pairs, whole.final.pairs)
    expected = ranking(whole)
    assert found.table["method"].tolist() == expected["searcher"].tolist()
    for ours, theirs in (("rank", "rank"), ("low", "rank_low"), ("high", "rank_high")):
        np.testing.assert_array_equal(found.table[ours], expected[theirs])
    assert found.left_out == ()


def test_before_the_end_it_is_read_from_the_same_curves(inputs, scores):
    half = sensitivity(inputs, compare(inputs)).set_index("searcher")["half"]
    found = of_all(look(inputs, scores, 20))
    assert found.standing.mean_ranks == pytest.approx(half.to_dict())


def test_fewer_methods_change_no_share_and_no_p_before_the_correction(inputs, scores):
    seen = look(inputs, scores, 40)
    every, some = of_all(seen), answer(seen, list(seen.losses), seen.searchers[:3])
    pairs = every.standing.pairs.set_index(["first", "second"])["p"]
    fewer = some.standing.pairs.set_index(["first", "second"])["p"]
    assert len(fewer) == 3
    pd.testing.assert_series_equal(pairs.loc[fewer.index], fewer)


def test_budgets_are_read_in_full_evaluations():
    tables = tables_of(
        study_rows("a", "m", 0, [1]) + study_rows("b", "m", 0, [1]) + study_rows("c", "m", 0, [1]),
        {
            "a": {"budget_unit": "epochs", "full_epochs": 9, "budget_amount": 270},
            "b": {"budget_unit": "cost", "budget_full_cost": 2.5, "budget_amount": 50.0},
            "c": {"budget_unit": "evaluations", "full_epochs": 9, "budget_amount": 12},
        },
    )
    assert full_evaluations(tables) == {"a": 30, "b": 20, "c": 12}
    assert points_of(tables) == (10, 25, 30)
    assert points_of(tables, (30, 100)) == (30,)
    own = prepare(tables)
    assert look(own, task_scores(own), 15).short == ("c",)


def test_a_method_that_lacks_most_tasks_is_named_and_does_not_take_them_from_the_others():
    rows = told_of({"a": lambda t, r: r, "b": lambda t, r: r + 1}, 8)
    rows += told_of({"lacking": lambda t, r: 0}, ["t0", "t1"])
    tables = tables_of(rows, {f"t{place}": {"budget_amount": 1} for place in range(8)})
    own = prepare(tables)
    found = of_all(look(own, task_scores(own), 1))
    assert found.order == ("a", "b")
    assert len(found.tasks) == 8
    assert found.left_out == ("lacking (finished on 2 of 8 tasks)",)


def test_a_task_and_a_repetition_that_a_method_lacks_are_named():
    rows = told_of({"a": lambda t, r: r}, 8) + told_of(
        {"b": lambda t, r: r + 1}, [f"t{n}" for n in range(1, 8)]
    )
    rows = [row for row in rows if row["study"] != "t3|b|2"]
    tables = tables_of(rows, {f"t{place}": {"budget_amount": 1} for place in range(8)})
    own = prepare(tables)
    found = of_all(look(own, task_scores(own), 1))
    assert found.tasks == tuple(f"t{n}" for n in range(1, 8))
    assert found.left_out == ("t0 (not finished by b)", "1 of 5 repetitions on t3")


def test_one_method_alone_has_no_answer():
    rows = told_of({"a": lambda t, r: r}, 3)
    own = prepare(tables_of(rows, {f"t{place}": {"budget_amount": 1} for place in range(3)}))
    assert of_all(look(own, task_scores(own), 1)) is None


def test_equal_methods_lead_together_and_share_a_number():
    found = answer_of({"a": lambda t, r: t, "b": lambda t, r: t, "worse": lambda t, r: t + 1}, 10)
    table = found.table.set_index("method")
    assert found.standing.leaders == ("a", "b")
    assert table["leads"].to_dict() == {"a": True, "b": True, "worse": False}
    assert table["groups"].to_dict() == {"a": "1", "b": "1", "worse": "2"}
    assert table["compared"].to_dict() == {"a": "leads", "b": "leads", "worse": "worse"}
    assert table["first"].to_dict() == {"a": 0.5, "b": 0.5, "worse": 0}
    assert table["first_on"].to_dict() == {"a": 10, "b": 10, "worse": 0}


def test_too_few_tasks_show_nothing_and_say_so():
    found = answer_of({"a": lambda t, r: t, "b": lambda t, r: t + 1}, 4)
    assert found.standing.few
    table = found.table.set_index("method")
    assert table["compared"].to_dict() == {"a": "leads", "b": "untested"}
    assert table["groups"].to_dict() == {"a": "1", "b": "1"}
    assert table["first"].isna().all()
    assert table["low"].isna().all()


def test_groups_need_not_be_neighbours():
    pairs = pd.DataFrame(
        [
            ("a", "b", 0.01),
            ("a", "c", 0.5),
            ("b", "c", 0.5),
            ("a", "d", 0.01),
            ("b", "d", 0.01),
            ("c", "d", 0.01),
        ],
        columns=["first", "second", "p_holm"],
    )
    assert groups(pairs, ["a", "b", "c", "d"]) == {"a": (1,), "b": (2,), "c": (1, 2), "d": (3,)}
    assert groups(pairs[:0], ["a", "b"]) == {"a": (1,), "b": (1,)}


def test_shares_of_resamples_add_up_to_one():
    ranks = np.array([[1.0, 2.0, 3.0]] * 4 + [[3.0, 1.0, 2.0]] * 3)
    found = firsts(ranks)
    assert found.sum() == pytest.approx(1)
    assert found[1] > found[0] > found[2] >= 0
    assert np.isnan(firsts(ranks[:4])).all()


def test_shares_of_all_pairs_at_once_are_those_of_each():
    rng = np.random.default_rng(0)
    losses = np.where(rng.random((7, 4)) < 0.2, np.nan, rng.integers(0, 4, (7, 4)).astype(float))
    losses[0, 1], losses[:, 3] = np.inf, np.nan
    for paired in (True, False):
        found = shares_within(losses, paired=paired)
        for i in range(4):
            for j in range(4):
                expected = won_minus_lost(losses[:, i], losses[:, j], paired=paired)
                assert found[i, j] == pytest.approx(expected, nan_ok=True), (paired, i, j)


def test_tests_within_a_task_are_those_of_the_report(scores):
    own = next(iter(scores.values()))
    for paired in (True, False):
        expected = compare_within_tasks([own], paired=paired)
        found = pairs_within(own, paired=paired)
        pd.testing.assert_frame_equal(found, expected[list(found.columns)])


def test_search_time_up_to_the_end_is_that_of_the_report(inputs):
    costs = search_costs(inputs, (10, 40))
    whole = costs[costs["point"] == 40].drop(columns="point").reset_index(drop=True)
    pd.testing.assert_frame_equal(whole, overhead_shares(search_seconds(inputs.tables)))
    assert (costs.loc[costs["point"] == 10, "evaluations"] == 9 * 5 * 10).all()


def test_who_stops_trainings_early_is_seen_in_what_they_evaluated():
    rows = study_rows("t", "early", 0, [1, 2], epochs=[3, 9]) + study_rows(
        "t", "whole", 0, [1, None], epochs=[9, 4]
    )
    assert lowers_fidelity(tables_of(rows, {"t": {"full_epochs": 9}})) == {"early"}
