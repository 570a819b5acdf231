"""The driver: reuse, resume, failures, and that none of them changes a record."""

from __future__ import annotations

import json

import pytest
import typer
from records import lines_of, rewrite, study_records

from harness.driver import Driver
from harness.executors.base import Finished
from harness.executors.serial import SerialExecutor
from harness.host import Stepped
from harness.progress import Progress
from harness.sweep import parse_sweep
from results.layout import Layout
from results.reading import read_study
from results.writer import RecordWriter

FUNCTIONS = """\
name: functions
seed: 5
repetitions: 2
workers: {workers}
budget: {{evaluations: 12}}
tasks: [branin, mixed]
searchers: [random, grid, optuna_tpe]
"""


def trouble(kind: str, searcher: str = "random", folder: str = "", extra: str = "") -> str:
    return f"""\
name: trouble
repetitions: 2
budget: {{evaluations: 8}}
tasks:
  - name: troublesome
    options: {{trouble: {kind}, folder: "{folder}"}}
searchers: [{searcher}]
{extra}
"""


class Shuffled(SerialExecutor):
    """Takes many jobs at once and finishes them in the reverse of the order submitted."""

    name = "shuffled"
    job_slots = step_slots = 7

    def wait(self) -> list[Finished | Stepped]:
        if self._steps:
            return [self._host.step(self._steps.pop())]
        job = self._jobs.pop()
        return [Finished(job, self._evaluator.evaluate(job))]


@pytest.mark.parametrize("workers", [1, 4])
def test_the_record_does_not_depend_on_the_order_in_which_evaluations_end(run_sweep, tmp_path, workers):
    text = FUNCTIONS.format(workers=workers)
    run_sweep(text, tmp_path / "serial")
    run_sweep(text, tmp_path / "shuffled", executor=Shuffled(1))
    assert study_records(tmp_path / "serial") == study_records(tmp_path / "shuffled")
    assert len(study_records(tmp_path / "serial")) == 12


def test_a_second_run_trains_nothing(run_sweep):
    first = run_sweep(FUNCTIONS.format(workers=1))
    before = study_records(run_sweep.root)
    second = run_sweep(FUNCTIONS.format(workers=1))
    assert first.trained > 0
    assert (second.trained, second.complete, second.done) == (0, 12, 0)
    assert study_records(run_sweep.root) == before


def test_evaluations_are_shared_by_studies_and_later_sweeps(run_sweep, plugin, tmp_path):
    text = trouble("none", "grid", folder=tmp_path)
    run_sweep(text)
    lines = (tmp_path / "trained").read_text().splitlines()
    assert len(lines) == len(set(lines)) == 2 * 6  # six points, two repetitions
    again = run_sweep(
        text.replace("name: trouble\n", "name: later\n").replace(
            "[grid]", "[{name: grid, settings: {order: lexicographic}}]"
        )
    )
    assert (again.trained, again.reused) == (0, again.told)
    assert (tmp_path / "trained").read_text().splitlines() == lines
    # Charged at its original cost, not at nothing.
    for name in ("trouble", "later"):
        plan = Layout(run_sweep.root).plan(name)
        for planned in plan.studies:
            events = read_study(Layout(run_sweep.root).study(planned.study)).told
            assert {event.seconds for event in events} == {9 * 0.25}


def test_equal_requests_in_flight_are_trained_once(run_sweep, plugin, tmp_path):
    text = trouble(
        "none", "grid, {name: grid, label: other, settings: {order: lexicographic}}", folder=tmp_path
    )
    progress = run_sweep(text, executor=Shuffled(1))
    lines = (tmp_path / "trained").read_text().splitlines()
    assert len(lines) == progress.trained == progress.told - progress.merged - progress.reused
    assert progress.merged > 0


