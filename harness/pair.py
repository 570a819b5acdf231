"""The two sides of a gate as processes: started with their own interpreters at the same time, ended together."""

from __future__ import annotations

import contextlib
import shlex
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from harness.environments import Environment
from harness.errors import SideError, SweepError
from harness.launch import InterruptedRunError
from harness.plurals import plural
from harness.provenance import Run
from harness.side import ENDED, FAILED, RANDOM, Described, read_measured
from results.layout import Layout
from results.tables import SweepTables, read_tables

_POLL_SECONDS: Final = 0.05
_TAIL_CHARACTERS: Final = 2000


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two.

    Attributes:
        name: ``baseline`` or ``candidate``.
        environment: Where it runs.
        described: What the sweep is there.
        folder: Its results folder.
    """

    name: str
    environment: Environment
    described: Described
    folder: Path


@dataclass(frozen=True, slots=True)
class Start:
    """How a side's process is started, and where its output goes."""

    environment: Environment
    rooms: Path
    arguments: Sequence[str]
    log: Path

    def process(self) -> subprocess.Popen[bytes]:
        """Start it, away from the terminal's Ctrl-C: it is for this process to pass that on."""
        # -P: what lies in the working folder is no package, in whatever checkout this runs.
        command = [str(self.environment.python), "-P", "-m", "harness.side", *self.arguments]
        with self.log.open("wb") as log:
            return subprocess.Popen(  # noqa: S603 - no shell
                command,
                stdin=subprocess.PIPE,  # ends when this process does, and so does that one
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self.environment.variables(self.rooms),
                start_new_session=True,
            )


def describe_sides(sweep: str, environments: Mapping[str, Environment], rooms: Path) -> dict[str, Described]:
    """Return what a sweep is in each environment.

    Args:
        sweep: A sweep file, or the name of a method.
        environments: By side.
        rooms: What processes import first.

    Raises:
        InterruptedRunError: The user stopped it.
        SweepError: It cannot be run in either, for the same reason.
        SideError: It cannot be run in one of them.
    """
    with tempfile.TemporaryDirectory() as scratch:
        files = {side: Path(scratch) / side for side in environments}
        starts = {
            side: Start(
                environment, rooms, ("describe", sweep, str(files[side])), Path(scratch) / f"{side}.log"
            )
            for side, environment in environments.items()
        }
        ended = run_both(starts)
        for side, start in starts.items():
            if ended[side] != ENDED:
                raise SideError(f"the {side}, {start.environment.words}, cannot be tested: {_why(start.log)}")
        found = {side: msgspec.json.decode(file.read_bytes(), type=Described) for side, file in files.items()}
    refused = {side: about.refused for side, about in found.items() if about.refused}
    if len(set(refused.values())) == 1 and len(refused) == len(found):
        raise SweepError(next(iter(refused.values())))
    for side, why in refused.items():
        raise SideError(f"the {side}, {environments[side].words}, cannot be tested: {why}")
    for side, environment in environments.items():
        _check_front(side, environment, found[side])
    return found


def _check_front(side: str, environment: Environment, described: Described) -> None:
    """Check that the method's code is what was put in front of the installed one."""
    front = environment.front
    if front is not None and not any(front in Path(file).parents for file in described.files.values()):
        raise SideError(
            f"the {side}, {environment.words}, cannot be tested: searcher {described.method!r} does not come from that "
            f"revision, but from {', '.join(described.files.values())}. The revision must hold its module at the top "
            "or in src/, and the plug-in must be installed here (it may be editable)"
        )


def run_sides(
    sides: Collection[Side],
    sweep: Path,
    name: str,
    rooms: Path,
    repetitions: int,
    on_progress: Callable[[str], None],
) -> None:
    """Run sides up to so many repetitions; what one has done is not done again.

    Args:
        sides: The sides.
        sweep: The sweep file of all of them.
        name: The sweep's name.
        rooms: What processes import first.
        repetitions: Of every task, in all.
        on_progress: Called now and then meanwhile, with how far they are.

    Raises:
        InterruptedRunError: The user stopped it.
        SideError: One of them cannot be tested.
    """
    starts = {
        side.name: Start(
            side.environment,
            rooms,
            ("run", str(sweep), str(side.folder), str(repetitions)),
            side.folder.with_name(f"{side.name}.log"),
        )
        for side in sides
        if not _complete(side, name, repetitions)
    }

    def progress() -> None:
        done = (f"{side.name} {len(read_measured(side.folder))}" for side in sides)
        on_progress(f"{', '.join(done)} of {plural(repetitions, 'repetition')}")

    ended = run_both(starts, progress)
    for side in sides:
        if ended.get(side.name, ENDED) == ENDED:
            continue
        if ended[side.name] == FAILED:
            why = next(iter(_failed(side.folder, name)), "it failed")
        else:
            why = f"its process ended with {ended[side.name]}: {_tail(starts[side.name].log)}"
        libraries = ", ".join(f"{library} {version}" for library, version in side.described.libraries.items())
        raise SideError(
            f"the {side.name}, {side.environment.words}, cannot be tested: searcher {side.described.method!r} does not "
            f"run with {libraries or 'what is there'}: {why}"
        )


