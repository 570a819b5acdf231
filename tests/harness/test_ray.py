"""The Ray executor on a cluster of its own; tests/cluster has those on several nodes."""

from __future__ import annotations

import contextlib
import ipaddress
import socket
from collections import defaultdict

import pytest
from records import study_records
from watching import meanwhile

pytestmark = pytest.mark.ray

SWEEP = """\
name: ray
seed: 11
repetitions: 1
budget: {evaluations: 4}
tasks: [mnist_mlp/tiny, hartmann6]
searchers: [random, optuna_tpe, skopt_gp]
"""


@pytest.fixture(scope="module")
def executor():
    """An executor that started a cluster on this machine."""
    import ray

    from harness.executors.ray import RayExecutor

    assert not ray.is_initialized()
    made = RayExecutor(1)
    yield made
    made.close()
    assert not ray.is_initialized()


def test_without_an_address_it_starts_a_cluster_and_gives_the_record_of_serial(run_sweep, tmp_path, executor):
    by_ray = run_sweep(SWEEP, tmp_path / "ray", executor=executor)
    serial = run_sweep(SWEEP, tmp_path / "serial")
    assert by_ray.failed == serial.failed == {}
    records = study_records(tmp_path / "ray")
    assert records == study_records(tmp_path / "serial")
    assert len(records) == 6


def test_a_budget_of_cost_pays_for_the_same_as_in_serial(run_sweep, tmp_path, executor):
    text = """\
name: ray
seed: 3
repetitions: 1
budget: {cost: 6.0e9}
workers: 4
tasks: [mnist_mlp/tiny]
searchers: [random, optuna_tpe, optuna_hyperband]
"""
    by_ray = run_sweep(text, tmp_path / "ray", executor=executor)
    assert by_ray.ended_well
    run_sweep(text, tmp_path / "serial")
    assert study_records(tmp_path / "ray") == study_records(tmp_path / "serial")


def test_a_replay_is_raced_as_serial_races_it(run_sweep, tmp_path, executor):
    """Hosts evaluate it, each from the file, and virtual time runs on recorded seconds."""
    from recordings import recorded

    from harness.recording_file import save

    save(recorded(configurations=40, diverges=0.2), tmp_path / "one.parquet")
    text = (
        f"name: ray\nrepetitions: 2\nworkers: 4\nbudget: {{epochs: 60}}\ntasks: ['replay/{tmp_path}/one.parquet']\n"
        "searchers: [random, optuna_tpe, optuna_hyperband]\n"
    )
    by_ray = run_sweep(text, tmp_path / "ray", executor=executor)
    serial = run_sweep(text, tmp_path / "serial")
    assert by_ray.failed == serial.failed == {}
    records = study_records(tmp_path / "ray")
    assert records == study_records(tmp_path / "serial")
    assert len(records) == 6
    assert {event["status"] for events in records.values() for event in events if "status" in event} == {
        "ok",
        "diverged",
    }


def test_drawn_splits_and_re_evaluations_are_those_of_serial(run_sweep, tmp_path, executor):
    from results.tables import read_tables

    text = SWEEP.replace("tasks: [mnist_mlp/tiny, hartmann6]", "tasks: [mnist_mlp/tiny]")
    text = text.replace("repetitions: 1", "repetitions: 2") + "splits: repetition\nreevaluate: 2\n"
    by_ray = run_sweep(text, tmp_path / "ray", executor=executor)
    run_sweep(text, tmp_path / "serial")
    assert by_ray.ended_well
    assert by_ray.reevaluated == 2 * 3 * 2
    assert study_records(tmp_path / "ray") == study_records(tmp_path / "serial")
    again = [read_tables(tmp_path / folder, "ray").reevaluations for folder in ("ray", "serial")]
    assert again[0].drop(columns=["seconds", "machine"]).equals(again[1].drop(columns=["seconds", "machine"]))
    assert again[0]["value"].notna().all()


