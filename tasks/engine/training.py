"""The training engine: trains one described network on arrays, reproducibly, and records its curve.

`train` is a pure function of the training's description, the seed and the data, at one thread count on one
kind of processor; global random state is neither read nor written. How it is computed is `tasks.engine.program`'s.
"""

from __future__ import annotations

import math
import time
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from harness.keys import derive_seed
from harness.phases import phase
from harness.space import Config
from harness.task import Checkpoint, Data, Task
from harness.trial import ConfusionMatrix, Evaluation, Status
from tasks.engine.augmentation import transforms
from tasks.engine.backbone import examples_of
from tasks.engine.memory import out_of_memory
from tasks.engine.network import Dense, Training
from tasks.engine.process import LIBRARIES, configure_threads, device
from tasks.engine.program import Program, program_of
from tasks.engine.variables import Variables, begun, initial_variables

_NOTHING: Final[Data] = {}
_MEASURING: Final = {"val": "validate", "test": "test"}


@dataclass(frozen=True, slots=True)
class Split:
    """Which rows of the training examples are trained on, and which validate instead of ``x_val``.

    Args:
        train: Row numbers, int32 (examples,).
        val: Row numbers, int32 (examples,).
    """

    train: NDArray[np.int32]
    val: NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class TrainingState:
    """What a checkpoint keeps: whose it is, every variable, and what was predicted last."""

    training: Training
    seed: int
    variables: Variables
    confusion: dict[str, ConfusionMatrix] = field(default_factory=dict)

    @property
    def nbytes(self) -> int:
        """Memory the variables take, in bytes."""
        return sum(values.nbytes for values in self.variables.values())


def train(
    training: Training,
    *,
    epochs: int,
    seed: int,
    data: Data,
    checkpoint: Checkpoint | None = None,
    deadline: float | None = None,
    split: Split | None = None,
) -> Evaluation:
    """Train a network and measure it after every epoch.

    Initial weights derive from the seed and the layer's position, an epoch's data order from the seed and
    the epoch's number. Nothing depends on ``epochs``, so a longer curve begins with every shorter one.

    Args:
        training: The network and its training.
        epochs: Epochs in all, at least 1, counted from the first one also when continued.
        seed: Training seed, 0 … 2³² - 1.
        data: ``x_train``, ``x_val``, ``x_test``, float32 (examples, …) or uint8 pixels, which are divided by
            255, and whole-number labels ``y_train``, ``y_val``, ``y_test``, (examples,); may be read-only.
            Arrays are converted once for as long as the same objects are given. Where the network begins with
            a backbone also its ``backbone`` and ``statistics``: see `tasks.engine.densenet.Vectors`.
        checkpoint: Where this training and seed stand; updated in place when the epochs asked for or the
            deadline are reached, and left as it was by a failure, so that trying again fails the same.
        deadline: Seconds this call may take; checked after each epoch but the last one asked for, since
            work that is done is not thrown away.
        split: Other training and validation examples, for cross-validation.

    Returns:
        The evaluation. Each epoch's row has, for ``train``, ``val`` and ``test``: ``…_loss`` (mean
        cross-entropy plus penalties, as Keras reports it), ``…_accuracy``, ``…_balanced_accuracy`` and
        ``…_macro_f1``, those of ``train`` running over the epoch; and ``seconds``, wall time of training
        and measuring. ``DIVERGED`` when a loss is NaN or infinite,
        ``TIMEOUT`` when the deadline passed.

    Raises:
        MemoryError: Host or device ran out of memory.
        ValueError: The checkpoint belongs to another training or seed.
    """
    start = time.perf_counter()
    checkpoint = Checkpoint.fresh() if checkpoint is None else checkpoint
    curve = checkpoint.curve
    if curve.epochs >= epochs:
        confusion = checkpoint.state.confusion if curve.epochs == epochs else {}
        return Evaluation(Status.OK, curve.prefix(epochs), epochs, confusion=confusion)
    setup_seconds, epoch_start = 0.0, start
    try:
        run = _Run(training, seed, data, split, checkpoint.state)
        run.prepare(curve.epochs + 1, epochs)
        setup_seconds = time.perf_counter() - start
        status, message = Status.OK, ""
        while curve.epochs < epochs and status is Status.OK:
            epoch_start = time.perf_counter()
            row = run.epoch(curve.epochs + 1)
            now = time.perf_counter()
            infinite = [f"{name} = {value}" for name, value in row.items() if not math.isfinite(value)]
            if infinite:
                return Evaluation(
                    Status.DIVERGED,
                    curve,
                    epochs=curve.epochs + 1,
                    setup_seconds=setup_seconds,
                    lost_seconds=now - epoch_start,
                    message=f"{', '.join(infinite)} in epoch {curve.epochs + 1}",
                )
            curve = curve.extended({**row, "seconds": now - epoch_start})
            if deadline is not None and now - start > deadline and curve.epochs < epochs:
                status = Status.TIMEOUT
                message = f"the deadline of {deadline:g} s passed after epoch {curve.epochs} of {epochs}"
        state = run.state()
    except Exception as error:
        if not out_of_memory(error):
            raise
        raise MemoryError(f"in epoch {curve.epochs + 1}: {error}") from error
    checkpoint.curve, checkpoint.state, checkpoint.nbytes = curve, state, state.nbytes
    return Evaluation(
        status,
        curve,
        epochs=curve.epochs,
        setup_seconds=setup_seconds,
        message=message,
        deadline=deadline if status is Status.TIMEOUT else None,
        confusion=state.confusion,
    )


