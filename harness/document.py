"""Documents that people write: YAML 1.2's core schema and nothing else, within limits, with the line of every value.

PyYAML takes the text apart; what its own loaders make of the parts is YAML 1.1, in which ``017`` is 15, ``1:30`` is 90,
``no`` is false and ``1e-4`` is text, and follows aliases without a limit. Nothing here recurses deeper than `DEEPEST`,
and nothing is built of what is beyond a limit.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple, cast

import yaml

from harness.errors import shown

FieldPath = tuple[str | int, ...]
"""A path into a document: keys and list positions."""

MOST_BYTES: Final = 256 * 1024
"""Longer texts are refused unread."""
MOST_VALUES: Final = 20_000
"""Keys, values, lists and mappings in all."""
DEEPEST: Final = 32
"""Lists and mappings inside each other."""
MOST_DIGITS: Final = 100
"""Characters of a number."""
MOST_BITS: Final = 63
"""Whole numbers lie between ±2⁶³: what is read back from the record has no more, either."""

_NULL = re.compile(r"(?:null|Null|NULL|~|)")
_BOOL = re.compile(r"(?:true|True|TRUE|false|False|FALSE)")
_INT = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
_OTHER_BREAKS = re.compile("[\x85\u2028\u2029]")

_INVISIBLE: Final = ("Cc", "Cf", "Cs", "Zl", "Zp")
_BLANK: Final = "\u115f\u1160\u2800\u3164\uffa0"
"""Letters and symbols that are drawn as nothing."""
_IN_TEXT: Final = "\n\t\u200c\u200d"
"""Invisible characters that text may hold: line feed, tab, and what joins or parts letters in some scripts."""


class Problem(NamedTuple):
    """Something wrong with a document; ``place`` is `None` where it is wrong as a whole, ``line`` 0 where unknown."""

    line: int
    place: FieldPath | None
    message: str


class Unreadable:
    """Stands in a document for a value that is one of its problems."""

    def __repr__(self) -> str:
        return "an unreadable value"


@dataclass(frozen=True, slots=True)
class Document:
    """A document that was read.

    Attributes:
        text: The text, with a line feed at the end of each line.
        value: ``None``, ``bool``, ``int``, ``float`` (finite), ``str``, ``list`` and ``dict`` with keys of ``str``;
            `Unreadable` where `problems` say why.
        lines: The line of every place, counted from 1: of a key, or of an item of a list.
        problems: What is wrong.
    """

    text: str
    value: Any
    lines: Mapping[FieldPath, int]
    problems: Sequence[Problem]


def load(path: Path) -> Document:
    """Read a file.

    Raises:
        OSError: It cannot be read.
    """
    with path.open("rb") as file:
        data = file.read(MOST_BYTES + 1)
    if len(data) > MOST_BYTES:
        return _refused(_too_long())
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        return _refused(f"not UTF-8: byte 0x{data[error.start]:02x}; save the file as UTF-8", line)
    return read(text.replace("\r\n", "\n").replace("\r", "\n"))


def read(text: str) -> Document:
    """Read a text. What is wrong with it is among the document's problems; nothing is raised."""
    if len(text) > MOST_BYTES:
        return _refused(_too_long())
    strange = _OTHER_BREAKS.search(text)
    if strange:
        line = text.count("\n", 0, strange.start()) + 1
        return _refused(f"{named(strange[0])} is no line break in YAML 1.2; use a line feed", line)
    reader = _Reader()
    try:
        value = reader.document(yaml.parse(text, Loader=yaml.SafeLoader))
    except _RefusedError as error:
        return _refused(str(error), error.line)
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        return _refused(f"not valid YAML: {named(chr(cast('int', error.character)))} is not allowed", line)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 0
        return _refused(f"not valid YAML: {error.problem or error.context}", line)
    except (ValueError, OverflowError):  # by which PyYAML itself ends at these two
        return _refused(
            "not valid YAML: an escape such as \\U, or %YAML, has a number out of range", reader.line
        )
    return Document(text, value, reader.lines, reader.problems)


def write(value: Mapping[str, Any]) -> str:
    """Return the text of a document, which `read` takes for the same values; YAML 1.1 mostly does, too."""
    return yaml.dump(dict(value), Dumper=_Dumper, sort_keys=False, allow_unicode=True)


