"""The conformance suite for tasks: runs over all registered ones in their cheapest variant.

Its cases, and how to write their fingerprints anew, are in `task_cases`.
"""

from __future__ import annotations

import json
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
from task_cases import (
    NAMES,
    case_of,
    differences,
    fingerprint,
    labels,
    read_fingerprints,
)

from harness.task import Checkpoint
from harness.trial import Status
from tasks.conformance import SEED, TaskConformance, numbers

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


def test_its_libraries_are_installed(case):
    for distribution in case.task.libraries.values():
        assert metadata.version(distribution)


class TestTasks(TaskConformance):
    """The suite."""


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


def test_seed_matters_where_something_is_trained(trained):
    other = trained.evaluate(epochs=1, seed=SEED + 1)
    assert numbers(other.curve) != numbers(trained.whole.curve.prefix(1))


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


def test_repeats_itself_in_another_process(tmp_path):
    """One process for all tasks, because importing the training library takes longer than training."""
    code = (
        "import json, sys\n"
        f"sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "import task_cases as t\n"
        "from tasks.conformance import numbers\n"
        "cases = {label: t.case_of(label) for label in reversed([*t.labels()])}\n"
        "print(json.dumps({label: [numbers(c.whole.curve), c.digest] for label, c in cases.items()}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    there = json.loads(done.stdout.splitlines()[-1])
    for label in LABELS:
        assert there[label] == [numbers(case_of(label).whole.curve), case_of(label).digest], label
