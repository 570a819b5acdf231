"""The statistics of recorded results, one function and one DataFrame each.

Each takes what `derby.read` returned; ``task`` is a task's label, ``over`` a cost as in `derby.figures`. Methods are in
the column ``searcher``, by their labels. Ranks and tests are among the methods that the tables hold: see
`derby.select`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from analysis.notebook import analysed
from analysis.statistics import (
    baselines,
    comparison,
    completeness,
    curves,
    overhead,
    overtuning,
    paired,
    parameters,
    ranks,
    reevaluation,
    significance,
    targets,
)
from analysis.statistics import quality as _quality

if TYPE_CHECKING:
    from analysis.statistics.tasks import Measure
    from results.tables import SweepTables


def ranking(tables: SweepTables) -> pd.DataFrame:
    """Return the final ranking, best first: mean ranks with intervals, scores, and tests against the leader.

    Columns as of `analysis.statistics.comparison.ranking`.
    """
    return comparison.ranking(analysed(tables).comparison)


def final_values(tables: SweepTables) -> pd.DataFrame:
    """Return the final value of every study: one row per task, method and repetition."""
    return analysed(tables).inputs.finals.reset_index(drop=True)


def final_results(tables: SweepTables) -> pd.DataFrame:
    """Return mean final values, with standard deviations and 95 % intervals, of every task and method."""
    return curves.final_results(tables, analysed(tables).inputs.best)


def convergence(
    tables: SweepTables, task: str | None = None, *, over: str | None = None, measure: Measure = "validation"
) -> pd.DataFrame:
    """Return the mean best value so far of every method on a task; ``mean`` holds from ``cost`` to the next row's."""
    own = analysed(tables)
    return curves.mean_curves(own.inputs.best, own.task(task), own.cost(over), measure)


def rank_over_budget(
    tables: SweepTables, task: str | None = None, *, over: str | None = None, measure: Measure = "validation"
) -> pd.DataFrame:
    """Return the mean rank of every method on a task over a cost; empty where it cannot be ranked."""
    own = analysed(tables)
    label = own.task(task)
    found = ranks.task_ranks(
        own.inputs.best,
        own.inputs.facts[label],
        ranks.complete_blocks(tables, label),
        own.cost(over),
        measure,
    )
    return pd.DataFrame() if found is None else ranks.mean_ranks(found, measure)


def differences(tables: SweepTables) -> pd.DataFrame:
    """Return Wilcoxon's signed-rank tests over tasks of every pair, with Holm's correction over all pairs."""
    return analysed(tables).comparison.final.pairs


def friedman(tables: SweepTables) -> significance.Friedman | None:
    """Return Friedman's test over all methods, with Iman and Davenport's; ``None`` with too few methods or tasks."""
    return analysed(tables).comparison.final.friedman


def posterior(tables: SweepTables) -> pd.DataFrame:
    """Return the Bayesian signed-rank test of every pair: ``first_better``, ``equivalent``, ``second_better``."""
    found = analysed(tables).comparison.final.posteriors
    rows = [(*pair, own.first, own.rope, own.second) for pair, own in found.items()]
    return pd.DataFrame(rows, columns=["first", "second", "first_better", "equivalent", "second_better"])


def improvement(tables: SweepTables) -> pd.DataFrame:
    """Return for every ordered pair how probably a run of the first is better than one of the second."""
    return analysed(tables).comparison.improvement


def within_tasks(tables: SweepTables) -> pd.DataFrame:
    """Return each method against the control over the repetitions of each task, with Holm's correction over all rows.

    ``detectable`` is the true mean difference that these repetitions find with a power of 0.8.
    """
    return analysed(tables).comparison.within


def repetitions_needed(
    tables: SweepTables, difference: float, *, power: float = paired.POWER
) -> pd.DataFrame:
    """Plan a sweep's size: how many repetitions would find a mean difference on each task.

    Args:
        tables: A first sweep, whose spread is taken.
        difference: The true mean difference to be found, in the metric's unit.
        power: With this probability.

    Returns:
        ``task``, ``first``, ``second`` (the control), ``sd`` of their differences, ``repetitions`` needed (missing
        above 100 000, and where nothing varies).
    """
    rows = analysed(tables).comparison.within
    needed = [
        paired.repetitions_needed(difference, float(sd), power=power, comparisons=int(tests))
        if sd > 0
        else None
        for sd, tests in zip(rows["sd"], rows["comparisons"], strict=True)
    ]
    found = rows[["task", "first", "second", "sd"]].reset_index(drop=True)
    return found.assign(repetitions=pd.array(needed, dtype="Int64"))


def tasks_needed(tables: SweepTables) -> int:
    """Return the number of tasks from which on tests of all pairs over tasks could show a difference."""
    return analysed(tables).comparison.final.needed


def running_times(tables: SweepTables, *, over: str | None = None) -> pd.DataFrame:
    """Return expected running times to targets of regret; empty where no task declares references."""
    own = analysed(tables)
    return targets.running_times(own.inputs, own.cost(over))


def speed_up(tables: SweepTables, *, over: str | None = None) -> pd.DataFrame:
    """Return how much sooner than random search each method gets to where that ends; empty without random search."""
    own = analysed(tables)
    baseline = own.comparison.baseline
    return pd.DataFrame() if baseline is None else targets.speed_up(own.inputs, own.cost(over), baseline)


def quality(tables: SweepTables, task: str | None = None) -> pd.DataFrame:
    """Return final quality and seconds of every method, on a task or over all, and who is on the Pareto front."""
    own = analysed(tables)
    if task is None:
        return _quality.quality_over_tasks(own.inputs, own.comparison).means
    return _quality.quality_on_task(own.inputs, own.task(task)).means


def overtuned(tables: SweepTables) -> pd.DataFrame:
    """Return overtuning by task and method: how much selecting by validation lost on the test set."""
    return overtuning.mean_overtuning(analysed(tables).inputs)


def baseline_values(tables: SweepTables) -> pd.DataFrame:
    """Return what every baseline came to, by task and repetition (-1: known); empty where the sweep has none."""
    return baselines.baseline_values(tables)


def worth(tables: SweepTables) -> pd.DataFrame:
    """Return how many times its budget random search needs to be as good as each method, by task and over all.

    Columns as of `analysis.statistics.baselines.worth`; empty unless ``random_2x`` or the like is among the baselines.
    """
    return baselines.worth(analysed(tables).inputs)


def reevaluated(tables: SweepTables) -> pd.DataFrame:
    """Return the winners' values in the search and with fresh seeds, by task and method."""
    return reevaluation.mean_reevaluation(analysed(tables).inputs)


def search_time(tables: SweepTables) -> pd.DataFrame:
    """Return the seconds of search and its share of all, by method."""
    return overhead.overhead_shares(overhead.search_seconds(tables))


def importance(tables: SweepTables, task: str | None = None) -> pd.DataFrame:
    """Return the importance of a task's parameters (PED-ANOVA by Optuna); empty with too few evaluations."""
    found = parameters.importance(tables, analysed(tables).task(task))
    return pd.DataFrame() if found is None else found


def sensitivity(tables: SweepTables) -> pd.DataFrame:
    """Return mean ranks under other rules: by mean values, without failures, at parts of the budget."""
    own = analysed(tables)
    return comparison.sensitivity(own.inputs, own.comparison)


def completeness_of(tables: SweepTables) -> pd.DataFrame:
    """Return finished of planned repetitions, by task and method."""
    return completeness.completeness(tables)


def failures(tables: SweepTables) -> pd.DataFrame:
    """Return how evaluations ended, by task and method."""
    return completeness.failures(tables)
