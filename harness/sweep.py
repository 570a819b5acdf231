"""Sweeps: the YAML file a user writes, checked as a whole before anything is trained, and its studies."""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from harness import baseline_searches, document, figure_fields, files, registry
from harness.baselines import PREFIX
from harness.budgets import Budgeted, with_budget
from harness.checks import check_task, folder_kept
from harness.errors import (
    DerbyError,
    Interruption,
    SweepError,
    UnknownNameError,
    refusal,
    said,
)
from harness.options import Options
from harness.plan import Compare, Extends, LeftOut, Plan, StudyPlan, TaskPlan, refused_words
from harness.searcher import Searcher
from harness.sweep_compare import compare_of, label_of
from harness.sweep_fields import (
    MOST_STUDIES,
    Content,
    SweepSpec,
)
from harness.sweep_problems import Problems
from harness.sweep_studies import Method, PlannedStudy, baselines_of, studies_of
from harness.task import Task


@dataclass(frozen=True, slots=True)
class Sweep:
    """A checked sweep.

    Attributes:
        spec: What the file says.
        text: The file itself.
        tasks: The tasks by label, in the file's order.
        studies: All studies, repetition by repetition, so that what is done first is comparable.
        compare: What is to be compared; ``None`` where the file does not say.
        baselines: The studies that give its baselines, none of them in ``studies``: run once no other is left to begin.
        left_out: Methods and tasks that they cannot search, where the file has these left out; in the file's order.
        extends: What is published of it, where these are only its other studies; see `harness.extending`.
    """

    spec: SweepSpec
    text: str
    tasks: Mapping[str, Task]
    studies: Sequence[PlannedStudy]
    compare: Compare | None = None
    baselines: Sequence[PlannedStudy] = ()
    left_out: Sequence[LeftOut] = ()
    extends: Extends | None = None

    @property
    def name(self) -> str:
        """The sweep's name."""
        return self.spec.name

    @property
    def every_study(self) -> Sequence[PlannedStudy]:
        """The studies of the methods, then those that give baselines."""
        return [*self.studies, *self.baselines]

    @property
    def sources(self) -> dict[str, str]:
        """What the users' files hold that its tasks and searchers come from, by their origin, in its order."""
        origins = [study.key.task.package for study in self.studies]
        origins += [study.key.searcher_file for study in self.studies]
        found = {origin: files.source_named(origin) for origin in dict.fromkeys(origins)}
        return {origin: source.text for origin, source in found.items() if source is not None}

    def only(self, ids: Collection[str]) -> Sweep:
        """Return some of its studies as a sweep, with their tasks and the baselines of these.

        Args:
            ids: Ids of studies, of methods and of baselines.
        """
        studies = [study for study in self.studies if study.key.id in ids]
        labels = {study.task for study in studies}
        return replace(
            self,
            tasks={label: task for label, task in self.tasks.items() if label in labels},
            studies=studies,
            baselines=[each for each in self.baselines if each.key.id in ids and each.task in labels],
            left_out=[pair for pair in self.left_out if pair.task in labels],
        )

    def as_plan(self) -> Plan:
        """Return what the record keeps: the studies, and what analysis needs of the tasks."""
        budgets = {study.task: study.key.budget for study in self.studies}
        return Plan(
            name=self.name,
            threads=self.spec.threads,
            arithmetic=self.spec.arithmetic.value,
            tasks={
                label: TaskPlan(
                    name=task.name,
                    source=task.source,
                    metric=task.objective.metric,
                    test_metric=task.objective.test_metric,
                    direction=task.objective.direction,
                    failure=task.objective.failure,
                    full_epochs=task.fidelity.high,
                    budget_unit=budgets[label].unit,
                    budget_amount=budgets[label].amount,
                    budget_full_cost=budgets[label].full_cost,
                    cost_unit=task.cost_unit,
                    subset=task.on_subset,
                    data=task.key.data,
                    regret_best=task.regret.best if task.regret else None,
                    regret_reference=task.regret.reference if task.regret else None,
                    group=task.group,
                    replayed=task.replayed,
                )
                for label, task in self.tasks.items()
            },
            studies=[
                StudyPlan(study.key.id, study.task, study.searcher, study.key.repetition)
                for study in self.studies
            ],
            splits=self.spec.splits,
            compare=self.compare,
            reevaluate=self.spec.reevaluate,
            baselines=[
                study.baseline.planned(study.key.id, study.task, study.key.repetition)
                for study in self.baselines
                if study.baseline is not None
            ],
            known=baseline_searches.known_values(self.spec.baselines, self.tasks),
            left_out=list(self.left_out),
            extends=self.extends,
        )


