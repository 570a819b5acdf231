"""What a configuration between recorded ones is worth: one weight for each of its neighbours, for all of their curves.

Inverse distance weighting (D. Shepard, "A two-dimensional interpolation function for irregularly-spaced data", 1968)
over the nearest recorded configurations. Each parameter's part of a distance has a scale of its own, and the scales,
the number of neighbours and the power are chosen by leaving each configuration out in turn. They are kept in the
recording, so that nothing is fitted when it is loaded. A value takes additions, multiplications and divisions in a
fixed order, and no linear algebra library: it is the same on every processor.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, cast

import numpy as np
from numpy.typing import NDArray

from harness.recording import Scales
from harness.space import Choice, Config, Space

Vector = NDArray[np.float64]

_SCALES: Final = tuple(2.0**power for power in range(-4, 5))
_NEIGHBOURS: Final = (3, 4, 5, 6, 8, 10, 14)
_POWERS: Final = (2, 4, 6)
_PASSES: Final = 3
_LARGEST_FIT: Final = 2048
"""Configurations that scales are chosen on: the first, of a design that fills the space at any length."""


@dataclass(frozen=True, eq=False)
class Coordinates:
    """Configurations as columns of numbers.

    Attributes:
        columns: By parameter, (configurations,): unit coordinates of numbers, NaN where inactive; numbers of
            categories, -1 where inactive.
        categorical: The parameters that are categories.
    """

    columns: Mapping[str, Vector]
    categorical: frozenset[str]

    @classmethod
    def of(cls, space: Space, configs: Sequence[Config]) -> Coordinates:
        """Return the coordinates of configurations of a space."""
        categorical = {name for name, domain in space.parameters.items() if isinstance(domain, Choice)}
        columns = {
            name: np.array([_coordinate(space, name, config) for config in configs])
            for name in space.parameters
        }
        return cls(columns, frozenset(categorical))

    def squared(self, name: str, at: float) -> Vector:
        """Return the squared difference of a parameter from a coordinate, before its scale, (configurations,).

        Categories are equal or not, 0 or 1; one that is active on one side only is unequal. A number that is active
        on one side only counts nothing: the parameter that it depends on differs.
        """
        if name in self.categorical:
            return np.not_equal(self.columns[name], at).astype(np.float64)
        difference = self.columns[name] - at
        return cast(Vector, np.where(np.isnan(difference), 0.0, difference * difference))

    def distances(self, space: Space, config: Config, scales: Scales) -> Vector:
        """Return the squared distances of a configuration from all, (configurations,)."""
        total = np.zeros(len(next(iter(self.columns.values()))))
        for name in space.parameters:
            scale = scales.parameters[name]
            total += scale * scale * self.squared(name, _coordinate(space, name, config))
        return total


def _coordinate(space: Space, name: str, config: Config) -> float:
    domain = space.parameters[name]
    if isinstance(domain, Choice):
        return float(domain.index(config[name])) if name in config else -1.0
    return domain.to_unit(config[name]) if name in config else np.nan


def weights(squared: Vector, scales: Scales) -> tuple[NDArray[np.intp], Vector]:
    """Return the neighbours of a configuration and what each counts.

    Args:
        squared: Its squared distances, (configurations,).
        scales: As chosen.

    Returns:
        Numbers of the neighbours, nearest first (the earlier recorded of two as near), and their weights, which add
        up to 1.
    """
    wanted = min(scales.neighbours, len(squared))
    farthest = np.partition(squared, wanted - 1)[wanted - 1]
    near = np.flatnonzero(squared <= farthest)
    near = near[np.argsort(squared[near], kind="stable")][:wanted]
    closeness = _closeness(squared[near], scales.power)
    return near, closeness / _in_order(closeness)


def _closeness(squared: Vector, power: int) -> Vector:
    """Return unnormalised weights; the largest is 1, so that none overflows."""
    nearest = squared[..., :1]
    ratio = np.where(squared > 0, nearest / np.where(squared > 0, squared, 1.0), 1.0)
    weight = ratio
    for _ in range(power // 2 - 1):
        weight = weight * ratio
    return weight


def _in_order(values: Vector) -> float:
    """Add numbers one after the other: numpy's own sum depends on the processor's instructions."""
    total = 0.0
    for value in values.tolist():
        total += value
    return total


def fitted(space: Space, configs: Sequence[Config], losses: Vector) -> Scales:
    """Choose scales, neighbours and power by leaving each configuration out in turn.

    What is maximised is the rank correlation (Spearman's) of losses with what the others say of them, over all
    configurations and over the better half, in equal parts: a search spends its time in the better half.

    Args:
        space: The search space.
        configs: The recorded configurations.
        losses: Mean loss of each at full fidelity, (configurations,); smaller is better.
    """
    kept = slice(_LARGEST_FIT)
    configs, losses = configs[kept], losses[kept]
    coordinates = Coordinates.of(space, configs)
    names = tuple(space.parameters)
    parts = {
        name: np.array([coordinates.squared(name, at) for at in coordinates.columns[name].tolist()])
        for name in names
    }
    if len(configs) < 3:
        return Scales(dict.fromkeys(names, 1.0), 1, _POWERS[0])

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
    near = np.argpartition(squared, wanted - 1, axis=1)[:, :wanted]
    order = np.argsort(np.take_along_axis(squared, near, axis=1), axis=1, kind="stable")
    near = np.take_along_axis(near, order, axis=1)
    weight = _closeness(np.take_along_axis(squared, near, axis=1), power)
    said: Vector = (weight * losses[near]).sum(axis=1) / weight.sum(axis=1)
    return said


def _quality(said: Vector, losses: Vector) -> float:
    from scipy.stats import spearmanr

    better = losses <= np.median(losses)
    with np.errstate(invalid="ignore"):
        found = [spearmanr(said[part], losses[part]).statistic for part in (slice(None), better)]
    return float(np.nan_to_num(found, nan=0.0).mean())
