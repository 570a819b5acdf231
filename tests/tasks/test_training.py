"""The training engine: right numbers, reproducible, continuable, and tidy."""

from __future__ import annotations

import gc
import os
import random

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import accuracy_score, balanced_accuracy_score, f1_score
from sklearn.metrics import confusion_matrix as sklearn_confusion_matrix
from sklearn.utils.class_weight import compute_class_weight

from harness.errors import DerbyError
from harness.task import Checkpoint, read_only
from harness.trial import Status
from tasks.engine import arrays, process, program, training
from tasks.engine.network import CenterLoss, Conv, Dense, Dropout, MaxPool, Normal, Optimizer, Training
from tasks.engine.training import (
    Split,
    class_weights,
    confusion_matrix,
    epoch_order,
    initial_state,
    layer_weights,
    predict,
    scores,
    train,
)

pytestmark = pytest.mark.tensorflow

SIDE, CLASSES = 6, 4
SGD = Optimizer("sgd", 0.05)
OUTPUT = Dense(CLASSES, "linear")


@pytest.fixture(scope="module")
def plain_keras():
    """The module, which loads TensorFlow: not while tests are collected."""
    import plain_keras

    return plain_keras


def network(optimizer=SGD, *, layers=(), **settings):
    hidden = Dense(16, "relu", settings.pop("initializer", "glorot_uniform"), l2=settings.pop("l2", 0.0))
    return Training((*layers, hidden, OUTPUT), optimizer, batch=32, **settings)


@pytest.fixture(scope="module")
def data():
    """Learnable images of unequal classes; 70 examples: two batches of 32 and one of 6."""
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(CLASSES, SIDE, SIDE, 1))
    out = {}
    for part, count in (("train", 70), ("val", 31), ("test", 23)):
        labels = rng.choice(CLASSES, size=count, p=(0.4, 0.3, 0.2, 0.1)).astype(np.uint8)
        out[f"y_{part}"] = labels
        noise = rng.normal(size=(count, SIDE, SIDE, 1))
        out[f"x_{part}"] = (centres[labels] + noise).astype(np.float32)
    return read_only(out)


def without_seconds(curve):
    return {name: values for name, values in curve.items() if name != "seconds"}


CONVOLUTIONAL = (MaxPool(1), Conv(5, 3), Conv(4, 5, "tanh"), MaxPool(), Conv(3, 1, "leaky_relu"), MaxPool(3))


@pytest.mark.parametrize(
    "settings",
    [
        {"optimizer": Optimizer("sgd", 0.05), "l2": 0.01},
        {"optimizer": Optimizer("sgd", 0.05, momentum=0.8)},
        {"optimizer": Optimizer("rmsprop", 0.01, rho=0.7), "initializer": "he_normal", "l2": 0.1},
        {"optimizer": Optimizer("rmsprop", 0.001, rho=0.01)},
        {"optimizer": Optimizer("rmsprop", 0.001, rho=0.99), "layers": (Dense(8, l1=0.01),)},
        {"optimizer": Optimizer("adam", 0.01)},
        {"optimizer": Optimizer("adam", 0.01), "layers": (Dense(8, l1=0.01, l2=0.02),), "balance": "weights"},
        {"optimizer": Optimizer("adam", 0.01), "layers": CONVOLUTIONAL},
        {"layers": tuple(Dense(7, a) for a in ("sigmoid", "tanh", "leaky_relu", "linear"))},
        {"initializer": Normal(10.0, 0.05), "optimizer": Optimizer("sgd", 0.01)},
        {"layers": (Dropout(0.0),), "center": CenterLoss(0.0)},
    ],
    ids="-".join,
)
def test_trains_as_keras_does(settings, data, plain_keras):
    """Against ``Model.fit`` from the same initial weights, in the data's own order: weights and history."""
    description = network(**settings, shuffle=False)
    start = initial_state(description, 5, data)
    model = plain_keras.model_of(description, (SIDE, SIDE, 1))
    plain_keras.begin_like(model, start)
    checkpoint = Checkpoint.fresh()
    for epochs in (1, 3):
        curve = train(description, epochs=epochs, seed=5, data=data, checkpoint=checkpoint).curve
        history = plain_keras.fit(model, description, data, epochs - 1 or 1)
        for name, theirs in plain_keras.weights_of(model).items():
            assert checkpoint.state.variables[name] == pytest.approx(theirs, rel=1e-5, abs=1e-5), name
        for ours, theirs in (
            ("train_loss", "loss"),
            ("train_accuracy", "accuracy"),
            ("val_loss", "val_loss"),
            ("val_accuracy", "val_accuracy"),
        ):
            assert curve[ours][-1] == pytest.approx(history[theirs][-1], rel=1e-5), ours
    assert curve["train_loss"][0] != curve["train_loss"][2]


