"""The figures over tasks and the list of all figures: what is drawn, what is said, and that nothing is clipped."""

import dataclasses
import itertools
import re

import numpy as np
import pandas as pd
import pytest
from large_sweeps import large

from analysis import style
from analysis.figures import differences
from analysis.figures.canvas import save
from analysis.figures.catalogue import SECTIONS, all_plots
from analysis.figures.charts import Panel, draw_forest, draw_matrix
from analysis.figures.critical import draw_critical_difference
from analysis.sample_sizes import few_tasks
from analysis.statistics.comparison import compare
from analysis.statistics.inputs import prepare

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def many():
    return prepare(large(4, 8, 3, 10))


@pytest.fixture(scope="module")
def drawn(many):
    """Every figure over tasks and those of one task, by stem."""
    return {item.stem: item for item in all_plots(many, tasks=["task03/small"])}


@pytest.fixture(scope="module")
def few(tables):
    """Three tasks, one with gaps and failures, one without a test set; no references."""
    return prepare(tables)


@pytest.fixture(scope="module")
def drawn_few(few):
    return {item.stem: item for item in all_plots(few, tasks=[])}


def test_everything_is_listed_in_the_order_of_the_sections(many, drawn):
    assert list(drawn) == list(dict.fromkeys(drawn))
    places = [list(SECTIONS).index(item.section) for item in drawn.values()]
    assert places == sorted(places)
    assert {item.section for item in drawn.values()} == set(SECTIONS) - {"paired"}
    assert {item.task for item in drawn.values()} == {None, "task03/small"}
    for stem in (
        "differences_wilcoxon",
        "differences_nemenyi",
        "scores",
        "improvement",
        "profile",
        "overtuning",
    ):
        assert stem in drawn
    assert drawn["rank_all-tasks_evaluations"].primary
    assert not drawn["rank_all-tasks_total_seconds"].primary
    assert "rank_all-tasks_spent_epochs" not in drawn  # nine times the evaluations


def test_with_few_tasks_comparisons_within_tasks_lead_and_no_test_over_tasks_is_drawn(few, drawn_few):
    first = list(drawn_few.values())[:3]
    assert [(item.section, item.task) for item in first] == [
        ("paired", "branin/2d"),
        ("paired", "fashion/small"),
        ("paired", "mnist/small"),
    ]
    assert not any(item.section == "differences" for item in drawn_few.values())
    assert not any(stem in drawn_few for stem in ("scores", "profile", "regret_all-tasks"))  # no references
    plot = drawn_few["paired_mnist-small"].plot
    caption = f"{plot.caption} {plot.details}"
    assert "mean over 4 to 5 repetitions of the difference in loss" in caption
    assert "5 repetitions cannot show a difference at 0.05 after this correction, however large" in caption
    assert "at least 9 are needed" in caption
    assert re.search(
        r"A difference of [\d.e-]+ needs \d+, [\d.e-]+ needs \d+, [\d.e-]+ needs \d+ repet", caption
    )
    assert "This speaks about this task only." in caption
    assert "Left out: repetition 4 (optuna_tpe failed) on mnist/small." in caption
    assert "With 3 tasks, this speaks about these tasks" in drawn_few["improvement"].plot.caption
    sentence = few_tasks(compare(few))
    assert "With 3 tasks no test over tasks could show a difference" in sentence
    assert "4 methods need at least 8 tasks" in sentence


def test_captions_say_statistic_interval_unit_and_counts(drawn):
    for stem, item in drawn.items():
        caption = item.plot.caption
        assert not re.search(r"\bnan\b|\binf\b|None|\{|\}", item.plot.details), stem
        assert "8 tasks" in caption or "1 task" in caption or "this task only" in caption, stem
        if stem not in ("differences_wilcoxon", "differences_nemenyi", "differences_anytime"):
            assert re.search(
                r"resampling (tasks|repetitions)|simulation error|No interval|no interval",
                f"{caption} {item.plot.details}",
            ), stem
        assert "3 repetitions" in caption or "3 runs" in caption or "all finished repetitions" in caption, (
            stem
        )
        assert not re.search(r"\bnan\b|\binf\b|None|\{|\}", caption), stem
    wilcoxon = drawn["differences_wilcoxon"].plot.caption
    details = drawn["differences_wilcoxon"].plot.details
    assert "Holm's correction over 6 pairs" in wilcoxon
    assert "Tests are on each task's share of repetitions won minus lost." in details
    assert re.search(r"Iman–Davenport: F\(3, 21\) = \d+\.\d\d, p (< 0\.001|= 0\.\d+)", details)


