"""DenseNet's layers and the layout of its weights.

The network itself is computed by `tasks.engine.backbone`. Its weights travel as two vectors, so that they are data
like any other: shared with every evaluator, and identified by their digest.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from harness.keys import derive_seed

Blocks = tuple[int, int, int, int]
"""Layers in each of the four dense blocks."""

DENSENET121: Final[Blocks] = (6, 12, 24, 16)
GROWTH: Final = 32
"""Channels that a layer of a dense block adds."""
STEM: Final = 64
"""Channels of the first convolution."""
EPSILON: Final = 1.001e-5
"""What a batch normalisation adds to a variance."""
MEAN: Final = np.array((0.485, 0.456, 0.406), np.float32)
SD: Final = np.array((0.229, 0.224, 0.225), np.float32)
"""Of ImageNet's red, green and blue, 0 … 1: what the network's inputs are normalised by."""
_RELU_VARIANCE: Final = (1 - 1 / math.pi) / 2
"""Of the positive part of a standard normal variable."""

Vectors = dict[str, NDArray[np.float32]]
"""``backbone``: kernels, gammas and betas; ``statistics``: moving means and variances; in `layers`' order."""


class Layer(NamedTuple):
    """A layer that has weights, with Keras's name of it.

    Attributes:
        name: Such as ``conv2_block1_1_conv``.
        shape: Of a convolution's kernel, (height, width, in, out), or of each of a batch normalisation's
            four vectors, (channels,).
        stride: By how much the image is smaller behind the layer than the network's input, in one dimension.
    """

    name: str
    shape: tuple[int, ...]
    stride: int


def layers(blocks: Blocks) -> Iterator[Layer]:
    """Yield the layers that have weights, in the order in which they are applied.

    Huang et al., "Densely Connected Convolutional Networks", CVPR 2017, as Keras builds it: a convolution
    and a maximum with stride 2 each, then four dense blocks, with an average over 2 × 2 between them.
    """
    yield Layer("conv1_conv", (7, 7, 3, STEM), 2)
    yield Layer("conv1_bn", (STEM,), 2)
    channels, stride = STEM, 4
    for number, count in enumerate(blocks, start=2):
        for block in range(1, count + 1):
            name = f"conv{number}_block{block}"
            yield Layer(f"{name}_0_bn", (channels,), stride)
            yield Layer(f"{name}_1_conv", (1, 1, channels, 4 * GROWTH), stride)
            yield Layer(f"{name}_1_bn", (4 * GROWTH,), stride)
            yield Layer(f"{name}_2_conv", (3, 3, 4 * GROWTH, GROWTH), stride)
            channels += GROWTH
        if number < len(blocks) + 1:
            yield Layer(f"pool{number}_bn", (channels,), stride)
            yield Layer(f"pool{number}_conv", (1, 1, channels, channels // 2), stride)
            channels, stride = channels // 2, 2 * stride
    yield Layer("bn", (channels,), stride)


def features(blocks: Blocks) -> int:
    """Return the number of outputs after global average pooling: 1024 for DenseNet121."""
    return list(layers(blocks))[-1].shape[0]


def pieces(blocks: Blocks) -> list[int]:
    """Return the lengths of what the vector ``backbone`` holds: kernels, or a gamma and a beta."""
    shapes = [layer.shape for layer in layers(blocks)]
    lengths = [[math.prod(shape)] if len(shape) > 1 else [shape[0]] * 2 for shape in shapes]
    return [length for layer in lengths for length in layer]


def forward_flops(blocks: Blocks, side: int) -> float:
    """Return the operations of one image's forward pass: 2 for each weight at each place it is applied.

    Args:
        blocks: The network.
        side: Height and width of the image.
    """
    total = 0
    for layer in layers(blocks):
        if len(layer.shape) > 1:
            total += 2 * math.prod(layer.shape) * side_behind(side, layer.stride) ** 2
    return float(total)


def side_behind(side: int, stride: int) -> int:
    """Return the image's height and width where the network has reduced it by ``stride``.

    The first two reductions round up, since they pad the image; those between blocks round down.
    """
    for _ in range(min(2, stride.bit_length() - 1)):
        side = -(-side // 2)
    return side // max(1, stride // 4)


def random_weights(blocks: Blocks) -> Vectors:
    """Return weights that nothing was learnt with, always the same: for tests.

    Kernels are normal with a mean of 0 over what goes into an output, and normalisations change nothing. The
    means of what comes out of a ReLU so cancel, which otherwise make all images' features alike in a deep
    network; the scale keeps the variance of what passes.
    """
    rng = np.random.default_rng(derive_seed(0, "densenet", *blocks))
    arrays: dict[str, NDArray[np.float32]] = {}
    for layer in layers(blocks):
        if len(layer.shape) > 1:
            kernel = rng.normal(0, 1, layer.shape)
            kernel -= kernel.mean(axis=(0, 1, 2))
            kernel /= math.sqrt(_RELU_VARIANCE * math.prod(layer.shape[:-1]))
            arrays[f"{layer.name}/kernel"] = kernel.astype(np.float32)
        else:
            for name, value in (("gamma", 1), ("beta", 0), ("moving_mean", 0), ("moving_variance", 1)):
                arrays[f"{layer.name}/{name}"] = np.full(layer.shape, value, np.float32)
    return as_vectors(blocks, arrays)


def as_vectors(blocks: Blocks, arrays: dict[str, NDArray[Any]]) -> Vectors:
    """Lay weights given by name (``conv1_conv/kernel``, ``conv1_bn/gamma`` …) out as two vectors.

    Raises:
        ValueError: An array is missing or has another shape.
    """
    trained: list[NDArray[Any]] = []
    statistics: list[NDArray[Any]] = []
    for layer in layers(blocks):
        norm = len(layer.shape) == 1
        for name in ("gamma", "beta", "moving_mean", "moving_variance") if norm else ("kernel",):
            array = arrays.get(f"{layer.name}/{name}")
            if array is None or array.shape != layer.shape:
                found = "nothing" if array is None else f"shape {array.shape}"
                raise ValueError(f"{layer.name}/{name}: expected shape {layer.shape}, found {found}")
            (statistics if name.startswith("moving") else trained).append(array.ravel())
    return {
        "backbone": np.concatenate(trained).astype(np.float32),
        "statistics": np.concatenate(statistics).astype(np.float32),
    }