@pytest.mark.slow
def test_final_accuracies_are_distributed_as_keras_are(plain_keras):
    """Twenty seeds each, shuffled and with dropout, where batches and weights cannot be made the same.

    The two samples of validation accuracies are compared by the Kolmogorov-Smirnov test at a level of 0.001,
    which an accuracy shifted by 1.5 standard deviations fails with probability 0.9; and their means must be
    within 1 percentage point.
    """
    rng = np.random.default_rng(7)
    centres = rng.normal(size=(CLASSES, SIDE, SIDE, 1))
    hard = {}
    for part, count in (("train", 400), ("val", 1000), ("test", 10)):
        labels = rng.integers(CLASSES, size=count).astype(np.uint8)
        noise = 5 * rng.normal(size=(count, SIDE, SIDE, 1))
        hard |= {f"y_{part}": labels, f"x_{part}": (centres[labels] + noise).astype(np.float32)}
    description = network(Optimizer("adam", 0.003), layers=(Dense(32), Dropout(0.4)))
    ours = [train(description, epochs=4, seed=s, data=hard).curve["val_accuracy"][-1] for s in range(20)]
    theirs = []
    model = plain_keras.model_of(description, (SIDE, SIDE, 1))  # one for all seeds: compiling takes seconds
    for seed in range(20):
        plain_keras.keras.utils.set_random_seed(seed)
        plain_keras.begin_anew(model, plain_keras.model_of(description, (SIDE, SIDE, 1), seed))
        theirs.append(plain_keras.fit(model, description, hard, 4)["val_accuracy"][-1])
    assert stats.ks_2samp(ours, theirs).pvalue > 0.001, (ours, theirs)
    assert np.mean(ours) == pytest.approx(np.mean(theirs), abs=0.01)
    assert np.std(ours) > 0


def test_pixels_are_divided_by_255(data):
    """uint8 images train as the same numbers between 0 and 1 do.

    The two are different programs, one of which divides, so that their sums may be taken in another order: on some
    processors they agree to the last bit, on others to float32's seventh digit. Without the division, or
    with one by 256, losses differ in the third digit and more.
    """
    rng = np.random.default_rng(3)
    images = {f"x_{part}": rng.integers(256, size=data[f"x_{part}"].shape, dtype=np.uint8) for part in PARTS}
    scaled = {name: x.astype(np.float32) / 255 for name, x in images.items()}
    for kind in (network(), network(layers=CONVOLUTIONAL)):
        curves = [train(kind, epochs=2, seed=1, data={**data, **x}).curve for x in (images, scaled)]
        divided, given = map(without_seconds, curves)
        assert divided.keys() == given.keys()
        for metric, values in divided.items():
            assert values == pytest.approx(given[metric], rel=1e-5), metric


PARTS = ("train", "val", "test")


def test_evaluation_has_every_metric(data):
    evaluation = train(network(), epochs=2, seed=1, data=data)
    assert evaluation.status is Status.OK
    metrics = {"loss", "accuracy", "balanced_accuracy", "macro_f1"}
    assert set(evaluation.curve) == {f"{part}_{metric}" for part in PARTS for metric in metrics} | {"seconds"}
    assert min(evaluation.curve["seconds"]) > 0
    assert evaluation.setup_seconds > 0
    assert set(evaluation.confusion) == {"val", "test"}
    for part, rows in evaluation.confusion.items():
        assert all(type(count) is int for row in rows for count in row)
        matrix = np.array(rows)
        assert matrix.sum(axis=1).tolist() == np.bincount(data[f"y_{part}"], minlength=CLASSES).tolist()
        assert evaluation.curve[f"{part}_accuracy"][-1] == np.trace(matrix) / matrix.sum()


