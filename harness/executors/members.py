"""The actors of a Ray executor: what each is at work on, and how their deaths are judged.

Ray tells that a process has died soon, and that its node has gone later, or not in the same message.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ray.exceptions import ActorUnavailableError, RayActorError, RayError

from harness.evaluator import Cause, Job
from harness.executors.actors import Location
from harness.executors.base import Finished
from harness.executors.cluster import living_nodes
from harness.host import Step, Stepped
from harness.keys import StudyKey

NODE_SECONDS = 20.0
"""How long after the death of a process its node may turn out to have died: a machine that is taken away ends its
processes first, and a cluster's head with Ray's defaults takes fifteen seconds to miss it."""


@dataclass(slots=True, eq=False)
class Member:
    """An actor of ours."""

    actor: Any
    starting: Any
    """Reference of its first answer, until that comes."""
    location: Location | None = None
    pending: Any = None
    """Reference of what it works on."""


@dataclass(slots=True, eq=False)
class EvaluatorMember(Member):
    """An evaluator."""

    job: Job | None = None
    since: float = 0.0
    """When that began."""
    overrun: bool = False
    """Whether it was killed for going on after its deadline."""
    served: int = 0
    first_memory: int = 0
    """Bytes it took after its first evaluation, with the libraries loaded."""
    held: dict[str, None] = field(default_factory=dict)
    """Evaluations whose checkpoints it holds, oldest first; as far as can be known from here."""


@dataclass(slots=True, eq=False)
class HostMember(Member):
    """A study host."""

    step: Step | None = None
    queue: deque[tuple[Step, Any]] = field(default_factory=deque)
    studies: dict[str, StudyKey] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Death:
    """A process that died, perhaps with its node."""

    location: Location | None
    at: float
    report: Callable[[Cause], Finished | Stepped]


class Deaths:
    """Judges whether an actor died by itself or with its node.

    Args:
        own_node: Ray's id of the driver's node.
    """

    def __init__(self, own_node: str) -> None:
        self._own_node = own_node
        self._waiting: list[_Death] = []

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def take(
        self, location: Location | None, error: RayError, report: Callable[[Cause], Finished | Stepped]
    ) -> list[Finished | Stepped]:
        """Return the report of a death where Ray knows its cause; keep it until its node had time to turn out dead."""
        preempted = isinstance(error, RayActorError) and error.preempted
        if preempted or isinstance(error, ActorUnavailableError) or "node has died" in str(error):
            return [report(Cause.NODE)]
        if location is not None and location.node == self._own_node:
            return [report(Cause.CRASH)]  # the driver would be gone too
        self._waiting.append(_Death(location, time.monotonic(), report))
        return []

    def judged(self) -> list[Finished | Stepped]:
        """Return the reports of deaths whose cause is known by now."""
        if not self._waiting:
            return []
        living = living_nodes()
        reports, waiting = [], []
        for death in self._waiting:
            if death.location is None or death.location.node not in living:
                reports.append(death.report(Cause.NODE))
            elif time.monotonic() - death.at >= NODE_SECONDS:
                reports.append(death.report(Cause.CRASH))
            else:
                waiting.append(death)
        self._waiting = waiting
        return reports
