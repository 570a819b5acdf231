"""What tasks made of a user's own code share: their declaration, and one loop over epochs."""

from __future__ import annotations

import math
import random
import sys
import time
from abc import ABCMeta, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Literal, Protocol, TypeVar, cast

import numpy as np

from harness.errors import DataError, TaskError, typed
from harness.plurals import plural
from harness.space import Condition, Config, Domain, Space
from harness.task import Checkpoint, Data, Task, checked_data
from harness.trial import Curve, Evaluation, Fidelity, Objective, Status

SOME_BYTES: Final = 1 << 27
"""What a training that rests takes where that cannot be known: an evaluator then keeps four of them."""

PARTS: Final = ("x_train", "y_train", "x_val", "y_val", "x_test", "y_test")
"""Arrays of a task that is given examples: inputs and targets that train, validate and test."""

Given = Data | tuple[Any, Any]
"""Arrays by name, or inputs and targets."""

K = TypeVar("K", bound="OwnTask")


@dataclass(frozen=True, slots=True)
class Declared:
    """What a user says of an objective.

    Args:
        space: Its search space.
        fidelity: Its epochs.
        objective: What is optimised.
        data: Its arrays by name, or inputs and targets, see `split_up`; or a function that loads either.
        cost: Cost of an epoch, or a function of a configuration that returns it.
    """

    space: Space
    fidelity: Fidelity
    objective: Objective
    data: Given | Callable[[], Given] | None = None
    cost: float | Callable[[Config], float] = 1.0


def space_of(
    space: Space | Mapping[str, Domain],
    conditions: Mapping[str, Condition] | None,
    references: Mapping[str, Config] | None,
) -> Space:
    """Return a space, given whole or in its parts."""
    if not isinstance(space, Space):
        return Space(space, conditions or {}, references or {})
    if conditions or references:
        raise ValueError("conditions and references belong into the Space that is given; give them once")
    return space


def objective_of(
    metric: str, direction: Literal["min", "max"], failure: float | None, test_metric: str | None
) -> Objective:
    """Return an objective; a failure of what is maximised counts as 0 unless said otherwise.

    Raises:
        ValueError: What is minimised has no value for failures.
    """
    if failure is None and direction != "max":
        raise ValueError(
            f"failure is missing: the value of {metric} that stands for a failed evaluation, such as what guessing "
            "gives; nothing is told to a searcher as worse than that"
        )
    return Objective(metric, direction, 0.0 if failure is None else failure, test_metric)


def made(base: type[K], name: str | None, about: Mapping[str, Any], module: str, doc: str | None) -> type[K]:
    """Return a task class.

    Args:
        base: Its kind.
        name: Its name; ``None``: the one that it has in its file.
        about: Its class attributes.
        module: Of the user's code.
        doc: What it is, for people.
    """
    named = {} if name is None else {"name": name}
    label = name or base.__name__
    content = {**about, **named, "__module__": module, "__doc__": doc or f"{base.__doc__}"}
    return cast("type[K]", ABCMeta(label, (base,), content))


class Live(Protocol):
    """A training under way: what a checkpoint keeps of it is the training itself."""

    @property
    def nbytes(self) -> int:
        """Memory it takes, in bytes."""
        ...

    def epoch(self, number: int) -> Mapping[str, float]:
        """Train the epoch of that number, the one after the last, and return its metrics."""
        ...