def test_confusion_is_of_the_last_epoch(data):
    checkpoint = Checkpoint.fresh()
    once = train(network(), epochs=1, seed=1, data=data)
    longer = train(network(), epochs=3, seed=1, data=data, checkpoint=checkpoint)
    assert longer.confusion != once.confusion
    assert longer.at(3).confusion == longer.confusion
    assert longer.at(1).confusion == {}
    assert train(network(), epochs=3, seed=1, data=data, checkpoint=checkpoint).confusion == longer.confusion
    assert train(network(), epochs=1, seed=1, data=data, checkpoint=checkpoint).confusion == {}
    state = checkpoint.state
    again = confusion_matrix(data["y_test"], predict(state, data["x_test"]), CLASSES)
    assert again.tolist() == [list(row) for row in longer.confusion["test"]]


def test_weights_before_and_after(data):
    checkpoint = Checkpoint.fresh()
    description = network(layers=CONVOLUTIONAL)
    train(description, epochs=1, seed=1, data=data, checkpoint=checkpoint)
    before, after = layer_weights(initial_state(description, 1, data)), layer_weights(checkpoint.state)
    shapes = {
        "conv_1/kernel": (3, 3, 1, 5),
        "conv_2/kernel": (5, 5, 5, 4),
        "conv_3/kernel": (1, 1, 4, 3),
        "dense_1/kernel": (3, 16),
        "dense_2/kernel": (16, 4),
    }
    assert {name: w.shape for name, w in before.items()} == shapes == {n: w.shape for n, w in after.items()}
    assert all(not np.array_equal(before[name], after[name]) for name in shapes)
    other = layer_weights(initial_state(description, 2, data))
    assert all(not np.array_equal(before[name], other[name]) for name in shapes)


def test_a_split_trains_and_validates_on_rows_of_the_training_examples(data):
    rng = np.random.default_rng(0)
    rows = rng.permutation(70).astype(np.int32)
    split = Split(rows[:50], rows[50:])
    there = {"x_train": data["x_train"][rows[:50]], "y_train": data["y_train"][rows[:50]]}
    there |= {"x_val": data["x_train"][rows[50:]], "y_val": data["y_train"][rows[50:]]}
    ours = train(network(), epochs=2, seed=1, data=data, split=split)
    theirs = train(network(), epochs=2, seed=1, data={**data, **there})
    assert without_seconds(ours.curve) == without_seconds(theirs.curve)
    assert ours.confusion == theirs.confusion


def test_programs_are_shared_by_structure_and_never_carry_anything_over(data):
    """Other widths, rates and batch sizes: the same program, and the numbers of a fresh one."""
    program._programs.clear()
    layers = (Dense(8, l2=0.1), Dropout(0.5))
    kinds = [
        network(Optimizer("adam", 0.01), layers=layers),
        network(Optimizer("adam", 0.1), layers=(Dense(20, l2=0.3), Dropout(0.2))),
        Training((*layers, Dense(5), OUTPUT), Optimizer("adam", 0.01), batch=7),
    ]
    fresh = []
    for kind in kinds:
        program._programs.clear()
        fresh.append(train(kind, epochs=2, seed=1, data=data))
    assert len(program._programs) == 1
    for kind, alone in zip(kinds, fresh, strict=True):
        assert without_seconds(train(kind, epochs=2, seed=1, data=data).curve) == without_seconds(alone.curve)
    assert len(program._programs) == 1
    for other in (
        network(Optimizer("sgd", 0.01), layers=layers),
        network(Optimizer("adam", 0.01), layers=(Dense(8), Dropout(0.5))),
        network(Optimizer("adam", 0.01), layers=(Dense(8, "tanh", l2=0.1), Dropout(0.5))),
        network(Optimizer("adam", 0.01), layers=layers, balance="weights"),
        network(Optimizer("adam", 0.01), layers=layers, center=CenterLoss(0.1)),
    ):
        before = len(program._programs)
        train(other, epochs=1, seed=1, data=data)
        assert len(program._programs) == before + 1


