"""Standard output and error of the command line: what becomes of them when nobody reads them, or nothing takes them."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from typing import Any, TextIO, TypeVar

from harness.errors import refusal

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
