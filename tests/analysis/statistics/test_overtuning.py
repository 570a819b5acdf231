"""Overtuning: what selecting by validation costs on the test set."""

import pytest

from analysis.statistics.inputs import prepare
from analysis.statistics.overtuning import mean_overtuning, overtuning


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
