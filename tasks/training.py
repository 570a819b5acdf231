"""The training engine: trains one described network on arrays, reproducibly, and records its curve.

The only module that imports Keras and TensorFlow, and only when something is trained. What it promises
is independent of how it does it: `train` is a pure function of the training's description, the seed and
the data, at one thread count on one kind of processor; global random state is neither read nor written.
"""

from __future__ import annotations

import contextlib
import importlib
import itertools
import math
import os
import re
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from harness.errors import DerbyError
from harness.keys import derive_seed
from harness.task import Checkpoint, Data
from harness.trial import Evaluation, Status

LIBRARIES: Final = {"keras": "keras", "tensorflow": "tensorflow"}
"""Module to distribution of what the engine imports."""

Initializer = Literal["glorot_uniform", "he_normal"]


@dataclass(frozen=True, slots=True)
class Dense:
    """A fully connected layer; its biases start at 0.

    Args:
        units: Outputs.
        activation: Keras's name of the activation.
        initializer: Keras's name of the kernel's initialiser.
        l2: The loss grows by ``l2`` times the sum of the kernel's squares.
    """

    units: int
    activation: str = "relu"
    initializer: Initializer = "glorot_uniform"
    l2: float = 0.0


@dataclass(frozen=True, slots=True)
class Optimizer:
    """An optimiser with Keras's defaults for what is not given.

    Args:
        name: The update rule; SGD with ``momentum`` above 0 is the classical (not Nesterov's) one.
        lr: Learning rate.
        momentum: Of ``"sgd"`` only.
        rho: Decay of the squared gradients' average, of ``"rmsprop"`` only.
    """

    name: Literal["sgd", "rmsprop", "adam"]
    lr: float
    momentum: float = 0.0
    rho: float = 0.9


@dataclass(frozen=True, slots=True)
class Training:
    """A classifier and how it is trained, but for the number of epochs and the seed.

    The loss is the categorical cross-entropy of the softmax of the last layer's outputs.

    Args:
        layers: The network; the last layer has one unit for each class and no activation (``"linear"``).
        optimizer: The optimiser.
        batch: Training examples in a batch; the last of an epoch holds what remains.
        shuffle: Whether each epoch has its own random order; otherwise always the data's.
    """

    layers: tuple[Dense, ...]
    optimizer: Optimizer
    batch: int
    shuffle: bool = True

    def forward_flops(self, inputs: int) -> float:
        """Return the floating-point operations of one example's forward pass: 2 · in · out for each layer."""
        widths = (inputs, *(layer.units for layer in self.layers))
        return float(sum(2 * a * b for a, b in itertools.pairwise(widths)))


@dataclass(frozen=True, slots=True)
class TrainingState:
    """What a checkpoint keeps: whose it is, and every variable of model and optimiser."""

    training: Training
    seed: int
    weights: tuple[NDArray[Any], ...]
    optimizer: tuple[NDArray[Any], ...]


