"""Gates: does a candidate's method search worse than its baseline's, or cost more? Two environments, one answer.

Each side is an ordinary sweep in a results folder of its own, run by its own interpreter; both run at the same time,
repetition by repetition, so that they are compared in pairs. What the sides propose is compared first; where they
differ, repetitions are added from look to look until a sequential test knows.
"""

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
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

import msgspec
import pandas as pd

from analysis.figures.canvas import Plot
from analysis.figures.gate import gate_figure
from analysis.report.gate import Account
from analysis.statistics.inputs import Inputs, prepare
from analysis.statistics.proposals import Proposals, compared
from analysis.statistics.sequential import Decision, Plan, Verdict, decide, decide_cost
from analysis.statistics.sides import SIDES, regret_curves, regret_differences, second_ratios
from harness import document
from harness.environments import Environment, Wish, check_different, made, rooms
from harness.errors import SideError, SweepError
from harness.keys import digest
from harness.launch import InterruptedRunError
from harness.side import ENDED, FAILED, Described, read_measured
from results.layout import Layout, make_folder, write_atomically
from results.reading import read_study
from results.tables import SweepTables, read_tables

EVERYWHERE: Final = "all tasks"
"""Where memory is measured: of a repetition, not of each task."""

_POLL_SECONDS: Final = 0.05
_TAIL_CHARACTERS: Final = 2000


class Outcome(StrEnum):
    """The answer of a gate."""

    IDENTICAL = "identical"
    NOT_WORSE = "not worse"
    WORSE = "worse"
    DEARER = "dearer"
    UNDECIDED = "undecided"


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
class Gate:
    """A gate that is ready to run.

    Attributes:
        name: Of its folder: the sweep's and a digest of the sweep and of both sides, so that what one of them changes
            begins anew, and what neither changed goes on.
        folder: Where everything is.
        sweep: The sweep file that both sides run.
        content: What it says.
        sides: Baseline and candidate.
        plan: When it looks, and what it tolerates.
        rooms: What processes import first.
        costs: Whether a candidate that costs more fails the gate.
    """

    name: str
    folder: Path
    sweep: Path
    content: Mapping[str, Any]
    sides: tuple[Side, Side]
    plan: Plan
    rooms: Path
    costs: bool

    @property
    def searcher(self) -> str:
        """The method's label."""
        (entry,) = self.content["searchers"]
        return str(entry.get("label") or entry["name"]) if isinstance(entry, dict) else str(entry)


@dataclass(frozen=True, slots=True)
class Look:
    """What a look found.

    Attributes:
        number: From 1.
        repetitions: Of each task so far.
        proposals: How far both sides propose the same.
        quality: About the differences of normalised regret; ``None`` where the proposals are identical.
        seconds: About the ratio of the seconds of ask and tell.
        memory: About the ratio of the peaks of memory; ``None`` where the system doesn't say.
    """

    number: int
    repetitions: int
    proposals: Proposals
    quality: Decision | None
    seconds: Decision
    memory: Decision | None

    @property
    def outcome(self) -> Outcome | None:
        """What is known of the search; ``None``: go on."""
        if self.quality is None:
            return Outcome.IDENTICAL
        return None if self.quality.verdict is None else Outcome(self.quality.verdict.value)

    @property
    def dearer(self) -> list[str]:
        """Of what the candidate takes more than the margin."""
        costs = {"time": self.seconds, "memory": self.memory}
        return [name for name, cost in costs.items() if cost is not None and cost.verdict is Verdict.WORSE]


