"""A leaderboard's pages: links, names, numbers, ties, what is lacking; and that they work in a browser, on a phone."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re

import pandas as pd
import pytest
from browser import dump, needs_browser, probe
from large_sweeps import large
from leaderboards import Page, dead_links, pages_in, race_of
from synthetic_sweeps import study_rows, tables_of, told_of

from analysis.site.about import About, MethodAbout, TaskAbout, blocks
from analysis.site.arenas import arenas
from analysis.site.pages import build, named_in
from analysis.site.questions import FIDELITY, LIMITS, questions
from analysis.site.sentences import reference_words, when_words
from analysis.spreadsheets import read_csv
from analysis.statistics.answers import answer
from analysis.statistics.comparison import compare, ranking
from analysis.statistics.inputs import prepare
from harness.errors import RecordError
from results import confirmed_table
from results.entries import digest_of

ODD = "<b>\"x\" & 'y'</b>"
ODD_TASK = 'a/b "c" <d> ü%20#?'


def site_of(folder, races, about=None, wanted=(5, 10, 25)):
    """Write a site of tables by name, into a folder."""
    found = arenas([race_of(tables, folder / "from" / name) for name, tables in races.items()], wanted)
    out = folder / "site"
    build(found, about or About(), out, title="Derby")
    return out, found


def renamed(tables, searchers=None, tasks=None):
    """Return tables with other labels."""
    names = {"searcher": searchers or {}, "task": tasks or {}}
    return dataclasses.replace(
        tables,
        trials=tables.trials.replace(names),
        studies=tables.studies.replace(names),
        tasks=tables.tasks.rename(index=tasks or {}),
    )


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A site of two races that cannot be compared: the second has another budget; odd names in the first."""
    first = large(4, 9, 5, 30)
    first.tasks["group"] = ["image", "tabular", "image"] * 3
    names = list(first.tasks.index)
    first = renamed(first, {"optuna_tpe": ODD}, {names[0]: ODD_TASK})
    second = large(3, 3, 2, 12, seed=1)
    second.studies["workers"] = 4
    about = About(
        {"random": MethodAbout("Random search.", blocks(["Draws.", "- one", "- two"]), ["A paper"], "x.py")},
        {
            name: TaskAbout("A task.", kinds=frozenset({"mixed"} if place % 2 else {"finite", "conditional"}))
            for place, name in enumerate(first.tasks.index)
        },
    )
    folder = tmp_path_factory.mktemp("leaderboard")
    out, found = site_of(folder, {"first": first, "second": second}, about)
    return out, found, about


def test_every_link_leads_somewhere(whole):
    out, _, _ = whole
    assert dead_links(out) == []


def test_every_page_has_a_language_a_title_one_heading_and_texts_for_pictures(whole):
    out, _, _ = whole
    for path in pages_in(out):
        text = path.read_text(encoding="utf-8")
        assert '<html lang="en">' in text
        assert re.search(r"<title>[^<]+</title>", text), path
        assert text.count("<h1>") == 1, path
        assert Page(path).missing == [], path
        assert len(set(Page(path).ids)) == len(Page(path).ids), path


def test_names_with_odd_characters_are_shown_as_they_are(whole):
    out, _, _ = whole
    text = (out / "index.html").read_text(encoding="utf-8")
    assert "<b>" not in text
    assert ODD in Page(out / "index.html").text
    assert ODD_TASK in Page(out / "index.html").text
    (page,) = [path for path in pages_in(out / "tasks") if f"<h1>{'a/b'}" in path.read_text(encoding="utf-8")]
    assert ODD_TASK in Page(page).text


def test_races_of_other_budgets_stand_apart_and_the_reason_is_named(whole):
    out, found, _ = whole
    assert [arena.name for arena in found] == ["first", "second"]
    text = Page(out / "index.html").text
    assert "second is not compared with first: its studies have 4 parallel workers, not 1." in text


def test_the_reason_is_what_differs_on_a_task(tmp_path):
    one = full(tables_of(told_of({"a": lambda t, r: t}, 2), {"t0": {}, "t1": {}}))
    other = full(tables_of(told_of({"b": lambda t, r: t}, 2), {"t0": {"budget_amount": 7}, "t1": {}}))
    alien = full(tables_of(told_of({"b": lambda t, r: t}, ["else"]), {"else": {}}))
    out, found = site_of(tmp_path, {"one": one, "other": other, "alien": alien})
    assert [arena.apart for arena in found] == [
        "",
        "other is not compared with one: task t0: budget_amount is 10 in one and 7 in other.",
        "alien is not compared with one: they have no task in common. alien is not compared with other: they have no "
        "task in common.",
    ]
    assert dead_links(out) == []


