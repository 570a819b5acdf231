"""Tasks and searchers in a single file of a user's own, named ``my_task.py:MyTask`` where others have a name.

What such a file holds is part of the identity of everything made with it: another content is another task, or another
searcher. So a file stands alone: what lies beside it would decide numbers without being named. A process that runs
evaluations elsewhere is given the files' contents, never their paths.
"""

from __future__ import annotations

import ast
import importlib.util
import inspect
import linecache
import re
import sys
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import packages_distributions
from pathlib import Path
from types import ModuleType
from typing import Final, TypeVar

from derby.rooms import ROOMS
from harness.errors import DerbyError, Interruption, UnknownNameError, nearest, refusal, said
from harness.keys import NAME, text_digest
from harness.searcher import Searcher
from harness.task import Task

MOST_BYTES: Final = 1 << 20
"""The longest file that is taken; data do not belong into it."""

_REFERENCE: Final = re.compile(r"(?P<path>.+\.py):(?P<member>[^/:]*)(?:/(?P<value>.*))?")
_OURS: Final = (*ROOMS, "derby", "numpy", "scipy")
"""Modules whose versions are recorded anyway."""

T = TypeVar("T", Searcher, Task)


@dataclass(frozen=True, slots=True)
class Reference:
    """What a sweep names: a member of a file, and for a task what comes after the slash."""

    path: Path
    member: str
    value: str | None

    @classmethod
    def of(cls, text: str) -> Reference | None:
        """Return what a name means; ``None`` where it names no file."""
        found = _REFERENCE.fullmatch(text)
        return found and cls(Path(found["path"]), found["member"], found["value"])


@dataclass(frozen=True, slots=True)
class Source:
    """A file's content, and its path where it was read."""

    path: str
    text: str

    @property
    def origin(self) -> str:
        """The file's name and digest, by which it takes part in identities."""
        return f"{Path(self.path).name} {text_digest(self.text)}"


_sources: Final[dict[str, Source]] = {}
_modules: Final[dict[str, ModuleType]] = {}


def sources() -> tuple[Source, ...]:
    """Return the files that this process has used."""
    return tuple(_sources.values())


def source_named(origin: str) -> Source | None:
    """Return the file of an origin; ``None`` where this process has used none of it."""
    return _sources.get(origin)


def origin_of(kind: type[Searcher]) -> str:
    """Return the origin of a searcher that comes from a file; empty for what is installed."""
    return kind.package if kind.package in _sources else ""


def label_of(text: str) -> str:
    """Return what stands for a name in figures: itself, and of a file's member the member's name."""
    reference = Reference.of(text)
    return text if reference is None else reference.member


def add(given: tuple[Source, ...]) -> None:
    """Take the contents of files that another process has read."""
    _sources.update((source.origin, source) for source in given)


def read(path: Path) -> Source:
    """Read a file as it is now.

    Raises:
        DerbyError: It cannot be read.
    """
    if not re.fullmatch(NAME, path.name):
        raise DerbyError(
            f"the file {path.name!r} needs another name: expected letters, digits, '.', '_' and '-'"
        )
    try:
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DerbyError(f"{path} is not UTF-8: {said(error)}; save it as UTF-8") from error
    except OSError as error:
        raise DerbyError(
            f"cannot read {path}: {refusal(error)}; a path is relative to the folder that derby runs in, {Path.cwd()}"
        ) from error
    if len(content) > MOST_BYTES:
        raise DerbyError(
            f"{path} is longer than {MOST_BYTES} bytes; a task's data are loaded from files of their own"
        )
    source = Source(str(path.absolute()), text)
    return _sources.setdefault(source.origin, source)


