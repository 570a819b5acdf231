"""The evaluator: checkpoints kept within bounds, and what becomes of an evaluation without memory."""

from __future__ import annotations

import time

import pytest

from harness import evaluator as module
from harness.evaluator import Cause, Evaluated, Evaluator, Job, Lost
from harness.keys import EvaluationKey
from harness.task import Checkpoint


@pytest.fixture
def kept(plugin):
    """An evaluator whose checkpoints take the bytes they are named by."""
    made = Evaluator(1, lambda key: {})

    def keep(*sizes):
        for size in sizes:
            checkpoint = Checkpoint.fresh()
            checkpoint.state, checkpoint.nbytes = "weights", size
            made._keep(str(size), checkpoint)
        return [int(name) for name in made._checkpoints]

    return keep


def test_the_latest_checkpoints_are_kept_within_a_number(kept):
    assert kept(*range(20)) == list(range(20))[-module.CHECKPOINTS_KEPT :]


def test_the_latest_checkpoints_are_kept_within_a_size(kept, monkeypatch):
    monkeypatch.setattr(module, "CHECKPOINT_BYTES", 100)
    assert kept(30, 40, 50) == [40, 50]
    assert kept(101) == [101]


def test_no_memory_is_a_loss_and_not_a_bug(plugin, monkeypatch):
    import derby_test_plugin

    def evaluate(self, config, **rest):
        raise MemoryError("cannot allocate 9 TB")

    monkeypatch.setattr(derby_test_plugin.Troublesome, "evaluate", evaluate)
    task = derby_test_plugin.Troublesome()
    outcome = Evaluator(1, lambda key: {}).evaluate(Job(EvaluationKey(task.key, {"x": 0.1, "n": 1}, 0), 9))
    assert outcome == Lost(Cause.MEMORY, "out of memory: cannot allocate 9 TB")


@pytest.mark.parametrize(("strict", "short"), [(True, False), (False, True)])
def test_the_watch_ends_what_takes_more_than_its_share(monkeypatch, strict, short):
    from harness.executors import actors

    monkeypatch.setattr(actors, "SHORT", 0.0 if short else 1.0)
    with pytest.raises(MemoryError), actors.MemoryWatch(actors.MemoryLimit(1.0, strict)):
        until = time.monotonic() + 5
        while time.monotonic() < until:
            time.sleep(0.01)


def test_the_watch_lets_be_who_takes_more_where_there_is_enough(monkeypatch):
    from harness.executors import actors

    monkeypatch.setattr(actors, "SHORT", 1.0)
    with actors.MemoryWatch(actors.MemoryLimit(1.0, strict=False)):
        time.sleep(3 * actors.WATCH_SECONDS)


def test_an_evaluation_within_its_share_is_left_alone(plugin):
    import derby_test_plugin

    from harness.executors.actors import MemoryLimit, MemoryWatch

    task = derby_test_plugin.Troublesome()
    with MemoryWatch(MemoryLimit(1e12, strict=True)):
        job = Job(EvaluationKey(task.key, {"x": 0.1, "n": 1}, 0), 9)
        assert isinstance(Evaluator(1, lambda key: {}).evaluate(job), Evaluated)
