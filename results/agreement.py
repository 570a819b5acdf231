"""How far two drawings of the same figures and tables agree: by their bytes, or else by numbers and pixels."""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

import numpy as np

RELATIVE: Final = 1e-9
"""How far two computed numbers may be apart, relative to the larger, and still be the same up to rounding."""

NOTHING: Final = 1e-15
"""What counts as zero, relative to the largest number of a file: differences of numbers that should be equal."""

LEVELS: Final = 1
"""Of 255: how far the colours of a pixel may be apart; edges are blended by where a line lies."""

_NUMBER = re.compile(r"[-+]?(?:\d+\.\d*|\.\d+|\d+)(?:[eE][-+]?\d+)?")


def disagreement(before: Path, after: Path) -> float | str:
    """Compare two files of the same name.

    Returns:
        The largest difference of two numbers, relative to the larger of them (where both count as zero, to the largest
        of the file): 0.0 where all bytes are equal, or only pixels and printed digits differ by the least there is.
        Or in words what differs by more than rounding.
    """
    first, second = before.read_bytes(), after.read_bytes()
    if first == second:
        return 0.0
    compare = _BY_KIND.get(before.suffix)
    return "its bytes differ" if compare is None else compare(first, second)


def _computed(first: bytes, second: bytes) -> float | str:
    """Compare texts whose numbers are written in full."""
    return _texts(first.decode(), second.decode(), _rounding)


def _printed(first: bytes, second: bytes) -> float | str:
    """Compare texts whose numbers are cut to a few digits, of which the last may be another."""
    return _texts(first.decode("latin-1"), second.decode("latin-1"), _last_digit)


def _rounding(a: str, b: str, largest: float) -> float | None:
    """Return the relative difference of two numbers; ``None`` where it is no rounding."""
    x, y = float(a), float(b)
    if abs(x - y) <= NOTHING * largest:
        return abs(x - y) / largest if largest else 0.0
    relative = abs(x - y) / max(abs(x), abs(y))
    return relative if relative <= RELATIVE else None


def _last_digit(a: str, b: str, largest: float) -> float | None:
    """Return 0.0 where two printed numbers differ by one in the last digit at most; ``None`` where by more."""
    del largest
    digits = max(len(_mantissa(text).partition(".")[2]) for text in (a, b))
    unit = 10.0 ** (max(map(_exponent, (a, b))) - digits)
    return 0.0 if abs(float(a) - float(b)) <= 1.001 * unit else None


def _mantissa(text: str) -> str:
    return text.lower().partition("e")[0]


def _exponent(text: str) -> int:
    return int(text.lower().partition("e")[2] or 0)


def _texts(first: str, second: str, apart: Callable[[str, str, float], float | None]) -> float | str:
    if _NUMBER.split(first) != _NUMBER.split(second):
        return "its text differs"
    numbers = list(zip(_NUMBER.findall(first), _NUMBER.findall(second), strict=True))
    largest = max((abs(float(number)) for pair in numbers for number in pair), default=0.0)
    found = 0.0
    for a, b in numbers:
        difference = apart(a, b, largest) if a != b else 0.0
        if difference is None:
            return f"it says {b} for {a}"
        found = max(found, difference)
    return found


def _pixels(first: bytes, second: bytes) -> float | str:
    import io

    from PIL import Image

    before, after = (
        np.asarray(Image.open(io.BytesIO(data)).convert("RGBA"), dtype=int) for data in (first, second)
    )
    if before.shape != after.shape:
        return f"it is {after.shape[1]} × {after.shape[0]} pixels, not {before.shape[1]} × {before.shape[0]}"
    different = (np.abs(before - after) > LEVELS).any(axis=-1)
    return f"{different.sum()} of {different.size} pixels differ" if different.any() else 0.0


def _streams(data: bytes) -> Iterator[str]:
    """Yield the parts of a PDF file: what is between its streams without sizes and offsets, and these unpacked."""
    body = data.partition(b"\nxref\n")[0]
    for i, part in enumerate(re.split(rb"stream\r?\n(.*?)\r?\nendstream", body, flags=re.DOTALL)):
        try:
            packed = i % 2 == 1
            yield (zlib.decompress(part) if packed else re.sub(rb"/Length \d+", b"", part)).decode("latin-1")
        except zlib.error:
            yield part.decode("latin-1")


def _documents(first: bytes, second: bytes) -> float | str:
    before, after = list(_streams(first)), list(_streams(second))
    if len(before) != len(after):
        return "it has other parts"
    for a, b in zip(before, after, strict=True):
        found = _texts(a, b, _last_digit) if a != b else 0.0
        if isinstance(found, str):
            return found
    return 0.0


_BY_KIND: Final[Mapping[str, Callable[[bytes, bytes], float | str]]] = MappingProxyType(
    {
        ".csv": _computed,
        ".svg": _printed,
        ".tex": _printed,
        ".md": _printed,
        ".pdf": _documents,
        ".png": _pixels,
        ".webp": _pixels,
    }
)