def test_what_is_kept_is_bounded(data, monkeypatch):
    """Programs and converted arrays: the last ones used stay, the others and their graphs go."""

    def graphs():
        gc.collect()
        return sum("FuncGraph" in type(o).__name__ for o in gc.get_objects())

    def some(count):
        for depth in range(1, count + 1):
            fresh = {name: array.copy() for name, array in data.items()}
            train(network(layers=(Dense(3),) * depth), epochs=1, seed=1, data=fresh)

    monkeypatch.setattr(program, "PROGRAMS_KEPT", 2)
    monkeypatch.setattr(arrays, "ARRAYS_KEPT", 6)
    some(3)
    assert len(program._programs) == 2
    assert len(arrays._tensors) == 6
    kept, before = list(program._programs), graphs()
    some(4)
    assert len(program._programs) == 2
    assert kept[-1] in program._programs
    assert graphs() == before


def test_an_array_is_converted_once(data):
    train(network(), epochs=1, seed=1, data=data)
    before = {key: id(entry[1]) for key, entry in arrays._tensors.items()}
    train(network(Optimizer("sgd", 0.01)), epochs=1, seed=2, data=data)
    assert {key: id(entry[1]) for key, entry in arrays._tensors.items()} == before


def test_dropout_drops_at_its_rate_and_only_in_training(data):
    description = network(Optimizer("sgd", 0.0), layers=(Dropout(0.5),))
    curve = train(description, epochs=3, seed=1, data=data).curve
    assert len(set(curve["train_loss"])) == 3, "every epoch drops others"
    assert len(set(curve["val_loss"])) == 1, "nothing is dropped where it is measured"
    ones = {**data, "x_train": np.ones((4000, 100), np.float32), "y_train": np.zeros(4000, np.uint8)}
    ones |= {"x_val": ones["x_train"][:1], "x_test": ones["x_train"][:1]}
    ones |= {"y_val": ones["y_train"][:1], "y_test": ones["y_train"][:1]}
    # Weights start at the mean of N(1/100, 0), so a logit is the mean of what dropout leaves of 100 ones.
    for rate in (0.1, 0.8):
        only = Training((Dropout(rate), Dense(2, "linear", Normal(0.01, 0.0))), Optimizer("sgd", 0.0), 4000)
        made = program.program_of(only, ones["x_train"], 2)
        made.assign(initial_state(only, 1, ones).variables)
        tf, _ = process.libraries()
        numbers = made._inputs(only)
        noise = tf.constant(5, tf.int64), tf.constant(0, tf.int64)
        _, logits = made._forward(tf.constant(ones["x_train"]), numbers, noise)
        assert np.mean(logits) == pytest.approx(1.0, abs=0.02)
        assert np.std(logits[:, 0]) == pytest.approx(np.sqrt(rate / (1 - rate) / 100), rel=0.1)


def test_resampling_visits_classes_equally():
    labels = np.repeat(np.arange(4), (800, 400, 200, 100))
    description = network(balance="resample")
    order = epoch_order(description, 1, 1, labels)
    assert order.shape == labels.shape
    counts = np.bincount(labels[order])
    assert stats.chisquare(counts).pvalue > 0.001
    assert not np.array_equal(order, epoch_order(description, 1, 2, labels))


def test_class_weights_are_scikit_learns():
    labels = np.array([0, 0, 0, 1, 1, 3])
    expected = compute_class_weight("balanced", classes=np.array([0, 1, 3]), y=labels)
    assert class_weights(labels, 4) == pytest.approx([expected[0], expected[1], 0, expected[2]])


