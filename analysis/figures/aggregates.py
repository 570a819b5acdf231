"""Scores over all tasks: interquartile means, performance profiles, and mean regret over the budget."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence

import numpy as np
import pandas as pd

from analysis import words
from analysis.figures.canvas import Plot, by_end, leading, looks_of, standing_back
from analysis.figures.charts import Panel, draw_forest
from analysis.figures.curves import draw_lines
from analysis.figures.guides import guide_words_over_tasks, over_tasks
from analysis.statistics.aggregates import PROFILE_FLOOR, TRIMMED, performance_profile
from analysis.statistics.baselines import Regrets, baseline_regrets, baseline_values
from analysis.statistics.bootstrap import FEWEST_UNITS, RESAMPLES, mean_interval
from analysis.statistics.comparison import Comparison
from analysis.statistics.curves import CURVE_COLUMNS, curve_frame, shown_singly, unit_frame, units_of
from analysis.statistics.inputs import Inputs
from analysis.statistics.scores import budget_of, regret_steps
from analysis.statistics.steps import Steps, study_steps, union_grid
from analysis.words import joined
from harness.baselines import MEDIAN
from harness.plurals import plural

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
    regrets = _baseline_regrets(inputs, comparison)
    straight = over_tasks({each.baseline: each.interquartile for each in regrets})
    one, other = words.sides()
    caption = joined(
        f"Interquartile mean over runs of the normalised regret of final incumbents ({one}) and of the anytime score, "
        f"the mean regret over the whole budget ({other}). Smaller is better.",
        f"{words.extent(comparison)}: {plural(int(final['runs'].iloc[0]), 'run')} per method on the "
        f"{plural(tasks, 'task')} shown.",
        guide_words_over_tasks(straight, "Straight grey lines: the same of baselines, which are not ranked"),
        runs_uncertainty(data, comparison, "Whiskers"),
        words.few(comparison),
        words.end(inputs, comparison, words.without_references(comparison)),
    )
    figure = draw_forest(
        [
            Panel("interquartile mean", final, title="final regret", guides=straight),
            Panel("interquartile mean", anytime, title="anytime score"),
        ],
        order,
        "Normalised regret over all runs",
        looks_of(inputs.tables),
    )
    return Plot(
        title="Interquartile mean of final regret and anytime score",
        caption=caption,
        details=joined(
            f"The mean is over runs without the best and the worst {100 * TRIMMED:g} %.",
            words.REGRET,
            words.scope(comparison),
            SHOWN_WHERE_ALL if straight else "",
        ),
        alt="Dots with whiskers. Final regret: "
        + ", ".join(f"{row.searcher} {row.mean:.3g}" for row in final.itertuples())
        + ". Anytime score: "
        + ", ".join(f"{row.searcher} {row.mean:.3g}" for row in anytime.itertuples())
        + ".",
        figure=figure,
        data=data[["score", "searcher", "mean", "low", "high", "tasks", "runs"]],
        baselines=_regret_table(regrets),
    )


SHOWN_WHERE_ALL = "Baselines are shown that exist on all of these tasks, in all of these repetitions."


def _baseline_regrets(inputs: Inputs, comparison: Comparison) -> list[Regrets]:
    """Return the regrets of the baselines on the ranked tasks.

    Single references are left out, and the median of the space, at which the regret of most tasks is 1 by definition.
    """
    repetitions = {task: own.repetitions for task, own in comparison.scores.items()}
    found = baseline_regrets(inputs, baseline_values(inputs.tables), repetitions)
    return [each for each in found if each.baseline != MEDIAN and not each.baseline.startswith("reference ")]


def _regret_table(regrets: Sequence[Regrets]) -> pd.DataFrame | None:
    """Return the baselines' regrets as a table; ``None`` without any."""
    rows = [(each.baseline, each.interquartile, each.mean) for each in regrets]
    return pd.DataFrame(rows, columns=["baseline", "interquartile_mean", "mean"]) if rows else None


