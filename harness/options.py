"""The base of every searcher's settings and every task's options: checked, immutable, JSON."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict


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
