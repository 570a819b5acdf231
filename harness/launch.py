"""Runs a sweep from the command line: executor, record, provenance, display, and what an interruption says."""

from __future__ import annotations

import itertools
import os
import shlex
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any, Self

import msgspec

from harness.arithmetic import check_processor, declare, departures
from harness.display import Display
from harness.driver import Driver, OnMismatch
from harness.errors import Interruption, RecordError, SweepError, nearest
from harness.executors.serial import SerialExecutor
from harness.machine import ON_GPUS
from harness.output import Aside, say_at_once
from harness.plan import left_out_words
from harness.progress import Progress
from harness.provenance import Counts, now, provenance
from results.folders import remove_file_drafts
from results.layout import Layout
from results.plans import belated, found_of
from results.writer import RecordWriter

if TYPE_CHECKING:
    from rich.console import Console

    from harness.evaluator import Job
    from harness.executors.base import Executor
    from harness.keys import EvaluationKey
    from harness.sweep import Sweep
    from harness.sweep_fields import SweepSpec
    from harness.task import Inspection, Task


LEAST_SHARE = 0.0001
"""The smallest part of a GPU that Ray tells from none."""


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a sweep runs, and where else its results go.

    Args:
        executor: ``"serial"`` or ``"ray"``.
        address: Ray: the cluster; ``None`` starts one on this machine.
        evaluators: Ray: how many at most; ``None``: as many as there is room and use for.
        gpus_per_evaluator: Ray: share of a GPU for each, 0.0001 … 1, or several whole ones; 0: none.
        memory: Ray: bytes each may take; ``None``: its share of its machine's.
        nodes: Ray: how many nodes of the cluster should train; ``None``: as many as there are, or, on the head of a
            cluster of machines of one's own, those that its file lists.
        sync_to: Folder or bucket to copy the results to while they are made; see `results.mirror`.

    Raises:
        SweepError: There is no such executor, options of Ray are given for another, or a part of a GPU is none.
    """

    executor: str = "serial"
    address: str | None = None
    evaluators: int | None = None
    gpus_per_evaluator: float = 0.0
    memory: int | None = None
    sync_to: str | None = None
    nodes: int | None = None

    def __post_init__(self) -> None:
        if self.executor not in _EXECUTORS:
            raise SweepError(f"no executor is called {self.executor!r}; {nearest(self.executor, _EXECUTORS)}")
        ray_only = (self.address, self.evaluators, self.gpus_per_evaluator, self.memory)
        if self.executor != "ray" and any(ray_only):
            raise SweepError(
                "--address, --evaluators, --gpus-per-evaluator and --memory-per-evaluator need --executor ray"
            )
        gpus = self.gpus_per_evaluator
        if gpus and not (LEAST_SHARE <= gpus <= 1 or (gpus > 1 and float(gpus).is_integer())):
            raise SweepError(
                f"--gpus-per-evaluator: expected a part of a GPU, {LEAST_SHARE} … 1, or a whole number of them, "
                f"got {gpus:g}"
            )
        if self.nodes is not None and (self.executor != "ray" or self.address is None):
            raise SweepError("--nodes needs --executor ray and --address: it counts the nodes of a cluster")

    def start(self, spec: SweepSpec, tasks: Iterable[Task]) -> Executor:
        """Return a running executor for these tasks, whose evaluations use the threads and arithmetic of a sweep."""
        return _EXECUTORS[self.executor](self, spec, tasks)


def _serial(placement: Placement, spec: SweepSpec, tasks: Iterable[Task]) -> Executor:
    del placement, tasks  # it is this process
    return SerialExecutor(spec.threads)


def _ray(placement: Placement, spec: SweepSpec, tasks: Iterable[Task]) -> Executor:
    from harness.executors.ray import RayExecutor

    return RayExecutor(
        spec.threads,
        arithmetic=spec.arithmetic,
        address=placement.address,
        evaluators=placement.evaluators,
        gpus_per_evaluator=placement.gpus_per_evaluator,
        gpu_libraries=len(
            {ON_GPUS[module] for task in tasks for module in task.libraries if module in ON_GPUS}
        ),
        memory=placement.memory,
        nodes=placement.nodes,
    )


_EXECUTORS: Mapping[str, Callable[[Placement, SweepSpec, Iterable[Task]], Executor]] = {
    "serial": _serial,
    "ray": _ray,
}
"""Executors by name, each loaded when it is used."""


LIBRARIES = "libraries.log"
"""What libraries write to standard error while a live display is shown; among the logs of the sweep's studies."""

