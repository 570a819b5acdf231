"""Compares what the nodes of a cluster answered, with each other and with this machine."""

from __future__ import annotations

import platform
import shlex
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from harness.arithmetic import Arithmetic
from harness.doctor.findings import Finding, fine, problem, some, warning
from harness.doctor.versions import differences, in_words
from harness.machine import ON_GPUS, kinds, numbers_of
from harness.plurals import plural

SKEW_SECONDS: Final = 5.0
"""Difference of two clocks that is told."""

LISTED: Final = 4
"""Libraries that are named one by one in what to install."""


def versions(nodes: Mapping[str, Mapping[str, str]], expected: Mapping[str, str]) -> Iterator[Finding]:
    """Yield which nodes lack libraries, or have others than this machine.

    Args:
        nodes: The versions of all distributions there, by the name of the node.
        expected: Versions here of what the run needs.
    """
    found = {name: tuple(differences(expected, there).items()) for name, there in nodes.items()}
    for different, names in _together(found).items():
        if not different:
            continue
        wrong = dict(different)
        install = [f"{name}=={expected[name]}" for name in wrong]
        command = "--requirement requirements.lock" if len(install) > LISTED else shlex.join(install)
        yield problem(
            "versions",
            f"{some(names)}: {some(in_words(expected, wrong, 'here'))}",
            f"have there what is here: pip install {command}",
        )
    if nodes and not any(found.values()):
        yield fine(
            "versions",
            f"all nodes have the {plural(len(expected), 'library that it needs', 'libraries that it needs')}, as here",
        )


def code(nodes: Mapping[str, Mapping[str, str]], own: Mapping[str, str], ray: str) -> Iterator[Finding]:
    """Yield which nodes lack this project, or have other code of it.

    Args:
        nodes: What `harness.doctor.probe.Probe.project` answered, by the name of the node.
        own: What it answers here.
        ray: Version of Ray here.
    """
    missing = {name: each["fault"] for name, each in nodes.items() if "fault" in each}
    for fault, names in _together(missing).items():
        yield problem(
            "project",
            f"{some(names)}: this project cannot be used there: {fault}",
            f"install it there with the locked libraries, for Python {platform.python_version()} and Ray {ray}",
        )
    others = {
        name: each["home"] for name, each in nodes.items() if "code" in each and each["code"] != own["code"]
    }
    for home, names in _together(others).items():
        yield problem(
            "project",
            f"{some(names)}: its code in {home} is not that of this machine, in {own['home']}",
            "bring both to one revision",
        )
    if nodes and not missing and not others:
        yield fine("project", "all nodes have its code as it is here")


def processors(found: list[str], arithmetic: Arithmetic) -> Finding:
    """Return what it means that nodes have processors of several kinds."""
    text = f"processors of {len(found)} kinds: {some(found)}"
    if arithmetic is Arithmetic.PORTABLE:
        return fine("processors", f"{text}; the record is the same on all of them (`arithmetic: portable`)")
    return warning(
        "processors",
        f"{text}; with `arithmetic: native` numbers can depend on which of them trained",
        "leave `arithmetic: native` out of the sweep file, or run on one kind",
    )


def clock(name: str, asked: float, there: float, answered: float) -> Iterator[Finding]:
    """Yield that a node's clock is not this machine's.

    Args:
        name: The node.
        asked: When it was asked for its time by this machine's clock, in seconds since 1970.
        there: The time that it told.
        answered: When its answer was here.
    """
    off = min(there - asked, 0.0) + max(there - answered, 0.0)
    if abs(off) > SKEW_SECONDS:
        yield fine(
            "clocks",
            f"{name}: its clock is {abs(off):.0f} s {'ahead' if off > 0 else 'behind'}; that changes nothing, since "
            "each duration is measured on one machine",
        )


