"""How commands print: lines as they are, and tables."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console


def new_console() -> Console:
    """Return a console for standard output, as it is now."""
    from rich.console import Console

    return Console()


def say(text: str, style: str | None = None) -> None:
    """Print a line as it is: brackets are no markup, and a long one is left for the terminal to wrap."""
    new_console().print(text, style=style, markup=False, highlight=False, soft_wrap=True)


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table, as wide as the terminal; its cells are text, without markup."""
    from rich.table import Table
    from rich.text import Text

    table = Table(*header, box=None, pad_edge=False, header_style="bold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    console = new_console()
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = 140  # a file or a pipe has no width that a table must be cut to
    console.print(table)
