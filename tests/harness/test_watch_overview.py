"""What the progress page says of a sweep, in every state that it can be in."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from records import lines_of, rewrite, study_records

from harness.progress import Progress
from harness.watch import overview as module
from harness.watch.overview import Overview
from results.layout import Layout
from results.writer import RecordWriter

SWEEP = """\
name: small
repetitions: 2
budget: {evaluations: 4}
tasks: [branin, mixed]
searchers: [random, grid]
"""


@pytest.fixture
def root(run_sweep):
    return run_sweep.root


def driver(root, sweep="small"):
    return RecordWriter(root, sweep=sweep, host="here", pid=1)


def beat(writer, *, ago=0.0, **counts):
    progress = Progress(studies=8, evaluations=32, **counts)
    at = datetime.now(UTC) - timedelta(seconds=ago)
    writer.write_progress("small", msgspec.structs.replace(progress.snapshot(), at=at))


def said(root, name="small"):
    view = Overview(root, name).view()
    return view.phase, view.words


def test_a_sweep_that_is_not_there_yet_is_waited_for(root, run_sweep):
    seen = Overview(root, "small")
    assert seen.view().phase == "waiting"
    assert not root.exists()  # looking leaves no trace
    run_sweep(SWEEP.replace("small", "other"))
    assert "There are: other." in seen.view().words
    with driver(root):
        assert seen.view().phase == "starting"
    run_sweep(SWEEP)
    assert seen.view().phase == "done"


def test_numbers_are_the_records(root, run_sweep):
    run_sweep(SWEEP)
    recorded = Overview(root, "small").view().recorded
    assert recorded.states == {"done": 8, "running": 0, "failed": 0, "missing": 0}
    assert (recorded.evaluations, recorded.evaluations_planned) == (32, 32)
    told = {
        study: [line["value"] for line in lines if line["event"] == "told"]
        for study, lines in study_records(root).items()
    }
    plan = Layout(root).plan("small")
    for table in recorded.tasks:
        for row in table.rows:
            own = [s for s in plan.studies if (s.task, s.searcher) == (table.task, row.searcher)]
            best = [min(told[study.study]) for study in own]
            assert (row.best, row.mean, row.studies) == (min(best), sum(best) / 2, 2)
            assert (row.done, row.evaluations) == (2, 8)


def test_the_best_of_what_is_maximised_is_the_largest(root, run_sweep):
    run_sweep(SWEEP.replace("branin, mixed", "replay/mnist_mlp-small"))
    [table] = Overview(root, "small").view().recorded.tasks
    values = [
        line["value"]
        for lines in study_records(root).values()
        for line in lines
        if line["event"] == "told" and line["value"] is not None
    ]
    assert table.direction == "max"
    assert max(row.best for row in table.rows) == max(values)


def test_a_running_driver_is_believed_and_a_silent_one_named(root, run_sweep):
    run_sweep(SWEEP)
    first = Layout(root).study(Layout(root).plan("small").studies[0].study)
    first.unlink()
    with driver(root) as writer:
        assert said(root)[0] == "starting"
        beat(writer, ago=2, told=5)
        view = Overview(root, "small").view()
        assert (view.phase, view.snapshot.evaluations_told) == ("running", 5)
        assert view.recorded.states["missing"] == 1
        beat(writer, ago=200)
        phase, words = said(root)
        assert phase == "silent"
        assert "nothing for 3 min 20 s" in words


def test_a_driver_that_died_is_said(root, run_sweep):
    run_sweep(SWEEP)
    Layout(root).study(Layout(root).plan("small").studies[0].study).unlink()
    with driver(root) as writer:
        beat(writer, ago=125)
    phase, words = said(root)
    assert phase == "stopped"
    assert "1 of 8 studies are not done" in words
    assert "said something 2 min 05 s ago" in words
    with driver(root, "another"):
        phase, words = said(root)
    assert phase == "elsewhere"
    assert "'another'" in words


def test_failures_are_named_with_their_reasons(run_sweep, root, plugin):
    run_sweep(
        "{name: small, repetitions: 1, budget: {evaluations: 4}, tasks: [branin], searchers: [random, grid]}"
    )
    journal = Layout(root).study(Layout(root).plan("small").studies[0].study)
    lines = [line for line in lines_of(journal) if line["event"] != "done"]
    rewrite(journal, [*lines, {"event": "failed", "message": "it broke " * 500, "details": ""}])
    view = Overview(root, "small").view()
    assert view.phase == "ended"
    assert "1 study failed" in view.words
    [failure] = view.recorded.failures
    assert failure.study == "random on branin, repetition 0"
    assert failure.reason.startswith("it broke it broke")
    assert len(failure.reason) < 1100


def test_a_damaged_record_is_said_and_seen_again_when_mended(run_sweep, root):
    run_sweep(SWEEP)
    seen = Overview(root, "small")
    journal = Layout(root).study(Layout(root).plan("small").studies[0].study)
    whole = journal.read_bytes()
    journal.write_bytes(whole.replace(b'"value"', b'"velue"', 1))
    view = seen.view()
    assert view.phase == "damaged"
    assert journal.name in view.words
    journal.write_bytes(whole)
    assert seen.view().phase == "done"


def test_only_journals_that_changed_are_read_again(run_sweep, root, monkeypatch):
    run_sweep(SWEEP)
    read = []
    monkeypatch.setattr(module, "FRESH_SECONDS", 0.0)
    monkeypatch.setattr(module, "SHARE", 1e9)
    original = module.read_study
    monkeypatch.setattr(module, "read_study", lambda path: (read.append(path), original(path))[1])
    seen = Overview(root, "small")
    seen.view()
    assert len(read) == 8
    seen.view()
    assert len(read) == 8
    journal = Layout(root).study(Layout(root).plan("small").studies[3].study)
    rewrite(journal, [line for line in lines_of(journal) if line["event"] != "done"])
    assert seen.view().recorded.states["running"] == 1
    assert read[8:] == [journal]


def test_a_large_record_is_looked_through_seldom(run_sweep, root, monkeypatch):
    """It may take a twentieth of a core: after half a second of reading nothing is read for ten."""
    run_sweep(SWEEP)
    clock = [time.monotonic()]
    monkeypatch.setattr(module.time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(module.time, "thread_time", lambda: clock[0])
    original, read = module.read_study, []

    def slowly(path):
        clock[0] += 0.5 / 8
        read.append(path)
        return original(path)

    monkeypatch.setattr(module, "read_study", slowly)
    seen = Overview(root, "small")
    seen.view()
    for journal in (root / "studies").iterdir():
        journal.touch()
    clock[0] += 9.0
    seen.view()
    assert len(read) == 8
    clock[0] += 1.0
    seen.view()
    assert len(read) == 16
