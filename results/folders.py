"""Folders that are written whole beside what they replace, so that an error or a kill leaves the old or the new one.

What is written grows in a draft beside its place. At the end the old folder is put aside, the draft takes its name, and
the old one is deleted. `settle` finds what a kill left of that.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import socket
import time
from collections.abc import Iterator
from pathlib import Path

from harness.errors import RecordError, WriteError, refusal
from results.layout import make_folder, write_atomically

CONTENTS = ".derby-contents.json"
"""Lists the files that were written into a folder, and so may be deleted with it."""

_RECORD = frozenset({"driver.lock", "driver.json", "plan.json"})
_DRAFT, _ASIDE = "draft", "aside"

_ABANDONED_SECONDS = {_DRAFT: 86_400.0, _ASIDE: 60.0}
"""Age from which something is nobody's that was left by another machine, whose processes cannot be seen."""


@contextlib.contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """Yield an empty folder to write into, which at the end replaces one that was written so before.

    What someone else added to that one is kept.

    Args:
        target: The folder; a link is followed.

    Raises:
        RecordError: What is at ``target`` was not written so, or holds a record; it is left as it is.
        WriteError: It cannot be written; what was there before stands.
    """
    check_replaceable(target)
    target = target.resolve()
    with draft_of(target) as draft:
        yield draft
        written = sorted(_files(draft))
        ours = _listed(target) or frozenset()
        for path in _files(target):
            if path not in ours and not os.path.lexists(draft / path):
                _link(target / path, draft / path)
        write_atomically(draft / CONTENTS, json.dumps({"written_by": "hpo-derby", "files": written}) + "\n")


def check_replaceable(target: Path) -> None:
    """Raise `RecordError` where `replacing` would leave what is at ``target`` as it is."""
    target = target.resolve()
    settle(target)
    _check_place(target)
    if next(_files(target), None) is not None and _listed(target) is None:
        raise RecordError(
            f"{target} was not written by derby, and is left as it is; choose a new folder with --out, or move it away"
        )


@contextlib.contextmanager
def draft_of(target: Path) -> Iterator[Path]:
    """Yield an empty folder beside ``target`` that at the end takes its place.

    Whether what is there may go is for the caller to know, but for what never goes.

    Raises:
        RecordError: ``target`` is a link, a file, or holds a record or the working directory.
        WriteError: It cannot be written; what was there before stands.
    """
    _check_place(target)
    make_folder(target.parent)
    draft, aside = _beside(target, _DRAFT), _beside(target, _ASIDE)
    try:
        checked = _identity(target)
        draft.mkdir()
        yield draft
        if _identity(target) != checked:
            raise WriteError(f"{target} was written by something else meanwhile, and is left as that did")
        _swap(draft, target, aside)
    except OSError as error:
        raise WriteError(
            f"cannot write {target}: {refusal(error)}; what was there stands. Make room, or choose another folder (one "
            "in a mounted volume, not the volume itself)"
        ) from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    if aside.exists():
        _delete(aside, draft)


def settle(target: Path) -> None:
    """Put right what writers that were killed left of a folder: a whole one gets its name, the rest is deleted."""
    left = list(_left(target))
    if not os.path.lexists(target):
        # Killed between the two renames: the old one is whole, and so is the new one, which nobody has seen.
        for path, kind in left:
            if kind == _ASIDE and path.is_dir():
                with contextlib.suppress(OSError):
                    path.rename(target)
                    break
    for path, _ in left:
        _delete(path, _beside(target, _DRAFT))


