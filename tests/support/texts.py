"""Where the texts of a figure are: which stick out of it, and which lie over others, by matplotlib's own extents."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator

import numpy as np
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.text import Text

from analysis import style

TOLERANCE = 1.0
"""Pixels: boxes have room for accents that few texts use."""


def texts_of(figure: Figure) -> list[Text]:
    """Return every text that is drawn, tick labels among them."""
    with style.applied():  # as when it is saved: ticks are made when they are drawn
        figure.draw_without_rendering()
    texts = [*figure.texts, *(text for legend in figure.legends for text in legend.get_texts())]
    for axes in figure.axes:
        if not axes.get_visible():
            continue
        texts += axes.texts
        if axes.axison:
            texts += [axes.title, axes._left_title, axes.xaxis.label, axes.yaxis.label]
            texts += [label for axis in (axes.xaxis, axes.yaxis) for label in _ticks(axis)]
    return [text for text in dict.fromkeys(texts) if text.get_text().strip() and text.get_visible()]


def _ticks(axis: Axis) -> Iterator[Text]:
    low, high = sorted(axis.get_view_interval())
    for tick in axis.get_major_ticks():
        if low <= tick.get_loc() <= high and tick.label1.get_visible() and axis.get_visible():
            yield tick.label1


def overlapping(figure: Figure) -> list[tuple[str, str]]:
    """Return the pairs of texts that lie over each other."""
    shapes = [(text.get_text(), _corners(text)) for text in texts_of(figure)]
    return [(a, b) for (a, one), (b, other) in itertools.combinations(shapes, 2) if _meet(one, other)]


def outside(figure: Figure) -> list[str]:
    """Return the texts that stick out of a figure."""
    width, height = figure.bbox.width, figure.bbox.height
    return [
        text.get_text()
        for text in texts_of(figure)
        if (corners := _corners(text)).min() < -TOLERANCE
        or corners[:, 0].max() > width + TOLERANCE
        or corners[:, 1].max() > height + TOLERANCE
    ]


def _corners(text: Text) -> np.ndarray:
    """Return the corners of a text's box in pixels, of shape (4, 2), turned as the text is."""
    box = text.get_window_extent()
    turn = math.radians(text.get_rotation())
    cos, sin = abs(math.cos(turn)), abs(math.sin(turn))
    if min(cos, sin) < 1e-9:
        width, height, turn = box.width, box.height, 0.0
    else:  # of the box around the turned text, the text's own sides
        width = (box.width * cos - box.height * sin) / (cos * cos - sin * sin)
        height = (box.height * cos - box.width * sin) / (cos * cos - sin * sin)
    half = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * [width / 2 - TOLERANCE, height / 2 - TOLERANCE]
    middle = np.array([(box.x0 + box.x1) / 2, (box.y0 + box.y1) / 2])
    turned = np.array([[math.cos(turn), math.sin(turn)], [-math.sin(turn), math.cos(turn)]])
    return half @ turned + middle


def _meet(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether two convex shapes overlap: no side of either parts them."""
    for shape in (one, other):
        for a, b in zip(shape, np.roll(shape, -1, axis=0), strict=True):
            normal = np.array([a[1] - b[1], b[0] - a[0]])
            first, second = one @ normal, other @ normal
            if first.max() <= second.min() or second.max() <= first.min():
                return False
    return True
