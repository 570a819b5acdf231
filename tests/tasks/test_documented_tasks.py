"""What the documented image classifiers share, and the two perceptron tasks against their reports."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError

from harness import registry
from tasks import images
from tasks.datasets import load_small
from tasks.engine.network import Conv, Dense, Dropout, MaxPool, Optimizer, forward_flops
from tasks.fashion_cnn import FashionCnn
from tasks.fashion_mlp import FashionMlp
from tasks.images import Variant, split
from tasks.mnist_mlp import MnistMlp
from tasks.mnist_mlp_design import MnistMlpDesign
from tasks.mnist_net import MnistNet

TASKS = (FashionCnn, FashionMlp, MnistMlp, MnistMlpDesign, MnistNet)


def weights(training, inputs=784):
    total = 0
    for layer in training.layers:
        total, inputs = total + (inputs + 1) * layer.units, layer.units
    return total


@pytest.mark.parametrize("task", TASKS)
def test_registered(task):
    assert registry.task(task.name) is task


@pytest.mark.parametrize(
    ("task", "sizes"),
    [
        (MnistMlp(), (48_000, 12_000, 10_000, 100)),
        (MnistMlp(variant="small"), (4800, 1200, 1000, 9)),
        (MnistMlpDesign(), (48_000, 12_000, 10_000, 100)),
        (MnistMlpDesign(variant="small"), (4800, 1200, 1000, 9)),
        (FashionMlp(), (55_000, 5000, 10_000, 30)),
        (FashionMlp(variant="small"), (5500, 500, 1000, 10)),
        (FashionCnn(), (50_000, 10_000, 10_000, 3)),
        (FashionCnn(variant="small"), (5000, 1000, 1000, 3)),
        (MnistNet(validation="split"), (50_000, 10_000, 10_000, 3)),
        (MnistNet(validation="split", base="conv"), (50_000, 10_000, 10_000, 1)),
        (MnistNet(validation="split", base="conv", variant="small"), (5000, 1000, 1000, 1)),
    ],
    ids=lambda value: value.label if hasattr(value, "label") else "",
)
def test_sizes(task, sizes):
    variant = task.variant
    assert (variant.train, variant.val, variant.test, task.fidelity.high) == sizes
    assert task.fidelity.low == 1
    assert task.on_subset == (task.options.variant != "full")
    assert type(task)(variant="tiny").variant.train < 600
    # one training image more than there are would be taken silently as one less
    assert variant.train + variant.val <= (60_000 if task.options.variant == "full" else 6000)


def test_mnist_space_is_the_reports():
    task = MnistMlp()
    assert task.space.size() == 36
    best = task.space.references["published_best"]
    assert dict(best) == {"units1": 128, "units2": 256, "l2": 1e-6, "lr": 1e-3}
    training = task.training(best)
    assert [layer.units for layer in training.layers] == [128, 256, 10]
    assert [layer.l2 for layer in training.layers] == [1e-6, 1e-6, 0.0]
    assert {layer.initializer for layer in training.layers} == {"he_normal"}
    assert training.optimizer == Optimizer("rmsprop", 1e-3, rho=0.9)
    assert (training.batch, training.shuffle) == (32, True)
    assert MnistMlp(shuffle=False).training(best).shuffle is False


def test_fashion_references_are_the_reports():
    task = FashionMlp()
    settings = {name: task.training(config).optimizer for name, config in task.space.references.items()}
    assert settings == {
        "sgd": Optimizer("sgd", 0.01),
        "momentum": Optimizer("sgd", 0.01, momentum=0.9),
        "rmsprop": Optimizer("rmsprop", 0.001, rho=0.9),
        "adam": Optimizer("adam", 0.001),
    }
    training = task.training(task.space.references["sgd"])
    assert weights(training) == 266_610
    assert (training.batch, training.shuffle) == (32, True)


@pytest.mark.parametrize("task", TASKS)
def test_objective_is_a_matter_of_scoring(task):
    accuracy, f1, longer = task(), task(objective="val_macro_f1"), task(epochs=200)
    assert (f1.objective.metric, f1.objective.test_metric) == ("val_macro_f1", "test_macro_f1")
    assert (accuracy.objective.metric, accuracy.objective.test_metric) == ("val_accuracy", "test_accuracy")
    assert accuracy.key.training == f1.key.training == longer.key.training
    assert longer.fidelity.high == 200
    assert accuracy.key != f1.key != longer.key != accuracy.key


def test_order_is_a_matter_of_training():
    for task in (MnistMlp, MnistMlpDesign):
        assert task().key.training != task(shuffle=False).key.training


def test_bad_options_are_refused():
    for options in ({"variant": "huge"}, {"objective": "test_accuracy"}, {"shuffle": 1}, {"batch": 3}):
        with pytest.raises(ValidationError):
            MnistMlp(**options)


def test_cost_by_hand():
    task = FashionMlp()
    forward = 2 * (784 * 300 + 300 * 100 + 100 * 10)
    for config in task.space.references.values():
        assert task.cost(config) == forward * (3 * 55_000 + 5000 + 10_000)
    task = MnistMlp(variant="small")
    wide = {"units1": 128, "units2": 512, "l2": 1e-1, "lr": 1e-1}
    assert task.cost(wide) == 2 * (784 * 128 + 128 * 512 + 512 * 10) * (3 * 4800 + 1200 + 1000)


def test_forward_flops_by_hand():
    """On a 7 × 5 image with 3 channels; pooling by 2 drops the last row and column."""
    convolution, dense = 2 * 7 * 5 * 3 * 3 * 3 * 4, 2 * (3 * 2 * 4) * 6
    layers = (Conv(4, 3), MaxPool(2), Dropout(0.5), Dense(6))
    assert forward_flops(layers, (7, 5, 3)) == convolution + dense
    assert forward_flops((Dense(6), Dropout(0.5), Dense(2)), (5,)) == 2 * 5 * 6 + 2 * 6 * 2
    with pytest.raises(ValueError, match=r"conv_1.* needs \(height, width, channels\), got \(6,\)"):
        forward_flops((Dense(6), Conv(4, 3)), (7, 5, 3))


@pytest.mark.parametrize(("task", "first"), [(MnistMlp, False), (FashionMlp, True), (FashionCnn, False)])
def test_loaded_arrays(task, first):
    task = task(variant="small")
    data, arrays = task.load(), load_small(task.data_set)
    v = task.variant
    shapes = {"train": v.train, "val": v.val, "test": v.test}
    for part, count in shapes.items():
        x, y = data[f"x_{part}"], data[f"y_{part}"]
        assert (x.shape, x.dtype, y.shape, y.dtype) == ((count, 28, 28, 1), np.uint8, (count,), np.uint8)
        assert x.flags.c_contiguous
        assert (x.min(), x.max()) == (0, 255)
    val, train = (slice(0, v.val), slice(v.val, None)) if first else (slice(v.train, None), slice(0, v.train))
    for part, chosen in (("val", val), ("train", train)):
        assert np.array_equal(data[f"x_{part}"][..., 0], arrays["x_train"][chosen])
        assert np.array_equal(data[f"y_{part}"], arrays["y_train"][chosen])
    assert np.array_equal(data["x_test"][..., 0], arrays["x_test"])
    assert np.array_equal(data["y_test"], arrays["y_test"])


@pytest.mark.parametrize("first", [True, False])
def test_split_keeps_order_and_never_overlaps(first):
    labels = np.arange(20, dtype=np.uint8)
    arrays = {"y_train": labels, "y_test": labels, "x_train": np.zeros((20, 28, 28), np.uint8)}
    arrays["x_test"] = arrays["x_train"]
    out = split(arrays, Variant(train=8, val=2, test=5, epochs=1, subset=True), validation_first=first)
    expected = {"val": [0, 1], "train": [*range(2, 10)]} if first else {"train": [*range(8)], "val": [8, 9]}
    assert {part: out[f"y_{part}"].tolist() for part in ("train", "val")} == expected
    assert out["y_test"].tolist() == [0, 1, 2, 3, 4]


def test_only_the_full_variant_needs_the_full_data(monkeypatch):
    def absent(name):
        raise AssertionError(name)

    monkeypatch.setattr(images, "load_full", absent)
    for task in TASKS:
        for variant in ("small", "tiny"):
            task(variant=variant).load()
        with pytest.raises(AssertionError, match=task.data_set):
            task().load()
