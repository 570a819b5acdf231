"""Compiled trainings: what TensorFlow does for the engine.

A `Program` is a compiled training of one *structure*: the kinds of layers in their order, the update rule,
which penalties there are. Widths are unknown to it, since its variables have no fixed shape, and every
number (learning rate, penalties, dropout rates, batch size …) is an input. So one program serves all
configurations of a structure, which is what makes short trainings quick: building and tracing a network
takes longer than training a small one.

Layers and update rules are written in TensorFlow's own operations because Keras's layers fix shapes and
its optimisers fix their numbers when they are traced. That they compute what Keras computes is tested.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from harness.keys import derive_seed
from harness.phases import phase
from harness.task import Data
from tasks.engine.arrays import augmented, kept, resident, scaled
from tasks.engine.backbone import BACKBONE_AT_ONCE, densenet_outputs
from tasks.engine.network import Activation, Conv, Dense, DenseNet, Dropout, MaxPool, Training, named_layers
from tasks.engine.process import libraries
from tasks.engine.variables import BACKBONE, NOTHING, SLOTS, Variables, rule_of

PROGRAMS_KEPT: Final = 16
"""Compiled programs a process keeps, those used last."""
MEASURED_AT_ONCE: Final = 1000
"""Examples measured in one call: bounds the memory of a convolution's outputs."""

_EPSILON: Final = 1e-7
_BETAS: Final = (0.9, 0.999)
"""Keras's defaults."""


