"""The comparison that a sweep was made for: its pairs, at each part of the budget that it names, corrected together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pandas as pd

from analysis.statistics.bootstrap import Floats
from analysis.statistics.comparison import Comparison
from analysis.statistics.inputs import Inputs
from analysis.statistics.paired import compare_within_tasks
from analysis.statistics.scores import losses_at
from analysis.statistics.significance import holm, smallest_p
from harness.plan import Compare


def planned_over_tasks(inputs: Inputs, comparison: Comparison, stated: Compare) -> pd.DataFrame:
    """Test the planned pairs over tasks, each pair over every task that both finished.

    Returns:
        As `analysis.statistics.significance.wilcoxon_of_differences`, and ``at``: the part of the budget. Holm's
        correction, and ``possible``, are over all pairs at all parts. A pair without a common task has no row; none has
        one where the measure is ``anytime`` and no task declares references.
    """
    tables = []
    for at in stated.at:
        standing = comparison.pairwise(_losses(inputs, comparison, stated, at))
        known = [pair for pair in stated.pairs if set(pair) <= set(standing.searchers)]
        tables.append(standing.tested(known, stated.level).assign(at=at))
    rows = pd.concat(tables, ignore_index=True)
    possible = [smallest_p(blocks) * len(rows) <= stated.level for blocks in rows["blocks"]]
    return rows.assign(p_holm=holm(rows["p"].to_numpy(dtype=float)), possible=np.array(possible, dtype=bool))


def planned_within(inputs: Inputs, comparison: Comparison, stated: Compare) -> pd.DataFrame:
    """Compare the planned pairs over the repetitions of each task, with Holm's correction over all rows.

    Returns:
        As `analysis.statistics.paired.compare_within_tasks`, and ``at``: the part of the budget.
    """
    parts = [
        (at, replace(comparison.every[task], losses=losses))
        for at in stated.at
        for task, losses in _losses(inputs, comparison, stated, at).items()
    ]
    rows = compare_within_tasks(
        [own for _, own in parts], planned=stated.pairs, level=stated.level, paired=comparison.paired
    )
    return rows.assign(at=[parts[part][0] for part in rows["part"]])


def _losses(inputs: Inputs, comparison: Comparison, stated: Compare, at: float) -> Mapping[str, Floats]:
    """Return by task what is compared, of the methods and repetitions of `Comparison.every`."""
    if stated.measure == "anytime":
        return {task: own.anytime for task, own in comparison.every.items() if own.anytime is not None}
    if at == 1:
        return {task: own.losses for task, own in comparison.every.items()}
    return {task: losses_at(inputs, own, at) for task, own in comparison.every.items()}
