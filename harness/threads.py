"""Holds linear algebra to a number of threads, which decides the last digits of what it computes.

A surrogate model's last digits depend on the number of threads, and grow from trial to trial; so searchers always run
on one. Processes begin with one: see `harness.arithmetic`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


def hold_to_one() -> None:
    """Hold the libraries loaded so far to one thread; a few milliseconds."""
    from threadpoolctl import threadpool_limits

    threadpool_limits(limits=1)


@contextmanager
def held_to(threads: int) -> Iterator[None]:
    """Hold the libraries loaded so far to a number of threads inside this context; one is where they are anyway."""
    if threads == 1:
        yield
        return
    from threadpoolctl import threadpool_limits

    with threadpool_limits(limits=threads):
        yield
