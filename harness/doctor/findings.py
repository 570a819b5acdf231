"""What an examination finds, for people: what is well, what to know, and what will stop or spoil a run."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Grade(StrEnum):
    """What a finding means for a run."""

    FINE = "fine"
    WARNING = "warning"
    """The run does what it should, and something about it is to be known."""
    PROBLEM = "problem"
    """The run is refused, fails, trains less than it could, or mixes what can change numbers."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was found.

    Args:
        grade: What it means.
        about: What it is about, in a word.
        text: What was expected and what is there, with its place.
        cure: What to do about it; empty where nothing need be done.
    """

    grade: Grade
    about: str
    text: str
    cure: str = ""


def fine(about: str, text: str) -> Finding:
    """Return that something is well."""
    return Finding(Grade.FINE, about, text)


def warning(about: str, text: str, cure: str = "") -> Finding:
    """Return something to know."""
    return Finding(Grade.WARNING, about, text, cure)


def problem(about: str, text: str, cure: str) -> Finding:
    """Return what will stop or spoil a run, and what to do about it."""
    return Finding(Grade.PROBLEM, about, text, cure)


def some(names: list[str], most: int = 6) -> str:
    """Return a list for a sentence, cut where it is long."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return f"{', '.join(names[:most])}{more}"


def size(nbytes: float) -> str:
    """Return an amount of bytes for people, in MB or GB."""
    return f"{nbytes / 1e9:.3g} GB" if nbytes >= 1e9 else f"{nbytes / 1e6:.3g} MB"
