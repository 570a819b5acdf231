"""Setting up: by uv with what pip is configured with, and by pip where uv cannot be had."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SCRIPT = ROOT / ".ci" / "install.py"
BACKEND = """
import zipfile
def get_requires_for_build_editable(settings=None): return []
def build_editable(folder, settings=None, metadata=None):
    name = "project-1-py3-none-any.whl"
    with zipfile.ZipFile(f"{folder}/{name}", "w") as wheel:
        wheel.writestr("project.py", "")
        wheel.writestr("project-1.dist-info/METADATA", "Metadata-Version: 2.1\\nName: project\\nVersion: 1\\n")
        wheel.writestr("project-1.dist-info/WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        wheel.writestr("project-1.dist-info/RECORD", "")
    return name
"""


@pytest.fixture
def install():
    spec = importlib.util.spec_from_file_location("install", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def pip_file(tmp_path, monkeypatch):
    """A file of pip's, and none of its variables."""
    for name in [*os.environ]:
        if name.startswith(("PIP_", "UV_")):
            monkeypatch.delenv(name)
    file = tmp_path / "pip.conf"
    monkeypatch.setenv("PIP_CONFIG_FILE", str(file))
    return file


def test_uv_is_given_what_pip_is_configured_with(install, pip_file, monkeypatch):
    """From pip's file and its variables, of which the latter count more; what uv is told itself stays."""
    pip_file.write_text(
        "[global]\nindex-url = https://a.example/simple\nextra-index-url = https://b.example https://c.example\n"
        "[install]\nfind-links = one two\n"
    )
    monkeypatch.setenv("PIP_INDEX_URL", "https://d.example/simple")
    given = install.uv_environment(install.configured(), {"UV_FIND_LINKS": "mine"})
    assert given["UV_DEFAULT_INDEX"] == "https://d.example/simple"
    assert given["UV_INDEX"].endswith("https://b.example https://c.example")
    assert given["UV_FIND_LINKS"] == "mine"
    assert install.uv_environment(install.configured(), {})["UV_FIND_LINKS"].endswith("one,two")


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """A virtual environment with pip, to be copied."""
    folder = tmp_path_factory.mktemp("environment") / "env"
    venv.create(folder, with_pip=True)
    return folder


@pytest.fixture
def place(tmp_path, pip_file, environment):
    """A tiny project, and a folder with the one package it needs, which is all that pip may use."""
    packages, project = tmp_path / "packages", tmp_path / "project"
    packages.mkdir()
    project.mkdir()
    with zipfile.ZipFile(packages / "needed-2-py3-none-any.whl", "w") as wheel:
        wheel.writestr("needed.py", "")
        wheel.writestr("needed-2.dist-info/METADATA", "Metadata-Version: 2.1\nName: needed\nVersion: 2\n")
        wheel.writestr(
            "needed-2.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr("needed-2.dist-info/RECORD", "")
    (project / "requirements.lock").write_text("needed==2\n")
    (project / "backend.py").write_text(BACKEND)
    (project / "pyproject.toml").write_text(
        '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
    )
    pip_file.write_text(f"[global]\nno-index = true\nfind-links = {packages}\n")
    shutil.copytree(environment, project / "env", symlinks=True)
    return project


def run(place, how):
    python = place / "env" / "bin" / "python"
    done = subprocess.run([python, SCRIPT, how], cwd=place, check=False, capture_output=True, text=True)
    listed = subprocess.run([python, "-m", "pip", "list"], check=True, capture_output=True, text=True).stdout
    return done, {line.split()[0] for line in listed.splitlines()}


@pytest.mark.slow
def test_pip_installs_where_uv_cannot_be_had(place):
    done, installed = run(place, "uv")
    assert done.returncode == 0, done.stderr
    assert {"needed", "project"} <= installed
    [line] = done.stdout.splitlines()
    assert "cannot be had here" in line
    assert "pip installs instead" in line


@pytest.mark.slow
def test_pip_on_request(place):
    done, installed = run(place, "pip")
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert {"needed", "project"} <= installed
    (place / "requirements.lock").write_text("not-there==1\n")
    assert run(place, "pip")[0].returncode != 0


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("uv") is None, reason="uv could not be had here")
def test_uv_installs_from_pips_folder(place):
    """The environment has uv already, as if pip had installed it."""
    [site] = (place / "env" / "lib").glob("python*/site-packages")
    here = Path(importlib.util.find_spec("uv").origin).parents[1]
    for found in [here / "uv", *here.glob("uv-*.dist-info")]:
        (site / found.name).symlink_to(found)
    (place / "env" / "bin" / "uv").symlink_to(Path(sys.executable).with_name("uv"))
    done, installed = run(place, "uv")
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert {"needed", "project"} <= installed
    assert list(site.glob("__pycache__/needed.*.pyc")), "not compiled, as pip would have"
