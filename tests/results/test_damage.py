"""Damaged and foreign files as a user meets them: each command says which file, and what to do."""

from __future__ import annotations

import json
import os
import shutil

import pytest
from typer.testing import CliRunner

from harness.cli import app
from harness.errors import RecordError

SWEEP = """\
name: damaged
repetitions: 2
budget: {evaluations: 4}
tasks: [branin]
searchers: [random]
"""

READING = ["status", "plan", "run", "report", "export", "publish", "compare"]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A finished sweep."""
    folder = tmp_path_factory.mktemp("whole")
    (folder / "damaged.yaml").write_text(SWEEP)
    done = CliRunner().invoke(
        app, ["run", str(folder / "damaged.yaml"), "--results", str(folder / "results")]
    )
    assert done.exit_code == 0, done.output
    return folder


@pytest.fixture
def ask(whole, tmp_path, monkeypatch):
    """Return a function that gives a command on a copy of the sweep, and its folder."""
    shutil.copytree(whole, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)

    def run(command: str):
        sweep = "damaged.yaml" if command in ("run", "plan") else "damaged"
        arguments = {
            "compare": ["compare", "results", str(whole / "results")],
            "publish": ["publish", "damaged", "--results", "results", "--published", "published"],
        }.get(command, [command, sweep, "--results", "results"])
        return CliRunner().invoke(app, arguments)

    run.root = tmp_path / "results"
    return run


def journal(root):
    return sorted((root / "studies").glob("*.jsonl"))[0]


def evaluations(root):
    return next((root / "evaluations").glob("*/*.jsonl"))


def plan(root):
    return root / "sweeps/damaged/plan.json"


def provenance(root):
    return next((root / "sweeps/damaged/runs").glob("*.json"))


def machine(root):
    return next((root / "machines").glob("*.json"))


def sweep_file(root):
    return root / "sweeps/damaged/sweep.yaml"


def changed(old, new, line=None):
    """A change of a file's text, in one line of it."""

    def change(path):
        lines = path.read_text().splitlines(keepends=True)
        place = next(i for i, text in enumerate(lines) if old in text) if line is None else line
        assert old in lines[place]
        lines[place] = lines[place].replace(old, new, 1)
        path.write_text("".join(lines))

    return change


def every_line(change):
    def edit(path):
        path.write_bytes(change(path.read_bytes()))

    return edit


def folder(path):
    path.unlink()
    path.mkdir()


def pipe(path):
    path.unlink()
    os.mkfifo(path)


def link_to_itself(path):
    path.unlink()
    path.symlink_to(path)


def no_utf8(path):
    data = path.read_bytes()
    path.write_bytes(data[:40] + b"\xff\xfe" + data[40:])


def foreign(value):
    return lambda path: path.write_text(json.dumps(value) + "\n")


def gone(path):
    path.unlink()


def told_twice(path):
    lines = path.read_bytes().splitlines(keepends=True)
    at = next(i for i, line in enumerate(lines) if b'"told"' in line)
    path.write_bytes(b"".join([*lines[: at + 1], lines[at], *lines[at + 1 :]]))


def two_dropped_of(place):
    def change(path):
        lines = path.read_bytes().splitlines(keepends=True)
        path.write_bytes(b"".join([*lines[:place], *lines[place + 2 :]]))

    return change


def any_digit(path):
    """The last digit of the first value that was told."""
    text = path.read_text()
    at = text.index(",", text.index('"value":')) - 1
    path.write_text(text[:at] + ("1" if text[at] != "1" else "2") + text[at + 1 :])


EVERY = READING
TABLES = ["report", "export", "publish", "compare"]
JOURNALS = {
    "a changed key": changed('"root_seed":0', '"root_seed":1'),
    "a folder": folder,
    "a pipe": pipe,
    "a link to itself": link_to_itself,
    "bytes that are no UTF-8": no_utf8,
    "a float out of range": changed('"loss":', '"loss":1e400,"was":'),
    "a number of 5000 digits": changed('"epochs":', f'"epochs":{"9" * 5000},"was":'),
    "NaN": changed('"loss":', '"loss":NaN,"was":'),
    "negative epochs": changed('"epochs":1', '"epochs":-1'),
    "numbers out of order": changed('"number":1', '"number":2'),
    "told twice": told_twice,
    "dropped lines": two_dropped_of(2),  # a question and its answer
    "a changed digit": any_digit,
    "lines of something else": foreign({"event": "opened"}),
    "no JSON": every_line(lambda data: b"\x00" * 20 + b"\n" + data),
}


