"""Baselines: run beside the methods, of which nothing changes; shared with random search, resumed, tabled, merged."""

from __future__ import annotations

import shutil

import numpy as np
import pandas as pd
import pytest
from command import derby
from records import study_records
from test_driver import Shuffled

from analysis.statistics.baselines import baseline_values
from analysis.statistics.comparison import compare, ranking
from analysis.statistics.inputs import prepare
from harness.errors import RecordError, SweepError
from harness.side import run as run_side
from harness.sweep import parse_sweep
from harness.watch.overview import Overview
from results.layout import Layout
from results.merge import merged, read
from results.published import publish
from results.sources import source_of
from results.summary import expected_cost, read_records, state_counts
from results.tables import export, read_exported, read_tables

PLAIN = """\
name: beaten
seed: 3
repetitions: 2
budget: {budget}
tasks:
  - {{name: troublesome, options: {{trouble: {trouble}, folder: "{folder}"}}}}
  - branin
searchers: [random, grid]
"""
BASELINES = "baselines: [best, random_2x, random_4x]\n"
REPLAY = """\
name: replayed
repetitions: 2
budget: {full: 2}
tasks: [replay/fashion_mlp-small, branin]
searchers: [random, grid]
baselines: [references, random_2x, best, median]
"""


def sweep(budget="{evaluations: 6}", folder="", trouble="none"):
    return PLAIN.format(budget=budget, folder=folder, trouble=trouble)


TIMED = ["train_seconds", "total_seconds", "seconds", "ask_seconds", "tell_seconds", "machine"]


def test_nothing_of_the_methods_changes(run_sweep, plugin, tmp_path):
    run_sweep(sweep(), tmp_path / "plain")
    run_sweep(sweep() + BASELINES, tmp_path / "beside")
    plain, beside = (read_tables(tmp_path / name, "beaten") for name in ("plain", "beside"))
    assert beside.studies.equals(plain.studies)
    assert beside.trials.drop(columns=TIMED).equals(plain.trials.drop(columns=TIMED))
    pd.testing.assert_frame_equal(
        ranking(compare(prepare(beside))), ranking(compare(prepare(plain))), check_exact=True
    )
    assert plain.baselines.empty
    assert plain.baseline_trials.empty
    assert plain.baselines.dtypes.equals(beside.baselines.dtypes)
    assert plain.baseline_trials.dtypes.equals(beside.baseline_trials.dtypes)
    methods = study_records(tmp_path / "plain")
    assert methods.items() <= study_records(tmp_path / "beside").items()


@pytest.mark.parametrize("kind", [None, Shuffled])
def test_of_random_search_only_what_is_additional_is_trained(run_sweep, plugin, tmp_path, kind):
    text = sweep(folder=tmp_path).replace("  - branin\n", "").replace("best, ", "")
    more = text + BASELINES.replace("best, ", "")
    progress = run_sweep(more, executor=kind and kind(1))
    trained = (tmp_path / "trained").read_text().splitlines()
    assert len(trained) == progress.trained
    tables = read_tables(run_sweep.root, "beaten")
    assert len(tables.baseline_trials) == 2 * 24
    both = pd.concat([tables.trials, tables.baseline_trials])
    assert progress.trained == both["evaluation"].nunique()
    random = tables.trials[tables.trials["searcher"] == "random"].set_index(["repetition", "step"])
    longer = tables.baseline_trials.set_index(["repetition", "step"])
    same = ["config", "evaluation", "value"]
    assert random[same].sort_index().equals(longer.loc[random.index, same].sort_index())


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("budget", ["{evaluations: 6}", "{epochs: 40}", "{cost: 50}"])
def test_a_line_is_where_random_search_with_that_budget_ends(run_sweep, plugin, tmp_path, budget, workers):
    text = sweep(budget) + f"workers: {workers}\n"
    run_sweep(text + BASELINES, tmp_path / "beside")
    kind, amount = budget.strip("{}").split(": ")
    run_sweep(text.replace(amount, str(2 * int(amount))), tmp_path / "twice")
    values = baseline_values(read_tables(tmp_path / "beside", "beaten"))
    twice = prepare(read_tables(tmp_path / "twice", "beaten")).finals.query("searcher == 'random'")
    own = values[values["baseline"] == "random_2x"].set_index(["task", "repetition"])["validation"]
    alone = twice.set_index(["task", "repetition"])["validation"]
    assert kind in ("evaluations", "epochs", "cost")
    pd.testing.assert_series_equal(own.sort_index(), alone.sort_index(), check_exact=True)


