"""Reading studies and evaluations: typed lines, decoded without a Python object for every value nobody asked for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from harness.errors import RecordError
from results.journal import parse_line, torn_tail
from results.schema import FORMAT, MEASURED

_CHUNK = 256 << 10
"""Bytes of an evaluation file decoded at once: few, so that what they become stays in the processor's cache."""


class _Event(msgspec.Struct, tag_field="event", gc=False):
    """A line of a study journal; `results.schema` writes them."""

    def unmeasured(self) -> dict[str, Any]:
        """Return what of an event must be the same in every run, as JSON types."""
        fields = {name: value for name, value in msgspec.structs.asdict(self).items() if name not in MEASURED}
        if isinstance(self, Asked):
            fields["config"] = self.configuration
        return {"event": self.__struct_config__.tag, **fields}


class Opened(_Event, tag="opened"):
    """The first line."""

    format: int
    key: dict[str, Any] = {}
    versions: dict[str, str] = {}


class Asked(_Event, tag="asked"):
    """A proposal. ``config`` is its JSON text as written."""

    number: int
    trial: int
    config: msgspec.Raw
    epochs: int
    evaluation: str
    start: float
    ask_seconds: float

    @property
    def configuration(self) -> dict[str, Any]:
        """The configuration."""
        decoded: dict[str, Any] = msgspec.json.decode(self.config)
        return decoded


class Told(_Event, tag="told"):
    """An evaluation told."""

    number: int
    status: str
    value: float | None
    test: float | None
    loss: float
    epochs: int
    finish: float
    seconds: float
    tell_seconds: float
    machine: str


class Done(_Event, tag="done"):
    """The end of a study."""

    reason: str
    evaluations: int
    epochs: int


class Failed(_Event, tag="failed"):
    """The end of a try."""

    message: str


class Hosted(_Event, tag="hosted"):
    """Where the searcher ran from here on."""

    machine: str


class Followed(_Event, tag="followed"):
    """From here on a fresh searcher proposes, that was told of what is before."""

    told: int


class Evaluated(msgspec.Struct, gc=False):
    """A line of an evaluation file, as far as the tables need it; `results.schema` reads it whole."""

    id: str
    status: str
    curve: dict[str, list[float]]


Event = Opened | Asked | Told | Done | Failed | Hosted | Followed

_EVENTS = msgspec.json.Decoder(Event)
_EVALUATIONS = msgspec.json.Decoder(Evaluated)


def read_events(path: Path) -> Sequence[Event]:
    """Return the events of a study's journal; none where it does not exist.

    A last line without its end is what a crash leaves, and is left out.

    Raises:
        RecordError: The journal cannot be read, is damaged (with its line), or of another format.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise RecordError(f"cannot read {path}: {error.strerror}; check its permissions") from error
    events: list[Event] = _decoded(_EVENTS, data[: data.rfind(b"\n") + 1], path, 0)
    if events and not (isinstance(events[0], Opened) and events[0].format == FORMAT):
        raise RecordError(
            f"{path}: expected a study journal of format {FORMAT}, got {data[:80]!r}; "
            "it was written by another version of the project or is no journal"
        )
    return events


def event_of(line: bytes) -> Event:
    """Decode one line of a study journal."""
    event: Event = _EVENTS.decode(line)
    return event


def state_of(events: Sequence[Event]) -> tuple[str, str]:
    """Return a study's state, from its events, and why it failed or how it ended.

    The state is ``missing``, ``running`` (begun and not ended), ``failed`` or ``done``.
    """
    match events[-1] if events else None:
        case None:
            return "missing", ""
        case Done(reason=reason):
            return "done", reason
        case Failed(message=message):
            return "failed", message
        case _:
            return "running", ""


@dataclass(frozen=True, slots=True)
class StudyRecord:
    """What a study's journal says.

    Args:
        events: Its events in order, as a replay repeats them.
        state: See `state_of`.
        reason: Why it failed, or how it ended.
        torn: Bytes after the last whole line, left by a crash.
        hosts: Ids of the machines that its searcher ran on, each with the number of events before it did.
        followed: Number of events that are followed as they stand; see `results.schema.followed`.
    """

    events: Sequence[Opened | Asked | Told | Done]
    state: str
    reason: str = ""
    torn: int = 0
    hosts: tuple[tuple[int, str], ...] = ()
    followed: int = 0


def read_study(path: Path) -> StudyRecord:
    """Read a study's journal.

    Raises:
        RecordError: The journal is damaged or of another format.
    """
    lines = read_events(path)
    events: list[Opened | Asked | Told | Done] = []
    hosts = []
    before = 0
    for line in lines:
        match line:
            case Hosted(machine=machine):
                hosts.append((len(events), machine))
            case Followed():
                before = len(events)
            case Failed():
                pass
            case _:
                events.append(line)
    torn = torn_tail(path) if path.exists() else 0
    return StudyRecord(events, *state_of(lines), torn, tuple(hosts), before)


def followed(events: Sequence[Event]) -> int:
    """Return how many evaluations a study's searcher was told from the record, in its last continuation."""
    return next((event.told for event in reversed(events) if isinstance(event, Followed)), 0)


def read_evaluations(folder: Path) -> Iterator[Sequence[Evaluated]]:
    """Yield the evaluations in a task's folder in bunches, oldest run first; torn last lines are left out.

    Raises:
        RecordError: A file cannot be read or is damaged (with its line).
    """
    for path in sorted(folder.glob("*.jsonl")):
        try:
            with path.open("rb") as file:
                begin, torn = 0, False
                while not torn and (data := file.read(_CHUNK) + file.readline()):
                    end = data.rfind(b"\n") + 1
                    torn = end < len(data)
                    yield _decoded(_EVALUATIONS, data[:end], path, begin)
                    begin += end
        except OSError as error:
            raise RecordError(f"cannot read {path}: {error.strerror}; check its permissions") from error


def _decoded(decoder: msgspec.json.Decoder[Any], data: bytes, path: Path, begin: int) -> list[Any]:
    """Decode lines, which begin so many bytes into a file, or raise `RecordError` naming the first bad one."""
    try:
        lines: list[Any] = decoder.decode_lines(data)
    except msgspec.DecodeError:
        before = path.read_bytes()[:begin].count(b"\n")
        for number, line in enumerate(data.splitlines(), start=before + 1):
            try:
                decoder.decode(line)
            except msgspec.DecodeError as error:
                parse_line(line, path, number)
                raise RecordError(
                    f"{path}, line {number}: {error}, in {line[:60]!r}. The file was damaged after it was written, "
                    "or written by another version of the project; restore it from a copy, or move it away to have "
                    "what it held run again"
                ) from error
        raise
    return lines
