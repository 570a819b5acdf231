"""A driver killed at any moment: the record comes out the same, and nothing recorded is trained twice."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from records import study_records

SWEEP = """\
name: crash
seed: 2
repetitions: 2
workers: {workers}
budget: {{{budget}}}
tasks:
  - {{name: troublesome, options: {{trouble: sleep, folder: "{folder}"}}}}
  - mixed
searchers: [random, grid, optuna_tpe]
"""


def start(sweep: Path, results: Path, plugin: Path) -> subprocess.Popen[bytes]:
    env = {**os.environ, "PYTHONPATH": str(plugin)}
    command = [sys.executable, "-m", "harness.cli", "run", str(sweep), "--results", str(results)]
    # A shell that runs the tests in the background has them, and so their children, ignore Ctrl-C.
    return subprocess.Popen(
        command,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 - no threads here
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("workers", "budget"), [(1, "epochs: 120"), (4, "epochs: 120"), (1, "cost: 240"), (4, "cost: 240")]
)
def test_a_driver_killed_at_random_moments_leaves_the_same_record(
    run_sweep, tmp_path, plugin, workers, budget
):
    kills = int(os.environ.get("DERBY_TEST_KILLS", "3"))
    rng = random.Random(workers)
    sweep, results, trained = tmp_path / "sweep.yaml", tmp_path / "killed", tmp_path / "trained"
    sweep.write_text(SWEEP.format(workers=workers, budget=budget, folder=tmp_path))

    whole = run_sweep(sweep.read_text(), tmp_path / "whole")
    expected = trained.read_text().splitlines()
    assert whole.failed == {}
    trained.unlink()

    killed = 0
    while True:
        process = start(sweep, results, plugin)
        if killed < kills:
            # Past the start-up, into the work: wait for the record to grow, then a random while.
            size, deadline = _size(results), time.monotonic() + 60
            while _size(results) == size and process.poll() is None and time.monotonic() < deadline:
                time.sleep(0.01)
            time.sleep(rng.uniform(0, 0.6))
        if killed < kills and process.poll() is None:
            process.send_signal(signal.SIGKILL)
            process.wait()
            killed += 1
            continue
        output = process.communicate(timeout=120)[0].decode()
        assert process.returncode == 0, output
        break
    assert killed >= 1
    assert study_records(results) == study_records(tmp_path / "whole")
    again = trained.read_text().splitlines()
    assert set(again) == set(expected)
    # Only what was in flight at a kill is trained twice: one evaluation each.
    assert len(again) - len(set(again)) <= killed


def _size(results: Path) -> int:
    return sum(path.stat().st_size for path in results.rglob("*.jsonl"))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGUSR1])
def test_asked_again_when_all_is_stopped_it_ends_at_once(number):
    code = f"""\
import os
from harness.launch import _Interruption
with _Interruption():
    os.kill(os.getpid(), {int(number)})
os.kill(os.getpid(), {int(number)})
print("still here")
"""
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 - no threads here
    )
    output = process.communicate(timeout=60)[0].decode()
    assert (process.returncode, output) == (130, "\nstopping; once more to exit at once\n")