def test_any_executor_gives_the_same_and_what_is_recorded_is_not_run_again(run_sweep, plugin, tmp_path):
    text = sweep("{epochs: 45}") + BASELINES
    run_sweep(text, tmp_path / "serial")
    run_sweep(text, tmp_path / "shuffled", executor=Shuffled(1))
    assert study_records(tmp_path / "serial") == study_records(tmp_path / "shuffled")
    again = run_sweep(text, tmp_path / "serial")
    assert (again.trained, again.done) == (0, 0)
    # Asked for later, they are what they would have been; of a study cut short the rest is run.
    run_sweep(sweep("{epochs: 45}"), tmp_path / "later")
    run_sweep(text, tmp_path / "later")
    assert study_records(tmp_path / "later") == study_records(tmp_path / "serial")
    plan = Layout(tmp_path / "later").plan("beaten")
    journal = Layout(tmp_path / "later").study(plan.baselines[0].study)
    journal.write_text("".join(journal.read_text().splitlines(keepends=True)[:9]))
    tables = read_tables(tmp_path / "later", "beaten")
    first = tables.baselines[tables.baselines["study"] == plan.baselines[0].study]
    assert set(first["state"]) == {"running"}
    assert baseline_values(tables).loc[first.index, "validation"].isna().all()
    run_sweep(text, tmp_path / "later")
    assert study_records(tmp_path / "later") == study_records(tmp_path / "serial")


def test_winners_of_baselines_are_not_evaluated_again(run_sweep, plugin):
    progress = run_sweep(sweep() + BASELINES + "reevaluate: 2\n")
    assert progress.reevaluated == 2 * 2 * 2 * 2
    assert set(read_tables(run_sweep.root, "beaten").reevaluations["searcher"]) == {"random", "grid"}


def test_what_is_known_of_a_recording_is_the_mean_over_its_seeds(run_sweep):
    from tasks.replay import Replay

    run_sweep(REPLAY)
    tables = read_tables(run_sweep.root, "replayed")
    recording = Replay(recording="fashion_mlp-small").recording
    last = recording.curves[:, :, -1]
    rows = [
        np.mean([last[t] for t in own if t >= 0], axis=0)
        for own in recording.training
        if (own >= 0).all() and np.isfinite(last[own]).all()
    ]
    assert len(rows) > 0.9 * len(recording.configs)
    metrics = list(recording.about.metrics)
    value, test = np.array(rows)[:, [metrics.index("val_accuracy"), metrics.index("test_accuracy")]].T
    known = tables.baselines[tables.baselines["state"] == "known"].set_index(["task", "baseline"])
    best = known.loc["replay/fashion_mlp-small", "best"]
    assert best["value"] == pytest.approx(value.max(), abs=1e-12)
    assert best["test"] == pytest.approx(test[value.argmax()], abs=1e-12)
    assert (best["repetition"], best["study"]) == (-1, "")
    # Those that failed are worse than the median.
    failed = len(recording.configs) - len(rows)
    ordered = np.concatenate([np.full(failed, -np.inf), np.sort(value)])
    assert known.loc["replay/fashion_mlp-small", "median"]["value"] == pytest.approx(
        np.median(ordered), abs=1e-12
    )
    assert known.loc["branin", "best"]["value"] == pytest.approx(0.397887, abs=1e-6)
    assert np.isnan(known.loc["branin", "best"]["test"])


