"""Who differs: critical-difference diagrams, posterior, probability of improvement, comparisons within a task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from analysis import style, words
from analysis.figures import charts
from analysis.figures.canvas import Plot, looks_of
from analysis.figures.charts import Panel
from analysis.statistics.bootstrap import FEWEST_UNITS, RESAMPLES
from analysis.statistics.comparison import ROPE, Comparison
from analysis.statistics.curves import shown_singly
from analysis.statistics.inputs import Inputs
from analysis.statistics.ranks import SIGNIFICANT_DIGITS
from analysis.statistics.scores import TaskScores
from analysis.statistics.significance import ALPHA, POSTERIOR_SAMPLES, cliques, critical_difference, p_matrix
from analysis.words import joined, left_out, listed, plural


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
        f"tests over tasks with Holm's correction over {len(comparison.pairs)} pairs.",
        words.powerless(len(comparison.scores), len(comparison.pairs)),
        f"Over all, the methods {verdict} (Iman–Davenport, p = {words.probability(test.f_p)}).",
        words.extent(comparison) + ".",
        words.end(inputs, comparison),
    )
    details = joined(
        f"Tests are on differences of {comparison.differences.words}.",
        "A dot marks a member of a bar, and a bar is dashed where it passes a method that is not one.",
        f"Friedman: χ² = {test.chi2:.2f}, p = {words.probability(test.chi2_p)}; Iman–Davenport: "
        f"F({test.f_df[0]}, {test.f_df[1]}) = {test.f:.2f}, p = {words.probability(test.f_p)}.",
        f"Values equal after rounding to {SIGNIFICANT_DIGITS} significant digits share their rank.",
        words.scope(comparison),
    )
    return Plot(
        title="Mean ranks and which methods differ (Wilcoxon–Holm)",
        caption=caption,
        details=details,
        alt="Critical-difference diagram. "
        + _rank_words(comparison)
        + " Not told apart: "
        + ("; ".join(listed(list(bar)) for bar in bars) or "none")
        + ".",
        figure=charts.draw_critical_difference(
            comparison.mean_ranks,
            bars,
            "Mean rank over tasks; bars: no difference by Wilcoxon–Holm",
            looks_of(inputs.tables),
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
        f"Bars join methods whose mean ranks differ by less than CD = {difference:.3g} (level {ALPHA:g}, {k} methods, "
        f"{n} tasks).",
        words.extent(comparison) + ".",
        words.end(inputs, comparison),
    )
    return Plot(
        title="Mean ranks and which methods differ (Nemenyi)",
        caption=caption,
        details=joined(
            "Nemenyi's test knows the other methods: adding one can change whether two differ.",
            words.scope(comparison),
        ),
        alt=f"Critical-difference diagram, CD {difference:.3g}. " + _rank_words(comparison),
        figure=charts.draw_critical_difference(
            comparison.mean_ranks,
            bars,
            "Mean rank over tasks; bars: no difference by Nemenyi",
            looks_of(inputs.tables),
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
        "probability that it is practically better, equivalent, or worse on a task like these.",
        f"Equivalent: differences of {comparison.differences.words} within ±{ROPE:g}; simulation error at most 0.004.",
        words.extent(comparison) + ".",
        words.end(inputs, comparison),
    )
    chances = "; ".join(
        f"{row[0]} better {100 * row[1]:.0f} %, equivalent {100 * row[2]:.0f} %, worse {100 * row[3]:.0f} %"
        for row in rows
    )
    return Plot(
        title=f"Probability of being better than {best}",
        caption=caption,
        details=joined(
            "Prior: one pseudo-observation of no difference with weight 0.5; "
            f"{words.grouped(POSTERIOR_SAMPLES)} draws.",
            words.scope(comparison),
        ),
        alt=f"Stacked bars. Against {best}: {chances}.",
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
    caption = joined(
        "Probability of improvement, in per cent: how often a run of the row's method ends better than a run of the "
        "column's on the same task, ties counting half, averaged over tasks; methods by mean rank.",
        f"{'A star' if len(order) <= charts.FULL_CELLS else 'A dot'} marks pairs that differ by Wilcoxon's signed-rank "
        f"test over tasks with Holm's correction at {ALPHA:g}."
        if not comparison.few
        else "",
        "" if comparison.few else words.powerless(len(comparison.scores), len(comparison.pairs)),
        words.extent(comparison) + ".",
        words.few(comparison),
        words.end(inputs, comparison),
    )
    details = joined(
        f"The CSV has the {words.INTERVAL} of each, resampling repetitions inside tasks ({RESAMPLES} resamples)."
        if comparison.improvement["low"].notna().any()
        else f"Fewer than {FEWEST_UNITS} repetitions per task: no interval.",
        words.scope(comparison),
    )
    best = order[0]
    row = dict(zip(order, table.to_numpy(dtype=float)[0], strict=True))
    chances = ", ".join(f"{name} {100 * row[name]:.0f} %" for name in order[1:])
    return Plot(
        title="Probability of improvement",
        caption=caption,
        details=details,
        alt=f"Matrix of probabilities. A run of {best} is better than one of: {chances}.",
        figure=charts.draw_matrix(
            table,
            "Probability of improvement (%)",
            "this method …",
            "… is better than this one",
            marked=None if comparison.few else differ,
        ),
        data=comparison.improvement,
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
    units = _single_differences(own, control)
    unsuccessful = [
        str(row["first"]) for row in data.to_dict("records") if not np.isfinite(row["difference"])
    ]
    caption = joined(
        f"Each method against {control} on {task}: mean over {plural(count, 'repetition')} of the difference in loss "
        f"of the final incumbents ({own.metric}, negative: better than {control}).",
        words.uncertainty([count], "repetition", marks="Whiskers", singly="Small dots"),
        f"Filled, with a thick line: differs at {ALPHA:g} by Wilcoxon's signed-rank test over repetitions with Holm's "
        f"correction over {plural(len(data), 'comparison')}; open: not shown to differ.",
        f"No mean (a repetition without a success): {listed(unsuccessful)}." if unsuccessful else "",
        "This speaks about this task only.",
        left_out([item for item in comparison.left_out if item.endswith(f" on {task}")]),
        words.caveats(inputs.tables, facts),
    )
    return Plot(
        title=f"Against {control} on {task}",
        caption=caption,
        details=joined(
            "Within a repetition all methods train with the same seeds, so that the differences are paired.",
            words.planning(comparison, task),
        ),
        alt="Dots with whiskers. "
        + ", ".join(
            f"{row['first']} {row['difference']:.2g} (p {words.probability(row['p_holm'])})"
            for row in data.to_dict("records")
        )
        + ".",
        figure=charts.draw_forest(
            [Panel(f"difference in loss ({own.metric})", shown, line=0.0, units=units)],
            order,
            f"{task}: against {control}",
            looks_of(inputs.tables),
        ),
        data=data,
        units=units,
    )


def _single_differences(own: TaskScores, control: str) -> pd.DataFrame | None:
    """Return the differences from the control in single repetitions, where they are too few for an interval."""
    if not shown_singly(len(own.repetitions)):
        return None
    against = own.losses[:, own.searchers.index(control)]
    rows = [
        (name, f"repetition {repetition}", loss - base)
        for index, name in enumerate(own.searchers)
        for repetition, loss, base in zip(own.repetitions, own.losses[:, index], against, strict=True)
        if name != control and np.isfinite(loss) and np.isfinite(base)
    ]
    return pd.DataFrame(rows, columns=["searcher", "unit", "value"])


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
