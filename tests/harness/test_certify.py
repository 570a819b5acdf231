"""Certificates: fresh trainings and races, written into the recording they are of."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys

import numpy as np
import pytest
from recordings import MIXED, drawn, recorded

from harness import certify as module
from harness.certify import Trial, certified, prepared, rows, verdict
from harness.errors import DataError
from harness.record import Design, asked_by, described, found_in, made_of, sweep_of
from harness.recording import OK
from harness.recording_file import load, save
from results.tables import read_tables


@pytest.fixture
def recording_of(plugin, run_sweep, tmp_path):
    """Return a function that records the plug-in's task and returns the file."""

    def made(design, **options):
        sweep = sweep_of("noisy", options, design)
        run_sweep(sweep.text)
        (task,) = sweep.tasks.values()
        found = found_in([run_sweep.root], task, 1, only=asked_by(sweep, run_sweep.root))
        path = tmp_path / "noisy.parquet"
        save(made_of(found, task, described(sweep), 1), path)
        return path

    return made


@pytest.fixture
def quick(monkeypatch):
    """Methods whose libraries are soon loaded, one of which cannot search the task."""
    names = ("random", "hyperopt_tpe", "optuna_tpe", "skopt_gp_that_there_is_not")
    monkeypatch.setattr(module, "METHODS", tuple({"name": name} for name in names))


def certificate_of(path, trial, run_sweep):
    plan = prepared(str(path), trial)
    made = certified(plan, run_sweep.root, lambda sweep: run_sweep(sweep.text))
    return plan, made


def test_fresh_configurations_and_a_race(recording_of, run_sweep, quick):
    path = recording_of(Design(40, 3), noise=0.02)
    plan, made = certificate_of(path, Trial(15, 2, 5, 6), run_sweep)
    known = {tuple(sorted(config.items())) for config in plan.recording.configs}
    fresh = read_tables(run_sweep.root, plan.fresh.name).trials
    assert len(fresh) == 30
    assert not known & {tuple(sorted(json.loads(text).items())) for text in fresh["config"]}
    values = made.about.certificate["values"]
    assert (values["configurations"], values["seeds"], values["recorded_configurations"]) == (15, 2, False)
    assert values["spearman"] > 0.8
    assert values["spread"] == pytest.approx(0.02, rel=0.4)
    assert 0 < values["error"] < 20
    race = made.about.certificate["race"]
    assert race["full_evaluations"] == 6
    assert race["repetitions"] == 5
    assert set(race["methods"]) == {"random", "hyperopt_tpe", "optuna_tpe"}
    # Both races are pairs: random search proposed the same.
    proposed = [
        read_tables(run_sweep.root, sweep.name).trials.query("searcher == 'random'")["config"].tolist()
        for sweep in plan.races
    ]
    assert proposed[0] == proposed[1]
    assert made.digest == plan.recording.digest
    save(made, path)
    (row,) = rows({"noisy": path})
    assert row[:3] == ("noisy", "noisy,noise=0.02", "40 × 3")
    assert row[3] == f"{values['spearman']:.2f}"
    # What is on record is not trained again.
    again = []
    certified(
        prepared(str(path), Trial(15, 2, 5, 6)),
        run_sweep.root,
        lambda sweep: again.append(run_sweep(sweep.text)),
    )
    assert [progress.trained for progress in again] == [0, 0, 0]


def test_a_finite_space_is_tried_with_fresh_seeds(recording_of, run_sweep, quick):
    path = recording_of(Design(seeds=3), finite=True, noise=0.001, diverges=0.6)
    plan, made = certificate_of(path, Trial(100, 2, 0), run_sweep)
    values = made.about.certificate["values"]
    assert (values["configurations"], values["recorded_configurations"]) == (20, True)
    assert "race" not in made.about.certificate
    # A divergence is no missing training, but a loss of 10: some configurations have it.
    trained = read_tables(run_sweep.root, plan.fresh.name).trials
    assert (trained["loss"] == 10.0).any()
    seeds = {study.key.training_seed for study in plan.fresh.studies}
    assert not seeds & set(plan.recording.seeds.tolist())
    clean = recording_of(Design(seeds=3), finite=True, noise=0.001)
    _, made = certificate_of(clean, Trial(100, 2, 0), run_sweep)
    assert made.about.certificate["values"]["spearman"] > 0.99
    assert verdict(made.about.certificate)[0]


