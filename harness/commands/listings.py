"""The commands that list and describe tasks and searchers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from harness.commands.terminal import new_console, say, table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rich.console import Console

    from harness.options import Options


def tasks(name: Annotated[str | None, typer.Argument(help="Show one in full.")] = None) -> None:
    """List the tasks, or describe one."""
    from harness import registry
    from harness.trial import unit_in_words

    if name is None:
        rows = [(key, kind.group, _first_line(kind), kind.source) for key, kind in registry.tasks().items()]
        table(("task", "group", "what it is", "source"), rows)
        _warn_of(registry.tasks().faults)
        return
    task_class, options = registry.named_task(name, {})
    task = task_class(**options)
    console = new_console()
    _describe(console, name, task_class, task_class.Options)
    about = [
        (
            parameter,
            f"{domain}{_standing_for(task.levels.get(parameter, ()))}",
            str(condition) if (condition := task.space.conditions.get(parameter)) else "",
        )
        for parameter, domain in task.space.parameters.items()
    ]
    console.print()
    table(("parameter", "domain", "active where"), about)
    about = [(label, str(dict(config)), "") for label, config in task.space.references.items()]
    if about:
        console.print()
        table(("reference", "configuration", ""), about)
    size = task.space.size()
    console.print(f"\nconfigurations: {'uncountable' if size is None else size}", highlight=False)
    if task.group:
        console.print(f"group: {task.group}", highlight=False)
    console.print(f"objective: {task.objective.direction} {task.objective.metric}", highlight=False)
    console.print(f"epochs: {task.fidelity.low} to {task.fidelity.high}", highlight=False)
    console.print(f"cost of an epoch: in {unit_in_words('cost', task.cost_unit)}", highlight=False)
    if task_class.slash == "recording":
        from harness import certify

        console.print()
        table(certify.HEADER, certify.rows(certify.shipped()))


def searchers(name: Annotated[str | None, typer.Argument(help="Show one in full.")] = None) -> None:
    """List the searchers, or describe one."""
    from harness import registry

    if name is None:
        rows = []
        for key, kind in registry.searchers().items():
            flags = ("parallel", "conditional", "multi_fidelity")
            able = ", ".join(flag.replace("_", "-") for flag in flags if getattr(kind, flag))
            rows.append((key, _first_line(kind), able))
        table(("searcher", "what it is", "can"), rows)
        _warn_of(registry.searchers().faults)
        return
    kind = registry.named_searcher(name)
    _describe(new_console(), name, kind, kind.Settings)


def _first_line(kind: type) -> str:
    return (kind.__doc__ or "").strip().partition("\n")[0]


def _warn_of(faults: Mapping[str, str]) -> None:
    """Name the plug-ins that cannot be used: a sweep that uses one is refused, and others are not."""
    for fault in faults.values():
        say(f"left out: {fault}", style="yellow")


def _describe(console: Console, name: str, kind: type, options: type[Options]) -> None:
    """Print a class's docstring and its options."""
    from harness.prose import rewrapped

    console.print(name, style="bold")
    say(rewrapped(kind.__doc__ or "", min(console.width, 100)))
    fields = options.model_fields
    if not fields:
        return
    schema: dict[str, Any] = options.model_json_schema()["properties"]
    rows = []
    for field, info in fields.items():
        limits = {
            k: v for k, v in schema[field].items() if k not in ("title", "description", "default", "$ref")
        }
        allowed = ", ".join(f"{k} {v}" for k, v in limits.items())
        rows.append((field, repr(info.default), allowed, info.description or ""))
    console.print()
    table(("option", "default", "allowed", "meaning"), rows)


def _standing_for(levels: Sequence[object]) -> str:
    """Return what a parameter's whole numbers stand for, in words; nothing where for themselves."""
    return f", which stand for {', '.join(map(str, levels))}" if levels else ""
