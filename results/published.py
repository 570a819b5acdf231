"""Published results: a sweep frozen with its tables, figures and a manifest, and the check that they still agree."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from harness.arithmetic import in_use
from harness.errors import RecordError, nearest
from harness.machine import versions
from results.agreement import disagreement
from results.documents import read_json
from results.folders import draft_of, settle
from results.layout import checked_name, write_atomically
from results.reevaluations import MISSING
from results.tables import SweepTables, export, read_exported

MANIFEST = "manifest.json"
FORMAT = 3
DRAWN = ("figures", "tables")
"""Folders whose files are drawn from the Parquet tables, and drawn again to verify them."""

LIBRARIES = ("matplotlib", "numpy", "optuna", "pandas", "pyarrow", "scikit-learn", "scipy", "statsmodels")
"""Libraries that the bytes of figures and tables may depend on."""

Draw = Callable[[SweepTables, Path], object]
"""Writes the report of a sweep into a folder: ``report.html``, ``figures/`` and ``tables/``."""


def publish(tables: SweepTables, root: Path, name: str, draw: Draw, *, replace: bool = False) -> Path:
    """Freeze a sweep's tables, sweep file, report and figures under a name.

    The folder appears whole or not at all.

    Args:
        tables: The sweep; it must be finished.
        root: Folder of published results.
        name: Name of the new folder in it.
        draw: Writes the report.
        replace: Whether to replace what is published by that name.

    Returns:
        The folder.

    Raises:
        RecordError: The name is taken (when replacing, by what is nothing published, or holds a record) or leaves the
            folder, or the sweep is not finished.
        WriteError: It cannot be written; what was there before stands.
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
    unfinished = tables.studies[tables.studies["state"] != "done"]
    if not unfinished.empty:
        counts = ", ".join(f"{count} {state}" for state, count in unfinished["state"].value_counts().items())
        raise RecordError(
            f"sweep {tables.name!r} is not finished: of {len(tables.studies)} studies {counts}; run it to its end "
            "with `derby run` before publishing it"
        )
    lacking = int((tables.reevaluations["status"] == MISSING).sum())
    if lacking:
        raise RecordError(
            f"sweep {tables.name!r} is not finished: of {len(tables.reevaluations)} re-evaluations {lacking} missing; "
            "run it to its end with `derby run` before publishing it"
        )
    with draft_of(target) as draft:
        export(tables, draft)
        (draft / "sweep.yaml").write_text(str(tables.provenance.get("sweep", "")), encoding="utf-8")
        # From the tables as they are read back, which is all that verifying has.
        draw(read_exported(draft), draft)
        manifest = {
            "format": FORMAT,
            "name": name,
            "sweep": tables.name,
            "published": datetime.now(UTC).isoformat(timespec="seconds"),
            "versions": versions(LIBRARIES),
            "arithmetic": in_use(),
            "files": _digests(draft),
        }
        write_atomically(draft / MANIFEST, json.dumps(manifest, indent=1) + "\n")
    return target


@dataclass(frozen=True, slots=True)
class Verification:
    """What came of checking a published folder.

    Attributes:
        problems: What differs, in words; none where the publication is true.
        rounded: Files drawn again whose bytes differ, and whose numbers and pixels are equal to rounding.
        largest: The largest difference of their numbers, relative to the larger.
    """

    problems: Sequence[str] = ()
    rounded: Sequence[str] = ()
    largest: float = 0.0


def verify(root: Path, name: str, draw: Draw) -> Verification:
    """Check a published folder against its manifest, and its figures against the Parquet tables.

    What was published must have the manifest's digests, byte for byte. What is drawn again from the tables may
    differ by rounding, as it does where another processor or library sums in another order: see
    `results.agreement`.

    Args:
        root: Folder of published results.
        name: Name of the folder in it.
        draw: Writes the report.

    Raises:
        RecordError: There is no such folder, or it has no usable manifest or tables.
    """
    folder = folder_of(root, name)
    settle(folder)
    if not folder.is_dir():
        published = [path.name for path in root.glob("[!.]*") if (path / MANIFEST).exists()]
        raise RecordError(f"nothing published as {name!r} in {root}; {nearest(name, published)}")
    manifest = read_json(folder / MANIFEST)
    recorded = manifest.get("files")
    if manifest.get("format") != FORMAT or not isinstance(recorded, dict):
        raise RecordError(
            f"{folder / MANIFEST}: expected a manifest of format {FORMAT} with files, got format "
            f"{manifest.get('format')!r}; it was written by another version of the project"
        )
    found = _digests(folder)
    problems = _changes(recorded, found, "in the manifest", "in the folder")
    kept = {path for path in found if _is_drawn(path)}
    rounded, largest = [], 0.0
    with tempfile.TemporaryDirectory() as scratch:
        draw(read_exported(folder), Path(scratch))
        drawn = {path for path in _digests(Path(scratch)) if _is_drawn(path)}
        redrawn = [
            f"{path}: only {'published' if path in kept else 'drawn again'}" for path in sorted(kept ^ drawn)
        ]
        for path in sorted(kept & drawn):
            apart = disagreement(folder / path, Path(scratch) / path)
            if isinstance(apart, str):
                redrawn.append(f"{path}: drawn again from the tables, {apart}")
            elif (folder / path).read_bytes() != (Path(scratch) / path).read_bytes():
                rounded.append(path)
                largest = max(largest, apart)
    if redrawn:
        redrawn.append(_since(manifest))
    return Verification([*problems, *redrawn], rounded, largest)


def _since(manifest: Mapping[str, Any]) -> str:
    """Say what of libraries and arithmetic is another than when a folder was published."""
    then = {**(manifest.get("versions") or {}), "arithmetic": manifest.get("arithmetic")}
    now = {**versions(LIBRARIES), "arithmetic": json.loads(json.dumps(in_use()))}
    changed = [f"{name} {then.get(name)} → {value}" for name, value in now.items() if then.get(name) != value]
    return f"changed since: {', '.join(changed)}" if changed else "no library and no arithmetic changed since"


def folder_of(root: Path, name: str) -> Path:
    """Return the folder of a published name, or raise `RecordError` where it would lie outside ``root``."""
    folder = root / checked_name("published", name)
    if folder.resolve().parent != root.resolve():
        raise RecordError(f"{folder} leads to {folder.resolve()}, outside {root}; remove the link")
    return folder


def _has_manifest(folder: Path) -> bool:
    try:
        manifest = read_json(folder / MANIFEST)
    except RecordError:
        return False
    return isinstance(manifest.get("files"), dict) and {"format", "sweep", "published"} <= manifest.keys()


def _is_drawn(path: str) -> bool:
    return path.split("/", 1)[0] in DRAWN


def _changes(before: Mapping[str, Any], after: Mapping[str, Any], here: str, there: str) -> list[str]:
    """Return in words which files of two sets of digests differ."""
    return [
        f"{path}: only {here}"
        if path not in after
        else f"{path}: only {there}"
        if path not in before
        else f"{path}: differs between what is {here} and what is {there}"
        for path in sorted(before.keys() | after.keys())
        if before.get(path) != after.get(path)
    ]


def _digests(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of every file in a folder but its manifest, by its path in it."""
    digests = {}
    for path in sorted(folder.rglob("*")):
        place = path.relative_to(folder).as_posix()
        if path.is_file() and place != MANIFEST:
            with path.open("rb") as file:
                digests[place] = hashlib.file_digest(file, "sha256").hexdigest()
    return digests
