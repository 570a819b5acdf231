"""An experiment of a report as a sweep: what the user chose, its task, and a study for each repetition."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from harness.experiment import Experiment
from harness.keys import EvaluationKey
from harness.sweep import Sweep, make_sweep
from harness.sweep_studies import PlannedStudy
from harness.task import Task

FULL = "full"
"""The variant of the source's sizes."""


@dataclass(frozen=True, slots=True)
class Setting:
    """What the user chose.

    Args:
        variant: Of every task that comes in variants.
        repetitions: Seeded repetitions of every experiment.
        seed: Root of every seed.
        threads: Threads of one evaluation.
        options: Further options of every task that has them, such as where its images are.
    """

    variant: str = FULL
    repetitions: int = 1
    seed: int = 0
    threads: int = 1
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Entry:
    """An experiment and the sweep that runs it: its task, and a study for each repetition."""

    experiment: Experiment
    sweep: Sweep

    @property
    def task(self) -> Task:
        """The task."""
        (task,) = self.sweep.tasks.values()
        return task

    @property
    def studies(self) -> Sequence[PlannedStudy]:
        """The studies, by repetition."""
        return self.sweep.studies

    @property
    def incomparable(self) -> str:
        """Why its numbers cannot be compared with the published ones; empty where they can."""
        used = self.task.options.as_json()
        variant = used.get("variant", FULL)
        if variant != FULL:
            return f"variant {variant} trains on a part of the data, and for fewer epochs where the source has many"
        if self.task.on_subset:
            return "data or starting weights are not the report's own"
        changed = [name for name, value in self.experiment.options.items() if used[name] != value]
        return f"the report's protocol was changed ({', '.join(changed)})" if changed else ""

    def key(self, repetition: int, config: Mapping[str, Any]) -> EvaluationKey:
        """Return the identity of an evaluation of a repetition that has a study."""
        study = next(study for study in self.studies if study.key.repetition == repetition)
        return study.key.evaluation(dict(config))


def sweep_of(
    name: str,
    setting: Setting,
    kind: type[Task],
    experiment: Experiment,
    options: Mapping[str, Any],
    *,
    given: Mapping[str, Any] | None = None,
) -> Sweep:
    """Return the sweep of one experiment, checked as if a user had written it.

    Args:
        name: Of the sweep.
        setting: What the user chose.
        kind: Of the task.
        experiment: What was published; its label is the searcher's.
        options: The task's, ``variant`` excepted.
        given: Settings of the searcher `references`, in place of the experiment's own method.
    """
    if "variant" in kind.Options.model_fields:
        options = {"variant": setting.variant, **options}
    search = experiment.search
    if given is None and search is not None:
        searcher, settings, budget = search.searcher, dict(search.settings), dict(search.budget)
    else:
        searcher, budget = "references", {"evaluations": 1}
        settings = {"names": [experiment.reference]} if given is None else dict(given)
    content = {
        "name": name,
        "description": f"Experiment {experiment.label!r} of report {experiment.report}.",
        "seed": setting.seed,
        "repetitions": setting.repetitions,
        "budget": budget,
        "threads": setting.threads,
        "tasks": [{"name": kind.name, "options": dict(options)}],
        "searchers": [{"name": searcher, "label": experiment.label, "settings": settings}],
    }
    return make_sweep(content, f"report {experiment.report}, experiment {experiment.label!r}")


def joined(sweeps: Sequence[Sweep]) -> Sweep:
    """Return one sweep of all studies, repetition by repetition; its text has one document for each sweep."""
    studies = [study for sweep in sweeps for study in sweep.studies]
    return replace(
        sweeps[0],
        text="---\n".join(sweep.text for sweep in sweeps),
        tasks={label: task for sweep in sweeps for label, task in sweep.tasks.items()},
        studies=sorted(studies, key=lambda study: study.key.repetition),
    )


def with_given(
    entry: Entry,
    name: str,
    setting: Setting,
    options: Mapping[str, Any],
    given: Mapping[int, Mapping[str, Any]],
) -> Sweep:
    """Return the studies that evaluate, in each repetition, what is given to the searcher `references` there."""
    sweeps = {
        repetition: sweep_of(name, setting, type(entry.task), entry.experiment, options, given=settings)
        for repetition, settings in given.items()
    }
    studies = [
        next(study for study in sweep.studies if study.key.repetition == repetition)
        for repetition, sweep in sweeps.items()
    ]
    return replace(joined(list(sweeps.values())), studies=studies)


def options_of(entry: Entry) -> dict[str, Any]:
    """Return the options of an experiment's task, ``variant`` excepted."""
    return {name: value for name, value in entry.task.options.as_json().items() if name != "variant"}
