"""The registry: built-in names, plug-ins, clashes."""

from __future__ import annotations

import subprocess
import sys

import pytest

from harness import registry
from harness.errors import DerbyError, UnknownNameError
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
        registry.searchers()


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("import no_such_module", "cannot be loaded: ModuleNotFoundError: No module named 'no_such_module'"),
        ("Other = 1", "cannot be loaded: AttributeError"),
        ("Thing = int", "must be a concrete subclass of Searcher"),
        ("from harness.searcher import Searcher as Thing", "must be a concrete subclass of Searcher"),
    ],
)
def test_a_broken_plug_in_is_named(install, source, words):
    install(source)
    with pytest.raises(DerbyError, match=f"'made_up:Thing'.*{words}"):
        registry.searchers()


def test_listing_loads_no_heavy_library():
    code = (
        "import sys, harness, harness.registry as r; r.searchers(); r.tasks(); "
        "heavy = {'tensorflow', 'keras', 'ray', 'optuna', 'skopt', 'GPyOpt', 'hyperopt', 'keras_tuner', 'pyswarms'}; "
        "print(sorted(heavy & set(sys.modules)))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
