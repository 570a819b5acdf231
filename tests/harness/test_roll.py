"""A machine that should train and does not is named, with the reason."""

from __future__ import annotations

import pytest
import yaml
from command import derby

from harness.display import details
from harness.executors import roll
from harness.executors.roll import Node, Roll, workers_in
from harness.progress import Progress

pytestmark = pytest.mark.ray  # it imports Ray
HEAD = "10.83.0.10"


def cluster_file(tmp_path, **provider):
    path = tmp_path / "cluster.yaml"
    told = {"type": "local", "head_ip": HEAD, "worker_ips": ["10.83.0.21", "10.83.0.22"], **provider}
    path.write_text(yaml.safe_dump({"cluster_name": "derby", "provider": told}))
    return path


def node(address, cpus=4.0, **offered):
    return Node(frozenset((address, f"host-{address}")), {"CPU": cpus, **offered})


@pytest.fixture
def called(monkeypatch):
    """Return a function that calls the roll on these nodes."""
    monkeypatch.setattr(roll, "_head", lambda: HEAD)

    def call(nodes, threads=1, gpus=0.0, wanted=None, file=None):
        monkeypatch.setattr(roll, "living", lambda: nodes)
        made = Roll(threads, gpus, wanted, file) if file else Roll(threads, gpus, wanted)
        made.call()
        return made.missing

    return call


def test_a_machine_that_never_joined_is_named(called, tmp_path):
    nodes = [node(HEAD, 0.0), node("10.83.0.21")]
    assert called(nodes, file=cluster_file(tmp_path)) == ("10.83.0.22 (not in the cluster)",)
    assert called([*nodes, node("10.83.0.22")], file=cluster_file(tmp_path)) == ()


def test_a_machine_is_known_by_the_addresses_of_its_name(called, tmp_path):
    file = cluster_file(tmp_path, worker_ips=["localhost", "gpu-7.invalid"])
    assert called([node("127.0.0.1")], file=file) == ("gpu-7.invalid (not in the cluster)",)
    by_host_name = [node("localhost"), Node(frozenset(("10.0.0.7", "gpu-7.invalid")), {"CPU": 1.0})]
    assert called(by_host_name, file=file) == ()


def test_a_machine_that_is_there_and_cannot_train_is_named_with_what_it_lacks(called, tmp_path):
    nodes = [node("10.83.0.21", GPU=1.0), node("10.83.0.22")]
    assert called(nodes, 2, 0.25, file=cluster_file(tmp_path)) == (
        "10.83.0.22 (no room for an evaluator of 2 CPUs and 0.25 GPUs; it offers 4 CPUs)",
    )


@pytest.mark.parametrize(
    ("content", "head"),
    [
        ("provider: {type: aws, head_ip: 10.83.0.10, worker_ips: [a]}", HEAD),
        ("provider: {type: local, head_ip: 10.83.0.99, worker_ips: [a]}", HEAD),  # of another cluster
        ("provider: [", HEAD),
        ("provider: {type: local, head_ip: 10.83.0.10, worker_ips:}", HEAD),
        ("[]", HEAD),
        (b"\xff\xfe", HEAD),
    ],
)
def test_a_file_that_says_nothing_of_this_cluster_names_no_machine(tmp_path, content, head):
    path = tmp_path / "cluster.yaml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    assert workers_in(path, head) == {}
    assert workers_in(tmp_path / "absent.yaml", head) == {}


def test_a_number_of_nodes_counts_those_with_room_for_an_evaluator(called, tmp_path):
    nodes = [node(HEAD, 0.0), node("a"), node("b", 1.0)]
    assert called(nodes, wanted=2, file=tmp_path / "absent") == ()
    assert called(nodes, 2, wanted=3, file=tmp_path / "absent") == (
        "2 of 3 nodes (--nodes): 1 with room for an evaluator of 2 CPUs",
    )


def test_what_is_missing_is_shown_while_a_sweep_runs():
    progress = Progress(1, 1, missing=("gpu-2 (not in the cluster)", "gpu-3 (not in the cluster)"))
    lines = details(progress.snapshot())
    assert "missing: gpu-2 (not in the cluster), gpu-3 (not in the cluster)" in lines
    assert not any("missing" in line for line in details(Progress(1, 1).snapshot()))


def test_nodes_are_those_of_a_cluster(tmp_path):
    sweep = tmp_path / "sweep.yaml"
    sweep.write_text(
        "name: s\nbudget: {evaluations: 1}\nrepetitions: 1\ntasks: [branin]\nsearchers: [random]\n"
    )
    for options in ((), ("--executor", "ray")):
        told = derby("run", sweep, *options, "--nodes", "2", "--results", tmp_path / "results")
        assert told.returncode == 2
        assert "--nodes needs --executor ray and --address" in told.stderr
