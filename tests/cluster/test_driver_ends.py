"""A driver that is killed, interrupted or loses its cluster leaves a record from which it goes on to the same end."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time

import pytest
from records import PLUGIN, study_records
from watching import evaluation_records, training, watched

pytestmark = pytest.mark.cluster

SWEEP = """\
name: ends
seed: 2
repetitions: 2
workers: 4
budget: {{epochs: 54}}
tasks: [line, {{name: watched, options: {{seconds: 0.01, folder: "{folder}"}}}}]
searchers: [random, grid, optuna_tpe]
"""
EVALUATORS = 2


class Runs:
    """Starts ``derby run`` on a sweep in processes of their own."""

    def __init__(self, folder, results, address):
        self.folder, self.results, self.address = folder, results, address
        self.sweep = folder / "sweep.yaml"
        self.sweep.write_text(SWEEP.format(folder=folder))
        (folder / "watched").unlink(missing_ok=True)

    def start(self, executor="ray", **env):
        command = [sys.executable, "-m", "harness.cli", "run", self.sweep, "--results", self.results]
        if executor == "ray":
            command += ["--executor", "ray", "--address", self.address]
        # A shell that runs the tests in the background has them, and so their children, ignore Ctrl-C.
        return subprocess.Popen(
            [str(part) for part in command],
            env={**os.environ, "PYTHONPATH": str(PLUGIN), **env},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 - no threads here
        )

    def wait_for_work(self, process, trainings=1):
        """Wait until so many trainings have ended that had not before."""
        wanted, until = len(watched(self.folder, "end")) + trainings, time.monotonic() + 120
        while len(watched(self.folder, "end")) < wanted and process.poll() is None:
            assert time.monotonic() < until, "the driver does nothing"
            time.sleep(0.01)

    def finish(self, executor="ray"):
        """Run to the end."""
        process = self.start(executor)
        output = process.communicate(timeout=120)[0].decode()
        assert process.returncode == 0, output


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    """A folder with the sweep's record by the serial executor."""
    folder = tmp_path_factory.mktemp("ends")
    Runs(folder, folder / "serial", "").finish("serial")
    (folder / "watched").rename(folder / "watched-by-serial")
    return folder


@pytest.fixture
def runs(tmp_path, cluster, expected):
    return Runs(expected, tmp_path / "results", cluster.address)


@pytest.fixture
def same_as_serial(runs, expected):
    """Return a function that checks that the record is serial's."""

    def check():
        assert study_records(runs.results) == study_records(expected / "serial")
        assert evaluation_records(runs.results) == evaluation_records(expected / "serial")

    return check


def test_a_driver_killed_at_random_moments_leaves_the_same_record(runs, same_as_serial):
    kills, killed, rng = int(os.environ.get("DERBY_TEST_KILLS", "3")), 0, random.Random(4)
    for i in range(kills):
        process = runs.start()
        if i % 3:
            runs.wait_for_work(process)
            time.sleep(rng.uniform(0, 1.5 / kills))
        else:
            time.sleep(rng.uniform(0, 4))
        if process.poll() is None:
            process.kill()
            killed += 1
        process.communicate()
    runs.finish()
    same_as_serial()
    begun = [training(entry) for entry in watched(runs.folder, "begin")]
    again = len(begun) - len(set(begun))
    print(f"{killed} kills, {len(set(begun))} evaluations, {again} begun twice")
    assert killed >= min(kills, 2)
    assert again <= killed * EVALUATORS


@pytest.mark.parametrize(
    ("executor", "number"),
    [("serial", signal.SIGINT), ("serial", signal.SIGTERM), ("ray", signal.SIGINT), ("ray", signal.SIGTERM)],
)
def test_asked_once_it_stops_and_says_how_to_go_on(runs, same_as_serial, executor, number):
    process = runs.start(executor)
    runs.wait_for_work(process, 3)
    process.send_signal(number)
    output = process.communicate(timeout=60)[0].decode().replace("\n", "")
    assert process.returncode == 130, output
    assert "everything recorded is safe" in output
    assert f"derby run {runs.sweep}" in output
    assert "Traceback" not in output
    assert all(path.read_text().endswith("\n") for path in runs.results.rglob("*.jsonl"))
    runs.finish("serial")
    same_as_serial()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_asked_while_it_waits_for_ray_it_ends_in_order(runs, number):
    """Ray raises an exception of its own where a signal's handler does, in the midst of its wait."""
    runs.sweep.write_text(runs.sweep.read_text().replace("seconds: 0.01", "seconds: 1"))
    process = runs.start()
    runs.wait_for_work(process)
    time.sleep(0.3)  # all evaluators are in the midst of an evaluation
    process.send_signal(number)
    output = process.communicate(timeout=60)[0].decode()
    assert process.returncode == 130, output
    assert "everything recorded is safe" in output
    (run,) = (runs.results / "sweeps" / "ends" / "runs").glob("*.json")
    assert json.loads(run.read_text())["ended"]


@pytest.mark.parametrize("executor", ["serial", "ray"])
def test_asked_twice_it_exits_at_once(runs, same_as_serial, executor):
    process = runs.start(executor)
    runs.wait_for_work(process, 3)
    process.send_signal(signal.SIGINT)
    time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    began = time.monotonic()
    output = process.communicate(timeout=60)[0].decode()
    assert time.monotonic() - began < 3
    # A process that had just done what the first asked is ended by the second as Python ends it.
    assert process.returncode in (130, -signal.SIGINT), output
    assert "Traceback" not in output
    runs.finish("serial")
    same_as_serial()


def test_a_driver_whose_cluster_is_lost_goes_on_elsewhere(runs, same_as_serial, expected, tmp_path):
    from ray.cluster_utils import Cluster

    other = Cluster(
        initialize_head=True,
        head_node_args={"num_cpus": 1, "include_dashboard": False, "object_store_memory": 100 << 20},
    )
    try:
        lost = Runs(expected, tmp_path / "results", other.address)
        # Ray ends a process itself that has not reached the head for so long.
        process = lost.start(RAY_gcs_rpc_server_reconnect_timeout_s="3")
        lost.wait_for_work(process, 3)
        other.head_node.kill_all_processes(check_alive=False, allow_graceful=False, wait=True)
        output = process.communicate(timeout=60)[0].decode()
        assert process.returncode not in (0, 130), output
    finally:
        other.shutdown()
    runs.finish("serial")
    same_as_serial()