def test_a_ranking_has_the_numbers_of_the_statistics(whole):
    out, found, _ = whole
    expected = ranking(compare(prepare(found[0].tables)))
    own = read_csv(out / "tables" / "ranking_first.csv")
    own = own[(own["full_evaluations"] == 30) & (own["tasks"] == "all")]
    assert own["method"].tolist() == expected["searcher"].tolist()
    for column, theirs in (("rank", "rank"), ("low", "rank_low"), ("high", "rank_high")):
        assert own[column].tolist() == pytest.approx(expected[theirs].tolist())
    text = Page(out / "ranking-first.html").text
    for row in expected.to_dict("records"):
        assert f"{row['rank']:.2f} [{row['rank_low']:.3g}, {row['rank_high']:.3g}]" in text


def test_pairs_are_those_of_the_statistics(whole):
    out, found, _ = whole
    expected = compare(prepare(found[0].tables)).final.pairs
    own = read_csv(out / "tables" / "pairs_first.csv")
    own = own[(own["full_evaluations"] == 30) & (own["tasks"] == "all")]
    assert own["p_holm"].tolist() == pytest.approx(expected["p_holm"].tolist())


def test_every_answer_is_in_the_page_and_in_the_csv(whole):
    out, found, about = whole
    page = Page(out / "choose.html")
    rows = read_csv(out / "tables" / "answers.csv")
    asked = [question for arena in found for question in questions(arena, about)]
    assert len(asked) > 20
    assert {question.id for question in asked} <= set(page.ids)
    assert set(rows["answer"]) == {question.id for question in asked if question.answer}
    for arena in found:  # whatever is chosen, there is one answer
        for point in arena.looks:
            own = [q for q in asked if q.arena is arena and q.point == point and q.selection.key == "all"]
            when = [each for question in own for each in question.when]
            assert sorted(when) == sorted((stops, limit) for stops in FIDELITY for limit in LIMITS)


def test_the_pages_need_nothing_from_elsewhere(whole):
    out, _, _ = whole
    for path in pages_in(out):
        text = path.read_text(encoding="utf-8")
        assert "default-src 'none'" in text
        assert not re.search(r"(?:href|src)=\"(?:https?:)?//", text), path


def test_the_digests_are_those_of_the_files(whole):
    out, _, _ = whole
    lines = (out / "SHA256SUMS").read_text(encoding="utf-8").splitlines()
    named = dict(reversed(line.split("  ", 1)) for line in lines)
    files = {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()} - {"SHA256SUMS"}
    assert set(named) == files
    for name, digest in named.items():
        assert hashlib.sha256((out / name).read_bytes()).hexdigest() == digest


def test_the_same_races_give_the_same_bytes(tmp_path):
    tables = large(3, 6, 2, 8)
    sums = [
        (site_of(tmp_path / name, {"race": tables}, wanted=(5,))[0] / "SHA256SUMS").read_text()
        for name in ("one", "two")
    ]
    assert sums[0] == sums[1]


def test_races_that_agree_on_what_they_share_are_compared_together(tmp_path):
    rows = told_of({"a": lambda t, r: t, "b": lambda t, r: t + 1}, 8)
    more = told_of({"a": lambda t, r: t, "c": lambda t, r: t - 1}, 5)
    about = {f"t{place}": {"budget_amount": 1} for place in range(8)}
    few = {name: value for name, value in about.items() if name < "t5"}
    races = {"one": full(tables_of(rows, about)), "two": full(tables_of(more, few))}
    out, found = site_of(tmp_path, races)
    assert [arena.name for arena in found] == ["one + two"]
    text = Page(out / f"ranking-{found[0].id}.html").text
    assert "c leads among 3 methods over 5 tasks" in text
    assert "a is one method, its studies from one (40)" in text
    assert "t5 (not finished by c)" in text
    assert "Not run on t5, t6, t7" in Page(out / "methods" / "c.html").text
    assert "Not run on it: c" in Page(out / "tasks" / "t7.html").text
    assert dead_links(out) == []


def full(tables):
    """Return tables with the columns that merging needs."""
    studies = tables.studies.assign(protocol="", split=-1)
    trials = tables.trials.assign(evaluation=tables.trials["study"] + tables.trials["step"].astype(str))
    from results.reevaluation_table import frame

    return dataclasses.replace(
        tables, studies=studies, trials=trials, tasks=tables.tasks.rename_axis("task"), reevaluations=frame()
    )


