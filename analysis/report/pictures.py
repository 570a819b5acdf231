"""Figures as the report page shows them: saved in every format, embedded as an image, with values to hover over."""

from __future__ import annotations

import base64
import io
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from analysis import style
from analysis.figures.canvas import Curves, Plot, Series, save, write_drawing
from analysis.statistics.bootstrap import Floats
from analysis.words import joined

COLORS = 128
"""Colours of an embedded image; the PNG to download has them all."""

STOPS = 120
"""Costs of a panel at which the page shows values: all there are, or about this many of them."""


_FORMAT = {"units": "CSV of single units", "baselines": "CSV of baselines"}


@dataclass(frozen=True, slots=True)
class Picture:
    """A saved figure as the page shows it.

    Attributes:
        id: Its file name without ending, and its anchor.
        title: What it shows.
        caption: Its caption: what is needed to read it.
        details: The rest of the caption; may be empty.
        alt: Its content in words.
        image: The image as a data URI; of a brief report the path from the page.
        size: ``column`` or ``page``.
        width: Width of the image in pixels.
        height: Height of the image in pixels.
        downloads: Links to the saved files, by format, relative to the page; none in a brief report.
        hover: What `hover` returns, as JSON for a script element; empty where there are no values to show.
    """

    id: str
    title: str
    caption: str
    details: str
    alt: str
    image: str
    size: str
    width: int
    height: int
    downloads: Mapping[str, str]
    hover: str


def picture(plot: Plot, folder: Path, stem: str) -> Picture:
    """Save a figure under ``figures/`` in a report's folder, and return it for the page.

    A brief report has it as the one image that the page shows, beside the page instead of in it.
    """
    brief = style.current().brief
    paths = {} if brief else save(plot, folder / "figures", stem)
    with Image.open(paths.get("png") or _png(plot.figure)) as image:
        width, height = image.size
        embedded = _embedded(image)
    panels = hover(plot)
    if brief:
        place = f"figures/{stem}.png"
        (folder / "figures").mkdir(parents=True, exist_ok=True)
        (folder / place).write_bytes(embedded)
    else:
        place = f"data:image/png;base64,{base64.b64encode(embedded).decode()}"
    return Picture(
        id=stem,
        title=plot.title,
        caption=joined(plot.caption, style.current().note),
        details=plot.details,
        alt=plot.alt,
        image=place,
        size="page" if plot.figure.get_figwidth() > style.COLUMN_WIDTH else "column",
        width=width,
        height=height,
        downloads={
            _FORMAT.get(ending, ending.upper()): f"figures/{path.name}" for ending, path in paths.items()
        },
        hover=script_json(panels) if panels else "",
    )


def _png(figure: Figure) -> io.BytesIO:
    """Return a figure as PNG, which is not among the files that were asked for."""
    buffer = io.BytesIO()
    write_drawing(figure, buffer, "png")
    buffer.seek(0)
    return buffer


def _embedded(image: Image.Image) -> bytes:
    """Return an image with few colours as PNG."""
    small = image.convert("RGB").quantize(COLORS, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    # Its colours are means that are rounded down: white shall stay white.
    small.putpalette([255 if level == 254 else level for level in small.getpalette() or ()])
    buffer = io.BytesIO()
    small.save(buffer, "png")
    return buffer.getvalue()


def script_json(value: Any) -> str:
    """Return JSON that can stand inside a script element, whatever its strings hold."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def hover(plot: Plot) -> list[dict[str, Any]]:
    """Return the values of a figure's step curves, panel by panel, at costs where something changes.

    Returns:
        For each panel with step curves: ``box`` (left, top, right, bottom as shares of the image), ``log`` (whether its
        cost axis is), ``limits`` of that axis, its ``label``, ``cost`` (ascending), and ``series``: each with its
        ``name``, ``color`` and, at every cost, ``value`` (``null`` where undefined) and, where there is an interval,
        ``low`` and ``high``. Empty for other figures.
    """
    return [_panel(curves) for curves in plot.curves]


def _panel(curves: Curves) -> dict[str, Any]:
    axes = curves.axes
    box = axes.get_position()
    low, high = (float(limit) for limit in axes.get_xlim())
    costs = np.unique(np.concatenate([series.cost for series in curves.series]))
    costs = costs[(costs >= low) & (costs <= high)]
    log = axes.get_xscale() == "log"
    if costs.size > STOPS:
        places = np.geomspace(costs[0], costs[-1], STOPS) if log else np.linspace(costs[0], costs[-1], STOPS)
        costs = np.unique(costs[np.searchsorted(costs, places * (1 + 1e-12), side="right") - 1])
    return {
        "box": [round(value, 5) for value in (box.x0, 1 - box.y1, box.x1, 1 - box.y0)],
        "log": log,
        "limits": [low, high],
        "label": axes.get_xlabel().replace("\n", " "),
        "cost": [_rounded(cost) for cost in costs],
        "series": [_series(series, costs) for series in curves.series],
    }


def _series(series: Series, costs: Floats) -> dict[str, Any]:
    index = np.searchsorted(series.cost, costs, side="right") - 1
    result: dict[str, Any] = {"name": series.name, "color": series.color}
    for name, values in (("value", series.mean), ("low", series.low), ("high", series.high)):
        if name == "value" or np.isfinite(values).any():
            at = np.where(index >= 0, values[np.maximum(index, 0)], np.nan)
            result[name] = [_rounded(value) for value in at]
    return result


def _rounded(value: float) -> float | None:
    """Return a number with 6 significant digits, ``None`` where there is none."""
    return float(f"{value:.6g}") if math.isfinite(value) else None