def test_references_are_each_evaluated_and_the_best_by_validation_counts(run_sweep):
    run_sweep(REPLAY)
    values = baseline_values(read_tables(run_sweep.root, "replayed"))
    own = values[values["repetition"] == 0].set_index("baseline")
    single = own[own.index.str.startswith("reference ")]
    assert list(single.index) == [
        "reference sgd",
        "reference momentum",
        "reference rmsprop",
        "reference adam",
    ]
    assert single["validation"].notna().all()
    best = single.loc[single["validation"].idxmax()]
    assert own.loc["references", ["validation", "test"]].tolist() == best[["validation", "test"]].tolist()
    assert "references" not in set(values.loc[values["task"] == "branin", "baseline"])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            "[random_1x]",
            r"line 8, baselines\[0\]: expected one of references, random_2x to random_100x .*'random_1x'",
        ),
        ("[best, medain]", r"line 8, baselines\[1\]: expected one of .*did you mean 'median'"),
        ("[best, best]", r"line 8, baselines: baseline 'best' is listed twice"),
        ("[references]", r"line 8, baselines\[0\]: no task of this sweep names a reference configuration"),
        ("best", r"line 8, baselines: input should be a valid list"),
    ],
)
def test_what_no_baseline_can_be_is_refused(given, message):
    text = "name: s\nrepetitions: 1\nbudget: {evaluations: 3}\ntasks:\n  - branin\nsearchers:\n  - random\n"
    with pytest.raises(SweepError, match=message):
        parse_sweep(f"{text}baselines: {given}\n", "s.yaml")


def test_what_is_known_of_an_own_function_is_a_baseline(run_sweep, tmp_path):
    path = tmp_path / "bowl.py"
    path.write_text(
        "from derby import Float, Known, task\n\n\n"
        '@task(space={"x": Float(-1.0, 1.0)}, direction="min", failure=1.0, known=Known(0.0, median=0.25))\n'
        "def bowl(config):\n"
        '    return config["x"] ** 2\n'
    )
    text = f'name: own\nrepetitions: 1\nbudget: {{evaluations: 3}}\ntasks: ["{path}:bowl"]\nsearchers: [random]\n'
    run_sweep(text + "baselines: [best, median]\n")
    found = read_tables(run_sweep.root, "own").baselines.set_index("baseline")
    assert found["value"].to_dict() == {"best": 0.0, "median": 0.25}
    assert found.loc["best", "about"] == "the best that is known"


def test_of_a_budget_too_large_to_be_multiplied_the_task_is_named():
    text = "name: s\nrepetitions: 1\nbudget: {evaluations: 500000000}\ntasks: [branin]\nsearchers: [random]\n"
    parse_sweep(text + "baselines: [random_2x]\n", "s.yaml")
    with pytest.raises(
        SweepError, match="4 times the budget of task 'branin' are 2000000000 evaluations, more than"
    ):
        parse_sweep(text + "baselines: [random_4x]\n", "s.yaml")


def test_no_method_is_called_as_a_baseline_is():
    text = "name: s\nrepetitions: 1\nbudget: {evaluations: 3}\ntasks: [branin]\n"
    text += "searchers: [{name: random, label: baseline  random_2x}]\n"
    parse_sweep(text, "s.yaml")
    with pytest.raises(SweepError, match=r"searchers\[0\]: label .* begins as those of baselines do"):
        parse_sweep(text + "baselines: [random_2x]\n", "s.yaml")


def test_plan_and_status_count_them(run_sweep, tmp_path):
    path = tmp_path / "replayed.yaml"
    path.write_text(REPLAY)
    said = " ".join(derby("plan", path, "--results", tmp_path / "results").stdout.split())
    assert (
        "14 studies, 40 evaluations; 2 tasks × 2 searchers × 2 repetitions, and 6 studies of baselines"
        in said
    )
    assert "references: 8 evaluations." in said
    assert "random_2x: 16 evaluations; the first 1/2 of them are those of random, evaluated once." in said
    assert "No references on branin: no configuration is named there." in said
    run_sweep(REPLAY)
    plan = Layout(run_sweep.root).plan("replayed")
    costs = expected_cost(run_sweep.root, plan)
    assert {label: (c.studies_done, c.studies, c.evaluations, c.seconds) for label, c in costs.items()} == {
        "replay/fashion_mlp-small": (8, 8, 4 * 2 + 2 * 4 + 2 * 4, 0.0),
        "branin": (6, 6, 4 * 2 + 2 * 4, 0.0),
    }
    counts = state_counts(read_records(run_sweep.root, plan))
    assert counts["replay/fashion_mlp-small", "baseline references"] == {"done": 2, "evaluations": 8}
    assert counts["branin", "baseline random_2x"] == {"done": 2, "evaluations": 8}
    shown = derby("status", "replayed", "--results", run_sweep.root).stdout
    assert "baseline random_2x" in shown
    assert "short of its budget" not in shown
    view = Overview(run_sweep.root, "replayed").view()
    assert view.words == "All 14 studies are done."
    rows = {row.searcher: row.baseline for row in view.recorded.tasks[0].rows}
    assert rows == {"random": False, "grid": False, "baseline references": True, "baseline random_2x": True}
    assert view.recorded.evaluations == view.recorded.evaluations_planned


