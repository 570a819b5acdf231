"""Where an evaluation's time goes: a task marks its phases, and whoever wants to know adds them up."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar


class Stopwatch:
    """Seconds by phase, in the order in which phases first ended. A phase inside another counts as itself only."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._inside = [0.0]

    @contextmanager
    def running(self) -> Iterator[None]:
        """Take the time of the phases that are marked inside this context."""
        token = _running.set(self)
        try:
            yield
        finally:
            _running.reset(token)

    @contextmanager
    def _phase(self, name: str) -> Iterator[None]:
        self._inside.append(0.0)
        began = time.perf_counter()
        try:
            yield
        finally:
            took = time.perf_counter() - began
            own = took - self._inside.pop()
            self._inside[-1] += took
            self.seconds[name] = self.seconds.get(name, 0.0) + own


_running: ContextVar[Stopwatch | None] = ContextVar("stopwatch", default=None)


@contextmanager
def phase(name: str) -> Iterator[None]:
    """Mark what is done inside this context as a phase; costs nothing while no stopwatch runs.

    Args:
        name: What is done, in a word or two, such as ``"train"``.
    """
    watch = _running.get()
    if watch is None:
        yield
        return
    with watch._phase(name):
        yield
