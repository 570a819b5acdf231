"""Docstrings as text for a terminal: the breaks of source lines undone, paragraphs wrapped to its width."""

from __future__ import annotations

import inspect
import re
import textwrap

_LINE = re.compile(r"(?P<indent> *)(?P<mark>(?:[-*]|\d+\.) +)?(?P<text>.*)")


def rewrapped(docstring: str, width: int) -> str:
    r"""Return a docstring with its paragraphs filled to a width in characters.

    Empty lines, the items of lists and changes of indentation stay; an example session (``>>>``) is left as it is.

    Example:
        >>> print(rewrapped("One two\nthree.\n\n- four\n  five\n- six", 40))
        One two three.
        <BLANKLINE>
        - four five
        - six
    """
    pieces: list[str] = []
    lead, words, session = "", "", False

    def end() -> None:
        nonlocal words
        if words:
            filled = textwrap.fill(
                words,
                width,
                initial_indent=lead,
                subsequent_indent=" " * len(lead),
                break_long_words=False,
                break_on_hyphens=False,
            )
            pieces.append(filled)
        words = ""

    for line in inspect.cleandoc(docstring).splitlines():
        found = _LINE.fullmatch(line)
        assert found is not None  # noqa: S101 - every part of the pattern may be empty
        session = bool(line.strip()) and (session or found["text"].startswith(">>>"))
        if session or not line.strip():
            end()
            pieces.append(line)
        elif words and not found["mark"] and len(found["indent"]) == len(lead):
            words += " " + found["text"]
        else:
            end()
            lead, words = found["indent"] + (found["mark"] or ""), found["text"]
    end()
    return "\n".join(pieces)
