"""Baselines in numbers: where they end, their regret, and what methods are worth in random search, by hand."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from analysis.statistics import baselines
from analysis.statistics.baselines import (
    balance,
    baseline_lines,
    baseline_regrets,
    baseline_values,
    wins,
    worth,
)
from analysis.statistics.inputs import prepare
from analysis.statistics.steps import Steps
from results import baseline_table

BETWEEN = {"regret_best": 0.0, "regret_reference": 1.0, "budget_amount": 4}


def entry(study, baseline, *, state="done", multiple=0, trial=-1, value=math.nan, test=math.nan, about=""):
    """Return a row of the table of baselines: of a study by its name in the synthetic sweeps, or of a task alone."""
    task, _, repetition = study.split("|") if "|" in study else (study, "", "-1")
    return {
        "task": task,
        "baseline": baseline,
        "repetition": int(repetition),
        "study": study if "|" in study else "",
        "state": state if "|" in study else "known",
        "reason": "",
        "multiple": multiple,
        "trial": trial,
        "value": value,
        "test": test,
        "about": about,
    }


def beside(tables, entries, told):
    """Return tables with baselines, and with the trials that their studies were told."""
    trials = pd.DataFrame(told, columns=tables.trials.columns).assign(
        virtual_start=0.0, machine="", evaluation=""
    )
    return dataclasses.replace(tables, baselines=baseline_table.frame(entries), baseline_trials=trials)


def longer(rows, told, task="t"):
    """Return the entries and trials of random search with twice and four times the budget, by repetition."""
    studies = [f"{task}|baseline random_4x|{r}" for r in range(len(told))]
    entries = [entry(s, f"random_{m}x", multiple=m) for s in studies for m in (2, 4)]
    return entries, [row for r, v in enumerate(told) for row in rows(task, "baseline random_4x", r, v)]


def test_random_search_is_read_at_multiples_of_the_budget_and_references_at_their_end(rows, make):
    tables = make(rows("t", "a", 0, [0.5]), {"t": {**BETWEEN, "test_metric": "test"}})
    values = [0.9, 0.8, 0.8, 0.7, 0.6, None, 0.6, 0.5, 0.4, 0.3]
    told = rows("t", "baseline random_4x", 0, values, [v and v + 0.05 for v in values])
    told += rows("t", "baseline references", 0, [0.6, 0.2, None], [0.7, 0.4, None])
    entries = [
        entry("t|baseline random_4x|0", "random_2x", multiple=2),
        entry("t|baseline random_4x|0", "random_4x", multiple=4),
        entry("t|baseline references|0", "references"),
        *(entry("t|baseline references|0", f"reference {n}", trial=i) for i, n in enumerate("xyz")),
        entry("t", "best", value=0.1, test=0.15, about="the best"),
        entry("t", "median", value=0.6),
    ]
    found = baseline_values(beside(tables, entries, told)).set_index("baseline")[["validation", "test"]]
    assert found.loc["random_2x"].tolist() == [0.5, 0.55]
    assert found.loc["random_4x"].tolist() == pytest.approx([0.3, 0.35])
    assert found.loc["references"].tolist() == [0.2, 0.4]
    assert found.loc["reference x"].tolist() == [0.6, 0.7]
    assert found.loc["reference z"].isna().all()
    assert found.loc["best"].tolist() == [0.1, 0.15]
    assert found.loc["median", "validation"] == 0.6
    assert math.isnan(found.loc["median", "test"])


def test_a_line_is_the_mean_of_what_is_finished(rows, make):
    tables = make(rows("t", "a", 0, [0.5]), {"t": BETWEEN})
    entries, told = longer(rows, [[0.4, 0.2], [0.6, 0.6], [0.1]])
    entries[-1]["state"] = entries[-2]["state"] = "running"
    entries.append(entry("t", "best", value=0.0, about="the least"))
    lines = baseline_lines(baseline_values(beside(tables, entries, told))).set_index("baseline")
    assert lines.loc["random_2x", ["repetitions", "planned"]].tolist() == [2, 3]
    assert lines.loc["random_2x", "validation"] == pytest.approx((0.2 + 0.6) / 2)
    assert lines.loc["best", ["validation", "repetitions", "planned", "about"]].tolist() == [
        0.0,
        0,
        0,
        "the least",
    ]
    # Of a repetition without a success there is no mean, as of methods.
    entries, told = longer(rows, [[0.4], [None, None]])
    lines = baseline_lines(baseline_values(beside(tables, entries, told)))
    assert lines["validation"].isna().all()
    assert baseline_lines(baseline_values(tables)).empty


def test_what_a_method_is_worth_by_hand(rows, make):
    # Budget 4. In the first repetition random search beats 0.5 with its sixth evaluation, in the second with its
    # twelfth; in the third it draws level with the second and is better with the eighth.
    finals = [0.5, 0.5, 0.5]
    told = [
        [0.9] * 5 + [0.4] + [0.4] * 10,
        [0.9] * 11 + [0.3] + [0.3] * 4,
        [0.9, 0.5] + [0.6] * 5 + [0.2] + [0.2] * 8,
    ]
    ours = [row for r, final in enumerate(finals) for row in rows("t", "a", r, [0.9, final])]
    entries, longest = longer(rows, told)
    found = worth(prepare(beside(make(ours, {"t": BETWEEN}), entries, longest)))
    own = found[found["task"] == "t"].iloc[0]
    # Shares of wins: ½/3 from 2, 1.5/3 from 6, 2/3 from 8, 1 from 12 evaluations: a half from 6 to 8.
    assert own["budgets"] == pytest.approx(math.sqrt(6 / 4 * 8 / 4))
    assert math.isnan(own["low"])  # three repetitions are too few
    assert (own["most"], own["tasks"], own["repetitions"]) == (4.0, 1, 3)


def test_beyond_what_random_search_was_given_there_is_no_number(rows, make):
    ours = [row for r in range(6) for row in rows("t", "good", r, [0.1]) + rows("t", "bad", r, [0.95])]
    entries, told = longer(rows, [[0.9] + [0.5] * 15] * 6)
    found = worth(prepare(beside(make(ours, {"t": BETWEEN}), entries, told)))
    own = found[found["task"] == ""].set_index("searcher")
    assert own.loc["good", ["budgets", "low", "high"]].tolist() == [math.inf] * 3
    assert own.loc["bad", ["budgets", "low", "high"]].tolist() == [0.25] * 3  # with its first evaluation
    assert list(found[found["task"] == ""]["searcher"]) == ["bad", "good"]


def test_failures_lose_and_equal_ones_draw():
    random = Steps(np.array([1.0, 2.0, 3.0]), np.array([np.nan, 0.5, 0.2]))
    assert wins(random, 0.5, 1.0).at(np.array([1.0, 2.0, 3.0])).tolist() == [0.0, 0.5, 1.0]
    assert wins(random, math.nan, 1.0).at(np.array([1.0, 2.0, 3.0])).tolist() == [0.5, 1.0, 1.0]
    most = Steps(random.costs, np.array([np.nan, 0.1 + 0.2, 0.9]))  # to be maximised
    assert wins(most, 0.3, -1.0).at(np.array([1.0, 2.0, 3.0])).tolist() == [0.0, 0.5, 1.0]


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.floats(0, 1), min_size=1, max_size=8), st.floats(0, 0.3))
def test_a_larger_share_needs_no_larger_multiple(shares, more):
    share = np.sort(np.array(shares))
    grid = np.arange(1.0, share.size + 1)
    found = balance(grid, share)
    assert balance(grid, np.minimum(share + more, 1.0)) <= found
    assert found == math.inf or grid[0] <= found <= grid[-1]


def test_random_search_with_twice_the_budget_is_worth_two():
    generator = np.random.default_rng(1)

    def search(evaluations):
        values = np.minimum.accumulate(generator.random(evaluations))
        return Steps(np.arange(1.0, evaluations + 1) / 20, values)

    for multiple in (1, 2):
        within = 0
        for _ in range(40):
            won = [wins(search(80), float(search(20 * multiple).value[-1]), 1.0) for _ in range(60)]
            value, low, high = baselines._worth([won], 4.0)
            assert low <= value <= high
            within += low <= multiple <= high
        assert within >= 34  # of 40 intervals of 95 %
        pooled = [wins(search(80), float(search(20 * multiple).value[-1]), 1.0) for _ in range(3000)]
        assert baselines._worth([pooled], 4.0)[0] == pytest.approx(multiple, rel=0.12)


def test_over_tasks_each_task_counts_alike(rows, make):
    # Of six tasks random search is better from its second evaluation on four, and never on two; one has more runs.
    ours, entries, told, names = [], [], [], [f"t{i}" for i in range(6)]
    for place, task in enumerate(names):
        for r in range(5 if place == 5 else 1):
            ours += rows(task, "a", r, [0.5]) + rows(task, "b", r, [0.6])
        more, trials = longer(
            rows, [[0.9, 0.1 if place < 4 else 0.8] + [0.9] * 6] * (5 if place == 5 else 1), task
        )
        entries, told = entries + more, told + trials
    found = worth(prepare(beside(make(ours, dict.fromkeys(names, BETWEEN)), entries, told)))
    own = found[(found["task"] == "") & (found["searcher"] == "a")].iloc[0]
    assert (own["budgets"], own["tasks"], own["repetitions"]) == (0.5, 6, 10)
    assert own["low"] == 0.5
    assert own["high"] == math.inf  # tasks are resampled, and of six another half may be among them


def test_regrets_are_of_baselines_that_all_tasks_have(rows, make):
    ours = [
        row
        for task in "tu"
        for r in range(2)
        for row in rows(task, "a", r, [0.5]) + rows(task, "b", r, [0.4])
    ]
    entries, told = [], []
    for task, values in (("t", [[0.2], [0.4]]), ("u", [[0.6], [1.8]])):
        more, trials = longer(rows, values, task)
        entries, told = entries + more, told + trials
    entries += [entry("t", "best", value=0.1), entry("u", "best", value=0.2), entry("t", "median", value=0.7)]
    inputs = prepare(beside(make(ours, {"t": BETWEEN, "u": BETWEEN}), entries, told))
    found = baseline_regrets(inputs, baseline_values(inputs.tables), {"t": (0, 1), "u": (0, 1)})
    by_name = {each.baseline: each for each in found}
    assert set(by_name) == {"random_2x", "random_4x", "best"}
    assert by_name["random_2x"].mean == pytest.approx((0.3 + 0.8) / 2)  # a regret is at most 1
    assert by_name["random_2x"].interquartile == pytest.approx((0.4 + 0.6) / 2)
    assert by_name["best"].mean == pytest.approx(0.15)
    assert baseline_regrets(inputs, baseline_values(inputs.tables), {}) == []
