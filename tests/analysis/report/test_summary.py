"""The report in words."""

import dataclasses

import pytest
from synthetic_sweeps import told_of

from analysis.report.notices import notices
from analysis.report.summary import summary
from analysis.statistics.comparison import compare
from analysis.statistics.inputs import prepare
from results.reevaluation_table import frame


def words_of(make, told, tasks):
    inputs = prepare(make(told, {task: {} for task in tasks}))
    return summary(inputs, compare(inputs))


EIGHT = [f"t{index}" for index in range(8)]


def test_equal_methods_are_said_to_be_equal(rows, make):
    told = [
        row for name in "ab" for repetition in range(2) for row in rows("t", name, repetition, [0.2, 0.1])
    ]
    first, *rest = words_of(make, told, ["t"])
    assert first.startswith(
        "a and b lead together on t, with a mean rank of 1.50 each: a description of this task"
    )
    assert "On t, a and b end equal: a mean rank of 1.50 each over 2 repetitions." in rest


def test_methods_that_share_the_lead_over_tasks_are_both_named_and_none_is_best_by_its_name(rows, make):
    values = {"a": lambda t, r: 0.1, "b": lambda t, r: 0.1, "c": lambda t, r: 0.2}
    first = words_of(make, told_of(values, EIGHT, 5), EIGHT)[0]
    assert first == (
        "a and b lead together over 8 tasks, with a mean rank of 1.50 each. a is shown to be better than c; it is not "
        "shown to differ from b. b is shown to be better than c; it is not shown to differ from a."
    )


def test_a_method_that_is_better_than_the_leader_is_named(rows, make):
    """c beats a in three of five repetitions of every task, and is last in the other two."""
    values = {
        "a": lambda t, r: 0.1,
        "c": lambda t, r: 0.09 if r < 3 else 0.9,
        "x": lambda t, r: 0.2,
        "y": lambda t, r: 0.3,
    }
    said = words_of(make, told_of(values, EIGHT, 5), EIGHT)
    assert said[0] == (
        "a leads over 8 tasks with a mean rank of 1.60 [1.6, 1.6], ahead of c with 2.20. It is shown to be better than "
        "x and y; it is shown to be worse than c, in spite of their mean ranks."
    )


@pytest.mark.parametrize(("methods", "enough"), [(2, 6), (3, 7), (4, 8)])
def test_nothing_is_said_to_differ_or_not_where_nothing_could_have_been_shown(rows, make, methods, enough):
    values = {name: lambda t, r, i=i: 0.1 * i for i, name in enumerate("abcd"[:methods], 1)}
    for count in (enough - 1, enough):
        tasks = [f"t{index}" for index in range(count)]
        text = " ".join(words_of(make, told_of(values, tasks, 3), tasks))
        assert ("shown to be better" in text) == (count == enough)
        assert ("no test over tasks could show" in text) == (count < enough)
        assert (f"{methods} methods need at least {enough} tasks" in text) == (count < enough)
        assert "not shown to differ" not in text


def test_nobody_has_a_result_alone_where_nobody_has_one(rows, make):
    told = told_of(
        {"a": lambda t, r: None if r else 0.1, "b": lambda t, r: None, "c": lambda t, r: None}, ["t"], 3
    )
    text = " ".join(words_of(make, told, ["t"]))
    assert "alone" not in text
    assert "Without a success, and so last: a in 2, b in 3 and c in 3." in text
    assert "before b with 2.17, than which it is better in 1 and equal in 2." in text


def test_another_rule_for_failures_that_gives_another_leader_is_said(rows, make):
    told = told_of({"a": lambda t, r: 0.3, "s": lambda t, r: None if r == 0 else 0.05}, EIGHT, 5)
    said = words_of(make, told, EIGHT)
    assert said[0].startswith("s leads over 8 tasks with a mean rank of 1.20")
    assert any(
        "Who leads depends on what is asked: by mean final values, of which one failed or awful repetition can "
        "outweigh the rest, a (a 1.00, s 2.00)" in paragraph
        for paragraph in said
    )


def test_tests_that_rest_on_more_tasks_than_the_ranking_say_so(rows, make):
    told = told_of({"a": lambda t, r: 0.1, "b": lambda t, r: 0.2, "c": lambda t, r: 0.3}, EIGHT, 3)
    told = [row for row in told if (row["task"], row["searcher"]) != ("t0", "c")]
    text = " ".join(words_of(make, told, EIGHT))
    assert "over 7 tasks" in text
    assert (
        "rest on the 7 tasks that every method finished; the test of a pair rests on every task that both"
        in text
    )
    assert "finished: 7 to 8." in text


def test_p_is_less_than_or_equal_to_and_never_both(rows, make):
    tasks = [f"t{index:02}" for index in range(25)]
    text = " ".join(words_of(make, told_of({"a": lambda t, r: 0.1, "b": lambda t, r: 0.2}, tasks, 3), tasks))
    assert "p < 0.001" in text
    assert "= <" not in text


