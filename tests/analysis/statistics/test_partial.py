"""Methods that cannot search every task: not in the ranking over all, ranked where they can, and tested in pairs."""

import numpy as np
import pytest
from synthetic_sweeps import told_of

from analysis.figures.chosen import choose
from analysis.report.notices import notices
from analysis.report.partial import partial_words
from analysis.report.rows import sensitivity_rows, sensitivity_table
from analysis.report.summary import summary
from analysis.statistics.answers import answer, look
from analysis.statistics.comparison import by_group, compare, ranking
from analysis.statistics.inputs import prepare
from analysis.statistics.planned import planned_over_tasks
from analysis.statistics.scores import task_scores
from harness.figure_fields import FiguresSpec
from harness.plan import Compare

TASKS = [f"t{index}" for index in range(12)]
ABLE = TASKS[:9]
"""The tasks that ``part`` can search; it is the best on each."""
VALUES = {"a": lambda t, r: 0.2, "b": lambda t, r: 0.3, "part": lambda t, r: 0.1}
GROUPS = {task: "small" if task in TASKS[:4] else "large" for task in TASKS}


@pytest.fixture(scope="module")
def swept(make):
    told = [row for row in told_of(VALUES, TASKS, 3) if row["searcher"] != "part" or row["task"] in ABLE]
    left_out = [
        {"task": task, "searcher": "part", "reason": "it cannot"} for task in TASKS if task not in ABLE
    ]
    about = {
        task: {"group": GROUPS[task], "regret_best": 0.0, "regret_reference": 1.0, "budget_amount": 2}
        for task in TASKS
    }
    return make(told, about, provenance={"left_out": left_out})


@pytest.fixture(scope="module")
def inputs(swept):
    return prepare(swept)


def test_a_method_with_gaps_takes_no_task_from_the_ranking(inputs):
    comparison = compare(inputs)
    table = ranking(comparison)
    assert table["searcher"].tolist() == ["a", "b"]
    assert table["tasks"].tolist() == [12, 12]
    assert comparison.partial == ("part",)
    assert inputs.field.left_out == ("part (cannot search 3 of 12 tasks)",)


def test_it_is_ranked_on_the_tasks_that_it_can_search(inputs):
    (said,) = partial_words(compare(inputs))
    assert said == (
        "part cannot search every task, and is not ranked with the others. On the 9 ranked tasks that it can search, "
        "its mean rank is 1.00 among 3 methods, the lowest. It is shown to be better than a and b."
    )
    assert said in summary(inputs, compare(inputs))
    assert any(
        "leaves out what a method cannot search: part on t10, t11, t9 (it cannot)"
        in n.replace("t9, t10, t11", "t10, t11, t9")
        for n in notices(inputs)
    )


def test_it_is_ranked_in_the_groups_that_it_can_search_throughout(inputs):
    table = by_group(inputs, compare(inputs)).set_index(["group", "searcher"])
    assert table.loc["small"]["rank"].to_dict() == {"a": 2.0, "b": 3.0, "part": 1.0}
    assert table.loc["large"]["rank"].to_dict() == {"a": 1.0, "b": 2.0}
    assert (table.loc["small", "methods"] == 3).all()
    rules = sensitivity_table(inputs, compare(inputs))
    assert rules.loc["part", "On 4 tasks of group small, 3 methods"] == 1
    assert np.isnan(rules.loc["part", "As ranked"])
    row = next(row for row in sensitivity_rows(rules) if row["searcher"] == "part")
    assert row["cells"][0]["text"] == "–"
    assert not row["cells"][0]["best"]


