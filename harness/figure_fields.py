"""How figures are drawn: which methods and tasks, under what names, how they look, how wide; checked before use.

These fields are the block ``figures`` of a sweep file, a style file of their own, and the options of the command line.
They decide what is drawn and how, and nothing that is recorded: no study's identity knows them.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from harness import document
from harness.errors import SweepError, fault_in_words, nearest, refusal, shown

Format = Literal["pdf", "svg", "png"]

UNITS: Final[Mapping[str, float]] = {"in": 1.0, "cm": 1 / 2.54, "mm": 1 / 25.4, "pt": 1 / 72.27}
"""Inches of each unit of length; a point is TeX's, in which LaTeX prints ``\\columnwidth``."""

NARROWEST, WIDEST = 2.5, 20.0
"""Of a figure, in inches."""

MARKERS: Final = "o s ^ v < > D d p P X x * h H 8 + ."
"""Marks that tell methods apart, as matplotlib names them."""

DASHES: Final[Mapping[str, tuple[float, ...]]] = {
    "solid": (),
    "dashed": (3.5, 1.8),
    "dotted": (1.2, 1.2),
    "dash-dot": (5.0, 1.5, 1.2, 1.5),
    "long": (7.0, 3.0),
    "dash-dot-dot": (5.0, 1.5, 1.2, 1.5, 1.2, 1.5),
}
"""Lengths of marks and gaps in line widths, by name."""

_LENGTH = re.compile(r"\s*([0-9]+(?:\.[0-9]*)?|\.[0-9]+)\s*([a-z]*)\s*")
_COLOR = re.compile(r"#[0-9a-fA-F]{6}")


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class LookSpec(_Model):
    """How a method is drawn, as far as it is not its own look."""

    color: str | None = Field(None, description="as #rrggbb")
    marker: str | None = Field(None, description=f"one of {MARKERS}")
    dash: str | None = Field(None, description=f"one of {', '.join(DASHES)}")

    @field_validator("color")
    @classmethod
    def _known_color(cls, color: str | None) -> str | None:
        if color is not None and not _COLOR.fullmatch(color):
            raise ValueError('expected a colour such as "#0072b2", in quotes')
        return color

    @field_validator("marker")
    @classmethod
    def _known_marker(cls, marker: str | None) -> str | None:
        if marker is not None and marker not in MARKERS.split():
            raise ValueError(f"expected one of {MARKERS}")
        return marker

    @field_validator("dash")
    @classmethod
    def _known_dash(cls, dash: str | None) -> str | None:
        if dash is not None and dash not in DASHES:
            raise ValueError(f"expected one of {', '.join(DASHES)}")
        return dash


class FiguresSpec(_Model):
    """How the figures of a sweep are drawn; methods and tasks are named by their labels in the sweep."""

    only: list[str] | None = Field(None, min_length=1, description="the methods shown; all by default")
    tasks: list[str] | None = Field(None, min_length=1, description="the tasks shown; all by default")
    labels: dict[str, str] = Field({}, description="other names of methods and tasks, by label")
    order: list[str] = Field([], description="methods in the order of legends; the others follow")
    looks: dict[str, LookSpec] = Field({}, description="colour, marker and dash of methods, by label")
    width: str | float | None = Field(
        None,
        description="of every figure, such as 3.3in, 84mm, 8.4cm or 240pt; a number is in inches; by default each "
        "figure has the width of a column or of a page",
    )
    font: str | None = Field(None, max_length=100, description="family of an installed font")
    font_size: float = Field(8.0, ge=5, le=16, description="of titles and axes, in points; the rest follows")
    decimal: Literal["point", "comma"] = Field("point", description="what parts a number's decimals")
    titles: bool = Field(True, description="whether a figure's title is drawn in it")
    baselines: bool = Field(True, description="whether the sweep's baselines are drawn and tabled")
    formats: list[Format] = Field(
        ["pdf", "svg", "png"], min_length=1, description="files of each figure; its numbers are always CSV"
    )
    brief: bool = Field(
        False,
        description="whether a report has only the figures that are read first, each as one image, and no "
        "pages of trials: `derby figure` draws any of the others",
    )

    @field_validator("labels")
    @classmethod
    def _legible(cls, labels: dict[str, str]) -> dict[str, str]:
        for name, label in labels.items():
            try:
                document.check_legible(label)
            except ValueError as error:
                raise ValueError(f"of {name!r}: {error}") from error
            if len(label) > 60:
                raise ValueError(f"of {name!r}: expected at most 60 characters, got {len(label)}")
        return labels

    @field_validator("width")
    @classmethod
    def _length(cls, width: str | float | None) -> str | float | None:
        if width is not None:
            inches(width)
        return width

    @field_validator("formats")
    @classmethod
    def _once(cls, formats: list[Format]) -> list[Format]:
        return list(dict.fromkeys(formats))

    @property
    def inches(self) -> float | None:
        """The width of every figure in inches; ``None``: each its own."""
        return None if self.width is None else inches(self.width)

    def over(self, other: FiguresSpec) -> FiguresSpec:
        """Return what holds where this is said later than another: its fields where given, key by key in mappings."""
        fields = {name: getattr(other, name) for name in other.model_fields_set}
        for name in self.model_fields_set:
            value = getattr(self, name)
            fields[name] = {**fields.get(name, {}), **value} if isinstance(value, dict) else value
        return FiguresSpec.model_validate(fields)

    def as_json(self) -> dict[str, Any]:
        """Return the fields that were given, as a style file would have them."""
        return self.model_dump(exclude_unset=True, exclude_none=True)


