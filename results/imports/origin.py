"""Where imported results come from, as the provenance of a sweep's tables says it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

KEY = "imported"
"""What the provenance calls it; absent where this project ran everything itself."""

SHORTER = "shorter"
"""How an imported run ended that spent less than its task's budget; why, is not known."""


class Imported(msgspec.Struct, frozen=True):
    """What was run elsewhere.

    Args:
        sources: What was read, in words.
        paired: Whether runs of different methods with the same repetition share their seeds or data splits, as whoever
            imported them says. Otherwise every run is independent of all others.
        notes: What a reader must know, in sentences.
        digests: SHA-256 of those sources that are files.
        when: When it was imported, ISO 8601.
    """

    sources: tuple[str, ...]
    paired: bool = False
    notes: tuple[str, ...] = ()
    digests: tuple[str, ...] = ()
    when: str = ""

    @property
    def words(self) -> str:
        """The sources as one text."""
        return ", ".join(self.sources)


def imported(provenance: Mapping[str, Any]) -> Imported | None:
    """Return what a provenance says of imported results; ``None`` where there are none."""
    said = provenance.get(KEY)
    return None if said is None else msgspec.convert(said, Imported)


def combined(provenances: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Return what the provenance of merged folders says: paired where all of them are; nothing without an import."""
    found = [each for own in provenances.values() if (each := imported(own)) is not None]
    if not found:
        return {}
    return {
        KEY: msgspec.to_builtins(
            Imported(
                sources=tuple(dict.fromkeys(source for each in found for source in each.sources)),
                paired=all(each.paired for each in found),
                notes=tuple(dict.fromkeys(note for each in found for note in each.notes)),
                digests=tuple(dict.fromkeys(text for each in found for text in each.digests)),
            )
        )
    }
