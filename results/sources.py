"""What a name or a folder stands for, and where its report belongs; known before any table is read."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.errors import RecordError, nearest, refusal
from harness.keys import NAME, as_name
from results.folders import settle
from results.layout import Layout
from results.publications import MANIFEST

PROVENANCE = "provenance.json"
"""What exported and imported tables have beside them."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where the tables of a sweep are.

    Attributes:
        folder: A results folder, or a folder of exported tables.
        sweep: The sweep in that results folder; ``None`` where the tables are exported or imported ones.
    """

    folder: Path
    sweep: str | None

    @property
    def name(self) -> str:
        """What it is called."""
        return self.folder.resolve().name if self.sweep is None else self.sweep

    def place(self, part: str, out: Path | None) -> Path:
        """Return the folder that something is written to: ``out``, or a part of its own folder.

        Args:
            part: ``report``, ``figures`` or ``export``.
            out: Where it shall go, if that is said.

        Raises:
            RecordError: It would be in a published folder, which does not change.
        """
        if out is not None:
            return out
        if self.sweep is not None:
            return Layout(self.folder).sweep(self.sweep) / part
        if os.path.lexists(self.folder / MANIFEST):
            raise RecordError(
                f"{self.folder} is published, and does not change: say with --out where the {part} is to go"
            )
        return self.folder / part


def named(given: str, results: Path) -> Source:
    """Return what a command is given: a sweep or an import in the results folder by its name, or else a folder.

    Args:
        given: The name, or a path that `source_of` takes.
        results: The results folder.

    Raises:
        RecordError: There is no such thing, a sweep and an import are both called so, or a sweep's plan is damaged.
    """
    if "/" in given or os.sep in given:
        return source_of(Path(given))
    layout = Layout(results)
    imported = layout.imported(given)
    if not os.path.lexists(imported):
        settle(imported)
    is_sweep = os.path.lexists(layout.sweep(given) / "plan.json")
    is_import = os.path.lexists(imported / PROVENANCE)
    if is_sweep and is_import:
        raise RecordError(
            f"a sweep and an import are called {given!r}: give the folder, {layout.sweep(given)} or {imported}"
        )
    if is_import:
        return Source(imported, None)
    if is_sweep:
        layout.plan(given)
        return Source(results, given)
    if os.path.lexists(Path(given) / PROVENANCE):
        return Source(Path(given), None)
    names = sorted({*layout.sweep_names(), *layout.import_names()})
    raise RecordError(
        f"no sweep called {given!r} in {results}, and no import; {nearest(given, names)}. Run it first, or give the "
        "folder it was run into with --results"
    )


def check_there(sources: Sequence[str]) -> None:
    """Raise `RecordError` where something that is to be imported is neither a file nor a folder nor an address."""
    for source in sources:
        if "://" not in source and not os.path.lexists(source):
            raise RecordError(
                f"there is no {source}; give a file, a folder, or the address of an Optuna storage"
            )


def import_name(source: str) -> str:
    """Return what an import is called by default: its source's own name, as far as a name may hold it."""
    last = re.split(r"[\\/]", source.split("?", maxsplit=1)[0].rstrip("/\\"))[-1]
    cleaned = as_name(last.rpartition(".")[0] or last).strip("._-")[:80]
    return cleaned if re.fullmatch(NAME, cleaned) else "imported"


def source_of(path: Path) -> Source:
    """Return what a path leads to: a results folder with one sweep, a sweep's folder in one, or exported tables.

    Raises:
        RecordError: It is none of these, or holds several sweeps.
    """
    if not os.path.lexists(path):
        settle(path)
    if os.path.lexists(path / PROVENANCE):
        return Source(path, None)
    folder = resolved(path)
    if os.path.lexists(path / "plan.json") and folder.parent.name == "sweeps":
        return Source(folder.parent.parent, folder.name)
    names = Layout(path).sweep_names()
    if len(names) == 1:
        return Source(path, names[0])
    if names:
        choices = ", ".join(str(path / "sweeps" / name) for name in names)
        raise RecordError(f"{path} holds {len(names)} sweeps; give the folder of one of them: {choices}")
    raise RecordError(
        f"{path} holds no sweep: expected a results folder (with sweeps/ in it), the folder of one sweep in it, or "
        "tables written by `derby export`, `derby publish` or `derby import`"
    )


def resolved(path: Path) -> Path:
    """Return a path without links; raise `RecordError` where they lead nowhere."""
    try:
        return path.resolve()
    except (OSError, RuntimeError) as error:  # a link that leads to itself is a RuntimeError
        raise RecordError(f"cannot read {path}: {refusal(error)}; give another folder") from error


def source_names(sources: Sequence[Source]) -> list[str]:
    """Return a short, different name for each source, with as many folders before it as it takes.

    A sweep is called after itself, and sweeps that are all called alike after their results folders.

    Raises:
        RecordError: One is given twice, or is a link that leads nowhere.
    """
    whole = [
        resolved(source.folder).parts + (() if source.sweep is None else (source.sweep,))
        for source in sources
    ]
    seen = set()
    for source in sources:
        place = resolved(source.folder), source.sweep
        if place in seen:
            named = f"the sweep {source.sweep!r} in " if source.sweep is not None else ""
            raise RecordError(f"{named}{source.folder} is given twice; give each once")
        seen.add(place)
    if all(source.sweep is not None for source in sources) and len({source.sweep for source in sources}) == 1:
        whole = [parts[:-1] for parts in whole]
    for depth in range(1, max(map(len, whole)) + 1):
        names = ["/".join(parts[-depth:]) for parts in whole]
        if len(set(names)) == len(names):
            return names
    return [
        f"{source.name} in {source.folder}" for source in sources
    ]  # a folder within a folder, both called so
