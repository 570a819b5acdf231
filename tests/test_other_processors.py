"""A chosen part of the tests with the kernels of another processor: none of them depends on which one it is."""

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

CHOSEN = [
    *(
        f"tests/tasks/test_training.py::test_{name}"
        for name in (
            "trains_as_keras_does[optimizer-l2]",
            "trains_as_keras_does[optimizer1]",
            "trains_as_keras_does[optimizer-layers1]",
            "pixels_are_divided_by_255",
            "a_split_trains_and_validates_on_rows_of_the_training_examples",
            "dropout_drops_at_its_rate_and_only_in_training",
            "center_loss_by_hand",
            "center_loss_draws_features_together",
            "pure",
            "continuing_equals_one_go",
            "divergence",
            "scores_are_scikit_learns",
        )
    ),
    "tests/tasks/test_replay.py::test_values_are_the_same_to_the_last_bit",
    "tests/analysis/statistics/test_aggregates.py",
    "tests/analysis/statistics/test_significance.py",
    "tests/results/test_published.py",
    "tests/searchers/test_native_equivalence.py::test_skopt_gp[continuous-0]",
    "tests/searchers/test_native_equivalence.py::test_gpyopt_gp[continuous-0]",
    "tests/searchers/test_optuna_samplers.py::test_cmaes",
    "tests/harness/test_history.py::test_the_record_is_followed_and_the_rest_proposed",
]
"""What compares numbers; of what is compared with Keras, each optimiser, and convolutions."""
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
            *CHOSEN,
        ],
        cwd=Path(__file__).parents[1],
        env={**os.environ, **NEHALEM},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout[-5000:]