@dataclass(frozen=True, slots=True)
class Result:
    """What a gate found.

    Attributes:
        gate: The gate.
        looks: Its looks, in order.
        outcome: The answer.
        versions: Of the method's libraries, as each side's record says.
        differing: Packages whose versions differ between the sides, with both; empty where there is none.
        cpu_seconds: Of each side, in all.
        tables: Of each side.
    """

    gate: Gate
    looks: tuple[Look, ...]
    outcome: Outcome
    versions: Mapping[str, Mapping[str, str]]
    differing: Mapping[str, tuple[str, str]]
    cpu_seconds: Mapping[str, float]
    tables: tuple[SweepTables, SweepTables]

    @property
    def last(self) -> Look:
        """The look that ended it."""
        return self.looks[-1]

    @property
    def account(self) -> Account:
        """The same in the terms of its report."""
        baseline, candidate = self.gate.sides
        costs = {"seconds of ask and tell": self.last.seconds, "peak of memory": self.last.memory}
        return Account(
            searcher=self.gate.searcher,
            outcome=self.outcome.value,
            baseline=self._words(baseline),
            candidate=self._words(candidate),
            plan=self.gate.plan,
            repetitions=self.last.repetitions,
            quality=self.last.quality,
            costs={name: _settled(cost) for name, cost in costs.items() if cost is not None},
            proposals=proposals_in_words(self.last.proposals),
            versions=self.differing,
        )

    def _words(self, side: Side) -> str:
        used = ", ".join(f"{library} {version}" for library, version in self.versions[side.name].items())
        return f"{side.environment.words}: {used}" if used else side.environment.words

    @property
    def plot(self) -> Plot | None:
        """Its figure; ``None`` where there is nothing to compare."""
        if self.last.quality is None:
            return None
        baseline, candidate = map(prepare, self.tables)
        curves = regret_curves(baseline, candidate, self.gate.searcher)
        return gate_figure(curves, self.last.quality, self.gate.searcher)


def _settled(cost: Decision) -> Decision:
    """Return what is known of a cost when a gate has ended, which it does not do for a cost."""
    if cost.overall.verdict is not None:
        return cost
    return replace(cost, overall=replace(cost.overall, verdict=Verdict.UNDECIDED))


def proposals_in_words(proposals: Proposals) -> str:
    """Say how far two sides propose the same, and where they part first."""
    if proposals.identical:
        return f"All {proposals.compared} proposals are identical."
    first, *others = proposals.partings
    words = (
        f"{proposals.equal} of {proposals.compared} proposals are the same. On {first.task} they part first in "
        f"repetition {first.repetition}, proposal {first.trial}, at {first.parameter}: {first.baseline} in the "
        f"baseline, {first.candidate} in the candidate"
    )
    if others:
        places = (f"{own.task} ({own.repetition}, {own.trial}, {own.parameter})" for own in others)
        words += f"; elsewhere on {', '.join(places)}"
    return f"{words}."


def introduction(gate: Gate) -> Iterator[str]:
    """Yield what is tested, a line each."""
    for side in gate.sides:
        libraries = (f"{name} {version}" for name, version in side.described.libraries.items())
        about = ", ".join([*libraries, f"Python {side.described.python}"])
        yield f"{side.name}: {side.environment.words}; {about}"
    tasks = gate.content["tasks"]
    yield (
        f"{gate.searcher} on {len(tasks)} task{'' if len(tasks) == 1 else 's'}, looks at "
        f"{', '.join(map(str, gate.plan.looks))} repetitions; in {gate.folder}"
    )


def headline(look: Look) -> str:
    """Return what a look found, as a line."""
    if look.quality is None:
        return f"{look.repetitions} repetitions: {proposals_in_words(look.proposals)}"
    known = look.quality.overall
    verdict = "goes on" if known.verdict is None else known.verdict.value
    return (
        f"{look.repetitions} repetitions: mean normalised regret {known.estimate:+.4f} "
        f"({known.low:+.4f} to {known.high:+.4f}), margin {look.quality.margin:g}: {verdict}"
    )


def looks_of(text: str) -> tuple[int, ...]:
    """Read ``5,10,20``.

    Raises:
        SweepError: It is not that.
    """
    parts = text.split(",")
    if not all(part.strip().isdecimal() for part in parts):
        raise SweepError(f"--looks: expected rising numbers of repetitions such as 5,10,20, got {text!r}")
    return tuple(int(part) for part in parts)


