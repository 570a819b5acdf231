"""Step functions of cost, and incumbents as such."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.errors import AnalysisError
from analysis.statistics.steps import Steps, incumbents, study_steps, unusable_studies
from harness.errors import DerbyError


def steps(*points):
    costs, values = zip(*points, strict=True)
    return Steps(np.array(costs, dtype=float), np.array(values, dtype=float))


def test_reference_values_of_a_step(rows, make):
    """Finishes (2, .8), (5, .9), (9, .3), budget 10, value 1 before: .8 at 7, mean .79."""
    tables = make(rows("t", "a", 0, [0.8, 0.9, 0.3], costs=[2, 5, 9]), {"t": {}})
    curve = study_steps(incumbents(tables), "t", "train_seconds", "validation")["a", 0]
    at = curve.at(np.array([0, 1.999, 2, 5, 7, 8.999, 9, 10]))
    np.testing.assert_array_equal(at, [np.nan, np.nan, 0.8, 0.8, 0.8, 0.8, 0.3, 0.3])
    ends = np.array([0, 2, 5, 9, 10], dtype=float)
    mean = (np.nan_to_num(curve.at(ends[:-1]), nan=1.0) * np.diff(ends)).sum() / 10
    assert mean == pytest.approx(0.79)


def test_of_equal_costs_the_last_counts():
    assert steps((1, 5), (1, 3), (2, 2)).at(np.array([1.0])) == 3


@pytest.mark.parametrize("costs", [[2.0, 1.0], [1.0, np.nan], []])
def test_costs_must_ascend(costs):
    with pytest.raises(ValueError, match="Steps needs"):
        Steps(np.array(costs), np.zeros(len(costs)))


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 6), st.sampled_from([np.nan, 1.0, 2.0])), min_size=1))
def test_simplified_is_the_same_function(points):
    run = steps(*sorted(points, key=lambda point: point[0]))
    short = run.simplified()
    grid = np.arange(-1, 8, 0.5)
    np.testing.assert_array_equal(short.at(grid), run.at(grid))
    assert (np.diff(short.costs) > 0).all()
    assert (short.costs[0], short.end) == (run.costs[0], run.end)
    middle = short.value[1:-1]
    assert not any(a == b for a, b in zip(short.value[:-2], middle, strict=True))


def test_failed_evaluations_cost_and_are_never_incumbents(rows, make):
    tables = make(rows("t", "a", 0, [None, 0.5, None, 0.4], costs=[1, 2, 3, 4]), {"t": {"failure": 0.0}})
    best = incumbents(tables)
    np.testing.assert_array_equal(best["validation"], [np.nan, 0.5, 0.5, 0.4])
    curve = study_steps(best, "t", "train_seconds", "validation")["a", 0]
    assert (curve.start, curve.end) == (2, 4)


def test_the_status_decides_whatever_value_stands_beside_it(rows, make):
    told = rows("t", "a", 0, [0.5, 0.1, 0.4])
    told[1]["status"] = "timeout"
    np.testing.assert_array_equal(incumbents(make(told, {"t": {}}))["validation"], [0.5, 0.5, 0.4])


def test_test_value_is_that_of_the_configuration_selected_by_validation(rows, make):
    told = rows("t", "a", 0, [0.5, 0.6, 0.4, 0.4], [0.30, 0.10, 0.35, 0.01])
    best = incumbents(make(told, {"t": {"test_metric": "test_loss"}}))
    np.testing.assert_array_equal(best["test"], [0.30, 0.30, 0.35, 0.35])  # rises, and ties keep the earlier


def test_larger_is_better_where_the_task_says_so(rows, make):
    told = rows("t", "a", 0, [0.5, 0.7, 0.6], direction="max")
    best = incumbents(make(told, {"t": {"direction": "max"}}))
    np.testing.assert_array_equal(best["validation"], [0.5, 0.7, 0.7])


def test_a_continued_trial_that_got_worse_keeps_its_shorter_evaluation(rows, make):
    told = rows("t", "h", 0, [0.5, 0.6], [0.1, 0.2], epochs=[3, 9], trials=[0, 0])
    best = incumbents(make(told, {"t": {"full_epochs": 9, "test_metric": "test_loss"}}))
    assert best[["spent_epochs", "validation", "test"]].to_numpy().tolist() == [[3, 0.5, 0.1], [9, 0.5, 0.1]]


def test_one_study_does_not_inherit_the_incumbent_of_another(rows, make):
    tables = make(rows("t", "a", 0, [0.1]) + rows("t", "a", 1, [None, 0.3]), {"t": {}})
    best = incumbents(tables)
    np.testing.assert_array_equal(best["validation"], [0.1, np.nan, 0.3])


def test_only_finished_studies_are_used_and_the_others_are_listed(rows, make):
    told = rows("t", "a", 0, [0.1]) + rows("t", "a", 1, [0.2])
    other = {"task": "t", "searcher": "a", "repetition": 2, "state": "missing", "reason": "never run"}
    tables = make(told, {"t": {}}, states={"t|a|1": ("running", "")}, others=[other])
    assert incumbents(tables)["repetition"].tolist() == [0]
    assert unusable_studies(tables)[["repetition", "state", "reason"]].to_numpy().tolist() == [
        [1, "running", ""],
        [2, "missing", "never run"],
    ]


def test_nothing_told_yet_is_an_error_that_says_what_to_do(make):
    other = {"task": "t", "searcher": "a", "repetition": 0, "state": "missing", "reason": ""}
    with pytest.raises(DerbyError, match=r"'synthetic' has no evaluation .*1 study planned.*derby run"):
        incumbents(make([], {"t": {}}, others=[other]))


def test_two_studies_of_one_name_are_an_error(rows, make):
    tables = make(rows("t", "a", 0, [0.1]), {"t": {}})
    studies = pd.concat([tables.studies, tables.studies.assign(study="other")])
    with pytest.raises(AnalysisError, match="two studies of a on t, repetition 0"):
        incumbents(dataclasses.replace(tables, studies=studies))
