"""What is on record of the winners that were evaluated again: by evaluation id, so that no journal speaks of them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from harness.keys import StudyKey
from harness.plan import Plan, StudyPlan
from harness.reevaluation import Reevaluation, reevaluations
from harness.trial import Evaluation
from results.layout import Layout
from results.reading import StudyRecord, evaluation_of, read_evaluations, serving

MISSING = "missing"
"""The state of a re-evaluation that is not on record."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A re-evaluation and whose winner it is."""

    planned: StudyPlan
    again: Reevaluation


def wanted_of(planned: StudyPlan, record: StudyRecord, plan: Plan) -> list[Wanted]:
    """Return the re-evaluations of a study that is done; none where nothing succeeded, or none are planned."""
    if not plan.reevaluate or record.state != "done" or record.opened is None:
        return []
    key = StudyKey.from_json(json.loads(bytes(record.opened.key)))
    direction = plan.tasks[planned.task].direction
    again = reevaluations(key, record.told, record.answered, direction, plan.reevaluate)
    return [Wanted(planned, each) for each in again]


def found_of(layout: Layout, plan: Plan, wanted: Sequence[Wanted]) -> list[Evaluation | None]:
    """Return what is on record of each, in order: what the driver finds, see `RecordWriter.find`.

    Raises:
        RecordError: A file of evaluations is damaged.
    """
    by_task: dict[str, dict[str, list[int]]] = {}
    for place, each in enumerate(wanted):
        ids = by_task.setdefault(plan.tasks[each.planned.task].name, {})
        ids.setdefault(each.again.key.id, []).append(place)
    found: list[Evaluation | None] = [None] * len(wanted)
    for task, ids in by_task.items():
        for bunch in read_evaluations(layout.evaluations(task)):
            for number, line in enumerate(bunch.lines, bunch.number):
                for place in ids.get(line.id, ()):
                    if found[place] is None:
                        again, about = wanted[place].again, plan.tasks[wanted[place].planned.task]
                        metrics = [about.metric, *([about.test_metric] if about.test_metric else [])]
                        evaluation = evaluation_of(line, bunch.path, number)
                        found[place] = serving(evaluation, again.epochs, again.deadline, metrics)
    return found


def states(layout: Layout, plan: Plan, wanted: Sequence[Wanted]) -> dict[str, Counter[str]]:
    """Count re-evaluations by status, `MISSING` among them, for each task."""
    counts: dict[str, Counter[str]] = {label: Counter() for label in plan.tasks}
    for each, evaluation in zip(wanted, found_of(layout, plan, wanted), strict=True):
        counts[each.planned.task][MISSING if evaluation is None else evaluation.status.value] += 1
    return counts
