"""What the pages say of the published races is what their tables say."""

from __future__ import annotations

import importlib.util
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def test_the_page_of_findings_is_what_the_published_tables_say():
    spec = importlib.util.spec_from_file_location("make_race", ROOT / "docs" / "make_race.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert (ROOT / "docs" / "findings.md").read_text(encoding="utf-8") == module.text(), (
        "run .venv/bin/python docs/make_race.py"
    )
