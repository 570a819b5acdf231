"""Who differs: critical-difference diagrams, posterior, probability of improvement, comparisons within a task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from analysis import style, words
from analysis.figures import charts
from analysis.figures.canvas import Plot, looks_of
from analysis.figures.charts import Panel
from analysis.figures.critical import draw_critical_difference
from analysis.sample_sizes import planning
from analysis.statistics.bayesian import POSTERIOR_SAMPLES, PRIOR_STRENGTH
from analysis.statistics.bootstrap import FEWEST_UNITS, RESAMPLES
from analysis.statistics.comparison import Comparison
from analysis.statistics.curves import shown_singly
from analysis.statistics.inputs import Inputs
from analysis.statistics.ranks import SIGNIFICANT_DIGITS
from analysis.statistics.scores import TaskScores
from analysis.statistics.significance import (
    ALPHA,
    cliques,
    critical_difference,
    p_matrix,
)
from analysis.statistics.standing import ROPE, Standing
from analysis.wording import wording
from analysis.words import joined, left_out, listed, p_value
from harness.plurals import plural


def critical_difference_wilcoxon(
    inputs: Inputs, comparison: Comparison, *, anytime: bool = False
) -> Plot | None:
    """Draw mean ranks with bars over the methods that Wilcoxon's tests with Holm's correction do not tell apart.

    By final values, or by anytime scores. ``None`` with fewer than 3 methods, with so few tasks that no test over tasks
    can find anything, or without such scores.
    """
    standing = comparison.anytime if anytime else comparison.final
    test = standing.friedman if standing is not None else None
    if standing is None or test is None or standing.few:
        return None
    values = "anytime scores (mean regret over the budget)" if anytime else "final values"
    said = wording(paired=comparison.paired)
    bars = cliques(p_matrix(standing.pairs), list(standing.mean_ranks))
    shown, crowded = _shown_bars(bars, standing)
    verdict = "differ" if test.f_p <= ALPHA else "cannot be told apart"
    caption = joined(
        f"Critical-difference diagram: mean rank of each method's {values} {said.ranked}; 1 is best.",
        f"Bars join maximal sets of methods of which no two differ at {ALPHA:g} by pairwise Wilcoxon signed-rank "
        f"tests over tasks with Holm's correction over {plural(len(standing.pairs), 'pair')}.",
        crowded,
        words.untested(standing.pairs),
        f"Over all, the methods {verdict} (Iman–Davenport, {p_value(test.f_p)}).",
        words.extent(comparison) + ".",
        words.end(inputs, comparison, words.without_references(comparison) if anytime else ()),
    )
    details = joined(
        f"Tests are on each task's {said.won}.",
        "A dot marks a member of a bar, and a bar is dashed where it passes a method that is not one.",
        f"Friedman: χ² = {test.chi2:.2f}, {p_value(test.chi2_p)}; Iman–Davenport: "
        f"F({test.f_df[0]}, {test.f_df[1]}) = {test.f:.2f}, {p_value(test.f_p)}.",
        f"Values equal after rounding to {SIGNIFICANT_DIGITS} significant digits share their rank.",
        "" if anytime else words.scope(comparison),
    )
    return Plot(
        title=f"Mean ranks {'of anytime scores ' if anytime else ''}and which methods differ (Wilcoxon–Holm)",
        caption=caption,
        details=details,
        alt="Critical-difference diagram. "
        + _rank_words(standing.mean_ranks)
        + " Not told apart: "
        + ("; ".join(listed(list(bar)) for bar in bars) or "none")
        + ".",
        figure=draw_critical_difference(
            standing.mean_ranks,
            shown,
            f"Mean rank {'of anytime scores ' if anytime else ''}over tasks; bars: no difference by Wilcoxon–Holm",
            looks_of(inputs.tables),
        ),
        data=_bar_data(standing, bars),
    )


def critical_difference_nemenyi(inputs: Inputs, comparison: Comparison) -> Plot | None:
    """Draw the classical companion: Nemenyi's critical difference. ``None`` as for the other diagram."""
    standing = comparison.final
    if standing.friedman is None or comparison.few:
        return None
    k, n = len(comparison.searchers), len(comparison.scores)
    difference = critical_difference(k, n)
    bars = cliques(standing.nemenyi, list(standing.mean_ranks))
    shown, crowded = _shown_bars(bars, standing)
    caption = joined(
        "Critical-difference diagram after Nemenyi: mean rank of each method's final values "
        f"{wording(paired=comparison.paired).ranked}; 1 is best.",
        f"Bars join methods whose mean ranks differ by less than CD = {difference:.3g} (level {ALPHA:g}, {k} methods, "
        f"{plural(n, 'task')}).",
        crowded,
        words.extent(comparison) + ".",
        words.end(inputs, comparison),
    )
    return Plot(
        title="Mean ranks and which methods differ (Nemenyi)",
        caption=caption,
        details=joined(
            "The critical difference is that of one rank per task: means over repetitions vary less, so that it errs "
            "on the safe side. Nemenyi's test knows the other methods: adding one can change whether two differ.",
            words.scope(comparison),
        ),
        alt=f"Critical-difference diagram, CD {difference:.3g}. " + _rank_words(standing.mean_ranks),
        figure=draw_critical_difference(
            standing.mean_ranks,
            shown,
            "Mean rank over tasks; bars: no difference by Nemenyi",
            looks_of(inputs.tables),
            difference=difference,
        ),
        data=_bar_data(standing, bars).assign(critical_difference=difference),
    )


