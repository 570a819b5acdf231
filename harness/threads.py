"""Holds linear algebra to a number of threads, which decides the last digits of what it computes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

VARIABLES = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
"""What a process's environment must hold before it loads numpy to begin with one thread."""


def begin_with_one() -> None:
    """Let every library that this process loads from now on begin with one thread.

    A surrogate model's last digits depend on the number of threads, and grow from trial to trial; so
    searchers always run on one. What is loaded already is for `hold_to_one`.
    """
    os.environ.update(VARIABLES)


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
