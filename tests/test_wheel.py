"""The wheel that users install: all that is in the packages' folders, and commands that need no checkout."""

from __future__ import annotations

import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

from derby.rooms import ROOMS

ROOT = Path(__file__).resolve().parents[1]
PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check")
SWEEP = """\
name: wheel
repetitions: 1
budget: {evaluations: 2}
tasks: [replay/mnist_mlp_design-small]
searchers: [random]
"""


def packages(folder):
    """Every file of the packages below a folder, as a wheel names it."""
    return {
        path.relative_to(folder).as_posix()
        for room in ("derby", *ROOMS)
        for path in (folder / room).rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }


@pytest.mark.slow
def test_the_wheel_works_in_a_bare_environment(tmp_path):
    """An environment with the locked libraries that has the project from the wheel alone."""
    source, wheels, bare = tmp_path / "source", tmp_path / "wheels", tmp_path / "bare"
    source.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    for room in ("derby", *ROOMS):
        ignored = shutil.ignore_patterns("__pycache__", "local", "published")  # the latter two hold results
        shutil.copytree(ROOT / room, source / room, ignore=ignored)
    built = subprocess.run(
        [*PIP, "wheel", "--quiet", "--no-deps", "--wheel-dir", wheels, source],
        check=False,
        capture_output=True,
        text=True,
    )
    if "setuptools" in built.stderr and "No matching distribution" in built.stderr:
        pytest.skip("the wheel's build needs setuptools, which pip cannot get here")
    assert built.returncode == 0, built.stderr
    [wheel] = wheels.iterdir()
    names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert names == packages(source)

    venv.create(bare, with_pip=False)
    [site] = bare.glob("lib/python*/site-packages")
    # Python reads no file of this kind in a folder that such a file names: so the checkout is not found.
    (site / "libraries.pth").write_text(sysconfig.get_path("purelib"))
    python = bare / "bin" / "python"
    install = [*PIP, "--python", python, "install", "--quiet", "--no-deps", "--no-index", "--force-reinstall"]
    subprocess.run([*install, wheel], check=True)

    def derby(*arguments):
        done = subprocess.run(
            [bare / "bin" / "derby", *arguments],
            cwd=tmp_path,
            env={"COLUMNS": "200", "PATH": ""},
            check=False,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    where = subprocess.run(
        [python, "-c", "import harness; print(harness.__file__)"],
        cwd=tmp_path,
        check=True,
        capture_output=True,
        text=True,
    )
    assert Path(where.stdout.strip()).is_relative_to(site)
    assert "Race hyperparameter-optimisation methods" in derby("--help")
    assert {"branin", "fashion_mlp", "replay"} <= {
        line.partition(" ")[0] for line in derby("tasks").splitlines()
    }
    (tmp_path / "wheel.yaml").write_text(SWEEP)
    assert "1 of 1 study done" in derby("run", "wheel.yaml")
