"""The tidy tables: every column documented, damaged journals named, exported and read back."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest

from harness.errors import RecordError
from results import columns, reading
from results.tables import export, read_exported, read_tables

SWEEP = """\
name: tables
repetitions: 2
budget: {epochs: 36}
tasks: [troublesome, branin]
searchers: [random]
"""
DOCS = Path(__file__).parents[2] / "docs" / "tables.md"


@pytest.fixture
def root(run_sweep, plugin):
    run_sweep(SWEEP)
    return run_sweep.root


def dtypes(frame):
    return {name: str(dtype) for name, dtype in frame.dtypes.items()}


def test_every_column_is_documented_with_its_type(root):
    tables = read_tables(root, "tables")
    for name in ("trials", "studies"):
        documented = {column: about.dtype for column, about in columns.TABLES[name].items()}
        assert dtypes(getattr(tables, name)) == documented
    assert {c: a.dtype for c, a in columns.TASKS.items()} == dtypes(tables.tasks)
    metrics = dtypes(tables.epochs)
    assert {c: metrics.pop(c) for c in columns.EPOCHS} == {c: a.dtype for c, a in columns.EPOCHS.items()}
    assert set(metrics.values()) == {"float64"}
    assert {"val_loss", "seconds"} <= set(metrics)


def test_the_docs_list_the_columns_as_they_are():
    assert columns.as_markdown() in DOCS.read_text(encoding="utf-8")


def test_an_empty_record_has_the_same_columns(root):
    shutil.rmtree(root / "studies")
    tables = read_tables(root, "tables")
    assert dtypes(tables.trials) == {column: about.dtype for column, about in columns.TRIALS.items()}
    assert tables.trials.empty
    assert tables.epochs.empty
    assert set(tables.studies["state"]) == {"missing"}


def test_seconds_of_the_search_add_up(root):
    trials = read_tables(root, "tables").trials
    for _, study in trials.groupby("study"):
        asked, told = study["ask_seconds"].cumsum(), study["tell_seconds"].cumsum().shift(fill_value=0.0)
        assert study["total_seconds"].tolist() == pytest.approx(
            (study["train_seconds"] + asked + told).tolist()
        )
        assert study["train_seconds"].tolist() == pytest.approx(study["seconds"].cumsum().tolist())


def test_studies_know_their_method_and_protocol(root):
    studies = read_tables(root, "tables").studies
    assert set(studies["method"]) == {"random"}
    assert set(studies["workers"]) == {1}
    protocol = json.loads(studies["protocol"].iloc[0])
    assert protocol["budget"] == {"unit": "epochs", "amount": 36}
    assert protocol["root_seed"] == 0


def test_parallel_studies_charge_each_ask_before_what_is_told_after_it(run_sweep, plugin):
    run_sweep(SWEEP.replace("budget: {epochs: 36}", "budget: {epochs: 36}\nworkers: 3"))
    tables = read_tables(run_sweep.root, "tables")
    path = run_sweep.root / "studies" / f"{tables.studies['study'].iloc[0]}.jsonl"
    search, expected = 0.0, []
    for event in map(json.loads, path.read_text().splitlines()):
        if event["event"] == "asked":
            search += event["ask_seconds"]
        elif event["event"] == "told":
            expected.append(search)
            search += event["tell_seconds"]
    own = tables.trials[tables.trials["study"] == path.stem]
    assert (own["total_seconds"] - own["train_seconds"]).tolist() == pytest.approx(expected)
    assert set(tables.studies["workers"]) == {3}
    assert (own["virtual_start"] < own["virtual_time"]).all()


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda line: line.replace('"event":"told"', '"event":"said"'), "said"),
        (lambda line: line[:40], "expected a JSON object"),
        (lambda line: line.replace('"number":0', '"number":77'), "without having been asked"),
        (lambda line: line.replace('"loss":', '"lost":'), "missing required field `loss`"),
    ],
)
def test_a_damaged_journal_is_named_with_its_line(root, damage, words):
    path = sorted((root / "studies").glob("*.jsonl"))[0]
    lines = path.read_text().splitlines()
    told = next(i for i, line in enumerate(lines) if '"event":"told"' in line)
    lines[told] = damage(lines[told])
    path.write_text("".join(f"{line}\n" for line in lines))
    with pytest.raises(RecordError, match=words) as caught:
        read_tables(root, "tables")
    assert str(path) in str(caught.value)
    if "asked" not in words:
        assert f"line {told + 1}" in str(caught.value)


def test_a_torn_tail_is_left_out(root):
    whole = read_tables(root, "tables")
    for path in [*(root / "studies").glob("*.jsonl"), *(root / "evaluations").glob("*/*.jsonl")]:
        with path.open("ab") as file:
            file.write(b'{"event":"told","num')
    again = read_tables(root, "tables")
    pd.testing.assert_frame_equal(again.trials, whole.trials)
    pd.testing.assert_frame_equal(again.epochs, whole.epochs)


def test_epochs_are_read_when_asked_for_and_a_damaged_evaluation_is_named(root):
    path = next((root / "evaluations" / "troublesome").glob("*.jsonl"))
    path.write_text(path.read_text() + '{"id": 3}\n')
    tables = read_tables(root, "tables")
    assert len(tables.trials)
    with pytest.raises(RecordError, match=r"troublesome.*line \d+"):
        _ = tables.epochs


def rewritten(root, change):
    """Replace every recorded evaluation of the task with curves by those that ``change`` makes of it."""
    for path in (root / "evaluations" / "troublesome").glob("*.jsonl"):
        lines = [new for line in path.read_text().splitlines() for new in change(json.loads(line))]
        path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))


def test_epochs_are_those_of_the_first_record_that_reaches_far_enough(root):
    whole = read_tables(root, "tables").epochs
    assert whole["val_loss"].notna().any()

    def among_others(line):
        curve = line["curve"]
        if line["status"] != "ok":
            return [line]
        short = {name: [value + 100 for value in values[:-1]] for name, values in curve.items()}
        other = {name: [value + 100 for value in (*values, 0.0)] for name, values in curve.items()}
        return [{**line, "curve": short}, line, {**line, "curve": other}]

    rewritten(root, among_others)
    pd.testing.assert_frame_equal(read_tables(root, "tables").epochs, whole)


def test_a_metric_that_some_evaluations_lack_is_empty_there(root):
    whole = read_tables(root, "tables").epochs
    lacking = set()

    def without_every_second(line):
        if line["curve"] and len(lacking) % 2 == 0:
            del line["curve"]["val_loss"]
        lacking.add(line["id"])
        return [line]

    rewritten(root, without_every_second)
    epochs = read_tables(root, "tables").epochs
    assert set(epochs.columns) == set(whole.columns)
    rest = whole.columns.drop("val_loss")
    pd.testing.assert_frame_equal(epochs[rest], whole[rest])
    kept = epochs["val_loss"].notna()
    assert 0 < kept.sum() < whole["val_loss"].notna().sum()
    assert epochs.loc[kept, "val_loss"].equals(whole.loc[kept, "val_loss"])


def test_evaluations_without_a_curve_have_no_epochs(root):
    rewritten(root, lambda line: [{**line, "curve": {}}])
    tables = read_tables(root, "tables")
    of_task = tables.trials.loc[tables.trials["task"] == "troublesome", "study"]
    assert not tables.epochs["study"].isin(of_task).any()
    assert len(tables.epochs)


def test_a_curve_whose_metrics_differ_in_length_is_refused(root):
    def shortened(line):
        if line["curve"]:
            line["curve"]["val_loss"] = line["curve"]["val_loss"][:-1]
        return [line]

    rewritten(root, shortened)
    with pytest.raises(RecordError, match="troublesome.* different numbers of epochs"):
        _ = read_tables(root, "tables").epochs


def test_long_files_are_read_in_pieces(root, monkeypatch):
    whole = read_tables(root, "tables").epochs
    monkeypatch.setattr(reading, "_CHUNK", 100)
    pd.testing.assert_frame_equal(read_tables(root, "tables").epochs, whole)
    path = next((root / "evaluations" / "troublesome").glob("*.jsonl"))
    text = path.read_text()
    path.write_text(text + "{}\n" + text)
    with pytest.raises(RecordError, match=f"line {text.count(chr(10)) + 1}:"):
        _ = read_tables(root, "tables").epochs


def test_exported_tables_are_read_back_as_they_were(root, tmp_path):
    tables = read_tables(root, "tables")
    export(tables, tmp_path / "out")
    again = read_exported(tmp_path / "out")
    for name in columns.TABLES:
        pd.testing.assert_frame_equal(getattr(again, name), getattr(tables, name), check_names=False)
    assert again.name == tables.name
    assert again.provenance == tables.provenance
    assert again.tasks.loc["branin", "test_metric"] is None


def test_a_table_of_another_version_is_refused(root, tmp_path):
    export(read_tables(root, "tables"), tmp_path)
    pd.read_parquet(tmp_path / "trials.parquet").drop(columns="loss").to_parquet(tmp_path / "trials.parquet")
    with pytest.raises(RecordError, match="lacks the columns loss"):
        read_exported(tmp_path)
    (tmp_path / "trials.parquet").write_text("no table")
    with pytest.raises(RecordError, match=r"cannot read .*trials.parquet"):
        read_exported(tmp_path)
