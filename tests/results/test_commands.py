"""``derby status``, ``compare``, ``publish`` and ``verify`` as a user meets them."""

from __future__ import annotations

import functools
import io
import json
import os
import re
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta

import msgspec
import pandas as pd
import pytest
from command import derby as derby_of_any_width
from records import study_records
from rich.console import Console

from harness.display import Display
from harness.progress import Progress
from results.documents import Holder, document, read_document
from results.layout import Layout
from results.summary import heartbeat_of
from results.writer import RecordWriter

derby = functools.partial(derby_of_any_width, COLUMNS="300")

SWEEP = """\
name: small
repetitions: 2
budget: {evaluations: 4}
tasks: [branin]
searchers: [random]
"""


SLOW = """\
name: slow
repetitions: 2
budget: {{evaluations: 60}}
tasks:
  - {{name: troublesome, options: {{trouble: sleep, folder: "{folder}"}}}}
searchers: [random, grid]
"""


@pytest.fixture
def folders(run_sweep, tmp_path):
    a, b, c = (tmp_path / name for name in "abc")
    run_sweep(SWEEP, a)
    run_sweep(SWEEP, b)
    run_sweep(SWEEP.replace("name: small", "name: small\nseed: 5"), c)
    return a, b, c


# Status.


@pytest.fixture
def status(run_sweep, tmp_path):
    """Return a function that asks for the status of a sweep that was run."""
    run_sweep(SWEEP)

    def ask() -> str:
        done = derby("status", "small", "--results", run_sweep.root, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert re.search(r"branin +random +2 +0 +0 +0 +8", done.stdout)
        return done.stdout

    return ask


def driver(root, *, sweep="small"):
    return RecordWriter(root, sweep=sweep, host="here", pid=1)


def beat(writer, *, ago=0.0):
    """Leave a heartbeat as a driver's display does, as of some seconds ago."""
    progress = Progress(
        studies=2, evaluations=8, told=3, left=5, worked=3, trained=2, reused=1, merged=4, retried=5
    )
    progress.evaluators_busy, progress.evaluators_idle, progress.evaluators_starting = 7, 6, 3
    progress.missing = ("gpu-2.example.org (not in the cluster)",)
    progress.search_seconds, progress.train_seconds = 12.0, 185.0
    progress.paced_from, progress.paced_at = time.monotonic() - 2, 1

    def write(snapshot):
        at = datetime.now(UTC) - timedelta(seconds=ago)
        writer.write_progress("small", msgspec.structs.replace(snapshot, at=at))

    with Display(Console(file=io.StringIO()), progress, write).shown():
        pass


def test_status_shows_what_the_running_driver_said_last(status, run_sweep):
    with driver(run_sweep.root) as writer:
        beat(writer, ago=3)
        shown = status()
    assert "is being written by sweep 'small' on here, process 1" in shown
    assert re.search(r"^\d+ s ago, after 0 s, about 5 s left:$", shown, re.MULTILINE)
    assert "studies 0/2, evaluations 3/8, " in shown
    assert "trained 2, reused 1, merged 4, waiting 0, retried 5" in shown
    assert "evaluators busy 7, idle 6, starting 3" in shown
    assert "missing: gpu-2.example.org (not in the cluster)" in shown
    assert "searching 12 s, training 3 min 05 s" in shown
    assert "hang" not in shown


def test_status_says_that_a_driver_fell_silent(status, run_sweep):
    with driver(run_sweep.root) as writer:
        beat(writer, ago=185)
        shown = status()
    assert re.search(r"it has said nothing for 3 min \d\d s: it may hang", shown)
    assert re.search(r"^3 min \d\d s ago, after 0 s", shown, re.MULTILINE)


def test_status_shows_no_numbers_of_a_driver_that_is_gone(status, run_sweep):
    with driver(run_sweep.root) as writer:
        beat(writer)
    shown = status()
    assert "is not being written now" in shown
    assert "reused" not in shown
    with driver(run_sweep.root):  # the next has not spoken yet
        shown = status()
        assert re.search(r"it began \d+ s ago and is starting", shown)
        assert "reused" not in shown
        about = read_document(run_sweep.root / "driver.json", Holder)
        since = (datetime.now(UTC) - timedelta(seconds=185)).isoformat()
        (run_sweep.root / "driver.json").write_text(document(msgspec.structs.replace(about, since=since)))
        assert "it has said nothing for 3 min" in status()
    with driver(run_sweep.root, sweep="another"):
        shown = status()
    assert "is being written by sweep 'another'" in shown
    assert "sweep 'small' is not running" in shown
    assert "reused" not in shown


def test_a_heartbeat_is_replaced_whole(run_sweep):
    run_sweep(SWEEP)
    with driver(run_sweep.root) as writer:
        beat(writer)
        path = Layout(run_sweep.root).progress("small")
        first = path.stat().st_ino
        beat(writer)
        assert path.stat().st_ino != first  # another file, renamed: a reader sees one or the other
        assert not list(path.parent.glob(".*"))
        path.write_text('{"run"')  # what a power cut may leave
        assert heartbeat_of(run_sweep.root, "small").snapshot is None
        path.unlink()
        assert heartbeat_of(run_sweep.root, "small").snapshot is None
    assert study_records(run_sweep.root)


def test_status_loads_neither_a_training_library_nor_ray_nor_pandas(run_sweep):
    run_sweep(SWEEP)
    code = f"""if True:
        import sys
        from typer.testing import CliRunner
        from harness.cli import app
        done = CliRunner().invoke(app, ["status", "small", "--results", {str(run_sweep.root)!r}])
        print(done.exit_code, sorted({{"tensorflow", "keras", "ray", "pandas", "scipy"}} & set(sys.modules)))"""
    with driver(run_sweep.root) as writer:
        beat(writer)
        out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "0 []"


@pytest.mark.slow
def test_a_running_sweep_is_watched_from_another_process_undisturbed(run_sweep, tmp_path, plugin):
    sweep, results = tmp_path / "sweep.yaml", tmp_path / "watched"
    text = SLOW.format(folder=tmp_path)
    sweep.write_text(text)
    run_sweep(text, tmp_path / "unwatched")
    command = [sys.executable, "-m", "harness.cli", "run", str(sweep), "--results", str(results)]
    runs = subprocess.Popen(
        command,
        env={**os.environ, "PYTHONPATH": str(plugin)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    seen = []
    try:
        while runs.poll() is None:
            if (results / "sweeps" / "slow" / "progress.json").exists():
                done = derby("status", "slow", "--results", results, cwd=tmp_path)
                assert done.returncode == 0, done.stderr
                seen += re.findall(
                    r"^\d+ s ago, after .*:\n  studies \d/4, evaluations (\d+)/240, .*\n", done.stdout, re.M
                )
            time.sleep(0.1)
    finally:
        runs.kill()
        output, _ = runs.communicate(timeout=60)
    assert runs.returncode == 0, output
    told = [int(number) for number in seen]
    assert told == sorted(told)
    assert any(0 < number < 240 for number in told), output
    after = derby("status", "slow", "--results", results, cwd=tmp_path).stdout
    assert "is not being written now" in after
    assert " ago, after" not in after
    assert study_records(results) == study_records(tmp_path / "unwatched")


# Several folders, and what is published.


@pytest.mark.slow
def test_compare_reports_on_folders_together(folders, tmp_path):
    a, b, c = folders
    done = derby("compare", a, b, "--out", tmp_path / "both", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "random is one method, its studies from a" in done.stdout
    assert (tmp_path / "both" / "report.html").exists()
    refused = derby("compare", a, c, "--out", tmp_path / "never", cwd=tmp_path)
    assert refused.returncode == 3
    assert "task branin: root seed is 0 in a and 5 in c" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert not (tmp_path / "never").exists()
    alone = derby("compare", a, cwd=tmp_path)
    assert alone.returncode == 2
    assert "expected two or more folders" in alone.stderr


@pytest.mark.slow
def test_what_is_published_verifies_until_it_is_changed(folders, tmp_path):
    published = tmp_path / "published"
    arguments = ("--published", published)
    done = derby("publish", "small", "--results", folders[0], *arguments, "--as", "release-1", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    folder = published / "release-1"
    manifest = json.loads((folder / "manifest.json").read_text())
    assert {"trials.parquet", "sweep.yaml", "report.html"} <= set(manifest["files"])
    assert any(name.startswith("figures/") and name.endswith(".pdf") for name in manifest["files"])
    same = derby("verify", "release-1", *arguments, cwd=tmp_path)
    assert same.returncode == 0, same.stdout + same.stderr
    assert "every figure drawn again is identical" in same.stdout
    trials = pd.read_parquet(folder / "trials.parquet")
    trials.loc[trials.index[-1], "value"] -= 50
    trials.to_parquet(folder / "trials.parquet")
    changed = derby("verify", "release-1", *arguments, cwd=tmp_path)
    assert changed.returncode == 1
    assert "not as published: trials.parquet was changed" in changed.stdout
    said = re.search(
        r"slices_\w+\.csv is drawn otherwise from the tables: it says (\S+) for (\S+)", changed.stdout
    )
    assert said, changed.stdout
    assert float(said[2]) - float(said[1]) == pytest.approx(50)


@pytest.mark.slow
def test_no_published_name_leaves_its_folder(folders, tmp_path):
    for command in (("publish", "small", "--results", folders[0], "--as", "../out"), ("verify", "../out")):
        done = derby(*command, "--published", tmp_path / "published", cwd=tmp_path)
        assert done.returncode == 3
        assert "published name '../out' cannot be used" in done.stderr
    assert not (tmp_path / "out").exists()
