"""Folders of other libraries' results, by their path in the folder that was given."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from harness.errors import RecordError


def named_folders(root: Path, found: Iterable[Path], what: str) -> dict[str, Path]:
    """Return folders by name, sorted: their path in ``root``, or that folder's own name where it is the one.

    Args:
        root: The folder that was given.
        found: The folders in it that hold results.
        what: What each is, for messages.

    Raises:
        RecordError: There is none.
    """
    folders = sorted(set(found))
    if not folders:
        raise RecordError(f"{root} holds no {what}; give its folder, or one above it")
    if folders == [root]:
        return {root.resolve().name: root}
    return {folder.relative_to(root).as_posix(): folder for folder in folders}
