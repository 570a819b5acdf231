r"""Tables for a paper: LaTeX with booktabs, and CSV of the same numbers.

Best in bold, not significantly worse underlined. A file holds one ``table`` environment; the paper's preamble needs
``\usepackage{booktabs}`` and nothing else.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from analysis import style
from analysis.report.booktabs import (
    escape,
    in_latex,
    interval_in_latex,
    mean_in_latex,
    p_in_latex,
    table_environment,
)
from analysis.sample_sizes import few_tasks
from analysis.spreadsheets import write_csv
from analysis.statistics import moments
from analysis.statistics.comparison import Comparison, comparable, compare, ranking
from analysis.statistics.completeness import STATUSES, completeness, failures, failures_by_method
from analysis.statistics.independent import fewest_runs
from analysis.statistics.inputs import Inputs
from analysis.statistics.significance import ALPHA, fewest_blocks
from analysis.statistics.targets import running_times
from analysis.wording import wording
from analysis.words import (
    IMPORT_MARK,
    cost_label,
    joined,
    left_out,
    listed,
    short,
    span,
)
from harness.plurals import plural


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


def _mark(inputs: Inputs) -> str:
    """Return the mark of imported results; every table ends with it."""
    return IMPORT_MARK if inputs.tables.imported is not None else ""


def ranking_table(inputs: Inputs, comparison: Comparison) -> Table:
    """Return the final ranking as a table."""
    data = ranking(comparison)
    standing = comparison.final
    leader = standing.leaders[0] if len(standing.leaders) == 1 else None
    referenced = bool(data["regret"].notna().any())
    tested, timed = bool(data["p_holm"].notna().any()), bool(data["p_anytime"].notna().any())
    header = ["Method", "Mean rank", "W/T/L"]
    header += ["IQM of regret", "Anytime"] if referenced else []
    header += ["Won", "Effect"] if leader else []
    header += ["p (Holm)"] if tested else []
    header += ["p anytime"] if timed else []
    said = standing.verdict(leader) if leader and not comparison.few else None
    how = wording(paired=comparison.paired)
    rows = []
    for row in data.to_dict("records"):
        name = escape(str(row["searcher"]))
        if row["leads"]:
            name = rf"\textbf{{{name}}}"
        elif said and row["searcher"] in said.alike:
            name = rf"\underline{{{name}}}"
        elif said and row["searcher"] in said.worse_than:
            name = rf"{name}$^\dagger$"
        cells = [
            name,
            interval_in_latex(row["rank"], row["rank_low"], row["rank_high"], 2),
            f"{row['wins']}/{row['ties']}/{row['losses']}",
        ]
        if referenced:
            cells += [
                interval_in_latex(row[part], row[f"{part}_low"], row[f"{part}_high"])
                for part in ("regret", "anytime")
            ]
        cells += [in_latex(row["won"], 2), in_latex(row["effect"], 2)] if leader else []
        cells += [p_in_latex(row["p_holm"])] if tested else []
        cells += [p_in_latex(row["p_anytime"])] if timed else []
        rows.append(cells)
    count = int(data["tasks"].iloc[0])
    caption = joined(
        f"Final ranking of {plural(len(data), 'method')} over {plural(count, 'task')}, by mean rank of the final "
        f"values {how.ranked}"
        + (" (95 % interval resamples tasks)." if data["rank_low"].notna().any() else "."),
        f"W/T/L: over tasks and the other methods, whether it wins more {how.unit} of the task than it loses.",
        "IQM of regret and anytime score: interquartile means of normalised regret over runs (95 % intervals "
        "resample repetitions inside tasks)."
        if referenced
        else "",
        f"Against {leader}: share of {how.unit} won, ties counting half, mean over tasks; effect, the matched-pairs "
        "rank-biserial correlation over tasks (negative: worse)"
        + (
            f"; p of Wilcoxon's signed-rank test over tasks, on the {how.won}, with Holm's "
            f"correction over all {plural(len(standing.pairs), 'pair')}"
            if tested
            else ""
        )
        + ("; p anytime: the same of anytime scores." if timed else ".")
        if leader
        else f"{listed(list(standing.leaders))} lead together, so that there is no one reference.",
        "Bold: lowest mean rank."
        + (" Underlined: not shown to differ from it. Dagger: shown to be better than it." if said else ""),
        few_tasks(comparison),
        left_out(list(comparison.left_out)),
        short(inputs.tables, list(comparison.scores), comparison.searchers),
        style.current().note,
        _mark(inputs),
    )
    return Table(
        "Final ranking", "ranking", caption, data, table_environment(header, rows, caption, "ranking")
    )


def results_table(inputs: Inputs, comparison: Comparison) -> Table:
    """Return mean final values with standard deviations, methods × tasks."""
    names = list(comparison.mean_ranks)
    cells: dict[str, dict[str, str]] = {name: {} for name in names}
    parts, tested = [], []
    for task, own in comparison.scores.items():
        verdicts, ranks = comparison.verdict_on(task), comparison.final.ranks_on(task)
        possible = not any(said.untested for said in verdicts.values())
        if possible:
            tested.append(task)
        sign = -1.0 if comparison.directions[task] == "max" else 1.0
        for name in names:
            column = own.losses[:, own.searchers.index(name)]
            mean = float(moments.mean(column))
            finite = bool(np.isfinite(column).all())
            sd = moments.sd(column) if finite and column.size > 1 else math.nan
            worse = any(name in said.better_than for said in verdicts.values())
            better = any(name in said.worse_than for said in verdicts.values())
            text = mean_in_latex(sign * mean, sd) if finite else "--"
            if name in verdicts:
                text = rf"\textbf{{{text}}}"
            elif better:
                text = rf"{text}$^\dagger$"
            elif possible and not worse:
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
                    "mean_rank": ranks[name],
                    "leads": name in verdicts,
                    "worse_than_leader": worse,
                    "better_than_leader": better,
                }
            )
    tasks = list(comparison.scores)
    counts = [len(own.repetitions) for own in comparison.scores.values()]
    pairs = len(names) * (len(names) - 1) // 2
    how, fewest = wording(paired=comparison.paired), fewest_blocks if comparison.paired else fewest_runs
    untested = [task for task in tasks if task not in tested]
    caption = joined(
        "Final values of the incumbents selected by validation: mean and standard deviation over "
        f"{span(counts, 'repetition')} ({listed(sorted({o.metric for o in comparison.scores.values()}))}).",
        "Bold: lowest mean rank within the task's repetitions."
        if comparison.paired
        else "Bold: lowest mean rank.",
        f"Underlined: not shown to differ from it by {how.test} over {how.over}, with Holm's "
        f"correction over the task's {plural(pairs, 'pair')}, at {ALPHA:g}; dagger: shown to be better than it."
        if tested
        else "",
        f"No test on {listed(untested)}: it takes at least {plural(fewest(comparisons=pairs), 'repetition')} to show a "
        "difference."
        if untested
        else "",
        "A dash: a repetition without a success.",
        left_out(list(comparison.left_out)),
        short(inputs.tables, list(comparison.scores), comparison.searchers),
        style.current().note,
        _mark(inputs),
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
    label = cost_label(inputs.tables, inputs.primary, inputs.facts)
    caption = joined(
        f"Expected running time in {label} to targets of normalised regret: what all finished runs spent, divided by "
        "how many reached the target (in brackets: successes of runs), by the validation objective. A failed run "
        "contributes its own cost.",
        style.current().note,
        _mark(inputs),
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
    caption = joined(
        "How the evaluations of each method ended, unfinished studies included, and the share that failed in %.",
        style.current().note,
        _mark(inputs),
    )
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
    caption = joined(
        "Finished of planned repetitions. A dash: not planned.", style.current().note, _mark(inputs)
    )
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
