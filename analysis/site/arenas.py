"""Published races, and which of them are compared together: those that agree on every task they share."""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.figures.canvas import file_names
from analysis.reproduction.page import PAGE
from analysis.reproduction.publishing import is_reproduction
from analysis.statistics.answers import Look, look, lowers_fidelity, points_of, search_costs
from analysis.statistics.inputs import Inputs, prepare
from analysis.statistics.scores import TaskScores, task_scores
from analysis.statistics.steps import usable_studies
from harness.errors import RecordError
from harness.plurals import plural
from results.entries import digest_of, entered
from results.merge import differences, merged
from results.publications import manifest_of
from results.published import changed_files
from results.tables import SweepTables, read_exported

REFERENCE = "random"
"""The registered name of random search, which a method is to be better than."""


@dataclass(frozen=True, slots=True, eq=False)
class Race:
    """A published race.

    Attributes:
        name: Of its folder: in the site, too.
        folder: Where it is published.
        manifest: What it holds, with digests.
        tables: Its tables.
    """

    name: str
    folder: Path
    manifest: Mapping[str, Any]
    tables: SweepTables


def read_race(folder: Path) -> Race:
    """Read a published race, every file held to its manifest.

    Raises:
        RecordError: There is nothing published, a file is not as it was published, or its tables cannot be read.
    """
    name = folder.resolve().name
    manifest = manifest_of(folder.resolve().parent, name)
    if is_reproduction(folder):
        raise RecordError(
            f"{folder} is a reproduced report, which is no race: its page is {folder / PAGE}; leave it out"
        )
    changed = changed_files(folder, manifest)
    if changed:
        raise RecordError(
            f"{folder} is not as it was published: {', '.join(changed[:5])}{', …' if len(changed) > 5 else ''}. "
            "Restore it from a copy: a site shows nothing that its manifest does not vouch for"
        )
    return Race(name, folder, manifest, read_exported(folder))


@dataclass(frozen=True, eq=False)
class Arena:
    """Races that are compared together.

    Attributes:
        id: In file names and anchors.
        races: One or more, in the order given.
        tables: Of all of them.
        apart: Why these are not compared with the arenas before, in words; empty where there is none.
        wanted: Budgets to read the curves at, in full evaluations.
    """

    id: str
    races: tuple[Race, ...]
    tables: SweepTables
    apart: str
    wanted: Sequence[float]

    @property
    def name(self) -> str:
        """What it is called."""
        return " + ".join(race.name for race in self.races)

    @property
    def entries(self) -> tuple[str, ...]:
        """What was entered into a race after its results were public, in words."""
        return tuple(
            f"{', '.join(sorted(map(str, race.tables.studies['searcher'].unique())))} was entered into the race "
            f"{into.race!r}, whose results were public by then: its place describes these tasks, and confirms nothing."
            for race in self.races
            if (into := entered(race.manifest)) is not None
        )

    @property
    def workers(self) -> int:
        """How many proposals a study evaluates at a time; 0 where that is not known."""
        return int(self.tables.studies["workers"].max())

    @functools.cached_property
    def inputs(self) -> Inputs:
        """The tables, prepared."""
        return prepare(self.tables)

    @functools.cached_property
    def scores(self) -> Mapping[str, TaskScores]:
        """The scores of every task with a finished study."""
        return task_scores(self.inputs)

    @functools.cached_property
    def looks(self) -> Mapping[float, Look]:
        """What the curves say at each budget, in full evaluations, ascending."""
        return {point: look(self.inputs, self.scores, point) for point in points_of(self.tables, self.wanted)}

    @property
    def end(self) -> float:
        """The largest budget, in full evaluations."""
        return max(self.looks)

    @functools.cached_property
    def methods(self) -> tuple[str, ...]:
        """All methods planned, sorted."""
        return tuple(sorted(map(str, self.tables.studies["searcher"].unique())))

    @functools.cached_property
    def reference(self) -> str:
        """The label of random search, beside which others are told; empty where it was not raced."""
        drawn = [name for name in self.methods if self.registered(name) == REFERENCE]
        return next(iter(sorted(drawn, key=lambda name: (name != REFERENCE, name))), "")

    @functools.cached_property
    def lower(self) -> frozenset[str]:
        """The methods that stop trainings early."""
        return frozenset(lowers_fidelity(self.tables))

    @functools.cached_property
    def costs(self) -> pd.DataFrame:
        """What the search takes, by method and budget."""
        return search_costs(self.inputs, tuple(self.looks))

    @functools.cached_property
    def _costs(self) -> Mapping[tuple[str, float], tuple[float, float]]:
        """Mean seconds of search per evaluation, and their share, by method and budget."""
        columns = (self.costs[name] for name in ("searcher", "point", "search_seconds", "share"))
        return {
            (str(name), float(point)): (float(seconds), float(share))
            for name, point, seconds, share in zip(*columns, strict=True)
        }

    def seconds(self, method: str, point: float) -> float:
        """Return the mean seconds of search per evaluation of a method up to a budget; NaN where it has none."""
        return self._costs.get((method, point), (math.nan, math.nan))[0]

    def share(self, method: str, point: float) -> float:
        """Return the share of the search in search and training together up to a budget; NaN as `seconds`."""
        return self._costs.get((method, point), (math.nan, math.nan))[1]

    def registered(self, method: str) -> str:
        """Return the registered name of the searcher behind a label."""
        own = self.tables.studies.loc[self.tables.studies["searcher"] == method, "method"]
        return next((str(name) for name in own if name), method)

    def of_method(self, method: str) -> dict[str, Any]:
        """Return what decides a method's studies besides their task: ``settings`` and ``version``."""
        for key in self._keys(self.tables.studies["searcher"] == method):
            return {"settings": key.get("settings") or {}, "version": key.get("searcher_version")}
        return {"settings": {}, "version": None}

    def of_task(self, task: str) -> dict[str, Any]:
        """Return what names a task: ``name`` and ``options``, as far as that is known."""
        for key in self._keys(self.tables.studies["task"] == task):
            own = key.get("task") or {}
            return {"name": own.get("name"), "options": own.get("options") or {}}
        return {"name": None, "options": {}}

    def _keys(self, rows: pd.Series) -> list[dict[str, Any]]:
        if "protocol" not in self.tables.studies:
            return []
        return [json.loads(text) for text in self.tables.studies.loc[rows, "protocol"].unique() if text]


