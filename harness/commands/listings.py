"""The commands that list and describe tasks and searchers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from harness.commands import completion
from harness.commands.terminal import new_console, say, table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rich.console import Console

    from harness.options import Options


def tasks(
    name: Annotated[
        str | None, typer.Argument(help="Show one in full.", autocompletion=completion.tasks)
    ] = None,
) -> None:
    """List the tasks, or describe one."""
    from harness import registry
    from harness.prose import condition_in_words, config_in_words, domain_in_words, first_line
    from harness.trial import unit_in_words

    if name is None:
        rows = [(key, kind.group, first_line(kind), kind.source) for key, kind in registry.tasks().items()]
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
            f"{domain_in_words(domain)}{_standing_for(task.levels.get(parameter, ()))}",
            condition_in_words(condition) if (condition := task.space.conditions.get(parameter)) else "",
        )
        for parameter, domain in task.space.parameters.items()
    ]
    if task.label != name:
        say(f"\nBy default it is {task.label}:")
    console.print()
    table(("parameter", "domain", "active where"), about)
    references = [(label, config_in_words(config)) for label, config in task.space.references.items()]
    if references:
        console.print()
        table(("reference", "configuration"), references)
    size = task.space.size()
    console.print(f"\nconfigurations: {'uncountable' if size is None else size}", highlight=False)
    if task.group:
        console.print(f"group: {task.group}", highlight=False)
    console.print(f"objective: {task.objective.direction}imise {task.objective.metric}", highlight=False)
    console.print(f"epochs: {task.fidelity.low} to {task.fidelity.high}", highlight=False)
    console.print(f"cost of an epoch: in {unit_in_words('cost', task.cost_unit)}", highlight=False)
    if task_class.slash == "recording":
        from harness import certify

        console.print()
        table(certify.HEADER, certify.rows(certify.shipped()))


def searchers(
    name: Annotated[
        str | None, typer.Argument(help="Show one in full.", autocompletion=completion.searchers)
    ] = None,
) -> None:
    """List the searchers, or describe one."""
    from harness import registry
    from harness.prose import first_line

    if name is None:
        rows = []
        for key, kind in registry.searchers().items():
            flags = ("parallel", "conditional", "multi_fidelity")
            able = ", ".join(flag.replace("_", "-") for flag in flags if getattr(kind, flag))
            rows.append((key, first_line(kind), able))
        table(("searcher", "what it is", "can"), rows)
        _warn_of(registry.searchers().faults)
        return
    kind = registry.named_searcher(name)
    _describe(new_console(), name, kind, kind.Settings)


def _warn_of(faults: Mapping[str, str]) -> None:
    """Name the plug-ins that cannot be used: a sweep that uses one is refused, and others are not."""
    for fault in faults.values():
        say(f"left out: {fault}", style="yellow")


def _describe(console: Console, name: str, kind: type, options: type[Options]) -> None:
    """Print a class's docstring and its options."""
    from harness.prose import option_rows, rewrapped

    console.print(name, style="bold")
    say(rewrapped(kind.__doc__ or "", min(console.width, 100)))
    rows = option_rows(options)
    if not rows:
        return
    console.print()
    table(("option", "default", "allowed", "meaning"), rows)


def _standing_for(levels: Sequence[object]) -> str:
    """Return what a parameter's whole numbers stand for, in words; nothing where for themselves."""
    from harness.prose import value_in_words

    return f", which stand for {', '.join(map(value_in_words, levels))}" if levels else ""
