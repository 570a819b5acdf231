"""Holds linear algebra to a number of threads, which decides the last digits of what it computes.

A surrogate model's last digits depend on the number of threads, and grow from trial to trial; so searchers always run
on one. Processes begin with one: see `harness.arithmetic`.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager


def bind(threads: int, libraries: Mapping[str, str]) -> None:
    """Hold the training libraries that keep threads of their own to a number, before the first evaluation.

    TensorFlow reads variables when it is first used, and is not loaded for that; PyTorch is told. Linear algebra is
    held to it by `held_to`.

    Args:
        threads: Threads one evaluation may use.
        libraries: Module to distribution, of what the task imports.
    """
    os.environ["TF_NUM_INTRAOP_THREADS"] = os.environ["TF_NUM_INTEROP_THREADS"] = str(threads)
    if "torch" in libraries:
        importlib.import_module("torch").set_num_threads(threads)


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
