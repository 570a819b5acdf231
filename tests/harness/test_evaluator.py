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


class Device:
    """A device that holds so many trainings at once; each gives its place back when nothing holds it any more."""

    def __init__(self, room):
        self.room, self.held, self.begun = room, 0, 0

    def training(self):
        self.begun += 1
        if self.held >= self.room:
            raise MemoryError("CUDA out of memory")
        self.held += 1
        return Place(self)


class Place:
    def __init__(self, device):
        self.device = device

    def __del__(self):
        self.device.held -= 1


def resting_on(device, epochs=9):
    """Return a task whose trainings keep their place on a device while they may be continued."""
    from harness.space import Float
    from tasks.own.function import task

    @task(space={"x": Float(0.0, 1.0)}, direction="min", failure=9.0, epochs=epochs, name="resting")
    def resting(config, seed):
        place = device.training()
        for epoch in range(epochs):
            yield config["x"] / (epoch + 1) + 0 * place.device.held

    return resting


@pytest.fixture
def on(monkeypatch):
    """Return a function that makes an evaluator of `resting_on` a device, and one that evaluates a point with it."""

    def made(device):
        kind = resting_on(device)
        monkeypatch.setattr(module, "task_of", lambda key: kind())
        evaluator, key = Evaluator(1, lambda key: {}), kind().key
        return lambda x, epochs: evaluator.evaluate(Job(EvaluationKey(key, {"x": x}, 7), epochs))

    return made


def test_trainings_that_rest_make_room_and_are_trained_again_with_the_same_result(on):
    """What an evaluation gives does not depend on what its evaluator had trained before."""
    roomy = on(Device(room=9))
    expected = [roomy(x, 3) for x in (0.1, 0.2, 0.3)]
    device = Device(room=2)
    evaluate = on(device)
    made = [evaluate(x, 3) for x in (0.1, 0.2, 0.3)]
    for outcome, other in zip(made, expected, strict=True):
        assert isinstance(outcome, Evaluated)
        assert outcome.evaluation.curve["value"] == other.evaluation.curve["value"]
    assert (device.begun, device.held) == (4, 1)
    again = evaluate(0.1, 5)
    assert again.evaluation.curve["value"] == pytest.approx([0.1 / epoch for epoch in range(1, 6)])


def test_what_finds_no_room_even_alone_is_lost_after_one_more_try(on):
    device = Device(room=1)
    evaluate = on(device)
    assert isinstance(evaluate(0.1, 3), Evaluated)
    device.room = 0
    assert evaluate(0.2, 3) == Lost(Cause.MEMORY, "out of memory: CUDA out of memory")
    assert (device.begun, device.held) == (3, 0)
    assert isinstance(evaluate(0.3, 3), Lost)
    assert device.begun == 4  # nothing rested here any more


def test_a_training_that_cannot_go_on_any_more_does_not_rest(on):
    device = Device(room=9)
    evaluate = on(device)
    assert evaluate(0.1, 9).evaluation.epochs == 9
    assert device.held == 0


@pytest.mark.parametrize(("strict", "short"), [(True, False), (False, True)])
def test_the_watch_ends_what_takes_more_than_its_share(monkeypatch, strict, short):
    from harness.executors import actors

    monkeypatch.setattr(actors, "SHORT", 0.0 if short else 1.0)
    with pytest.raises(MemoryError), actors.MemoryWatch(actors.MemoryLimit(1.0, strict)):
        until = time.monotonic() + 5
        while time.monotonic() < until:
            time.sleep(0.01)


def test_the_watch_gives_time_again_to_what_had_come_back_within_its_share(monkeypatch):
    from harness.executors import actors

    taken, ended = [2.0], []
    monkeypatch.setattr(actors, "own_memory", lambda: taken[0])
    monkeypatch.setattr(actors, "WATCH_SECONDS", 0.01)
    monkeypatch.setattr(actors, "YIELD_SECONDS", 0.3)
    monkeypatch.setattr(actors.os, "_exit", ended.append)

    def raised():
        until = time.monotonic() + 5
        try:
            while time.monotonic() < until:
                time.sleep(0.001)
        except MemoryError:
            return True
        return False

    with actors.MemoryWatch(actors.MemoryLimit(1.0, strict=True)):
        assert raised()
        taken[0] = 0.5
        time.sleep(0.5)
        taken[0] = 2.0
        assert raised()
        taken[0] = 0.5
    assert ended == []


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