def planned(rows, make, tasks, repetitions, compare_, told=0):
    """The summary of a sweep that was to compare something, said when so many evaluations had been told."""
    values = {"a": lambda t, r: 0.1, "b": lambda t, r: 0.2, "c": lambda t, r: 0.3, "d": lambda t, r: 0.4}
    stated = {"methods": ["a", "b"], "method": None, "measure": "final", "level": 0.05, **compare_}
    run = {
        "started": "2026-01-01T00:00:00Z",
        "compare": stated,
        "repetitions": repetitions,
        "found": {"told": told, "repetitions": 0, "complete": 0},
    }
    about = {task: {"regret_best": 0.0, "regret_reference": 1.0, "budget_amount": 2} for task in tasks}
    tables = make(told_of(values, tasks, repetitions), about, provenance={"compare": stated, "runs": [run]})
    inputs = prepare(tables)
    return summary(inputs, compare(inputs))


def test_what_was_planned_comes_first_and_the_rest_is_exploratory(rows, make):
    said = planned(rows, make, EIGHT, 3, {})
    assert said[0] == (
        "Planned before there were results: to compare a and b with each other, by final values at the level 0.05, "
        "with Holm's correction over 1 pair. Over tasks, a is shown to be better than b (p = 0.0078)."
    )
    assert said[1].startswith("Beyond the plan, exploratory: a leads over 8 tasks")


def test_a_planned_comparison_needs_fewer_tasks_than_all_pairs_do(rows, make):
    said = planned(rows, make, EIGHT[:6], 3, {"methods": ["a", "b", "c"], "method": "b", "level": 0.1})
    assert "to compare b with a and c" in said[0]
    assert (
        "Over tasks, a is shown to be better than b (p = 0.062); b is shown to be better than c (p = 0.062)."
        in said[0]
    )
    assert "no test over tasks could show a difference" in said[2]


def test_with_few_tasks_what_was_planned_is_tested_over_repetitions(rows, make):
    said = planned(rows, make, ["t", "u"], 8, {"measure": "anytime"})[0]
    assert "2 tasks cannot show a difference over tasks, however clear: at least 6 are needed." in said
    assert (
        "on t, a is shown to be better than b (p = 0.016). on u, a is shown to be better than b (p = 0.016)."
        in said
    )
    said = planned(rows, make, ["t", "u"], 6, {})[0]
    assert "on t, 6 repetitions cannot tell a and b apart, at least 7 are needed." in said


def test_a_plan_that_was_made_after_results_confirms_nothing(rows, make):
    said = planned(rows, make, EIGHT, 3, {}, told=12)[0]
    assert said.startswith(
        "To be compared, as was said after results existed (so that it may have been chosen for them"
    )
    assert "Planned before" not in said


def test_repetitions_added_after_a_look_are_said_so(rows, make):
    run = {
        "started": "2026-01-02T00:00:00Z",
        "repetitions": 10,
        "found": {"told": 40, "repetitions": 5, "complete": 5},
    }
    tables = make(rows("t", "a", 0, [0.1]) + rows("t", "b", 0, [0.2]), {"t": {}}, provenance={"runs": [run]})
    text = " ".join(notices(prepare(tables)))
    assert "Repetitions were added after results of 5 existed (5 → 10, 2026-01-02)" in text
    assert "its own training/validation split" not in text
    assert "added" not in " ".join(
        notices(prepare(make(rows("t", "a", 0, [0.1]), {"t": {"splits": "repetition"}})))
    )
    drawn = make(rows("t", "a", 0, [0.1]), {"t": {"splits": "repetition"}})
    assert "Each repetition drew its own training/validation split" in " ".join(notices(prepare(drawn)))


def test_how_much_of_a_lead_was_luck_is_said(rows, make):
    """Selected at 0.1 against 0.3; with fresh seeds 0.24 against 0.3."""
    about = {task: {"regret_best": 0.0, "regret_reference": 2.0} for task in EIGHT}
    tables = make(told_of({"a": lambda t, r: 0.1, "b": lambda t, r: 0.3}, EIGHT, 2), about)
    again = [
        {
            **dict.fromkeys(("study", "evaluation", "machine"), ""),
            **dict.fromkeys(("step", "epochs", "seed", "seconds"), 1),
            "task": task,
            "searcher": name,
            "repetition": repetition,
            "number": number,
            "status": "ok",
            "value": value + (0.02 if number == 1 else -0.02),
            "test": float("nan"),
            "incumbent_value": selected,
            "incumbent_test": float("nan"),
        }
        for task in EIGHT
        for name, selected, value in (("a", 0.1, 0.24), ("b", 0.3, 0.3))
        for repetition in range(2)
        for number in (1, 2)
    ]
    inputs = prepare(dataclasses.replace(tables, reevaluations=frame(again)))
    assert (
        "Winners were trained again with 2 fresh seeds, by which nothing was selected. By the validation values that "
        "they were selected for, a is ahead of b by 0.1 of normalised regret over 8 tasks; by the fresh ones, by 0.03."
    ) in summary(inputs, compare(inputs))
    assert "trained again" not in " ".join(summary(prepare(tables), compare(prepare(tables))))
