"""Append-only files of lines that survive a crash at any byte, and in which no later change goes unnoticed.

Every line is a JSON object whose last field is its check: a CRC-32 of the line and of where in the file it begins. So a
changed digit is found, and a line that was dropped, repeated or moved, since then others begin elsewhere.
"""

from __future__ import annotations

import hashlib
import os
import stat
import zlib
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from harness.errors import RecordError, WriteError, refusal

_CHECK = b',"check":"%08x"}\n'
_END = len(_CHECK % 0)
_OFFSETS = 0xFFFFFFFF

RESTORE = "restore it from a copy, or move it away to have what it held run again"


def sealed(content: bytes, offset: int) -> bytes:
    """Return a line of the file: an object's JSON with its check.

    Args:
        content: The JSON of an object with at least one field.
        offset: Byte of the file at which the line begins.
    """
    body = content[:-1]
    return body + _CHECK % zlib.crc32(body, offset & _OFFSETS)


def is_sound(line: bytes | memoryview, offset: int) -> bool:
    """Whether a line that begins at a byte of its file is as it was written there."""
    body, end = line[:-_END], bytes(line[-_END:])
    return end == _CHECK % zlib.crc32(body, offset & _OFFSETS)


def check_lines(data: bytes, path: Path, begin: int = 0, number: int = 1) -> list[int]:
    """Return where in a file each line begins, or raise `RecordError` naming the first that is not as written.

    Args:
        data: Whole lines.
        path: The file.
        begin: Byte of the file at which they begin.
        number: 1-based number of the first line.
    """
    view, position = memoryview(data), 0
    places: list[int] = []
    find, is_there, crc = data.find, data.startswith, zlib.crc32
    while position < len(data):
        end = find(b"\n", position) + 1
        check = max(end - _END, position)
        offset = begin + position
        if not is_there(_CHECK % crc(view[position:check], offset & _OFFSETS), check):
            refuse_line(data[position:end], path, number + len(places))
        places.append(offset)
        position = end
    return places


def refuse_line(line: bytes, path: Path, number: int | None) -> None:
    """Raise `RecordError` for a line that does not have its check."""
    has_check = line[-_END:].startswith(_CHECK[:10])
    came = "its check does not match its content and place" if has_check else "it does not end with its check"
    raise RecordError(
        f"{place_of(path, number)}: expected a line as it was written there, but {came}: {line[:60]!r}. A line "
        "was changed, dropped, repeated or moved after it was written, or another version of the project wrote it; "
        f"{RESTORE}"
    )


def place_of(path: Path, number: int | None) -> str:
    """Name a line of a file, or the file where the line is not known."""
    return f"{path}, line {number}" if number else str(path)


def digest_of(data: bytes | memoryview) -> str:
    """Return the first 16 hex digits of the SHA-256 of bytes."""
    return hashlib.sha256(data).hexdigest()[:16]


def open_file(path: Path) -> IO[bytes]:
    """Open a file of the record for reading.

    Raises:
        FileNotFoundError: There is none.
        RecordError: It cannot be read, or is something else than a file: a folder, or a pipe that would never end.
    """
    try:
        number = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        raise
    except (OSError, ValueError) as error:  # a name with a null byte is a ValueError
        raise _unreadable(path, error) from error
    mode = os.fstat(number).st_mode
    if not stat.S_ISREG(mode):
        os.close(number)
        kind = "folder" if stat.S_ISDIR(mode) else "pipe" if stat.S_ISFIFO(mode) else "device"
        raise RecordError(f"cannot read {path}: expected a file, found a {kind}; move it away, or {RESTORE}")
    return os.fdopen(number, "rb")


def read_file(path: Path) -> bytes:
    """Return a file's bytes. Raises as `open_file` does."""
    with open_file(path) as file:
        try:
            return file.read()
        except OSError as error:
            raise _unreadable(path, error) from error


def files_in(folder: Path, pattern: str) -> list[Path]:
    """Return the files of a folder of the record in the order of their names; none where there is no folder.

    Raises:
        RecordError: The folder cannot be read, or is none.
    """
    try:
        with os.scandir(folder) as entries:
            names = sorted(entry.name for entry in entries)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise _unreadable(folder, error) from error
    return [folder / name for name in names if Path(name).match(pattern)]


def _unreadable(path: Path, error: OSError | ValueError) -> RecordError:
    return RecordError(f"cannot read {path}: {refusal(error)}; check what it is and its permissions")


def torn_tail(path: Path) -> int:
    """Return how many bytes a crash left after the last whole line; 0 when there are none. Raises as `open_file`."""
    with open_file(path) as file:
        size = os.fstat(file.fileno()).st_size
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
    """Appends lines with their checks to a file; each reaches the operating system before `append` returns.

    The file is made at the first append. A torn tail is cut off when it is opened.

    Args:
        path: The file; its folder must exist.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: int | None = None
        self._size = 0
        self._dirty = False

    def append(self, content: bytes) -> int:
        """Write one line and return its byte offset.

        Args:
            content: The JSON of an object.

        Raises:
            WriteError: It could not be written whole (a full disk, say); the file then ends with the
                line before, as if nothing had been tried.
        """
        try:
            file = self._opened()
            offset = self._size
            line = sealed(content, offset)
            self._dirty = True
            append_whole(file, offset, line)
        except OSError as error:
            raise self._failed(error) from error
        self._size = offset + len(line)
        return offset

    def digest(self) -> str:
        """Return the first 16 hex digits of the SHA-256 of all lines so far, those of earlier runs included.

        Raises:
            WriteError: The file cannot be opened.
        """
        try:
            self._opened()
            with self.path.open("rb") as file:
                return digest_of(file.read(self._size))
        except OSError as error:
            raise self._failed(error) from error

    def sync(self) -> None:
        """Wait until everything appended is on the disk.

        Raises:
            WriteError: The disk refused.
        """
        if self._file is not None and self._dirty:
            try:
                os.fsync(self._file)
            except OSError as error:
                raise WriteError(f"cannot sync {self.path} to disk: {refusal(error)}") from error
            self._dirty = False

    def close(self) -> None:
        """Sync and close."""
        if self._file is not None:
            try:
                self.sync()
            finally:
                os.close(self._file)
                self._file = None

    def _opened(self) -> int:
        if self._file is None:
            self._file = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
            self._size = os.fstat(self._file).st_size
            tail = torn_tail(self.path) if self._size else 0
            if tail:
                self._size -= tail
                os.ftruncate(self._file, self._size)
        return self._file

    def _failed(self, error: OSError) -> WriteError:
        return WriteError(
            f"cannot write {self.path}: {refusal(error)}. Everything recorded so far is safe; "
            "make room or mend the folder, then run the same command again to go on"
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
