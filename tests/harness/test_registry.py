"""The registry: built-in names, plug-ins, clashes."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
from command import derby

from harness import registry
from harness.errors import DerbyError, MissingLibraryError, UnknownNameError
from harness.machine import require_libraries
from harness.searcher import Searcher


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Return a function that installs a searcher plug-in made of this source, with its class `Thing`."""

    def write(source: str) -> None:
        (tmp_path / "made_up.py").write_text(source)
        about = tmp_path / "made_up-1.0.dist-info"
        about.mkdir()
        (about / "METADATA").write_text("Metadata-Version: 2.1\nName: made-up\nVersion: 1.0\n")
        (about / "entry_points.txt").write_text("[derby.searchers]\nthing = made_up:Thing\n")
        monkeypatch.syspath_prepend(str(tmp_path))
        registry.searchers.cache_clear()

    yield write
    sys.modules.pop("made_up", None)
    registry.searchers.cache_clear()


def thing(name: str) -> str:
    return f"""
from harness.searcher import Searcher

class Thing(Searcher):
    name = {name!r}

    def _ask(self):
        return None

    def _tell(self, suggestion, loss):
        pass
"""


def test_the_projects_own_are_found():
    assert {"random", "grid", "optuna_tpe", "skopt_gp"} <= set(registry.searchers())
    assert {"mnist_mlp", "fashion_mlp", "branin", "hartmann6", "mixed"} <= set(registry.tasks())
    assert all(
        issubclass(kind, Searcher) and kind.name == name for name, kind in registry.searchers().items()
    )


def test_an_unknown_name_gets_the_nearest_one():
    with pytest.raises(
        UnknownNameError, match="no searcher is called 'optuna_tp'; did you mean 'optuna_tpe'"
    ):
        registry.searcher("optuna_tp")
    with pytest.raises(UnknownNameError, match="no task is called 'mnist'"):
        registry.task("mnist")


def test_a_plug_in_is_found(install):
    install(thing("made_up_search"))
    assert registry.searcher("made_up_search").__module__ == "made_up"


def test_a_name_taken_twice_is_refused(install):
    install(thing("random"))
    with pytest.raises(DerbyError, match="plug-in 'made_up:Thing'.*the name 'random' is taken by searchers"):
        registry.searcher("random")
    assert registry.searchers()["random"].__module__ == "searchers.basic"


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("import no_such_module", "cannot be loaded: ModuleNotFoundError: No module named 'no_such_module'"),
        ("Other = 1", "cannot be loaded: AttributeError"),
        ("Thing = int", "must be a concrete subclass of Searcher"),
        ("from harness.searcher import Searcher as Thing", "must be a concrete subclass of Searcher"),
    ],
)
def test_a_broken_plug_in_is_named_where_it_is_used_and_listed(install, source, words):
    install(source)
    for name in ("thing", "no_such_searcher"):
        with pytest.raises(DerbyError, match=f"'made_up:Thing'.*{words}"):
            registry.searcher(name)
    assert registry.searcher("random").name == "random"
    listed = derby("searchers")
    assert listed.returncode == 0
    assert re.search(f"left out: plug-in 'made_up:Thing'.*{words}", listed.stdout)


def test_listing_loads_no_heavy_library():
    code = (
        "import sys, harness, harness.registry as r; r.searchers(); r.tasks(); "
        "heavy = {'tensorflow', 'keras', 'ray', 'optuna', 'skopt', 'GPyOpt', 'hyperopt', 'keras_tuner', 'pyswarms'}; "
        "print(sorted(heavy & set(sys.modules)))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def beside(folder, *arguments):
    """Run Python as a notebook in a folder does: with the folder first on the path."""
    return subprocess.run(
        [sys.executable, *arguments], cwd=folder, capture_output=True, text=True, timeout=120, check=False
    )


def test_folders_of_a_user_hide_nothing_of_the_project(tmp_path):
    for name in ("tasks/engine", "tasks/data", "searchers", "results/local", "analysis/figures", "harness"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "tasks" / "synthetic.py").write_text("raise RuntimeError('a file of the user')\n")
    code = """
from tasks.datasets import load_small
print(len(load_small("mnist")["x_train"]))
from harness import registry
print(sorted(registry.tasks()) + sorted(registry.searchers()))
import analysis.figures.canvas, results.tables, tasks.engine.arrays
"""
    out = beside(tmp_path, "-c", code)
    assert out.returncode == 0, out.stderr
    assert out.stdout.splitlines() == ["6000", str([*registry.tasks(), *registry.searchers()])]


@pytest.mark.parametrize("file", ["tasks/__init__.py", "tasks.py"])
def test_a_package_of_a_user_hides_none_of_the_project(tmp_path, file):
    path = tmp_path / file
    path.parent.mkdir(exist_ok=True)
    path.write_text("raise RuntimeError('of the user')\n")
    out = beside(tmp_path, "-m", "harness.cli", "tasks")
    assert out.returncode == 0, out.stderr
    assert "fashion_mlp" in out.stdout


def test_a_folder_is_not_the_library_of_its_name(tmp_path, monkeypatch):
    (tmp_path / "made_up_library").mkdir()
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(MissingLibraryError, match="a searcher needs made-up: run `pip install made-up`"):
        require_libraries("a searcher", {"made_up_library": "made-up"})
