"""Shared by all tests: the plug-in, and a way to run a sweep in this process."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from harness.arithmetic import Arithmetic, declare

# As the command line does, before anything loads numpy; `test_other_processors.py` runs a part with other kernels.
declare(Arithmetic(os.environ.get("DERBY_TEST_ARITHMETIC", "portable")))
# Ray's workers would otherwise yield to the other test process, and wait ten times as long where cores are busy.
os.environ.setdefault("RAY_worker_niceness", "0")
pytest.register_assert_rewrite("searchers.conformance", "tasks.conformance")
# The same examples every time, so that a change that passed here passes elsewhere; the profiles of hypothesis, such
# as `--hypothesis-profile=default`, look for new ones.
settings.register_profile("same", derandomize=True, print_blob=True)
settings.load_profile("same")

import groups  # noqa: E402
from records import PLUGIN  # noqa: E402


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config, items):
    """In one of several processes: the longest groups first, and write down for the scheduler who is in which."""
    if hasattr(config, "workerinput"):
        found = {item.nodeid: groups.group(item) for item in items}
        items.sort(key=lambda item: found[item.nodeid].place)
        Path(config.workerinput["groups"]).write_text(
            json.dumps({nodeid: group.name for nodeid, group in found.items()}), encoding="utf-8"
        )


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node):
    node.workerinput["groups"] = str(groups.file(node.config))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    return groups.scheduler(config, log)


MAY_LOAD_TENSORFLOW = ("tensorflow", "ray", "cluster", "slow")
_loaded_as_marked = False


@pytest.fixture(autouse=True)
def tensorflow_is_loaded_where_marked(request):
    """Fail a test that loads TensorFlow and is not marked so: it would make ``make test-quick`` slow."""
    global _loaded_as_marked  # noqa: PLW0603 - a process has it or not
    _loaded_as_marked |= any(request.node.get_closest_marker(name) for name in MAY_LOAD_TENSORFLOW)
    yield
    assert _loaded_as_marked or "tensorflow" not in sys.modules, "it loads TensorFlow: mark it `tensorflow`"


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
    for name in ("derby_test_plugin", "derby_test_faults"):
        sys.modules.pop(name, None)


@pytest.fixture
def run_sweep(tmp_path):
    """Return a function that runs a sweep's text with an executor and returns the progress."""
    from harness.driver import Driver
    from harness.executors.serial import SerialExecutor
    from harness.progress import Progress
    from harness.sweep import parse_sweep
    from results.writer import RecordWriter

    def run(text: str, root: Path = tmp_path / "results", *, executor: Any = None, on_mismatch: Any = "fail"):
        sweep = parse_sweep(text, "sweep.yaml")
        progress = Progress(len(sweep.studies), 0)
        with RecordWriter(root, sweep=sweep.name, host="here", pid=1) as writer:
            writer.write_sweep(sweep.name, sweep.text, sweep.as_plan())
            used = executor or SerialExecutor(sweep.spec.threads)
            Driver(sweep, writer, progress, on_mismatch=on_mismatch).run(used)
        return progress

    run.root = tmp_path / "results"
    return run
