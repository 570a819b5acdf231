"""Imported files of rows: what the tables hold, and every kind of row that is refused."""

from __future__ import annotations

import dataclasses
import json
import math

import pandas as pd
import pytest
from import_files import HEADER, RUNS, csv_of, written

from harness.errors import ForeignResultsError, RecordError
from harness.trial import Budget
from results import columns
from results.imports.sources import import_results
from results.merge import merged
from results.sources import import_name
from results.tables import export, read_exported


def imported(folder, text, **said):
    return import_results(written(folder, text), **{"direction": "min", **said})


def refused(folder, text, **said):
    with pytest.raises(ForeignResultsError) as caught:
        imported(folder, text, **said)
    return str(caught.value)


def test_the_tables_are_those_of_a_sweep(tmp_path):
    tables = imported(tmp_path, RUNS)
    for name in ("trials", "studies", "tasks"):
        documented = {column: about.dtype for column, about in columns.TABLES[name].items()}
        assert {column: str(dtype) for column, dtype in getattr(tables, name).dtypes.items()} == documented
    assert list(tables.epochs.columns) == list(columns.EPOCHS)
    export(tables, tmp_path / "out")
    again = read_exported(tmp_path / "out")
    for name in columns.TABLES:
        pd.testing.assert_frame_equal(getattr(again, name), getattr(tables, name))
    assert again.imported == tables.imported


def test_what_is_known_is_there_and_nothing_else_is_claimed(tmp_path):
    tables = imported(tmp_path, RUNS)
    trials = tables.trials.set_index(["searcher", "repetition", "step"])
    assert trials.loc[("tpe", 1, 2), "value"] == 0.4
    assert trials.loc[("tpe", 1, 2), "loss"] == 0.4
    assert trials.loc[("random", 0, 2), ["evaluations", "spent_epochs"]].tolist() == [2, 2]
    for unknown in ("test", "seconds", "train_seconds", "total_seconds", "ask_seconds", "tell_seconds"):
        assert tables.trials[unknown].isna().all()
    assert set(tables.studies["state"]) == {"done"}
    assert tables.studies.groupby("searcher")["method"].first().to_dict() == {"random": "random", "tpe": ""}
    assert tables.tasks.loc["quad", ["budget_unit", "budget_amount"]].tolist() == ["evaluations", 2.0]
    assert tables.tasks.loc["quad", "test_metric"] is None
    assert not tables.paired
    assert tables.provenance["machines"] == []


def test_larger_may_be_better_and_a_failure_counts_as_the_worst(tmp_path):
    text = RUNS.replace("quad,tpe,0,2,0.5", "quad,tpe,0,2,")
    tables = imported(tmp_path, text, direction="max")
    failed = tables.trials[tables.trials["status"] == "crashed"]
    assert failed["value"].isna().all()
    assert failed["loss"].tolist() == [-0.4]
    assert tables.trials.loc[tables.trials["status"] == "ok", "loss"].min() == -1.5


@pytest.mark.parametrize(
    ("value", "status", "expected"),
    [
        ("0.3", "", "ok"),
        ("0.3", "COMPLETE", "ok"),
        ("0.3", "pruned", "ok"),
        ("", "", "crashed"),
        ("", "FAIL", "crashed"),
        ("", "pruned", "crashed"),
        ("0.3", "timeout", "timeout"),
        ("nan", "", "diverged"),
        ("-inf", "", "diverged"),
        ("NaN", "failed", "crashed"),
    ],
)
def test_how_an_evaluation_ended(tmp_path, value, status, expected):
    tables = imported(tmp_path, f"{HEADER},status\nt,a,0,1,{value},{status}\nt,a,0,2,1.0,\n")
    row = tables.trials.iloc[0]
    assert row["status"] == expected
    assert (row["value"] == 0.3) if expected == "ok" else math.isnan(row["value"])


