"""Figures: what is drawn, its caption, and its files."""

import itertools

import numpy as np
import pandas as pd
import pytest

from analysis import style
from analysis.figures import progress
from analysis.figures.canvas import save
from analysis.figures.curves import value_axis
from analysis.figures.targets import targets_reached
from analysis.statistics.comparison import compare
from analysis.statistics.inputs import prepare
from analysis.statistics.steps import incumbents


@pytest.fixture(scope="module")
def best(tables):
    return incumbents(tables)


def lines(axes):
    return [line for line in axes.get_lines() if len(line.get_xdata())]


def test_exactly_the_saved_numbers_are_drawn_as_steps(tables, best, tmp_path):
    plot = progress.convergence(tables, best, "mnist/small", "spent_epochs")
    paths = save(plot, tmp_path, "x")
    saved, units = pd.read_csv(paths["csv"]), pd.read_csv(paths["units"])
    assert (saved["cost_axis"] == "spent_epochs").all()
    # One repetition of optuna_tpe failed: four are too few for an interval.
    assert set(units["searcher"]) == {"optuna_tpe"}
    assert set(units["unit"]) == {f"repetition {number}" for number in range(4)}
    for measure, axes in zip(("validation", "test"), plot.figure.axes, strict=False):
        drawn = [line for line in lines(axes) if line.get_linewidth() > 1]
        thin = [line for line in lines(axes) if line.get_linewidth() < 1]
        bands = iter(axes.collections)
        assert (len(drawn), len(axes.collections)) == (4, 3)
        for name, line in zip(style.ordered(saved["searcher"]), drawn, strict=True):
            own = saved[(saved["measure"] == measure) & (saved["searcher"] == name)]
            assert line.get_drawstyle() == "steps-post"
            np.testing.assert_array_equal(line.get_xdata(), own["cost"])
            np.testing.assert_array_equal(line.get_ydata(), own["mean"])
            assert line.get_color() == style.look(name).color
            assert own["low"].isna().all() == (name == "optuna_tpe")
            if name == "optuna_tpe":
                continue
            corners = {tuple(corner) for corner in next(bands).get_paths()[0].vertices.tolist()}
            costs, lows = own["cost"].tolist(), own["low"].tolist()
            # A band that is a step holds its end up to the next cost.
            assert set(zip(costs[1:], lows[:-1], strict=True)) <= corners
        singles = units[units["measure"] == measure].groupby("unit")
        assert len(thin) == 4
        for line, (_, own) in zip(thin, singles, strict=True):
            assert line.get_color() == style.look("optuna_tpe").color
            np.testing.assert_array_equal(line.get_xdata(), own["cost"])
            np.testing.assert_array_equal(line.get_ydata(), own["value"])
        assert axes.get_xscale() == "log"
    assert [axes.get_ylabel() for axes in plot.figure.axes][:2] == ["val_accuracy", "test_accuracy"]


def test_the_mean_of_single_repetitions_is_the_line(rows, make):
    told = [row for r in range(3) for row in rows("t", "a", r, [0.9, 0.3 + 0.1 * r])]
    tables = make(told, {"t": {}})
    plot = progress.convergence(tables, incumbents(tables), "t", "evaluations")
    last = plot.units.groupby("unit")["value"].last()
    assert last.to_dict() == pytest.approx({"repetition 0": 0.3, "repetition 1": 0.4, "repetition 2": 0.5})
    assert plot.data["mean"].iloc[-1] == pytest.approx(last.mean())
    assert "Thin lines: single repetitions (fewer than 5: no interval)." in plot.caption
    assert "Bands" not in plot.caption


def test_a_task_without_test_has_one_metric(tables, best):
    plot = progress.convergence(tables, best, "branin/2d", "evaluations")
    assert {axes.get_ylabel() for axes in plot.figure.axes} == {"value"}
    assert "nothing is held out for a test" in plot.caption
    assert "right: the test value" not in plot.caption


