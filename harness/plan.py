"""What a sweep is to do, as the record keeps it: its studies, and what analysis needs of its tasks."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Collection, Sequence
from typing import Annotated, Literal

import msgspec

from harness.keys import GROUP, NAME
from harness.trial import Budget, Unit, unit_in_words

_Positive = Annotated[int, msgspec.Meta(ge=1, le=1 << 53)]


class TaskPlan(msgspec.Struct, frozen=True):
    """What analysis needs of a task; `results.columns` says what each is."""

    name: Annotated[str, msgspec.Meta(pattern=f"^{NAME}$")]
    source: str
    metric: str
    test_metric: str | None
    direction: Literal["min", "max"]
    failure: float
    full_epochs: _Positive
    budget_unit: Unit
    budget_amount: _Positive | Annotated[float, msgspec.Meta(gt=0)]
    budget_full_cost: float
    cost_unit: str
    subset: bool
    data: str
    regret_best: float | None
    regret_reference: float | None
    group: Annotated[str, msgspec.Meta(pattern=f"^({GROUP})?$")] = ""
    replayed: str = ""

    @property
    def budget(self) -> Budget:
        """What each study may spend."""
        return Budget(self.budget_unit, self.budget_amount, self.budget_full_cost)

    @property
    def unit(self) -> str:
        """What its budget is counted in, in words."""
        return unit_in_words(self.budget_unit, self.cost_unit)

    def __post_init__(self) -> None:
        _ = self.budget  # which refuses what contradicts itself


Splits = Literal["fixed", "repetition"]
"""Whose training/validation split is used: the task's own, or one that each repetition draws."""


class Compare(msgspec.Struct, frozen=True):
    """What a sweep is to compare, as its file says.

    Args:
        methods: Labels of the searchers compared, at least two, in the order of the sweep file.
        method: The one of them that is compared with each of the others; ``None``: every pair is.
        measure: ``final``: values at the end of the budget; ``anytime``: averages over it.
        level: Level of significance, over all these comparisons together.
        at: Parts of each task's budget after which final values are compared, ascending; 1 is its end.
    """

    methods: tuple[str, ...]
    method: str | None
    measure: Literal["final", "anytime"]
    level: Annotated[float, msgspec.Meta(gt=0, le=0.5)]
    at: tuple[Annotated[float, msgspec.Meta(gt=0, le=1)], ...] = (1.0,)

    def __post_init__(self) -> None:
        if len(set(self.methods)) != len(self.methods) or not self.pairs:
            raise ValueError(f"expected two or more different methods to compare, got {self.methods}")
        if self.method is not None and self.method not in self.methods:
            raise ValueError(f"{self.method!r} is none of the methods compared, {self.methods}")
        if not self.at or list(self.at) != sorted(set(self.at)):
            raise ValueError(f"expected ascending parts of the budget, got {self.at}")
        if self.measure == "anytime" and self.at != (1.0,):
            raise ValueError(f"anytime averages over the whole budget, not over parts of it, {self.at}")

    @property
    def pairs(self) -> tuple[tuple[str, str], ...]:
        """The comparisons."""
        if self.method is None:
            return tuple(itertools.combinations(self.methods, 2))
        return tuple((self.method, other) for other in self.methods if other != self.method)


class LeftOut(msgspec.Struct, frozen=True):
    """A method and a task that it cannot search, where the sweep file says that such pairs are left out.

    Args:
        task: Label of the task.
        searcher: Label of the searcher.
        reason: Why it cannot, in words.
    """

    task: str
    searcher: str
    reason: str


def left_out_words(pairs: Sequence[LeftOut], tasks: Collection[str] = ()) -> list[str]:
    """Return which tasks searchers have no studies of and why, in a sentence without its stop each.

    Searchers that lack the same tasks for the same reasons share one, and reasons that differ in what they name alone,
    such as in the parameter, stand once.

    Args:
        pairs: What is left out.
        tasks: Labels of all tasks, so that many can be named together.
    """
    own_pairs: dict[str, list[LeftOut]] = {}
    for pair in pairs:
        own_pairs.setdefault(pair.searcher, []).append(pair)
    alike: dict[tuple[str, ...], list[str]] = {}
    for searcher, own in own_pairs.items():
        parts = tuple(
            f"{tasks_in_words([pair.task for pair in found], tasks)} ({_reason(found)})"
            for found in _by_kind(own)
        )
        alike.setdefault(parts, []).append(searcher)
    return [f"{', '.join(searchers)} on {'; '.join(parts)}" for parts, searchers in alike.items()]