def test_ties_are_shown_as_ties(tmp_path):
    rows = told_of({"a": lambda t, r: t, "b": lambda t, r: t, "worse": lambda t, r: t + 1}, 10)
    tables = tables_of(rows, {f"t{place}": {"budget_amount": 1} for place in range(10)})
    out, _ = site_of(tmp_path, {"race": tables})
    text = Page(out / "index.html").text
    assert (
        "a and b lead together among 3 methods over 10 tasks, with a mean rank of 1.50 [1.5, 1.5] each."
        in text
    )
    assert "a is shown to be better than worse; it is not shown to differ from b." in text
    assert text.count("leads, tied with others") == 2
    task = Page(out / "tasks" / "t3.html").text
    assert task.count("leads, tied with others") == 2
    assert "First, alone or tied, on 10 of 10 tasks" in Page(out / "methods" / "b.html").text
    equal = told_of({"a": lambda t, r: t, "b": lambda t, r: t}, 10)
    tables = tables_of(equal, {f"t{place}": {"budget_amount": 1} for place in range(10)})
    out, _ = site_of(tmp_path / "equal", {"race": tables})
    text = Page(out / "index.html").text
    assert (
        "All tie among 2 methods over 10 tasks, with a mean rank of 1.50 each. No difference shown." in text
    )


def test_one_method_on_one_task_makes_a_site(tmp_path):
    tables = tables_of(study_rows("t", "only", 0, [3, 2, 1]), {"t": {"budget_amount": 3}})
    out, _ = site_of(tmp_path, {"race": tables})
    assert dead_links(out) == []
    assert "fewer than two methods finished" in Page(out / "index.html").text
    assert "No answer: under these conditions only on 1 of its tasks is left to compare." in (
        Page(out / "choose.html").text
    )
    assert "Not known: it is not installed where" in Page(out / "tasks" / "t.html").text
    assert "First on no task." in Page(out / "methods" / "only.html").text


def test_what_is_not_finished_is_named(tmp_path):
    rows = told_of({"a": lambda t, r: t, "b": lambda t, r: t + 1}, 6)
    others = [
        {"task": "t1", "searcher": "late", "repetition": 0, "state": "failed", "reason": "it broke <here>"},
        {"task": "never", "searcher": "a", "repetition": 0, "state": "missing", "reason": ""},
    ]
    about = {name: {"budget_amount": 1} for name in (*(f"t{place}" for place in range(6)), "never")}
    out, _ = site_of(tmp_path, {"race": tables_of(rows, about, others=others)})
    assert "Incomplete: 2 planned studies are not finished" in Page(out / "index.html").text
    text = Page(out / "ranking-race.html").text
    assert "late on t1, repetition 0: failed (it broke <here>), 0 evaluations" in text
    assert "a on never, repetition 0: missing, 0 evaluations" in text
    assert "Not ranked: late (no finished study); never (no finished study)." in text
    assert "t1: 0 of 1 finished" in Page(out / "methods" / "late.html").text
    assert "Nothing is finished on this task." in Page(out / "tasks" / "never.html").text
    assert dead_links(out) == []


def test_what_a_race_planned_comes_first_and_the_rest_is_called_exploring(tmp_path):
    rows = told_of({"a": lambda t, r: t, "b": lambda t, r: t + 1}, 8)
    compared = {"methods": ["a", "b"], "method": "a", "measure": "final", "level": 0.05}
    found = {"told": 0, "repetitions": 0, "complete": 0}
    run = {"started": "2026-01-01T00:00:00Z", "compare": compared, "repetitions": 5, "found": found}
    tables = tables_of(
        rows,
        {f"t{place}": {"budget_amount": 1} for place in range(8)},
        provenance={"compare": compared, "runs": [run]},
    )
    out, _ = site_of(tmp_path, {"race": tables})
    text = Page(out / "index.html").text
    planned, rest = text.index("to compare a with b"), text.index("All else explores:")
    assert planned < rest < text.index("a leads among 2 methods")
    tests = read_csv(out / "tables" / "planned_race.csv")
    assert tests[["first", "second", "wins"]].to_numpy().tolist() == [["a", "b", 8]]
    assert f"p = {tests['p_holm'].iloc[0]:.2g}" in text


def test_what_is_installed_nowhere_is_said_to_be_unknown(whole):
    out, _, _ = whole
    text = Page(out / "methods" / "grid.html").text
    assert "Not described: it is not installed where these pages were made." in text
    assert named_in([])[0] == []


