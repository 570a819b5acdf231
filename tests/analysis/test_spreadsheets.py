"""CSV files: no text is a formula in a spreadsheet, numbers are numbers, and what is read back is what was written."""

from __future__ import annotations

import csv

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.spreadsheets import read_csv, write_csv

FORMULAS = ["=2+5", "=cmd|' /C calc'!A0", "+a", "-a", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "＝1", "--1", "-"]


def cells(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


@pytest.mark.parametrize("text", FORMULAS)
def test_a_text_is_no_formula(tmp_path, text):
    path = tmp_path / "table.csv"
    write_csv(pd.DataFrame({text: [text, "plain"]}), path)
    assert cells(path) == [["'" + text], ["'" + text], ["plain"]]


def test_numbers_are_numbers(tmp_path):
    path = tmp_path / "table.csv"
    frame = pd.DataFrame({"x": [-1.5, np.nan, 1e-300], "n": [-1, 2, -3], "text": ["-1", "+2.5e-3", "a"]})
    write_csv(frame, path)
    assert cells(path) == [
        ["x", "n", "text"],
        ["-1.5", "-1", "-1"],
        ["", "2", "+2.5e-3"],
        ["1e-300", "-3", "a"],
    ]
    pd.testing.assert_frame_equal(read_csv(path).astype({"text": object}), frame.astype({"text": object}))


def test_mixed_columns_and_categories_too(tmp_path):
    path = tmp_path / "table.csv"
    frame = pd.DataFrame({"any": [-2, "=a", None], "kind": pd.Categorical(["=b", "c", "=b"])})
    write_csv(frame, path)
    assert cells(path) == [["any", "kind"], ["-2", "'=b"], ["'=a", "c"], ["", "'=b"]]
    assert frame["any"].tolist() == [-2, "=a", None]  # the table itself is left alone


@given(
    texts=st.lists(
        st.text(st.sampled_from("'=+-@\t\r\n,;\"a1")) | st.sampled_from(["NA", "nan", "None"]), min_size=1
    )
)
def test_what_is_read_back_is_what_was_written(tmp_path_factory, texts):
    path = tmp_path_factory.mktemp("csv") / "table.csv"
    texts = [text for text in texts if text] + ["a text"]
    write_csv(pd.DataFrame({"column": texts}), path)
    assert read_csv(path)["column"].tolist() == texts


@given(numbers=st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1))
def test_numbers_are_read_back_to_the_last_bit(tmp_path_factory, numbers):
    path = tmp_path_factory.mktemp("csv") / "table.csv"
    numbers = [*numbers, 0.1, 0.8899999856948853]
    write_csv(pd.DataFrame({"column": numbers}), path)
    assert read_csv(path)["column"].tolist() == numbers
