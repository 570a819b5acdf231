"""This machine: what the numbers of a training depend on besides its key, and which libraries it has."""

from __future__ import annotations

import importlib.util
import platform
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import PackageNotFoundError, distributions, metadata, version
from pathlib import Path
from typing import Annotated, Any, Final, TypeVar

import msgspec

from harness.arithmetic import in_use
from harness.errors import MissingLibraryError
from harness.keys import digest

T = TypeVar("T")

ON_GPUS: Final = {"tensorflow": "tensorflow", "keras": "tensorflow", "torch": "torch", "jax": "jax"}
"""Modules of libraries that train on a GPU where they see one, and the library that takes memory there."""


class InUse(msgspec.Struct, frozen=True, omit_defaults=True):
    """Arithmetic as found in use; see `harness.arithmetic.in_use`."""

    level: str = ""
    simd: str = ""
    blas: dict[str, str] = {}
    libc: str = ""
    variables: dict[str, str] = {}


class Description(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the numbers of a training depend on besides its key, as it is recorded; empty where unknown.

    Args:
        processor: The processor's model name.
        architecture: Its architecture.
        device: What is trained on, such as ``"cpu"``.
        threads: Threads that are used; 0 where unknown.
        arithmetic: Arithmetic as found in use.
        python: Version of Python.
        versions: Versions of the libraries that compute.
    """

    processor: str = ""
    architecture: str = ""
    device: str = ""
    threads: Annotated[int, msgspec.Meta(ge=0, le=1 << 53)] = 0
    arithmetic: InUse = InUse()
    python: str = ""
    versions: dict[str, str] = {}


@dataclass(frozen=True, slots=True)
class Machine:
    """What the numbers of a training depend on besides its key."""

    description: Description
    id: str = field(init=False, compare=False)
    """Digest of the description."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "id", digest(msgspec.to_builtins(self.description)))


UNTOLD = Machine(Description(arithmetic=InUse(level="unknown: the evaluator ended before it could tell")))
"""Of an evaluation that took its process along: there are no numbers that a machine could have changed."""

FOR_PEOPLE = ("processor",)
"""What a description holds that changes no numbers: one name may stand for processors with AVX-512 and without, and two
names for equal arithmetic."""


def numbers_of(description: Description | Mapping[str, Any]) -> dict[str, Any]:
    """Return what of a machine's description can change numbers, as JSON."""
    content: dict[str, Any] = msgspec.to_builtins(description)
    return {name: value for name, value in content.items() if name not in FOR_PEOPLE}


def kinds(machines: Iterable[T], content: Callable[[T], Mapping[str, Any]]) -> list[list[T]]:
    """Group machines whose descriptions do not contradict each other.

    One machine is described once for each set of libraries, those of the task that trains: descriptions that differ
    in which libraries they name, and not in the version of one that both name, are of one kind. `UNTOLD` is of none.

    Args:
        machines: The machines.
        content: What of a machine's description counts, such as `numbers_of`.

    Returns:
        The groups, in the order of their first machines.
    """
    found: list[tuple[dict[str, Any], dict[str, str], list[T]]] = []
    for machine in machines:
        rest = dict(content(machine))
        if rest == numbers_of(UNTOLD.description):
            continue
        named: Mapping[str, str] = rest.pop("versions", {})
        for other, known, group in found:
            if other == rest and all(known.get(name, version) == version for name, version in named.items()):
                known.update(named)
                group.append(machine)
                break
        else:
            found.append((rest, dict(named), [machine]))
    return [group for *_, group in found]


def describe_machine(device: str, threads: int, libraries: Mapping[str, str]) -> Machine:
    """Describe this process's machine as far as it can change the numbers of a training or a search.

    Args:
        device: What is trained on, such as ``"cpu"``.
        threads: Threads that are used.
        libraries: Module to distribution, of what computes here besides numpy and scipy.
    """
    return Machine(
        Description(
            processor=processor(),
            architecture=platform.machine(),
            device=device,
            threads=threads,
            arithmetic=msgspec.convert(in_use(libraries), InUse),
            python=platform.python_version(),
            versions=versions(
                dict.fromkeys(
                    ["numpy", "scipy", *libraries.values(), *(kernels_of_gpus() if device != "cpu" else ())]
                )
            ),
        )
    )


@cache
def processor() -> str:
    """Return the processor's model name."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.lower().startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def versions(distributions: Iterable[str]) -> dict[str, str]:
    """Return the installed version of each distribution; ``"not installed"`` where there is none."""
    return {name: _version(name) for name in distributions}


@cache
def _version(distribution: str) -> str:
    """Read a distribution's version, once: what a process has imported does not change under it."""
    try:
        return version(distribution)
    except PackageNotFoundError:
        return "not installed"


@cache
def installed() -> Mapping[str, str]:
    """Return the version of every distribution that can be imported, by its name in lower case.

    Of two of one name, the first on the path: the one that is imported.
    """
    found: dict[str, str] = {}
    for each in distributions():
        found.setdefault(each.name.lower(), each.version)
    return dict(sorted(found.items()))


def kernels_of_gpus() -> list[str]:
    """Return the distributions installed here that hold CUDA's kernels, such as ``nvidia-cudnn-cu12``.

    A library that trains on a GPU takes them from there, in whatever version is found. Those of an installation outside
    Python are not known.
    """
    return [name for name in installed() if _KERNELS.match(name)]


_KERNELS = re.compile(
    r"nvidia[-_](cublas|cudnn|cufft|curand|cusolver|cusparse|cuda[-_](nvcc|nvrtc|runtime))(?![a-z])"
)


def require_libraries(owner: str, libraries: Mapping[str, str]) -> None:
    """Check that libraries are installed, without importing them.

    Args:
        owner: Who needs them, for the message.
        libraries: Module to distribution.

    Raises:
        MissingLibraryError: One is not installed; says what to install: this project's extra that has it, or else
            the library itself.
    """
    missing = [name for module, name in libraries.items() if not _is_installed(module)]
    if missing:
        wanted = " ".join(_installing(missing))
        raise MissingLibraryError(f"{owner} needs {' and '.join(missing)}: run `pip install {wanted}`")


def _is_installed(module: str) -> bool:
    """Tell whether a library can be imported; a user's folder of its name is not the library."""
    found = importlib.util.find_spec(module)
    return found is not None and found.origin is not None


def _installing(distributions: Sequence[str]) -> list[str]:
    """Return what to install for libraries: one extra with all of them, or the first that has each."""
    extras = _extras()
    known = [name for name in distributions if any(_plain(name) in own for own in extras.values())]
    together = [extra for extra, own in extras.items() if known and own >= set(map(_plain, known))]
    chosen = together[:1] or [
        next(extra for extra, own in extras.items() if _plain(name) in own) for name in known
    ]
    ours = [f"'{PROJECT}[{','.join(dict.fromkeys(chosen))}]'"] if chosen else []
    return ours + [name for name in distributions if name not in known]


PROJECT = "hpo-derby"


@cache
def _extras() -> dict[str, set[str]]:
    """Return the libraries of each of this project's extras, as its own metadata has them."""
    try:
        about = metadata(PROJECT)
    except PackageNotFoundError:
        return {}
    extras: dict[str, set[str]] = {extra: set() for extra in about.get_all("Provides-Extra") or ()}
    for line in about.get_all("Requires-Dist") or ():
        found = re.fullmatch(r"([\w.-]+).*;\s*extra\s*==\s*[\"']([\w.-]+)[\"']", line)
        if found:
            extras[found[2]].add(_plain(found[1]))
    return extras


def _plain(distribution: str) -> str:
    """Return a distribution's name as names are compared, without its own extras."""
    return re.sub(r"[-_.]+", "-", distribution.partition("[")[0]).lower()