class Program:
    """A compiled training, and the variables of whoever trains with it now.

    Args:
        training: Any training of the structure to compile.
        rank: Dimensions of the examples' array.
        dtype: Of the examples; ``uint8`` pixels are divided by 255. Where the network begins with a backbone,
            an array of two dimensions holds its outputs.
        classes: Classes to tell apart.
        measured: The same, rank and dtype, of the examples to measure.
    """

    def __init__(
        self, training: Training, rank: int, dtype: str, classes: int, measured: tuple[int, str]
    ) -> None:
        tf, _ = libraries()
        self._tf, self._classes = tf, classes
        self._layers, self._rule = named_layers(training.layers), rule_of(training)
        self._kernels = [name for name, layer in self._layers if isinstance(layer, Dense | Conv)]
        self._weighted = training.balance == "weights"
        self._weights: dict[str, Any] = {}
        for name in self._kernels:
            self._weights[f"{name}/kernel"] = self._variable(4 if name.startswith("conv") else 2)
            self._weights[f"{name}/bias"] = self._variable(1)
        if training.backbone is not None and not training.backbone.frozen:
            self._weights[BACKBONE] = self._variable(1)
        self._augmented = training.augmentation is not None
        self._at_once = MEASURED_AT_ONCE if training.backbone is None else BACKBONE_AT_ONCE
        self._slots = {
            f"{name}/{slot}": self._variable(len(weight.shape))
            for name, weight in self._weights.items()
            for slot in SLOTS[self._rule]
        }
        self._steps = tf.Variable(0, dtype=tf.int64, trainable=False)
        self._centers = None if training.center is None else self._variable(2)
        numbers = {name: tf.TensorSpec([], tf.float32) for name in _numbers(training)}
        x, scalar = tf.TensorSpec([None] * rank, dtype), partial(tf.TensorSpec, [])
        y = rows = tf.TensorSpec([None], tf.int32)
        class_weights = tf.TensorSpec([classes], tf.float32)
        given = _given(training, rank)
        if self._augmented:
            given["transforms"] = 2
        self._given = given, _given(training, measured[0])
        arrays = [
            {name: tf.TensorSpec([None] * rank, tf.float32) for name, rank in g.items()} for g in self._given
        ]
        self._train = tf.function(self._epoch, autograph=False).get_concrete_function(
            x, y, rows, scalar(tf.int32), scalar(tf.int64), class_weights, {**numbers, **arrays[0]}
        )
        self._measure = tf.function(self._measured, autograph=False).get_concrete_function(
            tf.TensorSpec([None] * measured[0], measured[1]), y, rows, {**numbers, **arrays[1]}
        )

    # Variables.

    def assign(self, variables: Variables) -> None:
        """Put a training's variables in place of whatever was trained before."""
        for name, variable in self._named().items():
            variable.assign(variables[name])

    def variables(self) -> dict[str, NDArray[Any]]:
        """Copy every variable out."""
        return {name: np.array(variable.numpy()) for name, variable in self._named().items()}

    def _named(self) -> dict[str, Any]:
        named = {**self._weights, **self._slots, "steps": self._steps}
        return named if self._centers is None else {**named, "centers": self._centers}

    def _variable(self, rank: int) -> Any:
        tf = self._tf
        return tf.Variable(tf.zeros([1] * rank), shape=tf.TensorShape([None] * rank), trainable=False)

    # What a caller runs.

    def epoch(
        self,
        training: Training,
        x: NDArray[Any],
        y: NDArray[Any],
        order: NDArray[np.int32],
        seed: int,
        class_weights: NDArray[np.float32],
        given: Data = NOTHING,
    ) -> tuple[float, NDArray[np.int64]]:
        """Train on the examples ``order`` names, in that order.

        Args:
            training: A training of the program's structure.
            x: Examples, (examples, …).
            y: Their classes, (examples,).
            order: Rows to visit, (visits,).
            seed: Of the training, for dropout.
            class_weights: What an example of each class counts, (classes,); used where the training says.
            given: A backbone's vectors, see `tasks.engine.densenet.Vectors`, and where images are augmented
                ``transforms``, (visits, 8): see `augmented`.

        Returns:
            The mean loss and the confusion matrix, both running over the epoch.
        """
        tf = self._tf
        loss, confusion = self._train(
            resident(x),
            resident(y, np.int32),
            tf.constant(order),
            tf.constant(training.batch),
            tf.constant(derive_seed(seed, "dropout"), tf.int64),
            tf.constant(class_weights),
            self._inputs(training, given, self._given[0]),
        )
        return float(loss) / len(order), np.rint(confusion.numpy()).astype(np.int64)

    def measure(
        self,
        training: Training,
        x: NDArray[Any],
        y: NDArray[Any],
        rows: NDArray[np.int32],
        given: Data = NOTHING,
    ) -> tuple[float, NDArray[np.int64]]:
        """Return the mean loss over the rows of ``x`` and the class predicted for each, (rows,)."""
        inputs, total, predicted = self._inputs(training, given, self._given[1]), 0.0, []
        for begin in range(0, len(rows), self._at_once):
            chosen = self._tf.constant(rows[begin : begin + self._at_once])
            entropy, penalty, classes = self._measure(resident(x), resident(y, np.int32), chosen, inputs)
            total += float(entropy)
            predicted.append(classes.numpy().astype(np.int64))
        return total / len(rows) + float(penalty), np.concatenate(predicted)

    def _inputs(self, training: Training, given: Data = NOTHING, names: Iterable[str] = ()) -> dict[str, Any]:
        """Return what a program is given but for the examples: numbers, and those arrays it needs."""
        tf = self._tf
        numbers = {name: tf.constant(value, tf.float32) for name, value in _numbers(training).items()}
        arrays = {
            name: tf.constant(given[name]) if name == "transforms" else resident(given[name])
            for name in names
        }
        return {**numbers, **arrays}

    # What is compiled.

    def _epoch(
        self,
        x: Any,
        y: Any,
        order: Any,
        batch: Any,
        seed: Any,
        class_weights: Any,
        numbers: Mapping[str, Any],
    ) -> tuple[Any, Any]:
        tf = self._tf

        def step(begin: Any, total: Any, confusion: Any) -> tuple[Any, Any, Any]:
            chosen = order[begin : begin + batch]  # a slice ends with the data: the last batch may be smaller
            labels = tf.one_hot(tf.gather(y, chosen), self._classes)
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch(list(self._weights.values()))
                inputs = tf.gather(x, chosen)
                if self._augmented:
                    inputs = augmented(scaled(tf, inputs), numbers["transforms"][begin : begin + batch])
                features, logits = self._forward(inputs, numbers, (seed, self._steps))
                entropy = tf.nn.softmax_cross_entropy_with_logits(labels=labels, logits=logits)
                if self._weighted:
                    entropy *= tf.linalg.matvec(labels, class_weights)
                loss = tf.reduce_mean(entropy) + self._penalty(numbers)
                if self._centers is not None:
                    away = tf.matmul(labels, self._centers) - features
                    loss += numbers["center/weight"] * tf.reduce_mean(tf.reduce_sum(away**2, axis=1))
            gradients = tape.gradient(loss, self._weights)
            self._steps.assign_add(1)
            self._update(gradients, numbers)
            if self._centers is not None:
                count = tf.reduce_sum(labels, axis=0)[:, None] + 1
                self._centers.assign_sub(
                    numbers["center/rate"] * tf.matmul(labels, away, transpose_a=True) / count
                )
            predicted = tf.one_hot(tf.argmax(logits, -1), self._classes)
            return (
                begin + batch,
                total + loss * tf.cast(tf.shape(chosen)[0], loss.dtype),
                confusion + tf.matmul(labels, predicted, transpose_a=True),
            )

        empty = tf.zeros([self._classes, self._classes])
        _, total, confusion = tf.while_loop(
            lambda begin, *_: begin < tf.shape(order)[0], step, (0, 0.0, empty), parallel_iterations=1
        )
        return total, confusion

    def _measured(self, x: Any, y: Any, rows: Any, numbers: Mapping[str, Any]) -> tuple[Any, Any, Any]:
        """Return the sum of cross-entropies, the penalty, and the predicted classes."""
        tf = self._tf
        _, logits = self._forward(tf.gather(x, rows), numbers, None)
        labels = tf.one_hot(tf.gather(y, rows), self._classes)
        entropy = tf.nn.softmax_cross_entropy_with_logits(labels=labels, logits=logits)
        return tf.reduce_sum(entropy), self._penalty(numbers), tf.argmax(logits, -1)

    def _forward(self, x: Any, numbers: Mapping[str, Any], noise: tuple[Any, Any] | None) -> tuple[Any, Any]:
        """Return the last layer's inputs and outputs; without ``noise`` as when measured."""
        tf = self._tf
        h = features = scaled(tf, x)
        for position, (name, layer) in enumerate(self._layers):
            last = position == len(self._layers) - 1
            match layer:
                case Dense(activation=activation):
                    h = tf.matmul(_flat(tf, h), self._weights[f"{name}/kernel"])
                    h = _activate(tf, activation, tf.nn.bias_add(h, self._weights[f"{name}/bias"]))
                case Conv(activation=activation):
                    h = tf.nn.conv2d(h, self._weights[f"{name}/kernel"], 1, "SAME")
                    if not last and isinstance(pool := self._layers[position + 1][1], MaxPool):
                        # A maximum passes through a bias and any of the activations, which all rise:
                        # the same outputs from a fraction of the work.
                        h = tf.nn.max_pool2d(h, pool.size, pool.size, "VALID")
                    h = _activate(tf, activation, tf.nn.bias_add(h, self._weights[f"{name}/bias"]))
                case MaxPool(size) if position == 0 or not isinstance(self._layers[position - 1][1], Conv):
                    h = tf.nn.max_pool2d(h, size, size, "VALID")
                case DenseNet(blocks, frozen) if h.shape.rank == 4:  # else its outputs are given
                    weights = numbers["backbone"] if frozen else self._weights[BACKBONE]
                    h = densenet_outputs(tf, blocks, h, weights, numbers["statistics"])
                case Dropout() if noise is not None:
                    seed, step = noise
                    kept = tf.random.stateless_uniform(
                        tf.shape(h), tf.stack([seed + position, step]), alg="philox"
                    ) >= (rate := numbers[f"{name}/rate"])
                    h = tf.where(kept, h / (1 - rate), 0.0)
            if not last and not isinstance(layer, Dropout):
                features = h
        return _flat(tf, features), h

    def _penalty(self, numbers: Mapping[str, Any]) -> Any:
        """Return the sum of the penalties, and NaN where a convolution's kernel is not finite."""
        tf = self._tf
        terms = [tf.constant(0.0)]
        for name in self._kernels:
            kernel = self._weights[f"{name}/kernel"]
            if f"{name}/l1" in numbers:
                terms.append(numbers[f"{name}/l1"] * tf.reduce_sum(tf.abs(kernel)))
            if f"{name}/l2" in numbers:
                terms.append(numbers[f"{name}/l2"] * tf.reduce_sum(tf.square(kernel)))
            if name.startswith("conv"):
                # A maximum skips NaN, so that a network whose convolution has diverged looks alive.
                alive = tf.math.is_finite(tf.reduce_sum(kernel))
                terms.append(tf.where(alive, 0.0, np.float32(np.nan)))
        return tf.add_n(terms)

    def _update(self, gradients: Mapping[str, Any], numbers: Mapping[str, Any]) -> None:
        """Change every weight by its gradient, with the fused kernels that take their rates as inputs."""
        tf, lr = self._tf, numbers["lr"]
        step = tf.cast(self._steps, tf.float32)
        for name, weight in self._weights.items():
            slots = [self._slots[f"{name}/{slot}"].handle for slot in SLOTS[self._rule]]
            common = {"var": weight.handle, "lr": lr, "grad": gradients[name]}
            match self._rule:
                case "sgd":
                    tf.raw_ops.ResourceApplyGradientDescent(
                        var=weight.handle, alpha=lr, delta=gradients[name]
                    )
                case "momentum":
                    tf.raw_ops.ResourceApplyKerasMomentum(
                        **common, accum=slots[0], momentum=numbers["momentum"]
                    )
                case "rmsprop":
                    tf.raw_ops.ResourceApplyRMSProp(
                        **common,
                        ms=slots[0],
                        mom=slots[1],
                        rho=numbers["rho"],
                        momentum=0.0,
                        epsilon=_EPSILON,
                    )
                case "adam":
                    tf.raw_ops.ResourceApplyAdam(
                        **common,
                        m=slots[0],
                        v=slots[1],
                        beta1_power=tf.pow(_BETAS[0], step),
                        beta2_power=tf.pow(_BETAS[1], step),
                        beta1=_BETAS[0],
                        beta2=_BETAS[1],
                        epsilon=_EPSILON,
                    )


