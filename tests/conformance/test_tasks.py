"""What every task must do, run over all registered ones in their cheapest variant."""

from __future__ import annotations

import json
import math
import random
import subprocess
import sys
from functools import cache, cached_property
from importlib import metadata
from pathlib import Path
from typing import get_args

import numpy as np
import pytest

from harness import registry
from harness.errors import SpaceError
from harness.keys import TaskKey, canonical_json
from harness.space import Choice
from harness.task import Checkpoint, data_digest, read_only
from harness.trial import Status

SEED = 1
CHEAP_TO_EXPENSIVE = ("tiny", "small", "full")
NAMES = sorted(registry.tasks())


class Case:
    """A task, its data, and the evaluation of its first configuration that most tests compare with."""

    def __init__(self, task):
        task.prepare(1)
        self.task = task
        self.data = read_only(task.load())
        self.digest = data_digest(self.data)
        self.config = configurations(task)[0]
        self.epochs = task.fidelity.high

    def evaluate(self, config=None, *, epochs=None, seed=SEED, **rest):
        config = self.config if config is None else config
        return self.task.evaluate(config, epochs=epochs or self.epochs, seed=seed, data=self.data, **rest)

    @cached_property
    def whole(self):
        return self.evaluate()


def cheapest(cls):
    if "variant" not in cls.Options.model_fields:
        return cls()
    variants = get_args(cls.Options.model_fields["variant"].annotation)
    return cls(variant=next(v for v in CHEAP_TO_EXPENSIVE if v in variants))


def configurations(task):
    """The reference configurations, or the middle of the space where there are none."""
    return [dict(c) for c in task.space.references.values()] or [
        task.space.from_unit([0.5] * len(task.space))
    ]


def corners(task):
    return [task.space.from_unit([u] * len(task.space)) for u in (0.0, 1.0)]


def numbers(curve):
    """What must be reproduced: everything but wall time."""
    return {name: list(values) for name, values in curve.items() if name != "seconds"}


@cache
def case_of(name):
    return Case(cheapest(registry.task(name)))


@pytest.fixture(params=NAMES)
def case(request):
    return case_of(request.param)


@pytest.fixture(params=[name for name in NAMES if not registry.task(name).cheap])
def trained(request):
    return case_of(request.param)


def test_tasks_are_registered():
    assert {"branin", "hartmann6", "mixed", "mnist_mlp", "fashion_mlp"} <= set(NAMES)


def test_listing_tasks_loads_no_training_library():
    code = (
        "import sys; from harness import registry; registry.tasks(); "
        "print([m for m in ('tensorflow', 'keras', 'sklearn', 'pandas', 'ray') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_describes_itself(case):
    cls = type(case.task)
    assert cls.name
    assert cls.source
    assert cls.version >= 1
    assert cls.__doc__
    for distribution in cls.libraries.values():
        assert metadata.version(distribution)
    for name, option in cls.Options.model_fields.items():
        assert option.description, f"option {name!r} has no description"
    assert set(cls.scoring_options) <= set(cls.Options.model_fields)
    key = case.task.key
    assert TaskKey(**json.loads(canonical_json(key.as_json()))) == key
    rebuilt = cls(**key.options, **key.scoring)
    assert rebuilt.problem == case.task.problem


def test_refuses_what_is_outside_its_space(case):
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


def test_curve(case):
    evaluation, objective = case.whole, case.task.objective
    assert evaluation.status is Status.OK
    assert evaluation.epochs == evaluation.curve.epochs == case.epochs
    assert objective.metric in evaluation.curve
    assert objective.test_metric is None or objective.test_metric in evaluation.curve
    assert min(evaluation.curve["seconds"]) >= 0
    assert (evaluation.message, evaluation.deadline) == ("", None)
    canonical_json({name: list(values) for name, values in evaluation.curve.items()})


def test_succeeds_at_every_reference(case):
    for config in configurations(case.task):
        evaluation = case.evaluate(config, epochs=case.task.fidelity.low)
        assert evaluation.status is Status.OK, (config, evaluation.message)
        loss = case.task.objective.sign * evaluation.curve[case.task.objective.metric][-1]
        assert loss <= case.task.objective.sign * case.task.objective.failure


def test_survives_the_corners_of_its_space(case):
    for config in corners(case.task):
        evaluation = case.evaluate(config)
        assert evaluation.status in (Status.OK, Status.DIVERGED), evaluation.message
        assert math.isfinite(case.task.objective.loss(evaluation))
        assert evaluation.epochs >= 1


def test_repeats_itself_whatever_the_global_generators_hold(case):
    random.seed(99)
    np.random.seed(99)  # the global generator must neither matter nor be touched
    before = random.getstate(), repr(np.random.get_state())
    again = case.evaluate()
    assert numbers(again.curve) == numbers(case.whole.curve)
    assert (random.getstate(), repr(np.random.get_state())) == before


def test_seed_matters_where_something_is_trained(trained):
    other = trained.evaluate(epochs=1, seed=SEED + 1)
    assert numbers(other.curve) != numbers(trained.whole.curve.prefix(1))


def test_curve_contains_every_shorter_one(case):
    short = case.evaluate(epochs=case.task.fidelity.low)
    assert numbers(short.curve) == numbers(case.whole.curve.prefix(case.task.fidelity.low))


def test_continuing_equals_training_in_one_go(case):
    checkpoint = Checkpoint.fresh()
    for epochs in dict.fromkeys((case.task.fidelity.low, case.epochs)):
        part = case.evaluate(epochs=epochs, checkpoint=checkpoint)
        assert numbers(part.curve) == numbers(case.whole.curve.prefix(epochs))
        assert checkpoint.curve.epochs == epochs
    # what is asked for again is not trained again: the same wall times come back
    assert case.task.cheap or case.evaluate(checkpoint=checkpoint).curve == part.curve


def test_honours_its_deadline(trained):
    assert trained.epochs > 1, "the cheapest variant of a trained task needs two epochs"
    checkpoint = Checkpoint.fresh()
    late = trained.evaluate(deadline=1e-9, checkpoint=checkpoint)
    assert late.status is Status.TIMEOUT
    assert late.deadline == 1e-9
    assert late.message
    assert late.epochs == late.curve.epochs < trained.epochs
    assert numbers(late.curve) == numbers(trained.whole.curve.prefix(late.epochs))
    rest = trained.evaluate(deadline=600.0, checkpoint=checkpoint)
    assert rest.status is Status.OK
    assert numbers(rest.curve) == numbers(trained.whole.curve)


def test_cost_is_positive_and_deterministic(case):
    for config in [*configurations(case.task), *corners(case.task)]:
        cost = case.task.cost(config)
        assert type(cost) is float
        assert 0 < cost == case.task.cost(config) < math.inf


def test_repeats_itself_in_another_process(tmp_path):
    """One process for all tasks, because importing the training library takes longer than training."""
    code = (
        "import json, sys\n"
        f"sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "import test_tasks as t\n"
        "cases = {name: t.case_of(name) for name in reversed(t.NAMES)}\n"
        "print(json.dumps({name: [t.numbers(c.whole.curve), c.digest] for name, c in cases.items()}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    there = json.loads(done.stdout.splitlines()[-1])
    for name in NAMES:
        assert there[name] == [numbers(case_of(name).whole.curve), case_of(name).digest], name


def test_data_are_left_as_they_were(case):
    """Runs last: the arrays are read-only, and nothing above has changed them behind that."""
    assert case.whole.epochs
    assert data_digest(case.data) == case.digest
