"""The Ray executor on a cluster of its own; tests/cluster has those on several nodes."""

from __future__ import annotations

import pytest
from records import study_records

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

    with pytest.raises(DerbyError, match="no room for an evaluator of 1 CPUs and 0.5 GPUs"):
        RayExecutor(1, gpus_per_evaluator=0.5, patience=0)


def test_an_address_without_a_cluster_is_an_error_message():
    from harness.errors import DerbyError
    from harness.executors.cluster import check_answers

    with pytest.raises(DerbyError, match="cannot reach Ray at 127.0.0.1:1: .*ray start --head"):
        check_answers("127.0.0.1:1")
    check_answers("auto")  # for Ray to look up
