"""The record's lines: each is one type, which is written and read as it is.

A study's own events, `harness.events`, are lines of its journal; here are the others, and those of evaluation files.
"""

from __future__ import annotations

import json
from typing import Any, TypeVar

import msgspec

from harness.errors import ProtocolError
from harness.events import Asked, Count, Done, Seconds, Told
from harness.keys import EvaluationKey, StudyKey, canonical_json
from harness.trial import Curve, Evaluation, Status

FORMAT = 6
"""Version of the record's layout; a record of another version is refused, never guessed at."""

CHECK = "check"
"""The last field of every line and of every document of the record; see `results.journal` and `results.documents`."""

MEASURED = frozenset({"ask_seconds", "tell_seconds", "seconds", "machine", "versions", "digest"})
"""Fields of study events that differ between runs of the same study; everything else must not."""


class Opened(msgspec.Struct, frozen=True, tag_field="event", tag="opened"):
    """The first line of a journal.

    Args:
        format: `FORMAT`.
        key: The study's key as canonical JSON, of which its id is the digest.
        versions: Versions of the libraries that its proposals depend on.
    """

    format: int
    key: msgspec.Raw
    versions: dict[str, str]

    @classmethod
    def of(cls, key: StudyKey, versions: dict[str, str]) -> Opened:
        """Return the first line of a study's journal."""
        return cls(FORMAT, msgspec.Raw(canonical_json(key.as_json()).encode()), dict(versions))


class Failed(msgspec.Struct, frozen=True, tag_field="event", tag="failed"):
    """A bug ended the study; a later run tries it again."""

    message: str
    details: str


class Hosted(msgspec.Struct, frozen=True, tag_field="event", tag="hosted"):
    """The machine on which the searcher proposes what follows; no part of a replay."""

    machine: str


class Followed(msgspec.Struct, frozen=True, tag_field="event", tag="followed"):
    """The study goes on otherwise than its searcher would; no part of a replay.

    Its searcher's proposals departed from the journal; all events before this one are followed as they stand, a fresh
    searcher is told of them, and proposes what comes after.

    Args:
        told: Evaluations told before.
        reason: How they departed, for people.
    """

    told: Count
    reason: str


Replayed = Opened | Asked | Told | Done
"""What a replay of a study repeats."""

Line = Replayed | Failed | Hosted | Followed
"""A line of a study's journal."""


class EvaluationLine(msgspec.Struct, frozen=True, gc=False):
    """A line of an evaluation file; see `harness.trial.Evaluation`.

    Args:
        id: The evaluation's id, the digest of its key.
        key: Its key as canonical JSON.
        confusion: Its confusion matrices, as JSON: few readers want them.
    """

    id: str
    key: msgspec.Raw
    status: Status
    epochs: Count
    curve: dict[str, list[float]]
    setup_seconds: Seconds
    lost_seconds: Seconds
    message: str
    deadline: float | None
    machine: str
    confusion: msgspec.Raw

    @classmethod
    def of(cls, key: EvaluationKey, evaluation: Evaluation) -> EvaluationLine:
        """Return the line of an evaluation."""
        return cls(
            id=key.id,
            key=msgspec.Raw(canonical_json(key.as_json()).encode()),
            status=evaluation.status,
            epochs=evaluation.epochs,
            curve={name: list(values) for name, values in evaluation.curve.items()},
            setup_seconds=evaluation.setup_seconds,
            lost_seconds=evaluation.lost_seconds,
            message=evaluation.message,
            deadline=evaluation.deadline,
            machine=evaluation.machine,
            confusion=msgspec.Raw(json.dumps(dict(evaluation.confusion), separators=(",", ":")).encode()),
        )

    def evaluation(self) -> Evaluation:
        """Return the evaluation.

        Raises:
            ValueError: Its fields contradict each other.
        """
        return Evaluation(
            status=self.status,
            curve=Curve(self.curve),
            epochs=self.epochs,
            setup_seconds=self.setup_seconds,
            lost_seconds=self.lost_seconds,
            message=self.message,
            deadline=self.deadline,
            machine=self.machine,
            confusion=_CONFUSION.decode(self.confusion),
        )


LINES: msgspec.json.Decoder[Line] = msgspec.json.Decoder(Line)
EVALUATIONS: msgspec.json.Decoder[EvaluationLine] = msgspec.json.Decoder(EvaluationLine)
_CONFUSION = msgspec.json.Decoder(dict[str, tuple[tuple[int, ...], ...]])
_ENCODER = msgspec.json.Encoder()

Written = TypeVar("Written", Line, EvaluationLine)


def encoded(line: Written, decoder: msgspec.json.Decoder[Written]) -> bytes:
    """Return a line as JSON, from which it was read back to see that nothing is lost.

    Raises:
        ProtocolError: It holds what the record cannot: a number that is not finite, or another type.
    """
    try:
        content = _ENCODER.encode(line)
        if decoder.decode(content) == line:
            return content
        why = "a number in it is not finite"
    except (TypeError, ValueError) as error:
        why = str(error)
    raise ProtocolError(f"cannot be recorded: {why}, in {str(line)[:200]}")


def unmeasured(line: Replayed) -> dict[str, Any]:
    """Return what of an event must be the same in every run of its study, as JSON types."""
    fields = {name: getattr(line, name) for name in line.__struct_fields__ if name not in MEASURED}
    for name, value in fields.items():
        if isinstance(value, msgspec.Raw):
            fields[name] = msgspec.json.decode(value)
    return {"event": line.__struct_config__.tag, **fields}
