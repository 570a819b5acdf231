"""Folders that are replaced whole: what goes, what stays, and what a kill at any moment leaves."""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from harness.errors import RecordError, WriteError
from results.folders import CONTENTS, _host, remove_file_drafts, replacing, settle

GONE = 2**22 + 1
"""No process has this number: it is above the most that Linux gives."""


def write(target, generation, names=("a.txt", "figures/b.txt", "figures/c.txt")):
    with replacing(target) as draft:
        for name in names:
            (draft / name).parent.mkdir(exist_ok=True)
            (draft / name).write_text(generation)


def contents(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_text()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != CONTENTS
    }


def whole(generation, *names):
    return dict.fromkeys(names or ("a.txt", "figures/b.txt", "figures/c.txt"), generation)


@pytest.fixture
def target(tmp_path):
    return tmp_path / "place" / "report"


def test_what_was_written_before_goes_and_what_was_added_stays(target):
    write(target, "old")
    (target / "figures" / "mine.txt").write_text("mine")
    (target / "figures" / "link").symlink_to("nowhere")
    write(target, "new", ["a.txt", "figures/d.txt"])
    assert contents(target) == {**whole("new", "a.txt", "figures/d.txt"), "figures/mine.txt": "mine"}
    assert (target / "figures" / "link").readlink() == Path("nowhere")
    assert [path.name for path in target.parent.iterdir()] == ["report"]


def test_an_empty_folder_is_taken(target):
    target.mkdir(parents=True)
    write(target, "new")
    assert contents(target) == whole("new")


def test_what_someone_else_made_is_left_alone(target):
    target.mkdir(parents=True)
    (target / "thesis.txt").write_text("years")
    with pytest.raises(
        RecordError, match="report was not written by derby, and is left as it is; choose a new"
    ):
        write(target, "new")
    assert contents(target) == {"thesis.txt": "years"}


@pytest.mark.parametrize("inside", ["studies/0a.jsonl", "deep/results/driver.lock", "sweeps/x/plan.json"])
def test_a_record_is_never_replaced(target, inside):
    write(target, "old")
    (target / inside).parent.mkdir(parents=True, exist_ok=True)
    (target / inside).write_text("")
    with pytest.raises(RecordError, match=f"holds a record .{inside}., and is left as it is"):
        write(target, "new")
    assert contents(target) == {**whole("old"), inside: ""}


@pytest.mark.parametrize("steps", [0, 1, 2])
def test_the_folder_one_is_in_is_never_replaced(target, monkeypatch, steps):
    inside = target.joinpath("figures", "deep").parents[steps - 1] if steps else target / "figures" / "deep"
    write(target, "old")
    (target / "figures" / "deep").mkdir()
    monkeypatch.chdir(inside)
    with pytest.raises(RecordError, match="holds the folder you are in"):
        write(target, "new")
    assert contents(target) == whole("old")


def test_a_file_is_never_replaced(target):
    target.parent.mkdir()
    target.write_text("a file")
    with pytest.raises(RecordError, match="no folder of its own"):
        write(target, "new")
    assert target.read_text() == "a file"


def test_a_link_is_followed_and_kept(target, tmp_path):
    write(target, "old")
    link = tmp_path / "link"
    link.symlink_to(target)
    write(link, "new")
    assert link.is_symlink()
    assert contents(target) == whole("new")


@pytest.mark.parametrize(
    ("error", "shown"), [(RuntimeError("no ink"), RuntimeError), (OSError(28, "No space"), WriteError)]
)
def test_an_error_leaves_what_was_there(target, error, shown):
    write(target, "old")
    with pytest.raises(shown, match="no ink|cannot write .*No space.*what was there stands"):
        with replacing(target) as draft:
            (draft / "a.txt").write_text("new")
            raise error
    assert contents(target) == whole("old")
    assert [path.name for path in target.parent.iterdir()] == ["report"]


def test_what_something_else_writes_meanwhile_is_left(target):
    with pytest.raises(WriteError, match="written by something else meanwhile"):
        with replacing(target):
            target.mkdir()
            (target / "theirs").write_text("theirs")
    assert contents(target) == {"theirs": "theirs"}


def test_only_what_a_process_left_that_is_gone_is_deleted(target):
    write(target, "old")
    host = _host()
    beside = target.parent
    living = beside / f".report.draft-{os.getppid()}-{host}"
    others = [
        beside / f".report.draft-{GONE}-elsewhere",
        beside / f".reports.draft-{GONE}-{host}",
        beside / ".report",
    ]
    gone = beside / f".report.draft-{GONE}-{host}"
    for folder in (living, *others, gone):
        folder.mkdir()
    settle(target)
    assert living.exists() and all(folder.exists() for folder in others)
    assert not gone.exists()
    assert contents(target) == whole("old")


