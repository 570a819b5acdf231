"""What failed and what is missing."""

import numpy as np

from analysis.statistics.completeness import completeness, failures, failures_by_method


def test_failures_count_every_status_and_every_planned_method(tables, rows, make):
    table = failures(tables).set_index(["task", "searcher"])
    assert len(table) == 12
    assert (table["told"] == table["ok"] + table["failed"]).all()
    assert table.loc[("mnist/small", "random"), "diverged"] > 0
    assert (table.loc["branin/2d", "failed"] == 0).all()
    total = failures_by_method(failures(tables))
    assert total["told"].sum() == len(tables.trials)
    other = {"task": "t", "searcher": "b", "repetition": 0, "state": "missing", "reason": ""}
    alone = failures(make(rows("t", "a", 0, [None, 0.1]), {"t": {}}, others=[other])).set_index("searcher")
    assert alone.loc["a", ["ok", "diverged", "failed", "share"]].tolist() == [1, 1, 1, 0.5]
    assert alone.loc["b", "told"] == 0
    assert np.isnan(alone.loc["b", "share"])


def test_completeness_says_what_was_planned_and_what_is_missing(tables, rows, make):
    table = completeness(tables).set_index(["task", "searcher"])
    assert table.loc[("mnist/small", "optuna_tpe")].to_dict() == {
        "planned": 5,
        "finished": 4,
        "running": 0,
        "failed": 1,
        "missing": 0,
    }
    assert table.loc[("fashion/small", "skopt_gp"), "missing"] == 1
    assert (table["planned"] == table[["finished", "running", "failed", "missing"]].sum(axis=1)).all()
    uneven = completeness(make(rows("t", "a", 0, [0.1]) + rows("u", "b", 0, [0.1]), {"t": {}, "u": {}}))
    assert uneven.set_index(["task", "searcher"]).loc[("t", "b"), "planned"] == 0
