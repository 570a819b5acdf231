"""What pages say of methods and tasks that no table holds; whoever can reach these hands it in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

KINDS: Mapping[str, str] = {
    "continuous": "every parameter is a real number",
    "mixed": "real numbers beside whole numbers or categories",
    "conditional": "some parameters are active only where another has a certain value",
    "finite": "so many configurations and no more: whole numbers and categories alone, or a table",
}
"""Kinds of space, and what each means; a space may be of several."""


@dataclass(frozen=True, slots=True)
class Block:
    """A part of a description.

    Attributes:
        text: A paragraph; empty where it is a list.
        items: Of a list.
    """

    text: str = ""
    items: tuple[str, ...] = ()


def blocks(lines: Iterable[str]) -> tuple[Block, ...]:
    """Return paragraphs, and the items of lists put together; an item begins with ``- `` or ``* ``."""
    found: list[Block] = []
    for line in lines:
        if line[:2] not in ("- ", "* "):
            found.append(Block(line))
        elif found and found[-1].items:
            found[-1] = Block(items=(*found[-1].items, line[2:].strip()))
        else:
            found.append(Block(items=(line[2:].strip(),)))
    return tuple(found)


@dataclass(frozen=True, slots=True)
class MethodAbout:
    """A method as its adapter describes it.

    Attributes:
        summary: What it is, in a sentence.
        text: The rest of its description.
        sources: Paragraphs of it that name papers.
        adapter: The file or module that adapts it.
        libraries: Distributions that it needs.
        able: What it can do besides searching one proposal after another, in words.
        settings: Name, default and meaning of each setting.
        unknown: Why nothing of this is known; empty where it is.
    """

    summary: str = ""
    text: Sequence[Block] = ()
    sources: Sequence[str] = ()
    adapter: str = ""
    libraries: Sequence[str] = ()
    able: Sequence[str] = ()
    settings: Sequence[tuple[str, str, str]] = ()
    unknown: str = ""


@dataclass(frozen=True, slots=True)
class TaskAbout:
    """A task as it describes itself.

    Attributes:
        summary: What it is, in a sentence.
        text: The rest of its description.
        kinds: Of `KINDS`, those that its space is of.
        parameters: Name, domain and condition of each parameter.
        configurations: How many there are; ``None`` where they are uncountable or nothing is known.
        epochs: The least and the largest number of epochs; ``None`` where nothing is known.
        certificate: Of a recording, what its certificate says, by heading.
        unknown: Why nothing of this is known; empty where it is.
    """

    summary: str = ""
    text: Sequence[Block] = ()
    kinds: frozenset[str] = frozenset()
    parameters: Sequence[tuple[str, str, str]] = ()
    configurations: int | None = None
    epochs: tuple[int, int] | None = None
    certificate: Mapping[str, str] = field(default_factory=dict)
    unknown: str = ""


@dataclass(frozen=True, slots=True)
class About:
    """What is known of a site's methods and tasks.

    Attributes:
        methods: By registered name.
        tasks: By label.
    """

    methods: Mapping[str, MethodAbout] = field(default_factory=dict)
    tasks: Mapping[str, TaskAbout] = field(default_factory=dict)

    def method(self, name: str) -> MethodAbout:
        """Return what is known of a method."""
        return self.methods.get(name, MethodAbout(unknown="it is not installed where these pages were made"))

    def task(self, label: str) -> TaskAbout:
        """Return what is known of a task."""
        return self.tasks.get(label, TaskAbout(unknown="it is not installed where these pages were made"))
