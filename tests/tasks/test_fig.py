"""The two fig tasks against their report, and what only they ask of the engine: a backbone, augmentation, stages."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from pydantic import ValidationError

from harness import registry
from harness.errors import DataError
from harness.task import Checkpoint, read_only
from harness.trial import Status
from tasks import datasets, downloads
from tasks.engine import backbone, densenet
from tasks.engine.augmentation import Augmentation
from tasks.engine.network import CenterLoss, Dense, DenseNet, Dropout, FineTuning, Optimizer, Training
from tasks.engine.training import train
from tasks.fig import FigAugmentation, FigHead

pytestmark = pytest.mark.tensorflow

BLOCKS = (1, 1, 1, 1)
SEED = 3


@pytest.fixture(scope="module")
def task():
    task = FigHead(variant="tiny")
    task.prepare(1)
    return task


@pytest.fixture(scope="module")
def data(task):
    return read_only(task.load())


def described(**changes):
    """The training most tests begin with: two epochs frozen, then one fine-tuned."""
    layers = (DenseNet(BLOCKS), Dense(8), Dropout(0.3), Dense(4, "linear"))
    common = Training(layers, Optimizer("adam", 2e-3), batch=32, fine_tuning=FineTuning(after=2, lr=1e-5))
    return replace(common, **changes)


def numbers(curve):
    return {name: list(values) for name, values in curve.items() if name != "seconds"}


def trained(training, data, epochs=3, **rest):
    checkpoint = Checkpoint.fresh()
    evaluation = train(training, epochs=epochs, seed=SEED, data=data, checkpoint=checkpoint, **rest)
    assert evaluation.status is Status.OK
    return evaluation, checkpoint.state


# The tasks as declared.


def test_registered():
    assert registry.task("fig_head") is FigHead
    assert registry.task("fig_augmentation") is FigAugmentation


def test_what_is_not_the_sources_is_in_the_label():
    assert FigHead().label == "fig_head/full,images=stand_in"
    assert FigHead(images="folder").label == "fig_head/full,images=folder"
    assert FigHead(variant="tiny").label == "fig_head/tiny,images=stand_in,backbone_weights=none"
    random = FigAugmentation(variant="small", backbone_weights="none")
    assert sorted(random.label.split(",")) == [
        "backbone_weights=none",
        "fig_augmentation/small",
        "images=stand_in",
    ]
    assert all(
        task.on_subset for task in (FigHead(), random, FigHead(images="folder", backbone_weights="none"))
    )
    assert not FigHead(images="folder").on_subset


def test_images_and_weights_are_part_of_the_identity(monkeypatch):
    # Of a folder the pictures themselves, which are read for it; `test_figs.py` has folders.
    monkeypatch.setattr("tasks.fig.load_folder", lambda: {"x_train": np.zeros((1, 100, 100, 3), np.uint8)})
    monkeypatch.setattr("tasks.fig.imagenet_weights", lambda: {"backbone": np.zeros(1, np.float32)})
    keys = {
        FigHead(**options).key.id
        for options in ({}, {"images": "folder"}, {"backbone_weights": "none"}, {"variant": "small"})
    }
    assert len(keys) == 4
    monkeypatch.setattr("tasks.fig.load_folder", lambda: {"x_train": np.ones((1, 100, 100, 3), np.uint8)})
    assert FigHead(images="folder").key.id not in keys
    assert FigHead(epochs=10).key.id == FigHead(objective="val_macro_f1").key.id == FigHead().key.id


@pytest.mark.parametrize(
    "options",
    [
        {"variant": "small", "images": "folder"},
        {"variant": "tiny", "backbone_weights": "imagenet"},
        {"objective": "test_accuracy"},
        {"epochs": 0},
    ],
)
def test_bad_options_are_refused(options):
    with pytest.raises(ValidationError):
        FigHead(**options)


def test_head_space_and_references_are_the_reports():
    task = FigHead()
    assert (task.fidelity.low, task.fidelity.high) == (1, 15)
    assert (task.objective.metric, task.objective.direction) == ("val_accuracy", "max")
    keras = task.training(task.space.references["keras_tuner"])
    assert keras == Training(
        layers=(DenseNet((6, 12, 24, 16)), Dense(11), Dropout(0.0), Dense(4, "linear")),
        optimizer=Optimizer("adam", 0.0020325),
        batch=32,
        center=CenterLoss(0.1),
        fine_tuning=FineTuning(after=10, lr=1e-5),
    )
    optuna = task.training(task.space.references["optuna"])
    assert (optuna.layers[1:3], optuna.optimizer.lr) == ((Dense(10), Dropout(0.2)), 0.0017097)
    assert optuna.center.weight == 0.6
    remedies = {name: task.training(config).balance for name, config in task.space.references.items()}
    assert (remedies["class_weights"], remedies["dropout_0.8"]) == ("weights", "resample")


def test_augmentation_space_and_reference_are_the_reports():
    task = FigAugmentation()
    assert (task.objective.metric, task.objective.direction) == ("val_loss", "min")
    best = task.training(task.space.references["published_best"])
    assert best.augmentation == Augmentation(29.78, 0.1, 0.4, 0.4, 0.1)
    assert (best.layers[1], best.center, best.balance) == (Dense(256), None, "none")
    assert [domain.high for domain in task.space.parameters.values()] == [40, 0.4, 0.4, 0.4, 0.4]


def test_cost_by_hand():
    backbone = densenet.forward_flops(densenet.DENSENET121, 100)
    head = 2 * (1024 * 11 + 11 * 4)
    task = FigHead()
    config = task.space.references["keras_tuner"]
    passes = 3 * 4500 + 750 + 750
    assert task.cost(config) == pytest.approx((10 * passes * head + 5 * passes * (backbone + head)) / 15)
    assert FigHead(epochs=10).cost(config) == pytest.approx(passes * head)
    task, head = FigAugmentation(epochs=10), 2 * (1024 * 256 + 256 * 4)
    assert task.cost(task.space.references["published_best"]) == pytest.approx(
        passes * head + 4500 * backbone
    )


# What is loaded.


def test_loaded_arrays(data):
    for part, count in (("train", 120), ("val", 30), ("test", 30)):
        assert (data[f"x_{part}"].shape, data[f"x_{part}"].dtype) == ((count, 32, 32, 3), np.uint8)
        assert (data[f"y_{part}"].shape, data[f"y_{part}"].dtype) == ((count,), np.uint8)
    assert np.array_equal(data["backbone"], densenet.random_weights(BLOCKS)["backbone"])


def test_without_weights_loading_says_which_file_to_put_where(tmp_path, monkeypatch):
    def download(name, url, md5):
        raise OSError("no route to host")

    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.delenv(datasets.ENVIRONMENT, raising=False)
    monkeypatch.setattr(downloads, "download_file", download)
    with pytest.raises(DataError, match=r"Put densenet121_weights\S*_notop\.h5 .* into a folder"):
        FigAugmentation(variant="small").load()


def test_a_folder_of_class_folders_is_used(tmp_path, monkeypatch):
    for label in range(4):
        for number in range(8):
            path = tmp_path / "figs" / f"class{label}" / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (100, 100), (label, number, 0)).save(path)
    monkeypatch.setenv(datasets.ENVIRONMENT, str(tmp_path))
    data = FigHead(images="folder", backbone_weights="none").load()
    assert data["x_train"].shape == (24, 100, 100, 3)
    assert np.bincount(data["y_val"]).tolist() == [1, 1, 1, 1]
    (tmp_path / "figs" / "class1" / "3.png").write_bytes(b"")
    with pytest.raises(DataError, match=r"class1/3\.png: cannot be read as an image"):
        FigHead(images="folder", backbone_weights="none").load()


# What the engine does with them.


def test_features_computed_once_equal_features_in_the_program(data):
    """Augmentation that changes nothing makes the program pass every image through the backbone."""
    once, _ = trained(described(), data)
    inside, _ = trained(described(augmentation=Augmentation()), data)
    for name in ("train_loss", "val_loss", "test_loss"):
        assert inside.curve[name] == pytest.approx(once.curve[name], rel=1e-4)
    assert inside.curve["val_accuracy"] == once.curve["val_accuracy"]


def test_augmentation_matters_and_leaves_validation_alone(data):
    plain, _ = trained(described(), data, epochs=1)
    moved, _ = trained(described(augmentation=Augmentation(30, 0.1, 0.4, 0.4, 0.1)), data, epochs=1)
    assert moved.curve["train_loss"] != pytest.approx(plain.curve["train_loss"], rel=1e-3)
    still = described(
        layers=(DenseNet(BLOCKS), Dense(8), Dense(4, "linear")),
        augmentation=Augmentation(30),
        optimizer=Optimizer("sgd", 1e-12),
        shuffle=False,
    )
    first, second = trained(still, data, epochs=2)[0].curve["train_loss"]
    assert second != pytest.approx(first, rel=1e-4), "an epoch sees the images as the one before it did"
    # a head that does not learn measures the same validation images, however training images are turned
    assert trained(still, data, epochs=1)[0].curve["val_loss"] == pytest.approx(
        trained(replace(still, augmentation=None), data, epochs=1)[0].curve["val_loss"]
    )


@pytest.mark.parametrize("augmentation", [None, Augmentation(30, 0.1, 0.4, 0.4, 0.1)])
def test_continued_across_the_stages_equals_one_go(data, augmentation):
    training = described(augmentation=augmentation, center=CenterLoss(0.1), balance="resample")
    whole, state = trained(training, data, epochs=4)
    checkpoint = Checkpoint.fresh()
    for epochs in (1, 2, 3, 4):  # the second stage begins with epoch 3
        part = train(training, epochs=epochs, seed=SEED, data=data, checkpoint=checkpoint)
        assert numbers(part.curve) == numbers(whole.curve.prefix(epochs))
    assert set(checkpoint.state.variables) == set(state.variables)
    for name, value in state.variables.items():
        assert np.array_equal(checkpoint.state.variables[name], value), name


def test_fine_tuning_moves_the_backbone_and_only_then(data):
    _, frozen = trained(described(), data, epochs=2)
    assert not any("densenet" in name for name in frozen.variables)
    _, tuned = trained(described(), data, epochs=3)
    moved = np.abs(tuned.variables["densenet_1/weights"] - data["backbone"])
    steps = -(-len(data["y_train"]) // 32)
    assert tuned.variables["steps"] == steps, "the optimiser was not begun anew"
    assert 0.5 * 1e-5 < moved.max() <= steps * 1.01e-5  # Adam's steps are as long as its rate, at most
    assert (moved > 0).mean() > 0.5
    head = np.abs(tuned.variables["dense_1/kernel"] - frozen.variables["dense_1/kernel"])
    assert 0 < head.max() <= steps * 1.01e-5


def test_fine_tuning_is_keras_fit(data):
    """One epoch of the second stage against Keras's own layers and optimiser, batch normalisation at rest."""
    import keras
    from keras.src.applications.densenet import DenseNet as KerasDenseNet

    training = described(
        layers=(DenseNet(BLOCKS), Dense(8), Dense(4, "linear")),
        optimizer=Optimizer("sgd", 1e-3),  # its steps are as long as gradients are, unlike Adam's
        shuffle=False,
        fine_tuning=FineTuning(after=1, lr=1e-2),
    )
    _, before = trained(training, data, epochs=1)
    evaluation, after = trained(training, data, epochs=2)

    base = KerasDenseNet(
        list(BLOCKS), include_top=False, weights=None, input_shape=(32, 32, 3), pooling="avg"
    )
    ours, moments = (
        iter(np.split(data["backbone"], np.cumsum(densenet.pieces(BLOCKS))[:-1])),
        data["statistics"],
    )
    assert np.array_equal(np.unique(moments), [0, 1])  # as Keras begins: means 0, variances 1
    trained_variables = []
    for layer in densenet.layers(BLOCKS):
        for name in ("kernel",) if len(layer.shape) > 1 else ("gamma", "beta"):
            variable = getattr(base.get_layer(layer.name), name)
            variable.assign(next(ours).reshape(layer.shape))
            trained_variables.append(variable)
    hidden, last = keras.layers.Dense(8, "relu"), keras.layers.Dense(4)

    class Tuned(keras.Model):
        def __init__(self):
            super().__init__()
            self.parts = [base, hidden, last]

        def call(self, pixels):
            x = keras.applications.densenet.preprocess_input(pixels)
            return last(hidden(base(x, training=False)))

    model = Tuned()
    model(data["x_train"][:1].astype(np.float32))
    for layer, name in ((hidden, "dense_1"), (last, "dense_2")):
        layer.kernel.assign(before.variables[f"{name}/kernel"])
        layer.bias.assign(before.variables[f"{name}/bias"])
    model.compile(keras.optimizers.SGD(1e-2), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    history = model.fit(
        data["x_train"].astype(np.float32), data["y_train"], batch_size=32, shuffle=False, verbose=0
    )
    assert evaluation.curve["train_loss"][1] == pytest.approx(history.history["loss"][0], rel=1e-4)
    found = np.concatenate([v.numpy().ravel() for v in trained_variables])
    assert np.abs(found - after.variables["densenet_1/weights"]).max() < 1e-5
    assert np.abs(found - data["backbone"]).max() > 1e-3
    for layer, name in ((hidden, "dense_1"), (last, "dense_2")):
        assert np.abs(layer.kernel.numpy() - after.variables[f"{name}/kernel"]).max() < 1e-4


def test_center_loss_draws_a_class_together(data):
    def scatter(weight):
        training = described(
            layers=(DenseNet(BLOCKS), Dense(8), Dense(4, "linear")),
            center=CenterLoss(weight),
            fine_tuning=None,
        )
        _, state = trained(training, data, epochs=10)
        x = backbone.features(DenseNet(BLOCKS), data["x_train"], data)
        h = np.maximum(x @ state.variables["dense_1/kernel"] + state.variables["dense_1/bias"], 0)
        return sum(h[data["y_train"] == c].var(axis=0).sum() for c in range(4))

    assert scatter(1.0) < 0.7 * scatter(0.0)


@pytest.mark.parametrize("epochs", [2, 4])  # frozen, fine-tuned
@pytest.mark.parametrize("kind", [FigHead, FigAugmentation])
def test_inspection_sees_what_was_measured(kind, epochs, data):
    task = kind(variant="tiny")
    config = next(iter(task.space.references.values()))
    checkpoint = Checkpoint.fresh()
    evaluation = task.evaluate(config, epochs=epochs, seed=SEED, data=data, checkpoint=checkpoint)
    seen = task.inspect(config, seed=SEED, data=data, checkpoint=checkpoint)
    confusion = np.zeros((4, 4), int)
    np.add.at(confusion, (seen.labels, seen.predicted), 1)
    assert confusion.tolist() == [list(row) for row in evaluation.confusion["test"]]
    assert seen.images.shape == (30, 32, 32, 3)
    assert seen.classes == ("pullover", "coat", "shirt", "dress")
    assert list(seen.before) == list(seen.after) == ["dense_1/kernel", "dense_2/kernel"]
    assert not np.array_equal(seen.before["dense_1/kernel"], seen.after["dense_1/kernel"])


def test_a_task_scored_on_fewer_epochs_can_be_continued_by_one_scored_on_more(data):
    """The evaluator keeps checkpoints by evaluation, which the option `epochs` is no part of."""
    short, long = FigHead(variant="tiny", epochs=2), FigHead(variant="tiny")
    assert short.key.id == long.key.id
    config = short.space.references["optuna"]
    checkpoint = Checkpoint.fresh()
    short.evaluate(config, epochs=2, seed=SEED, data=data, checkpoint=checkpoint)
    part = long.evaluate(config, epochs=4, seed=SEED, data=data, checkpoint=checkpoint)
    whole = long.evaluate(config, epochs=4, seed=SEED, data=data)
    assert numbers(part.curve) == numbers(whole.curve)
