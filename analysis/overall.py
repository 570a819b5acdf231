"""The figures over tasks: who differs, scores, targets, selection and the search's own time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from analysis import captions, charts, style
from analysis.aggregates import PROFILE_FLOOR, TRIMMED, performance_profile
from analysis.bootstrap import LEVEL, RESAMPLES, mean_interval
from analysis.captions import COST_LABELS, joined, left_out, listed, plural
from analysis.charts import Panel
from analysis.curves import CURVE_COLUMNS, curve_frame
from analysis.drawing import Plot
from analysis.inputs import Inputs
from analysis.overhead import overhead_over_history, overhead_shares, search_seconds
from analysis.paired import POWER, fewest_repetitions, repetitions_needed
from analysis.ranking import ROPE, Comparison
from analysis.ranks import SIGNIFICANT_DIGITS
from analysis.scores import budget_of, regret_steps
from analysis.selection import mean_overtuning, overtuning
from analysis.significance import (
    ALPHA,
    FEW_BLOCKS,
    POSTERIOR_SAMPLES,
    cliques,
    critical_difference,
    p_matrix,
    smallest_p,
)
from analysis.steps import Steps, study_steps, union_grid
from analysis.style import Look
from analysis.targets import TARGETS, speed_up, target_ecdf

_INTERVAL = f"{LEVEL:.0%}".replace("%", " %") + " expanded percentile bootstrap interval"
REGRET_FLOOR = 1e-3
"""Mean regrets below this are drawn at the lower end of a log axis."""

_REGRET = (
    "Normalised regret is 0 at the task's best known value and 1 at its reference, both frozen with the task; worse "
    "than the reference, and no success, count as 1."
)


def looks_of(inputs: Inputs) -> dict[str, Look]:
    """Return the looks of all planned methods, so that each has the same in every figure of the sweep."""
    return style.looks(str(name) for name in inputs.tables.studies["searcher"])


def _scope(comparison: Comparison) -> str:
    """Return the sentence that counts methods, tasks and repetitions, and says which values are meant."""
    scores = comparison.scores.values()
    counts = sorted({len(own.repetitions) for own in scores})
    span = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    tested = sum(own.measure == "test" for own in scores)
    by = {0: "objective (no task has a test set)", len(comparison.scores): "test values"}.get(
        tested,
        f"test values ({plural(len(comparison.scores) - tested, 'task')} without a test set: objective)",
    )
    return (
        f"{plural(len(comparison.searchers), 'method')}, {plural(len(comparison.scores), 'task')}, {span} "
        f"repetition{'' if counts == [1] else 's'} per task; final incumbents selected by validation, by their {by}."
    )


def _subsets(inputs: Inputs, tasks: Sequence[str]) -> str:
    names = [task for task in tasks if inputs.facts[task].subset]
    return f"{captions.SUBSET[:-1]} ({', '.join(names)})." if names else ""


def _end(inputs: Inputs, comparison: Comparison, more: Sequence[str] = ()) -> str:
    """Return what every figure over tasks ends with: what it lacks, and which tasks ran on a data subset."""
    return joined(left_out([*comparison.left_out, *more]), _subsets(inputs, list(comparison.scores)))


def _powerless(tasks: int, pairs: int) -> str:
    """Return the sentence that no pair could have differed, where that is so."""
    smallest = smallest_p(tasks) * pairs
    return (
        f"With {tasks} tasks and {pairs} pairs no corrected p-value can be below {min(smallest, 1):.2g}, so that "
        "no pair "
        "could be told apart, whatever the results."
        if smallest > ALPHA
        else ""
    )


def _few(comparison: Comparison) -> str:
    count = len(comparison.scores)
    return (
        f"With {plural(count, 'task')} only, this speaks about these tasks, not about tasks in general."
        if comparison.few
        else ""
    )


def _without_references(comparison: Comparison) -> list[str]:
    return [f"task {task} (declares no references of regret)" for task in comparison.unnormalised()]


def critical_difference_wilcoxon(inputs: Inputs, comparison: Comparison) -> Plot | None:
    """Draw mean ranks with bars over the methods that Wilcoxon's tests with Holm's correction do not tell apart.

    ``None`` with fewer than 3 methods, or with so few tasks that no test over tasks can find anything.
    """
    test = comparison.friedman
    if test is None or comparison.few:
        return None
    p = p_matrix(comparison.pairs)
    bars = cliques(p, list(comparison.mean_ranks))
    verdict = "differ" if test.f_p <= ALPHA else "cannot be told apart"
    caption = joined(
        "Critical-difference diagram: mean rank over tasks of each method's mean final value, 1 is best.",
        f"Bars join maximal sets of methods of which no two differ at {ALPHA:g} by pairwise Wilcoxon signed-rank "
        "tests "
        f"over tasks with Holm's correction over {len(comparison.pairs)} pairs, on differences of "
        f"{comparison.differences.words}; a dot marks a member, and a bar is dashed where it passes a method that is "
        "not one.",
        _powerless(len(comparison.scores), len(comparison.pairs)),
        f"Friedman: χ² = {test.chi2:.2f}, p = {probability(test.chi2_p)}; Iman–Davenport: "
        f"F({test.f_df[0]}, {test.f_df[1]}) = {test.f:.2f}, p = {probability(test.f_p)}: over all, the methods "
        f"{verdict}.",
        f"Values equal after rounding to {SIGNIFICANT_DIGITS} significant digits share their rank.",
        _scope(comparison),
        _end(inputs, comparison),
    )
    return Plot(
        title="Mean ranks and which methods differ (Wilcoxon–Holm)",
        caption=caption,
        alt="Critical-difference diagram. "
        + _rank_words(comparison)
        + " Not told apart: "
        + ("; ".join(listed(list(bar)) for bar in bars) or "none")
        + ".",
        figure=charts.draw_critical_difference(
            comparison.mean_ranks,
            bars,
            "Mean rank over tasks; bars: no difference by Wilcoxon–Holm",
            looks_of(inputs),
        ),
        data=_bar_data(comparison, bars),
    )


def critical_difference_nemenyi(inputs: Inputs, comparison: Comparison) -> Plot | None:
    """Draw the classical companion: Nemenyi's critical difference. ``None`` as for the other diagram."""
    test = comparison.friedman
    if test is None or comparison.few:
        return None
    k, n = len(comparison.searchers), len(comparison.scores)
    difference = critical_difference(k, n)
    bars = cliques(comparison.nemenyi, list(comparison.mean_ranks))
    caption = joined(
        "Critical-difference diagram after Nemenyi: mean rank over tasks of each method's mean final value, 1 is "
        "best.",
        f"Bars join methods whose mean ranks differ by less than CD = {difference:.3g} (level {ALPHA:g}, {k} "
        "methods, "
        f"{n} tasks). Nemenyi's test knows the other methods: adding one can change whether two differ.",
        _scope(comparison),
        _end(inputs, comparison),
    )
    return Plot(
        title="Mean ranks and which methods differ (Nemenyi)",
        caption=caption,
        alt=f"Critical-difference diagram, CD {difference:.3g}. " + _rank_words(comparison),
        figure=charts.draw_critical_difference(
            comparison.mean_ranks,
            bars,
            "Mean rank over tasks; bars: no difference by Nemenyi",
            looks_of(inputs),
            difference=difference,
        ),
        data=_bar_data(comparison, bars).assign(critical_difference=difference),
    )


