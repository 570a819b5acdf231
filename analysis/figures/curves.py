"""Step curves over cost: means with bands, a panel for each measure, on axes that show where methods differ."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, MaxNLocator, NullFormatter, NullLocator

from analysis import style
from analysis.figures.canvas import (
    Curves,
    Series,
    add_legend,
    blank,
    panel_height,
    plain,
    settle,
    shortened,
    titled,
)
from analysis.figures.guides import Guide, draw_guides, inside
from analysis.statistics.tasks import Measure
from analysis.style import Look


@dataclass(frozen=True, slots=True)
class ValueAxis:
    """Limits and scale of a value axis.

    Attributes:
        low: Lower limit.
        high: Upper limit.
        log: Whether the scale is logarithmic.
        cut: Whether the beginning of some line lies outside the limits.
    """

    low: float
    high: float
    log: bool
    cut: bool


def value_axis(data: pd.DataFrame, *, may_be_log: bool) -> ValueAxis:
    """Return a value axis on which the methods can be told apart.

    First values are often far from all later ones, which is where methods differ. Positive values
    over more than two orders of magnitude are drawn on a log axis if they may be; else, where all
    values span more than three times the means in the right half of the (log) cost axis with the
    final intervals, only these are shown.

    Args:
        data: Rows of measure, searcher, cost, mean, low, high.
        may_be_log: Whether a log scale makes sense: where smaller is better.
    """
    bounds = data.assign(low=data["low"].fillna(data["mean"]), high=data["high"].fillna(data["mean"]))
    low, high = float(bounds["low"].min()), float(bounds["high"].max())
    if may_be_log and low > 0 and high / low > 100:
        factor = (high / low) ** 0.06
        return ValueAxis(low / factor, high * factor, log=True, cut=False)
    positive = bounds.loc[bounds["cost"] > 0, "cost"]
    middle = math.sqrt(float(positive.min()) * float(positive.max()))
    held_until = bounds.groupby(["measure", "searcher"])["cost"].shift(-1, fill_value=math.inf)
    late, final = bounds.loc[held_until > middle, "mean"], bounds[held_until == math.inf]
    late_low = float(min(late.min(), final["low"].min()))
    late_high = float(max(late.max(), final["high"].max()))
    cut = high - low > 3 * (late_high - late_low) > 0
    if cut:
        low, high = late_low, late_high
    margin = 0.06 * (high - low) or max(abs(high) * 0.05, 1e-6)
    return ValueAxis(low - margin, high + margin, log=False, cut=cut)


STRETCH = 1.5
"""By so much a value axis may be stretched at most for baselines that lie outside of it."""


def reaching(values: ValueAxis, guides: Sequence[Guide], measures: Sequence[Measure]) -> ValueAxis:
    """Return a value axis that shows the baselines, too, as far as methods can still be told apart on it.

    The nearest come first; those that would make the axis more than `STRETCH` times as long stay outside.
    """
    scale, back = (math.log, math.exp) if values.log else (float, float)
    low, high = scale(values.low), scale(values.high)
    most, margin = STRETCH * (high - low), 0.03 * (high - low)
    found = [line.places.get(measure, math.nan) for line in guides for measure in measures]
    scaled = [scale(value) for value in found if math.isfinite(value) and (value > 0 or not values.log)]
    for place in sorted(scaled, key=lambda place: max(low - place, place - high)):
        wider = min(low, place - margin), max(high, place + margin)
        if wider[1] - wider[0] <= most and not low <= place <= high:
            low, high = wider
    return replace(values, low=back(low), high=back(high))


def end_hidden(data: pd.DataFrame, values: ValueAxis) -> bool:
    """Whether a value axis hides the end: the means in the last half of the cost fill less than a fifth of it.

    Args:
        data: Rows of measure, searcher, cost, mean, low, high.
        values: What `value_axis` returned for it.
    """
    low, high = _late_range(data)
    scale = math.log if values.log else float
    return 0 < scale(high) - scale(low) < 0.2 * (scale(values.high) - scale(values.low))


def _late_range(data: pd.DataFrame) -> tuple[float, float]:
    """Return the least and the largest mean in the last half of the cost."""
    until = data.groupby(["measure", "searcher"])["cost"].shift(-1, fill_value=math.inf)
    late = data.loc[until > data["cost"].max() / 2, "mean"]
    return float(late.min()), float(late.max())


def draw_convergence(
    data: pd.DataFrame,
    metrics: Mapping[Measure, str],
    values: ValueAxis,
    title: str,
    cost_label: str,
    looks: Mapping[str, Look],
    units: pd.DataFrame | None = None,
    guides: Sequence[Guide] = (),
) -> tuple[Figure, list[Curves]]:
    """Draw mean values over cost, one panel per measure on one value scale.

    Where the axis hides the end (`end_hidden`), the last half of the cost has panels of its own.

    Args:
        data: Rows of measure, searcher, cost, mean, low, high.
        metrics: Name of the metric by measure; a panel each, in this order.
        values: The value axis.
        title: Of the figure.
        cost_label: Of the cost axes.
        looks: At least those of the methods drawn.
        units: Single repetitions to draw: rows of measure, searcher, unit, cost, value.
        guides: Baselines to draw where the axis reaches them.
    """
    late = end_hidden(data, values)
    with style.applied():
        titles = list(metrics) if len(metrics) > 1 else [""]
        if late and len(metrics) == 1:
            titles = ["", "last half"]
        figure, rows = _panels(title, titles, 2 if late and len(metrics) > 1 else 1)
        curves = []
        for (measure, metric), axes in zip(metrics.items(), rows[0], strict=False):
            curves.append(_measure(axes, data, units, measure, looks))
            cost_axis(axes, data, cost_label)
            axes.set_ylabel(shortened(metric, 40))
            if values.log:
                axes.set_yscale("log")
                axes.yaxis.set_major_formatter(FuncFormatter(plain))
                axes.yaxis.set_minor_formatter(NullFormatter())
            axes.set_ylim(values.low, values.high)
            draw_guides(axes, guides, measure)
        if late:
            low, high = _late_range(data)
            margin = 0.15 * (high - low)
            end = float(data["cost"].max())
            below = rows[1] if len(rows) > 1 else rows[0][1:]
            for (measure, metric), axes in zip(metrics.items(), below, strict=True):
                curves.append(_measure(axes, data, units, measure, looks, every=0.5))
                axes.set_title(f"{measure}, last half" if len(metrics) > 1 else "last half")
                axes.set_xlabel(cost_label)
                axes.set_ylabel(shortened(metric, 40))
                axes.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
                axes.xaxis.set_major_formatter(FuncFormatter(plain))
                axes.yaxis.set_major_locator(MaxNLocator(6))
                axes.yaxis.set_major_formatter(FuncFormatter(plain))
                axes.set_xlim(end / 2, end * 1.015)
                axes.set_ylim(low - margin, high + margin)
                draw_guides(axes, guides, measure)
        drawn = inside(guides, list(metrics), values.low, values.high)
        add_legend(figure, data, looks, guides=drawn)
        settle(figure)
    return figure, curves


def draw_ranks(
    data: pd.DataFrame,
    titles: Mapping[Measure, str],
    title: str,
    cost_label: str,
    looks: Mapping[str, Look],
    units: pd.DataFrame | None = None,
) -> tuple[Figure, list[Curves]]:
    """Draw mean ranks over cost, one panel per measure, rank 1 on top.

    Args:
        data: Rows of measure, searcher, cost, mean, low, high.
        titles: Title of the panel by measure; a panel each, in this order.
        title: Of the figure.
        cost_label: Of the cost axes.
        looks: At least those of the methods drawn.
        units: Single repetitions or tasks to draw: rows of measure, searcher, unit, cost, value.
    """
    with style.applied():
        figure, (panels,) = _panels(title, list(titles.values()))
        curves = []
        for measure, axes in zip(titles, panels, strict=True):
            curves.append(_measure(axes, data, units, measure, looks))
            cost_axis(axes, data, cost_label)
            axes.set_ylabel("mean rank")
            worst = data["searcher"].nunique()
            axes.yaxis.set_major_locator(FixedLocator(range(1, worst + 1, math.ceil(worst / 7))))
            axes.set_ylim(worst + 0.15, 0.85)
        add_legend(figure, data, looks)
        settle(figure)
    return figure, curves


def _measure(
    axes: Axes,
    data: pd.DataFrame,
    units: pd.DataFrame | None,
    measure: Measure,
    looks: Mapping[str, Look],
    *,
    every: float = 0.2,
) -> Curves:
    """Draw the curves of one measure, and its single units."""
    single = None if units is None else units[units["measure"] == measure]
    return draw_steps(axes, data[data["measure"] == measure], looks, units=single, every=every)


def draw_lines(
    data: pd.DataFrame,
    title: str,
    cost_label: str,
    value_label: str,
    looks: Mapping[str, Look],
    *,
    log: bool = False,
    floor: float = -math.inf,
    share: bool = False,
    units: pd.DataFrame | None = None,
    guides: Sequence[Guide] = (),
) -> tuple[Figure, Curves]:
    """Draw one step curve with its band per method.

    Args:
        data: Rows of ``searcher``, ``cost``, ``mean``, ``low``, ``high``, ascending in cost.
        title: Of the figure.
        cost_label: Of the horizontal axis, which is logarithmic where all costs are positive.
        value_label: Of the vertical axis.
        looks: At least those of the methods drawn.
        log: Whether the vertical axis is logarithmic.
        floor: Values below this are drawn at it.
        share: Whether values are shares, drawn from 0 to 1.
        units: Single repetitions or tasks to draw: rows of searcher, unit, cost, value.
        guides: Baselines to draw where the axis reaches them, by their value as ``validation``.
    """
    with style.applied():
        figure = blank(style.column_width(), panel_height())
        axes = figure.subplots()
        curves = draw_steps(axes, data, looks, floor=floor, units=units)
        cost_axis(axes, data, cost_label)
        axes.set_ylabel(value_label)
        if log:
            axes.set_yscale("log")
        if guides:
            values = reaching(ValueAxis(*axes.get_ylim(), log=log, cut=False), guides, ["validation"])
            axes.set_ylim(values.low, values.high)
        if log:
            low, high = axes.get_ylim()
            subs = (1, 2, 5) if high / low < 30 else (1, 3) if high / low < 300 else (1,)
            axes.yaxis.set_major_locator(LogLocator(10, subs=subs, numticks=10))
            axes.yaxis.set_major_formatter(FuncFormatter(plain))
            axes.yaxis.set_minor_formatter(NullFormatter())
        if share:
            axes.set_ylim(0, 1.02)
            # Fixed, so that the layout does not change the labels that it makes room for.
            axes.yaxis.set_major_locator(FixedLocator([0.0, 0.2, 0.4, 0.6, 0.8, 1.0]))
        titled(figure, title)
        drawn = inside(guides, ["validation"], *axes.get_ylim())
        draw_guides(axes, drawn, "validation")
        add_legend(figure, data, looks, guides=drawn)
        settle(figure)
    return figure, curves


def _panels(title: str, titles: Sequence[str], rows: int = 1) -> tuple[Figure, list[list[Axes]]]:
    """Return a figure at its final width with rows of one panel per title; below each other where it is narrow."""
    count = len(titles)
    width = style.page_width() if count > 1 else style.column_width()
    columns = style.beside(count) if style.beside(count) == count else 1
    figure = blank(width, rows * count / columns * panel_height(columns))
    every = list(figure.subplots(rows * count // columns, columns, squeeze=False).flat)
    panels: list[list[Axes]] = [every[row * count : (row + 1) * count] for row in range(rows)]
    for panel, axes in zip(titles, panels[0], strict=True):
        axes.set_title(panel)
    titled(figure, title)
    return figure, panels


def draw_steps(
    axes: Axes,
    data: pd.DataFrame,
    looks: Mapping[str, Look],
    *,
    floor: float = -math.inf,
    units: pd.DataFrame | None = None,
    every: float = 0.2,
) -> Curves:
    """Draw mean and interval of every method as right-continuous steps, values below ``floor`` at it.

    Methods that stand back (`analysis.style.QUIET`) are drawn behind the others, without band and single units.

    Args:
        axes: Where.
        data: Rows of searcher, cost, mean, low, high.
        looks: At least those of the methods drawn.
        floor: Values below this are drawn at it.
        units: Single repetitions or tasks to draw as thin lines: rows of searcher, unit, cost, value.
        every: Distance between markers, as a share of the diagonal of the panel.
    """
    names = style.ordered(str(name) for name in data["searcher"])
    colored = [name for name in names if looks[name] != style.QUIET]
    drawn = []
    for name in names:
        look, own = looks[name], data[data["searcher"] == name]
        cost, mean, low, high = (own[c].to_numpy(dtype=float) for c in ("cost", "mean", "low", "high"))
        drawn.append(Series(name, look.color, cost, mean, low, high))
        if look == style.QUIET:
            axes.plot(
                cost,
                np.maximum(mean, floor),
                drawstyle="steps-post",
                color=look.color,
                linewidth=0.6,
                zorder=1.6,
            )
            continue
        index = colored.index(name)
        if np.isfinite(low).any():
            axes.fill_between(
                cost,
                np.maximum(low, floor),
                np.maximum(high, floor),
                step="post",
                color=look.color,
                alpha=0.15 if len(colored) <= 5 else 0.08,
                linewidth=0,
            )
        if units is not None:
            for _, single in units[units["searcher"] == name].groupby("unit", sort=True):
                axes.plot(
                    single["cost"].to_numpy(dtype=float),
                    np.maximum(single["value"].to_numpy(dtype=float), floor),
                    drawstyle="steps-post",
                    color=look.color,
                    linewidth=0.5,
                    alpha=0.6,
                    zorder=2,
                )
        axes.plot(
            cost,
            np.maximum(mean, floor),
            drawstyle="steps-post",
            color=look.color,
            linestyle=look.linestyle,
            marker=look.marker,
            markevery=(every * (index % 7) / 7, every),
            markeredgewidth=0.4,
            zorder=3,
        )
    return Curves(axes, drawn)


def cost_axis(axes: Axes, data: pd.DataFrame, label: str) -> None:
    """Make the horizontal axis logarithmic over the range drawn; linear where a cost is 0."""
    low, high = float(data["cost"].min()), float(data["cost"].max())
    axes.set_xlabel(label)
    axes.xaxis.set_major_formatter(FuncFormatter(plain))
    if low <= 0:
        axes.set_xlim(low, high * 1.03)
        return
    axes.set_xscale("log")
    log_ticks(axes.xaxis, low, high)
    margin = (high / low) ** 0.03 if high > low else 1.1
    axes.set_xlim(low / margin, high * margin)


def log_ticks(axis: Axis, low: float, high: float) -> None:
    """Set ticks of a logarithmic axis from ``low`` to ``high``, few enough that their labels do not touch."""
    ratio = high / low
    if ratio < 5:
        axis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
        axis.set_minor_locator(NullLocator())
    else:
        subs = (1, 2, 5) if ratio < 100 else (1, 3) if ratio < 3000 else (1,)
        axis.set_major_locator(LogLocator(10, subs=subs, numticks=12))
    axis.set_major_formatter(FuncFormatter(plain))
    axis.set_minor_formatter(NullFormatter())
