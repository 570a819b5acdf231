"""Logs of studies: what a line looks like, when it is written, and what no name or message can do."""

from __future__ import annotations

import errno
import os
import re
import time

import pytest

from harness.errors import RecordError, WriteError
from results import logs as module
from results.layout import Layout
from results.logs import StudyLogs

STUDY = "0123456789abcdef"


@pytest.fixture
def log(tmp_path):
    return Layout(tmp_path).log("sweep", "random on branin, repetition 0", STUDY)


def test_a_line_says_when_and_what(log):
    with StudyLogs() as logs:
        logs.line(log, "opened", "random on branin, repetition 0")
        logs.line(log, "asked", 'trial 0: {"x1": 0.5}, 1 epoch')
        logs.line(log, "done")
    opened, asked, done = log.read_text().splitlines()
    time_of = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"
    assert re.fullmatch(time_of + r" opened     random on branin, repetition 0", opened)
    assert re.fullmatch(time_of + r' asked      trial 0: \{"x1": 0\.5\}, 1 epoch', asked)
    assert re.fullmatch(time_of + " done", done)


def test_a_later_run_appends(log):
    for number in range(2):
        with StudyLogs() as logs:
            logs.line(log, "opened", f"run {number}")
    assert [line.rsplit(maxsplit=1)[1] for line in log.read_text().splitlines()] == ["0", "1"]


def test_lines_wait_for_a_second_at_most(log, monkeypatch):
    now = [time.monotonic()]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    logs = StudyLogs()
    logs.line(log, "asked", "trial 0")
    logs.flush()
    assert not log.exists()
    now[0] += 1.0
    logs.flush()
    assert "trial 0" in log.read_text()
    logs.line(log, "asked", "trial 1")
    now[0] += 1.0
    logs.line(log, "asked", "trial 2")  # a busy driver need not call flush
    assert log.read_text().count("\n") == 3


@pytest.mark.parametrize(
    "message",
    [
        "a bug\n2026-11-22T02:03:04.123Z done       all is well",
        "a bug\r\n2026-11-22T02:03:04.123Z done",
        "a bug\x0b2026-11-22T02:03:04.123Z done\x85more\u2028and more",
        "\x1b[2J\x1b]0;title\x07 a bug \udcff \x00 \u202e",
        "\n\n\n",
    ],
)
def test_no_message_passes_for_a_line_of_its_own_or_steers_the_terminal(log, message):
    with StudyLogs() as logs:
        logs.line(log, "failed", message)
    first, *more = log.read_text(encoding="utf-8").split("\n")
    assert re.match(r"[0-9T:.-]+Z failed", first)
    assert more.pop() == ""
    assert all(line.startswith("    ") for line in more)
    assert all(line.isprintable() for line in [first, *more])


def test_a_traceback_stays_readable(log):
    with StudyLogs() as logs:
        logs.line(log, "failed", 'ValueError: a bug\nTraceback:\n  File "x.py"\n\tindented: µ, “λ”\n')
    assert log.read_text(encoding="utf-8").split("\n", 1)[1] == (
        '    Traceback:\n      File "x.py"\n        indented: µ, “λ”\n'
    )


def test_thousands_of_studies_hold_no_files_open_and_cost_microseconds(tmp_path):
    layout, count = Layout(tmp_path), 3000
    before = len(os.listdir("/proc/self/fd"))
    logs = StudyLogs()
    paths = [
        layout.log("sweep", f"random on branin, repetition {n}", f"{n:08x}ffffffff") for n in range(count)
    ]
    began = time.perf_counter()
    for path in paths:
        logs.line(path, "opened", "random on branin")
    logs.close()
    each = (time.perf_counter() - began) / count
    assert len(os.listdir("/proc/self/fd")) == before
    assert len(list(paths[0].parent.iterdir())) == count
    assert each < 2e-3  # a file made, opened and closed for each; far less on an idle machine
    began = time.perf_counter()
    for _ in range(10_000):
        logs.line(paths[0], "asked", 'trial 0: {"lr": 0.01, "units": 64}, 10 epochs')
    assert (time.perf_counter() - began) / 10_000 < 100e-6


def test_a_full_disk_is_said_and_loses_nothing(log, monkeypatch):
    with StudyLogs() as logs:
        logs.line(log, "opened", "before")
    whole, write = log.read_bytes(), os.write

    def full(file: int, data: bytes) -> int:
        if len(data) < 20:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(file, data[:20])

    logs = StudyLogs()
    logs.line(log, "asked", "trial 0, which does not fit")
    with monkeypatch.context() as patch:
        patch.setattr(module.os, "write", full)
        with pytest.raises(WriteError, match="cannot write the log .*the disk is full.*is safe"):
            logs.close()
    assert log.read_bytes() == whole  # no half of a line
    logs.close()
    assert log.read_text().endswith("trial 0, which does not fit\n")


def test_a_log_that_cannot_be_made_is_said(log):
    log.parent.parent.mkdir(parents=True)
    log.parent.write_text("a file where the folder should be")
    logs = StudyLogs()
    logs.line(log, "opened")
    with pytest.raises(WriteError, match="cannot write the log"):
        logs.close()


@pytest.mark.parametrize(
    "label",
    [
        "../../../etc/passwd",
        "/etc/passwd",
        "..",
        ".",
        "",
        "a\x00b\nc",
        "λ und µ",
        "x" * 5000,
        "searcher on task,folder=" + "/deep" * 500 + ", repetition 3",
        ".hidden",
        "-rf",
    ],
)
def test_no_label_leaves_the_folder(tmp_path, label):
    layout = Layout(tmp_path)
    path = layout.log("sweep", label, STUDY)
    assert path.parent == tmp_path / "sweeps" / "sweep" / "logs"
    assert re.fullmatch(r"[A-Za-z0-9_=][A-Za-z0-9._=-]*-01234567\.log", path.name)
    assert len(path.name) <= 120
    with StudyLogs() as logs:
        logs.line(path, "opened")
    assert [found.name for found in (tmp_path / "sweeps" / "sweep" / "logs").iterdir()] == [path.name]


def test_names_are_for_people_and_never_shared(tmp_path):
    layout = Layout(tmp_path)
    label = "optuna_tpe on mnist_mlp/small, repetition 3"
    assert layout.log("s", label, STUDY).name == "optuna_tpe-on-mnist_mlp-small-repetition-3-01234567.log"
    long = "optuna_tpe on mnist_mlp/small," + "option=value," * 50 + ", repetition 3"
    name = layout.log("s", long, STUDY).name
    assert name.startswith("optuna_tpe-on-mnist_mlp-small-")
    assert "-repetition-3-" in name
    # Labels that look the same once they are safe are told apart by their studies.
    assert layout.log("s", "a/b", STUDY) != layout.log("s", "a b", "f" * 16)
    for sweep, study in (("../up", STUDY), ("s", "../../up")):
        with pytest.raises(RecordError, match="cannot be used"):
            layout.log(sweep, label, study)
