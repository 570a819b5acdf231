"""Critical-difference diagrams: mean ranks on a line, bars over methods that do not differ."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from analysis import style
from analysis.figures import fitting
from analysis.figures.canvas import shortened, shortened_apart
from analysis.style import Look
from analysis.words import mean_rank

_MARGIN = 1.85
"""Inches at either side for names, on a page of the default width."""

_LONGEST = 17
"""Characters of a name."""

_SCALE = 0.37
"""Inches from the scale of the critical difference down to the axis."""


def draw_critical_difference(
    ranks: Mapping[str, float],
    bars: Sequence[Sequence[str]],
    title: str,
    looks: Mapping[str, Look],
    *,
    difference: float | None = None,
) -> Figure:
    """Draw a critical-difference diagram (Demšar 2006): mean ranks on a line, bars over methods that do not differ.

    A bar has a dot at each of its members; it is dashed where it passes a method that is not one.

    Args:
        ranks: Mean rank by method, best first.
        bars: Sets of methods of which no two differ, each best first.
        title: Of the figure.
        looks: At least those of the methods.
        difference: The critical difference, drawn as a scale above the axis; ``None`` for none.
    """
    names, k = list(ranks), len(ranks)
    levels = _levels([(ranks[bar[0]], ranks[bar[-1]]) for bar in bars])
    half = math.ceil(k / 2)
    line = style.scaled(0.17)
    headed = style.scaled(0.32) if style.current().titles else 0.08
    top = headed + style.scaled(0.3 if difference is not None else 0.0) + style.scaled(0.22)
    under = 0.14 + 0.1 * (max(levels, default=-1) + 1)
    height = top + under + line * max(half, 1) + 0.12
    # Everything is placed in inches, so that nothing depends on the number of methods.
    width = style.page_width()
    margin = (
        style.scaled(_MARGIN) if style.current().width is None else min(style.scaled(_MARGIN), 0.34 * width)
    )
    low, high = 1.0, float(max(k, 2))

    def across(rank: float) -> float:
        return margin + (rank - low) / (high - low) * (width - 2 * margin)

    with style.applied():
        figure = Figure(figsize=(width, height))
        FigureCanvasAgg(figure)
        axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
        axes.set_xlim(0, width)
        axes.set_ylim(height, 0)
        axes.set_axis_off()
        _title(axes, title, width)
        if difference is not None:
            begin, end, y = across(low), across(low) + across(low + difference) - across(low), top - _SCALE
            end = min(end, width - 0.05)
            axes.plot([begin, end], [y, y], color="black", linewidth=1.0)
            for x in (begin, end):
                axes.plot([x, x], [y - 0.04, y + 0.04], color="black", linewidth=1.0)
            said = style.numeral(f"CD = {difference:.3g}")
            axes.text((begin + end) / 2, y - style.scaled(0.09), said, ha="center", va="center")
        axes.plot([across(low), across(high)], [top, top], color="black", linewidth=0.8)
        ticks = 15 if style.current().width is None else (width - 2 * margin) / style.scaled(0.2)
        step = next(step for step in (1, 2, 5, 10, 20, 50, 100) if (high - low) / step < ticks)
        for rank in [1, *range(step if step > 2 else 1 + step, int(high) + 1, step)]:
            axes.plot([across(rank)] * 2, [top - 0.05, top], color="black", linewidth=0.8)
            y = top - style.scaled(0.11)
            axes.text(across(rank), y, f"{rank}", ha="center", va="center", fontsize=style.scaled(7))
        labels, size = _labels(axes, names, margin - 0.17)
        for place, name in enumerate(names):
            left = place < half
            row = place if left else k - 1 - place
            y = top + under + line * row + 0.05
            x, look = across(ranks[name]), looks[name]
            edge = margin - 0.1 if left else width - margin + 0.1
            axes.plot([x, x, edge], [top, y, y], color=look.color, linewidth=0.8)
            axes.plot([x], [top], color=look.color, marker=look.marker, markersize=4, zorder=4)
            number = style.numeral(mean_rank(ranks[name]))
            axes.text(
                edge - 0.05 if left else edge + 0.05,
                y,
                f"{labels[place]}  {number}" if left else f"{number}  {labels[place]}",
                ha="right" if left else "left",
                va="center",
                fontsize=size,
            )
        _bars(axes, ranks, bars, levels, across, top)
        figure.draw_without_rendering()
    return figure


def _title(axes: Axes, title: str, width: float) -> None:
    if not style.current().titles:
        return
    shown = shortened(title, int(width * 14 / style.scaled(1.0)))
    text = axes.text(width / 2, style.scaled(0.13), shown, ha="center", va="center", fontsize=style.scaled(9))
    if style.current().fitted:
        fitting.cut(text, 0.98 * axes.bbox.width)


def _bars(
    axes: Axes,
    ranks: Mapping[str, float],
    bars: Sequence[Sequence[str]],
    levels: Sequence[int],
    across: Callable[[float], float],
    top: float,
) -> None:
    """Draw the bars below the axis at ``top``, each at its level."""
    # Not by the ranks themselves: equal ones may differ in their last digit, in either direction.
    place = {name: at for at, name in enumerate(ranks)}
    for bar, level in zip(bars, levels, strict=True):
        y = top + 0.12 + 0.1 * level
        for first, second in itertools.pairwise(bar):
            between = place[second] - place[first] > 1
            axes.plot(
                [across(ranks[first]), across(ranks[second])],
                [y, y],
                color="black",
                linewidth=1.0 if between else 2.2,
                linestyle=(0, (1.5, 1.5)) if between else "-",
                solid_capstyle="round",
                zorder=5,
            )
        axes.plot(
            [across(ranks[name]) for name in bar],
            [y] * len(bar),
            color="black",
            linestyle="",
            marker="o",
            markersize=3,
            zorder=6,
        )


def _labels(axes: Axes, names: Sequence[str], room: float) -> tuple[list[str], float]:
    """Return the names as written, and their size in points: shortened to the room in inches there is beside lines."""
    size = style.scaled(8)
    if not style.current().fitted:
        return [shortened(name, _LONGEST) for name in names], size
    for length in range(_LONGEST, 3, -1):
        labels = shortened_apart(names, length)
        for points in (size, size * 7 / 8):
            if max(_inches(axes, f"{label}  0.00", points) for label in labels) <= room:
                return labels, points
    return labels, size * 7 / 8


def _inches(axes: Axes, text: str, size: float) -> float:
    drawn = axes.text(0, 0, text, fontsize=size)
    width = float(drawn.get_window_extent().width / axes.figure.dpi)
    drawn.remove()
    return width


def _levels(spans: Sequence[tuple[float, float]]) -> list[int]:
    """Return for every bar the first level at which it touches no other."""
    taken: list[list[tuple[float, float]]] = []
    result = []
    for low, high in spans:
        free = [level for level, others in enumerate(taken) if all(high < a or low > b for a, b in others)]
        level = free[0] if free else len(taken)
        if not free:
            taken.append([])
        taken[level].append((low, high))
        result.append(level)
    return result
