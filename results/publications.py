"""Where published results are: names, folders and manifests; known before any table is read or anything is drawn."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.errors import RecordError, nearest
from results.documents import read_json
from results.folders import settle
from results.layout import checked_name

MANIFEST = "manifest.json"
FORMAT = 3


def names_in(root: Path) -> list[str]:
    """Return the names of what is published in a folder."""
    return sorted(path.name for path in root.glob("[!.]*") if (path / MANIFEST).exists())


def folder_of(root: Path, name: str) -> Path:
    """Return the folder of a published name, or raise `RecordError` where it would lie outside ``root``."""
    folder = root / checked_name("published", name)
    if folder.resolve().parent != root.resolve():
        raise RecordError(f"{folder} leads to {folder.resolve()}, outside {root}; remove the link")
    return folder


def free_folder(root: Path, name: str, *, replace: bool = False) -> Path:
    """Return the folder that something is to be published in.

    Args:
        root: Folder of published results.
        name: Name of the new folder in it.
        replace: Whether to replace what is published by that name.

    Raises:
        RecordError: The name is taken; when replacing, by what is nothing published.
    """
    target = folder_of(root, name)
    settle(target)
    if target.exists():
        if not replace:
            raise RecordError(
                f"{target} exists already; published results do not change: choose another name with --as, or say "
                "--replace"
            )
        if not _has_manifest(target):
            raise RecordError(
                f"{target} carries no {MANIFEST} of derby's, so it is nothing published, and is left as it is: choose "
                "another name with --as, or another folder with --published"
            )
    return target


def manifest_of(root: Path, name: str) -> Mapping[str, Any]:
    """Return the manifest of something published.

    Raises:
        RecordError: There is no such folder, or it has no usable manifest.
    """
    folder = folder_of(root, name)
    settle(folder)
    if not folder.is_dir():
        raise RecordError(f"nothing published as {name!r} in {root}; {nearest(name, names_in(root))}")
    manifest: dict[str, Any] = read_json(folder / MANIFEST)
    if manifest.get("format") != FORMAT or not isinstance(manifest.get("files"), dict):
        raise RecordError(
            f"{folder / MANIFEST}: expected a manifest of format {FORMAT} with files, got format "
            f"{manifest.get('format')!r}; it was written by another version of the project"
        )
    return manifest


def _has_manifest(folder: Path) -> bool:
    try:
        manifest = read_json(folder / MANIFEST)
    except RecordError:
        return False
    return isinstance(manifest.get("files"), dict) and {"format", "sweep", "published"} <= manifest.keys()
