"""Shared by all tests: the plug-in, and a way to run a sweep in this process."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from harness.threads import begin_with_one

begin_with_one()  # as the command line does, before anything loads numpy
import tasks.backend  # noqa: E402, F401 - says which kernels TensorFlow takes, before a test loads it

pytest.register_assert_rewrite("searchers.conformance")

from records import PLUGIN  # noqa: E402


@pytest.fixture
def plugin(monkeypatch):
    """Put the test plug-in on the path, as if it were installed; return its folder for subprocesses."""
    from harness import registry

    monkeypatch.syspath_prepend(str(PLUGIN))
    registry.tasks.cache_clear()
    registry.searchers.cache_clear()
    yield PLUGIN
    registry.tasks.cache_clear()
    registry.searchers.cache_clear()
    sys.modules.pop("derby_test_plugin", None)


@pytest.fixture
def run_sweep(tmp_path):
    """Return a function that runs a sweep's text with an executor and returns the progress."""
    from harness.driver import Driver
    from harness.executors.serial import SerialExecutor
    from harness.progress import Progress
    from harness.sweep import parse_sweep
    from results.writer import RecordWriter

    def run(text: str, root: Path = tmp_path / "results", *, executor: Any = None, restart: bool = False):
        sweep = parse_sweep(text, "sweep.yaml")
        progress = Progress(len(sweep.studies), 0)
        with RecordWriter(root, sweep=sweep.name, host="here", pid=1) as writer:
            writer.write_sweep(sweep.name, sweep.text, sweep.as_plan())
            used = executor or SerialExecutor(sweep.spec.threads)
            Driver(sweep, writer, progress, restart=restart).run(used)
        return progress

    run.root = tmp_path / "results"
    return run