def train(
    training: Training,
    *,
    epochs: int,
    seed: int,
    data: Data,
    checkpoint: Checkpoint | None = None,
    deadline: float | None = None,
) -> Evaluation:
    """Train a network and measure it after every epoch.

    Initial weights derive from the seed and the layer's position, an epoch's data order from the seed and
    the epoch's number. Nothing depends on ``epochs``, so a longer curve begins with every shorter one.

    Args:
        training: The network and its training.
        epochs: Epochs in all, at least 1, counted from the first one also when continued.
        seed: Training seed, 0 … 2³² - 1.
        data: ``x_train``, ``x_val``, ``x_test``, float32 (examples, inputs), and whole-number labels
            ``y_train``, ``y_val``, ``y_test``, (examples,); may be read-only.
        checkpoint: Where this training and seed stand; updated in place when the epochs asked for or the
            deadline are reached, and left as it was by a failure, so that trying again fails the same.
        deadline: Seconds this call may take; checked after each epoch but the last one asked for, since
            work that is done is not thrown away.

    Returns:
        The evaluation. Each epoch's row has, for ``train``, ``val`` and ``test``: ``…_loss`` (mean
        cross-entropy plus penalties, as Keras reports it) and ``…_accuracy``, those of ``train`` running
        over the epoch; ``…_balanced_accuracy`` and ``…_macro_f1`` for ``val`` and ``test``; and
        ``seconds``, wall time of training and measuring. ``DIVERGED`` when a loss is NaN or infinite,
        ``TIMEOUT`` when the deadline passed, ``CRASHED`` when memory ran out.

    Raises:
        ValueError: The checkpoint belongs to another training or seed.
    """
    start = time.perf_counter()
    checkpoint = Checkpoint.fresh() if checkpoint is None else checkpoint
    curve = checkpoint.curve
    if curve.epochs >= epochs:
        return Evaluation(Status.OK, curve.prefix(epochs), epochs)
    setup_seconds, epoch_start = 0.0, start
    try:
        program = _Program(training, seed, data)
        if curve.epochs:
            program.restore(checkpoint.state)
        setup_seconds = time.perf_counter() - start
        status, message = Status.OK, ""
        while curve.epochs < epochs and status is Status.OK:
            epoch_start = time.perf_counter()
            row = program.epoch(curve.epochs + 1)
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
        state = program.state()
    except _memory_errors() as error:
        return Evaluation(
            Status.CRASHED,
            curve,
            epochs=curve.epochs,
            setup_seconds=setup_seconds,
            lost_seconds=time.perf_counter() - epoch_start,
            message=f"out of memory in epoch {curve.epochs + 1}: {error}",
        )
    checkpoint.curve, checkpoint.state = curve, state
    return Evaluation(
        status,
        curve,
        epochs=curve.epochs,
        setup_seconds=setup_seconds,
        message=message,
        deadline=deadline if status is Status.TIMEOUT else None,
    )


def epoch_order(seed: int, epoch: int, examples: int) -> NDArray[np.int32]:
    """Return the order in which an epoch (counted from 1) visits the examples, shape (examples,)."""
    rng = np.random.default_rng(derive_seed(seed, "order", epoch))
    return rng.permutation(examples).astype(np.int32)


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


class _Program:
    """One training under way: a Keras model and optimiser, and one graph call for each epoch."""

    def __init__(self, training: Training, seed: int, data: Data) -> None:
        tf, keras = _libraries()
        self._training, self._seed = training, seed
        self._model = _model(keras, training, seed, data["x_train"].shape[1])
        self._optimizer = _optimizer(keras, training.optimizer)
        self._optimizer.build(self._model.trainable_variables)
        self._tensor = tf.constant
        self._sets = {
            part: (tf.constant(data[f"x_{part}"]), tf.constant(data[f"y_{part}"], tf.int32))
            for part in ("train", "val", "test")
        }
        self._labels = {part: np.asarray(data[f"y_{part}"]) for part in ("val", "test")}
        self._natural = np.arange(len(data["y_train"]), dtype=np.int32)
        self._train, self._measure = _functions(tf, self._model, self._optimizer, training.batch)

    def epoch(self, epoch: int) -> dict[str, float]:
        """Train for one epoch and return its row, without the seconds."""
        examples = len(self._natural)
        order = epoch_order(self._seed, epoch, examples) if self._training.shuffle else self._natural
        loss, hits = self._train(*self._sets["train"], self._tensor(order))
        row = {"train_loss": float(loss) / examples, "train_accuracy": int(hits) / examples}
        for part, labels in self._labels.items():
            loss, predicted = self._measure(*self._sets[part])
            classes = self._training.layers[-1].units
            row[f"{part}_loss"] = float(loss)
            for name, value in scores(confusion_matrix(labels, predicted.numpy(), classes)).items():
                row[f"{part}_{name}"] = value
        return row

    def state(self) -> TrainingState:
        """Copy every variable out."""
        return TrainingState(
            self._training,
            self._seed,
            tuple(np.array(v.numpy()) for v in self._model.variables),
            tuple(np.array(v.numpy()) for v in self._optimizer.variables),
        )

    def restore(self, state: TrainingState) -> None:
        """Go on from where a state was copied."""
        if state.training != self._training or state.seed != self._seed:
            raise ValueError(
                f"the checkpoint is of {state.training} with seed {state.seed}, "
                f"not of {self._training} with seed {self._seed}"
            )
        for variables, values in (
            (self._model.variables, state.weights),
            (self._optimizer.variables, state.optimizer),
        ):
            for variable, value in zip(variables, values, strict=True):
                variable.assign(value)


