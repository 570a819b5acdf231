"""What is wrong with this machine, the results folder or the data is found before a run, and its cure said."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys

import pytest
from command import derby

from results.writer import RecordWriter

SWEEP = """\
name: examined
repetitions: 1
budget: {evaluations: 3}
tasks: [branin]
searchers: [random]
"""


@pytest.fixture
def examined(tmp_path):
    """Return a function that runs the command on a sweep, in an empty folder."""

    def run(*options, text=SWEEP, results="results"):
        (tmp_path / "sweep.yaml").write_text(text)
        return derby("doctor", tmp_path / "sweep.yaml", "--results", tmp_path / results, *options)

    return run


def test_what_is_in_order_is_fine_and_leaves_nothing(examined, tmp_path):
    done = examined("--sync-to", tmp_path / "copy")
    assert done.returncode == 0, done.stdout + done.stderr
    for said in ("can be written", "keeps a second driver", "those of all tasks were loaded", "can be used"):
        assert said in done.stdout
    assert done.stdout.endswith("a run finds what it needs\n")
    assert [path.name for path in tmp_path.iterdir()] == ["sweep.yaml"]


def test_without_a_sweep_it_says_what_needs_none(tmp_path):
    done = derby("doctor", "--results", tmp_path / "results")
    assert done.returncode == 0
    assert "fine: machine: " in done.stdout and "fine: results: " in done.stdout
    assert "fine: data" not in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_a_results_folder_that_is_a_file_is_a_problem(examined, tmp_path):
    (tmp_path / "results").write_text("")
    done = examined()
    assert done.returncode == 1
    assert "results cannot be written: a part of this path is a file" in done.stdout
    assert "to do: mend the folder, or give another one with --results" in done.stdout


def test_a_folder_that_another_driver_holds_is_a_problem_and_stays_as_it_was(examined, tmp_path):
    with RecordWriter(tmp_path / "results", sweep="other", host="there", pid=7):
        before = sorted(tmp_path.rglob("*"))
        done = examined()
        assert sorted({*tmp_path.rglob("*")} - {tmp_path / "sweep.yaml"}) == before
    assert done.returncode == 1
    assert "is being written by sweep 'other' on there, process 7" in done.stdout
    assert examined().returncode == 0


def test_a_file_system_that_refuses_locks_is_a_problem(examined, monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr("filelock._unix.fcntl.flock", refuse)
    done = examined()
    assert done.returncode == 1
    assert "its file system gives no lock: " in done.stdout
    assert "have its file system mounted with locks" in done.stdout


def test_a_lock_that_keeps_nobody_out_is_a_problem(examined, monkeypatch):
    monkeypatch.setattr(
        "filelock._unix.fcntl.flock", lambda *_: None
    )  # as where a mount keeps locks to itself
    done = examined()
    assert done.returncode == 1
    assert "a second process got the lock that this one held" in done.stdout


def test_a_file_system_without_locks_on_which_files_stand_for_them_is_told(examined, monkeypatch, recwarn):
    def refuse(*_):
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    monkeypatch.setattr("filelock._unix.fcntl.flock", refuse)
    monkeypatch.setattr(
        "harness.doctor.storage._SECOND",
        "import os, sys; sys.exit(0 if os.path.exists(sys.argv[1]) else 3)",  # it has locks
    )
    done = examined()
    assert done.returncode == 0
    assert "warning: results: " in done.stdout and "the presence of a file stands for one" in done.stdout


def mounted(options, folder, *command):
    """Run a command where a folder is a small disk of this kind, which nobody else sees."""
    script = f'mount -t tmpfs -o {options} none "$0" && exec "$@"'
    return subprocess.run(
        ["unshare", "--mount", "sh", "-c", script, str(folder), *map(str, command)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "COLUMNS": "200"},
    )


def can_mount():
    if os.geteuid() or shutil.which("unshare") is None:
        return False
    return mounted("size=1m", "/mnt", "true").returncode == 0


@pytest.mark.skipif(not can_mount(), reason="needs root and mounts of its own")
@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("ro", "results cannot be written: the file system is read-only"),
        ("size=1m", "MB are free there; the sweep will write about "),
    ],
)
def test_a_disk_that_is_read_only_or_full_is_a_problem(tmp_path, options, said):
    (tmp_path / "sweep.yaml").write_text(SWEEP)
    (tmp_path / "disk").mkdir()
    command = (sys.executable, "-m", "harness.cli", "doctor", tmp_path / "sweep.yaml")
    done = mounted(options, tmp_path / "disk", *command, "--results", tmp_path / "disk" / "results")
    assert done.returncode == 1, done.stderr
    assert any(said in line for line in done.stdout.splitlines() if line.startswith("problem: results: "))
    fleeting = "is on tmpfs, which is gone when the machine or its container ends" in done.stdout
    assert fleeting is (options != "ro")


def test_a_damaged_record_is_a_problem(examined, tmp_path):
    assert examined().returncode == 0
    assert derby("run", tmp_path / "sweep.yaml", "--results", tmp_path / "results").returncode == 0
    (study,) = (tmp_path / "results" / "studies").glob("*.jsonl")
    study.write_bytes(study.read_bytes().replace(b'"asked"', b'"shouted"', 1))
    done = examined()
    assert done.returncode == 1
    assert f"problem: results: {study}" in done.stdout


def test_data_that_cannot_be_loaded_are_a_problem(examined, plugin):
    task = "{name: troublesome, options: {trouble: no_data}}"
    done = examined(text=SWEEP.replace("[branin]", f"[branin, {task}]"))
    assert done.returncode == 1
    assert "problem: data: task 'troublesome,trouble=no_data': the line's data were not found" in done.stdout
    assert "give the folder with --data or DERBY_DATA" in done.stdout


def test_a_place_for_the_copy_that_cannot_be_used_is_a_problem(examined, tmp_path):
    done = examined("--sync-to", tmp_path / "absent" / "copy")
    assert done.returncode == 1
    assert "problem: copy: " in done.stdout


def test_other_libraries_than_the_locked_ones_are_told(examined, monkeypatch):
    from harness.doctor import examination
    from harness.doctor.versions import locked

    lock = locked()
    monkeypatch.setattr(examination, "locked", lambda: {**lock, "numpy": "0.9", "torch": "0.9"})
    done = examined()
    assert done.returncode == 0  # what is used is recorded, and judged
    assert "warning: versions: 1 of " in done.stdout and "(in requirements.lock 0.9)" in done.stdout
    assert "torch" not in done.stdout  # the sweep does not need it


def test_misuse_is_refused_as_elsewhere(examined):
    assert examined(text=SWEEP.replace("branin", "brannin")).returncode == 2
    assert examined("--executor", "serial", "--address", "127.0.0.1:1").returncode == 2
    assert examined("--executor", "ray", "--nodes", "3").returncode == 2


def test_what_a_run_needs_follows_what_it_uses():
    from harness.doctor.versions import needed

    few, all_of_them = needed([], ray=False), needed(None, ray=True)
    assert {"numpy", "scipy", "pydantic", "pydantic-core"} <= set(few)
    assert not {"ray", "optuna", "tensorflow", "pytest"} & set(few)
    assert {"optuna", "alembic", "cmaes"} <= set(needed(["optuna", "cmaes"], ray=False))
    assert {"ray", "optuna", "tensorflow"} <= set(all_of_them) and "pytest-xdist" not in all_of_them
