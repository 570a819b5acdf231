"""What source says as text for a terminal: docstrings without markup and filled to its width, domains, limits."""

from __future__ import annotations

import inspect
import json
import math
import re
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from harness.options import Options
from harness.space import Choice, Condition, Domain, Int

_LINE = re.compile(r"(?P<indent> *)(?P<mark>(?:[-*]|\d+\.) +)?(?P<text>.*)")


_MARKUP = (
    (re.compile(r"``(.+?)``"), r"\1"),
    (re.compile(r"`([^`]+)`"), r"\1"),
    (re.compile(r"(?<![\w*])(\*\*?)(?=[^\s*])(.+?)(?<=[^\s*])\1(?![\w*])"), r"\2"),
    (re.compile(r"::$"), ":"),
)
"""Marks of code, of emphasis, and of a block that follows."""


def unmarked(text: str) -> str:
    """Return text of a docstring without its markup.

    Example:
        >>> unmarked("``lr`` as in `Float`, *our choice*; 2 * 3 * 4::")
        'lr as in Float, our choice; 2 * 3 * 4:'
    """
    for mark, plain in _MARKUP:
        text = mark.sub(plain, text)
    return text


def first_line(kind: type) -> str:
    """Return the first line of a class's docstring."""
    return unmarked((kind.__doc__ or "").strip().partition("\n")[0])


