"""What the file of a SLURM job calls: SLURM, Ray and `derby` are programs here that write down their arguments.

What SLURM makes of them, `tests/lab/test_slurm.py` tells.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

FILE = Path(__file__).resolve().parent.parent / "docs" / "cluster" / "slurm.sbatch"
pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux") or shutil.which("bash") is None, reason="a script of Linux"
)

CALLED = """\
#!/bin/bash
call=$(basename "$0")
for word in "$@"; do call+=$'\\t'$word; done
echo "$call" >> "$CALLS"
"""
HEAD = f"{sys.executable} -c \"import socket, time; s = socket.create_server(('', $PORT)); time.sleep(60)\""
PROGRAMS = {
    "srun": CALLED
    + f'case "$*" in *--head*) exec {HEAD} ;; *start_ray*) exec sleep 60 ;; esac\n'
    + '"${@: -3}"\n',  # rm -rf FOLDER
    "scontrol": '#!/bin/bash\n[[ $1 == show ]] && { tr , "\\n" <<< "$3"; exit; }\n'
    + CALLED
    + "((REFUSED)) && exit 1\n(sleep 0.2; kill -TERM $PPID) &\n",
    "ray": CALLED,
    "derby": CALLED + 'trap "exit 130" TERM\neval "$DERBY_DOES"\n',
}


ALL_STARTED = 'until (($(grep -c start_ray "$CALLS") >= STEPS)); do sleep 0.05; done'
"""What `derby` does by default: it ends, once the steps have written down how they were called."""


def free_port() -> int:
    """Return a port of those that the file takes by the number of the job."""
    for port in range(20000, 30000):
        with socket.socket() as tried:
            try:
                tried.bind(("", port))
            except OSError:
                continue
            return port
    raise AssertionError("no port is free")


@dataclass(frozen=True)
class Ended:
    """A job that is over."""

    code: int
    log: str
    calls: list[list[str]]

    def of(self, program: str, word: str = "") -> list[list[str]]:
        """Return the arguments of the calls of a program with a text in them."""
        return [call[1:] for call in self.calls if call[0] == program and word in " ".join(call)]


@pytest.fixture
def job(tmp_path):
    """A function that runs the file as the first node of a job, whose folder is ``tmp_path``."""
    (tmp_path / "home" / ".ray").mkdir(parents=True)
    (tmp_path / "home" / ".ray" / "auth_token").write_text("a token")
    for name, text in PROGRAMS.items():
        program = tmp_path / (".venv/bin" if name in ("ray", "derby") else "slurm") / name
        program.parent.mkdir(parents=True, exist_ok=True)
        program.write_text(text)
        program.chmod(0o755)

    def run(
        nodes: str = "a,b",
        cpus: str = "8(x2)",
        steps: int = 2,
        does: str = ALL_STARTED,
        limit: bool = False,
        **settings,
    ) -> Ended:
        calls, output = tmp_path / "calls", tmp_path / "output"
        environment = {
            "PATH": f"{tmp_path}/slurm:{os.environ['PATH']}",
            "HOME": str(tmp_path / "home"),
            "CALLS": str(calls),
            "DERBY_DOES": does,
            "STEPS": str(steps),
            "SLURM_JOB_ID": str(free_port() - 20000),
            "SLURM_JOB_NAME": "a name",
            "SLURM_JOB_NODELIST": nodes,
            "SLURM_JOB_NUM_NODES": str(nodes.count(",") + 1),
            "SLURM_JOB_CPUS_PER_NODE": cpus,
            "SLURM_CPUS_ON_NODE": re.match("[0-9]+", cpus)[0],
            "SLURMD_NODENAME": nodes.partition(",")[0],
            "REFUSED": "0",
            **settings,
        }
        with output.open("w") as log:
            script = subprocess.Popen(
                ["bash", str(FILE)],
                cwd=tmp_path,
                env=environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            while limit and not (tmp_path / "trained").exists():
                assert script.poll() is None, output.read_text()
                time.sleep(0.05)
            if limit:
                script.send_signal(signal.SIGUSR1)
            code = script.wait(30)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(script.pid, signal.SIGKILL)
        lines = calls.read_text().splitlines() if calls.exists() else []
        return Ended(code, output.read_text(), [line.split("\t") for line in lines])

    return run


LIMIT = "touch trained; while :; do sleep 0.05; done"
EVALUATED = (
    "mkdir -p results/live/evaluations/task; echo {} >> results/live/evaluations/task/run.jsonl; " + LIMIT
)


def test_a_job_of_equal_nodes_starts_ray_in_two_steps(job):
    ended = job(nodes="a,b,c", cpus="8(x3)")
    assert ended.code == 0, ended.log
    head, others = ended.of("srun", "start_ray")
    assert {"--cpus-per-task=8", "--nodes=1", "--ntasks=1", "--nodelist=a"} <= set(head)
    assert {"--cpus-per-task=8", "--nodes=2", "--ntasks=2", "--nodelist=b,c"} <= set(others)
    (run,) = ended.of("derby")
    assert run[:2] == ["run", "docs/sweeps/live.yaml"]
    assert run[-4:] == ["--nodes", "3", "--results", "results/live"]


def test_a_job_of_one_node_starts_ray_in_one_step(job):
    ended = job(nodes="a", cpus="8", steps=1)
    assert ended.code == 0, ended.log
    assert len(ended.of("srun", "start_ray")) == 1


def test_each_size_of_node_is_asked_for_as_many_processors_as_it_has(job):
    """As with `--exclusive` on nodes of several kinds: a step has one number of processors for all of its nodes."""
    ended = job(nodes="a,b,c,d,e", cpus="64,48(x2),64,128", steps=4)
    assert ended.code == 0, ended.log
    asked = {
        (word.removeprefix("--nodelist="), call[-1].split()[1], *(w for w in call if w.startswith("--cpus")))
        for call in ended.of("srun", "start_ray")
        for word in call
        if word.startswith("--nodelist=")
    }
    assert asked == {
        ("a", "1", "--cpus-per-task=64"),
        ("b,c", "0", "--cpus-per-task=48"),
        ("d", "0", "--cpus-per-task=64"),
        ("e", "0", "--cpus-per-task=128"),
    }


def test_options_are_read_as_a_shell_reads_them(job):
    ended = job(
        DERBY_OPTIONS="--sync-to 'a folder/of mine' --gpus-per-evaluator 0.25", DERBY_RESULTS="my results"
    )
    assert ended.code == 0, ended.log
    assert ended.of("derby")[0][-6:] == [
        "--results",
        "my results",
        "--sync-to",
        "a folder/of mine",
        "--gpus-per-evaluator",
        "0.25",
    ]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"DERBY_OPTIONS": "--sync-to 'a folder"}, "DERBY_OPTIONS are not what a shell can read"),
        ({"DERBY_VENV": "elsewhere"}, "nothing is installed in elsewhere, seen from"),
        ({"cpus": "1", "nodes": "a"}, "no CPU is left for an evaluator"),
    ],
)
def test_what_cannot_work_starts_nothing(job, settings, said):
    ended = job(**settings)
    assert ended.code == 2
    assert said in ended.log
    assert not ended.of("srun")


def test_a_file_that_is_not_submitted_says_so(tmp_path):
    said = subprocess.run(
        ["bash", str(FILE)],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"]},
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    assert said.returncode
    assert "not in a job: submit this file by sbatch" in said.stderr


def test_a_job_that_got_on_is_queued_again_at_its_limit(job):
    ended = job(does=EVALUATED, limit=True)
    (requeue,) = ended.of("scontrol")
    assert requeue[0] == "requeue", ended.log
    assert "goes back into the queue" in ended.log


def test_a_job_that_got_nowhere_is_not_queued_again(job):
    """Also where there is no results folder yet."""
    ended = job(does=LIMIT, limit=True)
    assert ended.code == 1, ended.log
    assert "not queued again: no evaluation ended in this job" in ended.log
    assert not ended.of("scontrol")


def test_a_queue_that_takes_no_job_back_is_named_at_once(job):
    began = time.monotonic()
    ended = job(does=EVALUATED, limit=True, REFUSED="1")
    assert ended.code == 130, ended.log
    assert "the queue did not take it back: sbatch it again to go on" in ended.log
    assert time.monotonic() - began < 30


@pytest.mark.parametrize("code", [1, 2, 3])
def test_what_goes_wrong_is_not_queued_again(job, code):
    ended = job(does=f"exit {code}")
    assert ended.code == code, ended.log
    assert not ended.of("scontrol")
