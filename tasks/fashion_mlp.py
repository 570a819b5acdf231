"""Fashion-MNIST perceptron: the report that compares four optimisers of a network's coefficients."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from harness.experiment import Experiment
from harness.space import Choice, Condition, Config, Float, Space
from tasks.engine.network import Dense, Optimizer, Training
from tasks.images import ImageClassifier, Variant, VariantName, output_layer

REPORT = (
    'S1, "Comparing metaheuristics for optimising the coefficients of a neural network" (university report)'
)


class FashionMlp(ImageClassifier):
    """Choose the optimiser of a fixed perceptron on Fashion-MNIST, and its hyperparameters.

    Source: report S1, "Comparing metaheuristics for optimising the coefficients of a neural network".
    Facts are the report's except where marked *our choice*.

    - Data: Fashion-MNIST, pixels / 255. The first 5000 training images are validation: 55 000 / 5000 /
      10 000.
    - Network: flatten, dense 300 ReLU, dense 100 ReLU, softmax over 10 classes: 266 610 weights. Sparse
      categorical cross-entropy. *Our choice*, Keras's defaults: Glorot-uniform initialisation, and a new
      order of the training images in each epoch.
    - Training: batches of 32, 30 epochs. Fidelity 1 … 30.
    - Compared, and named reference configurations here: SGD with learning rate 0.01 (``sgd``), the same with
      momentum 0.9 (``momentum``), RMSprop with 1e-3 and rho 0.9 (``rmsprop``), Adam with 1e-3 (``adam``).
    - Space, *our choice*, around what the report wants next: the optimiser, its learning rate 1e-4 … 1e-1 on
      a log scale, momentum 0.5 … 0.99 where the optimiser is ``momentum``, rho 0.8 … 0.999 where it is
      ``rmsprop``.
    - Objective, *our choice*: validation accuracy, or macro F1 (``objective: val_macro_f1``), by which the
      report ranks.
    - Published test accuracy / mean F1: SGD .89/.88, momentum .89/.90, RMSprop .87/.87, Adam .89/.89.

    *Our choice* as well: the variants on the embedded subset, split in the same proportion and manner:
    ``small`` (5500 / 500 / 1000, 10 epochs) and ``tiny`` (550 / 50 / 100, 3 epochs).
    """

    name = "fashion_mlp"
    version = 3
    source = REPORT
    data_set = "fashion_mnist"
    validation_first = True
    variants: ClassVar[Mapping[VariantName, Variant]] = {
        "full": Variant(train=55_000, val=5000, test=10_000, epochs=30, subset=False),
        "small": Variant(train=5500, val=500, test=1000, epochs=10, subset=True),
        "tiny": Variant(train=550, val=50, test=100, epochs=3, subset=True),
    }

    experiments = tuple(
        Experiment(
            "S1",
            label,
            reference=reference,
            published={"test_accuracy": accuracy, "test_macro_f1": f1},
            per_class=True,
        )
        for label, reference, accuracy, f1 in (
            ("SGD", "sgd", "0.89", "0.88"),
            ("SGD with momentum", "momentum", "0.89", "0.90"),
            ("RMSprop", "rmsprop", "0.87", "0.87"),
            ("Adam", "adam", "0.89", "0.89"),
        )
    )

    def _define(self) -> None:
        super()._define()
        self.space = Space(
            {
                "optimizer": Choice(("sgd", "momentum", "rmsprop", "adam")),
                "lr": Float(1e-4, 1e-1, log=True),
                "momentum": Float(0.5, 0.99),
                "rho": Float(0.8, 0.999),
            },
            conditions={
                "momentum": Condition("optimizer", ("momentum",)),
                "rho": Condition("optimizer", ("rmsprop",)),
            },
            references={
                "sgd": {"optimizer": "sgd", "lr": 1e-2},
                "momentum": {"optimizer": "momentum", "lr": 1e-2, "momentum": 0.9},
                "rmsprop": {"optimizer": "rmsprop", "lr": 1e-3, "rho": 0.9},
                "adam": {"optimizer": "adam", "lr": 1e-3},
            },
        )

    def training(self, config: Config) -> Training:
        """Describe the training of a configuration."""
        lr = float(config["lr"])
        match config["optimizer"]:
            case "momentum":
                optimizer = Optimizer("sgd", lr, momentum=float(config["momentum"]))
            case "rmsprop":
                optimizer = Optimizer("rmsprop", lr, rho=float(config["rho"]))
            case "adam":
                optimizer = Optimizer("adam", lr)
            case _:
                optimizer = Optimizer("sgd", lr)
        return Training(layers=(Dense(300), Dense(100), output_layer()), optimizer=optimizer, batch=32)
