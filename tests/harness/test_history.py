"""A study whose replay departs from its journal goes on: its searcher is told the record and proposes the rest."""

import json
import os
import subprocess
import sys

import pytest
from command import derby as here
from records import study_records

from harness import registry
from harness.errors import SearcherError
from harness.events import Asked, Done, Told
from harness.history import Followed
from harness.space import Choice, Float, Int, Space
from harness.study import Study
from harness.trial import Budget, Curve, Evaluation, Fidelity, Objective, Problem, Status
from results.reading import read_study
from results.tables import read_tables

SPACE = Space({"rate": Float(1e-4, 1.0, log=True), "units": Int(1, 64), "kind": Choice(("a", "b"))})
PROBLEM = Problem(SPACE, Fidelity(1, 1), Objective("error", "min", failure=9.0))
BUDGET = Budget("evaluations", 14)


def cost(config):
    return 1.0 + config["units"] % 3


def run(asker, workers):
    """Run a study to its end and return its events without what is measured."""
    study, events = Study(asker, workers=workers, cost=cost), []
    while study.done is None:
        waiting = []
        for event in study.advance():
            events.append(event)
            if isinstance(event, Asked):
                waiting.append(event)
        for asked in reversed(waiting):
            error = abs(asked.proposal.config["rate"] - 0.01) + asked.proposal.config["units"] / 64
            study.deliver(asked.number, Evaluation(Status.OK, Curve({"error": [error]}), 1))
    return [
        (event.number, event.proposal, event.start)
        if isinstance(event, Asked)
        else (event.number, event.loss, event.finish)
        if isinstance(event, Told)
        else event
        for event in events
    ]


def searcher(name, seed):
    return registry.searcher(name)(PROBLEM, seed=seed, budget=BUDGET)


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("name", ["random", "optuna_tpe", "hyperopt_tpe"])
def test_the_record_is_followed_and_the_rest_proposed(name, workers):
    whole = run(searcher(name, seed=1), workers)
    for length in range(1, len(whole)):
        history = [event[1] if hasattr(event[1], "config") else None for event in whole[:length]]
        events = run(Followed(history, searcher(name, seed=2)), workers)
        assert events[:length] == whole[:length]
        assert isinstance(events[-1], Done)
        assert events[-1].evaluations == BUDGET.amount
        asked = [event[1].trial for event in events[:-1] if hasattr(event[1], "config")]
        assert asked == list(range(BUDGET.amount))
        assert events != whole or length > len(whole) // 2  # another seed, from there on


@pytest.mark.parametrize(
    "name", ["pyswarms_pso", "optuna_sha", "optuna_hyperband", "raytune_asha", "raytune_hyperopt"]
)
def test_a_method_that_cannot_says_so(name):
    made = registry.searcher(name)(
        Problem(Space({"x": Float(0, 1)}), Fidelity(1, 9), PROBLEM.objective), seed=1, budget=BUDGET
    )
    with pytest.raises(SearcherError, match="cannot be told trials that it did not propose"):
        Followed([], made)


CHEAP_GP = "{name: skopt_gp, settings: {n_initial_points: 4, n_points: 300, n_restarts_optimizer: 1}}"

SWEEP = """
name: drift
repetitions: 2
workers: {workers}
budget: {{evaluations: 8}}
tasks: [branin]
searchers: [{searchers}]
"""


def cut(root, name, lines):
    """Cut the journals of a method to so many lines, and return them."""
    journals = [
        p for p in sorted((root / "studies").glob("*.jsonl")) if f'"searcher":"{name}"' in p.read_text()
    ]
    for path in journals:
        path.write_text("".join(path.read_text().splitlines(keepends=True)[:lines]))
    return journals