def load_sweep(path: Path) -> Sweep:
    """Read and check a sweep file.

    Raises:
        SweepError: The file is unusable; the message lists every problem found with file, line and
            field, and the nearest valid name where a name is unknown.
    """
    return _checked(*_read(_loaded(path), str(path)))


def sweep_name(path: Path) -> str:
    """Return the name that a sweep file gives; its tasks, and their data, may be missing here.

    Raises:
        SweepError: A field of the file is unusable.
    """
    value, problems, _ = _read(_loaded(path), str(path))
    spec = _spec(value, problems)
    problems.raise_if_any()
    return spec.name


def parse_sweep(text: str, origin: str) -> Sweep:
    """Check the text of a sweep file; ``origin`` names it in messages. Raises as `load_sweep` does."""
    return _checked(*_read(document.read(text), origin))


def make_sweep(value: Mapping[str, Any], origin: str, *, runnable: bool = True) -> Sweep:
    """Check a sweep that is given as the content of a sweep file.

    Args:
        value: The content.
        origin: Names it in messages.
        runnable: Whether all of it is to be run here. Else methods are taken whose libraries are not installed, without
            a look at what they can search.

    Raises:
        SweepError: It is unusable; the message lists every problem found with its field.
    """
    return _checked(value, Problems(origin, {}), document.write(value), runnable=runnable)


def _loaded(path: Path) -> document.Document:
    try:
        return document.load(path)
    except OSError as error:
        raise SweepError(
            f"cannot read sweep file {path}: {refusal(error)}; a path is relative to the folder that derby runs in"
        ) from error


def _read(read: document.Document, origin: str) -> tuple[Any, Problems, str]:
    """Return a document's value, the problems of reading it, and its text."""
    if read.value is None:
        raise SweepError(f"{origin}: the file is empty; expected a sweep with name, budget, tasks, searchers")
    problems = Problems(origin, read.lines)
    for line, place, message in read.problems:
        problems.add_at(line, place, message)
    if isinstance(read.value, document.Unreadable):
        problems.raise_if_any()
    return read.value, problems, read.text


def _spec(value: Any, problems: Problems) -> SweepSpec:
    """Return what the fields of a sweep file say, whatever the tasks and searchers they name."""
    try:
        return SweepSpec.model_validate(value)
    except ValidationError as error:
        problems.add_validation(error, (), SweepSpec)
        problems.raise_if_any()
        raise  # unreachable: a validation error always holds a problem


def _checked(value: Any, problems: Problems, text: str, *, runnable: bool = True) -> Sweep:
    try:
        spec = SweepSpec.model_validate(value)
    except ValidationError as error:
        problems.add_validation(error, (), SweepSpec)
        _check(Content.readable(value), problems)  # what it names may be wrong, too
        problems.raise_if_any()
        raise  # unreachable: a validation error always holds a problem
    # Of baselines at most two: the references, and random search.
    number = spec.repetitions * len(spec.tasks) * (len(spec.searchers) + min(len(spec.baselines), 2))
    if number > MOST_STUDIES:
        product = f"{spec.repetitions} × {len(spec.tasks)} × {len(spec.searchers)} studies"
        product += " with their baselines" if spec.baselines else ""
        problems.add(("repetitions",), f"{product} are more than the {MOST_STUDIES} of a sweep")
    tasks, searchers, compare, left_out = _check(Content.of(spec), problems, runnable=runnable)
    problems.raise_if_any()
    pairs = {(pair.task, pair.searcher) for pair in left_out}
    studies, baselines = studies_of(spec, tasks, searchers, pairs), baselines_of(spec, tasks)
    own = {label: budgeted.task for label, budgeted in tasks.items()}
    return Sweep(spec, text, own, studies, compare, baselines, left_out)


