"""What each method tried, drawn: importance of parameters, slices, and parallel coordinates."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Collection, Iterator, Mapping

import numpy as np
import pandas as pd
import seaborn
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from analysis import style, words
from analysis.figures.canvas import (
    PANEL_HEIGHT,
    Plot,
    add_legend,
    blank,
    leading,
    plain,
    settle,
    shortened,
    shortened_apart,
    standing_back,
    titled,
)
from analysis.statistics.bootstrap import Floats
from analysis.statistics.parameters import Parameter, Tried, as_text, importance, tried
from analysis.statistics.tasks import task_facts
from analysis.words import joined, listed
from harness.errors import MissingLibraryError
from harness.plurals import plural
from results.tables import SweepTables

SHOWN = 150
"""Evaluations of each method drawn at most, evenly spread over what it tried; the CSV holds those drawn."""


def importance_plot(tables: SweepTables, task: str) -> Plot | None:
    """Draw the importance of a task's parameters; ``None`` where `importance` gives none."""
    data = importance(tables, task)
    if data is None:
        return None
    facts, top = task_facts(tables, task), float(data["top"].iloc[0])
    with style.applied():
        figure = blank(style.column_width(), style.scaled(0.75 + 0.2 * len(data)))
        axes = figure.subplots()
        axes.barh(
            [shortened(str(n), 22) for n in data["parameter"]],
            data["importance"],
            color="#4a90c2",
            height=0.6,
        )
        for place, share in enumerate(data["importance"]):
            axes.text(
                share + 0.01, place, style.numeral(f"{share:.2f}"), va="center", fontsize=style.scaled(7)
            )
        axes.invert_yaxis()
        axes.set_xlim(0, min(1.18 * float(data["importance"].max()) + 0.05, 1.2))
        axes.set_xlabel("importance (shares)")
        axes.grid(visible=False, axis="y")
        titled(figure, f"Parameters of {task}")
        settle(figure)
    shares = ", ".join(f"{r.parameter} {r.importance:.2f}" for r in data.itertuples())
    partial = [f"{r.parameter} in {r.trials}" for r in data.itertuples() if r.trials < data["trials"].max()]
    caption = joined(
        f"Importance of the parameters of {task} for reaching the best {100 * top:.0f} % of "
        f"{facts.metrics['validation']}.",
        "PED-ANOVA (Optuna) on the successful random-search trials of full fidelity "
        f"({plural(int(data['trials'].max()), 'trial')}, all repetitions together); no interval.",
        words.mark(facts),
    )
    details = joined(
        "Ranges are those that random search covered.",
        f"Conditional parameters count where they are active: {listed(partial)}." if partial else "",
    )
    return Plot(
        title=f"Importance of the parameters of {task}",
        caption=caption,
        details=details,
        alt=f"Bars of parameter importance on {task}: {shares}.",
        figure=figure,
        data=data.assign(task=task),
    )


