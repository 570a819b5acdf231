"""Numbers of things in words: one study, two studies."""

from __future__ import annotations

import re

_ES = re.compile(r"(?:s|x|tch|sh)$")
_IES = re.compile(r"(?<=[^aeiou])y$")


def plural(count: float, one: str, many: str | None = None) -> str:
    """Return a number with what it counts.

    Args:
        count: The number, as it is to be written.
        one: What one of them is called.
        many: What several are called; by default made of ``one``, by its end.

    Example:
        >>> plural(1, "study"), plural(0, "study"), plural(2, "epoch"), plural(3, "kind of machine", "kinds of machine")
        ('1 study', '0 studies', '2 epochs', '3 kinds of machine')
    """
    number = f"{count:g}" if isinstance(count, float) else str(count)
    return f"{number} {one if count == 1 else many or _several(one)}"


def _several(one: str) -> str:
    if _IES.search(one):
        return f"{one[:-1]}ies"
    return f"{one}es" if _ES.search(one) else f"{one}s"
