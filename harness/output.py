"""Standard output and error of the command line: what becomes of them when nobody reads them, or nothing takes them."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self, TextIO, TypeVar

from harness.errors import DerbyError, refusal

T = TypeVar("T")


class OutputLostError(BaseException):
    """Standard output cannot be written; no `Exception`, so that nothing on the way takes it for its own.

    Attributes:
        closed: Whether its reader closed it, as ``head`` does.
    """

    def __init__(self, error: OSError) -> None:
        super().__init__(f"cannot write standard output: {refusal(error)}")
        self.closed = isinstance(error, BrokenPipeError)


class Stream:
    """A standard stream that says once that it cannot be written, and from then on drops what it is given.

    Args:
        stream: Where it writes.
        tolerant: Whether it says nothing even then.
    """

    def __init__(self, stream: TextIO, *, tolerant: bool) -> None:
        self._stream = stream
        self.tolerant = tolerant

    def write(self, text: str) -> int:
        """Write a text."""
        self._guarded(lambda: self._stream.write(text))
        return len(text)

    def flush(self) -> None:
        """Write what is kept back."""
        self._guarded(self._stream.flush)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def _guarded(self, act: Callable[[], T]) -> None:
        try:
            act()
        except OSError as error:
            # What it still keeps back is written when the interpreter ends, and must not fail again then.
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)
            if not self.tolerant:
                raise OutputLostError(error) from error


def guard() -> None:
    """Take over the standard streams of this process."""
    # A file opened later would take the place of one that is closed, and get what libraries print.
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest that is free
    if sys.stdout is not None:
        sys.stdout = Stream(sys.stdout, tolerant=False)
    if sys.stderr is not None:
        sys.stderr = Stream(sys.stderr, tolerant=True)


@contextlib.contextmanager
def may_be_lost() -> Iterator[None]:
    """Go on inside this when standard output cannot be written: the work counts more than what is shown of it."""
    stream = sys.stdout
    if not isinstance(stream, Stream):
        yield
        return
    stream.tolerant = True
    try:
        yield
    finally:
        stream.tolerant = False


class Aside:
    """Keeps standard error, at the level of the file descriptor, out of a live display: in a file.

    Libraries write there from C++ and from processes of their own, which no stream of Python sees. Until there is a
    place for it, what comes is held back; where an error ends that, other than one with a message for people, all of
    it is passed on, for it may say why.

    Args:
        active: Whether to do anything: there is a display, and standard error is where it is.
    """

    def __init__(self, *, active: bool) -> None:
        self._active = active
        self._original = -1
        self._file: IO[bytes] | None = None
        self._path: Path | None = None
        self._before = 0

    def __enter__(self) -> Self:
        if self._active:
            self._original = os.dup(2)
            self._into(tempfile.TemporaryFile())
            _last_words.append(self._original)
        return self

    def keep_in(self, path: Path) -> None:
        """Keep it in a file, which is appended to, from now on; and what has come so far."""
        if self._file is None or self._path is not None:
            return
        held = self._file
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("ab")
        self._before = file.tell()
        held.seek(0)
        file.write(held.read())
        file.flush()
        self._into(file)
        self._path = path
        held.close()

    @property
    def kept(self) -> Path | None:
        """The file, where anything was written to it."""
        if self._path is None or self._path.stat().st_size == self._before:
            return None
        return self._path

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is None:
            return
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.flush()
        _last_words.remove(self._original)
        os.dup2(self._original, 2)
        os.close(self._original)
        if self._path is None and error is not None and not isinstance(error, DerbyError | KeyboardInterrupt):
            self._file.seek(0)
            os.write(2, self._file.read())
        elif self._path is not None and self._path.stat().st_size == self._before == 0:
            self._path.unlink()
        self._file.close()

    def _into(self, file: IO[bytes]) -> None:
        self._file = file
        os.dup2(file.fileno(), 2)


_last_words: list[int] = []
"""Where standard error went before it was put aside."""


def say_at_once(text: bytes) -> None:
    """Write to standard error, also where that is put aside, and whatever else is being printed."""
    with contextlib.suppress(OSError):
        os.write(_last_words[-1] if _last_words else 2, text)
