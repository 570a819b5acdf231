"""Which task, method and repetition a run elsewhere belongs to, by its name."""

from __future__ import annotations

import csv
import itertools
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from harness.errors import ForeignResultsError, RecordError, nearest
from harness.plurals import plural
from results.imports.runs import Problems, Reading

FIELDS: Final = ("task", "method", "repetition")
PATTERN = "{task}-{method}-{repetition}"
"""The pattern by default."""

_TEXT: Final = {"task": ".+", "method": ".+", "repetition": "[0-9]+"}
Identity = tuple[str, str, str]


class Naming:
    """Finds task, method and repetition of runs.

    Args:
        reading: Its pattern, mapping, task and method.
        what: What a name is of, for messages: ``study``.

    Raises:
        ForeignResultsError: The pattern cannot be used.
    """

    def __init__(self, reading: Reading, what: str) -> None:
        self._reading, self._what = reading, what
        self._pattern = reading.pattern or PATTERN
        self._parts = _parts(self._pattern)

    def of(self, names: list[str], problems: Problems) -> dict[str, Identity]:
        """Return task, method and repetition by name; a name of which they are not known becomes a problem.

        A mapping decides alone: names that it lacks are left out. Where task and method are said of all, and no
        pattern is, every name is a repetition.
        """
        mapping = self._reading.mapping
        if mapping is not None:
            for name in sorted(set(mapping) - set(names)):
                problems.add(
                    f"the mapping names the {self._what} {name!r}, which is not there; {nearest(name, names)}"
                )
            return {name: mapping[name] for name in names if name in mapping}
        if self._reading.task and self._reading.method and not self._reading.pattern:
            return {name: (self._reading.task, self._reading.method, name) for name in names}
        found = {}
        for name in names:
            identities = self._read(name)
            if len(identities) == 1:
                found[name] = identities.pop()
                continue
            why = "does not fit" if not identities else f"fits in {len(identities)} ways"
            ways = ", as ".join(str(dict(zip(FIELDS, way, strict=True))) for way in sorted(identities)[:2])
            problems.add(
                f"{self._what} {name!r} {why} the pattern {self._pattern!r}{f': as {ways}' if ways else ''}; say "
                f"another with --pattern, or name each {self._what} in a file with --mapping"
            )
        return found

    def _read(self, name: str) -> set[Identity]:
        """Return every way to read a name."""
        found: set[Identity] = set()

        def read(parts: list[str], rest: str, values: dict[str, str]) -> None:
            if not parts:
                if not rest:
                    whole = {
                        "task": self._reading.task,
                        "method": self._reading.method,
                        "repetition": "0",
                        **values,
                    }
                    found.add((whole["task"], whole["method"], whole["repetition"]))
                return
            part, *later = parts
            if part == "*":
                for end in range(len(rest) + 1):
                    read(later, rest[end:], values)
            elif part in _FIELD:
                field = _FIELD[part]
                for end in range(1, len(rest) + 1):
                    if re.fullmatch(_TEXT[field], rest[:end]):
                        read(later, rest[end:], {**values, field: rest[:end]})
            elif rest.startswith(part):
                read(later, rest[len(part) :], values)

        read(self._parts, name, {})
        return {identity for identity in found if identity[0] and identity[1]}


_FIELD: Final = {f"{{{field}}}": field for field in FIELDS}


def _parts(pattern: str) -> list[str]:
    """Return a pattern's texts, fields and stars."""
    parts = [part for part in re.split(r"(\{[^{}]*\}|\*)", pattern) if part]
    fields = [part for part in parts if part.startswith("{")]
    unknown = [part for part in fields if part not in _FIELD]
    free = [part in _FIELD or part == "*" for part in parts]
    adjacent = any(first and second for first, second in itertools.pairwise(free))
    if unknown or not fields or adjacent or len(set(fields)) < len(fields):
        raise ForeignResultsError(
            f"--pattern: expected {{task}}, {{method}} and {{repetition}}, each at most once, and * for what does not "
            f"matter, with text between them, got {pattern!r}"
        )
    return parts


def read_mapping(path: Path) -> Mapping[str, Identity]:
    """Read a CSV file that says task, method and repetition of each run, in columns of these names and ``name``.

    Raises:
        RecordError: It cannot be read.
        ForeignResultsError: It is no such file; every problem is named.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise RecordError(f"cannot read {path}: {error}; give a CSV file with --mapping") from error
    problems = Problems(f"the mapping {path}")
    found: dict[str, Identity] = {}
    lines = csv.reader(text.splitlines())
    header = [cell.strip() for cell in next(lines, [])]
    wanted = ["name", *FIELDS]
    if sorted(header) != sorted(wanted):
        problems.add(f"row 1: expected the columns {', '.join(wanted)}, got {', '.join(header) or 'nothing'}")
        problems.check()
    for number, cells in enumerate(lines, 2):
        row = dict(zip(header, (cell.strip() for cell in cells), strict=False))
        if not cells:
            continue
        if len(cells) != len(header) or not all(row.values()):
            problems.add(f"row {number}: expected {plural(len(header), 'value')}, none empty, got {cells}")
        elif row["name"] in found:
            problems.add(f"row {number}: {row['name']!r} is named twice")
        else:
            found[row["name"]] = (row["task"], row["method"], row["repetition"])
    problems.check()
    return found
