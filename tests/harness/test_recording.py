"""The file of a recording: what it holds comes back, and what is no recording is refused."""

from __future__ import annotations

import json
import os
import random

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from recordings import FINITE, METRICS, MIXED, about, drawn, recorded, spaces, training

from harness import recording as module
from harness.errors import DataError, WriteError
from harness.keys import canonical_json, digest
from harness.recording import Recording, Row, space_as_json, space_of
from harness.recording_file import METADATA, load, save
from harness.trial import Curve, Evaluation, Status


def as_text(rows):
    """Rows as text, in which 1, 1.0 and True differ."""
    return [(canonical_json(dict(row.config)), [*row.config], row.seed, repr(row.evaluation)) for row in rows]


@settings(deadline=None)  # the disk's
@given(
    space=spaces(),
    count=st.integers(1, 6),
    seeds=st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=3, unique=True),
    full=st.integers(1, 4),
    seed=st.integers(0, 1000),
    shares=st.sampled_from([(0.0, 0.0), (0.5, 0.0), (0.5, 0.5), (0.0, 0.7)]),
)
def test_what_is_saved_is_loaded(tmp_path_factory, space, count, seeds, full, seed, shares):
    path = tmp_path_factory.getbasetemp() / "round.parquet"
    before = recorded(space, count, seeds, full, seed=seed, diverges=shares[0], missing=shares[1])
    save(before, path)
    after = load(path)
    assert after.about == before.about
    assert (after.digest, after.trainings, after.whole) == (before.digest, before.trainings, before.whole)
    assert as_text(after.rows()) == as_text(before.rows())
    assert after.space == before.space == space
    np.testing.assert_array_equal(after.losses, before.losses)


@given(space=spaces())
def test_a_space_is_the_same_after_json(space):
    again = space_of(json.loads(canonical_json(space_as_json(space))))
    assert again == space
    assert canonical_json(space_as_json(again)) == canonical_json(space_as_json(space))
    assert space_of(space_as_json(MIXED)).references == MIXED.references


@given(data=st.data(), seed=st.integers(0, 100))
def test_trainings_are_kept_as_they_were_whatever_their_order(data, seed):
    rng = random.Random(seed)
    rows = [
        Row(config, number, training(rng, 3, diverges=0.4 if config else 0.0))
        for config in drawn(MIXED, 5, rng)
        for number in (5, 1, 9)
        if rng.random() < 0.8
    ]
    rows.append(Row(MIXED.references["plain"], 5, training(rng, 3)))
    first = Recording.of(about(MIXED, 3), rows)
    other = Recording.of(about(MIXED, 3), data.draw(st.permutations(rows)))
    assert first.digest == other.digest
    assert first.configs == other.configs
    made = {(canonical_json(dict(row.config)), row.seed): row.evaluation for row in rows}
    found = {(canonical_json(dict(row.config)), row.seed): row.evaluation for row in first.rows()}
    assert found.keys() == made.keys()
    for name, was in made.items():
        now = found[name]
        assert (now.status, now.epochs, now.curve) == (was.status, was.epochs, was.curve)
        assert (now.setup_seconds, now.lost_seconds) == (was.setup_seconds, was.lost_seconds)


def test_losses_are_those_of_the_objective():
    for changed in ({}, {"direction": "max", "failure": 0.0}, {"failure": 1.0}):
        recording = recorded(diverges=0.4, missing=0.3, **changed)
        _, _, objective = recording.problem
        for place, config in enumerate(recording.configs):
            own = {
                row.seed: objective.loss(row.evaluation) for row in recording.rows() if row.config == config
            }
            said = dict(zip(recording.seeds.tolist(), recording.losses[place].tolist(), strict=True))
            assert {seed: value for seed, value in said.items() if not np.isnan(value)} == own
            assert recording.mean_losses[place] == pytest.approx(sum(own.values()) / len(own), rel=1e-15)
    assert (recording.losses[recording.status == module.DIVERGED] == 1.0).all()
    assert np.nanmax(recording.losses) == 1.0, "a success is never worse than a failure"


