"""The figures of what each method tried."""

import pytest
from parameter_sweeps import sweep

from analysis.figures import exploration


@pytest.fixture(scope="module")
def made():
    return sweep()


def test_every_figure_has_its_numbers_and_says_what_it_rests_on(made):
    plots = dict(exploration.plots(made, "t"))
    assert list(plots) == ["importance", "slices", "coordinates"]
    assert "PED-ANOVA (Optuna)" in plots["importance"].caption
    assert "118 trials" in plots["importance"].caption
    assert "momentum in" in plots["importance"].details
    assert "236 evaluations" in plots["slices"].caption
    slices = plots["slices"].data
    assert set(slices["parameter"]) == {"optimizer", "lr", "units", "momentum"}
    assert (slices.query("parameter == 'lr'")["tried"] != "").all()
    panels = [axes for axes in plots["slices"].figure.axes if axes.get_visible()]
    assert [axes.get_xlabel() for axes in panels] == ["optimizer", "lr", "units", "momentum"]
    assert sum(len(line.get_xdata()) for line in panels[1].lines) == 236
    coordinates = plots["coordinates"]
    assert [axes.get_title() for axes in coordinates.figure.axes] == ["random", "b"]
    assert "failed ones are left out" in coordinates.caption
    for (
        axes
    ) in coordinates.figure.axes:  # values at the axes: ends of numbers, choices, and what the last one means
        written = [text.get_text() for text in axes.texts]
        assert {"worst", "best"} <= set(written)
        assert len(written) >= 2 * (len(axes.get_xticks()) - 1)
    ranks = coordinates.data.sort_values("value")["rank"]
    assert ranks.is_monotonic_increasing
    assert (ranks.min(), ranks.max()) == (0, 1)


def test_nothing_tried_draws_nothing(rows, make):
    tables = make(rows("t", "random", 0, [None, None]), {"t": {}})
    assert list(exploration.plots(tables, "t")) == []