def member(reference: Reference, base: type[T]) -> type[T]:
    """Return the task or searcher that a reference names, from the file as it is now.

    Raises:
        DerbyError: The file cannot be read or run.
        UnknownNameError: It has no such member.
    """
    source = read(reference.path)
    own = members(source, base)
    if reference.member not in own:
        found: object = vars(module_of(source)).get(reference.member)
        for kind in own.values():
            if kind is found:
                return kind  # by a second name
        instead = "" if found is None else f", and {reference.member} is {_what(found)}"
        raise UnknownNameError(
            f"{reference.path} has no {_kind(base)} called {reference.member!r}{instead}; "
            f"{nearest(reference.member, own)}"
        )
    return own[reference.member]


def named(origin: str, name: str, base: type[T]) -> type[T] | None:
    """Return what the file of that origin calls so; ``None`` where this process has no such file."""
    source = _sources.get(origin)
    if source is None:
        return None
    return next((kind for kind in members(source, base).values() if kind.name == name), None)


def members(source: Source, base: type[T]) -> dict[str, type[T]]:
    """Return a file's tasks or searchers, by their names in it.

    Raises:
        DerbyError: The file cannot be run; or two have one name, or what is no name.
    """
    module = module_of(source)
    found: dict[str, type[T]] = {}
    taken: dict[str, str] = {}
    for label, kind in vars(module).items():
        if not _is_own(kind, module, base) or kind in found.values():
            continue
        if not isinstance(kind.name, str) or not re.fullmatch(NAME, kind.name):
            raise DerbyError(f"{source.path}: {label} has no usable name: {kind.name!r}")
        if kind.name in taken:
            raise DerbyError(
                f"{source.path}: {taken[kind.name]} and {label} both have the name {kind.name!r}; rename one of them"
            )
        taken[kind.name] = label
        found[label] = kind
    return found


def module_of(source: Source) -> ModuleType:
    """Return the module that a file makes, run once.

    Raises:
        DerbyError: It raised, or imports a file that lies beside it.
    """
    if source.origin in _modules:
        return _modules[source.origin]
    stem, digest = re.sub(r"\W", "_", Path(source.path).stem), source.origin.rpartition(" ")[2]
    module = ModuleType(f"derby_file_{stem}_{digest}")
    module.__file__ = source.path
    # Tracebacks show the lines that ran, also where the file is not there or has changed since.
    linecache.cache[source.path] = (
        len(source.text),
        None,
        source.text.splitlines(keepends=True),
        source.path,
    )
    before = set(sys.modules)
    sys.modules[module.__name__] = module
    try:
        exec(compile(source.text, source.path, "exec"), vars(module))  # noqa: S102 - a user's own file, as any import
    except Interruption:
        raise
    except BaseException as error:
        del sys.modules[module.__name__]
        raise DerbyError(
            f"{source.path}{_line_of(error, source)} cannot be loaded: {said(error)}{_hint(error, source)}"
        ) from error
    beside = _beside(source, set(sys.modules) - before - {module.__name__}) or _imported_later(source)
    if beside:
        raise DerbyError(f"{source.path} imports {beside}, which lies beside it: {_ALONE}")
    _adopt(module, source)
    _modules[source.origin] = module
    return module


_ALONE: Final = (
    "a task's or searcher's file stands alone, because its content is part of the results' identity; move what it "
    "needs into it, or make a package with an entry point"
)


def _adopt(module: ModuleType, source: Source) -> None:
    """Give a file's tasks and searchers their names, their origin and the libraries that the file imports."""
    libraries = imported(source.text)
    own = {
        label: kind
        for label, kind in vars(module).items()
        if _is_own(kind, module, Task) or _is_own(kind, module, Searcher)
    }
    # Of all before any is given one: what derives from another in the file is not to inherit it.
    unnamed = {label: kind for label, kind in own.items() if not hasattr(kind, "name")}
    sourceless = {
        label: kind for label, kind in own.items() if issubclass(kind, Task) and not hasattr(kind, "source")
    }
    for label, kind in reversed(unnamed.items()):  # of several labels of one the first is its name
        kind.name = label
    for label, kind in reversed(sourceless.items()):
        kind.source = f"{Path(source.path).name}:{label}"
    for kind in dict.fromkeys(own.values()):
        kind.package = source.origin
        kind.libraries = {**libraries, **kind.libraries}


