"""The tables for a paper."""

import re

import numpy as np
import pandas as pd
import pytest
from large_sweeps import large
from synthetic_sweeps import told_of

from analysis.report.booktabs import escape, in_latex, mean_in_latex, table_environment
from analysis.report.latex import all_tables, ranking_table, results_table, save_table
from analysis.statistics.comparison import compare
from analysis.statistics.inputs import prepare
from harness.plurals import plural


@pytest.fixture(scope="module")
def many():
    """4 methods, 7 tasks, 8 repetitions."""
    return prepare(large(4, 7, 8, 15))


@pytest.fixture(scope="module")
def few(tables):
    return prepare(tables)


def test_text_is_escaped_for_latex():
    assert escape("a_b & 50% {x} $y$ #1 ~ ^ \\n") == (
        r"a\_b \& 50\% \{x\} \$y\$ \#1 \textasciitilde{} \textasciicircum{} \textbackslash{}n"
    )
    assert escape("café – 95 % ≤ ±") == r"café -- 95 \% $\leq$ $\pm$"
    assert escape("two\nlines\tand 漢\x07") == "two lines and 漢"
    assert escape("a\u200bb") == "a b"


def test_a_table_with_another_script_keeps_it_and_says_what_prints_it():
    table = table_environment(["方法", "é"], [["π", "1"]], "Ж", "l")
    first, *rest = table.splitlines()
    assert (
        first == "% Compile with LuaLaTeX or XeLaTeX, in a font that has πЖ方法: pdfLaTeX cannot print these."
    )
    assert rest[0] == r"\begin{table}"
    assert "?" not in table
    assert table_environment(["é", "b"], [["1", "2"]], "c – ≤", "l").startswith(r"\begin{table}")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.12345, "0.123"),
        (-0.5, "$-0.5$"),
        (float("inf"), r"$\infty$"),
        (float("nan"), "--"),
        (1.5e-7, r"$1.5\cdot 10^{-7}$"),
        (12.0, "12"),
        (-0.0, "0"),
    ],
)
def test_numbers_in_latex(value, text):
    assert in_latex(value) == text


@pytest.mark.parametrize(
    ("mean", "sd", "text"),
    [
        (0.8112, 0.01, r"$0.811 \pm 0.010$"),
        (-0.8112, 0.0999, r"$-0.81 \pm 0.10$"),
        (8.1123e-7, 1.04e-8, r"$(8.11 \pm 0.10)\cdot 10^{-7}$"),
        (0.5, float("nan"), "0.5"),
        (float("inf"), float("nan"), "--"),
    ],
)
def test_a_mean_has_as_many_decimals_as_its_standard_deviation(mean, sd, text):
    assert mean_in_latex(mean, sd) == text


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


def close(task, repetition):
    """Better than 0.2 in most repetitions of five tasks, in fewer of the others."""
    return 0.1 if repetition < (6 if task < 5 else 3) else 0.3


def test_the_best_is_bold_and_what_is_not_worse_underlined(rows, make):
    """a wins most repetitions from b on five of eight tasks; both beat c."""
    values = {"a": close, "b": lambda t, r: 0.2, "c": lambda t, r: 0.5 + r}
    inputs = prepare(make(told_of(values, 8, 8), {f"t{task}": {} for task in range(8)}))
    lines = {line.split(" & ")[0]: line for line in structure(ranking_table(inputs, compare(inputs)).latex)}
    assert {r"\textbf{a}", r"\underline{b}", "c"} <= set(lines)
    results = results_table(inputs, compare(inputs))
    one, two = ["textbf"], ["underline"]
    marks = [[one] * 5 + [two] * 3, [two] * 5 + [one] * 3, [[]] * 8]
    for line, expected in zip(structure(results.latex)[1:], marks, strict=True):
        assert [re.findall(r"textbf|underline", cell) for cell in line.split(" & ")[1:]] == expected
    assert results.data.set_index("searcher").loc["c", "worse_than_leader"].all()


def test_methods_that_lead_together_are_all_bold(rows, make):
    values = {"a": lambda t, r: 0.1, "b": lambda t, r: 0.1, "c": lambda t, r: 0.3}
    inputs = prepare(make(told_of(values, 8, 3), {f"t{task}": {} for task in range(8)}))
    table = ranking_table(inputs, compare(inputs))
    assert (r"\textbf{a}" in table.latex) and (r"\textbf{b}" in table.latex)
    assert "a and b lead together, so that there is no one reference." in table.caption
    assert "Effect" not in table.latex


@pytest.mark.parametrize(("tasks", "repetitions"), [(7, 8), (8, 7)])
def test_nothing_is_underlined_where_nothing_could_be_shown(rows, make, tasks, repetitions):
    """4 methods need 8 tasks for the ranking, and 8 repetitions for each column of the results."""
    values = {"a": close, "b": lambda t, r: 0.2, "c": lambda t, r: 0.5, "d": lambda t, r: 0.6}
    inputs = prepare(make(told_of(values, tasks, repetitions), {f"t{t}": {} for t in range(tasks)}))
    table = ranking_table(inputs, compare(inputs))
    assert ("underline" in table.latex) == (tasks == 8)
    assert ("need at least 8 tasks" in table.caption) == (tasks == 7)
    results = results_table(inputs, compare(inputs))
    assert ("underline" in results.latex) == (repetitions == 8)
    assert ("it takes at least 8 repetitions" in results.caption) == (repetitions == 7)


def test_a_method_that_is_better_than_the_leader_has_a_dagger(rows, make):
    values = {
        "a": lambda t, r: 0.1,
        "c": lambda t, r: 0.09 if r < 3 else 0.9,
        "x": lambda t, r: 0.2,
        "y": lambda t, r: 0.3,
    }
    inputs = prepare(make(told_of(values, 8, 5), {f"t{task}": {} for task in range(8)}))
    assert r"c$^\dagger$" in ranking_table(inputs, compare(inputs)).latex


def test_captions_name_what_is_left_out(few):
    for table in (ranking_table(few, compare(few)), results_table(few, compare(few))):
        assert "repetition 3 (skopt_gp missing) on fashion/small" in table.caption
    assert "speaks about these tasks only" in ranking_table(few, compare(few)).caption
    assert plural(3, "task") in ranking_table(few, compare(few)).caption


def test_a_ragged_table_is_refused():
    with pytest.raises(ValueError, match="every row needs 2 cells"):
        table_environment(["a", "b"], [["1"]], "c", "l")
