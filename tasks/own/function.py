"""A plain function as a task: it returns a value, or yields one after each epoch."""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar, Final, Literal

from harness.errors import TaskError, typed
from harness.plurals import plural
from harness.space import Condition, Config, Domain, Space
from harness.task import Checkpoint, Data, Known, RegretScale
from harness.trial import Curve, Evaluation, Fidelity, Status
from tasks.engine.memory import memory_errors_told
from tasks.own import gpus
from tasks.own.common import (
    SOME_BYTES,
    Declared,
    Generators,
    OwnTask,
    checked_row,
    made,
    not_finite,
    objective_of,
    space_of,
)

TAKEN: Final = ("config", "epochs", "seed", "data")
"""What a function may take, by these names."""


def task(
    *,
    space: Space | Mapping[str, Domain],
    metric: str = "value",
    direction: Literal["min", "max"],
    failure: float | None = None,
    test_metric: str | None = None,
    epochs: int = 1,
    least_epochs: int = 1,
    conditions: Mapping[str, Condition] | None = None,
    references: Mapping[str, Config] | None = None,
    data: Data | Callable[[], Data] | None = None,
    cost: float | Callable[[Config], float] = 1.0,
    name: str | None = None,
    version: int = 1,
    source: str | None = None,
    group: str = "",
    regret: RegretScale | None = None,
    known: Known | None = None,
    cheap: bool = False,
) -> Callable[[Callable[..., Any]], type[FunctionTask]]:
    """Make a task of a function that takes any of ``config``, ``epochs``, ``seed`` and ``data``.

    - With ``yield`` it is a training: it yields once for each epoch, the metric's value or a mapping of several
      metrics' values, and is stopped where no more epochs are asked for. ``epochs`` is full fidelity then. A trial that
      continues goes on where it was.
    - Without, it returns the value where there is one epoch, or for ``epochs`` epochs so many values, a list or a
      mapping of metrics to lists. A trial that continues begins anew.

    It must depend on nothing else than its arguments. Python's, numpy's, PyTorch's and TensorFlow's global generators
    are seeded with ``seed`` before it is called. NaN and infinities are divergence; what it raises is a bug.

    Args:
        space: Parameters by name, or a whole `Space`.
        metric: Name of what is optimised.
        direction: Whether it is to be small or large.
        failure: Value that stands for a failed evaluation; 0 where the metric is maximised.
        test_metric: Metric on test data, reported and never shown to a searcher.
        epochs: Full fidelity.
        least_epochs: The lowest fidelity.
        conditions: Under what a parameter is active, by its name.
        references: Configurations by name, the first of which may be the start of a search.
        data: Arrays by name, or a function that loads them; read-only where they arrive.
        cost: Cost of an epoch, or a function of a configuration that returns it: of the order of its time.
        name: In records and figures; the function's by default.
        version: Raise it where the numbers change for a reason that is not in the file.
        source: Where the task comes from, for the report.
        group: Kind of task, by which results are summed up apart.
        regret: Where regret is 0 and 1.
        known: What is known of the whole space, for a sweep's baselines ``best`` and ``median``.
        cheap: Whether it takes microseconds.

    Returns:
        A decorator that makes a task class of the function, which stays there as its ``function``.

    Raises:
        ValueError: The arguments contradict each other, or the function takes what it is not given.

    Example:
        >>> from harness.space import Float
        >>> @task(space={"x": Float(-1, 1)}, direction="min", failure=1.0)
        ... def square(config):
        ...     return config["x"] ** 2
        >>> square().evaluate({"x": 0.5}, epochs=1, seed=0, data={}).curve["value"]
        (0.25,)
    """
    about: dict[str, Any] = {
        "version": version, "group": group, "regret": regret, "known": known, "cheap": cheap,
        **({} if source is None else {"source": source}),
    }  # fmt: skip
    declared = Declared(
        space_of(space, conditions, references),
        Fidelity(least_epochs, epochs),
        objective_of(metric, direction, failure, test_metric),
        data,
        cost,
    )

    def of(function: Callable[..., Any]) -> type[FunctionTask]:
        takes = _taken_by(function)
        if data is not None and "data" not in takes:
            raise ValueError(f"data are given, and {function.__name__} does not take `data`")
        return made(
            FunctionTask,
            name or (None if function.__name__ == "<lambda>" else function.__name__),
            {**about, "declared": declared, "function": staticmethod(function), "takes": takes},
            function.__module__,
            function.__doc__,
        )

    return of


