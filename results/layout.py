"""Where things are in a results folder, and the reading side of studies and sweeps."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from harness.errors import RecordError, WriteError, nearest, refusal
from harness.keys import NAME, NAME_IN_WORDS
from harness.plan import Plan
from harness.provenance import Run
from results.documents import read_document
from results.journal import files_in

LOG_NAME = 100
"""Characters of a study's label that the name of its log keeps, at most."""


@dataclass(frozen=True, slots=True)
class Layout:
    """The paths of a results folder.

    ::

        sweeps/<name>/sweep.yaml        the sweep file as run
        sweeps/<name>/plan.json         its studies, labels and what analysis needs of its tasks
        sweeps/<name>/runs/<run>.json   provenance of each run
        sweeps/<name>/sources/<file>-<digest>.py  the users' files that its tasks and searchers came from
        sweeps/<name>/progress.json     how far its running driver last said to be; not part of the record
        sweeps/<name>/logs/<label>-<id>.log  what happened in a study, for people; not part of the record
        studies/<id>.jsonl              a study's events
        evaluations/<task>/<run>.jsonl  the evaluations a run trained, by key, shared by all studies
        machines/<id>.json              what numbers of a training depend on besides their key
        imported/<name>/                tables of what was run elsewhere; not part of the record
        inspections/<task>/<id>-<n>.npz  networks looked into after n epochs, for pictures; not part of the record
        driver.lock, driver.json        who is writing

    Files are named by content or by run, so two folders merge by copying one into the other.
    """

    root: Path

    def sweep(self, name: str) -> Path:
        """Folder of a sweep."""
        return self.root / "sweeps" / checked_name("sweep", name)

    def source(self, name: str, origin: str) -> Path:
        """A user's file that a sweep's tasks or searchers came from, by its `harness.files.Source.origin`."""
        return self.sweep(name) / "sources" / source_name(origin)

    def progress(self, name: str) -> Path:
        """Heartbeat of a sweep's driver; says nothing once that driver is gone."""
        return self.sweep(name) / "progress.json"

    def log(self, sweep: str, label: str, study_id: str) -> Path:
        """Log of a study in a sweep: named for people, and by the study's id, so that no two share one."""
        unique = checked_name("study", study_id)[:8]
        words = re.sub(r"[^A-Za-z0-9._=]+", "-", label).strip("-.")
        if len(words) > LOG_NAME:  # cut in its middle: searcher and repetition are at the ends
            words = f"{words[: LOG_NAME - 30]}--{words[-28:]}"
        return self.sweep(sweep) / "logs" / f"{words or 'study'}-{unique}.log"

    def study(self, study_id: str) -> Path:
        """Journal of a study."""
        return self.root / "studies" / f"{checked_name('study', study_id)}.jsonl"

    def evaluations(self, task: str) -> Path:
        """Folder of a task's evaluations."""
        return self.root / "evaluations" / checked_name("task", task)

    def machine(self, machine_id: str) -> Path:
        """Description of a machine."""
        return self.root / "machines" / f"{checked_name('machine', machine_id)}.json"

    def inspection(self, task: str, evaluation_id: str, epochs: int) -> Path:
        """What was seen inside a network after so many epochs; can be made anew."""
        return self.root / "inspections" / checked_name("task", task) / f"{evaluation_id}-{epochs}.npz"

    def imported(self, name: str) -> Path:
        """Folder with the tables of an import; no part of the record."""
        return self.root / "imported" / checked_name("import", name)

    def import_names(self) -> list[str]:
        """Names of the imports. Raises `RecordError` where the folder cannot be read."""
        folders = files_in(self.root / "imported", "*")
        return [folder.name for folder in folders if os.path.lexists(folder / "provenance.json")]

    def sweep_names(self) -> list[str]:
        """Names of the recorded sweeps. Raises `RecordError` where the folder cannot be read."""
        folders = files_in(self.root / "sweeps", "*")
        return [folder.name for folder in folders if os.path.lexists(folder / "plan.json")]

    def plan(self, name: str) -> Plan:
        """Return a recorded sweep's plan.

        Raises:
            RecordError: No sweep of that name was run into this folder, or its plan is damaged.
        """
        path = self.sweep(name) / "plan.json"
        try:
            return read_document(path, Plan)
        except FileNotFoundError:
            raise RecordError(
                f"no sweep called {name!r} in {self.root}; {nearest(name, self.sweep_names())}. "
                "Run it first, or give the folder it was run into with --results"
            ) from None

    def runs(self, name: str) -> list[Run]:
        """Return the provenance of a sweep's runs, oldest first. Raises `RecordError` where one is damaged."""
        runs = []
        for path in files_in(self.sweep(name) / "runs", "*.json"):
            try:
                runs.append(read_document(path, Run))
            except FileNotFoundError as error:
                raise RecordError(f"{path} is a link that leads nowhere; restore what it led to") from error
        return runs


def source_name(origin: str) -> str:
    """Return what the copy of a user's file is called: its own name and its digest, or raise `RecordError`."""
    found = re.fullmatch(rf"({NAME}) ([0-9a-f]{{16}})", origin)
    if found is None or not found[1].endswith(".py"):
        raise RecordError(
            f"expected the name and the digest of a file, such as my_task.py and 16 digits, got {origin!r}"
        )
    return f"{found[1].removesuffix('.py')}-{found[2]}.py"


def checked_name(kind: str, name: str) -> str:
    """Return a name that is safe as a file name, or raise `RecordError`."""
    if not re.fullmatch(NAME, name):
        raise RecordError(f"{kind} name {name!r} cannot be used: expected {NAME_IN_WORDS}")
    return name


def make_folder(path: Path) -> None:
    """Make a folder and its parents, or raise `WriteError`."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise WriteError(f"cannot make folder {path}: {refusal(error)}; mend it or use --results") from error


def write_atomically(path: Path, text: str, *, durable: bool = True) -> None:
    """Write a file whole or not at all.

    Args:
        path: The file.
        text: All it shall hold.
        durable: Wait until it is on the disk.

    Raises:
        WriteError: It cannot be written; what was there before stands.
    """
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    make_folder(path.parent)
    try:
        with draft.open("w", encoding="utf-8") as file:
            file.write(text)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        draft.replace(path)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise WriteError(f"cannot write {path}: {refusal(error)}; make room or mend the folder") from error
