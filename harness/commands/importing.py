"""The command that makes tables of what was run elsewhere."""

from __future__ import annotations

import math
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from harness.commands.options import DEFAULT_RESULTS, Results
from harness.commands.terminal import say, table
from harness.errors import ForeignResultsError, RecordError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.trial import Budget


class KindName(StrEnum):
    """What is imported."""

    table = "table"
    optuna = "optuna"
    raytune = "raytune"
    kerastuner = "kerastuner"


Given = Annotated[
    list[str],
    typer.Argument(
        metavar="SOURCE...",
        help="CSV or Parquet files, Optuna storages (file or address), folders of Ray Tune or Keras Tuner.",
    ),
]


def import_(
    sources: Given,
    name: Annotated[str | None, typer.Option(help="Its name; after the first source by default.")] = None,
    direction: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[TASK=]min|max", help="Whether smaller or larger values are better; may be repeated."
        ),
    ] = None,
    metric: Annotated[str, typer.Option(metavar="KEY", help="What the source calls the objective.")] = "",
    test: Annotated[
        str,
        typer.Option(
            metavar="KEY",
            help="What it calls the test value: a column, a user attribute (Optuna), a result, a metric.",
        ),
    ] = "",
    column: Annotated[
        list[str] | None,
        typer.Option(metavar="OURS=THEIRS", help="A file's own name of a column; may be repeated."),
    ] = None,
    task: Annotated[str, typer.Option(help="The task, where the source does not say it.")] = "",
    method: Annotated[str, typer.Option(help="The method, where the source does not say it.")] = "",
    pattern: Annotated[
        str,
        typer.Option(
            help="How studies, experiments or projects are called: {task}-{method}-{repetition} by default; * is what "
            "does not matter."
        ),
    ] = "",
    mapping: Annotated[
        Path | None,
        typer.Option(help="In its place: a CSV file with the columns name, task, method, repetition."),
    ] = None,
    best: Annotated[
        list[str] | None,
        typer.Option(metavar="[TASK=]NUMBER", help="Value where regret is 0; may be repeated."),
    ] = None,
    reference: Annotated[
        list[str] | None,
        typer.Option(metavar="[TASK=]NUMBER", help="Value where regret is 1; may be repeated."),
    ] = None,
    budget: Annotated[
        str | None,
        typer.Option(
            metavar="N|evaluations=N|epochs=N",
            help="What each run may spend; what is beyond is left out. The longest run's by default.",
        ),
    ] = None,
    paired: Annotated[
        bool,
        typer.Option(
            "--paired",
            help="Runs of different methods with the same repetition share their seeds or data splits.",
        ),
    ] = False,
    baseline: Annotated[
        str, typer.Option(metavar="METHOD", help="The method that is random search, if it is not called so.")
    ] = "",
    kind: Annotated[
        KindName | None, typer.Option(help="What the sources are; recognised by default.")
    ] = None,
    report: Annotated[bool, typer.Option("--report", help="Draw the report, too.")] = False,
    results: Results = DEFAULT_RESULTS,
) -> None:
    """Make tables of what was run elsewhere, for `report`, `compare` and `publish`; see docs/import.md."""
    from results.folders import check_replaceable, replacing
    from results.layout import Layout
    from results.sources import check_there, import_name

    own = name or import_name(sources[0])
    target = Layout(results).imported(own)
    if (Layout(results).sweep(own) / "plan.json").exists():
        raise RecordError(f"{results} holds a sweep called {own!r}; choose another name with --name")
    check_replaceable(target)
    check_there(sources)

    from results.imports.sources import import_results
    from results.tables import export

    tables = import_results(
        sources,
        name=own,
        kind=None if kind is None else kind.value,
        task=task,
        method=method,
        metric=metric,
        test=test,
        columns=_pairs("--column", column or (), "OURS=THEIRS"),
        pattern=pattern,
        mapping=mapping,
        direction=_by_task("--direction", direction or ()),
        best=_numbers("--best", best or ()),
        reference=_numbers("--reference", reference or ()),
        budget=None if budget is None else _budget(budget),
        paired=paired,
        baseline=baseline,
    )
    with replacing(target) as draft:
        export(tables, draft)
    counts = tables.trials.groupby(["task", "searcher"], sort=True)
    rows = [
        (str(key[0]), str(key[1]), str(group["repetition"].nunique()), str(len(group)), _failed(group))
        for key, group in counts
    ]
    table(("task", "method", "runs", "evaluations", "failed"), rows)
    about = tables.imported
    for note in about.notes if about is not None else ():
        say(f"note: {note}", style="yellow")
    say(f"tables: {target}")
    if not report:
        say(f"next: derby report {own}{'' if results == DEFAULT_RESULTS else f' --results {results}'}")
        return
    from analysis.report.page import build
    from harness.commands.reports import cores

    page_folder = target / "report"
    with replacing(page_folder) as draft:
        page = build(tables, draft, processes=cores())
    say(f"report: {page_folder.resolve() / page.name}")


def _failed(trials: Any) -> str:
    failed = int((trials["status"] != "ok").sum())
    return str(failed) if failed else ""


def _pairs(option: str, given: Sequence[str], form: str) -> dict[str, str]:
    """Return what is left and right of the first equals sign of each."""
    pairs = [text.partition("=") for text in given]
    wrong = [text for text, (left, _, right) in zip(given, pairs, strict=True) if not (left and right)]
    if wrong:
        raise ForeignResultsError(f"{option}: expected {form}, got {', '.join(map(repr, wrong))}")
    return _unique(option, [(left, right) for left, _, right in pairs])


def _by_task(option: str, given: Sequence[str]) -> dict[str, str]:
    """Return texts by task: under the empty label what is said of all."""
    parts = [text.rpartition("=") for text in given]
    return _unique(option, [(task, text) for task, _, text in parts])


def _unique(option: str, pairs: Sequence[tuple[str, str]]) -> dict[str, str]:
    names = [name for name, _ in pairs]
    twice = sorted({name or "all tasks" for name in names if names.count(name) > 1})
    if twice:
        raise ForeignResultsError(f"{option}: said twice of {', '.join(twice)}")
    return dict(pairs)


def _numbers(option: str, given: Sequence[str]) -> dict[str, float]:
    result = {}
    for task, text in _by_task(option, given).items():
        try:
            result[task] = float(text)
        except ValueError:
            result[task] = math.nan
        if not math.isfinite(result[task]):
            raise ForeignResultsError(f"{option}: expected a finite number, or TASK=NUMBER, got {text!r}")
    return result


def _budget(text: str) -> Budget:
    from harness.trial import Budget

    unit, _, amount = text.rpartition("=")
    if unit not in ("", "evaluations", "epochs") or not (amount.isdecimal() and 0 < int(amount) <= 10**9):
        raise ForeignResultsError(
            f"--budget: expected a whole number of evaluations, evaluations=N or epochs=N, got {text!r}"
        )
    return Budget("epochs" if unit == "epochs" else "evaluations", int(amount))
