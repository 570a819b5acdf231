"""Published sweeps made runnable again: their sweep file, with the users' files that were published beside it."""

from __future__ import annotations

import contextlib
import re
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from harness import document
from harness.errors import RecordError
from harness.files import Reference
from harness.keys import text_digest


def documents(text: str) -> list[str]:
    """Return the sweep files in the text of a published one: one, but of a reproduced report one for each experiment.

    A text without content is one that holds no sweep.
    """
    parts = re.split(r"^---[ \t]*\n", text, flags=re.MULTILINE)
    return [part for part in parts if re.search(r"^[^#\s]", part, re.MULTILINE)] or [text]


@contextlib.contextmanager
def runnable(text: str, sources: Mapping[str, str], origin: str) -> Iterator[dict[str, Any]]:
    """Yield what a published sweep file says, with its users' files where it says they are.

    Files that it names are written into a folder that lasts as long as this context; whoever makes a sweep of it in
    time has them in memory.

    Args:
        text: The sweep file.
        sources: Contents of the users' files by their origin, ``my_search.py`` and its digest.
        origin: What the file is called in messages.

    Raises:
        RecordError: The file holds no sweep, or a file that it names was not published, or two were by one name.
    """
    read = document.read(text)
    if read.problems or not isinstance(read.value, dict):
        raise RecordError(
            f"{origin} is no sweep file that can be run again; expected one document, a mapping"
        )
    with tempfile.TemporaryDirectory() as folder:
        content = {
            field: [_with_path(entry, sources, Path(folder), origin) for entry in value]
            if field in ("tasks", "searchers") and isinstance(value, list)
            else value
            for field, value in read.value.items()
        }
        yield content


def _with_path(entry: Any, sources: Mapping[str, str], folder: Path, origin: str) -> Any:
    """Return a task or searcher of a sweep file under a name that leads to the file that was published."""
    name = entry.get("name") if isinstance(entry, dict) else entry
    reference = Reference.of(name) if isinstance(name, str) else None
    if reference is None:
        return entry
    found = [text for key, text in sources.items() if key == f"{reference.path.name} {text_digest(text)}"]
    if len(found) != 1:
        raise RecordError(
            f"{origin} names {reference.path.name}, of which {len(found) or 'no'} versions were published beside it; "
            "expected one"
        )
    path = folder / reference.path.name
    path.write_text(found[0], encoding="utf-8", newline="")
    member = f"{path}:{reference.member}" + ("" if reference.value is None else f"/{reference.value}")
    return {**entry, "name": member} if isinstance(entry, dict) else member