def test_conditions_that_leave_the_same_methods_are_one_sentence():
    every = [(stops, limit) for stops in FIDELITY for limit in LIMITS]
    assert when_words(every) == (
        "All methods, on all of these tasks or trainings can be stopped early or every training runs to its end: any "
        "search time, and the same with at most 0.01 s of search per evaluation"
    )
    assert when_words([("yes", "0.1")]) == (
        "Trainings can be stopped early: at most 0.1 s of search per evaluation"
    )


PHONE = (
    "document.body.style.width = '360px';"
    " const wide = [...document.querySelectorAll('main, main *, nav *, footer *')].filter((part) =>"
    " !part.parentElement.closest('.scroll, svg, pre') && part.getBoundingClientRect().right > 361);"
    " return wide.map((part) => part.outerHTML.slice(0, 80));"
)
ITEMS = "return [...document.querySelectorAll('.item')].filter((item) => item.offsetParent).map((item) => item.id);"


@needs_browser
@pytest.mark.slow
def test_no_page_prints_an_error_or_is_wider_than_a_phone(whole):
    out, _, _ = whole
    for name in ("index.html", "choose.html", "ranking-first.html", "verify.html", "methods/grid.html"):
        assert probe(out / name, PHONE) == [], name
    assert "<h1>" in dump((out / "tasks" / "task01-small.html").resolve().as_uri(), dark=True)


@needs_browser
@pytest.mark.slow
def test_the_chooser_shows_the_answer_to_what_is_chosen(whole):
    out, _, _ = whole
    choose = (
        "const pick = (name, value) => { const field = document.getElementById(name); field.value = value;"
        " field.dispatchEvent(new Event('change', {bubbles: true})); };"
        "pick('point', '10'); pick('selection', 'space-mixed'); pick('fidelity', 'no'); pick('limit', '0.1');"
    )
    assert probe(out / "choose.html", choose + ITEMS) == ["first-10-space-mixed-1"]
    assert probe(out / "choose.html", f"{choose} pick('selection', 'space-continuous'); {ITEMS}") == []
    assert probe(out / "choose.html", ITEMS) == ["first-30-all-1"]
    hidden = "return document.querySelectorAll('.race[hidden], .choices[hidden], .item[hidden]').length;"
    assert probe(out / "choose.html", hidden) > 20
    assert probe(out / "choose.html", f"document.getElementById('every').click(); {hidden}") == 0


def test_the_chooser_hides_nothing_without_a_script(whole):
    out, _, _ = whole
    text = (out / "choose.html").read_text(encoding="utf-8")
    hidden = re.findall(r"<(\w+)[^>]*\shidden[\s>]", text)
    assert hidden == ["form"]
    assert json.dumps(Page(out / "choose.html").text).count("Link to this answer") > 20


def test_an_answer_that_has_rows_is_read_back_by_its_name(whole):
    out, _, _ = whole
    rows = read_csv(out / "tables" / "answers.csv")
    assert isinstance(rows, pd.DataFrame)
    own = rows[rows["answer"] == "first-30-all-1"]
    assert own["rank"].is_monotonic_increasing
    assert f"{own['rank'].iloc[0]:.2f}" in Page(out / "choose.html").text


def test_what_a_method_cannot_search_is_said_with_the_reason(tmp_path):
    tables = large(3, 3, 2, 12)
    task, method = str(tables.tasks.index[0]), "optuna_tpe"
    absent = (tables.studies["task"] == task) & (tables.studies["searcher"] == method)
    trials = (tables.trials["task"] == task) & (tables.trials["searcher"] == method)
    pairs = [{"task": task, "searcher": method, "reason": "'x' is a <choice>"}]
    tables = dataclasses.replace(
        tables,
        studies=tables.studies[~absent].reset_index(drop=True),
        trials=tables.trials[~trials].reset_index(drop=True),
        provenance={**tables.provenance, "left_out": pairs},
    )
    out, _ = site_of(tmp_path, {"first": tables}, wanted=(12,))
    told = [path for path in pages_in(out) if "it cannot: 'x' is a <choice>" in Page(path).text]
    assert sorted(path.parent.name for path in told) == ["methods", "tasks"]
    text = Page(out / "index.html").text
    assert f"Not ranked: {method} (cannot search 1 of 3 tasks)." in text
    rows = read_csv(out / "tables" / "elsewhere_first.csv")
    (row,) = rows[rows["tasks"] == "all"].to_dict("records")
    assert (row["method"], row["number_of_tasks"], row["methods"]) == (method, 2, 3)
    assert 1 <= row["rank"] <= 3
    place = text.index("Methods that cannot search all of these tasks")
    assert f"{method}23{row['rank']:.2f}" in text[place:]
    own = Page(out / "methods" / f"{method}.html").text
    assert f"all tasks: those that it can search12 full evaluations{row['rank']:.2f} 32" in own