INTERRUPTED = 130
"""Exit code of a run that was stopped: 128 and the number of the signal that Ctrl-C sends."""

STOPS = tuple(
    signal.Signals[name] for name in ("SIGINT", "SIGTERM", "SIGUSR1") if name in signal.Signals.__members__
)
"""Signals that stop a run. The last is what batch systems are asked to send before a job's time is up; unheard, it
would end the process at once."""


class InterruptedRunError(Exception):
    """The user stopped a run; everything recorded is safe. Its text says how to go on."""


class _Interruption:
    """Takes Ctrl-C, the signal by which ``kill`` and ``ray job stop`` end a process, and `STOPS` in all.

    The first asks the run to stop, which it does as soon as nothing is being written; the second ends the
    process at once, which costs no more than killing it: the evaluations in flight.
    """

    def __init__(self) -> None:
        self._asked = False
        self._breakable = False
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.getsignal(number) for number in STOPS}
        self.listen()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._asked:
            return  # a process that was asked to end is ended by the second signal, however far it has come
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def listen(self) -> None:
        """Take the signals from now on, also from Ray, which takes one when it starts."""
        for number, before in self._before.items():
            if before is not signal.SIG_IGN:  # what a shell's background jobs are not to hear
                signal.signal(number, self._hear)

    def breaking(self, wait: Callable[[], Any]) -> Any:
        """Call a function that may be left at any point, with an `Interruption` when asked to stop."""
        self._breakable = True
        try:
            if self._asked:
                raise Interruption
            return wait()
        except KeyboardInterrupt:
            if (
                self._asked
            ):  # Ray raises one of its own in place of an `Interruption` that it meets while it waits
                raise Interruption from None
            raise
        finally:
            self._breakable = False

    def _hear(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        if self._asked:
            os._exit(INTERRUPTED)
        self._asked = True
        say_at_once(b"\nstopping; once more to exit at once\n")  # print may be interrupted in the middle
        if self._breakable:
            raise Interruption


def launch(
    sweep: Sweep,
    results: Path,
    placement: Placement,
    console: Console,
    *,
    on_mismatch: OnMismatch = "fail",
    inspect: Callable[[EvaluationKey], bool] = lambda _: False,
    on_inspection: Callable[[Job, Inspection], None] = lambda *_: None,
) -> Progress:
    """Run a sweep into a results folder, or go on with it, showing progress.

    Args:
        sweep: The sweep.
        results: The results folder.
        placement: Where it runs.
        console: Where progress and notes are shown.
        on_mismatch: What to do with studies whose replay departs from their journal.
        inspect: See `Driver`.
        on_inspection: See `Driver`.

    Returns:
        What was done; `Progress.failed` names the studies that failed.

    Raises:
        InterruptedRunError: The user stopped it.
        ProcessorError: This processor lacks what the sweep's arithmetic needs.
        RecordError: The record cannot be read or written.
    """
    declare(sweep.spec.arithmetic)
    check_processor()
    results = results.absolute()  # wherever code of others may go
    about = provenance(placement.executor)
    with ExitStack() as stack:
        interruption = stack.enter_context(_Interruption())
        writer = stack.enter_context(
            RecordWriter(results, sweep=sweep.name, host=about.host, pid=os.getpid())
        )
        remove_file_drafts(results)
        notes = [writer.notes, _too_late()]
        stack.callback(lambda: _print_notes(console, notes))
        if placement.sync_to is not None:
            from results.mirror import Mirror

            mirror = Mirror(results, placement.sync_to)
            notes.append(mirror.notes)
            stack.enter_context(mirror)  # before the record is read: it fetches what is missing here
        _print_notes(console, [_other_data(results, sweep)])  # now, not in the end: it may be a mistake
        plan, sources = sweep.as_plan(), sweep.sources
        about = msgspec.structs.replace(
            about,
            compare=plan.compare,
            repetitions=plan.repetitions,
            found=found_of(results, plan),
            sources=list(sources),
        )
        _print_notes(
            console,
            [
                [
                    f"left out, because it cannot be searched: {words}"
                    for words in left_out_words(plan.left_out, list(plan.tasks))
                ],
                list(belated(results, plan, about)),
            ],
        )

        def begin() -> None:
            """Record what is run; once it can be, since a run that is refused leaves no trace."""
            writer.write_sources(sweep.name, sources)
            writer.write_sweep(sweep.name, sweep.text, plan)
            writer.write_run(sweep.name, about)

        progress = Progress(
            len(sweep.every_study),
            _expected_evaluations(sweep),
            reevaluations=len(sweep.studies) * sweep.spec.reevaluate,
        )
        display = Display(
            console, progress, heartbeat=lambda snapshot: writer.write_progress(sweep.name, snapshot)
        )
        driver = Driver(
            sweep,
            writer,
            progress,
            tick=display.tick,
            on_data=lambda digests: writer.write_run(
                sweep.name, msgspec.structs.replace(about, data=dict(digests))
            ),
            on_mismatch=on_mismatch,
            inspect=inspect,
            on_inspection=on_inspection,
        )
        interrupted = False
        if driver.unfinished:
            aside = Aside(active=console.is_terminal and os.isatty(2))

            def begin_with_log() -> None:
                begin()
                aside.keep_in(Layout(results).sweep(sweep.name) / "logs" / LIBRARIES)

            try:
                with aside:
                    interrupted = not _drive(driver, placement, sweep, display, interruption, begin_with_log)
            finally:
                if aside.kept is not None:
                    _print_notes(console, [[f"what libraries said meanwhile is in {aside.kept}"]])
        else:
            begin()
        if interrupted and not writer.recorded:
            raise InterruptedRunError("interrupted before it began; nothing is recorded")
        ended = {"ended": now(), "counts": _counts(progress), "data": driver.data_digests}
        writer.write_run(sweep.name, msgspec.structs.replace(about, **ended))
    if interrupted:
        again = shlex.join(["derby", *sys.argv[1:]])
        raise InterruptedRunError(f"interrupted; everything recorded is safe. To go on: {again}")
    return progress


def _print_notes(console: Console, notes: Sequence[Sequence[str]]) -> None:
    for note in itertools.chain(*notes):
        console.print(f"note: {note}", style="yellow", markup=False, highlight=False, soft_wrap=True)


def _other_data(results: Path, sweep: Sweep) -> list[str]:
    """Say which tasks had other data when the sweep was run into this folder before."""
    try:
        before = Layout(results).plan(sweep.name).tasks
    except RecordError:
        return []  # a new one; or one whose plan is damaged, which is written anew
    return [
        f"the data of task {label!r} are others than when this sweep was run before (digest {then.data}, now "
        f"{task.key.data}): everything on it is evaluated anew, and what was evaluated on the former data stays in "
        f"{results}, out of this sweep"
        for label, task in sweep.tasks.items()
        if (then := before.get(label)) is not None and then.data != task.key.data
    ]


def _too_late() -> list[str]:
    """Say what in this process computes otherwise than the sweep declares."""
    found = departures()
    if not found:
        return []
    return [
        f"{'; '.join(found)}: loaded before the sweep's arithmetic was declared, so that numbers may differ from those "
        "of other processors. Call harness.arithmetic.declare() before numpy is imported, or use the command line"
    ]


def _drive(
    driver: Driver,
    placement: Placement,
    sweep: Sweep,
    display: Display,
    interruption: _Interruption,
    begin: Callable[[], None],
) -> bool:
    """Run what is unfinished, and call ``begin`` once it can be; return whether it ran to its end."""
    try:
        executor = interruption.breaking(lambda: placement.start(sweep.spec, sweep.tasks.values()))
        interruption.listen()
        try:
            begin()
            with display.shown():
                driver.run(executor, lambda: interruption.breaking(executor.wait))
        finally:
            executor.close()
    except Interruption:
        return False
    return True


def _expected_evaluations(sweep: Sweep) -> int:
    """Evaluations a sweep will tell; an estimate at full fidelity where the budget is in epochs or in cost."""
    return sum(
        study.key.budget.full_evaluations(sweep.tasks[study.task].fidelity) for study in sweep.every_study
    )


def _counts(progress: Progress) -> Counts:
    return Counts(
        studies=progress.studies,
        complete_before=progress.complete,
        done=progress.done,
        failed=dict(progress.failed),
        told=progress.told,
        reevaluated=progress.reevaluated,
        unreevaluated=dict(progress.unreevaluated),
        trained=progress.trained,
        reused=progress.reused,
        merged=progress.merged,
        retried=progress.retried,
        followed=list(progress.followed),
        short={label: (spent, amount) for label, (spent, amount, _) in progress.short.items()},
        seconds=progress.elapsed,
        train_seconds=progress.train_seconds,
        search_seconds=progress.search_seconds,
    )