def arenas(races: Sequence[Race], wanted: Sequence[float]) -> list[Arena]:
    """Put races together that share a task, and agree on data, budget and seeds of all they share.

    Raises:
        RecordError: Two races have the same name, or an entry is of a race that was published anew since.
        AnalysisError: A race has no evaluation.
    """
    names = [race.name for race in races]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise RecordError(f"two races are called {twice[0]!r}; publish one of them by another name (--as)")
    _refuse_outdated(races)
    together: list[list[Race]] = []
    reasons: list[str] = []
    for race in races:
        usable_studies(race.tables)  # which says what is wrong where nothing was told
        why = []
        for others in together:
            apart = _apart([*others, race])
            if not apart:
                others.append(race)
                break
            why.append(
                f"{race.name} is not compared with {' and '.join(each.name for each in others)}: {apart}."
            )
        else:
            together.append([race])
            reasons.append(" ".join(why))
    ids = file_names(" + ".join(race.name for race in own) for own in together)
    return [
        Arena(ids[" + ".join(race.name for race in own)], tuple(own), _together(own), apart, wanted)
        for own, apart in zip(together, reasons, strict=True)
    ]


def _refuse_outdated(races: Sequence[Race]) -> None:
    by_name = {race.name: race for race in races}
    for race in races:
        into = entered(race.manifest)
        if into is not None and into.race in by_name and digest_of(by_name[into.race].folder) != into.digest:
            raise RecordError(
                f"{race.folder} was entered into another {into.race!r} than {by_name[into.race].folder}: the race was "
                "published anew since. Enter it again: what was run for it is reused"
            )


def _apart(races: Sequence[Race]) -> str:
    """Return why races cannot be compared, in words; empty where they can."""
    new = races[-1].tables
    if not any(set(race.tables.tasks.index) & set(new.tasks.index) for race in races[:-1]):
        return "they have no task in common"
    workers = [int(race.tables.studies["workers"].max()) for race in races]
    if min(workers[:-1]) != workers[-1] and 0 not in workers:
        return f"its studies have {plural(workers[-1], 'parallel worker')}, not {workers[0]}"
    found = differences({race.name: race.tables for race in races}, same_tasks=False)
    return "; ".join(found[:2]) + (f" (and {len(found) - 2} more)" if len(found) > 2 else "")


def _together(races: Sequence[Race]) -> SweepTables:
    if len(races) == 1:
        return races[0].tables
    return merged({race.name: race.tables for race in races}, same_tasks=False)
