r"""The tables of recorded results for a paper: LaTeX with booktabs, as text, one function each.

Each takes what `derby.read` returned and returns a ``table`` environment; the preamble needs ``\usepackage{booktabs}``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from analysis.errors import AnalysisError
from analysis.notebook import analysed
from analysis.report import latex

if TYPE_CHECKING:
    from results.tables import SweepTables


def ranking(tables: SweepTables) -> str:
    """Return the final ranking."""
    own = analysed(tables)
    return latex.ranking_table(own.inputs, own.comparison).latex


def results(tables: SweepTables) -> str:
    """Return mean final values with standard deviations, methods × tasks; the best in bold."""
    own = analysed(tables)
    return latex.results_table(own.inputs, own.comparison).latex


def running_times(tables: SweepTables) -> str:
    """Return expected running times to targets of regret.

    Raises:
        AnalysisError: No task declares references of regret.
    """
    table = latex.running_time_table(analysed(tables).inputs)
    if table is None:
        raise AnalysisError(
            "expected running times take tasks that declare references of regret; these have none"
        )
    return table.latex


def failures(tables: SweepTables) -> str:
    """Return how evaluations ended, by method."""
    return latex.failure_table(analysed(tables).inputs).latex


def completeness(tables: SweepTables) -> str:
    """Return finished of planned repetitions, tasks × methods."""
    return latex.completeness_table(analysed(tables).inputs).latex
