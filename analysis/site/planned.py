"""What races were run to compare, and what came of it: the one part of a site that is not exploring."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from analysis.report.planned import planned_words
from analysis.site.arenas import Arena
from analysis.statistics.comparison import comparable, compare
from analysis.statistics.inputs import Inputs, prepare
from analysis.statistics.planned import planned_over_tasks


@dataclass(frozen=True, slots=True, eq=False)
class Planned:
    """What came of the comparison that a race was run for.

    Attributes:
        race: Its name.
        said: In words, a paragraph each.
        tests: The tests over tasks of what was to be compared: a row per pair.
    """

    race: str
    said: Sequence[str]
    tests: pd.DataFrame


def planned(arena: Arena) -> list[Planned]:
    """Return what came of the comparisons that an arena's races were run for, race by race."""
    found = []
    for race in arena.races:
        compared = race.tables.compared
        if compared is None:
            continue
        inputs: Inputs = arena.inputs if len(arena.races) == 1 else prepare(race.tables)
        if not comparable(inputs):
            continue
        comparison = compare(inputs)
        stated = compared.stated
        tests = pd.DataFrame()
        if stated.measure == "final" or comparison.anytime is not None:
            tests = planned_over_tasks(inputs, comparison, stated).assign(
                race=race.name, measure=stated.measure
            )
        found.append(Planned(race.name, planned_words(inputs, comparison), tests))
    return found