def _model(keras: Any, training: Training, seed: int, inputs: int) -> Any:
    """Build the network; every initialiser has a seed of its own, derived from the layer's position."""
    initializers = {
        "glorot_uniform": keras.initializers.GlorotUniform,
        "he_normal": keras.initializers.HeNormal,
    }
    model = keras.Sequential([keras.Input((inputs,))])
    for position, layer in enumerate(training.layers):
        model.add(
            keras.layers.Dense(
                layer.units,
                activation=layer.activation,
                kernel_initializer=initializers[layer.initializer](derive_seed(seed, "weights", position)),
                kernel_regularizer=keras.regularizers.L2(layer.l2) if layer.l2 else None,
            )
        )
    return model


def _optimizer(keras: Any, optimizer: Optimizer) -> Any:
    match optimizer.name:
        case "sgd":
            return keras.optimizers.SGD(optimizer.lr, momentum=optimizer.momentum)
        case "rmsprop":
            return keras.optimizers.RMSprop(optimizer.lr, rho=optimizer.rho)
        case "adam":
            return keras.optimizers.Adam(optimizer.lr)


def _functions(
    tf: Any, model: Any, optimizer: Any, batch: int
) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Trace two graphs: an epoch of training steps, and the measuring of a set of examples."""
    examples_spec = tf.TensorSpec([None, *model.input_shape[1:]], tf.float32)
    integers_spec = tf.TensorSpec([None], tf.int32)

    def loss_and_logits(x: Any, y: Any, *, training: bool) -> tuple[Any, Any]:
        logits = model(x, training=training)
        # One-hot labels because the gradient of the sparse form is slow where it must be deterministic.
        one_hot = tf.one_hot(y, logits.shape[-1])
        entropy = tf.nn.softmax_cross_entropy_with_logits(labels=one_hot, logits=logits)
        return tf.add_n([tf.reduce_mean(entropy), *model.losses]), logits

    def train(x: Any, y: Any, order: Any) -> tuple[Any, Any]:
        """Return the sum of the examples' losses and the number of right predictions."""

        def step(begin: Any, total: Any, right: Any) -> tuple[Any, Any, Any]:
            chosen = order[begin : begin + batch]  # a slice ends with the data: the last batch may be smaller
            x_batch, y_batch = tf.gather(x, chosen), tf.gather(y, chosen)
            with tf.GradientTape() as tape:
                loss, logits = loss_and_logits(x_batch, y_batch, training=True)
            # What optimizer.apply() does here, less its tf.distribute layer, which keeps every graph for ever.
            variables = model.trainable_variables
            for gradient, variable in zip(tape.gradient(loss, variables), variables, strict=True):
                optimizer.update_step(gradient, variable, optimizer.learning_rate)
            optimizer.iterations.assign_add(1)
            hits = tf.equal(tf.argmax(logits, -1, tf.int32), y_batch)
            return (
                begin + batch,
                total + loss * tf.cast(tf.shape(chosen)[0], loss.dtype),
                right + tf.reduce_sum(tf.cast(hits, tf.int32)),
            )

        _, total, right = tf.while_loop(
            lambda begin, *_: begin < tf.shape(order)[0],
            step,
            (tf.constant(0), tf.constant(0.0), tf.constant(0)),
            parallel_iterations=1,
        )
        return total, right

    def measure(x: Any, y: Any) -> tuple[Any, Any]:
        """Return the mean loss and the predicted classes."""
        loss, logits = loss_and_logits(x, y, training=False)
        return loss, tf.argmax(logits, -1, tf.int32)

    return (
        tf.function(train, autograph=False).get_concrete_function(
            examples_spec, integers_spec, integers_spec
        ),
        tf.function(measure, autograph=False).get_concrete_function(examples_spec, integers_spec),
    )


