"""What a command is given to read: a sweep's name, an import's name, or a folder; and where its report belongs."""

from __future__ import annotations

import os
from pathlib import Path

from harness.errors import RecordError, nearest
from results.imports.sources import folder_of
from results.layout import Layout, checked_name
from results.merge import read_source
from results.published import MANIFEST
from results.tables import SweepTables, read_exported, read_tables

PROVENANCE = "provenance.json"


def found(given: str, results: Path) -> Path:
    """Return the folder of a sweep or an import in a results folder, or of what a path leads to; reads no table.

    Raises:
        RecordError: There is none, or a sweep and an import are both called so.
    """
    if "/" in given or os.sep in given:
        return Path(given)
    sweep, imported = Layout(results).sweep(given), folder_of(results, checked_name("import", given))
    is_sweep, is_import = os.path.lexists(sweep / "plan.json"), os.path.lexists(imported / PROVENANCE)
    if is_sweep and is_import:
        raise RecordError(
            f"a sweep and an import are called {given!r}: give the folder, {sweep} or {imported}"
        )
    if is_import:
        return imported
    if is_sweep or not (Path(given) / PROVENANCE).exists():
        return sweep
    return Path(given)


def read(given: str, results: Path) -> tuple[SweepTables, Path]:
    """Return the tables of what is given, and the folder that its report and exports belong in.

    Args:
        given: The name of a sweep or of an import in the results folder, or a path to a folder of either, to a results
            folder with one sweep, or to exported tables.
        results: The results folder.

    Raises:
        RecordError: There is nothing of that name, or it is damaged.
    """
    folder = found(given, results)
    if "/" in given or os.sep in given:
        tables = read_source(folder)
        own = Layout(folder).sweep(tables.name) if (folder / "sweeps").is_dir() else folder
        return tables, own
    if (folder / PROVENANCE).exists():
        return read_exported(folder), folder
    layout = Layout(results)
    if not os.path.lexists(folder / "plan.json"):
        names = sorted({*layout.sweep_names(), *import_names(results)})
        raise RecordError(
            f"no sweep called {given!r} in {results}, and no import; {nearest(given, names)}. Run it first, or give "
            "the folder it was run into with --results"
        )
    return read_tables(results, given), folder


def place_of(folder: Path, part: str, out: Path | None) -> Path:
    """Return the folder that a report or an export is written to: ``out``, or that part of what was read.

    Args:
        folder: What `read` returned.
        part: ``report`` or ``export``.
        out: Where it shall go, if that is said.

    Raises:
        RecordError: It would be in a published folder, which does not change.
    """
    if out is None and os.path.lexists(folder / MANIFEST):
        raise RecordError(
            f"{folder} is published, and does not change: say with --out where the {part} is to go"
        )
    return folder / part if out is None else out


def import_names(results: Path) -> list[str]:
    """Return the names of the imports in a results folder."""
    return sorted(path.parent.name for path in (results / "imported").glob(f"*/{PROVENANCE}"))
