"""How figures are drawn and saved: panels, steps with bands, cost axes, legends; PDF, SVG, PNG and CSV."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, MaxNLocator, NullFormatter, NullLocator

from analysis import style
from analysis.facts import Measure
from analysis.style import Look

FORMATS = ("pdf", "svg", "png")

_PANEL_HEIGHT = 2.2
_LEGEND_ROW = 0.15


@dataclass(frozen=True, slots=True, eq=False)
class Plot:
    """A figure ready to be saved.

    Attributes:
        title: What it shows, for a heading.
        caption: Statistic, interval, what was resampled, counts, what was left out.
        alt: Its content in words, for readers who do not see it.
        figure: The drawing, at its final width.
        data: Exactly the numbers drawn: ``mean``, ``low`` and ``high`` hold from ``cost`` to the next row's.
    """

    title: str
    caption: str
    alt: str
    figure: Figure
    data: pd.DataFrame


def save(plot: Plot, folder: Path, stem: str) -> dict[str, Path]:
    """Write a figure as PDF, SVG and PNG, and its numbers as CSV; the same plot gives the same bytes.

    Args:
        plot: What to write.
        folder: Where; made if absent.
        stem: File name without ending.

    Returns:
        Paths by format.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = {ending: folder / f"{stem}.{ending}" for ending in (*FORMATS, "csv")}
    with style.applied():
        for ending in FORMATS:
            plot.figure.savefig(paths[ending], dpi=style.PNG_DPI, **style.SAVING[ending])
    plot.data.to_csv(paths["csv"], index=False, lineterminator="\n")
    return paths


def file_names(labels: Iterable[str]) -> dict[str, str]:
    """Return a file name part for every label: safe on every file system, in a link, and different for each."""
    result: dict[str, str] = {}
    for label in sorted(set(labels)):
        name = re.sub(r"[^A-Za-z0-9_.-]+", "-", label).strip("-.")[:60] or "task"
        if name.lower() in {other.lower() for other in result.values()}:
            name += "-" + hashlib.sha256(label.encode()).hexdigest()[:8]
        result[label] = name
    return result


def shortened(text: str, length: int) -> str:
    """Return a text on one line, cut to a length with an ellipsis."""
    line = " ".join(text.split())
    return line if len(line) <= length else line[: length - 1] + "…"


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


def draw_convergence(
    data: pd.DataFrame,
    metrics: Mapping[Measure, str],
    values: ValueAxis,
    title: str,
    cost_label: str,
    looks: Mapping[str, Look],
) -> Figure:
    """Draw mean values over cost, one panel per measure on one value scale.

    Args:
        data: Rows of measure, searcher, cost, mean, low, high.
        metrics: Name of the metric by measure; a panel each, in this order.
        values: The value axis.
        title: Of the figure.
        cost_label: Of the cost axes.
        looks: At least those of the methods drawn.
    """
    with style.applied():
        figure, panels = _panels(title, list(metrics) if len(metrics) > 1 else [""])
        for (measure, metric), axes in zip(metrics.items(), panels, strict=True):
            draw_steps(axes, data[data["measure"] == measure], looks)
            cost_axis(axes, data, cost_label)
            axes.set_ylabel(shortened(metric, 40))
        if values.log:
            panels[0].set_yscale("log")
            for axes in panels:
                axes.yaxis.set_major_formatter(FuncFormatter(plain))
                axes.yaxis.set_minor_formatter(NullFormatter())
        panels[0].set_ylim(values.low, values.high)
        add_legend(figure, data, looks)
        settle(figure)
    return figure


def draw_ranks(
    data: pd.DataFrame, titles: Mapping[Measure, str], title: str, cost_label: str, looks: Mapping[str, Look]
) -> Figure:
    """Draw mean ranks over cost, one panel per measure, rank 1 on top.

    Args:
        data: Rows of measure, searcher, cost, mean, low, high.
        titles: Title of the panel by measure; a panel each, in this order.
        title: Of the figure.
        cost_label: Of the cost axes.
        looks: At least those of the methods drawn.
    """
    with style.applied():
        figure, panels = _panels(title, list(titles.values()))
        for measure, axes in zip(titles, panels, strict=True):
            draw_steps(axes, data[data["measure"] == measure], looks)
            cost_axis(axes, data, cost_label)
            axes.set_ylabel("mean rank")
        worst = data["searcher"].nunique()
        panels[0].yaxis.set_major_locator(FixedLocator(range(1, worst + 1, math.ceil(worst / 7))))
        panels[0].set_ylim(worst + 0.15, 0.85)
        add_legend(figure, data, looks)
        settle(figure)
    return figure


