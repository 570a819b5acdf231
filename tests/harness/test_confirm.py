"""Winners of races on recordings, trained for real."""

from __future__ import annotations

import dataclasses
import json
import math
import re

import numpy as np
import pandas as pd
import pytest
from command import derby

from analysis.statistics import confirmation
from harness.confirm import Trial, _name_of, confirmed, prepared
from harness.errors import DataError
from harness.keys import NAME
from harness.record import Design, asked_by, described, found_in, made_of, sweep_of
from harness.recording_file import save
from results.tables import read_tables

RACE = """
name: race
seed: 1
repetitions: 3
budget: {{epochs: 60}}
tasks: [{{name: replay, options: {{recording: {path}}}}}, {other}]
searchers: [random, optuna_tpe]
"""


@pytest.fixture
def race(plugin, run_sweep, tmp_path):
    """Return a function that races on a recording of the plug-in's task, and returns the tables."""

    def made(other="branin", **options):
        sweep = sweep_of("noisy", {"noise": 0.02, **options}, Design(12, 2))
        run_sweep(sweep.text)
        (task,) = sweep.tasks.values()
        found = found_in([run_sweep.root], task, 1, only=asked_by(sweep, run_sweep.root))
        path = tmp_path / "own.parquet"
        save(made_of(found, task, described(sweep), 1), path)
        run_sweep(RACE.format(path=path, other=other))
        return read_tables(run_sweep.root, "race")

    return made


def test_winners_are_trained_with_fresh_seeds(race, run_sweep):
    tables = race()
    (plan,) = prepared(tables, Trial(methods=2, seeds=2))
    assert plan.label == "replay/own"
    assert plan.task.name == "noisy"
    assert len(plan.winners) == 6  # of two methods in three repetitions
    for winner in plan.winners.itertuples():
        own = tables.trials.query(
            "task == 'replay/own' and searcher == @winner.searcher and repetition == @winner.repetition"
        )
        assert winner.found == own["loss"].min()
        assert winner.config == own.loc[own["loss"].idxmin(), "config"]
    seen = []

    def run(sweep):
        seen.append(run_sweep(sweep.text))
        return seen[-1]

    winners = confirmed(plan, run_sweep.root, run)
    trained = read_tables(run_sweep.root, plan.sweep.name).trials
    assert len(trained) == plan.trainings == 2 * plan.winners["config"].nunique()
    assert not set(plan.replay.recording.seeds.tolist()) & {
        study.key.training_seed for study in plan.sweep.studies
    }
    for winner in winners.itertuples():
        assert winner.trainings == 2
        assert winner.trained == pytest.approx(trained.query("config == @winner.config")["loss"].mean())
        assert abs(winner.trained - winner.promised) < 0.5
    # On record: not trained again.
    confirmed(plan, run_sweep.root, run)
    assert [progress.trained for progress in seen] == [plan.trainings, 0]
    assert set(confirmation.by_method(winners)["searcher"]) == {"random", "optuna_tpe"}


def test_the_command(race, run_sweep, tmp_path):
    race()
    ended = derby("confirm", "race", "--methods", "1", "--seeds", "1", "--results", run_sweep.root)
    assert ended.returncode == 0, ended.stderr
    assert "replay/own: loss, the " in ended.stdout
    assert "rank correlation" in ended.stdout
    folder = run_sweep.root / "sweeps" / "race" / "confirmed"
    winners, methods = (pd.read_csv(folder / f"{name}.csv") for name in ("winners", "methods"))
    assert len(winners) == 3
    assert methods.loc[0, "trained"] == pytest.approx(winners["trained"].mean())


def test_of_some_recordings_what_was_confirmed_of_others_stays(race, run_sweep):
    race()
    folder = run_sweep.root / "sweeps" / "race" / "confirmed"
    command = ("confirm", "race", "--methods", "1", "--seeds", "1", "--results", run_sweep.root)
    assert derby(*command).returncode == 0
    other = pd.read_csv(folder / "winners.csv").assign(task="replay/other")
    other.to_csv(folder / "winners.csv", index=False)
    again = derby(*command, "--tasks", "replay/own")
    assert again.returncode == 0, again.stderr
    winners, methods = (pd.read_csv(folder / f"{name}.csv") for name in ("winners", "methods"))
    assert sorted(winners["task"]) == ["replay/other"] * 3 + ["replay/own"] * 3
    assert sorted(methods["task"]) == ["replay/other", "replay/own"]
    refused = derby(*command, "--tasks", "replay/owm")
    assert refused.returncode == 2
    assert "race has no recording 'replay/owm'; did you mean 'replay/own'?" in refused.stderr