def test_center_loss_by_hand(data):
    """One batch, with a learning rate of 0: the loss and the centres' first two moves."""
    description = Training(
        (Dense(3), OUTPUT), Optimizer("sgd", 0.0), 70, shuffle=False, center=CenterLoss(0.3, rate=0.5)
    )
    plain = train(
        Training((Dense(3), OUTPUT), Optimizer("sgd", 0.0), 70, shuffle=False), epochs=1, seed=1, data=data
    )
    checkpoint = Checkpoint.fresh()
    curve = train(description, epochs=2, seed=1, data=data, checkpoint=checkpoint).curve
    start = initial_state(description, 1, data).variables
    x, y = data["x_train"].reshape(70, -1), data["y_train"]
    features = np.maximum(x @ start["dense_1/kernel"], 0)
    centers, losses = np.zeros((CLASSES, 3)), []
    for _ in range(2):
        away = centers[y] - features
        losses.append(np.mean(np.sum(away**2, axis=1)))
        for c in range(CLASSES):
            centers[c] -= 0.5 * away[y == c].sum(axis=0) / ((y == c).sum() + 1)
    base = plain.curve["train_loss"][0]
    assert curve["train_loss"] == pytest.approx([base + 0.3 * loss for loss in losses], rel=1e-5)
    assert checkpoint.state.variables["centers"] == pytest.approx(centers, abs=1e-5)
    assert curve["val_loss"][0] == plain.curve["val_loss"][0]


def test_center_loss_draws_features_together(data):
    def spread(weight):
        checkpoint = Checkpoint.fresh()
        description = network(Optimizer("adam", 0.01), center=CenterLoss(weight))
        train(description, epochs=30, seed=1, data=data, checkpoint=checkpoint)
        v = checkpoint.state.variables
        features = np.maximum(data["x_train"].reshape(70, -1) @ v["dense_1/kernel"] + v["dense_1/bias"], 0)
        within = [features[data["y_train"] == c].std(axis=0).mean() for c in range(CLASSES)]
        return np.mean(within)

    assert spread(0.5) < 0.5 * spread(0.0)


def test_pure(data):
    """The same again, whatever the global generators hold, which it leaves alone; another seed differs."""
    first = train(network(), epochs=2, seed=1, data=data).curve
    random.seed(123)
    np.random.seed(123)  # the global generator is what must not matter
    states = random.getstate(), repr(np.random.get_state())
    again = train(network(), epochs=2, seed=1, data=data).curve
    assert without_seconds(first) == without_seconds(again)
    assert states == (random.getstate(), repr(np.random.get_state()))
    other = train(network(), epochs=2, seed=2, data=data).curve
    assert first["train_loss"] != other["train_loss"]
    unshuffled = train(network(shuffle=False), epochs=2, seed=1, data=data).curve
    assert unshuffled["train_loss"] != first["train_loss"]


@pytest.mark.parametrize("optimizer", [Optimizer("adam", 0.01), Optimizer("sgd", 0.05, momentum=0.9)])
def test_continuing_equals_one_go(optimizer, data):
    whole = train(network(optimizer), epochs=4, seed=3, data=data).curve
    checkpoint = Checkpoint.fresh()
    for epochs in (1, 3, 4):
        part = train(network(optimizer), epochs=epochs, seed=3, data=data, checkpoint=checkpoint)
        assert part.status is Status.OK
        assert without_seconds(part.curve) == without_seconds(whole.prefix(epochs))
        assert checkpoint.curve == part.curve
    assert all(isinstance(v, np.ndarray) for v in checkpoint.state.variables.values())
    fewer = train(network(optimizer), epochs=2, seed=3, data=data, checkpoint=checkpoint)
    assert fewer.curve == checkpoint.curve.prefix(2)


def test_checkpoint_of_something_else_is_refused(data):
    checkpoint = Checkpoint.fresh()
    train(network(), epochs=1, seed=3, data=data, checkpoint=checkpoint)
    for other, seed in ((network(), 4), (network(Optimizer("sgd", 0.06)), 3)):
        with pytest.raises(ValueError, match="the checkpoint is of"):
            train(other, epochs=2, seed=seed, data=data, checkpoint=checkpoint)


