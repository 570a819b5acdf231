"""Winners re-evaluated: how much of a selected value was luck."""

import dataclasses
import math

import numpy as np
import pytest

from analysis.figures.catalogue import all_plots
from analysis.statistics.inputs import prepare
from analysis.statistics.reevaluation import mean_reevaluation, reevaluation
from results.reevaluation_table import frame

REFERENCES = {"regret_best": 0.0, "regret_reference": 2.0}


def again(task, searcher, repetition, selected, values, test=None):
    """Rows of the table: a text among the values is the status of what has none."""
    return [
        {
            "task": task,
            "searcher": searcher,
            "repetition": repetition,
            "study": f"{task}|{searcher}|{repetition}",
            "number": number,
            "step": 1,
            "epochs": 9,
            "evaluation": f"{number:016x}",
            "seed": number,
            "status": value if isinstance(value, str) else "ok",
            "value": math.nan if isinstance(value, str) else value,
            "test": math.nan if isinstance(value, str) or test is None else value + 1,
            "seconds": 0.1,
            "machine": "m",
            "incumbent_value": selected,
            "incumbent_test": math.nan if test is None else test,
        }
        for number, value in enumerate(values, start=1)
    ]


def with_reevaluations(tables, rows):
    return dataclasses.replace(tables, reevaluations=frame(rows))


def test_luck_is_by_how_much_the_selected_value_is_better(rows, make):
    told = rows("t", "a", 0, [0.5, 0.4]) + rows("t", "a", 1, [0.3]) + rows("t", "b", 0, [0.6])
    told += rows("u", "a", 0, [0.8], direction="max")
    table = again("t", "a", 0, 0.4, [0.5, 0.7], test=0.45) + again("t", "a", 1, 0.3, [0.2, "diverged"])
    table += again("t", "b", 0, 0.6, ["crashed", "missing"]) + again("u", "a", 0, 0.8, [0.7, 0.8])
    tasks = {"t": REFERENCES, "u": {"direction": "max"}}
    inputs = prepare(with_reevaluations(make(told, tasks), table))
    runs = reevaluation(inputs)
    assert runs[["task", "searcher", "repetition"]].to_numpy().tolist() == [
        ["t", "a", 0],
        ["t", "a", 1],
        ["t", "b", 0],
        ["u", "a", 0],
    ]
    assert runs["again"].tolist() == pytest.approx([0.6, 0.2, math.nan, 0.75], nan_ok=True)
    assert runs["luck"].tolist() == pytest.approx([0.2, -0.1, math.nan, 0.05], nan_ok=True)
    assert runs["regret"].tolist() == pytest.approx([0.1, -0.05, math.nan, math.nan], nan_ok=True)
    assert runs[["seeds", "failed", "missing"]].to_numpy().tolist() == [
        [2, 0, 0],
        [1, 1, 0],
        [0, 1, 1],
        [2, 0, 0],
    ]
    assert runs["again_test"].iloc[0] == pytest.approx(1.6)
    means = mean_reevaluation(inputs).set_index(["task", "searcher"])
    row = means.loc["t", "a"]
    assert (row["selected"], row["again"], row["luck"]) == pytest.approx((0.35, 0.4, 0.05))
    assert (row["repetitions"], row["lost"], row["seeds"], row["failed"], row["missing"]) == (2, 0, 3, 1, 0)
    lost = means.loc["t", "b"]
    assert math.isnan(lost["luck"])
    assert (lost["repetitions"], lost["lost"]) == (0, 1)


def test_the_interval_resamples_repetitions(rows, make):
    from analysis.statistics.bootstrap import mean_interval

    lucks = [0.1, 0.3, 0.2, 0.5, 0.4, 0.2]
    told = [row for r, _ in enumerate(lucks) for row in rows("t", "a", r, [1.0])]
    table = [row for r, luck in enumerate(lucks) for row in again("t", "a", r, 1.0, [1 + luck, 1 + luck])]
    (row,) = mean_reevaluation(prepare(with_reevaluations(make(told, {"t": {}}), table))).to_dict("records")
    expected = mean_interval(np.array(lucks))
    assert (row["luck"], row["luck_low"], row["luck_high"]) == pytest.approx(
        (float(expected.mean), float(expected.low), float(expected.high)), nan_ok=True
    )
    assert row["selected_low"] == pytest.approx(row["selected"], nan_ok=True)


def test_the_best_of_many_equal_ones_was_lucky_and_a_single_one_was_not(rows, make):
    """Regression to the mean: one configuration, noise of 1, the best of n evaluations is selected."""
    rng = np.random.default_rng(3)
    told, table = [], []
    for repetition in range(200):
        for name, count in (("one", 1), ("hundred", 100)):
            values = rng.normal(size=count).tolist()
            told += rows("t", name, repetition, values)
            table += again("t", name, repetition, min(values), rng.normal(size=5).tolist())
    means = mean_reevaluation(prepare(with_reevaluations(make(told, {"t": {}}), table))).set_index("searcher")
    assert means.loc["one", "luck_low"] < 0 < means.loc["one", "luck_high"]
    assert means.loc["hundred", "luck"] == pytest.approx(2.508, abs=0.15)  # expected maximum of 100 normals
    assert means.loc["hundred", "luck_low"] > 2
    assert abs(means["again"]).max() < 0.15


def test_without_re_evaluations_nothing_is_drawn(rows, make):
    inputs = prepare(make(rows("t", "a", 0, [0.5]), {"t": {}}))
    assert reevaluation(inputs).empty
    assert mean_reevaluation(inputs).empty


def test_the_figures_show_both_values_and_say_what_failed(rows, make):
    told, table = [], []
    for task in "tu":
        for searcher, value in (("a", 0.4), ("b", 0.5)):
            for repetition in range(6):
                told += rows(task, searcher, repetition, [value])
                table += again(task, searcher, repetition, value, [value + 0.1, value + 0.3])
    table[0] |= {"status": "timeout", "value": math.nan}
    tables = with_reevaluations(make(told, dict.fromkeys("tu", REFERENCES)), table)
    plots = {listed.stem: listed for listed in all_plots(prepare(tables))}
    over = plots["reevaluation"]
    assert (over.section, over.task) == ("selection", None)
    assert over.plot.data.set_index("searcher").loc[
        "b", ["selected", "again", "luck"]
    ].tolist() == pytest.approx([0.25, 0.35, 0.1])
    assert "trained again with 2 fresh seeds" in over.plot.caption
    assert "Of 48 re-evaluations 1 timeout; these have no value and are left out." in over.plot.caption
    own = plots["reevaluation_t"].plot
    assert own.data.set_index("searcher").loc["b", "luck"] == pytest.approx(0.2)
    assert "Of 24 re-evaluations 1 timeout" in own.caption
    assert "re-evaluations" not in plots["reevaluation_u"].plot.caption
    assert [len(figure.axes) for figure in (over.plot.figure, own.figure)] == [3, 3]
