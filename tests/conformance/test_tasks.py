"""The conformance suite for tasks: runs over all registered ones in their cheapest variant.

Its cases, and how to write their fingerprints anew, are in `task_cases`.
"""

from __future__ import annotations

import json
import math
import random
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest
from task_cases import (
    NAMES,
    SEED,
    case_of,
    configurations,
    corners,
    differences,
    fingerprint,
    labels,
    numbers,
    read_fingerprints,
)

from harness.errors import SpaceError
from harness.keys import TaskKey, canonical_json
from harness.space import Choice
from harness.task import Checkpoint, data_digest
from harness.trial import Status

pytestmark = pytest.mark.tensorflow

LABELS = tuple(labels())
TRAINED = tuple(labels(cheap=False))


@pytest.fixture(params=LABELS)
def case(request):
    return case_of(request.param)


@pytest.fixture(params=TRAINED)
def trained(request):
    return case_of(request.param)


def test_tasks_are_registered():
    functions, trained = {"branin", "hartmann6", "mixed"}, {"fashion_cnn", "fashion_mlp"}
    assert functions | trained | {"mnist_mlp", "mnist_mlp_design", "mnist_net"} <= set(NAMES)


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


def test_a_drawn_split_keeps_sizes_and_test_examples_and_is_trained_on(case):
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
    for config in corners(case.task, turned=case.default):
        evaluation = case.evaluate(config)
        assert evaluation.status in (Status.OK, Status.DIVERGED), evaluation.message
        assert math.isfinite(case.task.objective.loss(evaluation))
        assert evaluation.epochs >= 1


def test_works_on_read_only_arrays(case):
    """As they are when they come from shared memory; see also the last test."""
    assert not any(array.flags.writeable for array in case.data.values())
    assert case.evaluate(epochs=1).status is Status.OK


def test_gives_the_numbers_checked_in(trained, request):
    """A changed model, split, order or metric shows here; rounding on another processor does not."""
    label = request.node.callspec.params["trained"]
    how = f"tests/conformance/task_cases.py {label!r} writes its fingerprint"
    recorded = read_fingerprints().get(label)
    assert recorded is not None, f"{label} has no fingerprint: {how}"
    configs = [each["config"] for each in recorded["evaluations"]]
    found = list(differences(recorded, fingerprint(trained, configs)))
    assert not found, "\n".join([*found, f"If this is meant, raise the task's version; {how} anew."])


def test_no_fingerprint_is_left_over():
    assert set(read_fingerprints()) <= set(TRAINED)


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


def test_regret_runs_from_better_to_worse(case):
    scale, sign = case.task.regret, case.task.objective.sign
    assert scale is None or sign * scale.best < sign * scale.reference


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
        "import task_cases as t\n"
        "cases = {label: t.case_of(label) for label in reversed([*t.labels()])}\n"
        "print(json.dumps({label: [t.numbers(c.whole.curve), c.digest] for label, c in cases.items()}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    there = json.loads(done.stdout.splitlines()[-1])
    for label in LABELS:
        assert there[label] == [numbers(case_of(label).whole.curve), case_of(label).digest], label


def test_data_are_left_as_they_were(case):
    """Runs last: the arrays are read-only, and nothing above has changed them behind that."""
    assert case.whole.epochs
    assert data_digest(case.data) == case.digest