def listening():
    """Return the addresses on which this process and those below it can be reached, by the process's name."""
    import psutil

    found = defaultdict(set)
    me = psutil.Process()
    for process in [me, *me.children(recursive=True)]:
        try:
            for place in process.net_connections("inet"):
                # What waits for datagrams has no state, and no peer.
                if place.status == psutil.CONN_LISTEN or (
                    place.type == socket.SOCK_DGRAM and not place.raddr
                ):
                    found[process.name()].add(ipaddress.ip_address(place.laddr.ip))
        except psutil.NoSuchProcess:
            continue
    return found


def is_loopback(address):
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback


def test_nothing_of_a_local_run_listens_beyond_this_machine(run_sweep, tmp_path, executor):
    seen = {}
    text = SWEEP.replace("[random, optuna_tpe, skopt_gp]", "[random]").replace("seed: 11", "seed: 12")
    to_come = meanwhile(executor, (lambda: executor.workforce.busy, lambda: seen.update(listening())))
    assert run_sweep(text, tmp_path / "ray", executor=executor).failed == {}
    assert not to_come
    names = " ".join(seen)
    assert all(part in names for part in ("gcs_server", "raylet", "ray::RuntimeEnv", "ray::Evaluator")), names
    abroad = {name: addresses for name, addresses in seen.items() if not all(map(is_loopback, addresses))}
    assert not abroad


def test_a_local_run_tells_ray_s_makers_nothing(run_sweep, tmp_path, executor):
    import psutil

    def told():
        for process in psutil.Process().children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                yield process.name(), process.environ().get("RAY_USAGE_STATS_ENABLED")

    seen = []
    text = SWEEP.replace("[random, optuna_tpe, skopt_gp]", "[random]").replace("seed: 11", "seed: 13")
    to_come = meanwhile(executor, (lambda: executor.workforce.busy, lambda: seen.extend(told())))
    assert run_sweep(text, tmp_path / "ray", executor=executor).failed == {}
    assert not to_come
    # One that has given itself another name has written over what it was started with.
    started = [enabled for name, enabled in seen if not name.startswith("ray::")]
    assert len(started) > 3 and set(started) == {"0"}, seen


def test_the_way_onto_loopback_leaves_ray_as_it_was(executor):
    import os

    from ray._private import ray_constants

    assert ray_constants.ENABLE_RAY_CLUSTERS_ENV_VAR not in os.environ
    assert ray_constants.ENABLE_RAY_CLUSTER is (os.name == "posix" and os.uname().sysname == "Linux")


def test_data_come_from_the_object_store_read_only(executor):
    import numpy as np
    import ray

    from harness.keys import TaskKey

    task = TaskKey("any", 1)
    executor.add_data(task, {"x": np.arange(1_000_000.0)})
    assert ray.get(executor._data[task.id])["x"].flags.writeable is False


def test_a_cluster_without_room_is_refused(executor):
    from harness.errors import DerbyError
    from harness.executors.ray import RayExecutor

    with pytest.raises(DerbyError, match="no room for an evaluator of 1 CPU and 0.5 GPUs"):
        RayExecutor(1, gpus_per_evaluator=0.5, patience=0)


def test_libraries_that_share_an_evaluator_s_part_of_a_gpu_are_counted(monkeypatch):
    import harness.executors.ray
    from harness.launch import Placement
    from harness.sweep import parse_sweep

    monkeypatch.setattr(harness.executors.ray, "RayExecutor", lambda threads, **given: given["gpu_libraries"])
    sweep = parse_sweep(SWEEP, "sweep.yaml")
    kinds = ({"tensorflow": "", "keras": ""}, {"torch": "", "numpy": ""}, {"torch": ""}, {"jax": ""}, {})
    tasks = [type("Task", (), {"libraries": libraries}) for libraries in kinds]
    counted = [Placement("ray").start(sweep.spec, some) for some in (sweep.tasks.values(), tasks, tasks[4:])]
    assert counted == [1, 3, 0]


def test_an_address_without_a_cluster_is_an_error_message():
    from harness.errors import DerbyError
    from harness.executors.cluster import check_answers

    with pytest.raises(
        DerbyError, match="cannot reach Ray at 127.0.0.1:1: nothing listens there; .*ray start --head"
    ):
        check_answers("127.0.0.1:1")
    check_answers("auto")  # for Ray to look up