def rewrapped(docstring: str, width: int) -> str:
    r"""Return a docstring with its paragraphs filled to a width in characters, without markup.

    Empty lines, the items of lists and changes of indentation stay; an example session (``>>>``) and a block that a
    paragraph announces with ``::`` are left as they are.

    Example:
        >>> print(rewrapped("One two\nthree.\n\n- four\n  five\n- six", 40))
        One two three.
        <BLANKLINE>
        - four five
        - six
    """
    pieces: list[str] = []
    lead, words, session = "", "", False
    block: int | None = None
    """Deeper than so many spaces, lines belong to a block that was announced."""

    def end() -> None:
        nonlocal words, block
        if words:
            block = len(lead) if words.endswith("::") else None
            filled = textwrap.fill(
                unmarked(words),
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
        elif block is not None and not words and len(found["indent"]) > block:
            pieces.append(line)
        elif words and not found["mark"] and len(found["indent"]) == len(lead):
            words += " " + found["text"]
        else:
            end()
            lead, words = found["indent"] + (found["mark"] or ""), found["text"]
    end()
    return "\n".join(pieces)


def number(value: float) -> str:
    """Return a number as people write it.

    Example:
        >>> [number(value) for value in (0.5, 1e-4, 2.5e-05, 1e16, 64)]
        ['0.5', '1e-4', '2.5e-5', '1e16', '64']
    """
    text = repr(value)
    if isinstance(value, float):
        if 0 < abs(value) < 1e-2 and "e" not in text:
            digits = next(d for d in range(17) if float(f"{value:.{d}e}") == value)
            scientific = f"{value:.{digits}e}"
            text = scientific if len(scientific) <= len(text) else text
        text = text.removesuffix(".0")
    return re.sub(r"e([+-]?)0*(\d)", lambda found: f"e{found[1].replace('+', '')}{found[2]}", text)


def value_in_words(value: object) -> str:
    """Return a plain value as in a sweep file: a text without quotes, where it is not read as anything else.

    Example:
        >>> [value_in_words(value) for value in ("adam", True, None, "true", 1e-3)]
        ['adam', 'true', 'null', '"true"', '1e-3']
    """
    if isinstance(value, str):
        plain = re.fullmatch(r"[A-Za-z_][\w./ -]*", value) and value.lower() not in ("true", "false", "null")
        return value if plain else json.dumps(value, ensure_ascii=False)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return number(value)
    return json.dumps(value, ensure_ascii=False, default=str)


def config_in_words(config: Mapping[str, object]) -> str:
    """Return a configuration, its parameters in order."""
    return ", ".join(f"{name}: {value_in_words(value)}" for name, value in config.items())


def domain_in_words(domain: Domain) -> str:
    """Return a domain as people write it.

    Example:
        >>> from harness.space import Float
        >>> domain_in_words(Float(1e-4, 1e-1, log=True)), domain_in_words(Int(1, 20))
        ('1e-4 … 1e-1, log', '1 … 20, whole')
        >>> domain_in_words(Choice(("sgd", "adam")))
        '{sgd, adam}'
    """
    if isinstance(domain, Choice):
        return _set(domain.values)
    ends = [number(domain.low), number(domain.high)]
    if any("e" in end for end in ends) and domain.low > 0:  # of powers of ten, both are written so
        powers = [math.log10(domain.low), math.log10(domain.high)]
        ends = [
            f"1e{power:.0f}" if power in (-1, -2) else end for power, end in zip(powers, ends, strict=True)
        ]
    whole = ", whole" if isinstance(domain, Int) else ""
    return f"{' … '.join(ends)}{whole}{', log' if domain.log else ''}"


def condition_in_words(condition: Condition) -> str:
    """Return where a parameter is active: ``optimizer is momentum or adam``."""
    return f"{condition.parent} is {' or '.join(map(value_in_words, condition.values))}"


def limits_in_words(schema: Mapping[str, Any]) -> str:
    """Return what a field's JSON schema allows, as people write it.

    Example:
        >>> limits_in_words({"anyOf": [{"type": "integer", "minimum": 1}, {"type": "null"}]})
        'whole, from 1; or null'
        >>> limits_in_words({"type": "number", "exclusiveMinimum": 0, "maximum": 1})
        'above 0, up to 1'
        >>> limits_in_words({"enum": ["full", "tiny"], "type": "string"})
        '{full, tiny}'
    """
    if "anyOf" in schema:
        return "; or ".join(limits_in_words(each) for each in schema["anyOf"])
    if "enum" in schema:
        return _set(schema["enum"])
    if "const" in schema:
        return value_in_words(schema["const"])
    kind = str(schema.get("type", ""))
    parts = [_KINDS.get(kind, kind)]
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is not None and high is not None:
        parts.append(f"{number(low)} … {number(high)}")
    else:
        parts += [f"{words} {value_in_words(schema[key])}" for key, words in _BOUNDS.items() if key in schema]
    if kind == "number" and len(parts) == 1:
        parts = ["a number"]
    if kind == "array" and (items := limits_in_words(schema.get("items", {}))):
        parts[0] = f"a list, each {items}"
    return ", ".join(part for part in parts if part)


def option_rows(options: type[Options]) -> list[tuple[str, str, str, str]]:
    """Return the options of a task, or the settings of a searcher: name, default, what is allowed, and meaning."""
    schema: dict[str, Any] = options.model_json_schema()
    known = schema.get("$defs", {})
    rows = []
    for field, info in options.model_fields.items():
        own = schema["properties"][field]
        limits = limits_in_words({**known.get(str(own.get("$ref")).rpartition("/")[2], {}), **own})
        default = (
            "required" if info.is_required() else value_in_words(info.get_default(call_default_factory=True))
        )
        rows.append((field, default, limits, unmarked(info.description or "")))
    return rows


def paragraphs(docstring: str) -> list[str]:
    """Return a docstring's paragraphs and the items of its lists, each on one line and without markup."""
    found: list[str] = []
    for part in rewrapped(docstring, 1_000_000).split("\n\n"):
        lines = [line.strip() for line in part.splitlines() if line.strip()]
        session = any(line.startswith(">>>") for line in lines)
        if not session:
            found += lines
    return found


_KINDS = {
    "integer": "whole",
    "number": "",
    "string": "text",
    "boolean": "true or false",
    "null": "null",
    "array": "a list",
    "object": "a mapping",
}
_BOUNDS = {
    "minimum": "from",
    "exclusiveMinimum": "above",
    "maximum": "up to",
    "exclusiveMaximum": "below",
    "minLength": "characters from",
    "maxLength": "characters up to",
    "minItems": "entries from",
    "maxItems": "entries up to",
    "pattern": "like",
}


def _set(values: Sequence[object]) -> str:
    return f"{{{', '.join(map(value_in_words, values))}}}"
