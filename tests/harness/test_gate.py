"""Gates as maintainers of a method meet them: the same, worse, broken, undecided; interrupted, and gone on with."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest
from command import derby

from analysis.statistics.sequential import Plan
from harness.environments import Wish, made
from harness.errors import SideError, SweepError
from harness.gate import looks_of

PLUGIN = """
from harness.searcher import Searcher, Suggestion


class Pointed(Searcher):
    '''Proposes one point.'''

    name = "pointed"

    def _ask(self):
        {ask}

    def _tell(self, suggestion, loss):
        pass
"""

OPTIMUM = "return Suggestion({'x1': 3.141592653589793, 'x2': 2.275})"
REWRITTEN = "from math import pi; return Suggestion(dict(x1=pi, x2=2.275))"
CORNER = "return Suggestion({'x1': -5.0, 'x2': 0.0})"
BROKEN = "raise RuntimeError('no bandwidth')"

SWEEP = """
name: pointed-on-branin
repetitions: 1
budget: {evaluations: 3}
tasks: [branin]
searchers: [pointed]
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Return a folder with a sweep, and a plug-in in a git repository, a revision for each way to ask."""
    folder = tmp_path_factory.mktemp("gate")
    (folder / "sweep.yaml").write_text(SWEEP)
    plugin = folder / "plugin"
    about = plugin / "pointed-1.0.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: pointed\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[derby.searchers]\npointed = pointed_plugin:Pointed\n")

    def git(*arguments: str) -> None:
        who = ("-c", "user.name=Nobody", "-c", "user.email=nobody@example.org")
        subprocess.run(["git", "-C", plugin, *who, *arguments], check=True, capture_output=True)

    git("init")
    for tag, ask in (("corner", CORNER), ("broken", BROKEN), ("rewritten", REWRITTEN), ("optimum", OPTIMUM)):
        (plugin / "pointed_plugin.py").write_text(PLUGIN.format(ask=ask))
        git("add", "pointed_plugin.py")
        git("commit", "-m", tag)
        git("tag", tag)
    return folder


def gate(place: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a gate of the plug-in's working tree, at which the repository's last revision is the optimum."""
    common = ("--repository", place / "plugin", "--results", place / "results", "--looks", "4,30")
    return derby("gate", place / "sweep.yaml", *common, *arguments, PYTHONPATH=str(place / "plugin"))


