"""Splits drawn by repetition: the same for all methods, part of the identity, and nothing else changes."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from records import study_records

from harness import registry
from harness.commands import running
from harness.errors import RecordError, SweepError
from harness.keys import EvaluationKey, StudyKey, TaskKey
from harness.sweep import parse_sweep
from results.layout import Layout
from results.merge import merged
from results.tables import export, read_exported, read_tables

SWEEP = """\
name: splits
seed: 7
repetitions: 3
budget: {evaluations: 2}
tasks: [held_out]
searchers: [random, grid]
"""
DRAWN = SWEEP + "splits: repetition\n"
FIXED = sum(2.0 ** np.arange(8, 12))


def validated(tables) -> dict[int, set[int]]:
    """What was validated on, by repetition: the sum of powers of two that the values begin with."""
    trials = tables.trials
    sums = trials["value"] - trials["config"].map(lambda config: json.loads(config)["x"])
    return {int(r): {round(value) for value in own} for r, own in sums.groupby(trials["repetition"])}


def test_each_repetition_has_its_own_and_all_methods_the_same(run_sweep, plugin, tmp_path):
    run_sweep(SWEEP, tmp_path / "fixed")
    run_sweep(DRAWN, tmp_path / "drawn")
    fixed, drawn = read_tables(tmp_path / "fixed", "splits"), read_tables(tmp_path / "drawn", "splits")
    assert validated(fixed) == {repetition: {int(FIXED)} for repetition in range(3)}
    sums = validated(drawn)
    assert [len(own) for own in sums.values()] == [1, 1, 1]
    assert len(set.union(*sums.values())) == 3
    assert all(value.bit_count() == 4 for own in sums.values() for value in own)  # as many as the task's own
    # The test set stays, and so do the seeds of trainings and searches.
    assert drawn.trials["test"].tolist() == fixed.trials["test"].tolist()
    assert drawn.trials["config"].tolist() == fixed.trials["config"].tolist()


def test_the_split_is_part_of_every_identity_and_of_no_other_seed(plugin):
    fixed, drawn = parse_sweep(SWEEP, "s.yaml").studies, parse_sweep(DRAWN, "s.yaml").studies
    for one, other in zip(fixed, drawn, strict=True):
        assert one.key.id != other.key.id
        assert one.key.evaluation({"x": 0.5}).id != other.key.evaluation({"x": 0.5}).id
        assert (one.key.search_seed, one.key.training_seed) == (
            other.key.search_seed,
            other.key.training_seed,
        )
        assert other.key.task.unsplit == one.key.task
        assert StudyKey.from_json(json.loads(json.dumps(other.key.as_json()))) == other.key
    splits = {study.key.repetition: study.key.task.split for study in drawn}
    assert len(set(splits.values())) == 3
    seeded = parse_sweep(DRAWN.replace("seed: 7", "seed: 8"), "s.yaml").studies
    assert not {study.key.task.split for study in seeded} & set(splits.values())
    more = parse_sweep(DRAWN.replace("repetitions: 3", "repetitions: 4"), "s.yaml").studies
    assert [study.key.id for study in more[:6]] == [study.key.id for study in drawn]


def test_without_the_option_identities_are_what_they_were():
    # Pinned beside those of test_keys.py: a field that is not used is no part of a digest.
    key = TaskKey("mnist_mlp", 1, {"variant": "small"}, {"objective": "val_accuracy"}, "d", "p")
    assert key.as_json() == {
        "name": "mnist_mlp",
        "version": 1,
        "options": {"variant": "small"},
        "data": "d",
        "package": "p",
        "scoring": {"objective": "val_accuracy"},
    }
    assert EvaluationKey(key, {"lr": 0.1}, 3).id != EvaluationKey(replace(key, split=0), {"lr": 0.1}, 3).id


def test_a_run_goes_on_and_evaluates_winners_again_on_the_same_split(run_sweep, plugin, tmp_path):
    text = DRAWN + "reevaluate: 2\n"
    run_sweep(text, tmp_path / "whole")
    run_sweep(text)
    for path in (run_sweep.root / "studies").glob("*.jsonl"):
        path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:3]))
    resumed = run_sweep(text)
    assert resumed.trained == 0
    assert study_records(run_sweep.root) == study_records(tmp_path / "whole")
    rows = read_tables(run_sweep.root, "splits").reevaluations
    assert len(rows) == 12
    assert (rows["value"] == rows["incumbent_value"]).all()  # which the training seed has no part in
    assert (rows["test"] != rows["incumbent_test"]).all()


def test_the_tables_say_so(run_sweep, plugin, tmp_path):
    run_sweep(DRAWN)
    tables = read_tables(run_sweep.root, "splits")
    assert Layout(run_sweep.root).plan("splits").splits == "repetition"
    assert tables.tasks["splits"].tolist() == ["repetition"]
    assert tables.studies.groupby("repetition")["split"].nunique().eq(1).all()
    assert (tables.studies["split"] >= 0).all()
    assert tables.studies["protocol"].nunique() == 2  # of the two methods: the split is apart
    export(tables, tmp_path / "tidy")
    assert read_exported(tmp_path / "tidy").studies.equals(tables.studies)
    run_sweep(SWEEP, tmp_path / "fixed")
    assert set(read_tables(tmp_path / "fixed", "splits").studies["split"]) == {-1}


def test_folders_with_more_repetitions_are_compared_and_other_splits_refused(run_sweep, plugin, tmp_path):
    run_sweep(DRAWN, tmp_path / "few")
    run_sweep(DRAWN.replace("repetitions: 3", "repetitions: 5"), tmp_path / "many")
    run_sweep(SWEEP, tmp_path / "fixed")
    few, many, fixed = (read_tables(tmp_path / name, "splits") for name in ("few", "many", "fixed"))
    assert len(merged({"few": few, "many": many}).studies) == 10
    with pytest.raises(RecordError, match="splits is 'repetition' in few and 'fixed' in fixed"):
        merged({"few": few, "fixed": fixed})


def test_tasks_without_a_split_are_named(plugin):
    text = DRAWN.replace("[held_out]", "[branin, held_out, measured_not, hartmann6]").replace(
        ", measured_not", ""
    )
    message = (
        r"sweep.yaml, line 7, splits: no training/validation split can be drawn of tasks 'branin', 'hartmann6'; leave "
        "these out, or use splits: fixed"
    )
    with pytest.raises(SweepError, match=message):
        parse_sweep(text, "sweep.yaml")
    with pytest.raises(SweepError, match=r"line 7, splits: .*'fixed' or 'repetition'.*got 'random'"):
        parse_sweep(SWEEP + "splits: random\n", "sweep.yaml")


def test_the_plan_says_so(plugin, tmp_path, capsys):
    (tmp_path / "s.yaml").write_text(DRAWN)
    running.plan(tmp_path / "s.yaml", results=tmp_path / "results")
    assert "Each repetition draws its own training/validation split" in capsys.readouterr().out


@pytest.mark.parametrize(
    "options",
    [
        ("mnist_mlp", {}),
        ("mnist_mlp_design", {}),
        ("fashion_mlp", {}),
        ("fashion_cnn", {}),
        ("mnist_net", {"validation": "split"}),
        ("fig_head", {}),
    ],
    ids=lambda options: options[0],
)
def test_images_are_drawn_class_by_class_and_keep_their_order(options):
    name, given = options
    task = registry.task(name)(variant="tiny", **given)
    assert task.draws_splits
    data = task.load()
    before = {key: value.copy() for key, value in data.items()}
    drawn = task.split(data, 5)
    assert all((data[key] == before[key]).all() for key in data)
    again, other = task.split(data, 5), task.split(data, 6)
    for key, value in data.items():
        assert drawn[key].shape == value.shape
        assert drawn[key].dtype == value.dtype
        assert np.array_equal(drawn[key], again[key])
        if key.endswith("_test") or not key.startswith(("x_", "y_")):
            assert drawn[key] is value
    assert not np.array_equal(drawn["x_val"], data["x_val"])
    assert not np.array_equal(drawn["x_val"], other["x_val"])
    for part in ("train", "val"):
        assert np.array_equal(np.bincount(drawn[f"y_{part}"]), np.bincount(data[f"y_{part}"]))

    def pairs(arrays):
        both = (
            zip(arrays["x_train"], arrays["y_train"], strict=True),
            zip(arrays["x_val"], arrays["y_val"], strict=True),
        )
        return sorted((image.tobytes(), int(label)) for part in both for image, label in part)

    assert pairs(drawn) == pairs(data)  # each image once, with its own label


def test_cross_validation_draws_its_folds():
    task = registry.task("mnist_net")(variant="tiny")
    data = task.load()
    drawn = task.split(data, 5)
    assert not np.array_equal(drawn["x_train"], data["x_train"])
    assert np.array_equal(
        np.sort(drawn["x_train"].sum(axis=(1, 2, 3))), np.sort(data["x_train"].sum(axis=(1, 2, 3)))
    )
    assert drawn["x_test"] is data["x_test"]


def test_where_the_test_images_validate_there_is_nothing_to_draw():
    assert registry.task("fashion_cnn")().draws_splits
    assert not registry.task("fashion_cnn")(protocol="published").draws_splits
