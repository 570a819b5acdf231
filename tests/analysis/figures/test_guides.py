"""Baselines in figures: straight lines where the axis reaches them, told from methods, named in legend and caption."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest

from analysis import style
from analysis.figures import aggregates, progress
from analysis.figures.canvas import save
from analysis.figures.chosen import choose
from analysis.figures.curves import ValueAxis, reaching
from analysis.figures.guides import COLOR, Guide, guides
from analysis.report.page import build
from analysis.statistics.baselines import LINES
from analysis.statistics.comparison import compare
from analysis.statistics.inputs import prepare
from analysis.statistics.steps import incumbents
from harness.figure_fields import FiguresSpec
from results import baseline_table

BETWEEN = {"regret_best": 0.0, "regret_reference": 1.0, "budget_amount": 4}
VALUES = {"random_2x": 0.45, "random_4x": 0.42, "references": 0.6, "best": 0.3, "median": 5.0}


def known(task, values):
    """Return entries of the table of baselines, all known."""
    common = {
        "task": task,
        "repetition": -1,
        "study": "",
        "state": "known",
        "reason": "",
        "multiple": 0,
        "trial": -1,
    }
    return [
        {**common, "baseline": name, "value": value, "test": value + 0.01, "about": f"the {name}"}
        for name, value in values.items()
    ]


@pytest.fixture
def tables(rows, make):
    told = []
    for task in ("t", "u"):
        for r in range(5):
            told += rows(task, "random", r, [0.9, 0.8, 0.6 + r / 100, 0.55])
            told += rows(task, "grid", r, [0.8, 0.7, 0.5 + r / 100, 0.45])
    made = make(told, {"t": BETWEEN, "u": BETWEEN})
    return dataclasses.replace(
        made, baselines=baseline_table.frame(known("t", VALUES) + known("u", {**VALUES, "best": 0.35}))
    )


def straight(axes):
    """Return where the straight lines of a panel are, by their dash; upright ones by their cost."""
    found = {}
    for line in axes.get_lines():
        x, y = np.asarray(line.get_xdata()), np.asarray(line.get_ydata())
        if line.get_color() == COLOR:
            assert line.get_marker() in ("", "None")
            found[line._unscaled_dash_pattern] = float(y[0] if y[0] == y[-1] else x[0])
    return found


def test_baselines_are_lines_that_no_method_looks_like(tables, tmp_path):
    plot = progress.convergence(tables, incumbents(tables), "t", "evaluations")
    (axes,) = plot.figure.axes[:1]
    assert sorted(straight(axes).values()) == [0.3, 0.42, 0.45, 0.6]
    assert len(straight(axes)) == 4  # each with a dash of its own
    looks = style.looks(["random", "grid"]).values()
    assert COLOR not in {look.color for look in looks}
    (legend,) = plot.figure.legends
    texts = [text.get_text() for text in legend.get_texts()]
    assert texts == [
        "random",
        "grid",
        "random search 2×",
        "random search 4×",
        "best reference",
        "best of the space",
    ]
    low, high = axes.get_ylim()
    assert low < 0.3
    assert high < 5
    assert "baselines, which are not ranked: random search 2× (0.45), " in plot.caption
    assert "Baselines outside the panel: median of the space (5)." in plot.caption
    assert "median of the space: the median" in plot.details
    saved = pd.read_csv(save(plot, tmp_path, "x")["baselines"]).set_index("baseline")
    assert saved["validation"].to_dict() == VALUES
    assert not (tmp_path / "x.csv").read_text().count("random_2x")


def test_without_baselines_nothing_is_drawn_or_said(tables, tmp_path):
    plain = dataclasses.replace(tables, baselines=baseline_table.frame())
    plot = progress.convergence(plain, incumbents(plain), "t", "evaluations")
    assert straight(plot.figure.axes[0]) == {}
    assert "aseline" not in plot.caption + plot.details
    assert "baselines" not in save(plot, tmp_path, "x")


def test_unfinished_baselines_are_named(rows, make, tables):
    entries = [
        {**known("t", {"random_2x": np.nan})[0], "study": "s", "repetition": r, "state": state, "multiple": 2}
        for r, state in enumerate(("done", "running"))
    ]
    trials = pd.DataFrame(rows("t", "baseline random_2x", 0, [0.4, 0.3])).assign(
        study="s", machine="", evaluation=""
    )
    trials = trials.assign(virtual_start=0.0)
    own = dataclasses.replace(tables, baselines=baseline_table.frame(entries), baseline_trials=trials)
    plot = progress.convergence(own, incumbents(own), "t", "evaluations")
    assert "Left out: the baseline random search 2× in 1 of 2 repetitions." in plot.caption


def test_an_axis_is_stretched_for_the_nearest_and_not_beyond_use():
    def axis(*at, log=False):
        lines = [Guide(str(v), str(v), (), {"validation": v}) for v in at]
        return reaching(ValueAxis(1.0, 2.0, log=log, cut=False), lines, ["validation"])

    assert axis(1.5) == ValueAxis(1.0, 2.0, log=False, cut=False)
    assert axis(2.2).high > 2.2
    assert axis(2.2, 2.9).high == axis(2.2).high
    assert axis(0.8, 2.2).low < 0.8
    assert axis(2.6, log=True).high > 2.6
    assert axis(4.5, log=True).high == pytest.approx(2.0)
    assert axis(-1.0, log=True).low == pytest.approx(1.0)


def test_one_reference_is_called_by_its_name():
    def labels(*names):
        table = pd.DataFrame({"baseline": ["references", *names], "validation": 0.5, "test": 0.5})
        return [guide.label for guide in guides(table.reindex(columns=LINES, fill_value=0).assign(about=""))]

    assert labels("reference adam") == ["reference adam"]
    assert labels("reference adam", "reference sgd") == ["best reference"]


def test_scores_show_what_all_tasks_have(tables):
    inputs = prepare(tables)
    comparison = compare(inputs)
    for plot, best in (
        (aggregates.aggregate_scores(inputs, comparison), 0.325),
        (aggregates.regret_curves(inputs, comparison), 0.325),
    ):
        values = straight(plot.figure.axes[0]).values()
        assert any(value == pytest.approx(best) for value in values)
        assert "best of the space (0.325)" in plot.caption
        assert "median" not in plot.caption
    fewer = dataclasses.replace(tables, baselines=tables.baselines[tables.baselines["task"] == "t"])
    inputs = prepare(fewer)
    plot = aggregates.aggregate_scores(inputs, comparison)
    assert straight(plot.figure.axes[0]) == {}
    assert "aseline" not in plot.caption


def test_a_choice_of_tasks_is_one_of_baselines_too(tables):
    spec = FiguresSpec.model_validate({"tasks": ["u"], "labels": {"u": "second"}})
    chosen = choose(tables, spec).tables
    assert set(chosen.baselines["task"]) == {"second"}
    plot = progress.convergence(chosen, incumbents(chosen), "second", "evaluations")
    assert min(straight(plot.figure.axes[0]).values()) == 0.35
    without = choose(tables, FiguresSpec.model_validate({"baselines": False})).tables
    plot = progress.convergence(without, incumbents(without), "u", "evaluations")
    assert straight(plot.figure.axes[0]) == {}


def test_the_page_has_them_and_no_ranking_does(tables, tmp_path):
    page = build(tables, tmp_path).read_text()
    assert "Baselines on t" in page
    assert "<td>0.45</td>" in page
    ranked = pd.read_csv(tmp_path / "tables" / "ranking.csv")["searcher"]
    assert set(ranked) == {"random", "grid"}
    assert set(pd.read_csv(tmp_path / "tables" / "baselines.csv")["baseline"]) == set(VALUES)
    assert 'id="worth"' not in page  # which needs a search
