"""One side of a gate, in a process of its own: says what a method is here, and runs it.

`harness.pair` starts it with the interpreter of either side: ``python -m harness.side describe SWEEP OUT``, ``… run
SWEEP FOLDER REPETITIONS``, and ``… random SWEEP FOLDER`` for random search on the same tasks. It ends when its
standard input does, as that does with the process that started it.
"""

from __future__ import annotations

import importlib.util
import os
import platform
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from harness.arithmetic import declare
from harness.errors import DerbyError, SweepError

if TYPE_CHECKING:
    from harness.sweep import Sweep

REPLAY: Final = "replay"
"""The task that replays recordings."""

TABLES: Final = (
    "hpobench_mlp/kc1",
    "hpobench_mlp/phoneme",
    "hpolib_fcnet/parkinsons_telemonitoring",
    "hpolib_fcnet/slice_localization",
    "nasbench201/cifar100",
    "nasbench201/imagenet16_120",
)
"""Public tables that stand beside the recordings, where the package that has them is installed: of each source the two
on which methods are furthest apart."""

ROOM: Final = 10
"""Recordings of fewer configurations than so many budgets pay for are left out: random search has all of them soon, and
methods cannot be told apart."""

RANDOM: Final = "random"
"""Name of the searcher that is the yardstick, of the command that runs it, and of its folder."""

RANDOM_SEARCHES: Final = 32
"""Repetitions of it: a configuration of the sample is one of 32 budgets, whatever a budget pays for."""

OTHERS_SECONDS: Final = 30.0
"""How long a process waits for another one that has its folder."""

FULL_EVALUATIONS: Final = 30
"""Budget of a study where only a method is named, in evaluations at full fidelity."""

ENDED, FAILED, REFUSED = 0, 10, 11
"""Exit codes, besides Python's own and `harness.launch.INTERRUPTED`: all studies are done; some failed, as the record
says; it could not be run, as its output says."""


class Described(msgspec.Struct, frozen=True):
    """What a gate's sweep is in an environment.

    Args:
        refused: Why it cannot be run here; empty where it can.
        content: The sweep, as the content of a sweep file.
        method: Name of its searcher.
        tasks: Labels of its tasks.
        python: Version of Python.
        libraries: Versions of those its proposals depend on.
        packages: Version of every distribution there is.
        files: Where each module comes from that the method is made of.
        sources: Digest of the code of those of them that no version stands for.
    """

    refused: str = ""
    content: dict[str, Any] = {}
    method: str = ""
    tasks: list[str] = []
    python: str = ""
    libraries: dict[str, str] = {}
    packages: dict[str, str] = {}
    files: dict[str, str] = {}
    sources: dict[str, str] = {}


class Measured(msgspec.Struct, frozen=True):
    """What a repetition of all tasks took: a line of ``measured.jsonl``.

    Args:
        repetition: Its number, from 0.
        seconds: Wall-clock time.
        cpu_seconds: Of the process.
        peak_bytes: Most memory that the process had meanwhile; ``None`` where the system doesn't say.
    """

    repetition: int
    seconds: float
    cpu_seconds: float
    peak_bytes: int | None


MEASURED_FILE: Final = "measured.jsonl"


def read_measured(folder: Path) -> list[Measured]:
    """Return what repetitions of a side took, in order, as far as they are complete."""
    try:
        lines = (folder / MEASURED_FILE).read_bytes().split(b"\n")
    except FileNotFoundError:
        return []
    return [msgspec.json.decode(line, type=Measured) for line in lines[:-1]]  # the last one is not finished


