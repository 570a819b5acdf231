"""A figure from blank to file: its panels' layout, legend and numbers; saved as PDF, SVG, PNG and CSV."""

from __future__ import annotations

import hashlib
import io
import math
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from PIL import Image

from analysis import style
from analysis.figures import fitting
from analysis.figures.guides import COLOR, WIDTH, Guide
from analysis.spreadsheets import write_csv
from analysis.statistics.bootstrap import Floats
from analysis.style import Look
from results.tables import SweepTables

PANEL_HEIGHT = 2.2
"""Of panels with curves, in inches, at the default width."""

SMALL_DPI = 110
"""Of pictures for screens, which are all that is kept of a figure where space is short."""

_LEGEND_ROW = 0.15


@dataclass(frozen=True, slots=True, eq=False)
class Series:
    """One step curve as drawn: ``mean``, ``low`` and ``high`` hold from ``cost`` to the next one.

    Attributes:
        name: The method.
        color: Of its line.
        cost: Ascending, shape ``(n,)``.
        mean: Shape ``(n,)``.
        low: Lower end of the interval, shape ``(n,)``; NaN where there is none.
        high: Its upper end.
    """

    name: str
    color: str
    cost: Floats
    mean: Floats
    low: Floats
    high: Floats


@dataclass(frozen=True, slots=True, eq=False)
class Curves:
    """The step curves of one panel.

    Attributes:
        axes: The panel.
        series: Its curves, in the order of the legend.
    """

    axes: Axes
    series: Sequence[Series]


@dataclass(frozen=True, slots=True, eq=False)
class Plot:
    """A figure ready to be saved.

    Attributes:
        title: What it shows, for a heading.
        caption: What is needed to read it: what is shown, statistic, interval or single units, counts, what is
            left out.
        alt: Its content in words, for readers who do not see it.
        figure: The drawing, at its final width.
        data: Exactly the numbers drawn: ``mean``, ``low`` and ``high`` hold from ``cost`` to the next row's.
        curves: The step curves whose values a page can show at any cost, panel by panel.
        details: The rest of the caption, for who wants to know: definitions, rounding, what was read where.
        units: The single repetitions or tasks drawn where they are too few for an interval; ``None`` where none is.
        baselines: The baselines drawn as straight lines, and those that lie outside; ``None`` where there are none.
    """

    title: str
    caption: str
    alt: str
    figure: Figure
    data: pd.DataFrame
    curves: Sequence[Curves] = ()
    details: str = ""
    units: pd.DataFrame | None = None
    baselines: pd.DataFrame | None = None


def save(plot: Plot, folder: Path, stem: str) -> dict[str, Path]:
    """Write a figure in the formats of the style, and its numbers as CSV; the same plot gives the same bytes.

    Single repetitions or tasks that it shows are a CSV of their own, ``STEM_units.csv``, and so are baselines,
    ``STEM_baselines.csv``.

    Args:
        plot: What to write.
        folder: Where; made if absent.
        stem: File name without ending.

    Returns:
        Paths by format; ``units`` is the CSV of single repetitions or tasks, and ``baselines`` that of baselines, where
        there is one.
    """
    folder.mkdir(parents=True, exist_ok=True)
    formats = style.current().formats
    paths = {ending: folder / f"{stem}.{ending}" for ending in (*formats, "csv")}
    for ending in formats:
        write_drawing(plot.figure, paths[ending], ending)
    write_csv(plot.data, paths["csv"])
    for name, frame in (("units", plot.units), ("baselines", plot.baselines)):
        if frame is not None and not frame.empty:
            paths[name] = folder / f"{stem}_{name}.csv"
            write_csv(frame, paths[name])
    return paths


def write_drawing(figure: Figure, target: Path | IO[bytes], ending: str) -> None:
    """Write a drawing in one of the formats of `analysis.style.SAVING`, without a time of creation."""
    with style.applied():
        figure.savefig(target, format=ending, dpi=style.PNG_DPI, **style.SAVING[ending])


def save_small(plot: Plot, target: Path) -> None:
    """Write a figure as one WebP picture for a screen, half the size of a PNG; the same plot gives the same pixels."""
    drawn = io.BytesIO()
    with style.applied():
        plot.figure.savefig(drawn, format="png", dpi=SMALL_DPI)
    target.parent.mkdir(parents=True, exist_ok=True)
    Image.open(drawn).convert("RGB").save(target, "WEBP", lossless=True, quality=100, method=6)


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


def shortened_apart(texts: Sequence[str], length: int) -> list[str]:
    """Return texts cut to a length, in their middle where those cut at their ends would read alike."""
    cut = [shortened(text, length) for text in texts]
    if len({*cut}) == len({*texts}):
        return cut
    end = (length - 1) // 2
    lines = [" ".join(text.split()) for text in texts]
    return [
        line if len(line) <= length else f"{line[: length - 1 - end]}…{line[len(line) - end :]}"
        for line in lines
    ]


MOST = 9
"""Methods that lines and bands can keep apart; of more, `HIGHLIGHTED` are highlighted and the rest stands back."""

HIGHLIGHTED = 8


def looks_of(tables: SweepTables) -> dict[str, Look]:
    """Return the looks of all planned methods, so that each has the same in every figure of the sweep."""
    return style.looks(str(name) for name in tables.studies["searcher"])


