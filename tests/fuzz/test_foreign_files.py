"""Damaged files of rows: refused with the file's name, or read as tables that can be analysed; never anything else."""

from __future__ import annotations

import contextlib
import json

import numpy as np
import pytest
from fuzzing import RAW, VALUES, cut_anywhere, flip, fuzzed, left_out, put_in
from hypothesis import given
from hypothesis import strategies as st
from import_files import csv_of

from analysis.errors import AnalysisError
from analysis.statistics.comparison import comparable, compare
from analysis.statistics.inputs import prepare
from harness.errors import DerbyError
from results.columns import TRIALS
from results.imports.sources import import_results
from results.imports.table import COLUMNS

BYTES = [flip, cut_anywhere, left_out, put_in]
ROWS = [
    {
        **{"task": task, "method": method, "repetition": repetition, "step": step, "value": value * step},
        **{"test": value, "seconds": 0.5, "epochs": step, "status": "ok", "config.lr": 0.1, "group": "image"},
    }
    for task in ("t", "u")
    for method, value in (("a", 0.5), ("random", 0.7))
    for repetition in range(2)
    for step in (1, 2)
]
TEXTS = st.one_of(VALUES.map(lambda value: value if isinstance(value, str) else json.dumps(value)), RAW)


def sound(path):
    """Read a file; what is returned must be whole, and what is refused is named."""
    try:
        tables = import_results(path, direction="min")
    except DerbyError as error:
        assert path.name in str(error)
        return None
    trials = tables.trials
    assert {name: str(dtype) for name, dtype in trials.dtypes.items()} == {
        name: column.dtype for name, column in TRIALS.items()
    }
    ok = trials["status"] == "ok"
    assert np.isfinite(trials.loc[ok, "value"]).all()
    assert np.isfinite(trials["loss"]).all()
    assert not trials.duplicated(["study", "step"]).any()
    with contextlib.suppress(AnalysisError):
        inputs = prepare(tables)
        if comparable(inputs):
            assert np.isfinite(compare(inputs).final.ranks.to_numpy()).all()
    return tables


@pytest.mark.slow
@fuzzed
@given(data=st.data())
def test_no_damage_of_bytes_is_a_traceback(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("fuzz") / "runs.csv"
    content = csv_of(ROWS).encode()
    path.write_bytes(data.draw(st.sampled_from(BYTES))(data.draw, content))
    sound(path)


@pytest.mark.slow
@fuzzed
@given(data=st.data())
def test_no_value_is_a_traceback(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("fuzz") / "runs.csv"
    rows = [dict(row) for row in ROWS]
    for _ in range(data.draw(st.integers(1, 3))):
        column = data.draw(st.sampled_from([*COLUMNS, "config.lr"]))
        rows[data.draw(st.integers(0, len(rows) - 1))][column] = data.draw(TEXTS)
    path.write_text(csv_of(rows), encoding="utf-8", errors="replace")
    sound(path)


@pytest.mark.slow
@fuzzed
@given(st.permutations(range(len(ROWS))))
def test_the_order_of_rows_plays_no_part_where_steps_are_given(tmp_path_factory, order):
    path = tmp_path_factory.mktemp("fuzz") / "runs.csv"
    path.write_text(csv_of([ROWS[place] for place in order]), encoding="utf-8")
    tables = sound(path)
    told = tables.trials.drop(columns=["trial"]).reset_index(drop=True)
    path.write_text(csv_of(ROWS), encoding="utf-8")
    assert told.equals(sound(path).trials.drop(columns=["trial"]))
