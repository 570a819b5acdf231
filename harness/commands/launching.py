"""What all commands share that run a sweep: how a run ends, and how it is told."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

from harness.commands.codes import SOME_FAILED
from harness.commands.terminal import new_console, say
from harness.output import may_be_lost
from harness.plurals import plural

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from harness.launch import Placement
    from harness.progress import Progress
    from harness.sweep import Sweep

CRASH_CHARACTERS = 240
"""Of the message of a crashed evaluation, at the end of a run; the study's log has all of it."""


@contextmanager
def while_running() -> Iterator[None]:
    """Run sweeps in this context: output may be lost meanwhile, and an interruption says how to go on."""
    from harness.launch import INTERRUPTED, InterruptedRunError

    with may_be_lost():
        try:
            yield
        except InterruptedRunError as interruption:
            say(str(interruption))
            raise typer.Exit(INTERRUPTED) from None


def launched(sweep: Sweep, results: Path, placement: Placement, *, instead: str = "") -> Progress:
    """Run a sweep that serves another command, whose end is reached only where all its studies ended well.

    Args:
        sweep: The sweep.
        results: Where it is run.
        placement: What runs it.
        instead: What to do next where some failed; ``derby report`` by default.
    """
    from harness.launch import launch

    with while_running():
        progress = launch(sweep, results, placement, new_console())
    if not progress.ended_well:
        report_end(sweep, progress, results, following=instead)
        raise typer.Exit(SOME_FAILED)
    return progress


def report_end(sweep: Sweep, progress: Progress, results: Path, *, following: str = "") -> None:
    """Say what a run did, what failed, and what to do next."""
    from harness.display import took
    from harness.errors import by_gist
    from harness.events import ended_short

    if progress.complete == progress.studies and not progress.trained and not progress.unreevaluated:
        every = f"all {progress.studies} studies were" if progress.studies > 1 else "its one study was"
        text = f"sweep {sweep.name!r}: {every} done already; nothing was trained"
    else:
        trained = (
            f"trained {plural(progress.trained, 'evaluation')}" if progress.trained else "nothing was trained"
        )
        text = (
            f"sweep {sweep.name!r}: {progress.complete + progress.done} of {plural(progress.studies, 'study')} done in "
            f"{took(progress.elapsed)}; {trained}, reused {plural(progress.reused, 'recorded one')}, merged "
            f"{plural(progress.merged, 'equal request')}"
        )
    say(text)
    for label, short in progress.short.items():
        say(f"short of its budget: {ended_short(label, *short)}", style="yellow")
    for task, (first, *rest) in progress.crashed.items():
        which = (
            f"{plural(1 + len(rest), 'evaluation')} of {task}, the first"
            if rest
            else f"an evaluation of {task}"
        )
        said = first if len(first) <= CRASH_CHARACTERS else f"{first[:CRASH_CHARACTERS]} …"
        say(f"crashed: {which}: {said}", style="yellow")
    for words in by_gist(progress.failed):
        say(f"failed: {words}", style="red")
    for who, number in progress.unbegun.items():
        say(f"not begun: {number} of these, because {who} has never worked", style="red")
    if progress.reevaluations:
        done = progress.reevaluated_before + progress.reevaluated
        say(f"re-evaluations of winners: {done} of {progress.reevaluations} on record")
    for label, message in progress.unreevaluated.items():
        say(f"failed: {label}: {message}", style="red")
    for machine in progress.missing:
        say(f"missing when it ended: {machine}; what it did not train, the others did", style="yellow")
    if progress.failed:
        say(f"{plural(len(progress.failed), 'study failed', 'studies failed')}; run again to retry them")
    say(f"next: {following or f'derby report {sweep.name} --results {results}'}")