def test_columns_may_have_other_names_and_be_said_instead(tmp_path):
    text = "algo,seed,loss,held out\ntpe,7,0.5,0.6\ntpe,7,0.4,0.7\n"
    tables = imported(
        tmp_path,
        text,
        task="mine",
        metric="loss",
        test="held out",
        columns={"method": "algo", "repetition": "seed"},
    )
    assert tables.trials["value"].tolist() == [0.5, 0.4]
    assert tables.trials["test"].tolist() == [0.6, 0.7]
    assert tables.trials["step"].tolist() == [1, 2]
    assert tables.tasks.loc["mine", ["metric", "test_metric"]].tolist() == ["loss", "held out"]


def test_configurations_are_json_with_numbers_as_numbers(tmp_path):
    text = f"{HEADER},config.lr,params_units,config.act\nt,a,0,1,1,1e-3,16,relu\nt,a,0,2,2,0.001,,True\n"
    configs = [json.loads(text) for text in imported(tmp_path, text).trials["config"]]
    assert configs == [{"act": "relu", "lr": 0.001, "units": 16}, {"act": True, "lr": 0.001}]
    digits = f"{HEADER},config.lr\nt,a,0,1,1,{'9' * 5000}\n"
    assert json.loads(imported(tmp_path, digits).trials["config"][0]) == {"lr": "9" * 5000}
    whole = csv_of([{"task": "t", "method": "a", "value": 1, "config": '{"b": [1, 2], "a": null, "c": 0.5}'}])
    assert imported(tmp_path, whole).trials["config"].tolist() == ['{"b": "[1, 2]", "c": 0.5}']


@pytest.mark.parametrize("delimiter", [";", "\t"])
def test_other_delimiters_a_byte_order_mark_and_blank_lines(tmp_path, delimiter):
    text = "\ufeff" + RUNS.replace(",", delimiter).replace("\n", "\r\n") + "\r\n\r\n"
    pd.testing.assert_frame_equal(imported(tmp_path, text).trials, imported(tmp_path, RUNS).trials)


def test_parquet_gives_the_same(tmp_path):
    written(tmp_path, RUNS)
    pd.read_csv(tmp_path / "runs.csv").to_parquet(tmp_path / "runs.parquet")
    tables = import_results(tmp_path / "runs.parquet", direction="min")
    pd.testing.assert_frame_equal(tables.trials, imported(tmp_path, RUNS).trials)


def test_trials_that_were_exported_can_be_imported(tmp_path):
    text = f"{HEADER},epochs,trial,seconds\nt,a,0,1,0.9,3,0,1\nt,a,0,2,0.8,9,0,2\nt,a,1,1,0.7,3,0,1\n"
    tables = imported(tmp_path, text)
    tables.trials.to_parquet(tmp_path / "trials.parquet")
    again = import_results(tmp_path / "trials.parquet", direction="min")
    pd.testing.assert_frame_equal(again.trials, tables.trials)


def test_epochs_are_charged_once_and_decide_the_budget_where_they_differ(tmp_path):
    text = f"{HEADER},epochs,trial\nt,a,0,1,0.9,3,0\nt,a,0,2,0.8,9,0\nt,a,0,3,0.7,3,1\nt,b,0,1,0.7,9,0\n"
    tables = imported(tmp_path, text)
    assert tables.trials["spent_epochs"].tolist() == [3, 9, 12, 9]
    assert tables.tasks.loc["t", ["budget_unit", "budget_amount", "full_epochs"]].tolist() == [
        "epochs",
        12.0,
        9,
    ]
    studies = tables.studies.set_index("searcher")
    assert studies["reason"].to_dict() == {"a": "budget", "b": "shorter"}


def test_a_budget_leaves_out_what_is_beyond_it_and_says_so(tmp_path):
    tables = imported(tmp_path, RUNS, budget=Budget("evaluations", 1))
    assert tables.trials["step"].tolist() == [1] * 4
    assert any("beyond the budget: 4 of 8" in note for note in tables.imported.notes)
    assert "does not pay for the first evaluation" in refused(
        tmp_path, f"{HEADER},epochs\nt,a,0,1,1,9\n", budget=Budget("epochs", 5)
    )


