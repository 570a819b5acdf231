"""What a sweep file says is to be compared, held to the searchers that it has."""

from __future__ import annotations

from collections.abc import Sequence

from harness import document, files
from harness.errors import nearest
from harness.plan import Compare
from harness.sweep_fields import CompareSpec, SearcherSpec
from harness.sweep_problems import Problems


def label_of(entry: SearcherSpec) -> str:
    """Return the label of a searcher: its own, or its name."""
    return entry.label or files.label_of(entry.name)


def compare_of(given: CompareSpec | None, labels: Sequence[str], problems: Problems) -> Compare | None:
    """Return what is to be compared, its labels in the order of the searchers; ``None`` where nothing or it is wrong.

    Args:
        given: What the file says.
        labels: Those of its searchers.
        problems: Where what is wrong is added.
    """
    if given is None:
        return None
    named: dict[document.FieldPath, str] = {
        ("compare", field, i): label
        for field in ("methods", "against")
        for i, label in enumerate(getattr(given, field) or ())
    }
    if given.method is not None:
        named["compare", "method"] = given.method
    seen: set[str] = set()
    faults: list[tuple[document.FieldPath, str]] = []
    for place, label in named.items():
        if label not in labels:
            faults.append((place, f"no searcher of this sweep is called {label!r}; {nearest(label, labels)}"))
        if label in seen:
            faults.append((place, f"{label!r} is named twice: a method is not compared with itself"))
        seen.add(label)
    if given.method is not None and given.against is None:
        seen |= set(labels)
    methods = tuple(label for label in dict.fromkeys(labels) if label in seen)
    if not faults and len(methods) < 2:
        faults.append(
            (("compare",), f"{methods[0]!r} is the only searcher: there is nothing to compare it with")
        )
    for place, message in faults:
        problems.add(place, message)
    return None if faults else Compare(methods, given.method, given.measure, given.level, tuple(given.at))
