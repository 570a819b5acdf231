"""Published results: a sweep frozen with its tables, figures and a manifest, and the check that they still agree."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from harness.arithmetic import in_use
from harness.errors import RecordError, shown
from harness.machine import versions
from results.agreement import disagreement
from results.entries import ENTERED, Entered, departures, entered, protocol_of, race_tables
from results.folders import draft_of
from results.layout import source_name, write_atomically
from results.publications import FORMAT, MANIFEST, folder_of, free_folder, manifest_of
from results.reevaluations import MISSING
from results.tables import SweepTables, export, read_exported

DRAWN = ("figures", "tables", "reproduction.md")
"""What is drawn from the Parquet tables, and drawn again to verify it: folders, and the page of a reproduced report."""

LIBRARIES = ("matplotlib", "numpy", "optuna", "pandas", "pyarrow", "scikit-learn", "scipy", "statsmodels")
"""Libraries that the bytes of figures and tables may depend on."""

Draw = Callable[[SweepTables, Path], object]
"""Writes the report of a sweep into a folder: ``report.html``, ``figures/`` and ``tables/``."""


def publish(
    tables: SweepTables,
    root: Path,
    name: str,
    draw: Draw,
    *,
    replace: bool = False,
    into: Entered | None = None,
) -> Path:
    """Freeze a sweep's tables, sweep file, report and figures under a name.

    The folder appears whole or not at all.

    Args:
        tables: The sweep; it must be finished.
        root: Folder of published results.
        name: Name of the new folder in it.
        draw: Writes the report.
        replace: Whether to replace what is published by that name.
        into: The race that it is an entry of; ``draw`` then draws both.

    Returns:
        The folder.

    Raises:
        RecordError: The name is taken (when replacing, by what is nothing published, or holds a record) or leaves the
            folder, or the sweep is not finished.
        WriteError: It cannot be written; what was there before stands.
    """
    target = free_folder(root, name, replace=replace)
    given = tables.baselines[tables.baselines["study"] != ""].drop_duplicates("study")
    for what, states in (("studies", tables.studies["state"]), ("studies of baselines", given["state"])):
        unfinished = states[states != "done"]
        if not unfinished.empty:
            counts = ", ".join(f"{count} {state}" for state, count in unfinished.value_counts().items())
            raise RecordError(
                f"sweep {tables.name!r} is not finished: of {len(states)} {what} {counts}; run it to its end with "
                "`derby run` before publishing it"
            )
    lacking = int((tables.reevaluations["status"] == MISSING).sum())
    if lacking:
        raise RecordError(
            f"sweep {tables.name!r} is not finished: of {len(tables.reevaluations)} re-evaluations {lacking} missing; "
            "run it to its end with `derby run` before publishing it"
        )
    with draft_of(target) as draft:
        export(tables, draft, compact=True)
        (draft / "sweep.yaml").write_text(str(tables.provenance.get("sweep", "")), encoding="utf-8")
        for origin, text in (tables.provenance.get("sources") or {}).items():
            write_atomically(draft / "sources" / source_name(origin), text)
        # From the tables as they are read back, which is all that verifying has.
        draw(read_exported(draft), draft)
        manifest = {
            "format": FORMAT,
            "name": name,
            "sweep": tables.name,
            "published": datetime.now(UTC).isoformat(timespec="seconds"),
            "versions": versions(LIBRARIES),
            "arithmetic": in_use(),
            **({} if into is None else {ENTERED: into.as_json()}),
            "files": _digests(draft),
        }
        write_atomically(draft / MANIFEST, json.dumps(manifest, indent=1) + "\n")
    return target


@dataclass(frozen=True, slots=True)
class Verification:
    """What came of checking a published folder.

    Attributes:
        changed: Files that are others than the manifest says, in words; none where the publication is as it was.
        departs: In what an entry is another than the race that it was entered into, in words.
        redrawn: Files that are drawn otherwise from its tables than they were, in words; none where it is true.
        since: What may be why these are, a sentence without its stop; empty where that is known.
        rounded: Files drawn again whose bytes differ, and whose numbers and pixels are equal to rounding.
        largest: The largest difference of their numbers, relative to the larger.
    """

    changed: tuple[str, ...] = ()
    departs: tuple[str, ...] = ()
    redrawn: tuple[str, ...] = ()
    since: str = ""
    rounded: tuple[str, ...] = ()
    largest: float = 0.0

    @property
    def true(self) -> bool:
        """Whether it is as it was published, and drawn the same but for rounding."""
        return not self.changed and not self.departs and not self.redrawn


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
    manifest, folder = manifest_of(root, name), folder_of(root, name)
    recorded = manifest["files"]
    found = _digests(folder)
    changes = _changes(recorded, found)
    tables, into = read_exported(folder), entered(manifest)
    if into is not None:
        departs = departures(race_tables(root, into), protocol_of(tables))
        if departs:  # what cannot be compared with the race cannot be drawn with it
            return Verification(tuple(f"{path} {words}" for path, words in changes.items()), tuple(departs))
    kept = {path for path in found if _is_drawn(path)}
    rounded, largest = [], 0.0
    with tempfile.TemporaryDirectory() as scratch:
        draw(tables, Path(scratch))
        drawn = {path for path in _digests(Path(scratch)) if _is_drawn(path)}
        redrawn = {
            path: "is published, and not drawn from the tables"
            if path in kept
            else "is drawn from the tables, and was not published"
            for path in sorted(kept ^ drawn)
        }
        for path in sorted(kept & drawn):
            apart = disagreement(folder / path, Path(scratch) / path)
            if isinstance(apart, str):
                redrawn[path] = f"is drawn otherwise from the tables: {apart}"
            elif (folder / path).read_bytes() != (Path(scratch) / path).read_bytes():
                rounded.append(path)
                largest = max(largest, apart)
    # What became of a file since, or of the tables, is reason enough.
    redrawn = {path: words for path, words in redrawn.items() if path not in changes}
    others = any(not _is_drawn(path) and path.endswith((".parquet", ".json", ".npz")) for path in changes)
    return Verification(
        tuple(f"{path} {words}" for path, words in changes.items()),
        redrawn=tuple(f"{path} {words}" for path, words in redrawn.items()),
        since=_since(manifest) if redrawn and not others else "",
        rounded=tuple(rounded),
        largest=largest,
    )


def changed_files(folder: Path, manifest: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the files of a published folder that are not as its manifest says, in words: changed, missing or added."""
    return tuple(f"{path} {words}" for path, words in _changes(manifest["files"], _digests(folder)).items())


