"""Runs that share nothing: the rank-sum test and ranks among all runs, against scipy and by counting."""

from __future__ import annotations

import dataclasses
import itertools
import math

import numpy as np
import pandas as pd
import pytest
import synthetic_sweeps
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from analysis.errors import AnalysisError
from analysis.figures import named
from analysis.report.latex import all_tables
from analysis.report.notices import notices
from analysis.report.summary import summary
from analysis.statistics.comparison import compare, ranking
from analysis.statistics.independent import (
    compared,
    expected_ranks,
    fewest_runs,
    rank_sum_p,
    smallest_p,
    without_failures,
)
from analysis.statistics.inputs import prepare
from analysis.statistics.paired import compare_within_tasks, power_of, repetitions_needed
from analysis.statistics.ranks import complete_blocks, mean_ranks, run_ranks, task_ranks
from analysis.statistics.tasks import task_facts
from analysis.words import IMPORT_MARK

LOSSES = st.integers(0, 6).map(float)


@pytest.mark.parametrize("sizes", [(5, 5), (3, 9), (12, 20)])
def test_without_ties_the_test_is_scipys(sizes):
    generator = np.random.default_rng(3)
    a, b = generator.normal(size=sizes[0]), generator.normal(0.8, 1, size=sizes[1])
    assert rank_sum_p(a, b) == pytest.approx(stats.mannwhitneyu(a, b, method="exact").pvalue)


@given(arrays(float, 7, elements=LOSSES), st.integers(2, 5))
@settings(max_examples=40)
def test_with_ties_it_counts_every_way_to_deal_the_ranks(values, size):
    ranks = stats.rankdata(values)
    sums = np.array([sum(own) for own in itertools.combinations(ranks, size)])
    found = ranks[:size].sum()
    expected = min(1.0, 2 * min((sums <= found + 1e-9).mean(), (sums >= found - 1e-9).mean()))
    assert rank_sum_p(values[:size], values[size:]) == pytest.approx(expected)


def test_many_runs_are_tested_by_the_normal_approximation_and_failures_are_worst():
    a, b = np.arange(40.0), np.append(np.arange(39.0) + 0.5, np.inf)
    expected = stats.mannwhitneyu(a, np.append(b[:-1], 100.0), method="asymptotic").pvalue
    assert rank_sum_p(a, b) == pytest.approx(expected)
    assert rank_sum_p(np.ones(5), np.ones(4)) == 1.0


def test_the_smallest_p_is_reached_and_decides_how_many_runs_are_needed():
    assert rank_sum_p(np.arange(4.0), np.arange(4.0) + 10) == pytest.approx(smallest_p(4, 4))
    for comparisons in (1, 6, 55):
        runs = fewest_runs(comparisons=comparisons)
        assert smallest_p(runs, runs) * comparisons <= 0.05 < smallest_p(runs - 1, runs - 1) * comparisons


def test_the_level_holds_and_the_power_is_about_what_is_said():
    generator = np.random.default_rng(0)
    runs, shift, times = 10, 1.2, 400
    null = [rank_sum_p(*generator.normal(size=(2, runs))) <= 0.05 for _ in range(times)]
    pairs = [generator.normal(size=(2, runs)) for _ in range(times)]
    found = [rank_sum_p(first, second + shift) <= 0.05 for first, second in pairs]
    assert np.mean(null) <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / times)
    said = power_of(runs, shift / math.sqrt(2), paired=False)
    assert np.mean(found) == pytest.approx(said, abs=0.08)
    assert repetitions_needed(shift, math.sqrt(2), paired=False, power=said) in range(runs - 1, runs + 2)


@given(arrays(float, (3, 3), elements=LOSSES))
@settings(max_examples=40)
def test_an_expected_rank_is_the_mean_over_all_ways_to_take_a_run_of_each(losses):
    ways = np.array([stats.rankdata(runs) for runs in itertools.product(*losses.T)])
    expected = ways.mean(axis=0)
    assert expected_ranks(losses) == pytest.approx(expected)
    assert run_ranks(losses[:, :, None]).mean(axis=0)[:, 0] == pytest.approx(expected)


