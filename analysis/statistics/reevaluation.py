"""How much of a winner's value was luck: what the same configuration gives with training seeds that nobody chose by."""

from __future__ import annotations

import numpy as np
import pandas as pd

from analysis.statistics.bootstrap import Estimate, mean_interval
from analysis.statistics.inputs import Inputs
from analysis.statistics.steps import KEY
from results.reevaluations import MISSING


def reevaluation(inputs: Inputs) -> pd.DataFrame:
    """Return what each run's final incumbent was selected for, and what it gave with fresh training seeds.

    The best of many noisy values is best by luck, too, so that it overstates its configuration; values with fresh seeds
    do not (regression to the mean). A failed re-evaluation has no value: it is counted and left out of the means, which
    are therefore of a configuration that trains.

    Returns:
        One row per finished run with a winner, where the sweep re-evaluates: ``task``, ``searcher``, ``repetition``,
        ``selected`` (validation value in the search), ``again`` (mean over the seeds that succeeded; NaN without one),
        ``luck`` (by how much the former is better, in the metric's unit: above 0 where it was flattering),
        ``regret`` (the same in units of normalised regret, NaN where the task declares no references),
        ``selected_test`` and ``again_test`` (of the test companion, NaN where there is none), ``seeds`` (that
        succeeded), ``failed`` and ``missing``.

    Source: S. E. Stigler, "Regression towards the mean, historically considered", Statistical Methods in Medical
    Research 6 (1997); fresh seeds as X. Bouthillier et al., "Accounting for variance in machine learning
    benchmarks", MLSys 2021, have them.
    """
    rows = inputs.tables.reevaluations
    rows = rows[rows["task"].isin(list(inputs.facts))]
    ok, missing = rows["status"] == "ok", rows["status"] == MISSING
    counted = rows.assign(seeds=ok, missing=missing, failed=~ok & ~missing)
    runs = counted.groupby(KEY, sort=True).agg(
        selected=("incumbent_value", "first"),
        again=("value", "mean"),  # which leaves NaN out: what failed or is missing
        selected_test=("incumbent_test", "first"),
        again_test=("test", "mean"),
        seeds=("seeds", "sum"),
        failed=("failed", "sum"),
        missing=("missing", "sum"),
    )
    runs = runs.reset_index()
    sign = runs["task"].map({task: facts.sign for task, facts in inputs.facts.items()}).to_numpy(dtype=float)
    luck = sign * (runs["again"] - runs["selected"])
    spans = {
        task: abs(facts.references.reference - facts.references.best) if facts.references else np.nan
        for task, facts in inputs.facts.items()
    }
    span = runs["task"].map(spans).to_numpy(dtype=float)
    columns = [
        "selected",
        "again",
        "luck",
        "regret",
        "selected_test",
        "again_test",
        "seeds",
        "failed",
        "missing",
    ]
    return runs.assign(luck=luck, regret=luck / span)[[*KEY, *columns]]


def mean_reevaluation(inputs: Inputs) -> pd.DataFrame:
    """Return the means of every (task, method) over its runs, each with an interval that resamples repetitions.

    Returns:
        Columns ``task``, ``searcher``; ``selected``, ``again`` and ``luck``, each with ``…_low`` and ``…_high``, NaN
        where there are too few runs for an interval; ``repetitions`` (runs with a successful re-evaluation, over which
        all three are taken), ``lost`` (runs without one), ``seeds``, ``failed`` and ``missing`` (re-evaluations).
    """
    rows = []
    for (task, searcher), own in reevaluation(inputs).groupby(["task", "searcher"], sort=True):
        used = own[own["seeds"] > 0]
        row = {"task": task, "searcher": searcher}
        for name in ("selected", "again", "luck"):
            values = used[name].to_numpy(dtype=float)
            parts = mean_interval(values) if values.size else Estimate(*np.full((3, 1), np.nan))
            row |= {
                f"{name}{end}": part.item() for end, part in zip(("", "_low", "_high"), parts, strict=True)
            }
        row |= {"repetitions": len(used), "lost": len(own) - len(used)}
        rows.append(row | {name: int(own[name].sum()) for name in ("seeds", "failed", "missing")})
    ends = [f"{name}{end}" for name in ("selected", "again", "luck") for end in ("", "_low", "_high")]
    columns = ["task", "searcher", *ends, "repetitions", "lost", "seeds", "failed", "missing"]
    return pd.DataFrame(rows, columns=columns)