def test_a_training_that_there_is_not_is_not_made_up():
    recording = recorded(missing=0.6)
    place, number = np.argwhere(recording.status < 0)[0]
    with pytest.raises(LookupError, match="was not trained with seed"):
        recording.evaluation(place, number)


def ok(epochs, metrics=METRICS):
    return Evaluation(Status.OK, Curve({name: [0.5] * epochs for name in metrics}), epochs)


@pytest.mark.parametrize(
    ("evaluation", "words"),
    [
        (ok(2), "expected 3 epochs"),
        (ok(4), "got ok after 4"),
        (Evaluation(Status.CRASHED, Curve(), 1, message="killed"), "got crashed after 0"),
        (Evaluation(Status.TIMEOUT, ok(3).curve, 3, deadline=1.0), "got timeout after 3"),
        (ok(3, ("val_loss", "seconds")), "'val_loss', 'seconds'"),
        (ok(3, (*METRICS, "more")), "'more'"),
    ],
)
def test_only_whole_trainings_are_recorded(evaluation, words):
    config = MIXED.references["plain"]
    with pytest.raises(DataError, match=words) as caught:
        Recording.of(about(MIXED, 3), [Row(config, 1, ok(3)), Row(config, 2, evaluation)])
    assert "made/up" in str(caught.value)


def test_one_success_there_must_be():
    diverged = Evaluation(Status.DIVERGED, Curve(), 1)
    for rows in ([], [Row(MIXED.references["plain"], 1, diverged)]):
        with pytest.raises(DataError, match=f"none of {len(rows)} trainings? succeeded"):
            Recording.of(about(MIXED, 3), rows)


def test_an_objective_that_was_not_recorded_is_refused():
    rows = [Row(MIXED.references["plain"], 1, ok(3))]
    with pytest.raises(DataError, match="no 'val_f1', which the objective needs"):
        Recording.of(about(MIXED, 3, metric="val_f1"), rows)


def test_the_latest_of_two_counts():
    config = MIXED.references["plain"]
    first, second = (Evaluation(Status.OK, Curve({name: [v] for name in METRICS}), 1) for v in (0.25, 0.75))
    (row,) = Recording.of(about(MIXED, 1), [Row(config, 1, first), Row(config, 1, second)]).rows()
    assert row.evaluation.curve["val_loss"] == (0.75,)


def test_the_digest_is_of_what_decides():
    same = recorded()
    assert same.digest == recorded().digest
    told = {
        "label": "other",
        "source": "x",
        "group": "",
        "subset": True,
        "design": "",
        "certificate": {"a": 1},
    }
    for name, value in {
        **told,
        "provenance": msgspec.structs.replace(same.about.provenance, threads=2),
    }.items():
        assert same.with_(**{name: value}).digest == same.digest, name
    scales = msgspec.structs.replace(same.about.scales, neighbours=4)
    decisive = {
        "task": {**same.about.task, "version": 2},
        "fidelity": (2, 4),
        "metric": "test_loss",
        "direction": "max",
        "failure": 9.0,
        "test_metric": None,
        "scales": scales,
    }
    digests = {same.with_(**{name: value}).digest for name, value in decisive.items()}
    others = (
        recorded(seed=1),
        recorded(seeds=(3, 1, 4)),
        recorded(diverges=0.2),
        recorded(configurations=11),
    )
    digests |= {other.digest for other in others} | {same.digest}
    assert len(digests) == len(decisive) + len(others) + 1


# Files that are no recordings.


def changed_metadata(path, change, sealed=True):
    table = pq.read_table(path)
    content = json.loads(table.schema.metadata[METADATA])
    change(content)
    if sealed:
        content.pop("check")
        content["check"] = digest(content)
    pq.write_table(table.replace_schema_metadata({METADATA: json.dumps(content)}), path)


