"""A DenseNet in front of a network: passed through once for images that never change, or trained with it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from functools import cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from harness.phases import phase
from harness.task import Data
from tasks.engine import densenet
from tasks.engine.arrays import kept, resident, scaled
from tasks.engine.network import DenseNet, Training
from tasks.engine.process import libraries

BACKBONE_AT_ONCE: Final = 100
"""Images passed through in one call: bounds the memory of its outputs."""
FEATURES_KEPT: Final = 6
"""Sets of images whose features a process keeps, those used last: training, validation and test of two tasks."""


def examples_of(training: Training, data: Data) -> dict[str, NDArray[Any]]:
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
    tf, _ = libraries()
    key = (backbone.blocks, id(images), id(vectors["backbone"]), id(vectors["statistics"]))

    def passed() -> tuple[NDArray[np.float32], Any]:
        through = _passed(backbone.blocks)
        given = [resident(vectors[name]) for name in ("backbone", "statistics")]
        with phase("backbone's features"):
            parts = [
                through(tf.constant(images[begin : begin + BACKBONE_AT_ONCE]), *given).numpy()
                for begin in range(0, len(images), BACKBONE_AT_ONCE)
            ]
        # the entry holds the arrays, so that no others can have their identities
        return np.concatenate(parts), (images, vectors["backbone"], vectors["statistics"])

    return kept(_features, key, passed, FEATURES_KEPT)[0]


_features: OrderedDict[Any, tuple[NDArray[np.float32], Any]] = OrderedDict()


@cache
def _passed(blocks: densenet.Blocks) -> Callable[..., Any]:
    """Return the compiled backbone: images, weights and statistics to outputs."""
    tf, _ = libraries()

    def passed(images: Any, weights: Any, statistics: Any) -> Any:
        return densenet_outputs(tf, blocks, scaled(tf, images), weights, statistics)

    vector = tf.TensorSpec([None], tf.float32)
    compiled = tf.function(passed, autograph=False)
    return compiled.get_concrete_function(tf.TensorSpec([None] * 4, tf.uint8), vector, vector)  # type: ignore[no-any-return]


def densenet_outputs(tf: Any, blocks: densenet.Blocks, images: Any, weights: Any, statistics: Any) -> Any:
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
        # Not by TensorFlow's inverse root, which begins with the processor's own approximation.
        scale = gamma / tf.sqrt(variance + densenet.EPSILON)
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
