"""A copy of the results folder elsewhere: whole at every moment, gone on with anywhere, never in the way."""

from __future__ import annotations

import json
import os
import random
import shutil
import time
from types import SimpleNamespace

import pytest
from pyarrow import fs
from records import study_records

from harness.errors import RecordError
from results import bucket, mirror
from results.bucket import Place
from results.layout import Layout
from results.mirror import Mirror, fetch
from results.summary import read_records, state_counts
from results.tables import read_tables
from results.writer import RecordWriter

SWEEP = """\
name: small
repetitions: 2
budget: {evaluations: 6}
tasks: [branin]
searchers: [random, grid]
"""

SLOW = """\
name: slow
repetitions: 2
budget: {{evaluations: 12}}
tasks:
  - {{name: troublesome, options: {{trouble: sleep, folder: "{folder}"}}}}
searchers: [random, grid]
"""


def files(root):
    """Everything that is copied, by name: not who writes, not drafts, and not what is told of the record."""
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file() and not path.name.startswith(("driver.", ".")) and path.suffix != ".log"
    }


def assert_consistent(root):
    """Every study's evaluations are there, every evaluation's machine, and every line is whole."""
    assert all(path.read_bytes().endswith(b"\n") for path in root.rglob("*.jsonl") if path.stat().st_size)
    evaluations = [
        json.loads(line)
        for path in root.glob("evaluations/*/*.jsonl")
        for line in path.read_text().splitlines()
    ]
    known = {evaluation["id"] for evaluation in evaluations}
    machines = {path.stem for path in root.glob("machines/*.json")}
    assert {evaluation["machine"] for evaluation in evaluations} <= machines
    for events in study_records(root).values():
        asked = {event["number"]: event["evaluation"] for event in events if event["event"] == "asked"}
        assert {asked[event["number"]] for event in events if event["event"] == "told"} <= known


def until(condition):
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def study(root, *lines, name="0123456789abcdef", tail=""):
    """Write a study's journal of some lines."""
    path = root / "studies" / f"{name}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps({"n": line}) + "\n" for line in lines) + tail)
    return path


@pytest.fixture
def there(tmp_path):
    return tmp_path / "there"


@pytest.fixture
def here(tmp_path):
    root = tmp_path / "here"
    root.mkdir()
    return root


# The copy.


@pytest.mark.parametrize("as_uri", [str, lambda path: path.as_uri()], ids=["path", "file"])
def test_the_copy_is_a_results_folder_like_another(run_sweep, here, there, as_uri):
    run_sweep(SWEEP, here)
    with Mirror(here, as_uri(there)) as kept:
        pass
    assert files(there) == files(here)
    assert read_tables(there, "small").trials.equals(read_tables(here, "small").trials)
    records = read_records(there, Layout(there).plan("small"))
    assert all(set(count) == {"done", "evaluations"} for count in state_counts(records).values())
    assert (kept.problem, kept.notes) == ("", [])


def test_only_the_record_is_copied_and_only_its_whole_lines(here, there):
    path = study(here, 1, 2, tail='{"n": 3')
    for name in ("driver.lock", "driver.json", "studies/.a.jsonl.12", "sweeps/s/reports/a.png", "notes.txt"):
        (here / name).parent.mkdir(parents=True, exist_ok=True)
        (here / name).write_text("x")
    (here / "sweeps/s/plan.json").write_text("{}")
    (here / "studies/0123456789abcdef.set-aside-20260101T000000-abcdef").write_text('{"n": 1}\n')
    with Mirror(here, str(there)):
        pass
    assert set(files(there)) == {
        "studies/0123456789abcdef.jsonl",
        "studies/0123456789abcdef.set-aside-20260101T000000-abcdef",
        "sweeps/s/plan.json",
    }
    assert (there / "studies" / path.name).read_text() == '{"n": 1}\n{"n": 2}\n'
    assert not list(there.rglob(".*"))


def test_it_follows_what_is_written_and_leaves_alone_what_is_not(here, there):
    study(here, 1, name="a")
    growing = study(here, 1, name="b")
    (here / "sweeps/s").mkdir(parents=True)
    (here / "sweeps/s/plan.json").write_text("1")
    with Mirror(here, str(there), every=0.01):
        until((there / "sweeps/s/plan.json").exists)
        before = (there / "studies/a.jsonl").stat()
        with growing.open("a") as file:
            file.write('{"n": 2}\n')
        (here / "sweeps/s/new").write_text("2")  # as long as before, and put in its place as the writer does
        (here / "sweeps/s/new").replace(here / "sweeps/s/plan.json")
        until(lambda: (there / "sweeps/s/plan.json").read_text() == "2")
        assert (there / "studies/b.jsonl").read_bytes() == growing.read_bytes()
        assert (there / "studies/a.jsonl").stat() == before