def test_drafts_of_files_go_with_the_process_that_made_them(tmp_path):
    folder = tmp_path / "sweeps" / "x" / "runs"
    folder.mkdir(parents=True)
    gone, living, other = (
        folder / name for name in (f".a.json.{GONE}", f".a.json.{os.getppid()}", ".notes.2019")
    )
    for path in (gone, living, other, folder / "a.json"):
        path.write_text("{")
    remove_file_drafts(tmp_path)
    assert sorted(folder.iterdir()) == sorted([living, other, folder / "a.json"])


# Kills. Nothing is put in the place of anything: processes end themselves, or are ended.

CHILD = """
import os, signal, sys
from pathlib import Path
from results.folders import replacing

target, generation, when = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
count = 0

def hook(event, arguments):
    "End the process before the so many-th thing that it does to files below the folder's parent."
    global count
    if event in ("open", "os.rename", "os.mkdir", "os.remove", "os.rmdir", "os.link") and any(
        isinstance(value, (str, os.PathLike)) and str(target.parent) in str(value) for value in arguments
    ) or event in ("os.remove", "os.rmdir"):
        count += 1
        if count == when:
            os.kill(os.getpid(), signal.SIGKILL)

sys.addaudithook(hook)
with replacing(target) as draft:
    for name in ("a.txt", "figures/b.txt", "figures/c.txt"):
        (draft / name).parent.mkdir(exist_ok=True)
        (draft / name).write_text(generation)
"""


def test_a_kill_before_every_single_step_leaves_the_old_or_the_new(target):
    seen, missing = [], 0
    for when in range(1, 100):
        write(target, "old")
        command = [sys.executable, "-c", CHILD, str(target), "new", str(when)]
        code = subprocess.run(command, check=False).returncode
        missing += not target.exists()
        settle(target)
        seen.append(contents(target)["a.txt"])
        assert contents(target) == whole(seen[-1])
        assert [path.name for path in target.parent.iterdir()] == ["report"]
        if code == 0:
            break
        assert code == -signal.SIGKILL
    assert missing == 1  # between the two renames
    assert {"old", "new"} <= set(seen)
    assert seen == sorted(seen, reverse=True)  # first the old, from some step on the new
    assert len(seen) > 10


SWEEP = """\
name: small
repetitions: {repetitions}
budget: {{evaluations: 4}}
tasks: [branin]
searchers: [random, grid]
"""

COMMANDS = {
    "report": ["report", "small", "--out"],
    "export": ["export", "small", "--out"],
    "publish": ["publish", "small", "--replace", "--as", "it", "--published"],
}


def digests(folder):
    """Return the digest of every file, but of what holds the time."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file() and path.name not in ("manifest.json", "provenance.json")
    }


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_killed_at_random_moments_leaves_the_old_or_the_new(run_sweep, tmp_path, command):
    """With DERBY_TEST_KILLS=20 it is killed twenty times; ``-s`` shows what was there after each."""
    kills = int(os.environ.get("DERBY_TEST_KILLS", "2"))
    rng = random.Random(command)
    run_sweep(SWEEP.format(repetitions=2), tmp_path / "old")
    run_sweep(SWEEP.format(repetitions=3), tmp_path / "new")
    place = tmp_path / "place"
    target = place / "it"

    def start(generation):
        arguments = [*COMMANDS[command], place if command == "publish" else target]
        arguments += ["--results", tmp_path / generation]
        return subprocess.Popen(
            [sys.executable, "-m", "harness.cli", *map(str, arguments)],
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )

    def wait_for_draft(process, there=True):
        while process.poll() is None and (place.exists() and any(place.glob(".it.draft-*"))) is not there:
            time.sleep(0.002)

    wholes, seconds = {}, 0.0
    for generation in ("new", "old"):
        process = start(generation)
        wait_for_draft(process)
        began = time.monotonic()
        wait_for_draft(process, there=False)
        seconds = time.monotonic() - began
        assert process.wait() == 0
        wholes[generation] = digests(target)
    assert wholes["new"] != wholes["old"]

    found, killed, before = [], 0, "old"
    while killed < kills:
        after = "new" if before == "old" else "old"
        process = start(after)
        wait_for_draft(process)
        time.sleep(rng.uniform(0, 1.1) * seconds)
        if process.poll() is None:
            killed += 1
            os.killpg(process.pid, signal.SIGKILL)  # with the processes that draw
        assert process.wait() in (0, -signal.SIGKILL)
        left = sorted(path.name.split(".")[2].split("-")[0] for path in place.iterdir() if path.name != "it")
        settle(target)
        now = next((name for name, known in wholes.items() if digests(target) == known), None)
        assert now in (before, after)
        if command == "publish":
            listed = json.loads((target / "manifest.json").read_text())["files"]
            assert {name: listed[name] for name in wholes[now]} == wholes[now]
        assert [path.name for path in place.iterdir()] == ["it"]
        found.append(f"{before}, then {after}: {now} is there; beside it: {', '.join(left) or 'nothing'}")
        before = now
    print(command, *found, sep="\n  ")
    assert any("draft" in line for line in found)  # or no kill came while it wrote
