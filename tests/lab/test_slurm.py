"""A job of SLURM by its documented file, with nothing in it changed but what is to be filled in.

On a SLURM whose nodes are machines of the laboratory; skipped, with the reason, where SLURM is not installed.
"""

from __future__ import annotations

import re
import subprocess
import sys
import time

import equipment
import pytest
import slurm as laboratory_slurm
from desk import trained, values, wait_until
from equipment import documented
from machines import Laboratory
from slurm import PROJECT, Slurm

pytestmark = pytest.mark.lab
if reason := laboratory_slurm.missing():
    pytest.skip(reason, allow_module_level=True)

FILE = "docs/cluster/slurm.sbatch"
PAGE = equipment.ROOT / "docs" / "slurm.md"
NODES = ["node-1", "node-2", "node-3"]

LONG = """\
name: long
seed: 1
repetitions: 3
budget: {evaluations: 6}
tasks:
  - {name: mnist_mlp, options: {variant: small, epochs: 120}}
searchers: [random, grid, {name: optuna_tpe, settings: {n_startup_trials: 3}}]
"""
"""Minutes of training on three evaluators, on a computer with two cores."""

SHORTER = (
    LONG.replace("name: long", "name: shorter")
    .replace("repetitions: 3", "repetitions: 1")
    .replace("epochs: 120", "epochs: 100")
)
"""A minute or two: long enough that nothing of it is over before a job beside it, or a change of mind, has come."""

ENDLESS = LONG.replace("name: long", "name: endless").replace("epochs: 120", "epochs: 100000")


@pytest.fixture(scope="module")
def slurm(installed):
    with Laboratory() as laboratory:
        made = laboratory_slurm.cluster(laboratory, installed, NODES)
        for name, text in (("long", LONG), ("shorter", SHORTER), ("endless", ENDLESS)):
            made.login.run(f"cat > {PROJECT}/{name}.yaml", input=text)
        made.login.run(f"cd {PROJECT} && {documented('.venv/bin/ray get-auth-token --generate', PAGE)}")
        yield made


def by_one_process(folder, text):
    """A results folder with a sweep as the serial executor runs it, on this computer."""
    (folder / "sweep.yaml").write_text(text)
    command = [
        sys.executable,
        "-m",
        "harness.cli",
        "run",
        folder / "sweep.yaml",
        "--results",
        folder / "results",
    ]
    subprocess.run([str(part) for part in command], cwd=equipment.ROOT, check=True, capture_output=True)
    return folder / "results"


@pytest.fixture(scope="module")
def long(tmp_path_factory):
    return by_one_process(tmp_path_factory.mktemp("long"), LONG)


@pytest.fixture(scope="module")
def shorter(tmp_path_factory):
    return by_one_process(tmp_path_factory.mktemp("shorter"), SHORTER)


def fill_in(slurm, *, nodes=2, cpus=2, limit="3:00", lead=60, gpus=False):
    """Fill in the file's settings as a user would, and the seconds before the limit, of which there are few here."""
    text = (equipment.ROOT / FILE).read_text()
    filled = {
        "#SBATCH --nodes=2\n": f"#SBATCH --nodes={nodes}\n",
        "#SBATCH --cpus-per-task=8\n": f"#SBATCH --cpus-per-task={cpus}\n",
        "#SBATCH --mem=32G\n": f"#SBATCH --mem={1500 * cpus}M\n",
        "#SBATCH --time=4:00:00\n": f"#SBATCH --time={limit}\n",
        "#SBATCH --signal=B:USR1@120\n": f"#SBATCH --signal=B:USR1@{lead}\n",
        **({"##SBATCH --gpus-per-node=1\n": "#SBATCH --gpus-per-node=1\n"} if gpus else {}),
    }
    for before, after in filled.items():
        assert text.count(before) == 1, before
        text = text.replace(before, after)
    slurm.login.path(f"{PROJECT}/{FILE}").write_text(text)


