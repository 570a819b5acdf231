"""Winners re-evaluated: with fresh seeds, charged to nobody, the same by any executor and after any crash."""

from __future__ import annotations

import json
import re
import signal
import time
from pathlib import Path

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st
from records import study_records
from test_crash import start
from test_driver import Shuffled

from harness.commands import running
from harness.errors import SweepError
from harness.events import Told
from harness.executors.serial import SerialExecutor
from harness.reevaluation import final_incumbent
from harness.sweep import parse_sweep
from harness.trial import Status
from results.layout import Layout
from results.tables import export, read_exported, read_tables

SWEEP = """\
name: again
seed: 3
repetitions: 2
budget: {{epochs: 45}}
tasks:
  - {{name: troublesome, options: {{trouble: {trouble}, folder: "{folder}"}}}}
  - branin
searchers: [random, grid, {{name: grid, label: other, settings: {{order: lexicographic}}}}]
"""
AGAIN = "reevaluate: 3\n"
MEASURED = ["seconds", "machine"]


def sweep(folder: object = "", trouble: str = "none") -> str:
    return SWEEP.format(folder=folder, trouble=trouble)


def reevaluated(root: Path):
    return read_tables(root, "again").reevaluations.drop(columns=MEASURED)


def test_nothing_else_of_the_record_changes(run_sweep, plugin, tmp_path):
    run_sweep(sweep(), tmp_path / "plain")
    progress = run_sweep(sweep() + AGAIN, tmp_path / "again")
    assert study_records(tmp_path / "plain") == study_records(tmp_path / "again")
    assert (progress.reevaluated, progress.reevaluated_before, progress.unreevaluated) == (36, 0, {})
    before, after = read_tables(tmp_path / "plain", "again"), read_tables(tmp_path / "again", "again")
    timed = ["train_seconds", "total_seconds", "seconds", "ask_seconds", "tell_seconds", "machine"]
    assert after.trials.drop(columns=timed).equals(before.trials.drop(columns=timed))
    assert after.studies.equals(before.studies)
    assert before.reevaluations.empty
    assert before.reevaluations.dtypes.equals(after.reevaluations.dtypes)


def test_the_final_incumbents_are_what_is_evaluated_again(run_sweep, plugin, tmp_path):
    from analysis.statistics.steps import incumbents

    run_sweep(sweep() + AGAIN)
    tables = read_tables(run_sweep.root, "again")
    rows = tables.reevaluations
    assert len(rows) == 2 * 2 * 3 * 3
    assert set(rows["status"]) == {"ok"}
    assert rows.groupby("study")["number"].agg(list).map(tuple).unique().tolist() == [(1, 2, 3)]
    last = incumbents(tables).groupby(["task", "searcher", "repetition"]).last()
    for place, own in rows.groupby(["task", "searcher", "repetition"]):
        assert set(own["incumbent_value"]) == {last.loc[place, "validation"]}
        trials = tables.trials[(tables.trials["study"] == own["study"].iloc[0])]
        winner = trials.set_index("step").loc[own["step"].iloc[0]]
        assert winner["value"] == own["incumbent_value"].iloc[0]
        assert set(own["epochs"]) == {winner["epochs"]}
        if place[0] == "branin":  # no seed plays a part
            assert (own["value"] == own["incumbent_value"]).all()
        else:
            assert not (own["value"] == own["incumbent_value"]).any()
            assert (own["test"] - own["value"]).round(9).eq(0.1).all()
            assert own["value"].nunique() == 3


def test_no_seed_of_a_search_is_used_again(run_sweep, plugin):
    text = sweep() + AGAIN
    run_sweep(text)
    rows = read_tables(run_sweep.root, "again").reevaluations
    searched = {study.key.training_seed for study in parse_sweep(text, "s.yaml").studies}
    assert not searched & set(rows["seed"])
    # The methods of a repetition share seeds; tasks and repetitions do not.
    assert rows.groupby(["task", "repetition", "number"])["seed"].nunique().eq(1).all()
    assert rows["seed"].nunique() == 2 * 2 * 3


