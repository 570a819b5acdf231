"""Reaching targets, and speed: the ECDF over targets, and the speed-up over random search."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from analysis import words
from analysis.figures.aggregates import runs_uncertainty
from analysis.figures.canvas import Plot, by_end, leading, looks_of, standing_back
from analysis.figures.charts import draw_dots
from analysis.figures.curves import draw_lines
from analysis.statistics.comparison import Comparison
from analysis.statistics.inputs import Inputs
from analysis.statistics.scores import budget_of
from analysis.statistics.steps import cost_units
from analysis.statistics.targets import TARGETS, speed_up, target_ecdf
from analysis.words import cost_label, joined
from harness.plurals import plural


def targets_reached(
    inputs: Inputs, comparison: Comparison, cost: str, highlight: Collection[str] | None = None
) -> Plot | None:
    """Draw the ECDF over targets, tasks and runs; ``None`` without references or where nothing was spent."""
    budgets = {budget_of(inputs, task) for task in comparison.scores}
    alone = len(budgets) == len(cost_units(inputs.tables, cost, comparison.scores)) == 1
    fraction = not (alone and next(iter(budgets))[0] == cost)
    data = target_ecdf(inputs, cost, fraction=fraction)
    if data.empty or not data["cost"].max() > 0:
        return None
    label = cost_label(inputs.tables, cost, comparison.scores)
    if not fraction:
        axis: tuple[str, ...] = (label,)
    elif any(unit == cost for unit, _ in budgets):
        axis = (f"fraction of the budget in {label}",)
    else:
        axis = ("fraction of the task's largest cost", f"({label})")
    tasks = int(data["tasks"].iloc[0])
    looks = leading(inputs.tables, by_end(data, -1.0), highlight)
    caption = joined(
        f"Share of targets reached over {' '.join(axis)}, of all (task, target, run): {len(TARGETS)} targets of "
        f"normalised regret per task, by the validation objective; {plural(tasks, 'task')} with equal weight; higher "
        "is better.",
        f"{words.extent(comparison)}.",
        runs_uncertainty(data, comparison, "Bands"),
        standing_back(looks, data["searcher"]),
        words.few(comparison),
        words.end(inputs, comparison, words.without_references(comparison)),
    )
    final = data.groupby("searcher")["mean"].last()
    figure, curves = draw_lines(data, "Targets reached", "\n".join(axis), "share reached", looks, share=True)
    return Plot(
        title=f"Targets reached over {label}",
        caption=caption,
        details=joined(
            f"Targets lie from {TARGETS[0]:g} to {TARGETS[-1]:g} of normalised regret, evenly spaced in the logarithm. "
            "Intervals are pointwise.",
            words.REGRET,
        ),
        alt="Step curves. Share reached at the end: " + words.by_method(final, ".2f") + ".",
        figure=figure,
        data=data,
        curves=[curves],
    )


def speed_ups(inputs: Inputs, comparison: Comparison, cost: str) -> Plot | None:
    """Draw how much sooner than random search each method gets to where that ends; ``None`` without random search."""
    baseline = comparison.baseline
    if baseline is None:
        return None
    data = speed_up(inputs, cost, baseline)
    data = data[data["task"].isin(list(comparison.scores)) & data["searcher"].isin(comparison.searchers)]
    if data.empty:
        return None
    order = [name for name in comparison.mean_ranks if name in set(data["searcher"])]
    label = cost_label(inputs.tables, cost, comparison.scores)
    censored = int(data["censored"].sum())
    caption = joined(
        f"Speed-up over {baseline} in {label}: the median cost of its runs, divided by the cost at which a method "
        "first reaches the median of its final objective values; right of 1 is faster. Dots: medians over a task's "
        "runs; bars: medians over tasks; no interval.",
        f"Open triangles ({censored} of {len(data)}): at most the value shown (censored), since half of the runs or "
        "more never reached the level."
        if censored
        else "",
        f"{plural(data['task'].nunique(), 'task')}, {words.span(list(data['runs']), 'run')} per task and method.",
        words.few(comparison),
        words.end(inputs, comparison),
    )
    shown = data.assign(value=data["speed_up"])
    medians = {
        str(name): float(np.median(np.where(own["censored"], -np.inf, own["speed_up"])))
        for name, own in data.groupby("searcher")
    }
    return Plot(
        title=f"Speed-up over random search in {label}",
        caption=caption,
        details="Runs that never reach the level count as slower than all others. The CSV has the quartiles over "
        "runs and how many reached the level.",
        alt="Dots by task. Median over tasks: "
        + ", ".join(
            f"{name} {medians[name]:.3g}" if np.isfinite(medians[name]) else f"{name} censored"
            for name in order
        )
        + ".",
        figure=draw_dots(
            shown, order, f"Speed-up over {baseline}", f"speed-up in {label}", looks_of(inputs.tables)
        ),
        data=data,
    )
