"""What is wrong with a sweep file: every problem with its line, its field and the nearest valid name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from pydantic import BaseModel, ValidationError

from harness import document
from harness.errors import (
    SweepError,
    fault_in_words,
    nearest,
    shown,
)
from harness.figure_fields import FiguresSpec, LookSpec
from harness.plurals import plural
from harness.sweep_fields import (
    BudgetSpec,
    CompareSpec,
    SearcherSpec,
    TaskSpec,
)

_SHOWN: Final = 50
"""Problems that a message lists; of more it gives the number."""


class Problems:
    """Collects everything wrong with a sweep file, so that one run shows it all.

    Args:
        origin: The file, for messages.
        lines: The line of each field.
    """

    def __init__(self, origin: str, lines: Mapping[document.FieldPath, int]) -> None:
        self._origin = origin
        self._lines = lines
        self._found: list[tuple[int, str]] = []
        self._untold = 0

    def add(self, place: document.FieldPath, message: str) -> None:
        """Add a problem of a field, or of what is in it."""
        self.add_at(self._line(place), place, message)

    def add_at(self, line: int, place: document.FieldPath | None, message: str) -> None:
        """Add a problem of a line; 0 where it has none."""
        where = f"{self._origin}, line {line}" if line else self._origin  # what is no file has no lines
        field = "" if place is None else f", {document.field_name(place)}"
        self._found.append((line, f"{where}{field}: {message}"))

    def add_validation(
        self, error: ValidationError, prefix: document.FieldPath, model: type[BaseModel]
    ) -> None:
        """Add what pydantic found.

        Args:
            error: What it found.
            prefix: The field that was checked.
            model: What it was checked by.
        """
        problems = [
            problem
            for problem in error.errors(include_url=False, include_context=False)
            if not isinstance(problem["input"], document.Unreadable)  # said already
        ]
        problems.sort(key=lambda problem: self._line((*prefix, *problem["loc"])))
        self._untold += len(problems[_SHOWN:])
        for problem in problems[:_SHOWN]:
            place = (*prefix, *problem["loc"])
            match problem["type"]:
                case "extra_forbidden":
                    valid = _fields_at(model, problem["loc"][:-1])
                    message = f"unknown field; {nearest(str(place[-1]), valid)}"
                case "missing":
                    message = "this field is required"
                case "model_type" | "dict_type":
                    message = f"expected a mapping of fields, got {shown(problem['input'])}"
                case "string_pattern_mismatch" if expected := _described(model, problem["loc"]):
                    message = f"expected {expected}, got {shown(problem['input'])}"
                case _:
                    message = fault_in_words(problem)
            self.add(place, message)

    def raise_if_any(self) -> None:
        """Raise `SweepError` with all problems, in the order of their lines; of very many with the first."""
        if not self._found:
            return
        found = [message for _, message in sorted(self._found, key=lambda found: found[0])]
        untold = self._untold + len(found[_SHOWN:])
        if untold:
            found[_SHOWN:] = [f"{self._origin}: and {plural(untold, 'problem more', 'problems more')}"]
        raise SweepError("\n".join(found))

    def _line(self, place: document.FieldPath) -> int:
        """Return the line of a place, or of the nearest one around it that has a line."""
        while place and place not in self._lines:
            place = place[:-1]
        return self._lines.get(place, 0)


_NESTED: Mapping[str, type[BaseModel]] = {
    "budget": BudgetSpec,
    "tasks": TaskSpec,
    "searchers": SearcherSpec,
    "compare": CompareSpec,
    "figures": FiguresSpec,
    "looks": LookSpec,
}


def _fields_at(model: type[BaseModel], place: document.FieldPath) -> list[str]:
    """Names of the fields allowed at a place below a model."""
    for part in place:
        model = _NESTED.get(str(part), model)
    return list(model.model_fields)


def _described(model: type[BaseModel], place: document.FieldPath) -> str | None:
    """What is to stand at a place below a model, in the words of its field."""
    for part in place[:-1]:
        model = _NESTED.get(str(part), model)
    field = model.model_fields.get(str(place[-1]))
    return field and field.description
