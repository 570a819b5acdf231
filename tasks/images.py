"""What the image classifiers share: variants of a data set, splitting, loading, evaluating, and cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from harness.space import Config
from harness.task import Checkpoint, Data, Inspection, RegretScale, Task
from harness.trial import Fidelity, Objective
from tasks.datasets import CLASSES, Arrays, load_full, load_small, pinned
from tasks.engine.network import PASSES_OF_A_STEP, Dense, Initializer, forward_flops
from tasks.engine.training import TrainedTask, TrainingState, initial_state, layer_weights, predict

VariantName = Literal["full", "small", "tiny"]
IMAGE: Final = (28, 28, 1)
"""Height, width and channels of an image."""
CLASS_NAMES: Final[Mapping[str, tuple[str, ...]]] = {
    "mnist": tuple("0123456789"),
    "fashion_mnist": (
        "T-shirt/top",
        "Trouser",
        "Pullover",
        "Dress",
        "Coat",
        "Sandal",
        "Shirt",
        "Sneaker",
        "Bag",
        "Ankle boot",
    ),
}
"""Names of the classes by data set, as its makers give them."""
SHOWN: Final = 40
"""Test images that an inspection shows; S1 shows as many."""


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


class ImageClassifier(TrainedTask):
    """A task that trains a classifier of 28 × 28 grey images in ten classes.

    A subclass names its data set, its variants and where its validation images lie, and describes the
    training of a configuration in `training`.
    """

    scoring_options = frozenset({"objective", "epochs"})
    group = "image"
    cost_unit = "FLOPs"
    draws_splits = True
    data_set: ClassVar[Literal["mnist", "fashion_mnist"]]
    variants: ClassVar[Mapping[VariantName, Variant]]
    validation_first: ClassVar[bool] = False
    """Whether validation images are the first ones of the original training set; otherwise the last."""

    class Options(Task.Options):
        """The options of every image classifier."""

        variant: VariantName = Field(
            default="full",
            description="full: the source's data and epochs; small: the embedded subset, at most ten epochs; "
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

    def _define(self) -> None:
        metric = self.options.objective
        self.on_subset = self.variant.subset
        self.fidelity = Fidelity(1, self.options.epochs or self.variant.epochs)
        self.objective = Objective(metric, "max", failure=0.0, test_metric=metric.replace("val_", "test_"))
        self.regret = RegretScale(best=1.0, reference=1 / CLASSES)

    @property
    def pinned_data(self) -> str:
        """The data set's digest; how it is split is the version's and the options' matter."""
        return pinned(self.data_set, small=self.variant.subset)

    def load(self) -> Data:
        """Return images, uint8 (count, 28, 28, 1), and labels, uint8 (count,), of the three splits."""
        arrays = load_small(self.data_set) if self.variant.subset else load_full(self.data_set)
        return split(arrays, self.variant, validation_first=self.validation_first)

    def split(self, data: Data, seed: int) -> Data:
        """Return the data with training and validation images drawn anew; see `drawn`."""
        return drawn(data, seed)

    def inspect(self, config: Config, *, seed: int, data: Data, checkpoint: Checkpoint) -> Inspection | None:
        """Return kernels before and after training, and what is predicted for the test images."""
        del config, seed  # the state knows them
        return inspection(checkpoint.state, data, CLASS_NAMES[self.data_set])

    def cost(self, config: Config) -> float:
        """Return the floating-point operations of one epoch.

        A training step is counted as three forward passes (one forward, two backward), an image that is
        measured as one.
        """
        trained, measured = self.epoch_images()
        passes = PASSES_OF_A_STEP * trained + measured
        return passes * forward_flops(self.training(config).layers, IMAGE)

    def epoch_images(self) -> tuple[int, int]:
        """Return how many images an epoch trains on and how many it then measures."""
        return self.variant.train, self.variant.val + self.variant.test


def drawn(data: Data, seed: int) -> dict[str, NDArray[Any]]:
    """Draw which images of a task's training and validation sets train and which validate.

    Each class stays as frequent in both as it was, and images keep their order: a draw decides membership alone.

    Args:
        data: ``x_train``, ``x_val``, ``y_train``, ``y_val`` and others, which stay as they are.
        seed: Of the draw.
    """
    labels = np.concatenate([data["y_train"], data["y_val"]])
    validates = np.zeros(len(labels), dtype=bool)
    generator = np.random.default_rng(seed)
    for label in np.unique(labels):
        members = generator.permutation(np.flatnonzero(labels == label))
        validates[members[: np.count_nonzero(data["y_val"] == label)]] = True
    out = dict(data)
    for name in ("x", "y"):
        both = np.concatenate([data[f"{name}_train"], data[f"{name}_val"]])
        out[f"{name}_train"], out[f"{name}_val"] = both[~validates], both[validates]
    return out


def inspection(state: TrainingState | None, data: Data, classes: tuple[str, ...]) -> Inspection | None:
    """Look into a trained network; ``None`` where a failed training left no state."""
    if state is None:
        return None
    images = np.asarray(data["x_test"][:SHOWN])
    return Inspection(
        before=layer_weights(initial_state(state.training, state.seed, data)),
        after=layer_weights(state),
        images=images[..., 0] if images.shape[-1] == 1 else images,
        labels=np.asarray(data["y_test"]),
        predicted=predict(state, data["x_test"]),
        classes=classes,
    )


def output_layer(initializer: Initializer = "glorot_uniform") -> Dense:
    """Return the last layer of a ten-class network; the loss applies the softmax."""
    return Dense(CLASSES, "linear", initializer)


def split(arrays: Arrays, variant: Variant, *, validation_first: bool) -> dict[str, NDArray[np.uint8]]:
    """Cut a data set into training, validation and test images of a variant's sizes.

    Training and validation images are the first ``train + val`` of the original training set, in its
    order, test images the first ``test`` of the original test set.

    Returns:
        ``x_train``, ``x_val`` and ``x_test``, (count, height, width, 1), and ``y_…``, (count,).
    """
    used = variant.train + variant.val
    edge = variant.val if validation_first else variant.train
    first, second = slice(0, edge), slice(edge, used)
    val, fit = (first, second) if validation_first else (second, first)
    out: dict[str, NDArray[np.uint8]] = {}
    for name, part, chosen in (
        ("train", "train", fit),
        ("val", "train", val),
        ("test", "test", slice(0, variant.test)),
    ):
        out[f"x_{name}"] = arrays[f"x_{part}"][chosen, ..., np.newaxis].copy()
        out[f"y_{name}"] = arrays[f"y_{part}"][chosen].copy()
    return out