def test_a_copy_lost_in_at_any_moment_goes_on_to_the_same_record(
    run_sweep, plugin, here, there, tmp_path, monkeypatch
):
    text = SLOW.format(folder=tmp_path)
    run_sweep(text, tmp_path / "undisturbed")
    expected = study_records(tmp_path / "undisturbed")
    all_trained = len((tmp_path / "trained").read_text().splitlines())
    # One file at a time, so that what is there after any one of them is what a loss then would leave.
    monkeypatch.setattr(mirror, "_AT_ONCE", 1)
    draw, moments, write = random.Random(1), [], Place._write

    def write_and_keep(place, name, chunks):
        write(place, name, chunks)
        moments.append(tmp_path / f"moment-{len(moments)}")
        # Links: a file of the copy is replaced, never changed.
        shutil.copytree(there, moments[-1], copy_function=os.link)

    monkeypatch.setattr(Place, "_write", write_and_keep)
    with Mirror(here, str(there), every=0.001):
        run_sweep(text, here)
    monkeypatch.undo()
    assert study_records(there) == expected
    told = []
    for moment in moments:
        assert_consistent(moment)
        told.append(sum(e["event"] == "told" for events in study_records(moment).values() for e in events))
    under_way = [index for index, count in enumerate(told) if 0 < count < told[-1]]
    assert under_way

    monkeypatch.syspath_prepend(str(plugin))
    for index in [0, *draw.sample(under_way, min(3, len(under_way)))]:
        (tmp_path / "trained").unlink()
        root = tmp_path / f"new-head-{index}"
        fetch(Place(str(moments[index])), root)
        run_sweep(text, root)
        assert study_records(root) == expected
        trained = (tmp_path / "trained").read_text().splitlines() if (tmp_path / "trained").exists() else []
        assert len(trained) <= all_trained - told[index]
        (tmp_path / "trained").touch()


def test_what_is_written_between_two_looks_keeps_the_copy_consistent(here, there, monkeypatch):
    for folder in ("evaluations/t", "machines", "studies"):
        (here / folder).mkdir(parents=True)
    look, write = mirror._look_at, Place._write
    numbers = iter(range(1000))

    def append(name, value):
        with (here / name).open("a") as file:
            file.write(json.dumps(value) + "\n")

    def work(*arguments):
        seen = look(*arguments) if arguments else None
        n = next(numbers)
        append("studies/a.jsonl", {"event": "asked", "number": n, "evaluation": n})
        append(f"machines/m{n}.json", {})
        append("evaluations/t/run.jsonl", {"id": n, "machine": f"m{n}"})
        append("studies/a.jsonl", {"event": "told", "number": n})
        return seen

    def write_and_check(*arguments):
        write(*arguments)
        assert_consistent(there)

    work()
    monkeypatch.setattr(mirror, "_AT_ONCE", 1)
    monkeypatch.setattr(mirror, "_look_at", work)
    monkeypatch.setattr(Place, "_write", write_and_check)
    with Mirror(here, str(there)) as kept:
        pass
    assert kept.problem == ""
    assert study_records(there)["a"][-1]["event"] == "told"


# A place that is away.


def test_a_place_that_goes_and_comes_back_costs_nothing_but_time(here, there):
    path = study(here, 1)
    away = there.with_name("away")
    with Mirror(here, str(there), every=0.01) as kept:
        until((there / "studies" / path.name).exists)
        there.rename(away)
        study(here, 1, 2)
        until(lambda: kept.problem)
        assert "there is no folder" in kept.problem
        assert not there.exists()  # a share's folder is not made on the disk below it
        away.rename(there)
        until(lambda: not kept.problem)
    assert files(there) == files(here)
    assert kept.failed_rounds > 0
    assert "failed" in kept.notes[0] and "complete now" in kept.notes[0]


def test_a_place_that_comes_back_empty_is_filled_again(here, there):
    path = study(here, 1)
    with Mirror(here, str(there), every=0.01):
        until((there / "studies" / path.name).exists)
        shutil.rmtree(there)
        there.mkdir()
        until((there / "studies" / path.name).exists)


def test_what_could_not_be_copied_is_said_at_the_end(here, there):
    there.mkdir()
    (there / "studies").write_text("in the way")
    study(here, 1)
    (here / "machines").mkdir()
    (here / "machines/m.json").write_text("{}")
    (here / "sweeps/s").mkdir(parents=True)
    (here / "sweeps/s/plan.json").write_text("{}")
    with pytest.raises(RecordError, match="cannot read .*there: .*check that the folder's disk"):
        with Mirror(here, str(there)):
            pass
    (there / "studies").unlink()
    (there / "studies/0123456789abcdef.jsonl").mkdir(parents=True)
    with Mirror(here, str(there)) as kept:
        until(lambda: kept.problem)
    (note,) = kept.notes
    assert (
        "is not complete: studies/0123456789abcdef.jsonl: " in note and "run the same command again" in note
    )
    # What comes before it is there; what refers to it waits for it.
    assert set(files(there)) == {"machines/m.json"}