def changed_table(path, change):
    table = pq.read_table(path)
    pq.write_table(change(table).replace_schema_metadata(table.schema.metadata), path)


def with_column(table, name, change):
    place = table.schema.names.index(name)
    return table.set_column(
        place, name, pa.array(change(table[name].to_pylist()), table.schema.field(name).type)
    )


def loop(path):
    path.unlink()
    path.symlink_to(path)


def folder(path):
    inside = path.read_bytes()
    path.unlink()
    path.mkdir()
    (path / "part.parquet").write_bytes(inside)


def pipe(path):
    path.unlink()
    os.mkfifo(path)


def swapped(values):
    return [values[1], values[0], *values[2:]]


NOT_RECORDINGS = {
    "missing": (lambda path: path.unlink(), "does not exist"),
    "a loop": (loop, "does not exist"),
    "a folder with a recording": (folder, "is a folder"),
    "a pipe": (pipe, "no plain file"),
    "empty": (lambda path: path.write_bytes(b""), "cannot be read as a recording"),
    "text": (lambda path: path.write_text("x" * 5000), "cannot be read as a recording"),
    "cut": (lambda path: path.write_bytes(path.read_bytes()[:-100]), "cannot be read as a recording"),
    "foreign": (
        lambda path: pq.write_table(pa.table({"x": [1]}), path),
        "and no recording: its schema lacks",
    ),
    "no text": (
        lambda path: pq.write_table(
            pq.read_table(path).replace_schema_metadata({METADATA: b"\xff\xfe{"}), path
        ),
        "UnicodeDecodeError",
    ),
    "no JSON": (
        lambda path: pq.write_table(pq.read_table(path).replace_schema_metadata({METADATA: "{"}), path),
        "JSONDecodeError",
    ),
    "too deep": (
        lambda path: pq.write_table(
            pq.read_table(path).replace_schema_metadata({METADATA: "[" * 100_000}), path
        ),
        "RecursionError",
    ),
    "a list": (
        lambda path: pq.write_table(pq.read_table(path).replace_schema_metadata({METADATA: "[]"}), path),
        "format None",
    ),
    "another format": (
        lambda path: changed_metadata(path, lambda content: content.update(format=99)),
        "a recording of format 99, this version reads 1",
    ),
    "a nicer certificate": (
        lambda path: changed_metadata(path, lambda content: content.update(certificate={}), sealed=False),
        "its metadata do not add up",
    ),
    "no check": (
        lambda path: changed_metadata(path, lambda content: content.pop("check"), sealed=False),
        "'check'",
    ),
    "no task": (lambda path: changed_metadata(path, lambda content: content.update(task={})), "TypeError"),
    "no threads": (
        lambda path: changed_metadata(path, lambda content: content["provenance"].pop("threads")),
        "threads",
    ),
    "no digest": (lambda path: changed_metadata(path, lambda content: content.pop("digest")), "'digest'"),
    "an unknown field": (
        lambda path: changed_metadata(path, lambda content: content.update(more=1)),
        "`more`",
    ),
    "another failure": (
        lambda path: changed_metadata(path, lambda content: content.update(failure=9.0)),
        "was changed after it was written",
    ),
    "no direction": (
        lambda path: changed_metadata(path, lambda content: content.update(direction="up")),
        "direction must be",
    ),
    "no scale": (
        lambda path: changed_metadata(path, lambda content: content["scales"]["parameters"].pop("lr")),
        "its scales are of",
    ),
    "no scales": (
        lambda path: changed_metadata(path, lambda content: content.update(scales=None)),
        "it has no scales",
    ),
    "odd power": (
        lambda path: changed_metadata(path, lambda content: content["scales"].update(power=3)),
        "power",
    ),
    "no objective": (
        lambda path: changed_metadata(path, lambda content: content.update(metric="val_f1")),
        "its curves lack one of",
    ),
    "endless": (
        lambda path: changed_metadata(path, lambda content: content.update(fidelity=[1, 10**12])),
        "its longest curve has 4 epochs, expected 1000000000000",
    ),
    "a bad space": (
        lambda path: changed_metadata(path, lambda content: content["space"].update(parameters=[])),
        "at least one parameter",
    ),
    "no column": (
        lambda path: changed_table(path, lambda table: table.drop_columns("curve seconds")),
        "expected the columns",
    ),
    "a column of another type": (
        lambda path: changed_table(
            path, lambda table: table.set_column(0, "curve seconds", pa.array(["x"] * len(table)))
        ),
        "expected the columns",
    ),
    "no rows": (lambda path: changed_table(path, lambda table: table.slice(0, 0)), "cannot be read"),
    "a row less": (lambda path: changed_table(path, lambda table: table.slice(1)), "was changed"),
    "other seconds": (
        lambda path: changed_table(path, lambda table: with_column(table, "setup_seconds", swapped)),
        "was changed",
    ),
    "a value outside": (
        lambda path: changed_table(
            path, lambda table: with_column(table, "parameter layers", lambda values: [9 for _ in values])
        ),
        "is not in",
    ),
    "a status that is none": (
        lambda path: changed_table(
            path, lambda table: with_column(table, "status", lambda values: ["crashed", *values[1:]])
        ),
        "cannot be read",
    ),
    "a configuration of nowhere": (
        lambda path: changed_table(
            path, lambda table: with_column(table, "configuration", lambda values: [10**9, *values[1:]])
        ),
        "not numbered",
    ),
    "no seed": (
        lambda path: changed_table(path, lambda table: with_column(table, "seed", lambda v: [None, *v[1:]])),
        "cannot be read|was changed",
    ),
    "a training twice": (
        lambda path: changed_table(path, lambda table: with_column(table, "seed", lambda v: [v[1], *v[1:]])),
        "was changed",
    ),
}