class _Run:
    """One training under way."""

    def __init__(
        self, training: Training, seed: int, data: Data, split: Split | None, state: TrainingState | None
    ) -> None:
        if state is None:
            with phase("initial weights"):
                state = initial_state(training, seed, data)
        elif state.training != training or state.seed != seed:
            raise ValueError(
                f"the checkpoint is of {state.training} with seed {state.seed}, not of {training} with "
                f"seed {seed}"
            )
        self._training, self._seed, self._data = training, seed, data
        self._classes = _classes(training)
        self._variables: Variables = state.variables
        self._program: Program | None = None
        rows = {part: np.arange(len(data[f"y_{part}"]), dtype=np.int32) for part in ("train", "val", "test")}
        self._rows = rows["train"] if split is None else split.train
        self._measured = {
            "val": ("val", rows["val"]) if split is None else ("train", split.val),
            "test": ("test", rows["test"]),
        }
        self._labels = np.asarray(data["y_train"])[self._rows]
        self._class_weights = class_weights(self._labels, self._classes)
        self._confusion = state.confusion

    def prepare(self, *epochs: int) -> None:
        """Do once what the stages of these epochs need: it is set-up, and not charged to an epoch."""
        for epoch in epochs:
            self._compiled(self._training.stage(epoch))

    def epoch(self, epoch: int) -> dict[str, float]:
        """Train for one epoch and return its row, without the seconds."""
        stage = self._training.stage(epoch)
        program, examples = self._enter(epoch, stage)
        order = self._rows[epoch_order(stage, self._seed, epoch, self._labels)]
        given = dict(self._data)
        if stage.augmentation is not None:
            given["transforms"] = transforms(
                stage.augmentation,
                seed=self._seed,
                epoch=epoch,
                count=len(order),
                side=examples["train"].shape[1],
            )
        with phase("train"):
            loss, confusion = program.epoch(
                stage,
                examples["train"],
                self._data["y_train"],
                order,
                self._seed if stage == self._training.stage(1) else derive_seed(self._seed, "fine-tuning"),
                self._class_weights,
                given,
            )
        row = {"train_loss": loss, **_prefixed("train", scores(confusion))}
        for part, (where, rows) in self._measured.items():
            x, y = examples[where], self._data[f"y_{where}"]
            with phase(_MEASURING[part]):
                loss, predicted = program.measure(stage, x, y, rows, given)
            confusion = confusion_matrix(np.asarray(y)[rows], predicted, self._classes)
            row |= {f"{part}_loss": loss, **_prefixed(part, scores(confusion))}
            self._confusion = {**self._confusion, part: tuple(map(tuple, confusion.tolist()))}
        return row

    def state(self) -> TrainingState:
        """Copy out what training goes on from."""
        variables = self._variables if self._program is None else self._program.variables()
        return TrainingState(self._training, self._seed, variables, self._confusion)

    def _compiled(self, stage: Training) -> tuple[Program, dict[str, NDArray[Any]]]:
        """Return a stage's program and the examples it is given, by part."""
        examples = examples_of(stage, self._data)
        return program_of(stage, examples["train"], self._classes, examples["val"]), examples

    def _enter(self, epoch: int, stage: Training) -> tuple[Program, dict[str, NDArray[Any]]]:
        """Return what `_compiled` does, with the variables as they stand before an epoch."""
        begins = epoch == 1 or stage != self._training.stage(epoch - 1)
        program, examples = self._compiled(stage)
        if begins or program is not self._program:
            variables = self._variables if self._program is None else self._program.variables()
            program.assign(begun(stage, variables, self._data) if begins else variables)
        self._program = program
        return program, examples


