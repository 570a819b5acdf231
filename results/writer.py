"""The writing side of a results folder: one driver at a time appends studies and evaluations."""

from __future__ import annotations

import contextlib
import os
import secrets
import time
import warnings
from collections.abc import Collection, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from filelock import FileLock, Timeout

from harness.errors import RecordError, WriteError, refusal
from harness.keys import EvaluationKey, StudyKey
from harness.machine import Machine
from harness.plan import Plan
from harness.plurals import plural
from harness.progress import Snapshot
from harness.provenance import Run
from harness.trial import Evaluation
from results.documents import Beat, Holder, document, machine_document, read_document, read_machine
from results.journal import Appender, torn_tail
from results.layout import Layout, checked_name, make_folder, write_atomically
from results.reading import evaluation_of, read_evaluation, read_evaluations, serving
from results.schema import (
    EVALUATIONS,
    EvaluationLine,
    encoded,
)
from results.study_journal import StudyJournal

SYNC_SECONDS = 1.0
"""A power cut loses at most this much of the record; a killed process loses nothing it appended."""


_FILE_BITS = 24
"""Bits of a place that number the file, of which there is one for each run of each task."""


class _Index:
    """Where evaluations are recorded, by id: a hundred bytes each, since there may be millions of them."""

    def __init__(self) -> None:
        self._files: list[Path] = []
        self._numbers: dict[Path, int] = {}
        self._places: dict[int, int] = {}
        """Offset and number of the file of the first record of an id (which is hexadecimal), as one number."""
        self._more: dict[int, list[int]] = {}
        """Those of later records, such as of more epochs."""

    def add(self, key_id: str, path: Path, offset: int) -> None:
        """Note one record of an id."""
        number = self._numbers.get(path)
        if number is None:
            number = self._numbers[path] = len(self._files)
            self._files.append(path)
        place, key = offset << _FILE_BITS | number, int(key_id, 16)
        if self._places.setdefault(key, place) != place:
            self._more.setdefault(key, []).append(place)

    def places(self, key_id: str) -> Iterator[tuple[Path, int]]:
        """Yield file and offset of the records of an id, oldest first."""
        key = int(key_id, 16)
        first = self._places.get(key)
        if first is not None:
            for place in (first, *self._more.get(key, ())):
                yield self._files[place & (1 << _FILE_BITS) - 1], place >> _FILE_BITS


