"""The commands that record a task's space, and certify the recording."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from harness.arithmetic import declare
from harness.commands import completion
from harness.commands.codes import DONE, SOME_FAILED
from harness.commands.launching import launched
from harness.commands.options import (
    DEFAULT_PUBLISHED,
    DEFAULT_RESULTS,
    Address,
    DataFolder,
    Evaluators,
    ExecutorName,
    Executors,
    GpuShare,
    MemoryShare,
    Nodes,
    Out,
    Published,
    Results,
    SweepName,
    TaskName,
    check_task,
    placement_of,
    sweep_name,
    task_options,
    use_data,
)
from harness.commands.terminal import say, table
from harness.plurals import plural


def record(
    task: TaskName,
    option: Annotated[
        list[str] | None, typer.Option(help="NAME=VALUE: an option of the task; may be repeated.")
    ] = None,
    configurations: Annotated[
        int | None, typer.Option(min=1, help="How many; the whole space by default, where it is small.")
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Training seeds of each configuration.")] = 3,
    seed: Annotated[int, typer.Option(min=0, help="Root of the seeds, and of the design.")] = 0,
    source: Annotated[
        list[Path] | None,
        typer.Option(
            "--from",
            help="Train nothing: make the recording of what this results folder or recording holds; may be repeated.",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="The file; NAME.parquet in this folder by default, named after the task."),
    ] = None,
    threads: Annotated[int, typer.Option(min=1, help="Threads of one evaluation.")] = 1,
    executor: Executors = ExecutorName.serial,
    results: Results = DEFAULT_RESULTS,
    data: DataFolder = None,
    address: Address = None,
    evaluators: Evaluators = "auto",
    gpus_per_evaluator: GpuShare = 0.0,
    memory_per_evaluator: MemoryShare = None,
    nodes: Nodes = None,
) -> None:
    """Train a task's space once, and keep it in a file that is raced on for ever: see the task `replay`."""
    declare()  # before anything loads numpy
    check_task(task)
    from harness import record as engine
    from harness.profile import task_named
    from harness.recording_file import save

    options = task_options(option)
    use_data(data)
    if source:
        chosen, design = task_named(task, options), "as found"
    else:
        wanted = engine.Design(configurations, seeds, seed)
        sweep = engine.sweep_of(task, options, wanted, threads=threads)
        placement = placement_of(
            executor, address, evaluators, gpus_per_evaluator, memory_per_evaluator, None, nodes
        )
        (chosen,) = sweep.tasks.values()
        design = engine.described(sweep)
    path = out or Path(f"{engine.file_name(chosen)}.parquet")
    before = engine.before_at(path, chosen)
    if source:
        found = engine.found_in(source, chosen, threads)
    else:
        launched(sweep, results, placement)
        found = engine.found_in([results], chosen, threads, only=engine.asked_by(sweep, results))
    made = engine.made_of(found, chosen, design, threads)
    if before is not None and before.digest == made.digest:
        made = made.with_(certificate=before.about.certificate)
    save(made, path)
    for count, why in (
        (found.left_out, "that crashed or timed out: what a machine did, not what the task is"),
        (found.short, "that stop short of full fidelity"),
    ):
        if count:
            say(f"left out: {plural(count, 'training')} {why}", style="yellow")
    say(
        f"{path}: {plural(made.trainings, 'training')} of {chosen.label}, "
        f"{plural(len(made.configs), 'configuration')} × "
        f"{plural(len(made.seeds), 'seed')}, {path.stat().st_size / 1e6:.2f} MB"
    )
    if made.about.certificate is None:
        say(f"not certified yet; next: derby certify {path}")