def test_an_evaluation_that_cannot_be_copied_keeps_its_study_from_the_copy(here, there):
    study(here, 1)
    (here / "evaluations/t").mkdir(parents=True)
    (here / "evaluations/t/run.jsonl").write_text('{"id": 1}\n')
    (there / "evaluations/t/run.jsonl").mkdir(parents=True)
    with Mirror(here, str(there), every=0.01) as kept:
        until(lambda: kept.problem)
        assert not (there / "studies").exists()
        (there / "evaluations/t/run.jsonl").rmdir()
    assert files(there) == files(here)


@pytest.mark.parametrize("chunk", [10, 1 << 20])
def test_a_file_that_cannot_be_read_leaves_the_copy_as_it_was(here, there, monkeypatch, chunk):
    path = study(here, *range(10))
    with Mirror(here, str(there)):
        pass
    before = files(there)
    monkeypatch.setattr(bucket, "_CHUNK", chunk)
    chunks = bucket._chunks

    def failing(file, length):
        yield from chunks(file, length - 20)
        raise OSError(5, "the disk is failing")

    monkeypatch.setattr(bucket, "_chunks", failing)
    begun, stream = [], Place._stream
    monkeypatch.setattr(
        Place,
        "_stream",
        lambda place, path, chunks: (begun.append(path), stream(place, path, chunks)),
    )
    study(here, *range(20))
    with Mirror(here, str(there)) as kept:
        pass
    assert f"studies/{path.name}: the disk is failing" in kept.notes[0]
    # In a bucket half a file would be put in the whole one's place where it was begun at all.
    assert all("derby-probe" in name for name in begun)
    assert files(there) == before
    assert not list(there.rglob(".*"))


def test_two_runs_that_copy_to_one_place_are_told(here, there):
    path = study(here, 1)
    with Mirror(here, str(there), every=0.01) as kept:
        until((there / "studies" / path.name).exists)
        study(there, 7, 8, 9)
        until(lambda: kept.notes)
    assert "another run writes to the copy" in kept.notes[0] and path.name in kept.notes[0]


# A place that cannot be used.


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("ftp://example.org/x", r"expected s3://bucket/folder, gs://.* absolute path"),
        ("abfs://c@account/x", "expected s3://.*mount another"),
        ("results/copy", "expected s3://.* absolute path"),
        ("s3://", "expected s3://bucket/folder"),
        ("file:///", "expected .* file:///folder"),
        ("s3://bucket/x?no_such_option=1", "cannot reach s3://bucket.*; check that the bucket exists"),
        (
            "{tmp}/no/such/folder",
            "there is no such file or folder; check that the folder's disk or share is mounted",
        ),
        ("{tmp}/file", "cannot write to .*; check that the folder's disk"),
        ("/proc", "cannot write to /proc: .*; check that the folder's disk"),
        ("{tmp}/here", "which is in it; give a folder elsewhere"),
        ("file://{tmp}/here/copy", "which is in it; give a folder elsewhere"),
    ],
)
def test_a_place_that_cannot_be_used_is_refused_at_the_start(here, tmp_path, uri, message):
    (tmp_path / "file").write_text("")
    study(here, 1)
    before = files(tmp_path)
    with pytest.raises(RecordError, match=message):
        Mirror(here, uri.format(tmp=tmp_path)).start()
    assert files(tmp_path) == before


def test_keys_in_a_uri_are_not_shown(here):
    for uri in (
        "ftp://AKIA:secret@bucket/x",
        "s3://AKIA:secret@bucket/x?no_such_option=1",
        "s3://AKIA:a/secret@bucket/x",
        "s3://AKIA:a secret@bucket/x",
    ):
        with pytest.raises(RecordError, match="//bucket/x") as raised:
            Mirror(here, uri).start()
        assert "secret" not in str(raised.value)


def test_a_connection_that_hangs_is_given_up():
    place = Place("s3://bucket/x?region=us-east-1&scheme=http&endpoint_override=127.0.0.1:1")
    _, (options,) = place._fs.__reduce__()
    assert (options["connect_timeout"], options["request_timeout"]) == (10, 20)
    assert (options["endpoint_override"], options["scheme"]) == ("127.0.0.1:1", "http")


def test_a_pause_of_nothing_is_refused(here, there):
    with pytest.raises(RecordError, match="must be more than 0, not 0"):
        Mirror(here, str(there), every=0)


