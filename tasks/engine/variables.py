"""What a training changes: weights and an optimiser's memory, where they begin, and what a stage takes over."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from harness.keys import derive_seed
from harness.task import Data
from tasks.engine.network import Initializer, Normal, Shape, Training, kernel_shapes
from tasks.engine.process import libraries

NOTHING: Final[Data] = {}

Variables = Mapping[str, NDArray[Any]]
"""Every number a training changes, by name: ``dense_1/kernel``, ``dense_1/bias``, … and the optimiser's."""

BACKBONE: Final = "densenet_1/weights"
"""Name of the weights of a backbone that is trained."""
TRAINED: Final = ("/kernel", "/bias", "/weights", "centers")
"""Ends of the names of all variables but an optimiser's."""
SLOTS: Final[Mapping[str, tuple[str, ...]]] = {
    "sgd": (),
    "momentum": ("momentum",),
    "rmsprop": ("velocity", "step"),
    "adam": ("momentum", "velocity"),
}
"""What an update rule remembers of each weight."""


def rule_of(training: Training) -> str:
    """Return the name of a training's update rule."""
    optimizer = training.optimizer
    return "momentum" if optimizer.name == "sgd" and optimizer.momentum else optimizer.name


def initial_variables(training: Training, seed: int, shape: Shape) -> dict[str, NDArray[Any]]:
    """Return the variables that a training begins with.

    Args:
        training: The network.
        seed: Training seed; every kernel has a seed of its own, derived from it and the layer's name.
        shape: Of one example.
    """
    _, keras = libraries()
    variables: dict[str, NDArray[Any]] = {}
    for name, (layer, kernel) in kernel_shapes(training.layers, shape).items():
        draw = _initializer(keras, layer.initializer, derive_seed(seed, "weights", name))
        variables[f"{name}/kernel"] = np.asarray(draw(kernel), np.float32)
        variables[f"{name}/bias"] = np.zeros(kernel[-1], np.float32)
    if training.center is not None:
        width, classes = kernel[-2:]  # the last layer's
        variables["centers"] = np.zeros((classes, width), np.float32)
    return begun(training, variables)


def begun(training: Training, variables: Variables, given: Data = NOTHING) -> dict[str, NDArray[Any]]:
    """Return the variables with which a stage begins: what was trained before, and an optimiser's memory of nothing.

    Args:
        training: The stage.
        variables: At least the network's weights and centres.
        given: Where the stage trains a backbone: its weights, ``backbone``.
    """
    kept = {name: value for name, value in variables.items() if name.endswith(TRAINED)}
    if "backbone" in given and training.backbone is not None and not training.backbone.frozen:
        kept.setdefault(BACKBONE, given["backbone"])
    slots = {
        f"{name}/{slot}": np.zeros_like(weight)
        for name, weight in kept.items()
        for slot in SLOTS[rule_of(training)]
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
