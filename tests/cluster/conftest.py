"""A Ray cluster of several nodes on this machine, and executors on it."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from records import PLUGIN

NODE = {"object_store_memory": 100 << 20}

QUICK = {"health_check_period_ms": 300}
"""A head that notices within two seconds, not fifteen, that a node is gone."""


@pytest.fixture(scope="module")
def cluster():
    """A cluster whose nodes know the plug-in: a head without CPUs, where drivers run, and two nodes with one."""
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(PLUGIN))
        head = {**NODE, "num_cpus": 0, "include_dashboard": False, "_system_config": QUICK}
        made = Cluster(initialize_head=True, head_node_args=head)

        def add(**offers):
            return made.add_node(**NODE, **{"num_cpus": 1, **offers})

        def remove(node, *, graceful=False):
            made.remove_node(node, allow_graceful=graceful)

        def node(node_id):
            return next(node for node in made.worker_nodes if node.node_id == node_id)

        add()
        add()
        yield SimpleNamespace(
            address=made.address, add=add, remove=remove, node=node, nodes=made.worker_nodes
        )
        made.shutdown()


@pytest.fixture
def on_ray(cluster, plugin, monkeypatch):
    """Return a function that makes an executor on the cluster, one at a time."""
    from harness.executors import members
    from harness.executors.ray import RayExecutor

    monkeypatch.setattr(members, "NODE_SECONDS", 3.0)  # by then this cluster knows
    made = []

    def start(threads=1, **options):
        made.append(RayExecutor(threads, address=cluster.address, **options))
        return made[-1]

    yield start
    for executor in made:
        executor.close()
