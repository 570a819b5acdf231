"""Figures of trained networks: what is drawn is what was given, and drawing again gives the same bytes."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from analysis.figures.canvas import save
from analysis.reproduction import networks
from analysis.reproduction.published import Line
from analysis.reproduction.shown import shown_of
from analysis.statistics.bootstrap import mean_interval
from harness.experiment import Experiment
from harness.task import Inspection
from results.tables import SweepTables

EPOCHS, REPETITIONS = 6, 3
CONFUSION = ((8, 2, 0), (1, 9, 0), (0, 0, 0))


def sweep(repetitions: int = REPETITIONS, scale: float = 1.0) -> SweepTables:
    studies = [f"study{r}" for r in range(repetitions)]
    epochs = [
        {
            "study": study,
            "step": 1,
            "epoch": epoch,
            "train_loss": scale / epoch**3 + r / 100,
            "val_loss": scale / epoch + r / 100,
            "train_accuracy": 1 - 0.5 / epoch - r / 100,
            "val_accuracy": 1 - 0.6 / epoch - r / 100,
            "test_accuracy": 0.5,
        }
        for r, study in enumerate(studies)
        for epoch in range(1, EPOCHS + 1)
    ]
    common = {"task": "net", "searcher": "design"}
    return SweepTables(
        name="made",
        trials=pd.DataFrame(
            [
                {
                    **common,
                    "repetition": r,
                    "study": study,
                    "step": 1,
                    "status": "ok",
                    "loss": 0.1,
                    "epochs": EPOCHS,
                }
                | {"config": json.dumps({"x": 1})}
                for r, study in enumerate(studies)
            ]
        ),
        read_epochs=lambda: pd.DataFrame(epochs),
        studies=pd.DataFrame(
            [{**common, "repetition": r, "study": study, "state": "done"} for r, study in enumerate(studies)]
        ),
        tasks=pd.DataFrame(),
        provenance={},
    )


def line(**changes) -> Line:
    given = {
        "experiment": Experiment("R", "design", reference="one"),
        "task": "net",
        "searcher": "design",
        "tables": sweep(),
        "planned": REPETITIONS,
        "classes": ("cat", "dog", "$owl$"),
        "confusion": CONFUSION,
        "confusions": 2,
    }
    return Line(**{**given, **changes})


def inspection(**changes) -> Inspection:
    random = np.random.default_rng(0)
    given = {
        "before": {"dense_1/kernel": random.normal(size=(60, 50)), "dense_2/kernel": np.full((50, 3), 10.0)},
        "after": {
            "dense_1/kernel": random.normal(2, 3, (60, 50)),
            "dense_2/kernel": random.normal(size=(50, 3)),
        },
        "images": random.integers(0, 255, (11, 6, 6)).astype(np.uint8),
        "labels": np.arange(30) % 3,
        "predicted": np.where(np.arange(30) < 4, 0, np.arange(30) % 3),
        "classes": ("cat", "dog", "$owl$"),
    }
    return Inspection(**{**given, **changes})


def plots():
    yield networks.learning_curves(line())
    yield networks.confusion_matrix(line())
    yield networks.weights(line(), shown_of(inspection()))
    yield networks.predictions(line(), shown_of(inspection()))


@pytest.mark.slow
def test_the_same_input_gives_the_same_bytes(tmp_path):
    for i, (one, other) in enumerate(zip(plots(), plots(), strict=True)):
        first, second = save(one, tmp_path / "a", str(i)), save(other, tmp_path / "b", str(i))
        assert [path.read_bytes() for path in first.values()] == [p.read_bytes() for p in second.values()]


@pytest.mark.parametrize("repetitions", [REPETITIONS, 5])
def test_learning_curves_are_means_with_an_interval_of_five_repetitions(repetitions):
    plot = networks.learning_curves(line(tables=sweep(repetitions)))
    data = plot.data
    assert set(zip(data["metric"], data["part"], strict=True)) == {
        (metric, part) for metric in ("loss", "accuracy") for part in ("train", "val")
    }
    own = data[(data["metric"] == "loss") & (data["part"] == "val")]
    table = np.array([[1 / e + r / 100 for e in range(1, EPOCHS + 1)] for r in range(repetitions)])
    expected = mean_interval(table)
    assert own["mean"].to_numpy() == pytest.approx(expected.mean)
    assert own["high"].to_numpy() == pytest.approx(expected.high, nan_ok=True)
    assert f"{repetitions} repetitions" in plot.caption
    assert ("Bands" in plot.caption, "No interval" in plot.caption) == (repetitions == 5, repetitions < 5)
    assert bool(plot.figure.axes[0].collections) == (repetitions == 5)


def test_losses_over_many_orders_get_a_logarithmic_axis():
    plot = networks.learning_curves(line(tables=sweep(1, scale=1e9)))
    assert plot.figure.axes[0].get_yscale() == "log"
    assert plot.figure.axes[1].get_yscale() == "linear"
    assert "logarithmic" in plot.caption
    assert "No interval" in plot.caption


def test_confusion_rows_sum_to_one_where_the_class_occurs():
    data = networks.confusion_matrix(line()).data
    shares = data.groupby("true", sort=False)["share"].sum()
    assert shares.to_dict() == pytest.approx({"cat": 1.0, "dog": 1.0, "$owl$": 0.0})
    cell = data[(data["true"] == "cat") & (data["predicted"] == "dog")].iloc[0]
    assert (cell["count"], cell["share"]) == (2, pytest.approx(0.2))
    assert networks.confusion_matrix(line(confusion=(), confusions=0)) is None


def test_violins_are_densities_of_the_weights():
    seen = inspection()
    data = networks.weights(line(), shown_of(seen)).data
    for when, weights in (("before", seen.before), ("after", seen.after)):
        own = data[(data["layer"] == "dense_1/kernel") & (data["when"] == when)]
        drawn = own[own["quantity"] == "density"]
        assert np.trapezoid(drawn["density"], drawn["weight"]) == pytest.approx(1, abs=0.02)
        assert drawn["weight"].min() == pytest.approx(weights["dense_1/kernel"].min())
        middle = own.loc[own["quantity"] == "median", "weight"].item()
        assert middle == pytest.approx(np.median(weights["dense_1/kernel"]))
    assert "dense_2/kernel 0, " in networks.weights(line(), shown_of(seen)).alt, (
        "equal weights have a violin, too"
    )


def test_only_the_last_layers_of_a_deep_network_are_drawn():
    deep = {f"conv_{i}/kernel": np.arange(9.0) for i in range(30)}
    plot = networks.weights(line(), shown_of(inspection(before=deep, after=deep)))
    assert set(plot.data["layer"]) == {f"conv_{i}/kernel" for i in range(22, 30)}
    assert "Left out: the first 22 layers." in plot.caption
    assert networks.weights(line(), shown_of(inspection(before={}, after={}))) is None


def test_images_have_predicted_and_true_classes():
    seen = inspection()
    plot = networks.predictions(line(), shown_of(seen))
    assert list(plot.data["true"][:4]) == ["cat", "dog", "$owl$", "cat"]
    assert list(plot.data["predicted"][:4]) == ["cat"] * 4
    assert plot.data["right"].sum() == 9
    assert "2 of 11" in plot.caption
    assert plot.figure.axes[1].get_title() == "cat\ntrue: dog"
    colored = inspection(images=np.zeros((3, 5, 5, 3), np.uint8))
    assert len(networks.predictions(line(), shown_of(colored)).data) == 3


def test_what_cannot_be_compared_says_so_under_every_figure():
    marked = line(incomparable="stand-in data")
    seen = inspection()
    for plot in (
        networks.learning_curves(marked),
        networks.confusion_matrix(marked),
        networks.weights(marked, shown_of(seen)),
        networks.predictions(marked, shown_of(seen)),
    ):
        assert "Not comparable with published figures: stand-in data." in plot.caption