def posterior(inputs: Inputs, comparison: Comparison) -> Plot | None:
    """Draw the Bayesian signed-rank test of every method against the one with the best mean rank.

    ``None`` with few tasks, or where the tasks have no common scale to state a region of equivalence in.
    """
    if comparison.few or comparison.differences.scale == "wins":
        return None
    best = comparison.best
    rows = []
    for name in list(comparison.mean_ranks)[1:]:
        if (name, best) in comparison.posteriors:
            own = comparison.posteriors[name, best]
            shares = (own.first, own.rope, own.second)
        else:
            own = comparison.posteriors[best, name]
            shares = (own.second, own.rope, own.first)
        rows.append((name, *shares))
    data = pd.DataFrame(rows, columns=["searcher", "better", "equivalent", "worse"])
    caption = joined(
        f"Bayesian signed-rank test of each method against {best}, which has the best mean rank: posterior "
        "probability "
        f"that it is practically better, equivalent, or worse on a task like these.",
        f"Equivalent: differences of {comparison.differences.words} within ±{ROPE:g}. Prior: one "
        "pseudo-observation of no "
        f"difference with weight 0.5; {POSTERIOR_SAMPLES:,} draws, simulation error at most 0.004.".replace(
            ",000 draws", " 000 draws"
        ),
        _scope(comparison),
        _end(inputs, comparison),
    )
    words = "; ".join(
        f"{row[0]} better {100 * row[1]:.0f} %, equivalent {100 * row[2]:.0f} %, worse {100 * row[3]:.0f} %"
        for row in rows
    )
    return Plot(
        title=f"Probability of being better than {best}",
        caption=caption,
        alt=f"Stacked bars. Against {best}: {words}.",
        figure=charts.draw_shares(
            data, ("better", "equivalent", "worse"), f"against {best}", "posterior probability"
        ),
        data=data,
    )