def test_every_ranking_names_what_is_missing(drawn_few):
    for stem in (
        "improvement",
        "rank_all-tasks_evaluations",
        "speed-up_spent_epochs",
        "rank_all-tasks_spent_epochs",
    ):
        if stem in drawn_few:
            assert "repetition 3 (skopt_gp missing) on fashion/small" in drawn_few[stem].plot.caption
    assert "Data subset or stand-in: fashion/small." in drawn_few["improvement"].plot.caption


def test_data_and_drawing_agree(drawn, many):
    plot = drawn["scores"].plot
    left = plot.figure.axes[0]
    own = plot.data[plot.data["score"] == "final regret"]
    markers = [line for line in left.get_lines() if line.get_marker() not in ("None", "", None)]
    assert [float(line.get_xdata()[0]) for line in markers] == own["mean"].tolist()
    assert [text.get_text() for text in left.get_yticklabels()] == own["searcher"].tolist()
    assert [line.get_color() for line in markers] == [style.look(name).color for name in own["searcher"]]
    profile = drawn["profile"].plot
    assert (profile.data.groupby("searcher")["mean"].last() == 1).all()
    ecdf = drawn["targets_evaluations"].plot.data
    assert ecdf.groupby("searcher")["mean"].is_monotonic_increasing.all()


def test_regret_ends_where_the_final_scores_are(drawn, many):
    final = drawn["regret_all-tasks"].plot.data.groupby("searcher")["mean"].last()
    scores = compare(many).scores.values()
    for index, name in enumerate(compare(many).searchers):
        assert final[name] == pytest.approx(np.mean([own.regrets[:, index].mean() for own in scores]))


def clipped(figure):
    """Return the texts that are not wholly inside a figure."""
    figure.draw_without_rendering()
    texts = [*figure.texts, *([figure._suptitle] if figure._suptitle else [])]
    texts += [text for legend in figure.legends for text in legend.get_texts()]
    for axes in figure.axes:
        texts += [axes.title, axes.xaxis.label, axes.yaxis.label, *axes.texts]
        for axis in (axes.xaxis, axes.yaxis):
            low, high = sorted(axis.get_view_interval())
            texts += [
                t.label1 for t in axis.get_major_ticks() if axis.get_visible() and low <= t.get_loc() <= high
            ]
    found = []
    for text in texts:
        if text.get_text() and text.get_visible() and text.axes is not None and not text.axes.axison:
            pass
        if text.get_text() and text.get_visible():
            box = text.get_window_extent()
            inside = (
                box.x0 >= -1
                and box.y0 >= -1
                and box.x1 <= figure.bbox.x1 + 1
                and box.y1 <= figure.bbox.y1 + 1
            )
            if not inside:
                found.append((text.get_text(), box))
    return found


def overlapping_ticks(figure):
    """Return neighbouring tick labels that touch."""
    found = []
    for axes in figure.axes:
        for axis, ends in ((axes.xaxis, ("x0", "x1")), (axes.yaxis, ("y0", "y1"))):
            low, high = sorted(axis.get_view_interval())
            labels = [t.label1 for t in axis.get_major_ticks() if low <= t.get_loc() <= high]
            labels = [
                own for own in labels if own.get_text() and own.get_visible() and not own.get_rotation()
            ]
            boxes = sorted((label.get_window_extent() for label in labels), key=lambda b: getattr(b, ends[0]))
            found += [
                (axes.get_xlabel(), axes.get_ylabel())
                for a, b in itertools.pairwise(boxes)
                if getattr(a, ends[1]) > getattr(b, ends[0]) + 0.5
            ]
    return found


def test_nothing_is_clipped_and_no_labels_touch(drawn, drawn_few):
    for item in [*drawn.values(), *drawn_few.values()]:
        figure = item.plot.figure
        assert not clipped(figure), item.stem
        assert not overlapping_ticks(figure), item.stem
        assert figure.get_figwidth() in (style.COLUMN_WIDTH, style.PAGE_WIDTH), item.stem


def test_the_same_inputs_give_the_same_bytes(tmp_path):
    stems = ("differences_nemenyi", "scores", "improvement", "differences_posterior", "speed-up_evaluations")
    for folder in ("one", "two"):
        for item in all_plots(prepare(large(4, 8, 2, 6)), tasks=[]):
            if item.stem in stems:
                save(item.plot, tmp_path / folder, item.stem)
    files = sorted((tmp_path / "one").iterdir())
    assert len(files) == 4 * len(stems)
    for path in files:
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes(), path.name