def refused_words(pairs: Sequence[LeftOut], tasks: Collection[str]) -> list[str]:
    """Return why a searcher cannot search some tasks, a sentence without its stop for each kind of reason.

    Args:
        pairs: The tasks and reasons, of one searcher; several of a task where it has several reasons.
        tasks: Labels of all tasks, so that many can be named together.
    """
    said = []
    for found in _by_kind(pairs):
        first, own = found[0], list(dict.fromkeys(pair.task for pair in found))
        where = f"task {first.task!r}" if len(own) == 1 else tasks_in_words(own, tasks)
        reasons = {pair.reason for pair in found}
        place = f"on {first.task}, " if len(own) > 1 and len(reasons) > 1 else ""
        more = f"; and {len(found) - 1} more of the kind" if len(reasons) > 1 else ""
        said.append(f"searcher {first.searcher!r} cannot search {where}: {place}{first.reason}{more}")
    return said


def _by_kind(pairs: Sequence[LeftOut]) -> list[list[LeftOut]]:
    """Return pairs whose reasons differ at most in what they name, such as in the parameter, together."""
    kinds: dict[str, list[LeftOut]] = {}
    for pair in pairs:
        kinds.setdefault(_QUOTED.sub("", pair.reason.partition("; and ")[0]), []).append(pair)
    return list(kinds.values())


def _reason(pairs: Sequence[LeftOut]) -> str:
    """Return the reason of pairs that differ in what it names at most."""
    first = pairs[0].reason
    if len({pair.reason for pair in pairs}) == 1:
        return first
    return f"on {pairs[0].task}, {first}; likewise on the others"


def tasks_in_words(own: Sequence[str], every: Collection[str] = ()) -> str:
    """Return the labels of tasks with commas between them, many of them together as far as they belong so.

    Args:
        own: Some tasks.
        every: All tasks of the sweep.

    Example:
        >>> tasks_in_words(["a/1", "a/2", "a/3", "b"], ["a/1", "a/2", "a/3", "b", "c"])
        'all 3 of a, b'
    """
    lacking = [task for task in every if task not in own]
    if len(own) > len(lacking) and len(own) > _MANY and len(lacking) <= _MANY:
        return f"all tasks but {', '.join(lacking)}" if lacking else f"all {len(own)} tasks"
    families = Counter(_family(task) for task in every)
    there = Counter(_family(task) for task in own)
    whole = {name for name, count in there.items() if 2 < count == families[name]}
    parts = dict.fromkeys(
        f"all {there[family]} of {family}" if (family := _family(task)) in whole else task for task in own
    )
    return ", ".join(parts)


_MANY = 4
"""Tasks that a sentence names one by one; more are named by those that are not among them, where these are few."""

_QUOTED = re.compile(r"'[^']*'(, '[^']*')*")


def _family(task: str) -> str:
    """Return the registered name in a task's label."""
    return task.partition("/")[0]


def study_label(searcher: str, task: str, repetition: int) -> str:
    """Name a study for people."""
    return f"{searcher} on {task}, repetition {repetition}"


class StudyPlan(msgspec.Struct, frozen=True):
    """A planned study.

    Args:
        study: Its id.
        task: Label of its task.
        searcher: Label of its searcher.
        repetition: 0-based.
    """

    study: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{16}$")]
    task: str
    searcher: str
    repetition: Annotated[int, msgspec.Meta(ge=0, le=1 << 53)]

    @property
    def label(self) -> str:
        """A name for people."""
        return study_label(self.searcher, self.task, self.repetition)


