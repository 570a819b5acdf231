"""The base of every searcher's settings and every task's options: checked, immutable, JSON."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from harness.errors import fault_in_words, nearest


class Options(BaseModel):
    """Named options with types, ranges, defaults and descriptions, declared as pydantic fields.

    Unknown names, values of the wrong type, infinities and NaN are refused. Each field's ``description`` is what
    ``derby searchers NAME`` and ``derby tasks NAME`` print.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, validate_default=True, allow_inf_nan=False
    )

    def as_json(self) -> dict[str, Any]:
        """Return every option with its value, defaults included, as JSON types."""
        return self.model_dump(mode="json")


def faults_of(error: ValidationError, options: type[Options]) -> str:
    """Return in words what is wrong with options that were given."""
    words = []
    for fault in error.errors(include_url=False, include_context=False):
        place = ".".join(map(str, fault["loc"]))
        if fault["type"] == "extra_forbidden":
            words.append(f"there is no {place!r}; {nearest(place, options.model_fields)}")
        else:
            words.append(f"{place}: {fault_in_words(fault)}")
    return "; ".join(words)