def test_a_sweep_on_a_trained_task_says_that_they_are_trainings(plugin, tmp_path):
    path = tmp_path / "beaten.yaml"
    path.write_text(sweep() + BASELINES.replace("random_2x, ", ""))
    said = " ".join(derby("plan", path, "--results", tmp_path / "results").stdout.split())
    assert "random_4x: 96 evaluations; the first 1/4 of them are those of random, evaluated once." in said
    assert "On troublesome they are trainings" in said
    assert "No best on troublesome: it is not known of what trains." in said
    path.write_text(sweep().replace("[random, ", "[{name: random, settings: {design: sobol}}, ") + BASELINES)
    said = " ".join(derby("plan", path, "--results", tmp_path / "results").stdout.split())
    assert "none of them shared with a method" in said


def test_exported_tables_have_them_and_older_ones_are_read(run_sweep, tmp_path):
    run_sweep(REPLAY)
    tables = read_tables(run_sweep.root, "replayed")
    export(tables, tmp_path / "tables")
    again = read_exported(tmp_path / "tables")
    pd.testing.assert_frame_equal(again.baselines, tables.baselines)
    pd.testing.assert_frame_equal(again.baseline_trials, tables.baseline_trials)
    for name in ("baselines", "baseline_trials"):
        (tmp_path / "tables" / f"{name}.parquet").unlink()
    older = read_exported(tmp_path / "tables")
    assert baseline_values(older).empty
    assert older.baselines.dtypes.equals(tables.baselines.dtypes)


def test_an_unfinished_baseline_is_not_published(run_sweep, tmp_path):
    run_sweep(REPLAY)
    plan = Layout(run_sweep.root).plan("replayed")
    Layout(run_sweep.root).study(plan.baselines[0].study).unlink()
    with pytest.raises(RecordError, match="of 6 studies of baselines 1 missing"):
        publish(read_tables(run_sweep.root, "replayed"), tmp_path, "first", lambda *_: None)


def test_of_folders_together_each_baseline_is_taken_where_it_got_furthest(run_sweep, tmp_path):
    a, b = tmp_path / "a", tmp_path / "b"
    run_sweep(REPLAY, a)
    shutil.copytree(a, b)
    whole = baseline_values(read_tables(a, "replayed"))
    for place, planned in enumerate(Layout(a).plan("replayed").baselines):
        Layout(a if place % 2 else b).study(planned.study).unlink()
    both = merged({path.name: read(source_of(path)) for path in (a, b)})
    found = baseline_values(both)
    keys = ["task", "baseline", "repetition"]
    pd.testing.assert_frame_equal(
        found.sort_values(keys).reset_index(drop=True), whole.sort_values(keys).reset_index(drop=True)
    )


def test_a_gate_runs_no_baselines(tmp_path):
    path = tmp_path / "replayed.yaml"
    path.write_text(REPLAY.replace("replay/fashion_mlp-small, ", "").replace("references, ", ""))
    assert run_side(path, tmp_path / "side", 1) == 0
    plan = Layout(tmp_path / "side").plan("replayed")
    assert (len(plan.studies), plan.baselines, plan.known) == (2, [], [])
    assert len(list((tmp_path / "side" / "studies").glob("*.jsonl"))) == 2
