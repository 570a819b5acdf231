"""A study's journal while the study is under way: what it repeats is compared, what is new is appended."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from harness.errors import ReplayMismatchError
from harness.events import Asked, Done, Event
from harness.history import History
from harness.keys import StudyKey
from harness.machine import Description, Machine, numbers_of
from results.journal import Appender
from results.reading import read_study
from results.schema import (
    LINES,
    Failed,
    Followed,
    Hosted,
    Line,
    Opened,
    Replayed,
    encoded,
    unmeasured,
)


class StudyJournal:
    """A study's journal: verifies the events a resumed study repeats, appends those that are new.

    Args:
        path: The journal.
        key: The study.
        versions: Versions of the libraries its proposals depend on.
        describe: Returns the description of a recorded machine, by its id.
    """

    def __init__(
        self,
        path: Path,
        key: StudyKey,
        versions: dict[str, str],
        describe: Callable[[str], Description],
    ) -> None:
        self._key = key
        self._versions = versions
        self._describe = describe
        record = read_study(path)
        self._hosts = record.hosts
        self._machine: Machine | None = None
        self._followed = record.followed
        self.torn = record.torn
        self._recorded = record.events
        self._told = len(record.told)
        self._position = 0
        self._appender = Appender(path)
        self._record(Opened.of(key, versions))

    @property
    def recorded(self) -> Sequence[Replayed]:
        """Its events of earlier runs, in order, as a replay repeats them."""
        return self._recorded

    @property
    def replaying(self) -> bool:
        """Whether the next event is one of them."""
        return self._position < len(self._recorded)

    @property
    def following(self) -> bool:
        """Whether the last event was one of those that are followed as they stand."""
        return self._position <= self._followed

    @property
    def history(self) -> History | None:
        """What is followed as it stands; ``None`` where the searcher proposes everything itself."""
        if not self._followed:
            return None
        return [
            event.proposal if isinstance(event, Asked) else None
            for event in self._recorded[1 : self._followed]
        ]

    def hosted(self, machine: Machine) -> None:
        """Note what the searcher computes with now; it is recorded with the next event that is new."""
        self._machine = machine

    def follow(self, reason: str) -> None:
        """Append that all recorded events are followed as they stand from now on, and why."""
        self._append(Followed(self._told, reason))

    def record(self, event: Event) -> None:
        """Verify the next event of a replay, or append a new one.

        Raises:
            ReplayMismatchError: The journal holds another event at this place.
            ProtocolError: It holds what the record cannot.
            WriteError: It cannot be written.
        """
        if isinstance(event, Asked):
            evaluation = self._key.evaluation(event.proposal.config).id
            event = msgspec.structs.replace(event, evaluation=evaluation)
        self._record(event)

    def fail(self, message: str, details: str) -> None:
        """Append that a bug ended the study."""
        self._append(Failed(message, details))

    def sync(self) -> None:
        """Wait until the journal is on the disk."""
        self._appender.sync()

    def close(self) -> None:
        """Sync and close."""
        self._appender.close()

    def _record(self, event: Replayed) -> None:
        if self._position >= len(self._recorded):
            self._append_host()
            if isinstance(event, Done):
                event = msgspec.structs.replace(event, digest=self._appender.digest())
            self._append(event)
            return
        known = self._recorded[self._position]
        self._position += 1
        if unmeasured(event) != unmeasured(known):
            raise ReplayMismatchError(self._mismatch(known, event))

    def _append(self, line: Line) -> None:
        self._appender.append(encoded(line, LINES))

    def _append_host(self) -> None:
        if self._machine is None or (self._hosts and self._hosts[-1][1] == self._machine.id):
            return
        self._hosts = (*self._hosts, (self._position, self._machine.id))
        self._append(Hosted(self._machine.id))

    def _mismatch(self, known: Replayed, event: Replayed) -> str:
        first = self._recorded[0]
        changed = list(_differences(first.versions, self._versions)) if isinstance(first, Opened) else []
        then = [machine for before, machine in self._hosts if before < self._position]
        if then and self._machine is not None and then[-1] != self._machine.id:
            was, now = numbers_of(self._describe(then[-1])), numbers_of(self._machine.description)
            changed += [each for each in _differences(was, now) if each not in changed]
        trial = getattr(known, "trial", getattr(known, "number", 0))
        since = "; ".join(changed) if changed else "nothing that is recorded of machine and libraries"
        return (
            f"replay differs from the journal at event {self._position}, trial {trial}: recorded "
            f"{json.dumps(unmeasured(known))}, now {json.dumps(unmeasured(event))}. Changed since: {since}. "
            "Go on where that is as it was; or run with --on-mismatch tell, to tell the searcher the recorded trials "
            "and let it propose the rest, or with --on-mismatch restart, to set the old journal aside and run this "
            "study again from its beginning"
        )


def _differences(then: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    """Yield in words what differs between two nested mappings."""
    for name in sorted(then.keys() | now.keys()):
        before, after = then.get(name), now.get(name)
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            yield from _differences(before, after)
        elif before != after:
            yield f"{name} {before} → {after}"
