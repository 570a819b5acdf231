"""Figures as the page shows them: the embedded image, and the values to hover over."""

import base64
import io

import numpy as np
import pytest
from large_sweeps import large
from PIL import Image

from analysis import style
from analysis.figures import aggregates, progress
from analysis.figures.catalogue import all_plots
from analysis.report.pictures import hover, picture
from analysis.statistics.comparison import compare
from analysis.statistics.inputs import prepare
from analysis.statistics.steps import incumbents


@pytest.fixture(scope="module")
def best(tables):
    return incumbents(tables)


def test_the_embedded_image_is_the_saved_one_with_fewer_colours(tables, best, tmp_path):
    shown = picture(progress.convergence(tables, best, "mnist/small", "spent_epochs"), tmp_path, "x")
    embedded = Image.open(io.BytesIO(base64.b64decode(shown.image.partition(",")[2]))).convert("RGB")
    saved = np.asarray(Image.open(tmp_path / "figures" / "x.png").convert("RGB"), dtype=int)
    assert embedded.size == (shown.width, shown.height)
    difference = np.abs(np.asarray(embedded, dtype=int) - saved)
    assert not difference[(saved == 255).all(axis=-1)].any()
    assert difference.mean() < 1
    assert np.quantile(difference, 0.999) < 32


def test_values_to_hover_over_are_those_that_hold_at_each_cost(tables, best):
    plot = progress.convergence(tables, best, "mnist/small", "spent_epochs")
    panels = hover(plot)
    assert [panel["label"] for panel in panels] == ["epochs trained"] * 4  # below, the last half of each
    left, right, *late = panels
    assert [panel["limits"][0] for panel in late] == [plot.data["cost"].max() / 2] * 2
    assert left["box"][3] < late[0]["box"][1]
    assert left["box"][2] <= right["box"][0]
    for measure, panel in zip(("validation", "test") * 2, panels, strict=True):
        own = plot.data[plot.data["measure"] == measure]
        assert [series["name"] for series in panel["series"]] == style.ordered(own["searcher"])
        for series in panel["series"]:
            rows = own[own["searcher"] == series["name"]]
            assert series["color"] == style.look(series["name"]).color
            for index in range(0, len(panel["cost"]), 7):
                told = rows[rows["cost"] <= panel["cost"][index]]
                held = None if told.empty else float(f"{told['mean'].iloc[-1]:.6g}")
                assert series["value"][index] == held


def test_two_methods_with_equal_curves_are_both_there(rows, make):
    told = [row for name in "ab" for row in rows("t", name, 0, [0.3, 0.2])]
    tables = make(told, {"t": {}})
    (panel,) = hover(progress.convergence(tables, incumbents(tables), "t", "evaluations"))
    assert [series["name"] for series in panel["series"]] == ["a", "b"]
    assert panel["series"][0]["value"] == panel["series"][1]["value"] == [0.3, 0.2]


def test_a_value_drawn_at_the_floor_is_told_as_it_is(rows, make):
    told = []
    for repetition in range(2):
        told += rows("t", "a", repetition, [0.5, 0.0001]) + rows("t", "b", repetition, [0.6, 0.4])
    tables = make(told, {"t": {"regret_best": 0.0, "regret_reference": 1.0, "budget_amount": 2}})
    inputs = prepare(tables)
    plot = aggregates.regret_curves(inputs, compare(inputs))
    assert "values below 0.001 drawn at 0.001" in plot.caption
    assert min(min(line.get_ydata()) for line in plot.figure.axes[0].get_lines()) == 0.001
    (panel,) = hover(plot)
    assert panel["series"][0]["value"][-1] == 0.0001


def test_every_figure_with_step_curves_has_values_to_hover_over():
    inputs = prepare(large(3, 6, 5, 8))
    plots = {item.stem: item.plot for item in all_plots(inputs, tasks=["task00/small"])}
    for kind in ("convergence", "rank", "regret", "profile", "targets", "search-time"):
        own = [plot for stem, plot in plots.items() if stem.startswith(kind)]
        assert own
        for plot in own:
            for panel in hover(plot):
                assert [series["name"] for series in panel["series"]] == ["random", "grid", "optuna_tpe"]
                assert len(panel["cost"]) > 1
            assert len(hover(plot)) == len(plot.figure.axes)


def test_figures_without_curves_have_nothing_to_hover_over():
    inputs = prepare(large(3, 2, 2, 5))
    assert hover(aggregates.aggregate_scores(inputs, compare(inputs))) == []
