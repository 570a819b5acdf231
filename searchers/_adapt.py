"""What adapters of libraries share: values a hair outside their bounds, and starting points."""

from __future__ import annotations

import contextlib
import random
import warnings
from collections.abc import Iterator
from typing import Final

import numpy as np

from harness.errors import said
from harness.space import Choice, Config, Domain, Float, Scalar, Space

ROUNDING: Final = 1e-9
"""How far outside its bounds a library's value may lie, relative to the bound, and still be rounding."""


def clipped(domain: Float, value: float) -> float:
    """Return a library's value, moved to the bound where it is only a rounding error outside.

    ``exp(log(high))`` can exceed ``high``. What is further out than `ROUNDING` is returned as it
    is, for the base class to refuse: a value that far out is a defect, not rounding.
    """
    for bound in (domain.low, domain.high):
        if not domain.low <= value <= domain.high and abs(value - bound) <= ROUNDING * abs(bound):
            return bound
    return value


def completed(space: Space, config: Config) -> dict[str, Scalar]:
    """Return a configuration in which inactive parameters have a value, too: the middle of their domain.

    It is how a starting point is given to a library that knows no conditions.
    """
    return {
        name: config[name] if name in config else domain.from_unit(0.5)
        for name, domain in space.parameters.items()
    }


def encoded(domain: Domain, value: Scalar) -> Scalar:
    """Return a value as libraries are given it: a category as its position, anything else as it is."""
    return domain.index(value) if isinstance(domain, Choice) else value


def constants(space: Space) -> dict[str, Scalar]:
    """Return the numbers of a space that have a single possible value, with it.

    A user writes such a number into the objective, and libraries refuse a range of one value. A category of one value
    is none of these: every library takes it as a parameter, and many draw a random number for it.
    """
    return {
        name: domain.grid(1)[0]
        for name, domain in space.parameters.items()
        if domain.size == 1 and not isinstance(domain, Choice)
    }


def searched(space: Space) -> tuple[dict[str, Scalar], list[str]]:
    """Return what a library is not asked for, with its values, and the names of what it searches.

    That is `constants`, or everything where nothing has two values: there is nothing to search then.
    """
    if all(domain.size == 1 for domain in space.parameters.values()):
        return {name: domain.grid(1)[0] for name, domain in space.parameters.items()}, []
    fixed = constants(space)
    return fixed, [name for name in space.parameters if name not in fixed]


def dependents(space: Space, parent: str | None, value: Scalar | None = None) -> list[str]:
    """Return the parameters that are active because of a parent's value; without a parent, those that always are."""
    if parent is None or value is None:
        return [name for name in space.parameters if name not in space.conditions]
    chosen = {
        name
        for name, condition in space.conditions.items()
        if condition.parent == parent and condition.holds({parent: value})
    }
    return [name for name in space.parameters if name in chosen]


def only_choices_have_dependents(space: Space) -> list[str]:
    """Return why a library whose conditions are options of a category cannot express those of a space."""
    return [
        f"parameter {name!r} depends on {condition.parent!r}, and only a Choice can have dependents"
        for name, condition in space.conditions.items()
        if not isinstance(space.parameters[condition.parent], Choice)
    ]


def coincide(space: Space, a: Config, b: Config) -> bool:
    """Whether two configurations are the same, real parameters up to `ROUNDING` of their range."""
    for name, domain in space.parameters.items():
        if (name in a) != (name in b):
            return False
        if name not in a:
            continue
        if isinstance(domain, Float):
            if abs(domain.to_unit(a[name]) - domain.to_unit(b[name])) > ROUNDING:
                return False
        elif type(a[name]) is not type(b[name]) or a[name] != b[name]:
            return False
    return True


@contextlib.contextmanager
def importing() -> Iterator[None]:
    """Import a library that draws from the global generators when it is imported: these are left as they were.

    Only the first search of a process imports it, and would else propose otherwise than the second.
    """
    state = random.getstate(), np.random.get_state()  # noqa: NPY002 - the global generator is what it draws from
    try:
        with ignored_warnings():
            yield
    finally:
        random.setstate(state[0])
        np.random.set_state(state[1])  # noqa: NPY002


def why(error: BaseException) -> str:
    """Return why a library failed: the module that it lacks, if it was that, or what it says.

    Example:
        >>> why(ModuleNotFoundError("No module named 'nlopt'", name="nlopt"))
        "it needs the Python module 'nlopt', which is not installed: install the package that has it"
    """
    chain = [error]
    while (before := chain[-1].__cause__ or chain[-1].__context__) is not None:
        chain.append(before)
    for each in chain:
        if isinstance(each, ModuleNotFoundError):
            return f"it needs the Python module {each.name!r}, which is not installed: install the package that has it"
    return said(error if error.__cause__ is None else error.__cause__)


@contextlib.contextmanager
def ignored_warnings(*categories: type[Warning]) -> Iterator[None]:
    """Drop a library's warnings of these categories (all by default), and only inside."""
    with warnings.catch_warnings():
        for category in categories or (Warning,):
            warnings.simplefilter("ignore", category)
        yield
