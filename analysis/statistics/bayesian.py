"""How probable is it that one method is better than another? The Bayesian signed-rank test."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analysis.errors import AnalysisError
from analysis.statistics.bootstrap import Floats, product

PRIOR_STRENGTH = 0.5
"""Weight of the prior's pseudo-observation at 0, as in Benavoli et al. (2017)."""

POSTERIOR_SAMPLES = 20_000
"""Draws from the posterior of the Bayesian test; a probability's simulation error is then at most 0.0035."""


@dataclass(frozen=True, slots=True)
class Posterior:
    """Probabilities that one method is better than another, over tasks like these; they add up to 1.

    Attributes:
        first: The first method is practically better.
        rope: They are practically equivalent: the difference lies in the region of practical equivalence.
        second: The second method is practically better.
    """

    first: float
    rope: float
    second: float


def bayesian_signed_rank(
    pairs: Mapping[tuple[str, str], Floats],
    rope: float,
    *,
    samples: int = POSTERIOR_SAMPLES,
    seed: int = 0,
) -> dict[tuple[str, str], Posterior]:
    r"""Return the posterior of the Bayesian signed-rank test for each pair of methods.

    The differences :math:`z_1 … z_n` and a pseudo-observation :math:`z_0 = 0` get weights from a Dirichlet
    distribution with parameters (0.5, 1, …, 1). With w drawn from it, the first method is better by
    :math:`\sum_{ij} w_i w_j [z_i + z_j < -2 r]`, and so on; a probability is the share of draws in which its
    region is the largest.

    Args:
        pairs: By (first, second) method, the differences of losses, first minus second, one per block.
        rope: Half-width r of the region of practical equivalence, at least 0, in the losses' unit.
        samples: Draws from the posterior.
        seed: Of the draws; the same for every pair, so that a pair's result does not depend on the others.

    Raises:
        AnalysisError: The half-width is negative.

    Source: A. Benavoli, G. Corani, J. Demšar and M. Zaffalon, "Time for a change", JMLR 18 (2017).
    """
    if not rope >= 0:
        raise AnalysisError(
            f"the region of practical equivalence needs a half-width of at least 0, got {rope}"
        )
    result: dict[tuple[str, str], Posterior] = {}
    draws: dict[int, NDArray[np.float64]] = {}
    for pair, values in pairs.items():
        if values.size not in draws:
            parameters = np.array([PRIOR_STRENGTH, *np.ones(values.size)])
            draws[values.size] = np.random.default_rng(seed).dirichlet(parameters, samples)
        weights = draws[values.size]
        z = np.concatenate([[0.0], np.where(np.isinf(values), np.sign(values) * 1e300, values)])
        sums = z[:, None] + z[None, :]
        better = (product(weights, (sums < -2 * rope).astype(float)) * weights).sum(axis=1)
        worse = (product(weights, (sums > 2 * rope).astype(float)) * weights).sum(axis=1)
        regions = np.stack([better, 1 - better - worse, worse])
        top = np.isclose(regions, regions.max(axis=0), rtol=0, atol=1e-12)
        result[pair] = Posterior(*(float(share) for share in (top / top.sum(axis=0)).mean(axis=1)))
    return result