def prepared(
    sweep: str, baseline: Wish, candidate: Wish, plan: Plan, results: Path, *, costs: bool = True
) -> Gate:
    """Build what is missing of both sides, and ask each what the sweep is there.

    Args:
        sweep: A sweep file, or the name of a method: all shipped recordings, and some public tables, that it can
            search, then.
        baseline: Where the method is known to be good.
        candidate: Where it is to be tested.
        plan: When to look, and what to tolerate.
        results: The results folder; the gate's is ``gates/NAME`` in it, environments are kept in ``environments``.
        costs: Whether a candidate that costs more fails the gate.

    Raises:
        SweepError: The sweep or an option is wrong, whichever the side.
        SideError: One side cannot be tested.
        WriteError: The folder cannot be written.
    """
    check_different(baseline, candidate)
    results = results.absolute()
    cache = results / "environments"
    environments = {"baseline": made(baseline, cache), "candidate": made(candidate, cache)}
    first = rooms(cache)
    described = _described(sweep, environments, first)
    content = _common({side: about.content for side, about in described.items()})
    identity = [
        [content, about.python, about.packages, about.sources, about.files] for about in described.values()
    ]
    name = f"{str(content['name'])[:60]}-{digest(identity)[:8]}"
    folder = results / "gates" / name
    file = folder / "sweep.yaml"
    make_folder(folder)
    write_atomically(file, document.write({**content, "repetitions": 1}))
    one, other = (Side(side, environments[side], described[side], folder / side) for side in SIDES)
    return Gate(name, folder, file, content, (one, other), plan, first, costs)


def _described(sweep: str, environments: Mapping[str, Environment], first: Path) -> dict[str, Described]:
    """Return what a sweep is in each environment."""
    with tempfile.TemporaryDirectory() as scratch:
        files = {side: Path(scratch) / side for side in environments}
        starts = {
            side: _Start(
                environment, first, ("describe", sweep, str(files[side])), Path(scratch) / f"{side}.log"
            )
            for side, environment in environments.items()
        }
        ended = _both(starts)
        for side, start in starts.items():
            if ended[side] != ENDED:
                raise SideError(
                    f"the {side}, {start.environment.words}, cannot be tested: {_tail(start.log)}"
                )
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


