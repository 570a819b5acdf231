"""Both sides of a gate: percentile over the budget, and the interval of their difference against the margin."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator

from analysis import style
from analysis.figures.canvas import Curves, Plot, Series, blank, plain, settle, shortened
from analysis.statistics.sequential import Bounds, Decision, Verdict
from analysis.statistics.sides import ALL_TASKS, ON_A_PAR, SIDES
from analysis.style import Look
from analysis.words import joined, number
from harness.plurals import plural

LOOKS: Final[Mapping[str, Look]] = {
    "baseline": Look("#444444", style.DASHED, ""),
    "candidate": Look("#0072b2", style.SOLID, ""),
}
"""Of the two sides: apart in hue, luminance and dash."""

VERDICT_MARKS: Final[Mapping[Verdict | None, tuple[str, str]]] = {
    Verdict.WORSE: ("#d55e00", "s"),
    Verdict.NOT_WORSE: ("#009e73", "o"),
    Verdict.UNDECIDED: ("#777777", "D"),
    None: ("#777777", "D"),
}
"""Colour and mark of an interval by what it decides."""

_ROW = 0.72
_BEYOND = "#fbe3d6"
_RANDOM = "random search"


def gate_figure(curves: pd.DataFrame, decision: Decision, searcher: str) -> Plot:
    """Draw both sides' percentiles over the budget (left) and the interval of the difference (right).

    A row for each task; the first row is the mean over the tasks.

    Args:
        curves: What `analysis.statistics.sides.percentile_curves` returned.
        decision: About the differences of percentiles.
        searcher: The method's label.
    """
    rows = {ALL_TASKS: decision.overall, **decision.tasks}
    if len(decision.tasks) == 1:
        del rows[ALL_TASKS]
    title = f"Gate of {searcher}"
    low = min(*(bounds.low for bounds in rows.values()), 0.0)
    high = max(*(bounds.high for bounds in rows.values()), decision.margin)
    drawn = []
    with style.applied():
        figure = blank(style.COLUMN_WIDTH, 0.85 + _ROW * len(rows))
        grid = figure.subplots(len(rows), 2, sharex="col", squeeze=False, width_ratios=(1.25, 1))
        for (task, bounds), (left, right) in zip(rows.items(), grid, strict=True):
            drawn.append(_curves(left, curves[curves["task"] == task]))
            name = task or "mean over tasks"
            left.set_title(shortened(name, 40), loc="left", fontsize=7, pad=2)
            _interval(right, bounds, decision.margin, (low, high))
        grid[-1, 0].set_xlabel("fraction of the budget")
        grid[-1, 1].set_xlabel("difference")
        handles = [Line2D([], [], color=LOOKS[side].color, linestyle=LOOKS[side].linestyle) for side in SIDES]
        handles.append(Line2D([], [], color="#999999", linewidth=0.6))
        figure.legend(handles, [*SIDES, _RANDOM], loc="outside lower center", ncols=3, columnspacing=1.2)
        figure.suptitle(shortened(title, 46))
        settle(figure)
    return Plot(
        title=title,
        caption=_caption(decision),
        details=joined(
            "Percentile: the share of random searches that have found better with as much of the budget; "
            f"{_RANDOM} itself has {ON_A_PAR} on average.",
            f"Bounds of single tasks are for all {len(decision.tasks)} together (Bonferroni)."
            if len(decision.tasks) > 1
            else "",
        ),
        alt="Curves of two sides and intervals. "
        + "; ".join(
            f"{task or 'mean over tasks'}: {number(bounds.estimate, 2)} ({number(bounds.low, 2)} to "
            f"{number(bounds.high, 2)})"
            for task, bounds in rows.items()
        )
        + ".",
        figure=figure,
        data=_data(curves, rows),
        curves=drawn,
    )


def _caption(decision: Decision) -> str:
    level = f"{100 * decision.overall.level:g} %"
    several = "the first row is the mean over tasks" if len(decision.tasks) > 1 else ""
    return joined(
        "Left: percentile among random searches by the best validation value so far, mean over "
        f"{plural(decision.repetitions, 'paired repetition')} with its 95 % bootstrap interval.",
        "Right: mean difference, candidate minus baseline, between bounds that hold over all looks, each but for a "
        f"probability of {level}; shaded: worse by more than the margin of {number(decision.margin, 3)}.",
        "Squares: worse; circles: not worse; diamonds: undecided.",
        f"{plural(len(decision.tasks), 'task')}; {several}." if several else "1 task.",
    )


def _curves(axes: Axes, rows: pd.DataFrame) -> Curves:
    """Draw the curves of a task."""
    series = []
    for side in SIDES:
        own, look = rows[rows["side"] == side], LOOKS[side]
        cost, mean, low, high = (own[name].to_numpy(dtype=float) for name in ("cost", "mean", "low", "high"))
        axes.fill_between(cost, low, high, step="post", color=look.color, alpha=0.18, linewidth=0)
        axes.plot(cost, mean, drawstyle="steps-post", color=look.color, linestyle=look.linestyle)
        series.append(Series(side, look.color, cost, mean, low, high))
    axes.axhline(ON_A_PAR, color="#999999", linewidth=0.6, zorder=1.5)
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1.08 * max(ON_A_PAR, float(rows["high"].max()), float(rows["mean"].max())))
    axes.yaxis.set_major_locator(MaxNLocator(3))
    axes.xaxis.set_major_locator(MaxNLocator(4))
    axes.yaxis.set_major_formatter(FuncFormatter(plain))
    axes.xaxis.set_major_formatter(FuncFormatter(plain))
    axes.set_ylabel("percentile")
    return Curves(axes, series)


def _interval(axes: Axes, bounds: Bounds, margin: float, limits: tuple[float, float]) -> None:
    """Draw an interval against the margin."""
    color, mark = VERDICT_MARKS[bounds.verdict]
    space = 0.08 * (limits[1] - limits[0])
    axes.set_xlim(limits[0] - space, limits[1] + space)
    axes.axvspan(margin, limits[1] + space, color=_BEYOND, linewidth=0, zorder=0.5)
    axes.axvline(0.0, color="#999999", linewidth=0.6, zorder=1.5)
    axes.axvline(margin, color="#d55e00", linewidth=0.9, linestyle=(0, style.DASHED), zorder=1.5)
    axes.plot([bounds.low, bounds.high], [0, 0], color=color, linewidth=1.8, solid_capstyle="butt")
    axes.plot([bounds.estimate], [0], color=color, marker=mark, markersize=4.5, linestyle="", zorder=3)
    axes.set_yticks([])
    axes.set_ylim(-1, 1)
    axes.spines["left"].set_visible(False)
    axes.xaxis.set_major_locator(MaxNLocator(3))
    axes.xaxis.set_major_formatter(FuncFormatter(plain))


def _data(curves: pd.DataFrame, rows: Mapping[str, Bounds]) -> pd.DataFrame:
    """Return the numbers drawn: the curves, then the intervals, whose side is ``difference`` and whose cost is 1."""
    intervals = [
        {
            "task": task,
            "side": "difference",
            "cost": 1.0,
            "mean": own.estimate,
            "low": own.low,
            "high": own.high,
        }
        for task, own in rows.items()
    ]
    kept = curves[curves["task"].isin(list(rows))]
    return pd.concat([kept, pd.DataFrame(intervals)], ignore_index=True)