def test_repetitions_are_numbered_within_each_method_unless_they_are_paired(tmp_path):
    text = f"{HEADER}\nt,a,10,1,1\nt,a,9,1,2\nt,b,11,1,3\nt,b,9,1,4\n"

    def numbers(**said):
        trials = imported(tmp_path, text, **said).trials
        return dict(zip(trials["value"], trials["repetition"], strict=True))

    assert numbers() == {2.0: 0, 1.0: 1, 4.0: 0, 3.0: 1}
    assert numbers(paired=True) == {2.0: 0, 1.0: 1, 4.0: 0, 3.0: 2}


def test_test_values_are_used_only_where_every_success_has_one(tmp_path):
    text = f"{HEADER},test\nt,a,0,1,1,2\nt,a,0,2,0.5,\nu,a,0,1,1,2\nu,a,0,2,,\n"
    tables = imported(tmp_path, text)
    assert tables.tasks["test_metric"].to_dict() == {"t": None, "u": "test"}
    assert tables.trials.loc[tables.trials["task"] == "t", "test"].isna().all()
    assert any("Test values of t are not used" in note for note in tables.imported.notes)


def test_steps_may_begin_anywhere_and_gaps_are_said(tmp_path):
    text = f"{HEADER}\nt,a,0,0,1\nt,a,0,1,2\n"
    assert imported(tmp_path, text).imported.notes == ("Epochs are not known: an evaluation counts one.",)
    tables = imported(tmp_path, f"{HEADER}\nt,a,0,1,1\nt,a,0,5,2\n")
    assert tables.trials["step"].tolist() == [1, 2]
    assert "Steps are missing in 1 of 1 run " in tables.imported.notes[0]


def test_facts_of_tasks_may_be_columns(tmp_path):
    text = f"{HEADER},direction,metric,best,reference,group\nt,a,0,1,0.9,max,accuracy,1,0.1,image\n"
    tables = import_results(written(tmp_path, text))
    row = tables.tasks.loc["t"]
    assert row[["direction", "metric", "regret_best", "regret_reference", "group"]].tolist() == [
        *("max", "accuracy", 1.0, 0.1, "image"),
    ]


def test_several_files_are_one_import(tmp_path):
    lines = RUNS.splitlines(keepends=True)
    first = written(tmp_path, "".join(lines[:5]), "first.csv")
    second = written(tmp_path, "".join([lines[0], *lines[5:]]), "second.csv")
    tables = import_results([first, second], direction="min")
    pd.testing.assert_frame_equal(tables.trials, imported(tmp_path, RUNS).trials)
    assert tables.imported.sources == ("first.csv", "second.csv")
    assert len(tables.imported.digests) == 2


def test_imports_of_the_same_protocol_merge_and_stay_independent(tmp_path):
    lines = RUNS.splitlines(keepends=True)
    one = imported(tmp_path, "".join(lines[:5]))
    two = imported(tmp_path, "".join([lines[0], *lines[5:]]), paired=True)
    both = merged({"one": one, "two": two})
    assert set(both.studies["searcher"]) == {"random", "tpe"}
    assert both.imported is not None
    assert not both.paired


def test_an_import_is_not_compared_with_a_sweep_as_if_it_were_one(tmp_path):
    there = imported(tmp_path, RUNS)
    here = dataclasses.replace(there, provenance={})
    with pytest.raises(RecordError, match=r"there was imported, .* import its trials.parquet together"):
        merged({"here": here, "there": there})