@pytest.mark.parametrize(
    "kind", [SerialExecutor, Shuffled]
)  # in which the other's is on record, or in flight
def test_methods_that_end_in_the_same_configuration_share_what_is_trained(run_sweep, plugin, tmp_path, kind):
    # Both grids visit all six points of the space's corners in other orders.
    text = sweep(tmp_path).replace("{epochs: 45}", "{evaluations: 60}").replace("  - branin\n", "")
    progress = run_sweep(text + AGAIN, executor=kind(1))
    rows = read_tables(run_sweep.root, "again").reevaluations
    assert progress.reevaluated == len(rows) == 18
    both = rows[rows["searcher"].isin(["grid", "other"])]
    assert both.groupby(["repetition", "number"])["evaluation"].nunique().eq(1).all()
    trained = (tmp_path / "trained").read_text().splitlines()
    assert len(trained) == len(set(trained))


def test_any_executor_gives_the_same(run_sweep, plugin, tmp_path):
    run_sweep(sweep() + AGAIN, tmp_path / "serial")
    run_sweep(sweep() + AGAIN, tmp_path / "shuffled", executor=Shuffled(1))
    assert reevaluated(tmp_path / "serial").equals(reevaluated(tmp_path / "shuffled"))
    assert study_records(tmp_path / "serial") == study_records(tmp_path / "shuffled")


def test_a_later_run_adds_them_and_trains_nothing_else(run_sweep, plugin, tmp_path):
    text = sweep(tmp_path)
    run_sweep(text)
    lines = (tmp_path / "trained").read_text().splitlines()
    first = run_sweep(text + AGAIN)
    rows = read_tables(run_sweep.root, "again").reevaluations
    assert first.trained == rows["evaluation"].nunique()
    assert (first.told, first.complete, first.reevaluated) == (0, 12, 36)
    more = run_sweep(text + "reevaluate: 4\n")
    assert (more.told, more.reevaluated_before, more.reevaluated) == (0, 36, 12)
    again = run_sweep(text + "reevaluate: 4\n")
    assert (again.trained, again.reevaluated_before, again.reevaluated) == (0, 48, 0)
    trained = (tmp_path / "trained").read_text().splitlines()
    assert trained[: len(lines)] == lines
    rows = read_tables(run_sweep.root, "again").reevaluations
    fresh = rows.loc[rows["task"] != "branin", "evaluation"].nunique()
    assert len(trained) == len(set(trained)) == len(lines) + fresh


@pytest.mark.slow
def test_killed_in_the_middle_it_goes_on_to_the_same_record(run_sweep, plugin, tmp_path):
    text = sweep(tmp_path, "sleep") + "reevaluate: 40\n"
    run_sweep(text, tmp_path / "whole")
    (tmp_path / "trained").unlink()
    file, results = tmp_path / "sweep.yaml", tmp_path / "killed"
    file.write_text(text)
    process, deadline = start(file, results, plugin), time.monotonic() + 120

    def begun() -> bool:
        try:
            return bool((read_tables(results, "again").reevaluations["status"] == "ok").sum() >= 5)
        except Exception:  # noqa: BLE001 - there is no plan yet
            return False

    while not begun() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    assert process.poll() is None, "it ended before it was killed"
    process.send_signal(signal.SIGKILL)
    process.wait()
    missing = (read_tables(results, "again").reevaluations["status"] == "missing").sum()
    assert missing > 0
    resumed = run_sweep(text, results)
    assert resumed.reevaluated_before >= 5
    assert resumed.reevaluated > 0
    assert study_records(results) == study_records(tmp_path / "whole")
    assert reevaluated(results).equals(reevaluated(tmp_path / "whole"))
    trained = (tmp_path / "trained").read_text().splitlines()
    assert len(trained) - len(set(trained)) <= 1  # what was in flight at the kill


