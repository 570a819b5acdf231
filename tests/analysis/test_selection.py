"""Overtuning, expected minima, search overhead, failures and completeness."""

import dataclasses
import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.gaps import completeness, failures, failures_by_method
from analysis.inputs import prepare
from analysis.overhead import overhead_over_history, overhead_shares, search_seconds
from analysis.selection import expected_minimum, mean_overtuning, overtuning


def test_expected_minimum_reference():
    """Of m draws without replacement from 1 … 5."""
    assert expected_minimum([5, 3, 1, 2, 4], [1, 2, 3, 4, 5]) == pytest.approx([3, 2, 1.5, 1.2, 1])


@settings(max_examples=25, deadline=None)
@given(st.lists(st.floats(-10, 10), min_size=1, max_size=7))
def test_expected_minimum_is_the_mean_over_every_draw(values):
    for m in range(1, len(values) + 1):
        by_hand = np.mean([min(drawn) for drawn in itertools.combinations(values, m)])
        assert expected_minimum(values, m)[0] == pytest.approx(by_hand, abs=1e-9)


@pytest.mark.parametrize("m", [0, 4])
def test_expected_minimum_needs_possible_draws(m):
    with pytest.raises(ValueError, match="1 to 3 draws from 3 values"):
        expected_minimum([1, 2, 3], m)


def test_overtuning_is_what_a_better_incumbent_was_given_up_for(rows, make):
    tested = {"test_metric": "test_loss", "regret_best": 0.0, "regret_reference": 2.0}
    told = rows("t", "a", 0, [0.5, 0.6, 0.4], [0.30, 0.01, 0.35])  # the 0.01 was never an incumbent's
    told += rows("t", "a", 1, [0.5, 0.4], [0.3, 0.2]) + rows("t", "b", 0, [None], [None])
    told += rows("u", "a", 0, [0.5])
    inputs = prepare(make(told, {"t": tested, "u": {}}))
    table = overtuning(inputs)
    assert table[["task", "searcher", "repetition"]].to_numpy().tolist() == [["t", "a", 0], ["t", "a", 1]]
    assert table["overtuning"].tolist() == pytest.approx([0.05, 0.0])
    assert table["regret"].tolist() == pytest.approx([0.025, 0.0])
    (row,) = mean_overtuning(inputs).to_dict("records")
    assert (row["mean"], row["repetitions"], row["overtuned"]) == (pytest.approx(0.025), 2, 1)


def test_overtuning_of_accuracies(rows, make):
    told = rows("t", "a", 0, [0.5, 0.6], [0.7, 0.65], direction="max")
    table = overtuning(prepare(make(told, {"t": {"direction": "max", "test_metric": "test_accuracy"}})))
    assert table["overtuning"].tolist() == pytest.approx([0.05])


def test_search_time_is_taken_from_the_costs_where_it_is_not_recorded(rows, make):
    tables = make(rows("t", "a", 0, [0.5, 0.4, 0.3]), {"t": {}})  # 0.1 s of search, 1.5 s of training each
    table = search_seconds(tables)
    assert table["seconds"].tolist() == pytest.approx([0.1] * 3)
    assert table["history"].tolist() == [0, 1, 2]
    assert table["train"].tolist() == pytest.approx([1.5] * 3)
    (row,) = overhead_shares(table).to_dict("records")
    assert row["share"] == pytest.approx(0.1 / 1.6)
    recorded = tables.trials.assign(ask_seconds=[1.0, 2.0, 3.0], tell_seconds=0.5)
    table = search_seconds(dataclasses.replace(tables, trials=recorded))
    assert table["seconds"].tolist() == [1.5, 2.5, 3.5]
    curve = overhead_over_history(table)
    assert curve[["cost", "mean"]].to_numpy().tolist() == [[1, 1.5], [2, 2.5], [3, 3.5]]


def test_failures_count_every_status_and_every_planned_method(tables, rows, make):
    table = failures(tables).set_index(["task", "searcher"])
    assert len(table) == 12
    assert (table["told"] == table["ok"] + table["failed"]).all()
    assert table.loc[("mnist/small", "random"), "diverged"] > 0
    assert (table.loc["branin/2d", "failed"] == 0).all()
    total = failures_by_method(failures(tables))
    assert total["told"].sum() == len(tables.trials)
    other = {"task": "t", "searcher": "b", "repetition": 0, "state": "missing", "reason": ""}
    alone = failures(make(rows("t", "a", 0, [None, 0.1]), {"t": {}}, others=[other])).set_index("searcher")
    assert alone.loc["a", ["ok", "diverged", "failed", "share"]].tolist() == [1, 1, 1, 0.5]
    assert alone.loc["b", "told"] == 0
    assert np.isnan(alone.loc["b", "share"])


def test_completeness_says_what_was_planned_and_what_is_missing(tables, rows, make):
    table = completeness(tables).set_index(["task", "searcher"])
    assert table.loc[("mnist/small", "optuna_tpe")].to_dict() == {
        "planned": 5,
        "finished": 4,
        "running": 0,
        "failed": 1,
        "missing": 0,
    }
    assert table.loc[("fashion/small", "skopt_gp"), "missing"] == 1
    assert (table["planned"] == table[["finished", "running", "failed", "missing"]].sum(axis=1)).all()
    uneven = completeness(make(rows("t", "a", 0, [0.1]) + rows("u", "b", 0, [0.1]), {"t": {}, "u": {}}))
    assert uneven.set_index(["task", "searcher"]).loc[("t", "b"), "planned"] == 0
