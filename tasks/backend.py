"""What TensorFlow and Keras do for the training engine, and the only module that imports either.

A `Program` is a compiled training of one *structure*: the kinds of layers in their order, the update rule,
which penalties there are. Widths are unknown to it, since its variables have no fixed shape, and every
number (learning rate, penalties, dropout rates, batch size …) is an input. So one program serves all
configurations of a structure, which is what makes short trainings quick: building and tracing a network
takes longer than training a small one.

Layers and update rules are written in TensorFlow's own operations because Keras's layers fix shapes and
its optimisers fix their numbers when they are traced. That they compute what Keras computes is tested.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import re
import subprocess
import tempfile
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache, partial
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from harness.errors import DerbyError
from harness.keys import derive_seed
from harness.phases import phase
from harness.task import Data
from tasks import densenet
from tasks.network import (
    Activation,
    Conv,
    Dense,
    DenseNet,
    Dropout,
    Initializer,
    MaxPool,
    Normal,
    Shape,
    Training,
    kernel_shapes,
    named_layers,
)

LIBRARIES: Final = {"keras": "keras", "tensorflow": "tensorflow"}
"""Module to distribution of what is imported here."""

PROGRAMS_KEPT: Final = 16
"""Compiled programs a process keeps, those used last."""
ARRAYS_KEPT: Final = 32
"""Arrays of data a process keeps converted, those used last."""
MEASURED_AT_ONCE: Final = 1000
"""Examples measured in one call: bounds the memory of a convolution's outputs."""
BACKBONE_AT_ONCE: Final = 100
"""The same where a backbone is passed through."""
FEATURES_KEPT: Final = 6
"""Sets of images whose features a process keeps, those used last: training, validation and test of two tasks."""

_NOTHING: Final[Data] = {}