def describe(sweep: str) -> Described:
    """Return what a sweep is here.

    Args:
        sweep: A sweep file, or the name of a method, which stands for the shipped recordings that leave room
            for a search, and some public tables, as far as it can search them.

    Raises:
        DerbyError: It cannot be run here.
    """
    from harness import document, registry
    from harness.machine import installed, versions
    from harness.sweep import load_sweep, make_sweep

    if sweep.endswith((".yaml", ".yml")):
        loaded = load_sweep(Path(sweep))
        content = dict(document.load(Path(sweep)).value)
    else:
        content = on_recordings(sweep)
        loaded = make_sweep(content, f"gate of {sweep}")
    if len(loaded.spec.searchers) != 1:
        raise SweepError(
            f"{sweep}: a gate is for one searcher, got {len(loaded.spec.searchers)}; make a sweep for each"
        )
    method = registry.searcher(loaded.spec.searchers[0].name)
    files = {
        module: origin
        for module in (method.__module__.partition(".")[0], *method.libraries)
        if (origin := _file_of(module)) is not None
    }
    return Described(
        content=content,
        method=method.name,
        tasks=list(loaded.tasks),
        python=platform.python_version(),
        libraries=versions(method.libraries.values()) | method.origin(),
        packages=dict(installed()),
        files=files,
        sources={
            module: _digest_of(Path(file))
            for module, file in files.items()
            if not _is_released(Path(file), method.libraries.get(module, ""))
        },
    )


def on_recordings(method: str) -> dict[str, Any]:
    """Return the content of a sweep of a method over the shipped recordings and `TABLES` that it can search.

    Of several recordings of one task, which share seeds, the one of most configurations is taken.
    """
    from harness import registry
    from harness.sweep import make_sweep

    registry.searcher(method).require_libraries()
    content: dict[str, Any] = {
        "name": f"gate-{method}"[:80],
        "repetitions": 1,
        "budget": {"full": FULL_EVALUATIONS},
        "searchers": [method],
    }
    fitting: dict[str, str] = {}
    most: dict[str, int] = {}
    reasons: list[str] = []
    recordings = registry.task(REPLAY).shipped()  # type: ignore[attr-defined]
    for name in (*(f"{REPLAY}/{name}" for name in recordings), *TABLES):
        try:
            made = make_sweep({**content, "tasks": [name]}, f"gate of {method}")
        except DerbyError as error:
            reasons.append(str(error))
        else:
            task = made.tasks[name]
            size, recording = task.space.size(), getattr(task, "recording", None)
            if size is not None and size < ROOM * FULL_EVALUATIONS:
                continue
            recorded = name if recording is None else recording.about.task["name"]
            count = 0 if recording is None else len(recording.configs)
            if recorded not in fitting or count > most[recorded]:
                fitting[recorded], most[recorded] = name, count
    if not fitting:
        raise SweepError(
            f"searcher {method!r} can search none of the recordings that come with the project; give a sweep file of "
            "tasks that it can:\n" + "\n".join(reasons)
        )
    return {**content, "tasks": list(fitting.values())}


def _file_of(module: str) -> str | None:
    found = importlib.util.find_spec(module)
    return found.origin if found is not None else None


def _is_released(file: Path, name: str) -> bool:
    """Whether a module is that of an ordinary installation, so that its version stands for its code."""
    try:
        installed = distribution(name)
    except (PackageNotFoundError, ValueError):
        return False
    home = Path(str(installed.locate_file(""))).resolve()
    return installed.read_text("direct_url.json") is None and home in file.resolve().parents


def _digest_of(file: Path) -> str:
    """Return the digest of the code of a module's package, or of a module alone."""
    from harness.environments import digest_of_code

    return digest_of_code(file.parent if file.name == "__init__.py" else file)