def slices_plot(tables: SweepTables, task: str, highlight: Collection[str] | None = None) -> Plot | None:
    """Draw the objective over each parameter, one panel each; ``None`` without a successful evaluation."""
    sample = tried(tables, task, limit=SHOWN)
    if not sample.parameters:
        return None
    columns = style.beside(min(3, len(sample.parameters)), 1.6)
    rows = math.ceil(len(sample.parameters) / columns)
    metric = sample.facts.metrics["validation"]
    looks = leading(tables, _by_best(sample), highlight)
    names = style.ordered(str(name) for name in sample.trials["searcher"])
    names.sort(key=lambda name: looks[name] != style.QUIET)  # those that stand back lie behind
    shown = sample.trials["value"].to_numpy(dtype=float)
    low, high, cut = _value_range(shown, sample.facts.sign)
    parts = []
    with style.applied():
        figure = blank(
            style.page_width() if columns > 1 else style.column_width(), style.scaled(0.4 + 1.55 * rows)
        )
        panels: list[Axes] = list(np.ravel(figure.subplots(rows, columns, sharey=True, squeeze=False)))
        for unused in panels[len(sample.parameters) :]:
            unused.set_visible(False)
        for place, (parameter, axes) in enumerate(zip(sample.parameters, panels, strict=False)):
            positions = parameter.positions([config.get(parameter.name) for config in sample.configs])
            for name in names:
                mine = ((sample.trials["searcher"] == name) & ~np.isnan(positions)).to_numpy()
                look = looks[name]
                spread = _spread(int(mine.sum())) if parameter.choices else 0.0
                axes.plot(
                    positions[mine] + spread,
                    shown[mine],
                    linestyle="none",
                    marker=look.marker or ".",
                    color=look.color,
                    markersize=2.2,
                    markeredgewidth=0,
                    alpha=0.6,
                )
            _parameter_axis(axes, parameter)
            if place % columns == 0:
                axes.set_ylabel(shortened(metric, 24))
            axes.set_ylim(low, high)
            parts.append(
                sample.trials[["task", "searcher", "repetition", "step", "value"]].assign(
                    parameter=parameter.name, tried=[_cell(c.get(parameter.name)) for c in sample.configs]
                )
            )
        titled(figure, f"What was tried on {task}", 90)
        height = figure.get_figheight()
        added = add_legend(figure, sample.trials, looks, marks=True)
        # In this order, so that the size is to the last bit that of figures published before.
        figure.set_figheight(height + (PANEL_HEIGHT + added) - PANEL_HEIGHT)
        settle(figure)
    data = pd.concat(parts, ignore_index=True)
    return Plot(
        title=f"Slices of {task}",
        caption=joined(
            f"{metric} of what each method tried on {task}, over one parameter at a time.",
            "One mark per successful evaluation; choices are spread sideways.",
            _sample_words(sample),
            standing_back(looks, names),
            f"The axis is cut: {plural(cut, 'worse value lies', 'worse values lie')} outside." if cut else "",
            words.mark(sample.facts),
        ),
        details="A parameter that a configuration does not have is not drawn.",
        alt=f"Scatter plots of {metric} on {task} over {listed([p.name for p in sample.parameters])}.",
        figure=figure,
        data=data[data["tried"] != ""].reset_index(drop=True),
    )


