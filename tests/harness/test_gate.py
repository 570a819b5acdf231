"""Gates as maintainers of a method meet them: the same, worse, broken, undecided; interrupted, and gone on with."""

from __future__ import annotations

import json
import os
import shutil
import signal
import site
import subprocess
import sys
import time
import venv
import zipfile
from pathlib import Path

import pytest
from command import derby
from filelock import FileLock

from analysis.statistics.sequential import Plan
from harness import registry, side
from harness.environments import Wish, made
from harness.errors import SideError, SweepError
from harness.gate import looks_of
from harness.recording_file import load
from results.tables import read_tables

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


SIDES = ("--baseline-revision", "optimum", "--candidate-revision", "corner", "--no-costs")


def record(results: Path, repetitions: int) -> dict[str, list[tuple[object, ...]]]:
    """Return what was proposed and found in the first repetitions, by the gate's folders."""
    (folder,) = (results / "gates").iterdir()
    return {
        name: list(
            trials[trials["repetition"] < repetitions]
            .sort_values(["repetition", "step"])[["repetition", "step", "config", "value"]]
            .itertuples(index=False, name=None)
        )
        for name in ("baseline", "candidate", "random")
        if (trials := read_tables(folder / name, "pointed-on-branin").trials) is not None
    }


@pytest.fixture(scope="module")
def uninterrupted(place):
    """Return what a gate of a worse candidate finds that nothing interrupts: its account and its record."""
    found, results = place / "uninterrupted.json", place / "uninterrupted"
    common = (place / "sweep.yaml", "--repository", place / "plugin", "--results", results, *SIDES)
    done = derby("gate", *common, "--looks", "4,8", "--json", found, PYTHONPATH=str(place / "plugin"))
    assert done.returncode == 1, done.stdout + done.stderr
    assert "\nworse: " in done.stdout
    assert "they part first in repetition 0, proposal 1, at x1: 3.14159" in done.stdout
    return json.loads(found.read_text()), record(results, 8)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_gate_goes_on_wherever_it_was_interrupted(place, uninterrupted, number):
    """It is interrupted or killed, and goes on at once: the verdict and the record are those of one that was not."""
    results, found = place / f"ended by {number.name}", place / f"{number.name}.json"
    common = (place / "sweep.yaml", "--repository", place / "plugin", "--results", results, *SIDES)
    command = [sys.executable, "-m", "harness.cli", "gate", *map(str, common), "--looks", "1000"]
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
    while len(list(results.glob(measured))) < 2 and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(number)
    try:
        out, _ = process.communicate(timeout=60)
    finally:
        process.kill()  # its sides end with it
    if number is signal.SIGKILL:
        assert process.returncode == -number
    else:
        assert process.returncode == 130, out
        assert "To go on: derby gate " in out
    before = {path: path.read_bytes() for path in results.glob(measured)}
    assert len(before) == 2

    python_path = {"PYTHONPATH": environment["PYTHONPATH"]}
    done = derby("gate", *common, "--looks", "4,8", "--json", found, **python_path)
    assert done.returncode == 1, done.stdout + done.stderr
    account, expected = json.loads(found.read_text()), uninterrupted[0]
    for part in ("outcome", "sentence", "repetitions", "quality", "percentiles", "proposals"):
        assert account[part] == expected[part]
    assert record(results, 8) == uninterrupted[1]
    after = {path: path.read_bytes() for path in results.glob(measured)}
    kept = {path: content[: content.rfind(b"\n") + 1] for path, content in before.items()}
    assert all(after[path].startswith(content) for path, content in kept.items())

    if number is signal.SIGINT:  # with a smaller plan nothing is known, and nothing is run anew
        undecided = derby("gate", *common, "--looks", "1", **python_path)
        assert undecided.returncode == 125
        assert "\nundecided: " in undecided.stdout
        assert {path: path.read_bytes() for path in results.glob(measured)} == after