BAD = [
    ("quad,tpe,0,1,0.9", "quad,tpe,0,1,much", ["row 2, 'much'", "'value': expected a number"]),
    ("quad,tpe,0,1,0.9", 'quad,tpe,0,1,"0,9"', ["row 2, '0,9'", "such as 0.93"]),
    ("quad,tpe,0,1,0.9", "quad,tpe,0,1.5,0.9", ["row 2, '1.5'", "'step': expected a whole number from 0"]),
    ("quad,tpe,0,1,0.9", "quad,tpe,0,-1,0.9", ["row 2, '-1'", "'step'"]),
    ("quad,tpe,0,1,0.9", "quad,tpe,0,,0.9", ["row 2, ''", "'step'"]),
    ("quad,tpe,0,1,0.9", ",tpe,0,1,0.9", ["row 2", "'task' must not be empty"]),
    ("quad,tpe,0,1,0.9", "quad,,0,1,0.9", ["row 2", "'method' must not be empty"]),
    ("quad,tpe,0,1,0.9", "quad,tpe,,1,0.9", ["row 2", "'repetition' must not be empty"]),
    ("quad,tpe,0,1,0.9", "quad,tpe,0,1", ["row 2: expected 5 values", "got 4"]),
    ("quad,tpe,0,1,0.9", "quad,tpe,0,1,0.9,7", ["row 2: expected 5 values", "got 6"]),
    (
        "quad,tpe,0,2,0.5",
        "quad,tpe,0,1,0.5",
        ["row 2, tpe on quad, repetition 0, step 1", "row 3", "be there once"],
    ),
    ("quad,tpe,0,1,0.9", f"quad,{'x' * 41},0,1,0.9", ["row 2", "up to 40 characters, got 41"]),
    ("quad,tpe,0,1,0.9", "quad,t\u200bpe,0,1,0.9", ["row 2", "must be visible"]),
    ("quad,tpe,0,1,0.9", 'quad,"tpe,0,1,0.9', ["line"]),
    (
        HEADER,
        "task,method,repetition,step,values",
        ["no column 'value'", "'values' is not known", "--column"],
    ),
    (HEADER, "task,method,repetition,value,value", ["'value' are there twice"]),
    (HEADER, "name,algo,repetition,step,value", ["no column 'task'", "--task", "no column 'method'"]),
]


@pytest.mark.parametrize(("good", "bad", "said"), BAD)
def test_a_bad_row_is_refused_by_its_number(tmp_path, good, bad, said):
    message = refused(tmp_path, RUNS.replace(good, bad))
    assert "runs.csv" in message
    for words in said:
        assert words in message


OPTIONAL = [
    ("seconds", "-1", "'seconds': expected a finite number from 0, or nothing: row 2, '-1'"),
    ("seconds", "inf", "'seconds'"),
    ("seconds", "soon", "'seconds'"),
    ("epochs", "0", "'epochs': expected a whole number from 1, or nothing: row 2, '0'"),
    ("epochs", "1e20", "'epochs'"),
    ("trial", "x", "'trial'"),
    ("test", "good", "'test': expected a number"),
    ("status", "fine", "'status': expected one of ok, "),
    ("config", "lr=1", "'config': expected a JSON object"),
    ("config", "[1]", "'config'"),
    ("direction", "down", "'direction': expected min or max for 'quad', got 'down'"),
    ("best", "low", "'best': expected a number"),
    ("best", "0", "its reference is not said"),
    ("epoch", "3", "'epoch' is not known; if it is 'epochs', say --column epochs=epoch"),
]


@pytest.mark.parametrize(("column", "value", "said"), OPTIONAL)
def test_a_bad_value_of_a_further_column_is_refused(tmp_path, column, value, said):
    rows = [{"task": "quad", "method": "tpe", "repetition": 0, "step": 1, "value": 1, column: value}]
    text = csv_of([*rows, {**rows[0], "step": 2, column: ""}])
    assert said in refused(tmp_path, text, direction="" if column == "direction" else "min")


