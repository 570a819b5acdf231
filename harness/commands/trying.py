"""The commands that try a task or a searcher out, and measure where a task's time goes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from harness.commands import completion
from harness.commands.codes import DONE, SOME_FAILED
from harness.commands.options import DataFolder, TaskName, check_task, task_options, use_data
from harness.commands.terminal import say, table
from harness.plurals import plural

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.tryout import Check


def profile(
    task: TaskName,
    option: Annotated[
        list[str] | None, typer.Option(help="NAME=VALUE: an option of the task; may be repeated.")
    ] = None,
    config: Annotated[
        str | None, typer.Option(help="A reference's name, or JSON; the first reference by default.")
    ] = None,
    random: Annotated[
        int | None, typer.Option(min=0, metavar="SEED", help="A random configuration in its place.")
    ] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="Epochs; the task's most by default.")] = None,
    threads: Annotated[int, typer.Option(min=1, help="Threads of one evaluation.")] = 1,
    repeats: Annotated[
        int, typer.Option(min=1, help="Evaluations; the first one also compiles what is compiled.")
    ] = 3,
    seed: Annotated[int, typer.Option(min=0, help="Training seed.")] = 0,
    data: DataFolder = None,
) -> None:
    """Show where the time of a task's evaluations goes, in seconds; records nothing."""
    check_task(task)
    from harness import profile as engine

    use_data(data)
    chosen = engine.task_named(task, task_options(option))
    point = engine.configuration(chosen, config, random)
    asked = chosen.fidelity.high if epochs is None else epochs
    done = engine.profile(chosen, point, epochs=asked, threads=threads, repeats=repeats, seed=seed)
    say(f"{chosen.label} at {dict(point)}: {plural(asked, 'epoch')}, threads: {threads}, seed: {seed}\n")
    table(engine.HEADER, done.rows())
    if done.evaluation.message:
        say(f"\nthe evaluation is {done.evaluation.status.value}: {done.evaluation.message}", style="yellow")


def try_one(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME",
            help="A task or searcher: name, name/variant, my_task.py:MyTask, my_search.py:MySearch.",
            autocompletion=completion.tasks_and_searchers,
        ),
    ],
    option: Annotated[
        list[str] | None, typer.Option(help="NAME=VALUE: an option, or setting, of it; may be repeated.")
    ] = None,
    randoms: Annotated[
        int, typer.Option(min=0, help="Of a task: random configurations besides the reference.")
    ] = 3,
    threads: Annotated[int, typer.Option(min=1, help="Of a task: threads of one evaluation.")] = 1,
    evaluations: Annotated[int, typer.Option(min=1, help="Of a searcher: evaluations of each search.")] = 20,
    data: DataFolder = None,
) -> None:
    """Try a task or a searcher out: whether it keeps what it must, and how long it takes; 1 if it does not."""
    from harness import registry

    use_data(data)
    options = task_options(option)
    if registry.is_searcher(name):
        _try_searcher(name, options, evaluations)
    else:
        check_task(name)
        _try_task(name, options, threads, randoms)


def _try_task(name: str, options: dict[str, Any], threads: int, randoms: int) -> None:
    from harness import tryout
    from harness.display import took
    from harness.profile import task_named
    from harness.prose import config_in_words

    chosen = task_named(name, options)
    chosen.require_libraries()
    done = tryout.try_task(chosen, threads=threads, randoms=randoms)
    metric = chosen.objective.metric
    rows = [
        (
            what,
            config_in_words(config),
            evaluation.status.value,
            f"{evaluation.curve[metric][-1]:.6g}" if evaluation.curve.epochs else "",
            took(seconds),
        )
        for what, config, evaluation, seconds in done.evaluations
    ]
    table(("what", "configuration", "status", metric, "time"), rows)
    _say_checks(done.checks)
    if done.sweep_seconds is not None:
        searchers, repetitions, evaluations = tryout.EXAMPLE
        say(
            f"\na sweep of {searchers} searchers × {repetitions} repetitions × {evaluations} full evaluations: about "
            f"{took(done.sweep_seconds)} of training, by as many evaluators as there are"
        )
    raise typer.Exit(DONE if done.good else SOME_FAILED)


def _try_searcher(name: str, settings: dict[str, Any], evaluations: int) -> None:
    from pydantic import ValidationError

    from harness import registry, tryout_search
    from harness.display import took
    from harness.errors import DerbyError
    from harness.options import faults_of

    kind = registry.named_searcher(name)
    kind.require_libraries()
    try:
        kind.Settings.model_validate(settings)
    except ValidationError as error:
        wrong = faults_of(error, kind.Settings)
        raise DerbyError(
            f"searcher {name!r} does not take these settings: {wrong}. `derby searchers {name}` lists them"
        ) from error
    done = tryout_search.try_searcher(kind, settings, steps=evaluations)
    rows = [
        (each.space, "", "", "", "", "", f"not searched: {each.words}")
        if each.words
        else (
            each.space,
            str(each.evaluations),
            "" if each.best is None else f"{each.best:.3g}",
            *map(took, (each.ask_seconds, each.tell_seconds, each.slowest)),
            "",
        )
        for each in done.searches
    ]
    if rows:
        table(("space", "evaluations", "best loss", "an ask", "a tell", "the slowest", ""), rows)
    _say_checks(done.checks)
    raise typer.Exit(DONE if done.good else SOME_FAILED)


def _say_checks(checks: Sequence[Check]) -> None:
    say("")
    marks = {True: ("yes", "green"), False: ("NO", "red"), None: ("?", "yellow")}
    for check in checks:
        mark, style = marks[check.good]
        say(f"{mark:>3}  {check.what}{f': {check.words}' if check.words else ''}", style=style)