def initial_state(training: Training, seed: int, data: Data) -> TrainingState:
    """Return where a training begins."""
    variables = initial_variables(training, seed, data["x_train"].shape[1:])
    return TrainingState(training, seed, variables)


def layer_weights(state: TrainingState) -> dict[str, NDArray[np.float32]]:
    """Return the kernels of a network by name, such as ``dense_1/kernel``, in the layers' order."""
    return {name: value for name, value in state.variables.items() if name.endswith("/kernel")}


def predict(state: TrainingState, x: NDArray[Any], given: Data = _NOTHING) -> NDArray[np.int64]:
    """Return the class a trained network predicts for each example, (examples,).

    Args:
        state: Of the network, described as in the stage it is in.
        x: Examples.
        given: A backbone's vectors, where it is passed through.
    """
    program = program_of(state.training, x, _classes(state.training))
    program.assign(state.variables)
    rows = np.arange(len(x), dtype=np.int32)
    return program.measure(state.training, x, np.zeros(len(x), np.int32), rows, given)[1]


def _classes(training: Training) -> int:
    last = training.layers[-1]
    if not isinstance(last, Dense) or last.activation != "linear":
        raise ValueError(f"a network ends with a linear Dense layer, one unit for each class; got {last}")
    return last.units


def epoch_order(training: Training, seed: int, epoch: int, labels: NDArray[Any]) -> NDArray[np.intp]:
    """Return which examples an epoch visits, in order.

    Args:
        training: Whether it shuffles or resamples.
        seed: Training seed.
        epoch: Its number, from 1.
        labels: Classes of the training examples, (examples,).

    Returns:
        Positions in ``labels``, (examples,).
    """
    examples = len(labels)
    rng = np.random.default_rng(derive_seed(seed, "order", epoch))
    if training.balance == "resample":
        classes, counts = np.unique(labels, return_counts=True)
        share = 1 / (len(classes) * counts)
        return rng.choice(examples, examples, p=share[np.searchsorted(classes, labels)])
    return rng.permutation(examples) if training.shuffle else np.arange(examples)


def class_weights(labels: NDArray[Any], classes: int) -> NDArray[np.float32]:
    """Return examples / (classes · examples of the class) for each class, 0 for one without any; (classes,)."""
    counts = np.bincount(labels, minlength=classes)
    occurs = counts > 0
    weights = np.zeros(classes, np.float32)
    weights[occurs] = len(labels) / (occurs.sum() * counts[occurs])
    return weights


def confusion_matrix(labels: NDArray[Any], predicted: NDArray[Any], classes: int) -> NDArray[np.int64]:
    """Count examples by true class (row) and predicted class (column), shape (classes, classes)."""
    cells = labels.astype(np.int64) * classes + predicted
    return np.bincount(cells, minlength=classes * classes).reshape(classes, classes)


def scores(confusion: NDArray[np.int64]) -> dict[str, float]:
    """Return accuracy, balanced accuracy and macro F1 of a confusion matrix, as scikit-learn defines them.

    Balanced accuracy is the mean recall of the classes that occur among the labels; macro F1 the mean
    over classes that occur among labels or predictions of 2 · hits / (labels + predictions).
    """
    hits, labels, predictions = np.diag(confusion), confusion.sum(axis=1), confusion.sum(axis=0)
    occurs, seen = labels > 0, labels + predictions > 0
    return {
        "accuracy": float(hits.sum() / labels.sum()),
        "balanced_accuracy": float(np.mean(hits[occurs] / labels[occurs])),
        "macro_f1": float(np.mean(2 * hits[seen] / (labels + predictions)[seen])),
    }


def _prefixed(part: str, values: dict[str, float]) -> dict[str, float]:
    return {f"{part}_{name}": value for name, value in values.items()}


class TrainedTask(Task):
    """A task whose evaluations are trainings by this engine; a subclass describes them in `training`."""

    libraries: ClassVar[Mapping[str, str]] = LIBRARIES

    @classmethod
    def prepare(cls, threads: int, gpu_share: float = 1.0) -> str:
        """Start TensorFlow in this process; see `Task.prepare`."""
        configure_threads(threads, gpu_share)
        return device()

    @abstractmethod
    def training(self, config: Config) -> Training:
        """Describe the training of a configuration."""

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
        """Train a configuration; see `Task.evaluate`."""
        return train(
            self.training(config),
            epochs=epochs,
            seed=seed,
            data=data,
            checkpoint=checkpoint,
            deadline=deadline,
        )
