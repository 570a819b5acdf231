"""The Ray executor: the same record as serial, and what becomes of evaluators that die."""

from __future__ import annotations

import os

import pytest
from records import PLUGIN, study_records

pytestmark = pytest.mark.ray

SWEEP = """\
name: ray
seed: 11
repetitions: 1
workers: {workers}
budget: {{evaluations: 4}}
tasks: [mnist_mlp/tiny, fashion_mlp/tiny, hartmann6]
searchers: [{searchers}]
"""


@pytest.fixture(scope="module")
def cluster():
    """A local cluster that knows the plug-in, shared by this module."""
    import ray

    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(PLUGIN), before]))
    ray.init(
        address="local", num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="warning"
    )
    yield
    ray.shutdown()
    if before is None:
        del os.environ["PYTHONPATH"]
    else:
        os.environ["PYTHONPATH"] = before


@pytest.fixture
def executor(cluster):
    from harness.executors.ray import RayExecutor

    made = RayExecutor(1)
    yield made
    made.close()


@pytest.mark.parametrize(
    ("workers", "searchers"), [(1, "random, grid, optuna_tpe, skopt_gp"), (3, "random, optuna_tpe")]
)
def test_ray_gives_the_record_of_serial(run_sweep, tmp_path, executor, workers, searchers):
    text = SWEEP.format(workers=workers, searchers=searchers)
    by_ray = run_sweep(text, tmp_path / "ray", executor=executor)
    serial = run_sweep(text, tmp_path / "serial")
    assert by_ray.failed == serial.failed == {}
    records = study_records(tmp_path / "ray")
    assert records == study_records(tmp_path / "serial")
    assert len(records) == 3 * len(searchers.split(","))


TROUBLE = """\
name: trouble
repetitions: 1
budget: {{evaluations: 8}}
tasks: [branin, {{name: troublesome, options: {{trouble: {kind}, folder: "{folder}"}}}}]
searchers: [grid]
"""


def test_an_evaluator_that_dies_once_is_replaced_and_changes_nothing(run_sweep, plugin, tmp_path, executor):
    progress = run_sweep(TROUBLE.format(kind="die_once", folder=tmp_path), executor=executor)
    assert progress.failed == {}
    assert progress.statuses == {"ok": 8 + 8 - progress_short(run_sweep, progress)}
    assert list(tmp_path.glob("died-*"))


def progress_short(run_sweep, progress) -> int:
    """Evaluations a grid left of its budget, which its events tell."""
    done = [events[-1] for events in study_records(run_sweep.root).values()]
    assert all(event["event"] == "done" for event in done)
    return 16 - sum(event["evaluations"] for event in done)


def test_an_evaluation_that_kills_every_evaluator_is_recorded_as_crashed(
    run_sweep, plugin, tmp_path, executor
):
    progress = run_sweep(TROUBLE.format(kind="die", folder=tmp_path), executor=executor)
    assert progress.failed == {}
    assert progress.done == 2
    crashed = [
        event
        for events in study_records(run_sweep.root).values()
        for event in events
        if event.get("status") == "crashed"
    ]
    assert crashed
    assert {(event["loss"], event["value"], event["epochs"]) for event in crashed} == {(10.0, None, 9)}
    assert progress.statuses["ok"] > 8


def test_a_bug_in_a_task_comes_back_with_its_traceback(run_sweep, plugin, tmp_path, executor):
    progress = run_sweep(TROUBLE.format(kind="raise", folder=tmp_path), executor=executor)
    assert len(progress.failed) == 1
    assert "ZeroDivisionError: a bug in the task" in next(iter(progress.failed.values()))
    assert progress.done == 1


def test_data_come_from_the_object_store_read_only(cluster):
    import numpy as np
    import ray

    from harness.executors.ray import RayExecutor
    from harness.keys import TaskKey

    made = RayExecutor(1, evaluators=1)
    try:
        made.add_data(TaskKey("any", 1), {"x": np.arange(1_000_000.0)})
        (ref,) = made._data.values()
        assert ray.get(ref)["x"].flags.writeable is False
    finally:
        made.close()


def test_a_cluster_without_room_is_refused(cluster):
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
