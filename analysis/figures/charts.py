"""Drawings besides curves: forests of estimates, matrices, stacked shares, dots."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, MaxNLocator, NullFormatter, NullLocator

from analysis import style
from analysis.figures.canvas import add_legend, blank, plain, settle, shortened_apart, titled
from analysis.figures.guides import COLOR, WIDTH, Guide
from analysis.style import Look

_ROW = 0.19
"""Height of a method's row in inches."""

_NAME = 22
"""Most characters of a method's name beside a row."""

_SHADES = LinearSegmentedColormap.from_list("derby", ["#ffffff", "#c6dbef", "#4a90c2", "#08306b"])
"""From white to dark blue: its luminance falls throughout, so that it reads in grey."""


@dataclass(frozen=True, slots=True, eq=False)
class Panel:
    """One panel of a forest.

    Attributes:
        label: Of its axis.
        data: Rows of ``searcher``, ``mean``, ``low``, ``high`` and, optionally, ``certain``: markers are filled where
            it is true (or absent) and open where not.
        line: Where to draw a vertical line, such as at no difference.
        log: Whether the axis is logarithmic.
        title: Above the panel; empty for none.
        units: Single repetitions or tasks to draw as small dots: rows of ``searcher`` and ``value``.
        guides: Baselines to draw as vertical lines, by their value as ``validation``.
    """

    label: str
    data: pd.DataFrame
    line: float | None = None
    log: bool = False
    title: str = ""
    units: pd.DataFrame | None = None
    guides: Sequence[Guide] = ()


