"""The command that enters a method into a published race."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from harness.commands import completion
from harness.commands.launching import launched
from harness.commands.options import (
    DEFAULT_PUBLISHED,
    DEFAULT_RESULTS,
    Address,
    DataFolder,
    Evaluators,
    ExecutorName,
    Executors,
    Nodes,
    Published,
    Results,
    placement_of,
    task_options,
    use_data,
)
from harness.commands.reports import cores
from harness.commands.terminal import say, table
from harness.errors import RecordError

if TYPE_CHECKING:
    from pathlib import Path

    from analysis.statistics.comparison import Comparison
    from results.tables import SweepTables


def enter(
    searcher: Annotated[
        str,
        typer.Argument(
            metavar="METHOD",
            help="A searcher's name, or my_search.py:MySearch.",
            autocompletion=completion.searchers,
        ),
    ],
    race: Annotated[
        str,
        typer.Option(metavar="NAME", help="The published race.", autocompletion=completion.published),
    ],
    label: Annotated[
        str | None, typer.Option(help="The method's name in figures; its own by default.")
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--setting", metavar="NAME=VALUE", help="A setting of the method; may be repeated."),
    ] = None,
    leave_out: Annotated[
        bool, typer.Option("--leave-out", help="Leave out the tasks that the method cannot search.")
    ] = False,
    report: Annotated[bool, typer.Option(help="Whether the report of both is drawn.")] = True,
    publish: Annotated[
        bool, typer.Option("--publish", help="Freeze the entry beside the race, for whoever keeps it.")
    ] = False,
    name: Annotated[
        str | None, typer.Option("--as", help="Its published name; that of race and method by default.")
    ] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Replace what is published by that name.")
    ] = False,
    executor: Executors = ExecutorName.serial,
    address: Address = None,
    evaluators: Evaluators = "auto",
    nodes: Nodes = None,
    results: Results = DEFAULT_RESULTS,
    published: Published = DEFAULT_PUBLISHED,
    data: DataFolder = None,
) -> None:
    """Run a method on a published race's tasks, budgets and seeds, and show where it stands; no other is run again."""
    use_data(data)
    from results.publications import free_folder, manifest_of, names_in

    if race not in names_in(published):
        _refuse_unpublished(race, results)
    manifest_of(published, race)

    from harness.entering import entry_sweep, refuse_other
    from results.entries import race_named, race_tables, together
    from results.layout import Layout
    from results.tables import read_tables

    into = race_named(published, race)
    raced = race_tables(published, into)
    if raced.imported is not None:
        raise RecordError(f"{race!r} was imported from elsewhere: a method cannot be run as its runs were")
    sweep = entry_sweep(
        raced,
        race,
        searcher,
        label=label,
        settings=task_options(settings, "--setting"),
        leave_out=leave_out,
    )
    refuse_other(Layout(results), sweep)
    if publish:
        free_folder(published, name or sweep.name, replace=replace)
    placement = placement_of(executor, address, evaluators, 0.0, None, None, nodes)
    launched(sweep, results, placement)
    own = read_tables(results, sweep.name)
    both = together(raced, own)
    _show(both, sweep.spec.searchers[0].label or searcher)
    if report:
        say(f"report: {_reported(both, results, sweep.name)}")
    if publish:
        import functools

        from analysis.report.page import build
        from results.published import publish as freeze

        draw = functools.partial(build, processes=cores(), complete=True)
        folder = freeze(
            own,
            published,
            name or sweep.name,
            lambda tables, target: draw(together(raced, tables), target),
            replace=replace,
            into=into,
        )
        say(
            f"published: {folder.resolve()}; check it with: derby verify {folder.name} --published {published}"
        )


def _refuse_unpublished(race: str, results: Path) -> None:
    """Raise `RecordError` where a race was run here and not published; else its name is judged as any other."""
    from results.layout import Layout

    if race in Layout(results).sweep_names():
        raise RecordError(
            f"the race {race!r} is a sweep in {results} that is not published: run it to its end with `derby run`, and "
            f"freeze it with `derby publish {race}`"
        )


def _show(both: SweepTables, label: str) -> None:
    """Print the ranking with the entered method's row marked, and what its comparison with the others shows."""
    from analysis.report.partial import partial_words
    from analysis.report.planned import planned_words
    from analysis.statistics.comparison import comparable, compare
    from analysis.statistics.inputs import prepare
    from harness.plurals import plural

    inputs = prepare(both)
    if not comparable(inputs):
        say("there is nothing to rank: no task has a repetition that all methods finished", style="yellow")
        return
    comparison = compare(inputs)
    table(("", "method", "mean rank", "95 % interval", "wins", "ties", "losses"), _rows(comparison, label))
    lacking = inputs.field.left_out
    for words in (
        f"Ranks are means over {plural(len(comparison.scores), 'task')} and their repetitions; 1 is best."
        + (f" Not ranked with them: {'; '.join(lacking)}." if lacking else ""),
        *partial_words(comparison, [label]),
        *planned_words(inputs, comparison),
    ):
        say(f"\n{words}")


def _rows(comparison: Comparison, label: str) -> list[tuple[str, ...]]:
    from analysis.statistics.comparison import ranking
    from analysis.words import interval

    return [
        (
            "→" if row["searcher"] == label else "",
            str(row["searcher"]),
            f"{row['rank']:.2f}",
            interval(row["rank_low"], row["rank_high"], 3),
            *(str(row[column]) for column in ("wins", "ties", "losses")),
        )
        for row in ranking(comparison).to_dict("records")
    ]


def _reported(both: SweepTables, results: Path, name: str) -> Path:
    """Draw the report of race and entry, and return its page."""
    from analysis.report.page import build
    from results.folders import replacing
    from results.layout import Layout

    target = Layout(results).sweep(name) / "report"
    with replacing(target) as draft:
        page = build(both, draft, processes=cores())
    return target.resolve() / page.name
