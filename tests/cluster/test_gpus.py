"""GPU shares: no more evaluators on a device than it has shares, and none on it that did not ask for one."""

from __future__ import annotations

from collections import defaultdict

import pytest
from watching import watched

pytestmark = pytest.mark.cluster

SWEEP = """\
name: gpus
repetitions: 2
workers: 4
budget: {{epochs: 72}}
tasks: [{{name: watched, options: {{seconds: 0.03, folder: "{folder}"}}}}]
searchers: [random, grid]
"""


@pytest.fixture(scope="module")
def gpu_nodes(cluster):
    """A node with two logical GPUs, and one with one and a single CPU, in place of those without."""
    for node in list(cluster.nodes):
        cluster.remove(node, graceful=True)
    return [cluster.add(num_cpus=8, num_gpus=2), cluster.add(num_cpus=1, num_gpus=1)]


@pytest.mark.parametrize(("share", "evaluators"), [(0.5, 5), (0.25, 9)])  # one node has a single CPU
def test_a_device_has_no_more_evaluators_than_shares(
    run_sweep, tmp_path, on_ray, gpu_nodes, share, evaluators
):
    (tmp_path / "gather").write_text("3")  # or the first evaluators to start may train everything
    run_sweep(SWEEP.format(folder=tmp_path), executor=on_ray(gpus_per_evaluator=share))
    at_work, most = defaultdict(set), defaultdict(int)
    for entry in sorted(watched(tmp_path), key=lambda entry: entry["time"]):
        assert len(entry["gpus"]) == 1
        assert entry["visible"] == str(entry["gpus"][0])
        device = entry["node"], entry["visible"]
        if entry["event"] == "begin":
            at_work[device].add(entry["pid"])
        else:
            at_work[device].remove(entry["pid"])
        most[device] = max(most[device], len(at_work[device]))
    assert max(most.values()) <= 1 / share
    assert len({entry["pid"] for entry in watched(tmp_path)}) <= evaluators
    assert len(most) == 3


def test_an_evaluator_s_share_is_divided_among_the_libraries_that_it_may_load(
    run_sweep, tmp_path, on_ray, gpu_nodes
):
    run_sweep(SWEEP.format(folder=tmp_path), executor=on_ray(gpus_per_evaluator=0.5, gpu_libraries=2))
    assert {entry["share"] for entry in watched(tmp_path)} == {0.25}


def test_after_a_bug_on_a_gpu_others_are_evaluated_in_a_process_of_their_own(
    run_sweep, tmp_path, on_ray, gpu_nodes
):
    """What CUDA calls sticky: an error of a kernel comes back from whatever the process asks of the GPU later."""
    text = """\
name: bug
repetitions: 1
budget: {evaluations: 2}
tasks:
  - {name: troublesome, options: {trouble: raise}}
  - {name: watched}
  - {name: watched, options: {seconds: 0.001}}
  - {name: watched, options: {seconds: 0.002}}
searchers: [grid]
"""
    processes = []
    for gpus in (0.5, 0.0):
        executor, seen = on_ray(evaluators=1, gpus_per_evaluator=gpus), set()
        executor.wait = looking(executor, seen)
        progress = run_sweep(text, tmp_path / str(gpus), executor=executor)
        assert "ZeroDivisionError: a bug in the task" in progress.failed.popitem()[1]
        assert (progress.done, progress.lost) == (3, 0)
        executor.close()
        processes.append(len(seen))
    assert processes == [2, 1]


def looking(executor, seen):
    """Return what waits for an executor and notes the processes that are at work."""
    wait = executor.wait

    def look():
        seen.update(member.location.pid for member in executor._evaluators if member.job is not None)
        return wait()

    return look


def test_an_evaluator_without_a_share_sees_no_gpu(run_sweep, tmp_path, on_ray, gpu_nodes):
    run_sweep(SWEEP.format(folder=tmp_path), executor=on_ray(evaluators=2))
    assert {node.node_id for node in gpu_nodes} >= {entry["node"] for entry in watched(tmp_path)}
    assert {(*entry["gpus"], entry["visible"]) for entry in watched(tmp_path)} == {("",)}
