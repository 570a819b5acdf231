"""The command that repeats a source report's experiments."""

from __future__ import annotations

from typing import Annotated

import typer

from harness.commands import completion
from harness.commands.codes import DONE, SOME_FAILED
from harness.commands.launching import while_running
from harness.commands.options import (
    DEFAULT_RESULTS,
    Address,
    DataFolder,
    Evaluators,
    ExecutorName,
    Executors,
    GpuShare,
    MemoryShare,
    Mismatch,
    MismatchName,
    Nodes,
    Out,
    Results,
    SyncTo,
    placement_of,
    task_options,
    use_data,
)
from harness.commands.terminal import new_console, say, table


def reproduce(
    report: Annotated[
        str | None,
        typer.Argument(
            help="The report, such as S1; lists them when left out.", autocompletion=completion.reports
        ),
    ] = None,
    variant: Annotated[str, typer.Option(help="Size of its tasks: full, small or tiny.")] = "full",
    repetitions: Annotated[int, typer.Option(min=1, help="Seeded repetitions; one gives no interval.")] = 1,
    only: Annotated[list[str] | None, typer.Option(help="Label of an experiment; may be repeated.")] = None,
    option: Annotated[
        list[str] | None, typer.Option(help="NAME=VALUE: an option of its tasks; may be repeated.")
    ] = None,
    plan: Annotated[bool, typer.Option("--plan", help="Show what running would take, and stop.")] = False,
    pictures: Annotated[
        bool,
        typer.Option(
            help="Draw weights and test images; a network trained before is then trained once more."
        ),
    ] = True,
    seed: Annotated[int, typer.Option(min=0, help="Root of every seed.")] = 0,
    threads: Annotated[int, typer.Option(min=1, help="Threads of one evaluation.")] = 1,
    executor: Executors = ExecutorName.serial,
    results: Results = DEFAULT_RESULTS,
    out: Out = None,
    data: DataFolder = None,
    address: Address = None,
    evaluators: Evaluators = "auto",
    gpus_per_evaluator: GpuShare = 0.0,
    memory_per_evaluator: MemoryShare = None,
    nodes: Nodes = None,
    sync_to: SyncTo = None,
    on_mismatch: Mismatch = MismatchName.fail,
) -> None:
    """Run a source report's own experiments and set our figures beside the published ones."""
    from harness import registry

    if report is not None:
        registry.report(report)  # says where there is none, before anything heavy is loaded
    from analysis.reproduction import kept, page
    from harness import reproduce as engine
    from harness.entries import Setting
    from results.folders import check_replaceable, replacing
    from results.layout import Layout

    if report is None:
        table(*engine.overview())
        return
    setting = Setting(variant, repetitions, seed, threads, task_options(option))
    use_data(data)
    prepared = engine.prepare(report, setting, only or (), results)
    if plan:
        table(engine.ESTIMATE, engine.estimate(prepared, results))
        return
    placement = placement_of(
        executor, address, evaluators, gpus_per_evaluator, memory_per_evaluator, sync_to, nodes
    )
    target = out or Layout(results).sweep(prepared.sweep.name) / "reproduction"
    check_replaceable(target)  # before anything is trained
    with while_running():
        done = engine.run(
            prepared, results, placement, new_console(), on_mismatch=on_mismatch.value, pictures=pictures
        )
    outcome = engine.outcome(prepared, done)
    for heading, header, rows in page.tables(outcome.lines):
        say(f"\n{heading}")
        table(header, rows)
    say("")
    for note in page.notes(outcome):
        say(note)
    with replacing(target) as draft:
        kept.save(outcome, draft)
        written = page.write(kept.load(draft), draft)  # of what is kept, so that it can be drawn again
    say(f"\nfigures and tables: {target.resolve() / written.name}")
    for label, message in done.failed.items():
        say(f"failed: {label}: {message}", style="red")
    raise typer.Exit(SOME_FAILED if done.failed else DONE)
