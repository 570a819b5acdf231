"""The lecture's networks against their slides, and what cross-validation means."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from harness import registry
from harness.errors import SpaceError
from harness.keys import derive_seed
from harness.task import Checkpoint
from harness.trial import Budget, Status
from tasks import mnist_net
from tasks.engine.network import Conv, Dense, MaxPool, Optimizer, Training
from tasks.engine.training import Split, train
from tasks.mnist_net import FOLDS, MnistNet, cross_validate, folds

pytestmark = pytest.mark.tensorflow

BASE = {"layers": 1, "units_1": 128, "activation": "relu", "lr": 1e-3}
DEEP = {"layers": 3, "units_1": 30, "units_2": 20, "units_3": 40, "activation": "tanh", "lr": 0.01}


def numbers(curve):
    return {name: values for name, values in curve.items() if name != "seconds"}


# The space and the networks.


def test_layers_decide_which_units_there_are():
    space = MnistNet().space
    assert space.validate(DEEP) == DEEP
    for wrong in ({**DEEP, "units_4": 9}, {**DEEP, "layers": 4}, {**BASE, "units_1": 4}):
        with pytest.raises(SpaceError):
            space.validate(wrong)
    assert space.from_unit([0] * 8) == {"layers": 1, "units_1": 5, "activation": "sigmoid", "lr": 1e-5}
    highest = {f"units_{i}": 512 for i in (1, 2, 3, 4, 5)}
    assert space.from_unit([1] * 8) == {"layers": 5, **highest, "activation": "leaky_relu", "lr": 0.1}


@pytest.mark.parametrize(
    ("base", "first"),
    [
        ("dense", ()),
        ("conv", (Conv(16, 5, "relu"), MaxPool(2), Conv(36, 5, "relu"), MaxPool(2))),
    ],
)
def test_networks_are_the_slides(base, first):
    task = MnistNet(base=base)
    training = task.training(DEEP)
    dense = (Dense(30, "tanh"), Dense(20, "tanh"), Dense(40, "tanh"))
    assert training == Training((*first, *dense, Dense(10, "linear")), Optimizer("adam", 0.01), batch=128)
    assert dict(task.space.references["base"]) == BASE
    assert task.training(BASE).layers == (*first, Dense(128, "relu"), Dense(10, "linear"))


def test_the_slides_search_can_be_run():
    searcher = registry.searcher("pyswarms_pso")
    budget = Budget("evaluations", 60)
    assert searcher.incompatibilities(MnistNet().problem, budget, searcher.Settings()) == []


def test_cost_by_hand():
    dense = 2 * (784 * 30 + 30 * 20 + 20 * 40 + 40 * 10)
    split, folds = 3 * 50_000 + 10_000 + 10_000, 5 * (3 * 48_000 + 12_000 + 10_000)
    assert MnistNet(validation="split").cost(DEEP) == dense * split
    assert MnistNet().cost(DEEP) == dense * folds
    conv = 2 * (28 * 28 * 25 * 1 * 16 + 14 * 14 * 25 * 16 * 36)
    conv += 2 * (7 * 7 * 36 * 30 + 30 * 20 + 20 * 40 + 40 * 10)
    assert MnistNet(base="conv", validation="split").cost(DEEP) == conv * split
    assert MnistNet(base="conv").cost(DEEP) == conv * folds


# The folds.


def test_folds_part_the_training_images():
    """Of one size, every class shared out evenly, and every image validated once."""
    task = MnistNet(variant="small")
    labels = task.load()["y_train"]
    splits = folds(labels)
    assert len(labels) == 6000
    assert len(splits) == FOLDS == 5
    assert sorted(np.concatenate([split.val for split in splits])) == [*range(6000)]
    for split in splits:
        assert (len(split.train), len(split.val)) == (4800, 1200)
        assert sorted([*split.train, *split.val]) == [*range(6000)]
        assert split.train.dtype == split.val.dtype == np.int32
        assert np.bincount(labels[split.val]).tolist() == [120] * 10


def test_folds_of_classes_of_odd_sizes():
    labels = np.random.default_rng(0).integers(4, size=50).astype(np.uint8)
    counts = np.array([np.bincount(labels[split.val], minlength=4) for split in folds(labels)])
    assert (counts.max(axis=0) - counts.min(axis=0)).max() <= 1
    assert set(counts.sum(axis=1)) == {10}


# Cross-validation.


@pytest.fixture(scope="module")
def data():
    """Learnable classes, 60 images in four folds of one size."""
    rng = np.random.default_rng(0)
    patterns = rng.integers(0, 200, size=(3, 12))
    out = {}
    for part, count in (("train", 60), ("val", 0), ("test", 21)):
        labels = rng.integers(3, size=count).astype(np.uint8)
        out[f"y_{part}"] = labels
        out[f"x_{part}"] = (patterns[labels] + rng.integers(0, 56, size=(count, 12))).astype(np.uint8)
    return out


SPLITS = tuple(
    Split(
        *(np.flatnonzero(rows).astype(np.int32) for rows in (np.arange(60) % 4 != i, np.arange(60) % 4 == i))
    )
    for i in range(4)
)
NETWORK = Training((Dense(8), Dense(3, "linear")), Optimizer("adam", 0.01), batch=16)
WILD = dataclasses.replace(
    NETWORK, layers=(Dense(8, l2=1e-3), Dense(3, "linear")), optimizer=Optimizer("sgd", 1e3)
)


def validated(training, data, *, epochs, seed=1, **rest):
    return cross_validate(training, epochs=epochs, seed=seed, data=data, splits=SPLITS, **rest)


def test_cross_validation_is_the_mean_of_its_folds(data):
    whole = validated(NETWORK, data, epochs=3)
    singles = [
        train(NETWORK, epochs=3, seed=derive_seed(1, "fold", i), data=data, split=split)
        for i, split in enumerate(SPLITS)
    ]
    assert whole.status is Status.OK
    for name, values in numbers(whole.curve).items():
        assert values == pytest.approx(np.mean([single.curve[name] for single in singles], axis=0), rel=1e-12)
    assert len({single.curve["val_loss"] for single in singles}) == 4
    for part, total in (("val", 60), ("test", 4 * 21)):
        assert np.array_equal(whole.confusion[part], np.sum([one.confusion[part] for one in singles], axis=0))
        assert np.sum(whole.confusion[part]) == total
    assert whole.setup_seconds > 0


def test_seconds_are_those_of_all_folds(data, monkeypatch):
    monkeypatch.setattr(mnist_net, "train", lambda *args, **settings: slow(train(*args, **settings)))

    def slow(evaluation):
        curve = type(evaluation.curve)({**evaluation.curve, "seconds": (2.0,) * evaluation.curve.epochs})
        return dataclasses.replace(evaluation, curve=curve)

    assert validated(NETWORK, data, epochs=2).curve["seconds"] == (8.0, 8.0)


def test_continued_cross_validation_equals_one_go(data):
    whole = validated(NETWORK, data, epochs=4)
    checkpoint = Checkpoint.fresh()
    for epochs in (1, 3, 4):
        part = validated(NETWORK, data, epochs=epochs, checkpoint=checkpoint)
        assert numbers(part.curve) == numbers(whole.curve.prefix(epochs))
        assert checkpoint.curve == part.curve
    assert part.confusion == whole.confusion
    again = validated(NETWORK, data, epochs=4, checkpoint=checkpoint)
    assert (again.curve, again.confusion) == (part.curve, part.confusion)
    fewer = validated(NETWORK, data, epochs=2, checkpoint=checkpoint)
    assert (fewer.status, fewer.curve, fewer.confusion) == (Status.OK, part.curve.prefix(2), {})


def test_checkpoint_of_something_else_is_refused(data):
    checkpoint = Checkpoint.fresh()
    validated(NETWORK, data, epochs=1, checkpoint=checkpoint)
    with pytest.raises(ValueError, match="the checkpoint is of"):
        validated(NETWORK, data, epochs=2, seed=2, checkpoint=checkpoint)


def test_deadline_of_a_cross_validation(data):
    checkpoint = Checkpoint.fresh()
    late = validated(NETWORK, data, epochs=3, deadline=1e-9, checkpoint=checkpoint)
    assert (late.status, late.epochs, late.curve.epochs, late.deadline) == (Status.TIMEOUT, 1, 1, 1e-9)
    assert "after epoch 1 of 3" in late.message
    rest = validated(NETWORK, data, epochs=3, deadline=600.0, checkpoint=checkpoint)
    assert (rest.status, rest.deadline) == (Status.OK, None)
    assert numbers(rest.curve) == numbers(validated(NETWORK, data, epochs=3).curve)
    assert validated(NETWORK, data, epochs=1, deadline=1e-9).status is Status.OK


def test_a_fold_that_diverges_ends_the_evaluation(data):
    """In the epoch in which the first fold does, wherever training was continued from."""
    singles = [
        train(WILD, epochs=9, seed=derive_seed(1, "fold", i), data=data, split=split)
        for i, split in enumerate(SPLITS)
    ]
    first = min(single.epochs for single in singles if single.status is Status.DIVERGED)
    fold = next(i for i, s in enumerate(singles) if s.status is Status.DIVERGED and s.epochs == first)
    assert first > 1, "the test needs a fold that diverges later"
    wild = validated(WILD, data, epochs=9)
    assert (wild.status, wild.epochs, wild.curve.epochs) == (Status.DIVERGED, first, first - 1)
    assert wild.message.startswith(f"fold {fold + 1} of 4: ")
    assert wild.lost_seconds >= 0
    assert wild.confusion == {}
    checkpoint = Checkpoint.fresh()
    validated(WILD, data, epochs=first - 1, checkpoint=checkpoint)
    for _ in range(2):
        again = validated(WILD, data, epochs=9, checkpoint=checkpoint)
        assert (again.status, again.epochs, again.message) == (wild.status, wild.epochs, wild.message)
        assert numbers(again.curve) == numbers(wild.curve)
        assert checkpoint.curve.epochs == first - 1


def test_losing_time_to_a_fold_that_fails(data, monkeypatch):
    """The epoch of the folds before it is lost too."""

    def failing(*args, **settings):
        evaluation = train(*args, **settings)
        curve = type(evaluation.curve)({**evaluation.curve, "seconds": (2.0,) * evaluation.curve.epochs})
        if settings["split"] is SPLITS[2]:
            return dataclasses.replace(
                evaluation,
                status=Status.CRASHED,
                curve=curve.prefix(0),
                epochs=0,
                lost_seconds=0.5,
                message="no memory",
            )
        return dataclasses.replace(evaluation, curve=curve)

    monkeypatch.setattr(mnist_net, "train", failing)
    crashed = validated(NETWORK, data, epochs=2)
    assert (crashed.status, crashed.epochs, crashed.curve.epochs) == (Status.CRASHED, 0, 0)
    assert crashed.lost_seconds == 2 + 2 + 0.5
    assert crashed.message == "fold 3 of 4: no memory"


def test_validation_is_an_option_of_the_training():
    folded, single = MnistNet(variant="tiny"), MnistNet(variant="tiny", validation="split")
    assert folded.key.training != single.key.training
    assert [len(folded.load()[f"x_{part}"]) for part in ("train", "val", "test")] == [100, 0, 20]
    assert [len(single.load()[f"x_{part}"]) for part in ("train", "val", "test")] == [80, 20, 20]
    for task, images in ((folded, 100), (single, 20)):
        evaluation = task.evaluate(BASE, epochs=1, seed=1, data=task.load())
        assert np.sum(evaluation.confusion["val"]) == images
