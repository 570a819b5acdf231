"""Nodes, evaluators and hosts that go while a sweep runs cost time and change nothing."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter

import pytest
from records import study_records
from watching import evaluation_records, meanwhile, training, watched

pytestmark = pytest.mark.cluster

SWEEP = """\
name: losses
seed: 3
repetitions: 1
workers: 2
budget: {{epochs: 63}}
tasks: [line, {{name: watched, options: {{seconds: 0.02, folder: "{folder}"}}}}]
searchers: [random, optuna_tpe, optuna_hyperband]
"""


@pytest.fixture
def two_nodes(cluster):
    """Leave the cluster with two nodes, whatever happened to them."""
    yield
    while len(cluster.nodes) < 2:
        cluster.add()
    for node in list(cluster.nodes)[2:]:
        cluster.remove(node, graceful=True)


@pytest.fixture
def against_serial(run_sweep, tmp_path, plugin):
    """Return a function that runs a sweep and returns the trainings, having checked its record against serial's."""

    def compare(text, executor):
        serial = run_sweep(text, tmp_path / "serial")
        expected = {training(entry) for entry in watched(tmp_path, "begin")}
        (tmp_path / "watched").rename(tmp_path / "watched-by-serial")
        progress = run_sweep(text, tmp_path / "ray", executor=executor)
        assert progress.failed == serial.failed == {}
        assert study_records(tmp_path / "ray") == study_records(tmp_path / "serial")
        assert evaluation_records(tmp_path / "ray") == evaluation_records(tmp_path / "serial")
        assert expected <= {training(entry) for entry in watched(tmp_path, "begin")}
        return progress

    return compare


def trained_again(folder):
    """Count the trainings that were finished more often than once."""
    return Counter(training(entry) for entry in watched(folder, "end")).total() - len(
        {training(entry) for entry in watched(folder, "end")}
    )


def latest(folder):
    return watched(folder, "begin")[-1]


def begun(folder, number):
    return lambda: len(watched(folder, "begin")) >= number


def test_nodes_that_go_and_come_change_nothing(against_serial, tmp_path, cluster, on_ray, two_nodes):
    executor = on_ray()
    to_come = meanwhile(
        executor,
        (begun(tmp_path, 6), lambda: cluster.remove(cluster.node(latest(tmp_path)["node"]))),
        (begun(tmp_path, 10), cluster.add),
        (begun(tmp_path, 15), lambda: cluster.remove(cluster.node(latest(tmp_path)["node"]), graceful=True)),
        (begun(tmp_path, 20), cluster.add),
    )
    progress = against_serial(SWEEP.format(folder=tmp_path), executor)
    assert not to_come
    assert progress.lost >= 1
    assert len({entry["node"] for entry in watched(tmp_path)}) >= 3
    assert trained_again(tmp_path) <= 2


def test_evaluators_follow_a_node_that_comes(run_sweep, tmp_path, cluster, on_ray, two_nodes):
    text = f"""\
name: growing
repetitions: 1
workers: 3
budget: {{evaluations: 40}}
tasks: [{{name: watched, options: {{seconds: 0.1, folder: "{tmp_path}"}}}}]
searchers: [random]
"""
    executor = on_ray()

    def grow():
        """Have a node come, and hold the sweep until an evaluator has followed: else it may end before."""
        cluster.add()
        until = time.monotonic() + 60
        while len({each.location.node for each in executor._evaluators if each.location}) < 3:
            assert time.monotonic() < until, "no evaluator follows"
            executor._follow()
            executor._collect(0.1)

    meanwhile(executor, (begun(tmp_path, 1), grow))
    run_sweep(text, executor=executor)
    assert len({entry["node"] for entry in watched(tmp_path)}) == 3


def test_losing_its_node_twice_never_counts_against_a_configuration(
    run_sweep, tmp_path, cluster, on_ray, two_nodes
):
    text = f"""\
name: long
repetitions: 1
budget: {{evaluations: 1}}
tasks: [{{name: watched, options: {{seconds: 0.25, folder: "{tmp_path}"}}}}]
searchers: [random]
"""
    executor = on_ray()

    def lose():
        cluster.remove(cluster.node(latest(tmp_path)["node"]))
        cluster.add()

    to_come = meanwhile(executor, (begun(tmp_path, 1), lose), (begun(tmp_path, 2), lose))
    progress = run_sweep(text, executor=executor)
    assert not to_come
    assert progress.lost == 2
    assert dict(progress.statuses) == {"ok": 1}


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=["killed", "terminated"])
def test_killed_evaluators_change_nothing(against_serial, tmp_path, on_ray, number):
    executor = on_ray()

    def kill():
        os.kill(latest(tmp_path)["pid"], number)

    to_come = meanwhile(executor, (begun(tmp_path, 8), kill), (begun(tmp_path, 20), kill))
    against_serial(SWEEP.format(folder=tmp_path), executor)
    assert not to_come
    assert len({entry["pid"] for entry in watched(tmp_path)}) >= 3
    assert trained_again(tmp_path) <= 2


def test_a_trial_whose_checkpoint_was_lost_is_trained_again_from_the_start(
    against_serial, tmp_path, on_ray, monkeypatch
):
    monkeypatch.setattr("harness.executors.ray.POLL_SECONDS", 0.05)  # to look while a training goes on
    executor, killed = on_ray(), []

    def continuing():
        ended = [training(entry) for entry in watched(tmp_path, "end")]
        begun = watched(tmp_path, "begin")
        return [entry for entry in begun if entry["first"] > 0 and training(entry) not in ended]

    def kill():
        killed.append(continuing()[0])
        os.kill(killed[0]["pid"], signal.SIGKILL)

    to_come = meanwhile(executor, (continuing, kill))
    text = SWEEP.format(folder=tmp_path).replace("0.02", "0.1").replace("random, optuna_tpe, ", "")
    against_serial(text, executor)
    assert not to_come
    again = [entry for entry in watched(tmp_path, "end") if training(entry) == training(killed[0])]
    assert [entry["first"] for entry in again] == [0]
    assert again[0]["pid"] != killed[0]["pid"]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=["killed", "terminated"])
def test_a_killed_study_host_changes_nothing(against_serial, tmp_path, on_ray, number):
    executor = on_ray()

    def kill():
        os.kill(executor._hosts[0].location.pid, number)

    to_come = meanwhile(executor, (begun(tmp_path, 8), kill))
    against_serial(SWEEP.format(folder=tmp_path), executor)
    assert not to_come
    assert trained_again(tmp_path) == 0