@pytest.mark.parametrize("workers", [1, 2])
def test_a_study_goes_on_from_its_record(run_sweep, plugin, monkeypatch, workers):
    text = SWEEP.format(workers=workers, searchers="drifting, random")
    run_sweep(text)
    journals = cut(run_sweep.root, "drifting", 9)
    kept = {path: path.read_text() for path in journals}
    monkeypatch.setenv("DERBY_TEST_DRIFT", "1")
    progress = run_sweep(text, on_mismatch="tell")
    assert progress.failed == {}
    assert sorted(progress.followed) == [f"drifting on branin, repetition {i}" for i in range(2)]
    assert {path: path.read_text()[: len(kept[path])] for path in journals} == kept
    for path in journals:
        record = read_study(path)
        assert record.state == "done"
        assert record.events[-1].evaluations == 8
        assert record.followed > 0
    tables = read_tables(run_sweep.root, "drift")
    told = sum('"told"' in line for line in kept[journals[0]].splitlines())
    assert dict(zip(tables.studies["searcher"], tables.studies["followed"], strict=True)) == {
        "drifting": told,
        "random": 0,
    }
    assert tables.trials["evaluation"].nunique() == len(tables.trials)  # nothing was evaluated twice

    done = study_records(run_sweep.root)
    for path in journals:  # killed once more after that: the replay is checked again from there on
        lines = path.read_text().splitlines(keepends=True)
        path.write_text("".join(lines[:-3]))
    assert run_sweep(text).failed == {}
    assert study_records(run_sweep.root) == done


def test_what_cannot_be_told_fails_and_keeps_its_journal(run_sweep, plugin, monkeypatch):
    text = SWEEP.format(workers=1, searchers="breaking")
    run_sweep(text)
    journals = cut(run_sweep.root, "breaking", 6)
    kept = {path: path.read_text() for path in journals}
    monkeypatch.setenv("DERBY_TEST_DRIFT", "1")
    progress = run_sweep(text, on_mismatch="tell")
    assert len(progress.failed) == 2
    message = next(iter(progress.failed.values()))
    assert "searcher 'breaking' cannot be told trials that it did not propose" in message
    assert {path: path.read_text() for path in journals} == kept


def derby(*arguments, **variables):
    environment = {**os.environ, **variables}
    command = [sys.executable, "-m", "harness.cli", *arguments]
    return subprocess.run(command, check=False, env=environment, capture_output=True, text=True)


@pytest.mark.slow
def test_other_kernels(tmp_path):
    """With the kernels of another processor a native sweep departs, says what differs, and goes on when told to."""
    sweep = tmp_path / "kernels.yaml"
    text = SWEEP.format(workers=1, searchers=CHEAP_GP)
    sweep.write_text(text.replace("evaluations: 8", "evaluations: 12") + "arithmetic: native\n")
    root, haswell = tmp_path / "results", {"OPENBLAS_CORETYPE": "Haswell"}
    where = ("--results", str(root))
    assert derby("run", str(sweep), *where, **haswell).returncode == 0
    journals = cut(root, "skopt_gp", 24)
    other = {"OPENBLAS_CORETYPE": "Nehalem"}
    departed = derby("run", str(sweep), *where, **other)
    assert departed.returncode == 1
    assert "Haswell → openblas" in departed.stdout
    assert "Nehalem" in departed.stdout
    assert "--on-mismatch tell" in departed.stdout
    gone_on = derby("run", str(sweep), *where, "--on-mismatch", "tell", **other)
    assert gone_on.returncode == 0, gone_on.stdout
    status = here("status", "drift", *where).stdout
    assert "its searcher was told 11 recorded evaluations and proposed the rest" in status
    hosts = [
        json.loads((root / "machines" / f"{machine}.json").read_text())["arithmetic"]["variables"]
        for _, machine in read_study(journals[0]).hosts
    ]
    assert [host["OPENBLAS_CORETYPE"] for host in hosts] == ["Haswell", "Nehalem"]


@pytest.mark.slow
def test_portable_arithmetic_does_not_depend_on_what_a_library_would_choose(tmp_path):
    """The same sweep under whatever the environment says: the same record, to the last bit."""
    sweep = tmp_path / "portable.yaml"
    sweep.write_text(SWEEP.format(workers=1, searchers=CHEAP_GP))
    records, kinds = [], []
    for kernels in ("Haswell", "Nehalem"):
        root = tmp_path / kernels
        variables = {
            "OPENBLAS_CORETYPE": kernels,
            "NPY_DISABLE_CPU_FEATURES": "X86_V3" * (kernels == "Nehalem"),
        }
        assert derby("run", str(sweep), "--results", str(root), **variables).returncode == 0
        records.append(study_records(root))
        kinds.append(sorted(path.read_text() for path in (root / "machines").glob("*.json")))
    assert records[0] == records[1]
    assert kinds[0] == kinds[1]
    assert all(json.loads(kind)["arithmetic"]["blas"]["scipy"].endswith("Haswell") for kind in kinds[0])