def test_all_problems_are_told_at_once_and_many_alike_are_counted(tmp_path):
    rows = [{"task": "t", "method": "m", "step": "x", "value": "y", "seconds": -1} for _ in range(50)]
    message = refused(tmp_path, csv_of(rows))
    for field in ("step", "value", "seconds"):
        assert f"column '{field}'" in message
    assert "and 47 rows more" in message
    assert len(message) < 2000


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"direction": ""}, "say --direction min or --direction max"),
        ({"direction": "up"}, "expected min or max, got 'up'"),
        (
            {"direction": {"other": "min"}},
            "something is said of the task 'other', and there is none; tasks: quad",
        ),
        ({"best": 1.0, "reference": 0.5}, "expected a best value that is better than the reference"),
        ({"best": math.inf, "reference": 1.0}, "finite"),
        ({"baseline": "grid"}, "expected one of the methods random, tpe, got 'grid'"),
        ({"columns": {"value": "loss"}}, "--column value=loss: the file has no 'loss'"),
        ({"columns": {"colour": "value"}}, "there is no 'colour'"),
        ({"test": "nothing"}, "--test nothing: the file has no such column"),
        (
            {"columns": {"step": "value"}, "metric": "valu"},
            "--metric valu: the file has no such column; did you mean",
        ),
        ({"budget": Budget("cost", 3.0, 1.0)}, "expected a budget of evaluations or epochs"),
    ],
)
def test_what_is_said_is_checked(tmp_path, said, message):
    assert message in refused(tmp_path, RUNS, **said)


def test_a_trial_that_goes_on_needs_its_epochs(tmp_path):
    assert "was continued, and needs its epochs: row 3, trial 0" in refused(
        tmp_path, f"{HEADER},trial\nt,a,0,1,1,0\nt,a,0,2,1,0\n"
    )


@pytest.mark.parametrize("text", ["", "\n", HEADER, f"{HEADER}\n\n,,,,\n"])
def test_a_file_without_rows_is_refused(tmp_path, text):
    message = refused(tmp_path, text)
    assert ("a row for each evaluation" in message) and "write the evaluations to it again" in message
    assert ("(task, method, repetition, step, value)" in message) == (HEADER in text)
    assert message.count("\n") == 1  # nothing follows from what is not there


def test_a_parquet_file_without_columns_is_refused(tmp_path):
    pd.DataFrame().to_parquet(tmp_path / "runs.parquet")
    with pytest.raises(ForeignResultsError, match="expected columns such as task, method and value"):
        import_results(tmp_path / "runs.parquet", direction="min")


@pytest.mark.parametrize("many", [False, True])
def test_a_frame_is_refused_with_what_to_do(many):
    frame = pd.DataFrame({"task": ["t"], "method": ["m"], "value": [1.0]})
    with pytest.raises(
        ForeignResultsError, match=r"got a DataFrame; .* DataFrame\.to_csv\(PATH, index=False\)"
    ):
        import_results([frame] if many else frame, direction="min")


def test_a_frames_index_is_no_column_of_ours(tmp_path):
    frame = pd.DataFrame({"task": "t", "method": "m", "value": [0.5, 0.25]}, index=[7, 8])
    frame.to_csv(tmp_path / "runs.csv")
    tables = import_results(tmp_path / "runs.csv", direction="min")
    assert list(tables.trials["value"]) == [0.5, 0.25]
    assert list(tables.trials["epochs"]) == [1, 1]
    assert "Columns that were not used: one without a name." in tables.imported.notes


def test_blank_lines_above_the_names_count_as_rows(tmp_path):
    assert "row 4, 'much'" in refused(tmp_path, f"\n\n{HEADER}\nquad,tpe,0,1,much\n")
    assert len(imported(tmp_path, f"\n\n{HEADER}\nquad,tpe,0,1,0.5\n").trials) == 1


@pytest.mark.parametrize("other", ["quad,tpe,1,x,0.5", "quad,tpe,1,1,much", "quad,tpe,1,1", ",tpe,1,1,0.5"])
def test_a_step_that_is_there_twice_is_named_beside_other_problems(tmp_path, other):
    message = refused(tmp_path, f"{HEADER}\nquad,tpe,0,1,0.5\nquad,tpe,0,1,0.7\n{other}\n")
    assert "2 problems" in message
    assert "must be there once" in message
    assert "row 2, tpe on quad, repetition 0, step 1; row 3, tpe on quad, repetition 0, step 1" in message