def test_failures_are_recorded_and_told_apart_from_bugs(run_sweep, plugin, tmp_path, monkeypatch, capsys):
    import derby_test_plugin

    kind = derby_test_plugin.Troublesome
    text = sweep().replace("  - branin\n", "")
    searched = {study.key.training_seed for study in parse_sweep(text, "s.yaml").studies}
    from harness.trial import Evaluation

    evaluate = kind.evaluate

    def diverging(self, config, *, epochs, seed, **rest):
        if seed in searched:
            return evaluate(self, config, epochs=epochs, seed=seed, **rest)
        if seed % 2:
            raise ZeroDivisionError("a bug at odd seeds")
        return Evaluation(Status.DIVERGED, self._curve(config, seed, 1), 2, message="NaN")

    monkeypatch.setattr(kind, "evaluate", diverging)
    progress = run_sweep(text + "reevaluate: 6\n")
    rows = read_tables(run_sweep.root, "again").reevaluations
    odd = rows["seed"] % 2 == 1
    assert set(rows.loc[odd, "status"]) == {"missing"}
    assert set(rows.loc[~odd, "status"]) == {"diverged"}
    assert rows["value"].isna().all()
    assert rows["incumbent_value"].notna().all()
    assert progress.failed == {}
    assert progress.done == progress.studies
    assert not progress.ended_well
    assert len(progress.unreevaluated) == odd.sum() > 0
    label, message = next(iter(progress.unreevaluated.items()))
    assert re.fullmatch(r"\w+ on troublesome.*, repetition \d, re-evaluation \d", label)
    assert "ZeroDivisionError: a bug at odd seeds" in message
    running.status("again", results=run_sweep.root)
    said = capsys.readouterr().out
    assert f"re-evaluations of the winners: {(~odd).sum()} of 36 of the studies that are done (" in said
    assert f"{(~odd).sum()} diverged)" in said
    # The next run tries again what a bug ended, and only that.
    monkeypatch.setattr(kind, "evaluate", evaluate)
    mended = run_sweep(text + "reevaluate: 6\n")
    assert mended.ended_well
    assert mended.reevaluated == odd.sum()


def test_an_evaluator_that_dies_at_it_is_recorded_as_a_crash(run_sweep, plugin, monkeypatch):
    import derby_test_plugin

    kind = derby_test_plugin.Troublesome
    text = sweep().replace("  - branin\n", "")
    searched = {study.key.training_seed for study in parse_sweep(text, "s.yaml").studies}
    evaluate = kind.evaluate

    def starving(self, config, *, seed, **rest):
        if seed not in searched:
            raise MemoryError("none left")
        return evaluate(self, config, seed=seed, **rest)

    monkeypatch.setattr(kind, "evaluate", starving)
    progress = run_sweep(text + AGAIN)
    assert set(read_tables(run_sweep.root, "again").reevaluations["status"]) == {"crashed"}
    assert progress.ended_well
    assert progress.reevaluated == 18


def test_a_study_without_a_success_has_no_winner(run_sweep, plugin):
    text = f"""\
name: again
repetitions: 2
budget: {{evaluations: 1}}
tasks: [{{name: troublesome, options: {{trouble: diverge}}}}]
searchers:
  - {{name: references, label: bad, settings: {{configurations: [{{x: 0.9, n: 1}}]}}}}
  - {{name: references, label: good, settings: {{configurations: [{{x: 0.1, n: 1}}]}}}}
{AGAIN}"""
    progress = run_sweep(text)
    rows = read_tables(run_sweep.root, "again").reevaluations
    assert rows["searcher"].tolist() == ["good"] * 6
    assert progress.ended_well
    assert progress.reevaluated == 6