@pytest.mark.parametrize("command", EVERY)
@pytest.mark.parametrize("damage", JOURNALS)
def test_a_damaged_journal(ask, command, damage):
    path = journal(ask.root)
    JOURNALS[damage](path)
    refused(ask(command), path)


OTHERS = {
    "somebody's plan": (plan, foreign({"tasks": [], "studies": 3}), [*TABLES, "status"]),
    "a plan with a wrong type": (plan, changed('"repetition": 0', '"repetition": "0"'), [*TABLES, "status"]),
    "a plan of nothing": (plan, foreign([]), [*TABLES, "status"]),
    "a plan with a changed number": (
        plan,
        changed('"budget_amount": 4', '"budget_amount": 5'),
        [*TABLES, "status"],
    ),
    "a plan with another direction": (plan, changed('"min"', '"max"'), [*TABLES, "status"]),
    "a plan that nests without end": (plan, lambda path: path.write_text("[" * 100_000), [*TABLES, "status"]),
    "a plan in a folder's place": (plan, folder, [*TABLES, "status", "run"]),
    "a plan that is a pipe": (plan, pipe, [*TABLES, "status"]),
    "somebody's provenance": (provenance, foreign({"data": [], "versions": 3}), TABLES),
    "a run that is no UTF-8": (provenance, no_utf8, TABLES),
    "a machine with a wrong type": (machine, foreign({"threads": "many"}), TABLES),
    "a machine with another number": (machine, changed('"threads": 1', '"threads": 2'), [*TABLES, "status"]),
    "a machine that is gone": (machine, gone, TABLES),
    "no sweep file": (sweep_file, gone, TABLES),
    "a sweep file that is a folder": (sweep_file, folder, [*TABLES, "run"]),
    "a sweep file that is no UTF-8": (sweep_file, lambda path: path.write_bytes(b"\xff"), TABLES),
    "evaluations that are gone": (evaluations, gone, ["export", "publish"]),
}
EVALUATIONS = {
    "a changed digit": changed('"seconds":[', '"seconds":[1'),
    "a changed key": changed('"seed":', '"seed":1'),
    "a dropped line": two_dropped_of(0),
    "no UTF-8": no_utf8,
    "a folder": folder,
    "a pipe": pipe,
    "a link to itself": link_to_itself,
    "a number of 5000 digits": changed('"epochs":', f'"epochs":{"9" * 5000},"was":'),
}


@pytest.mark.parametrize("command", ["run", "export", "publish"])  # a report of these reads no curves
@pytest.mark.parametrize("damage", EVALUATIONS)
def test_damaged_evaluations(ask, damage, command):
    path = evaluations(ask.root)
    EVALUATIONS[damage](path)
    if command == "run":
        journal(ask.root).unlink()  # so that there is a use for them
    refused(ask(command), path)


@pytest.mark.parametrize(
    ("damage", "command"),
    [(name, command) for name, (*_, commands) in OTHERS.items() for command in commands],
)
def test_another_damaged_file(ask, damage, command):
    which, change, _ = OTHERS[damage]
    path = which(ask.root)
    change(path)
    refused(ask(command), path.parent if which is evaluations else path)


@pytest.mark.parametrize("name", ["driver.json", "sweeps/damaged/progress.json"])
@pytest.mark.parametrize("value", [{}, [], 3, {"sweep": [], "pid": {}}, {"run": None, "snapshot": "x"}])
def test_what_is_no_part_of_the_record_stops_nothing(ask, name, value):
    (ask.root / name).write_text(json.dumps(value))
    for command in ("status", "run", "export"):
        done = ask(command)
        assert done.exit_code == 0, done.output


def test_what_a_damaged_file_held_is_run_again_where_it_was_moved_away(ask):
    """What the message says to do."""
    before = ask("export").output
    frames = {path.name: path.read_bytes() for path in (ask.root / "sweeps/damaged/export").iterdir()}
    path = journal(ask.root)
    any_digit(path)
    refused(ask("run"), path)
    path.rename(ask.root.parent / "away")
    again = ask("run")
    assert again.exit_code == 0, again.output
    assert "reused 4 recorded ones" in " ".join(again.output.split())
    assert ask("export").output == before
    assert set(frames) == {path.name for path in (ask.root / "sweeps/damaged/export").iterdir()}


def refused(done, path):
    """Check that a command ended with the error that the command line prints, and that it names a file."""
    assert isinstance(done.exception, RecordError), (done.exception, done.output)
    message = str(done.exception)
    assert path.name in message, message
    assert any(word in message for word in ("restore", "move", "check what", "mend", "--results")), message