class RecordWriter:
    """The only writer of a results folder.

    Args:
        root: The results folder; made where it does not exist.
        sweep: Name of the sweep, told to whoever is refused meanwhile.
        host: Name of this machine.
        pid: This process.

    Raises:
        RecordError: Another driver is writing to the folder, or it cannot be written.
    """

    def __init__(self, root: Path, *, sweep: str, host: str, pid: int) -> None:
        self.layout = Layout(root)
        self.run = f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(3)}"
        self.notes: list[str] = []
        """What loading found and mended, for people."""
        own = (root / "driver.lock", root / "driver.json", root / "studies", root, *root.parents)
        self._new = [path for path in own if not os.path.lexists(path)]
        """What this makes of the folder itself, innermost first: a run that is refused takes it away again."""
        self._recorded = False
        """Whether anything was written besides."""
        make_folder(root / "studies")
        # A status command holds the lock for an instant to see whether it is free: hence not zero.
        self._lock = FileLock(root / "driver.lock", timeout=0.5)
        try:
            _acquire(self._lock)
        except Timeout:
            left = _LEFT.format(root / "driver.lock") if _is_plain_file(root) else ""
            raise RecordError(f"{root} is being written by {holder_of(root)}; {_REFUSED}{left}") from None
        except OSError as error:
            raise RecordError(f"cannot lock results folder {root}: {refusal(error)}") from error
        try:
            since = datetime.now(UTC).isoformat(timespec="seconds")
            write_atomically(root / "driver.json", document(Holder(host, pid, sweep, since, self.run)))
        except RecordError:
            self._lock.release()
            raise
        if _is_plain_file(root):
            self.notes.append(f"{root}: {_NO_LOCKS}")
        self._index = _Index()
        self._indexed: set[str] = set()
        self._evaluations: dict[str, Appender] = {}
        self._journals: list[StudyJournal] = []
        self._machines: set[str] = set()
        self._synced = time.monotonic()

    @property
    def recorded(self) -> bool:
        """Whether a sweep has been recorded."""
        return self._recorded

    # Evaluations.

    def find(
        self, key: EvaluationKey, epochs: int, deadline: float | None, metrics: Collection[str] = ()
    ) -> Evaluation | None:
        """Return the recorded evaluation up to ``epochs``, from the oldest record that is `serving`.

        Args:
            key: The evaluation.
            epochs: Epochs it must reach.
            deadline: Seconds it may take.
            metrics: Columns that its curve must have.

        Raises:
            RecordError: A record is damaged.
        """
        self._load(key.task.name)
        for path, offset in self._index.places(key.id):
            evaluation = serving(read_evaluation(path, offset), epochs, deadline, metrics)
            if evaluation is not None:
                return evaluation
        return None

    def add(self, key: EvaluationKey, evaluation: Evaluation, machine: Machine) -> None:
        """Record an evaluation.

        Raises:
            ProtocolError: It holds what the record cannot.
            WriteError: It cannot be written.
        """
        task = key.task.name
        self._load(task)
        if task not in self._evaluations:
            folder = self.layout.evaluations(task)
            make_folder(folder)
            self._evaluations[task] = Appender(folder / f"{self.run}.jsonl")
        self.add_machine(machine)
        appender = self._evaluations[task]
        offset = appender.append(encoded(EvaluationLine.of(key, evaluation), EVALUATIONS))
        self._index.add(key.id, appender.path, offset)

    def add_machine(self, machine: Machine) -> None:
        """Record the description of a machine, once.

        Raises:
            WriteError: It cannot be written.
        """
        if machine.id not in self._machines:
            path = self.layout.machine(machine.id)
            try:
                read_machine(path)
            except RecordError:  # it is new, or damaged: either way it is known what belongs there
                write_atomically(path, machine_document(machine.description))
            self._machines.add(machine.id)

    def _load(self, task: str) -> None:
        if task in self._indexed:
            return
        paths = {}
        for bunch in read_evaluations(self.layout.evaluations(task)):
            paths[bunch.path] = True
            for number, (offset, line) in enumerate(
                zip(bunch.offsets, bunch.lines, strict=True), bunch.number
            ):
                evaluation_of(line, bunch.path, number)
                self._index.add(line.id, bunch.path, offset)
        for path in paths:
            if torn := torn_tail(path):
                self.notes.append(
                    f"{path}: dropped an unfinished last line ({plural(torn, 'byte')}), left by a crash; its "
                    "evaluation will be run again"
                )
        self._indexed.add(task)

    # Studies and sweeps.

    def journal(self, key: StudyKey, versions: dict[str, str], *, restart: bool = False) -> StudyJournal:
        """Open a study's journal for replay and appending.

        Args:
            key: The study.
            versions: Versions of the libraries its proposals depend on.
            restart: Set what is recorded aside, under another name, and begin anew.
        """
        path = self.layout.study(key.id)
        if restart:
            try:
                path.replace(path.with_name(f"{key.id}.set-aside-{self.run}"))
            except FileNotFoundError:
                pass
            except OSError as error:
                raise WriteError(f"cannot set {path} aside: {refusal(error)}; mend the folder") from error
        journal = StudyJournal(
            path, key, versions, lambda machine: read_machine(self.layout.machine(machine))
        )
        if journal.torn:
            self.notes.append(
                f"{path}: dropped an unfinished last line ({plural(journal.torn, 'byte')}), left by a crash"
            )
        self._journals.append(journal)
        return journal

    def close_journal(self, journal: StudyJournal) -> None:
        """Sync and close a journal."""
        self._journals.remove(journal)
        journal.close()

    def write_sweep(self, name: str, text: str, plan: Plan) -> None:
        """Record a sweep file as run and its plan."""
        self._recorded = True
        folder = self.layout.sweep(checked_name("sweep", name))
        write_atomically(folder / "sweep.yaml", text)
        write_atomically(folder / "plan.json", document(plan))

    def write_sources(self, name: str, sources: Mapping[str, str]) -> None:
        """Record what the users' files hold that a sweep's tasks and searchers come from, by their origin."""
        for origin, text in sources.items():
            path = self.layout.source(name, origin)
            if not path.exists():  # it is named by its content
                write_atomically(path, text)

    def write_run(self, name: str, provenance: Run) -> None:
        """Record the provenance of this run; written anew as the run learns more."""
        path = self.layout.sweep(name) / "runs" / f"{self.run}.json"
        write_atomically(path, document(provenance))

    def write_progress(self, name: str, snapshot: Snapshot) -> None:
        """Leave word of how far this run is, for `results.summary.heartbeat_of`; not part of the record.

        Raises:
            WriteError: It cannot be written.
        """
        text = document(Beat(self.run, snapshot))
        write_atomically(self.layout.progress(name), text, durable=False)

    # Durability.

    def sync(self, *, now: bool = False) -> None:
        """Bring what was appended to the disk, at most every `SYNC_SECONDS` unless ``now``."""
        if not now and time.monotonic() - self._synced < SYNC_SECONDS:
            return
        # Evaluations first: a study that mentions one then never survives it.
        for appender in self._evaluations.values():
            appender.sync()
        for journal in self._journals:
            journal.sync()
        self._synced = time.monotonic()

    def close(self) -> None:
        """Sync, close every file and let the folder go."""
        try:
            for appender in self._evaluations.values():
                appender.close()
            for journal in self._journals:
                journal.close()
        finally:
            if not self._recorded:
                self._leave_no_trace()
            self._lock.release()

    def _leave_no_trace(self) -> None:
        """Remove what this made of the folder, unless anything else is in it."""
        root = self.layout.root
        try:
            if {*root.iterdir(), *(root / "studies").iterdir()} - set(self._new):
                return
        except OSError:  # it is gone, or cannot be read: there is nothing to tidy
            return
        for path in self._new:
            with contextlib.suppress(OSError):
                if path.is_dir():
                    path.rmdir()
                else:
                    path.unlink()  # who waits for the lock sees that its file is gone, and takes a new one

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


