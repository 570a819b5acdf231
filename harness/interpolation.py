"""What a configuration between recorded ones is worth: one weight for each of its neighbours, for all of their curves.

Inverse distance weighting (D. Shepard, "A two-dimensional interpolation function for irregularly-spaced data", 1968)
over the nearest recorded configurations. Each parameter's part of a distance has a scale of its own, and the scales,
the number of neighbours and the power are chosen by leaving each configuration out in turn. They are kept in the
recording, so that nothing is fitted when it is loaded. A value takes additions, multiplications and divisions in a
fixed order, and no linear algebra library: it is the same on every processor. Only the choice of scales takes numpy's
own sums; the file holds what came of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from harness.recording import Scales, in_order
from harness.space import Choice, Config, Domain, Scalar, Space

Vector = NDArray[np.float64]

_SCALES: Final = tuple(2.0**power for power in range(-4, 5))
_NEIGHBOURS: Final = (3, 4, 5, 6, 8, 10, 14)
_POWERS: Final = (2, 4, 6)
_PASSES: Final = 3
_LARGEST_FIT: Final = 1024
"""Configurations that scales are chosen on at most: every second, third, …, of more."""
_FEWEST: Final = 3
"""Of fewer nothing can be chosen: the nearest one stands for all."""


@dataclass(frozen=True, eq=False)
class Coordinates:
    """Configurations as columns of numbers.

    Attributes:
        space: Their space.
        columns: Unit coordinates of numbers, NaN where inactive; positions of categories, -1 where inactive;
            (parameters, configurations).
        categorical: Whether a parameter is a category, (parameters, 1).
    """

    space: Space
    columns: Vector
    categorical: NDArray[np.bool_]

    @classmethod
    def of(cls, space: Space, configs: Sequence[Config]) -> Coordinates:
        """Return the coordinates of configurations of a space."""
        categorical = [[isinstance(domain, Choice)] for domain in space.parameters.values()]
        return cls(
            space, np.hstack([_coordinates(space, config) for config in configs]), np.array(categorical)
        )

    def squared(self, at: Vector) -> Vector:
        """Return each parameter's squared difference from a point, before its scale, (parameters, configurations).

        Categories are equal or not, 0 or 1; one that is active on one side only is unequal. A number that is active
        on one side only counts nothing: the parameter that it depends on differs.

        Args:
            at: Coordinates of the point, (parameters, 1).
        """
        difference = self.columns - at
        difference = np.where(self.categorical, difference != 0, difference)
        return np.where(np.isnan(difference), 0.0, difference * difference)

    def distances(self, config: Config, scales: Scales) -> Vector:
        """Return the squared distances of a configuration from all, (configurations,)."""
        scale = np.array([[scales.parameters[name]] for name in self.space.parameters])
        return in_order(scale * scale * self.squared(_coordinates(self.space, config)), axis=0)


def _coordinates(space: Space, config: Config) -> Vector:
    """Return a configuration's column, (parameters, 1)."""
    return np.array([[_coordinate(domain, config.get(name))] for name, domain in space.parameters.items()])


def _coordinate(domain: Domain, value: Scalar | None) -> float:
    if isinstance(domain, Choice):
        return -1.0 if value is None else float(domain.index(value))
    return np.nan if value is None else domain.to_unit(value)


def weights(squared: Vector, scales: Scales) -> tuple[NDArray[np.intp], Vector]:
    """Return the neighbours of a configuration and what each counts.

    Args:
        squared: Its squared distances, (configurations,).
        scales: As chosen.

    Returns:
        Numbers of the neighbours, nearest first (of two as near the one with the smaller number), and their weights,
        which add up to 1.
    """
    wanted = min(scales.neighbours, len(squared))
    farthest = np.partition(squared, wanted - 1)[wanted - 1]
    near = np.flatnonzero(squared <= farthest)
    near = near[np.argsort(squared[near], kind="stable")][:wanted]
    closeness = _closeness(squared[near], scales.power)
    return near, closeness / in_order(closeness, axis=0)


def _closeness(squared: Vector, power: int) -> Vector:
    """Return unnormalised weights; the largest is 1, so that none overflows."""
    nearest = squared[..., :1]
    ratio = np.where(squared > 0, nearest / np.where(squared > 0, squared, 1.0), 1.0)
    weight = ratio
    for _ in range(power // 2 - 1):
        weight = weight * ratio
    return weight


def fitted(space: Space, configs: Sequence[Config], losses: Vector) -> Scales:
    """Choose scales, neighbours and power by leaving each configuration out in turn.

    What is maximised is the rank correlation (Spearman's) of losses with what the others say of them, over all
    configurations and over the better half, in equal parts: a search spends its time in the better half.

    Args:
        space: The search space.
        configs: The recorded configurations.
        losses: Mean loss of each at full fidelity, (configurations,); smaller is better.
    """
    names = tuple(space.parameters)
    if len(configs) < _FEWEST:
        return Scales(dict.fromkeys(names, 1.0), 1, _POWERS[0])
    kept = slice(None, None, -(-len(configs) // _LARGEST_FIT))
    configs, losses = configs[kept], losses[kept]
    coordinates = Coordinates.of(space, configs)
    points = coordinates.columns.T[:, :, None]
    parts = dict(zip(names, np.stack([coordinates.squared(at) for at in points], axis=1), strict=True))

    def quality(scales: Mapping[str, float], neighbours: int, power: int) -> float:
        squared = np.zeros((len(configs), len(configs)))
        for name, part in parts.items():
            squared += scales[name] ** 2 * part
        np.fill_diagonal(squared, np.inf)
        return _quality(left_out(squared, losses, neighbours, power), losses)

    chosen: dict[str, float] = dict.fromkeys(names, 1.0)
    neighbours, power = 5, 4
    best = quality(chosen, neighbours, power)
    for _ in range(_PASSES):
        before = best
        for name in names:
            for scale in _SCALES:
                found = quality({**chosen, name: scale}, neighbours, power)
                if found > best:
                    best, chosen = found, {**chosen, name: scale}
        for count in _NEIGHBOURS:
            for exponent in _POWERS:
                found = quality(chosen, count, exponent)
                if found > best:
                    best, neighbours, power = found, count, exponent
        if best == before:
            break
    return Scales(chosen, min(neighbours, len(configs)), power)


def left_out(squared: Vector, losses: Vector, neighbours: int, power: int) -> Vector:
    """Return what its neighbours say of each configuration, (configurations,).

    Args:
        squared: Squared distances of all pairs, infinite on the diagonal; (configurations, configurations).
        losses: (configurations,).
        neighbours: How many.
        power: Of the weights.
    """
    wanted = min(neighbours, len(losses) - 1)
    near = np.argsort(squared, axis=1, kind="stable")[:, :wanted]  # of two as near the same one as `weights`
    weight = _closeness(np.take_along_axis(squared, near, axis=1), power)
    said: Vector = (weight * losses[near]).sum(axis=1) / weight.sum(axis=1)
    return said


def _quality(said: Vector, losses: Vector) -> float:
    from scipy.stats import spearmanr

    def correlation(part: slice | NDArray[np.bool_]) -> float:
        one, other = said[part], losses[part]
        return float(spearmanr(one, other).statistic) if np.ptp(one) > 0 and np.ptp(other) > 0 else 0.0

    return (correlation(slice(None)) + correlation(losses <= np.median(losses))) / 2