def field_name(place: FieldPath) -> str:
    """Return a place as people write it, such as ``tasks[0].options.variant``."""
    parts = (f"[{part}]" if isinstance(part, int) else f".{_plain(part)}" for part in place)
    return "".join(parts).removeprefix(".") or "the file"


def invisible(text: str, allowed: str = _IN_TEXT) -> str:
    """Return the first character that cannot be seen, or turns the text around it; empty where there is none.

    Control characters, line and paragraph separators, marks of direction, characters without width, surrogates.
    """
    if text.isascii() and text.isprintable():
        return ""
    return next(
        (char for char in text if unicodedata.category(char) in _INVISIBLE and char not in allowed), ""
    )


def blank(text: str) -> bool:
    """Whether nothing of a text is drawn."""
    return all(char.isspace() or char in _BLANK or invisible(char, "") for char in text)


def named(char: str) -> str:
    """Return a character's code and name."""
    kind = {"Cc": "control character", "Cs": "surrogate"}.get(unicodedata.category(char), "unnamed")
    return f"U+{ord(char):04X} ({unicodedata.name(char, kind).lower()})"


def check_legible(label: str) -> None:
    """Raise `ValueError` unless a label can be told from others by looking at it."""
    char = invisible(label, allowed="")
    if char:
        raise ValueError(f"a label must be visible: it holds {named(char)}")
    if blank(label):
        raise ValueError("a label must be visible: it is blank")
    if label != label.strip():
        raise ValueError("a label must not begin or end with a space")


def is_whole(value: object) -> bool:
    """Whether no part of a document's value is `Unreadable`."""
    if isinstance(value, dict):
        return all(map(is_whole, value.values()))
    return all(map(is_whole, value)) if isinstance(value, list) else not isinstance(value, Unreadable)


def _plain(text: str) -> str:
    """Return a key for a message: as it is, or as Python writes it."""
    return text if text and text.isprintable() and len(text) <= 80 else shown(text)


def _too_long() -> str:
    return f"longer than {MOST_BYTES // 1024} KiB, the most that is read"


def _refused(message: str, line: int = 0) -> Document:
    return Document("", Unreadable(), {}, [Problem(line, None, message)])


class _RefusedError(Exception):
    """The document is refused as a whole."""

    def __init__(self, message: str, line: int) -> None:
        super().__init__(message)
        self.line = line


