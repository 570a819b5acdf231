"""In which order studies begin and evaluations are handed out; the record does not depend on it.

While studies are still to begin, all are served alike. Near the end, whoever is expected to take longest goes
first, so that no evaluator waits for a single long study that began last.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from typing import TypeVar

_T = TypeVar("_T")


class EpochTimes:
    """Mean seconds of an epoch by task, as far as seen in this run."""

    def __init__(self) -> None:
        self._seconds: Counter[str] = Counter()
        self._epochs: Counter[str] = Counter()

    def add(self, task: str, epochs: int, seconds: float) -> None:
        """Take in an evaluation of that many epochs."""
        self._seconds[task] += seconds  # type: ignore[assignment]
        self._epochs[task] += epochs

    def expected(self, task: str, epochs: float) -> float:
        """Return the seconds that many epochs will take; infinite for a task not seen yet."""
        if not self._epochs[task]:
            return math.inf
        return self._seconds[task] / self._epochs[task] * epochs


def next_to_begin(planned: Sequence[_T], expected: Callable[[_T], float], *, near_end: int) -> int:
    """Return the place of the study to begin next: the first, or among the last ``near_end`` the longest."""
    if len(planned) > near_end:
        return 0
    return max(range(len(planned)), key=lambda i: (expected(planned[i]), -i))


def next_to_submit(
    waiting: Sequence[_T], in_flight: Callable[[_T], int], expected: Callable[[_T], float], *, ending: bool
) -> int:
    """Return the place of the request to hand out next.

    Args:
        waiting: Requests, oldest first.
        in_flight: How many evaluations the study of a request has handed out.
        expected: Seconds that the rest of its study will take.
        ending: Whether every study has begun.
    """
    if ending:
        return max(range(len(waiting)), key=lambda i: (expected(waiting[i]), -i))
    return min(range(len(waiting)), key=lambda i: (in_flight(waiting[i]), i))
