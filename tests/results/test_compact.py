"""Tables as a publication keeps them: fewer bytes, and the same numbers to the last bit when they are read."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest

from harness.errors import RecordError
from results import compact, confirmed_table
from results.columns import TRIALS
from results.tables import export, read_exported, read_tables

SWEEP = """\
name: tables
repetitions: 2
budget: {epochs: 36}
tasks: [troublesome, branin]
searchers: [random]
"""


@pytest.fixture
def tables(run_sweep, plugin):
    run_sweep(SWEEP)
    return read_tables(run_sweep.root, "tables")


@pytest.fixture
def parallel(run_sweep, plugin):
    run_sweep(SWEEP + "workers: 3\n")
    return read_tables(run_sweep.root, "tables")


def test_what_others_give_is_left_out_and_is_there_again(tables, tmp_path):
    trials = tables.trials.copy()
    about = tables.tasks.loc[trials.loc[3, "task"]]
    trials.loc[3, ["status", "value"]] = ["diverged", np.nan]
    trials.loc[3, "loss"] = about["failure"] if about["direction"] == "min" else -about["failure"]
    tables = dataclasses.replace(tables, trials=trials)
    export(tables, tmp_path / "small", compact=True)
    kept = set(pd.read_parquet(tmp_path / "small" / "trials.parquet").columns)
    assert set(TRIALS) - kept == {"loss", "train_seconds", "total_seconds", "virtual_time", "virtual_start"}
    again = read_exported(tmp_path / "small").trials
    pd.testing.assert_frame_equal(again, tables.trials, check_exact=True)


def test_what_does_not_follow_exactly_is_kept(parallel, tmp_path):
    trials = parallel.trials.assign(loss=np.nextafter(parallel.trials["loss"], np.inf))
    export(dataclasses.replace(parallel, trials=trials), tmp_path, compact=True)
    kept = set(pd.read_parquet(tmp_path / "trials.parquet").columns)
    assert {"loss", "virtual_start", "virtual_time"} <= kept
    pd.testing.assert_frame_equal(read_exported(tmp_path).trials, trials, check_exact=True)


def test_rows_in_another_order_give_the_same(tables):
    mixed = tables.trials.sort_values(["step", "study"]).reset_index(drop=True)
    small = compact.without_derived(mixed, tables.tasks)
    assert "train_seconds" not in small
    pd.testing.assert_frame_equal(compact.with_derived(small, tables.tasks), mixed, check_exact=True)


def test_a_column_that_cannot_be_made_again_is_missed(tables, tmp_path):
    export(tables, tmp_path, compact=True)
    path = tmp_path / "trials.parquet"
    pd.read_parquet(path).drop(columns="seconds").to_parquet(path)
    with pytest.raises(RecordError, match="lacks the columns .*seconds"):
        read_exported(tmp_path)


def test_curves_of_replayed_trainings_are_left_to_what_is_replayed(tables, tmp_path):
    tasks = tables.tasks.assign(
        replayed=["a recording" if task == "branin" else "" for task in tables.tasks.index]
    )
    export(dataclasses.replace(tables, tasks=tasks), tmp_path, compact=True)
    own = tables.studies.set_index("study")["task"]
    left = read_exported(tmp_path).epochs
    assert set(left["study"].map(own)) == {"troublesome"}
    whole = tables.epochs[tables.epochs["study"].map(own) == "troublesome"].reset_index(drop=True)
    pd.testing.assert_frame_equal(left, whole)


def test_confirmed_winners_are_read_beside_the_sweep_and_exported(run_sweep, tables, tmp_path):
    assert tables.confirmed.empty
    rows = [
        {
            "task": "branin",
            "searcher": "random",
            "repetition": 1,
            "config": '{"x":0.1}',
            "epochs": 9,
            "found": 0.1 + 0.2,
            "promised": 0.4,
            "trained": 0.5,
            "trainings": 3,
        }
    ]
    folder = run_sweep.root / "sweeps" / "tables" / "confirmed"
    folder.mkdir()
    rows.append(rows[0] | {"searcher": "NA", "found": 5e-324, "promised": 1.7976931348623157e308})
    confirmed_table.frame(rows).to_csv(folder / "winners.csv", index=False)
    found = read_tables(run_sweep.root, "tables")
    assert found.confirmed.to_dict("records") == rows  # to the last bit, and NA is a label
    export(found, tmp_path / "out", compact=True)
    pd.testing.assert_frame_equal(read_exported(tmp_path / "out").confirmed, found.confirmed)
    (folder / "winners.csv").write_text("no,such,table\n1,2,3\n")
    with pytest.raises(RecordError, match=r"expected a table that `derby confirm` wrote"):
        read_tables(run_sweep.root, "tables")
