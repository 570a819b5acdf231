"""The figures of recorded results, one function each; every one returns a matplotlib figure.

Each takes what `derby.read` returned. ``task`` is a task's label, ``over`` a cost to draw over: ``evaluations``,
``epochs``, ``cost``, ``seconds``, or a column of costs of the trials. All take the fields of a style: see `Choices`. A
figure belongs to no global state of pyplot and takes nothing from it; `save` writes it as it was drawn. Where a figure
has nothing to show, `analysis.errors.AnalysisError` says what the results lack.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypedDict, Unpack

from analysis import notebook

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from analysis.figures.canvas import Plot
    from results.tables import SweepTables


class Choices(TypedDict, total=False):
    """What is shown and how it is drawn: fields of the block ``figures`` of a sweep file."""

    only: Sequence[str]
    tasks: Sequence[str]
    labels: Mapping[str, str]
    order: Sequence[str]
    looks: Mapping[str, Mapping[str, str]]
    width: str | float
    font: str
    font_size: float
    decimal: Literal["point", "comma"]
    titles: bool
    baselines: bool


def plot(
    tables: SweepTables,
    name: str,
    *,
    task: str | None = None,
    over: str | None = None,
    **choices: Unpack[Choices],
) -> Plot:
    """Draw a figure by its name in `names`, with its ``caption``, ``details``, ``alt``, ``data`` and ``units``."""
    return notebook.plot(tables, name, task=task, over=over, **choices)


def names() -> dict[str, str]:
    """Return the names of all figures, each with what it shows."""
    from analysis.figures.named import FIGURES

    return {name: own.about for name, own in FIGURES.items()}


def save(figure: Figure, path: str | Path) -> Path:
    """Write a figure as PDF, SVG or PNG, by the file's ending; the same figure gives the same bytes."""
    return notebook.save(figure, path)


def rank(
    tables: SweepTables, *, task: str | None = None, over: str | None = None, **choices: Unpack[Choices]
) -> Figure:
    """Draw the mean rank of every method over the budget: on one task, or over all."""
    return plot(tables, "rank", task=task, over=over, **choices).figure


def convergence(
    tables: SweepTables, task: str | None = None, *, over: str | None = None, **choices: Unpack[Choices]
) -> Figure:
    """Draw the mean best value so far of every method on a task, by validation and on test."""
    return plot(tables, "convergence", task=task, over=over, **choices).figure


def regret(tables: SweepTables, **choices: Unpack[Choices]) -> Figure:
    """Draw the mean normalised regret over the fraction of the budget."""
    return plot(tables, "regret", **choices).figure


def differences(tables: SweepTables, **choices: Unpack[Choices]) -> Figure:
    """Draw the critical-difference diagram: mean ranks, and who differs by Wilcoxon's tests with Holm's correction."""
    return plot(tables, "differences", **choices).figure


def differences_nemenyi(tables: SweepTables, **choices: Unpack[Choices]) -> Figure:
    """Draw the critical-difference diagram after Nemenyi."""
    return plot(tables, "differences-nemenyi", **choices).figure


def differences_anytime(tables: SweepTables, **choices: Unpack[Choices]) -> Figure:
    """Draw the critical-difference diagram of anytime scores, the mean regret over the budget."""
    return plot(tables, "differences-anytime", **choices).figure


def posterior(tables: SweepTables, **choices: Unpack[Choices]) -> Figure:
    """Draw the Bayesian signed-rank test: how probably each method is better, equivalent or worse."""
    return plot(tables, "posterior", **choices).figure


def scores(tables: SweepTables, **choices: Unpack[Choices]) -> Figure:
    """Draw the interquartile means of final regret and anytime score."""
    return plot(tables, "scores", **choices).figure


def ranking(tables: SweepTables, **choices: Unpack[Choices]) -> Figure:
    """Draw the mean rank of each method's final values over tasks, with intervals."""
    return plot(tables, "ranking", **choices).figure


def improvement(tables: SweepTables, **choices: Unpack[Choices]) -> Figure:
    """Draw how probably a run of one method is better than one of another."""
    return plot(tables, "improvement", **choices).figure


def profile(tables: SweepTables, **choices: Unpack[Choices]) -> Figure:
    """Draw the performance profile: the share of runs whose regret is at most τ."""
    return plot(tables, "profile", **choices).figure


def targets(tables: SweepTables, *, over: str | None = None, **choices: Unpack[Choices]) -> Figure:
    """Draw the share of targets reached (ECDF over tasks, targets and runs)."""
    return plot(tables, "targets", over=over, **choices).figure


def speed_up(tables: SweepTables, *, over: str | None = None, **choices: Unpack[Choices]) -> Figure:
    """Draw how much sooner than random search each method gets to where that ends."""
    return plot(tables, "speed-up", over=over, **choices).figure


def quality(tables: SweepTables, *, task: str | None = None, **choices: Unpack[Choices]) -> Figure:
    """Draw final quality against seconds with the Pareto front: on one task, or over all."""
    return plot(tables, "quality", task=task, **choices).figure


def paired(tables: SweepTables, task: str | None = None, **choices: Unpack[Choices]) -> Figure:
    """Draw each method's mean difference from the control on a task."""
    return plot(tables, "paired", task=task, **choices).figure


def overtuning(tables: SweepTables, *, task: str | None = None, **choices: Unpack[Choices]) -> Figure:
    """Draw what selecting by validation lost on the test set: on one task, or over all."""
    return plot(tables, "overtuning", task=task, **choices).figure


def reevaluation(tables: SweepTables, *, task: str | None = None, **choices: Unpack[Choices]) -> Figure:
    """Draw how much of the winners' values was luck: on one task, or over all."""
    return plot(tables, "reevaluation", task=task, **choices).figure


def search_time(tables: SweepTables, **choices: Unpack[Choices]) -> Figure:
    """Draw the seconds that the search itself takes."""
    return plot(tables, "search-time", **choices).figure


def importance(tables: SweepTables, task: str | None = None, **choices: Unpack[Choices]) -> Figure:
    """Draw the importance of a task's parameters (PED-ANOVA, computed by Optuna)."""
    return plot(tables, "importance", task=task, **choices).figure


def slices(tables: SweepTables, task: str | None = None, **choices: Unpack[Choices]) -> Figure:
    """Draw the objective over each parameter of a task."""
    return plot(tables, "slices", task=task, **choices).figure


def coordinates(tables: SweepTables, task: str | None = None, **choices: Unpack[Choices]) -> Figure:
    """Draw parallel coordinates of the configurations that each method tried on a task."""
    return plot(tables, "coordinates", task=task, **choices).figure
