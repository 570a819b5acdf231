"""The results folder as a run will find it: can it be written, is there room, does its lock hold, who holds it."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from filelock import FileLock, SoftFileLock

from harness.doctor.findings import Finding, fine, problem, size, warning
from harness.errors import RecordError, refusal
from harness.plan import Plan
from results.bucket import Place
from results.summary import Cost, expected_cost
from results.writer import holder_of, is_held

EVALUATION_BYTES: Final = 1500
"""What an evaluation takes in the record besides its curves, with its share of its study's journal."""
EPOCH_BYTES: Final = 300
"""What an epoch takes, of the training task with the most metrics."""
LEAST_BYTES: Final = 50_000_000
"""Free space below which a run is not worth beginning, whatever it writes: logs and reports are written, too."""

FLEETING: Final = ("tmpfs", "ramfs", "overlay")
"""File systems that end with the machine or its container."""
SHARED: Final = ("nfs", "nfs4", "cifs", "smb3", "lustre", "gpfs", "beegfs", "ceph", "glusterfs", "9p", "afs")
"""File systems that come over a network."""

LOCK_SECONDS: Final = 30.0
"""How long a second process may take to try the lock."""
_SECOND: Final = """\
import sys
from filelock import FileLock, Timeout
try:
    FileLock(sys.argv[1], timeout=0).acquire()
except Timeout:
    sys.exit(0)
sys.exit(3)
"""


@contextlib.contextmanager
def place_to_try(results: Path) -> Iterator[Path]:
    """Yield a new folder in a results folder, or where one would be made, and remove it.

    Raises:
        OSError: It cannot be made.
    """
    base = results.absolute()
    while not os.path.lexists(base):
        base = base.parent
    folder = base / f".derby-doctor-{secrets.token_hex(4)}"
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def examine_folder(results: Path, plan: Plan | None) -> Iterator[Finding]:
    """Yield what a run will find of its results folder on this machine.

    Args:
        results: The folder; it may be absent.
        plan: The plan of the sweep to be run; ``None``: no sweep was named.
    """
    try:
        with place_to_try(results) as folder:
            with (folder / "written").open("wb") as file:
                file.write(b"{}\n" * 1000)
                file.flush()
                os.fsync(file.fileno())
            (folder / "written").replace(folder / "renamed")
            kind = file_system(folder)
            yield _kind(results, kind)
            free = shutil.disk_usage(folder).free
            yield from _lock(folder, results, kind)
    except OSError as error:
        yield problem(
            "results",
            f"{results} cannot be written: {refusal(error)}",
            "mend the folder, or give another one with --results",
        )
        return
    if is_held(results):
        yield problem(
            "results",
            f"{results} is being written by {holder_of(results)}",
            "wait for that driver, stop it, or give another folder with --results: only one may write to a folder",
        )
    yield from _room(results, plan, free)


def _kind(results: Path, kind: str) -> Finding:
    if kind in FLEETING:
        return warning(
            "results",
            f"{results} can be written, and is on {kind}, which is gone when the machine or its container ends",
            "use a folder on a disk, or keep a copy with --sync-to",
        )
    return fine("results", f"{results} can be written{f'; its file system is {kind}' if kind else ''}")


def _lock(folder: Path, results: Path, kind: str) -> Iterator[Finding]:
    """Yield whether a lock in a folder keeps a second process out."""
    cure = (
        "have its file system mounted with locks, or give a folder on another one with --results; until then, see to "
        "it that only one driver runs at a time"
    )
    lock = FileLock(folder / "lock", timeout=0)
    try:
        lock.acquire()
    except OSError as error:
        yield problem("results", f"{results}: its file system gives no lock: {refusal(error)}", cure)
        return
    try:
        second = subprocess.run(  # noqa: S603 - a fixed program, and a path of our own
            [sys.executable, "-c", _SECOND, str(folder / "lock")],
            capture_output=True,
            timeout=LOCK_SECONDS,
            check=False,
        ).returncode
    except subprocess.TimeoutExpired:
        yield problem(
            "results", f"{results}: a lock in it was not answered for within {LOCK_SECONDS:g} s", cure
        )
        return
    finally:
        lock.release()
    if second == 3:
        yield problem("results", f"{results}: a second process got the lock that this one held", cure)
    elif second:
        yield problem("results", f"{results}: a second process could not try the lock", cure)
    elif isinstance(lock, SoftFileLock):
        yield warning(
            "results", f"{results}: its file system has no locks; the presence of a file stands for one"
        )
    else:
        over = " on this machine" if kind in SHARED else ""
        yield fine("results", f"a lock in it keeps a second driver{over} out")


def _room(results: Path, plan: Plan | None, free: float) -> Iterator[Finding]:
    try:
        costs: Mapping[str, Cost] = {} if plan is None else expected_cost(results, plan)
    except RecordError as error:
        yield problem("results", str(error), "restore it from a copy, or give another folder with --results")
        return
    need = sum(map(_bytes, costs.values()))
    text = f"{size(free)} are free there" + (f"; the sweep will write about {size(need)}" if need else "")
    if free < max(need, LEAST_BYTES):
        yield problem("results", text, "make room, or give a folder on another disk with --results")
    else:
        yield fine("results", text)


def _bytes(cost: Cost) -> float:
    """Return about how much of a task's record is still to be written."""
    left = cost.evaluations + cost.reevaluations - cost.evaluations_told - cost.reevaluated
    epochs = cost.epochs * left / max(cost.evaluations + cost.reevaluations, 1)
    return max(left, 0) * EVALUATION_BYTES + max(epochs, 0) * EPOCH_BYTES


def examine_copy(results: Path, uri: str) -> Finding:
    """Return whether the place of `--sync-to` can be written."""
    made = Path(uri.removeprefix("file://"))
    new = made.is_absolute() and not made.exists()
    try:
        place = Place(uri)
        place.prepare(results)
    except RecordError as error:
        return problem("copy", str(error), "mend that place, or give another one with --sync-to")
    if new:
        made.rmdir()  # the run makes it
    return fine("copy", f"{place.shown} can be written")


def file_system(folder: Path, mounts: Path = Path("/proc/self/mountinfo")) -> str:
    """Return the kind of a folder's file system, such as ``ext4``; empty where it cannot be told.

    Args:
        folder: The folder.
        mounts: What Linux lists as mounted.
    """
    try:
        device = folder.stat().st_dev
        lines = mounts.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    kinds = {}
    for line in lines:
        fields, _, rest = line.partition(" - ")
        if rest:
            kinds[fields.split()[2]] = rest.split()[0]
    return kinds.get(f"{os.major(device)}:{os.minor(device)}", "")
