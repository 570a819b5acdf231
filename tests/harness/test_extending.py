"""Extending a published sweep: only what is not published is run, and both are published as one sweep."""

from __future__ import annotations

import functools
import shutil

import pandas as pd
import pytest
from command import derby as derby_of_any_width
from stand_in import draw

from analysis.report.notices import notices
from analysis.statistics.inputs import prepare
from harness.errors import RecordError
from results.columns import TRIALS
from results.extended import whole
from results.published import publish
from results.tables import read_exported, read_tables

derby = functools.partial(derby_of_any_width, COLUMNS="300")

PUBLISHED = """\
name: race
seed: 2
repetitions: 2
budget: {evaluations: 12}
incompatible: leave_out
tasks: [branin, mixed]
searchers: [random, {name: random, label: spread, settings: {design: sobol}}, optuna_cmaes]
baselines: [random_2x, best]
compare: {methods: [random, spread]}
"""
MORE = (
    PUBLISHED.replace("repetitions: 2", "repetitions: 3")
    .replace("tasks: [branin", "tasks: [hartmann6, branin")
    .replace("[random, {", "[random, optuna_tpe, {")
)
MEASURED = [name for name in TRIALS if "seconds" in name or name == "machine"]


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with a published race, its record gone, and a sweep file that asks for more."""
    monkeypatch.setattr("analysis.report.page.build", draw)
    (tmp_path / "race.yaml").write_text(PUBLISHED)
    assert derby("run", "race.yaml", "--results", "raced", cwd=tmp_path).returncode == 0
    publish(read_tables(tmp_path / "raced", "race"), tmp_path / "results/published", "race", draw)
    shutil.rmtree(tmp_path / "raced")
    (tmp_path / "race.yaml").write_text(MORE)
    return tmp_path


def extend(here, *options, command="run"):
    return derby(command, "race.yaml", "--extend", "race", *options, cwd=here)


def test_what_is_published_is_not_run_again_and_both_are_what_one_run_of_all_gives(here, run_sweep):
    planned = extend(here, command="plan")
    assert "extends race: 10 studies published, 23 left to run" in planned.stdout, planned.stderr
    done = extend(here)
    assert done.returncode == 0, done.stderr
    assert "23 of 23 studies done" not in done.stdout  # those of baselines are among them
    assert "repetitions are added (2 → 3) after results of 2 existed" in done.stdout
    rest = read_tables(here / "results/local", "race")
    assert len(rest.studies) == 23
    assert "extends race: 10 studies published by that name" in derby("status", "race", cwd=here).stdout

    both = whole(rest, here / "results/published")
    run_sweep(MORE, here / "at once")
    once = read_tables(here / "at once", "race")
    pd.testing.assert_frame_equal(both.studies, once.studies)
    for name in ("trials", "baseline_trials"):
        ours, theirs = (getattr(tables, name).drop(columns=MEASURED) for tables in (both, once))
        keys = ["study", "step"]
        if name == "baseline_trials":  # no figure depends on whose come first
            ours, theirs = (frame.sort_values(keys, ignore_index=True) for frame in (ours, theirs))
        pd.testing.assert_frame_equal(ours, theirs)
    pd.testing.assert_frame_equal(both.tasks, once.tasks)
    order = ["task", "baseline", "repetition"]
    pd.testing.assert_frame_equal(
        *(tables.baselines.sort_values(order, ignore_index=True) for tables in (both, once))
    )
    epochs = [tables.epochs.drop(columns="seconds") for tables in (both, once)]
    pd.testing.assert_frame_equal(*epochs, check_like=True)
    assert both.provenance["sweep"] == MORE
    assert both.left_out == once.left_out
    assert [(look.complete, look.before, look.after) for look in both.looks] == [(2, 2, 3)]
    assert both.compared is not None
    assert both.compared.beforehand
    assert both.extends is None


def test_both_are_published_verified_entered_and_extended_again(here):
    assert extend(here).returncode == 0
    published = derby("publish", "race", "--replace", cwd=here)
    assert published.returncode == 0, published.stderr
    assert len(read_exported(here / "results/published/race").studies) == 33
    verified = derby("verify", "--rerun", "3", cwd=here)
    assert verified.returncode == 0, verified.stdout + verified.stderr
    entered = derby("enter", "hyperopt_random", "--race", "race", "--no-report", cwd=here)
    assert entered.returncode == 0, entered.stderr
    assert "studies 9/9" in entered.stdout
    nothing = extend(here)
    assert nothing.returncode == 2
    assert "all of sweep 'race', 33 studies, is published as 'race': nothing is left to run" in nothing.stderr
    (here / "race.yaml").write_text(MORE.replace("repetitions: 3", "repetitions: 4"))
    again = extend(here)
    assert again.returncode == 0, again.stderr
    assert "33 studies published, 11 left to run" in again.stdout


def test_a_run_of_the_whole_after_an_extension_says_what_it_runs_again(here):
    assert extend(here).returncode == 0
    alone = derby("run", "race.yaml", cwd=here)
    assert alone.returncode == 0, alone.stderr
    assert "run here again: 10 studies published as 'race', which this sweep extended before" in alone.stdout
    assert len(read_tables(here / "results/local", "race").studies) == 33


def test_an_extension_goes_on_after_an_interruption(here):
    assert extend(here).returncode == 0
    gone = sorted((here / "results/local/studies").iterdir())[::2]
    for journal in gone:
        journal.unlink()
    again = extend(here)
    assert again.returncode == 0, again.stderr
    both = whole(read_tables(here / "results/local", "race"), here / "results/published")
    assert set(both.studies["state"]) == {"done"}
    assert len(both.studies) == 33


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            ("budget: {evaluations: 12}", "budget: {evaluations: 13}"),
            "10 of 10 studies published as",
        ),
        (
            ("design: sobol", "design: uniform"),
            "4 of 10 studies published as 'race' are none of",
        ),
        (("seed: 2", "seed: 3"), "10 of 10 studies"),
        (("baselines: [random_2x, best]", "baselines: [random_3x]"), "baselines"),
    ],
)
def test_a_file_that_is_no_extension_is_refused_and_leaves_nothing(here, change, said):
    text = PUBLISHED if "baselines" in said else MORE
    (here / "race.yaml").write_text(text.replace(*change))
    refused = extend(here)
    assert refused.returncode == 2
    assert said in refused.stderr
    assert not (here / "results/local").exists()


def test_an_entry_is_not_extended_and_a_name_must_be_published(here):
    assert (
        derby("enter", "optuna_tpe", "--race", "race", "--no-report", "--publish", cwd=here).returncode == 0
    )
    refused = derby("run", "race.yaml", "--extend", "race-optuna_tpe", cwd=here)
    assert refused.returncode == 2
    assert "'race-optuna_tpe' is an entry into 'race', and is not extended: extend 'race'" in refused.stderr
    unknown = derby("run", "race.yaml", "--extend", "rice", cwd=here)
    assert unknown.returncode == 3
    assert "nothing published as 'rice'" in unknown.stderr


def test_what_is_extended_must_be_as_it_was(here, run_sweep):
    assert extend(here).returncode == 0
    published = here / "results/published"
    (published / "race" / "report.html").write_text("another page")
    refused = derby("publish", "race", "--as", "both", cwd=here)
    assert refused.returncode == 3
    assert "is not as it was published: report.html was changed" in refused.stderr
    shutil.rmtree(published / "race")
    with pytest.raises(RecordError, match="nothing published as 'race'"):
        whole(read_tables(here / "results/local", "race"), published)
    run_sweep(PUBLISHED, here / "raced anew")
    publish(read_tables(here / "raced anew", "race"), published, "race", draw)
    with pytest.raises(RecordError, match="is another than this sweep extends"):
        whole(read_tables(here / "results/local", "race"), published)


def test_reports_and_exports_are_of_both_and_of_the_extension_alone_only_where_it_is_all_there_is(here):
    assert extend(here).returncode == 0
    for command in ("export", "report"):
        done = derby(command, "race", "--out", command, cwd=here)
        assert done.returncode == 0, done.stderr
    assert len(read_exported(here / "export").studies) == 33
    assert "33 studies" in (here / "report/report.html").read_text()
    elsewhere = derby("report", "race", "--out", "rest", "--published", "elsewhere", cwd=here)
    assert elsewhere.returncode == 0, elsewhere.stderr
    assert "23 studies" in (here / "rest/report.html").read_text()
    rest = read_tables(here / "results/local", "race")
    assert any(
        "These are only the studies that extend 'race': 10 more" in item for item in notices(prepare(rest))
    )
