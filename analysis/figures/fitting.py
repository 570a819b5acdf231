"""Texts made to fit where a user chose a figure's width or font: none sticks out, and none lies over another.

The default sizes were chosen so that texts fit, and nothing here touches a figure that has these.
"""

from __future__ import annotations

import functools
import itertools
import textwrap
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis, XAxis
from matplotlib.category import StrCategoryFormatter
from matplotlib.figure import Figure
from matplotlib.layout_engine import LayoutEngine
from matplotlib.text import Text
from matplotlib.ticker import FixedFormatter, FixedLocator, Formatter, FuncFormatter, NullFormatter

SMALLEST = 4.5
"""Points of the smallest text that anything is made to fit by."""

_GAP = 1.5
"""Points between neighbouring tick labels."""


def fit(figure: Figure, engine: LayoutEngine) -> None:
    """Make the texts of a figure fit: wrap, shrink, thin out, in this order, and lay it out again."""
    for _ in range(3):
        changed = _fit_titles(figure)
        engine.execute(figure)
        for axes in _panels(figure):
            changed |= _fit_labels(figure, axes)
            changed |= _fit_ticks(axes.xaxis) | _fit_ticks(axes.yaxis)
            changed |= _fit_notes(axes)
        if not changed:
            return
        engine.execute(figure)


def use_comma(figure: Figure) -> None:
    """Give all numbers on the axes of a figure a decimal comma."""
    for axes in _panels(figure):
        for axis in (axes.xaxis, axes.yaxis):
            formatter = axis.get_major_formatter()
            if not _writes_names(formatter) and not isinstance(formatter, (NullFormatter, _Comma)):
                axis.set_major_formatter(_Comma(formatter))


class _Comma(Formatter):
    """Numbers as another formatter writes them, with a decimal comma, also where they are drawn in no style."""

    def __init__(self, inner: Formatter) -> None:
        self._inner = inner

    def set_axis(self, axis: Any) -> None:
        self._inner.set_axis(axis)

    def set_locs(self, locs: list[float]) -> None:
        self._inner.set_locs(locs)

    def __call__(self, x: float, pos: int | None = None) -> str:
        return self._inner(x, pos).replace(".", ",")

    def get_offset(self) -> str:
        return self._inner.get_offset().replace(".", ",")


def _writes_names(formatter: Formatter) -> bool:
    """Whether an axis has names at its ticks, in whichever way they were set, and no numbers."""
    by_place = isinstance(formatter, FuncFormatter) and isinstance(formatter.func, functools.partial)
    return by_place or isinstance(formatter, (FixedFormatter, StrCategoryFormatter))


def _panels(figure: Figure) -> list[Axes]:
    return [axes for axes in figure.axes if axes.get_visible()]


def _fit_titles(figure: Figure) -> bool:
    """Cut what is as wide as the figure."""
    title = figure._suptitle  # type: ignore[attr-defined]  # there is no other way to it
    changed = title is not None and cut(title, figure.bbox.width * 0.98)
    for legend in figure.legends:
        for text in legend.get_texts():
            over = legend.get_window_extent().width - figure.bbox.width * 0.99
            if over > 0:
                changed |= cut(text, text.get_window_extent().width - over)
    return changed


def _fit_labels(figure: Figure, axes: Axes) -> bool:
    """Wrap the labels and the title of a panel to the room that it has."""
    spec = axes.get_subplotspec()
    if spec is None:
        return False
    rows, columns, first, _ = spec.get_geometry()
    box, width = axes.get_window_extent(), figure.bbox.width / columns
    left = (first % columns) * width
    middle = (box.x0 + box.x1) / 2
    across = 2 * min(middle - left, left + width - middle) - 4
    changed = _wrap(axes.xaxis.label, across, lambda label: label.get_window_extent().width)
    changed |= _wrap(axes.title, across, lambda label: label.get_window_extent().width)
    upright = min(figure.bbox.height / rows, box.height * 1.15)
    return changed | _wrap(axes.yaxis.label, upright, lambda label: label.get_window_extent().height)