def test_an_answer_about_all_tasks_is_the_ranking_of_the_report(inputs):
    seen = look(inputs, task_scores(inputs), 2)
    found, comparison = answer(seen, TASKS, seen.searchers), compare(inputs)
    assert found.standing.mean_ranks == comparison.mean_ranks
    assert set(found.tasks) == set(comparison.scores) == set(TASKS)
    assert found.left_out == ("part (cannot search 3 of 12 tasks)",)
    able = answer(seen, ABLE, seen.searchers)
    assert able.order == ("part", "a", "b")
    assert able.left_out == ()
    pair = answer(seen, TASKS, ["a", "part"])  # too few others: on the tasks that both can search
    assert pair.order == ("part", "a")
    assert set(pair.tasks) == set(ABLE)


def test_where_all_shown_tasks_can_be_searched_it_is_ranked_as_any_other(swept):
    chosen = choose(swept, FiguresSpec(tasks=ABLE)).tables
    comparison = compare(prepare(chosen))
    assert ranking(comparison)["searcher"].tolist() == ["part", "a", "b"]
    assert comparison.left_out == ()


def test_where_hardly_any_method_can_search_every_task_all_are_ranked_where_all_can(swept):
    two = choose(swept, FiguresSpec(only=["a", "part"])).tables
    comparison = compare(prepare(two))
    assert ranking(comparison)["searcher"].tolist() == ["part", "a"]
    assert set(comparison.scores) == set(ABLE)
    assert any("no finished study of part" in item for item in comparison.left_out)


def test_planned_pairs_are_tested_on_the_tasks_that_both_can_search(inputs):
    rows = planned_over_tasks(inputs, compare(inputs), Compare(("a", "b", "part"), "a", "final", 0.05))
    found = rows.set_index("second")
    assert found.loc["part", "blocks"] == 9
    assert found.loc["b", "blocks"] == 12
    assert found.loc["part", "effect"] == -1


def test_a_planned_comparison_looks_at_parts_of_the_budget_and_is_corrected_over_all(rows, make):
    """After the first of two evaluations b is ahead on every task, at the end a is."""
    curves = {"a": [0.5, 0.1], "b": [0.4, 0.2]}
    told = [
        row
        for task in TASKS
        for name, values in curves.items()
        for r in range(2)
        for row in rows(task, name, r, values)
    ]
    tables = make(told, {task: {"budget_amount": 2} for task in TASKS})
    inputs = prepare(tables)
    stated = Compare(("a", "b"), None, "final", 0.05, (0.5, 1.0))
    found = planned_over_tasks(inputs, compare(inputs), stated)
    assert found["at"].tolist() == [0.5, 1.0]
    assert found["effect"].tolist() == [-1, 1]
    assert found["p_holm"].tolist() == pytest.approx([2 * 2.0**-11] * 2)
    provenance = {
        "compare": {
            "methods": ["a", "b"],
            "method": None,
            "measure": "final",
            "level": 0.05,
            "at": [0.5, 1.0],
        }
    }
    asked, half, end, *_ = summary(
        prepare(make(told, {task: {"budget_amount": 2} for task in TASKS}, provenance=provenance)),
        compare(inputs),
    )
    assert "by the best values after 50 % of the budget and at its end" in asked
    assert "Holm's correction over 1 pair at 2 points of the budget" in asked
    assert "After 50 % of the budget: over tasks, b is shown to be better than a" in half
    assert "At its end: over tasks, a is shown to be better than b" in end


def test_many_planned_pairs_with_one_method_are_sorted_by_what_is_shown(make):
    values = {
        name: (lambda t, r, own=own: own)
        for name, own in zip("abcdef", (0.3, 0.1, 0.2, 0.3, 0.5, 0.6), strict=True)
    }
    compare_ = {"methods": list("abcdef"), "method": "a", "measure": "final", "level": 0.05}
    tables = make(told_of(values, TASKS, 2), {task: {} for task in TASKS}, provenance={"compare": compare_})
    inputs = prepare(tables)
    said = summary(inputs, compare(inputs))[0]
    assert "shown to be better than a: b (p = 0.0024) and c (p = 0.0024)" in said
    assert "shown to be worse than a: e (p = 0.0024) and f (p = 0.0024)" in said
    assert "not shown to differ from a: d (p = 1)" in said
