"""Finds tasks and searchers by name: the project's own modules, and plug-ins through entry points."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

from harness.errors import DerbyError, Interruption, UnknownNameError, nearest, said, typed
from harness.keys import NAME
from harness.searcher import Searcher
from harness.task import Task

SEARCHER_GROUP = "derby.searchers"
TASK_GROUP = "derby.tasks"

T = TypeVar("T", Searcher, Task)


@cache
def searchers() -> dict[str, type[Searcher]]:
    """Return every searcher class by name, in alphabetical order."""
    return _discover(Searcher, "searchers", SEARCHER_GROUP)  # type: ignore[type-abstract]


@cache
def tasks() -> dict[str, type[Task]]:
    """Return every task class by name, in alphabetical order."""
    return _discover(Task, "tasks", TASK_GROUP)  # type: ignore[type-abstract]


def searcher(name: str) -> type[Searcher]:
    """Return the searcher class of that name, or raise `UnknownNameError` with the nearest valid name."""
    return _named("searcher", name, searchers())


def task(name: str) -> type[Task]:
    """Return the task class of that name, or raise `UnknownNameError` with the nearest valid name."""
    return _named("task", name, tasks())


def named_task(text: str, options: Mapping[str, Any]) -> tuple[type[Task], dict[str, Any]]:
    """Return the task class that ``name`` or ``name/variant`` means, and its options, that one among them.

    What comes after the slash is the option `Task.slash`.

    Raises:
        UnknownNameError: There is no such task.
        DerbyError: That option is given twice.
    """
    name, slash, value = text.partition("/")
    kind = task(name)
    if slash and kind.slash in options:
        raise DerbyError(f"the {kind.slash} is given twice: in the name and in the options")
    return kind, {kind.slash: value, **options} if slash else dict(options)


def _named(kind: str, name: str, found: dict[str, type[T]]) -> type[T]:
    if name not in found:
        raise UnknownNameError(f"no {kind} is called {name!r}; {nearest(name, found)}")
    return found[name]


def _discover(base: type[T], package_name: str, group: str) -> dict[str, type[T]]:
    """Collect concrete subclasses from a package's modules, then from entry points.

    Raises:
        DerbyError: A plug-in does not load or is of the wrong type, a name is taken twice, or something else hides
            the package.
    """
    found: dict[str, type[T]] = {}
    for module in _own_modules(package_name):
        for member in vars(module).values():
            if (
                inspect.isclass(member)
                and issubclass(member, base)
                and not inspect.isabstract(member)
                and member.__module__ == module.__name__
                and "name" in vars(member)
            ):
                _add(found, member, f"module {module.__name__}")
    for entry in entry_points(group=group):
        origin = f"plug-in {entry.value!r} (entry point {group})"
        try:
            loaded = entry.load()
        except Interruption:
            raise
        except BaseException as error:
            raise DerbyError(f"{origin} cannot be loaded: {said(error)}; fix or uninstall it") from error
        if not (inspect.isclass(loaded) and issubclass(loaded, base)) or inspect.isabstract(loaded):
            raise DerbyError(f"{origin} must be a concrete subclass of {base.__name__}, got {loaded!r}")
        if not isinstance(getattr(loaded, "name", None), str) or not re.fullmatch(NAME, loaded.name):
            raise DerbyError(
                f"{origin}: its name must be letters, digits, '.', '_' and '-', up to 80 and beginning with a letter "
                f"or digit, got {typed(getattr(loaded, 'name', None))}"
            )
        if entry.dist is not None:
            loaded.package = f"{entry.dist.name} {entry.dist.version}"
        _add(found, loaded, origin)
    return dict(sorted(found.items()))


def _own_modules(package: str) -> Iterator[ModuleType]:
    """Import the modules of a package of the project, which something of that name on the path may hide."""
    home = Path(__file__).resolve().parent.parent / package
    for info in pkgutil.iter_modules([str(home)]):
        name = f"{package}.{info.name}"
        try:
            module = importlib.import_module(name)
            came_from = module.__file__
        except ModuleNotFoundError as error:
            if error.name is None or not f"{name}.".startswith(f"{error.name}."):
                raise
            came_from = getattr(importlib.import_module(package), "__file__", None)
        if came_from is None or home not in Path(came_from).resolve().parents:
            raise DerbyError(
                f"{name} is {came_from or 'hidden'}, expected {home / info.name}: a folder or file called {package!r} "
                "comes before the project on Python's path; rename it, or start from another folder"
            )
        yield module


def _add(found: dict[str, type[T]], new: type[T], origin: str) -> None:
    taken = found.get(new.name)
    if taken is not None:
        raise DerbyError(
            f"{origin}: the name {new.name!r} is taken by {taken.__module__}.{taken.__qualname__}; "
            "rename one of them"
        )
    found[new.name] = new
