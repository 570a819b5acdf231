"""How commands print: lines as they are, and tables."""

from __future__ import annotations

import os
import textwrap
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

_GAP: Final = 2
"""Blanks between the columns of a table."""


def new_console() -> Console:
    """Return a console for standard output, as it is now."""
    from rich.console import Console

    return Console()


def say(text: str, style: str | None = None) -> None:
    """Print a line as it is: brackets are no markup, and a long one is left for the terminal to wrap."""
    new_console().print(text, style=style, markup=False, highlight=False, soft_wrap=True)


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table, as wide as the terminal; its cells are text, without markup.

    No word is cut: where all columns together have no room for their longest words, each row is a paragraph.
    """
    from rich.table import Table
    from rich.text import Text

    console = new_console()
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = 140  # a file or a pipe has no width that a table must be cut to
    widths = _widths(header, rows, console.width)
    if widths is None:
        for first, *others in rows:
            named = (f"{name}: {cell}" for name, cell in zip(header[1:], others, strict=True) if cell)
            console.print(Text(first, "bold"), soft_wrap=True)
            for line in textwrap.wrap("; ".join(named), console.width - 2, break_long_words=False):
                console.print(Text(f"  {line}"), soft_wrap=True)
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name, width in zip(header, widths, strict=True):
        table.add_column(Text(name), width=width)
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    console.print(table)


def _widths(header: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> list[int] | None:
    """Return the widths of a table's columns, none below its longest word; ``None`` where these have no room."""
    from rich.cells import cell_len

    columns = list(zip(header, *rows, strict=True))
    least = [max(cell_len(word) for cell in column for word in (cell.split() or [""])) for column in columns]
    most = [max(map(cell_len, column)) for column in columns]
    room = width - _GAP * (len(columns) - 1) - sum(least)
    if room < 0:
        return None
    wanted = sum(most) - sum(least)
    share = min(room / wanted, 1.0) if wanted else 0.0
    return [low + int((high - low) * share) for low, high in zip(least, most, strict=True)]
