"""A scikit-learn estimator as a task: trained once, or with more trees or examples in each epoch."""

from __future__ import annotations

import importlib
import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from harness.errors import TaskError, typed
from harness.keys import derive_seed
from harness.space import Condition, Config, Domain, Space
from harness.task import Data, Known, RegretScale
from harness.trial import Fidelity
from tasks.engine.memory import memory_errors_told
from tasks.own.common import (
    PARTS,
    SOME_BYTES,
    Declared,
    Generators,
    Given,
    OwnTask,
    check_examples,
    made,
    objective_of,
    redrawn,
    space_of,
)

Score = str | Callable[[Any, Any, Any], float]
"""A scorer's name, such as ``"accuracy"``, or a function of estimator, inputs and targets; larger is better."""


@dataclass(frozen=True, slots=True)
class Grows:
    """Each epoch adds to an estimator that goes on with ``warm_start``, such as trees to a forest.

    Args:
        parameter: What grows, such as ``"n_estimators"``.
        by: How much in an epoch.
        epochs: Full fidelity.
    """

    parameter: str
    by: int
    epochs: int


@dataclass(frozen=True, slots=True)
class Examples:
    """Each epoch trains anew on one more part of the training examples: the last one on all of them.

    Args:
        epochs: How many parts. All n epochs cost as much as (n + 1) / 2 trainings on all examples.
    """

    epochs: int


def sklearn_task(
    build: Callable[[Config], Any],
    data: Given | Callable[[], Given],
    *,
    space: Space | Mapping[str, Domain],
    score: Score = "accuracy",
    failure: float | None = None,
    fidelity: Grows | Examples | None = None,
    test: bool = True,
    conditions: Mapping[str, Condition] | None = None,
    references: Mapping[str, Config] | None = None,
    cost: float | Callable[[Config], float] = 1.0,
    name: str | None = None,
    version: int = 1,
    source: str | None = None,
    group: str = "tabular",
    regret: RegretScale | None = None,
    known: Known | None = None,
) -> type[EstimatorTask]:
    """Make a task of a function that builds a scikit-learn estimator.

    It is trained on ``x_train`` and ``y_train``; searchers see its score on ``x_val`` and ``y_val`` as ``val_…``, and
    its score on ``x_test`` and ``y_test`` is reported as ``test_…``. Every ``random_state`` that is ``None`` is given
    the training seed, and every ``n_jobs`` that is not ``None`` the sweep's threads.

    Args:
        build: Returns an estimator, or a pipeline, for a configuration.
        data: The arrays by name, or ``(x, y)``, which is split 60 : 20 : 20 in a drawn order that is always the same;
            or a function that loads either.
        space: Parameters by name, or a whole `Space`.
        score: What is optimised; larger is better.
        failure: Score that stands for a failed evaluation; 0 unless said, which scores called ``neg_…`` must.
        fidelity: What an epoch is. ``None``: there are none; budgets are in evaluations then, and methods that search
            fidelities are refused.
        test: Whether there are test examples.
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
    scored = score if isinstance(score, str) else score.__name__
    if failure is None and scored.startswith("neg_"):
        raise ValueError(
            f"failure is missing: the {scored} that stands for a failed evaluation, such as -10.0"
        )
    about = {
        "version": version, "group": group, "regret": regret, "known": known,
        **({} if source is None else {"source": source}),
        "declared": Declared(
            space_of(space, conditions, references),
            Fidelity(1, 1 if fidelity is None else fidelity.epochs),
            objective_of(f"val_{scored}", "max", failure, f"test_{scored}" if test else None),
            data,
            cost,
        ),
        "build": staticmethod(build), "score": (score,), "kind": fidelity, "test": test,
    }  # fmt: skip
    return made(EstimatorTask, name, about, build.__module__, build.__doc__)


class EstimatorTask(OwnTask):
    """A scikit-learn estimator of a user's own."""

    libraries: ClassVar[Mapping[str, str]] = {"sklearn": "scikit-learn"}
    draws_splits = True
    build: ClassVar[Callable[[Config], Any]]
    score: ClassVar[tuple[Score]]
    kind: ClassVar[Grows | Examples | None]
    test: ClassVar[bool]
    _threads: ClassVar[int] = 1

    @classmethod
    def prepare(cls, threads: int, gpu_share: float = 1.0) -> str:
        """Note the threads for estimators that take a number of them."""
        cls._threads = threads
        return super().prepare(threads, gpu_share)

    def split(self, data: Data, seed: int) -> Data:
        """Return the data with training and validation examples drawn anew; see `Task.split`."""
        return redrawn(data, seed)

    def begin(self, config: Config, seed: int, data: Data) -> _Estimating:
        """Return a training that has not begun."""
        check_examples(data, PARTS if self.test else PARTS[:4])
        return _Estimating(self, config, seed, data)

    def estimator(self, config: Config, seed: int) -> Any:
        """Build an estimator, seeded and with so many threads as an evaluation has."""
        estimator = type(self).build(config)
        if inspect.isclass(estimator) or not hasattr(estimator, "get_params"):
            raise TaskError(f"the function that builds the estimator must return one, got {typed(estimator)}")
        estimator = importlib.import_module("sklearn.base").clone(estimator)  # it may be one for all
        ours = {}
        for name, value in estimator.get_params(deep=True).items():
            last = name.rpartition("__")[2]
            if last == "random_state" and value is None:
                ours[name] = seed
            elif last == "n_jobs" and value is not None:
                ours[name] = self._threads
        return estimator.set_params(**ours)

    def scores(self, estimator: Any, data: Data) -> dict[str, float]:
        """Return the scores of a trained estimator."""
        (score,) = self.score
        scorer = (
            importlib.import_module("sklearn.metrics").get_scorer(score) if isinstance(score, str) else score
        )
        parts = zip(self.objective.metrics, ("val", "test"), strict=False)
        return {metric: scorer(estimator, data[f"x_{part}"], data[f"y_{part}"]) for metric, part in parts}


class _Estimating:
    """An estimator that is trained, epoch by epoch where it has such."""

    nbytes = SOME_BYTES

    def __init__(self, task: EstimatorTask, config: Config, seed: int, data: Data) -> None:
        self._task, self._config, self._seed, self._data = task, config, seed, data
        self._generators = Generators(seed)
        with memory_errors_told(), self._generators.inside():
            self._estimator = task.estimator(config, seed)

    def epoch(self, number: int) -> dict[str, float]:
        x, y = self._data["x_train"], self._data["y_train"]
        with memory_errors_told(), self._generators.inside():
            match self._task.kind:
                case Grows(parameter, by, _):
                    self._estimator.set_params(**{parameter: by * number, "warm_start": True})
                case Examples(epochs):
                    self._estimator = self._task.estimator(self._config, self._seed)
                    order = np.random.default_rng(derive_seed(self._seed, "examples")).permutation(len(x))
                    rows = order[: math.ceil(len(x) * number / epochs)]
                    x, y = x[rows], y[rows]
            self._estimator.fit(x, y)
            return self._task.scores(self._estimator, self._data)