@pytest.mark.parametrize("cut", [1, 4, 9, 15, 16])
def test_a_study_cut_anywhere_is_continued_to_the_same_record(run_sweep, tmp_path, cut):
    text = FUNCTIONS.format(workers=1)
    run_sweep(text, tmp_path / "whole")
    run_sweep(text)
    for path in (run_sweep.root / "studies").glob("*.jsonl"):
        lines = path.read_bytes().splitlines(keepends=True)
        path.write_bytes(b"".join(lines[:cut]) + lines[cut][: len(lines[cut]) // 2])
    resumed = run_sweep(text)
    assert resumed.trained == 0
    assert study_records(run_sweep.root) == study_records(tmp_path / "whole")


def test_lost_evaluations_are_trained_again_to_the_same_record(run_sweep, tmp_path):
    text = FUNCTIONS.format(workers=4)
    run_sweep(text, tmp_path / "whole")
    run_sweep(text)
    for path in (run_sweep.root / "studies").glob("*.jsonl"):
        path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:10]))
    for path in (run_sweep.root / "evaluations").glob("*/*.jsonl"):
        lines = path.read_bytes().splitlines(keepends=True)
        path.write_bytes(b"".join(lines[: len(lines) // 2]) + lines[0][:30])
    resumed = run_sweep(text)
    assert resumed.trained > 0
    assert study_records(run_sweep.root) == study_records(tmp_path / "whole")


def test_a_bug_in_a_task_fails_its_studies_and_no_other(run_sweep, plugin):
    text = trouble("raise").replace("searchers", "  - branin\nsearchers")
    progress = run_sweep(text)
    assert len(progress.failed) == 2
    assert all(
        label.startswith("random on troublesome") and "ZeroDivisionError: a bug in the task" in message
        for label, message in progress.failed.items()
    )
    assert progress.done == 2
    states = {
        planned.task: read_study(Layout(run_sweep.root).study(planned.study)).state
        for planned in Layout(run_sweep.root).plan("trouble").studies
    }
    assert states["branin"] == "done"
    assert {state for label, state in states.items() if "troublesome" in label} == {"failed"}


@pytest.mark.parametrize("workers", [1, 4])
def test_an_evaluation_that_stops_short_is_a_bug_and_not_recorded(run_sweep, plugin, workers):
    progress = run_sweep(trouble("short", "grid", extra=f"workers: {workers}"), executor=Shuffled(1))
    assert len(progress.failed) == 2
    assert all("it is ok after 8 epochs of 9" in message for message in progress.failed.values())
    assert not list(run_sweep.root.glob("evaluations/*/*.jsonl"))


def test_a_failed_study_is_retried_from_where_it_failed(run_sweep, plugin, monkeypatch):
    text = trouble("raise")
    run_sweep(text)
    failed = next((run_sweep.root / "studies").glob("*.jsonl")).read_text()
    assert '"event":"failed"' in failed
    assert "Traceback" in failed
    import derby_test_plugin

    original = derby_test_plugin.Troublesome.evaluate

    def mended(self, config, **rest):
        object.__setattr__(self.options, "trouble", "none")
        return original(self, config, **rest)

    monkeypatch.setattr(derby_test_plugin.Troublesome, "evaluate", mended)
    progress = run_sweep(text)
    assert (progress.failed, progress.done) == ({}, 2)
    assert read_study(next((run_sweep.root / "studies").glob("*.jsonl"))).state == "done"


def test_a_broken_searcher_fails_its_study_and_names_the_trial(run_sweep, plugin):
    progress = run_sweep(trouble("none", "{name: breaking, settings: {at: 3}}, random"))
    assert sorted(progress.failed) == [f"breaking on troublesome, repetition {i}" for i in range(2)]
    assert all(
        "'breaking' failed to propose a configuration after 3 trials: ArithmeticError: the library broke" in m
        for m in progress.failed.values()
    )
    assert progress.done == 2
    assert progress.told == 2 * 3 + 2 * 8


def test_divergence_is_told_and_charged_what_it_took(run_sweep, plugin):
    progress = run_sweep(trouble("diverge"))
    assert progress.failed == {}
    assert progress.statuses["diverged"] > 0
    events = [e for es in study_records(run_sweep.root).values() for e in es]
    diverged = [e for e in events if e.get("status") == "diverged"]
    assert {(e["loss"], e["value"], e["epochs"]) for e in diverged} == {(10.0, None, 2)}


def test_missing_data_fail_the_studies_that_need_them(run_sweep, plugin):
    progress = run_sweep(trouble("no_data").replace("searchers", "  - branin\nsearchers"))
    assert set(progress.failed.values()) == {"the line's data were not found; put them somewhere"}
    assert (len(progress.failed), progress.done) == (2, 2)


def test_a_replay_that_differs_stops_that_study_and_keeps_its_journal(run_sweep, plugin, monkeypatch):
    text = trouble("none", "breaking, random")
    run_sweep(text)
    whole = study_records(run_sweep.root)
    journals = [p for p in (run_sweep.root / "studies").glob("*.jsonl") if '"breaking"' in p.read_text()]
    for path in journals:
        lines = lines_of(path)
        lines[0]["versions"]["numpy"] = f"0.{lines[0]['versions']['numpy']}"
        rewrite(path, lines[:6])
    kept = {path: path.read_text() for path in journals}
    monkeypatch.setenv("DERBY_TEST_DRIFT", "1")
    progress = run_sweep(text)
    assert sorted(progress.failed) == [f"breaking on troublesome, repetition {i}" for i in range(2)]
    message = next(iter(progress.failed.values()))
    assert "differs from the journal at event 2, trial 0" in message
    assert "numpy 0." in message
    assert "--on-mismatch restart" in message
    assert {path: path.read_text() for path in journals} == kept

    restarted = run_sweep(text, on_mismatch="restart")
    assert (restarted.failed, restarted.done) == ({}, 2)
    assert restarted.told_before + restarted.told == restarted.statuses.total() == 4 * 8
    assert restarted.left == 0
    assert {read_study(path).state for path in journals} == {"done"}
    aside = sorted((run_sweep.root / "studies").glob("*.set-aside-*"))
    assert sorted(path.read_text() for path in aside) == sorted(kept.values())
    again = study_records(run_sweep.root)
    assert {k for k in whole if whole[k] != again[k]} == {path.stem for path in journals}


def test_a_deadline_is_part_of_the_study_but_not_of_the_evaluation(plugin):
    plain = parse_sweep(trouble("none"), "s.yaml").studies[0].key
    limited = parse_sweep(trouble("none", extra="deadline: 60"), "s.yaml").studies[0].key
    assert plain.id != limited.id
    assert plain.evaluation({"x": 0.5, "n": 1}).id == limited.evaluation({"x": 0.5, "n": 1}).id


def test_a_full_disk_stops_the_run_and_loses_nothing(tmp_path, plugin, monkeypatch):
    """Writing fails with the system's own error: the process's file-size limit is reached."""
    import resource
    import signal

    from harness.errors import WriteError

    sweep = parse_sweep(trouble("none"), "s.yaml")
    root = tmp_path / "results"
    monkeypatch.setattr(signal, "SIGXFSZ", signal.SIGXFSZ)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    old = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        with RecordWriter(root, sweep=sweep.name, host="here", pid=1) as writer:
            writer.write_sweep(sweep.name, sweep.text, sweep.as_plan())
            resource.setrlimit(resource.RLIMIT_FSIZE, (2000, before[1]))
            with pytest.raises(
                WriteError, match="cannot write .*Everything recorded so far is safe.*same command"
            ):
                Driver(sweep, writer, Progress(2, 16)).run(SerialExecutor(1))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, old)
    for path in root.rglob("*.jsonl"):
        text = path.read_text()
        assert text.endswith("\n")
        assert all(json.loads(line) for line in text.splitlines())
    kept = sum(len(path.read_text().splitlines()) for path in root.glob("evaluations/*/*.jsonl"))
    assert kept > 0
    progress = Progress(2, 16)
    with RecordWriter(root, sweep=sweep.name, host="here", pid=1) as writer:
        Driver(sweep, writer, progress).run(SerialExecutor(1))
    assert (progress.done, progress.trained) == (2, 16 - kept)


def test_what_lacks_a_metric_counts_as_not_on_record(run_sweep, plugin, monkeypatch):
    import derby_test_plugin

    from harness.trial import Curve, Evaluation, Objective, Status
    from results.tables import read_tables

    kind = derby_test_plugin.Troublesome
    text = trouble("none")
    run_sweep(text)
    define, evaluate = kind._define, kind.evaluate

    def defined(self):
        define(self)
        self.objective = Objective("val_new", "min", failure=10.0, test_metric="test_loss")

    def evaluated(self, config, **rest):
        made = evaluate(self, config, **rest)
        return Evaluation(Status.OK, Curve({**made.curve, "val_new": made.curve["val_loss"]}), made.epochs)

    monkeypatch.setattr(kind, "_define", defined)
    monkeypatch.setattr(kind, "evaluate", evaluated)
    progress = run_sweep(text.replace("evaluations: 8", "evaluations: 9"))
    assert not progress.failed
    assert (progress.trained, progress.reused) == (18, 0)
    tables = read_tables(run_sweep.root, "trouble")
    assert tables.epochs["val_new"].notna().all()
    assert len(tables.epochs) == 18 * 9


SHORT = """\
name: short
repetitions: 2
budget: {epochs: 100}
tasks: [troublesome]
searchers:
  - {name: references, settings: {configurations: [{x: 0.25, n: 1}, {x: 0.75, n: 2}]}}
  - random
"""


def test_a_study_that_ends_with_budget_left_is_named_everywhere(
    run_sweep, plugin, tmp_path, monkeypatch, capsys
):
    from analysis.report.page import build
    from analysis.statistics.completeness import ended_short
    from harness.commands import running
    from results.tables import read_tables

    progress = run_sweep(SHORT)
    labels = [f"references on troublesome, repetition {number}" for number in range(2)]
    assert {label: spent for label, (spent, *_) in progress.short.items()} == dict.fromkeys(labels, 18)
    assert list(run_sweep(SHORT).short) == labels  # also where all was done before
    (tmp_path / "short.yaml").write_text(SHORT)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    for call in (lambda: running.run(tmp_path / "short.yaml", results=run_sweep.root), None):
        try:
            if call:
                call()
            else:
                running.status("short", results=run_sweep.root)
        except typer.Exit as end:
            assert end.exit_code == 0
        said = capsys.readouterr().out
        for label in labels:
            assert (
                f"short of its budget: {label}: ended after 18 of 100 epochs; its searcher had nothing more"
                in said
            )
    tables = read_tables(run_sweep.root, "short")
    (row,) = ended_short(tables).to_dict("records")
    assert (row["searcher"], row["repetitions"], row["budget"]) == ("references", 2, 100)
    assert (row["low"], row["high"]) == (18, 18)
    page = build(tables, tmp_path / "report", processes=1).read_text()
    sentence = (
        "Ended short of the budget, with nothing more to propose: references on troublesome (18 of 100 epochs"
    )
    assert page.count(sentence) > 3  # the notice, and the captions of what ranks it


@pytest.mark.parametrize(
    ("searcher", "needs"),
    [("random", 9), ("optuna_hyperband", 0), ("kerastuner_hyperband", 0), ("raytune_asha", 0)],
)
def test_a_budget_that_pays_for_no_evaluation_is_refused_with_its_line(plugin, searcher, needs):
    from harness.errors import SweepError

    text = trouble("none", searcher).replace("evaluations: 8", "epochs: 5")
    if not needs:
        parse_sweep(text, "sweep.yaml")
        return
    message = f"line 7.*its budget of 5 epochs pays for no evaluation: the first needs {needs}"
    with pytest.raises(SweepError, match=message):
        parse_sweep(text, "sweep.yaml")


@pytest.mark.tensorflow  # which Keras Tuner loads
def test_the_shortest_first_evaluation_is_what_a_search_begins_with(plugin):
    from harness import registry
    from harness.space import Float, Space
    from harness.trial import Budget, Fidelity, Objective, Problem

    budget = Budget("epochs", 1000)
    for name, settings in {
        "random": {},
        "references": {"configurations": [{"x": 0.5}], "epochs": 4},
        "optuna_sha": {"min_early_stopping_rate": 1},
        "kerastuner_hyperband": {"factor": 2},
        "raytune_asha": {"grace_period": 3},
    }.items():
        for high in (9, 10, 27, 30):
            problem = Problem(
                Space({"x": Float(0, 1)}), Fidelity(1, high), Objective("loss", "min", failure=1.0)
            )
            kind = registry.searcher(name)
            least = kind.least_epochs(problem, budget, kind.Settings(**settings))
            first = kind(problem, seed=0, budget=budget, **settings).ask()
            assert first.epochs == least, (name, high)


def cut(root, study, lines):
    """Leave the first lines of a study's journal."""
    path = Layout(root).study(study)
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:lines]))


