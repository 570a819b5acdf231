"""How long the search itself takes."""

import dataclasses

import pytest

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
