"""Means and standard deviations of numbers whose sums or squares would be larger than the largest number there is."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from analysis.statistics.bootstrap import Floats

SHIFT: Final = 600
"""Numbers that would overflow are divided by this power of two meanwhile, which changes no digit."""


def mean(values: Floats, axis: int | None = None) -> Any:
    """Return the mean of numbers, as numpy does, also of those near the largest."""
    with np.errstate(over="ignore", invalid="ignore"):
        plain = np.mean(values, axis=axis)
        if np.isfinite(plain).all():
            return plain
        shifted = np.ldexp(np.mean(np.ldexp(values, -SHIFT), axis=axis), SHIFT)
    return np.where(np.isfinite(plain), plain, shifted)[()]


def sd(values: Floats) -> float:
    """Return the standard deviation of a sample of two or more, also of numbers near the largest."""
    with np.errstate(over="ignore", invalid="ignore"):
        plain = float(np.std(values, ddof=1))
        return (
            plain if np.isfinite(plain) else float(np.ldexp(np.std(np.ldexp(values, -SHIFT), ddof=1), SHIFT))
        )
