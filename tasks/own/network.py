"""A Keras model of a user's own as a task: built and fitted by the user's code, epoch by epoch."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Literal

from harness.errors import TaskError
from harness.keys import derive_seed
from harness.space import Condition, Config, Domain, Space
from harness.task import Data, Known, RegretScale
from harness.trial import Fidelity
from tasks.engine.memory import memory_errors_told
from tasks.engine.process import LIBRARIES, configure_threads, device, libraries, quiet
from tasks.own.common import (
    PARTS,
    Declared,
    Given,
    OwnTask,
    check_examples,
    made,
    objective_of,
    others_kept,
    redrawn,
    space_of,
)

LEAST_BYTES = 1 << 25
"""What a model takes at least, with what is compiled for it."""

Build = Callable[[Config], Any]
Fit = Callable[..., Any]
Callbacks = Callable[[Config], Sequence[Any]]


def keras_task(
    build: Build,
    data: Given | Callable[[], Given],
    *,
    space: Space | Mapping[str, Domain],
    epochs: int,
    metric: str = "val_accuracy",
    direction: Literal["min", "max"] = "max",
    failure: float | None = None,
    test: bool = True,
    batch_size: int | None = None,
    fit: Fit | None = None,
    callbacks: Callbacks | None = None,
    least_epochs: int = 1,
    conditions: Mapping[str, Condition] | None = None,
    references: Mapping[str, Config] | None = None,
    cost: float | Callable[[Config], float] = 1.0,
    name: str | None = None,
    version: int = 1,
    source: str | None = None,
    group: str = "",
    regret: RegretScale | None = None,
    known: Known | None = None,
) -> type[KerasTask]:
    """Make a task of a function that builds and compiles a Keras model.

    The model is trained by its own ``fit``, one epoch at a time, so that every epoch is measured and a trial can be
    continued from any: the model itself is kept. Each epoch begins with seeds of its own for Python, numpy and Keras,
    which derive from the training seed and the epoch's number. So a training of many epochs contains every shorter one.
    The metrics are those that the model is compiled with: ``val_…`` as ``fit`` reports them, ``train_…`` of training,
    and ``test_…`` by ``evaluate`` on the test examples. Where they become NaN or infinite the training has diverged.

    Where a callback stops the training, the rest of the epochs that are asked for repeat the last one's metrics.
    What callbacks do at the end of a training, such as restoring the best weights, is done when one stops it or at full
    fidelity, before it is measured.

    Args:
        build: Returns a compiled model for a configuration.
        data: ``x_train``, ``y_train``, ``x_val``, ``y_val``, ``x_test`` and ``y_test`` by name; or ``(x, y)``, which is
            split 60 : 20 : 20 in a drawn order that is always the same; or a function that loads either.
        space: Parameters by name, or a whole `Space`.
        epochs: Full fidelity.
        metric: What is optimised, such as ``val_accuracy`` or ``val_loss``.
        direction: Whether it is to be large or small.
        failure: Value that stands for a failed evaluation; 0 where the metric is maximised.
        test: Whether there are test examples.
        batch_size: Examples in a batch; a parameter ``batch_size`` of the configuration, or else Keras's own default.
        fit: Trains: ``fit(model, data, config, **given)``, with ``given`` to be passed on to ``model.fit``. By default
            the training examples are fitted and the others validate.
        callbacks: Returns Keras callbacks for a configuration; each lives as long as the training.
        least_epochs: The lowest fidelity.
        conditions: As for `tasks.own.function.task`; so are the arguments that follow.
        references: Configurations by name.
        cost: Cost of an epoch, or a function of a configuration.
        name: In records and figures; the name that the task has in its file by default.
        version: Raise it where the numbers change for a reason that is not in the file.
        source: Where the task comes from.
        group: Kind of task.
        regret: Where regret is 0 and 1.
        known: What is known of the whole space, for a sweep's baselines ``best`` and ``median``.

    Raises:
        ValueError: The arguments contradict each other.
    """
    if not metric.startswith("val_"):
        raise ValueError(f"metric must be one that is validated, such as 'val_accuracy', got {metric!r}")
    about = {
        "version": version, "group": group, "regret": regret, "known": known,
        **({} if source is None else {"source": source}),
        "declared": Declared(
            space_of(space, conditions, references),
            Fidelity(least_epochs, epochs),
            objective_of(metric, direction, failure, f"test_{metric.removeprefix('val_')}" if test else None),
            data,
            cost,
        ),
        "build": staticmethod(build), "test": test, "batch_size": batch_size,
        "fit": staticmethod(fit) if fit else None, "callbacks": staticmethod(callbacks) if callbacks else None,
    }  # fmt: skip
    return made(KerasTask, name, about, build.__module__, build.__doc__)


class KerasTask(OwnTask):
    """A Keras model of a user's own."""

    libraries: ClassVar[Mapping[str, str]] = LIBRARIES
    draws_splits = True
    build: ClassVar[Build]
    test: ClassVar[bool]
    batch_size: ClassVar[int | None]
    fit: ClassVar[Fit | None]
    callbacks: ClassVar[Callbacks | None]

    @classmethod
    def prepare(cls, threads: int, gpu_share: float = 1.0) -> str:
        """Start TensorFlow in this process; see `Task.prepare`."""
        configure_threads(threads, gpu_share)
        return device()

    def split(self, data: Data, seed: int) -> Data:
        """Return the data with training and validation examples drawn anew; see `Task.split`."""
        return redrawn(data, seed)

    def begin(self, config: Config, seed: int, data: Data) -> _Fitting:
        """Return a training that has not begun."""
        check_examples(data, PARTS if self.test else PARTS[:4])
        return _Fitting(self, config, seed, data)

    def fit_one(self, model: Any, data: Data, config: Config, **given: Any) -> None:
        """Let the user's ``fit``, or the usual one, train."""
        if self.fit is not None:
            self.fit(model, data, config, **given)
            return
        model.fit(
            data["x_train"],
            data["y_train"],
            batch_size=config.get("batch_size", self.batch_size),
            validation_data=(data["x_val"], data["y_val"]),
            **given,
        )