def posterior(inputs: Inputs, comparison: Comparison) -> Plot | None:
    """Draw the Bayesian signed-rank test of every method against the leader; ``None`` with few tasks.

    Where several lead, against what methods are compared with inside tasks.
    """
    if comparison.few:
        return None
    reference, said = comparison.reference, wording(paired=comparison.paired)
    rows = []
    for name in comparison.mean_ranks:
        if (name, reference) in comparison.final.posteriors:
            own = comparison.final.posteriors[name, reference]
            rows.append((name, own.first, own.rope, own.second))
        elif (reference, name) in comparison.final.posteriors:
            own = comparison.final.posteriors[reference, name]
            rows.append((name, own.second, own.rope, own.first))
    data = pd.DataFrame(rows, columns=["searcher", "better", "equivalent", "worse"])
    caption = joined(
        f"Bayesian signed-rank test of each method against {reference}: posterior probability that it is practically "
        "better, equivalent, or worse on a task like these.",
        f"Equivalent: better in {50 - 50 * ROPE:.0f} to {50 + 50 * ROPE:.0f} % of a task's {said.unit}; simulation "
        "error at most 0.004.",
        words.extent(comparison) + ".",
        words.end(inputs, comparison),
    )
    chances = "; ".join(
        f"{row[0]} better {100 * row[1]:.0f} %, equivalent {100 * row[2]:.0f} %, worse {100 * row[3]:.0f} %"
        for row in rows
    )
    return Plot(
        title=f"Probability of being better than {reference}",
        caption=caption,
        details=joined(
            f"It rests on each task's {said.won}, with a region of equivalence of ±{ROPE:g}. Prior: one "
            f"pseudo-observation of no difference with weight {PRIOR_STRENGTH:g}; "
            f"{words.grouped(POSTERIOR_SAMPLES)} draws.",
            words.scope(comparison),
        ),
        alt=f"Stacked bars. Against {reference}: {chances}.",
        figure=charts.draw_shares(
            data, ("better", "equivalent", "worse"), f"against {reference}", "posterior probability"
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
    differ = p_matrix(comparison.final.pairs).reindex(index=order, columns=order) <= ALPHA
    caption = joined(
        "Probability of improvement, in per cent: how often a run of the row's method ends better than a run of the "
        "column's on the same task, ties counting half, averaged over tasks; methods by mean rank.",
        f"{'A star' if charts.is_full(len(order)) else 'A dot'} marks pairs that differ by Wilcoxon's signed-rank "
        f"test over tasks with Holm's correction at {ALPHA:g}."
        if not comparison.few
        else "",
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
    data = comparison.within[comparison.within["task"] == task]
    if data.empty:
        return None
    own = comparison.every[task]
    control, tests = comparison.control, int(data["comparisons"].iloc[0])
    counts = [int(n) for n in data["repetitions"]]
    common = words.span(counts, "repetition")
    shown = data.rename(columns={"first": "searcher", "difference": "mean"})
    shown = shown.assign(certain=shown["p_holm"] <= ALPHA)
    order = [name for name in style.ordered(own.searchers) if name != control]
    facts, said = inputs.facts[task], wording(paired=comparison.paired)
    units = _single_differences(own, control) if comparison.paired else None
    unsuccessful = [
        str(row["first"]) for row in data.to_dict("records") if not np.isfinite(row["difference"])
    ]
    caption = joined(
        f"Each method against {control} on {task}: mean over {common} of the difference in loss of the final "
        f"incumbents ({own.metric}, negative: better than {control}).",
        words.uncertainty(
            counts, "repetition", marks="Whiskers", singly="Small dots" if comparison.paired else ""
        ),
        f"Filled, with a thick line: differs at {ALPHA:g} by {said.test} over {said.over} with Holm's "
        f"correction over {plural(tests, 'comparison')}, those of all tasks; open: not shown to differ."
        if data["possible"].any()
        else "",
        f"No mean (a repetition without a success): {listed(unsuccessful)}." if unsuccessful else "",
        "This speaks about this task only.",
        left_out([item for item in comparison.left_out if item.endswith(f" on {task}")]),
        words.caveats(inputs.tables, facts),
    )
    return Plot(
        title=f"Against {control} on {task}",
        caption=caption,
        details=joined(
            said.why,
            planning(comparison, task),
        ),
        alt="Dots with whiskers. "
        + ", ".join(
            f"{row['first']} {row['difference']:.2g} ({p_value(row['p_holm'])})"
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
    against = own.losses[:, own.searchers.index(control)]
    rows = []
    for index, name in enumerate(own.searchers):
        apart = own.losses[:, index] - against
        if name != control and shown_singly(int((~np.isnan(apart)).sum())):
            pairs = zip(own.repetitions, apart.tolist(), strict=True)
            rows += [
                (name, f"repetition {repetition}", value) for repetition, value in pairs if np.isfinite(value)
            ]
    return pd.DataFrame(rows, columns=["searcher", "unit", "value"]) if rows else None


def _rank_words(ranks: Mapping[str, float]) -> str:
    return f"Mean ranks: {words.ranks_of(ranks)}."


MOST_BARS = 12
"""Bars that a diagram can show apart."""


def _shown_bars(bars: Sequence[Sequence[str]], standing: Standing) -> tuple[Sequence[Sequence[str]], str]:
    """Return the bars that are drawn, and the sentence that says which are not; empty where all are."""
    if len(bars) <= MOST_BARS:
        return bars, ""
    first = next(iter(standing.mean_ranks))
    beside = {name for bar in bars if first in bar for name in bar}
    return [[name for name in standing.mean_ranks if name in beside]], (
        f"Of {len(bars)} bars, which could not be told apart, the diagram draws one line instead: the methods that are "
        f"not shown to differ from {first}; some of these differ from each other. {style.numbers()} have every bar."
    )


def _bar_data(standing: Standing, bars: Sequence[Sequence[str]]) -> pd.DataFrame:
    """Return mean ranks with the numbers of the bars that each method is a member of."""
    ranks = standing.mean_ranks
    return pd.DataFrame(
        {
            "searcher": list(ranks),
            "mean_rank": list(ranks.values()),
            "bars": [" ".join(str(i + 1) for i, bar in enumerate(bars) if name in bar) for name in ranks],
            "tasks": len(standing.ranks),
        }
    )