def _taken_by(function: Callable[..., Any]) -> tuple[str, ...]:
    """Return which of `TAKEN` a function takes.

    Raises:
        ValueError: It needs something else.
    """
    found = []
    for name, parameter in inspect.signature(function).parameters.items():
        if name in TAKEN:
            found.append(name)
        elif parameter.default is parameter.empty and parameter.kind is not parameter.VAR_KEYWORD:
            raise ValueError(
                f"{getattr(function, '__name__', function)} takes {name!r}; it is given {', '.join(TAKEN)}"
            )
    return tuple(found)


class FunctionTask(OwnTask):
    """A function of a user's own."""

    function: ClassVar[Callable[..., Any]]
    takes: ClassVar[tuple[str, ...]]

    @classmethod
    def prepare(cls, threads: int, gpu_share: float = 1.0) -> str:
        """Set up the training libraries that the file imports: their threads, their share of a GPU, their seeds."""
        return gpus.prepare(cls.libraries, threads, gpu_share)

    def begin(self, config: Config, seed: int, data: Data) -> _Yielding:
        """Return the function's training, which has not begun."""
        return _Yielding(self, config, seed, data)

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
        """Let the function run; see `Task.evaluate`."""
        if inspect.isgeneratorfunction(self.function):
            return super().evaluate(
                config, epochs=epochs, seed=seed, data=data, checkpoint=checkpoint, deadline=deadline
            )
        began = time.perf_counter()
        returned = self.call(config, epochs, seed, data, Generators(seed))
        took = (time.perf_counter() - began) / epochs
        curve = Curve()
        for number, given in enumerate(self._rows(returned, epochs), 1):
            row = checked_row(given, curve, number)
            infinite = not_finite(row)
            if infinite:
                return Evaluation(
                    Status.DIVERGED, curve, number, lost_seconds=took, message=f"{infinite} in epoch {number}"
                )
            curve = curve.extended({**row, "seconds": took})
        return Evaluation(Status.OK, curve, epochs)

    def call(self, config: Config, epochs: int, seed: int, data: Data, generators: Generators) -> Any:
        """Call the function with what it takes."""
        given = {"config": dict(config), "epochs": epochs, "seed": seed, "data": data}
        with memory_errors_told(), generators.inside():
            return self.function(**{name: given[name] for name in self.takes})

    def row(self, value: Any) -> Mapping[str, Any]:
        """Return an epoch's metrics: those given, or the one that is optimised."""
        return value if isinstance(value, Mapping) else {self.objective.metric: value}

    def _rows(self, returned: Any, epochs: int) -> Iterator[Mapping[str, Any]]:
        """Yield the metrics of each epoch that a function returned.

        Raises:
            TaskError: They are not as many as were asked for.
        """
        columns = {name: _column(values, epochs) for name, values in self.row(returned).items()}
        for name, values in columns.items():
            if len(values) != epochs:
                raise TaskError(
                    f"{self.function.__name__} must return a value of {name!r} for each of "
                    f"{plural(epochs, 'epoch')}, got {typed(returned)}; or yield after each epoch"
                )
        for number in range(epochs):
            yield {name: values[number] for name, values in columns.items()}


def _column(values: Any, epochs: int) -> Any:
    """Return a metric's values by epoch; of one epoch, it may be the value alone."""
    return values if hasattr(values, "__len__") or (epochs > 1 and hasattr(values, "__iter__")) else [values]


class _Yielding:
    """A function that yields."""

    nbytes = SOME_BYTES

    def __init__(self, task: FunctionTask, config: Config, seed: int, data: Data) -> None:
        self._task = task
        self._generators = Generators(seed)
        self._rest = task.call(config, task.fidelity.high, seed, data, self._generators)

    def epoch(self, number: int) -> Mapping[str, Any]:
        with memory_errors_told(), self._generators.inside():
            try:
                return self._task.row(next(self._rest))
            except StopIteration:
                raise TaskError(
                    f"{self._task.function.__name__} ended after {plural(number - 1, 'epoch')}; expected one yield "
                    f"for each of {self._task.fidelity.high}"
                ) from None
