"""What a training is: layers, optimiser and loss, described by values alone.

The engine (`tasks.engine.training`) trains what stands here. Two descriptions that differ only in numbers that
change no array's rank (widths, rates, penalties, batch size) share one compiled program.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

from tasks.engine import densenet
from tasks.engine.augmentation import Augmentation

PASSES_OF_A_STEP: Final = 3
"""What a training step costs in forward passes: one forward, two backward."""

Shape = tuple[int, ...]
"""Of one example, without the batch."""

Activation = Literal["linear", "relu", "sigmoid", "tanh", "leaky_relu"]
"""Keras's name of an activation; ``leaky_relu`` has Keras's default slope of 0.2."""


@dataclass(frozen=True, slots=True)
class Normal:
    """Kernels drawn from a normal distribution."""

    mean: float
    sd: float


Initializer = Literal["glorot_uniform", "he_normal"] | Normal
"""Keras's name of a kernel's initialiser, or a distribution. Biases start at 0."""


@dataclass(frozen=True, slots=True)
class Dense:
    """A fully connected layer; inputs of more dimensions are flattened first.

    Args:
        units: Outputs.
        activation: What the outputs pass through.
        initializer: Of the kernel.
        l1: The loss grows by ``l1`` times the sum of the kernel's absolute values.
        l2: The loss grows by ``l2`` times the sum of the kernel's squares.
    """

    units: int
    activation: Activation = "relu"
    initializer: Initializer = "glorot_uniform"
    l1: float = 0.0
    l2: float = 0.0


@dataclass(frozen=True, slots=True)
class Conv:
    """A convolution of images (height, width, channels) with stride 1, padded to keep height and width.

    Args:
        filters: Output channels.
        kernel: Height and width of a filter.
        activation: What the outputs pass through.
        initializer: Of the kernel.
    """

    filters: int
    kernel: int
    activation: Activation = "relu"
    initializer: Initializer = "glorot_uniform"


@dataclass(frozen=True, slots=True)
class MaxPool:
    """The maximum of each ``size`` × ``size`` square; what does not fill a square is dropped."""

    size: int = 2


@dataclass(frozen=True, slots=True)
class Dropout:
    """Training only: each input is set to 0 with probability ``rate``, the others grow by 1 / (1 - rate)."""

    rate: float


@dataclass(frozen=True, slots=True)
class DenseNet:
    """DenseNet without its top, then global average pooling; a backbone whose weights are given with the data.

    Its inputs, 0 … 1, are normalised by ImageNet's mean and standard deviation. Its batch normalisations use
    the statistics given, in training too: Keras's advice for fine-tuning. Comes first in a network, if at all.

    Args:
        blocks: Layers in each of the dense blocks.
        frozen: Whether its weights stay as given; otherwise they are trained with all others.
    """

    blocks: densenet.Blocks = densenet.DENSENET121
    frozen: bool = True


Layer = Dense | Conv | MaxPool | Dropout | DenseNet


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
class CenterLoss:
    """Pulls the features of a class together; Wen et al., ECCV 2016.

    Features are what the layer before the last one gives, before any dropout. The training loss grows by
    ``weight`` times the batch's mean squared distance of a feature vector from its class's centre; losses
    of validation and test are without it. Centres start at 0; after each batch a class's centre moves by
    ``rate`` times the sum of (feature - centre) over the batch's examples of the class, divided by their count + 1.

    Args:
        weight: λ, 0 … 1; 0 is plain cross-entropy.
        rate: α, 0 … 1.
    """

    weight: float
    rate: float = 0.5


@dataclass(frozen=True, slots=True)
class FineTuning:
    """A second stage that trains the backbone's weights too, with an optimiser begun anew.

    Args:
        after: Epochs before it.
        lr: Its learning rate.
    """

    after: int
    lr: float


@dataclass(frozen=True, slots=True)
class Training:
    """A classifier and how it is trained, but for the number of epochs and the seed.

    The loss is the categorical cross-entropy of the softmax of the last layer's outputs, plus penalties.

    Args:
        layers: The network; the last one is `Dense` with one unit for each class and no activation
            (``"linear"``).
        optimizer: The optimiser.
        batch: Training examples in a batch; the last of an epoch holds what remains.
        shuffle: Whether each epoch has its own random order; otherwise always the data's.
        balance: Remedy for classes of unequal size: ``"weights"`` multiplies an example's cross-entropy
            by examples / (classes · examples of its class); ``"resample"`` draws each epoch's examples
            with replacement, every class equally likely (which shuffles, whatever ``shuffle`` says).
        center: An additional loss on the features.
        augmentation: Random changes of the training images, which are then given as pixels.
        fine_tuning: A second stage; ``layers`` and ``optimizer`` are the first one's.
    """

    layers: tuple[Layer, ...]
    optimizer: Optimizer
    batch: int
    shuffle: bool = True
    balance: Literal["none", "weights", "resample"] = "none"
    center: CenterLoss | None = None
    augmentation: Augmentation | None = None
    fine_tuning: FineTuning | None = None

    @property
    def backbone(self) -> DenseNet | None:
        """The first layer, if its weights are given with the data."""
        return self.layers[0] if isinstance(self.layers[0], DenseNet) else None

    def stage(self, epoch: int) -> Training:
        """Return the training of one stage that an epoch (from 1) belongs to."""
        stage = replace(self, fine_tuning=None)
        if self.fine_tuning is None or epoch <= self.fine_tuning.after or self.backbone is None:
            return stage
        layers = (replace(self.backbone, frozen=False), *self.layers[1:])
        return replace(stage, layers=layers, optimizer=replace(self.optimizer, lr=self.fine_tuning.lr))


def forward_flops(layers: Sequence[Layer], shape: Shape) -> float:
    """Return the floating-point operations of one example's forward pass.

    A multiplication and an addition for each weight, at each place it is applied: 2 · in · out for
    `Dense`, 2 · height · width · kernel² · channels · filters for `Conv` and the convolutions of `DenseNet`.
    Biases, activations, normalisations, pooling and dropout are not counted.

    Args:
        layers: The network.
        shape: Of one example; see `walk`.
    """
    total = 0.0
    for _, layer, inside, outside in walk(layers, shape):
        match layer:
            case Dense():
                total += 2 * inside[0] * outside[0]
            case Conv(kernel=kernel):
                total += 2 * kernel**2 * inside[-1] * math.prod(outside)
            case DenseNet(blocks):
                total += densenet.forward_flops(blocks, inside[0])
    return total


def named_layers(layers: Sequence[Layer]) -> list[tuple[str, Layer]]:
    """Give every layer a name: its kind and its number among the layers of that kind, from 1."""
    seen: Counter[str] = Counter()
    named = []
    for layer in layers:
        kind = type(layer).__name__.lower()
        seen[kind] += 1
        named.append((f"{kind}_{seen[kind]}", layer))
    return named


def walk(layers: Sequence[Layer], shape: Shape) -> Iterator[tuple[str, Layer, Shape, Shape]]:
    """Yield each layer's name, itself, and the shapes that go in and come out.

    Args:
        layers: A network.
        shape: Of one example: (height, width, channels), or (inputs,) where no layer needs an image.

    Raises:
        ValueError: A `Conv`, a `MaxPool` or a `DenseNet` comes where there is no image any more.
    """
    for name, layer in named_layers(layers):
        outside: Shape
        match layer, shape:
            case Dense(units), _:
                shape, outside = (math.prod(shape),), (units,)
            case Conv(filters), (height, width, _):
                outside = height, width, filters
            case MaxPool(size), (height, width, channels):
                outside = height // size, width // size, channels
            case Dropout(), _:
                outside = shape
            case DenseNet(blocks), (_, _, _):
                outside = (densenet.features(blocks),)
            case _:
                raise ValueError(f"{name}, {layer}, needs (height, width, channels), got {shape}")
        yield name, layer, shape, outside
        shape = outside


def kernel_shapes(layers: Sequence[Layer], shape: Shape) -> dict[str, tuple[Dense | Conv, Shape]]:
    """Return the layers that have weights by name, each with its kernel's shape; see `walk`."""
    return {
        name: (layer, (*((layer.kernel,) * 2 if isinstance(layer, Conv) else ()), inside[-1], outside[-1]))
        for name, layer, inside, outside in walk(layers, shape)
        if isinstance(layer, Dense | Conv)
    }
