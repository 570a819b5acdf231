"""The record: crash-proof lines, one writer, lookups, names, tables."""

from __future__ import annotations

import errno
import json
import multiprocessing
import os
import socket

import pandas as pd
import pytest
from records import lines_of, rewrite

from harness.errors import RecordError
from harness.keys import EvaluationKey, TaskKey
from harness.machine import Description, Machine
from harness.trial import Curve, Evaluation, Status
from results.journal import Appender, check_lines, torn_tail
from results.layout import Layout, checked_name, write_atomically
from results.reading import read_evaluations, read_study
from results.schema import FORMAT
from results.tables import export, read_tables
from results.writer import _NO_LOCKS, RecordWriter, is_held

HERE = Machine(Description(processor="a", device="cpu"))


def key(x: float = 0.5, seed: int = 1) -> EvaluationKey:
    return EvaluationKey(TaskKey("line", 1, {"variant": "full"}), {"x": x}, seed)


def ok(epochs: int, value: float = 0.3) -> Evaluation:
    columns = {"val_loss": [value / (i + 1) for i in range(epochs)], "seconds": [0.1] * epochs}
    return Evaluation(Status.OK, Curve(columns), epochs, machine=HERE.id)


def writer(root) -> RecordWriter:
    return RecordWriter(root, sweep="s", host=socket.gethostname(), pid=os.getpid())


# Lines.


def contents(path):
    """The lines of a file, each as it was written."""
    data = path.read_bytes()
    check_lines(data[: data.rfind(b"\n") + 1], path)
    return lines_of(path)


@pytest.mark.parametrize("tail", [b"", b"{", b'{"a": 1}', b'{"a": "' + b"x" * 100_000])
def test_a_torn_last_line_is_left_out_and_cut_off_on_the_next_append(tmp_path, tail):
    path = tmp_path / "a.jsonl"
    with Appender(path) as file:
        file.append(b'{"n":1}')
        file.append(b'{"n":2}')
    whole = path.read_bytes()
    path.write_bytes(whole + tail)
    assert torn_tail(path) == len(tail)
    with Appender(path) as file:
        offset = file.append(b'{"n":3}')
    assert offset == len(whole)
    assert contents(path) == [{"n": 1}, {"n": 2}, {"n": 3}]


def cut(lines):
    return lines[:1] + lines[2:]


def repeated(lines):
    return lines[:2] + lines[1:]


def swapped(lines):
    return [lines[0], lines[2], lines[1], *lines[3:]]


def digit(lines):
    return [lines[0], lines[1].replace(b"22", b"23"), *lines[2:]]


@pytest.mark.parametrize(("damage", "line"), [(cut, 2), (repeated, 3), (swapped, 2), (digit, 2)])
def test_a_damaged_line_is_named(tmp_path, damage, line):
    path = tmp_path / "a.jsonl"
    with Appender(path) as file:
        for number in (11, 22, 33, 44):
            file.append(b'{"n":%d}' % number)
    lines = path.read_bytes().splitlines(keepends=True)
    check_lines(b"".join(lines), path)
    with pytest.raises(RecordError, match=rf"a.jsonl, line {line}: expected a line as it was written there"):
        check_lines(b"".join(damage(lines)), path)


def test_an_append_reaches_the_file_at_once(tmp_path):
    path = tmp_path / "a.jsonl"
    appender = Appender(path)
    appender.append(b'{"n":1}')
    assert contents(path) == [{"n": 1}]
    appender.close()


def test_an_atomic_write_leaves_no_draft(tmp_path):
    write_atomically(tmp_path / "deep" / "a.json", "one")
    write_atomically(tmp_path / "deep" / "a.json", "two")
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["a.json"]
    assert (tmp_path / "deep" / "a.json").read_text() == "two"


# Names.


@pytest.mark.parametrize("name", ["", "..", "../x", "a/b", "/etc", ".hidden", "a\nb", "x" * 81, "ä"])
def test_no_name_leaves_the_results_folder(tmp_path, name):
    with pytest.raises(RecordError, match="cannot be used"):
        checked_name("sweep", name)
    with pytest.raises(RecordError):
        Layout(tmp_path).sweep(name)


# One writer.


def _hold(root, ready, release):
    with writer(root):
        ready.set()
        release.wait(30)


def test_a_second_driver_is_refused_with_the_holders_name(tmp_path):
    context = multiprocessing.get_context("spawn")
    ready, release = context.Event(), context.Event()
    holder = context.Process(target=_hold, args=(tmp_path, ready, release))
    holder.start()
    assert ready.wait(30)
    assert is_held(tmp_path)
    expected = f"sweep 's' on {socket.gethostname()}, process {holder.pid}"
    with pytest.raises(RecordError, match=expected):
        writer(tmp_path)
    holder.kill()  # a driver that was killed holds nothing
    holder.join()
    assert not is_held(tmp_path)
    writer(tmp_path).close()


# Evaluations.