@pytest.mark.slow
def test_a_revision_that_proposes_the_same_is_identical(place, tmp_path):
    found, summary = tmp_path / "gate.json", tmp_path / "gate.md"
    done = gate(
        place,
        "--baseline-revision",
        "rewritten",
        "--json",
        str(found),
        "--markdown",
        str(summary),
        "--no-costs",
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "All 12 proposals are identical" in done.stdout
    account = json.loads(found.read_text())
    assert account["outcome"] == "identical"
    assert account["repetitions"] == 4
    assert "revision rewritten" in account["baseline"]
    assert summary.read_text().startswith("**Identical.**")


@pytest.mark.slow
def test_a_broken_side_gives_no_verdict(place):
    done = gate(place, "--baseline-revision", "optimum", "--candidate-revision", "broken")
    assert done.returncode == 125
    assert "the candidate, the running environment, revision broken" in done.stderr
    assert "no bandwidth" in done.stderr
    assert "worse" not in done.stdout


@pytest.mark.slow
def test_a_worse_candidate_fails_wherever_it_was_interrupted(place):
    """It is interrupted, goes on, fails; with a smaller plan nothing is known, and nothing is run anew."""
    sides = ("--baseline-revision", "optimum", "--candidate-revision", "corner", "--no-costs")
    sweep, repository, results = (str(place / name) for name in ("sweep.yaml", "plugin", "interrupted"))
    common = (sweep, "--repository", repository, "--results", results, *sides)
    command = [sys.executable, "-m", "harness.cli", "gate", *common, "--looks", "1000"]
    environment = {**os.environ, "PYTHONPATH": str(place / "plugin")}
    process = subprocess.Popen(
        command,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        # A shell that runs the tests in the background has them, and so their children, ignore Ctrl-C.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 - no threads here
    )
    measured = "gates/*/*/measured.jsonl"
    deadline = time.monotonic() + 120
    while (
        len(list(Path(results).glob(measured))) < 2 and process.poll() is None and time.monotonic() < deadline
    ):
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    try:
        out, _ = process.communicate(timeout=60)
    finally:
        process.kill()  # its sides end with it
    assert process.returncode == 130, out
    assert f"To go on: derby gate {sweep}" in out
    before = {path: path.read_bytes() for path in Path(results).glob(measured)}
    assert len(before) == 2

    python_path = {"PYTHONPATH": environment["PYTHONPATH"]}
    done = derby("gate", *common, "--looks", "4,8", **python_path)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "\nworse: " in done.stdout
    assert "they part first in repetition 0, proposal 1, at x1: 3.14159" in done.stdout
    after = {path: path.read_bytes() for path in Path(results).glob(measured)}
    assert all(after[path].startswith(content) for path, content in before.items())

    undecided = derby("gate", *common, "--looks", "1", **python_path)
    assert undecided.returncode == 125
    assert "\nundecided: " in undecided.stdout
    assert {path: path.read_bytes() for path in Path(results).glob(measured)} == after


def test_what_is_wrong_on_both_sides_is_an_error_of_use(place):
    done = derby(
        "gate",
        "optuna_tp",
        *("--repository", place / "plugin", "--baseline-revision", "optimum", "--results", place / "results"),
    )
    assert done.returncode == 2
    assert "did you mean 'optuna_tpe'?" in done.stderr


def test_two_equal_sides_are_refused(tmp_path):
    done = derby("gate", "random", "--results", tmp_path)
    assert done.returncode == 2
    assert "baseline and candidate are the same environment" in done.stderr


def wheel(folder: Path, version: str) -> Path:
    """Write a wheel of a package that says its version."""
    path = folder / f"gated-{version}-py3-none-any.whl"
    about = f"gated-{version}.dist-info"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("gated.py", f"VERSION = {version!r}\n")
        file.writestr(f"{about}/METADATA", f"Metadata-Version: 2.1\nName: gated\nVersion: {version}\n")
        file.writestr(
            f"{about}/WHEEL",
            "Wheel-Version: 1.0\nGenerator: a test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        )
        file.writestr(f"{about}/RECORD", "")
    return path


@pytest.mark.slow
def test_an_environment_beside_sees_the_running_ones_packages_behind_its_own(tmp_path, monkeypatch):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    package = wheel(tmp_path, "2.0")
    environment = made(Wish(requirements=(str(package),)), tmp_path / "cache")
    asks = "import gated, msgspec, numpy; print(gated.VERSION, numpy.__file__, msgspec.__file__)"
    command = [environment.python, "-P", "-c", asks]
    seen = subprocess.run(
        command, env=environment.variables(tmp_path), capture_output=True, text=True, check=True
    )
    import msgspec
    import numpy as np

    assert seen.stdout.split() == ["2.0", np.__file__, msgspec.__file__]
    built = environment.python.stat().st_mtime_ns
    assert made(Wish(requirements=(str(package),)), tmp_path / "cache") == environment
    assert environment.python.stat().st_mtime_ns == built
    with pytest.raises(
        SideError, match=r"pip cannot install gated==3\.0 beside (?s:.*)No matching distribution"
    ):
        made(Wish(requirements=("gated==3.0",)), tmp_path / "cache")


def test_a_side_has_an_interpreter_or_packages():
    with pytest.raises(SweepError, match=r"one side is given the interpreter old/bin/python and packages"):
        Wish(Path("old/bin/python"), ("optuna==4.6",))


def test_a_revision_or_interpreter_that_is_not_there_is_named(place, tmp_path):
    with pytest.raises(SweepError, match=r"nowhere.*there is no such revision"):
        made(Wish(revision="nowhere", repository=place / "plugin"), tmp_path)
    with pytest.raises(SweepError, match="none/python is no interpreter"):
        made(Wish(python=tmp_path / "none" / "python"), tmp_path)


def test_the_help_says_the_plan():
    told, plan = " ".join(derby("gate", "--help").stdout.replace("│", " ").split()), Plan()
    assert f"{','.join(map(str, plan.looks))} by default" in told
    for value in (plan.margin, plan.cost_margin, plan.level):
        assert f"; {value:g} by default" in told


def test_looks_are_numbers():
    assert looks_of("5, 10,20") == (5, 10, 20)
    with pytest.raises(SweepError, match="got '5;10'"):
        looks_of("5;10")