DEFAULTS: Final = FiguresSpec.model_validate({})
"""Everything is shown, as the project draws it."""


def inches(length: str | float) -> float:
    """Return a length in inches.

    Args:
        length: Such as ``3.3in``, ``84mm``, ``8.4cm``, ``240pt``; a number, or a text of one, is in inches.

    Raises:
        ValueError: It is no length, or no width that a figure can have.
    """
    found = _LENGTH.fullmatch(str(length))
    if found is None or (found[2] or "in") not in UNITS:
        raise ValueError("expected a width such as 3.3in, 84mm, 8.4cm or 240pt")
    result = float(found[1]) * UNITS[found[2] or "in"]
    if not NARROWEST <= result <= WIDEST:
        raise ValueError(
            f"expected a width from {NARROWEST:g} to {WIDEST:g} in ({NARROWEST * 25.4:.0f} to {WIDEST * 25.4:.0f} mm)"
        )
    return result


def unknown(
    spec: FiguresSpec, methods: Collection[str], tasks: Collection[str]
) -> Iterator[tuple[document.FieldPath, str]]:
    """Yield what a block names that a sweep does not have, and names that would be given twice: place and message.

    Args:
        spec: The block.
        methods: Labels of the sweep's methods.
        tasks: Labels of its tasks.
    """
    every = {*methods, *tasks}
    for field, valid, what in (
        ("only", {*methods}, "method"),
        ("order", {*methods}, "method"),
        ("looks", {*methods}, "method"),
        ("tasks", {*tasks}, "task"),
        ("labels", every, "method or task"),
    ):
        named = getattr(spec, field) or ()
        for place, name in zip(named if isinstance(named, dict) else range(len(named)), named, strict=True):
            known = name if field == "labels" else original(spec, name, valid)
            if known not in valid:
                yield (field, place), f"this sweep has no {what} called {name!r}; {nearest(name, valid)}"
    for valid in ({*methods}, {*tasks}):
        names = [spec.labels.get(name, name) for name in sorted(valid)]
        for name in sorted({name for name in names if names.count(name) > 1}):
            yield ("labels",), f"{name!r} would be the name of several; give each of them a name of its own"


def original(spec: FiguresSpec, name: str, valid: Collection[str]) -> str:
    """Return the label in the sweep of what is named by it, or by its other name."""
    if name in valid:
        return name
    return next((old for old, new in spec.labels.items() if new == name and old in valid), name)


def parse(value: Any, origin: str, lines: Mapping[document.FieldPath, int] | None = None) -> FiguresSpec:
    """Return the fields of a mapping.

    Args:
        value: What was read.
        origin: Names it in messages.
        lines: The line of every place, where it was read from a file.

    Raises:
        SweepError: It is unusable; the message lists every problem found.
    """
    try:
        return FiguresSpec.model_validate({} if value is None else value)
    except ValidationError as error:
        raise SweepError("\n".join(_problems(error, origin, lines or {}))) from error


def _problems(error: ValidationError, origin: str, lines: Mapping[document.FieldPath, int]) -> Iterator[str]:
    for problem in error.errors(include_url=False, include_context=False):
        place: document.FieldPath = problem["loc"]
        line = next((lines[place[:n]] for n in range(len(place), 0, -1) if place[:n] in lines), 0)
        where = f"{origin}, line {line}" if line else origin
        if problem["type"] == "extra_forbidden":
            valid = LookSpec.model_fields if place[0] == "looks" else FiguresSpec.model_fields
            message = f"unknown field; {nearest(str(place[-1]), valid)}"
        elif problem["type"] in ("model_type", "dict_type"):
            message = f"expected a mapping of fields, got {shown(problem['input'])}"
        else:
            message = fault_in_words(problem)
        yield f"{where}, {document.field_name(place)}: {message}" if place else f"{where}: {message}"


def load_style(path: Path) -> FiguresSpec:
    """Read a style file.

    Raises:
        SweepError: It cannot be read, or is unusable; the message lists every problem found with line and field.
    """
    try:
        read = document.load(path)
    except OSError as error:
        raise SweepError(
            f"cannot read style file {path}: {refusal(error)}; a path is relative to the folder that derby runs in"
        ) from error
    return _of_document(read, str(path))


def recorded(sweep: str) -> FiguresSpec:
    """Return the block of a sweep file's text; the default where it has none, or is not one document.

    Raises:
        SweepError: The block is unusable.
    """
    read = document.read(sweep)
    block = read.value.get("figures") if isinstance(read.value, dict) and not read.problems else None
    return parse(block, "figures of the sweep file") if block is not None else DEFAULTS


def _of_document(read: document.Document, origin: str) -> FiguresSpec:
    if read.problems:
        raise SweepError(
            "\n".join(
                f"{origin}, line {line}{'' if place is None else f', {document.field_name(place)}'}: {message}"
                for line, place, message in read.problems
            )
        )
    return parse(read.value, origin, read.lines)
