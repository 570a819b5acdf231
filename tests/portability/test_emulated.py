"""The same numbers on a processor of another make, emulated by QEMU: other caches, another vendor, no AVX-512.

Skipped where `qemu-x86_64` is not installed (Debian's package `qemu-user`). Each task is trained once, on the make that
this processor is not of, which takes some minutes; with `DERBY_TEST_EMULATED=all` twice and on both makes, which takes
tens of minutes. Methods with a Gaussian process are left out: QEMU 7.2 dies in the linear algebra of larger matrices.
"""

import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from records import study_records

QEMU = shutil.which("qemu-x86_64")
SWEEPS = {
    "search": """
name: emulated
seed: 7
repetitions: 1
budget: {evaluations: 16}
tasks: [branin]
searchers:
  - optuna_cmaes
  - optuna_tpe
  - hyperopt_tpe
  - {name: skopt_forest, settings: {n_initial_points: 12, n_points: 500}}
""",
    "train": """
name: emulated
seed: 7
repetitions: 1
budget: {evaluations: 1}
tasks: [mnist_mlp/tiny, mnist_net/tiny, fashion_cnn/tiny]
searchers: [random]
""",
}

ALL = os.environ.get("DERBY_TEST_EMULATED") == "all"
if ALL:
    SWEEPS["train"] = SWEEPS["train"].replace("evaluations: 1", "evaluations: 2")
MAKES = {"GenuineIntel": "Haswell", "AuthenticAMD": "EPYC"}


def runs():
    """Yield what runs on which make."""
    about = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    for vendor, model in MAKES.items():
        yield "search", model
        if ALL or vendor not in about:
            yield "train", model


pytestmark = [
    pytest.mark.slow,
    pytest.mark.emulated,
    pytest.mark.skipif(QEMU is None or platform.machine() != "x86_64", reason="qemu-x86_64 is not installed"),
]


@pytest.mark.parametrize(("what", "model"), [*runs()])
def test_another_make_gives_the_same_record(tmp_path, what, model):
    sweep = tmp_path / "emulated.yaml"
    sweep.write_text(SWEEPS[what])
    records = []
    for where, emulator in {"here": [], "there": [QEMU, "-cpu", model]}.items():
        command = [*emulator, str(Path(sys.executable).resolve()), "-m", "harness.cli", "run", str(sweep)]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        run = subprocess.run(
            [*command, "--results", str(tmp_path / where)],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert run.returncode == 0, run.stdout + run.stderr[-3000:]
        records.append(study_records(tmp_path / where))
    assert records[0] == records[1]
