"""Sweeps: the YAML file a user writes, checked as a whole before anything is trained, and its studies."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from harness import registry
from harness.arithmetic import Arithmetic
from harness.errors import DerbyError, SweepError, UnknownNameError, nearest
from harness.keys import StudyKey
from harness.plan import Plan, StudyPlan, TaskPlan
from harness.task import Task
from harness.trial import Budget, Fidelity

FieldPath = tuple[str | int, ...]
"""A path into a YAML document: keys and list positions."""


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class BudgetSpec(_Model):
    """What each study may spend: exactly one of the three."""

    evaluations: int | None = Field(None, ge=1, description="proposals evaluated")
    epochs: int | None = Field(None, ge=1, description="epochs trained")
    full: int | None = Field(None, ge=1, description="epochs worth this many evaluations at full fidelity")

    @model_validator(mode="after")
    def _exactly_one(self) -> BudgetSpec:
        if len(self.model_fields_set) != 1:
            raise ValueError("give exactly one of evaluations, epochs and full, such as {evaluations: 60}")
        return self

    def resolve(self, fidelity: Fidelity) -> Budget:
        """Return the budget on a task."""
        if self.evaluations is not None:
            return Budget("evaluations", self.evaluations)
        return Budget("epochs", self.epochs if self.epochs is not None else (self.full or 0) * fidelity.high)


class TaskSpec(_Model):
    """One task of a sweep: a name, or ``name/variant``, or a mapping."""

    name: str
    options: dict[str, Any] = Field({}, description="the task's options, variant among them")
    budget: BudgetSpec | None = Field(None, description="overrides the sweep's budget on this task")

    @model_validator(mode="before")
    @classmethod
    def _short(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        name, slash, variant = value.partition("/")
        return {"name": name, "options": {"variant": variant} if slash else {}}


class SearcherSpec(_Model):
    """One searcher of a sweep: a name, or a mapping."""

    name: str
    label: str | None = Field(
        None, min_length=1, max_length=40, description="name in figures; the name by default"
    )
    settings: dict[str, Any] = Field({}, description="the searcher's settings")

    @model_validator(mode="before")
    @classmethod
    def _short(cls, value: Any) -> Any:
        return {"name": value} if isinstance(value, str) else value


class SweepSpec(_Model):
    """A sweep file."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,79}$")]
    description: str = ""
    seed: int = Field(0, ge=0, description="root seed, from which every other seed derives")
    repetitions: int = Field(..., ge=1, description="seeded repetitions of every searcher on every task")
    budget: BudgetSpec
    workers: int = Field(1, ge=1, description="virtual workers of each study")
    threads: int = Field(1, ge=1, description="threads of one evaluation")
    deadline: float | None = Field(None, gt=0, strict=False, description="seconds one evaluation may take")
    arithmetic: Arithmetic = Field(
        Arithmetic.PORTABLE,
        strict=False,
        description="portable: the same numbers on every processor; native: whatever the libraries choose",
    )
    tasks: list[TaskSpec] = Field(..., min_length=1)
    searchers: list[SearcherSpec] = Field(..., min_length=1)


@dataclass(frozen=True, slots=True)
class PlannedStudy:
    """A study of a sweep and its labels."""

    key: StudyKey
    task: str
    searcher: str

    @property
    def label(self) -> str:
        """A name for people."""
        return f"{self.searcher} on {self.task}, repetition {self.key.repetition}"


@dataclass(frozen=True, slots=True)
class Sweep:
    """A checked sweep.

    Attributes:
        spec: What the file says.
        text: The file itself.
        tasks: The tasks by label, in the file's order.
        studies: All studies, repetition by repetition, so that what is done first is comparable.
    """

    spec: SweepSpec
    text: str
    tasks: Mapping[str, Task]
    studies: Sequence[PlannedStudy]

    @property
    def name(self) -> str:
        """The sweep's name."""
        return self.spec.name

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
                    subset=task.on_subset,
                    regret_best=task.regret.best if task.regret else None,
                    regret_reference=task.regret.reference if task.regret else None,
                )
                for label, task in self.tasks.items()
            },
            studies=[
                StudyPlan(study.key.id, study.task, study.searcher, study.key.repetition)
                for study in self.studies
            ],
        )