def run(sweep: Path, folder: Path, repetitions: int) -> int:
    """Run a sweep up to so many repetitions, one after the other, and return an exit code.

    One at a time, so that memory is that of a repetition, as the time of the searcher is that of a study.
    """
    from harness import document
    from harness.sweep import make_sweep

    content: Mapping[str, Any] = document.load(sweep).value
    # A gate compares methods: what they must beat would be run for nothing.
    whole = make_sweep({**content, "repetitions": repetitions, "baselines": []}, str(sweep))
    for repetition in range(len(read_measured(folder)), repetitions):
        # Its studies alone, else all that was done before would be read again for each.
        own = [study for study in whole.studies if study.key.repetition == repetition]
        begun, cpu = time.perf_counter(), time.process_time()
        reset = _forget_peak()
        if (code := _launched(replace(whole, studies=own), folder)) != ENDED:
            return code
        measured = Measured(
            repetition,
            time.perf_counter() - begun,
            time.process_time() - cpu,
            _peak() if reset else None,
        )
        with (folder / MEASURED_FILE).open("ab") as file:
            file.write(msgspec.json.encode(measured) + b"\n")
    return _launched(whole, folder)  # so that the plan has them all: nothing is left to run


def run_random(sweep: Path, folder: Path) -> int:
    """Run random search on a sweep's tasks with their budgets, with other seeds, and return an exit code."""
    from harness import document
    from harness.sweep import make_sweep

    content = dict(document.load(sweep).value)
    for about_methods in ("compare", "reevaluate", "baselines"):
        content.pop(about_methods, None)
    own = {
        "searchers": [RANDOM],
        "repetitions": RANDOM_SEARCHES,
        "seed": int.from_bytes(sha256(f"{RANDOM} {content.get('seed', 0)}".encode()).digest()[:4]),
    }
    return _launched(make_sweep({**content, **own}, str(sweep)), folder)


def _launched(sweep: Sweep, folder: Path) -> int:
    """Run a sweep and return an exit code."""
    from rich.console import Console

    from harness.launch import INTERRUPTED, InterruptedRunError, Placement, launch

    before = signal.getsignal(signal.SIGTERM)
    try:
        progress = launch(sweep, folder, Placement(), Console())
    except InterruptedRunError:
        return INTERRUPTED
    if (
        signal.getsignal(signal.SIGTERM) is not before
    ):  # asked to end when this sweep had ended: not the next one, then
        return INTERRUPTED
    return ENDED if progress.ended_well else FAILED


def _forget_peak() -> bool:
    """Let the process's peak of memory begin anew, and return whether that can be had: Linux has it."""
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    except OSError:
        return False
    return True


def _peak() -> int | None:
    """Return the process's peak of memory in bytes."""
    for line in Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return None


def _end_with_the_parent() -> None:
    """Ask this process to end, once nobody holds the other end of its standard input."""

    def watch() -> None:
        while os.read(0, 1024):
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True).start()


def main() -> int:
    """Do what the command line says, and return an exit code."""
    _end_with_the_parent()
    match sys.argv[1:]:
        case ["describe", sweep, out]:
            declare()
            try:
                described = describe(sweep)
            except DerbyError as error:
                described = Described(refused=str(error))
            Path(out).write_bytes(msgspec.json.encode(described))
            return ENDED
        case ["run", sweep, folder, repetitions]:
            return _alone(sweep, folder, lambda: run(Path(sweep), Path(folder), int(repetitions)))
        case [command, sweep, folder] if command == RANDOM:
            return _alone(sweep, folder, lambda: run_random(Path(sweep), Path(folder)))
    raise SystemExit("expected: describe SWEEP OUT, run SWEEP FOLDER REPETITIONS, or random SWEEP FOLDER")


def _alone(sweep: str, folder: str, job: Callable[[], int]) -> int:
    """Do what a command is to do in the sweep's arithmetic, as the folder's only process, and return an exit code."""
    from filelock import FileLock, Timeout

    from harness.arithmetic import declared_in

    declare(declared_in(Path(sweep)))
    try:
        # The side of a gate that was killed takes a moment to end.
        with FileLock(f"{folder}.lock", timeout=OTHERS_SECONDS):
            return job()
    except DerbyError as error:
        said = str(error)
    except Timeout:
        said = f"another gate is writing to {folder}: wait for it, stop it, or give another folder with --results"
    print(said, file=sys.stderr)  # noqa: T201 - the edge
    return REFUSED


if __name__ == "__main__":
    sys.exit(main())
