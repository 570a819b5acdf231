"""Who runs a sweep on fewer nodes than there should be is told."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.cluster

SWEEP = """\
name: few
repetitions: 2
budget: {epochs: 9}
tasks: [line]
searchers: [random]
"""


def test_fewer_nodes_than_there_should_be_are_said_to_the_end(on_ray, run_sweep, tmp_path, cluster):
    progress = run_sweep(SWEEP, tmp_path / "few", executor=on_ray(nodes=3))
    assert progress.done == 2
    assert progress.missing == ("1 of 3 nodes (--nodes): 2 with room for an evaluator of 1 CPU",)


def test_nothing_is_said_when_all_are_there(on_ray, run_sweep, tmp_path, cluster):
    executor = on_ray(nodes=2)  # the head has no processor for an evaluator, and is none of them
    assert run_sweep(SWEEP, tmp_path / "all", executor=executor).missing == ()


def test_a_node_that_joins_is_missed_no_longer(on_ray, cluster, monkeypatch):
    from harness.executors import ray

    monkeypatch.setattr(ray, "FOLLOW_SECONDS", 0.0)
    executor = on_ray(nodes=3)
    assert executor.workforce.missing
    node = cluster.add()
    try:
        for _ in range(60):
            executor.wait()
            if not executor.workforce.missing:
                break
        assert executor.workforce.missing == ()
    finally:
        cluster.remove(node)