def test_methods_may_have_different_numbers_of_runs():
    losses = np.array([[1.0, 2.0], [3.0, np.nan]])
    assert expected_ranks(losses).tolist() == [1.5, 1.5]
    assert without_failures(np.array([[np.inf], [np.inf]])) is None
    assert compared(np.array([1.0, 3.0]), np.array([2.0]))["wins"] == 1


def test_the_interval_of_a_rank_covers_it():
    """All runs vary, the others', too: an interval from a method's own runs alone would be too narrow."""
    generator = np.random.default_rng(5)
    shifts, times, runs = np.array([0.0, 0.5, 1.0]), 200, 12
    true = 1 + sum(stats.norm.cdf(-shift / math.sqrt(2)) for shift in shifts[1:])
    inside = 0
    for _ in range(times):
        values = run_ranks((generator.normal(size=(runs, 3)) + shifts)[:, :, None])[:, 0, 0]
        half = stats.t.ppf(0.975, runs - 1) * values.std(ddof=1) / math.sqrt(runs)
        inside += abs(values.mean() - true) <= half
    assert inside / times > 0.9


# Over whole sweeps.

VALUES = {"random": [0.9, 0.3, 0.5, 0.7], "a": [0.2, 0.8, 0.1, 0.6], "b": [0.4, 0.35, 0.55, 0.15]}
TASK = {**synthetic_sweeps.NO_TASK, "budget_amount": 1, "regret_best": 0.0, "regret_reference": 1.0}


def sweep(order, tasks=6):
    """The same runs of each method, numbered in some order; ``None``: as they are."""

    def value(name, task, repetition):
        own = VALUES[name]
        number = order[repetition] if order is not None and name == "a" else repetition
        return own[number] + 0.01 * task

    rows = synthetic_sweeps.told_of(
        {name: lambda task, r, name=name: value(name, task, r) for name in VALUES}, tasks, 4
    )
    labels = {row["task"]: TASK for row in rows}
    return synthetic_sweeps.tables_of(
        rows, labels, provenance={"imported": {"sources": ["runs.csv"], "notes": ["A note."]}}
    )


@pytest.mark.parametrize("order", [[3, 2, 1, 0], [1, 0, 3, 2]])
def test_the_number_of_a_run_plays_no_part(order):
    first, second = (compare(prepare(sweep(own))) for own in (None, order))
    assert not first.paired
    told = ["searcher", "rank", "won", "p_holm"]
    pd.testing.assert_frame_equal(ranking(first)[told], ranking(second)[told])
    left, right = (own.within.drop(columns=["low", "high"]) for own in (first, second))
    pd.testing.assert_frame_equal(left, right)
    for tables in (sweep(None), sweep(order)):
        inputs = prepare(tables)
        blocks = complete_blocks(tables, "t0")
        ranks = task_ranks(
            inputs.best, task_facts(tables, "t0"), blocks, "evaluations", "validation", paired=tables.paired
        )
        found = mean_ranks(ranks, "validation").set_index("searcher")
        assert found["mean"].to_dict() == pytest.approx(first.final.ranks_on("t0"))


def test_no_interval_of_a_rank_leaves_what_ranks_can_be():
    rows = synthetic_sweeps.told_of({"a": lambda t, r: r / 9, "b": lambda t, r: (r + 4) / 9}, 1, 6)
    tables = synthetic_sweeps.tables_of(rows, {"t0": TASK}, provenance={"imported": {"sources": ["x"]}})
    ranks = task_ranks(
        prepare(tables).best,
        task_facts(tables, "t0"),
        complete_blocks(tables, "t0"),
        "evaluations",
        "validation",
        paired=tables.paired,
    )
    ends = mean_ranks(ranks, "validation")[["low", "high"]].to_numpy()
    assert np.isfinite(ends).all()
    assert (ends >= 1).all()
    assert (ends <= 2).all()


