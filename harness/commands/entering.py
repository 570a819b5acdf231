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
from harness.errors import RecordError, SweepError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from analysis.statistics.comparison import Comparison
    from analysis.statistics.inputs import Inputs
    from harness.figure_fields import FiguresSpec
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
    report: Annotated[
        bool, typer.Option(help="Whether the report of both is drawn, as the race's was.")
    ] = True,
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
    own_label = sweep.spec.searchers[0].label or searcher
    figures = _figures_of(published, race, raced, own_label) if report or publish else None
    if publish:
        if name == race:
            raise RecordError(f"{name!r} is the race itself; publish your entry under another name with --as")
        free_folder(published, name or sweep.name, replace=replace)
    placement = placement_of(executor, address, evaluators, 0.0, None, None, nodes)
    logs = Layout(results).sweep(sweep.name) / "logs"
    launched(
        sweep, results, placement, instead=f"mend the method and enter it again; what it raised is in {logs}"
    )
    own = read_tables(results, sweep.name)
    both = together(raced, own)
    _show(both, own_label)
    from analysis.report.page import build

    if not publish:
        if report:
            say(f"report: {_reported(both, results, sweep.name, figures)}")
        return

    from results.published import publish as freeze

    # Drawn once, of what verifying has: the published report is that of both.
    folder = freeze(
        own,
        published,
        name or sweep.name,
        lambda tables, target: build(
            together(raced, tables), target, processes=cores(), complete=True, figures=figures
        ),
        replace=replace,
        into=into,
    ).resolve()
    say(f"report: {folder / 'report.html'}")
    say(f"published: {folder}; check it with: derby verify {folder.name} --published {published}")


def _figures_of(published: Path, race: str, raced: SweepTables, label: str) -> FiguresSpec | None:
    """Return how a race's figures were drawn, with the entered method among the methods shown; ``None``: by default.

    Raises:
        SweepError: The entered method cannot be called so beside the names that the race's figures give, or a font
            that they have is not installed here.
        RecordError: What the race says of its figures is unusable.
    """
    from analysis.figures.chosen import choose
    from analysis.report.page import style_of
    from harness.figure_fields import unknown
    from results.publications import folder_of

    figures = style_of(folder_of(published, race))
    if figures is None:
        return None
    choose(raced, figures)
    if figures.only is not None:
        figures = figures.model_copy(update={"only": [*figures.only, label]})
    methods = [*map(str, raced.studies["searcher"].unique()), label]
    for _, problem in unknown(figures, methods, [str(task) for task in raced.tasks.index]):
        raise SweepError(f"the figures of {race!r} with {label!r}: {problem}; enter it under another --label")
    return figures


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
    shown = _shown(inputs, comparison, label)
    head = ("", "method", "mean rank", "95 % interval", "wins", "ties", "losses")
    table((*head, "shown") if shown else head, _rows(comparison, label, shown))
    lacking = inputs.field.left_out
    tested = (
        f" Shown: whether {label} is shown to be better or worse than each at the end of the budget."
        if shown
        else ""
    )
    for words in (
        f"Ranks are means over {plural(len(comparison.scores), 'task')} and their repetitions; 1 is best. Wins, ties "
        f"and losses are counted over tasks and other methods.{tested}"
        + (f" Not ranked with them: {'; '.join(lacking)}." if lacking else ""),
        *partial_words(comparison, [label]),
        *planned_words(inputs, comparison),
    ):
        say(f"\n{words}")


def _shown(inputs: Inputs, comparison: Comparison, label: str) -> dict[str, str]:
    """Return what an entered method is shown to be beside each other, at the end; nothing where no test can show it."""
    from analysis.statistics.planned import planned_over_tasks

    compared = inputs.tables.compared
    if compared is None:
        return {}
    stated = compared.stated
    rows = planned_over_tasks(inputs, comparison, stated)
    words = {}
    for row in rows[rows["possible"] & (rows["at"] == stated.at[-1])].to_dict("records"):
        other, effect = (
            (row["second"], row["effect"]) if row["first"] == label else (row["first"], -row["effect"])
        )
        shown = row["p_holm"] <= stated.level and effect != 0
        words[str(other)] = ("better" if effect > 0 else "worse") if shown else "–"
    return words


def _rows(comparison: Comparison, label: str, shown: Mapping[str, str]) -> list[tuple[str, ...]]:
    from analysis.statistics.comparison import ranking
    from analysis.words import interval

    return [
        (
            "→" if row["searcher"] == label else "",
            str(row["searcher"]),
            f"{row['rank']:.2f}",
            interval(row["rank_low"], row["rank_high"], 3),
            *(str(row[column]) for column in ("wins", "ties", "losses")),
            *([shown.get(str(row["searcher"]), "")] if shown else []),
        )
        for row in ranking(comparison).to_dict("records")
    ]


def _reported(both: SweepTables, results: Path, name: str, figures: FiguresSpec | None) -> Path:
    """Draw the report of race and entry, and return its page."""
    from analysis.report.page import build
    from results.folders import replacing
    from results.layout import Layout

    target = Layout(results).sweep(name) / "report"
    with replacing(target) as draft:
        page = build(both, draft, processes=cores(), figures=figures)
    return target.resolve() / page.name
