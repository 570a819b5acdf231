"""The page for users' own objectives: its examples run in a folder that also has files of the rooms' names."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from command import derby

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "docs" / "own.md").read_text(encoding="utf-8")
FILES = dict(re.findall(r"```(?:python|yaml)\n# (\S+)\n(.*?)```", PAGE, re.DOTALL))


@pytest.fixture
def folder(tmp_path):
    """A user's folder: the page's files, and others that are called like the project's packages."""
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "tasks.py").write_text(
        f"raise RuntimeError('hidden by a file of the user')\n{FILES['my_function.py']}"
    )
    for room in ("analysis", "harness", "searchers"):
        (tmp_path / room).mkdir()
        (tmp_path / room / "__init__.py").write_text("raise RuntimeError('hidden by a folder of the user')\n")
    rows = np.random.default_rng(1).normal(size=(80, 3))
    np.savetxt(tmp_path / "my_data.csv", rows, delimiter=",", header="a,b,y", comments="")
    return tmp_path


def test_the_sweep_of_the_page_runs(folder):
    (folder / "own.yaml").write_text(FILES["own.yaml"].replace("repetitions: 3", "repetitions: 1"))
    done = derby("run", "own.yaml", cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 of 3 studies done" in done.stdout


@pytest.mark.parametrize(
    "task", ["my_forest.py:forest", "my_function.py:bowl", "my_conditional.py:regression"]
)
def test_every_example_passes_its_trial(folder, task):
    done = derby("try", task, "--randoms", "1", cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "it repeats itself" in done.stdout


@pytest.mark.tensorflow
def test_the_network_passes_its_trial(folder):
    done = derby("try", "my_net.py:net", "--randoms", "0", cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    for kept in ("it repeats itself", "a longer training contains a shorter one", "a trial can be continued"):
        assert f"yes  {kept}\n" in done.stdout


def test_lines_that_it_takes():
    def lines(name: str) -> int:
        return sum(bool(line.strip()) for line in FILES[name].splitlines())

    assert lines("my_forest.py") <= 10
    assert lines("my_net.py") <= 25
    ast.parse(FILES["my_torch.py"])  # is not run: PyTorch is not installed


@pytest.mark.slow
def test_files_of_the_user_hide_nothing(folder):
    """A script or a notebook has its folder first on Python's path."""
    code = (
        "import sys; sys.path.insert(0, ''); import derby; sys.argv = ['derby', *sys.argv[1:]]; derby.main()"
    )
    command = [sys.executable, "-c", code, "try", "my_function.py:bowl"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_module_that_took_a_name_before_is_named(tmp_path):
    (tmp_path / "tasks.py").write_text("")
    code = "import sys; sys.path.insert(0, ''); import tasks; import derby"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert re.search(r"ImportError: the module 'tasks' is \S+tasks\.py, imported before derby", done.stderr)


def test_the_package_has_what_it_names_and_loads_nothing():
    import derby as package

    assert all(getattr(package, name) for name in package.__all__)
    assert set(package.__all__) == {*package._HOME_OF, *package._PARTS}
    with pytest.raises(AttributeError, match="no attribute 'Flot'"):
        _ = package.Flot
    code = (
        "import derby, sys; print(sorted({'numpy', 'harness', 'analysis', 'tensorflow'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
