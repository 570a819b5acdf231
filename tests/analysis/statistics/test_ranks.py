"""Mean rank over cost."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference_data import CLASSIFIERS

from analysis.statistics.ranks import (
    complete_blocks,
    mean_ranks,
    mean_ranks_over_tasks,
    rankable,
    rounded,
    same_costs,
    task_ranks,
)
from analysis.statistics.steps import incumbents
from analysis.statistics.tasks import task_facts


def ranks_of(tables, task="t", cost="evaluations", measure="validation"):
    blocks = complete_blocks(tables, task)
    return task_ranks(incumbents(tables), task_facts(tables, task), blocks, cost, measure)


def mean_of(tables, searcher, **options):
    data = mean_ranks(ranks_of(tables, **options), "validation")
    return data[data["searcher"] == searcher][["cost", "mean"]].to_numpy().tolist()


def test_reference_ranks_of_five_classifiers(rows, make):
    told = []
    for name, column in CLASSIFIERS.items():
        for index, value in enumerate(column.split()):
            told += rows(f"data{index}", name, 0, [float(value)], direction="max")
    tables = make(told, {f"data{index}": {"direction": "max"} for index in range(30)})
    ranks = [ranks_of(tables, task) for task in rankable(tables).tasks]
    mean = mean_ranks_over_tasks(ranks, "validation", fraction=False).set_index("searcher")
    assert mean.loc[list(CLASSIFIERS), "mean"].tolist() == pytest.approx(
        [2.1, 3.25, 2.2, 4.3333, 3.1167], abs=5e-5
    )
    assert (mean["tasks"] == 30).all()
    assert (mean["low"] < mean["mean"]).all()
    assert (mean["mean"] < mean["high"]).all()


def test_ranks_follow_the_incumbents_not_the_last_evaluations(rows, make):
    told = rows("t", "a", 0, [0.5, 0.9, 0.9]) + rows("t", "b", 0, [0.7, 0.6, 0.4])
    tables = make(told, {"t": {}})
    assert mean_of(tables, "a") == [[1, 1], [3, 2]]
    assert mean_of(tables, "b") == [[1, 2], [3, 1]]


def test_ranks_begin_where_all_methods_have_an_incumbent_and_hold_who_stops(rows, make):
    told = rows("t", "a", 0, [0.5, 0.4], costs=[1, 2])
    told += rows("t", "b", 0, [None, 0.45, 0.3], costs=[1.5, 4, 9])
    assert mean_of(make(told, {"t": {}}), "a", cost="train_seconds") == [[4, 1], [9, 2]]


def test_a_study_without_success_ranks_last_and_delays_nothing(rows, make):
    told = rows("t", "a", 0, [0.5, 0.4]) + rows("t", "b", 0, [None] * 4) + rows("t", "c", 0, [0.6, 0.3])
    told += rows("t", "d", 0, [None])
    tables = make(told, {"t": {}})
    assert mean_of(tables, "b") == [[1, 3.5], [4, 3.5]]
    assert mean_of(tables, "d") == [[1, 3.5], [4, 3.5]]


def test_ties_are_averaged_after_rounding(rows, make):
    noise = 1e-12
    told = rows("t", "a", 0, [0.3]) + rows("t", "b", 0, [0.1 + 0.2]) + rows("t", "c", 0, [0.3 + noise])
    told += rows("t", "d", 0, [0.3 + 1e-8])
    tables = make(told, {"t": {}})
    assert [mean_of(tables, name)[0][1] for name in "abcd"] == [2, 2, 2, 4]


@settings(deadline=None)
@given(st.floats(allow_nan=False, min_value=-1e200, max_value=1e200))
def test_rounding_keeps_nine_digits(value):
    result = float(rounded(np.array([value]))[0])
    assert result == pytest.approx(value, rel=5.1e-9, abs=1e-300)
    assert float(rounded(np.array([result]))[0]) == result


@pytest.mark.parametrize("unit", [1e-30, 1e-12, 1.0, 1e9, 1e200])
def test_the_order_does_not_depend_on_the_unit(unit):
    losses = np.array([0.1 + 0.2, 0.3, 0.3000001, 1e-7, 0.0, -0.5])
    assert np.sign(np.subtract.outer(rounded(losses * unit), rounded(losses * unit))).tolist() == (
        np.sign(np.subtract.outer(rounded(losses), rounded(losses))).tolist()
    )


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_a_monotone_map_of_a_task_changes_no_rank(rows, make, data):
    levels = st.none() | st.integers(0, 8).map(lambda level: level / 4)
    told = {
        (name, repetition): data.draw(st.lists(levels, min_size=2, max_size=5))
        for name in "abc"
        for repetition in range(2)
    }
    if not any(value is not None for values in told.values() for value in values):
        return
    maps = {"exp": np.exp, "cube": lambda x: 1000 * x**3 - 7, "flip": lambda x: -x}
    tables = {
        name: make(
            [
                row
                for (searcher, repetition), values in told.items()
                for row in rows(
                    "t", searcher, repetition, [v if v is None else float(change(v)) for v in values]
                )
            ],
            {"t": {"direction": "max" if name == "flip" else "min"}},
        )
        for name, change in {"same": lambda x: x, **maps}.items()
    }
    same = ranks_of(tables["same"])
    for name in maps:
        mapped = ranks_of(tables[name])
        np.testing.assert_array_equal(mapped.steps.costs, same.steps.costs)
        np.testing.assert_array_equal(mapped.steps.value, same.steps.value)
    # Whoever ties, ranks add up.
    np.testing.assert_allclose(same.steps.value.sum(axis=1), 6)


def renamed(tables, old, new):
    """The tables with a copy of a method under another name."""
    trials, studies = (
        tables.trials[tables.trials["searcher"] == old],
        tables.studies[tables.studies["searcher"] == old],
    )
    return dataclasses.replace(
        tables,
        trials=pd.concat([tables.trials, trials.assign(searcher=new, study=trials["study"] + "copy")]),
        studies=pd.concat([tables.studies, studies.assign(searcher=new, study=studies["study"] + "copy")]),
    )


def test_a_duplicated_method_ties_itself(tables):
    data = ranks_over_tasks(renamed(tables, "skopt_gp", "zz_copy"), "spent_epochs")
    for measure, group in data.groupby("measure"):
        original, copy = (
            group[group["searcher"] == name].set_index("cost") for name in ("skopt_gp", "zz_copy")
        )
        pd.testing.assert_series_equal(original["mean"], copy["mean"], obj=str(measure))


def ranks_over_tasks(tables, cost):
    """By validation values, then by test values over the tasks that have some."""
    facts = {task: task_facts(tables, task) for task in rankable(tables).tasks}
    parts = []
    for measure in ("validation", "test"):
        ranks = [
            ranks_of(tables, task, cost, measure) for task, own in facts.items() if measure in own.metrics
        ]
        parts.append(mean_ranks_over_tasks(ranks, measure, fraction=True))
    return pd.concat(parts, ignore_index=True)


def test_row_order_is_irrelevant_and_the_seed_is_fixed(tables):
    shuffled = dataclasses.replace(
        tables,
        trials=tables.trials.sample(frac=1, random_state=3),
        studies=tables.studies.sample(frac=1, random_state=4),
        tasks=tables.tasks.iloc[::-1],
    )
    pd.testing.assert_frame_equal(
        ranks_over_tasks(shuffled, "total_seconds"), ranks_over_tasks(tables, "total_seconds")
    )


def test_the_mean_is_over_repetitions_first_then_over_tasks(rows, make):
    """Task u has one repetition, t three: each task counts once."""
    told = []
    for repetition in range(3):
        told += rows("t", "a", repetition, [0.1]) + rows("t", "b", repetition, [0.2])
    told += rows("u", "a", 0, [0.2]) + rows("u", "b", 0, [0.1])
    tables = make(told, {"t": {}, "u": {}})
    mean = mean_ranks_over_tasks([ranks_of(tables, "t"), ranks_of(tables, "u")], "validation", fraction=False)
    assert mean["mean"].tolist() == [1.5, 1.5]


def test_one_task_has_no_interval(rows, make):
    told = [
        row for r in range(3) for name in "ab" for row in rows("t", name, r, [0.1 if name == "a" else 0.2])
    ]
    mean = mean_ranks_over_tasks([ranks_of(make(told, {"t": {}}))], "validation", fraction=False)
    assert mean[["low", "high"]].isna().all(axis=None)


def test_tasks_that_end_at_different_costs_are_compared_at_fractions(rows, make):
    told = rows("t", "a", 0, [0.5] * 10) + rows("t", "b", 0, [0.9] * 9 + [0.1])
    told += rows("u", "a", 0, [0.5] * 20) + rows("u", "b", 0, [0.9] * 19 + [0.1])
    tables = make(told, {"t": {}, "u": {}})
    ranks = [ranks_of(tables, task) for task in "tu"]
    assert not same_costs(ranks)
    mean = mean_ranks_over_tasks(ranks, "validation", fraction=True)
    first = mean[mean["searcher"] == "a"]
    assert first["cost"].tolist() == pytest.approx(
        [0.1, 1.0]
    )  # both begin at 1/10, the later of their starts
    assert first["mean"].tolist() == [1, 2]


def test_incomplete_repetitions_are_left_out_and_named(tables):
    blocks = complete_blocks(tables, "mnist/small")
    assert blocks.repetitions == (0, 1, 2, 3)
    assert blocks.left_out == ("repetition 4 (optuna_tpe failed)",)
    field = rankable(tables)
    assert {task: len(own.repetitions) for task, own in field.tasks.items()} == {
        "branin/2d": 5,
        "fashion/small": 4,
        "mnist/small": 4,
    }
    assert field.left_out == (
        "repetition 3 (skopt_gp missing) on fashion/small",
        "repetition 4 (optuna_tpe failed) on mnist/small",
    )


def test_a_task_that_lacks_a_method_is_left_out_of_the_ranks_over_tasks(rows, make):
    told = rows("t", "a", 0, [0.1]) + rows("t", "b", 0, [0.2]) + rows("u", "a", 0, [0.1])
    others = [{"task": "u", "searcher": "b", "repetition": 0, "state": "failed", "reason": ""}]
    others += [{"task": "t", "searcher": "c", "repetition": 0, "state": "missing", "reason": ""}]
    tables = make(told, {"t": {}, "u": {}}, others=others)
    field = rankable(tables)
    assert list(field.tasks) == ["t"]
    assert field.left_out == (
        "c (no finished study on any task)",
        "task u (no finished study of b)",
    )
    assert complete_blocks(tables, "u").left_out == ("b (no finished study)",)


def test_too_little_to_rank_gives_nothing(rows, make):
    alone = make(rows("t", "a", 0, [0.1]), {"t": {}})
    assert ranks_of(alone) is None
    apart = make(rows("t", "a", 0, [0.1]) + rows("t", "b", 1, [0.2]), {"t": {}})
    assert complete_blocks(apart, "t").left_out == (
        "repetition 0 (b not planned)",
        "repetition 1 (a not planned)",
    )
    assert ranks_of(apart) is None
    hopeless = make(rows("t", "a", 0, [None]) + rows("t", "b", 0, [None]), {"t": {}})
    assert ranks_of(hopeless) is None
    with pytest.raises(ValueError, match="same methods"):
        mean_ranks_over_tasks([], "validation", fraction=False)
