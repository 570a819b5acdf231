"""The tests that every task must pass, shipped as one class so that authors of tasks can run them, too."""
# ruff: noqa: S101 - these are tests

from __future__ import annotations

import math
import random
from functools import cached_property
from typing import Any, Final

import numpy as np

from harness.keys import TaskKey, canonical_json
from harness.space import Choice, Config, Scalar
from harness.task import Checkpoint, Task, checked_data, data_digest, read_only
from harness.trial import Curve, Evaluation, Status

SEED: Final = 1
"""The training seed of the suite."""


class TaskCase:
    """A task under test: its data, and the evaluation of its first configuration that most tests compare with.

    Args:
        task: The task, in its cheapest variant: it is trained to full fidelity some ten times.
        default: Whether all corners of its space are tried, with each parameter at its other end; otherwise two.
        threads: Threads of an evaluation.
    """

    def __init__(self, task: Task, *, default: bool = True, threads: int = 1) -> None:
        task.prepare(threads)
        self.task = task
        self.default = default
        self.data = read_only(checked_data(task.load()))
        self.digest = data_digest(self.data)
        self.config = configurations(task)[0]
        self.epochs = task.fidelity.high

    def evaluate(
        self, config: Config | None = None, *, epochs: int | None = None, seed: int = SEED, **rest: Any
    ) -> Evaluation:
        """Evaluate a configuration, the first one by default, to full fidelity unless said otherwise."""
        chosen = self.config if config is None else config
        return self.task.evaluate(chosen, epochs=epochs or self.epochs, seed=seed, data=self.data, **rest)

    @cached_property
    def whole(self) -> Evaluation:
        """The first configuration at full fidelity."""
        return self.evaluate()


def configurations(task: Task) -> list[dict[str, Scalar]]:
    """Return the reference configurations, or the middle of the space where there are none."""
    middle = task.space.from_unit([0.5] * len(task.space))
    return [dict(config) for config in task.space.references.values()] or [middle]


def corners(task: Task, *, turned: bool = True) -> list[dict[str, Scalar]]:
    """Return all parameters at one end; then, ``turned``, also with each elsewhere: its other end, any other value."""
    found = []
    for end in (0.0, 1.0):
        found.append(task.space.from_unit([end] * len(task.space)))
        for position, domain in enumerate(task.space.parameters.values() if turned else ()):
            for value in domain.grid(2):
                point = [end] * len(task.space)
                point[position] = domain.to_unit(value)
                found.append(task.space.from_unit(point))
    return [config for i, config in enumerate(found) if config not in found[:i]]


def numbers(curve: Curve) -> dict[str, list[float]]:
    """Return what must be reproduced: everything but wall time."""
    return {name: list(values) for name, values in curve.items() if name != "seconds"}


