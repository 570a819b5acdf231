"""Scores of runs: regret, anytime score, and the differences that tests over tasks rest on."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.errors import AnalysisError
from analysis.statistics.inputs import prepare
from analysis.statistics.scores import bounded_regret, losses_at, task_scores
from analysis.statistics.steps import Steps, cost_axes, distinct_costs, incumbents, union_grid
from analysis.statistics.tasks import task_facts

BETWEEN = {"regret_best": 0.0, "regret_reference": 1.0, "budget_amount": 10}


def scores_of(tables):
    return task_scores(prepare(tables))


def test_reference_value_of_an_area():
    """Finishes (2, .8), (5, .9), (9, .3), budget 10, value 1 before: the mean is .79."""
    run = Steps(np.array([2.0, 5.0, 9.0]), np.minimum.accumulate([0.8, 0.9, 0.3]))
    assert float(run.at(np.array([7.0]))[0]) == 0.8
    assert float(run.average(10, 1.0)) == pytest.approx(0.79)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 20), st.integers(0, 5)), min_size=1, max_size=6),
    st.integers(1, 25),
)
def test_an_average_is_the_mean_of_what_is_held_at_every_cost(points, end):
    costs, values = zip(*sorted(points), strict=True)
    run = Steps(np.array(costs, dtype=float), np.array(values, dtype=float))
    grid = np.arange(0, end, 0.5) + 0.25  # costs are whole numbers: nothing changes inside a cell
    assert float(run.average(end, 7.0)) == pytest.approx(np.nan_to_num(run.at(grid), nan=7.0).mean())


def test_regret_is_normalised_by_the_task_not_by_the_methods(rows, make):
    told = rows("t", "a", 0, [0.6, 0.2]) + rows("t", "b", 0, [0.5, 0.4])
    alone = scores_of(make(told, {"t": BETWEEN}))["t"]
    more = scores_of(make(told + rows("t", "c", 0, [-5.0, 9.0]), {"t": BETWEEN}))["t"]
    assert alone.regrets.tolist() == [[0.2, 0.4]]
    assert alone.anytime[0].tolist() == pytest.approx([(1 + 0.6 + 8 * 0.2) / 10, (1 + 0.5 + 8 * 0.4) / 10])
    np.testing.assert_array_equal(more.regrets[:, :2], alone.regrets)
    np.testing.assert_array_equal(more.anytime[:, :2], alone.anytime)


def test_accuracies_have_their_regret_the_right_way_up(rows, make):
    told = rows("t", "a", 0, [0.9], [0.8], direction="max") + rows(
        "t", "b", 0, [0.5], [0.55], direction="max"
    )
    about = {
        "direction": "max",
        "metric": "val_accuracy",
        "test_metric": "test_accuracy",
        "regret_best": 1.0,
        "regret_reference": 0.1,
    }
    own = scores_of(make(told, {"t": about}))["t"]
    assert (own.measure, own.metric) == ("test", "test_accuracy")
    assert own.regrets[0].tolist() == pytest.approx([0.2 / 0.9, 0.45 / 0.9])
    assert own.losses[0].tolist() == [-0.8, -0.55]


def test_no_run_is_worse_than_not_to_have_searched(rows, make):
    told = rows("t", "a", 0, [3.0, 0.5]) + rows("t", "b", 0, [None, None]) + rows("t", "c", 0, [None, 7.0])
    own = scores_of(make(told, {"t": BETWEEN}))["t"]
    assert own.regrets.tolist() == [[0.5, 1.0, 1.0]]
    assert own.anytime[0].tolist() == pytest.approx([(1 + 1 + 8 * 0.5) / 10, 1.0, 1.0])
    assert own.losses.tolist() == [[0.5, np.inf, 7.0]]
    assert bounded_regret(np.array([np.nan, 2.0, -0.5])).tolist() == [1.0, 1.0, -0.5]


def test_a_task_without_references_has_no_regret(rows, make):
    told = rows("t", "a", 0, [0.5]) + rows("t", "b", 0, [0.4])
    own = scores_of(make(told, {"t": {}}))["t"]
    assert own.regrets is None
    assert own.anytime is None


@pytest.mark.parametrize(
    ("best", "reference"), [(1.0, 0.0), (0.0, float("nan")), (float("nan"), 1.0), (0.0, 0.0)]
)
def test_references_that_contradict_the_direction_are_refused(rows, make, best, reference):
    about = {"regret_best": best, "regret_reference": reference}
    tables = make(rows("t", "a", 0, [0.5]), {"t": about})
    with pytest.raises(AnalysisError, match=r"'t': regret_best must be a better value than regret_reference"):
        task_facts(tables, "t")


def test_what_is_not_finished_is_no_loss_and_what_failed_is_infinite(rows, make):
    told = (
        rows("t", "a", 0, [0.3])
        + rows("t", "a", 2, [0.2])
        + rows("t", "b", 0, [None])
        + rows("u", "b", 1, [1.0])
    )
    scores = scores_of(make(told, {"t": BETWEEN, "u": BETWEEN}))
    own = scores["t"]
    assert (own.searchers, own.repetitions) == (("a", "b"), (0, 2))
    np.testing.assert_array_equal(own.losses, [[0.3, np.inf], [0.2, np.nan]])
    np.testing.assert_array_equal(own.regrets, [[0.3, 1.0], [0.2, np.nan]])
    assert (own.failed("a"), own.failed("b")) == (0, 1)
    assert scores["u"].searchers == ("b",)
    part = own.only(["a"], [2])
    assert (part.searchers, part.repetitions, part.losses.tolist()) == (("a",), (2,), [[0.2]])


def test_losses_after_a_part_of_the_budget(rows, make):
    told = rows("t", "a", 0, [None, 0.8, 0.5, 0.2]) + rows("t", "b", 0, [0.6, 0.6, 0.6, 0.6])
    inputs = prepare(make(told, {"t": {"budget_amount": 4}}))
    own = task_scores(inputs)["t"]
    assert losses_at(inputs, own, 0.25).tolist() == [[np.inf, 0.6]]
    assert losses_at(inputs, own, 0.5).tolist() == [[0.8, 0.6]]
    assert losses_at(inputs, own, 1.0).tolist() == own.losses.tolist()


def test_virtual_time_is_an_axis_of_parallel_studies_only(tables):
    assert "virtual_time" not in cost_axes(tables)
    parallel = dataclasses.replace(tables, studies=tables.studies.assign(workers=2))
    assert cost_axes(parallel)[-1] == "virtual_time"
    assert "virtual_time" in incumbents(tables)


def test_costs_that_would_repeat_a_figure_are_left_out(rows, make):
    best = incumbents(make(rows("t", "a", 0, [0.3, 0.2, 0.1]), {"t": {}}))
    # Epochs are evaluations, training seconds 1.5 times as many, and the total 1.6 times.
    assert distinct_costs(best, ["evaluations", "spent_epochs", "train_seconds", "total_seconds"]) == [
        "evaluations"
    ]


def test_a_thinned_grid_keeps_its_ends_and_only_real_costs():
    rng = np.random.default_rng(0)
    runs = [Steps(np.sort(rng.uniform(1, 1000, 400)), np.arange(400.0)) for _ in range(5)]
    every, few = union_grid(runs, 0, limit=10_000), union_grid(runs, 0, limit=50)
    assert every.size == 2000
    assert 30 < few.size <= 50
    assert (few[0], few[-1]) == (every[0], every[-1])
    assert np.isin(few, every).all()
    # Evenly spaced in the logarithm, where there are enough costs.
    assert np.diff(np.log(few[few > 50])).max() < 2 * np.log(1000) / 49


def in_cost(rows, costs):
    """The rows with what was spent after each."""
    return [{**row, "spent_cost": float(cost)} for row, cost in zip(rows, costs, strict=True)]


AT_COST = {**BETWEEN, "budget_unit": "cost", "budget_full_cost": 2.0, "cost_unit": "FLOPs"}


def test_a_budget_of_cost_is_read_over_cost(rows, make):
    told = in_cost(rows("t", "a", 0, [0.8, 0.2, 0.1]), [1, 4, 9])
    told += in_cost(rows("t", "b", 0, [0.5, 0.4]), [6, 8])
    inputs = prepare(make(told, {"t": AT_COST}))
    assert inputs.primary == "spent_cost"
    assert inputs.facts["t"].budget == "10 FLOPs"
    (own,) = task_scores(inputs).values()
    # The regret is 1 before the first, and what is left of the budget after the last holds its regret.
    assert own.anytime[0].tolist() == pytest.approx(
        [(1 + 3 * 0.8 + 5 * 0.2 + 0.1) / 10, (6 + 2 * 0.5 + 2 * 0.4) / 10]
    )
    assert losses_at(inputs, own, 0.5)[0].tolist() == [0.2, np.inf]
    assert losses_at(inputs, own, 0.25)[0].tolist() == [0.8, np.inf]


@pytest.mark.parametrize(
    ("units", "primary"),
    [
        (("cost", "cost"), "spent_cost"),
        (("cost", "evaluations"), "spent_epochs"),
        (("evaluations", "evaluations"), "evaluations"),
        (("epochs", "epochs"), "spent_epochs"),
    ],
)
def test_costs_are_drawn_where_a_budget_is_in_them(rows, make, units, primary):
    told = [row for task in ("s", "t") for row in in_cost(rows(task, "a", 0, [0.8, 0.2]), [1, 4])]
    tables = make(told, {task: {"budget_unit": unit} for task, unit in zip("st", units, strict=True)})
    inputs = prepare(tables)
    assert inputs.primary == primary
    assert ("spent_cost" in (inputs.primary, *inputs.axes)) == ("cost" in units)