def certify(
    recording: Annotated[
        str,
        typer.Argument(
            metavar="RECORDING",
            help="A file, or the name of one that comes with the project.",
            autocompletion=completion.recordings,
        ),
    ],
    configurations: Annotated[int, typer.Option(min=10, help="Fresh ones, trained for real.")] = 100,
    seeds: Annotated[int, typer.Option(min=1, help="Training seeds of each.")] = 2,
    repetitions: Annotated[int, typer.Option(min=0, help="Of the race; 0: none.")] = 10,
    budget: Annotated[int, typer.Option(min=1, help="Of the race, in evaluations at full fidelity.")] = 20,
    seed: Annotated[int, typer.Option(min=0, help="Root of the seeds; not the recording's.")] = 1,
    executor: Executors = ExecutorName.serial,
    results: Results = DEFAULT_RESULTS,
    data: DataFolder = None,
    address: Address = None,
    evaluators: Evaluators = "auto",
    gpus_per_evaluator: GpuShare = 0.0,
    memory_per_evaluator: MemoryShare = None,
    nodes: Nodes = None,
) -> None:
    """Find out how far races on a recording agree with real training, and write it into the recording."""
    declare()  # before anything loads numpy
    from harness import registry

    use_data(data)
    registry.task("replay")(recording=recording)  # says where there is none, before anything heavy is loaded
    from harness import certify as engine
    from harness.recording_file import save

    use_data(data)
    trial = engine.Trial(configurations, seeds, repetitions, budget, seed)
    prepared = engine.prepared(recording, trial)
    placement = placement_of(
        executor, address, evaluators, gpus_per_evaluator, memory_per_evaluator, None, nodes
    )
    made = engine.certified(prepared, results, lambda sweep: launched(sweep, results, placement))
    save(made, prepared.path)
    table(engine.HEADER, engine.rows({prepared.path.stem: prepared.path}))
    good, words = engine.verdict(made.about.certificate or {})
    say(f"\n{'good' if good else 'not good enough to stand for the task'}: {words}")
    raise typer.Exit(DONE if good else SOME_FAILED)


def confirm(
    sweep: SweepName,
    methods: Annotated[int, typer.Option(min=1, help="How many of the leading ones, on each recording.")] = 5,
    seeds: Annotated[int, typer.Option(min=1, help="Fresh training seeds of each winner.")] = 3,
    seed: Annotated[int, typer.Option(min=0, help="Root of the seeds; not the recording's.")] = 2,
    tasks: Annotated[
        str | None,
        typer.Option(metavar="A,B", help="Of these recordings alone; what was confirmed of others stays."),
    ] = None,
    executor: Executors = ExecutorName.serial,
    results: Results = DEFAULT_RESULTS,
    out: Out = None,
    published: Published = DEFAULT_PUBLISHED,
    data: DataFolder = None,
    address: Address = None,
    evaluators: Evaluators = "auto",
    gpus_per_evaluator: GpuShare = 0.0,
    memory_per_evaluator: MemoryShare = None,
    nodes: Nodes = None,
) -> None:
    """Train the winners of a race on recordings for real, and compare them with what the replay promised."""
    declare()  # before anything loads numpy
    from results.folders import check_replaceable, replacing
    from results.sources import named

    source = named(sweep_name(sweep), results)
    target = source.place("confirmed", out)
    check_replaceable(target)
    use_data(data)
    from analysis.statistics import confirmation
    from harness import confirm as engine
    from results import confirmed_table
    from results.extended import read_whole

    only = () if tasks is None else tuple(label.strip() for label in tasks.split(","))
    plans = engine.prepared(read_whole(source, published), engine.Trial(methods, seeds, seed, only))
    placement = placement_of(
        executor, address, evaluators, gpus_per_evaluator, memory_per_evaluator, None, nodes
    )
    count = sum(plan.trainings for plan in plans)
    say(
        f"{plural(count, 'training')} of winners on {plural(len(plans), 'recording')}; those on record are reused"
    )
    found = {
        plan.label: engine.confirmed(plan, results, lambda sweep: launched(sweep, results, placement))
        for plan in plans
    }
    before = confirmed_table.read(target) if only else confirmed_table.frame()
    kept = {str(label): own.drop(columns="task") for label, own in before.groupby("task", sort=False)}
    found = {**{label: own for label, own in kept.items() if label not in found}, **found}
    summaries = {label: confirmation.by_method(winners) for label, winners in found.items()}
    with replacing(target) as draft:
        for name, tables in (("winners", found), ("methods", summaries)):
            confirmation.joined(tables).to_csv(draft / f"{name}.csv", index=False, lineterminator="\n")
    for plan in plans:
        objective = plan.replay.objective
        say(f"\n{plan.label}: loss, {'the' if objective.direction == 'min' else 'minus'} {objective.metric}")
        table(confirmation.HEADER, confirmation.rows(summaries[plan.label]))
        say(confirmation.in_words(found[plan.label]))
    say(f"\ntables: {target.resolve()}")
