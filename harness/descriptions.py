"""What methods and tasks say of themselves, for pages that show races: from the registry, never from a record."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from analysis.site.about import About, Block, MethodAbout, TaskAbout, blocks
from harness import certify, registry
from harness.errors import DerbyError, said
from harness.prose import (
    condition_in_words,
    domain_in_words,
    first_line,
    option_rows,
    paragraphs,
)
from harness.searcher import Searcher
from harness.space import Float, Space
from harness.task import Task

_SOURCE = ("reference:", "references:", "source:")


def described(methods: Iterable[str], tasks: Mapping[str, Mapping[str, Any]]) -> About:
    """Return what is known of methods and tasks; of what is not installed here, why nothing is.

    Args:
        methods: Registered names.
        tasks: By label, what names a task on record: ``name`` and ``options``.
    """
    return About(
        {name: _method(name) for name in sorted(set(methods))},
        {label: _task(key) for label, key in tasks.items()},
    )


def _method(name: str) -> MethodAbout:
    try:
        kind = registry.named_searcher(name)
    except DerbyError:
        return MethodAbout(unknown=f"no method {name!r} is installed where these pages were made")
    lines = paragraphs(kind.__doc__ or "")
    return MethodAbout(
        summary=first_line(kind),
        text=_text(kind),
        sources=[each.partition(":")[2].strip() for each in lines if each.lower().startswith(_SOURCE)],
        adapter=_module(kind),
        libraries=sorted(set(kind.libraries.values())),
        able=_able(kind),
        settings=[(field, default, meaning) for field, default, _, meaning in option_rows(kind.Settings)],
    )


def _text(kind: type) -> tuple[Block, ...]:
    """Return the description of a class but for its first line and its sources."""
    _, *rest = paragraphs(kind.__doc__ or "") or [""]
    return blocks(each for each in rest if not each.lower().startswith(_SOURCE))


def _module(kind: type) -> str:
    package = getattr(kind, "package", "")
    file = f"{kind.__module__.replace('.', '/')}.py"
    return f"{file} of {package}" if package else file


def _able(kind: type[Searcher]) -> list[str]:
    said = {
        "parallel": "propose for several workers at a time",
        "conditional": "search spaces with conditions",
        "multi_fidelity": "stop trainings early and continue them",
    }
    return [words for flag, words in said.items() if getattr(kind, flag)]


def _task(key: Mapping[str, Any]) -> TaskAbout:
    name = key.get("name")
    if not name:
        return TaskAbout(unknown="its record does not name it")
    try:
        kind = registry.task(name)
        task = kind(**key["options"])
    except Exception as error:  # noqa: BLE001 - of others; a page without its space is better than none
        why = str(error) if isinstance(error, DerbyError) else said(error)
        return TaskAbout(unknown=f"the task {name!r} cannot be made where these pages were made ({why})")
    conditions = task.space.conditions
    certificate = _certificate(task, key["options"])
    source = _recorded(certificate) or kind
    return TaskAbout(
        summary=first_line(source),
        text=_text(source),
        kinds=_kinds(task.space),
        parameters=[
            (
                parameter,
                domain_in_words(domain),
                condition_in_words(conditions[parameter]) if parameter in conditions else "",
            )
            for parameter, domain in task.space.parameters.items()
        ],
        configurations=task.space.size(),
        epochs=(task.fidelity.low, task.fidelity.high),
        certificate=certificate,
    )


def _recorded(certificate: Mapping[str, str]) -> type[Task] | None:
    """Return the class of the task that was recorded: its description says more than that it is replayed."""
    name = certificate.get("task", "").partition("/")[0]
    return registry.tasks().get(name)


def _kinds(space: Space) -> frozenset[str]:
    """Return the kinds of a space: see `analysis.site.about.KINDS`."""
    real = [isinstance(domain, Float) for domain in space.parameters.values()]
    found = {
        "continuous": all(real),
        "mixed": any(real) and not all(real),
        "conditional": bool(space.conditions),
        "finite": space.size() is not None,
    }
    return frozenset(kind for kind, holds in found.items() if holds)


def _certificate(task: Task, options: Mapping[str, Any]) -> Mapping[str, str]:
    """Return what the certificate of a task's recording says, by heading; nothing where it replays none that ships."""
    recording = options.get("recording")
    shipped = certify.shipped()
    if type(task).slash != "recording" or recording not in shipped:
        return {}
    (row,) = certify.rows({str(recording): shipped[str(recording)]})
    return dict(zip(certify.HEADER, row, strict=True))