def test_what_was_entered_into_a_race_is_said_beside_its_place(tmp_path):
    tables = large(3, 3, 2, 12)
    tables.studies["protocol"] = ""
    mine = tables.studies["searcher"] == "optuna_tpe"
    own = tables.trials["searcher"] == "optuna_tpe"
    race, entry = (
        race_of(
            dataclasses.replace(tables, studies=tables.studies[rows], trials=tables.trials[told]),
            tmp_path / "from" / name,
        )
        for name, rows, told in (("race", ~mine, ~own), ("mine", mine, own))
    )
    other = {**entry.manifest, "entered": {"race": "race", "digest": "0" * 64}}
    with pytest.raises(RecordError, match=r"published anew since. Enter it again"):
        arenas([race, dataclasses.replace(entry, manifest=other)], (12,))
    about = {**other, "entered": {"race": "race", "digest": digest_of(race.folder)}}
    found = arenas([race, dataclasses.replace(entry, manifest=about)], (12,))
    build(found, About(), tmp_path / "site", title="Derby")
    said = "optuna_tpe was entered into the race 'race', whose results were public by then"
    for name in ("index.html", f"ranking-{found[0].id}.html"):
        assert said in Page(tmp_path / "site" / name).text


def test_every_method_is_counted_against_the_others_as_the_tests_say(whole):
    out, _, _ = whole
    pairs = read_csv(out / "tables" / "pairs_first.csv")
    pairs = pairs[(pairs["full_evaluations"] == 30) & (pairs["tasks"] == "all")]
    rows = read_csv(out / "tables" / "ranking_first.csv")
    rows = rows[(rows["full_evaluations"] == 30) & (rows["tasks"] == "all")].set_index("method")
    better = dict.fromkeys(rows.index, 0)
    for pair in pairs.to_dict("records"):
        if pair["p_holm"] <= 0.05:
            better[pair["first"] if pair["effect"] > 0 else pair["second"]] += 1
    assert sum(better.values()) > 0
    assert rows["better"].to_dict() == better
    assert rows["better"].sum() == rows["worse"].sum()


def test_random_search_is_told_beside_the_leader(whole):
    _, found, _ = whole
    assert found[0].reference == "random"
    first = answer(found[0].looks[30], found[0].inputs.facts, found[0].methods)
    said = reference_words(first, "random")
    shown = first.standing.verdict("random")
    assert said.startswith("Random search (random) has ")
    assert all(name in said for name in (*shown.worse_than, *shown.better_than))
    assert ("shown to be better than it" in said) == bool(shown.worse_than)
    assert reference_words(first, "") == reference_words(first, first.order[0]) == ""


def test_so_few_tasks_have_no_columns_of_tests(tmp_path):
    out, _ = site_of(tmp_path, {"race": large(3, 3, 2, 12)}, wanted=(12,))
    text = Page(out / "index.html").text
    assert "So few tasks can show no difference between so many methods" in text
    assert "Worse than" not in text
    task = next(path for path in pages_in(out / "tasks"))
    assert "So few repetitions can show no difference between so many methods on one task" in Page(task).text


def test_winners_trained_for_real_are_on_the_front_page_with_their_meaning(tmp_path):
    tables = large(3, 6, 5, 12)
    label = str(tables.tasks.index[0])
    tables.tasks.loc[label, "direction"] = "max"
    rows = [
        {
            "task": label,
            "searcher": name,
            "repetition": repetition,
            "config": f'{{"x": {repetition}}}',
            "epochs": 9,
            "found": -0.9,
            "promised": -0.8,
            "trained": -0.7 - 0.01 * repetition,
            "trainings": 3,
        }
        for name in ("grid", "random")
        for repetition in range(5)
    ]
    tables = dataclasses.replace(tables, confirmed=confirmed_table.frame(rows))
    out, _ = site_of(tmp_path, {"race": tables}, wanted=(12,))
    text = Page(out / "index.html").text
    place = text.index("What a race finds is partly luck.")
    assert f"{label}val_accuracy1050.90.72−0.18 [−0.2, −0.16]–" in text[place:]
    assert dead_links(out) == []