@pytest.mark.parametrize(("lr", "l2", "epoch"), [(1e3, 1e-3, 3), (1e6, 1.0, 1)])
def test_divergence(lr, l2, epoch, data):
    """Where it diverges depends neither on the epochs asked for nor on where it was continued from."""
    wild = network(Optimizer("sgd", lr), l2=l2)
    evaluation = train(wild, epochs=9, seed=1, data=data)
    assert evaluation.status is Status.DIVERGED
    assert (evaluation.epochs, evaluation.curve.epochs) == (epoch, epoch - 1)
    assert evaluation.message.endswith(f"in epoch {epoch}")
    assert evaluation.lost_seconds > 0
    checkpoint = Checkpoint.fresh()
    if epoch > 1:
        before = train(wild, epochs=epoch - 1, seed=1, data=data, checkpoint=checkpoint)
        assert before.status is Status.OK
    for _ in range(2):
        again = train(wild, epochs=epoch, seed=1, data=data, checkpoint=checkpoint)
        assert (again.status, again.epochs, again.message) == (
            Status.DIVERGED,
            epoch,
            evaluation.message,
        )
        assert without_seconds(again.curve) == without_seconds(evaluation.curve)
        assert checkpoint.curve.epochs == epoch - 1


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_convolution_that_has_diverged_is_a_divergence(value, data):
    """Though a maximum over NaN is a number, with which the layers behind go on."""
    description = network(layers=CONVOLUTIONAL)
    start = initial_state(description, 1, data)
    variables = {name: array.copy() for name, array in start.variables.items()}
    variables["conv_2/kernel"][0, 0, 0, 0] = value
    checkpoint = Checkpoint.fresh()
    checkpoint.state = training.TrainingState(description, 1, variables)
    evaluation = train(description, epochs=1, seed=1, data=data, checkpoint=checkpoint)
    assert (evaluation.status, evaluation.epochs) == (Status.DIVERGED, 1)
    assert "train_loss = nan" in evaluation.message


@pytest.mark.parametrize("part", ["val", "test"])
def test_an_infinite_loss_of_any_part_is_a_divergence(part, data):
    broken = {**data, f"x_{part}": np.full_like(data[f"x_{part}"], np.inf)}
    evaluation = train(network(), epochs=2, seed=1, data=broken)
    assert (evaluation.status, evaluation.epochs) == (Status.DIVERGED, 1)
    assert evaluation.message.startswith(f"{part}_loss = ")


def test_deadline(data):
    checkpoint = Checkpoint.fresh()
    late = train(network(), epochs=3, seed=1, data=data, checkpoint=checkpoint, deadline=1e-9)
    assert late.status is Status.TIMEOUT
    assert (late.epochs, late.curve.epochs, late.deadline) == (1, 1, 1e-9)
    assert "after epoch 1 of 3" in late.message
    whole = train(network(), epochs=3, seed=1, data=data, deadline=600.0)
    assert (whole.status, whole.deadline, whole.message) == (Status.OK, None, "")
    rest = train(network(), epochs=3, seed=1, data=data, checkpoint=checkpoint)
    assert without_seconds(rest.curve) == without_seconds(whole.curve)
    # all that was asked for is done, so there is nothing to stop
    assert train(network(), epochs=1, seed=1, data=data, deadline=1e-9).status is Status.OK


def test_running_out_of_memory_says_so_and_leaves_the_checkpoint(data, monkeypatch):
    def epoch(self, number):
        raise MemoryError("cannot allocate 9 TB")

    monkeypatch.setattr(training._Run, "epoch", epoch)
    checkpoint = Checkpoint.fresh()
    with pytest.raises(MemoryError, match="in epoch 1: cannot allocate 9 TB"):
        train(network(), epochs=2, seed=1, data=data, checkpoint=checkpoint)
    assert checkpoint.state is None


def test_bugs_raise(data):
    with pytest.raises(KeyError, match="x_val"):
        train(network(), epochs=1, seed=1, data={k: v for k, v in data.items() if k != "x_val"})


