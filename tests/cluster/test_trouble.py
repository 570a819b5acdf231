"""Evaluations and searchers that end their process, their memory or their time end as promised, and alone."""

from __future__ import annotations

import pytest
from records import study_records
from watching import evaluation_records

pytestmark = pytest.mark.cluster

SWEEP = """\
name: trouble
repetitions: 1
budget: {{evaluations: 2}}
{extra}
tasks: [branin, watched, {tasks}]
searchers: [{searchers}]
"""


def sweep(*kinds, searchers="grid", extra=""):
    """A sweep in which one of the grid's two points makes each kind of trouble."""
    tasks = [f"{{name: troublesome, options: {{trouble: {kind}}}}}" for kind in kinds]
    return SWEEP.format(tasks=", ".join(tasks), searchers=searchers, extra=extra)


def failures(root):
    """Return status and message of the evaluations that failed, by kind of trouble."""
    return {
        made["key"]["task"]["options"]["trouble"]: (made["status"], made["message"])
        for made in evaluation_records(root).values()
        if made["status"] != "ok"
    }


@pytest.fixture
def roomier(cluster):
    """Three more CPUs, since ends of processes are waited for rather than worked for."""
    node = cluster.add(num_cpus=3)
    yield
    cluster.remove(node, graceful=True)


def test_what_ends_its_process_or_eats_its_memory_crashes_and_harms_no_other(
    run_sweep, tmp_path, on_ray, roomier
):
    executor = on_ray(memory=600 << 20)
    text = sweep("segfault", "eat", "eat_in_c", "no_memory", "raise")
    progress = run_sweep(text, tmp_path / "ray", executor=executor)
    found = failures(tmp_path / "ray")
    assert {kind: status for kind, (status, _) in found.items()} == dict.fromkeys(
        ("segfault", "eat", "eat_in_c", "no_memory"), "crashed"
    )
    assert all(message.endswith("that 2 times") for _, message in found.values())
    assert found["segfault"][1].startswith("its evaluator died: ")
    assert found["eat_in_c"][1].startswith("its evaluator died: ")
    assert found["eat"][1].startswith("out of memory: it took more than an evaluator's share")
    assert found["no_memory"][1].startswith("out of memory: none left on the device")
    assert list(progress.failed) == ["grid on troublesome,trouble=raise, repetition 0"]
    assert "ZeroDivisionError: a bug in the task" in progress.failed.popitem()[1]
    assert progress.done == 6

    run_sweep(sweep("no_memory"), tmp_path / "serial")
    by_ray, serial = study_records(tmp_path / "ray"), study_records(tmp_path / "serial")
    assert len(serial) == 3
    assert {study: by_ray[study] for study in serial} == serial
    assert failures(tmp_path / "serial")["no_memory"] == found["no_memory"]


def test_what_a_library_says_of_a_full_gpu_is_recorded_and_no_evaluator_counts_as_lost(
    run_sweep, tmp_path, on_ray, monkeypatch
):
    """The error stays where it was raised: it may hold what cannot travel."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "full.py").write_text(
        """\
import threading
import derby


class JaxRuntimeError(RuntimeError):
    def __init__(self, said):
        super().__init__(said)
        self.held = threading.Lock()


@derby.task(space={"x": derby.Float(0, 1)}, direction="min", failure=9.0)
def full(config):
    if config["x"] > 0.5:
        raise JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory while trying to allocate 32212254720 bytes.")
    return config["x"]
"""
    )
    text = sweep().replace("branin, watched, ", '"full.py:full"')
    progress = run_sweep(text, tmp_path / "ray", executor=on_ray())
    assert (progress.failed, progress.done, progress.retried, progress.lost) == ({}, 1, 1, 0)
    said = "out of memory: RESOURCE_EXHAUSTED: Out of memory while trying to allocate 32212254720 bytes.; that 2 times"
    made = evaluation_records(tmp_path / "ray").values()
    assert sorted((each["status"], each["message"]) for each in made) == [("crashed", said), ("ok", "")]
    assert progress.crashed == {"full": [said]}


def test_an_evaluator_that_ran_out_of_memory_is_replaced(run_sweep, tmp_path, on_ray):
    text = f"""\
name: replaced
repetitions: 1
budget: {{evaluations: 2}}
tasks: [{{name: troublesome, options: {{trouble: no_memory, folder: "{tmp_path}"}}}}]
searchers: [grid]
"""
    executor, pids = on_ray(evaluators=1), []
    wait = executor.wait

    def look():
        pids.extend(member.location.pid for member in executor._evaluators if member.job is not None)
        return wait()

    executor.wait = look
    run_sweep(text, executor=executor)
    assert len((tmp_path / "trained").read_text().splitlines()) == 3
    assert len(set(pids)) >= 2


def test_what_hangs_is_ended_after_its_deadline_and_what_is_merely_late_ends_itself(
    run_sweep, tmp_path, on_ray
):
    text = sweep("hang", "late", extra="deadline: 1")
    progress = run_sweep(text, tmp_path / "ray", executor=on_ray(overrun=1.5))
    assert (progress.failed, progress.done) == ({}, 4)
    assert progress.lost == 1
    assert failures(tmp_path / "ray") == {
        "hang": ("timeout", "stuck for 1.5 s beyond its deadline of 1 s"),
        "late": ("timeout", "it was late"),
    }
    run_sweep(sweep("late", extra="deadline: 1"), tmp_path / "serial")
    by_ray, serial = study_records(tmp_path / "ray"), study_records(tmp_path / "serial")
    assert {study: by_ray[study] for study in serial} == serial


def test_a_searcher_that_ends_its_process_fails_after_two_attempts_and_harms_no_other(
    run_sweep, tmp_path, on_ray
):
    text = sweep("none", searchers="grid, optuna_tpe, {name: dying, settings: {at: 1}}")
    progress = run_sweep(text, tmp_path / "ray", executor=on_ray())
    assert {label.partition(" ")[0] for label in progress.failed} == {"dying"}
    assert len(progress.failed) == 3
    for message in progress.failed.values():
        assert message.startswith("its searcher's process died: ")
        assert message.endswith("that 2 times")
    run_sweep(sweep("none", searchers="grid, optuna_tpe"), tmp_path / "serial")
    by_ray, serial = study_records(tmp_path / "ray"), study_records(tmp_path / "serial")
    assert {study: by_ray[study] for study in serial} == serial


def test_an_evaluator_lost_at_the_last_re_evaluation_is_replaced(run_sweep, tmp_path, on_ray):
    from results.tables import read_tables

    text = f"""\
name: again
repetitions: 1
budget: {{evaluations: 1}}
tasks: [{{name: troublesome, options: {{trouble: die_once, folder: "{tmp_path}"}}}}]
searchers: [{{name: references, settings: {{configurations: [{{x: 0.9, n: 1}}]}}}}]
"""
    root, executor = tmp_path / "ray", on_ray()
    assert run_sweep(text, root, executor=executor).retried == 1
    (tmp_path / "died-0.9").unlink()
    progress = run_sweep(text + "reevaluate: 1\n", root, executor=executor)
    assert progress.ended_well
    assert (progress.retried, progress.reevaluated) == (1, 1)
    assert read_tables(root, "again").reevaluations["status"].tolist() == ["ok"]
