"""Final quality against seconds of search and training, with the Pareto front."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator

from analysis import style, words
from analysis.figures.canvas import (
    Plot,
    add_legend,
    blank,
    leading,
    panel_height,
    plain,
    settle,
    shortened,
    standing_back,
    titled,
)
from analysis.figures.curves import log_ticks
from analysis.statistics.comparison import Comparison
from analysis.statistics.inputs import Inputs
from analysis.statistics.quality import Quality, quality_on_task, quality_over_tasks
from analysis.style import Look
from analysis.words import joined, left_out, listed
from harness.plurals import plural

LOG_FROM = 5
"""Seconds that span more than this factor are drawn on a log axis."""


def quality_of_task(inputs: Inputs, task: str, highlight: Collection[str] | None = None) -> Plot | None:
    """Draw the final value of every method on a task against its seconds; ``None`` with fewer than two methods."""
    found, facts = quality_on_task(inputs, task), inputs.facts[task]
    if len(found.means) < 2 or not found.means["seconds"].max() > 0:
        return None
    metric = facts.metrics[facts.reported]
    looks = leading(inputs.tables, _front_first(found.means, facts.sign), highlight)
    counts = {str(s): int(n) for s, n in zip(found.means["searcher"], found.means["units"], strict=True)}
    counts = {name: counts[name] for name in style.ordered(counts)}
    caption = joined(
        f"Final {metric} on {task} ({'smaller' if facts.direction == 'min' else 'larger'} is better) against seconds "
        f"of search and training{_log_words(found.means)}.",
        f"Marks: means over repetitions ({words.repetition_counts(counts)}, 1 task).",
        words.uncertainty(list(counts.values()), "repetition", marks="Whiskers", singly="Small dots"),
        _front_words(found.means),
        standing_back(looks, found.means["searcher"]),
        left_out([f"{name} (a repetition without a success)" for name in found.absent]),
        words.caveats(inputs.tables, facts),
    )
    figure = _draw(found, f"{task}: final value and cost", shortened(metric, 40), looks, sign=facts.sign)
    return _plot(found, f"Quality against cost on {task}", caption, figure, "mean final value")


def quality_of_tasks(
    inputs: Inputs, comparison: Comparison, highlight: Collection[str] | None = None
) -> Plot | None:
    """Draw the mean rank over tasks of every method against its mean seconds; ``None`` where nothing took any time."""
    found = quality_over_tasks(inputs, comparison)
    if not found.means["seconds"].max() > 0:
        return None
    looks = leading(inputs.tables, _front_first(found.means, 1.0), highlight)
    tasks = len(comparison.scores)
    caption = joined(
        "Mean rank of final results (1 is best) against mean seconds of search and training of a "
        f"study{_log_words(found.means)}.",
        f"Marks: means over {plural(tasks, 'task')}; {words.extent(comparison)}.",
        words.uncertainty([tasks], "task", marks="Whiskers", singly="Small dots"),
        _front_words(found.means),
        standing_back(looks, found.means["searcher"]),
        words.few(comparison),
        words.end(inputs, comparison),
    )
    figure = _draw(found, "Mean rank and cost over tasks", "mean rank", looks, sign=1.0, ranks=True)
    return _plot(found, "Quality against cost over tasks", caption, figure, "mean rank")


def _plot(found: Quality, title: str, caption: str, figure: Figure, what: str) -> Plot:
    points = ", ".join(
        f"{row.searcher} {row.value:.4g} in {row.seconds:.3g} s" for row in found.means.itertuples()
    )
    return Plot(
        title=title,
        caption=caption,
        details="On the front is who has no other method that is at least as good and as cheap, and better in one of "
        "these; it rests on the means alone. Seconds are those of the record: an evaluation that was reused counts "
        "with the seconds that it took when it was trained, and seconds of another machine are others.",
        alt=f"Points, {what} in seconds: {points}.",
        figure=figure,
        data=found.means,
        units=found.units,
    )


def _front_first(means: pd.DataFrame, sign: float) -> list[str]:
    """Return the methods in the order in which they matter here: those on the front, then by value."""
    order = means.assign(loss=sign * means["value"]).sort_values(
        ["front", "loss"], ascending=[False, True], kind="stable"
    )
    return [str(name) for name in order["searcher"]]


def _front_words(means: pd.DataFrame) -> str:
    names = [str(name) for name in means.loc[means["front"], "searcher"]]
    return f"Line: Pareto front of the means ({listed(names)})."


def _is_log(means: pd.DataFrame) -> bool:
    low, high = float(means["seconds"].min()), float(means["seconds"].max())
    return low > 0 and high / low > LOG_FROM


def _log_words(means: pd.DataFrame) -> str:
    return " (log axis)" if _is_log(means) else ""


def _draw(
    found: Quality, title: str, label: str, looks: Mapping[str, Look], *, sign: float, ranks: bool = False
) -> Figure:
    """Draw means with whiskers or single units in both directions, and the front as a step line."""
    means = found.means
    with style.applied():
        figure = blank(style.column_width(), panel_height())
        axes = figure.subplots()
        if _is_log(means):
            axes.set_xscale("log")
        front = means[means["front"]].sort_values(["seconds", "value"])
        axes.plot(
            front["seconds"],
            front["value"],
            drawstyle="steps-post",
            color="#555555",
            linewidth=0.9,
            zorder=1.8,
        )
        for row in means.to_dict("records"):
            _point(axes, row, looks[str(row["searcher"])], found.units)
        if ranks:
            axes.yaxis.set_major_locator(MaxNLocator(6, integer=True))
        else:
            axes.yaxis.set_major_locator(MaxNLocator(6))
            axes.yaxis.set_major_formatter(FuncFormatter(plain))
        if ranks or sign > 0:
            axes.invert_yaxis()  # better is up, whatever the direction
        axes.set_xlabel("seconds of search and training")
        axes.set_ylabel(label)
        _seconds_ticks(axes, log=_is_log(means))
        add_legend(figure, means, looks, marks=True)
        titled(figure, title)
        settle(figure)
    return figure


def _point(axes: Axes, row: Mapping[Hashable, Any], look: Look, units: pd.DataFrame) -> None:
    """Draw one method."""
    quiet = look == style.QUIET
    x, y = (np.array([row[name]], dtype=float) for name in ("seconds", "value"))
    if not quiet:
        for name, across in (("seconds", True), ("value", False)):
            ends = np.array([row[f"{name}_low"], row[f"{name}_high"]], dtype=float)
            if np.isfinite(ends).all():
                held = np.repeat(y if across else x, 2)
                axes.plot(
                    *((ends, held) if across else (held, ends)), color=look.color, linewidth=1.0, zorder=2
                )
        own = units[units["searcher"] == row["searcher"]]
        axes.plot(
            own["seconds"],
            own["value"],
            linestyle="",
            marker="o",
            markersize=1.8,
            markeredgewidth=0,
            color=look.color,
            alpha=0.7,
            zorder=2.5,
        )
    axes.plot(
        x,
        y,
        linestyle="",
        marker=look.marker or "o",
        markersize=2.5 if quiet else 4.5,
        color=look.color,
        zorder=1.9 if quiet else 3,
    )


def _seconds_ticks(axes: Axes, *, log: bool) -> None:
    axes.margins(x=0.08)
    if log:
        log_ticks(axes.xaxis, *axes.get_xlim())
        return
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.xaxis.set_major_formatter(FuncFormatter(plain))
    low, high = axes.get_xlim()
    axes.xaxis.set_major_locator(
        FixedLocator([tick for tick in axes.xaxis.get_major_locator().tick_values(low, high) if tick >= 0])
    )
    axes.set_xlim(max(low, 0.0) if low < 0 else low, high)