class OwnTask(Task):
    """A task made of a user's own code."""

    declared: ClassVar[Declared]
    cost_unit = "epochs"

    def _define(self) -> None:
        self.space = self.declared.space
        self.fidelity = self.declared.fidelity
        self.objective = self.declared.objective

    def load(self) -> Data:
        """Return the declared data."""
        data = self.declared.data
        if data is None:
            return {}
        loaded: Any = data() if callable(data) else data
        if isinstance(loaded, tuple):
            loaded = split_up(*_inputs_and_targets(loaded))
        if isinstance(loaded, Mapping):
            loaded = {name: _texts(array) for name, array in loaded.items()}
        return {name: np.array(array) for name, array in checked_data(loaded).items()}

    def cost(self, config: Config) -> float:
        """Return the declared cost of an epoch."""
        cost = self.declared.cost
        return float(cost(config) if callable(cost) else cost)

    @abstractmethod
    def begin(self, config: Config, seed: int, data: Data) -> Live:
        """Return a training that has not begun."""

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
        """Train epoch by epoch, from where the checkpoint stands; see `Task.evaluate`."""
        start = time.perf_counter()
        checkpoint = Checkpoint.fresh() if checkpoint is None else checkpoint
        curve = checkpoint.curve
        if curve.epochs >= epochs:
            return Evaluation(Status.OK, curve.prefix(epochs), epochs)
        live = checkpoint.state
        checkpoint.curve, checkpoint.state, checkpoint.nbytes = (
            Curve(),
            None,
            0,
        )  # where this fails, it is lost
        if live is None:
            curve, live = Curve(), self.begin(config, seed, data)
        setup_seconds = time.perf_counter() - start
        while curve.epochs < epochs:
            number, began = curve.epochs + 1, time.perf_counter()
            row = checked_row(live.epoch(number), curve, number)
            took = time.perf_counter() - began
            infinite = not_finite(row)
            if infinite:
                return Evaluation(
                    Status.DIVERGED,
                    curve,
                    number,
                    setup_seconds,
                    took,
                    message=f"{infinite} in epoch {number}",
                )
            curve = curve.extended({**row, "seconds": took})
            if deadline is not None and time.perf_counter() - start > deadline and curve.epochs < epochs:
                message = f"the deadline of {deadline:g} s passed after epoch {curve.epochs} of {epochs}"
                _keep(checkpoint, curve, live)
                return Evaluation(
                    Status.TIMEOUT, curve, curve.epochs, setup_seconds, message=message, deadline=deadline
                )
        _keep(checkpoint, curve, live)
        return Evaluation(Status.OK, curve, epochs, setup_seconds)


def _keep(checkpoint: Checkpoint, curve: Curve, live: Live) -> None:
    checkpoint.curve, checkpoint.state, checkpoint.nbytes = curve, live, live.nbytes


def checked_row(given: Mapping[str, float], curve: Curve, number: int) -> dict[str, float]:
    """Return an epoch's metrics as floats.

    Raises:
        TaskError: A value is no number, or the metrics are others than before.
    """
    row = {}
    for name, value in given.items():
        try:
            row[name] = float(value)
        except (TypeError, ValueError):
            raise TaskError(f"epoch {number}: {name!r} must be a number, got {typed(value)}") from None
    before = [name for name in curve if name != "seconds"]
    if "seconds" in row or (before and sorted(row) != sorted(before)):
        wanted = (
            f"those of the epochs before, {before}" if before else "none called 'seconds', which is measured"
        )
        raise TaskError(f"epoch {number} gave the metrics {list(row)}; expected {wanted}")
    return row


def not_finite(row: Mapping[str, float]) -> str:
    """Say which metrics are NaN or infinite; empty where none is."""
    return ", ".join(f"{name} = {value}" for name, value in row.items() if not math.isfinite(value))


def _inputs_and_targets(given: tuple[Any, ...]) -> tuple[Any, Any]:
    """Return what is given as inputs and targets.

    Raises:
        DataError: It is something else.
    """
    if len(given) != 2 or any(isinstance(part, tuple) for part in given):
        kinds = ", ".join(type(part).__name__ for part in given)
        raise DataError(
            f"data gave a tuple of {kinds}; expected (x, y), all examples, which are split, or a mapping of the names "
            f"{', '.join(PARTS)} to arrays"
        )
    x, y = given
    if len(x) != len(y):
        raise DataError(
            f"data gave {plural(len(x), 'input')} and {plural(len(y), 'target')}; expected as many of both"
        )
    return x, y


