"""The record's JSON: how events and evaluations are written and read back."""

from __future__ import annotations

from typing import Any

from harness.events import Asked, Done, Event, Told
from harness.keys import EvaluationKey, StudyKey
from harness.trial import Curve, Evaluation, Status

FORMAT = 3
"""Version of the record's layout; a record of another version is refused, never guessed at."""

MEASURED = frozenset({"ask_seconds", "tell_seconds", "seconds", "machine", "versions"})
"""Fields of study events that differ between runs of the same study; everything else must not."""


def opened(key: StudyKey, versions: dict[str, str]) -> dict[str, Any]:
    """Return a journal's first event."""
    return {"event": "opened", "format": FORMAT, "key": key.as_json(), "versions": versions}


def failed(message: str, details: str) -> dict[str, Any]:
    """Return the event of a study that a bug ended; a later run tries it again."""
    return {"event": "failed", "message": message, "details": details}


def hosted(machine: str) -> dict[str, Any]:
    """Return the event that names the machine on which the searcher proposes what follows; no part of a replay."""
    return {"event": "hosted", "machine": machine}


def followed(told: int, reason: str) -> dict[str, Any]:
    """Return the event of a study that goes on otherwise than its searcher would: no part of a replay.

    Its searcher's proposals departed from the journal; all events before this one are followed as they stand, a fresh
    searcher is told of them, and proposes what comes after.

    Args:
        told: Evaluations told before.
        reason: How they departed, for people.
    """
    return {"event": "followed", "told": told, "reason": reason}


def event_as_json(event: Event, key: StudyKey) -> dict[str, Any]:
    """Return a study event as JSON."""
    match event:
        case Asked():
            return {
                "event": "asked",
                "number": event.number,
                "trial": event.proposal.trial,
                "config": dict(event.proposal.config),
                "epochs": event.proposal.epochs,
                "evaluation": key.evaluation(event.proposal.config).id,
                "start": event.start,
                "ask_seconds": event.ask_seconds,
            }
        case Told():
            return {
                "event": "told",
                "number": event.number,
                "status": event.status.value,
                "value": event.value,
                "test": event.test,
                "loss": event.loss,
                "epochs": event.epochs,
                "finish": event.finish,
                "seconds": event.seconds,
                "tell_seconds": event.tell_seconds,
                "machine": event.machine,
            }
        case Done():
            return {
                "event": "done",
                "reason": event.reason,
                "evaluations": event.evaluations,
                "epochs": event.epochs,
            }


def evaluation_as_json(key: EvaluationKey, evaluation: Evaluation) -> dict[str, Any]:
    """Return an evaluation with its key as JSON."""
    return {
        "id": key.id,
        **key.as_json(),
        "status": evaluation.status.value,
        "epochs": evaluation.epochs,
        "curve": {name: list(values) for name, values in evaluation.curve.items()},
        "setup_seconds": evaluation.setup_seconds,
        "lost_seconds": evaluation.lost_seconds,
        "message": evaluation.message,
        "deadline": evaluation.deadline,
        "machine": evaluation.machine,
        "confusion": dict(evaluation.confusion),
    }


def evaluation_from_json(value: dict[str, Any]) -> Evaluation:
    """Read an evaluation back.

    Raises:
        KeyError: A field is missing.
        ValueError: A field does not hold what it should.
    """
    return Evaluation(
        status=Status(value["status"]),
        curve=Curve(value["curve"]),
        epochs=value["epochs"],
        setup_seconds=value["setup_seconds"],
        lost_seconds=value["lost_seconds"],
        message=value["message"],
        deadline=value["deadline"],
        machine=value["machine"],
        confusion={part: tuple(map(tuple, rows)) for part, rows in value["confusion"].items()},
    )