class _Fitting:
    """A model in training."""

    def __init__(self, task: KerasTask, config: Config, seed: int, data: Data) -> None:
        self._task, self._config, self._seed, self._data = task, config, seed, data
        self._keras = libraries()[1]
        self._row: dict[str, float] = {}
        self._stopped = False
        callbacks = type(task).callbacks
        with memory_errors_told(), others_kept():
            self._keras.utils.set_random_seed(seed)
            self._model = type(task).build(config)
            if not getattr(self._model, "compiled", False):
                raise TaskError(
                    "the function that builds the model must return it compiled: model.compile(...)"
                )
            own = list(callbacks(config)) if callbacks else []
        self._ends = [_begun_once(callback) for callback in own]
        self._seen: list[tuple[int, dict[str, float]]] = []
        watch = self._keras.callbacks.LambdaCallback(
            on_epoch_end=lambda epoch, logs=None: self._seen.append((epoch, dict(logs or {})))
        )
        self._callbacks = [*own, watch]

    @property
    def nbytes(self) -> int:
        variables = [*self._model.variables, *self._model.optimizer.variables]
        return LEAST_BYTES + sum(4 * int(math.prod(variable.shape)) for variable in variables)

    def epoch(self, number: int) -> Mapping[str, float]:
        if self._stopped:
            return self._row
        try:
            with memory_errors_told(), others_kept(), quiet():
                self._row = self._trained(number)
        except MemoryError as error:
            raise MemoryError(f"in epoch {number}: {error}") from error
        return self._row

    def _trained(self, number: int) -> dict[str, float]:
        self._keras.utils.set_random_seed(derive_seed(self._seed, "epoch", number))
        self._seen.clear()
        given = {"initial_epoch": number - 1, "epochs": number, "callbacks": self._callbacks, "verbose": 0}
        self._task.fit_one(self._model, self._data, self._config, **given)
        if [epoch for epoch, _ in self._seen] != [number - 1]:
            raise TaskError(
                f"fit must train epoch {number} alone, and trained {[epoch + 1 for epoch, _ in self._seen]}: let it "
                "pass all that it is given on, model.fit(..., **given)"
            )
        row = {
            name if name.startswith("val_") else f"train_{name}": value
            for name, value in self._seen[0][1].items()
        }
        self._stopped = bool(self._model.stop_training)
        if self._ends and (self._stopped or number == self._task.fidelity.high):
            for end in self._ends:
                end()
            row |= self._measured("val")
        return row | (self._measured("test") if self._task.test else {})

    def _measured(self, part: str) -> dict[str, float]:
        measured = self._model.evaluate(
            self._data[f"x_{part}"], self._data[f"y_{part}"], verbose=0, return_dict=True
        )
        return {f"{part}_{name}": value for name, value in measured.items()}


def _begun_once(callback: Any) -> Callable[[], None]:
    """Let a callback begin with the first of many calls of ``fit`` only; return what ends it."""
    begin, end = callback.on_train_begin, callback.on_train_end
    began = False

    def on_train_begin(logs: Any = None) -> None:
        nonlocal began
        if not began:
            began = True
            begin(logs)

    callback.on_train_begin = on_train_begin
    callback.on_train_end = lambda logs=None: None
    return lambda: end(None)
