"""Which distributions a run needs, and where their versions differ: from the lock file, or between two machines."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib.metadata import PackageNotFoundError, metadata, requires
from pathlib import Path
from typing import Final

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name as _canonical

from harness.machine import PROJECT, installed

LOCK: Final = Path(__file__).resolve().parent.parent.parent / "requirements.lock"
"""The lock file, where the project is a checkout."""

NOT_RUN: Final = ("dev", "docs")
"""Extras that no run needs."""


def plain(name: str) -> str:
    """Return a distribution's name as names are compared."""
    return str(_canonical(name))


def needed(libraries: Iterable[str] | None, *, ray: bool) -> dict[str, str]:
    """Return what a run needs of what is installed here, and its versions.

    Args:
        libraries: Distributions of its tasks and searchers; ``None``: those of all extras.
        ray: Whether it runs on Ray.
    """
    here = {plain(name): version for name, version in installed().items()}
    chosen = ["ray"] if ray else []
    if libraries is None:
        chosen = [extra for extra in _extras() if extra not in NOT_RUN]
    found: dict[str, str] = {}
    queue: list[tuple[str, tuple[str, ...]]] = [(plain(PROJECT), tuple(chosen))]
    queue += [(plain(name), ()) for name in libraries or ()]
    seen = set()
    while queue:
        name, wanted = queue.pop()
        if (name, wanted) in seen or name not in here:
            continue
        seen.add((name, wanted))
        found[name] = here[name]
        queue += _required(name, wanted)
    found.pop(plain(PROJECT), None)  # its code is compared
    return dict(sorted(found.items()))


def _extras() -> list[str]:
    try:
        return metadata(PROJECT).get_all("Provides-Extra") or []
    except PackageNotFoundError:
        return []


def _required(name: str, chosen: tuple[str, ...]) -> list[tuple[str, tuple[str, ...]]]:
    """Return what a distribution requires with some of its extras, each with the extras that are required of it."""
    try:
        lines = requires(name) or []
    except PackageNotFoundError:
        return []
    found = []
    for line in lines:
        try:
            requirement = Requirement(line)
        except InvalidRequirement:  # of an old release, whose metadata nobody checked
            continue
        marker = requirement.marker
        if marker is None or any(marker.evaluate({"extra": extra}) for extra in ("", *chosen)):
            found.append((plain(requirement.name), tuple(sorted(requirement.extras))))
    return found


def locked(file: Path = LOCK) -> dict[str, str] | None:
    """Return the versions of a lock file; ``None`` where there is none."""
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    pairs = (line.partition("==") for line in lines if "==" in line and not line.startswith("#"))
    return {plain(name.strip()): version.split()[0] for name, _, version in pairs}


def differences(expected: Mapping[str, str], there: Mapping[str, str]) -> dict[str, str | None]:
    """Return what is missing, ``None``, or of another version in a place; names there may be written in any way."""
    known = {plain(name): version for name, version in there.items()}
    return {name: known.get(name) for name, version in expected.items() if known.get(name) != version}


def in_words(expected: Mapping[str, str], found: Mapping[str, str | None], where: str) -> list[str]:
    """Return differences for people.

    Args:
        expected: What was expected.
        found: What `differences` returned.
        where: Where the expected versions are from, such as ``here``.
    """
    return [
        f"{name} is missing ({where} {expected[name]})"
        if version is None
        else f"{name} {version} ({where} {expected[name]})"
        for name, version in found.items()
    ]