def submit(slurm, sweep, results, *options, **settings):
    given = {"DERBY_SWEEP": sweep, "DERBY_RESULTS": f"results/{results}", **settings}
    words = " ".join(f"{name}='{value}'" for name, value in given.items())
    assert documented("sbatch docs/cluster/slurm.sbatch", PAGE)
    return slurm.submit(f"{words} sbatch {' '.join(options)} {FILE}")


def log(slurm, job, name="derby-live"):
    path = slurm.login.path(f"{PROJECT}/{name}-{job}.log")
    return path.read_text() if path.exists() else ""


def folder(slurm, results):
    return slurm.login.path(f"{PROJECT}/results/{results}")


def on_record(slurm, results):
    return len(trained(folder(slurm, results)))


def restarts(slurm, job):
    return int(slurm.show(job)["Restarts"])


class Clock:
    """Prints how long each part of the story took."""

    def __init__(self):
        self.began = time.monotonic()

    def __call__(self, what):
        print(f"[{time.monotonic() - self.began:.0f} s] {what}", flush=True)
        self.began = time.monotonic()


def ended(slurm, job, minutes):
    """Wait for a job to leave the queue, and return its last state."""
    done = ("COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL")
    wait_until(lambda: slurm.show(job)["JobState"] in done, minutes=minutes, what=f"the end of job {job}")
    return slurm.show(job)


def test_a_sweep_goes_on_over_time_limits_and_a_lost_node(slurm: Slurm, long):
    clock = Clock()
    plan = f"cd {PROJECT} && .venv/bin/derby plan long.yaml --results results/long --walltime 3:00 --evaluators 3"
    assert "unknown, nothing is recorded yet" in slurm.login.run(plan).stdout
    fill_in(slurm)
    job = submit(slurm, "long.yaml", "long")
    wait_until(lambda: on_record(slurm, "long"), minutes=3, what="a training")
    clock("until the first training was on record")
    said = slurm.login.run(f"cd {PROJECT} && .venv/bin/derby status long --results results/long").stdout
    assert "is being written by sweep 'long' on node-" in said

    wait_until(lambda: restarts(slurm, job) == 1, minutes=4, what="the time limit")
    clock("until it was queued again")
    first = {line["id"] for line in trained(folder(slurm, "long"))}
    assert 0 < len(first) < len(trained(long))
    assert "the time is nearly up: stopping" in log(slurm, job)
    assert "interrupted; everything recorded is safe" in log(slurm, job)
    assert re.search(r"Fits into about \d+ jobs? of 3 min", " ".join(slurm.login.run(plan).stdout.split()))

    wait_until(lambda: on_record(slurm, "long") > len(first), minutes=6, what="another training")
    clock("until the second start's first training was on record")
    lost = slurm.show(job)["NodeList"].removeprefix("node-[").rstrip("]").replace("-", ",").split(",")[-1]
    slurm.kill_daemon(f"node-{lost}")
    state = ended(slurm, job, minutes=25)
    clock("until the end, with a node lost")
    assert (state["JobState"], state["ExitCode"]) == ("COMPLETED", "0:0")
    assert restarts(slurm, job) >= 2
    found = trained(folder(slurm, "long"))
    assert values(folder(slurm, "long")) == values(long)
    assert len(found) == len(trained(long))  # what was recorded was not trained again
    assert "nothing is left to train" in slurm.login.run(plan).stdout
    slurm.start_node(f"node-{lost}")
    wait_until(lambda: slurm.idle() == len(NODES), minutes=3, what="all nodes")


