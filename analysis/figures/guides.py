"""Baselines in figures: straight lines without markers, in one dark grey, each kind with a dash of its own."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import pandas as pd
from matplotlib.axes import Axes

from analysis.statistics.tasks import Measure
from analysis.style import Dash
from analysis.words import joined, listed, number
from harness.baselines import BEST, MEDIAN, REFERENCES, multiple_of
from harness.plurals import plural

COLOR: Final = "#3a3a3a"
WIDTH: Final = 0.8

_RANDOM: Final[tuple[Dash, ...]] = ((7.0, 2.0), (7.0, 2.0, 1.0, 2.0), (7.0, 2.0, 1.0, 2.0, 1.0, 2.0))
"""Of random search, by ascending multiples of the budget; of more than three the last."""
_OTHERS: Final[Mapping[str, Dash]] = {REFERENCES: (1.0, 1.5), BEST: (), MEDIAN: (2.5, 2.5)}


@dataclass(frozen=True, slots=True)
class Guide:
    """A baseline as a straight line.

    Attributes:
        name: Its name in the tables.
        label: Its name in a legend.
        dash: Lengths of marks and gaps; empty is solid.
        places: Where it is drawn, by measure; NaN where it has no value.
    """

    name: str
    label: str
    dash: Dash
    places: Mapping[Measure, float]

    @property
    def linestyle(self) -> tuple[float, Dash]:
        """The dash as matplotlib wants it."""
        return (0.0, self.dash)


def label_of(name: str) -> str:
    """Return what a baseline is called in legends and tables.

    Example:
        >>> label_of("random_4x"), label_of("references")
        ('random search 4×', 'best reference')
    """
    if (multiple := multiple_of(name)) is not None:
        return f"random search {multiple}×"
    return {REFERENCES: "best reference", BEST: "best of the space", MEDIAN: "median of the space"}.get(
        name, name
    )


def guides(lines: pd.DataFrame) -> list[Guide]:
    """Return the baselines of a task as lines to draw; of several references the best alone.

    Args:
        lines: What `analysis.statistics.baselines.baseline_lines` returned, of one task.
    """
    named = [str(name) for name in lines["baseline"] if str(name).startswith("reference ")]
    values: dict[str, dict[Measure, float]] = {
        str(row["baseline"]): {"validation": float(row["validation"]), "test": float(row["test"])}
        for row in lines.to_dict("records")
    }
    labels = {name: label_of(name) for name in values if name not in named}
    if REFERENCES in labels and len(named) == 1:
        labels[REFERENCES] = named[0]
    return made(labels, values)


def made(labels: Mapping[str, str], values: Mapping[str, Mapping[Measure, float]]) -> list[Guide]:
    """Return guides of some baselines, by name, in the order of legends: by multiples, then those of `_OTHERS`."""
    random = sorted((name for name in labels if multiple_of(name)), key=lambda name: multiple_of(name) or 0)
    dashes = {name: _RANDOM[min(place, len(_RANDOM) - 1)] for place, name in enumerate(random)}
    dashes |= {name: dash for name, dash in _OTHERS.items() if name in labels}
    return [Guide(name, labels[name], dash, values[name]) for name, dash in dashes.items()]


def draw_guides(axes: Axes, lines: Sequence[Guide], measure: Measure) -> None:
    """Draw the guides of a measure that lie inside a panel, whose limits are set; behind the methods."""
    low, high = sorted(axes.get_ylim())
    for line in lines:
        value = line.places.get(measure, math.nan)
        if low <= value <= high:
            axes.axhline(value, color=COLOR, linestyle=line.linestyle, linewidth=WIDTH, zorder=1.8)


def inside(lines: Sequence[Guide], measures: Sequence[Measure], low: float, high: float) -> list[Guide]:
    """Return the guides of which a panel with these limits shows one measure at least."""
    return [line for line in lines if any(low <= line.places.get(m, math.nan) <= high for m in measures)]


def guide_words(
    lines: Sequence[Guide], table: pd.DataFrame, measures: Sequence[Measure], low: float, high: float
) -> str:
    """Return the sentences of a caption on its baselines; empty where there are none with a value.

    Args:
        lines: The guides.
        table: What they were made of, as of `guides`.
        measures: Those drawn.
        low: Lower limit of the value axis.
        high: Its upper limit.
    """
    with_value = [
        line for line in lines if any(math.isfinite(line.places.get(m, math.nan)) for m in measures)
    ]
    if not with_value:
        return ""
    drawn = inside(with_value, measures, low, high)
    counts = sorted({int(count) for count in table["repetitions"] if count})
    over = f" (means over {listed(list(map(str, counts)))} repetitions)" if counts not in ([], [1]) else ""
    both = f" ({' and '.join(measures)})" if len(measures) > 1 else ""
    return joined(
        f"Straight grey lines: baselines, which are not ranked{over}: {_valued(drawn, measures)}{both}."
        if drawn
        else "",
        f"Baselines outside the panel{'s' if len(measures) > 1 else ''}: "
        f"{_valued([line for line in with_value if line not in drawn], measures)}."
        if len(drawn) < len(with_value)
        else "",
    )


def _valued(lines: Sequence[Guide], measures: Sequence[Measure]) -> str:
    """Return baselines in words, each with its values."""
    parts = []
    for line in lines:
        values = [line.places.get(measure, math.nan) for measure in measures]
        shown = " and ".join(number(value, 4) for value in values if math.isfinite(value))
        parts.append(f"{line.label} ({shown})")
    return ", ".join(parts)


def guide_details(table: pd.DataFrame) -> str:
    """Return what each baseline of a task is, and how far it may be beaten; empty where there are none."""
    if table.empty:
        return ""
    about = "; ".join(f"{label_of(str(row.baseline))}: {row.about}" for row in table.itertuples())
    return joined(
        f"Baselines: {about}.",
        "A search sees one training of a configuration, and with luck ends better than the best mean over seeds."
        if (table["about"].str.contains("mean over") & (table["baseline"] == BEST)).any()
        else "",
    )


def lacking(table: pd.DataFrame) -> list[str]:
    """Return what is missing of a task's baselines, in words: unfinished repetitions, and those without a success."""
    found = []
    for row in table.to_dict("records"):
        name = f"the baseline {label_of(str(row['baseline']))}"
        if row["planned"] and not row["repetitions"]:
            found.append(f"{name} (not finished)")
        elif row["repetitions"] < row["planned"]:
            found.append(
                f"{name} in {row['planned'] - row['repetitions']} of {plural(row['planned'], 'repetition')}"
            )
        if row["repetitions"] and not math.isfinite(row["validation"]):
            found.append(f"{name} (no successful evaluation in a repetition)")
    return found


def over_tasks(values: Mapping[str, float]) -> list[Guide]:
    """Return guides of baselines over tasks, by name, from one number each."""
    return made(
        {name: label_of(name) for name in values}, {name: {"validation": v} for name, v in values.items()}
    )


def guide_words_over_tasks(lines: Sequence[Guide], begin: str) -> str:
    """Return the sentence on baselines over tasks, which begins as given; empty without any."""
    return f"{begin}: {_valued(lines, ['validation'])}." if lines else ""
