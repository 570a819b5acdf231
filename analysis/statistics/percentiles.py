r"""How a search stands among random searches: the share of them, with the same budget, that end better.

On average 0.5 is on a par with random search, 0 is better than all of them, 1 worse than all. A value that a share q of
all configurations beats is beaten by a random search of n evaluations with the probability :math:`1 - (1 - q)^n`, so
that a sample of configurations tells what n-fold searches of it would have taken a thousand times as many to tell.
Ties count half.

Three things make this the unit in which two sides of a gate are compared. It lies within 0 and 1 whatever the metric.
No task counts more than another because its values spread more, and on none do differences shrink as searches near the
best value. And it has a price: a random search of k evaluations among random searches of n has the percentile
n / (n + k) on average, so that one of p is worth a random search with (1 − p) / p times the budget.

The sample is drawn before anything is compared, with seeds of its own: for what is decided about percentiles they are a
fixed function of a study, and it holds however rough the sample.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from analysis.errors import AnalysisError
from analysis.statistics.bootstrap import Floats
from analysis.statistics.steps import usable_studies
from results.tables import SweepTables


@dataclass(frozen=True, slots=True, eq=False)
class Yardstick:
    """Random configurations of a task.

    Attributes:
        losses: What each of them was told as, ascending, failures included; shape ``(n,)``.
        evaluations: How many of them the budget of one study pays for, on average; positive.
    """

    losses: Floats
    evaluations: float

    def percentile(self, best: Floats, spent: Floats | float = 1.0) -> Floats:
        """Return the share of random searches that end better than some searches.

        Args:
            best: The least loss of each search.
            spent: The share of the budget that it had, and that they have, inside (0, 1].

        Returns:
            Within 0 and 1, of the shape of ``best``.
        """
        better, not_worse = (
            np.searchsorted(self.losses, best, side) / self.losses.size for side in ("left", "right")
        )
        tries = self.evaluations * np.asarray(spent, dtype=float)
        return np.asarray(1 - ((1 - better) ** tries + (1 - not_worse) ** tries) / 2)


def yardsticks(random: SweepTables) -> dict[str, Yardstick]:
    """Return the yardstick of every task, by label.

    Args:
        random: A sweep of random search alone, with the tasks and budgets of what is to be measured.

    Raises:
        AnalysisError: A study of it is not finished.
    """
    studies = usable_studies(random)
    missing = random.studies[~random.studies["study"].isin(studies["study"])]
    if len(missing):
        task, repetition = missing[["task", "repetition"]].iloc[0]
        raise AnalysisError(
            f"random search has not finished on {task!r}, repetition {repetition}; run it to the end first"
        )
    counts = studies["task"].value_counts()
    return {
        str(task): Yardstick(np.sort(rows["loss"].to_numpy(dtype=float)), len(rows) / int(counts[task]))
        for task, rows in random.trials.groupby("task", sort=True)
    }


def speed_up(percentile: float) -> float:
    """Return how many times the budget a random search of the same mean percentile would have.

    Example:
        >>> speed_up(0.25)
        3.0
    """
    return (1 - percentile) / percentile if percentile > 0 else float("inf")