def _texts(array: Any) -> Any:
    """Return an array of Python's texts, as pandas has them, as one of numpy's; anything else as it is."""
    values = np.asarray(array) if hasattr(array, "__array__") else array
    if getattr(getattr(values, "dtype", None), "kind", "") == "O" and all(
        isinstance(value, str) for value in values.flat
    ):
        return values.astype(str)
    return values


def split_up(x: Any, y: Any) -> dict[str, Any]:
    """Return inputs and targets as 60 % training, 20 % validation and 20 % test examples, in an order drawn for all."""
    order = np.random.default_rng(0).permutation(len(x))
    cuts = [len(x) * 6 // 10, len(x) * 8 // 10]
    parts = zip(("train", "val", "test"), np.split(order, cuts), strict=True)
    return {f"{kind}_{part}": np.asarray(a)[rows] for part, rows in parts for kind, a in (("x", x), ("y", y))}


def check_examples(data: Data, parts: tuple[str, ...]) -> None:
    """Check that a task's arrays are there.

    Raises:
        DataError: One is missing.
    """
    missing = [name for name in parts if name not in data]
    if missing:
        without = (
            "; a task without test examples says test=False" if {*missing} <= {"x_test", "y_test"} else ""
        )
        raise DataError(
            f"expected the arrays {', '.join(parts)}, and {', '.join(missing)} are missing{without}"
        )


def redrawn(data: Data, seed: int) -> Data:
    """Return the data with training and validation examples drawn anew from all of both, as many of each."""
    examples = len(data["x_train"])
    order = np.random.default_rng(seed).permutation(examples + len(data["x_val"]))
    drawn = dict(data)
    for kind in "xy":
        whole = np.concatenate([data[f"{kind}_train"], data[f"{kind}_val"]])[order]
        drawn[f"{kind}_train"], drawn[f"{kind}_val"] = whole[:examples], whole[examples:]
    return drawn


class Generators:
    """Python's, numpy's and PyTorch's global generators of one training: seeded for it, and kept while it rests.

    PyTorch's are those of the GPUs, too. TensorFlow's is seeded; what it has drawn cannot be kept.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._own: dict[str, Any] | None = None

    @contextmanager
    def inside(self) -> Iterator[None]:
        """Let what runs in this context draw from them, and put those of everyone else back afterwards."""
        with others_kept():
            if self._own is None:
                random.seed(self._seed)
                np.random.seed(self._seed)  # noqa: NPY002 - the global generator, which users draw from
                for module, seeding in (("torch", "manual_seed"), ("tensorflow", "random.set_seed")):
                    _seed_library(module, seeding, self._seed)
            else:
                _restore(self._own)
            try:
                yield
            finally:
                self._own = _states()


@contextmanager
def others_kept() -> Iterator[None]:
    """Put the global generators back afterwards."""
    before = _states()
    try:
        yield
    finally:
        _restore(before)


def _seed_library(module: str, seeding: str, seed: int) -> None:
    library: Any = sys.modules.get(module)
    if library is not None:
        for part in seeding.split("."):
            library = getattr(library, part)
        library(seed)


def _states() -> dict[str, Any]:
    torch = sys.modules.get("torch")
    on_gpus = torch is not None and torch.cuda.is_initialized()  # each of them has one of its own
    return {
        "python": random.getstate(),
        "numpy": np.random.get_state(),  # noqa: NPY002
        "torch": torch.get_rng_state() if torch is not None else None,
        "cuda": torch.cuda.get_rng_state_all() if torch is not None and on_gpus else None,
    }


def _restore(states: dict[str, Any]) -> None:
    random.setstate(states["python"])
    np.random.set_state(states["numpy"])  # noqa: NPY002
    if states["torch"] is not None:
        sys.modules["torch"].set_rng_state(states["torch"])
    if states["cuda"] is not None:
        sys.modules["torch"].cuda.set_rng_state_all(states["cuda"])