# The way back.


def test_a_new_head_goes_on_from_the_copy(run_sweep, plugin, here, there, tmp_path):
    text = SLOW.format(folder=tmp_path)
    run_sweep(text, here)
    with Mirror(here, str(there)):
        pass
    shutil.rmtree(here)
    trained = (tmp_path / "trained").read_text()
    before = files(there)
    with RecordWriter(here, sweep="slow", host="new", pid=1), Mirror(here, str(there), every=0.01) as kept:
        assert files(here) == before
    assert run_sweep(text, here).complete == 4
    assert (tmp_path / "trained").read_text() == trained
    assert f"fetched {len(before)} files" in kept.notes[0]
    assert files(there) == before


def test_of_two_histories_the_longer_is_taken_and_different_ones_are_refused(here, there):
    ours, theirs = study(here, 1, 2, 3, name="a"), study(there, 1, 2, name="a")
    study(here, 1, name="b", tail='{"n": "tor')
    study(there, 1, 2, name="b")
    study(here, name="c")
    study(there, 1, name="c")
    assert fetch(Place(str(there)), here) == ["studies/b.jsonl", "studies/c.jsonl"]
    assert (here / "studies/b.jsonl").read_bytes() == (there / "studies/b.jsonl").read_bytes()
    assert ours.read_bytes() != theirs.read_bytes()

    study(here, 1, 2, 4, name="b")
    study(there, 1, 2, 3, 4, name="b")
    study(there, 1, name="d")
    before = files(here), files(there)
    with pytest.raises(
        RecordError, match=r"^studies/b\.jsonl: .*neither is the beginning of the other.*Move away"
    ):
        Mirror(here, str(there)).start()
    assert (files(here), files(there)) == before


def test_a_study_begun_again_here_stands(here, there):
    study(there, 1, 2)
    study(here, 7)
    aside = here / "studies/0123456789abcdef.set-aside-20260101T000000-abcdef"
    aside.write_text('{"n": 1}\n{"n": 2}\n{"n": 3}\n')
    with Mirror(here, str(there)):
        pass
    assert files(there) == files(here)
    aside.write_text('{"n": 1}\n{"n": 3}\n{"n": 3}\n')
    study(there, 1, 2)
    with pytest.raises(RecordError, match="neither is the beginning"):
        fetch(Place(str(there)), here)


def test_what_is_here_and_is_replaced_rather_than_appended_to_stands(here, there):
    for root, text in ((here, "here"), (there, "there")):
        (root / "sweeps/s").mkdir(parents=True)
        (root / "sweeps/s/plan.json").write_text(text)
    (there / "sweeps/s/sweep.yaml").write_text("there")
    assert fetch(Place(str(there)), here) == ["sweeps/s/sweep.yaml"]
    assert (here / "sweeps/s/plan.json").read_text() == "here"


def test_a_place_with_nothing_in_it_gives_nothing(here, there):
    there.mkdir()
    assert fetch(Place(str(there)), here / "new") == []
    assert not (here / "new").exists()
    with pytest.raises(RecordError, match="cannot read .*there is no folder"):
        fetch(Place(str(there / "none")), here)


def test_no_name_in_a_copy_leaves_the_results_folder(here, monkeypatch):
    """A bucket's keys may be anything, which a folder's names cannot."""
    names = [
        "studies/../../evil.jsonl",
        "studies//etc/evil.jsonl",
        "evaluations/../evil.jsonl",
        "evaluations/t/../../../evil.jsonl",
        "evaluations/../../evil.jsonl",
        "machines/..json",
        "machines/a\\..\\..\\b.json",
        "sweeps/../runs/a.json",
        "studies/.hidden.jsonl",
        "driver.lock",
        "studies/a.jsonl\n",
        "studies/evil.py",
    ]
    stored = SimpleNamespace(
        get_file_info=lambda selector: [
            fs.FileInfo(f"bucket/copy/{name}", fs.FileType.File, size=9)
            for name in [*names, "studies/good.jsonl"]
            if f"bucket/copy/{name}".startswith(selector.base_dir)
        ],
        open_input_stream=lambda path: fs.LocalFileSystem().open_input_stream(str(good)),
    )
    good = study(here / "bucket", 1)
    monkeypatch.setattr(
        bucket.fs, "FileSystem", SimpleNamespace(from_uri=lambda uri: (stored, "bucket/copy/"))
    )
    root = here / "a" / "b" / "results"
    assert fetch(Place("gs://bucket/copy/"), root) == ["studies/good.jsonl"]
    assert set(files(here)) == {"bucket/studies/0123456789abcdef.jsonl", "a/b/results/studies/good.jsonl"}
