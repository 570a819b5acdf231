"""Trying a task out: what is wrong with one is found."""

from __future__ import annotations

import itertools
import re

import pytest
from command import derby

from harness import registry
from harness.space import Float
from harness.tryout import FailedThereError, in_another_process, try_task
from tasks.own.function import task

COUNT = itertools.count()
SHARED = []


def failing(config):
    raise ZeroDivisionError("made to fail")


def drifting(config):
    return float(next(COUNT))


def knowing_its_end(config, epochs):
    return [config["x"] + epochs] * epochs


def interfering(config):
    SHARED.append(1)
    before = len(SHARED)
    yield config["x"]
    yield float(len(SHARED) == before)


def diverging(config):
    return float("nan")


def sound(config, epochs):
    return [config["x"] + epoch for epoch in range(epochs)]


@pytest.mark.parametrize(
    ("function", "epochs", "wrong", "words"),
    [
        (failing, 1, "it runs", "ZeroDivisionError: made to fail"),
        (drifting, 1, "it repeats itself", "the same seed gave value"),
        (knowing_its_end, 3, "a longer training contains a shorter one", "differs from the beginning"),
        (interfering, 2, "a trial can be continued", "value 1.0 and then 0.0 in epoch 2"),
        (diverging, 1, "its metrics are finite", "diverged, value = nan in epoch 1"),
        (sound, 3, None, ""),
    ],
)
def test_what_is_wrong_is_found(function, epochs, wrong, words):
    made = task(
        name=function.__name__, source="here", space={"x": Float(0, 1)}, direction="max", epochs=epochs
    )(function)
    tried = try_task(made())
    bad = {check.what: check.words for check in tried.checks if check.good is False}
    assert tried.good == (wrong is None)
    if wrong is not None:
        assert words in bad[wrong]


def test_what_differs_between_processes_is_found(tmp_path):
    (tmp_path / "texts.py").write_text(
        "import derby\n\n"
        "@derby.task(space={'x': derby.Float(0, 1)}, direction='max')\n"
        "def hash_of_a_text(config):\n"
        "    return hash('text') % 1000003\n"
    )
    made, _ = registry.named_task(f"{tmp_path / 'texts.py'}:hash_of_a_text", {})
    (bad,) = (check for check in try_task(made(), randoms=0).checks if check.good is False)
    assert (bad.what, bad.words[:20]) == ("another process gives the same", "the same seed gave v")


def test_what_fails_in_another_process_is_said():
    assert in_another_process(sorted, (2, 1)) == [1, 2]
    with pytest.raises(FailedThereError, match="ValueError: invalid literal"):
        in_another_process(int, "x")


def test_what_takes_a_moment_takes_more_than_no_time():
    done = derby("try", "branin", COLUMNS="200")
    assert done.returncode == 0, done.stderr
    assert len(re.findall(r" ok +[0-9.]+ +[0-9.]+ ms", done.stdout)) > 3
    assert re.search(r"full evaluations: about [0-9.]+ ms of training", done.stdout)