def _panels(title: str, titles: Sequence[str]) -> tuple[Figure, Sequence[Axes]]:
    """Return a figure at its final width with one panel per title, on one value axis."""
    width = style.PAGE_WIDTH if len(titles) > 1 else style.COLUMN_WIDTH
    figure = Figure(figsize=(width, _PANEL_HEIGHT), layout="constrained")
    FigureCanvasAgg(figure)
    panels: list[Axes] = list(np.ravel(figure.subplots(1, len(titles), sharey=True)))
    for panel, axes in zip(titles, panels, strict=True):
        axes.set_title(panel)
        axes.tick_params(labelleft=True)
    figure.suptitle(shortened(title, int(width * 14)))
    return figure, panels


def settle(figure: Figure) -> None:
    """Lay a figure out once, for all formats: saving it does not move anything any more."""
    if engine := figure.get_layout_engine():
        engine.execute(figure)
    figure.set_layout_engine(None)


def add_legend(figure: Figure, data: pd.DataFrame, looks: Mapping[str, Look]) -> None:
    """Add the legend below the panels, in as many columns as fit, and make the figure taller by it."""
    names = style.ordered(str(name) for name in data["searcher"])
    labels = [shortened(name, 26) for name in names]
    handles = [
        Line2D([], [], color=look.color, linestyle=look.linestyle, marker=look.marker)
        for look in (looks[name] for name in names)
    ]
    columns = len(names)
    while True:
        legend = figure.legend(handles, [""] * len(names), loc="outside lower center", ncols=columns)
        for text, label in zip(legend.get_texts(), labels, strict=True):
            text.set_text(label)  # given at once, labels that begin with an underscore would be dropped
        width = legend.get_window_extent().width
        if columns == 1 or width <= figure.bbox.width:
            break
        legend.remove()
        # Columns are about as wide as those just tried: no need to try every number.
        columns = max(min(columns - 1, int(figure.bbox.width * columns / width) + 1), 1)
    figure.set_figheight(_PANEL_HEIGHT + _LEGEND_ROW * math.ceil(len(names) / columns))


def draw_steps(axes: Axes, data: pd.DataFrame, looks: Mapping[str, Look]) -> None:
    """Draw mean and interval of every method as right-continuous steps."""
    names = style.ordered(str(name) for name in data["searcher"])
    for index, name in enumerate(names):
        look, own = looks[name], data[data["searcher"] == name]
        cost = own["cost"].to_numpy(dtype=float)
        if own["low"].notna().any():
            low, high = own["low"].to_numpy(dtype=float), own["high"].to_numpy(dtype=float)
            axes.fill_between(
                cost,
                low,
                high,
                step="post",
                color=look.color,
                alpha=0.15 if len(names) <= 5 else 0.08,
                linewidth=0,
            )
        axes.plot(
            cost,
            own["mean"].to_numpy(dtype=float),
            drawstyle="steps-post",
            color=look.color,
            linestyle=look.linestyle,
            marker=look.marker,
            markevery=(0.03 * (index % 7), 0.2),
            markeredgewidth=0.4,
            zorder=3,
        )


def plain(value: float, _: object = None) -> str:
    """Return a number for a tick: ``0.01``, ``200``, ``1e6``."""
    return f"{value:.6g}".replace("e+0", "e").replace("e-0", "e-").replace("-", "−")


def cost_axis(axes: Axes, data: pd.DataFrame, label: str) -> None:
    """Make the horizontal axis logarithmic over the range drawn; linear where a cost is 0."""
    low, high = float(data["cost"].min()), float(data["cost"].max())
    axes.set_xlabel(label)
    axes.xaxis.set_major_formatter(FuncFormatter(plain))
    if low <= 0:
        axes.set_xlim(low, high * 1.03)
        return
    axes.set_xscale("log")
    ratio = high / low
    if ratio < 5:
        axes.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
        axes.xaxis.set_minor_locator(NullLocator())
    else:
        subs = (1, 2, 5) if ratio < 100 else (1, 3) if ratio < 3000 else (1,)
        axes.xaxis.set_major_locator(LogLocator(10, subs=subs, numticks=12))
    axes.xaxis.set_major_formatter(FuncFormatter(plain))
    axes.xaxis.set_minor_formatter(NullFormatter())
    margin = (high / low) ** 0.03 if high > low else 1.1
    axes.set_xlim(low / margin, high * margin)
