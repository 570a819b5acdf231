"""The tidy tables: every column documented, damaged journals named, exported and read back."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest
from records import lines_of, rewrite

from harness.errors import RecordError
from results import columns, reading
from results.reading import read_study
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
        (lambda line: {**line, "event": "said"}, "Invalid value 'said'"),
        (lambda line: {**line, "number": 77}, "evaluation 77 was told without having been asked"),
        (lambda line: {n: v for n, v in line.items() if n != "loss"}, "missing required field `loss`"),
        (lambda line: {**line, "loss": 10**400}, "out of range"),
        (lambda line: {**line, "epochs": -1}, "Expected `int` >= 0"),
        (lambda line: {**line, "epochs": 10**30}, "Expected `int` <= 9007199254740992"),
        (lambda line: {**line, "epochs": 10}, "was charged 10 epochs of 9 asked"),
        (lambda line: {**line, "status": "crashed"}, "is crashed and its value"),
        (lambda line: {**line, "finish": -1.0}, "finished before what was asked or told before it"),
    ],
)
def test_a_damaged_journal_is_named_with_its_line(root, damage, words):
    path = longest(root)
    lines = lines_of(path)
    told = next(i for i, line in enumerate(lines) if line["event"] == "told")
    lines[told] = damage(lines[told])
    rewrite(path, lines)
    with pytest.raises(RecordError, match=words) as caught:
        read_tables(root, "tables")
    assert f"{path}, line {told + 1}" in str(caught.value)


def longest(root):
    """The journal of the task with curves."""
    return next(p for p in sorted((root / "studies").glob("*.jsonl")) if "troublesome" in p.read_text())


def told_twice(lines):
    at = next(i for i, line in enumerate(lines) if line["event"] == "told")
    return at + 2, [*lines[: at + 1], lines[at], *lines[at + 1 :]]


def one_dropped(lines):
    at = next(i for i, line in enumerate(lines) if line["event"] == "told")
    return len(lines) - 1, [*lines[:at], *lines[at + 1 :]]


def asked_in_another_order(lines):
    at = next(i for i, line in enumerate(lines) if line["event"] == "asked")
    return at + 1, [*lines[:at], lines[at + 2], *lines[at:]]


def goes_on_after_its_end(lines):
    return len(lines) + 1, [*lines, lines[-1]]


def ends_with_other_counts(lines):
    return len(lines), [*lines[:-1], {**lines[-1], "epochs": 35}]


def opened_again(lines):
    return 3, [*lines[:2], lines[0], *lines[2:]]


def another_key(lines):
    key = {**lines[0]["key"], "root_seed": 1}
    return 1, [{**lines[0], "key": key}, *lines[1:]]


WHILE_UNDER_WAY = [told_twice, asked_in_another_order, opened_again, another_key]
AT_ITS_END = [*WHILE_UNDER_WAY, one_dropped, goes_on_after_its_end, ends_with_other_counts]


@pytest.mark.parametrize(
    ("finished", "change"),
    [(True, change) for change in AT_ITS_END] + [(False, change) for change in WHILE_UNDER_WAY],
)
def test_a_journal_that_does_not_add_up_is_refused_with_its_line(root, finished, change):
    path = longest(root)
    where, lines = change(lines_of(path))
    if not finished:
        lines = [line for line in lines if line["event"] != "done"]
    rewrite(path, lines)
    with pytest.raises(RecordError) as caught:
        read_tables(root, "tables")
    assert f"{path}, line {where}: expected a line that follows from those before it" in str(caught.value)
    assert "move it away to have what it held run again" in str(caught.value)


def test_the_end_of_a_study_closes_every_line_before_it(root):
    path = longest(root)
    data = path.read_bytes()
    # Another study's lines with checks of their own, such as two files glued together: only the digest can tell.
    rewrite(path, [line | ({"loss": 0.125} if line.get("number") == 1 else {}) for line in lines_of(path)])
    glued = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*glued[:-1], data.splitlines(keepends=True)[-1]]))
    with pytest.raises(RecordError, match=rf"{path}, line {len(glued)}: "):
        read_tables(root, "tables")


@pytest.mark.parametrize("finished", [True, False])
def test_a_changed_digit_is_refused_wherever_it_is(root, finished):
    """Every byte of a journal and of an evaluation file, one at a time."""
    whole = read_tables(root, "tables").epochs
    journal = longest(root)
    evaluations = next((root / "evaluations" / "troublesome").glob("*.jsonl"))
    if not finished:
        journal.write_bytes(b"".join(journal.read_bytes().splitlines(keepends=True)[:-1]))
    for path in (journal, evaluations):
        data = path.read_bytes()
        for place in [i for i, byte in enumerate(data) if chr(byte).isdigit()][::7]:
            other = data[:place] + (b"1" if data[place] != ord("1") else b"2") + data[place + 1 :]
            path.write_bytes(other)
            with pytest.raises(RecordError, match=f"{path}, line "):
                read_study(path) if path is journal else list(reading.read_evaluations(path.parent))
        path.write_bytes(data)
    if finished:
        pd.testing.assert_frame_equal(read_tables(root, "tables").epochs, whole)


@pytest.mark.parametrize("what", ["evaluations", "epochs", "cost"])
def test_a_journal_that_ends_with_other_sums_than_it_tells_is_refused(root, what):
    path = longest(root)
    lines = lines_of(path)
    assert lines[-1]["event"] == "done"
    rewrite(path, lines)
    assert read_study(path).state == "done"
    rewrite(path, [*lines[:-1], {**lines[-1], what: lines[-1][what] + 1}])
    with pytest.raises(RecordError, match="it ends with .* were told"):
        read_study(path)


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
        rewrite(path, [new for line in lines_of(path) for new in change(line)])


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


def test_an_evaluation_that_a_study_was_told_and_no_file_holds_is_named(root):
    gone = []

    def without_the_last(line):
        gone.append(line["id"])
        return [line] if len(gone) < 4 else []

    rewritten(root, without_the_last)
    with pytest.raises(RecordError, match="which a study was told, and found it in no file") as caught:
        _ = read_tables(root, "tables").epochs
    assert any(f"evaluation {lost} (" in str(caught.value) for lost in gone[3:])


def test_an_evaluation_cut_short_is_not_taken_for_what_a_study_was_told(root):
    rewritten(root, lambda line: [{**line, "curve": {}}])
    with pytest.raises(RecordError, match="which a study was told, and found it in no file"):
        _ = read_tables(root, "tables").epochs


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
    pd.read_parquet(tmp_path / "trials.parquet").drop(columns="value").to_parquet(tmp_path / "trials.parquet")
    with pytest.raises(RecordError, match="lacks the columns value"):
        read_exported(tmp_path)
    (tmp_path / "trials.parquet").write_text("no table")
    with pytest.raises(RecordError, match=r"cannot read .*trials.parquet"):
        read_exported(tmp_path)