def _since(manifest: Mapping[str, Any]) -> str:
    """Say what of libraries and arithmetic is another than when a folder was published, and what follows."""
    then = {**(manifest.get("versions") or {}), "arithmetic": manifest.get("arithmetic")}
    now = {**versions(LIBRARIES), "arithmetic": json.loads(json.dumps(in_use()))}
    changed = [
        f"{name} {_shortly(then.get(name))} → {_shortly(value)}"
        for name, value in now.items()
        if then.get(name) != value
    ]
    if changed:
        return (
            f"Since it was published these changed: {', '.join(changed)}. That may be why it is drawn otherwise; with "
            f"what {MANIFEST} names it can be verified apart from that"
        )
    return (
        "Libraries and arithmetic are those that it was published with: what draws figures here, fonts among it, is "
        f"another than then, or the tables and {MANIFEST} were replaced together"
    )


def _shortly(value: object) -> str:
    return "none" if value is None else shown(value) if isinstance(value, Mapping) else str(value)


def _is_drawn(path: str) -> bool:
    return path.split("/", 1)[0] in DRAWN


def _changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, str]:
    """Return what became of the files whose digests are not the manifest's, in words, by path."""
    return {
        path: "is missing" if path not in after else "was added" if path not in before else "was changed"
        for path in sorted(before.keys() | after.keys())
        if before.get(path) != after.get(path)
    }


def _digests(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of every file in a folder but its manifest, by its path in it."""
    digests = {}
    for path in sorted(folder.rglob("*")):
        place = path.relative_to(folder).as_posix()
        if path.is_file() and place != MANIFEST:
            with path.open("rb") as file:
                digests[place] = hashlib.file_digest(file, "sha256").hexdigest()
    return digests