class BaselineStudy(StudyPlan, frozen=True):
    """A planned study that gives baselines; see `harness.baselines`. It is none of a method's, and never ranked.

    Args:
        budget_unit: What its budget is counted in.
        budget_amount: What it may spend, in that unit.
        budget_full_cost: See `harness.trial.Budget`.
        multiples: Of random search: at how many times the task's budget its incumbent is read.
        names: Of reference configurations: their names, in the order in which they are evaluated.
    """

    budget_unit: Unit
    budget_amount: _Positive | Annotated[float, msgspec.Meta(gt=0)]
    budget_full_cost: float
    multiples: tuple[_Positive, ...] = ()
    names: tuple[str, ...] = ()

    @property
    def budget(self) -> Budget:
        """What it may spend."""
        return Budget(self.budget_unit, self.budget_amount, self.budget_full_cost)


class KnownValue(msgspec.Struct, frozen=True):
    """A baseline that is known of a task; see `harness.task.Known`.

    Args:
        task: Label of the task.
        baseline: ``best`` or ``median``.
        value: Of the objective's metric.
        test: Of its test companion; ``None`` where there is none.
        about: What it is, in words.
    """

    task: str
    baseline: Literal["best", "median"]
    value: float
    test: float | None
    about: str


class Extends(msgspec.Struct, frozen=True):
    """What was published of a sweep before, none of whose studies are planned again; see `harness.extending`.

    Args:
        name: Its published name.
        digest: Digest of its manifest.
        studies: How many it has.
        told: Evaluations that were told in them.
        repetitions: Its repetitions, all of them complete.
        compare: What it was to compare.
    """

    name: Annotated[str, msgspec.Meta(pattern=f"^{NAME}$")]
    digest: str
    studies: _Positive
    told: _Positive
    repetitions: _Positive
    compare: Compare | None = None


class Plan(msgspec.Struct, frozen=True):
    """A sweep's plan.

    Args:
        name: The sweep's name.
        threads: Threads of one evaluation.
        arithmetic: Declared arithmetic.
        tasks: Its tasks by label, in the order of the sweep file.
        studies: Its studies, in the order planned.
        reevaluate: With how many fresh seeds each study's winner is evaluated again; see `harness.reevaluation`.
        splits: Whether each repetition draws its own training/validation split.
        compare: What is to be compared; ``None`` where the sweep file does not say.
        baselines: The studies that give its baselines, which are none of ``studies``.
        known: The baselines that are known and need no study.
        left_out: Methods and tasks without studies, because the method cannot search the task.
        extends: What is published of it, which is not planned again; ``None`` where all is planned here.

    Raises:
        ValueError: A study is of a task that is not planned or of a pair that is left out, or a searcher's repetition
            on a task is planned twice.
    """

    name: str
    threads: _Positive
    arithmetic: str
    tasks: dict[str, TaskPlan]
    studies: list[StudyPlan]
    reevaluate: Annotated[int, msgspec.Meta(ge=0, le=1 << 53)] = 0
    splits: Splits = "fixed"
    compare: Compare | None = None
    baselines: list[BaselineStudy] = []
    known: list[KnownValue] = []
    left_out: list[LeftOut] = []
    extends: Extends | None = None

    @property
    def every_study(self) -> list[StudyPlan]:
        """The studies of the methods, and those that give baselines."""
        return [*self.studies, *self.baselines]

    def budget_of(self, study: StudyPlan) -> Budget:
        """Return what one of its studies may spend."""
        return study.budget if isinstance(study, BaselineStudy) else self.tasks[study.task].budget

    def unit_of(self, study: StudyPlan) -> str:
        """Return what that is counted in, in words."""
        return unit_in_words(self.budget_of(study).unit, self.tasks[study.task].cost_unit)

    @property
    def repetitions(self) -> int:
        """Repetitions planned."""
        return 1 + max((study.repetition for study in self.studies), default=-1)

    def __post_init__(self) -> None:
        seen: set[tuple[str, str, int]] = set()
        left_out = {(pair.task, pair.searcher) for pair in self.left_out}
        for study in self.every_study:
            if study.task not in self.tasks:
                raise ValueError(f"study {study.study} is of task {study.task!r}, which is not planned")
            if (study.task, study.searcher) in left_out:
                raise ValueError(f"{study.label}, is planned, and said to be left out")
            place = (study.task, study.searcher, study.repetition)
            if place in seen:
                raise ValueError(f"{study.label}, is planned twice")
            seen.add(place)
