"""Damaged results folders: refused by the name of a file, or read as if nothing had happened; never anything else."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sys
from collections import Counter
from pathlib import Path

import pytest
from fuzzing import (
    VALUES,
    cut_anywhere,
    encode,
    flip,
    fuzzed,
    left_out,
    paths_in,
    put,
    put_in,
    with_a_value_changed,
)
from hypothesis import given
from hypothesis import strategies as st
from records import PLUGIN, rewrite

from harness.driver import Driver
from harness.errors import RecordError
from harness.events import Asked
from harness.executors.serial import SerialExecutor
from harness.keys import digest
from harness.progress import Progress
from harness.sweep import parse_sweep
from results.layout import Layout
from results.reading import read_study
from results.summary import (
    expected_cost,
    failures_of,
    followed_of,
    heartbeat_of,
    machines_of,
    read_records,
    state_counts,
)
from results.tables import read_tables
from results.writer import RecordWriter, holder_of, is_held

SWEEP = """\
name: fuzz
repetitions: 2
workers: 2
budget: {epochs: 18}
tasks: [troublesome, branin]
searchers: [random, grid]
"""


@pytest.fixture(scope="module")
def plugged():
    """The test plug-in on the path, as if it were installed."""
    from harness import registry

    sys.path.insert(0, str(PLUGIN))
    for cached in (registry.tasks, registry.searchers):
        cached.cache_clear()
    yield
    sys.path.remove(str(PLUGIN))
    for cached in (registry.tasks, registry.searchers):
        cached.cache_clear()
    sys.modules.pop("derby_test_plugin", None)


@pytest.fixture(scope="module")
def made(plugged, tmp_path_factory):
    """A folder with studies that are done, under way, failed, and followed; and how each entry point reads it."""
    root = tmp_path_factory.mktemp("fuzz") / "results"
    sweep = parse_sweep(SWEEP, "sweep.yaml")
    progress = Progress(len(sweep.studies), 0)
    with RecordWriter(root, sweep=sweep.name, host="here", pid=1) as writer:
        from harness.provenance import provenance

        writer.write_sweep(sweep.name, sweep.text, sweep.as_plan())
        Driver(sweep, writer, progress).run(SerialExecutor(1))
        writer.write_run(sweep.name, provenance("serial"))
        writer.write_progress(sweep.name, progress.snapshot())
        under_way, failed, followed = [p.key for p in sweep.studies if p.task == "troublesome"][:3]
        for key in (under_way, failed, followed):
            path = writer.layout.study(key.id)
            path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:5]))
        for key in (failed, followed):
            journal = writer.journal(key, {})
            journal.fail("a bug", "its traceback") if key is failed else journal.follow("it departed")
            writer.close_journal(journal)
    return Made(root, sweep, tmp_path_factory.mktemp("damaged") / "results")


class Made:
    """A folder as it was made, and a place where it is damaged and mended."""

    def __init__(self, root: Path, sweep, place: Path) -> None:
        self.root, self.sweep = place, sweep
        self.files = {
            path.relative_to(root).as_posix(): path.read_bytes()
            for path in sorted(root.rglob("*"))
            if path.is_file() and path.suffix in (".json", ".jsonl", ".yaml")
        }
        shutil.copytree(root, place)
        read = self.read_all()
        assert not any(isinstance(value, RecordError) for value in read.values()), read
        self.read = {reader: repr(value) for reader, value in read.items()}
        self.mend()

    def mend(self) -> None:
        """Make it as it was."""
        for name, data in self.files.items():
            path = self.root / name
            if path.is_symlink() or not path.is_file():
                path.rmdir() if path.is_dir() else path.unlink(missing_ok=True)
                path.write_bytes(data)
            elif path.read_bytes() != data:
                path.write_bytes(data)

    @contextlib.contextmanager
    def damaged(self, name: str):
        """Give the path of a file, to be damaged, and mend it."""
        try:
            yield self.root / name
        finally:
            self.mend()

    def read_all(self):
        """What every entry point reads, each as something that can be compared, or the error that it raised."""
        readers = (status, tables, cost, heartbeat, self.begin)
        return {reader.__name__: attempted(reader, self.root) for reader in readers}

    def begin(self, root: Path):
        """What a driver begins with: the studies to do, what is recorded of them, and their evaluations."""
        with RecordWriter(root, sweep="fuzz", host="here", pid=1) as writer:
            progress = Progress(0, 0)
            driver = Driver(self.sweep, writer, progress)
            found = {}
            for plan in self.sweep.studies:
                before = read_study(writer.layout.study(plan.key.id))
                found[plan.key.id] = [
                    repr(writer.find(plan.key.evaluation(event.proposal.config), event.epochs, None))
                    for event in before.events
                    if isinstance(event, Asked)
                ]
                if before.state not in ("done", "missing"):
                    journal = writer.journal(plan.key, {})
                    assert journal.recorded
                    writer.close_journal(journal)
            return driver.unfinished, progress.complete, progress.told_before, found


def attempted(reader, root):
    try:
        return reader(root)
    except RecordError as error:
        assert str(root) in str(error), f"no file is named: {error}"
        return error


def status(root):
    records = read_records(root, Layout(root).plan("fuzz"))
    return state_counts(records), failures_of(records), followed_of(records), machines_of(root, records)


def tables(root):
    read = read_tables(root, "fuzz")
    frames = [frame.to_json(orient="split", double_precision=15) for frame in (read.trials, read.studies)]
    return (
        *frames,
        read.tasks.to_json(),
        read.epochs.to_json(double_precision=15),
        sorted_json(read.provenance),
    )


def sorted_json(value):
    return json.dumps(value, sort_keys=True)


def cost(root):
    return expected_cost(root, Layout(root).plan("fuzz"))


def heartbeat(root):
    beat = heartbeat_of(root, "fuzz")
    return beat and beat.snapshot, holder_of(root), is_held(root)


# How a file is damaged, beside what `fuzzing` has.


def lines_moved(draw, data):
    lines = data.splitlines(keepends=True)
    order = draw(st.lists(st.integers(0, len(lines) - 1), max_size=len(lines) + 2))
    return b"".join(lines[place] for place in order)


def line_repeated(draw, data):
    lines = data.splitlines(keepends=True)
    place, other = draw(st.integers(0, len(lines) - 1)), draw(st.integers(0, len(lines)))
    return b"".join([*lines[:other], lines[place], *lines[other:]])


def line_dropped(draw, data):
    lines = data.splitlines(keepends=True)
    place = draw(st.integers(0, len(lines) - 1))
    return b"".join([*lines[:place], *lines[place + 1 :]])


def value_changed(draw, data):
    lines = data.decode().splitlines(keepends=True) if data.count(b'"check"') > 1 else [data.decode()]
    place = draw(st.integers(0, len(lines) - 1))
    try:
        lines[place] = with_a_value_changed(draw, lines[place]) + "\n"
    except ValueError:  # the sweep file, which is no JSON
        return flip(draw, data)
    return encode("".join(lines))


BYTES = [flip, cut_anywhere, left_out, put_in, lines_moved, line_repeated, line_dropped, value_changed]


def no_file(path, draw):
    path.unlink()


def folder(path, draw):
    path.unlink()
    path.mkdir()


def pipe(path, draw):
    path.unlink()
    os.mkfifo(path)


def loop(path, draw):
    path.unlink()
    path.symlink_to(path)


def link_to_nowhere(path, draw):
    path.unlink()
    path.symlink_to(path.with_name("nowhere"))


PLACES = [no_file, folder, pipe, loop, link_to_nowhere]


def whole(data: bytes) -> bytes:
    return data[: data.rfind(b"\n") + 1]


def is_lost(name: str, before: bytes, after: bytes | None) -> bool:
    """Whether nothing else is wrong with a file of lines than that its last ones are gone, as after a crash."""
    if not name.endswith(".jsonl"):
        return False
    return after is None or before.startswith(whole(after))


COUNTS: Counter[str] = Counter()


@pytest.fixture(scope="module", autouse=True)
def counts():
    yield
    if "DERBY_TEST_FUZZ" in os.environ:
        print("\n", dict(COUNTS), file=sys.__stderr__)


@pytest.mark.slow
@fuzzed
@given(data=st.data())
def test_no_damage_passes_for_a_record(made, data):
    draw = data.draw
    name = draw(st.sampled_from(sorted(made.files)))
    before = made.files[name]
    after: bytes | None = None
    with made.damaged(name) as path:
        if draw(st.integers(0, 9)) == 0:
            draw(st.sampled_from(PLACES))(path, draw)
            gone = not path.exists() and not (path.is_symlink() and os.readlink(path) == str(path))
            replaced = not gone
        else:
            gone = replaced = False
            other = draw(st.sampled_from([None, *sorted(made.files)])) if draw(st.booleans()) else None
            after = made.files[other] if other else draw(st.sampled_from(BYTES))(draw, before)
            path.write_bytes(after)
        read = made.read_all()
    for reader, value in read.items():
        if isinstance(value, RecordError):
            COUNTS[f"{reader}: refused"] += 1
            continue
        if repr(value) == made.read[reader]:
            COUNTS[f"{reader}: equal"] += 1
            continue
        COUNTS[f"{reader}: documented loss"] += 1
        assert is_documented(reader, name, before, after, gone=gone, replaced=replaced), (
            f"{reader} read another result of {name}: {value} for {made.read[reader]}"
        )


def is_documented(reader, name, before, after, *, gone, replaced) -> bool:
    """Whether a reader may give another result, and no error, of a file that became something else."""
    kind = name.split("/")[0]
    if name.endswith(("driver.json", "progress.json")):
        return reader == "heartbeat"  # no part of the record: there is no such word of a driver
    if "/runs/" in name:
        return gone and reader == "tables"  # what was copied without it, says less of where it ran
    if name.endswith("sweep.yaml"):
        return reader == "tables" and not gone and not replaced  # for people, and they may read it
    lost = gone or (not replaced and is_lost(name, before, after))
    # A journal that lost its end is one of a study under way; evaluations that are lost are run again.
    return lost and (kind == "studies" or (kind == "evaluations" and reader == "begin"))


def sealed_again(path: Path, draw, text: str) -> None:
    """Write a changed JSON text as its writer would have: what only the types and the sums can tell."""
    if path.suffix == ".jsonl":
        lines = text.splitlines(keepends=True)
        values = [json.loads(line) for line in lines]
        place = draw(st.integers(0, len(values) - 1))
        changed = json.loads(with_a_value_of_json(draw, lines[place]))
        if not isinstance(changed, dict) or not changed:
            changed = {"check": ""}
        rewrite(path, [*values[:place], changed, *values[place + 1 :]])
        return
    changed = json.loads(with_a_value_of_json(draw, text))
    if isinstance(changed, dict) and "check" in changed:
        changed.pop("check")
        changed = {**changed, "check": digest(changed)}
    path.write_text(json.dumps(changed))


def with_a_value_of_json(draw, text: str) -> str:
    value = json.loads(text)
    return json.dumps(put(value, draw(st.sampled_from(list(paths_in(value)))), draw(VALUES)))


@pytest.mark.slow
@fuzzed
@given(data=st.data())
def test_what_was_never_a_record_is_refused_or_read(made, data):
    """Somebody else's files, whose checks are right: whatever is in them, no error but the record's own."""
    name = data.draw(st.sampled_from([name for name in sorted(made.files) if not name.endswith(".yaml")]))
    with made.damaged(name) as path:
        sealed_again(path, data.draw, made.files[name].decode())
        for reader, value in made.read_all().items():
            COUNTS[f"sealed, {reader}: {'refused' if isinstance(value, RecordError) else 'read'}"] += 1
