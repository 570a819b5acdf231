"""Making recordings: the sweep, what of a results folder belongs into one, and the file that is replaced."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import pytest
import yaml
from records import lines_of, rewrite

from harness import record, registry
from harness.errors import DataError, RecordError
from harness.keys import canonical_json, digest
from harness.profile import task_named
from harness.record import Design, asked_by, before_at, described, file_name, found_in, made_of, sweep_of
from harness.recording_file import load, save
from harness.trial import Status
from tasks.replay import Replay

DERBY = [sys.executable, "-m", "harness.cli"]


@pytest.fixture
def recorded_by(plugin, run_sweep, tmp_path):
    """Return a function that trains a design, and returns its recording."""

    def made(design, root=tmp_path / "results", **options):
        sweep = sweep_of("noisy", options, design)
        progress = run_sweep(sweep.text, root)
        assert progress.ended_well
        (task,) = sweep.tasks.values()
        found = found_in([root], task, 1, only=asked_by(sweep, root))
        return made_of(found, task, described(sweep), 1), progress

    return made


def trained(recording):
    return {(canonical_json(dict(row.config)), row.seed): row.evaluation for row in recording.rows()}


def test_a_finite_space_is_recorded_whole(recorded_by):
    recording, _ = recorded_by(Design(seeds=2), finite=True)
    assert recording.whole
    assert (len(recording.configs), recording.trainings) == (5 * 4, 40)
    assert recording.about.design == "every configuration of the space"
    assert recording.about.scales is None
    task = task_named("noisy", {"finite": True})
    for row in recording.rows():
        fresh = task.evaluate(dict(row.config), epochs=4, seed=row.seed, data={})
        assert (fresh.curve, fresh.status, fresh.epochs) == (
            row.evaluation.curve,
            row.evaluation.status,
            row.evaluation.epochs,
        )


def test_more_configurations_keep_what_there_is(recorded_by):
    few, _ = recorded_by(Design(6, 2))
    assert few.about.design == "the first 6 points of a scrambled Sobol' sequence of seed 0"
    assert few.about.scales is not None
    more, progress = recorded_by(Design(10, 3))
    assert progress.trained == 10 * 3 - 6 * 2
    assert trained(few).items() <= trained(more).items()
    again, progress = recorded_by(Design(6, 2))
    assert progress.trained == 0
    assert again.digest == few.digest, "what others trained in the folder is no part of it"


def test_divergences_are_recorded(recorded_by):
    recording, _ = recorded_by(Design(20, 3), diverges=0.5)
    lost = [row.evaluation for row in recording.rows() if row.evaluation.status is Status.DIVERGED]
    assert 3 < len(lost) < 30
    assert {(made.epochs, made.curve.epochs, made.lost_seconds) for made in lost} == {(3, 2, 0.5)}


def test_what_cannot_be_recorded_is_refused(plugin):
    with pytest.raises(
        DataError, match="noisy is uncountable: say how many to record, with --configurations"
    ):
        sweep_of("noisy", {}, Design())
    assert file_name(task_named("noisy", {"finite": True})) == "noisy-finite-True"
    (study, *_) = sweep_of("noisy", {"finite": True}, Design(3)).studies
    assert study.key.searcher == "random"
    (study, *_) = sweep_of("noisy", {"finite": True}, Design(20)).studies
    assert study.key.searcher == "grid"


def test_only_what_belongs_together_is_collected(plugin, run_sweep, tmp_path, recorded_by):
    """Crashes, timeouts, shorter trainings, other threads, tasks and versions are not of the recording."""
    recording, _ = recorded_by(Design(6, 2))
    root = tmp_path / "results"
    (path,) = (root / "evaluations" / "noisy").glob("*.jsonl")
    lines = lines_of(path)
    assert len(lines) == 12
    task = task_named("noisy", {})

    def found(change):
        rewrite(path, [change(number, dict(line)) for number, line in enumerate(lines)])
        return found_in([root], task, 1)

    assert len(found(lambda number, line: line).rows) == 12

    def keyed(line, **changed):
        key = json.loads(canonical_json({**line["key"], **changed}))
        return {**line, "key": key, "id": digest(key)}

    for change in (
        lambda number, line: keyed(line, threads=2) if number < 5 else line,
        lambda number, line: keyed(line, arithmetic="native") if number < 5 else line,
        lambda number, line: keyed(line, task={**line["key"]["task"], "version": 2}) if number < 5 else line,
        lambda number, line: keyed(line, task={**line["key"]["task"], "split": 7}) if number < 5 else line,
    ):
        kept = found(change)
        assert (len(kept.rows), kept.left_out, kept.short) == (7, 0, 0)

    def crashed(number, line):
        return (
            {**line, "status": "crashed", "curve": {}, "epochs": 0, "message": "killed"}
            if number < 5
            else line
        )

    kept = found(crashed)
    assert (len(kept.rows), kept.left_out, kept.short) == (7, 5, 0)

    def short(number, line):
        curve = {name: values[:2] for name, values in line["curve"].items()}
        return {**line, "curve": curve, "epochs": 2} if number < 5 else line

    kept = found(short)
    assert (len(kept.rows), kept.left_out, kept.short) == (7, 0, 5)
    # A fidelity that is an option of scoring: what was trained longer serves as far as it goes.
    found(lambda number, line: line)
    shorter = task_named("noisy", {"epochs": 2})
    made = made_of(found_in([root], shorter, 1), shorter, "as found", 1)
    assert made.trainings == 12
    for row in made.rows():
        assert row.evaluation.curve == trained(recording)[
            canonical_json(dict(row.config)), row.seed
        ].curve.prefix(2)


def test_recordings_are_made_of_folders_and_recordings(recorded_by, tmp_path):
    first, _ = recorded_by(Design(5, 2), tmp_path / "one")
    recorded_by(Design(5, 2, seed=9), tmp_path / "two")
    path = tmp_path / "first.parquet"
    save(first, path)
    task = task_named("noisy", {})
    made = made_of(found_in([path, tmp_path / "two"], task, 1), task, "as found", 1)
    assert (len(made.configs), len(made.seeds), made.trainings) == (10, 4, 20)
    assert trained(first).items() <= trained(made).items()
    assert made.digest == made_of(found_in([tmp_path / "two", path], task, 1), task, "as found", 1).digest
    assert len(made.about.provenance.machines) == 1
    twice = made_of(found_in([path, tmp_path / "one", path], task, 1), task, "as found", 1)
    assert twice.digest == first.digest
    with pytest.raises(DataError, match=r"records noisy, expected noisy,noise=0.1"):
        found_in([path], task_named("noisy", {"noise": 0.1}), 1)
    with pytest.raises(
        DataError, match="portable arithmetic with 1 thread, expected portable and 2; say --threads 1"
    ):
        found_in([path], task, 2)
    with pytest.raises(RecordError, match="no results folder"):
        found_in([tmp_path / "nowhere"], task, 1)
    with pytest.raises(DataError, match="none of 0 trainings succeeded"):
        made_of(found_in([tmp_path / "two"], task_named("noisy", {"noise": 0.1}), 1), task, "as found", 1)


def test_the_same_trainings_serve_another_objective(recorded_by, tmp_path):
    first, _ = recorded_by(Design(5, 2), tmp_path / "one")
    path = tmp_path / "first.parquet"
    save(first, path)
    task = task_named("noisy", {"objective": "val_gain"})
    made = made_of(found_in([path], task, 1), task, "as found", 1)
    assert (made.about.metric, made.about.direction, made.about.test_metric) == ("val_gain", "max", None)
    assert made.digest != first.digest
    assert trained(made) == trained(first)
    save(made, tmp_path / "gain.parquet")
    replay = Replay(recording=str(tmp_path / "gain.parquet"))
    assert (replay.objective.metric, replay.objective.sign, replay.key.seeds_of["scoring"]["objective"]) == (
        "val_gain",
        -1.0,
        "val_gain",
    )


def test_what_comes_along_serves_every_objective_of_its_task():
    name = "mnist_mlp-small"
    key = load(Replay.shipped()[name]).about.task
    task = registry.task(key["name"])(**key["options"], **{**key["scoring"], "objective": "val_macro_f1"})
    made = made_of(found_in([Replay.shipped()[name]], task, 1), task, "as found", 1)
    assert made.about.metric == "val_macro_f1"
    assert made.trainings == 180


def test_only_the_same_task_is_replaced(recorded_by, tmp_path):
    recording, _ = recorded_by(Design(5, 2))
    task, path = task_named("noisy", {}), tmp_path / "one.parquet"
    assert before_at(path, task) is None
    save(recording, path)
    assert before_at(path, task).digest == recording.digest
    with pytest.raises(
        DataError, match=r"records noisy, and would be replaced by noisy,noise=0.1 of another"
    ):
        before_at(path, task_named("noisy", {"noise": 0.1}))
    path.write_text("my thesis")
    with pytest.raises(DataError, match=r"only a recording is ever replaced: .*--out"):
        before_at(path, task)


# As a user meets it.


def derby(*arguments, path, cwd, **rest):
    env = {**os.environ, "COLUMNS": "200", "PYTHONPATH": str(path)}
    command = [*DERBY, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env=env, cwd=cwd, check=False, timeout=120)


@pytest.mark.slow
def test_a_recording_that_was_killed_goes_on(plugin, tmp_path):
    folder = tmp_path / "trained-in"
    folder.mkdir()
    arguments = ["record", "noisy", "--option", f"folder={folder}", "--configurations", "20", "--seeds", "2"]
    env = {**os.environ, "PYTHONPATH": str(plugin)}
    command = [*DERBY, *arguments, "--results", "results", "--out", "x.parquet"]
    begun = subprocess.Popen(
        command, env=env, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    until = time.monotonic() + 60
    while time.monotonic() < until and not (folder / "trained").exists():
        time.sleep(0.05)
    time.sleep(0.3)
    begun.send_signal(signal.SIGKILL)
    begun.wait()
    before = len((folder / "trained").read_text().splitlines())
    assert 0 < before < 40
    assert not (tmp_path / "x.parquet").exists()
    done = derby(*arguments, "--results", "results", "--out", "x.parquet", path=plugin, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "x.parquet: 40 trainings of noisy" in done.stdout
    assert "next: derby certify x.parquet" in done.stdout
    assert len((folder / "trained").read_text().splitlines()) <= 41  # the one that was under way
    recording = load(tmp_path / "x.parquet")
    assert (len(recording.configs), recording.trainings) == (20, 40)
    assert [entry.name for entry in tmp_path.glob(".*")] == []
    # Made again, it is the same, and keeps its certificate.
    save(recording.with_(certificate={"values": {"spearman": 0.5}}), tmp_path / "x.parquet")
    done = derby(*arguments, "--results", "results", "--out", "x.parquet", path=plugin, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "not certified" not in done.stdout
    again = load(tmp_path / "x.parquet")
    assert (again.digest, again.about.certificate) == (recording.digest, {"values": {"spearman": 0.5}})
    found = derby(
        "record", "noisy", "--option", f"folder={folder}", "--from", "results", path=plugin, cwd=tmp_path
    )
    assert found.returncode == 0, found.stderr
    (made,) = set(tmp_path.glob("noisy-*.parquet"))
    assert load(made).digest == recording.digest


@pytest.mark.slow
def test_nothing_else_is_overwritten(plugin, tmp_path):
    (tmp_path / "thesis.parquet").write_text("years of work")
    (tmp_path / "folder").mkdir()
    for out in ("thesis.parquet", "folder"):
        done = derby("record", "branin", "--configurations", "3", "--out", out, path=plugin, cwd=tmp_path)
        assert done.returncode == 2
        assert "only a recording is ever replaced" in done.stderr
    assert (tmp_path / "thesis.parquet").read_text() == "years of work"
    assert not (tmp_path / "results").exists(), "nothing is trained first"


def test_the_sweep_is_what_a_user_would_write(plugin):
    content = yaml.safe_load(sweep_of("noisy", {}, Design(8, 4, seed=5), threads=2).text)
    assert content["seed"] == 5
    assert (content["repetitions"], content["threads"], content["budget"]) == (4, 2, {"evaluations": 8})
    assert content["searchers"] == [{"name": "random", "settings": {"design": "sobol", "design_seed": 5}}]
    assert record.ARITHMETIC.value == "portable"
