"""What a folder that is to be compared holds, and what it is called; known before any table is read."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.errors import RecordError, refusal
from results.folders import settle
from results.layout import Layout


@dataclass(frozen=True, slots=True)
class Source:
    """Where the tables of a sweep are.

    Attributes:
        folder: A results folder, or a folder of exported tables.
        sweep: The sweep in that results folder; ``None`` where the tables are exported ones.
    """

    folder: Path
    sweep: str | None


def source_of(path: Path) -> Source:
    """Return what a path leads to: a results folder with one sweep, a sweep's folder in one, or exported tables.

    Raises:
        RecordError: It is none of these, or holds several sweeps.
    """
    if not os.path.lexists(path):
        settle(path)
    if os.path.lexists(path / "provenance.json"):
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
        "tables written by `derby export` or `derby publish`"
    )


def resolved(path: Path) -> Path:
    """Return a path without links; raise `RecordError` where they lead nowhere."""
    try:
        return path.resolve()
    except (OSError, RuntimeError) as error:  # a link that leads to itself is a RuntimeError
        raise RecordError(f"cannot read {path}: {refusal(error)}; give another folder") from error


def source_names(paths: Sequence[Path]) -> list[str]:
    """Return a short, different name for each folder: its own, with as many parents as it takes.

    Raises:
        RecordError: A folder is given twice, or is a link that leads nowhere.
    """
    whole = [resolved(path) for path in paths]
    # A sweep's folder is named after its results folder, which is what differs.
    parts = [p.parts[:-2] if p.parent.name == "sweeps" else p.parts for p in whole]
    if len(set(whole)) < len(whole):
        twice = next(path for path in whole if whole.count(path) > 1)
        raise RecordError(f"{twice} is given twice; give each folder once")
    for depth in range(1, max(len(part) for part in parts) + 1):
        names = ["/".join(part[-depth:]) for part in parts]
        if len(set(names)) == len(names):
            return names
    return [f"{'/'.join(part[-1:])}:{path.name}" for part, path in zip(parts, whole, strict=True)]
