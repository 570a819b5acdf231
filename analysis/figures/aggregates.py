"""Scores over all tasks: interquartile means, performance profiles, and mean regret over the budget."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from analysis import words
from analysis.figures.canvas import Plot, looks_of
from analysis.figures.charts import Panel, draw_forest
from analysis.figures.curves import draw_lines
from analysis.statistics.aggregates import PROFILE_FLOOR, TRIMMED, performance_profile
from analysis.statistics.bootstrap import RESAMPLES, mean_interval
from analysis.statistics.comparison import Comparison
from analysis.statistics.curves import CURVE_COLUMNS, curve_frame
from analysis.statistics.inputs import Inputs
from analysis.statistics.scores import budget_of, regret_steps
from analysis.statistics.steps import Steps, study_steps, union_grid
from analysis.words import joined, plural

REGRET_FLOOR = 1e-3
"""Mean regrets below this are drawn at the lower end of a log axis."""


def aggregate_scores(inputs: Inputs, comparison: Comparison) -> Plot | None:
    """Draw the interquartile means of final regret and anytime score; ``None`` without references."""
    final, anytime = comparison.aggregated("regrets"), comparison.aggregated("anytime")
    if final is None or anytime is None:
        return None
    tasks = int(final["tasks"].iloc[0])
    data = pd.concat([final.assign(score="final regret"), anytime.assign(score="anytime")], ignore_index=True)
    order = [str(name) for name in final["searcher"]]
    caption = joined(
        "Left: interquartile mean of the normalised regret of final incumbents. Right: interquartile mean of the "
        "anytime score, the mean regret over the whole budget. Smaller is better.",
        f"The mean is over runs without the best and the worst {100 * TRIMMED:g} %; whiskers: {words.INTERVAL}, "
        f"resampling repetitions inside tasks ({RESAMPLES} resamples); {plural(tasks, 'task')}, "
        f"{int(final['runs'].iloc[0])} runs per method.",
        words.REGRET,
        words.scope(comparison),
        words.few(comparison),
        words.end(inputs, comparison, words.without_references(comparison)),
    )
    figure = draw_forest(
        [
            Panel("interquartile mean", final, title="final regret"),
            Panel("interquartile mean", anytime, title="anytime score"),
        ],
        order,
        "Normalised regret over all runs",
        looks_of(inputs.tables),
    )
    return Plot(
        title="Interquartile mean of final regret and anytime score",
        caption=caption,
        alt="Dots with whiskers. Final regret: "
        + ", ".join(f"{row.searcher} {row.mean:.3g}" for row in final.itertuples())
        + ". Anytime score: "
        + ", ".join(f"{row.searcher} {row.mean:.3g}" for row in anytime.itertuples())
        + ".",
        figure=figure,
        data=data[["score", "searcher", "mean", "low", "high", "tasks", "runs"]],
    )


def profiles(inputs: Inputs, comparison: Comparison) -> Plot | None:
    """Draw performance profiles of final regret; ``None`` without references."""
    strata = [own.regrets for own in comparison.scores.values() if own.regrets is not None]
    if not strata:
        return None
    data = performance_profile(strata, comparison.searchers)
    caption = joined(
        "Performance profile: share of runs whose final normalised regret is at most τ, averaged over tasks; higher "
        f"is better. The axis begins at τ = {PROFILE_FLOOR:g}.",
        f"Bands: {words.INTERVAL}s, pointwise, resampling repetitions inside tasks ({RESAMPLES} resamples)."
        if data["low"].notna().any()
        else "One repetition per task: no interval.",
        words.REGRET,
        words.scope(comparison),
        words.few(comparison),
        words.end(inputs, comparison, words.without_references(comparison)),
    )
    middle = data[data["cost"] <= 0.1].groupby("searcher")["mean"].last()
    figure, _ = draw_lines(
        data,
        "Performance profile",
        "normalised regret τ",
        "share of runs",
        looks_of(inputs.tables),
        share=True,
    )
    return Plot(
        title="Performance profile of final regret",
        caption=caption,
        alt="Step curves. Share of runs with regret at most 0.1: " + words.by_method(middle, ".2f") + ".",
        figure=figure,
        data=data.rename(columns={"cost": "tau"}),
    )


def regret_curves(inputs: Inputs, comparison: Comparison) -> Plot | None:
    """Draw the mean normalised regret over the budget, averaged over tasks; ``None`` without references."""
    means: dict[str, list[Steps]] = {name: [] for name in comparison.searchers}
    used = []
    for task, own in comparison.scores.items():
        references = inputs.facts[task].references
        if references is None:
            continue
        unit, amount = budget_of(inputs, task)
        runs = study_steps(
            inputs.by_task.get(task, inputs.best.iloc[:0]), task, unit, own.measure, own.searchers
        )
        used.append(task)
        for name in own.searchers:
            mine = [regret_steps(runs[name, repetition], references) for repetition in own.repetitions]
            start = max(float(run.costs[0]) for run in mine)
            grid = union_grid(mine, start)
            mean = np.mean([run.at(grid) for run in mine], axis=0)
            means[name].append(Steps(grid / amount, mean))
    if not used:
        return None
    frames = []
    for name, each in means.items():
        grid = union_grid(each, max(float(curve.costs[0]) for curve in each))
        estimate = np.stack(mean_interval(np.stack([curve.at(grid) for curve in each])))
        frames.append(curve_frame("validation", name, Steps(grid, estimate).simplified()))
    data = pd.concat(frames, ignore_index=True)[[c for c in CURVE_COLUMNS if c in frames[0].columns]]
    data = data.drop(columns="measure").assign(tasks=len(used))
    shown = data["mean"].clip(lower=REGRET_FLOOR)
    log = float(shown.max()) / float(shown.min()) > 5
    cut = bool((data["mean"] < REGRET_FLOOR).any()) and log
    caption = joined(
        "Mean normalised regret of the incumbent over the fraction of each task's budget: mean over repetitions, "
        "then over tasks, evaluated exactly at the costs drawn; smaller is better.",
        f"Bands: {words.INTERVAL}s, resampling tasks ({RESAMPLES} resamples)."
        if len(used) > 1
        else "One task: no interval over tasks.",
        "A line starts where every run of its method has finished something.",
        words.REGRET,
        "The regret axis is "
        f"logarithmic{f', values below {REGRET_FLOOR:g} drawn at {REGRET_FLOOR:g}' if cut else ''}."
        if log
        else "",
        words.scope(comparison),
        words.few(comparison),
        words.end(inputs, comparison, words.without_references(comparison)),
    )
    final = data.groupby("searcher")["mean"].last()
    figure, curves = draw_lines(
        data,
        "Mean normalised regret over tasks",
        "fraction of the budget",
        "mean normalised regret",
        looks_of(inputs.tables),
        log=log,
        floor=REGRET_FLOOR if log else -math.inf,
    )
    return Plot(
        title="Mean normalised regret over the budget",
        caption=caption,
        alt="Step curves. At the end: " + words.by_method(final, ".3g") + ".",
        figure=figure,
        data=data,
        curves=[curves],
    )
