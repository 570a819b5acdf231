"""The commands that read what was recorded: figures, tables, comparisons, and what is published."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from harness.commands.codes import SOME_FAILED
from harness.commands.options import (
    DEFAULT_PUBLISHED,
    DEFAULT_RESULTS,
    Out,
    Published,
    Results,
    SweepName,
    sweep_name,
)
from harness.commands.terminal import say
from harness.errors import SweepError


def report(
    sweep: SweepName,
    results: Results = DEFAULT_RESULTS,
    out: Out = None,
) -> None:
    """Draw a sweep's figures and write its report page; also of an import, or of a folder."""
    from analysis.report.page import build
    from results.folders import replacing
    from results.sources import place_of, read

    tables, folder = read(sweep_name(sweep), results)
    target = place_of(folder, "report", out)
    with replacing(target) as draft:
        page = build(tables, draft, processes=cores())
    say(f"report: {target.resolve() / page.name}")


def export(
    sweep: SweepName,
    results: Results = DEFAULT_RESULTS,
    out: Out = None,
) -> None:
    """Write a sweep's tables as Parquet."""
    from results.folders import replacing
    from results.sources import place_of, read
    from results.tables import export as write

    tables, folder = read(sweep_name(sweep), results)
    target = place_of(folder, "export", out)
    with replacing(target) as draft:
        written = write(tables, draft)
    for path in written:
        say(str(target / path.name))


def compare(
    folders: Annotated[
        list[Path], typer.Argument(metavar="FOLDER FOLDER...", help="Results folders, or sweeps in them.")
    ],
    out: Annotated[Path | None, typer.Option(help="Folder to write.")] = None,
) -> None:
    """Report on several results folders together: two clusters, or two versions of a library."""
    from analysis.report.page import build
    from results.folders import replacing
    from results.merge import merged, read_source, source_names

    if len(folders) < 2:
        raise SweepError(
            f"expected two or more folders to compare, got {folders[0]}; for one use `derby report`"
        )
    names = source_names(folders)
    tables = merged({name: read_source(folder) for name, folder in zip(names, folders, strict=True)})
    for note in tables.provenance["merged"]:
        say(f"note: {note}")
    target = out or DEFAULT_RESULTS / "compared" / "-".join(name.replace("/", "-") for name in names)
    with replacing(target) as draft:
        page = build(tables, draft, processes=cores())
    say(f"report: {target.resolve() / page.name}")


def publish(
    sweep: SweepName,
    results: Results = DEFAULT_RESULTS,
    name: Annotated[
        str | None, typer.Option("--as", help="Its published name; the sweep's by default.")
    ] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Replace what is published by that name.")
    ] = False,
    published: Published = DEFAULT_PUBLISHED,
) -> None:
    """Freeze a finished sweep: tables as Parquet, sweep file, report, figures, and a manifest of digests."""
    import functools

    from analysis.report.page import build
    from results.published import publish as freeze
    from results.sources import read

    tables, _ = read(sweep_name(sweep), results)
    draw = functools.partial(build, processes=cores(), complete=True)
    folder = freeze(tables, published, name or tables.name, draw, replace=replace)
    say(f"published: {folder.resolve()}")


def verify(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What was published.")],
    published: Published = DEFAULT_PUBLISHED,
) -> None:
    """Rebuild a published sweep's figures from its tables: 0 if identical or equal to rounding, 1 if one differs."""
    import functools

    from analysis.report.page import build
    from results.published import verify as check

    checked = check(published, name, functools.partial(build, processes=cores(), complete=True))
    for problem in checked.problems:
        say(f"differs: {problem}", style="red")
    if checked.problems:
        raise typer.Exit(SOME_FAILED)
    again = "is identical"
    if checked.rounded:
        again = f"is equal to rounding (largest {checked.largest:.0e}; {len(checked.rounded)} files)"
    say(f"{published / name}: every file is as published, and every figure drawn again {again}")


def cores() -> int:
    """Return how many processes draw: the cores there are, up to 8."""
    return min(os.cpu_count() or 1, 8)
