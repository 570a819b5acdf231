"""What is wrong with a cluster or one of its nodes is found before a run, named with its node, and its cure said."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
from command import derby
from records import PLUGIN

pytestmark = pytest.mark.cluster

SWEEP = """\
name: examined
repetitions: 1
workers: 3
budget: {evaluations: 2}
tasks: [TASKS]
searchers: [random, optuna_tpe]
"""

ANOTHER_ENVIRONMENT = """\
import sys

sys.path[:] = [{to!r} if entry == {site!r} else entry for entry in sys.path if entry != {left_out!r}]
"""


@pytest.fixture
def examined(cluster, plugin, tmp_path):
    """Return a function that runs the command on the cluster, with a sweep of these tasks."""

    def run(*options, tasks="troublesome, branin", patience="60"):
        (tmp_path / "sweep.yaml").write_text(SWEEP.replace("TASKS", tasks))
        where = ("--address", cluster.address, "--results", tmp_path / "results", "--patience", patience)
        # Ray lets workers import from the folder of their driver, which is not to be the project's.
        return derby("doctor", tmp_path / "sweep.yaml", *where, *options, cwd=tmp_path)

    return run


ACTORS = """\
import ray, sys
from ray._private.state import actors

ray.init(address=sys.argv[1], log_to_driver=False, logging_level="error")
print([each["ActorClassName"] for each in actors().values() if each["State"] != "DEAD"])
"""


def left_on(cluster):
    """Return the actors that are left on the cluster."""
    command = [sys.executable, "-c", ACTORS, cluster.address]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


@pytest.fixture
def unlike(cluster):
    """Return a function that adds a node whose processes have this environment; it goes with the test."""
    nodes = []

    def add(**env_vars):
        nodes.append(cluster.add(env_vars=env_vars))
        return f"node {nodes[-1].node_id[:8]}"

    yield add
    for node in nodes:
        cluster.remove(node, graceful=True)


def environment_of(folder, leave_out=(), project=True):
    """Make an environment like this one, less some distributions; return what ``PYTHONPATH`` must be for it."""
    site = Path(sysconfig.get_path("purelib"))
    packages = folder / "site-packages"
    packages.mkdir(parents=True)
    for entry in site.iterdir():
        if not any(entry.name.lower().startswith(name) for name in leave_out):
            (packages / entry.name).symlink_to(entry)
    home = "" if project else str(Path(__file__).resolve().parents[2])
    text = ANOTHER_ENVIRONMENT.format(to=str(packages), site=str(site), left_out=home)
    (folder / "sitecustomize.py").write_text(text)
    return str(folder)


def problems(done):
    """Return the problems that were told, each with what to do."""
    parts = done.stdout.split("problem: ")[1:]
    return [part.partition("\nfine: ")[0].partition("\nwarning: ")[0] for part in parts]


def test_a_cluster_in_order_is_fine_and_nothing_is_left_of_the_examination(examined, tmp_path, cluster):
    done = examined()
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 evaluators of 1 CPU would be started; no room on " in done.stdout
    assert "the sweep asks for 6 evaluations at once at most" in done.stdout
    assert done.stdout.count("fine: node: ") == 3
    assert "the sweep's searchers can be used on all 3 nodes that would use them" in done.stdout
    assert "the sweep's tasks that are trained can be used on all 2 nodes" in done.stdout
    assert "a run finds what it needs" in done.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["sweep.yaml"]
    assert left_on(cluster) == "[]"


def test_a_library_of_another_version_and_one_that_is_missing_are_named_with_their_node(
    examined, unlike, tmp_path
):
    older = tmp_path / "older" / "filelock-1.0.dist-info"
    older.mkdir(parents=True)
    (older / "METADATA").write_text("Metadata-Version: 2.1\nName: filelock\nVersion: 1.0\n")
    lacking = environment_of(tmp_path / "lacking", ["optuna"])
    one = unlike(PYTHONPATH=f"{tmp_path / 'older'}{os.pathsep}{PLUGIN}")
    other = unlike(PYTHONPATH=f"{lacking}{os.pathsep}{PLUGIN}")
    done = examined()
    assert done.returncode == 1, done.stdout
    first, second, third = sorted(problems(done), key=lambda text: (not text.startswith("versions"), text))
    of_one, of_other = (first, second) if one in first else (second, first)
    assert one in of_one and "filelock 1.0 (here " in of_one
    assert "to do: have there what is here: pip install filelock==" in of_one
    assert other in of_other and "optuna is missing (here " in of_other
    assert "pip install optuna==" in of_other
    assert third.startswith("code: ") and other in third and one not in third
    assert "searcher 'optuna_tpe' cannot be used there: searcher 'optuna_tpe' needs optuna" in third


def test_a_node_without_the_project_and_one_with_other_code_are_named(examined, unlike, tmp_path):
    root = Path(__file__).resolve().parents[2]
    none = unlike(PYTHONPATH=environment_of(tmp_path / "none", ["__editable__", "hpo_derby"], project=False))
    changed = tmp_path / "changed"
    changed.mkdir()
    for room in ("derby", "harness", "tasks", "searchers", "results", "analysis"):
        (changed / room).mkdir()
        for entry in (root / room).iterdir():
            if room == "derby" and entry.is_file():  # by its own place it finds the others
                shutil.copy(entry, changed / room)
            else:
                (changed / room / entry.name).symlink_to(entry)
    keys = changed / "harness" / "keys.py"
    text = keys.read_text()
    keys.unlink()
    keys.write_text(f"{text}\n# another revision\n")
    other = unlike(PYTHONPATH=f"{changed}{os.pathsep}{PLUGIN}")
    done = examined()
    assert done.returncode == 1, done.stdout
    by_node = {name: [text for text in problems(done) if name in text] for name in (none, other)}
    assert any(
        text.startswith("project: ") and "No module named 'derby'" in text and "install it there" in text
        for text in by_node[none]
    ), done.stdout
    assert any(f"its code in {changed} is not that of this machine" in text for text in by_node[other]), (
        done.stdout
    )


def test_a_missing_plug_in_is_named_with_its_task_and_node(examined, unlike):
    name = unlike(PYTHONPATH="")
    done = examined()
    assert done.returncode == 1
    (told,) = problems(done)
    assert name in told
    assert "task 'troublesome' cannot be used there: no task is called 'troublesome'" in told
    assert "a plug-in must be installed on all nodes" in told


def test_a_file_that_a_task_reads_is_missed_where_it_is_not(examined, unlike, tmp_path):
    (tmp_path / "numbers.txt").write_text("3")
    (tmp_path / "mine.py").write_text(
        "import os\nfrom pathlib import Path\n"
        "from derby_test_plugin import Troublesome\n\n\n"
        "class Mine(Troublesome):\n    name = 'mine'\n\n"
        "    def _define(self):\n        super()._define()\n"
        "        self.number = int(Path(os.environ['MY_NUMBERS'], 'numbers.txt').read_text())\n"
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MY_NUMBERS", str(tmp_path))
        there = unlike(PYTHONPATH=str(PLUGIN), MY_NUMBERS=str(tmp_path))
        absent = unlike(PYTHONPATH=str(PLUGIN), MY_NUMBERS=str(tmp_path / "none"))
        done = examined(tasks=f"'{tmp_path}/mine.py:Mine'")
    assert done.returncode == 1
    (told,) = [text for text in problems(done) if absent in text]
    assert "task 'mine' cannot be used there: FileNotFoundError" in told and there not in told


def test_gpus_that_ray_offers_and_no_library_sees_are_told(examined, cluster):
    node = cluster.add(num_cpus=2, num_gpus=1)
    try:
        done = examined("--gpus-per-evaluator", "0.5", tasks="mnist_mlp/tiny")
    finally:
        cluster.remove(node, graceful=True)
    assert done.returncode == 1, done.stdout
    assert "2 evaluators of 1 CPU and 0.5 GPUs would be started" in done.stdout
    told = next(text for text in problems(done) if text.startswith("gpus: ") or "nvidia-smi" in text)
    assert f"node {node.node_id[:8]}" in told, done.stdout


def test_no_room_and_nodes_that_should_be_there_are_told(examined):
    done = examined("--gpus-per-evaluator", "0.5")
    assert done.returncode == 1
    assert any(
        "there is no room for an evaluator of 1 CPU and 0.5 GPUs: " in each for each in problems(done)
    ), done.stdout
    done = examined("--nodes", "5")
    assert done.returncode == 1
    (told,) = problems(done)
    assert told.startswith("nodes: should train, and does not: 3 of 5 nodes (--nodes)")


def test_a_sweep_of_cheap_tasks_needs_no_evaluator(examined):
    done = examined("--gpus-per-evaluator", "0.5", tasks="branin")
    assert done.returncode == 0, done.stdout
    assert "none is needed, since searchers' processes evaluate all its tasks" in done.stdout


def test_a_node_whose_processes_do_not_start_is_given_up_and_named(examined, unlike, tmp_path):
    (tmp_path / "stuck").mkdir()
    (tmp_path / "stuck" / "sitecustomize.py").write_text(
        "import time\nfrom pathlib import Path\n"
        "if b'default_worker' in Path('/proc/self/cmdline').read_bytes():\n    time.sleep(600)\n"
    )
    name = unlike(PYTHONPATH=f"{tmp_path / 'stuck'}{os.pathsep}{PLUGIN}")
    done = examined(patience="20")
    assert done.returncode == 1
    (told,) = problems(done)
    assert f"{name}) gave no answer within 20 s while it was starting a process" in told
    assert "start Ray anew on it, or take it out of the cluster" in told
    assert "the sweep's tasks that are trained can be used on all 2 nodes" in done.stdout


def test_a_node_that_hangs_is_given_up_and_named(examined, cluster, unlike):
    name = unlike(PYTHONPATH=str(PLUGIN))
    node = next(node for node in cluster.nodes if node.node_id[:8] == name.split()[1])
    (raylet,) = node.all_processes["raylet"]
    os.kill(raylet.process.pid, signal.SIGSTOP)
    try:
        done = examined(patience="6")
    finally:
        os.kill(raylet.process.pid, signal.SIGCONT)
    assert done.returncode == 1, done.stdout
    told = problems(done)
    assert any(name in text and "see whether Ray runs there" in text for text in told), done.stdout
    assert "can be used on all 2 nodes" in done.stdout
    assert left_on(cluster) == "[]"