def test_one_of_two_jobs_on_the_same_nodes_is_cancelled(slurm: Slurm, shorter):
    """The other has its own ports, folders, processors and record, and does not notice."""
    clock = Clock()
    fill_in(slurm, nodes=3, cpus=1, limit="20:00")
    jobs = {name: submit(slurm, "shorter.yaml", name, f"--job-name={name}") for name in ("one", "two")}
    wait_until(lambda: on_record(slurm, "one") >= 3, minutes=4, what="trainings")
    assert {slurm.show(job)["JobState"] for job in jobs.values()} == {"RUNNING"}
    slurm.login.run(f"scancel {jobs['one']}")
    assert ended(slurm, jobs["one"], minutes=2)["JobState"] == "CANCELLED"
    wait_until(lambda: "ended with exit code" in log(slurm, jobs["one"], "one"), minutes=1, what="its log")
    clock("until one was cancelled")
    cancelled = {line["id"] for line in trained(folder(slurm, "one"))}
    assert len(cancelled) < len(trained(shorter))
    said = slurm.login.run(f"cd {PROJECT} && .venv/bin/derby status shorter --results results/one").stdout
    assert "is not being written now" in said
    assert ended(slurm, jobs["two"], minutes=8)["JobState"] == "COMPLETED"
    assert values(folder(slurm, "two")) == values(shorter)
    clock("until the other was done")

    # Submitted again it goes on; on nodes with GPUs, which evaluators share.
    fill_in(slurm, limit="20:00", gpus=True)
    again = submit(slurm, "shorter.yaml", "one", DERBY_OPTIONS="--gpus-per-evaluator 0.5")
    assert ended(slurm, again, minutes=8)["JobState"] == "COMPLETED"
    clock("until the first was submitted again and done")
    assert values(folder(slurm, "one")) == values(shorter)
    assert len(trained(folder(slurm, "one"))) == len(trained(shorter))
    for node in slurm.nodes.values():
        left = "; ".join(
            f"test ! -e /tmp/derby-{number} || echo {number}" for number in (*jobs.values(), again)
        )
        assert node.run(left).stdout == ""


def test_a_preempted_job_goes_on(slurm: Slurm, shorter):
    clock = Clock()
    fill_in(slurm, nodes=3, limit="20:00")
    job = submit(slurm, "shorter.yaml", "preempted")
    wait_until(lambda: on_record(slurm, "preempted"), minutes=4, what="a training")
    slurm.submit("sbatch --partition=urgent --nodes=3 --exclusive --wrap 'sleep 5'")
    wait_until(lambda: restarts(slurm, job) == 1, minutes=3, what="its preemption")
    assert 0 < on_record(slurm, "preempted") < len(trained(shorter))
    assert ended(slurm, job, minutes=10)["JobState"] == "COMPLETED"
    clock("until a preempted job was done")
    assert "started for the 2. time" in log(slurm, job)
    assert "failed:" not in log(slurm, job)  # what SLURM ended in the midst is nobody's fault
    assert values(folder(slurm, "preempted")) == values(shorter)


def test_a_job_that_gets_nowhere_is_not_queued_again(slurm: Slurm):
    clock = Clock()
    fill_in(slurm, limit="2:00")
    job = submit(slurm, "endless.yaml", "endless")
    state = ended(slurm, job, minutes=5)
    clock("until a job without a finished evaluation ended")
    assert (state["JobState"], state["ExitCode"], state["Restarts"]) == ("FAILED", "1:0", "0")
    assert "not queued again: no evaluation ended in this job" in log(slurm, job)


def test_what_derby_refuses_is_not_queued_again(slurm: Slurm):
    fill_in(slurm)
    job = submit(slurm, "none.yaml", "none")
    state = ended(slurm, job, minutes=4)
    assert (state["JobState"], state["ExitCode"], state["Restarts"]) == ("FAILED", "2:0", "0")
    assert "cannot read sweep file none.yaml" in log(slurm, job)


def test_nothing_is_left_on_the_nodes(slurm: Slurm):
    for node in slurm.nodes.values():
        wait_until(
            lambda node=node: node.run("pgrep -u me -f '[r]ay|[d]erby'", check=False).stdout == "",
            minutes=2,
            what=f"the end of all processes on {node.name}",
        )
