"""The convolutional task against its report, and its two protocols."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError

from harness import registry
from harness.trial import Budget, Status
from tasks.datasets import load_small
from tasks.engine.network import Conv, Dense, MaxPool, Optimizer
from tasks.fashion_cnn import FashionCnn

CONVOLUTIONS = (Conv(32, 3, "relu"), MaxPool(2), Conv(64, 3, "relu"), MaxPool(2))
FORWARD = 2 * (28 * 28 * 9 * 1 * 32 + 14 * 14 * 9 * 32 * 64)


def test_space_is_the_reports():
    task = FashionCnn()
    assert task.space.from_unit([0, 0, 0]) == {"lr": 1e-5, "layers": 1, "units": 5}
    assert task.space.from_unit([1, 1, 1]) == {"lr": 1e-1, "layers": 5, "units": 512}
    assert task.space.from_unit([0.5, 0, 0])["lr"] == pytest.approx(1e-3)
    assert [*task.space.references.values()] == [
        {"lr": 1e-3, "layers": 1, "units": 12},
        {"lr": 0.007747, "layers": 1, "units": 296},
    ]


def test_network_is_the_reports():
    task = FashionCnn()
    training = task.training({"lr": 0.02, "layers": 3, "units": 50})
    assert training.layers == (*CONVOLUTIONS, *[Dense(50, "relu")] * 3, Dense(10, "linear"))
    assert training.optimizer == Optimizer("adam", 0.02)
    assert (training.batch, training.shuffle) == (512, True)


def test_the_reports_search_can_be_run():
    searcher = registry.searcher("skopt_gp")
    settings = searcher.Settings(start_at_reference=True)
    problem = FashionCnn(protocol="published").problem
    assert searcher.incompatibilities(problem, Budget("evaluations", 60), settings) == []


def test_published_protocol():
    """All training images are trained on, and the test images are what the searcher sees."""
    sound, published = FashionCnn(variant="small"), FashionCnn(variant="small", protocol="published")
    data, arrays = published.load(), load_small("fashion_mnist")
    assert np.array_equal(data["x_train"][..., 0], arrays["x_train"])
    assert np.array_equal(data["y_train"], arrays["y_train"])
    for part in ("val", "test"):
        assert np.array_equal(data[f"x_{part}"][..., 0], arrays["x_test"])
        assert np.array_equal(data[f"y_{part}"], arrays["y_test"])
    assert len(sound.load()["x_train"]) == 5000
    full = FashionCnn(protocol="published").variant
    assert (full.train, full.val, full.test) == (60_000, 0, 10_000)


def test_published_results_are_recognisable():
    sound, published = FashionCnn(), FashionCnn(protocol="published")
    assert (sound.label, published.label) == ("fashion_cnn/full", "fashion_cnn/full,protocol=published")
    assert sound.key.training != published.key.training
    assert (published.objective.metric, published.objective.test_metric) == ("test_accuracy", None)
    f1 = FashionCnn(protocol="published", objective="val_macro_f1")
    assert (f1.objective.metric, f1.objective.test_metric) == ("test_macro_f1", None)
    with pytest.raises(ValidationError):
        FashionCnn(protocol="honest")


@pytest.mark.tensorflow
def test_published_curve():
    task = FashionCnn(variant="tiny", protocol="published")
    evaluation = task.evaluate(task.space.references["start"], epochs=1, seed=1, data=task.load())
    assert evaluation.status is Status.OK
    assert evaluation.curve["val_accuracy"] == evaluation.curve["test_accuracy"]
    assert task.objective.loss(evaluation) == -evaluation.curve["test_accuracy"][-1]


def test_cost_by_hand():
    config = {"lr": 1e-3, "layers": 3, "units": 50}
    forward = FORWARD + 2 * (7 * 7 * 64 * 50 + 50 * 50 + 50 * 50 + 50 * 10)
    assert FashionCnn().cost(config) == forward * (3 * 50_000 + 10_000 + 10_000)
    # the test images are measured twice: as what they are and in the place of validation
    assert FashionCnn(protocol="published").cost(config) == forward * (3 * 60_000 + 2 * 10_000)
