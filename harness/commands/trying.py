"""The commands that try a task out, and measure where its time goes."""

from __future__ import annotations

from typing import Annotated

import typer

from harness.commands.codes import DONE, SOME_FAILED
from harness.commands.options import DataFolder, check_task, task_options, use_data
from harness.commands.terminal import say, table


def profile(
    task: Annotated[
        str, typer.Argument(metavar="TASK", help="A task: name, name/variant, or my_task.py:MyTask.")
    ],
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
    say(f"{chosen.label} at {dict(point)}: {asked} epochs, threads: {threads}, seed: {seed}\n")
    table(engine.HEADER, done.rows())
    if done.evaluation.message:
        say(f"\nthe evaluation is {done.evaluation.status.value}: {done.evaluation.message}", style="yellow")


def try_task(
    task: Annotated[
        str, typer.Argument(metavar="TASK", help="A task: name, name/variant, or my_task.py:MyTask.")
    ],
    option: Annotated[
        list[str] | None, typer.Option(help="NAME=VALUE: an option of the task; may be repeated.")
    ] = None,
    randoms: Annotated[int, typer.Option(min=0, help="Random configurations besides the reference.")] = 3,
    threads: Annotated[int, typer.Option(min=1, help="Threads of one evaluation.")] = 1,
    data: DataFolder = None,
) -> None:
    """Try a task out: a few evaluations, whether it keeps what tasks must, and how long a sweep takes; 1 if not."""
    check_task(task)
    from harness import tryout
    from harness.display import duration
    from harness.profile import task_named

    use_data(data)
    chosen = task_named(task, task_options(option))
    chosen.require_libraries()
    done = tryout.try_task(chosen, threads=threads, randoms=randoms)
    metric = chosen.objective.metric
    rows = [
        (
            name,
            str(dict(config)),
            evaluation.status.value,
            f"{evaluation.curve[metric][-1]:.6g}",
            duration(seconds),
        )
        if evaluation.curve.epochs
        else (name, str(dict(config)), evaluation.status.value, "", duration(seconds))
        for name, config, evaluation, seconds in done.evaluations
    ]
    table(("what", "configuration", "status", metric, "time"), rows)
    say("")
    marks = {True: ("yes", "green"), False: ("NO", "red"), None: ("?", "yellow")}
    for check in done.checks:
        mark, style = marks[check.good]
        say(f"{mark:>3}  {check.what}{f': {check.words}' if check.words else ''}", style=style)
    if done.sweep_seconds is not None:
        searchers, repetitions, evaluations = tryout.EXAMPLE
        say(
            f"\na sweep of {searchers} searchers × {repetitions} repetitions × {evaluations} full evaluations: about "
            f"{duration(done.sweep_seconds)} of training, by as many evaluators as there are"
        )
    raise typer.Exit(DONE if done.good else SOME_FAILED)
