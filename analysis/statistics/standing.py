"""Who leads by one measure, and who differs: mean ranks and the tests that rest on the same ranks.

One quantity decides everywhere: the rank of a method among all within one task and repetition, averaged over
repetitions, then over tasks. Within a repetition all methods have the same seeds, so that a rank compares like with
like; it has no unit, so that no task counts more than another; and a repetition that failed, or ended at an awful
value, is last in that repetition and says nothing about the others. Tests over tasks take a pair's share of
repetitions won minus lost on each task: summed over the others these shares are the mean rank, and unlike it they
depend on no other method.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from analysis.statistics.bayesian import Posterior, bayesian_signed_rank
from analysis.statistics.bootstrap import Floats
from analysis.statistics.independent import expected_ranks, without_failures
from analysis.statistics.moments import mean
from analysis.statistics.ranks import rounded
from analysis.statistics.significance import (
    ALPHA,
    Friedman,
    best_first,
    fewest_blocks,
    friedman_of_ranks,
    nemenyi,
    shares_within,
    wilcoxon_of_differences,
)

ROPE = 0.1
"""Half-width of the region of practical equivalence, in share of repetitions won minus lost: a method that is better
in 45 to 55 % of the repetitions of a task is practically as good."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What tests say of one method against all others.

    Attributes:
        better_than: Methods that it is shown to be better than, best first.
        worse_than: Methods that it is shown to be worse than.
        alike: Methods that it is not shown to differ from, though so many blocks could have shown it.
        untested: Methods of which so few blocks could have shown nothing.
    """

    better_than: tuple[str, ...]
    worse_than: tuple[str, ...]
    alike: tuple[str, ...]
    untested: tuple[str, ...]


def verdict(pairs: pd.DataFrame, name: str, order: Sequence[str], level: float = ALPHA) -> Verdict:
    """Return what tests of pairs say of one method.

    Args:
        pairs: Rows of ``first``, ``second``, ``effect`` (positive: the first is better), ``p_holm``, ``possible``.
        name: The method.
        order: All methods, best first.
        level: Two methods differ where p is below or at this.
    """
    found: dict[str, list[str]] = {"better": [], "worse": [], "alike": [], "untested": []}
    own = pairs[(pairs["first"] == name) | (pairs["second"] == name)]
    rows = {
        str(row["second"] if row["first"] == name else row["first"]): row for row in own.to_dict("records")
    }
    for other in order:
        if other not in rows:
            if other != name:
                found["untested"].append(other)
            continue
        row = rows[other]
        effect = row["effect"] if row["first"] == name else -row["effect"]
        if row["p_holm"] <= level and effect != 0:
            found["better" if effect > 0 else "worse"].append(other)
        else:
            found["alike" if row["possible"] else "untested"].append(other)
    return Verdict(*(tuple(names) for names in found.values()))


@dataclass(frozen=True, eq=False)
class Standing:
    """The methods of a sweep by one measure, computed when first asked for.

    Attributes:
        complete: By task, losses of all methods in the repetitions that all of them finished: shape ``(r, k)``.
        every: By task, losses of all methods in every repetition: NaN where one is not finished; shape ``(R, k)``.
        searchers: The k methods, sorted.
        paired: Whether methods share their seeds within a repetition. Otherwise every run is compared with every run of
            the other methods, and a rank is the mean over all ways to take one run of each.
    """

    complete: Mapping[str, Floats]
    every: Mapping[str, Floats]
    searchers: tuple[str, ...]
    paired: bool = True

    @functools.cached_property
    def ranks(self) -> pd.DataFrame:
        """Mean ranks within the complete repetitions, tasks × methods."""
        return pd.DataFrame(
            [
                rankdata(rounded(losses), axis=1).mean(axis=0) if self.paired else expected_ranks(losses)
                for losses in self.complete.values()
            ],
            index=list(self.complete),
            columns=list(self.searchers),
        )

    @functools.cached_property
    def mean_ranks(self) -> dict[str, float]:
        """Mean rank over tasks by method: best first, equal ones by name."""
        means = self.ranks.to_numpy(dtype=float).mean(axis=0)
        return best_first({name: float(rank) for name, rank in zip(self.searchers, means, strict=True)})

    @functools.cached_property
    def leaders(self) -> tuple[str, ...]:
        """The methods with the lowest mean rank: several where they agree to 9 digits."""
        return leaders_of(self.mean_ranks)

    def ranks_on(self, task: str) -> dict[str, float]:
        """Return the mean ranks on one task: best first, equal ones by name."""
        own = self.ranks.loc[task].to_numpy(dtype=float)
        return best_first({name: float(rank) for name, rank in zip(self.searchers, own, strict=True)})

    def leaders_on(self, task: str) -> tuple[str, ...]:
        """Return the methods with the lowest mean rank on one task."""
        return leaders_of(self.ranks_on(task))

    @functools.cached_property
    def shares(self) -> dict[tuple[str, str], Floats]:
        """By (first, second) method, the share of repetitions won by the second minus the first's, a number per task.

        Over every task on which both finished a repetition, whatever is missing of the others.
        """
        tasks = np.array([shares_within(own, paired=self.paired) for own in self.every.values()])
        result = {}
        for (i, first), (j, second) in itertools.combinations(enumerate(self.searchers), 2):
            values = tasks[:, i, j] if len(tasks) else np.empty(0)
            result[first, second] = rounded(values[~np.isnan(values)])
        return result

    def share(self, first: str, second: str) -> Floats:
        """Return `shares` of two methods in either order: negative where the first wins more."""
        return self.shares[first, second] if (first, second) in self.shares else -self.shares[second, first]

    @functools.cached_property
    def pairs(self) -> pd.DataFrame:
        """What `analysis.statistics.significance.wilcoxon_of_differences` says of every pair."""
        return self.tested(list(self.shares))

    def tested(self, pairs: Collection[tuple[str, str]], level: float = ALPHA) -> pd.DataFrame:
        """Return the tests of some pairs, with Holm's correction over these alone.

        Args:
            pairs: Of two methods each, in either order.
            level: Of all of them together.
        """
        ordered = [(a, b) if (a, b) in self.shares else (b, a) for a, b in pairs]
        return wilcoxon_of_differences(
            {pair: self.shares[pair] for pair in ordered if self.shares[pair].size}, level
        )

    @property
    def few(self) -> bool:
        """Whether so few tasks could show no difference of any pair, however clear: tests over them say nothing."""
        return not bool(self.pairs["possible"].any())

    @property
    def needed(self) -> int:
        """The number of tasks from which on the tests of all pairs could show a difference."""
        k = len(self.searchers)
        return fewest_blocks(comparisons=k * (k - 1) // 2)

    @functools.cached_property
    def friedman(self) -> Friedman | None:
        """Friedman's test of the mean ranks; ``None`` with fewer than 3 methods or 2 tasks."""
        if len(self.searchers) < 3 or len(self.ranks) < 2:
            return None
        return friedman_of_ranks(self.ranks)

    @functools.cached_property
    def nemenyi(self) -> pd.DataFrame:
        """Nemenyi's p-values."""
        return nemenyi(self.mean_ranks, len(self.ranks))

    @functools.cached_property
    def posteriors(self) -> Mapping[tuple[str, str], Posterior]:
        """The Bayesian signed-rank test of every pair, with the region `ROPE`."""
        return bayesian_signed_rank({pair: own for pair, own in self.shares.items() if own.size}, ROPE)

    def verdict(self, name: str) -> Verdict:
        """Return what the tests over tasks say of one method against all others."""
        return verdict(self.pairs, name, list(self.mean_ranks))

    def without_failures(self) -> Standing:
        """Return the standing without the repetitions in which a method had no success; its own tasks may be fewer.

        Of runs that are not paired, without those that had none.
        """
        if self.paired:
            kept = {task: own[np.isfinite(own).all(axis=1)] for task, own in self.complete.items()}
            kept = {task: own for task, own in kept.items() if len(own)}
        else:
            kept = {
                task: own
                for task, losses in self.complete.items()
                if (own := without_failures(losses)) is not None
            }
        return Standing(kept, kept, self.searchers, self.paired)

    def by_mean(self) -> Standing:
        """Return the standing by mean losses over repetitions: one failed repetition makes a mean infinite."""
        means = {task: mean(own, axis=0)[None, :] for task, own in self.complete.items()}
        return Standing(means, means, self.searchers)

    def on(self, tasks: Collection[str]) -> Standing:
        """Return the standing on some tasks."""
        return Standing(
            {task: own for task, own in self.complete.items() if task in tasks},
            {task: own for task, own in self.every.items() if task in tasks},
            self.searchers,
            self.paired,
        )


def leaders_of(ranks: Mapping[str, float]) -> tuple[str, ...]:
    """Return the methods with the lowest of some ranks, by name: several where they agree to 9 digits."""
    close = dict(zip(ranks, rounded(np.array(list(ranks.values()))).tolist(), strict=True))
    lowest = min(close.values())
    return tuple(sorted(name for name, rank in close.items() if rank == lowest))
