"""The commands that read what was recorded: figures, tables, comparisons, and what is published."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.commands.drawing import Brief, Formats, Labels, Only, Order, StyleFile, Tasks, Width, chosen
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

if TYPE_CHECKING:
    from results.sources import Source


def report(
    sweep: SweepName,
    only: Only = None,
    tasks: Tasks = None,
    labels: Labels = None,
    order: Order = None,
    width: Width = None,
    formats: Formats = None,
    brief: Brief = False,
    style: StyleFile = None,
    results: Results = DEFAULT_RESULTS,
    out: Out = None,
    published: Published = DEFAULT_PUBLISHED,
) -> None:
    """Draw a sweep's figures and write its report page; also of an import, or of a folder."""
    source, target = _found(sweep, results, out, "report")
    from analysis.report.page import build
    from results.extended import read_whole
    from results.folders import replacing

    tables = read_whole(source, published)
    figures = chosen(sweep, tables, style, only, tasks, labels, order, width, formats, brief=brief)
    with replacing(target) as draft:
        page = build(tables, draft, processes=cores(), figures=figures)
    say(f"report: {target.resolve() / page.name}")


def export(
    sweep: SweepName,
    results: Results = DEFAULT_RESULTS,
    out: Out = None,
    published: Published = DEFAULT_PUBLISHED,
) -> None:
    """Write a sweep's tables as Parquet."""
    source, target = _found(sweep, results, out, "export")
    from results.extended import read_whole
    from results.folders import replacing
    from results.tables import export as write

    tables = read_whole(source, published)
    with replacing(target) as draft:
        written = write(tables, draft)
    for path in written:
        say(str(target / path.name))


def compare(
    folders: Annotated[
        list[Path], typer.Argument(metavar="FOLDER FOLDER...", help="Results folders, or sweeps in them.")
    ],
    only: Only = None,
    tasks: Tasks = None,
    labels: Labels = None,
    order: Order = None,
    width: Width = None,
    formats: Formats = None,
    style: StyleFile = None,
    out: Annotated[Path | None, typer.Option(help="Folder to write.")] = None,
) -> None:
    """Report on several results folders together: two clusters, or two versions of a library."""
    from results.folders import check_replaceable, replacing
    from results.sources import source_names, source_of

    if len(folders) < 2:
        raise SweepError(
            f"expected two or more folders to compare, got {folders[0]}; for one use `derby report`"
        )
    sources = [source_of(folder) for folder in folders]
    names = source_names(sources)
    target = out or DEFAULT_RESULTS / "compared" / "-".join(name.replace("/", "-") for name in names)
    check_replaceable(target)
    figures = chosen("", None, style, only, tasks, labels, order, width, formats)

    from analysis.report.page import build
    from results.merge import merged, read

    tables = merged({name: read(source) for name, source in zip(names, sources, strict=True)})
    for note in tables.provenance["merged"]:
        say(f"note: {note}")
    with replacing(target) as draft:
        page = build(tables, draft, processes=cores(), figures=figures)
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
    only: Only = None,
    tasks: Tasks = None,
    labels: Labels = None,
    order: Order = None,
    width: Width = None,
    formats: Formats = None,
    brief: Brief = False,
    style: StyleFile = None,
    published: Published = DEFAULT_PUBLISHED,
) -> None:
    """Freeze a finished sweep, or a reproduced report: tables as Parquet, sweep file, page, figures, and digests."""
    from results.publications import free_folder
    from results.sources import named

    source = named(sweep_name(sweep), results)
    free_folder(published, name or source.name, replace=replace)

    import functools

    from analysis.figures.chosen import choose
    from analysis.report.page import build
    from analysis.reproduction import publishing
    from results.extended import whole
    from results.merge import read
    from results.published import publish as freeze

    tables = whole(read(source), published)
    page = publishing.kept_of(source, tables)
    if page is not None:
        given = (only, tasks, labels, order, width, formats, style, brief or None)
        if any(value is not None for value in given):
            raise SweepError(
                "a reproduced report is published with the page that `derby reproduce` wrote: --only, --tasks, "
                "--labels, --order, --width, --format, --style and --brief are for races"
            )
        publishing.check_whole(page)
        folder = freeze(tables, published, name or source.name, publishing.drawing(page), replace=replace)
        say(f"published: {folder.resolve()}")
        return
    figures = chosen(sweep, tables, style, only, tasks, labels, order, width, formats, brief=brief)
    choose(tables, figures)  # before anything is written
    draw = functools.partial(build, processes=cores(), complete=True, figures=figures)
    folder = freeze(tables, published, name or source.name, draw, replace=replace)
    say(f"published: {folder.resolve()}")


def _found(given: str, results: Path, out: Path | None, part: str) -> tuple[Source, Path]:
    """Return what is given and the folder to write, checked before any library is loaded that draws."""
    from results.folders import check_replaceable
    from results.sources import named

    source = named(sweep_name(given), results)
    target = source.place(part, out)
    check_replaceable(target)
    return source, target


def cores() -> int:
    """Return how many processes draw: the cores there are, up to 8."""
    return min(os.cpu_count() or 1, 8)
