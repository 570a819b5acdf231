"""The figures of the progress page: drawn anew now and then, by another process, while somebody looks."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

import msgspec

from harness.watch.drawing import SHOWN

REST: Final = 10
"""After drawing, nothing is drawn for so many times as long: it takes a small part of a core at most."""


class Shown(msgspec.Struct, frozen=True):
    """The figures as they are.

    Args:
        state: ``off``, ``none`` (nothing drawn yet), ``drawing`` or ``ready``.
        number: Raised whenever there are new ones; 0 before the first.
        age: Seconds since these were begun; ``None`` before the first.
        items: Those shown on the page: file without ending, what it is, task.
        problem: Why the last ones could not be drawn; empty where they could.
    """

    state: Literal["off", "none", "drawing", "ready"]
    number: int = 0
    age: float | None = None
    items: list[dict[str, str]] = []
    problem: str = ""


@dataclass(frozen=True, slots=True)
class _Drawing:
    """What is being drawn: where to, of what, and since when."""

    process: subprocess.Popen[bytes]
    number: int
    folder: Path
    of: object
    began: float

    @property
    def said(self) -> Path:
        """What the process says of a failure."""
        return _said(self.folder)


def _said(folder: Path) -> Path:
    return folder.with_suffix(".txt")


@dataclass(slots=True)
class Figures:
    """Draws a sweep's report into a folder of its own.

    Args:
        results: The results folder.
        name: The sweep.
        every: Seconds between two drawings, at least; ``None`` draws nothing.
    """

    results: Path
    name: str
    every: float | None
    _folder: Path = field(init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)
    _drawing: _Drawing | None = field(default=None, init=False)
    _last: _Drawing | None = field(default=None, init=False)
    _next: float = field(default=0.0, init=False)
    _current: _Drawing | None = field(default=None, init=False)
    _files: frozenset[str] = field(default=frozenset(), init=False)
    _shown: Shown = field(default_factory=lambda: Shown("none"), init=False)

    def __post_init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="derby-watch-"))
        if self.every is None:
            self._shown = Shown("off")

    def consider(self, of: object) -> Shown:
        """Return the figures, after seeing whether it is time to draw them anew.

        Args:
            of: What they are of, such as how many studies are done; the same is not drawn twice. ``None``: there is
                nothing to draw.
        """
        with self._lock:
            if self.every is None:
                return self._shown
            now = time.monotonic()
            if self._drawing is not None and self._drawing.process.poll() is not None:
                self._end(self._drawing, self.every, now)
            news = of is not None and (self._last is None or of != self._last.of)
            if self._drawing is None and news and now >= self._next:
                self._drawing = self._last = self._begin(of, now)
            return msgspec.structs.replace(
                self._shown,
                state="drawing" if self._drawing is not None else self._shown.state,
                age=now - self._current.began if self._current is not None else None,
            )

    def file(self, name: str) -> bytes | None:
        """Return a file of the report as it is now, such as ``figures/x.png``; ``None`` where there is no such.

        Names are compared with those of the files that were drawn: no other path can be asked for.
        """
        with self._lock:
            if self._current is None or name not in self._files:
                return None
            try:
                return (self._current.folder / name).read_bytes()
            except OSError:
                return None

    def close(self) -> None:
        """End what draws, and remove what was drawn."""
        with self._lock:
            if self._drawing is not None:
                self._drawing.process.kill()
                self._drawing.process.wait()
            self._drawing, self.every = None, None
            shutil.rmtree(self._folder, ignore_errors=True)

    def _begin(self, of: object, now: float) -> _Drawing:
        number = 1 if self._last is None else self._last.number + 1
        folder = self._folder / str(number)
        command = [sys.executable, "-P", "-m", "harness.watch.drawing"]
        with _said(folder).open("wb") as said:
            process = subprocess.Popen(  # noqa: S603 - this Python, our own code
                [*command, str(self.results), self.name, str(folder)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=said,
                start_new_session=True,  # Ctrl-C in the terminal is for the page's process, which ends this one
            )
        return _Drawing(process, number, folder, of, now)

    def _end(self, drawing: _Drawing, every: float, now: float) -> None:
        self._drawing = None
        self._next = drawing.began + max(every, REST * (now - drawing.began))
        if drawing.process.returncode == 0:
            self._take(drawing)
            return
        words = drawing.said.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        reason = words[-1] if words else f"the process that draws ended with {drawing.process.returncode}"
        self._shown = msgspec.structs.replace(self._shown, problem=reason)
        shutil.rmtree(drawing.folder, ignore_errors=True)

    def _take(self, drawing: _Drawing) -> None:
        before, folder = self._current, drawing.folder
        items: list[dict[str, str]] = json.loads((folder / SHOWN).read_text(encoding="utf-8"))
        self._files = frozenset(
            path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()
        )
        self._current = drawing
        self._shown = Shown("ready", drawing.number, 0.0, items)
        if before is not None:
            shutil.rmtree(before.folder, ignore_errors=True)