def draw_forest(
    panels: Sequence[Panel], order: Sequence[str], title: str, looks: Mapping[str, Look]
) -> Figure:
    """Draw estimates with their intervals, one row per method, one panel beside the other.

    Args:
        panels: One to three.
        order: The methods, from the top.
        title: Of the figure.
        looks: At least those of the methods drawn.
    """
    count = len(panels)
    columns = style.beside(count) if style.beside(count) == count else 1
    headed = any(panel.title for panel in panels)
    height = style.scaled(0.75 + 0.15 * headed + _ROW * max(len(order), 2))
    with style.applied():
        figure = blank(style.page_width() if count > 1 else style.column_width(), height * count / columns)
        axes = list(np.ravel(figure.subplots(count // columns, columns, sharey=columns > 1)))
        for panel, own in zip(panels, axes, strict=True):
            rows = {str(row["searcher"]): row for row in panel.data.to_dict("records")}
            if panel.log:
                own.set_xscale("log")
            if panel.line is not None:
                own.axvline(panel.line, color="#555555", linewidth=0.8, zorder=1.5)
            for place, name in enumerate(order):
                row = rows.get(name)
                if row is None or not math.isfinite(row["mean"]):
                    continue
                look, certain = looks[name], bool(row.get("certain", True))
                if panel.units is not None:
                    single = panel.units.loc[panel.units["searcher"] == name, "value"].to_numpy(dtype=float)
                    own.plot(
                        single,
                        np.full(single.size, place + 0.3),
                        color=look.color,
                        marker="o",
                        markersize=1.8,
                        markeredgewidth=0,
                        linestyle="",
                        zorder=2.5,
                    )
                if math.isfinite(row["low"]) and math.isfinite(row["high"]):
                    own.plot(
                        [row["low"], row["high"]],
                        [place, place],
                        color=look.color,
                        linewidth=2.2 if certain and "certain" in row else 1.2,
                        solid_capstyle="butt",
                    )
                own.plot(
                    [row["mean"]],
                    [place],
                    color=look.color,
                    marker=look.marker,
                    markersize=4.5,
                    markerfacecolor=look.color if certain else "white",
                    linestyle="",
                    zorder=3,
                )
            own.set_xlabel(panel.label)
            if panel.title:
                own.set_title(panel.title)
            own.grid(visible=False, axis="y")
            _value_ticks(own, log=panel.log)
            for line in panel.guides:
                own.axvline(
                    line.places["validation"],
                    color=COLOR,
                    linestyle=line.linestyle,
                    linewidth=WIDTH,
                    zorder=1.6,
                )
        for own in axes[: count // columns]:
            _names(own, order)
        titled(figure, title)
        if straight := list(dict.fromkeys(line.name for panel in panels for line in panel.guides)):
            every = {line.name: line for panel in panels for line in panel.guides}
            nobody = pd.DataFrame({"searcher": []})
            add_legend(figure, nobody, looks, guides=[every[name] for name in straight])
        settle(figure)
    return figure


FULL_CELLS = 14
"""Methods up to which a matrix names its columns and stars its numbers."""


def is_full(methods: int) -> bool:
    """Whether a matrix of so many methods names its columns and stars its numbers: where there is room for names."""
    width = style.current().width
    room = math.inf if width is None else (width - style.scaled(1.4)) / methods
    return methods <= FULL_CELLS and room >= style.scaled(0.19)


def draw_matrix(
    table: pd.DataFrame, title: str, row_label: str, column_label: str, *, marked: pd.DataFrame | None = None
) -> Figure:
    """Draw a square table of probabilities as shaded cells with their numbers in per cent.

    Where it is not `is_full` numbers are smaller, those marked have a dot in the corner instead of a star,
    and columns are numbered like the rows, whose names stand once.

    Args:
        table: Methods × methods, 0 … 1, NaN for an empty cell; rows from the top.
        title: Of the figure.
        row_label: What a row is.
        column_label: What a column is.
        marked: Where it is true, the number has a star.
    """
    k = len(table)
    full = is_full(k)
    height = (1.35 if full else 0.85) + (0.2 if full else 0.17) * max(k, 2)
    with style.applied():
        figure = blank(style.page_width() if k > 5 else style.column_width(), style.scaled(height))
        axes = figure.subplots()
        values = table.to_numpy(dtype=float)
        axes.imshow(values, cmap=_SHADES, vmin=0, vmax=1, aspect="auto")
        for (i, j), value in np.ndenumerate(values):
            if math.isfinite(value):
                star = marked is not None and bool(marked.iloc[i, j])
                axes.text(
                    j,
                    i,
                    f"{100 * value:.0f}{'*' if star and full else ''}",
                    ha="center",
                    va="center",
                    fontsize=style.scaled(7 if full else 5.5),
                    color="white" if value > 0.62 else "black",
                )
        if marked is not None and not full:
            corners = np.argwhere(marked.to_numpy(dtype=bool) & np.isfinite(values))
            axes.plot(
                corners[:, 1] + 0.36,
                corners[:, 0] - 0.34,
                linestyle="",
                marker="o",
                markersize=2,
                markeredgewidth=0,
                color=SHARE_COLORS[2],
            )
        axes.grid(visible=False)
        if full:
            columns = shortened_apart([str(name) for name in table.columns], 16)
            axes.set_xticks(range(k), columns, rotation=40, ha="right")
            axes.set_yticks(range(k), shortened_apart([str(name) for name in table.index], _NAME))
        else:
            axes.set_xticks(range(k), [f"{place + 1}" for place in range(k)], fontsize=style.scaled(6))
            names = shortened_apart([str(name) for name in table.index], _NAME)
            rows = [f"{name}  {place + 1}" for place, name in enumerate(names)]
            axes.set_yticks(range(k), rows, fontsize=style.scaled(6))
        axes.tick_params(length=0)
        axes.set_xlabel(column_label)
        axes.set_ylabel(row_label)
        titled(figure, title)
        settle(figure)
    return figure


SHARE_COLORS = ("#08306b", "#d9d9d9", "#e69f00")
"""Better, equivalent, worse: far apart in luminance."""


def draw_shares(data: pd.DataFrame, labels: Sequence[str], title: str, value_label: str) -> Figure:
    """Draw three shares that add up to 1 as one bar per method.

    Args:
        data: Rows of ``searcher`` and one column per label, from the top.
        labels: The three columns.
        title: Of the figure.
        value_label: Of the horizontal axis.
    """
    with style.applied():
        figure = blank(style.column_width(), style.scaled(0.95 + _ROW * max(len(data), 2)))
        axes = figure.subplots()
        left = np.zeros(len(data))
        for label, color, hatch in zip(labels, SHARE_COLORS, ("", "", "////"), strict=True):
            values = data[label].to_numpy(dtype=float)
            axes.barh(
                range(len(data)),
                values,
                left=left,
                height=0.72,
                color=color,
                hatch=hatch,
                edgecolor="white",
                linewidth=0.4,
            )
            left += values
        _names(axes, [str(name) for name in data["searcher"]])
        axes.set_xlim(0, 1)
        axes.set_xlabel(value_label)
        axes.grid(visible=False)
        handles = [
            Patch(facecolor=color, hatch=hatch, edgecolor="white")
            for color, hatch in zip(SHARE_COLORS, ("", "", "////"), strict=True)
        ]
        figure.legend(handles, labels, loc="outside lower center", ncols=3, handlelength=1.6, columnspacing=1)
        titled(figure, title)
        settle(figure)
    return figure


def draw_dots(
    data: pd.DataFrame, order: Sequence[str], title: str, value_label: str, looks: Mapping[str, Look]
) -> Figure:
    """Draw one dot per task in the row of each method, on a log axis, with the median over tasks as a bar.

    Args:
        data: Rows of ``searcher``, ``value`` (positive) and ``censored``: whether the value is an upper bound, drawn
            as an open triangle that points to smaller values.
        order: The methods, from the top.
        title: Of the figure.
        value_label: Of the axis.
        looks: At least those of the methods drawn.
    """
    with style.applied():
        figure = blank(style.column_width(), style.scaled(0.95 + 1.15 * _ROW * max(len(order), 2)))
        axes = figure.subplots()
        axes.set_xscale("log")
        axes.axvline(1.0, color="#555555", linewidth=0.8, zorder=1.5)
        for place, name in enumerate(order):
            own = data[data["searcher"] == name]
            color = looks[name].color
            values = own["value"].to_numpy(dtype=float)
            censored = own["censored"].to_numpy(dtype=bool)
            # Spread by the order of tasks, the same in every row.
            y = (
                place + np.linspace(-0.28, 0.28, len(own))
                if len(own) > 1
                else np.full(len(own), float(place))
            )
            axes.plot(
                values[~censored],
                y[~censored],
                linestyle="",
                marker="o",
                markersize=2.6,
                color=color,
                zorder=3,
            )
            axes.plot(
                values[censored],
                y[censored],
                linestyle="",
                marker="<",
                markersize=3.4,
                color=color,
                markerfacecolor="white",
                zorder=3,
            )
            # A censored task is slower than every other: if it is in the middle, there is no median.
            if len(own) and math.isfinite(middle := float(np.median(np.where(censored, -np.inf, values)))):
                axes.plot([middle] * 2, [place - 0.42, place + 0.42], color=color, linewidth=1.6, zorder=2)
        _names(axes, order)
        axes.grid(visible=False, axis="y")
        axes.set_xlabel(value_label)
        _ratio_ticks(axes)
        handles = [
            Line2D([], [], linestyle="", marker="o", markersize=2.6, color="#333333"),
            Line2D(
                [], [], linestyle="", marker="<", markersize=3.4, color="#333333", markerfacecolor="white"
            ),
            Line2D([], [], linestyle="", marker="|", markersize=8, markeredgewidth=1.6, color="#333333"),
        ]
        labels = ["a task", "a task, at most", "median"]
        figure.legend(handles, labels, loc="outside lower center", ncols=3, handlelength=1.2, columnspacing=1)
        titled(figure, title)
        settle(figure)
    return figure


def _names(axes: Axes, order: Sequence[str]) -> None:
    """Name the rows, the first on top."""
    axes.yaxis.set_major_locator(FixedLocator(list(range(len(order)))))
    axes.set_yticklabels(shortened_apart(order, _NAME))
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(max(len(order), 2) - 0.4, -0.6)


def _value_ticks(axes: Axes, *, log: bool) -> None:
    """Set few enough ticks that their labels do not touch."""
    if not log:
        axes.margins(x=0.08)
        axes.xaxis.set_major_locator(MaxNLocator(4))
        axes.xaxis.set_major_formatter(FuncFormatter(plain))
        return
    low, high = axes.get_xlim()
    if high / low < 4:
        axes.xaxis.set_major_locator(MaxNLocator(4))
        axes.xaxis.set_minor_locator(NullLocator())
    else:
        subs = (1, 2, 5) if high / low < 60 else (1, 3) if high / low < 1500 else (1,)
        axes.xaxis.set_major_locator(LogLocator(10, subs=subs, numticks=10))
    axes.xaxis.set_major_formatter(FuncFormatter(plain))
    axes.xaxis.set_minor_formatter(NullFormatter())


def _ratio_ticks(axes: Axes) -> None:
    """Set ticks of a log axis of ratios: 1, and others at equal factors to either side, few enough not to touch."""
    low, high = axes.get_xlim()
    low, high = min(low, 0.95), max(high, 1.05)
    axes.set_xlim(low, high)
    span = math.log10(high / low)
    choices = (
        (1.1, 1.25, 1.5, 2, 3, 5),
        (1.5, 2, 3, 5, 10),
        (2, 5, 10, 20, 50),
        (10, 100, 1000),
        (1000, 1e6, 1e9),
    )
    # A label takes about a seventh of the axis.
    above = next(
        (
            factors
            for factors in choices
            if all(
                math.log10(b / a) > span / 7
                for a, b in itertools.pairwise((1, *factors))
                if a < max(high, 1 / low)
            )
        ),
        choices[-1],
    )
    ticks = sorted({1.0, *above, *(1 / factor for factor in above)})
    axes.xaxis.set_major_locator(FixedLocator([tick for tick in ticks if low <= tick <= high]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: plain(float(f"{value:.2g}"))))
    axes.xaxis.set_minor_locator(NullLocator())