_threads: int | None = None
_CHATTER: Final = re.compile(rb"[IW]\d{4} |WARNING: All log messages before absl::InitializeLog")


def configure_threads(n: int) -> None:
    """Give TensorFlow ``n`` threads in this process, and make what it computes reproducible.

    Must come before anything else in the process uses TensorFlow; `train` calls it with 1 if nobody did.

    Args:
        n: Threads within an operation and between operations, at least 1.

    Raises:
        ValueError: ``n`` is below 1.
        RuntimeError: The process has another number already, or TensorFlow is in use already.
        DerbyError: ``KERAS_BACKEND`` names another backend than TensorFlow.
    """
    global _threads  # noqa: PLW0603 - TensorFlow's threads are a property of the process
    if n < 1:
        raise ValueError(f"threads must be at least 1, got {n}")
    if _threads == n:
        return
    if _threads is not None:
        raise RuntimeError(
            f"this process trains with {_threads} threads and TensorFlow cannot change that, got {n}; "
            "start another process"
        )
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    backend = os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    if backend != "tensorflow":
        raise DerbyError(
            f"KERAS_BACKEND is {backend!r}, but the training engine needs 'tensorflow'; unset it"
        )
    with _quiet():
        tf = importlib.import_module("tensorflow")
    try:
        tf.config.threading.set_intra_op_parallelism_threads(n)
        tf.config.threading.set_inter_op_parallelism_threads(n)
        for gpu in tf.config.list_physical_devices("GPU"):
            tf.config.experimental.set_memory_growth(gpu, True)
    except RuntimeError as error:
        raise RuntimeError(
            f"TensorFlow is in use already and cannot be given {n} threads: call configure_threads first "
            f"in the process ({error})"
        ) from error
    tf.config.experimental.enable_op_determinism()
    # Optimising the graphs of a small network takes longer than they then save.
    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})
    _threads = n


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Drop TensorFlow's log lines below errors from standard error, at the level of the file descriptor.

    Some are written while its shared libraries load, when ``TF_CPP_MIN_LOG_LEVEL`` is not yet heeded. All
    other text is passed on at the end.
    """
    try:
        original = os.dup(2)
    except OSError:  # the process has no standard error
        yield
        return
    with tempfile.TemporaryFile() as caught:
        os.dup2(caught.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(original, 2)
            caught.seek(0)
            for line in caught:
                if not _CHATTER.match(line):
                    os.write(original, line)
            os.close(original)


def device() -> str:
    """Return what this process trains on: ``"cpu"``, or the name of its first GPU."""
    tf, _ = _libraries()
    gpus = tf.config.list_physical_devices("GPU")
    return str(tf.config.experimental.get_device_details(gpus[0])["device_name"]) if gpus else "cpu"


def _memory_errors() -> tuple[type[Exception], ...]:
    tf, _ = _libraries()
    return MemoryError, tf.errors.ResourceExhaustedError


def _libraries() -> tuple[Any, Any]:
    """Import TensorFlow and Keras, configured."""
    if _threads is None:
        configure_threads(1)
    return importlib.import_module("tensorflow"), importlib.import_module("keras")


def download(name: str) -> dict[str, NDArray[Any]]:
    """Download ``mnist`` or ``fashion_mnist`` into Keras's cache and return it.

    Raises:
        Exception: Whatever Keras raises when there is no network.
    """
    _, keras = _libraries()
    (x_train, y_train), (x_test, y_test) = getattr(keras.datasets, name).load_data()
    return {"x_train": x_train, "y_train": y_train, "x_test": x_test, "y_test": y_test}