Variables = Mapping[str, NDArray[Any]]
"""Every number a training changes, by name: ``dense_1/kernel``, ``dense_1/bias``, … and the optimiser's."""


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
        tf, _ = _libraries()
        self._tf, self._classes = tf, classes
        self._layers, self._rule = named_layers(training.layers), _rule(training)
        self._kernels = [name for name, layer in self._layers if isinstance(layer, Dense | Conv)]
        self._weighted = training.balance == "weights"
        self._weights: dict[str, Any] = {}
        for name in self._kernels:
            self._weights[f"{name}/kernel"] = self._variable(4 if name.startswith("conv") else 2)
            self._weights[f"{name}/bias"] = self._variable(1)
        if training.backbone is not None and not training.backbone.frozen:
            self._weights[_BACKBONE] = self._variable(1)
        self._augmented = training.augmentation is not None
        self._at_once = MEASURED_AT_ONCE if training.backbone is None else BACKBONE_AT_ONCE
        self._slots = {
            f"{name}/{slot}": self._variable(len(weight.shape))
            for name, weight in self._weights.items()
            for slot in _SLOTS[self._rule]
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
        given: Data = _NOTHING,
    ) -> tuple[float, NDArray[np.int64]]:
        """Train on the examples ``order`` names, in that order.

        Args:
            training: A training of the program's structure.
            x: Examples, (examples, …).
            y: Their classes, (examples,).
            order: Rows to visit, (visits,).
            seed: Of the training, for dropout.
            class_weights: What an example of each class counts, (classes,); used where the training says.
            given: A backbone's vectors, see `tasks.densenet.Vectors`, and where images are augmented
                ``transforms``, (visits, 8): see `augmented`.

        Returns:
            The mean loss and the confusion matrix, both running over the epoch.
        """
        tf = self._tf
        loss, confusion = self._train(
            _resident(x),
            _resident(y, np.int32),
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
        given: Data = _NOTHING,
    ) -> tuple[float, NDArray[np.int64]]:
        """Return the mean loss over the rows of ``x`` and the class predicted for each, (rows,)."""
        inputs, total, predicted = self._inputs(training, given, self._given[1]), 0.0, []
        for begin in range(0, len(rows), self._at_once):
            chosen = self._tf.constant(rows[begin : begin + self._at_once])
            entropy, penalty, classes = self._measure(_resident(x), _resident(y, np.int32), chosen, inputs)
            total += float(entropy)
            predicted.append(classes.numpy().astype(np.int64))
        return total / len(rows) + float(penalty), np.concatenate(predicted)

    def _inputs(
        self, training: Training, given: Data = _NOTHING, names: Iterable[str] = ()
    ) -> dict[str, Any]:
        """Return what a program is given but for the examples: numbers, and those arrays it needs."""
        tf = self._tf
        numbers = {name: tf.constant(value, tf.float32) for name, value in _numbers(training).items()}
        arrays = {
            name: tf.constant(given[name]) if name == "transforms" else _resident(given[name])
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
                    inputs = augmented(_scaled(tf, inputs), numbers["transforms"][begin : begin + batch])
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
        h = features = _scaled(tf, x)
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
                    weights = numbers["backbone"] if frozen else self._weights[_BACKBONE]
                    h = _densenet(tf, blocks, h, weights, numbers["statistics"])
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
            slots = [self._slots[f"{name}/{slot}"].handle for slot in _SLOTS[self._rule]]
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


_BACKBONE: Final = "densenet_1/weights"
_TRAINED: Final = ("/kernel", "/bias", "/weights", "centers")
"""Ends of the names of all variables but an optimiser's."""
_EPSILON: Final = 1e-7
_BETAS: Final = (0.9, 0.999)
"""Keras's defaults."""
_SLOTS: Final[Mapping[str, tuple[str, ...]]] = {
    "sgd": (),
    "momentum": ("momentum",),
    "rmsprop": ("velocity", "step"),
    "adam": ("momentum", "velocity"),
}
"""What an update rule remembers of each weight."""


def _rule(training: Training) -> str:
    optimizer = training.optimizer
    return "momentum" if optimizer.name == "sgd" and optimizer.momentum else optimizer.name


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
    return kinds, tuple(_numbers(training)), _rule(training), training.backbone, *flags


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


def _scaled(tf: Any, x: Any) -> Any:
    if x.dtype != tf.uint8:
        return x
    # By a constant, TensorFlow would multiply by its rounded inverse, and half the pixels would be others.
    return tf.cast(x, tf.float32) / tf.raw_ops.PlaceholderWithDefault(input=255.0, shape=[])


def augmented(images: Any, transforms: Any) -> Any:
    """Return images changed by affine maps; what lies outside an image is filled with its nearest pixel.

    Args:
        images: float32 (count, height, width, channels).
        transforms: float32 (count, 8): see `tasks.augmentation.affine`.
    """
    tf, _ = _libraries()
    return tf.raw_ops.ImageProjectiveTransformV3(
        images=images,
        transforms=transforms,
        output_shape=tf.shape(images)[1:3],
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode="NEAREST",
    )


def _densenet(tf: Any, blocks: densenet.Blocks, images: Any, weights: Any, statistics: Any) -> Any:
    """Pass images, 0 … 1, through DenseNet to its pooled outputs, (images, outputs).

    Normalisation is written out because its fused gradient has no reproducible form on a GPU.
    """
    layers = list(densenet.layers(blocks))
    norms = [layer.shape[0] for layer in layers if len(layer.shape) == 1]
    pieces = iter(tf.split(weights, densenet.pieces(blocks)))
    moments = iter(tf.split(statistics, [size for size in norms for _ in range(2)]))
    kernels = (layer.shape for layer in layers if len(layer.shape) > 1)

    def conv(h: Any, stride: int = 1, padding: str = "SAME") -> Any:
        return tf.nn.conv2d(h, tf.reshape(next(pieces), next(kernels)), stride, padding)

    def norm(h: Any) -> Any:
        gamma, beta, mean, variance = next(pieces), next(pieces), next(moments), next(moments)
        scale = gamma * tf.math.rsqrt(variance + densenet.EPSILON)
        return tf.nn.relu(h * scale + (beta - mean * scale))

    def padded(h: Any, width: int) -> Any:
        return tf.pad(h, [[0, 0], [width, width], [width, width], [0, 0]])

    h = (images - tf.constant(densenet.MEAN)) / tf.constant(densenet.SD)
    h = norm(conv(padded(h, 3), 2, "VALID"))
    h = tf.nn.max_pool2d(padded(h, 1), 3, 2, "VALID")
    for number, count in enumerate(blocks):
        for _ in range(count):
            new = conv(norm(h))
            h = tf.concat([h, conv(norm(new))], -1)
        if number < len(blocks) - 1:
            h = tf.nn.avg_pool2d(conv(norm(h)), 2, 2, "VALID")
    return tf.reduce_mean(norm(h), [1, 2])


def examples(training: Training, data: Data) -> dict[str, NDArray[Any]]:
    """Return what a training's program is given of each part: the examples, or a frozen backbone's outputs.

    What a frozen backbone makes of an image that is never changed is computed once for as long as the
    same arrays are given, and kept.
    """
    chosen = {part: data[f"x_{part}"] for part in ("train", "val", "test")}
    backbone = training.backbone
    if backbone is None or not backbone.frozen:
        return chosen
    return {
        part: x if part == "train" and training.augmentation is not None else features(backbone, x, data)
        for part, x in chosen.items()
    }


def features(backbone: DenseNet, images: NDArray[np.uint8], vectors: Data) -> NDArray[np.float32]:
    """Return a backbone's outputs, (images, outputs).

    Args:
        backbone: Its layers.
        images: Pixels, (images, height, width, 3).
        vectors: Its weights: ``backbone`` and ``statistics``.
    """
    tf, _ = _libraries()
    key = (backbone.blocks, id(images), id(vectors["backbone"]), id(vectors["statistics"]))
    if key not in _features:
        passed = _passed(backbone.blocks)
        given = [_resident(vectors[name]) for name in ("backbone", "statistics")]
        with phase("backbone's features"):
            parts = [
                passed(tf.constant(images[begin : begin + BACKBONE_AT_ONCE]), *given).numpy()
                for begin in range(0, len(images), BACKBONE_AT_ONCE)
            ]
        # the entry holds the arrays, so that no others can have their identities
        held = images, vectors["backbone"], vectors["statistics"]
        _features[key] = np.concatenate(parts), held
    _features.move_to_end(key)
    while len(_features) > FEATURES_KEPT:
        _features.popitem(last=False)
    return _features[key][0]


_features: OrderedDict[Any, tuple[NDArray[np.float32], Any]] = OrderedDict()


@cache
def _passed(blocks: densenet.Blocks) -> Callable[..., Any]:
    """Return the compiled backbone: images, weights and statistics to outputs."""
    tf, _ = _libraries()

    def passed(images: Any, weights: Any, statistics: Any) -> Any:
        return _densenet(tf, blocks, _scaled(tf, images), weights, statistics)

    vector = tf.TensorSpec([None], tf.float32)
    compiled = tf.function(passed, autograph=False)
    return compiled.get_concrete_function(tf.TensorSpec([None] * 4, tf.uint8), vector, vector)  # type: ignore[no-any-return]


def program(
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
    if key not in _programs:
        with phase("compile"):
            _programs[key] = Program(training, x.ndim, x.dtype.name, classes, kind)
    _programs.move_to_end(key)
    while len(_programs) > PROGRAMS_KEPT:
        _programs.popitem(last=False)
    return _programs[key]


_programs: OrderedDict[Any, Program] = OrderedDict()


def initial_variables(training: Training, seed: int, shape: Shape) -> dict[str, NDArray[Any]]:
    """Return the variables that a training begins with.

    Args:
        training: The network.
        seed: Training seed; every kernel has a seed of its own, derived from it and the layer's name.
        shape: Of one example.
    """
    _, keras = _libraries()
    variables: dict[str, NDArray[Any]] = {}
    for name, (layer, kernel) in kernel_shapes(training.layers, shape).items():
        draw = _initializer(keras, layer.initializer, derive_seed(seed, "weights", name))
        variables[f"{name}/kernel"] = np.asarray(draw(kernel), np.float32)
        variables[f"{name}/bias"] = np.zeros(kernel[-1], np.float32)
    if training.center is not None:
        width, classes = kernel[-2:]  # the last layer's
        variables["centers"] = np.zeros((classes, width), np.float32)
    return begun(training, variables)


def begun(training: Training, variables: Variables, given: Data = _NOTHING) -> dict[str, NDArray[Any]]:
    """Return the variables with which a stage begins: what was trained before, and an optimiser's memory of nothing.

    Args:
        training: The stage.
        variables: At least the network's weights and centres.
        given: Where the stage trains a backbone: its weights, ``backbone``.
    """
    kept = {name: value for name, value in variables.items() if name.endswith(_TRAINED)}
    if "backbone" in given and training.backbone is not None and not training.backbone.frozen:
        kept.setdefault(_BACKBONE, given["backbone"])
    slots = {
        f"{name}/{slot}": np.zeros_like(weight)
        for name, weight in kept.items()
        for slot in _SLOTS[_rule(training)]
        if name != "centers"
    }
    return {**kept, **slots, "steps": np.zeros((), np.int64)}


def _initializer(keras: Any, initializer: Initializer, seed: int) -> Callable[..., Any]:
    match initializer:
        case Normal(mean, sd):
            return keras.initializers.RandomNormal(mean, sd, seed)  # type: ignore[no-any-return]
        case "glorot_uniform":
            return keras.initializers.GlorotUniform(seed)  # type: ignore[no-any-return]
        case "he_normal":
            return keras.initializers.HeNormal(seed)  # type: ignore[no-any-return]


def _resident(array: NDArray[Any], dtype: Any = None) -> Any:
    """Return an array as a tensor, converted once for as long as it is among those used last."""
    tf, _ = _libraries()
    key = id(array)
    if key not in _tensors:  # the entry holds the array, so that no other can have its identity
        with phase("convert data"):
            _tensors[key] = array, tf.constant(array if dtype is None else array.astype(dtype))
    _tensors.move_to_end(key)
    while len(_tensors) > ARRAYS_KEPT:
        _tensors.popitem(last=False)
    return _tensors[key][1]


_tensors: OrderedDict[int, tuple[NDArray[Any], Any]] = OrderedDict()


GPU_USABLE = 0.92
"""Part of a GPU's memory that shares are cut from; every process on it also needs a context outside its share."""

_threads: int | None = None
_CHATTER: Final = re.compile(rb"[IW]\d{4} |WARNING: All log messages before absl::InitializeLog")


def configure_threads(n: int, gpu_share: float = 1.0) -> None:
    """Give TensorFlow ``n`` threads in this process, and make what it computes reproducible.

    Of a GPU it takes what it needs as it needs it, or where it has a share only, that part of the memory at once,
    so that evaluators on one device cannot take each other's.

    Must come before anything else in the process uses TensorFlow; the first use here calls it with 1 if nobody did.

    Args:
        n: Threads within an operation and between operations, at least 1.
        gpu_share: Part of each visible GPU's memory, up to 1.

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
        for number, gpu in enumerate(tf.config.list_physical_devices("GPU")):
            if gpu_share < 1:
                limit = int(gpu_share * GPU_USABLE * gpu_memory()[number])
                tf.config.set_logical_device_configuration(
                    gpu, [tf.config.LogicalDeviceConfiguration(memory_limit=limit)]
                )
            else:
                tf.config.experimental.set_memory_growth(gpu, True)
    except RuntimeError as error:
        raise RuntimeError(
            f"TensorFlow is in use already and cannot be given {n} threads: call configure_threads first "
            f"in the process ({error})"
        ) from error
    tf.config.experimental.enable_op_determinism()
    # A fused matrix product and ReLU makes 0 of NaN, so that a network that has diverged looks alive.
    tf.config.optimizer.set_experimental_options({"remapping": False})
    _threads = n


def gpu_memory() -> list[int]:
    """Return the memory of each GPU that this process may see, in MiB: TensorFlow itself does not tell.

    Raises:
        DerbyError: NVIDIA's own command does not answer.
    """
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    which = [f"--id={visible}"] if visible else []
    command = ["nvidia-smi", "--query-gpu=memory.total", "--format=csv,noheader,nounits", *which]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30)  # noqa: S603
        return [int(line) for line in answer.stdout.split()]
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        raise DerbyError(
            f"cannot find out how much memory the GPU has, of which a share was asked for: {error}; "
            "nvidia-smi must run on every machine whose GPUs are shared, or use --gpus-per-evaluator 1"
        ) from error


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


def memory_errors() -> tuple[type[Exception], ...]:
    """Return the exceptions that mean that host or device ran out of memory."""
    tf, _ = _libraries()
    return MemoryError, tf.errors.ResourceExhaustedError


def _libraries() -> tuple[Any, Any]:
    """Import TensorFlow and Keras, configured."""
    if _threads is None:
        configure_threads(1)
    return importlib.import_module("tensorflow"), importlib.import_module("keras")


def download_file(name: str, url: str, md5: str) -> Path:
    """Download a file of weights into Keras's cache and return where it is.

    Raises:
        Exception: Whatever Keras raises when there is no network, or the checksum is another.
    """
    _, keras = _libraries()
    return Path(keras.utils.get_file(name, url, cache_subdir="models", file_hash=md5))


def download(name: str) -> dict[str, NDArray[Any]]:
    """Download ``mnist`` or ``fashion_mnist`` into Keras's cache and return it.

    Raises:
        Exception: Whatever Keras raises when there is no network.
    """
    _, keras = _libraries()
    (x_train, y_train), (x_test, y_test) = getattr(keras.datasets, name).load_data()
    return {"x_train": x_train, "y_train": y_train, "x_test": x_test, "y_test": y_test}