def _check(
    content: Content, problems: Problems, *, runnable: bool = True
) -> tuple[dict[str, Budgeted], list[Method], Compare | None, list[LeftOut]]:
    """Return the tasks, searchers, comparison and pairs left out of a sweep, and add what is wrong with them."""
    tasks = _tasks(content, problems)
    unsplit = [label for label, own in tasks.items() if not own.task.draws_splits]
    if content.splits == "repetition" and unsplit:
        named = ", ".join(map(repr, unsplit))
        problems.add(
            ("splits",),
            f"no training/validation split can be drawn of {'task' if len(unsplit) == 1 else 'tasks'} {named}; leave "
            "these out, or use splits: fixed",
        )
    searchers, left_out = _searchers(content, tasks, problems, runnable=runnable)
    _check_figures(content, tasks, problems)
    if tasks:
        for i, message in baseline_searches.problems(content.baselines, tasks):
            problems.add(("baselines", i), message)
    without = {(pair.task, pair.searcher) for pair in left_out}
    for label in tasks:
        if searchers and all((label, method.label) in without for method in searchers):
            problems.add(("tasks",), f"no searcher of this sweep can search task {label!r}; leave it out")
    compare = compare_of(content.compare, [label_of(entry) for _, entry in content.searchers], problems)
    for one, other in compare.pairs if compare is not None else ():
        if tasks and all((label, one) in without or (label, other) in without for label in tasks):
            problems.add(
                ("compare",), f"{one!r} and {other!r} can search no task in common to be compared on"
            )
    return tasks, searchers, compare, left_out


def _check_figures(content: Content, tasks: Mapping[str, Budgeted], problems: Problems) -> None:
    """Refuse what the block of figures names and the sweep does not have, where all labels are known."""
    if content.figures is None or len(tasks) < len(content.tasks):
        return
    labels = [label_of(entry) for _, entry in content.searchers]
    for place, message in figure_fields.unknown(content.figures, labels, list(tasks)):
        problems.add(("figures", *place), message)


def alike(label: str) -> str:
    """Return what labels have in common that look alike, on a page, too."""
    return " ".join(unicodedata.normalize("NFKC", label).split())


def _tasks(content: Content, problems: Problems) -> dict[str, Budgeted]:
    """Build the tasks by label with their budgets."""
    tasks: dict[str, Budgeted] = {}
    for i, entry in content.tasks:
        place: document.FieldPath = ("tasks", i)
        try:
            kind, options = registry.named_task(entry.name, entry.options)
        except UnknownNameError as error:
            problems.add((*place, "name"), str(error))
            continue
        except DerbyError as error:
            problems.add(place, str(error))
            continue
        try:
            kind.Options.model_validate(options)
            if not document.is_whole(options):
                continue
            task = kind(**options)
            document.check_legible(label := task.label)
        except ValidationError as error:
            problems.add_validation(error, (*place, "options"), kind.Options)
            continue
        except Interruption:
            raise
        except (DerbyError, ValueError) as error:
            problems.add((*place, "options"), str(error) if isinstance(error, DerbyError) else said(error))
            continue
        except BaseException as error:  # noqa: BLE001 - the boundary: code of others
            problems.add(place, f"task {entry.name!r} cannot be made: {said(error)}")
            continue
        try:
            kind.require_libraries()
            with folder_kept():
                check_task(task)
            budget = entry.budget or content.budget
            budgeted = None if budget is None else with_budget(task, budget)
        except Interruption:
            raise
        except DerbyError as error:
            own = () if entry.budget is None else place
            problems.add((*own, "budget") if isinstance(error, SweepError) else place, str(error))
            continue
        except BaseException as error:  # noqa: BLE001 - as above
            problems.add(place, f"task {entry.name!r} cannot be used: {said(error)}")
            continue
        if label in tasks:
            problems.add(
                place,
                f"task {label!r} is listed twice; of two files that call a task so, one needs another `name`",
            )
        if budgeted is not None:
            tasks[label] = budgeted
    return tasks


