"""Tasks and searchers that break their contracts: each fails its own studies by name, and no other."""

from __future__ import annotations

import os
import runpy
import subprocess
import sys

import pytest
from records import PLUGIN, study_records

from harness.sweep import parse_sweep

# For the lists of faults; the fixture `plugin` is what installs it.
_LISTS = runpy.run_path(str(PLUGIN / "derby_test_faults.py"))
FAULTS, HARMLESS, SEARCHER_FAULTS = (_LISTS[name] for name in ("FAULTS", "HARMLESS", "SEARCHER_FAULTS"))


def tasks_sweep(faults, kinds=("faulty", "faulty_line")):
    """Every fault as a task of its own, and a sound one after them."""
    lines = [f"  - {{name: {kind}, options: {{fault: {fault}}}}}" for kind in kinds for fault in faults]
    return "\n".join(
        [
            "name: faults\nrepetitions: 1\nbudget: {evaluations: 3}\ntasks:",
            *lines,
            "  - branin\nsearchers: [random]",
        ]
    )


def searchers_sweep(faults):
    """Every fault as a searcher of its own, and a sound one after them."""
    lines = [f"  - {{name: misguided, label: {fault}, settings: {{fault: {fault}}}}}" for fault in faults]
    return "\n".join(
        [
            "name: misguided\nrepetitions: 1\nbudget: {epochs: 6}\ntasks: [faulty]\nsearchers:",
            *lines,
            "  - random",
        ]
    )


EXPECTED = {
    "system_exit": "SystemExit: 0",
    "keyboard_interrupt": "KeyboardInterrupt",
    "cancelled": "CancelledError",
    "unspeakable": "UnspeakableError: (its __str__ raises)",
    "surrogates": "\\ud800 and so on",
    "nothing": "must return an Evaluation, got None (NoneType)",
    "numpy_epochs": "epochs: input should be a valid integer, got np.int64(1)",
    "fewer_epochs": "it is ok after 0 epochs, with a curve of 1",
    "negative_epochs": "epochs: input should be greater than or equal to 0, got -1",
    "no_epochs": "it diverged after 0 epochs",
    "nan_seconds": "setup_seconds: input should be a finite number, got nan",
    "negative_seconds": "an epoch took -1.0 seconds",
    "text_status": "status: input should be an instance of Status, got 'ok'",
    "array_message": "message: input should be a valid string",
    "array_confusion": "confusion.val: input should be a valid tuple",
    "timeless_timeout": "timeout without the deadline",
    "lacks_metric": "its curve lacks 'val_loss', the objective's; it has 'other'",
    "reserved_metric": "a column of its curve is called 'step'",
    "nan_curve": "needs finite Python floats, got nan",
    "cost_nan": "cost must return a positive, finite number, got nan",
    "cost_zero": "cost must return a positive, finite number, got 0.0",
    "cost_negative": "cost must return a positive, finite number, got -1.0",
    "cost_overflows": "more than a float holds",
    "data_nothing": "load must return a mapping of names to numpy arrays, got NoneType",
    "data_objects": "'x': array of object",
    "data_exit": "failed to load its data: SystemExit: 0",
    "heavy_checkpoint": "'str' object cannot be interpreted as an integer",
}


