"""The same numbers on a processor of another make, emulated by QEMU: other caches, another vendor, no AVX-512.

Skipped where `qemu-x86_64` is not installed (Debian's package `qemu-user`). Each task is trained once, on the make that
this processor is not of, which takes some minutes; with `DERBY_TEST_EMULATED=all` twice and on both makes, which takes
tens of minutes. QEMU 7.2 computes one of AVX2's instructions wrongly, by which numpy sorts; so numpy does without AVX2,
on both sides, and everything else is as in portable arithmetic.
"""

import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from records import study_records

from harness.arithmetic import Arithmetic, variables

QEMU = shutil.which("qemu-x86_64")
SWEEPS = {
    "search": """
name: emulated
seed: 7
repetitions: 1
budget: {evaluations: 14}
arithmetic: native
tasks: [branin]
searchers:
  - optuna_cmaes
  - optuna_tpe
  - gpyopt_gp
  - {name: skopt_gp, settings: {n_initial_points: 8, n_points: 500}}
  - {name: skopt_forest, settings: {n_initial_points: 10, n_points: 500}}
""",
    "train": """
name: emulated
seed: 7
repetitions: 1
budget: {evaluations: 1}
arithmetic: native
tasks: [mnist_mlp/tiny, mnist_net/tiny, fashion_cnn/tiny]
searchers: [random]
""",
}
PORTABLE = {
    **variables(Arithmetic.PORTABLE),
    "NPY_DISABLE_CPU_FEATURES": "X86_V3 X86_V4 AVX512_ICL AVX512_SPR",
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
        run = subprocess.run(
            [*command, "--results", str(tmp_path / where)],
            env={**os.environ, **PORTABLE, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            capture_output=True,
            text=True,
            check=False,
        )
        assert run.returncode == 0, run.stdout + run.stderr[-3000:]
        records.append(study_records(tmp_path / where))
    assert records[0] == records[1]