def leading(
    tables: SweepTables, order: Sequence[str], highlight: Collection[str] | None = None
) -> dict[str, Look]:
    """Return the looks of a figure with lines for each method: with many, all but those that matter stand back.

    Args:
        tables: The sweep.
        order: The methods drawn, the best first.
        highlight: The methods to highlight; ``None``: all of up to `MOST`, else the first `HIGHLIGHTED`, the
            sweep's random search among them.
    """
    names = [str(name) for name in order]
    if highlight is None:
        if len(names) <= MOST:
            return looks_of(tables)
        baselines = tables.studies.loc[tables.studies["method"] == "random", "searcher"]
        always = [name for name in sorted(set(baselines)) if name in names][:1]
        rest = [name for name in names if name not in always]
        highlight = always + rest[: HIGHLIGHTED - len(always)]
    return style.highlighted(looks_of(tables), highlight)


def by_end(data: pd.DataFrame, sign: float = 1.0) -> list[str]:
    """Return the methods of step curves by their last mean, the best first: the smallest times ``sign``."""
    last = sign * data.groupby("searcher")["mean"].last()
    return [str(name) for name in last.sort_values(kind="stable").index]


def standing_back(looks: Mapping[str, Look], names: Iterable[str]) -> str:
    """Return the sentence that says how many methods are drawn in grey; empty where all are told apart."""
    count = sum(looks[name] == style.QUIET for name in set(names))
    if not count:
        return ""
    others = "the other method" if count == 1 else f"{count} other methods"
    where = (
        "the values under the pointer name each"
        if style.current().brief
        else ("the CSV and the values under the pointer name each")
    )
    return f"Grey: {others}; {where}."


def blank(width: float, height: float) -> Figure:
    """Return a figure of a final size in inches."""
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def titled(figure: Figure, title: str, most: int | None = None) -> None:
    """Give a figure its title, cut to its width or to ``most`` characters; none where the style has none."""
    if style.current().titles:
        if most is None or style.current().fitted:
            most = int(figure.get_figwidth() * 14 / style.scaled(1.0))
        figure.suptitle(shortened(title, most))


def settle(figure: Figure) -> None:
    """Lay a figure out once, for all formats: saving it does not move anything any more."""
    if style.current().comma:
        fitting.use_comma(figure)
    if engine := figure.get_layout_engine():
        engine.execute(figure)
        if style.current().fitted:
            fitting.fit(figure, engine)
    figure.set_layout_engine(None)


def panel_height(columns: int = 1) -> float:
    """Return the height of panels with curves in inches: more than usual where they were chosen to be wide.

    Args:
        columns: How many lie beside each other.
    """
    width = style.current().width
    if width is None:
        return PANEL_HEIGHT
    return style.scaled(min(max(PANEL_HEIGHT, 0.42 * width / columns), 3.4))


def add_legend(
    figure: Figure,
    data: pd.DataFrame,
    looks: Mapping[str, Look],
    *,
    marks: bool = False,
    guides: Sequence[Guide] = (),
) -> float:
    """Add the legend below the panels, in as many columns as fit, and make the figure taller by it.

    Args:
        figure: With its panels.
        data: Rows of ``searcher``: those drawn.
        looks: At least theirs; those that stand back share one entry, such as ``22 others``.
        marks: Whether methods are drawn as marks only.
        guides: Baselines drawn, which follow the methods.

    Returns:
        By how much it is taller, in inches.
    """
    drawn = style.ordered(str(name) for name in data["searcher"])
    names = [name for name in drawn if looks[name] != style.QUIET]
    labels = shortened_apart(names, 26)
    shown = [looks[name] for name in names]
    if others := len(drawn) - len(names):
        labels.append("1 other" if others == 1 else f"{others} others")
        shown.append(style.QUIET)
    handles = [
        Line2D(
            [],
            [],
            color=look.color,
            linestyle="" if marks else look.linestyle,
            marker=look.marker or ("o" if marks else ""),
            linewidth=0.7 if look == style.QUIET else None,
        )
        for look in shown
    ]
    handles += [
        Line2D([], [], color=COLOR, linestyle=guide.linestyle, linewidth=WIDTH, marker="") for guide in guides
    ]
    labels += shortened_apart([guide.label for guide in guides], 30)
    columns = len(labels)
    while True:
        legend = figure.legend(handles, [""] * len(labels), loc="outside lower center", ncols=columns)
        for text, label in zip(legend.get_texts(), labels, strict=True):
            text.set_text(label)  # given at once, labels that begin with an underscore would be dropped
        width = legend.get_window_extent().width
        if columns == 1 or width <= figure.bbox.width:
            break
        legend.remove()
        # Columns are about as wide as those just tried: no need to try every number.
        columns = max(min(columns - 1, int(figure.bbox.width * columns / width) + 1), 1)
    rows = math.ceil(len(labels) / columns)
    added = style.scaled(_LEGEND_ROW) * rows
    figure.set_figheight(figure.get_figheight() + added)
    return added


def plain(value: float, _: object = None) -> str:
    """Return a number for a tick: ``0.01``, ``200``, ``1e6``."""
    return f"{value:.6g}".replace("e+0", "e").replace("e-0", "e-").replace("-", "−")