def imported(text: str) -> dict[str, str]:
    """Return module and distribution of every library that a file's text imports, wherever in it.

    Without what is tried only, the standard library, and what is recorded anyway.
    """
    names = _imported_names(text)
    known = packages_distributions() if names else {}
    return {name: known.get(name, [name])[0] for name in names}


def _imported_names(text: str) -> list[str]:
    """Return the modules whose distributions `imported` returns."""
    names: dict[str, None] = {}
    for node in _untried(ast.parse(text)):
        if isinstance(node, ast.Import):
            names |= dict.fromkeys(alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names[node.module.partition(".")[0]] = None
    return [name for name in names if name not in sys.stdlib_module_names and name not in _OURS]


def _untried(node: ast.AST) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, ast.Try):
            yield child
            yield from _untried(child)


def _is_own(kind: object, module: ModuleType, base: type) -> bool:
    return (
        inspect.isclass(kind)
        and issubclass(kind, base)
        and not inspect.isabstract(kind)
        and kind.__module__ == module.__name__
    )


def _beside(source: Source, loaded: set[str]) -> str:
    """Return the file of a module among those loaded that lies in the source's own folder; empty where none does."""
    folder = Path(source.path).resolve().parent
    for name in sorted(loaded):
        where = getattr(sys.modules.get(name), "__file__", None)
        if where is not None and "." not in name:
            path = Path(where).resolve()
            if folder in (path.parent, path.parent.parent if path.name == "__init__.py" else None):
                return str(path)
    return ""


def _imported_later(source: Source) -> str:
    """Return the file beside a source that an import inside one of its functions would find; empty where none would."""
    folder = Path(source.path).resolve().parent
    for name in _imported_names(source.text):
        for path in (folder / f"{name}.py", folder / name / "__init__.py"):
            if not path.is_file():
                continue
            spec = importlib.util.find_spec(name)
            if spec is None or (spec.origin is not None and Path(spec.origin).resolve() == path):
                return str(path)
    return ""


def _hint(error: BaseException, source: Source) -> str:
    """Say what to do where a file imports another one that lies beside it."""
    if isinstance(error, ImportError) and "relative import" in str(error):
        return f"; {_ALONE}"
    name = error.name if isinstance(error, ModuleNotFoundError) and error.name else ""
    folder = Path(source.path).parent / name.partition(".")[0]
    return f"; {_ALONE}" if name and (folder.is_dir() or folder.with_suffix(".py").is_file()) else ""


def _line_of(error: BaseException, source: Source) -> str:
    """Return the line of a file in which an exception was raised."""
    if isinstance(error, SyntaxError):
        return "" if error.lineno is None else f", line {error.lineno}"
    lines = [
        line
        for frame, line in traceback.walk_tb(error.__traceback__)
        if frame.f_code.co_filename == source.path
    ]
    return f", line {lines[-1]}" if lines else ""


def place_of(error: BaseException) -> str:
    """Return file and line of the innermost part of a user's file that an exception passed; empty where it is none."""
    found = ""
    known = {source.path for source in _sources.values()}
    for frame, line in traceback.walk_tb(error.__traceback__):
        if frame.f_code.co_filename in known:
            found = f"{frame.f_code.co_filename}, line {line}"
    return found or (place_of(error.__cause__) if error.__cause__ is not None else "")


def _kind(base: type) -> str:
    return "task" if issubclass(base, Task) else "searcher"


def _what(found: object) -> str:
    if not inspect.isclass(found):
        return f"a {type(found).__name__}"
    lacking = ", ".join(sorted(getattr(found, "__abstractmethods__", ())))
    return f"the class {found.__name__}{f', which lacks {lacking}' if lacking else ''}"