def test_where_the_axis_hides_the_end_its_last_half_is_shown_apart(rows, make):
    def drawn(second):
        told = []
        for name, end in (("a", 0.10), ("b", second)):
            told += rows("t", name, 0, [1.0] * 2 + [0.9] * 4 + [end] * 10)
        tables = make(told, {"t": {}})
        return progress.convergence(tables, incumbents(tables), "t", "evaluations")

    apart = drawn(0.11)
    whole, late = apart.figure.axes
    assert "Right: the last half of the cost apart" in apart.caption
    assert late.get_xlim()[0] == 8
    low, high = late.get_ylim()
    assert low < 0.10 < 0.11 < high < 0.12
    assert whole.get_ylim()[1] > 1
    assert [curves.axes for curves in apart.curves] == [whole, late]
    seen = drawn(0.5)  # far enough apart to be seen at the end of the whole axis
    assert len(seen.figure.axes) == 1
    assert "apart" not in seen.caption


@pytest.mark.parametrize("count", [9, 30])
def test_many_methods_stand_back_behind_those_that_lead_and_random_search(rows, make, count):
    names = ["random", *(f"m{index:02d}" for index in range(1, count))]
    told = [row for place, name in enumerate(names) for row in rows("t", name, 0, [0.9, 0.5 - 0.01 * place])]
    tables = make(told, {"t": {}})
    best = incumbents(tables)
    plot = progress.convergence(tables, best, "t", "evaluations")
    legend = [text.get_text() for text in plot.figure.legends[0].get_texts()]
    if count == 9:
        assert legend == names
        assert "Grey" not in plot.caption
        return
    assert legend == ["random", *names[-7:], "22 others"]
    assert "Grey: 22 other methods" in plot.caption
    assert set(plot.data["searcher"]) == set(names)
    assert {series.name for series in plot.curves[0].series} == set(names)
    asked = progress.convergence(tables, best, "t", "evaluations", highlight=["m03"])
    assert [text.get_text() for text in asked.figure.legends[0].get_texts()] == ["m03", "29 others"]


def test_rank_one_is_on_top(tables, best):
    for plot in (
        progress.task_rank(tables, best, "mnist/small", "evaluations"),
        progress.overall_rank(tables, best, "evaluations"),
    ):
        for axes in plot.figure.axes:
            bottom, top = axes.get_ylim()
            assert bottom > 4
            assert 0.5 < top < 1
            assert 1 in axes.get_yticks()


def test_convergence_caption_says_statistic_interval_counts_and_gaps(tables, best):
    plot = progress.convergence(tables, best, "mnist/small", "spent_epochs")
    mnist = plot.caption
    assert "mean over repetitions" in mnist
    assert "95 % bootstrap intervals, resampling repetitions (2000 resamples)" in mnist
    assert "Thin lines: single repetitions where there are fewer than 5: no interval." in mnist
    assert "repetitions: random 5, optuna_tpe 4, skopt_gp 5, hyperband 5, 1 task" in mnist
    assert "over epochs trained (log axis); larger is better" in mnist
    assert "Left out: optuna_tpe, repetition 4 (failed)." in mnist
    assert "fewer than the full 9 epochs" in plot.details
    assert "held at their last incumbent" in plot.details
    assert "subset" not in mnist
    fashion = progress.convergence(tables, best, "fashion/small", "total_seconds").caption
    assert "smaller is better" in fashion
    assert "Left out: skopt_gp, repetition 3 (missing)." in fashion
    assert fashion.endswith("Data subset or stand-in.")  # the page says once what that means
    branin = progress.convergence(tables, best, "branin/2d", "evaluations").caption
    assert "5 repetitions per method, 1 task" in branin
    assert "Left out" not in branin


