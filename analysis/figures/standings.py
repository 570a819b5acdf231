"""Who leads, and how sure that is, in one column: the mean rank of every method with its interval."""

from __future__ import annotations

from analysis import words
from analysis.figures.canvas import Plot, looks_of
from analysis.figures.charts import Panel, draw_forest
from analysis.statistics.comparison import Comparison, ranking
from analysis.statistics.inputs import Inputs
from analysis.statistics.significance import ALPHA
from analysis.wording import wording
from analysis.words import joined, listed, mean_rank
from harness.plurals import plural


def mean_ranks(inputs: Inputs, comparison: Comparison) -> Plot:
    """Draw the mean rank of every ranked method over tasks, best first; open: not shown to differ from the best.

    Legible with as many methods as a page has lines, where bars of a critical-difference diagram and lines over the
    budget are not.
    """
    table = ranking(comparison)
    names = [str(name) for name in table["searcher"]]
    data = table.rename(columns={"rank": "mean", "rank_low": "low", "rank_high": "high"})
    leaders = comparison.leaders
    alone = len(leaders) == 1 and not comparison.few
    apart = data["leads"] | (data["p_holm"] <= ALPHA)
    data = data.assign(certain=apart if alone else True)
    random = _random(inputs, names)
    standing, ranks = comparison.final, comparison.final.mean_ranks
    caption = joined(
        f"Mean rank of each method's final values {wording(paired=comparison.paired).ranked}; 1 is best.",
        words.uncertainty([len(standing.ranks)], "task", marks="Whiskers", singly=""),
        f"Filled: {leaders[0]}, which leads, and methods shown to differ from it at {ALPHA:g} by Wilcoxon signed-rank "
        f"tests over tasks with Holm's correction over {plural(len(standing.pairs), 'pair')}; open: not shown to "
        "differ from it, which does not make them equal."
        if alone
        else "",
        f"Vertical line: {random}." if random else "",
        words.extent(comparison) + ".",
        words.few(comparison),
        words.end(inputs, comparison),
    )
    figure = draw_forest(
        [Panel("mean rank", data, line=ranks[random] if random else None)],
        names,
        f"Mean rank over {plural(len(standing.ranks), 'task')}",
        looks_of(inputs.tables),
    )
    return Plot(
        title="Mean ranks and their intervals",
        caption=caption,
        details=joined(
            "Whiskers say how far a mean rank depends on which tasks there are; whether two methods differ is what "
            "the test of the pair says, not whether their whiskers overlap.",
            words.scope(comparison),
        ),
        alt=f"Dots with whiskers, the lowest mean rank first: {listed([f'{n} {mean_rank(ranks[n])}' for n in names])}.",
        figure=figure,
        data=data[["searcher", "mean", "low", "high", "p_holm", "tasks"]],
    )


def _random(inputs: Inputs, names: list[str]) -> str:
    """Return the label of random search among some methods, empty where it is not."""
    studies = inputs.tables.studies
    found = {str(name) for name in studies.loc[studies["method"] == "random", "searcher"]}
    return next((name for name in sorted(found) if name in names), "")
