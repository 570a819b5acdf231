"""The command that checks what is published: files, figures, entries, and on request some studies themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from harness.commands import completion
from harness.commands.codes import SOME_FAILED
from harness.commands.options import DEFAULT_PUBLISHED, DataFolder, Published, use_data
from harness.commands.reports import cores
from harness.commands.terminal import new_console, say
from harness.plurals import plural

if TYPE_CHECKING:
    from pathlib import Path

    from results.tables import SweepTables


def verify(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[NAME]...",
            help="What was published; all that is, by default.",
            autocompletion=completion.published,
        ),
    ] = None,
    rerun: Annotated[
        int,
        typer.Option(
            min=0,
            metavar="STUDIES",
            help="Run so many studies of each again, drawn at random. That runs the files published with it: read them "
            "first.",
        ),
    ] = 0,
    published: Published = DEFAULT_PUBLISHED,
    data: DataFolder = None,
) -> None:
    """Check what was published: 0 if it is as its files, tables, races and studies say, 1 if something differs."""
    from results.publications import manifest_of, names_in

    chosen = list(dict.fromkeys(names or names_in(published)))
    for name in chosen:
        manifest_of(published, name)
    if not chosen:
        say(f"nothing is published in {published}, so that there is nothing to verify")
        return
    use_data(data)
    wrong = [name for name in chosen if not _verified(published, name, rerun)]
    if len(chosen) > 1:
        count = f"{len(wrong)} of {len(chosen)} published folders differ: {', '.join(wrong)}"
        say(count if wrong else f"all {len(chosen)} published folders are as they were published")
    if wrong:
        raise typer.Exit(SOME_FAILED)


def _verified(published: Path, name: str, rerun: int) -> bool:
    """Check one published folder and say what was found; return whether it is true."""
    import functools

    from analysis.report.page import build, style_of
    from analysis.reproduction import publishing
    from results.entries import entered, race_tables, together
    from results.publications import folder_of, manifest_of
    from results.published import verify as check

    folder = folder_of(published, name)
    figures = style_of(folder)
    into = entered(manifest_of(published, name))
    page = functools.partial(build, processes=cores(), complete=True, figures=figures)

    def draw(tables: SweepTables, target: Path) -> object:
        return page(tables if into is None else together(race_tables(published, into), tables), target)

    reproduction = publishing.is_reproduction(folder)
    checked = check(published, name, publishing.drawing(folder) if reproduction else draw)
    for problem in checked.changed:
        say(f"not as published: {problem}", style="red")
    for problem in checked.departs:
        say(f"not as its race: {problem}", style="red")
    for problem in checked.redrawn:
        say(f"not as its tables say: {problem}", style="red")
    if checked.since:
        say(f"{checked.since}.")
    again = "identical"
    if checked.rounded:
        again = f"equal to rounding (largest {checked.largest:.0e}; {plural(len(checked.rounded), 'file')})"
    same = f", and it has the tasks, data, budget and seeds of {into.race}" if into is not None else ""
    if checked.true:
        say(f"{folder}: every file is as published, and every figure drawn again is {again}{same}")
    else:
        kept = (
            f"{_files(len(checked.changed))} not as published"
            if checked.changed
            else "every file is as published"
        )
        drawn = f"{_files(len(checked.redrawn))} not as its tables say" if checked.redrawn else ""
        race = "it is no entry of its race" if checked.departs else ""
        say("; ".join(part for part in (f"{folder}: {kept}", race, drawn) if part))
    return (not rerun or _repeats(folder, rerun)) and checked.true


def _repeats(folder: Path, number: int) -> bool:
    """Run some studies again and say what came of it; return whether all gave the same evaluations."""
    from analysis.words import listed
    from harness.commands.launching import while_running
    from harness.display import duration
    from harness.rerun import draw, rerun
    from results.tables import read_exported

    tables = read_exported(folder)
    drawn = draw(tables, number)
    if drawn.departs:
        say(f"not as it was run: {drawn.departs}", style="red")
        return False
    if drawn.install:
        lost = int(tables.studies["searcher"].isin(list(drawn.absent)).sum())
        say(
            f"not among those drawn: {lost} of {plural(len(tables.studies), 'study')}, of "
            f"{listed(list(drawn.absent))}; {drawn.install}, or `make setup-methods` in a checkout",
            style="yellow",
        )
    trained = f" and training {duration(drawn.training)}" if drawn.training >= 1 else ""
    say(
        f"running {plural(len(drawn.ids), 'study')} of {folder} again, drawn at random; on record, searching took "
        f"{duration(max(drawn.searching, 1))}{trained}"
    )
    with while_running():
        problems = rerun(tables, drawn, new_console())
    for problem in problems:
        say(f"not as it was run: {problem}", style="red")
    if not problems:
        say(
            f"{folder}: {plural(len(drawn.ids), 'study')}, drawn at random and run again, gave the same evaluations"
        )
    return not problems


def _files(number: int) -> str:
    return "one file is" if number == 1 else f"{number} files are"