def test_an_evaluation_is_found_by_key_and_epochs(tmp_path):
    with writer(tmp_path) as record:
        record.add(key(), ok(9), HERE)
        assert record.find(key(), 9, None) == ok(9)
        assert record.find(key(), 4, None) == ok(9).at(4)
        assert record.find(key(), 10, None) is None
        assert record.find(key(0.6), 9, None) is None
        assert record.find(key(seed=2), 9, None) is None
        record.add(key(), ok(27), HERE)
        assert record.find(key(), 10, None) == ok(27).at(10)
    with writer(tmp_path) as record:
        assert record.find(key(), 27, None) == ok(27)
    assert json.loads((tmp_path / "machines" / f"{HERE.id}.json").read_text()) == {
        "processor": "a",
        "device": "cpu",
    }


def test_a_timeout_stands_for_deadlines_no_longer_than_its_own(tmp_path):
    late = Evaluation(Status.TIMEOUT, ok(3).curve, 3, message="too slow", deadline=60.0, machine=HERE.id)
    with writer(tmp_path) as record:
        record.add(key(), late, HERE)
        assert record.find(key(), 9, 60.0) == late
        assert record.find(key(), 9, 10.0) == late
        assert record.find(key(), 9, 61.0) is None
        assert record.find(key(), 9, None) is None
        assert record.find(key(), 3, None) == ok(3)
        record.add(key(), ok(9), HERE)
        assert record.find(key(), 9, None) == ok(9)


def test_floats_come_back_exactly(tmp_path):
    value = 0.1 + 0.2 + 1e-17 / 3
    with writer(tmp_path) as record:
        record.add(key(), ok(1, value), HERE)
    with writer(tmp_path) as record:
        assert record.find(key(), 1, None).curve["val_loss"] == (value,)


def test_two_folders_merge_by_copying(tmp_path):
    import shutil

    for name, x in (("a", 0.1), ("b", 0.2)):
        with writer(tmp_path / name) as record:
            record.add(key(x), ok(3, x), HERE)
    shutil.copytree(tmp_path / "b", tmp_path / "a", dirs_exist_ok=True)
    with writer(tmp_path / "a") as record:
        assert record.find(key(0.1), 3, None) == ok(3, 0.1)
        assert record.find(key(0.2), 3, None) == ok(3, 0.2)


def test_a_torn_evaluation_is_said_so(tmp_path):
    with writer(tmp_path) as record:
        record.add(key(), ok(3), HERE)
    path = next((tmp_path / "evaluations" / "line").glob("*.jsonl"))
    path.write_bytes(path.read_bytes() + b'{"id": "half')
    with writer(tmp_path) as record:
        assert record.find(key(), 3, None) == ok(3)
        assert len(record.notes) == 1
        assert "12 bytes" in record.notes[0]
        assert str(path) in record.notes[0]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"status": "fine"}, "Invalid enum value 'fine'"),
        ({"epochs": 2}, "an ok evaluation of 2 epochs has a curve of 3"),
        ({"curve": {"val_loss": [0.1] * 3, "seconds": [0.1] * 2}}, "need equal lengths"),
        ({"setup_seconds": -1.0}, "Expected `float` >= 0"),
        ({"id": "f" * 16}, "expected the id .* of its key, got ffffffffffffffff"),
        ({"key": {"config": {"x": 0.6}}}, "expected the id .* of its key"),
    ],
)
def test_a_damaged_evaluation_is_named(tmp_path, change, words):
    with writer(tmp_path) as record:
        record.add(key(), ok(3), HERE)
        record.add(key(0.7), ok(3), HERE)
    path = next((tmp_path / "evaluations" / "line").glob("*.jsonl"))
    lines = lines_of(path)
    rewrite(path, [lines[0], {**lines[1], **change}])
    with writer(tmp_path) as record, pytest.raises(RecordError, match=rf"jsonl, line 2: .*{words}"):
        record.find(key(), 3, None)


def test_a_journal_of_another_format_is_refused(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"event":"opened","format":999}\n')
    with pytest.raises(RecordError, match=f"expected a study journal of format {FORMAT}, got"):
        read_study(path)


def a_folder(path):
    path.mkdir()


def a_pipe(path):
    os.mkfifo(path)


def a_link_to_itself(path):
    path.symlink_to(path)


def a_socket(path):
    os.chdir(path.parent)  # a socket's name must be short
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(path.name)


@pytest.mark.parametrize("make", [a_folder, a_pipe, a_link_to_itself, a_socket])
@pytest.mark.parametrize("place", ["studies/0123456789abcdef.jsonl", "evaluations/line/a.jsonl"])
def test_what_is_no_file_is_named_at_once(tmp_path, make, place, monkeypatch):
    monkeypatch.chdir(tmp_path)  # and back
    path = tmp_path / place
    path.parent.mkdir(parents=True)
    make(path)
    with pytest.raises(RecordError, match=rf"cannot read .*{path.name}"):
        if "studies" in place:
            read_study(path)
        else:
            list(read_evaluations(path.parent))


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may read everything")
def test_what_may_not_be_read_is_named(tmp_path):
    path = tmp_path / "a.jsonl"
    path.touch(0o000)
    with pytest.raises(RecordError, match=r"cannot read .*a.jsonl: there is no permission"):
        read_study(path)