@pytest.mark.slow
def test_another_interpreter_is_a_side_as_it_is(place, tmp_path):
    """One that has all that is needed runs; one without it is told apart from a method that is worse."""
    for name in ("other", "bare"):
        venv.create(tmp_path / name, symlinks=True)
    (packages,) = (tmp_path / "other").glob("lib/python*/site-packages")
    seen = [*(path for path in site.getsitepackages()), place / "plugin"]
    (packages / "seen.pth").write_text(
        "".join(f"import site; site.addsitedir({str(path)!r})\n" for path in seen)
    )
    done = gate(place, "--baseline", str(tmp_path / "other" / "bin" / "python"), "--no-costs")
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"baseline: {tmp_path / 'other' / 'bin' / 'python'}; " in done.stdout
    assert "All 12 proposals are identical" in done.stdout

    done = gate(place, "--baseline", str(tmp_path / "bare" / "bin" / "python"))
    assert done.returncode == 125
    assert "bare/bin/python, cannot be tested: ModuleNotFoundError: No module named " in done.stderr
    assert "install there what this project needs" in done.stderr
    assert "Traceback" not in done.stderr


def test_what_is_no_python_or_an_old_one_is_no_side(tmp_path):
    def program(name: str, text: str) -> Path:
        path = tmp_path / name
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)
        return path

    with pytest.raises(SweepError, match="ruby is no Python interpreter"):
        made(Wish(python=program("ruby", "exit 1")), tmp_path)
    with pytest.raises(SideError, match=r"old is Python 3\.8; this project, which runs in it, needs 3\.11"):
        made(Wish(python=program("old", "echo 3 8")), tmp_path)


@pytest.mark.slow
def test_git_bisect_finds_the_revision_that_made_it_worse(place, tmp_path):
    repository = tmp_path / "bisected"
    shutil.copytree(place / "plugin", repository)

    def git(*arguments: str) -> str:
        who = ("-c", "user.name=Nobody", "-c", "user.email=nobody@example.org")
        environment = {**os.environ, "PYTHONPATH": str(repository)}
        done = subprocess.run(
            ["git", "-C", repository, *who, *arguments],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    for tag, ask in (("good", OPTIMUM), ("worse", CORNER), ("later", CORNER + "  # as before")):
        (repository / "pointed_plugin.py").write_text(PLUGIN.format(ask=ask))
        git("commit", "--all", "--allow-empty", "-m", tag)
        git("tag", tag)
    git("bisect", "start", "later", "good")
    plan = ("--no-costs", "--looks", "8", "--results", str(tmp_path / "results"))
    sweep = str(place / "sweep.yaml")
    run = (sys.executable, "-m", "harness.cli", "gate", sweep, "--baseline-revision", "good", *plan)
    said = git("bisect", "run", *run)
    assert f"{git('rev-parse', 'worse').strip()} is the first bad commit" in said


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


def test_a_side_that_another_gate_runs_is_refused(place, monkeypatch, capsys):
    monkeypatch.setattr(side, "OTHERS_SECONDS", 0.1)
    sweep, folder = str(place / "sweep.yaml"), str(place / "taken")
    with FileLock(f"{folder}.lock"):
        assert side._alone(sweep, folder, lambda: side.ENDED) == side.REFUSED
    assert f"another gate is writing to {folder}: wait for it" in capsys.readouterr().err
    assert side._alone(sweep, folder, lambda: side.ENDED) == side.ENDED


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
    for about, value in (("get worse", plan.margin), ("grow", plan.cost_margin), ("each way", plan.level)):
        assert f"{about}; {value:g} by default" in told


def test_looks_are_numbers():
    assert looks_of("5, 10,20") == (5, 10, 20)
    with pytest.raises(SweepError, match="got '5;10'"):
        looks_of("5;10")


def test_of_two_recordings_of_a_task_the_larger_is_taken():
    shipped = registry.task("replay").shipped()
    nets = {name: len(load(path).configs) for name, path in shipped.items() if name.startswith("mnist_net")}
    assert len(nets) > 1
    taken = side.on_recordings("random")["tasks"]
    assert [name for name in nets if f"replay/{name}" in taken] == [max(nets, key=nets.__getitem__)]