def _check_place(target: Path) -> None:
    """Raise `RecordError` where a folder can never be replaced."""
    if target.is_symlink() or (target.exists() and not target.is_dir()):
        raise RecordError(f"{target} is no folder of its own, and is left as it is; move it away")
    try:
        here = Path.cwd()
    except OSError as error:
        raise RecordError(f"the folder you are in is gone: {refusal(error)}; go elsewhere") from error
    if target.resolve() in (here, *here.parents):
        raise RecordError(
            f"{target.resolve()} holds the folder you are in, and cannot be replaced from here; "
            "choose another, or go elsewhere first"
        )
    for path in _files(target):
        if path.endswith(".jsonl") or path.rsplit("/", 1)[-1] in _RECORD:
            raise RecordError(
                f"{target} holds a record ({path}), and is left as it is; choose another, or move it away"
            )


def _listed(folder: Path) -> frozenset[str] | None:
    """Return the files that a folder's own list names, and the list; ``None`` where there is none."""
    try:
        about = json.loads((folder / CONTENTS).read_text(encoding="utf-8"))
        return frozenset([*map(str, about["files"]), CONTENTS])
    except (OSError, ValueError, TypeError, KeyError):
        return None


def _link(path: Path, there: Path) -> None:
    """Let a file be in a second place, too."""
    there.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(path, there, follow_symlinks=False)
    except OSError:  # a file system without
        shutil.copy2(path, there, follow_symlinks=False)


def _files(folder: Path) -> Iterator[str]:
    """Yield the path in a folder of everything that is no folder; links are not followed."""
    for place, folders, files in os.walk(folder):
        links = [name for name in folders if (Path(place) / name).is_symlink()]
        for name in sorted([*files, *links]):
            yield (Path(place) / name).relative_to(folder).as_posix()


def _identity(folder: Path) -> tuple[int, int] | None:
    """Return what tells a folder from another in its place."""
    try:
        about = folder.lstat()
    except FileNotFoundError:
        return None
    return about.st_dev, about.st_ino


def _swap(draft: Path, target: Path, aside: Path) -> None:
    try:
        if target.exists():
            target.rename(aside)
        draft.rename(target)
    except BaseException:
        if aside.exists() and not target.exists():
            aside.rename(target)
        raise


def _delete(folder: Path, draft: Path) -> None:
    """Delete a folder as a draft, so that what was put aside is whole as long as it is called so."""
    with contextlib.suppress(OSError):
        folder.rename(draft)
        folder = draft
    shutil.rmtree(folder, ignore_errors=True)


def _host() -> str:
    return re.sub(r"[^A-Za-z0-9-]", "-", socket.gethostname())[:40] or "here"


def _beside(target: Path, kind: str) -> Path:
    return target.with_name(f".{target.name}.{kind}-{os.getpid()}-{_host()}")


def _left(target: Path) -> Iterator[tuple[Path, str]]:
    """Yield what lies beside a folder, and its kind, whose writer is gone."""
    pattern = re.compile(rf"\.{re.escape(target.name)}\.({_DRAFT}|{_ASIDE})-(\d+)-([A-Za-z0-9-]+)")
    with contextlib.suppress(OSError):
        for path in sorted(target.parent.iterdir()):
            match = pattern.fullmatch(path.name)
            if match is None or path.is_symlink():
                continue
            if match[3] != _host():
                gone = time.time() - path.stat().st_ctime > _ABANDONED_SECONDS[match[1]]
            else:
                gone = not _is_another(int(match[2]))
            if gone:
                yield path, match[1]


def remove_file_drafts(root: Path) -> None:
    """Delete the drafts of files that killed processes left in a results folder; its driver's lock is to be held."""
    for pattern in (
        "sweeps/*",
        "sweeps/*/runs",
        "sweeps/*/sources",
        "machines",
        "studies",
        "evaluations/*",
        "inspections/*",
    ):
        for path in root.glob(f"{pattern}/.*"):
            match = re.fullmatch(r"\..+\.(?:json|jsonl|yaml|npz|py)\.(\d+)", path.name)
            if match and path.is_file() and not _is_another(int(match[1])):
                path.unlink(missing_ok=True)


def _is_another(pid: int) -> bool:
    """Tell whether that is another process of this machine; of those that had its number before, none is left."""
    if pid == os.getpid():
        return False
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        return True
    return True