def _wrap(text: Text, room: float, measure: Callable[[Text], float]) -> bool:
    """Break a text into up to three lines that fit; the last resort is to cut it."""
    if not text.get_text() or measure(text) <= room:
        return False
    whole = " ".join(text.get_text().split())
    for lines in (2, 3):
        parts = textwrap.wrap(whole, max(-(-len(whole) // lines) + 3, 8), break_long_words=False)
        if len(parts) <= lines:
            text.set_text("\n".join(parts))
            if measure(text) <= room:
                return True
    while len(whole) > 2 and measure(text) > room:
        whole = whole[:-2].rstrip() + "…"
        text.set_text(whole)
    return True


def cut(text: Text, room: float) -> bool:
    """Cut a text to a width in pixels; return whether it had to be."""
    whole = text.get_text()
    if text.get_window_extent().width <= room:
        return False
    while len(whole) > 2 and text.get_window_extent().width > room:
        whole = whole[:-2].rstrip() + "…"
        text.set_text(whole)
    return True


def _fit_ticks(axis: Axis) -> bool:
    """Keep the labels of an axis apart: names are shrunk, then turned, and numbers thinned out."""
    labels = _tick_labels(axis)
    if len(labels) < 2 or not _touching(labels, axis):
        return False
    if _writes_names(axis.get_major_formatter()):
        return _shrink_or_turn(axis)
    places = sorted(float(tick.get_loc()) for tick in axis.get_major_ticks())
    low, high = sorted(axis.get_view_interval())
    inside = [place for place in places if low <= place <= high]
    for step in range(2, len(inside) + 1):
        axis.set_major_locator(FixedLocator(inside[::step]))
        if not _touching(_tick_labels(axis), axis):
            break
    return True


def _shrink_or_turn(axis: Axis) -> bool:
    ticks = [tick.label1 for tick in axis.get_major_ticks()]
    if any(label.get_rotation() for label in ticks):
        return False
    size = float(ticks[0].get_fontsize())
    for smaller in (size * 0.9, size * 0.8):
        if smaller >= SMALLEST + 0.5:
            for label in ticks:
                label.set_fontsize(smaller)
            if not _touching(_tick_labels(axis), axis):
                return True
    if _is_across(axis):
        for label in ticks:
            label.set(fontsize=size, rotation=40, ha="right", rotation_mode="anchor")
    return True


def _is_across(axis: Axis) -> bool:
    return isinstance(axis, XAxis)


def _tick_labels(axis: Axis) -> list[Text]:
    low, high = sorted(axis.get_view_interval())
    ticks = axis.get_major_ticks(len(axis.get_majorticklocs()))
    axis._update_ticks()  # type: ignore[attr-defined]  # texts are made when ticks are drawn
    return [
        tick.label1
        for tick in ticks
        if tick.label1.get_text() and tick.label1.get_visible() and low <= tick.get_loc() <= high
    ]


def _touching(labels: Sequence[Text], axis: Axis) -> bool:
    if any(label.get_rotation() for label in labels):
        return False
    gap = _GAP * axis.figure.dpi / 72
    begin, end = ("x0", "x1") if _is_across(axis) else ("y0", "y1")
    # Above each other, lines may lie close: their boxes have room for accents.
    gap = gap if _is_across(axis) else 0.0
    boxes = sorted(
        (label.get_window_extent() for label in labels), key=lambda box: float(getattr(box, begin))
    )
    return any(getattr(a, end) + gap > getattr(b, begin) for a, b in itertools.pairwise(boxes))


def _fit_notes(axes: Axes) -> bool:
    """Shrink the texts inside a panel together until they do not overlap; then drop those that still do."""
    notes = [text for text in axes.texts if text.get_text() and text.get_visible()]
    if len(notes) < 2:
        return False
    size, changed = min(float(note.get_fontsize()) for note in notes), False
    while _overlaps(notes) and size > SMALLEST:
        size = max(size * 0.92, SMALLEST)
        changed = True
        for note in notes:
            note.set_fontsize(size)
    for one, other in _overlaps(notes):
        if notes[one].get_visible() and notes[other].get_visible():
            notes[other].set_visible(False)
            changed = True
    return changed


def _overlaps(notes: Sequence[Text]) -> list[tuple[int, int]]:
    """Return the pairs of texts of which one lies over the other, by their places in the sequence."""
    boxes = np.array([note.get_window_extent().extents for note in notes])
    left, low, right, high = (boxes[:, side] for side in range(4))
    over = (
        (left[:, None] < right[None, :] - 0.5)
        & (left[None, :] < right[:, None] - 0.5)
        & (low[:, None] < high[None, :] - 0.5)
        & (low[None, :] < high[:, None] - 0.5)
    )
    return [(int(i), int(j)) for i, j in np.argwhere(np.triu(over, 1))]
