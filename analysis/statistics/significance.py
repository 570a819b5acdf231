"""Do methods differ over tasks? Friedman, Nemenyi, Wilcoxon with Holm's correction.

Blocks are tasks: one number per task and method, never one per task and repetition. Tables of losses have one
row per task and one column per method, smaller is better, and no missing cell; infinity stands for a method
that never succeeded. Losses are rounded by `analysis.statistics.ranks.rounded` before anything is ranked.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from analysis.errors import AnalysisError
from analysis.statistics.bootstrap import Floats
from analysis.statistics.ranks import rounded
from harness.plurals import plural

ALPHA = 0.05
"""Level of every test."""


@dataclass(frozen=True, slots=True)
class Friedman:
    """Friedman's test of k methods over n blocks.

    Attributes:
        blocks: n.
        mean_ranks: Mean rank by method, 1 is best; sorted by rank, then by name.
        chi2: Friedman's statistic, k - 1 degrees of freedom.
        chi2_p: Its p-value.
        f: Iman and Davenport's F of ``chi2``; infinite where every block has the same order.
        f_df: Its degrees of freedom.
        f_p: Its p-value: the one to decide by.
    """

    blocks: int
    mean_ranks: Mapping[str, float]
    chi2: float
    chi2_p: float
    f: float
    f_df: tuple[int, int]
    f_p: float


def checked(losses: pd.DataFrame, *, methods: int = 2) -> pd.DataFrame:
    """Return losses rounded, with blocks and methods sorted by name, so that row order cannot matter.

    Raises:
        AnalysisError: A cell is missing, a name occurs twice, or there are fewer than ``methods`` methods or no block.
    """
    if losses.index.has_duplicates or losses.columns.has_duplicates:
        raise AnalysisError(
            "a test over tasks needs every task and every method once; give each its own name"
        )
    if losses.shape[0] < 1 or losses.shape[1] < methods:
        raise AnalysisError(
            f"a test over tasks needs at least 1 task and {methods} methods, got {plural(losses.shape[0], 'task')} and "
            f"{plural(losses.shape[1], 'method')}; run more of them"
        )
    missing = [
        f"{losses.columns[j]} on {losses.index[i]}" for i, j in np.argwhere(losses.isna().to_numpy()).tolist()
    ]
    if missing:
        raise AnalysisError(
            f"a test over tasks needs every cell; missing: {', '.join(missing)}. "
            "Finish these studies, or leave out the task or the method"
        )
    ordered = losses.sort_index(axis=0).sort_index(axis=1)
    return pd.DataFrame(rounded(ordered.to_numpy(dtype=float)), ordered.index, ordered.columns)


def friedman(losses: pd.DataFrame, *, corrected: bool = True) -> Friedman:
    """Test whether all methods have the same mean rank over blocks, from one loss per block and method.

    Args:
        losses: Blocks × methods, shape (n, k), n at least 2, k at least 3.
        corrected: For ties; published tables often are not.

    Raises:
        AnalysisError: See `checked`; also fewer than 2 blocks.
    """
    table = checked(losses, methods=3)
    ranks = pd.DataFrame(stats.rankdata(table.to_numpy(), axis=1), table.index, table.columns)
    return friedman_of_ranks(ranks, corrected=corrected)


def friedman_of_ranks(ranks: pd.DataFrame, *, corrected: bool = True) -> Friedman:
    """Test whether all methods have the same mean rank over blocks, from ranks that add up to the same in each.

    With the correction for ties the statistic divides by the variance that the ranks of each block really have, so
    that it holds for any scores that are exchangeable within a block if methods do not differ: for ranks with ties,
    and for ranks averaged over the repetitions of a task, which vary less than 1 … k do. F is then that of a
    two-way analysis of variance of the ranks.

    Args:
        ranks: Blocks × methods, shape (n, k), n at least 2, k at least 3; each row adds up to k (k + 1) / 2.
        corrected: For ties.

    Raises:
        AnalysisError: Fewer than 2 blocks.

    Source: M. Friedman (1937); R. L. Iman and J. M. Davenport (1980); the general statistic after W. J. Conover,
    "Practical nonparametric statistics" (1999), section 5.8; recommended for comparisons over data sets by J. Demšar,
    JMLR 7 (2006).
    """
    n, k = ranks.shape
    if n < 2:
        raise AnalysisError(f"Friedman's test needs at least 2 tasks, got {n}")
    values = ranks.to_numpy(dtype=float)
    means = pd.Series(values.mean(axis=0), ranks.columns.astype(str))
    apart = float(((means - (k + 1) / 2) ** 2).sum())
    spread = float(((values - (k + 1) / 2) ** 2).sum()) if corrected else n * k * (k * k - 1) / 12
    chi2 = n * n * (k - 1) * apart / spread if spread > 1e-9 * n * k else 0.0
    rest = n * (k - 1) - chi2
    f = (n - 1) * chi2 / rest if rest > 1e-9 * n * k else float("inf")
    df = (k - 1, (k - 1) * (n - 1))
    return Friedman(
        blocks=n,
        mean_ranks=best_first(dict(zip(means.index, means.tolist(), strict=True))),
        chi2=chi2,
        chi2_p=float(stats.chi2.sf(chi2, k - 1)),
        f=float(f),
        f_df=df,
        f_p=float(stats.f.sf(f, *df)),
    )


def best_first(ranks: Mapping[str, float]) -> dict[str, float]:
    """Return mean ranks sorted: the smallest first, those that agree after `rounded` by name."""
    close = dict(zip(ranks, rounded(np.array(list(ranks.values()))).tolist(), strict=True))
    return {name: ranks[name] for name in sorted(ranks, key=lambda name: (close[name], name))}


def critical_difference(methods: int, blocks: int, level: float = ALPHA) -> float:
    r"""Return Nemenyi's critical difference of mean ranks, :math:`q_\alpha \sqrt{k (k + 1) / (6 n)}`.

    :math:`q_\alpha` is the upper quantile of the studentised range of k means with infinitely many degrees of
    freedom, divided by :math:`\sqrt 2`.

    Args:
        methods: k, at least 2.
        blocks: n, at least 1.
        level: Of the test, inside (0, 1).

    Example:
        >>> round(critical_difference(5, 30), 4)
        1.1136
    """
    q = float(stats.studentized_range.ppf(1 - level, methods, np.inf)) / np.sqrt(2)
    return float(q * np.sqrt(methods * (methods + 1) / (6 * blocks)))


def nemenyi(mean_ranks: Mapping[str, float], blocks: int) -> pd.DataFrame:
    """Return Nemenyi's p-values of all pairs, methods × methods sorted by name, 1 on the diagonal.

    Its variance is that of one rank per block. Ranks averaged over the repetitions of a task vary less, so that it
    then errs on the safe side.

    Args:
        mean_ranks: Mean rank over blocks by method, two or more.
        blocks: n, at least 1.

    Source: P. Nemenyi (1963), as given by J. Demšar (2006).
    """
    names = sorted(mean_ranks)
    means = np.array([mean_ranks[name] for name in names])
    k = len(names)
    apart = np.abs(means[:, None] - means[None, :]) / np.sqrt(k * (k + 1) / (12 * blocks))
    return pd.DataFrame(stats.studentized_range.sf(apart, k, np.inf), names, names).clip(upper=1.0)


NOISE = 1e-9
"""Share of the larger of two losses by which their difference may be off."""


def differences(first: Floats, second: Floats) -> Floats:
    """Return first minus second, 0 where they agree after `rounded`, equal sizes where they agree to 9 digits.

    Differences whose sizes are closer than 1e-9 of one's own losses become the same, the smallest of them, so that
    noise breaks no tie between them. That depends on a block's own two losses: one huge loss makes no other block a
    tie. 0 where both are infinite.

    Example:
        >>> differences(np.array([0.3, 1.0, np.inf, 1e9]), np.array([0.1 + 0.2, 0.75, np.inf, 2e9])).tolist()
        [0.0, 0.25, 0.0, -1000000000.0]
    """
    first, second = np.asarray(first, dtype=float), np.asarray(second, dtype=float)
    with np.errstate(invalid="ignore", over="ignore"):
        apart = np.where(rounded(first) == rounded(second), 0.0, first - second)
    sizes = np.abs(apart)
    order = np.argsort(sizes, kind="stable")
    sizes, noise = sizes[order], (NOISE * np.maximum(np.abs(first), np.abs(second)))[order]
    # A chain of sizes of which each is as good as the next is one size; infinities are one anyhow.
    with np.errstate(invalid="ignore"):
        begins = np.append(True, np.diff(sizes) > np.maximum(noise[1:], noise[:-1]))
    begins |= (sizes == 0) | np.append(True, sizes[:-1] == 0) | np.isinf(sizes)
    tied = np.empty(sizes.size)
    tied[order] = sizes[np.flatnonzero(begins)[np.cumsum(begins) - 1]]
    return np.asarray(np.sign(apart) * tied, dtype=float)


def won_minus_lost(first: Floats, second: Floats, *, paired: bool = True) -> float:
    """Return how often the first loses minus how often it wins, as a share of the pairs: -1 if it always wins.

    Both are of the same repetitions of one task, of which those are left out that lack one of the two. Summed over
    the other methods it is a method's mean rank: rank = 1 + Σ (1 + share) / 2. So a test of these shares is a
    test of the mean ranks, which knows no other method, and no unit of any task.

    Args:
        first: Losses of one method, shape ``(r,)``, NaN where a repetition lacks it.
        second: Losses of another in the same repetitions.
        paired: Whether the two share their seeds within a repetition; otherwise all pairs of runs count.

    Returns:
        A number from -1 to 1; NaN where no repetition has both, or one has no run.
    """
    if not paired:
        runs = [own[~np.isnan(own)] for own in (first, second)]
        return 1 - 2 * vargha_delaney(*runs) if all(own.size for own in runs) else math.nan
    both = ~(np.isnan(first) | np.isnan(second))
    if not both.any():
        return math.nan
    one, two = rounded(first[both]), rounded(second[both])
    return float((one > two).mean() - (one < two).mean())


def shares_within(losses: Floats, *, paired: bool = True) -> Floats:
    """Return `won_minus_lost` of every pair of methods on one task.

    Args:
        losses: Repetitions × methods, shape ``(r, k)``; NaN where there is none.
        paired: Whether the rows are pairs.

    Returns:
        Shape ``(k, k)``: of the row's and the column's method; NaN where no repetition has both.
    """
    k = losses.shape[1]
    if not paired:
        return np.array(
            [[won_minus_lost(losses[:, i], losses[:, j], paired=False) for j in range(k)] for i in range(k)]
        ).reshape(k, k)
    values = rounded(losses)
    first, second = values[:, :, None], values[:, None, :]
    both = (~(np.isnan(first) | np.isnan(second))).sum(axis=0)
    balance = (first > second).sum(axis=0) - (first < second).sum(axis=0)
    return np.asarray(np.where(both > 0, balance / np.maximum(both, 1), np.nan), dtype=float)


def wilcoxon_of_differences(pairs: Mapping[tuple[str, str], Floats], level: float = ALPHA) -> pd.DataFrame:
    """Test for each pair of methods whether its differences are symmetric around 0.

    Exact for up to 50 differences, ties and zeros included. Zeros are kept by Pratt's method.

    Args:
        pairs: By (first, second) method, the differences of losses, first minus second, one per block.
        level: Of all tests together.

    Returns:
        One row per pair, in the order given: ``first``, ``second``, ``blocks``, ``wins``, ``ties`` and ``losses`` of
        the first method, ``median`` (of the differences; negative: the first is better), ``effect`` (matched-pairs
        rank-biserial correlation, -1 … 1, positive where the first is better), ``p``, ``p_holm`` and ``possible``:
        whether so many blocks could show a difference at the level after the correction, however clear it is.

    Source: F. Wilcoxon (1945); J. W. Pratt (1959); S. Holm (1979); D. S. Kerby (2014) for the effect size.
    """
    rows = []
    for (first, second), values in pairs.items():
        rows.append(
            {
                "first": first,
                "second": second,
                "blocks": values.size,
                "wins": int((values < 0).sum()),
                "ties": int((values == 0).sum()),
                "losses": int((values > 0).sum()),
                "median": float(np.median(values)),
                "effect": rank_biserial(values),
                "p": signed_rank_p(values),
            }
        )
    frame = pd.DataFrame(
        rows, columns=["first", "second", "blocks", "wins", "ties", "losses", "median", "effect", "p"]
    )
    possible = [smallest_p(blocks) * len(frame) <= level for blocks in frame["blocks"]]
    return frame.assign(
        p_holm=holm(frame["p"].to_numpy(dtype=float)), possible=np.array(possible, dtype=bool)
    )


MOST_EXACT = 50
"""Differences up to which the signed-rank test is exact; above, p-values are those of the normal approximation."""


def signed_rank_p(values: Floats) -> float:
    """Return the two-sided p-value of Wilcoxon's signed-rank test of differences; 1 where all are 0.

    Exact for up to 50 differences, also with ties and zeros, for which scipy would approximate from 14 on.
    """
    return _signed_rank_p(np.ascontiguousarray(values, dtype=float).tobytes())


@functools.lru_cache(maxsize=1 << 16)
def _signed_rank_p(differences_of: bytes) -> float:
    """Return `signed_rank_p`: one sweep asks for the same differences again and again, among fewer methods each."""
    values = np.frombuffer(differences_of)
    if not values.any():
        return 1.0
    kept = values != 0
    if kept.sum() > MOST_EXACT:
        finite = np.where(np.isinf(values), np.sign(values) * _beyond(values), values)
        return float(stats.wilcoxon(finite, zero_method="pratt").pvalue)
    # Averaged ranks are multiples of one half; zeros are ranked and then dropped, after Pratt.
    doubled = np.rint(2 * stats.rankdata(np.abs(values))[kept]).astype(int)
    null = signed_rank_null(doubled)
    positive = int(doubled[values[kept] > 0].sum())
    return float(min(1.0, 2 * min(null[: positive + 1].sum(), null[positive:].sum())))


def signed_rank_null(ranks: NDArray[np.int_]) -> Floats:
    """Return the probabilities of 0, 1, … for the sum of ranks that each have a positive sign with probability ½.

    Args:
        ranks: Positive whole numbers, shape ``(n,)``; equal ones are ties.
    """
    probabilities = np.ones(1)
    for rank in ranks:
        wider = np.zeros(probabilities.size + rank)
        wider[: probabilities.size] += probabilities / 2
        wider[rank:] += probabilities / 2
        probabilities = wider
    return probabilities


def rank_biserial(values: Floats) -> float:
    """Return the matched-pairs rank-biserial correlation of differences: +1 if all are negative, 0 if all are 0."""
    kept = values[values != 0]
    if not kept.size:
        return 0.0
    ranks = stats.rankdata(np.abs(kept))
    return float((ranks[kept < 0].sum() - ranks[kept > 0].sum()) / ranks.sum())


def holm(p: ArrayLike) -> Floats:
    """Return p-values corrected by Holm's step-down method, shape ``(n,)``; of none, none.

    The same as statsmodels' ``multipletests``, which collects garbage at every call: too slow to be called often.
    """
    values = np.asarray(p, dtype=float)
    order = np.argsort(values, kind="stable")
    stepped = np.maximum.accumulate(values[order] * np.arange(values.size, 0, -1))
    corrected = np.empty(values.size)
    corrected[order] = np.minimum(stepped, 1.0)
    return corrected


def p_matrix(pairs: pd.DataFrame, column: str = "p_holm") -> pd.DataFrame:
    """Return the p-values of pairs as a symmetric table, methods × methods, 1 on the diagonal."""
    names = sorted({*pairs["first"], *pairs["second"]})
    table = pd.DataFrame(1.0, names, names)
    for first, second, p in zip(pairs["first"], pairs["second"], pairs[column], strict=True):
        table.loc[first, second] = table.loc[second, first] = p
    return table


def cliques(p: pd.DataFrame, order: Sequence[str], level: float = ALPHA) -> list[tuple[str, ...]]:
    """Return the maximal sets of methods of which no two differ: the bars of a critical-difference diagram.

    A set need not be contiguous in rank: two methods may differ from one that ranks between them.

    Args:
        p: Symmetric table of p-values, methods × methods.
        order: The methods, best first.
        level: Two methods differ where p is below or at this.

    Returns:
        Sets of two or more methods, each in the given order; sorted by their best, then by their worst member.
    """
    place = {name: index for index, name in enumerate(order)}
    same = p.loc[list(order), list(order)].to_numpy(dtype=float) > level
    alike = {a: {b for j, b in enumerate(order) if j != i and same[i, j]} for i, a in enumerate(order)}
    found: list[tuple[str, ...]] = []

    def extend(chosen: set[str], candidates: set[str], seen: set[str]) -> None:
        # Bron and Kerbosch (1973) with a pivot.
        if not candidates and not seen:
            if len(chosen) > 1:
                found.append(tuple(sorted(chosen, key=place.__getitem__)))
            return
        pivot = max(candidates | seen, key=lambda name: (len(candidates & alike[name]), -place[name]))
        for name in sorted(candidates - alike[pivot], key=place.__getitem__):
            extend(chosen | {name}, candidates & alike[name], seen & alike[name])
            candidates = candidates - {name}
            seen = seen | {name}

    extend(set(), set(order), set())
    return sorted(found, key=lambda members: [place[name] for name in (members[0], members[-1], *members)])


def vargha_delaney(first: ArrayLike, second: ArrayLike) -> float:
    """Return the probability that a loss of the first method is smaller than one of the second, ties counting half.

    Vargha and Delaney's A of losses: 0.5 says no difference, 1 that the first is always better. Cliff's delta
    is ``2 A - 1``.

    Args:
        first: Losses of one method, shape ``(m,)``, at least one.
        second: Losses of another, shape ``(n,)``, at least one.

    Source: A. Vargha and H. D. Delaney, Journal of Educational and Behavioral Statistics 25 (2000).

    Example:
        >>> vargha_delaney([1, 2], [2, 3])
        0.875
    """
    a, b = rounded(np.asarray(first, dtype=float)), rounded(np.asarray(second, dtype=float))
    if not (a.size and b.size):
        raise ValueError("vargha_delaney needs at least one loss of each method")
    return float((a[:, None] < b[None, :]).mean() + 0.5 * (a[:, None] == b[None, :]).mean())


def smallest_p(blocks: int) -> float:
    """Return the smallest p-value that a two-sided signed-rank test of this many blocks can give."""
    return float(min(1.0, 2.0 ** (1 - blocks)))


def fewest_blocks(level: float = ALPHA, comparisons: int = 1) -> int:
    """Return the number of blocks, tasks or repetitions, below which no signed-rank test can reach the level at all.

    Holm's first step demands level / comparisons, and the smallest two-sided p of n blocks is 2^(1 - n).

    Example:
        >>> [fewest_blocks(comparisons=pairs) for pairs in (1, 3, 6, 55)]
        [6, 7, 8, 12]
    """
    return math.ceil(1 - math.log2(level / comparisons) - 1e-12)


def _beyond(values: Iterable[float]) -> float:
    """Return a finite number larger than every finite absolute value."""
    finite = np.abs(np.asarray(list(values)))
    return float(2 * np.max(finite[np.isfinite(finite)], initial=1.0))