def test_every_fault_of_a_task_fails_its_own_studies_and_no_other(run_sweep, plugin, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    progress = run_sweep(tasks_sweep([*FAULTS, *HARMLESS]))
    kinds = ("faulty", "faulty_line")
    label = "random on {},fault={}, repetition 0"
    assert set(progress.failed) == {label.format(kind, fault) for kind in kinds for fault in FAULTS}
    assert progress.done == 1 + 2 * len(HARMLESS)
    for fault, message in EXPECTED.items():
        for kind in kinds:
            assert message in progress.failed[label.format(kind, fault)], fault
    assert all(len(message) < 11_000 for message in progress.failed.values())
    assert os.getcwd() == str(tmp_path)


def test_what_a_task_does_to_a_configuration_changes_no_record(run_sweep, plugin, tmp_path):
    run_sweep(tasks_sweep(["changes_config"], ["faulty"]))
    values = [
        e["config"].get("x")
        for events in study_records(run_sweep.root).values()
        for e in events
        if "config" in e
    ]
    assert 7.0 not in values


def test_every_fault_of_a_searcher_fails_its_own_studies_and_no_other(run_sweep, plugin):
    progress = run_sweep(searchers_sweep(SEARCHER_FAULTS))
    assert set(progress.failed) == {f"{fault} on faulty, repetition 0" for fault in SEARCHER_FAULTS}
    assert progress.done == 1
    assert all("misguided" in message for message in progress.failed.values())
    expected = {
        "half_epochs": "a whole number of epochs, got {'x': 0.5} (dict) and 1.5 (float)",
        "other_configuration": "continued under another configuration, {'x': 0.5}; it began with {'x': 0.25}",
        "nothing": "proposed nothing at all",
        "text": "must propose a Suggestion or None, got 'x = 0.5' (str)",
        "tell_system_exit": "failed to take loss 0.5 of trial 0",
        "start_cancelled": "failed to start: CancelledError",
    }
    for fault, message in expected.items():
        assert message in progress.failed[f"{fault} on faulty, repetition 0"], fault


def test_a_fault_is_found_again_when_it_is_run_again(run_sweep, plugin):
    text = tasks_sweep(["system_exit", "cost_nan"])
    first = run_sweep(text)
    assert run_sweep(text).failed == first.failed


@pytest.mark.parametrize("fault", ["system_exit", "unspeakable", "cost_nan"])
def test_the_exit_code_says_that_studies_are_not_done(tmp_path, plugin, fault):
    (tmp_path / "sweep.yaml").write_text(tasks_sweep([fault], ["faulty"]))
    done = derby("run", "sweep.yaml", folder=tmp_path)
    assert done.returncode == 1
    assert f"failed: random on faulty,fault={fault}, repetition 0" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
    assert "1 of 2 studies done" in done.stdout


def derby(*arguments, folder):
    """Run the command line where the plug-in is installed."""
    environment = {**os.environ, "PYTHONPATH": str(PLUGIN), "COLUMNS": "250"}
    return subprocess.run(
        [sys.executable, "-m", "harness.cli", *arguments],
        check=False,
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.mark.ray
def test_faults_give_the_same_record_on_ray(run_sweep, plugin, tmp_path):
    from harness.executors.ray import RayExecutor

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(PLUGIN))
        executor = RayExecutor(1)
    try:
        for number, text in enumerate((tasks_sweep([*FAULTS, *HARMLESS]), searchers_sweep(SEARCHER_FAULTS))):
            by_ray = run_sweep(text, tmp_path / f"ray{number}", executor=executor)
            serial = run_sweep(text, tmp_path / f"serial{number}")
            assert by_ray.failed == serial.failed
            assert study_records(tmp_path / f"ray{number}") == study_records(tmp_path / f"serial{number}")
        # What ends its process is out of reach of the serial executor.
        text = tasks_sweep(["exit"], ["faulty"])
        crashed = run_sweep(text, tmp_path / "exit", executor=executor)
        assert not crashed.failed
        assert crashed.statuses["crashed"] == 3
        died = run_sweep(searchers_sweep(["ask_exit"]), tmp_path / "died", executor=executor)
        assert set(died.failed) == {"ask_exit on faulty, repetition 0"}
        assert died.done == 1
    finally:
        executor.close()


def test_a_plug_in_that_cannot_be_made_is_a_problem_of_the_sweep(plugin, monkeypatch):
    import derby_test_faults as module

    from harness.errors import SweepError

    text = tasks_sweep(["none"], ["faulty"])
    for name, value in {
        "_define": lambda self: 1 / 0,
        "load": lambda self: exec("raise SystemExit(0)"),
        "pinned_data": property(lambda self: exec("raise module.UnspeakableError")),
        "label": property(lambda self: "\x07"),
    }.items():
        with monkeypatch.context() as patch:
            patch.setattr(module.Faulty, name, value)
            if name == "load":
                patch.setattr(module.Faulty, "pinned_data", None)
            with pytest.raises(
                SweepError, match=r"sweep.yaml, line 5, tasks\[0\](: task 'faulty'|.options: .*label)"
            ):
                parse_sweep(text, "sweep.yaml")
