"""The laboratory: skipped, with the reason, where it cannot be had, and unless asked for by ``-m lab``."""

from __future__ import annotations

import subprocess
import sys

import equipment
import machines
import pytest

SWEEP = "docs/sweeps/live.yaml"


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config, items):
    ours = [item for item in items if item.get_closest_marker("lab")]
    if not ours:
        return
    asked = "lab" in config.option.markexpr.split()
    reason = machines.missing() or equipment.missing() if asked else "takes minutes: make lab"
    if reason is not None:
        for item in ours:
            item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="session")
def installed():
    return equipment.equipment()


@pytest.fixture(scope="session")
def key(tmp_path_factory):
    path = tmp_path_factory.mktemp("key") / "id"
    return path, machines.make_key(path)


@pytest.fixture(scope="session")
def serial(tmp_path_factory):
    """A results folder with the documented sweep as the serial executor runs it, on this computer."""
    folder = tmp_path_factory.mktemp("serial")
    assert SWEEP in equipment.documented("ray exec docs/cluster/on-premises.yaml --tmux")
    command = [sys.executable, "-m", "harness.cli", "run", SWEEP, "--results", str(folder)]
    subprocess.run(command, cwd=equipment.ROOT, check=True, capture_output=True)
    return folder
