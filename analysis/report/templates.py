"""The pages' templates."""

from __future__ import annotations

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined


def environment(*before: Path) -> Environment:
    """Return the templates' environment; every value put into them is escaped.

    Args:
        before: Folders of templates that are looked for before those of reports.
    """
    return Environment(
        loader=FileSystemLoader([*before, Path(__file__).parent]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
