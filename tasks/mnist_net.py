"""MNIST networks: the lecture slides that search layers, widths, activation and learning rate by swarm."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Final, Literal, cast

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from harness.experiment import Experiment, Search
from harness.keys import derive_seed
from harness.space import Choice, Condition, Config, Float, Int, Space
from harness.task import Checkpoint, Data, Inspection
from harness.trial import ConfusionMatrix, Curve, Evaluation, Status
from tasks.engine.network import Activation, Conv, Dense, Layer, MaxPool, Optimizer, Training
from tasks.engine.training import Split, train
from tasks.images import CLASS_NAMES, ImageClassifier, Variant, VariantName, inspection, output_layer

REPORT = 'S3, "Hyperparameter optimisation of deep networks with PSO" (lecture slides)'
FOLDS: Final = 5
_MOST_LAYERS: Final = 5
_CONVOLUTIONS: Final[tuple[Layer, ...]] = (Conv(16, 5), MaxPool(2), Conv(36, 5), MaxPool(2))


class MnistNet(ImageClassifier):
    """Tune the dense part of a dense or a convolutional network on MNIST: its shape and learning rate.

    Source: report S3, "Hyperparameter optimisation of deep networks with PSO", lecture slides. Facts are the
    report's except where marked *our choice*.

    - Data: MNIST; *our choice*: pixels / 255.
    - Validation: 5-fold cross-validation on the 60 000 training images. *Our choice*: each fold's network has
      initial weights and data orders of its own; metrics and losses are the mean over the five networks,
      ``seconds`` the sum, and confusion matrices are summed. The folds are always the same: sorted by class
      and otherwise in their order, image i belongs to fold i mod 5, so that folds are of one size and classes
      differ by one image at most. The test metrics are the five networks' mean on the 10 000 test images.
      ``validation: split`` trains once and validates on the last 10 000 training images: 50 000 / 10 000 /
      10 000.
    - Network: with ``base: dense``, the searched dense layers on the flattened image; with ``base: conv``,
      convolution of 16 filters 5 × 5 with ReLU, padded to the same size, max-pooling by 2, convolution of 36
      filters 5 × 5 likewise, max-pooling by 2, flatten, the searched layers. Then softmax over 10 classes.
      *Our choice*: cross-entropy, and Keras's Glorot-uniform initialisation.
    - Training: Adam; ``dense`` 3 epochs, ``conv`` 1 epoch in batches of 128. *Our choice*: batches of 128 for
      ``dense`` too, and a new order of the training images in each epoch.
    - Space: the number of layers, the units of each layer, the activation function of all, the learning rate.
      The ranges are *our choice*: 1 … 5 layers, 5 … 512 units, of layer i active where there are that many
      layers; sigmoid, tanh, ReLU or leaky ReLU (Keras's slope of 0.2); 1e-5 … 1e-1 on a log scale.
    - Reference ``base``: one layer of 128 units, ReLU, 1e-3 (for ``dense`` *our choice*: Keras's default).
    - Objective, *our choice*: validation accuracy, or macro F1 (``objective: val_macro_f1``).
    - The report searches by particle swarm (``pyswarms_pso`` here) and publishes no figures.

    *Our choice* as well: the variants on the embedded subset, split in the same manner: ``small`` (5000 / 1000 /
    1000, epochs as in the report) and ``tiny`` (80 / 20 / 20, 2 epochs); training and validation images
    together are cross-validated.
    """

    name = "mnist_net"
    version = 2
    source = REPORT
    data_set = "mnist"
    variants: ClassVar[Mapping[VariantName, Variant]] = {
        "full": Variant(train=50_000, val=10_000, test=10_000, epochs=3, subset=False),
        "small": Variant(train=5000, val=1000, test=1000, epochs=3, subset=True),
        "tiny": Variant(train=80, val=20, test=20, epochs=2, subset=True),
    }

    # The budget and the swarm's size are our choice: six generations of ten particles.
    experiments = tuple(
        experiment
        for base in ("dense", "conv")
        for experiment in (
            Experiment("S3", f"{base} base model", reference="base", options={"base": base}),
            Experiment(
                "S3",
                f"{base}, particle swarm, best of 60",
                search=Search(
                    "pyswarms_pso",
                    budget={"evaluations": 60},
                    settings={"n_particles": 10, "init": "maximin_lhs"},
                ),
                options={"base": base},
            ),
        )
    )

    class Options(ImageClassifier.Options):
        """Options of the task."""

        base: Literal["dense", "conv"] = Field(
            default="dense", description="what comes before the searched layers: nothing, or two convolutions"
        )
        validation: Literal["cross_validation", "split"] = Field(
            default="cross_validation",
            description="cross_validation: five folds of the training images, as the source; split: the last "
            "sixth of them, five times quicker",
        )

    options: Options

    @property
    def variant(self) -> Variant:
        """The chosen variant's sizes; cross-validation has no validation images of its own."""
        sizes = super().variant
        if self._folds:
            sizes = replace(sizes, train=sizes.train + sizes.val, val=0)
        if self.options.base == "conv" and self.options.variant != "tiny":
            sizes = replace(sizes, epochs=1)
        return sizes

    @property
    def _folds(self) -> bool:
        return self.options.validation == "cross_validation"

    def _define(self) -> None:
        super()._define()
        numbers = range(1, _MOST_LAYERS + 1)
        units = {f"units_{i}": Int(5, 512) for i in numbers}
        self.space = Space(
            {
                "layers": Int(1, _MOST_LAYERS),
                **units,
                "activation": Choice(("sigmoid", "tanh", "relu", "leaky_relu")),
                "lr": Float(1e-5, 1e-1, log=True),
            },
            conditions={f"units_{i}": Condition("layers", tuple(numbers[i - 1 :])) for i in numbers[1:]},
            references={"base": {"layers": 1, "units_1": 128, "activation": "relu", "lr": 1e-3}},
        )

    def training(self, config: Config) -> Training:
        """Describe the training of a configuration."""
        activation = cast(Activation, config["activation"])
        dense = (Dense(int(config[f"units_{i}"]), activation) for i in range(1, int(config["layers"]) + 1))
        return Training(
            layers=(*(_CONVOLUTIONS if self.options.base == "conv" else ()), *dense, output_layer()),
            optimizer=Optimizer("adam", float(config["lr"])),
            batch=128,
        )

    def evaluate(
        self,
        config: Config,
        *,
        epochs: int,
        seed: int,
        data: Data,
        checkpoint: Checkpoint | None = None,
        deadline: float | None = None,
    ) -> Evaluation:
        """Train a configuration, once for each fold; see `Task.evaluate`."""
        if not self._folds:
            return super().evaluate(
                config, epochs=epochs, seed=seed, data=data, checkpoint=checkpoint, deadline=deadline
            )
        return cross_validate(
            self.training(config),
            epochs=epochs,
            seed=seed,
            data=data,
            splits=folds(data["y_train"]),
            checkpoint=checkpoint,
            deadline=deadline,
        )

    def split(self, data: Data, seed: int) -> Data:
        """Return the data with another split; with cross-validation in another order, by which folds are dealt out."""
        if not self._folds:
            return super().split(data, seed)
        order = np.random.default_rng(seed).permutation(len(data["y_train"]))
        return {**data, "x_train": data["x_train"][order], "y_train": data["y_train"][order]}

    def inspect(self, config: Config, *, seed: int, data: Data, checkpoint: Checkpoint) -> Inspection | None:
        """Look into a trained network; with cross-validation into the first fold's."""
        if self._folds and checkpoint.state is not None:
            checkpoint = checkpoint.state.folds[0]
        return inspection(checkpoint.state, data, CLASS_NAMES[self.data_set])

    def epoch_images(self) -> tuple[int, int]:
        """Return how many images an epoch trains on and how many it then measures, over all folds."""
        trained, measured = super().epoch_images()
        if not self._folds:
            return trained, measured
        return (FOLDS - 1) * trained, trained + FOLDS * measured


def folds(labels: NDArray[np.integer]) -> tuple[Split, ...]:
    """Deal examples out to `FOLDS` folds: sorted by class (stably), example i validates fold i mod `FOLDS`.

    Args:
        labels: Classes, (examples,).

    Returns:
        One split for each fold, its rows in ascending order.
    """
    fold = np.empty(len(labels), np.int32)
    fold[np.argsort(labels, kind="stable")] = np.arange(len(labels)) % FOLDS
    return tuple(
        Split(
            np.flatnonzero(fold != number).astype(np.int32), np.flatnonzero(fold == number).astype(np.int32)
        )
        for number in range(FOLDS)
    )


@dataclass(frozen=True, slots=True)
class FoldsState:
    """What a cross-validation's checkpoint keeps: where each fold stands, and the summed confusion matrices."""

    folds: tuple[Checkpoint, ...]
    confusion: Mapping[str, ConfusionMatrix]


def cross_validate(
    training: Training,
    *,
    epochs: int,
    seed: int,
    data: Data,
    splits: Sequence[Split],
    checkpoint: Checkpoint | None = None,
    deadline: float | None = None,
) -> Evaluation:
    """Train a network for each split, all of them one epoch after the other.

    Args:
        training: The network and its training.
        epochs: Epochs in all, at least 1, of each fold.
        seed: Training seed; a fold's own is derived from it and the fold's number.
        data: As `train` takes it.
        splits: Of the training examples, one for each fold.
        checkpoint: Where this cross-validation and seed stand; updated as by `train`.
        deadline: Seconds this call may take; checked after each epoch of all folds but the last.

    Returns:
        The evaluation: of each metric the mean over the folds, of ``seconds`` and confusion matrices the
        sum. It ends in the epoch in which a fold fails, with that fold's status.
    """
    start = time.perf_counter()
    checkpoint = Checkpoint.fresh() if checkpoint is None else checkpoint
    curve, setup_seconds = checkpoint.curve, 0.0
    state = checkpoint.state or FoldsState(tuple(Checkpoint.fresh() for _ in splits), {})
    if curve.epochs >= epochs:
        confusion = state.confusion if curve.epochs == epochs else {}
        return Evaluation(Status.OK, curve.prefix(epochs), epochs, confusion=confusion)
    status, message = Status.OK, ""
    while curve.epochs < epochs and status is Status.OK:
        epoch, reached, evaluations = curve.epochs + 1, tuple(map(replace, state.folds)), []
        for number, (split, fold) in enumerate(zip(splits, reached, strict=True)):
            fold_seed = derive_seed(seed, "fold", number)
            one = train(training, epochs=epoch, seed=fold_seed, data=data, checkpoint=fold, split=split)
            evaluations.append(one)
            setup_seconds += one.setup_seconds
            if one.status is not Status.OK:
                return replace(
                    one,
                    curve=curve,
                    confusion={},
                    setup_seconds=setup_seconds,
                    lost_seconds=math.fsum(each.seconds(after=epoch - 1) for each in evaluations),
                    message=f"fold {number + 1} of {len(splits)}: {one.message}",
                )
        curve = curve.extended(_mean_row([each.curve for each in evaluations], epoch))
        state = FoldsState(reached, _summed([each.confusion for each in evaluations]))
        if deadline is not None and time.perf_counter() - start > deadline and curve.epochs < epochs:
            status = Status.TIMEOUT
            message = f"the deadline of {deadline:g} s passed after epoch {curve.epochs} of {epochs}"
    checkpoint.curve, checkpoint.state = curve, state
    checkpoint.nbytes = sum(fold.nbytes for fold in state.folds)
    return Evaluation(
        status,
        curve,
        epochs=curve.epochs,
        setup_seconds=setup_seconds,
        message=message,
        deadline=deadline if status is Status.TIMEOUT else None,
        confusion=state.confusion,
    )


def _mean_row(curves: Sequence[Curve], epoch: int) -> dict[str, float]:
    """Return the mean over curves of an epoch's metrics, and the sum of its seconds."""
    sums = {name: math.fsum(curve[name][epoch - 1] for curve in curves) for name in curves[0]}
    return {name: value if name == "seconds" else value / len(curves) for name, value in sums.items()}


def _summed(confusions: Sequence[Mapping[str, ConfusionMatrix]]) -> dict[str, ConfusionMatrix]:
    """Add confusion matrices of the same parts."""
    return {
        part: tuple(map(tuple, np.sum([np.array(each[part]) for each in confusions], axis=0).tolist()))
        for part in confusions[0]
    }