def _numbers(training: Training) -> dict[str, float]:
    """Return what a training gives its program as inputs; a penalty of 0 is not one."""
    optimizer = training.optimizer
    numbers = {"lr": optimizer.lr, "momentum": optimizer.momentum, "rho": optimizer.rho}
    for name, layer in named_layers(training.layers):
        match layer:
            case Dense(l1=l1, l2=l2):
                numbers |= {f"{name}/{k}": v for k, v in (("l1", l1), ("l2", l2)) if v}
            case Dropout(rate):
                numbers[f"{name}/rate"] = rate
    if training.center is not None:
        numbers |= {"center/weight": training.center.weight, "center/rate": training.center.rate}
    return numbers


def _given(training: Training, rank: int) -> dict[str, int]:
    """Return the arrays that passing examples of a rank through a network needs besides them, with their ranks."""
    backbone = training.backbone
    if backbone is None or rank != 4:
        return {}
    return {"statistics": 1, **({"backbone": 1} if backbone.frozen else {})}


def _structure(training: Training) -> tuple[Any, ...]:
    """Return what decides the operations of a training, as opposed to their inputs."""
    kinds = tuple(
        (name, getattr(layer, "activation", None), getattr(layer, "size", None))
        for name, layer in named_layers(training.layers)
    )
    flags = training.balance == "weights", training.augmentation is not None
    return kinds, tuple(_numbers(training)), rule_of(training), training.backbone, *flags


def _flat(tf: Any, h: Any) -> Any:
    return h if h.shape.rank == 2 else tf.reshape(h, [tf.shape(h)[0], -1])


def _activate(tf: Any, activation: Activation, h: Any) -> Any:
    match activation:
        case "linear":
            return h
        case "leaky_relu":
            return tf.nn.leaky_relu(h, alpha=0.2)
        case "relu" | "sigmoid" | "tanh":
            return getattr(tf.nn, activation)(h)


def program_of(
    training: Training, x: NDArray[Any], classes: int, measured: NDArray[Any] | None = None
) -> Program:
    """Return the compiled program of a training's structure, compiling it when none is kept.

    Args:
        training: One of the structure.
        x: Examples like those to train on.
        classes: Classes to tell apart.
        measured: Examples like those to measure, if they are not like ``x``.
    """
    other = x if measured is None else measured
    kind = other.ndim, other.dtype.name
    key = (_structure(training), x.ndim, x.dtype.name, classes, kind)

    def compiled() -> Program:
        with phase("compile"):
            return Program(training, x.ndim, x.dtype.name, classes, kind)

    return kept(_programs, key, compiled, PROGRAMS_KEPT)


_programs: OrderedDict[Any, Program] = OrderedDict()