def test_rank_captions_say_what_was_resampled_and_over_how_much(tables, best):
    plot = progress.task_rank(tables, best, "mnist/small", "evaluations")
    task = plot.caption
    assert "the 4 methods are ranked" in task
    assert "mean over 4 repetitions of 1 task" in task
    assert "Thin lines: single repetitions (fewer than 5: no interval)." in task
    assert "rounding to 9 significant digits" in plot.details
    assert "Left out: repetition 4 (optuna_tpe failed)." in task
    overall = progress.overall_rank(tables, best, "evaluations").caption
    assert "3 tasks, 4 to 5 repetitions per task" in overall
    assert "Thin lines: single tasks (fewer than 5: no interval)." in overall
    assert "rests on 3 tasks only and speaks about these tasks" in overall
    assert "over the 2 tasks that have a test set" in overall
    assert "fraction of each task's largest final cost in evaluations (log axis)" in overall
    assert "repetition 3 (skopt_gp missing) on fashion/small; repetition 4 (optuna_tpe failed)" in overall
    assert overall.endswith("Data subset or stand-in: fashion/small.")


@pytest.mark.parametrize(
    ("count", "says"), [(1, "One task: no interval."), (5, "5 tasks only"), (6, "6 tasks,")]
)
def test_few_tasks_are_owned_up_to(rows, make, count, says):
    names = [f"t{index}" for index in range(count)]
    told = [
        row for t in names for r in range(2) for s in "ab" for row in rows(t, s, r, [0.1 + 0.1 * (s == "b")])
    ]
    tables = make(told, {name: {} for name in names})
    plot = progress.overall_rank(tables, incumbents(tables), "evaluations")
    assert says in plot.caption
    assert ("tasks only" in plot.caption) == (1 < count < 6)
    assert plot.data["low"].isna().all() == (count < 5)
    assert plot.units.empty  # one task, or enough for an interval
    assert "2 repetitions per task" in plot.caption
    assert plot.data["cost_axis"].unique().tolist() == ["evaluations"]  # all end at the same


def test_one_repetition_has_no_band_and_the_caption_says_so(rows, make):
    tables = make(rows("t", "a", 0, [0.2, 0.1]) + rows("t", "b", 0, [0.3, 0.2]), {"t": {}})
    best = incumbents(tables)
    curve = progress.convergence(tables, best, "t", "evaluations")
    assert not curve.figure.axes[0].collections
    assert "One repetition: no interval." in curve.caption
    assert curve.units.empty
    assert "One repetition: no interval." in progress.task_rank(tables, best, "t", "evaluations").caption


def test_studies_without_success_are_named(rows, make):
    told = rows("t", "a", 0, [0.2]) + rows("t", "b", 0, [None]) + rows("t", "c", 0, [0.1])
    tables = make(told, {"t": {}})
    best = incumbents(tables)
    curve = progress.convergence(tables, best, "t", "evaluations")
    assert "the line of b (no successful evaluation in repetition 0)" in curve.caption
    rank = progress.task_rank(tables, best, "t", "evaluations")
    assert "ranked last throughout: b, repetition 0, on t." in rank.caption


def test_a_cost_of_which_nothing_was_spent_has_no_figure(rows, make):
    tables = make(rows("t", "a", 0, [0.2], costs=[0]) + rows("t", "b", 0, [0.3], costs=[0]), {"t": {}})
    best = incumbents(tables)
    assert progress.convergence(tables, best, "t", "train_seconds") is None
    assert progress.task_rank(tables, best, "t", "train_seconds") is None
    assert progress.overall_rank(tables, best, "train_seconds") is None


def test_a_cost_that_begins_at_zero_has_a_linear_axis(rows, make):
    tables = make(rows("t", "a", 0, [0.2, 0.1], costs=[0, 3]), {"t": {}})
    plot = progress.convergence(tables, incumbents(tables), "t", "train_seconds")
    assert plot.figure.axes[0].get_xscale() == "linear"
    assert "(linear axis)" in plot.caption


def test_names_of_any_shape_can_be_drawn(rows, make, tmp_path):
    names = ["_hidden", "$x^{$", "<b>&", "a" * 200]
    told = [row for name in names for row in rows("$\\frac{\n/é" * 30, name, 0, [0.2, 0.1])]
    tables = make(told, {told[0]["task"]: {}})
    plot = progress.convergence(tables, incumbents(tables), told[0]["task"], "evaluations")
    save(plot, tmp_path, "x")
    legend = [text.get_text() for text in plot.figure.legends[0].get_texts()]
    assert legend == ["$x^{$", "<b>&", "_hidden", "a" * 25 + "…"]


