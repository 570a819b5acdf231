"""How long the search itself takes."""

import dataclasses

import pytest

from analysis.statistics.curves import final_results, mean_curves
from analysis.statistics.inputs import prepare
from analysis.statistics.overhead import overhead_over_history, overhead_shares, search_seconds


def test_search_time_is_that_of_ask_and_tell(rows, make):
    tables = make(rows("t", "a", 0, [0.5, 0.4, 0.3]), {"t": {}})  # 0.1 s of search, 1.5 s of training each
    table = search_seconds(tables)
    assert table["seconds"].tolist() == pytest.approx([0.1] * 3)
    assert table["history"].tolist() == [0, 1, 2]
    assert table["train"].tolist() == pytest.approx([1.5] * 3)
    (row,) = overhead_shares(table).to_dict("records")
    assert row["share"] == pytest.approx(0.1 / 1.6)
    slower = tables.trials.assign(ask_seconds=[1.0, 2.0, 3.0], tell_seconds=0.5)
    table = search_seconds(dataclasses.replace(tables, trials=slower))
    assert table["seconds"].tolist() == [1.5, 2.5, 3.5]
    curve = overhead_over_history(table)
    assert curve[["cost", "mean"]].to_numpy().tolist() == [[1, 1.5], [2, 2.5], [3, 3.5]]


def test_a_study_costs_its_last_tell_too_and_has_one_share_of_search(rows, make):
    """Two repetitions of 1.5 s × 2 of training; search 4 + 3 s and 1 + 1 s by hand, 2 s of it the last tells."""
    told = [row for repetition in range(2) for row in rows("t", "a", repetition, [0.5, 0.4])]
    tables = make(told, {"t": {}})
    trials = tables.trials.assign(ask_seconds=[1.0, 2.0, 0.5, 0.5], tell_seconds=[3.0, 1.0, 0.0, 1.0])
    # As `results.tables` has it: an evaluation finishes before its own tell.
    trials["total_seconds"] = [2.5, 9.0, 2.0, 4.0]
    inputs = prepare(dataclasses.replace(tables, trials=trials))
    assert inputs.finals["total_seconds"].tolist() == [3 + 7, 3 + 2]
    (row,) = final_results(inputs.tables, inputs.best).to_dict("records")
    assert (row["train_seconds"], row["total_seconds"]) == (3, 7.5)
    (shares,) = overhead_shares(search_seconds(inputs.tables)).to_dict("records")
    assert shares["share"] == pytest.approx(9 / 15)
    assert 1 - row["train_seconds"] / row["total_seconds"] == pytest.approx(9 / 15)
    # The curve ends where the last evaluation finished, before its tell.
    assert mean_curves(inputs.best, "t", "total_seconds", "validation")["cost"].max() == 9.0
