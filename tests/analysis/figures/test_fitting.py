"""At a column's and a page's width, with long names and other fonts, no text lies over another or sticks out."""

from __future__ import annotations

import pytest
from large_sweeps import large
from matplotlib.figure import Figure
from texts import outside, overlapping

from analysis import style
from analysis.errors import AnalysisError
from analysis.figures import named
from analysis.figures.canvas import blank, settle
from analysis.figures.chosen import choose
from analysis.statistics.inputs import prepare
from harness.figure_fields import parse
from results.tables import read_tables

pytestmark = pytest.mark.slow

LONG = [f"A method whose name is long, number {number} of 8" for number in range(1, 9)]

SWEEP = f"""\
name: long
repetitions: 5
budget: {{evaluations: 8}}
reevaluate: 2
tasks: [mixed]
searchers: [{", ".join(f"{{name: random, label: '{label[:40]}'}}" for label in LONG)}]
"""

STYLES = [
    {"width": "3.3in"},
    {"width": "7in"},
    {"width": "2.5in", "font": "DejaVu Serif", "font_size": 10, "decimal": "comma", "titles": False},
]


def troubles(tables, fields):
    """Draw every figure that these tables have; return their names, and what is wrong with each."""
    made = choose(tables, parse(fields, "options"))
    drawn, wrong = set(), {}
    with style.using(made.style):
        inputs = prepare(made.tables)
        for name, kind in named.FIGURES.items():
            tasks = [None] if kind.of != "task" else []
            tasks += list(inputs.facts)[:1] if kind.of != "all" else []
            for task in tasks:
                try:
                    figure = named.draw(inputs, name, task=task).plot.figure
                except AnalysisError:
                    continue
                drawn.add(name)
                found = (overlapping(figure), outside(figure))
                if any(found):
                    wrong[name, task] = found
                if made.style.width is not None:
                    assert figure.get_figwidth() == pytest.approx(made.style.width)
    return drawn, wrong


@pytest.mark.parametrize("fields", STYLES, ids=str)
def test_no_texts_overlap_in_any_figure_of_eight_methods(fields, run_sweep):
    many = large(8, 11, 2, 5)
    labels = dict(zip(sorted(set(many.studies["searcher"])), LONG, strict=True))
    over_tasks, wrong = troubles(many, {**fields, "labels": labels})
    assert not wrong
    run_sweep(SWEEP)
    own, wrong = troubles(read_tables(run_sweep.root, "long"), fields)
    assert not wrong
    assert over_tasks | own == set(named.FIGURES)


def test_overlaps_and_clipped_texts_are_found():
    figure = Figure()
    for place, text in ((0.5, "one text"), (0.52, "another"), (0.99, "over the edge")):
        figure.text(place, 0.5, text)
    figure.text(0.1, 0.1, "turned", rotation=45)
    figure.text(0.13, 0.1, "apart", rotation=45)  # their upright boxes overlap, the texts do not
    assert overlapping(figure) == [("one text", "another")]
    assert outside(figure) == ["over the edge"]


def test_numbers_have_a_comma_and_names_have_none():
    with style.using(style.Style(comma=True)), style.applied():
        figure = blank(3.3, 2.2)
        axes = figure.subplots()
        axes.plot([0.0, 0.5], [0, 1])
        axes.set_yticks([0, 1], ["v1.2", "v1.3"])
        settle(figure)
        figure.draw_without_rendering()
    assert {label.get_text() for label in axes.get_yticklabels()} == {"v1.2", "v1.3"}
    numbers = [label.get_text() for label in axes.get_xticklabels()]
    assert "0,2" in numbers
    assert not any("." in number for number in numbers)