def _searchers(
    content: Content, tasks: Mapping[str, Budgeted], problems: Problems, *, runnable: bool
) -> tuple[list[Method], list[LeftOut]]:
    """Return the searchers and the pairs that the file has left out, refusing what cannot work."""
    usable: list[Method] = []
    left_out: list[LeftOut] = []
    labels: set[str] = set()
    for i, entry in content.searchers:
        place: document.FieldPath = ("searchers", i)
        try:
            kind = registry.named_searcher(entry.name)
        except DerbyError as error:
            problems.add((*place, "name"), str(error))
            continue
        try:
            settings = kind.Settings.model_validate(entry.settings)
        except ValidationError as error:
            problems.add_validation(error, (*place, "settings"), kind.Settings)
            continue
        except Interruption:
            raise
        except BaseException as error:  # noqa: BLE001 - the boundary: code of others
            problems.add(place, f"the settings of searcher {entry.name!r} cannot be checked: {said(error)}")
            continue
        if not document.is_whole(entry.settings):
            continue
        label = label_of(entry)
        if alike(label) in labels:
            problems.add(place, f"label {label!r} is used twice; give each of them a `label:` of its own")
        labels.add(alike(label))
        if content.baselines and alike(label).startswith(PREFIX):
            problems.add(
                place,
                f"label {label!r} begins as those of baselines do, {PREFIX!r}; give it another `label:`",
            )
        searched = tasks
        try:
            kind.require_libraries()
        except DerbyError as error:
            if runnable:
                problems.add(place, str(error))
            else:
                searched = {}
        if content.workers > 1 and not kind.asks_ahead(settings):
            problems.add(place, f"searcher {label!r} proposes one at a time; it needs workers: 1")
        obstacles = {task_label: _obstacles(kind, own, settings) for task_label, own in searched.items()}
        obstacles = {task_label: reasons for task_label, reasons in obstacles.items() if reasons}
        if content.incompatible == "leave_out" and len(obstacles) < len(tasks):
            left_out += [
                LeftOut(task_label, label, _briefly(reasons)) for task_label, reasons in obstacles.items()
            ]
        else:
            every = [
                LeftOut(task_label, label, reason)
                for task_label, reasons in obstacles.items()
                for reason in reasons
            ]
            for words in refused_words(every, tasks):
                problems.add(place, words)
        usable.append(Method(kind.name, files.origin_of(kind), kind.version, settings.as_json(), label))
    return usable, left_out


def _briefly(reasons: Sequence[str]) -> str:
    """Return why a searcher cannot search a task, of many reasons the first."""
    more = len(reasons) - 1
    return f"{reasons[0]}{f'; and {more} more of the kind' if more else ''}"


def _obstacles(kind: type[Searcher], own: Budgeted, settings: Options) -> list[str]:
    """Return why a searcher cannot search a task under a budget."""
    try:
        reasons = list(kind.incompatibilities(own.task.problem, own.budget, settings))
        least = kind.least_epochs(own.task.problem, own.budget, settings)
    except Interruption:
        raise
    except BaseException as error:  # noqa: BLE001 - the boundary: code of others
        return [f"asked whether it can, it failed: {said(error)}"]
    return reasons or own.too_small_for(least)