@pytest.mark.parametrize("count", [1, 4, 11])
@pytest.mark.parametrize("test", [True, False])
def test_nothing_is_clipped_or_covers_anything(rows, make, count, test):
    names = [*style.LOOKS][count - 1 :: -1]
    costs = [0.0011, 0.02, 3.2]
    told = [
        row for name in names for row in rows("t", name, 0, [0.3, 0.2, 0.1], [0.3, 0.2, 0.1], costs=costs)
    ]
    tables = make(told, {"t": {"test_metric": "test_loss" if test else None}})
    figure = progress.convergence(tables, incumbents(tables), "t", "train_seconds").figure
    (legend,) = figure.legends
    assert len(legend.get_texts()) == min(count, 9)
    box = legend.get_window_extent()
    assert figure.bbox.x0 <= box.x0 < box.x1 <= figure.bbox.x1
    assert figure.bbox.y0 <= box.y0
    for axes in figure.axes:
        around = axes.get_tightbbox()
        assert box.y1 <= around.y0
        assert figure.bbox.x0 <= around.x0 < around.x1 <= figure.bbox.x1
        ticks = [label.get_window_extent() for label in axes.get_xticklabels() if label.get_text()]
        seen = [tick for tick in ticks if axes.bbox.x0 <= (tick.x0 + tick.x1) / 2 <= axes.bbox.x1]
        assert len(seen) >= 2
        assert all(left.x1 < right.x0 for left, right in itertools.pairwise(seen))


def test_a_value_axis_shows_where_methods_differ():
    def axis(means, *, log=False):
        frame = pd.DataFrame({"cost": [1.0, 2, 50, 100], "mean": means, "low": np.nan, "high": np.nan})
        return value_axis(frame.assign(measure="validation", searcher="a"), may_be_log=log)

    plain = axis([0.80, 0.85, 0.9, 0.95])
    assert (plain.cut, plain.log) == (False, False)
    assert plain.low < 0.80 < 0.95 < plain.high
    cut = axis([0.10, 0.90, 0.94, 0.95])
    assert cut.cut
    assert 0.85 < cut.low < 0.90
    assert axis([500.0, 20, 3, 0.1], log=True).log
    assert not axis([500.0, 20, 3, -0.1], log=True).log
    flat = axis([0.5] * 4)
    assert flat.low < 0.5 < flat.high


@pytest.mark.parametrize(("unit", "axis"), [("FLOPs", "cost (FLOPs)"), ("s", "training seconds (recorded)")])
def test_a_cost_is_named_with_its_unit_and_never_shared_by_tasks_of_different_units(make, rows, unit, axis):
    told = [
        row
        for task in ("s", "t")
        for searcher, values in (("a", [0.3, 0.2]), ("b", [0.5, 0.1]))
        for repetition in range(2)
        for row in rows(task, searcher, repetition, values)
    ]
    own = {"budget_unit": "cost", "budget_amount": 2.0, "regret_best": 0.0, "regret_reference": 1.0}
    for other in (unit, "evaluations"):
        tables = make(told, {"s": {**own, "cost_unit": unit}, "t": {**own, "cost_unit": other}})
        inputs = prepare(tables)
        ranks = progress.overall_rank(tables, inputs.best, "spent_cost")
        reached = targets_reached(inputs, compare(inputs), "spent_cost")
        on_task = progress.convergence(tables, inputs.best, "s", "spent_cost")
        assert f"over {axis} (log axis)" in on_task.caption
        if other == unit:  # both end at a cost of 2
            assert f"over 2 tasks and {axis} (log axis)" in ranks.caption
            assert reached.data["cost"].max() == 2
        else:
            assert (
                "the fraction of each task's largest final cost in cost (each task's own unit)"
                in ranks.caption
            )
            assert "over fraction of the budget in cost (each task's own unit)" in reached.caption
            assert max(ranks.data["cost"].max(), reached.data["cost"].max()) == 1
