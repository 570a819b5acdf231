"""Spaces that a library cannot take: refused before it is loaded."""

from __future__ import annotations

import pytest

from harness.options import Options
from harness.space import Float, Int, Space
from harness.trial import Budget, Fidelity, Objective, Problem
from searchers import gpyopt, kerastuner


@pytest.mark.parametrize(
    "kind",
    [
        kerastuner.KerasTunerRandom,
        kerastuner.KerasTunerGrid,
        kerastuner.KerasTunerBayes,
        kerastuner.KerasTunerHyperband,
    ],
)
@pytest.mark.parametrize("name", ["epochs", "initial_epoch", "bracket", "round", "trial_id"])
def test_names_that_the_library_keeps_for_itself_are_refused(kind, name):
    space = Space({"lr": Float(0, 1), f"tuner/{name}": Float(0, 1), "tuner": Float(0, 1)})
    problem = Problem(space, Fidelity(1, 9), Objective("val_loss", "min", failure=10.0))
    settings: Options = kind.Settings()
    assert kind.incompatibilities(problem, Budget("epochs", 90), settings) == [
        f"parameter 'tuner/{name}': Keras Tuner keeps names that begin with tuner/ for itself; rename it"
    ]


def test_whole_numbers_that_the_library_cannot_list_are_refused():
    space = Space({"small": Int(1, 100_000), "large": Int(1, 100_001)})
    problem = Problem(space, Fidelity(1, 1), Objective("val_loss", "min", failure=10.0))
    budget, settings = Budget("evaluations", 9), gpyopt.GPyOptGP.Settings()
    assert gpyopt.GPyOptGP.incompatibilities(problem, budget, settings) == [
        "parameter 'large' has 100001 values, more than the 100000 that GPyOpt can list in reasonable time: search it "
        "as a Float, or with another method"
    ]