# Tables.

SWEEP = """\
name: tables
repetitions: 2
budget: {epochs: 36}
tasks: [troublesome, branin]
searchers: [random]
"""


def test_tables_hold_what_was_recorded(run_sweep, plugin):
    run_sweep(SWEEP)
    tables = read_tables(run_sweep.root, "tables")
    trials = tables.trials
    line = trials[trials.task == "troublesome"]
    assert line.groupby("study").size().tolist() == [4, 4]
    one = line[line.study == line.study.iloc[0]]
    assert one.step.tolist() == one.evaluations.tolist() == [1, 2, 3, 4]
    assert one.spent_epochs.tolist() == [9, 18, 27, 36]
    assert one.train_seconds.tolist() == [2.25, 4.5, 6.75, 9.0]
    assert (one.total_seconds > one.train_seconds).all()
    assert one.test.tolist() == pytest.approx((one.value + 0.1).tolist())
    assert (trials[trials.task == "branin"].groupby("study").size() == 36).all()
    assert trials[trials.task == "branin"].test.isna().all()
    epochs = tables.epochs[tables.epochs.study == one.study.iloc[0]]
    assert epochs.groupby("step").size().tolist() == [9, 9, 9, 9]
    last = epochs[epochs.epoch == 9].set_index("step").val_loss
    assert last.tolist() == one.value.tolist()
    assert set(tables.studies.state) == {"done"}
    assert tables.tasks.loc["branin", "test_metric"] is None
    assert tables.tasks.loc["troublesome", "test_metric"] == "test_loss"
    assert [machine["device"] for machine in tables.provenance["machines"]] == ["cpu"]
    assert tables.provenance["sweep"] == SWEEP


def test_an_unfinished_sweep_has_its_missing_studies(run_sweep, plugin):
    run_sweep(SWEEP)
    paths = sorted((run_sweep.root / "studies").glob("*.jsonl"))
    paths[0].unlink()
    lines = paths[1].read_text().splitlines(keepends=True)
    paths[1].write_text("".join(lines[:4]))
    states = read_tables(run_sweep.root, "tables").studies.set_index("study").state
    assert states[paths[0].stem] == "missing"
    assert states[paths[1].stem] == "running"


def test_export_is_read_back_by_pandas(run_sweep, plugin, tmp_path):
    run_sweep(SWEEP)
    tables = read_tables(run_sweep.root, "tables")
    paths = {path.name: path for path in export(tables, tmp_path / "out")}
    assert sorted(paths) == [
        "baseline_trials.parquet",
        "baselines.parquet",
        "epochs.parquet",
        "provenance.json",
        "reevaluations.parquet",
        "studies.parquet",
        "tasks.parquet",
        "trials.parquet",
    ]
    for name in ("trials", "epochs", "studies"):
        pd.testing.assert_frame_equal(pd.read_parquet(paths[f"{name}.parquet"]), getattr(tables, name))
    assert json.loads(paths["provenance.json"].read_text())["sweep"] == SWEEP


def test_an_unknown_sweep_gets_the_nearest_name(run_sweep, plugin):
    run_sweep(SWEEP)
    with pytest.raises(RecordError, match="no sweep called 'tabels'.*did you mean 'tables'"):
        read_tables(run_sweep.root, "tabels")


@pytest.fixture
def no_locks(monkeypatch):
    """A file system such as Lustre where it was mounted without locks."""
    import fcntl

    def refuse(file, operation):
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr(fcntl, "flock", refuse)


@pytest.mark.filterwarnings("error")
def test_without_locks_a_plain_file_keeps_a_second_driver_out(tmp_path, no_locks):
    with writer(tmp_path) as record:
        assert record.notes == [f"{tmp_path}: {_NO_LOCKS}"]
        assert is_held(tmp_path)
        with pytest.raises(RecordError, match="being written by sweep 's' on ") as refused:
            RecordWriter(tmp_path, sweep="t", host="there", pid=2)
        assert f"where none runs any more, remove {tmp_path / 'driver.lock'}" in str(refused.value)
    assert not is_held(tmp_path)


@pytest.mark.filterwarnings("error")
def test_a_plain_file_of_a_driver_lost_with_its_machine_is_removed_by_hand(tmp_path, no_locks):
    with writer(tmp_path):
        left = (tmp_path / "driver.lock").read_text()
    (tmp_path / "driver.lock").write_text(left.replace(socket.gethostname(), "lost.example.org"))
    with pytest.raises(RecordError, match="remove .*driver.lock"):
        writer(tmp_path)
    (tmp_path / "driver.lock").unlink()
    writer(tmp_path).close()


def test_with_locks_nothing_is_said_of_them(tmp_path):
    with writer(tmp_path) as record:
        assert record.notes == []
        with pytest.raises(RecordError) as refused:
            RecordWriter(tmp_path, sweep="t", host="there", pid=2)
        assert "remove" not in str(refused.value)