class TaskConformance:
    """Subclass it with a fixture ``case``, made once for all tests, and pytest runs the contract over that task.

    Example:
        .. code-block:: python

            class TestMine(TaskConformance):
                @pytest.fixture(scope="class")
                def case(self) -> TaskCase:
                    return TaskCase(MyTask(variant="tiny"))

    Put ``pytest.register_assert_rewrite("tasks.conformance")`` before the import for messages that show the compared
    values.
    """

    def test_describes_itself(self, case: TaskCase) -> None:
        """It has a name, a source, a docstring, a description of each option, and an identity that survives JSON."""
        import json

        kind = type(case.task)
        assert kind.name
        assert kind.source
        assert kind.version >= 1
        assert kind.__doc__
        for name, option in kind.Options.model_fields.items():
            assert option.description, f"option {name!r} has no description"
        assert set(kind.scoring_options) <= set(kind.Options.model_fields)
        key = case.task.key
        assert TaskKey(**json.loads(canonical_json(key.as_json()))) == key
        rebuilt = kind(**key.options, **key.scoring)
        assert rebuilt.problem == case.task.problem

    def test_refuses_what_is_outside_its_space(self, case: TaskCase) -> None:
        """Its space holds its references and corners, and nothing else."""
        import pytest

        from harness.errors import SpaceError

        space = case.task.space
        for config in [*configurations(case.task), *corners(case.task)]:
            assert space.validate(config) == config
            with pytest.raises(SpaceError):
                space.validate({**config, "no such parameter": 1})
            for name in config:
                domain = space.parameters[name]
                outside = "no such value" if isinstance(domain, Choice) else domain.high + 1
                with pytest.raises(SpaceError):
                    space.validate({**config, name: outside})

    def test_a_drawn_split_keeps_sizes_and_test_examples_and_is_trained_on(self, case: TaskCase) -> None:
        """A split is decided by its seed, moves no test example, and can be trained on."""
        import pytest

        task, data = case.task, case.data
        if not task.draws_splits:
            pytest.skip("it draws none")
        before = data_digest(data)
        one, again, other = task.split(data, 1), task.split(data, 1), task.split(data, 2)
        assert data_digest(data) == before
        assert data_digest(one) == data_digest(again) != data_digest(other)
        assert data_digest(one) != before
        assert {name: (array.shape, array.dtype) for name, array in one.items()} == {
            name: (array.shape, array.dtype) for name, array in data.items()
        }
        assert all(np.array_equal(one[name], data[name]) for name in data if "test" in name)
        evaluation = task.evaluate(configurations(task)[0], epochs=1, seed=SEED, data=one)
        assert evaluation.status is Status.OK

    def test_curve(self, case: TaskCase) -> None:
        """An evaluation has a row for each epoch, with what the objective names."""
        evaluation, objective = case.whole, case.task.objective
        assert evaluation.status is Status.OK
        assert evaluation.epochs == evaluation.curve.epochs == case.epochs
        assert objective.metric in evaluation.curve
        assert objective.test_metric is None or objective.test_metric in evaluation.curve
        assert min(evaluation.curve["seconds"]) >= 0
        assert (evaluation.message, evaluation.deadline) == ("", None)
        canonical_json({name: list(values) for name, values in evaluation.curve.items()})

    def test_succeeds_at_every_reference(self, case: TaskCase) -> None:
        """Its references succeed, and are no worse than a failure."""
        for config in configurations(case.task):
            evaluation = case.evaluate(config, epochs=case.task.fidelity.low)
            assert evaluation.status is Status.OK, (config, evaluation.message)
            loss = case.task.objective.sign * evaluation.curve[case.task.objective.metric][-1]
            assert loss <= case.task.objective.sign * case.task.objective.failure

    def test_survives_the_corners_of_its_space(self, case: TaskCase) -> None:
        """Extreme configurations succeed or diverge; none is a bug."""
        for config in corners(case.task, turned=case.default):
            evaluation = case.evaluate(config)
            assert evaluation.status in (Status.OK, Status.DIVERGED), evaluation.message
            assert math.isfinite(case.task.objective.loss(evaluation))
            assert evaluation.epochs >= 1

    def test_works_on_read_only_arrays(self, case: TaskCase) -> None:
        """As they are when they come from shared memory; see also the last test."""
        assert not any(array.flags.writeable for array in case.data.values())
        assert case.evaluate(epochs=1).status is Status.OK

    def test_repeats_itself_whatever_the_global_generators_hold(self, case: TaskCase) -> None:
        """Global generators neither matter nor are touched."""
        random.seed(99)
        np.random.seed(99)  # noqa: NPY002 - it is what is tested
        before = random.getstate(), repr(np.random.get_state())  # noqa: NPY002
        again = case.evaluate()
        assert numbers(again.curve) == numbers(case.whole.curve)
        assert (random.getstate(), repr(np.random.get_state())) == before  # noqa: NPY002

    def test_curve_contains_every_shorter_one(self, case: TaskCase) -> None:
        """Nothing depends on the number of epochs that is asked for."""
        short = case.evaluate(epochs=case.task.fidelity.low)
        assert numbers(short.curve) == numbers(case.whole.curve.prefix(case.task.fidelity.low))

    def test_continuing_equals_training_in_one_go(self, case: TaskCase) -> None:
        """Also where something else was trained in between."""
        checkpoint = Checkpoint.fresh()
        for epochs in dict.fromkeys((case.task.fidelity.low, case.epochs)):
            part = case.evaluate(epochs=epochs, checkpoint=checkpoint)
            assert numbers(part.curve) == numbers(case.whole.curve.prefix(epochs))
            case.evaluate(corners(case.task)[0], epochs=case.task.fidelity.low)
        if (
            checkpoint.state is not None
        ):  # what is asked for again is not trained again: the same wall times come back
            assert checkpoint.curve.epochs == case.epochs
            assert case.evaluate(checkpoint=checkpoint).curve == part.curve

    def test_regret_runs_from_better_to_worse(self, case: TaskCase) -> None:
        """The best value is better than the reference."""
        scale, sign = case.task.regret, case.task.objective.sign
        assert scale is None or sign * scale.best < sign * scale.reference

    def test_cost_is_positive_and_deterministic(self, case: TaskCase) -> None:
        """Virtual time moves, and the same way every time."""
        for config in [*configurations(case.task), *corners(case.task)]:
            cost = case.task.cost(config)
            assert type(cost) is float
            assert 0 < cost == case.task.cost(config) < math.inf

    def test_data_are_left_as_they_were(self, case: TaskCase) -> None:
        """Runs last: the arrays are read-only, and nothing above has changed them behind that."""
        assert case.whole.epochs
        assert data_digest(case.data) == case.digest