class _Reader:
    """Makes plain values of PyYAML's events, and notes lines and problems."""

    def __init__(self) -> None:
        self.lines: dict[FieldPath, int] = {}
        self.problems: list[Problem] = []
        self.line = 0
        self._values = 0
        self._depth = 0

    def document(self, events: Iterator[yaml.Event]) -> Any:
        """Return the value of a stream's only document; `None` where there is none."""
        value = None
        documents = 0
        for event in events:
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    raise _RefusedError("a second document begins here; one is expected", _line(event))
                if event.version and tuple(event.version) != (1, 2):
                    version = ".".join(map(str, event.version))
                    raise _RefusedError(f"declares YAML {version}; it is read as YAML 1.2", _line(event))
                value = self._value(events, next(events), ())
        return value

    def _value(self, events: Iterator[yaml.Event], event: yaml.Event, place: FieldPath) -> Any:
        """Return the value that begins with an event, and take the rest of its events."""
        self.line = _line(event)
        self.lines.setdefault(place, self.line)
        self._values += 1
        if self._values > MOST_VALUES:
            raise _RefusedError(f"more than {MOST_VALUES} keys and values", self.line)
        if isinstance(event, yaml.AliasEvent):
            return self._problem(place, f"aliases are not allowed, got *{event.anchor}; write the value out")
        assert isinstance(event, yaml.NodeEvent)  # noqa: S101 - the parser's grammar says so
        if isinstance(event, yaml.ScalarEvent):
            value = self._scalar(event, place)
        elif self._depth == DEEPEST:
            raise _RefusedError(f"more than {DEEPEST} lists and mappings inside each other", self.line)
        else:
            self._depth += 1
            inside = self._list if isinstance(event, yaml.SequenceStartEvent) else self._mapping
            value = inside(events, place)
            self._depth -= 1
        return self._undecorated(event, place, value)

    def _undecorated(self, event: Any, place: FieldPath, value: Any) -> Any:
        """Return the value of a node without anchor and tag."""
        if event.anchor is not None:
            return self._problem(place, f"anchors are not allowed, got &{event.anchor}; remove it", event)
        if event.tag is not None:
            tag = event.tag.replace("tag:yaml.org,2002:", "!!")
            return self._problem(
                place, f"tags are not allowed, got {tag}; write the value alone, and text in quotes", event
            )
        return value

    def _list(self, events: Iterator[yaml.Event], place: FieldPath) -> list[Any]:
        items: list[Any] = []
        for event in events:
            if isinstance(event, yaml.SequenceEndEvent):
                break
            items.append(self._value(events, event, (*place, len(items))))
        return items

    def _mapping(self, events: Iterator[yaml.Event], place: FieldPath) -> dict[str, Any]:
        fields: dict[str, Any] = {}
        for event in events:
            if isinstance(event, yaml.MappingEndEvent):
                break
            line = _line(event)
            key = self._key(events, event, place)
            if key is None:
                self._value(events, next(events), (*place, "?"))
            elif key in fields:
                self.problems.append(Problem(line, (*place, key), "this field is given twice"))
                self._value(events, next(events), (*place, key))
            else:
                self.lines[(*place, key)] = line
                fields[key] = self._value(events, next(events), (*place, key))
        return fields

    def _key(self, events: Iterator[yaml.Event], event: yaml.Event, place: FieldPath) -> str | None:
        """Return a field's name; `None` where it is none, which is a problem then."""
        before, line = len(self.problems), _line(event)
        key = self._value(events, event, place)
        if len(self.problems) > before:
            return None
        if not isinstance(key, str) or not key:
            what = "text" if isinstance(key, str) else f"text, got {shown(key)}; put it in quotes"
            self.problems.append(Problem(line, place, f"a field's name must be {what}"))
            return None
        return key

    def _scalar(self, event: yaml.ScalarEvent, place: FieldPath) -> Any:
        text = event.value
        if event.implicit[0]:
            try:
                value = _resolved(text)
            except ValueError as error:
                return self._problem(place, f"{error}, got {shown(text, 40)}", event)
            if not isinstance(value, str):
                return value
        char = invisible(text)
        if char:
            return self._problem(place, f"text must not hold {named(char)}, got {shown(text)}", event)
        return text

    def _problem(self, place: FieldPath, message: str, event: Any = None) -> Unreadable:
        line = self.line if event is None else _line(event)
        self.problems.append(Problem(line, place, message))
        return Unreadable()


def _line(event: yaml.Event) -> int:
    assert event.start_mark is not None  # noqa: S101 - the parser marks every event
    return event.start_mark.line + 1


def _resolved(text: str) -> Any:
    """Return what a plain scalar means in YAML 1.2's core schema.

    Raises:
        ValueError: It is a number that cannot be had exactly, is not finite, or that YAML 1.1 reads as another one.
    """
    if _NULL.fullmatch(text):
        return None
    if _BOOL.fullmatch(text):
        return text[0] in "tT"
    if len(text) > MOST_DIGITS and (_INT.fullmatch(text) or _FLOAT.fullmatch(text)):
        raise ValueError(f"a number must have at most {MOST_DIGITS} digits")
    if _INT.fullmatch(text):
        digits = text.lstrip("+-")
        if digits[0] == "0" and digits.isdecimal() and len(digits) > 1:
            raise ValueError(
                "a number with leading zeros is octal to some and decimal to others; write 0o for octal, or quote text"
            )
        number = int(text, {"0o": 8, "0x": 16}.get(digits[:2], 10))
        if -(2**MOST_BITS) <= number < 2**MOST_BITS:
            return number
        raise ValueError("a whole number must lie between -2⁶³ and 2⁶³")
    if _NOT_FINITE.fullmatch(text):
        raise ValueError("a number must be finite; put text in quotes")
    if _FLOAT.fullmatch(text):
        value = float(text)
        if math.isinf(value):
            raise ValueError("a number must be smaller than 1.8e308")
        if value == 0 and re.search("[1-9]", re.split("[eE]", text)[0]):
            raise ValueError("a number must be 0 or larger than 5e-324")
        return value
    return text


class _Dumper(yaml.SafeDumper):
    """Quotes text that YAML 1.1 or 1.2 takes for something else, and never refers back to a value."""

    def ignore_aliases(self, data: Any) -> bool:
        """Write every value out."""
        return True


for _pattern, _tag in ((_INT, "int"), (_FLOAT, "float")):
    _Dumper.add_implicit_resolver(
        f"tag:yaml.org,2002:{_tag}", re.compile(f"(?:{_pattern.pattern})$"), list("-+.0123456789")
    )