def coordinates_plot(tables: SweepTables, task: str, highlight: Collection[str] | None = None) -> Plot | None:
    """Draw parallel coordinates, one panel per method that is highlighted; ``None`` with fewer than two parameters."""
    sample = tried(tables, task, limit=SHOWN // 2)
    if len(sample.parameters) < 2:
        return None
    facts = sample.facts
    every = style.ordered(str(name) for name in sample.trials["searcher"])
    looks = leading(tables, _by_best(sample), highlight)
    names = [name for name in every if looks[name] != style.QUIET] or every
    chosen = sample.trials["searcher"].isin(names).to_numpy()
    sample = dataclasses.replace(
        sample,
        trials=sample.trials[chosen].reset_index(drop=True),
        configs=[config for config, own in zip(sample.configs, chosen, strict=True) if own],
    )
    value = facts.sign * sample.trials["value"].to_numpy(dtype=float)
    # Coloured and placed by rank among all that is drawn, so that one bad value does not hide the rest.
    rank = (pd.Series(value).rank(method="average").to_numpy() - 1) / max(len(value) - 1, 1)
    units = [p.unit(p.positions([c.get(p.name) for c in sample.configs])) for p in sample.parameters]
    lines = np.column_stack([*units, 1 - rank])
    labels = [p.name for p in sample.parameters] + [facts.metrics["validation"]]
    columns = style.beside(2 if len(names) > 1 else 1)
    rows = math.ceil(len(names) / columns)
    with style.applied():
        figure = blank(style.page_width(), style.scaled(0.55 + 1.75 * rows))
        panels: list[Axes] = list(np.ravel(figure.subplots(rows, columns, squeeze=False)))
        for unused in panels[len(names) :]:
            unused.set_visible(False)
        for name, axes in zip(names, panels, strict=False):
            mine = np.flatnonzero((sample.trials["searcher"] == name).to_numpy())
            # The best on top; a line leaves out the parameters that its configuration does not have.
            order = mine[np.argsort(-rank[mine], kind="stable")]
            segments = []
            for row in order:
                there = ~np.isnan(lines[row])
                segments.append(np.column_stack([np.flatnonzero(there), lines[row][there]]))
            colors = _shades(rank[order])
            axes.add_collection(LineCollection(segments, colors=colors, linewidths=0.5, alpha=0.7))
            axes.set_xlim(-0.05, len(labels) - 0.95)
            axes.set_ylim(-0.06, 1.06)
            axes.set_title(shortened(name, 40))
            axes.xaxis.set_major_locator(FixedLocator(range(len(labels))))
            size = 14 if len(labels) < 6 else 8
            ticks = axes.set_xticklabels(
                [shortened(label, size) for label in labels], fontsize=style.scaled(6)
            )
            ticks[0].set_horizontalalignment("left")
            ticks[-1].set_horizontalalignment("right")
            axes.yaxis.set_major_locator(NullLocator())
            axes.grid(visible=True, axis="x", color="#999999")
            for place, parameter in enumerate(sample.parameters):
                _axis_values(axes, place, parameter)
            for text, height in (("worst", 0.0), ("best", 1.0)):
                _axis_value(axes, len(labels) - 1, height, text)
            seaborn.despine(ax=axes, left=True)
        titled(figure, f"Configurations tried on {task}", 90)
        settle(figure)
    data = sample.trials[["task", "searcher", "repetition", "step", "value"]].assign(
        rank=rank,
        **{f"parameter {p.name}": [_cell(c.get(p.name)) for c in sample.configs] for p in sample.parameters},
    )
    ranges = [f"{p.name} {_range_words(p)}" for p in sample.parameters]
    absent = len(every) - len(names)
    return Plot(
        title=f"Parallel coordinates of {task}",
        caption=joined(
            f"Configurations that each method tried on {task}: one line per successful evaluation, through its "
            f"parameters and its {facts.metrics['validation']}.",
            "Last, the evaluation's rank by value among all that is drawn, the best on top; dark lines are better.",
            _sample_words(sample),
            f"Left out: {plural(absent, 'other method')}." if absent else "",
            words.mark(facts),
        ),
        details=joined(
            f"From bottom to top: {'; '.join(ranges)}.",
            "A line leaves out the parameters that its configuration does not have.",
        ),
        alt=f"Parallel coordinates of the configurations tried on {task} by {listed(names)}.",
        figure=figure,
        data=data,
    )


def plots(
    tables: SweepTables, task: str, highlight: Collection[str] | None = None
) -> Iterator[tuple[str, Plot | MissingLibraryError]]:
    """Draw what a sweep tells of one task's parameters: importance, slices, parallel coordinates.

    With many methods, those in ``highlight`` stand out, or else those that found the best values.

    Yields:
        A kind (``importance``, ``slices``, ``coordinates``) and the plot, or the error where its library is not
        installed; a kind with nothing to show is left out.
    """
    kinds: Mapping[str, Callable[[], Plot | None]] = {
        "importance": lambda: importance_plot(tables, task),
        "slices": lambda: slices_plot(tables, task, highlight),
        "coordinates": lambda: coordinates_plot(tables, task, highlight),
    }
    for kind, draw in kinds.items():
        try:
            plot = draw()
        except MissingLibraryError as error:
            yield kind, error
            continue
        if plot is not None:
            yield kind, plot


def _by_best(sample: Tried) -> list[str]:
    """Return the methods by the best value that each tried, the best first."""
    loss = sample.facts.sign * sample.trials["value"].astype(float)
    best = loss.groupby(sample.trials["searcher"]).min()
    return [str(name) for name in best.sort_values(kind="stable").index]


def _axis_values(axes: Axes, place: int, parameter: Parameter) -> None:
    """Write values beside the axis of a parameter: its choices, or its ends and a value between."""
    if parameter.choices:
        shown = shortened_apart(parameter.choices, 9)
        step = math.ceil(len(shown) / 6)
        positions = np.arange(len(shown), dtype=float)
        for index in range(0, len(shown), step):
            _axis_value(axes, place, float(parameter.unit(positions)[index]), shown[index])
        return
    low, high = parameter.low, parameter.high
    middle = math.sqrt(low * high) if parameter.log else (low + high) / 2
    for value in sorted({low, float(f"{middle:.1g}"), high}):
        if low <= value <= high:
            height = float(parameter.unit(np.array([value]))[0])
            _axis_value(axes, place, height, style.numeral(plain(float(f"{value:.2g}"))))


def _axis_value(axes: Axes, place: int, height: float, text: str) -> None:
    last = place == round(axes.get_xlim()[1])
    axes.annotate(
        text,
        (place, height),
        xytext=(-2 if last else 2, 0),
        textcoords="offset points",
        ha="right" if last else "left",
        va="center",
        fontsize=style.scaled(5),
        zorder=4,
        bbox={"boxstyle": "square,pad=0.08", "facecolor": "white", "edgecolor": "none", "alpha": 0.8},
    )


def _shades(rank: Floats) -> Floats:
    """Return colours from dark blue (best, 0) to light grey (worst, 1), of shape (n, 4)."""
    dark, light = np.array([0.03, 0.19, 0.42]), np.array([0.82, 0.85, 0.89])
    mixed = dark + np.clip(rank, 0, 1)[:, None] ** 0.7 * (light - dark)
    return np.column_stack([mixed, np.ones(len(rank))])


def _range_words(parameter: Parameter) -> str:
    if parameter.choices:
        return " · ".join(parameter.choices)
    return f"{plain(parameter.low)} to {plain(parameter.high)}{' (log)' if parameter.log else ''}"


def _parameter_axis(axes: Axes, parameter: Parameter) -> None:
    axes.set_xlabel(shortened(parameter.name, 28))
    if parameter.choices:
        axes.xaxis.set_major_locator(FixedLocator(range(len(parameter.choices))))
        labels = shortened_apart(parameter.choices, min(10, max(5, 36 // len(parameter.choices))))
        axes.set_xticklabels(labels, fontsize=style.scaled(6 if sum(map(len, labels)) > 18 else 7))
        axes.set_xlim(-0.5, len(parameter.choices) - 0.5)
        return
    if parameter.log:
        axes.set_xscale("log")
        axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(plain))
    if not parameter.log:
        axes.locator_params(axis="x", nbins=5)


def _value_range(values: Floats, sign: float) -> tuple[float, float, int]:
    """Return limits on which the better half can be told apart, and how many values lie outside."""
    losses = np.sort(sign * values)
    best, middle, worst = float(losses[0]), float(np.median(losses)), float(losses[-1])
    edge = min(worst, middle + 3 * (middle - best)) if middle > best else worst
    margin = 0.05 * (edge - best) or max(abs(best) * 0.05, 1e-6)
    outside = int((losses > edge + margin).sum())
    low, high = sorted((sign * (best - margin), sign * (edge + margin)))
    return low, high, outside


def _spread(count: int) -> Floats:
    """Return offsets in (-0.3, 0.3), the same on every machine: the golden ratio's multiples."""
    return np.asarray((np.arange(count) * 0.6180339887498949 % 1.0 - 0.5) * 0.6, dtype=float)


def _sample_words(sample: Tried) -> str:
    drawn = len(sample.trials)
    text = f"{plural(drawn, 'evaluation')}, all repetitions together"
    if drawn < sample.total:
        text += f", evenly chosen from {sample.total} in each method's order"
    return f"Shown: {text}; failed ones are left out."


def _cell(value: object) -> str:
    return "" if value is None else as_text(value)
