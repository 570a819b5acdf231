"""Finds tasks and searchers by name: the project's own modules, plug-ins through entry points, and files of a user."""

from __future__ import annotations

import importlib
import inspect
import itertools
import pkgutil
import re
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import Any, TypeVar

from harness import files
from harness.errors import DerbyError, Interruption, UnknownNameError, nearest, said, typed
from harness.experiment import Experiment
from harness.keys import NAME
from harness.searcher import Searcher
from harness.task import Task

SEARCHER_GROUP = "derby.searchers"
TASK_GROUP = "derby.tasks"

T = TypeVar("T", Searcher, Task)


class Found(dict[str, type[T]]):
    """Classes by name, and what is wrong with plug-ins that cannot be used, by the name that each has."""

    faults: Mapping[str, str] = MappingProxyType({})


@cache
def searchers() -> Found[Searcher]:
    """Return every installed searcher class by name, in alphabetical order."""
    return _discover(Searcher, "searchers", SEARCHER_GROUP)  # type: ignore[type-abstract]


@cache
def tasks() -> Found[Task]:
    """Return every installed task class by name, in alphabetical order."""
    return _discover(Task, "tasks", TASK_GROUP)  # type: ignore[type-abstract]


def searcher(name: str, package: str = "") -> type[Searcher]:
    """Return the searcher class of that name.

    Args:
        name: Its name.
        package: Of a searcher in a file of a user's own, the file's `files.Source.origin`.

    Raises:
        UnknownNameError: There is none; says the nearest valid name.
        DerbyError: It is a plug-in's that cannot be used.
    """
    return files.named(package, name, Searcher) or _named("searcher", name, searchers())  # type: ignore[type-abstract]


def task(name: str, package: str = "") -> type[Task]:
    """Return the task class of that name; as `searcher`."""
    return files.named(package, name, Task) or _named("task", name, tasks())  # type: ignore[type-abstract]


def named_searcher(text: str) -> type[Searcher]:
    """Return the searcher class that a name, or ``my_search.py:MySearcher``, means. Raises as `searcher` does."""
    reference = files.Reference.of(text)
    if reference is None:
        return searcher(text)
    if reference.value is not None:
        raise DerbyError(f"expected a searcher, such as my_search.py:MySearcher, got {text!r}")
    return _unlike(files.member(reference, Searcher), searchers(), text)  # type: ignore[type-abstract]


def is_searcher(text: str) -> bool:
    """Tell whether a name, or ``my_search.py:MySearch``, means a searcher; if not, it means a task.

    Raises:
        UnknownNameError: It means neither.
        DerbyError: Its file cannot be read or run.
    """
    reference = files.Reference.of(text)
    if reference is None:
        name = text.partition("/")[0]
        if name in {*tasks(), *tasks().faults}:
            return False
        if text in {*searchers(), *searchers().faults}:
            return True
        raise _unknown("task or searcher", text, tasks(), searchers())
    source = files.read(reference.path)
    found = vars(files.module_of(source)).get(reference.member)
    if found is None:
        valid = {**files.members(source, Task), **files.members(source, Searcher)}  # type: ignore[type-abstract]
        raise UnknownNameError(
            f"{reference.path} has no task or searcher called {reference.member!r}; "
            f"{nearest(reference.member, valid)}"
        )
    return inspect.isclass(found) and issubclass(found, Searcher)


def named_task(text: str, options: Mapping[str, Any]) -> tuple[type[Task], dict[str, Any]]:
    """Return the task class that ``name`` or ``name/variant`` means, and its options, that one among them.

    What comes after the slash is the option `Task.slash`. The name may be a file's, ``my_task.py:MyTask``.

    Raises:
        UnknownNameError: There is no such task.
        DerbyError: That option is given twice; or its plug-in, or file, cannot be used.
    """
    reference = files.Reference.of(text)
    if reference is None:
        name, slash, value = text.partition("/")
        kind = task(name or text)
    else:
        slash, value = "" if reference.value is None else "/", reference.value or ""
        kind = _unlike(files.member(reference, Task), tasks(), text)  # type: ignore[type-abstract]
    if slash and kind.slash in options:
        raise DerbyError(f"the {kind.slash} is given twice: in the name and in the options")
    return kind, {kind.slash: value, **options} if slash else dict(options)