def test_the_seeds_of_the_recording_are_not_fresh(recording_of, run_sweep, quick):
    path = recording_of(Design(6, 2, seed=1))
    with pytest.raises(
        DataError, match=r"--seed 1 gives training seeds that .*noisy.parquet was recorded with"
    ):
        prepared(str(path), Trial(10, seed=1))


def test_a_file_that_changes_meanwhile_is_left_alone(recording_of, run_sweep, quick):
    path = recording_of(Design(6, 2))
    plan = prepared(str(path), Trial(10, 2, 0))

    def run(sweep):
        run_sweep(sweep.text)
        recording_of(Design(7, 2))

    with pytest.raises(DataError, match="was changed while it was certified"):
        certified(plan, run_sweep.root, run)


def test_what_is_not_here_any_more_is_said(tmp_path, recording_of, monkeypatch, quick):
    save(recorded(), tmp_path / "made.parquet")
    with pytest.raises(
        DataError, match="records made/up, which cannot be had here: no task is called 'made'"
    ):
        prepared(str(tmp_path / "made.parquet"), Trial())
    path = recording_of(Design(6, 2))
    import derby_test_plugin

    monkeypatch.setattr(derby_test_plugin.Noisy, "version", 2)
    with pytest.raises(DataError, match=r"here it is .*'version': 2.*record it anew"):
        prepared(str(path), Trial())
    monkeypatch.undo()
    save(load(path).with_(task={**load(path).about.task, "options": {"gone": 1}}), path)
    with pytest.raises(DataError, match=r"which cannot be had here: .*gone"):
        prepared(str(path), Trial())


def test_too_few_methods_are_said(recording_of, monkeypatch):
    path = recording_of(Design(6, 2))
    monkeypatch.setattr(module, "METHODS", ({"name": "random"}, {"name": "nowhere"}))
    with pytest.raises(DataError, match=r"a race needs 3 methods.*only \['random'\] can search noisy"):
        prepared(str(path), Trial(10))


def test_the_spread_by_hand():
    recording = recorded(MIXED, 9, diverges=0.0)
    losses = recording.losses
    within = losses - losses.mean(axis=1, keepdims=True)
    assert module._spread(recording) == pytest.approx(np.sqrt((within**2).sum() / (9 * 2)), rel=1e-12)
    # Not all with all seeds: pooled over those with two or more that succeeded.
    ragged = recorded(MIXED, 30, diverges=0.2, missing=0.4)
    squares = degrees = 0.0
    for place in range(len(ragged.configs)):
        kept = ragged.losses[place][ragged.status[place] == OK]
        if len(kept) >= 2 and (ragged.status[place] != module.DIVERGED).all():
            squares += ((kept - kept.mean()) ** 2).sum()
            degrees += len(kept) - 1
    assert module._spread(ragged) == pytest.approx(np.sqrt(squares / degrees), rel=1e-12)
    assert module._spread(recorded(MIXED, drawn(MIXED, 3, random.Random(0)), seeds=(1,))) == 0.0


@pytest.mark.parametrize(
    ("spearman", "ceiling", "good", "words"),
    [
        (0.91, 0.99, True, "0.910, expected at least 0.900"),
        (0.89, 0.99, False, "0.890, expected at least 0.900"),
        (0.79, 0.8, True, "expected at least 0.776"),
        (0.77, 0.8, False, "expected at least 0.776"),
        (0.95, None, True, "allows, unknown"),
        (0.5, None, False, "allows, unknown"),
        (None, 0.9, False, "one value only"),
    ],
)
def test_a_verdict_has_its_reason(spearman, ceiling, good, words):
    said = verdict({"values": {"spearman": spearman, "ceiling": ceiling}})
    assert said[0] is good
    assert words in said[1]


@pytest.mark.slow
def test_by_command(recording_of, tmp_path, plugin):
    path = recording_of(Design(seeds=2), finite=True, noise=0.001)
    env = {**os.environ, "PYTHONPATH": str(plugin), "COLUMNS": "200"}
    command = [sys.executable, "-m", "harness.cli", "certify", str(path), "--repetitions", "0"]
    done = subprocess.run(
        [*command, "--results", str(tmp_path / "fresh")], capture_output=True, text=True, env=env, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "good: rank correlation with fresh trainings" in done.stdout
    assert load(path).about.certificate["digest"] == load(path).digest
    bad = recording_of(Design(4, 1), noise=3.0)
    done = subprocess.run(
        [*command, "--configurations", "10", "--results", str(tmp_path / "fresh")],
        capture_output=True,
        text=True,
        env=env,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    assert "not good enough to stand for the task" in done.stdout
    assert load(bad).about.certificate is not None