_REFUSED = (
    "only one driver may write to a folder: wait for it, stop it, or give another folder with --results"
)

_LEFT = (
    ". The lock is a plain file there, since that file system gives no locks, and stays when a driver is killed "
    "together with its machine: where none runs any more, remove {}"
)
_NO_LOCKS = (
    "its file system gives no locks, so that a plain file, driver.lock, stands for one; a driver that is killed "
    "together with its machine leaves it behind, for you to remove"
)


def _acquire(lock: FileLock) -> None:
    """Take a lock, where a file system gives none by a plain file; what the library would print then is said here."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "flock not supported", UserWarning)
        lock.acquire()


def _is_plain_file(root: Path) -> bool:
    """Tell whether a lock that is held is a file that names its holder; otherwise its file is empty."""
    try:
        return (root / "driver.lock").stat().st_size > 0
    except OSError:
        return False


def holder_of(root: Path) -> str:
    """Describe who wrote to a results folder last."""
    try:
        holder = read_document(root / "driver.json", Holder)
        return f"sweep {holder.sweep!r} on {holder.host}, process {holder.pid}, since {holder.since}"
    except (RecordError, FileNotFoundError):
        return "another driver, which left no name"


def is_held(root: Path) -> bool:
    """Whether a driver is writing to a results folder now."""
    lock = FileLock(root / "driver.lock", timeout=0)
    try:
        if not (root / "driver.lock").exists():
            return False
        _acquire(lock)
    except Timeout:
        return True
    except OSError:
        return False
    lock.release()
    return False