def _common(contents: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    """Return the sweep of both sides: the tasks that both can search, where the method alone was named."""
    baseline, candidate = contents.values()
    tasks = [task for task in baseline["tasks"] if task in candidate["tasks"]]
    if not tasks:
        raise SideError(
            f"there is no task that both sides can search: {baseline['tasks']}, {candidate['tasks']}"
        )
    return {**baseline, "tasks": tasks}


def run(gate: Gate, on_look: Callable[[Look], None], on_progress: Callable[[str], None]) -> Result:
    """Run a gate, or go on with it: what either side has done is not done again.

    Args:
        gate: What `prepared` returned.
        on_look: Called after each look.
        on_progress: Called now and then meanwhile, with how far both sides are.

    Raises:
        InterruptedRunError: The user stopped it.
        SideError: A side cannot be tested.
        RecordError: A record cannot be read or written.
    """
    looks: list[Look] = []
    for number, repetitions in enumerate(gate.plan.looks, start=1):
        _run_sides(gate, repetitions, on_progress)
        tables = _tables(gate)
        looks.append(_look(gate, number, repetitions, tables))
        on_look(looks[-1])
        if looks[-1].outcome is not None:
            break
    last = looks[-1]
    outcome = last.outcome or Outcome.UNDECIDED
    if gate.costs and last.dearer and outcome is not Outcome.WORSE:
        outcome = Outcome.DEARER
    one, other = (side.described.packages for side in gate.sides)
    packages = {name: (one.get(name, "none"), other.get(name, "none")) for name in sorted({**one, **other})}
    return Result(
        gate=gate,
        looks=tuple(looks),
        outcome=outcome,
        versions={side.name: _versions(side, table) for side, table in zip(gate.sides, tables, strict=True)},
        differing={name: pair for name, pair in packages.items() if pair[0] != pair[1]},
        cpu_seconds={
            side.name: sum(line.cpu_seconds for line in read_measured(side.folder)) for side in gate.sides
        },
        tables=tables,
    )


def _tables(gate: Gate) -> tuple[SweepTables, SweepTables]:
    one, other = (read_tables(side.folder, str(gate.content["name"])) for side in gate.sides)
    return one, other


def _look(gate: Gate, number: int, repetitions: int, tables: tuple[SweepTables, SweepTables]) -> Look:
    """Return what is known with the repetitions of a look; a side may have more, from a plan with other looks."""
    baseline, candidate = (_upto(table, repetitions) for table in tables)
    proposals = compared(baseline, candidate)
    quality = None
    if not proposals.identical:
        inputs: tuple[Inputs, Inputs] = prepare(baseline), prepare(candidate)
        quality = decide(regret_differences(*inputs, gate.searcher), gate.plan, number)
    seconds = decide_cost(second_ratios(baseline, candidate, gate.searcher), gate.plan, number)
    memory = _memory(gate, repetitions)
    return Look(
        number,
        repetitions,
        proposals,
        quality,
        seconds,
        None if memory is None else decide_cost(memory, gate.plan, number),
    )


def _upto(tables: SweepTables, repetitions: int) -> SweepTables:
    """Return the tables of the first repetitions."""
    return replace(
        tables,
        trials=tables.trials[tables.trials["repetition"] < repetitions],
        studies=tables.studies[tables.studies["repetition"] < repetitions],
    )


def _memory(gate: Gate, repetitions: int) -> pd.DataFrame | None:
    """Return the ratios of the sides' peaks of memory, a row for each repetition."""
    one, other = (read_measured(side.folder)[:repetitions] for side in gate.sides)
    ratios = [
        (EVERYWHERE, mine.repetition, mine.peak_bytes / theirs.peak_bytes)
        for theirs, mine in zip(one, other, strict=True)
        if mine.peak_bytes is not None and theirs.peak_bytes is not None
    ]
    return (
        pd.DataFrame(ratios, columns=["task", "repetition", "ratio"]) if len(ratios) == repetitions else None
    )


def _versions(side: Side, tables: SweepTables) -> dict[str, str]:
    """Return the versions of a method's libraries with which a side's studies were opened; all where they differ."""
    found: dict[str, set[str]] = {library: set() for library in side.described.libraries}
    for study in tables.studies["study"]:
        opened = read_study(Layout(side.folder).study(str(study))).opened
        for library, versions in found.items():
            if opened is not None and library in opened.versions:
                versions.add(opened.versions[library])
    return {library: ", ".join(sorted(versions)) for library, versions in sorted(found.items())}


def _run_sides(gate: Gate, repetitions: int, on_progress: Callable[[str], None]) -> None:
    """Run both sides up to so many repetitions.

    Raises:
        SideError: One of them cannot be tested.
    """
    starts = {
        side.name: _Start(
            side.environment,
            gate.rooms,
            ("run", str(gate.sweep), str(side.folder), str(repetitions)),
            gate.folder / f"{side.name}.log",
        )
        for side in gate.sides
        if not _complete(side, str(gate.content["name"]), repetitions)
    }

    def progress() -> None:
        done = (f"{side.name} {len(read_measured(side.folder))}" for side in gate.sides)
        on_progress(f"{', '.join(done)} of {repetitions} repetitions")

    ended = _both(starts, progress)
    for side in gate.sides:
        if ended.get(side.name, ENDED) == ENDED:
            continue
        if ended[side.name] == FAILED:
            why = next(iter(_failed(side, str(gate.content["name"]))), "it failed")
        else:
            why = f"its process ended with {ended[side.name]}: {_tail(starts[side.name].log)}"
        libraries = ", ".join(f"{name} {version}" for name, version in side.described.libraries.items())
        raise SideError(
            f"the {side.name}, {side.environment.words}, cannot be tested: searcher {side.described.method!r} does not "
            f"run with {libraries or 'what is there'}: {why}"
        )


def _complete(side: Side, name: str, repetitions: int) -> bool:
    """Whether a side has so many repetitions, and its plan has them: a kill may leave a plan of the latest alone."""
    if len(read_measured(side.folder)) < repetitions:
        return False
    planned = {study.repetition for study in Layout(side.folder).plan(name).studies}
    return planned.issuperset(range(repetitions))


def _failed(side: Side, name: str) -> Iterator[str]:
    """Yield why studies of a side's latest run failed."""
    for run in Layout(side.folder).runs(name)[-1:]:
        if run.counts is not None:
            yield from (f"{study}: {message}" for study, message in run.counts.failed.items())


def _tail(log: Path) -> str:
    """Return the end of a process's output."""
    text = log.read_text(encoding="utf-8", errors="replace").strip()
    return text[-_TAIL_CHARACTERS:] or "it said nothing"


@dataclass(frozen=True, slots=True)
class _Start:
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


def _both(starts: Mapping[str, _Start], progress: Callable[[], None] = lambda: None) -> dict[str, int]:
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
