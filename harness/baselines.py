"""Baselines of a sweep: what methods must beat. They are drawn and tabled beside the methods, and never ranked."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

BEST: Final = "best"
MEDIAN: Final = "median"
REFERENCES: Final = "references"

NAMES: Final = (REFERENCES, BEST, MEDIAN)
"""The baselines beside ``random_2x`` and its kind."""

LARGEST_MULTIPLE: Final = 100
"""Of the budget, that random search is given."""

BASELINES_IN_WORDS: Final = (
    f"references, random_2x to random_{LARGEST_MULTIPLE}x (random search with so many times the budget), best and "
    "median"
)

_RANDOM: Final = re.compile("random_([1-9][0-9]{0,2})x")

PREFIX: Final = "baseline "
"""What the labels of their studies begin with, which no method's label may."""


def multiple_of(name: str) -> int | None:
    """Return how many times the budget the random search of that name is given; ``None`` for any other name.

    Example:
        >>> multiple_of("random_4x"), multiple_of("random_1x"), multiple_of("best")
        (4, None, None)
    """
    found = _RANDOM.fullmatch(name)
    multiple = int(found[1]) if found else 0
    return multiple if 2 <= multiple <= LARGEST_MULTIPLE else None


def multiples_of(names: Sequence[str]) -> tuple[int, ...]:
    """Return the multiples of the budget that are among some names, ascending."""
    return tuple(sorted(each for name in names if (each := multiple_of(name)) is not None))


def random_name(multiple: int) -> str:
    """Return the name of random search with so many times the budget.

    Example:
        >>> random_name(4)
        'random_4x'
    """
    return f"random_{multiple}x"
