"""Append-only files of JSON lines that survive a crash at any byte."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from harness.errors import RecordError, WriteError

# Made once: to make it for every line is a third of the work.
_encode = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode


def read_lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the byte offset and content of each whole line.

    A last line without its end is what a crash leaves, and is left out: see `torn_tail`.

    Raises:
        RecordError: The file cannot be read, or a whole line is not a JSON object.
    """
    try:
        with path.open("rb") as file:
            offset = 0
            for number, line in enumerate(file, start=1):
                if not line.endswith(b"\n"):
                    return
                yield offset, parse_line(line, path, number)
                offset += len(line)
    except OSError as error:
        raise RecordError(f"cannot read {path}: {error.strerror}; check its permissions") from error


def parse_line(line: bytes, path: Path, number: int | None = None) -> dict[str, Any]:
    """Parse one line, or raise `RecordError` naming the place."""
    try:
        value = json.loads(line)
    except ValueError as error:
        value = error
    if not isinstance(value, dict):
        place = f"{path}, line {number}" if number else str(path)
        raise RecordError(
            f"{place}: expected a JSON object, got {line[:60]!r}. The file was damaged after it was written; "
            "restore it from a copy, or move it away to have what it held evaluated again"
        )
    return value


def torn_tail(path: Path) -> int:
    """Return how many bytes a crash left after the last whole line; 0 when there are none."""
    size = path.stat().st_size
    with path.open("rb") as file:
        return size - whole_lines(file, size)


def whole_lines(file: IO[bytes], size: int) -> int:
    """Return how many of a file's first ``size`` bytes are whole lines."""
    position = size
    while position > 0:
        step = min(1 << 16, position)
        position -= step
        file.seek(position)
        end = file.read(step).rfind(b"\n")
        if end >= 0:
            return position + end + 1
    return 0


def append_whole(file: int, size: int, data: bytes) -> None:
    """Append to an open file of that size, in bytes, whole or not at all.

    Raises:
        OSError: It could not be written; the file is as before.
    """
    try:
        written = 0
        while written < len(data):
            written += os.write(file, data[written:])
    except OSError:
        os.ftruncate(file, size)
        raise


class Appender:
    """Appends JSON lines to a file; each reaches the operating system before `append` returns.

    The file is made at the first append. A torn tail is cut off when it is opened.

    Args:
        path: The file; its folder must exist.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: int | None = None
        self._size = 0
        self._dirty = False

    def append(self, value: dict[str, Any]) -> int:
        """Write one line and return its byte offset.

        Raises:
            WriteError: It could not be written whole (a full disk, say); the file then ends with the
                line before, as if nothing had been tried.
        """
        line = (_encode(value) + "\n").encode()
        offset = self._size
        try:
            if self._file is None:
                self._open()
                offset = self._size
            assert self._file is not None  # noqa: S101 - opened above
            self._dirty = True
            append_whole(self._file, offset, line)
        except OSError as error:
            raise WriteError(
                f"cannot write {self.path}: {error.strerror}. Everything recorded so far is safe; "
                "make room or mend the folder, then run the same command again to go on"
            ) from error
        self._size = offset + len(line)
        return offset

    def sync(self) -> None:
        """Wait until everything appended is on the disk.

        Raises:
            WriteError: The disk refused.
        """
        if self._file is not None and self._dirty:
            try:
                os.fsync(self._file)
            except OSError as error:
                raise WriteError(f"cannot sync {self.path} to disk: {error.strerror}") from error
            self._dirty = False

    def close(self) -> None:
        """Sync and close."""
        if self._file is not None:
            try:
                self.sync()
            finally:
                os.close(self._file)
                self._file = None

    def _open(self) -> None:
        self._file = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        self._size = os.fstat(self._file).st_size
        tail = torn_tail(self.path) if self._size else 0
        if tail:
            self._size -= tail
            os.ftruncate(self._file, self._size)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