def run_random(
    side: Side, sweep: Path, name: str, rooms: Path, on_progress: Callable[[str], None]
) -> SweepTables:
    """Run random search on a gate's tasks, once, and return its tables.

    Args:
        side: In whose environment.
        sweep: The sweep file of both sides.
        name: The sweep's name.
        rooms: What processes import first.
        on_progress: Called now and then meanwhile.

    Raises:
        InterruptedRunError: The user stopped it.
        SideError: It does not run.
    """
    folder = side.folder.with_name(RANDOM)
    runs = Layout(folder).runs(name)
    if not _ended(runs):
        start = Start(
            side.environment, rooms, (RANDOM, str(sweep), str(folder)), folder.with_name(f"{RANDOM}.log")
        )
        if code := run_both({RANDOM: start}, lambda: on_progress("random search, the yardstick"))[RANDOM]:
            why = next(iter(_failed(folder, name)), "it failed") if code == FAILED else _tail(start.log)
            raise SideError(
                f"random search, by which both sides are measured, does not run in {side.environment.words}: {why}"
            )
    return read_tables(folder, name)


def _complete(side: Side, name: str, repetitions: int) -> bool:
    """Whether a side has so many repetitions, and its plan has them: a kill may leave a plan of the latest alone."""
    if len(read_measured(side.folder)) < repetitions:
        return False
    planned = {study.repetition for study in Layout(side.folder).plan(name).studies}
    return planned.issuperset(range(repetitions))


def _failed(folder: Path, name: str) -> Iterator[str]:
    """Yield why studies of the latest run in a folder failed."""
    for run in Layout(folder).runs(name)[-1:]:
        if run.counts is not None:
            yield from (f"{study}: {message}" for study, message in run.counts.failed.items())


def _why(log: Path) -> str:
    """Return why an interpreter could not even say what it has."""
    text = _tail(log)
    last = text.splitlines()[-1]
    if not last.startswith("ModuleNotFoundError"):
        return text
    return (
        f"{last}; install there what this project needs (`pip install hpo-derby`), and the method's library"
    )


def _tail(log: Path) -> str:
    """Return the end of a process's output."""
    text = log.read_text(encoding="utf-8", errors="replace").strip()
    return text[-_TAIL_CHARACTERS:] or "it said nothing"


def run_both(starts: Mapping[str, Start], progress: Callable[[], None] = lambda: None) -> dict[str, int]:
    """Run processes at the same time, and return their exit codes; where one fails, the others are asked to end.

    Raises:
        InterruptedRunError: The user stopped it.
    """
    with _terminable(), contextlib.ExitStack() as stack:
        started = {side: stack.enter_context(start.process()) for side, start in starts.items()}
        try:
            while any(process.poll() is None for process in started.values()):
                failed = {side: process.returncode for side, process in started.items() if process.returncode}
                if failed:
                    _stop(started.values())
                    return failed
                progress()
                time.sleep(_POLL_SECONDS)
        except KeyboardInterrupt:
            _stop(started.values())
            raise InterruptedRunError(
                f"interrupted; everything recorded is safe. To go on: {shlex.join(['derby', *sys.argv[1:]])}"
            ) from None
        except BaseException:
            _stop(started.values())
            raise
    return {side: process.returncode for side, process in started.items()}


def _stop(processes: Collection[subprocess.Popen[bytes]]) -> None:
    """Ask processes to end, which they do as soon as nothing is being written; asked to hurry, end them."""
    for process in processes:
        process.terminate()  # not by SIGINT, which what starts in the background does not hear
    try:
        for process in processes:
            process.wait()
    except KeyboardInterrupt:
        for process in processes:
            process.kill()
        raise


@contextlib.contextmanager
def _terminable() -> Iterator[None]:
    """Take the signal by which ``kill`` ends a process as Ctrl-C."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _ended(runs: Sequence[Run]) -> bool:
    """Whether the latest of a sweep's runs left nothing to do."""
    counts = runs[-1].counts if runs else None
    return counts is not None and counts.complete_before + counts.done == counts.studies
