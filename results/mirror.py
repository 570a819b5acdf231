"""A copy of a results folder kept in a bucket or shared folder while a sweep runs, and the way back from it.

Both ways are here, since what one writes is what the other must be able to read, at whatever byte it was cut.
What kind of place it is, is the matter of `results.bucket`.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import pyarrow as pa

from harness.errors import RecordError
from harness.plurals import plural
from results.bucket import RECORDED, ROOMS, Place
from results.journal import whole_lines
from results.layout import make_folder

_COMPARED = 1 << 20
_AT_ONCE = 8
_ENOUGH = 3
"""Failures after which a place is taken to be away."""


class Mirror:
    """Keeps a copy of a results folder up to date in the background.

    Starting it first brings what the copy has and the folder lacks into the folder, so that a run on a
    new machine goes on from the copy. The copy is a results folder like another at any moment: an
    evaluation is there before a study that was told it. Nothing is ever deleted from it.

    Not being able to copy never stops a sweep: see `problem`, and `notes` after closing.

    Args:
        root: The results folder. Whoever starts a mirror of it must be its writer, and read it only then.
        uri: Where the copy is: ``s3://bucket/folder``, ``gs://bucket/folder``, ``file:///folder`` or an
            absolute path. An empty place is made a copy.
        every: Seconds between two rounds of copying, more where a round takes long.

    Raises:
        RecordError: On starting: the place cannot be used, or holds a history that differs from the folder's.
    """

    def __init__(self, root: Path, uri: str, *, every: float = 60.0) -> None:
        if not every > 0:
            raise RecordError(f"seconds between two rounds of copying must be more than 0, not {every}")
        self.notes: list[str] = []
        """What was fetched and what could not be copied, for people."""
        self.problem = ""
        """Why the last round did not copy everything; empty when it did."""
        self.failed_rounds = 0
        self._root = root
        self._uri = uri
        self._every = every
        self._place: Place
        self._copied: dict[str, _Seen] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._copy_rounds, name="mirror", daemon=True)

    def start(self) -> None:
        """Check the place, fetch what the folder lacks, and begin to copy.

        Raises:
            RecordError: The place cannot be used, or holds a history that differs from the folder's.
        """
        self._place = Place(self._uri)
        self._place.prepare(self._root)
        fetched = fetch(self._place, self._root)
        if fetched:
            self.notes.append(
                f"fetched {plural(len(fetched), 'file of the record', 'files of the record')} from {self._place.shown}"
            )
        self._thread.start()

    def close(self) -> None:
        """Copy what is left, once more, and end; `notes` then says what could not be copied."""
        self._stop.set()
        self._thread.join()
        if self.problem:
            self.notes.append(
                f"the copy in {self._place.shown} is not complete: {self.problem}. The results folder {self._root} is; "
                "run the same command again to complete the copy"
            )
        elif self.failed_rounds:
            self.notes.append(
                f"copying to {self._place.shown} failed {plural(self.failed_rounds, 'time')} meanwhile; the copy is "
                "complete now"
            )

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _copy_rounds(self) -> None:
        pause = 0.0
        last = False
        while not last:
            last = self._stop.wait(pause)
            began = time.monotonic()
            try:
                self.problem = self._copy_round()
            except Exception as error:  # noqa: BLE001 - whatever it is must not end the thread unsaid
                self.problem = self._place.words(error)
            self.failed_rounds += bool(self.problem)
            # Big files are copied whole each time they grew; a fifth of the time is enough for that.
            took = 0.0 if self.problem else time.monotonic() - began
            pause = max(self._every, 4 * took)

    def _copy_round(self) -> str:
        """Copy what changed; return what went wrong, in words."""
        held = self._place.listing()
        self._note_other_writers(held)
        # Looked at in the reverse of the order in which it is written, copied in that order, no further than
        # it was looked at: what a file in the copy refers to is then in the copy before it.
        seen = {room: self._look(room) for room in reversed(ROOMS)}
        for room in ROOMS:
            files = {file.name: file for file in seen[room] if self._is_lacking(file, held)}
            problems = self._copy_all(files)
            if problems:
                return "; ".join(problems)
        return ""

    def _look(self, room: str) -> list[_Seen]:
        files = []
        for pattern in ROOMS[room]:
            for path in sorted((self._root / room).glob(pattern)):
                name = path.relative_to(self._root).as_posix()
                if not RECORDED.fullmatch(name):
                    continue
                try:
                    files.append(_look_at(path, name, self._copied.get(name)))
                except FileNotFoundError:  # set aside meanwhile
                    continue
        return files

    def _is_lacking(self, file: _Seen, held: dict[str, int]) -> bool:
        if held.get(file.name) != file.length:
            return True
        before = self._copied.get(file.name)
        # Lines were compared when this was started; what is not lines may differ at the same length.
        return not _has_lines(file.name) if before is None else before != file

    def _copy_all(self, files: dict[str, _Seen]) -> list[str]:
        return _each(files, lambda name: self._copy(files[name]), self._place)

    def _copy(self, file: _Seen) -> None:
        try:
            source = (self._root / file.name).open("rb")
        except FileNotFoundError:
            return
        with source:
            if os.fstat(source.fileno()).st_ino != file.inode:
                return  # Replaced since it was looked at: the next round looks again.
            self._copied.pop(file.name, None)
            self._place.write(file.name, source, file.length)
        self._copied[file.name] = file

    def _note_other_writers(self, held: dict[str, int]) -> None:
        for name, file in self._copied.items():
            if held.get(name, file.length) != file.length:
                note = (
                    f"another run writes to the copy in {self._place.shown} too ({name} was changed); give each run a "
                    "place of its own"
                )
                if note not in self.notes:
                    self.notes.append(note)
                return


def fetch(place: Place, root: Path) -> list[str]:
    """Bring what a copy has and a results folder lacks into the folder.

    A file of lines that is in both is taken from where it is longer, if one is the beginning of the
    other. Of other files those that are there stay. No driver may be writing to the folder meanwhile.

    Args:
        place: Where the copy is.
        root: The results folder; made where it does not exist.

    Returns:
        Names of the files that were written, relative to the folder.

    Raises:
        RecordError: The copy cannot be read, or a file differs; nothing was written for a file that differs.
    """
    try:
        held = place.listing()
    except (OSError, pa.ArrowException) as error:
        raise RecordError(place.refusal("read", error)) from error
    wanted: list[str] = []
    differing: list[str] = []

    def compare(name: str) -> None:
        path = root / name
        if not path.exists():
            wanted.append(name)
        elif _has_lines(name):
            length = _look_at(path, name, None).length
            if not _is_one_history(place, name, path, min(length, held[name])):
                if not _was_set_aside(place, name, path, held[name]):
                    differing.append(name)
            elif held[name] > length:
                wanted.append(name)

    def download(name: str) -> None:
        path = root / name
        draft = path.with_name(f".{path.name}.{os.getpid()}")
        make_folder(path.parent)
        try:
            with draft.open("wb") as file:
                for chunk in place.read(name):
                    file.write(chunk)
                file.flush()
                os.fsync(file.fileno())
            draft.replace(path)
        finally:
            draft.unlink(missing_ok=True)

    problems = _each(held, compare, place)
    if not problems and differing:
        names = ", ".join(sorted(differing))
        raise RecordError(
            f"{names}: what is in results folder {root} and what is in its copy {place.shown} differ: neither is the "
            "beginning of the other, so two runs wrote it, or it was damaged. Move away the one that you do not want, "
            "here or there, or give another folder with --results or another place with --sync-to"
        )
    for room in ROOMS:
        problems = problems or _each([n for n in wanted if n.startswith(f"{room}/")], download, place)
    if problems:
        raise RecordError(
            f"cannot fetch the record from {place.shown}: {'; '.join(problems)}. Nothing is lost; mend that and run "
            "the same command again"
        )
    return sorted(wanted)


def _is_one_history(place: Place, name: str, path: Path, length: int) -> bool:
    """Whether the first ``length`` bytes here and in the copy are the same.

    The last of them are compared. Every line holds measured seconds, so that two histories which differed
    before do not agree there, and a record of many gigabytes is not downloaded to be compared.
    """
    begin = max(0, length - _COMPARED)
    with path.open("rb") as file:
        file.seek(begin)
        return file.read(length - begin) == place.part(name, begin, length)


def _was_set_aside(place: Place, name: str, path: Path, length: int) -> bool:
    """Whether the copy is of a study that was begun again here since, by ``--on-mismatch restart``."""
    return path.parent.name == "studies" and any(
        aside.stat().st_size >= length and _is_one_history(place, name, aside, length)
        for aside in path.parent.glob(f"{path.stem}.set-aside-*")
    )


def _has_lines(name: str) -> bool:
    """Whether a file is only ever appended to; the others are replaced."""
    return not name.endswith((".json", ".yaml"))


@dataclass(frozen=True, slots=True)
class _Seen:
    """A file of the record at one moment; ``length`` is how many bytes of it are whole lines."""

    name: str
    inode: int
    size: int
    modified: int
    length: int


def _look_at(path: Path, name: str, before: _Seen | None) -> _Seen:
    with path.open("rb") as file:
        stat = os.fstat(file.fileno())
        stamp = (stat.st_ino, stat.st_size, stat.st_mtime_ns)
        if before is not None and stamp == (before.inode, before.size, before.modified):
            return before
        length = whole_lines(file, stat.st_size) if _has_lines(name) else stat.st_size
    return _Seen(name, *stamp, length)


def _each(names: Iterable[str], do: Callable[[str], None], place: Place) -> list[str]:
    """Do something with every file, several at once; return what went wrong, and give up when it is too much.

    The threads are daemons, unlike those of a pool, so that a place which hangs cannot keep the process.
    """
    waiting = deque(names)
    problems: list[str] = []

    def work() -> None:
        while len(problems) < _ENOUGH:
            try:
                name = waiting.popleft()
            except IndexError:
                return
            try:
                do(name)
            except Exception as error:  # noqa: BLE001 - told by the caller, like any other problem
                problems.append(place.words(error, name))

    threads = [threading.Thread(target=work, daemon=True) for _ in range(min(_AT_ONCE, len(waiting)))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return problems[:_ENOUGH]
