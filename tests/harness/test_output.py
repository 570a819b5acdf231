"""Standard error while a live display is shown: what libraries write at the level of the file descriptor."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys

import pytest

from harness.errors import DerbyError
from harness.output import Aside, say_at_once

NOISY = """\
import os
import derby


@derby.task(space={"x": derby.Float(0, 1)}, direction="max")
def noisy(config):
    os.write(2, b"I0000 cuda_dnn.cc:1] a line of C++\\n")
    return config["x"]
"""
SWEEP = "{name: s, repetitions: 1, budget: {evaluations: 3}, tasks: ['noisy.py:noisy'], searchers: [random]}"


def in_terminal(folder, *arguments, **streams):
    """Run ``derby`` in a terminal of its own; return its exit code and all that the terminal showed."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "harness.cli", *arguments],
        cwd=folder,
        stdin=theirs,
        stdout=theirs,
        stderr=streams.get("stderr", theirs),
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path), "TERM": "xterm"},
    )
    os.close(theirs)
    shown = b""
    while True:
        try:
            part = os.read(ours, 1 << 16)
        except OSError:  # the other end is closed
            break
        if not part:
            break
        shown += part
    os.close(ours)
    return process.wait(), shown.decode()


@pytest.fixture
def noisy(tmp_path):
    (tmp_path / "noisy.py").write_text(NOISY)
    (tmp_path / "s.yaml").write_text(SWEEP)
    return tmp_path


def test_what_libraries_write_is_kept_out_of_the_display_and_in_a_file_that_is_named(noisy):
    code, shown = in_terminal(noisy, "run", "s.yaml")
    assert code == 0, shown
    assert "a line of C++" not in shown
    log = noisy / "results/local/sweeps/s/logs/libraries.log"
    assert log.read_text().count("a line of C++") == 3
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]|\s", "", shown)
    assert "whatlibrariessaidmeanwhileisin" in plain
    assert "logs/libraries.log" in plain
    code, shown = in_terminal(noisy, "run", "s.yaml")
    assert "libraries" not in shown  # nothing was trained, and nothing said


def test_a_standard_error_of_its_own_is_left_to_it(noisy):
    with (noisy / "err").open("wb") as file:
        code, shown = in_terminal(noisy, "run", "s.yaml", stderr=file)
    assert code == 0, shown
    assert (noisy / "err").read_text().count("a line of C++") == 3
    assert not (noisy / "results/local/sweeps/s/logs/libraries.log").exists()


def written(act):
    """Return what reaches standard error, at the level of the file descriptor, while something is done."""
    reading, writing = os.pipe()
    kept = os.dup(2)
    os.dup2(writing, 2)
    try:
        act()
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(writing)
    with os.fdopen(reading, "rb") as file:
        return file.read()


@pytest.mark.parametrize(
    ("error", "passed_on"),
    [(None, b""), (DerbyError("says it all"), b""), (KeyboardInterrupt(), b""), (ValueError("x"), b"why\n")],
)
def test_what_is_held_back_is_passed_on_where_a_bug_ends_it(error, passed_on):
    def act():
        try:
            with Aside(active=True):
                os.write(2, b"why\n")
                if error is not None:
                    raise error
        except BaseException as raised:  # noqa: BLE001 - whatever is raised is looked at
            assert raised is error

    assert written(act) == passed_on


def test_what_must_be_said_at_once_is(tmp_path):
    def act():
        with Aside(active=True) as aside:
            aside.keep_in(tmp_path / "logs" / "a.log")
            os.write(2, b"aside\n")
            say_at_once(b"stopping\n")
        assert aside.kept == tmp_path / "logs" / "a.log"
        say_at_once(b"after\n")

    assert written(act) == b"stopping\nafter\n"
    assert (tmp_path / "logs" / "a.log").read_bytes() == b"aside\n"


def test_nothing_said_leaves_no_file(tmp_path):
    with Aside(active=True) as aside:
        aside.keep_in(tmp_path / "a.log")
    assert not (tmp_path / "a.log").exists()