def profiles(inputs: Inputs, comparison: Comparison, highlight: Collection[str] | None = None) -> Plot | None:
    """Draw performance profiles of final regret; ``None`` without references."""
    strata = [own.regrets for own in comparison.scores.values() if own.regrets is not None]
    if not strata:
        return None
    data = performance_profile(strata, comparison.searchers)
    looks = leading(inputs.tables, list(comparison.mean_ranks), highlight)
    caption = joined(
        "Performance profile: share of runs whose final normalised regret is at most τ, averaged over tasks; higher "
        "is better.",
        f"{words.extent(comparison)}.",
        runs_uncertainty(data, comparison, "Bands"),
        standing_back(looks, data["searcher"]),
        words.few(comparison),
        words.end(inputs, comparison, words.without_references(comparison)),
    )
    middle = data[data["cost"] <= 0.1].groupby("searcher")["mean"].last()
    figure, curves = draw_lines(
        data, "Performance profile", "normalised regret τ", "share of runs", looks, share=True
    )
    return Plot(
        title="Performance profile of final regret",
        caption=caption,
        details=joined(
            f"The axis begins at τ = {PROFILE_FLOOR:g}. Intervals are pointwise.",
            words.REGRET,
            words.scope(comparison),
        ),
        alt="Step curves. Share of runs with regret at most 0.1: " + words.by_method(middle, ".2f") + ".",
        figure=figure,
        data=data.rename(columns={"cost": "tau"}),
        curves=[curves],
    )


def runs_uncertainty(data: pd.DataFrame, comparison: Comparison, marks: str) -> str:
    """Return what stands for the uncertainty of scores over runs, from what the statistics give."""
    counts = [len(own.repetitions) for own in comparison.scores.values()]
    if data["low"].notna().any():
        return f"{marks}: {words.INTERVAL}s, resampling repetitions inside tasks ({RESAMPLES} resamples)."
    if max(counts) == 1:
        return "One repetition per task: no interval."
    return f"No interval: fewer than {FEWEST_UNITS} repetitions per task."


def regret_curves(
    inputs: Inputs, comparison: Comparison, highlight: Collection[str] | None = None
) -> Plot | None:
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
    frames, singles = [], []
    for name, each in means.items():
        if shown_singly(len(each)):
            singles += [
                unit_frame("validation", name, task, curve) for task, curve in zip(used, each, strict=True)
            ]
        grid = union_grid(each, max(float(curve.costs[0]) for curve in each))
        estimate = np.stack(mean_interval(np.stack([curve.at(grid) for curve in each])))
        frames.append(curve_frame("validation", name, Steps(grid, estimate).simplified()))
    data = pd.concat(frames, ignore_index=True)[[c for c in CURVE_COLUMNS if c in frames[0].columns]]
    data = data.drop(columns="measure").assign(tasks=len(used))
    shown = data["mean"].clip(lower=REGRET_FLOOR)
    log = float(shown.max()) / float(shown.min()) > 5
    cut = bool((data["mean"] < REGRET_FLOOR).any()) and log
    units = units_of(singles).drop(columns="measure")
    regrets = _baseline_regrets(inputs, comparison)
    straight = over_tasks({each.baseline: each.mean for each in regrets})
    looks = leading(inputs.tables, by_end(data), highlight)
    caption = joined(
        "Mean normalised regret of the incumbent over the fraction of each task's budget: mean over repetitions, "
        "then over tasks; smaller is better.",
        f"{words.extent(comparison)}.",
        words.uncertainty([len(used)], "task"),
        standing_back(looks, data["searcher"]),
        guide_words_over_tasks(
            straight, "Straight grey lines, where the axis reaches them: baselines, not ranked"
        ),
        "The regret axis is "
        f"logarithmic{f', values below {REGRET_FLOOR:g} drawn at {REGRET_FLOOR:g}' if cut else ''}."
        if log
        else "",
        words.few(comparison),
        words.end(inputs, comparison, words.without_references(comparison)),
    )
    final = data.groupby("searcher")["mean"].last()
    figure, curves = draw_lines(
        data,
        "Mean normalised regret over tasks",
        "fraction of the budget",
        "mean normalised regret",
        looks,
        log=log,
        floor=REGRET_FLOOR if log else -math.inf,
        units=units,
        guides=straight,
    )
    return Plot(
        title="Mean normalised regret over the budget",
        caption=caption,
        details=joined(
            "Means are evaluated exactly at the costs drawn. A line starts where every run of its method has finished "
            "something.",
            words.REGRET,
            words.scope(comparison),
            SHOWN_WHERE_ALL if straight else "",
        ),
        alt="Step curves. At the end: " + words.by_method(final, ".3g") + ".",
        figure=figure,
        data=data,
        curves=[curves],
        units=units,
        baselines=_regret_table(regrets),
    )
