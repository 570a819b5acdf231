"""A chosen part of the tests with the kernels of another processor: none of them depends on which one it is."""

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

CHOSEN = [
    "tests/tasks/test_training.py",
    "tests/tasks/test_replay.py::test_values_are_the_same_to_the_last_bit",
    "tests/analysis/statistics/test_aggregates.py",
    "tests/analysis/statistics/test_significance.py",
    "tests/results/test_published.py",
    "tests/searchers/test_native_equivalence.py::test_skopt_gp[continuous-0]",
    "tests/searchers/test_native_equivalence.py::test_gpyopt_gp[continuous-0]",
    "tests/searchers/test_optuna_samplers.py::test_cmaes",
    "tests/harness/test_history.py::test_the_record_is_followed_and_the_rest_proposed",
]
"""What compares numbers, or promises equal ones: all tests of the training engine, and a few of each library that
computes. Whoever adds a test of trainings need not think of it here."""
WITHOUT = {
    "tests/tasks/test_training.py::test_final_accuracies_are_distributed_as_keras_are": "compares distributions over "
    "twenty seeds each, to which the last digits of a kernel are nothing; that kernels of other processors give a "
    "training's weights as Keras does, the other tests of the file say",
}
"""What of it is left out, and why."""
NEHALEM = {
    "DERBY_TEST_ARITHMETIC": "native",
    "OPENBLAS_CORETYPE": "Nehalem",
    "NPY_DISABLE_CPU_FEATURES": "X86_V3",
    "TF_ENABLE_ONEDNN_OPTS": "1",
    "ONEDNN_MAX_CPU_ISA": "SSE41",
    "ARROW_USER_SIMD_LEVEL": "SSE4_2",
}
"""A processor of 2008, without AVX; every newer one of x86-64 can compute like it."""


@pytest.mark.slow
@pytest.mark.skipif(platform.machine() != "x86_64", reason="kernels of x86-64")
def test_with_the_kernels_of_an_older_processor():
    run = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-n0",
            "-p",
            "no:cacheprovider",
            *(f"--deselect={name}" for name in WITHOUT),
            *CHOSEN,
        ],
        cwd=Path(__file__).parents[1],
        env={**os.environ, **NEHALEM},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout[-5000:]
    assert (
        f" {len(WITHOUT)} deselected" in run.stdout
    )  # none of what is left out has gone, or has another name