@pytest.mark.parametrize("other", ["quad,tpe,0,x,0.5", "quad,,0,1,0.5"])
def test_what_cannot_be_read_is_not_there_twice(tmp_path, other):
    assert "must be there once" not in refused(tmp_path, f"{HEADER}\n{other}\n{other}\n")


def exported_sweep(folder, **facts):
    """A sweep's tables as they are exported; its task is an accuracy."""
    rows = "t,random,0,1,0.5,0.4\nt,random,0,2,0.7,0.6\nt,tpe,0,1,0.6,0.5\n"
    tables = imported(
        folder,
        f"{HEADER},test\n{rows}",
        **{"direction": "max", "metric": "val_accuracy", "best": 1.0, "reference": 0.1, **facts},
    )
    export(tables, folder / "exported")
    return tables, folder / "exported" / "trials.parquet"


def test_an_exported_sweep_says_metric_and_direction_of_its_trials(tmp_path):
    there, trials = exported_sweep(tmp_path)
    here = import_results(trials)
    known = ["metric", "test_metric", "direction", "regret_best", "regret_reference"]
    pd.testing.assert_frame_equal(here.tasks[known], there.tasks[known])
    assert here.tasks.loc["t", ["metric", "direction"]].tolist() == ["val_accuracy", "max"]
    pd.testing.assert_series_equal(here.trials["loss"], there.trials["loss"])
    with pytest.raises(ForeignResultsError, match="its source says that its direction is max, not min"):
        import_results(trials, direction="min")
    assert import_results(trials, metric="accuracy").tasks["metric"].item() == "accuracy"


def test_damaged_tables_beside_exported_trials_are_refused(tmp_path):
    _, trials = exported_sweep(tmp_path)
    trials.with_name("tasks.parquet").write_bytes(b"PAR1")
    with pytest.raises(RecordError, match=r"cannot read .*tasks\.parquet"):
        import_results(trials)


def test_files_that_are_none_are_refused(tmp_path):
    (tmp_path / "latin.csv").write_bytes(b"task,method\nt\xe4sk,a\n")
    with pytest.raises(ForeignResultsError, match="line 2: expected UTF-8, got the byte 0xe4"):
        import_results(tmp_path / "latin.csv", direction="min")
    with pytest.raises(RecordError, match="expected a Parquet file"):
        import_results(written(tmp_path, "x", "runs.parquet"), direction="min")
    with pytest.raises(RecordError, match="nothing that can be imported"):
        import_results(written(tmp_path, "x", "runs.doc"))
    with pytest.raises(RecordError, match=r"there is no .*gone\.csv"):
        import_results(tmp_path / "gone.csv")
    with pytest.raises(ForeignResultsError, match="given twice"):
        import_results([tmp_path / "a.csv", tmp_path / "a.csv"])


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("/a/b/my runs.csv", "my-runs"),
        ("sqlite:///x/study.db", "study"),
        ("mysql://user:secret@host/base", "base"),
        ("folder/", "folder"),
        ("...", "imported"),
    ],
)
def test_an_import_is_called_after_its_source(source, name):
    assert import_name(source) == name


def test_a_metrics_own_column_goes_before_one_that_is_called_value(tmp_path):
    file = tmp_path / "runs.csv"
    file.write_text("task,method,repetition,step,value,val_loss\nt,a,0,1,1.0,0.25\nt,a,0,2,2.0,0.5\n")
    own = import_results(file, metric="val_loss", direction="min")
    assert list(own.trials["value"]) == [0.25, 0.5]
    named = import_results(file, metric="error", direction="min")
    assert (list(named.trials["value"]), named.tasks["metric"].item()) == ([1.0, 2.0], "error")