@pytest.mark.parametrize("what", NOT_RECORDINGS)
def test_what_is_no_recording_is_refused(tmp_path, what):
    path = tmp_path / "one.parquet"
    save(recorded(diverges=0.2), path)
    damage, words = NOT_RECORDINGS[what]
    damage(path)
    with pytest.raises(DataError, match=words) as caught:
        load(path)
    assert str(path) in str(caught.value)
    assert "derby record" in str(caught.value)


# Writing.


def test_what_a_link_leads_to_is_written(tmp_path):
    real, link = tmp_path / "there" / "real.parquet", tmp_path / "link.parquet"
    link.symlink_to(real)
    save(recorded(), link)
    assert link.is_symlink()
    save(recorded(seed=1), link)
    assert link.is_symlink()
    assert load(real).digest == load(link).digest == recorded(seed=1).digest


def test_what_cannot_be_written_leaves_everything_as_it_was(tmp_path, monkeypatch):
    in_the_way = tmp_path / "folder.parquet"
    in_the_way.mkdir()
    no_folder = tmp_path / "file"
    no_folder.write_text("a file")
    for path in (in_the_way, no_folder / "x.parquet"):
        with pytest.raises(WriteError, match="cannot write"):
            save(recorded(), path)
    path = tmp_path / "one.parquet"
    save(recorded(), path)
    # What would not be read back: a failure value that JSON holds as another number.
    with pytest.raises(WriteError, match="was changed after it was written"):
        save(recorded(seed=1, failure=10), path)
    assert load(path).digest == recorded().digest
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["file", "folder.parquet", "one.parquet"]


def test_a_recording_of_a_finite_space_may_be_whole(tmp_path):
    every = [*FINITE.grid(3)]
    assert recorded(FINITE, every).whole
    assert not recorded(FINITE, every[1:]).whole
    assert not recorded().whole