def test_row_order_is_irrelevant(tables, drawn_few):
    shuffled = dataclasses.replace(
        tables,
        trials=tables.trials.sample(frac=1, random_state=3),
        studies=tables.studies.sample(frac=1, random_state=4),
        tasks=tables.tasks.iloc[::-1],
    )
    again = prepare(shuffled)
    for stem, own in (
        ("improvement", differences.improvement_matrix(again, compare(again))),
        ("paired_branin-2d", differences.paired_on_task(again, compare(again), "branin/2d")),
    ):
        pd.testing.assert_frame_equal(
            own.data.reset_index(drop=True), drawn_few[stem].plot.data.reset_index(drop=True)
        )
        assert own.caption == drawn_few[stem].plot.caption


def test_a_bar_is_dashed_where_it_passes_a_stranger():
    ranks = {"a": 1.2, "b": 2.0, "c": 2.8}
    figure = draw_critical_difference(ranks, [("a", "c")], "t", style.looks(ranks))
    bars = [
        line for line in figure.axes[0].get_lines() if line.get_color() == "black" and line.get_zorder() == 5
    ]
    assert [bar.get_linestyle() for bar in bars] == ["--"]
    solid = draw_critical_difference(ranks, [("a", "b"), ("b", "c")], "t", style.looks(ranks))
    bars = [
        line for line in solid.axes[0].get_lines() if line.get_color() == "black" and line.get_zorder() == 5
    ]
    assert [bar.get_linestyle() for bar in bars] == ["-", "-"]
    assert bars[0].get_ydata()[0] != bars[1].get_ydata()[0]  # they share a member: not on one level


def test_a_bar_joins_ranks_that_are_equal_but_for_their_last_digit() -> None:
    ranks = {"a": 1.9523809523809526, "b": 1.9523809523809523, "c": 2.0952380952380953}
    figure = draw_critical_difference(ranks, [("a", "b", "c")], "t", style.looks(ranks))
    assert {line.get_linestyle() for line in figure.axes[0].lines if line.get_linewidth() == 2.2} == {"-"}
    assert sum(line.get_linewidth() == 2.2 for line in figure.axes[0].lines) == 2


@pytest.mark.parametrize("count", [2, 3, 20])
def test_names_of_any_length_fit(count):
    names = [f"{'x' * 30}{index}" for index in range(count)]
    looks = style.looks(names)
    ranks = {name: 1 + index for index, name in enumerate(names)}
    data = pd.DataFrame({"searcher": names, "mean": np.arange(count) / 1000, "low": np.nan, "high": np.nan})
    table = pd.DataFrame(np.full((count, count), 0.5), names, names)
    figures = [
        draw_critical_difference(ranks, [names], "t" * 200, looks, difference=1.0),
        draw_forest([Panel("value", data)], names, "t" * 200, looks),
        draw_matrix(table, "t" * 200, "row", "column"),
    ]
    for figure in figures:
        assert not clipped(figure)


def test_open_markers_are_what_is_not_shown_to_differ(drawn_few):
    plot = drawn_few["paired_branin-2d"].plot
    markers = [
        line for line in plot.figure.axes[0].get_lines() if line.get_marker() not in ("None", "", None)
    ]
    assert len(markers) == 3
    assert all(
        line.get_markerfacecolor() == "white" for line in markers
    )  # 5 repetitions cannot show a difference
    assert (plot.data["p_holm"] > 0.05).all()


def test_one_method_alone_has_curves_and_no_comparison(rows, make):
    inputs = prepare(make(rows("t", "a", 0, [0.2, 0.1]), {"t": {}}))
    stems = [item.stem for item in all_plots(inputs)]
    assert "convergence_t_evaluations" in stems
    assert not any(stem.startswith(("paired", "improvement", "speed", "rank")) for stem in stems)


def test_methods_without_success_are_named_and_drawn_nowhere_wrong(rows, make):
    told = [row for r in range(2) for row in rows("t", "a", r, [0.5]) + rows("t", "b", r, [None])]
    told += [row for r in range(2) for row in rows("t", "random", r, [0.4])]
    about = {"regret_best": 0.0, "regret_reference": 1.0}
    items = {item.stem: item.plot for item in all_plots(prepare(make(told, {"t": about})))}
    assert "No mean (a repetition without a success): b." in items["paired_t"].caption
    score = items["scores"].data.set_index(["score", "searcher"])["mean"]
    assert score["final regret", "b"] == 1.0
    assert items["improvement"].data.set_index(["first", "second"]).loc[("a", "b"), "probability"] == 1.0
