"""Evaluations, objectives, budgets: what a curve implies and what a failure costs."""

import math

import pytest

from harness.trial import Budget, Curve, Evaluation, Fidelity, Objective, Proposal, Status, charged_epochs

ACCURACY = Objective("val_accuracy", "max", failure=0.0)


def ok(epochs: int) -> Evaluation:
    curve = Curve(
        {
            "val_accuracy": [0.5 + i / 100 for i in range(epochs)],
            "seconds": [float(i + 1) for i in range(epochs)],
        }
    )
    return Evaluation(Status.OK, curve, epochs)


def test_a_curve_contains_every_shorter_evaluation():
    long = ok(30)
    short = long.at(10)
    assert short is not None
    assert (short.epochs, short.curve) == (10, ok(10).curve)
    assert long.at(31) is None


def test_a_divergence_is_reached_or_not():
    diverged = Evaluation(
        Status.DIVERGED, ok(3).curve, epochs=4, lost_seconds=9.0, message="the loss became NaN in epoch 4"
    )
    assert diverged.at(4) is diverged
    assert diverged.at(50) is diverged
    before = diverged.at(3)
    assert before is not None
    assert (before.status, before.epochs, before.message) == (Status.OK, 3, "")
    assert diverged.seconds() == 1 + 2 + 3 + 9
    assert before.seconds() == 6
    assert diverged.seconds(after=2) == 3 + 9


def test_an_ok_evaluation_must_have_its_whole_curve():
    with pytest.raises(ValueError, match="5 epochs has a curve of 3"):
        Evaluation(Status.OK, ok(3).curve, 5)


@pytest.mark.parametrize("bad", [math.nan, math.inf, 1, True, "0.5"])
def test_a_curve_holds_finite_floats_only(bad):
    with pytest.raises(ValueError, match="finite Python floats"):
        Curve({"val_loss": (0.1, bad)})


def test_a_curve_has_columns_of_one_length():
    with pytest.raises(ValueError, match="equal lengths"):
        Curve({"a": (0.1,), "b": (0.1, 0.2)})


def test_every_failure_is_told_alike_and_never_better_than_a_success():
    for status in (Status.DIVERGED, Status.CRASHED, Status.TIMEOUT):
        assert ACCURACY.loss(Evaluation(status, Curve(), 1)) == 0.0
    assert ACCURACY.loss(ok(1)) == -0.5
    loss = Objective("val_loss", "min", failure=10.0)
    awful = Evaluation(Status.OK, Curve({"val_loss": (1e9,)}), 1)
    assert loss.loss(awful) == loss.loss(Evaluation(Status.DIVERGED, Curve(), 1)) == 10.0


@pytest.mark.parametrize(
    ("status", "reached", "before", "charge"),
    [
        (Status.OK, 10, 0, 10),
        (Status.OK, 10, 4, 6),
        (Status.DIVERGED, 7, 0, 7),
        (Status.DIVERGED, 3, 4, 0),  # it had diverged before it was continued
        (Status.TIMEOUT, 2, 0, 10),
        (Status.CRASHED, 0, 4, 6),
    ],
)
def test_what_an_evaluation_costs(status, reached, before, charge):
    curve = ok(reached).curve if status is Status.OK else Curve()
    assert charged_epochs(Proposal(0, {}, 10), Evaluation(status, curve, reached), before) == charge


def test_a_budget_says_how_many_full_evaluations_it_pays_for():
    fidelity = Fidelity(1, 30)
    assert Budget("evaluations", 7).full_evaluations(fidelity) == 7
    assert Budget("epochs", 7 * 30 + 29).full_evaluations(fidelity) == 7
    with pytest.raises(ValueError, match="at least 1"):
        Budget("epochs", 0)
    with pytest.raises(ValueError, match="low <= high"):
        Fidelity(5, 3)