def test_only_the_leading_methods(race):
    tables = race()
    (plan,) = prepared(tables, Trial(methods=1, seeds=1))
    finals = (
        tables.trials.query("task == 'replay/own'")
        .groupby(["repetition", "searcher"])["loss"]
        .min()
        .reset_index()
    )
    (leading,) = set(plan.winners["searcher"])
    assert leading == (
        finals.pivot_table(index="repetition", columns="searcher", values="loss").rank(axis=1).mean().idxmin()
    )


def test_another_recording_than_raced_on_is_refused(race):
    tables = race()
    tables.tasks.loc["replay/own", "data"] = "0" * 64
    with pytest.raises(DataError, match=r"raced on another recording replay/own.*race anew"):
        prepared(tables, Trial())


def test_a_race_without_recordings_is_refused(plugin, run_sweep):
    run_sweep(
        "{name: race, seed: 1, repetitions: 1, budget: {evaluations: 2}, tasks: [branin], searchers: [random]}"
    )
    with pytest.raises(
        DataError, match=r"has no finished studies on a recording: expected .*replay/NAME.*branin"
    ):
        prepared(read_tables(run_sweep.root, "race"), Trial())


def test_seeds_that_were_recorded_are_refused(race):
    tables = race()
    with pytest.raises(DataError, match=r"--seed 0 gives training seeds that replay/own was recorded with"):
        prepared(tables, Trial(seed=0))


def test_what_was_found_early_is_trained_for_as_many_epochs(race, run_sweep):
    tables = race()
    trials = tables.trials.copy()
    own = trials.query("task == 'replay/own' and searcher == 'random' and repetition == 0 and status == 'ok'")
    best = own["loss"].idxmin()
    trials.loc[best, "epochs"] = 1
    (plan,) = prepared(dataclasses.replace(tables, trials=trials), Trial(methods=2, seeds=1))
    run_sweep(plan.sweep.text)
    trained = read_tables(run_sweep.root, plan.sweep.name).trials
    assert sorted(set(trained["epochs"])) == [1, plan.task.fidelity.high]
    assert set(trained.query("epochs == 1")["config"]) == {trials.loc[best, "config"]}


def test_summary_by_hand():
    winners = pd.DataFrame(
        {
            "searcher": ["a"] * 5 + ["b"] * 2,
            "repetition": [0, 1, 2, 3, 4, 0, 1],
            "config": ["1", "2", "3", "4", "5", "2", "2"],
            "epochs": [9] * 7,
            "found": [1.0, 2.0, 3.0, 4.0, 5.0, 2.0, 2.0],
            "promised": [2.0] * 7,
            "trained": [2.0, 3.0, 4.0, 5.0, 6.0, 1.0, 2.0],
        }
    )
    table = confirmation.by_method(winners).set_index("searcher")
    assert list(table.index) == ["b", "a"]
    assert table.loc["a", ["found", "trained", "difference", "low", "high"]].tolist() == [
        3.0,
        4.0,
        1.0,
        1.0,
        1.0,
    ]
    assert table.loc["b", "difference"] == -0.5
    assert math.isnan(table.loc["b", "low"])
    assert table.loc["a", ["rank", "trained_rank"]].tolist() == [2.0, 2.0]
    assert confirmation.rows(confirmation.by_method(winners))[0][-1] == "from 5 winners"
    assert confirmation.agreement(winners.head(5)) == pytest.approx(1.0)
    assert confirmation.agreement(winners.tail(2)) is None
    assert "worse in the mean" in confirmation.in_words(winners.head(5))
    all_of = confirmation.overall(winners)
    assert (all_of.winners, all_of.different) == (7, 5)
    assert all_of.difference == pytest.approx(4 / 7)
    assert all_of.low <= all_of.high <= 1
    joined = confirmation.joined({"x": winners, "y": winners.head(1)})
    assert list(joined["task"]) == ["x"] * 7 + ["y"]
    assert np.isfinite(joined["trained"]).all()
    assert json.loads(joined.head(1).to_json(orient="records"))[0]["task"] == "x"


def test_sweeps_of_two_races_never_share_a_name():
    names = [
        _name_of(race, f"replay/{recording}")
        for race in ("race", "r" * 79 + "1", "r" * 79 + "2")
        for recording in ("own", "my file", "my-file", "é" * 60)
    ]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(NAME, name) for name in names)
    assert names[0] == "confirm-race-own"
