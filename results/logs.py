"""Logs of studies for people: what happened in each, line by line; no part of the record, and never read back.

A line is the time (UTC, to the millisecond), one word that says what happened, and the rest::

    2026-11-22T02:03:04.123Z opened     optuna_tpe on mnist_mlp/small, repetition 3: budget 60 evaluations
    2026-11-22T02:03:04.130Z asked      trial 0: {"lr": 0.01}, up to 10 epochs
    2026-11-22T02:03:04.131Z submitted  trial 0
    2026-11-22T02:03:09.870Z returned   trial 0: ok in 5.71 s on evaluator 2
"""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from harness.errors import WriteError, refusal
from results.journal import append_whole
from results.layout import make_folder

FLUSH_SECONDS = 1.0
"""A line waits at most this long for the next call; a killed process loses what waits."""


class StudyLogs:
    """Appends lines to the logs of studies, see `results.layout.Layout.log`.

    Lines wait in memory, and a log is open only while they are written, so that thousands of short studies
    cost little and hold no files. What could not be written waits on, and is tried again at the next call.
    """

    def __init__(self) -> None:
        self._waiting: dict[Path, list[str]] = {}
        self._flushed = time.monotonic()

    def line(self, log: Path, what: str, message: str = "") -> None:
        """Log what happened, as of now.

        Further lines of a message, such as a traceback's, are indented, and control characters are spelt out:
        no message can pass for a line of its own.

        Raises:
            WriteError: Lines that waited cannot be written.
        """
        at = datetime.now(UTC).isoformat(timespec="milliseconds")[: -len("+00:00")]
        text = f"{at}Z {_harmless(f'{what:<10} {message}'.rstrip())}\n"
        self._waiting.setdefault(log, []).append(text)
        self.flush()

    def flush(self, *, now: bool = False) -> None:
        """Write the lines that wait, at most every `FLUSH_SECONDS` unless ``now``; call it often.

        Raises:
            WriteError: They cannot be written.
        """
        if not now and time.monotonic() - self._flushed < FLUSH_SECONDS:
            return
        for log, lines in list(self._waiting.items()):
            _append(log, "".join(lines).encode())
            del self._waiting[log]
        self._flushed = time.monotonic()

    def close(self) -> None:
        """Write the lines that wait."""
        self.flush(now=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _harmless(text: str) -> str:
    if text.isprintable():
        return text
    return "\n    ".join(
        "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in line.expandtabs(4))
        for line in text.splitlines()
    )


def _append(path: Path, data: bytes) -> None:
    """Append to a file whole or not at all; it is made, and its folder, where it is missing."""
    try:
        try:
            file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        except FileNotFoundError:
            make_folder(path.parent)
            file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            append_whole(file, os.fstat(file).st_size, data)
        finally:
            os.close(file)
    except OSError as error:
        raise WriteError(
            f"cannot write the log {path}: {refusal(error)}. Everything recorded so far is safe; "
            "make room or mend the folder, then run the same command again to go on"
        ) from error
