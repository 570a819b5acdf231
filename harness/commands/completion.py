"""What a shell offers to complete a command line with: names of tasks, searchers, sweeps, recordings and reports.

A shell that asks is told nothing but names: whatever goes wrong, such as a folder that cannot be read, offers none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import typer


def _offered(names: Callable[[], Iterable[str]], incomplete: str) -> list[str]:
    with suppress(Exception):
        return sorted(name for name in names() if name.startswith(incomplete))
    return []


def tasks(incomplete: str) -> list[str]:
    """Offer the names of tasks, and the Python files in this folder."""

    def names() -> Iterable[str]:
        from harness import registry

        return [*registry.tasks(), *_files("*.py")]

    return _offered(names, incomplete)


def searchers(incomplete: str) -> list[str]:
    """Offer the names of searchers, and the Python files in this folder."""

    def names() -> Iterable[str]:
        from harness import registry

        return [*registry.searchers(), *_files("*.py")]

    return _offered(names, incomplete)


def tasks_and_searchers(incomplete: str) -> list[str]:
    """Offer the names of both, and the Python files in this folder."""
    return sorted({*tasks(incomplete), *searchers(incomplete)})


def methods(incomplete: str) -> list[str]:
    """Offer the names of searchers, and the sweep files in this folder."""

    def names() -> Iterable[str]:
        from harness import registry

        return [*registry.searchers(), *_files("*.y*ml")]

    return _offered(names, incomplete)


def recordings(incomplete: str) -> list[str]:
    """Offer the recordings that come with the project, and those in this folder."""

    def names() -> Iterable[str]:
        from harness import registry

        shipped: Any = registry.task("replay")
        return [*shipped.shipped(), *_files("*.parquet")]

    return _offered(names, incomplete)


def reports(incomplete: str) -> list[str]:
    """Offer the source reports that tasks declare experiments of."""

    def names() -> Iterable[str]:
        from harness import registry

        return registry.reports()

    return _offered(names, incomplete)


def sweeps(context: typer.Context, incomplete: str) -> list[str]:
    """Offer the sweeps and imports in the results folder that is given before, and the sweep files in this folder."""

    def names() -> Iterable[str]:
        from harness.commands.options import DEFAULT_RESULTS
        from results.layout import Layout

        layout = Layout(Path(context.params.get("results") or DEFAULT_RESULTS))
        return [*layout.sweep_names(), *layout.import_names(), *_files("*.y*ml")]

    return _offered(names, incomplete)


def published(context: typer.Context, incomplete: str) -> list[str]:
    """Offer what is published in the folder that is given before."""

    def names() -> Iterable[str]:
        from harness.commands.options import DEFAULT_PUBLISHED
        from results.publications import names_in

        return names_in(Path(context.params.get("published") or DEFAULT_PUBLISHED))

    return _offered(names, incomplete)


def figures(incomplete: str) -> list[str]:
    """Offer the names of figures."""

    def names() -> Iterable[str]:
        from analysis.figures.named import FIGURES

        return FIGURES

    return _offered(names, incomplete)


def costs(incomplete: str) -> list[str]:
    """Offer what a figure can be drawn over."""

    def names() -> Iterable[str]:
        from analysis.figures.named import OVER

        return OVER

    return _offered(names, incomplete)


def labels_of_tasks(context: typer.Context, incomplete: str) -> list[str]:
    """Offer the labels of the tasks of the sweep that is given before."""

    def names() -> Iterable[str]:
        from harness.commands.options import DEFAULT_RESULTS
        from results.layout import Layout
        from results.sources import named

        given = named(context.params["sweep"], Path(context.params.get("results") or DEFAULT_RESULTS))
        if given.sweep is not None:
            return Layout(given.folder).plan(given.sweep).tasks
        from results.tables import read_exported

        return [str(label) for label in read_exported(given.folder).tasks.index]

    return _offered(names, incomplete)


def _files(pattern: str) -> list[str]:
    return [path.name for path in Path().glob(pattern)]