@pytest.mark.parametrize(
    ("budget", "task", "searcher"),
    [
        ("evaluations: 8", "branin", "random"),
        ("cost: 8", "branin", "random"),
        ("full: 8", "replay/fashion_mlp-small", "optuna_hyperband"),
    ],
)
def test_what_is_shown_after_a_resume_is_of_the_whole_record(run_sweep, budget, task, searcher):
    """Best values, evaluations, statuses and what is left: also those of finished studies and of what is repeated."""
    text = f"{{name: seen, repetitions: 3, budget: {{{budget}}}, tasks: [{task}], searchers: [{searcher}]}}"
    whole = run_sweep(text)
    assert whole.left == pytest.approx(0, abs=1e-6)
    assert whole.worked > 0
    studies = [planned.study for planned in Layout(run_sweep.root).plan("seen").studies]
    cut(run_sweep.root, studies[1], 8)
    Layout(run_sweep.root).study(studies[2]).unlink()

    sweep = parse_sweep(text, "sweep.yaml")
    resumed = Progress(len(sweep.studies), 0)
    with RecordWriter(run_sweep.root, sweep="seen", host="here", pid=1) as writer:
        driver = Driver(sweep, writer, resumed)
        shown = {study: read_study(Layout(run_sweep.root).study(study)).told for study in studies}
        assert resumed.told_before == sum(map(len, shown.values())) > len(shown[studies[0]])
        assert resumed.best[sweep.studies[0].task].loss == min(
            told.loss for each in shown.values() for told in each if told.status == "ok"
        )
        assert 8 < resumed.left < 16
        driver.run(SerialExecutor(1))
    assert resumed.told_before + resumed.told == whole.told
    assert resumed.statuses == whole.statuses
    assert resumed.reused == resumed.told  # what a study repeats is neither told again nor reused
    assert resumed.left == pytest.approx(0, abs=1e-6)
    (label,) = whole.best
    assert (resumed.best[label].value, resumed.best[label].searcher) == (
        whole.best[label].value,
        whole.best[label].searcher,
    )


def test_a_study_that_ends_early_leaves_nothing_to_wait_for(run_sweep):
    progress = run_sweep(
        "{name: few, repetitions: 1, budget: {evaluations: 5000}, tasks: [branin], "
        "searchers: [{name: grid, settings: {resolution: 3}}]}"
    )
    assert progress.told == 9
    assert progress.left == 0