def report(name: str) -> list[tuple[type[Task], Experiment]]:
    """Return the experiments of a report. Raises `UnknownNameError` where no task declares any of it."""
    known = reports()
    if name not in known:
        raise UnknownNameError(f"no task declares experiments of report {name!r}; {nearest(name, known)}")
    return known[name]


def reports() -> dict[str, list[tuple[type[Task], Experiment]]]:
    """Return the experiments of every report that a registered task declares some of."""
    found: dict[str, list[tuple[type[Task], Experiment]]] = {}
    for kind in tasks().values():
        for experiment in kind.experiments:
            found.setdefault(experiment.report, []).append((kind, experiment))
    return dict(sorted(found.items()))


def _named(kind: str, name: str, found: Found[T]) -> type[T]:
    if name in found.faults:
        raise DerbyError(found.faults[name])
    if name not in found:
        raise _unknown(kind, name, found)
    return found[name]


def _unknown(kind: str, name: str, *found: Found[Any]) -> UnknownNameError:
    """Return the error of a name that nothing has."""
    if name.endswith(".py"):
        return UnknownNameError(
            f"expected a {kind} in the file after a colon, as in {name}:NAME, got {name!r}"
        )
    faults = [fault for each in found for fault in each.faults.values()]
    return UnknownNameError(
        "; ".join([f"no {kind} is called {name!r}", nearest(name, itertools.chain(*found)), *faults])
    )


def _unlike(kind: type[T], found: Found[T], text: str) -> type[T]:
    """Return a class of a file, whose name must not be that of something installed: records and figures show it."""
    taken = found.get(kind.name)
    if taken is not None:
        raise DerbyError(
            f"{text}: the name {kind.name!r} is taken by {taken.__module__}.{taken.__qualname__}; "
            "give it another `name`"
        )
    return kind


def _discover(base: type[T], package_name: str, group: str) -> Found[T]:
    """Collect concrete subclasses from a package's modules, then from entry points.

    A plug-in that does not load, is of the wrong type or has a name that is taken is a fault, which only who uses it
    need hear of.
    """
    found: dict[str, type[T]] = {}
    faults: dict[str, str] = {}
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
        try:
            loaded = _loaded(entry, base)
        except DerbyError as error:
            faults[entry.name] = str(error)
            continue
        try:
            _add(found, loaded, _origin(entry))
        except DerbyError as error:
            faults[loaded.name] = str(error)
    usable: Found[T] = Found(sorted(found.items()))
    usable.faults = faults
    return usable


def _origin(entry: EntryPoint) -> str:
    return f"plug-in {entry.value!r} (entry point {entry.group})"


def _loaded(entry: EntryPoint, base: type[T]) -> type[T]:
    """Return a plug-in's class.

    Raises:
        DerbyError: It does not load, or is of the wrong type.
    """
    origin = _origin(entry)
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
    return loaded


def _own_modules(package: str) -> Iterator[ModuleType]:
    """Import the modules of a package of the project; see `derby` for how it is found."""
    home = Path(__file__).resolve().parent.parent / package
    for info in pkgutil.iter_modules([str(home)]):
        yield importlib.import_module(f"{package}.{info.name}")


def _add(found: dict[str, type[T]], new: type[T], origin: str) -> None:
    taken = found.get(new.name)
    if taken is not None:
        raise DerbyError(
            f"{origin}: the name {new.name!r} is taken by {taken.__module__}.{taken.__qualname__}; "
            "rename one of them"
        )
    found[new.name] = new