def test_epoch_orders():
    labels = np.zeros(50, np.uint8)
    orders = [epoch_order(network(), seed, epoch, labels) for seed in (0, 1) for epoch in (1, 2, 3)]
    assert all(sorted(order.tolist()) == list(range(50)) for order in orders)
    assert len({tuple(order.tolist()) for order in orders}) == 6
    assert np.array_equal(orders[1], epoch_order(network(), 0, 2, labels))
    assert epoch_order(network(shuffle=False), 0, 2, labels).tolist() == list(range(50))


@pytest.mark.parametrize("missing", [(), (2,), (0, 3)])
def test_scores_are_scikit_learns(missing):
    rng = np.random.default_rng(1)
    present = [c for c in range(6) if c not in missing]
    for _ in range(20):
        labels = rng.choice(present, size=40).astype(np.uint8)
        predicted = np.where(rng.random(40) < 0.5, labels, rng.integers(5, size=40)).astype(np.int32)
        confusion = confusion_matrix(labels, predicted, 6)
        assert np.array_equal(confusion, sklearn_confusion_matrix(labels, predicted, labels=range(6)))
        got = scores(confusion)
        assert got["accuracy"] == pytest.approx(accuracy_score(labels, predicted))
        assert got["macro_f1"] == pytest.approx(f1_score(labels, predicted, average="macro"))
        recalls = [np.mean(predicted[labels == c] == c) for c in np.unique(labels)]
        assert got["balanced_accuracy"] == pytest.approx(np.mean(recalls))
        if set(predicted) <= set(labels):  # scikit-learn warns otherwise
            expected = balanced_accuracy_score(labels, predicted)
            assert got["balanced_accuracy"] == pytest.approx(expected)
        assert all(type(value) is float for value in got.values())


def test_threads_are_set_once(data, monkeypatch):
    train(network(), epochs=1, seed=1, data=data)
    threads = process._threads
    process.configure_threads(threads)
    with pytest.raises(RuntimeError, match=f"trains with {threads} threads? .* got {threads + 1}"):
        process.configure_threads(threads + 1)
    with pytest.raises(ValueError, match="at least 1"):
        process.configure_threads(0)
    monkeypatch.setattr(process, "_threads", None)  # as if somebody else had started TensorFlow
    with pytest.raises(RuntimeError, match="call configure_threads first"):
        process.configure_threads(threads + 1)
    assert process._threads is None
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    with pytest.raises(DerbyError, match="KERAS_BACKEND is 'jax'"):
        process.configure_threads(1)


def test_device_has_a_name():
    assert process.device()


def test_log_chatter_is_dropped_and_all_else_kept(capfd):
    with process.quiet():
        os.write(2, b"I0000 00:00:17 1 port.cc:153] oneDNN custom operations are on.\nE0000 real\nplain\n")
        os.write(2, b"WARNING: All log messages before absl::InitializeLog() is called are written\n")
    assert capfd.readouterr().err == "E0000 real\nplain\n"
    with pytest.raises(ZeroDivisionError), process.quiet():
        os.write(2, b"before it failed\n")
        _ = 1 / 0
    assert capfd.readouterr().err == "before it failed\n"


@pytest.fixture
def nvidia_smi(tmp_path, monkeypatch):
    """NVIDIA's command, as it would answer for two GPUs of which it is asked for some."""
    script = tmp_path / "nvidia-smi"
    script.write_text('#!/bin/sh\ncase "$*" in *--id=1*) echo 40960;; *) echo 15360; echo 40960;; esac\n')
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    return script


def test_the_memory_of_the_gpus_a_process_may_see(nvidia_smi, monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert process.gpu_memory() == [15360, 40960]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    assert process.gpu_memory() == [40960]


def test_a_share_of_a_gpu_of_unknown_memory_is_refused(nvidia_smi):
    nvidia_smi.write_text("#!/bin/sh\necho no devices >&2; exit 9\n")
    with pytest.raises(DerbyError, match="cannot find out how much memory the GPU has.*per-evaluator 1"):
        process.gpu_memory()
