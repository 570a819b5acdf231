"""What a user chose to show: which numbers it changes, which it must not, and that what is left out is said."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from large_sweeps import large

from analysis import style
from analysis.figures import named
from analysis.figures.chosen import choose
from analysis.report import latex
from analysis.statistics.comparison import compare
from analysis.statistics.inputs import prepare
from harness.errors import SweepError
from harness.figure_fields import DEFAULTS, parse


@pytest.fixture(scope="module")
def tables():
    return large(4, 6, 3, 8)


def chosen(tables, **fields):
    return choose(tables, parse(fields, "options"))


def test_nothing_chosen_is_everything_as_it_is(tables):
    made = choose(tables, DEFAULTS)
    assert made.tables is tables
    assert made.style == style.Style()
    assert not made.notices


def test_other_names_order_and_looks_change_no_number(tables):
    labels = {"random": "Zufall", "optuna_tpe": "A method", "task00/small": "The first task"}
    made = chosen(tables, labels=labels, order=["optuna_tpe"], looks={"grid": {"color": "#123456"}})
    before, after = compare(prepare(tables)), compare(prepare(made.tables))
    names = {name: labels.get(name, name) for name in before.searchers}
    assert {names[name]: rank for name, rank in before.mean_ranks.items()} == pytest.approx(after.mean_ranks)
    for (first, second), shares in before.final.shares.items():
        assert np.allclose(np.sort(after.final.share(names[first], names[second])), np.sort(shares))
    assert "The first task" in after.scores
    assert not made.notices
    assert not made.style.note
    assert set(tables.studies["searcher"]) == set(names)  # what was read is as it was


def test_methods_keep_their_looks_whatever_is_left_out_and_however_they_are_called(tables):
    every = style.looks(set(tables.studies["searcher"]))
    made = chosen(
        tables,
        only=["grid", "skopt_gp"],
        labels={"grid": "random", "random": "grid"},
        looks={"skopt_gp": {"marker": "h"}},
    )
    with style.using(made.style):
        looks = style.looks(set(made.tables.studies["searcher"]))
        assert style.ordered(looks) == ["random", "skopt_gp"]  # grid comes before it
    assert looks["random"] == every["grid"]
    assert looks["skopt_gp"] == dataclasses.replace(every["skopt_gp"], marker="h")


def test_ranks_are_among_the_methods_shown_and_every_caption_says_so(tables):
    made = chosen(tables, only=["random", "optuna_tpe"], tasks=["task00/small", "task01/small"])
    inputs = prepare(made.tables)
    assert sum(compare(inputs).mean_ranks.values()) == pytest.approx(3)
    said = "Left out by choice: grid and skopt_gp and task task02/small, "
    with style.using(made.style):
        drawn = named.draw(inputs, "rank")
        tables_of_paper = latex.all_tables(inputs)
    assert said in drawn.plot.caption
    assert "ranks and tests are of what is shown" in drawn.plot.caption
    assert all("ranks and tests are of what is shown" in table.caption for table in tables_of_paper)
    assert "2 methods (grid and skopt_gp)" in made.notices[0]
    assert set(made.tables.trials["searcher"]) == {"random", "optuna_tpe"}
    assert len(tables.trials) == 4 * 6 * 3 * 8


def test_a_planned_comparison_is_shown_only_whole(tables):
    stated = {"methods": ["random", "grid"], "method": None, "measure": "final", "level": 0.05}
    run = {"started": "2026-01-01", "compare": stated, "repetitions": 3}
    planned = dataclasses.replace(tables, provenance={**tables.provenance, "compare": stated, "runs": [run]})
    whole = chosen(planned, only=["random", "grid"], labels={"grid": "Grid"})
    assert whole.tables.compared.stated.methods == ("random", "Grid")
    assert whole.tables.provenance["runs"][0]["compare"]["methods"] == ["random", "Grid"]
    for fields in ({"only": ["random", "optuna_tpe"]}, {"tasks": ["task00/small", "task01/small"]}):
        part = chosen(planned, **fields)
        assert part.tables.compared is None
        assert (
            "The comparison that the sweep planned (random and grid, on all its tasks) is not shown"
            in (part.notices[-1])
        )


def test_both_names_name_a_method(tables):
    made = chosen(tables, labels={"random": "Chance"}, only=["Chance", "grid"], order=["grid", "Chance"])
    assert set(made.tables.studies["searcher"]) == {"Chance", "grid"}
    assert made.style.order == ("grid", "Chance")


def test_everything_unknown_is_said_at_once(tables):
    with pytest.raises(SweepError) as error:
        chosen(tables, only=["rndom"], tasks=["task99"], labels={"x": "y"}, order=["z"], font="No Such Font")
    said = str(error.value)
    assert "no method called 'rndom'; did you mean 'random'?" in said
    assert "no task called 'task99'" in said
    assert "no method or task called 'x'" in said
    assert "no method called 'z'" in said
    assert "no font 'No Such Font' is installed here" in said
    with pytest.raises(SweepError, match="'grid' would be the name of several"):
        chosen(tables, labels={"random": "grid"})


def test_epochs_are_those_of_the_studies_shown(tables):
    studies = tables.studies["study"].unique()[:2]
    epochs = tables.trials[["study", "step"]].assign(epoch=1)
    made = chosen(dataclasses.replace(tables, read_epochs=lambda: epochs), only=["grid"])
    assert len(studies)
    assert set(made.tables.epochs["study"]) == set(made.tables.studies["study"])
