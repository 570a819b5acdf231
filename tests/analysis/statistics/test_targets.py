"""Reaching targets: expected running time, ECDF, speed-up."""

import dataclasses
import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.statistics.inputs import prepare
from analysis.statistics.steps import Steps
from analysis.statistics.targets import (
    TARGETS,
    baseline_of,
    first_hits,
    running_times,
    speed_up,
    target_ecdf,
)

BETWEEN = {"regret_best": 0.0, "regret_reference": 1.0, "budget_amount": 4}


@settings(max_examples=40, deadline=None)
@given(st.lists(st.one_of(st.none(), st.integers(0, 9)), min_size=1, max_size=8))
def test_a_hit_is_the_first_cost_at_or_below_the_target(values):
    run = Steps(np.arange(1.0, len(values) + 1), np.array([np.nan if v is None else v / 10 for v in values]))
    targets = np.array([0.9, 0.5, 0.3, 0.0])
    for target, hit in zip(targets, first_hits(run, targets), strict=True):
        reached = [
            cost for cost, v in zip(run.costs, values, strict=True) if v is not None and v / 10 <= target
        ]
        assert hit == (min(reached) if reached else np.inf)


def test_running_times_count_what_failed_runs_spent(rows, make):
    told = rows("t", "a", 0, [0.9, 0.4, 0.3]) + rows("t", "a", 1, [0.9, 0.8, 0.7, 0.6])
    table = running_times(prepare(make(told, {"t": BETWEEN})), "evaluations").set_index("target")
    assert table.loc[0.5, ["runs", "successes", "ert"]].tolist() == [2, 1, 2 + 4]
    assert table.loc[0.1, "ert"] == math.inf
    assert running_times(prepare(make(told, {"t": {}})), "evaluations").empty


def test_the_ecdf_weighs_tasks_equally_and_counts_every_target(rows, make):
    told = []
    for r in range(2):
        told += rows("t", "a", r, [2.0, 0.0]) + rows("t", "b", r, [2.0, 2.0])
        told += rows("u", "a", r, [0.0]) + rows("u", "b", r, [0.5 if r else 0.0])
    inputs = prepare(make(told, {"t": BETWEEN, "u": BETWEEN}))
    data = target_ecdf(inputs, "evaluations", fraction=False)
    values = data.set_index(["searcher", "cost"])["mean"]
    assert values["a", 1.0] == 0.5
    assert values["a", 2.0] == 1.0
    half = (TARGETS >= 0.5).mean()
    assert values["b", 4.0] == pytest.approx((0 + (1 + half) / 2) / 2)
    share = target_ecdf(inputs, "evaluations", fraction=True)
    assert share["cost"].max() == 1.0  # the budget
    assert share["cost"].min() == 0.25
    assert target_ecdf(prepare(make(told, {"t": {}, "u": {}})), "evaluations", fraction=False).empty


def test_speed_up_by_hand(rows, make):
    told = []
    for r, final in enumerate(
        (0.4, 0.5, 0.6)
    ):  # random search ends at 0.5 in the median, after 4 evaluations
        told += rows("t", "random", r, [0.9, 0.8, 0.7, final])
        told += rows("t", "fast", r, [0.9, 0.5, 0.4, 0.4])
        told += rows("t", "slow", r, [0.9, 0.8, 0.7, 0.65 if r else 0.5])
    data = speed_up(prepare(make(told, {"t": {}})), "evaluations").set_index("searcher")
    assert "random" not in data.index
    assert data.loc["fast", ["level", "speed_up", "reached"]].tolist() == [0.5, 2.0, 3]
    assert not data.loc["fast", "censored"]
    assert data.loc["slow", "censored"]
    assert data.loc["slow", ["speed_up", "reached"]].tolist() == [1.0, 1]
    assert math.isnan(data.loc["slow", "low"])


def test_speed_up_goes_by_the_direction_of_the_task(rows, make):
    told = rows("t", "random", 0, [0.1, 0.5], direction="max") + rows("t", "a", 0, [0.6], direction="max")
    data = speed_up(prepare(make(told, {"t": {"direction": "max"}})), "evaluations")
    assert data[["level", "speed_up"]].to_numpy().tolist() == [[0.5, 2.0]]


def test_random_search_is_found_by_its_method_not_its_label(rows, make, tables):
    own = make(rows("t", "sobol", 0, [0.1]) + rows("t", "a", 0, [0.1]), {"t": {}})
    assert baseline_of(prepare(own)) is None
    labelled = own.studies.assign(method=own.studies["searcher"].replace("sobol", "random"))
    assert baseline_of(prepare(dataclasses.replace(own, studies=labelled))) == "sobol"
    assert baseline_of(prepare(tables)) == "random"
    assert speed_up(prepare(own), "evaluations").equals(
        pd.DataFrame(
            columns=["task", "searcher", "level", "runs", "reached", "speed_up", "low", "high", "censored"]
        )
    )
