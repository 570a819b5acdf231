"""Parameters read from configurations, importance, and an even sample of what was tried."""

import numpy as np
import pandas as pd
import pytest
from parameter_sweeps import sweep

from analysis.statistics.parameters import importance, parameters_of, tried


@pytest.fixture(scope="module")
def made():
    return sweep()


def test_parameters_are_read_from_what_was_tried():
    configs = [
        {"lr": 1e-4, "units": 16, "optimizer": "sgd", "bias": True, "mixed": 1},
        {"lr": 0.1, "units": 64, "optimizer": "adam", "bias": False, "mixed": "auto", "momentum": 0.5},
    ]
    found = {p.name: p for p in parameters_of(configs)}
    assert list(found) == ["lr", "units", "optimizer", "bias", "mixed", "momentum"]
    assert (found["lr"].log, found["lr"].whole, found["units"].log, found["units"].whole) == (
        True,
        False,
        False,
        True,
    )
    assert found["optimizer"].choices == ("adam", "sgd")
    assert found["bias"].choices == ("false", "true")
    assert found["mixed"].choices == ("1", "auto")
    assert found["momentum"].active == 1
    np.testing.assert_array_equal(found["optimizer"].positions(["sgd", None, "adam"]), [1, np.nan, 0])
    np.testing.assert_allclose(found["lr"].unit(np.array([1e-4, np.sqrt(1e-5), 0.1])), [0, 0.5, 1])
    np.testing.assert_allclose(found["momentum"].unit(np.array([0.5])), [0.5])


def test_the_parameter_that_decides_is_the_most_important(made):
    table = importance(made, "t")
    assert table["parameter"].iloc[0] == "lr"
    assert table["importance"].iloc[0] > 0.6
    assert table["importance"].sum() == pytest.approx(1)
    trials = table.set_index("parameter")["trials"]
    assert trials["lr"] == 2 * 59  # random search's own, without its failures
    assert trials["momentum"] < trials["lr"]


def test_importance_rests_on_random_search_only(made, rows, make):
    table = importance(made, "t")
    trials = made.trials.copy()
    trials.loc[trials["searcher"] == "b", "value"] = 0.0
    changed = make(trials.to_dict("records"), {"t": {}})
    changed.studies["method"] = changed.studies["searcher"].replace("b", "skopt_gp")
    pd.testing.assert_frame_equal(importance(changed, "t"), table)
    changed.studies["method"] = "skopt_gp"
    assert importance(changed, "t") is None
    few = sweep(count=6, repetitions=2)
    assert importance(few, "t") is None


def test_a_larger_value_can_be_better():
    tables = sweep()
    tables.trials["value"] *= -1
    tables.tasks["direction"] = "max"
    pd.testing.assert_frame_equal(importance(tables, "t"), importance(sweep(), "t"))


def test_an_even_sample_of_each_method_is_shown(made):
    whole, part = tried(made, "t", limit=None), tried(made, "t", limit=40)
    assert len(whole.trials) == whole.total == part.total == 4 * 59
    assert part.trials.groupby("searcher").size().to_dict() == {"random": 40, "b": 40}
    assert part.trials.groupby(["searcher", "repetition"]).size().between(19, 21).all()
    assert len(part.configs) == len(part.trials)
    assert "momentum" in {p.name for p in part.parameters}
