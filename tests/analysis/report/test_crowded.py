"""Sweeps of very many methods: what is said and drawn stays legible, and nothing is lost in silence."""

import dataclasses

import numpy as np
import pytest
from large_sweeps import large

from analysis.figures import differences, standings
from analysis.figures.catalogue import all_plots
from analysis.figures.chosen import choose
from analysis.report.confirmed import confirmed_rows
from analysis.report.page import build
from analysis.report.partial import partial_table, partial_words
from analysis.report.planned import planned_words
from analysis.statistics.comparison import compare, ranking
from analysis.statistics.inputs import prepare
from analysis.statistics.ranks import cannot_search
from analysis.words import mean_rank, short
from harness.events import EXHAUSTED
from harness.figure_fields import FiguresSpec
from harness.plan import Compare, LeftOut, left_out_words, tasks_in_words
from results import confirmed_table

EVERY = ["a/1", "a/2", "a/3", "b/1", "b/2", "c", "d"]


def test_tasks_are_named_together_as_far_as_they_belong_so():
    assert tasks_in_words(["a/1", "c"], EVERY) == "a/1, c"
    assert tasks_in_words(["a/1", "a/2", "a/3", "c"], EVERY) == "all 3 of a, c"
    assert tasks_in_words(["a/1", "a/2", "b/1", "b/2"], EVERY) == "a/1, a/2, b/1, b/2"
    assert tasks_in_words(EVERY, EVERY) == "all 7 tasks"
    assert tasks_in_words(EVERY[1:], EVERY) == "all tasks but a/1"
    assert (
        tasks_in_words(["a/1", "a/2", "a/3"]) == "a/1, a/2, a/3"
    )  # of which nobody knows whether they are all


def test_methods_that_lack_the_same_share_a_sentence_and_reasons_alike_stand_once():
    def pair(task, searcher, reason):
        return LeftOut(task=task, searcher=searcher, reason=reason)

    pairs = [
        *(pair(task, name, "nothing to halve") for name in ("sha", "asha") for task in ("a/1", "a/2", "a/3")),
        pair("b/1", "cma", "parameter 'x' is a Choice; and 2 more of the kind"),
        pair("c", "cma", "parameter 'y' is a Choice"),
        pair("d", "cma", "too small"),
    ]
    assert left_out_words(pairs, EVERY) == [
        "sha, asha on all 3 of a (nothing to halve)",
        "cma on b/1, c (on b/1, parameter 'x' is a Choice; and 2 more of the kind; likewise on the others); "
        "d (too small)",
    ]
    assert cannot_search({"cma": 2, "sha": 3, "asha": 3}, 7) == [
        "cma (cannot search 2 of 7 tasks)",
        "asha, sha (cannot search 3 of 7 tasks)",
    ]


def test_a_mean_rank_reads_the_same_in_whatever_order_it_was_summed():
    assert mean_rank(8.995) == mean_rank(8.995 + 4e-15) == mean_rank(8.995 - 4e-15)


@pytest.fixture(scope="module")
def crowd():
    """Thirteen methods on 14 tasks, that are all the same: as many bars as there can be of so few."""
    return large(13, 14, 3, 6, spread=0.05)


@pytest.fixture(scope="module")
def inputs(crowd):
    return prepare(crowd)


@pytest.fixture(scope="module")
def comparison(inputs):
    return compare(inputs)


def test_of_many_planned_pairs_those_with_the_smallest_p_are_named(crowd, inputs, comparison):
    names = list(comparison.searchers)
    stated = Compare(methods=names, method=names[0], at=[0.5, 1.0], level=0.05, measure="final")
    provenance = {"compare": {**_plain(stated)}, "runs": []}
    swept = dataclasses.replace(inputs, tables=dataclasses.replace(crowd, provenance=provenance))
    asked, half, end = planned_words(swept, comparison)
    assert "each of the 12 other methods" in asked
    assert half.startswith("After 50 % of the budget: ")
    assert end.startswith("At its end: ")
    for said in (half, end):
        assert "12 methods, with the smallest p " in said
        assert said.count("(p") == 3


def _plain(stated):
    return {
        "methods": list(stated.methods),
        "method": stated.method,
        "at": list(stated.at),
        "level": stated.level,
        "measure": stated.measure,
    }


def test_the_figure_of_mean_ranks_shows_all_and_marks_who_is_not_shown_to_differ(inputs, comparison):
    plot = standings.mean_ranks(inputs, comparison)
    table = ranking(comparison)
    assert plot.data["searcher"].tolist() == table["searcher"].tolist()
    assert plot.data["mean"].tolist() == table["rank"].tolist()
    labels = [text.get_text() for text in plot.figure.axes[0].get_yticklabels()]
    assert labels == table["searcher"].tolist()
    leader = comparison.leaders[0]
    assert f"Filled: {leader}, which leads" in plot.caption
    assert "Vertical line: random." in plot.caption
    filled = [
        line.get_markerfacecolor() != "white"
        for line in plot.figure.axes[0].lines
        if line.get_marker() not in ("", "None", None)
    ]
    assert filled == [bool(row.leads or row.p_holm <= 0.05) for row in table.itertuples()]


