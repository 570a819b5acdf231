"""Final quality against cost: the Pareto front, means with intervals or single units, ranks over tasks."""

import numpy as np
import pytest

from analysis.statistics.comparison import compare
from analysis.statistics.inputs import prepare
from analysis.statistics.quality import pareto_front, quality_on_task, quality_over_tasks


@pytest.mark.parametrize(
    ("costs", "losses", "front"),
    [
        ([1.0, 2, 3], [3.0, 2, 1], [True, True, True]),
        ([1.0, 2, 3], [1.0, 2, 3], [True, False, False]),
        ([1.0, 1, 2], [2.0, 2, 2], [True, True, False]),  # equals are on the front together; dearer is not
        ([1.0, 1], [2.0, 1], [False, True]),
        ([1.0, 2, np.nan], [np.inf, 2, 0], [False, True, False]),
        ([], [], []),
    ],
)
def test_the_front_is_who_is_not_dominated(costs, losses, front):
    assert pareto_front(np.array(costs), np.array(losses)).tolist() == front


def test_means_of_final_values_and_seconds_on_a_task(rows, make):
    told = []
    for repetition, end in enumerate((0.5, 0.6, 0.7)):
        told += rows("t", "quick", repetition, [0.1, end], costs=[1, 10 + repetition], direction="max")
        told += rows("t", "good", repetition, [0.1, end + 0.2], costs=[1, 40], direction="max")
        told += rows("t", "bad", repetition, [0.1, end], costs=[1, 90], direction="max")
        told += rows("t", "never", repetition, [None if repetition else 0.4], direction="max")
    found = quality_on_task(prepare(make(told, {"t": {"direction": "max"}})), "t")
    assert found.absent == ("never",)
    assert found.means["searcher"].tolist() == ["quick", "good", "bad"]  # the cheapest first
    assert found.means["value"].tolist() == pytest.approx([0.6, 0.8, 0.6])
    assert found.means["seconds"].tolist() == pytest.approx([11.2, 40.2, 90.2])  # 0.1 s of search a step
    assert found.means["front"].tolist() == [True, True, False]
    assert found.means["value_low"].isna().all()  # three repetitions are no interval
    quick = found.units[found.units["searcher"] == "quick"]
    assert quick["unit"].tolist() == ["repetition 0", "repetition 1", "repetition 2"]
    assert quick["value"].tolist() == [0.5, 0.6, 0.7]
    assert quick["seconds"].tolist() == pytest.approx([10.2, 11.2, 12.2])


def test_five_repetitions_have_an_interval_in_both_directions_and_no_single_points(rows, make):
    told = [
        row
        for r in range(5)
        for name in "ab"
        for row in rows("t", name, r, [0.1 * (r + 1)], costs=[10.0 + r])
    ]
    found = quality_on_task(prepare(make(told, {"t": {}})), "t")
    assert found.units.empty
    for what in ("value", "seconds"):
        low, mean, high = (found.means[f"{what}{end}"] for end in ("_low", "", "_high"))
        assert ((low < mean) & (mean < high)).all()


def test_over_tasks_it_is_the_mean_rank_within_repetitions_and_the_mean_seconds(rows, make):
    told = []
    for task, seconds in (("x", 10), ("y", 30)):
        for repetition in range(2):
            worse = 0.4 if (task, repetition) == ("y", 1) else 0.2
            told += rows(task, "a", repetition, [worse], costs=[seconds])
            told += rows(task, "b", repetition, [0.3], costs=[2 * seconds])
    inputs = prepare(make(told, {"x": {}, "y": {}}))
    means = quality_over_tasks(inputs, compare(inputs)).means.set_index("searcher")
    assert means.loc["a", "value"] == pytest.approx(1.25)  # first on x, first once and second once on y
    assert means.loc["b", "value"] == pytest.approx(1.75)
    assert means.loc["a", "seconds"] == pytest.approx(20.1)
    assert means["front"].to_dict() == {"a": True, "b": False}
