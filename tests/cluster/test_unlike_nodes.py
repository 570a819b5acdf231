"""Searchers run on nodes that compute the same; where native arithmetic meets other kernels, on the others."""

from __future__ import annotations

import json

import pytest
from records import study_records

from harness.arithmetic import Arithmetic
from results.reading import read_study

pytestmark = pytest.mark.cluster

SWEEP = """\
name: unlike
seed: 3
repetitions: 4
budget: {{evaluations: 6}}
arithmetic: {arithmetic}
tasks: [branin]
searchers: [{{name: skopt_gp, settings: {{n_initial_points: 4, n_points: 300, n_restarts_optimizer: 1}}}}]
"""


@pytest.fixture
def nehalem(cluster):
    """A node whose processes would choose the kernels of another processor."""
    node = cluster.add(env_vars={"OPENBLAS_CORETYPE": "Nehalem"}, num_cpus=4)
    yield node
    cluster.remove(node, graceful=True)


def kernels(root):
    """Return the kernels that each study's searcher computed with."""
    used = {}
    for path in (root / "studies").glob("*.jsonl"):
        machines = [machine for _, machine in read_study(path).hosts]
        described = [json.loads((root / "machines" / f"{each}.json").read_text()) for each in machines]
        used[path.stem] = {about["arithmetic"]["blas"]["scipy"].split()[-1] for about in described}
    return used


@pytest.mark.parametrize("arithmetic", list(Arithmetic))
def test_all_studies_of_a_run_compute_the_same(run_sweep, tmp_path, cluster, on_ray, nehalem, arithmetic):
    text = SWEEP.format(arithmetic=arithmetic.value)
    executor = on_ray(arithmetic=arithmetic)
    progress = run_sweep(text, tmp_path / "ray", executor=executor)
    assert progress.failed == {}
    assert len(set(map(frozenset, kernels(tmp_path / "ray").values()))) == 1
    if arithmetic is Arithmetic.PORTABLE:  # then all nodes are alike
        assert set().union(*kernels(tmp_path / "ray").values()) == {"Haswell"}
        run_sweep(text, tmp_path / "serial")
        assert study_records(tmp_path / "ray") == study_records(tmp_path / "serial")
