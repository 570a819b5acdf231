"""Runs a sweep from the command line: executor, record, provenance, display, and what an interruption says."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.driver import Driver
from harness.errors import SweepError
from harness.executors.serial import SerialExecutor
from harness.progress import Display, Progress
from harness.provenance import now, provenance
from results.writer import RecordWriter

if TYPE_CHECKING:
    from rich.console import Console

    from harness.evaluator import Job
    from harness.executors.base import Executor
    from harness.keys import EvaluationKey
    from harness.sweep import Sweep
    from harness.task import Inspection


@dataclass(frozen=True, slots=True)
class Place:
    """Where evaluations run.

    Args:
        executor: ``"serial"`` or ``"ray"``.
        address: Ray: the cluster; ``None`` starts one on this machine.
        evaluators: Ray: how many; ``None``: as many as fit.
        gpus_per_evaluator: Ray: share of a GPU for each.

    Raises:
        SweepError: Options of Ray are given for another executor.
    """

    executor: str = "serial"
    address: str | None = None
    evaluators: int | None = None
    gpus_per_evaluator: float = 0.0

    def __post_init__(self) -> None:
        if self.executor == "serial" and (self.address or self.evaluators or self.gpus_per_evaluator):
            raise SweepError("--address, --evaluators and --gpus-per-evaluator need --executor ray")

    def start(self, threads: int) -> Executor:
        """Return a running executor whose evaluations use that many threads."""
        if self.executor == "serial":
            return SerialExecutor(threads)
        from harness.executors.ray import RayExecutor

        return RayExecutor(
            threads,
            address=self.address,
            evaluators=self.evaluators,
            gpus_per_evaluator=self.gpus_per_evaluator,
        )


class InterruptedRunError(Exception):
    """The user stopped a run; everything recorded is safe. Its text says how to go on."""


def launch(
    sweep: Sweep,
    results: Path,
    place: Place,
    console: Console,
    *,
    restart: bool = False,
    inspect: Callable[[EvaluationKey], bool] = lambda _: False,
    on_inspection: Callable[[Job, Inspection], None] = lambda *_: None,
) -> Progress:
    """Run a sweep into a results folder, or go on with it, showing progress.

    Args:
        sweep: The sweep.
        results: The results folder.
        place: Where evaluations run.
        console: Where progress and notes are shown.
        restart: Run anew the studies whose replay differs from their journal.
        inspect: See `Driver`.
        on_inspection: See `Driver`.

    Returns:
        What was done; `Progress.failed` names the studies that failed.

    Raises:
        InterruptedRunError: The user stopped it.
        RecordError: The record cannot be read or written.
    """
    about = provenance(place.executor)
    with RecordWriter(results, sweep=sweep.name, host=about["host"], pid=os.getpid()) as writer:
        writer.write_sweep(sweep.name, sweep.text, sweep.as_plan())
        writer.write_run(sweep.name, about)
        progress = Progress(len(sweep.studies), _expected_evaluations(sweep))
        display = Display(console, progress)
        engine = place.start(sweep.spec.threads)
        driver = Driver(
            sweep,
            writer,
            engine,
            progress,
            tick=display.tick,
            on_data=lambda digests: writer.write_run(sweep.name, {**about, "data": digests}),
            restart=restart,
            inspect=inspect,
            on_inspection=on_inspection,
        )
        interrupted = False
        try:
            with display.shown():
                driver.run()
        except KeyboardInterrupt:
            interrupted = True
        finally:
            engine.close()
            for note in writer.notes:
                console.print(f"note: {note}", style="yellow", markup=False, highlight=False, soft_wrap=True)
        ended = {"ended": now(), "counts": _counts(progress), "data": driver.data_digests}
        writer.write_run(sweep.name, {**about, **ended})
    if interrupted:
        again = shlex.join(["derby", *sys.argv[1:]])
        raise InterruptedRunError(f"interrupted; everything recorded is safe. To go on: {again}")
    return progress


def _expected_evaluations(sweep: Sweep) -> int:
    """Evaluations a sweep will tell; an estimate at full fidelity where the budget is in epochs."""
    return sum(study.key.budget.full_evaluations(sweep.tasks[study.task].fidelity) for study in sweep.studies)


def _counts(progress: Progress) -> dict[str, Any]:
    return {
        "studies": progress.studies,
        "complete_before": progress.complete,
        "done": progress.done,
        "failed": dict(progress.failed),
        "told": progress.told,
        "trained": progress.trained,
        "reused": progress.reused,
        "merged": progress.merged,
        "seconds": progress.elapsed,
        "train_seconds": progress.train_seconds,
        "search_seconds": progress.search_seconds,
    }
