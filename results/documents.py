"""The record's other files: JSON documents of known types, each with a check by which a later change is found."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from harness.errors import RecordError, refusal
from harness.keys import digest
from harness.machine import Description
from harness.progress import Snapshot
from results.journal import read_file
from results.schema import CHECK

T = TypeVar("T", bound=msgspec.Struct)

_RESTORE = (
    "restore it from a copy, or move it away: running its sweep again writes a plan, and trains nothing twice"
)


class Holder(msgspec.Struct, frozen=True):
    """Who writes to a results folder: ``driver.json``.

    Args:
        host: Name of its machine.
        pid: Its process.
        sweep: Name of its sweep.
        since: When it began, ISO 8601.
        run: Name of its run.
    """

    host: str
    pid: int
    sweep: str
    since: str
    run: str


class Beat(msgspec.Struct, frozen=True):
    """How far a run last said to be: ``progress.json``; no part of the record."""

    run: str
    snapshot: Snapshot


def document(value: msgspec.Struct) -> str:
    """Return the text of a document, its check included."""
    content: dict[str, Any] = msgspec.to_builtins(value)
    return json.dumps({**content, CHECK: digest(content)}, indent=1) + "\n"


def read_document(path: Path, kind: type[T]) -> T:
    """Read a document.

    Raises:
        FileNotFoundError: There is none.
        RecordError: It cannot be read, is not of its kind, or was changed after it was written.
    """
    content = _json_in(path)
    check = content.pop(CHECK, None)
    value = converted(content, kind, path)
    if check is None or check != _digest(content):
        came = "none" if check is None else f"{check!r}, which is of something else"
        raise RecordError(
            f"{path}: expected a field {CHECK!r} with the digest of the rest, got {came}. The file was changed after "
            f"it was written, or another version of the project wrote it; {_RESTORE}"
        )
    return value


def machine_document(description: Description) -> str:
    """Return the text of a machine's description, which is named by its digest."""
    return json.dumps(msgspec.to_builtins(description), indent=1, sort_keys=True) + "\n"


def read_machine(path: Path) -> Description:
    """Read a machine's description, whose digest is the name of its file.

    Raises:
        RecordError: There is none, it cannot be read, is no such description, or was changed after it was written.
    """
    try:
        content = _json_in(path)
    except FileNotFoundError:
        raise RecordError(
            f"{path} is missing: a study or evaluation names that machine; restore the file from a copy"
        ) from None
    description = converted(content, Description, path)
    if path.stem != _digest(content):
        raise RecordError(
            f"{path}: expected a description whose digest is {path.stem}, got {_digest(content)}. The file was changed "
            "after it was written; restore it from a copy"
        )
    return description


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object, or raise `RecordError` naming the file."""
    try:
        return _json_in(path)
    except FileNotFoundError as error:
        raise RecordError(f"cannot read {path}: {refusal(error)}") from error


def read_text(path: Path) -> str:
    """Read a text, or raise `RecordError` naming the file."""
    try:
        return read_file(path).decode("utf-8")
    except FileNotFoundError as error:
        raise RecordError(
            f"{path} is missing; restore it from a copy, or run its sweep again, which writes it anew"
        ) from error
    except UnicodeDecodeError as error:
        raise RecordError(
            f"{path}: expected a text in UTF-8, got {error}; restore it from a copy, or run its sweep again"
        ) from error


def _json_in(path: Path) -> dict[str, Any]:
    try:
        # As strict as it gets: no NaN, no halves of characters.
        value = msgspec.json.decode(read_file(path))
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise RecordError(
            f"{path}: expected a JSON object, got something else: {error}; restore it from a copy"
        ) from error
    if not isinstance(value, dict):
        raise RecordError(
            f"{path}: expected a JSON object, got {type(value).__name__}; restore it from a copy"
        )
    return value


def converted(content: object, kind: type[T], path: Path) -> T:
    """Return what a JSON value holds, or raise `RecordError` naming the file and where in it something is wrong."""
    try:
        return msgspec.convert(content, kind)
    except (msgspec.ValidationError, ValueError, RecursionError, OverflowError) as error:
        raise RecordError(
            f"{path}: {error}. Somebody else's file is there, it was damaged after it was written, or another "
            f"version of the project wrote it; {_RESTORE}"
        ) from error


def _digest(content: dict[str, Any]) -> str:
    try:
        return digest(content)
    except RecursionError:
        return "none"