def improvement_matrix(inputs: Inputs, comparison: Comparison) -> Plot:
    """Draw for every pair the probability that a run of one method is better than one of the other."""
    order = list(comparison.mean_ranks)
    table = comparison.improvement.pivot_table(
        index="first", columns="second", values="probability", aggfunc="first"
    )
    table = table.reindex(index=order, columns=order)
    differ = p_matrix(comparison.pairs).reindex(index=order, columns=order) <= ALPHA
    several = any(len(own.repetitions) > 1 for own in comparison.scores.values())
    caption = joined(
        "Probability of improvement, in per cent: how often a run of the row's method ends better than a run of the "
        "column's on the same task, ties counting half, averaged over tasks; methods by mean rank.",
        "A star marks pairs that differ by Wilcoxon's signed-rank test over tasks with Holm's correction at "
        f"{ALPHA:g}."
        if not comparison.few
        else "",
        "" if comparison.few else _powerless(len(comparison.scores), len(comparison.pairs)),
        f"The CSV has the {_INTERVAL} of each, resampling repetitions inside tasks ({RESAMPLES} resamples)."
        if several
        else "One repetition per task: no interval.",
        _scope(comparison),
        _few(comparison),
        _end(inputs, comparison),
    )
    best = order[0]
    row = dict(zip(order, table.to_numpy(dtype=float)[0], strict=True))
    words = ", ".join(f"{name} {100 * row[name]:.0f} %" for name in order[1:])
    return Plot(
        title="Probability of improvement",
        caption=caption,
        alt=f"Matrix of probabilities. A run of {best} is better than one of: {words}.",
        figure=charts.draw_matrix(
            table,
            "Probability of improvement (%)",
            "this method …",
            "… is better than this one",
            marked=None if comparison.few else differ,
        ),
        data=comparison.improvement,
    )


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
        "anytime "
        "score, the mean regret over the whole budget. Smaller is better.",
        f"The mean is over runs without the best and the worst {TRIMMED:.0%}; whiskers: {_INTERVAL}, resampling "
        f"repetitions inside tasks ({RESAMPLES} resamples); {tasks} tasks, {int(final['runs'].iloc[0])} runs per "
        "method.".replace("%;", " %;").replace(f"{tasks} tasks", plural(tasks, "task")),
        _REGRET,
        _scope(comparison),
        _few(comparison),
        _end(inputs, comparison, _without_references(comparison)),
    )
    figure = charts.draw_forest(
        [
            Panel("interquartile mean", final, title="final regret"),
            Panel("interquartile mean", anytime, title="anytime score"),
        ],
        order,
        "Normalised regret over all runs",
        looks_of(inputs),
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
        "Performance profile: share of runs whose final normalised regret is at most τ, averaged over tasks; "
        "higher is "
        f"better. The axis begins at τ = {PROFILE_FLOOR:g}.",
        f"Bands: {_INTERVAL}s, pointwise, resampling repetitions inside tasks ({RESAMPLES} resamples)."
        if data["low"].notna().any()
        else "One repetition per task: no interval.",
        _REGRET,
        _scope(comparison),
        _few(comparison),
        _end(inputs, comparison, _without_references(comparison)),
    )
    middle = data[data["cost"] <= 0.1].groupby("searcher")["mean"].last()
    return Plot(
        title="Performance profile of final regret",
        caption=caption,
        alt="Step curves. Share of runs with regret at most 0.1: " + captions.by_method(middle, ".2f") + ".",
        figure=charts.draw_lines(
            data,
            "Performance profile",
            "normalised regret τ",
            "share of runs",
            looks_of(inputs),
            share=True,
        ),
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
    for name, curves in means.items():
        grid = union_grid(curves, max(float(curve.costs[0]) for curve in curves))
        estimate = np.stack(mean_interval(np.stack([curve.at(grid) for curve in curves])))
        frames.append(curve_frame("validation", name, Steps(grid, estimate).simplified()))
    data = pd.concat(frames, ignore_index=True)[[c for c in CURVE_COLUMNS if c in frames[0].columns]]
    data = data.drop(columns="measure").assign(tasks=len(used))
    shown = data.assign(**{c: data[c].clip(lower=REGRET_FLOOR) for c in ("mean", "low", "high")})
    lowest, highest = float(shown["mean"].min()), float(shown["mean"].max())
    log = highest / lowest > 5
    cut = bool((data["mean"] < REGRET_FLOOR).any()) and log
    caption = joined(
        "Mean normalised regret of the incumbent over the fraction of each task's budget: mean over repetitions, "
        "then over "
        "tasks, evaluated exactly at the costs drawn; smaller is better.",
        f"Bands: {_INTERVAL}s, resampling tasks ({RESAMPLES} resamples)."
        if len(used) > 1
        else "One task: no interval over tasks.",
        "A line starts where every run of its method has finished something.",
        _REGRET,
        "The regret axis is "
        f"logarithmic{f', values below {REGRET_FLOOR:g} drawn at {REGRET_FLOOR:g}' if cut else ''}."
        if log
        else "",
        _scope(comparison),
        _few(comparison),
        _end(inputs, comparison, _without_references(comparison)),
    )
    final = data.groupby("searcher")["mean"].last()
    return Plot(
        title="Mean normalised regret over the budget",
        caption=caption,
        alt="Step curves. At the end: " + captions.by_method(final, ".3g") + ".",
        figure=charts.draw_lines(
            shown if log else data,
            "Mean normalised regret over tasks",
            "fraction of the budget",
            "mean normalised regret",
            looks_of(inputs),
            log=log,
        ),
        data=data,
    )


def targets_reached(inputs: Inputs, comparison: Comparison, cost: str) -> Plot | None:
    """Draw the ECDF over targets, tasks and runs; ``None`` without references or where nothing was spent."""
    budgets = {budget_of(inputs, task) for task in comparison.scores}
    fraction = not (len(budgets) == 1 and next(iter(budgets))[0] == cost)
    data = target_ecdf(inputs, cost, fraction=fraction)
    if data.empty or not data["cost"].max() > 0:
        return None
    label = COST_LABELS[cost]
    axis = f"fraction of the budget in {label}" if fraction else label
    if fraction and not any(unit == cost for unit, _ in budgets):
        axis = f"fraction of the task's largest cost ({label})"
    tasks = int(data["tasks"].iloc[0])
    caption = joined(
        f"Share of targets reached over {axis}: of all (task, target, run), with {len(TARGETS)} targets per task "
        "from "
        f"{TARGETS[0]:g} to {TARGETS[-1]:g} of normalised regret, evenly spaced in the logarithm, by the validation "
        f"objective; {plural(tasks, 'task')} with equal weight; higher is better.",
        f"Bands: {_INTERVAL}s, pointwise, resampling repetitions inside tasks ({RESAMPLES} resamples)."
        if data["low"].notna().any()
        else "One repetition per task: no interval.",
        _REGRET,
        _scope(comparison).split(";")[0] + ".",
        _few(comparison),
        _end(inputs, comparison, _without_references(comparison)),
    )
    final = data.groupby("searcher")["mean"].last()
    return Plot(
        title=f"Targets reached over {label}",
        caption=caption,
        alt="Step curves. Share reached at the end: " + captions.by_method(final, ".2f") + ".",
        figure=charts.draw_lines(
            data,
            "Targets reached",
            axis.replace(" (", "\n("),
            "share reached",
            looks_of(inputs),
            share=True,
        ),
        data=data,
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
    label = COST_LABELS[cost]
    censored = int(data["censored"].sum())
    caption = joined(
        f"Speed-up over {baseline} in {label}: the median cost of its runs, divided by the cost at which a method "
        "first "
        "reaches the median of its final objective values; right of 1 is faster. A dot is the median over a task's "
        "finished runs, runs that never reach the level being slower than all others; the bar is the median over "
        "tasks.",
        f"Open triangles ({censored} of {len(data)}): half of the runs or more never reached the level, so that the "
        "speed-up is censored, at most the value shown."
        if censored
        else "No median is censored.",
        "No interval: the CSV has the quartiles over runs and how many reached the level.",
        f"{plural(data['task'].nunique(), 'task')}, {_runs_words(data)}.",
        _few(comparison),
        _end(inputs, comparison),
    )
    shown = data.assign(value=data["speed_up"])
    medians = {
        str(name): float(np.median(np.where(own["censored"], -np.inf, own["speed_up"])))
        for name, own in data.groupby("searcher")
    }
    return Plot(
        title=f"Speed-up over random search in {label}",
        caption=caption,
        alt="Dots by task. Median over tasks: "
        + ", ".join(
            f"{name} {medians[name]:.3g}" if np.isfinite(medians[name]) else f"{name} censored"
            for name in order
        )
        + ".",
        figure=charts.draw_dots(
            shown, order, f"Speed-up over {baseline}", f"speed-up in {label}", looks_of(inputs)
        ),
        data=data,
    )


def _runs_words(data: pd.DataFrame) -> str:
    low, high = int(data["runs"].min()), int(data["runs"].max())
    return f"{low if low == high else f'{low} to {high}'} run{'' if low == high == 1 else 's'} per task and method"


def overtuning_over_tasks(inputs: Inputs, comparison: Comparison) -> Plot | None:
    """Draw the mean overtuning over tasks, in regret; ``None`` where no task has a test set and references."""
    rows = overtuning(inputs)
    rows = rows[rows["regret"].notna() & rows["searcher"].isin(comparison.searchers)]
    rows = rows[rows["task"].isin(list(comparison.scores))]
    if rows.empty:
        return None
    means = rows.pivot_table(index="task", columns="searcher", values="regret", aggfunc="mean")
    absent = [
        f"{name} ({plural(int(count), 'task')} without a success)"
        for name, count in means.isna().sum().items()
        if count
    ]
    means = means.dropna(axis=1)
    estimate = mean_interval(means.to_numpy(dtype=float))
    data = pd.DataFrame(
        {
            "searcher": means.columns.astype(str),
            "mean": estimate.mean,
            "low": estimate.low,
            "high": estimate.high,
            "tasks": len(means),
        }
    )
    order = [name for name in comparison.mean_ranks if name in set(data["searcher"])]
    caption = joined(
        "Overtuning: how much worse on the test set the final incumbent is than the best incumbent that the run "
        "ever had, "
        "in units of normalised regret; 0 means that selecting by validation lost nothing. Methods by mean rank.",
        f"Dots: mean over repetitions, then over {plural(len(means), 'task')} with a test set.",
        f"Whiskers: {_INTERVAL}, resampling tasks ({RESAMPLES} resamples)."
        if len(means) > 1
        else "One task: no interval over tasks.",
        _scope(comparison),
        _few(comparison),
        _end(inputs, comparison, absent),
    )
    return Plot(
        title="Overtuning over tasks",
        caption=caption,
        alt="Dots with whiskers. "
        + ", ".join(f"{row.searcher} {row.mean:.2g}" for row in data.itertuples())
        + ".",
        figure=charts.draw_forest(
            [Panel("overtuning (regret)", data, line=0.0)], order, "Overtuning", looks_of(inputs)
        ),
        data=data,
    )


def overtuning_of_task(inputs: Inputs, task: str) -> Plot | None:
    """Draw the mean overtuning of every method on one task; ``None`` without a test set."""
    data = mean_overtuning(inputs)
    data = data[data["task"] == task]
    if data.empty:
        return None
    facts = inputs.facts[task]
    counts = {str(s): int(r) for s, r in zip(data["searcher"], data["repetitions"], strict=True)}
    order = style.ordered(counts)
    caption = joined(
        f"Overtuning on {task}: how much worse on the test set ({facts.metrics['test']}) the final incumbent is "
        "than the "
        "best incumbent that the run ever had, in the metric's own unit; 0 means that selecting by validation lost "
        "nothing.",
        f"Dots: mean over finished repetitions with a success ({captions.repetition_counts(counts)}, 1 task).",
        f"Whiskers: {_INTERVAL}, resampling repetitions ({RESAMPLES} resamples)."
        if max(counts.values()) > 1
        else "One repetition: no interval.",
        captions.SUBSET if facts.subset else "",
    )
    return Plot(
        title=f"Overtuning on {task}",
        caption=caption,
        alt="Dots with whiskers. "
        + ", ".join(f"{row.searcher} {row.mean:.2g}" for row in data.itertuples())
        + ".",
        figure=charts.draw_forest(
            [Panel("overtuning", data, line=0.0)], order, f"Overtuning on {task}", looks_of(inputs)
        ),
        data=data,
    )


def search_time(inputs: Inputs) -> Plot | None:
    """Draw the time of ask and tell over the length of the history; ``None`` where it is 0 throughout."""
    seconds = search_seconds(inputs.tables)
    data = overhead_over_history(seconds)
    if not data["mean"].max() > 0:
        return None
    shares = overhead_shares(seconds).set_index("searcher")["share"]
    floor = float(data.loc[data["mean"] > 0, "mean"].min())
    shown = data.assign(**{c: data[c].clip(lower=floor / 2) for c in ("mean", "low", "high")})
    tasks = int(seconds["task"].nunique())
    caption = joined(
        "Search overhead: seconds that a method takes to propose an evaluation and to be told of it, over the "
        "number of "
        "evaluations asked so far.",
        f"Lines: median over {plural(tasks, 'task')} and all finished repetitions; bands: 10 % to 90 % quantiles, "
        "a spread "
        "and no interval. Both axes are logarithmic; neighbouring counts are pooled where they would overlap.",
        "As measured while the sweep ran, on whatever else the machine did.",
        "Share of search in all seconds: " + captions.by_method(shares.map(_percent)) + ".",
    )
    last = data.groupby("searcher")["mean"].last()
    return Plot(
        title="Time of the search itself",
        caption=caption,
        alt="Step curves. Seconds per evaluation at the end: " + captions.by_method(last, ".2g") + ".",
        figure=charts.draw_lines(
            shown,
            "Search time per evaluation",
            "evaluations asked",
            "seconds of ask and tell",
            looks_of(inputs),
            log=True,
        ),
        data=data.rename(columns={"mean": "median", "low": "quantile_10", "high": "quantile_90"}),
    )


def paired_on_task(inputs: Inputs, comparison: Comparison, task: str) -> Plot | None:
    """Draw every method's mean difference from the control on one task; ``None`` where the task is not compared."""
    if task not in comparison.scores:
        return None
    own = comparison.scores[task]
    data = comparison.within[comparison.within["task"] == task]
    control, count = comparison.control, len(own.repetitions)
    shown = data.rename(columns={"first": "searcher", "difference": "mean"})
    shown = shown.assign(certain=shown["p_holm"] <= ALPHA)
    order = [name for name in style.ordered(own.searchers) if name != control]
    facts = inputs.facts[task]
    unsuccessful = [
        str(row["first"]) for row in data.to_dict("records") if not np.isfinite(row["difference"])
    ]
    caption = joined(
        f"Each method against {control} on {task}: mean over {plural(count, 'repetition')} of the difference in "
        "loss of the "
        f"final incumbents ({own.metric}, negative: better than {control}). Within a repetition all methods train "
        "with "
        "the same seeds, so that the differences are paired.",
        f"Whiskers: {_INTERVAL} of each difference, resampling repetitions ({RESAMPLES} resamples)."
        if count > 1
        else "One repetition: no interval.",
        f"Filled, with a thick line: differs at {ALPHA:g} by Wilcoxon's signed-rank test over repetitions with "
        "Holm's correction over "
        f"{plural(len(data), 'comparison')}; open: not shown to differ.",
        planning(comparison, task),
        f"No mean (a repetition without a success): {listed(unsuccessful)}." if unsuccessful else "",
        "This speaks about this task only.",
        left_out([item for item in comparison.left_out if item.endswith(f" on {task}")]),
        captions.SUBSET if facts.subset else "",
    )
    return Plot(
        title=f"Against {control} on {task}",
        caption=caption,
        alt="Dots with whiskers. "
        + ", ".join(
            f"{row['first']} {row['difference']:.2g} (p {probability(row['p_holm'])})"
            for row in data.to_dict("records")
        )
        + ".",
        figure=charts.draw_forest(
            [Panel(f"difference in loss ({own.metric})", shown, line=0.0)],
            order,
            f"{task}: against {control}",
            looks_of(inputs),
        ),
        data=data,
    )


def planning(comparison: Comparison, task: str) -> str:
    """Return what the repetitions of a task can detect, and how many the observed differences would need, in words."""
    data = comparison.within[comparison.within["task"] == task]
    count, tests = len(comparison.scores[task].repetitions), len(data)
    fewest = fewest_repetitions(comparisons=tests)
    spreads = data["sd"].to_numpy(dtype=float)
    spreads = spreads[np.isfinite(spreads) & (spreads > 0)]
    if count < fewest:
        sentence = (
            f"{plural(count, 'repetition').capitalize()} cannot show a difference at {ALPHA:g} after this "
            "correction, "
            f"however large: at least {fewest} are needed."
        )
    elif spreads.size:
        detectable = data["detectable"].to_numpy(dtype=float)
        middle = float(np.median(detectable[np.isfinite(detectable)]))
        sentence = (
            f"These repetitions detect a true mean difference of {middle:.2g} with a power of {POWER:g} (median "
            "over the "
            "comparisons, for normal differences of the spread observed)."
        )
    else:
        return ""
    if not spreads.size:
        return sentence
    spread = float(np.median(spreads))
    needs = {part: repetitions_needed(part * spread, spread, comparisons=tests) for part in (1.0, 0.5, 0.25)}
    words = ", ".join(f"{part * spread:.2g} needs {number}" for part, number in needs.items())
    return f"{sentence} A difference of {words} repetitions."


def probability(p: float) -> str:
    """Return a p-value as text: two significant digits, or ``< 0.001``."""
    return "< 0.001" if p < 0.001 else f"{p:.2g}"


def _percent(share: float) -> str:
    return "none" if not np.isfinite(share) else f"{100 * share:.2g} %"


def _rank_words(comparison: Comparison) -> str:
    return "Mean ranks: " + ", ".join(f"{n} {r:.2f}" for n, r in comparison.mean_ranks.items()) + "."


def _bar_data(comparison: Comparison, bars: Sequence[Sequence[str]]) -> pd.DataFrame:
    """Return mean ranks with the numbers of the bars that each method is a member of."""
    ranks: Mapping[str, float] = comparison.mean_ranks
    return pd.DataFrame(
        {
            "searcher": list(ranks),
            "mean_rank": list(ranks.values()),
            "bars": [" ".join(str(i + 1) for i, bar in enumerate(bars) if name in bar) for name in ranks],
            "tasks": len(comparison.scores),
        }
    )


def few_tasks(comparison: Comparison) -> str:
    """Return the sentence that a report with few tasks leads with; empty with enough of them."""
    if not comparison.few:
        return ""
    return (
        f"With {plural(len(comparison.scores), 'task')}, fewer than {FEW_BLOCKS}, tests over tasks are powerless: no "
        "statement about tasks in general is made. Methods are compared over repetitions within each task, which "
        "speaks about these tasks only."
    )