def faults(nodes: Mapping[str, Mapping[str, str]], what: str) -> Iterator[Finding]:
    """Yield what cannot be used where; ``nodes`` has the faults of each by what has them."""
    flat = {(name, who): (who, fault) for name, each in nodes.items() for who, fault in each.items()}
    for (who, fault), places in _together(flat).items():
        yield problem(
            "code",
            f"{some([name for name, _ in places])}: {who} cannot be used there: {fault}",
            "install there what it needs; a plug-in must be installed on all nodes, and files that a task reads when "
            "it is made must be there under the same path",
        )
    if nodes and not flat:
        yield fine("code", f"the sweep's {what} can be used on {_places(len(nodes))}")


def _places(number: int) -> str:
    return "the node that would use them" if number == 1 else f"all {number} nodes that would use them"


def devices(
    nodes: Mapping[str, Mapping[str, Mapping[str, Any]]], libraries: Mapping[str, Mapping[str, str]]
) -> Iterator[Finding]:
    """Yield where a task sees no GPU though each evaluator gets a share of one.

    Args:
        nodes: What `harness.doctor.probe.Probe.tasks` answered, by the name of the node.
        libraries: The libraries of each task, module to distribution.
    """
    blind = {
        (name, label): label
        for name, each in nodes.items()
        for label, one in each.items()
        if one.get("machine", {}).get("device") == "cpu"
    }
    for label, places in _together(blind).items():
        names = some([name for name, _ in places])
        own = [module for module in libraries[label] if module in ON_GPUS]
        if own:
            yield problem(
                "gpus",
                f"{names}: {own[0]} sees no GPU for task {label!r}, which would train on the processor",
                "install its GPU build and driver there (`pip install 'hpo-derby[gpu]'`, nvidia-smi), or leave out "
                "--gpus-per-evaluator",
            )
        else:
            yield warning(
                "gpus",
                f"{names}: task {label!r} trains on the processor, and its evaluators take shares of GPUs",
                "leave out --gpus-per-evaluator",
            )
    if nodes and not blind:
        yield fine("gpus", "all tasks see a GPU where they would train")


def machines(nodes: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> Iterator[Finding]:
    """Yield which tasks would be trained on several kinds of machine, versions aside, which are told otherwise."""
    told: set[str] = set()
    for label in dict.fromkeys(label for each in nodes.values() for label in each):
        described = {
            name: each[label]["machine"] for name, each in nodes.items() if "machine" in each.get(label, {})
        }
        groups = kinds(described.items(), lambda one: _hardware(one[1]))
        if len(groups) < 2:
            continue
        firsts = [group[0][1] for group in groups]
        text = "; ".join(
            f"{some([name for name, _ in group])}: {_unlike(group[0][1], firsts)}" for group in groups
        )
        if text not in told:  # tasks of one library differ in the same
            told.add(text)
            yield warning(
                "machines",
                f"evaluations would be made on {len(groups)} kinds of machine, which can give other numbers: {text}",
                "run on one kind; or go on: each equals itself only, and `derby status` and the report will say so",
            )


def _hardware(description: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: value for name, value in numbers_of(description).items() if name not in ("python", "versions")
    }


def _unlike(one: Mapping[str, Any], others: Iterable[Mapping[str, Any]]) -> str:
    """Return what of a machine's description is not the same in all."""
    flat = [_flat(_hardware(each)) for each in (one, *others)]
    names = [name for name in flat[0] if any(each.get(name) != flat[0][name] for each in flat)]
    return ", ".join(f"{name} {flat[0][name]}" for name in names) or "nothing more"


def _flat(content: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in content.items():
        if isinstance(value, Mapping):
            found.update(_flat(value))
        else:
            found[name] = value
    return found


def _together(found: Mapping[Any, Any]) -> dict[Any, list[Any]]:
    """Return keys by value, in order."""
    groups: dict[Any, list[Any]] = {}
    for key, value in found.items():
        groups.setdefault(value, []).append(key)
    return groups
