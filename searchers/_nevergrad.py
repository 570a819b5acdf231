"""What Nevergrad needs for a seed to give the same proposals everywhere: its threads, and what is mended in it."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from harness.errors import IncompatibleError, nearest
from searchers import _adapt

REFUSED: Final[Mapping[str, str]] = {
    "AXP": "it gives Ax no seed",
    "PolyLN": "its scales are drawn when Nevergrad is imported, and are others in every process",
    "SMAC3": "it talks to SMAC through files in /tmp, named by the time, and waits a tenth of a second for each",
    "VoxelizeMetaModelOnePlusOne": "it trains a network for seven seconds, and so depends on the machine",
}
"""Registered optimizers that cannot be repeated, and why."""


def imported() -> Any:
    """Return Nevergrad, imported."""
    with _adapt.importing():
        import nevergrad
    return nevergrad


def registered(name: str) -> Any:
    """Return one of Nevergrad's optimizers.

    Raises:
        IncompatibleError: There is none of that name, or it cannot be used.
    """
    registry = imported().optimizers.registry
    if name not in registry:
        raise IncompatibleError(
            f"Nevergrad has no optimizer {name!r}; {nearest(name, list(registry))}, all in its "
            "nevergrad.optimizers.registry"
        )
    if name in REFUSED:
        raise IncompatibleError(f"Nevergrad's {name} cannot be used: {REFUSED[name]}")
    return registry[name]


class Threads:
    """The threads in which Nevergrad runs what knows no ask and tell: waited for, so that none draws meanwhile.

    Such an optimizer proposes by a call that one of its threads makes. Told the result, the thread goes on by itself;
    its random numbers, where they are numpy's global ones, would depend on when.
    """

    def __init__(self) -> None:
        from nevergrad.optimization import recaster

        self._module = recaster
        self._running: list[Any] = []
        self._class = self._waited_for()

    def _waited_for(self) -> type[Any]:
        """Return the library's class of threads as one whose rest can be waited for."""
        started = self._running
        base: Any = self._module._MessagingThread

        class Told(queue.Queue[Any]):
            def __init__(self, resting: threading.Event) -> None:
                super().__init__()
                self._resting = resting

            def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
                self._resting.clear()
                super().put(item, block, timeout)

        class Asked(queue.Queue[Any]):
            def __init__(self, resting: threading.Event) -> None:
                super().__init__()
                self._resting = resting

            def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
                super().put(item, block, timeout)
                self._resting.set()  # it ends, or waits to be told

        class Thread(base):  # type: ignore[misc]
            def __init__(self, *arguments: Any, **options: Any) -> None:
                super().__init__(*arguments, **options)
                self.daemon = True  # else Python, when it ends, waits for it forever
                self.resting = threading.Event()
                self.messages_tell, self.messages_ask = Told(self.resting), Asked(self.resting)
                started.append(self)

        return Thread

    @contextmanager
    def waited_for(self) -> Iterator[None]:
        """Have the threads that are started inside made so, and wait at the end for all that were told something."""
        before = self._module._MessagingThread
        self._module._MessagingThread = self._class
        try:
            yield
            for thread in self._running:
                thread.resting.wait()
            self._running[:] = [thread for thread in self._running if thread.is_alive()]
        finally:
            self._module._MessagingThread = before


@contextmanager
def mended() -> Iterator[None]:
    """Call Nevergrad 1.0 inside this, which mends what hinders a repetition, or fails today.

    * Its votes among optimizers, ``max(set(names))`` (``optimizerlib.py``: ``most_frequent``), go through the names in
      order, where Python's set goes through them by their hashes, other ones in each process.
    * Its metamodels (``metamodel.py``: ``loss_function_sm``) take the prediction of one point, an array of one
      number, for that number, which numpy refuses since 2.4.
    * ``CMA`` notes in a setting that all its searches share that one of them has a single coordinate and needs another
      library (``optimizerlib.py``: ``_CMA.es``); the note is taken back.
    * ``CmaFmin2`` (``recastlib.py``) gives ``cma.fmin`` no seed, which then takes the time: it gets one that is drawn
      from numpy's global generator.
    """
    import cma
    import numpy as np
    from nevergrad.optimization import metamodel, optimizerlib

    changed: list[tuple[dict[str, Any], bool]] = []
    fmin = cma.fmin

    def note(configured: Any, value: bool) -> None:
        own = vars(configured)
        if "fcmaes" in own:
            changed.append((own, own["fcmaes"]))
        own["fcmaes"] = value

    def seeded(*arguments: Any, options: dict[str, Any], **named: Any) -> Any:
        drawn = {"seed": int(np.random.randint(1, 2**31 - 1))}  # noqa: NPY002 - its own generator
        return fmin(*arguments, options={**drawn, **options}, **named)

    optimizerlib.set = lambda names: sorted(frozenset(names))
    metamodel.float = lambda value: float(value.item() if hasattr(value, "item") else value)
    optimizerlib.ParametrizedCMA.fcmaes = property(lambda configured: vars(configured)["fcmaes"], note)
    cma.fmin = seeded
    try:
        yield
    finally:
        del optimizerlib.set, metamodel.float, optimizerlib.ParametrizedCMA.fcmaes
        cma.fmin = fmin
        for own, value in reversed(changed):
            own["fcmaes"] = value