def test_it_opens_the_report_of_many_methods_alone(inputs):
    assert "ranking" in {item.stem for item in all_plots(inputs, tasks=[])}
    few = prepare(large(4, 8, 3, 6))
    assert "ranking" not in {item.stem for item in all_plots(few, tasks=[])}


def test_bars_beyond_number_become_one_line_and_that_is_said(comparison):
    names = list(comparison.final.mean_ranks)
    few = [names[:3], names[2:5]]
    assert differences._shown_bars(few, comparison.final) == (few, "")
    many = [[names[0], names[1 + i % 5]] for i in range(13)]
    (line,), said = differences._shown_bars(many, comparison.final)
    assert line == names[:6]
    assert "Of 13 bars" in said
    assert f"not shown to differ from {names[0]}" in said


def test_methods_that_cannot_search_every_task_have_a_table_where_they_are_many(crowd):
    tasks, names = list(crowd.tasks.index), ["skopt_gp", "gpyopt_gp", "optuna_tpe", "hyperopt_tpe"]
    assert set(names) <= set(crowd.studies["searcher"])
    gone = crowd.studies["searcher"].isin(names) & (crowd.studies["task"] == tasks[0])
    left_out = [{"task": tasks[0], "searcher": name, "reason": "it cannot"} for name in names]
    part = dataclasses.replace(
        crowd,
        studies=crowd.studies[~gone],
        trials=crowd.trials[~crowd.trials["study"].isin(crowd.studies.loc[gone, "study"])],
        provenance={"left_out": left_out},
    )
    found = compare(prepare(part))
    (said,) = partial_words(found)
    assert said.startswith("4 methods cannot search every task")
    table = partial_table(found)
    assert sorted(table["searcher"]) == sorted(names)
    assert table["tasks"].tolist() == [13] * 4
    assert table["rank"].is_monotonic_increasing
    (alone,) = partial_words(found, ["skopt_gp"])
    assert mean_rank(float(table.set_index("searcher").loc["skopt_gp", "rank"])) in alone


def test_many_that_ended_short_are_counted_by_method(crowd):
    ended = crowd.studies["searcher"] == "grid"
    spent = np.random.default_rng(1).integers(1, 6, len(crowd.studies))
    studies = crowd.studies.assign(
        reason=crowd.studies["reason"].mask(ended, EXHAUSTED), spent=crowd.studies["spent"].mask(ended, spent)
    )
    low, high = (100 * studies.loc[ended, "spent"].agg(how) / 6 for how in ("min", "max"))
    said = short(dataclasses.replace(crowd, studies=studies), list(crowd.tasks.index))
    assert said == (
        f"Ended short of the budget, with nothing more to propose: grid on 14 tasks ({low:.0f} to {high:.0f} % of the "
        "budget, 42 repetitions)."
    )


def test_winners_that_were_trained_for_real_are_told_in_the_metric_s_own_direction(crowd):
    task = crowd.tasks.index[0]
    rows = [
        {
            "task": task,
            "searcher": "grid",
            "repetition": repetition,
            "config": "{}",
            "epochs": 9,
            "found": -0.9,
            "promised": -0.8,
            "trained": -0.7 - 0.01 * repetition,
            "trainings": 3,
        }
        for repetition in range(5)
    ]
    (told,) = confirmed_rows(dataclasses.replace(crowd, confirmed=confirmed_table.frame(rows)))
    (row,) = told["rows"]
    assert (row["found"], row["promised"], row["trained"], row["difference"]) == (
        "0.9",
        "0.8",
        "0.72",
        "−0.18",
    )
    low, high = (float(end.strip("[]").replace("−", "-")) for end in row["interval"].split(", "))
    assert low < -0.18 < high < 0


@pytest.mark.slow
def test_a_brief_report_has_one_image_for_each_figure_and_names_where_the_rest_is(crowd, tmp_path):
    rows = [{"task": crowd.tasks.index[0], "searcher": "grid", "repetition": 0, "config": "{}", "epochs": 9}]
    rows = [{**rows[0], "found": -0.9, "promised": -0.8, "trained": -0.7, "trainings": 3}]
    part = choose(crowd, FiguresSpec(tasks=list(crowd.tasks.index[:12]))).tables
    part = dataclasses.replace(part, confirmed=confirmed_table.frame(rows))
    page = build(part, tmp_path, figures=FiguresSpec(brief=True)).read_text(encoding="utf-8")
    assert "Winners trained for real" in page
    assert "data:image" not in page
    assert not (tmp_path / "trials").exists()
    images = {path.name for path in (tmp_path / "figures").iterdir()}
    assert {path.rsplit(".", 1)[1] for path in images} == {"png"}
    assert all(f'src="figures/{name}"' in page for name in images)
    assert "ranking.png" in images
    assert sum(name.startswith("convergence_") for name in images) == 12
    assert "the CSV" not in page.split("<main>")[1].split('id="definitions"')[0].replace("tables/", "")
    assert "derby figure large" in page
