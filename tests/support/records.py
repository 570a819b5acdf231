"""What several test modules need besides fixtures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from results.journal import digest_of, sealed
from results.schema import CHECK, MEASURED

PLUGIN = Path(__file__).parent / "plugin"
"""A plug-in as it would be installed: put this folder on the path."""


def study_records(root: Path) -> dict[str, list[dict[str, Any]]]:
    """Every study's events without what is measured, by study."""
    return {
        path.stem: [
            {name: value for name, value in json.loads(line).items() if name not in MEASURED | {CHECK}}
            for line in path.read_text().splitlines()
        ]
        for path in sorted((root / "studies").glob("*.jsonl"))
    }


def rewrite(path: Path, lines: list[dict[str, Any]]) -> None:
    """Write a journal or evaluation file of these lines, each with the check that a writer would give it."""
    data = b""
    for line in lines:
        content = {name: value for name, value in line.items() if name != CHECK}
        if content.get("event") == "done":
            content["digest"] = digest_of(data)
        data += sealed(json.dumps(content, separators=(",", ":")).encode(), len(data))
    path.write_bytes(data)


def lines_of(path: Path) -> list[dict[str, Any]]:
    """The lines of a journal or evaluation file without their checks."""
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    return [{name: value for name, value in line.items() if name != CHECK} for line in lines]
