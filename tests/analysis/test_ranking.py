"""The final ranking, and the tables for a paper."""

import re

import numpy as np
import pandas as pd
import pytest
from large_sweeps import large

from analysis.captions import plural
from analysis.errors import AnalysisError
from analysis.inputs import prepare
from analysis.latex import (
    all_tables,
    escape,
    number,
    ranking_table,
    results_table,
    save_table,
    table_environment,
)
from analysis.ranking import comparable, compare, ranking, worse_than_best


@pytest.fixture(scope="module")
def many():
    """4 methods, 7 tasks, 8 repetitions."""
    return prepare(large(4, 7, 8, 15))


@pytest.fixture(scope="module")
def few(tables):
    return prepare(tables)


def test_wins_ties_and_losses_add_up_and_the_best_ranks_first(many):
    table = ranking(compare(many))
    assert table["rank"].is_monotonic_increasing
    assert ((table[["wins", "ties", "losses"]].sum(axis=1)) == 3 * 7).all()
    assert table["wins"].sum() == table["losses"].sum()
    assert table["rank"].mean() == pytest.approx(2.5)
    assert table["searcher"].iloc[0] == compare(many).best == "skopt_gp"
    assert (table["rank_low"] <= table["rank"]).all()
    assert table.loc[0, ["improvement", "effect", "p_holm"]].isna().all()
    # Everybody else is worse than the best, and the effect says so.
    assert (table["effect"].iloc[1:] < 0).all()
    assert (table["improvement"].iloc[1:] < 0.5).all()
    assert table["regret"].is_monotonic_increasing


def test_the_worst_of_clearly_different_methods_differs(many):
    comparison = compare(many)
    assert not comparison.few
    assert comparison.friedman.f_p < 0.001
    assert comparison.nemenyi.loc["random", "skopt_gp"] < 0.01
    assert (comparison.posteriors["random", "skopt_gp"].second) > 0.95


def test_with_few_tasks_there_is_no_p_over_tasks(few):
    comparison = compare(few)
    assert comparison.few
    table = ranking(comparison)
    assert table["p_holm"].isna().all()
    assert table["regret"].isna().all()  # no references
    assert comparison.control == "random"
    assert set(comparison.within["task"]) == {"branin/2d", "fashion/small", "mnist/small"}
    assert comparison.left_out == few.field.left_out


def test_nothing_to_compare_is_said_so(rows, make):
    inputs = prepare(make(rows("t", "a", 0, [0.1]), {"t": {}}))
    assert not comparable(inputs)
    with pytest.raises(AnalysisError, match="needs two methods and a task"):
        compare(inputs)


def test_worse_than_best_is_by_tests_within_the_task(rows, make):
    told = []
    for r in range(10):
        told += rows("t", "a", r, [0.1 + r / 100]) + rows("t", "b", r, [0.2 + r / 100])
        told += rows("t", "c", r, [0.1 + r / 100 + (0.001 if r % 2 else -0.0005)])
    comparison = compare(prepare(make(told, {"t": {}})))
    assert worse_than_best(comparison, "t") == ("a", {"b"})


def test_text_is_escaped_for_latex():
    assert escape("a_b & 50% {x} $y$ #1 ~ ^ \\n") == (
        r"a\_b \& 50\% \{x\} \$y\$ \#1 \textasciitilde{} \textasciicircum{} \textbackslash{}n"
    )
    assert escape("café – 95 % ≤ ±") == r"café -- 95 \% $\leq$ $\pm$"
    assert escape("two\nlines\tand 漢") == "two lines and ?"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.12345, "0.123"),
        (-0.5, "$-0.5$"),
        (float("inf"), r"$\infty$"),
        (float("nan"), "--"),
        (1.5e-7, r"$1.5\cdot 10^{-7}$"),
        (12.0, "12"),
    ],
)
def test_numbers_in_latex(value, text):
    assert number(value) == text


def structure(latex):
    """Check what LaTeX would: environments and braces close, every row has all its cells, nothing is unescaped."""
    assert re.findall(r"\\(begin|end)\{(\w+)\}", latex) == [
        ("begin", "table"),
        ("begin", "tabular"),
        ("end", "tabular"),
        ("end", "table"),
    ]
    bare = re.sub(r"\\[{}]", "", latex)
    depth = np.cumsum([{"{": 1, "}": -1}.get(c, 0) for c in bare])
    assert depth.min() >= 0
    assert depth[-1] == 0
    columns = re.search(r"\\begin\{tabular\}\{(\w+)\}", latex).group(1)
    body = latex.split(r"\toprule")[1].split(r"\bottomrule")[0].replace(r"\midrule", "")
    lines = [line for line in body.strip().split("\n") if line.strip()]
    for line in lines:
        assert line.endswith(r" \\")
        assert len(re.findall(r"(?<!\\)&", line)) == len(columns) - 1
    without_math = re.sub(r"\$[^$]*\$", "", latex.replace(r"\$", ""))
    assert not re.search(r"(?<!\\)[_^#%$]", without_math)
    assert latex.isascii()
    return lines


def test_every_table_is_well_formed(many, few, tmp_path):
    for inputs in (many, few):
        for table in all_tables(inputs):
            lines = structure(table.latex)
            assert len(lines) > 2
            paths = save_table(table, tmp_path)
            assert paths["tex"].read_text(encoding="utf-8") == table.latex
            assert len(pd.read_csv(paths["csv"])) == len(table.data)
            assert save_table(table, tmp_path / "again")["csv"].read_bytes() == paths["csv"].read_bytes()


def test_names_of_any_shape_leave_a_table_well_formed(rows, make):
    names = ["a_b", "$x^{$", "<b>&", "50%", "\\end{table}", "new\nline"]
    told = [
        row for r in range(2) for i, name in enumerate(names) for row in rows("t_{&", name, r, [i + r / 9])
    ]
    for table in all_tables(prepare(make(told, {"t_{&": {}}))):
        structure(table.latex)


def test_the_best_is_bold_and_what_is_not_worse_underlined(many):
    table = ranking_table(compare(many))
    assert r"\textbf{skopt\_gp}" in table.latex
    assert r"\underline{optuna\_tpe}" in table.latex
    results = results_table(compare(many))
    own = results.data[results.data["task"] == "task00/small"].set_index("searcher")
    (row,) = [line for line in structure(results.latex) if line.startswith("random")]
    first = row.split(" & ")[1]
    assert ("underline" in first) == (not own.loc["random", "worse_than_best"])
    assert own["mean"].idxmax() == "skopt_gp"
    assert (results.data["mean"] > 0).all()  # accuracies, not losses


def test_captions_name_what_is_left_out(few):
    for table in (ranking_table(compare(few)), results_table(compare(few))):
        assert "repetition 3 (skopt_gp missing) on fashion/small" in table.caption
    assert "speaks about these tasks only" in ranking_table(compare(few)).caption
    assert plural(3, "task") in ranking_table(compare(few)).caption


def test_a_ragged_table_is_refused():
    with pytest.raises(ValueError, match="every row needs 2 cells"):
        table_environment(["a", "b"], [["1"]], "c", "l")
