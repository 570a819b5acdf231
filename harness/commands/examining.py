"""The command that examines what a run will find."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from harness.arithmetic import Arithmetic, declare, declared_in
from harness.commands.codes import DONE, SOME_FAILED
from harness.commands.options import (
    DEFAULT_RESULTS,
    Address,
    DataFolder,
    Evaluators,
    ExecutorName,
    GpuShare,
    MemoryShare,
    Nodes,
    Results,
    SyncTo,
    placement_of,
    use_data,
)
from harness.commands.terminal import say
from harness.plurals import plural


def doctor(
    sweep: Annotated[
        Path | None, typer.Argument(metavar="[SWEEP]", help="A sweep file (YAML): what would be run.")
    ] = None,
    executor: Annotated[
        ExecutorName | None,
        typer.Option(help="Where evaluations would run; Ray where one of its options is given."),
    ] = None,
    results: Results = DEFAULT_RESULTS,
    data: DataFolder = None,
    address: Address = None,
    evaluators: Evaluators = "auto",
    gpus_per_evaluator: GpuShare = 0.0,
    memory_per_evaluator: MemoryShare = None,
    nodes: Nodes = None,
    sync_to: SyncTo = None,
    patience: Annotated[
        float, typer.Option(min=1.0, help="Seconds that a node may take for each answer.")
    ] = 120.0,
) -> None:
    """Say what `derby run` with these options will find, before it trains: cluster, nodes, libraries, data, results."""
    declare(Arithmetic.PORTABLE if sweep is None else declared_in(sweep))  # before anything loads numpy
    from harness.sweep import load_sweep

    use_data(data)
    checked = None if sweep is None else load_sweep(sweep)
    on_ray = (
        address is not None or evaluators != "auto" or gpus_per_evaluator or memory_per_evaluator or nodes
    )
    placement = placement_of(
        executor or (ExecutorName.ray if on_ray else ExecutorName.serial),
        address,
        evaluators,
        gpus_per_evaluator,
        memory_per_evaluator,
        sync_to,
        nodes,
    )
    from harness.doctor.examination import examine
    from harness.doctor.findings import Grade

    styles = {Grade.FINE: None, Grade.WARNING: "yellow", Grade.PROBLEM: "red"}
    counts: Counter[Grade] = Counter()
    for finding in examine(checked, results, placement, patience):
        counts[finding.grade] += 1
        say(f"{finding.grade}: {finding.about}: {finding.text}", style=styles[finding.grade])
        if finding.cure:
            say(f"  to do: {finding.cure}")
    problems, warnings = counts[Grade.PROBLEM], counts[Grade.WARNING]
    noted = plural(warnings, "warning")
    if problems:
        say(f"\n{plural(problems, 'problem')} and {noted}: a run would be stopped or spoilt")
        raise typer.Exit(SOME_FAILED)
    say(f"\nno problem, {noted}: a run finds what it needs")
    raise typer.Exit(DONE)
