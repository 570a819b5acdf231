"""Gates: does a candidate's method search worse than its baseline's, or cost more? Two environments, one answer.

Each side is an ordinary sweep in a results folder of its own, run by its own interpreter; both run at the same time,
repetition by repetition, so that they are compared in pairs. What the sides propose is compared first; where they
differ, random search is run once as the yardstick, and repetitions are added from look to look until a sequential test
knows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

import pandas as pd

from analysis.figures.canvas import Plot
from analysis.figures.gate import gate_figure
from analysis.report.gate import Account, proposals_in_words
from analysis.statistics.percentiles import Yardstick, yardsticks
from analysis.statistics.proposals import Proposals, compared
from analysis.statistics.sequential import Decision, Plan, Verdict, decide, decide_cost
from analysis.statistics.sides import SIDES, percentile_curves, percentile_differences, second_ratios
from harness import document
from harness.environments import Wish, check_different, made, rooms
from harness.errors import SideError, SweepError
from harness.keys import digest
from harness.pair import Side, describe_sides, run_random, run_sides
from harness.plurals import plural
from harness.side import read_measured
from results.layout import Layout, make_folder, write_atomically
from results.reading import read_study
from results.tables import SweepTables, read_tables

EVERYWHERE: Final = "all tasks"
"""Where memory is measured: of a repetition, not of each task."""


class Outcome(StrEnum):
    """The answer of a gate."""

    IDENTICAL = "identical"
    NOT_WORSE = "not worse"
    WORSE = "worse"
    DEARER = "dearer"
    UNDECIDED = "undecided"


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
        quality: About the differences of percentiles among random searches; ``None`` where the proposals are identical.
        percentiles: Their means over tasks, of the baseline and of the candidate; ``None`` likewise.
        seconds: About the ratio of the seconds of ask and tell.
        memory: About the ratio of the peaks of memory; ``None`` where the system doesn't say.
    """

    number: int
    repetitions: int
    proposals: Proposals
    quality: Decision | None
    percentiles: tuple[float, float] | None
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
        tables: Of each side, as far as the last look saw them.
        sticks: What percentiles were taken by; ``None`` where the proposals are identical.
    """

    gate: Gate
    looks: tuple[Look, ...]
    outcome: Outcome
    versions: Mapping[str, Mapping[str, str]]
    differing: Mapping[str, tuple[str, str]]
    cpu_seconds: Mapping[str, float]
    tables: tuple[SweepTables, SweepTables]
    sticks: Mapping[str, Yardstick] | None

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
            percentiles=self.last.percentiles,
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
        if self.last.quality is None or self.sticks is None:
            return None
        curves = percentile_curves(*self.tables, self.gate.searcher, self.sticks)
        return gate_figure(curves, self.last.quality, self.gate.searcher)


def _settled(cost: Decision) -> Decision:
    """Return what is known of a cost when a gate has ended, which it does not do for a cost."""
    if cost.overall.verdict is not None:
        return cost
    return replace(cost, overall=replace(cost.overall, verdict=Verdict.UNDECIDED))


def introduction(gate: Gate) -> Iterator[str]:
    """Yield what is tested, a line each."""
    for side in gate.sides:
        libraries = (f"{name} {version}" for name, version in side.described.libraries.items())
        about = ", ".join([*libraries, f"Python {side.described.python}"])
        yield f"{side.name}: {side.environment.words}; {about}"
    tasks = gate.content["tasks"]
    yield (
        f"{gate.searcher} on {plural(len(tasks), 'task')}, looks at "
        f"{', '.join(map(str, gate.plan.looks))} repetitions; in {gate.folder}"
    )


def headline(look: Look) -> str:
    """Return what a look found, as a line."""
    if look.quality is None:
        return f"{plural(look.repetitions, 'repetition')}: {proposals_in_words(look.proposals)}"
    known = look.quality.overall
    verdict = "goes on" if known.verdict is None else known.verdict.value
    return (
        f"{plural(look.repetitions, 'repetition')}: mean percentile {known.estimate:+.3f} "
        f"({known.low:+.3f} to {known.high:+.3f}), margin {look.quality.margin:g}: {verdict}"
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
        sweep: A sweep file, or the name of a method: the shipped recordings that leave room for a search, and some
            public tables, then, as far as it can search them.
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
    described = describe_sides(sweep, environments, first)
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
    sticks: Mapping[str, Yardstick] | None = None
    for number, repetitions in enumerate(gate.plan.looks, start=1):
        run_sides(gate.sides, gate.sweep, str(gate.content["name"]), gate.rooms, repetitions, on_progress)
        tables = _tables(gate, repetitions)
        proposals = compared(*tables)
        if sticks is None and not proposals.identical:
            sticks = yardsticks(
                run_random(gate.sides[0], gate.sweep, str(gate.content["name"]), gate.rooms, on_progress)
            )
        looks.append(_look(gate, number, proposals, tables, sticks))
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
        sticks=sticks,
    )


def _look(
    gate: Gate,
    number: int,
    proposals: Proposals,
    tables: tuple[SweepTables, SweepTables],
    sticks: Mapping[str, Yardstick] | None,
) -> Look:
    """Return what is known with the repetitions of a look."""
    quality, percentiles = None, None
    if not proposals.identical and sticks is not None:
        pairs = percentile_differences(*tables, gate.searcher, sticks)
        quality = decide(pairs, gate.plan, number)
        percentiles = (float(pairs["baseline"].mean()), float(pairs["candidate"].mean()))
    seconds = decide_cost(second_ratios(*tables, gate.searcher), gate.plan, number)
    repetitions = gate.plan.looks[number - 1]
    memory = _memory(gate, repetitions)
    return Look(
        number=number,
        repetitions=repetitions,
        proposals=proposals,
        quality=quality,
        percentiles=percentiles,
        seconds=seconds,
        memory=None if memory is None else decide_cost(memory, gate.plan, number),
    )


def _tables(gate: Gate, repetitions: int) -> tuple[SweepTables, SweepTables]:
    """Return the tables of both sides' first repetitions; a side may have more, from a plan with other looks."""
    name = str(gate.content["name"])
    one, other = (_upto(read_tables(side.folder, name), repetitions) for side in gate.sides)
    return one, other


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
