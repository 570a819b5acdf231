r"""Tables for a paper: LaTeX with booktabs, and CSV of the same numbers.

Best in bold, not significantly worse underlined. A file holds one ``table`` environment; the paper's preamble needs
``\usepackage{booktabs}`` and nothing else.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pandas as pd

from analysis.spreadsheets import write_csv
from analysis.statistics import moments
from analysis.statistics.comparison import Comparison, comparable, compare, ranking, worse_than_best
from analysis.statistics.completeness import STATUSES, completeness, failures, failures_by_method
from analysis.statistics.inputs import Inputs
from analysis.statistics.ranks import rounded
from analysis.statistics.significance import ALPHA
from analysis.statistics.targets import running_times
from analysis.words import joined, left_out, listed, plural, short, span

_SPECIAL: Mapping[str, str] = MappingProxyType(
    {
        "\\": r"\textbackslash{}",
        "&": r"\&",
        "%": r"\%",
        "$": r"\$",
        "#": r"\#",
        "_": r"\_",
        "{": r"\{",
        "}": r"\}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "<": r"\textless{}",
        ">": r"\textgreater{}",
        "|": r"\textbar{}",
        '"': r"\textquotedbl{}",
        "–": "--",
        "—": "---",
        "−": "$-$",
        "±": r"$\pm$",
        "×": r"$\times$",
        "≤": r"$\leq$",
        "∞": r"$\infty$",
        "τ": r"$\tau$",
        "χ": r"$\chi$",
        "²": r"$^2$",
        "…": r"\dots{}",
        "\u2019": "'",
        "\u00a0": "~",
    }
)


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """A table ready to be saved.

    Attributes:
        title: What it shows, for a heading.
        stem: File name without ending.
        caption: What the numbers are, over what, and what is left out.
        data: The numbers, one row per line.
        latex: The ``table`` environment.
    """

    title: str
    stem: str
    caption: str
    data: pd.DataFrame
    latex: str


def escape(text: str) -> str:
    r"""Return text that LaTeX prints as it is; characters that pdfLaTeX cannot print become question marks.

    Example:
        >>> escape("50 % of a_b & {c}")
        '50 \\% of a\\_b \\& \\{c\\}'
    """
    line = text if text.isprintable() else " ".join(text.split())
    return "".join(_SPECIAL.get(c) or (c if c.isprintable() and ord(c) < 0x250 else "?") for c in line)


def table_environment(
    header: Sequence[str], rows: Sequence[Sequence[str]], caption: str, label: str, *, align: str = ""
) -> str:
    r"""Return a ``table`` environment.

    Args:
        header: Column headings, text.
        rows: Cells; LaTeX already, so that text must have gone through `escape`.
        caption: Text.
        label: For ``\ref``; text.
        align: Column types; left for the first and right for the others when empty.

    Raises:
        ValueError: A row has not as many cells as there are headings.
    """
    if any(len(row) != len(header) for row in rows):
        raise ValueError(f"every row needs {len(header)} cells, got {[len(row) for row in rows]}")
    lines = [
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{escape(caption)}}}",
        rf"\label{{tab:{''.join(c if c.isalnum() or c in '-:' else '-' for c in label)}}}",
        rf"\begin{{tabular}}{{{align or 'l' + 'r' * (len(header) - 1)}}}",
        r"\toprule",
        " & ".join(escape(cell) for cell in header) + r" \\",
        r"\midrule",
        *(" & ".join(row) + r" \\" for row in rows),
        r"\bottomrule",
        r"\end{tabular}",
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def in_latex(value: float, digits: int = 3) -> str:
    """Return a number in LaTeX with significant digits; a dash where there is none, ∞ where it is infinite."""
    if math.isnan(value):
        return "--"
    if math.isinf(value):
        return r"$\infty$" if value > 0 else r"$-\infty$"
    text = f"{value:.{digits}g}"
    if "e" in text:
        mantissa, exponent = text.split("e")
        return rf"${mantissa}\cdot 10^{{{int(exponent)}}}$"
    return f"${text}$" if value < 0 else text


def _interval(value: float, low: float, high: float, decimals: int = 3) -> str:
    if math.isnan(value):
        return "--"
    if math.isnan(low):
        return f"{value:.{decimals}f}"
    return f"{value:.{decimals}f} [{low:.{decimals}f}, {high:.{decimals}f}]".replace("-", "$-$")


def _p(value: float) -> str:
    if math.isnan(value):
        return "--"
    return r"\textless{}0.001" if value < 0.001 else f"{value:.2g}"


def ranking_table(inputs: Inputs, comparison: Comparison) -> Table:
    """Return the final ranking as a table."""
    data = ranking(comparison)
    referenced = bool(data["regret"].notna().any())
    tested = bool(data["p_holm"].notna().any())
    header = ["Method", "Mean rank", "W/T/L"]
    header += ["IQM of regret", "Anytime"] if referenced else []
    header += ["P(better)", "Effect", *(["p (Holm)"] if tested else [])]
    rows = []
    for index, row in enumerate(data.to_dict("records")):
        name = escape(str(row["searcher"]))
        # As good as the best by the test over tasks: underlined; without a test nothing is.
        alike = tested and row["p_holm"] > ALPHA
        cells = [rf"\textbf{{{name}}}" if index == 0 else rf"\underline{{{name}}}" if alike else name]
        cells += [
            _interval(row["rank"], row["rank_low"], row["rank_high"], 2),
            f"{row['wins']}/{row['ties']}/{row['losses']}",
        ]
        if referenced:
            cells += [
                _interval(row[part], row[f"{part}_low"], row[f"{part}_high"])
                for part in ("regret", "anytime")
            ]
        cells += [in_latex(row["improvement"], 2), in_latex(row["effect"], 2)]
        cells += [_p(row["p_holm"])] if tested else []
        rows.append(cells)
    caption = joined(
        f"Final ranking of {plural(len(data), 'method')} over {plural(int(data['tasks'].iloc[0]), 'task')}, by mean "
        "rank of the mean final value (95 % interval resamples tasks).",
        "W/T/L: wins, ties and losses against the other methods over tasks.",
        "IQM of regret and anytime score: interquartile means of normalised regret over runs (95 % intervals "
        "resample repetitions inside tasks)."
        if referenced
        else "",
        f"P(better), effect{' and p' if tested else ''}: against {comparison.best}; probability that a run is better, "
        "matched-pairs rank-biserial correlation over tasks (negative: worse)"
        + (", and Wilcoxon's signed-rank test with Holm's correction over all pairs." if tested else "."),
        "Bold: best mean rank; underlined: not significantly worse."
        if tested
        else "Bold: best mean rank. Too few tasks for a test over tasks: this speaks about these tasks only.",
        left_out(list(comparison.left_out)),
        short(inputs.tables, list(comparison.scores), comparison.searchers),
    )
    return Table(
        "Final ranking", "ranking", caption, data, table_environment(header, rows, caption, "ranking")
    )


def results_table(inputs: Inputs, comparison: Comparison) -> Table:
    """Return mean final values with standard deviations, methods × tasks."""
    names = list(comparison.mean_ranks)
    cells: dict[str, dict[str, str]] = {name: {} for name in names}
    parts = []
    for task, own in comparison.scores.items():
        best, worse = worse_than_best(comparison, task)
        sign = -1.0 if comparison.directions[task] == "max" else 1.0
        means = moments.mean(own.losses, axis=0)
        top = rounded(means).min()
        for name in names:
            column = own.losses[:, own.searchers.index(name)]
            mean = float(moments.mean(column))
            finite = bool(np.isfinite(column).all())
            sd = moments.sd(column) if finite and column.size > 1 else math.nan
            text = in_latex(sign * mean, 4) if finite else "--"
            text += rf" $\pm$ {in_latex(sd, 2)}" if not math.isnan(sd) else ""
            if finite and rounded(np.array([mean]))[0] == top:
                text = rf"\textbf{{{text}}}"
            elif finite and len(own.repetitions) > 1 and name != best and name not in worse:
                text = rf"\underline{{{text}}}"
            cells[name][task] = text
            parts.append(
                {
                    "task": task,
                    "searcher": name,
                    "metric": own.metric,
                    "mean": sign * mean if finite else math.nan,
                    "sd": sd,
                    "repetitions": len(own.repetitions),
                    "worse_than_best": name in worse,
                }
            )
    tasks = list(comparison.scores)
    counts = [len(own.repetitions) for own in comparison.scores.values()]
    caption = joined(
        "Final values of the incumbents selected by validation: mean and standard deviation over "
        f"{span(counts, 'repetition')} ({listed(sorted({o.metric for o in comparison.scores.values()}))}).",
        "Bold: best mean on the task; underlined: not significantly worse by Wilcoxon's signed-rank test over "
        f"repetitions against the best, with Holm's correction, at {ALPHA:g}."
        if max(counts) > 1
        else "Bold: best on the task.",
        "A dash: a repetition without a success.",
        left_out(list(comparison.left_out)),
        short(inputs.tables, list(comparison.scores), comparison.searchers),
    )
    rows = [[escape(name), *(cells[name][task] for task in tasks)] for name in names]
    return Table(
        "Final values by task",
        "results",
        caption,
        pd.DataFrame(parts),
        table_environment(["Method", *tasks], rows, caption, "results"),
    )


def running_time_table(inputs: Inputs) -> Table | None:
    """Return the expected running times; ``None`` where no task declares references."""
    data = running_times(inputs, inputs.primary)
    if data.empty:
        return None
    targets = sorted(data["target"].unique(), reverse=True)
    rows = []
    for (task, searcher), group in data.groupby(["task", "searcher"], sort=True):
        own = group.set_index("target")
        cells = [
            f"{in_latex(float(own.loc[t, 'ert']))} ({int(own.loc[t, 'successes'])}/{int(own.loc[t, 'runs'])})"
            for t in targets
        ]
        rows.append([escape(str(task)), escape(str(searcher)), *cells])
    caption = (
        f"Expected running time in {inputs.primary.replace('_', ' ')} to targets of normalised regret: what all "
        "finished runs spent, divided by how many reached the target (in brackets: successes of runs), by the "
        "validation objective. A failed run contributes its own cost."
    )
    header = ["Task", "Method", *(f"{t:g}" for t in targets)]
    return Table(
        "Expected running time",
        "running-times",
        caption,
        data,
        table_environment(header, rows, caption, "running-times", align="ll" + "r" * len(targets)),
    )


def failure_table(inputs: Inputs) -> Table:
    """Return how evaluations ended, by method."""
    data = failures_by_method(failures(inputs.tables))
    rows = [
        [escape(str(row["searcher"])), *(str(row[s]) for s in STATUSES), in_latex(100 * row["share"], 2)]
        for row in data.to_dict("records")
    ]
    caption = "How the evaluations of each method ended, unfinished studies included, and the share that failed in %."
    header = ["Method", *STATUSES, "failed %"]
    return Table("Failures", "failures", caption, data, table_environment(header, rows, caption, "failures"))


def completeness_table(inputs: Inputs) -> Table:
    """Return finished of planned repetitions, tasks × methods."""
    data = completeness(inputs.tables)
    searchers = sorted(data["searcher"].unique())
    rows = []
    for task, group in data.groupby("task", sort=True):
        own = group.set_index("searcher")
        cells = [
            f"{int(own.loc[name, 'finished'])}/{int(own.loc[name, 'planned'])}"
            if int(own.loc[name, "planned"])
            else "--"
            for name in searchers
        ]
        rows.append([escape(str(task)), *cells])
    caption = "Finished of planned repetitions. A dash: not planned."
    return Table(
        "Completeness",
        "completeness",
        caption,
        data,
        table_environment(["Task", *searchers], rows, caption, "completeness"),
    )


def all_tables(inputs: Inputs, comparison: Comparison | None = None) -> list[Table]:
    """Return every table of a sweep that has something to show, in the order of the report."""
    if comparison is None and comparable(inputs):
        comparison = compare(inputs)
    tables = (
        [ranking_table(inputs, comparison), results_table(inputs, comparison)]
        if comparison is not None
        else []
    )
    times = running_time_table(inputs)
    return [
        *tables,
        *([times] if times is not None else []),
        failure_table(inputs),
        completeness_table(inputs),
    ]


def save_table(table: Table, folder: Path) -> dict[str, Path]:
    """Write a table as CSV and LaTeX; the same table gives the same bytes.

    Args:
        table: What to write.
        folder: Where; made if absent.

    Returns:
        Paths by ending.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = {ending: folder / f"{table.stem}.{ending}" for ending in ("csv", "tex")}
    write_csv(table.data, paths["csv"])
    paths["tex"].write_text(table.latex, encoding="utf-8", newline="\n")
    return paths
