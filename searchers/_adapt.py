"""What adapters of libraries share: values a hair outside their bounds, and starting points."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator
from typing import Final

from harness.space import Float, Scalar
from harness.trial import Problem

ROUNDING: Final = 1e-9
"""How far outside its bounds a library's value may lie, relative to the bound, and still be rounding."""


def clipped(domain: Float, value: float) -> float:
    """Return a library's value, moved to the bound where it is only a rounding error outside.

    ``exp(log(high))`` can exceed ``high``. What is further out than `ROUNDING` is returned as it
    is, for the base class to refuse: a value that far out is a defect, not rounding.
    """
    for bound in (domain.low, domain.high):
        if not domain.low <= value <= domain.high and abs(value - bound) <= ROUNDING * abs(bound):
            return bound
    return value


def missing_reference(problem: Problem) -> list[str]:
    """Return why a search cannot start at the space's first reference configuration, if so."""
    if problem.space.references:
        return []
    return ["start_at_reference is set, but this space has no reference configuration"]


def reference(problem: Problem, *, complete: bool = False) -> dict[str, Scalar]:
    """Return the space's first reference configuration, a copy.

    Args:
        problem: The problem, whose space has a reference configuration.
        complete: Give inactive parameters a value, too, the middle of their domain: for libraries
            that know no conditions.
    """
    config = next(iter(problem.space.references.values()))
    return {
        name: config[name] if name in config else domain.from_unit(0.5)
        for name, domain in problem.space.parameters.items()
        if complete or name in config
    }


@contextlib.contextmanager
def ignored_warnings(*categories: type[Warning]) -> Iterator[None]:
    """Drop a library's warnings of these categories (all by default), and only inside."""
    with warnings.catch_warnings():
        for category in categories or (Warning,):
            warnings.simplefilter("ignore", category)
        yield