def test_paired_runs_are_compared_in_pairs_where_it_is_said():
    tables = sweep(None)
    tables.provenance["imported"]["paired"] = True
    comparison = compare(prepare(tables))
    assert comparison.paired
    assert comparison.within["wins"].max() <= 4  # repetitions, not pairs of runs
    assert comparison.within["p"].tolist() == [
        *compare_within_tasks(list(comparison.every.values()), control="random")["p"]
    ]


def test_the_page_says_what_cannot_be_known():
    inputs = prepare(sweep(None))
    comparison = compare(inputs)
    said = " ".join(notices(inputs))
    assert "Imported from runs.csv: nothing of this was run by HPO Derby" in said
    assert "runs of different methods are independent" in said
    assert "A note." in said
    words = " ".join(summary(inputs, comparison))
    assert "signed-rank tests over repetitions" not in words
    assert "wins more repetitions" not in words
    assert inputs.facts["t0"].imported == "runs.csv"


def test_with_few_tasks_runs_are_compared_within_each():
    inputs = prepare(sweep(None, tasks=1))
    comparison = compare(inputs)
    words = " ".join(summary(inputs, comparison))
    assert "% of all pairs" in words
    assert "rank-sum tests" in words


def unequal():
    """Imported runs of three methods on eight tasks, of which one method has two more and one has one more."""
    more = {"a": 6, "b": 5, "random": 4}
    rows = [
        row
        for name, count in more.items()
        for row in synthetic_sweeps.told_of({name: lambda task, r: r + 0.01 * task}, 8, count)
    ]
    labels = {row["task"]: TASK for row in rows}
    return synthetic_sweeps.tables_of(rows, labels, provenance={"imported": {"sources": ["runs.csv"]}})


def test_runs_that_are_not_ranked_are_counted_since_their_numbers_mean_nothing():
    blocks = complete_blocks(unequal(), "t0")
    assert blocks.repetitions == (0, 1, 2, 3)
    assert blocks.left_out == ("repetitions beyond 4 (2 of a, 1 of b)",)


def test_captions_of_many_tasks_stay_short_and_the_page_names_all():
    inputs = prepare(unequal())
    captions = [table.caption for table in all_tables(inputs)]
    captions.append(named.draw(inputs, "rank").plot.caption)
    said = [caption for caption in captions if "Left out: " in caption]
    assert len(said) >= 2
    for caption in said:
        assert "repetitions beyond 4 (2 of a, 1 of b) on t0; " in caption
        assert "; and 2 more, which the report names." in caption
        assert " on t7" not in caption
    assert len(inputs.field.left_out) == 8


def test_every_table_for_a_paper_is_marked_as_imported():
    tables = all_tables(prepare(sweep(None)))
    assert {table.stem for table in tables} >= {"ranking", "results", "failures", "completeness"}
    for table in tables:
        assert table.caption.endswith(IMPORT_MARK), table.stem
        assert IMPORT_MARK in table.latex


def costed(**columns):
    tables = sweep(None)
    return prepare(dataclasses.replace(tables, trials=tables.trials.assign(**columns)))


def test_seconds_of_imported_results_are_those_of_the_evaluations():
    inputs = costed(total_seconds=np.nan)
    assert named.draw(inputs, "rank", over="seconds").stem == "rank_train_seconds"
    assert named.draw(inputs, "convergence", task="t1", over="seconds").stem.endswith("train_seconds")


@pytest.mark.parametrize("over", ["seconds", "train_seconds", "total_seconds", "time", "virtual_time"])
def test_a_cost_that_is_not_on_record_is_refused(over):
    inputs = costed(total_seconds=np.nan, train_seconds=np.nan)
    with pytest.raises(
        AnalysisError, match=f"nothing to show over '{over}'.*they have evaluations, spent_epochs"
    ):
        named.draw(inputs, "rank", over=over)
