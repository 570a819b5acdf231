"""Mean curves and final results."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.statistics.curves import final_results, mean_curves, never_succeeded
from analysis.statistics.steps import incumbents


def curve(tables, searcher, cost="train_seconds", measure="validation", task="t"):
    data = mean_curves(incumbents(tables), task, cost, measure)
    return data[data["searcher"] == searcher].reset_index(drop=True)


def test_a_mean_is_of_exact_steps_held_at_the_last_incumbent(rows, make):
    told = rows("t", "a", 0, [0.8, 0.4], costs=[2, 5]) + rows(
        "t", "a", 1, [None, 0.6, 0.7, 0.2], costs=[1, 3, 4, 9]
    )
    mean = curve(make(told, {"t": {}}), "a")
    # From 3 on, where both have a success; 4 changes nothing; the first study is held from 5 to 9.
    assert mean["cost"].tolist() == [3, 5, 9]
    assert mean["mean"].tolist() == pytest.approx([0.7, 0.5, 0.3])
    assert mean["repetitions"].tolist() == [2, 2, 2]
    assert mean[["low", "high"]].isna().all(axis=None)  # two units have no interval


def test_a_curve_ends_at_the_largest_final_cost_even_if_nothing_changes_there(rows, make):
    told = rows("t", "a", 0, [0.5, 0.9], costs=[1, 3]) + rows("t", "a", 1, [0.7, None], costs=[1, 8])
    assert curve(make(told, {"t": {}}), "a")["cost"].tolist() == [1, 8]


def test_a_method_with_a_repetition_without_success_has_no_mean_and_is_named(rows, make):
    told = rows("t", "a", 0, [0.5]) + rows("t", "a", 1, [None, None]) + rows("t", "b", 0, [0.1])
    tables = make(told, {"t": {}})
    data = mean_curves(incumbents(tables), "t", "evaluations", "validation")
    assert data["searcher"].tolist() == ["b"]
    assert never_succeeded(incumbents(tables)).to_numpy().tolist() == [["t", "a", 1]]
    final = final_results(tables, incumbents(tables)).set_index("searcher")
    assert np.isnan(final.loc["a", "validation"])
    assert final.loc["a", ["repetitions", "unsuccessful"]].tolist() == [2, 1]


def test_adding_a_method_or_a_task_changes_no_curve_of_another(tables):
    trials = tables.trials
    fewer = dataclasses.replace(
        tables,
        trials=trials[(trials["searcher"] != "random") & (trials["task"] != "branin/2d")],
        studies=tables.studies[
            (tables.studies["searcher"] != "random") & (tables.studies["task"] != "branin/2d")
        ],
    )
    for searcher in ("optuna_tpe", "hyperband"):
        with_all = curve(tables, searcher, task="mnist/small", measure="test")
        pd.testing.assert_frame_equal(curve(fewer, searcher, task="mnist/small", measure="test"), with_all)


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 10_000))
def test_row_order_is_irrelevant(tables, seed):
    shuffled = dataclasses.replace(
        tables,
        trials=tables.trials.sample(frac=1, random_state=seed),
        studies=tables.studies.sample(frac=1, random_state=seed),
        tasks=tables.tasks.sample(frac=1, random_state=seed),
    )
    pd.testing.assert_frame_equal(incumbents(shuffled), incumbents(tables))
    for cost in ("spent_epochs", "total_seconds"):
        pd.testing.assert_frame_equal(
            mean_curves(incumbents(shuffled), "mnist/small", cost, "test"),
            mean_curves(incumbents(tables), "mnist/small", cost, "test"),
        )
    pd.testing.assert_frame_equal(
        final_results(shuffled, incumbents(shuffled)), final_results(tables, incumbents(tables))
    )


def test_every_cost_gives_the_same_final_mean(tables):
    best = incumbents(tables)
    final = final_results(tables, best).set_index(["task", "searcher"])
    for cost in ("evaluations", "spent_epochs", "train_seconds", "total_seconds"):
        for measure in ("validation", "test"):
            last = mean_curves(best, "mnist/small", cost, measure).groupby("searcher").last()
            for searcher in last.index:
                row = final.loc[("mnist/small", searcher)]
                assert last.loc[searcher, "mean"] == pytest.approx(row[measure], rel=1e-12)
                assert last.loc[searcher, "low"] == pytest.approx(
                    row[f"{measure}_low"], rel=1e-12, nan_ok=True
                )


def test_final_results_count_plans_and_sort_the_best_first(tables):
    final = final_results(tables, incumbents(tables))
    mnist = final[final["task"] == "mnist/small"]
    assert mnist["validation"].is_monotonic_decreasing  # accuracy
    assert final[final["task"] == "fashion/small"]["validation"].is_monotonic_increasing  # loss
    counts = final.set_index(["task", "searcher"])[["repetitions", "planned"]]
    assert counts.loc[("mnist/small", "optuna_tpe")].tolist() == [4, 5]
    assert counts.loc[("mnist/small", "random")].tolist() == [5, 5]
    hyperband = final.set_index(["task", "searcher"]).loc[("mnist/small", "hyperband")]
    assert (hyperband["evaluations"], hyperband["spent_epochs"]) == (60, 270)
    assert final.loc[final["task"] == "branin/2d", "test"].isna().all()


def test_a_method_without_any_finished_study_is_kept_with_nothing(rows, make):
    other = {"task": "t", "searcher": "b", "repetition": 0, "state": "failed", "reason": "x"}
    tables = make(rows("t", "a", 0, [0.5]), {"t": {}}, others=[other])
    final = final_results(tables, incumbents(tables)).set_index("searcher")
    assert final.loc["b", ["planned", "repetitions"]].tolist() == [1, 0]
    assert np.isnan(final.loc["b", "validation"])


def test_final_results_have_the_standard_deviation_over_repetitions(rows, make):
    told = [row for r, value in enumerate([0.1, 0.4, 0.7]) for row in rows("t", "a", r, [value], [value + 1])]
    tables = make(told + rows("t", "b", 0, [0.1]), {"t": {"test_metric": "test"}})
    final = final_results(tables, incumbents(tables)).set_index("searcher")
    assert final.loc["a", ["validation_sd", "test_sd"]].tolist() == pytest.approx([0.3, 0.3])
    assert np.isnan(final.loc["b", "validation_sd"])