def load_sweep(path: Path) -> Sweep:
    """Read and check a sweep file.

    Raises:
        SweepError: The file is unusable; the message lists every problem found with file, line and
            field, and the nearest valid name where a name is unknown.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SweepError(f"cannot read sweep file {path}: {error}") from error
    return parse_sweep(text, str(path))


def parse_sweep(text: str, origin: str) -> Sweep:
    """Check the text of a sweep file; ``origin`` names it in messages. Raises as `load_sweep` does."""
    value, lines = _read_yaml(text, origin)
    return _checked(value, text, _Problems(origin, lines))


def make_sweep(value: Mapping[str, Any], origin: str) -> Sweep:
    """Check a sweep that is given as the content of a sweep file; ``origin`` names it in messages.

    Raises:
        SweepError: It is unusable; the message lists every problem found with its field.
    """
    text = yaml.safe_dump(dict(value), sort_keys=False, allow_unicode=True)
    return _checked(value, text, _Problems(origin, {}))


def _checked(value: Any, text: str, problems: _Problems) -> Sweep:
    try:
        spec = SweepSpec.model_validate(value)
    except ValidationError as error:
        problems.add_validation(error, (), SweepSpec)
        problems.raise_if_any()
        raise  # unreachable: a validation error always holds a problem
    tasks = _tasks(spec, problems)
    studies = _studies(spec, tasks, problems)
    problems.raise_if_any()
    return Sweep(spec, text, {label: task for label, (task, _) in tasks.items()}, studies)


def _tasks(spec: SweepSpec, problems: _Problems) -> dict[str, tuple[Task, Budget]]:
    """Build the tasks by label with their budgets."""
    tasks: dict[str, tuple[Task, Budget]] = {}
    for i, entry in enumerate(spec.tasks):
        place: FieldPath = ("tasks", i)
        try:
            kind = registry.task(entry.name)
        except UnknownNameError as error:
            problems.add((*place, "name"), str(error))
            continue
        try:
            task = kind(**entry.options)
        except ValidationError as error:
            problems.add_validation(error, (*place, "options"), kind.Options)
            continue
        try:
            kind.require_libraries()
        except DerbyError as error:
            problems.add(place, str(error))
        label = task.label
        if label in tasks:
            problems.add(place, f"task {label!r} is listed twice")
        tasks[label] = (task, (entry.budget or spec.budget).resolve(task.fidelity))
    return tasks


def _studies(
    spec: SweepSpec, tasks: Mapping[str, tuple[Task, Budget]], problems: _Problems
) -> list[PlannedStudy]:
    """Cross searchers, tasks and repetitions, refusing what cannot work."""
    usable: list[tuple[SearcherSpec, dict[str, Any], str]] = []
    labels: Counter[str] = Counter()
    for i, entry in enumerate(spec.searchers):
        place: FieldPath = ("searchers", i)
        try:
            kind = registry.searcher(entry.name)
        except UnknownNameError as error:
            problems.add((*place, "name"), str(error))
            continue
        try:
            settings = kind.Settings(**entry.settings)
        except ValidationError as error:
            problems.add_validation(error, (*place, "settings"), kind.Settings)
            continue
        label = entry.label or entry.name
        labels[label] += 1
        if labels[label] == 2:
            problems.add(place, f"label {label!r} is used twice; give each of them a `label:` of its own")
        try:
            kind.require_libraries()
        except DerbyError as error:
            problems.add(place, str(error))
        if spec.workers > 1 and not kind.parallel:
            problems.add(place, f"searcher {label!r} proposes one at a time; it needs workers: 1")
        for task_label, (task, budget) in tasks.items():
            for reason in kind.incompatibilities(task.problem, budget, settings):
                problems.add(place, f"searcher {label!r} cannot search task {task_label!r}: {reason}")
        usable.append((entry, settings.as_json(), label))
    return [
        PlannedStudy(
            StudyKey(
                task=task.key,
                searcher=entry.name,
                settings=settings,
                budget=budget,
                workers=spec.workers,
                repetition=repetition,
                root_seed=spec.seed,
                deadline=spec.deadline,
                arithmetic=spec.arithmetic,
            ),
            task_label,
            label,
        )
        for repetition in range(spec.repetitions)
        for task_label, (task, budget) in tasks.items()
        for entry, settings, label in usable
    ]


class _Problems:
    """Collects everything wrong with a sweep file, so that one run shows it all."""

    def __init__(self, origin: str, lines: Mapping[FieldPath, int]) -> None:
        self._origin = origin
        self._lines = lines
        self._found: list[tuple[int, str]] = []

    def add(self, place: FieldPath, message: str) -> None:
        known = place
        while known and known not in self._lines:
            known = known[:-1]
        line = self._lines.get(known, 0)
        where = f"{self._origin}, line {line}" if line else self._origin  # what is no file has no lines
        name = re.sub(r"\.(\d+)", r"[\1]", ".".join(str(part) for part in place)) or "the file"
        self._found.append((line, f"{where}, {name}: {message}"))

    def add_validation(self, error: ValidationError, prefix: FieldPath, model: type[BaseModel]) -> None:
        for problem in error.errors():
            place = (*prefix, *problem["loc"])
            match problem["type"]:
                case "extra_forbidden":
                    valid = _fields_at(model, problem["loc"][:-1])
                    message = f"unknown field; {nearest(str(place[-1]), valid)}"
                case "missing":
                    message = "this field is required"
                case _:
                    text = problem["msg"].removeprefix("Value error, ")
                    message = f"{text[:1].lower()}{text[1:]}, got {problem['input']!r}"
            self.add(place, message)

    def raise_if_any(self) -> None:
        if self._found:
            raise SweepError(
                "\n".join(message for _, message in sorted(self._found, key=lambda found: found[0]))
            )


_NESTED: Mapping[str, type[BaseModel]] = {"budget": BudgetSpec, "tasks": TaskSpec, "searchers": SearcherSpec}


def _fields_at(model: type[BaseModel], place: FieldPath) -> list[str]:
    """Names of the fields allowed at a place below a model."""
    for part in place:
        model = _NESTED.get(str(part), model)
    return list(model.model_fields)


def _read_yaml(text: str, origin: str) -> tuple[Any, dict[FieldPath, int]]:
    """Return a YAML document as plain values, and the line of every place in it."""
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        if root is None:
            raise SweepError(
                f"{origin}: the file is empty; expected a sweep with name, budget, tasks, searchers"
            )
        lines: dict[FieldPath, int] = {}
        _collect_lines(root, (), lines, origin)
        return yaml.safe_load(text), lines
    except yaml.YAMLError as error:
        mark: yaml.Mark | None = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        raise SweepError(
            f"{origin}{line}: not valid YAML: {getattr(error, 'problem', None) or error}"
        ) from error


def _collect_lines(node: yaml.Node, place: FieldPath, lines: dict[FieldPath, int], origin: str) -> None:
    lines.setdefault(place, node.start_mark.line + 1)
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            line = key.start_mark.line + 1
            if key.value in seen:
                raise SweepError(f"{origin}, line {line}, {key.value}: this field is given twice")
            seen.add(key.value)
            lines[(*place, key.value)] = line
            _collect_lines(value, (*place, key.value), lines, origin)
    elif isinstance(node, yaml.SequenceNode):
        for i, value in enumerate(node.value):
            _collect_lines(value, (*place, i), lines, origin)
