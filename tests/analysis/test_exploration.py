"""What each method tried: parameters read from configurations, importance, and the figures of them."""

import json

import numpy as np
import pandas as pd
import pytest

from analysis import exploration, style
from analysis.exploration import importance, parameters_of, tried

LOOKS = style.looks(["random", "b"])


def sweep(rows, make, *, count=60, repetitions=2, seed=0):
    """Two methods on one task whose value depends on the learning rate above all, with a conditional parameter."""
    rng = np.random.default_rng(seed)
    told = []
    for name in ("random", "b"):
        for repetition in range(repetitions):
            configs = []
            for _ in range(count):
                config = {
                    "optimizer": ["sgd", "adam"][rng.integers(2)],
                    "lr": float(10 ** rng.uniform(-5, 0)),
                }
                config["units"] = int(rng.integers(8, 65))
                if config["optimizer"] == "sgd":
                    config["momentum"] = float(rng.uniform(0.1, 0.9))
                configs.append(config)
            values = [abs(np.log10(c["lr"]) + 2) + 0.01 * c["units"] / 64 for c in configs]
            values[3] = None
            own = rows("t", name, repetition, values)
            told += [{**row, "config": json.dumps(c)} for row, c in zip(own, configs, strict=True)]
    tables = make(told, {"t": {}})
    tables.studies["method"] = tables.studies["searcher"].replace("b", "skopt_gp")
    return tables


@pytest.fixture(scope="module")
def made():
    import synthetic_sweeps

    return sweep(synthetic_sweeps.study_rows, synthetic_sweeps.tables_of)


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
    few = sweep(rows, make, count=6, repetitions=2)
    assert importance(few, "t") is None


def test_a_larger_value_can_be_better(rows, make):
    tables = sweep(rows, make)
    tables.trials["value"] *= -1
    tables.tasks["direction"] = "max"
    pd.testing.assert_frame_equal(importance(tables, "t"), importance(sweep(rows, make), "t"))


def test_an_even_sample_of_each_method_is_shown(made):
    whole, part = tried(made, "t", limit=None), tried(made, "t", limit=40)
    assert len(whole.trials) == whole.total == part.total == 4 * 59
    assert part.trials.groupby("searcher").size().to_dict() == {"random": 40, "b": 40}
    assert part.trials.groupby(["searcher", "repetition"]).size().between(19, 21).all()
    assert len(part.configs) == len(part.trials)
    assert "momentum" in {p.name for p in part.parameters}


def test_every_figure_has_its_numbers_and_says_what_it_rests_on(made):
    plots = dict(exploration.plots(made, "t", LOOKS))
    assert list(plots) == ["importance", "slices", "coordinates"]
    assert "PED-ANOVA (Optuna)" in plots["importance"].caption
    assert "118 trials" in plots["importance"].caption
    assert "momentum in" in plots["importance"].caption
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
    ranks = coordinates.data.sort_values("value")["rank"]
    assert ranks.is_monotonic_increasing
    assert (ranks.min(), ranks.max()) == (0, 1)


def test_nothing_tried_draws_nothing(rows, make):
    tables = make(rows("t", "random", 0, [None, None]), {"t": {}})
    assert list(exploration.plots(tables, "t", LOOKS)) == []
