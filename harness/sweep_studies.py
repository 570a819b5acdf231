"""Which studies a sweep has: methods, tasks and repetitions crossed, and those that give its baselines."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from harness import baseline_searches
from harness.baseline_searches import BaselineSearch
from harness.budgets import Budgeted
from harness.keys import StudyKey, TaskKey, derive_seed
from harness.plan import study_label
from harness.sweep_fields import SweepSpec


@dataclass(frozen=True, slots=True)
class Method:
    """A searcher of a sweep: its name, the file that it comes from if any, version, settings and label."""

    name: str
    file: str
    version: int
    settings: dict[str, Any]
    label: str


@dataclass(frozen=True, slots=True)
class PlannedStudy:
    """A study of a sweep and its labels; ``baseline``: the search that it is, where it gives baselines."""

    key: StudyKey
    task: str
    searcher: str
    baseline: BaselineSearch | None = None

    @property
    def label(self) -> str:
        """A name for people."""
        return study_label(self.searcher, self.task, self.key.repetition)


def studies_of(
    spec: SweepSpec,
    tasks: Mapping[str, Budgeted],
    searchers: Sequence[Method],
    left_out: Collection[tuple[str, str]],
) -> list[PlannedStudy]:
    """Cross searchers, tasks and repetitions; without the pairs of a task and a searcher that are left out."""
    return [
        PlannedStudy(
            _key(
                spec,
                own,
                repetition,
                searcher=method.name,
                settings=method.settings,
                budget=own.budget,
                searcher_file=method.file,
                searcher_version=method.version,
            ),
            task_label,
            method.label,
        )
        for repetition in range(spec.repetitions)
        for task_label, own in tasks.items()
        for method in searchers
        if (task_label, method.label) not in left_out
    ]


def baselines_of(spec: SweepSpec, tasks: Mapping[str, Budgeted]) -> list[PlannedStudy]:
    """Return the studies that give the baselines."""
    found = {label: baseline_searches.searches(spec.baselines, own) for label, own in tasks.items()}
    return [
        PlannedStudy(
            _key(
                spec,
                own,
                repetition,
                searcher=search.searcher,
                settings=search.settings,
                budget=search.budget,
                searcher_version=search.version,
            ),
            task_label,
            search.label,
            search,
        )
        for repetition in range(spec.repetitions)
        for task_label, own in tasks.items()
        for search in found[task_label]
    ]


def _key(spec: SweepSpec, own: Budgeted, repetition: int, **about: Any) -> StudyKey:
    """Return the key of a study: what the sweep says, and what it searches with and may spend."""
    return StudyKey(
        task=_split(spec, own.task.key, repetition),
        workers=spec.workers,
        repetition=repetition,
        root_seed=spec.seed,
        deadline=spec.deadline,
        arithmetic=spec.arithmetic,
        threads=spec.threads,
        **about,
    )


def _split(spec: SweepSpec, key: TaskKey, repetition: int) -> TaskKey:
    """Return a task's key with the split of a repetition."""
    if spec.splits == "fixed":
        return key
    return replace(key, split=derive_seed(spec.seed, "split", repetition))
