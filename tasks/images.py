"""What the image classifiers share: variants of a data set, splitting, loading and evaluating."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Final, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from harness.space import Config
from harness.task import Checkpoint, Data, Task
from harness.trial import Evaluation, Fidelity, Objective
from tasks import training
from tasks.datasets import CLASSES, PIXELS, Arrays, load_full, load_small
from tasks.training import Training, train

VariantName = Literal["full", "small", "tiny"]


@dataclass(frozen=True, slots=True)
class Variant:
    """Sizes of a task: how many images it trains on, validates on and tests on, and for how long.

    Args:
        train: Training images.
        val: Validation images, taken from the same original training set.
        test: Test images.
        epochs: Full fidelity.
        subset: Whether the images are those of the embedded subset, not of the whole data set.
    """

    train: int
    val: int
    test: int
    epochs: int
    subset: bool


class ImageClassifier(Task):
    """A task that trains a dense classifier on flattened 28 × 28 images scaled to 0 … 1.

    A subclass names its data set, its variants and where its validation images lie, and describes the
    training of a configuration in `training`.
    """

    libraries = training.LIBRARIES
    scoring_options = frozenset({"objective", "epochs"})
    data_set: ClassVar[Literal["mnist", "fashion_mnist"]]
    variants: ClassVar[Mapping[VariantName, Variant]]
    validation_first: ClassVar[bool]
    """Whether validation images are the first ones of the original training set; otherwise the last."""

    class Options(Task.Options):
        """The options of every image classifier."""

        variant: VariantName = Field(
            default="full",
            description="full: the source's data and epochs; small: the embedded subset, about ten epochs; "
            "tiny: a few hundred images, for tests",
        )
        objective: Literal["val_accuracy", "val_macro_f1"] = Field(
            default="val_accuracy", description="validation metric to maximise"
        )
        epochs: int | None = Field(
            default=None,
            ge=1,
            description="epochs at full fidelity, the variant's own by default; no training depends on it",
        )

    options: Options

    @property
    def variant(self) -> Variant:
        """The chosen variant's sizes."""
        return self.variants[self.options.variant]

    @classmethod
    def prepare(cls, threads: int) -> str:
        """Start TensorFlow in this process; see `Task.prepare`."""
        training.configure_threads(threads)
        return training.device()

    def _define(self) -> None:
        metric = self.options.objective
        self.on_subset = self.variant.subset
        self.fidelity = Fidelity(1, self.options.epochs or self.variant.epochs)
        self.objective = Objective(metric, "max", failure=0.0, test_metric=metric.replace("val_", "test_"))

    @abstractmethod
    def training(self, config: Config) -> Training:
        """Describe the training of a configuration."""

    def load(self) -> Data:
        """Return images, float32 (count, 784) in 0 … 1, and labels, uint8 (count,), of the three splits."""
        arrays = load_small(self.data_set) if self.variant.subset else load_full(self.data_set)
        return split(arrays, self.variant, validation_first=self.validation_first)

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

    def cost(self, config: Config) -> float:
        """Return the floating-point operations of one epoch.

        A training step is counted as three forward passes (one forward, two backward); every validation
        and test image adds one.
        """
        passes = _PASSES_OF_A_STEP * self.variant.train + self.variant.val + self.variant.test
        return passes * self.training(config).forward_flops(PIXELS)


_PASSES_OF_A_STEP: Final = 3


def output_layer(initializer: training.Initializer = "glorot_uniform") -> training.Dense:
    """Return the last layer of a ten-class network; the loss applies the softmax."""
    return training.Dense(CLASSES, "linear", initializer)


def split(arrays: Arrays, variant: Variant, *, validation_first: bool) -> dict[str, NDArray[np.generic]]:
    """Cut a data set into training, validation and test images of a variant's sizes.

    Training and validation images are the first ``train + val`` of the original training set, in its
    order, test images the first ``test`` of the original test set.
    """
    used = variant.train + variant.val
    edge = variant.val if validation_first else variant.train
    first, second = slice(0, edge), slice(edge, used)
    val, fit = (first, second) if validation_first else (second, first)
    out: dict[str, NDArray[np.generic]] = {}
    for name, part, chosen in (
        ("train", "train", fit),
        ("val", "train", val),
        ("test", "test", slice(0, variant.test)),
    ):
        images = arrays[f"x_{part}"][chosen]
        out[f"x_{name}"] = (images.reshape(len(images), PIXELS) / np.float32(255)).astype(np.float32)
        out[f"y_{name}"] = arrays[f"y_{part}"][chosen].copy()
    return out
