"""The training engine: right numbers, reproducible, continuable, and tidy."""

from __future__ import annotations

import gc
import os
import random

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, balanced_accuracy_score, f1_score
from sklearn.metrics import confusion_matrix as sklearn_confusion_matrix

from harness.errors import DerbyError
from harness.task import Checkpoint, read_only
from harness.trial import Status
from tasks import training
from tasks.training import Dense, Optimizer, Training, confusion_matrix, epoch_order, scores, train

INPUTS, CLASSES = 12, 4
SGD = Optimizer("sgd", 0.05)


def network(optimizer=SGD, **settings):
    hidden = Dense(16, "relu", settings.pop("initializer", "glorot_uniform"), l2=settings.pop("l2", 0.0))
    return Training((hidden, Dense(CLASSES, "linear")), optimizer, batch=32, **settings)


@pytest.fixture(scope="module")
def data():
    """Learnable classes; 70 examples: two batches of 32 and one of 6."""
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(CLASSES, INPUTS))
    out = {}
    for part, count in (("train", 70), ("val", 31), ("test", 23)):
        labels = rng.integers(CLASSES, size=count).astype(np.uint8)
        out[f"y_{part}"] = labels
        out[f"x_{part}"] = (centres[labels] + rng.normal(size=(count, INPUTS))).astype(np.float32)
    return read_only(out)


def without_seconds(curve):
    return {name: values for name, values in curve.items() if name != "seconds"}


@pytest.mark.parametrize(
    "settings",
    [
        {"optimizer": Optimizer("sgd", 0.05), "l2": 0.01},
        {"optimizer": Optimizer("sgd", 0.05, momentum=0.8)},
        {"optimizer": Optimizer("rmsprop", 0.01, rho=0.7), "initializer": "he_normal", "l2": 0.1},
        {"optimizer": Optimizer("adam", 0.01)},
    ],
    ids=["sgd+l2", "momentum", "rmsprop+he+l2", "adam"],
)
def test_trains_as_keras_does(settings, data):
    """Against ``Model.fit`` from the same initial weights, in the data's own order."""
    _, keras = training._libraries()
    description = network(**settings, shuffle=False)
    curve = train(description, epochs=3, seed=5, data=data).curve
    model = training._model(keras, description, 5, INPUTS)
    model.compile(
        training._optimizer(keras, description.optimizer),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    history = model.fit(
        data["x_train"],
        data["y_train"].astype(np.int32),
        batch_size=32,
        epochs=3,
        shuffle=False,
        validation_data=(data["x_val"], data["y_val"].astype(np.int32)),
        verbose=0,
    ).history
    for ours, theirs in (
        ("train_loss", "loss"),
        ("train_accuracy", "accuracy"),
        ("val_loss", "val_loss"),
        ("val_accuracy", "val_accuracy"),
    ):
        assert curve[ours] == pytest.approx(history[theirs], rel=1e-5), ours
    assert curve["train_loss"][0] > curve["train_loss"][2]


def test_curve_has_every_metric(data):
    evaluation = train(network(), epochs=2, seed=1, data=data)
    assert evaluation.status is Status.OK
    metrics = {"train_loss", "train_accuracy", "seconds"} | {
        f"{part}_{metric}"
        for part in ("val", "test")
        for metric in ("loss", "accuracy", "balanced_accuracy", "macro_f1")
    }
    assert set(evaluation.curve) == metrics
    assert min(evaluation.curve["seconds"]) > 0
    assert evaluation.setup_seconds > 0


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
    assert all(isinstance(v, np.ndarray) for v in checkpoint.state.weights + checkpoint.state.optimizer)
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


def test_running_out_of_memory_is_a_status(data, monkeypatch):
    def epoch(self, number):
        raise MemoryError("cannot allocate 9 TB")

    monkeypatch.setattr(training._Program, "epoch", epoch)
    evaluation = train(network(), epochs=2, seed=1, data=data)
    assert (evaluation.status, evaluation.epochs) == (Status.CRASHED, 0)
    assert "out of memory in epoch 1: cannot allocate 9 TB" in evaluation.message


def test_bugs_raise(data):
    with pytest.raises(KeyError, match="x_val"):
        train(network(), epochs=1, seed=1, data={k: v for k, v in data.items() if k != "x_val"})


def test_nothing_is_kept(data):
    def graphs():
        gc.collect()
        return sum("FuncGraph" in type(o).__name__ for o in gc.get_objects())

    train(network(), epochs=1, seed=1, data=data)
    before = graphs()
    for _ in range(2):
        train(network(), epochs=1, seed=1, data=data)
    assert graphs() == before


def test_epoch_orders():
    orders = [epoch_order(seed, epoch, 50) for seed in (0, 1) for epoch in (1, 2, 3)]
    assert all(sorted(order.tolist()) == list(range(50)) for order in orders)
    assert len({tuple(order.tolist()) for order in orders}) == 6
    assert np.array_equal(orders[1], epoch_order(0, 2, 50))


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


def test_forward_flops():
    assert network().forward_flops(INPUTS) == 2 * (12 * 16 + 16 * 4)


def test_threads_are_set_once(data, monkeypatch):
    train(network(), epochs=1, seed=1, data=data)
    threads = training._threads
    training.configure_threads(threads)
    with pytest.raises(RuntimeError, match=f"trains with {threads} threads .* got {threads + 1}"):
        training.configure_threads(threads + 1)
    with pytest.raises(ValueError, match="at least 1"):
        training.configure_threads(0)
    monkeypatch.setattr(training, "_threads", None)  # as if somebody else had started TensorFlow
    with pytest.raises(RuntimeError, match="call configure_threads first"):
        training.configure_threads(threads + 1)
    assert training._threads is None
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    with pytest.raises(DerbyError, match="KERAS_BACKEND is 'jax'"):
        training.configure_threads(1)


def test_device_has_a_name():
    assert training.device()


def test_log_chatter_is_dropped_and_all_else_kept(capfd):
    with training._quiet():
        os.write(2, b"I0000 00:00:17 1 port.cc:153] oneDNN custom operations are on.\nE0000 real\nplain\n")
        os.write(2, b"WARNING: All log messages before absl::InitializeLog() is called are written\n")
    assert capfd.readouterr().err == "E0000 real\nplain\n"
    with pytest.raises(ZeroDivisionError), training._quiet():
        os.write(2, b"before it failed\n")
        _ = 1 / 0
    assert capfd.readouterr().err == "before it failed\n"
