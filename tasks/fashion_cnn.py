"""Fashion-MNIST convolutional network: the report that tunes it with scikit-optimize."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar, Literal

from pydantic import Field

from harness.experiment import Experiment, Search
from harness.space import Config, Float, Int, Space
from harness.task import Data
from tasks.engine.network import Conv, Dense, MaxPool, Optimizer, Training
from tasks.images import ImageClassifier, Variant, VariantName, output_layer

REPORT = 'S4, "Fashion MNIST classification and hyperparameter optimization using Scikit-Optimize" (notebook)'


class FashionCnn(ImageClassifier):
    """Tune the learning rate and the dense part of a small convolutional network on Fashion-MNIST.

    Source: report S4, "Fashion MNIST classification and hyperparameter optimization using
    Scikit-Optimize". Facts are the report's except where marked *our choice*.

    - Data: Fashion-MNIST, pixels / 255. The report has no validation images: it tunes on the test images and
      reports their accuracy. So there are two protocols. ``sound``, the default and *our choice*, validates on
      the last 10 000 training images: 50 000 / 10 000 / 10 000, and the searcher sees the validation accuracy.
      ``published`` does what the report did, to compare with its figures: it trains on all 60 000, and the
      searcher sees the test accuracy. Nothing is held out then, so no test value is reported beside the
      objective; the columns ``val_…`` of the curve repeat ``test_…``.
    - Network: convolution of 32 filters 3 × 3 with ReLU, padded to the same size, max-pooling by 2,
      convolution of 64 filters 3 × 3 likewise, max-pooling by 2, flatten, ``layers`` dense ReLU layers of
      ``units`` each, softmax over 10 classes. Sparse categorical cross-entropy. *Our choice*, Keras's
      defaults: Glorot-uniform initialisation, and a new order of the training images in each epoch.
    - Training: Adam, batches of 512, 3 epochs. Fidelity 1 … 3.
    - Space: learning rate 1e-5 … 1e-1 on a log scale, 1 … 5 dense layers, 5 … 512 units.
    - Objective: accuracy; macro F1 (``objective: val_macro_f1``) is *our choice* to offer, of the test images
      under ``published``.
    - Published: the point its search is given to begin with (the reference ``start``: 1e-3, 1 layer, 12 units)
      reaches a test accuracy of 0.8534, the best of 60 evaluations (``published_best``: 0.007747, 1 layer,
      296 units) 0.9098.

    *Our choice* as well: the variants on the embedded subset, split in the same proportion and manner:
    ``small`` (5000 / 1000 / 1000, the report's 3 epochs) and ``tiny`` (160 / 40 / 40, 2 epochs).
    """

    name = "fashion_cnn"
    version = 2
    source = REPORT
    data_set = "fashion_mnist"
    variants: ClassVar[Mapping[VariantName, Variant]] = {
        "full": Variant(train=50_000, val=10_000, test=10_000, epochs=3, subset=False),
        "small": Variant(train=5000, val=1000, test=1000, epochs=3, subset=True),
        "tiny": Variant(train=160, val=40, test=40, epochs=2, subset=True),
    }

    experiments = (
        Experiment(
            "S4",
            "given point",
            reference="start",
            options={"protocol": "published"},
            published={"test_accuracy": "0.8534"},
        ),
        Experiment(
            "S4",
            "report's best",
            reference="published_best",
            options={"protocol": "published"},
            published={"test_accuracy": "0.9098"},
            note="the report's figure is the best of 60 such accuracies, ours a mean: chance made the former higher",
        ),
        Experiment(
            "S4",
            "GP-EI, best of 60",
            search=Search(
                "skopt_gp",
                budget={"evaluations": 60},
                settings={"acq_func": "EI", "start_at_reference": True},
                found={"lr": 0.007747, "layers": 1, "units": 296},
            ),
            options={"protocol": "published"},
            published={"test_accuracy": "0.9098"},
            note="the best of 60 test accuracies, which is what was searched: it says too much of new images",
        ),
    )

    class Options(ImageClassifier.Options):
        """Options of the task."""

        protocol: Literal["sound", "published"] = Field(
            default="sound",
            description="sound: the last sixth of the training images is validation; published: as the source, "
            "the searcher sees the test images' metric and all training images are trained on",
        )

    options: Options

    @property
    def variant(self) -> Variant:
        """The chosen variant's sizes; ``published`` has no validation images."""
        sizes = super().variant
        return replace(sizes, train=sizes.train + sizes.val, val=0) if self._published else sizes

    @property
    def _published(self) -> bool:
        return self.options.protocol == "published"

    def _define(self) -> None:
        super()._define()
        self.draws_splits = not self._published  # which validates on the test images
        if self._published:
            metric = self.options.objective.replace("val_", "test_")
            self.objective = replace(self.objective, metric=metric, test_metric=None)
        self.space = Space(
            {"lr": Float(1e-5, 1e-1, log=True), "layers": Int(1, 5), "units": Int(5, 512)},
            references={
                "start": {"lr": 1e-3, "layers": 1, "units": 12},
                "published_best": {"lr": 0.007747, "layers": 1, "units": 296},
            },
        )

    def load(self) -> Data:
        """Return the splits; see `ImageClassifier.load`. Under ``published``, validation is the test images."""
        data = dict(super().load())
        return {**data, "x_val": data["x_test"], "y_val": data["y_test"]} if self._published else data

    def epoch_images(self) -> tuple[int, int]:
        """Return how many images an epoch trains on and how many it then measures."""
        trained, measured = super().epoch_images()
        return trained, 2 * measured if self._published else measured

    def training(self, config: Config) -> Training:
        """Describe the training of a configuration."""
        dense = (Dense(int(config["units"])),) * int(config["layers"])
        return Training(
            layers=(Conv(32, 3), MaxPool(2), Conv(64, 3), MaxPool(2), *dense, output_layer()),
            optimizer=Optimizer("adam", float(config["lr"])),
            batch=512,
        )
