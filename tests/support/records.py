"""What several test modules need besides fixtures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from results.schema import MEASURED

PLUGIN = Path(__file__).parent / "plugin"
"""A plug-in as it would be installed: put this folder on the path."""


def study_records(root: Path) -> dict[str, list[dict[str, Any]]]:
    """Every study's events without what is measured, by study."""
    return {
        path.stem: [
            {name: value for name, value in json.loads(line).items() if name not in MEASURED}
            for line in path.read_text().splitlines()
        ]
        for path in sorted((root / "studies").glob("*.jsonl"))
    }