def test_they_are_planned_counted_exported_and_published(run_sweep, plugin, tmp_path, monkeypatch, capsys):
    from harness.errors import RecordError
    from results.published import publish, verify

    monkeypatch.setenv("COLUMNS", "200")
    text, file = sweep() + AGAIN, tmp_path / "again.yaml"
    file.write_text(text)
    running.plan(file, results=run_sweep.root)
    said = " ".join(capsys.readouterr().out.split())
    assert "re-evaluations done" in said
    assert "3 fresh seeds, charged to nobody: 36 re-evaluations." in said
    assert "0/18" in said
    run_sweep(text.replace(AGAIN, ""))
    run_sweep.root.joinpath("sweeps/again/plan.json").unlink()
    from results.writer import RecordWriter

    planned = parse_sweep(text, "s.yaml")
    with RecordWriter(run_sweep.root, sweep="again", host="here", pid=1) as writer:
        writer.write_sweep("again", text, planned.as_plan())
    tables = read_tables(run_sweep.root, "again")
    assert set(tables.reevaluations["status"]) == {"missing"}

    def draw(tables, folder):
        (folder / "tables").mkdir()
        (folder / "tables" / "again.csv").write_text(tables.reevaluations.to_csv())

    with pytest.raises(
        RecordError, match=r"not finished: of 36 re-evaluations 36 missing; run it to its end"
    ):
        publish(tables, tmp_path / "published", "again", draw)
    run_sweep(text)
    running.plan(file, results=run_sweep.root)
    assert "18/18" in capsys.readouterr().out
    tables = read_tables(run_sweep.root, "again")
    export(tables, tmp_path / "tidy")
    assert read_exported(tmp_path / "tidy").reevaluations.equals(tables.reevaluations)
    publish(tables, tmp_path / "published", "again", draw)
    assert verify(tmp_path / "published", "again", draw).true


def test_two_folders_are_compared_with_the_re_evaluations_of_the_studies_used(run_sweep, plugin, tmp_path):
    from results.merge import merged

    run_sweep(sweep() + AGAIN, tmp_path / "a")
    run_sweep(sweep() + AGAIN, tmp_path / "b")
    sources = {name: read_tables(tmp_path / name, "again") for name in "ab"}
    rows = merged(sources).reevaluations
    assert rows.drop(columns=MEASURED).equals(reevaluated(tmp_path / "a"))


@pytest.mark.parametrize(
    ("given", "message"), [("-1", "greater than or equal to 0"), ("1001", "1000"), ("yes", "integer")]
)
def test_what_is_no_number_of_seeds_is_refused_with_its_line(plugin, given, message):
    with pytest.raises(SweepError, match=rf"sweep.yaml, line 9, reevaluate: .*{message}.*got '?{given}"):
        parse_sweep(sweep() + f"reevaluate: {given}\n", "sweep.yaml")


@given(
    st.lists(st.none() | st.floats(-3, 3).map(lambda x: round(x, 1)), max_size=12),
    st.sampled_from(["min", "max"]),
)
def test_the_earliest_of_the_best_is_the_winner(values, direction):
    told = [
        Told(i, Status.DIVERGED if v is None else Status.OK, v, None, 0.0, 1, float(i), 0.0, 0.0, "")
        for i, v in enumerate(values)
    ]
    good = [v for v in values if v is not None]
    best = None if not good else values.index(min(good) if direction == "min" else max(good))
    assert final_incumbent(told, direction) == best


def test_the_run_says_how_many_there_were(run_sweep, plugin, tmp_path, capsys):
    file = tmp_path / "again.yaml"
    file.write_text(sweep() + AGAIN)
    with pytest.raises(typer.Exit) as end:
        running.run(file, results=run_sweep.root)
    assert end.value.exit_code == 0
    said = capsys.readouterr().out
    assert "re-evaluations 36/36" in said
    assert "re-evaluations of winners: 36 of 36 on record" in said
    (run,) = (Layout(run_sweep.root).sweep("again") / "runs").glob("*.json")
    counts = json.loads(run.read_text())["counts"]
    assert (counts["reevaluated"], counts["unreevaluated"]) == (36, {})
