"""The task contract: a budgeted objective with a search space, a cost and reproducible evaluations."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Any, ClassVar, final

import numpy as np
from numpy.typing import NDArray

from harness.errors import TaskError
from harness.experiment import Experiment
from harness.keys import TaskKey
from harness.machine import require_libraries
from harness.options import Options
from harness.space import Config, Scalar, Space
from harness.trial import Curve, Evaluation, Fidelity, Objective, Problem

Data = Mapping[str, NDArray[Any]]
"""A task's arrays by name, read-only; empty for a function."""


@dataclass(slots=True)
class Checkpoint:
    """Where a trial's training stands; an evaluator keeps it in memory so that the trial can be continued.

    A task continues from what it finds and leaves what it reached. ``state`` is the task's own, and ``nbytes``
    the memory it takes, in bytes, by which an evaluator bounds how many it keeps.
    """

    curve: Curve
    state: Any = None
    nbytes: int = 0

    @classmethod
    def fresh(cls) -> Checkpoint:
        """Return the checkpoint of a trial that has not begun."""
        return cls(Curve())


@dataclass(frozen=True, slots=True, eq=False)
class Inspection:
    """A trained network looked into: what pictures of it need.

    Attributes:
        before: Weights by name (such as ``dense_1/kernel``) before the first epoch, of any shape.
        after: The same weights after the last epoch.
        images: The first test images, (count, height, width) or (count, height, width, 3), uint8.
        labels: True classes of all test images, (test,), counted from 0.
        predicted: Predicted classes of all test images, (test,).
        classes: Name of every class.
    """

    before: Mapping[str, NDArray[Any]]
    after: Mapping[str, NDArray[Any]]
    images: NDArray[Any]
    labels: NDArray[Any]
    predicted: NDArray[Any]
    classes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RegretScale:
    """Where the regret of a task's objective, and of its test companion, is 0 and where it is 1.

    Constants of the task, so that no method of a sweep changes another's regret, and never shown to a searcher.

    Args:
        best: The metric's best possible or best known value.
        reference: What is had without a search, such as by guessing.
    """

    best: float
    reference: float


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a task's whole space at full fidelity, as metric values: what a sweep's baselines show.

    Constants of the task, as `RegretScale` is, and never shown to a searcher.

    Args:
        best: The best that a configuration is known to give.
        median: What half of the configurations are no better than; ``None`` where that is not known.
        about_best: What ``best`` is, in words.
        about_median: The same of ``median``.
        best_test: The test companion of the configuration that gives ``best``; ``None`` where there is none.
        median_test: The median of the test companion.
    """

    best: float
    median: float | None = None
    about_best: str = "the best that is known"
    about_median: str = "the median of the space"
    best_test: float | None = None
    median_test: float | None = None


class Task(ABC):
    """A budgeted objective: what is searched, how a configuration is scored, what one epoch costs.

    A subclass sets the class attributes and, from its options, `space`, `fidelity` and `objective` in
    `_define`. It imports its training library inside `evaluate`, not at the top of its module.

    Args:
        options: The task's options, validated by `Options`.

    Raises:
        pydantic.ValidationError: An option is unknown or not valid.
    """

    name: ClassVar[str]
    """Name in sweep files, records and figures."""
    version: ClassVar[int] = 1
    """Raised whenever the numbers of a training change: recorded evaluations then no longer match."""
    source: ClassVar[str]
    """The report or paper the task comes from."""
    group: ClassVar[str] = ""
    """Kind of task, by which results are summed up apart, too, such as ``image``, ``tabular`` or ``function``.

    Up to 40 small letters, digits and ``-``; empty: none.
    """
    package: ClassVar[str] = ""
    """Distribution and version of the plug-in that it comes from, set when it is found; empty for the project's own."""
    libraries: ClassVar[Mapping[str, str]] = {}
    """Module to distribution, of every library the task imports."""
    scoring_options: ClassVar[frozenset[str]] = frozenset()
    """Options that choose the objective among recorded metrics and leave the training as it is."""
    experiments: ClassVar[Sequence[Experiment]] = ()
    """What the source ran and published, for ``derby reproduce``."""
    slash: ClassVar[str] = "variant"
    """The option that comes after the name and a slash, where a task is named in short: ``fashion_mlp/small``."""
    cost_unit: ClassVar[str] = "units of cost"
    """What `cost` is counted in, in words and in the plural, such as ``FLOPs``; up to 40 characters.

    ``s`` means the seconds on record of a training that is replayed, which are the same in every run: only of such a
    task can a budget be in seconds.
    """
    cheap: ClassVar[bool] = False
    """Whether an evaluation costs microseconds, less than handing it to another process."""
    on_subset: bool = False
    """Whether it trains on other data than the source's (a part of it, or a stand-in) or from other weights.

    Its numbers never compare with published ones then, and everything made from them says so.
    """

    draws_splits: bool = False
    """Whether `split` can draw which examples train and which validate; functions hold out none, for one."""

    class Options(Options):
        """The task's options. Where a task comes in sizes, ``variant`` names them and ``full`` is the source's."""

    regret: RegretScale | None = None
    """Where regret is 0 and 1; a task without it is left out of what is averaged over tasks as regret."""

    known: Known | None = None
    """What is known of its whole space: of functions, recordings and tables; ``None`` of what trains."""

    levels: Mapping[str, Sequence[Scalar]] = MappingProxyType({})
    """What an `Int` parameter of the space stands for where it counts through listed values, from 0: these."""

    options: Options
    space: Space
    fidelity: Fidelity
    objective: Objective

    def __init__(self, **options: Any) -> None:
        self.options = self.Options(**options)
        self._define()
        self.problem = Problem(self.space, self.fidelity, self.objective)
        """What a searcher may know of the task."""

    @classmethod
    def prepare(cls, threads: int, gpu_share: float = 1.0) -> str:
        """Set the task's training library up in this process; called before the first evaluation.

        Args:
            threads: Threads one evaluation may use. Records are only identical for equal numbers.
            gpu_share: Part of a GPU's memory it may use, where there is a GPU: others train on the rest.

        Returns:
            The device trained on, as recorded: ``"cpu"`` or a GPU's name.

        Raises:
            RuntimeError: The library is already running with another number of threads.
        """
        del threads, gpu_share  # for subclasses
        return "cpu"

    @classmethod
    def require_libraries(cls) -> None:
        """Raise `MissingLibraryError` unless the task's libraries are installed."""
        require_libraries(f"task {cls.name!r}", cls.libraries)

    @cached_property
    def key(self) -> TaskKey:
        """The task's identity.

        Raises:
            DataError: Its data, which are part of it, were not found or are not the expected ones.
        """
        options = self.options.as_json()
        scoring = {k: v for k, v in options.items() if k in self.scoring_options}
        rest = {k: v for k, v in options.items() if k not in self.scoring_options}
        return TaskKey(
            self.name,
            self.version,
            rest,
            scoring,
            self.data_identity(),
            self.package,
            seeds_of=self.seeds_of,
        )

    @property
    def seeds_of(self) -> Mapping[str, Any] | None:
        """The task whose seeds searches and trainings have here; ``None``: its own.

        Name, version, options and scoring options, as JSON, of a task that this one stands for, `TaskKey.searched`: a
        search of either then has the same seeds, so that the two can be compared in pairs.
        """
        return None

    @property
    def replayed(self) -> str:
        """What recorded trainings it replays, in words after ``Replay of``; empty where it trains or computes."""
        return ""

    @property
    def pinned_data(self) -> str | None:
        """A digest that `load` holds its data to, where it is known before they are loaded.

        It must name everything that an evaluation reads besides the options: files, pretrained weights. ``None``,
        the default, where that depends on what a user's folder holds: the data are then loaded when a sweep
        is planned, to learn their digest, and held to it when they are loaded for training.
        """
        return None

    @final
    def data_identity(self) -> str:
        """Return the digest by which the task's data take part in its identity."""
        pinned = self.pinned_data
        return data_digest(checked_data(self.load())) if pinned is None else pinned

    @property
    def label(self) -> str:
        """A name for people: ``name/variant``, then the other options that differ from their defaults."""
        options = self.options.as_json()
        fields = type(self.options).model_fields
        variant = f"/{options[self.slash]}" if self.slash in options else ""
        changed = [f",{k}={v}" for k, v in options.items() if k != self.slash and v != fields[k].default]
        return self.name + variant + "".join(changed)

    @abstractmethod
    def _define(self) -> None:
        """Set `space`, `fidelity` and `objective` from the options."""

    @abstractmethod
    def load(self) -> Data:
        """Return the task's data; called once per machine. The arrays are then made read-only.

        Raises:
            DataError: The data were not found or are not the expected ones.
        """

    def split(self, data: Data, seed: int) -> Data:
        """Return the data with training and validation examples drawn anew from all of both.

        The test examples stay. Only asked of tasks that say so (`draws_splits`), under ``splits: repetition``.

        Args:
            data: What `load` returned; left as it is.
            seed: Seed of the draw, 0 … 2³² - 1: equal seeds give equal splits.
        """
        raise TaskError(f"task {self.name!r} says that it draws splits, and has no method split")

    @abstractmethod
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
        """Train a configuration for ``epochs`` epochs: a pure function of configuration and seed.

        Args:
            config: A configuration of `space`.
            epochs: Epochs in all, at least 1, counted from the first one also when continued.
            seed: Training seed, 0 … 2³² - 1.
            data: What `load` returned.
            checkpoint: Where this configuration and seed stand; updated in place.
            deadline: Seconds this call may take; checked after each epoch.

        Returns:
            The evaluation with its whole curve. Divergence and a passed deadline are statuses.

        Raises:
            MemoryError: Host or device ran out of memory; it is tried once more, elsewhere.
            Exception: Only for a bug; the study then fails.
        """

    def inspect(self, config: Config, *, seed: int, data: Data, checkpoint: Checkpoint) -> Inspection | None:
        """Look into a trained network; ``None`` where there is nothing to show.

        Args:
            config: The configuration that was trained.
            seed: Its training seed.
            data: What `load` returned.
            checkpoint: What `evaluate` left after a successful training; it is left as it is.
        """
        del config, seed, data, checkpoint  # for subclasses
        return None

    @abstractmethod
    def cost(self, config: Config) -> float:
        """Return the deterministic cost of one epoch, positive, in the task's own unit, `cost_unit`.

        It orders parallel trials in virtual time, and is what budgets of cost are spent in; it is never compared
        between tasks. The record has it: a task whose costs change raises its version.
        """


def checked_data(data: object) -> Data:
    """Return what a task's `load` returned.

    Raises:
        TaskError: It is no mapping of names to arrays of numbers or text.
    """
    if not isinstance(data, Mapping):
        raise TaskError(f"load must return a mapping of names to numpy arrays, got {type(data).__name__}")
    for name, array in data.items():
        if (
            not isinstance(name, str)
            or not isinstance(array, np.ndarray)
            or array.dtype.kind not in "biufcSU"
        ):
            kind = f"array of {array.dtype}" if isinstance(array, np.ndarray) else type(array).__name__
            raise TaskError(f"load must return numpy arrays of numbers or text by name, got {name!r}: {kind}")
    return data


def read_only(data: Data) -> Data:
    """Make the arrays read-only, as they are when they come from shared memory, and return them."""
    for array in data.values():
        array.flags.writeable = False
    return data


def data_digest(data: Data) -> str:
    """Return a digest of names, types, shapes and contents of a task's arrays."""
    sha = hashlib.sha256()
    for name in sorted(data):
        array = np.ascontiguousarray(data[name])
        sha.update(f"{name} {array.dtype.str} {array.shape}".encode())
        sha.update(array.reshape(-1).view(np.uint8).data)
    return sha.hexdigest()[:16]
