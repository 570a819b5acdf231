"""The fields of a sweep file, each with its type, limits and meaning; `harness.sweep` checks what they name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from harness import document
from harness.arithmetic import Arithmetic
from harness.baselines import BASELINES_IN_WORDS, NAMES, multiple_of
from harness.errors import nearest
from harness.figure_fields import FiguresSpec
from harness.keys import NAME, NAME_IN_WORDS
from harness.plan import Splits

MOST_STUDIES: Final = 100_000
"""Repetitions × tasks × searchers; each study is a file of the record."""
MOST_LISTED: Final = 1000
"""Tasks of a sweep, and searchers."""
MOST_BUDGET: Final = 10**9
"""Evaluations or epochs of one study."""
LARGEST_COST: Final = 1e300
"""Of one study: more than anything costs, and less than what floats cannot hold."""
MOST_WORKERS: Final = 10_000
MOST_POINTS: Final = 20
"""Parts of the budget after which a planned comparison looks."""
MOST_THREADS: Final = 1024
MOST_REEVALUATIONS: Final = 1000
"""Fresh seeds for the winner of one study."""
LONGEST_DEADLINE: Final = 365 * 24 * 3600
"""Seconds."""
LARGEST_SEED: Final = 2**63 - 1


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class BudgetSpec(_Model):
    """What each study may spend: exactly one of these."""

    evaluations: int | None = Field(None, ge=1, le=MOST_BUDGET, description="proposals evaluated")
    epochs: int | None = Field(None, ge=1, le=MOST_BUDGET, description="epochs trained")
    full: int | None = Field(
        None, ge=1, le=MOST_BUDGET, description="epochs worth this many evaluations at full fidelity"
    )
    cost: float | None = Field(
        None, gt=0, le=LARGEST_COST, description="cost of the epochs trained, in the task's own unit"
    )
    seconds: float | None = Field(
        None, gt=0, le=LARGEST_COST, description="the same, of tasks that cost recorded seconds"
    )

    @model_validator(mode="after")
    def _exactly_one(self) -> BudgetSpec:
        given = [getattr(self, name) for name in self.model_fields_set]
        if len(given) != 1 or given[0] is None:
            raise ValueError(
                "give exactly one of evaluations, epochs, full, cost and seconds, such as {evaluations: 60}"
            )
        return self


class TaskSpec(_Model):
    """One task of a sweep: a name, or ``name/variant``, or a mapping."""

    name: str = Field(..., max_length=200)
    options: dict[str, Any] = Field({}, description="the task's options, variant among them")
    budget: BudgetSpec | None = Field(None, description="overrides the sweep's budget on this task")

    @model_validator(mode="before")
    @classmethod
    def _short(cls, value: Any) -> Any:
        return {"name": value} if isinstance(value, str) else value


class SearcherSpec(_Model):
    """One searcher of a sweep: a name, or a mapping."""

    name: str = Field(..., max_length=200)
    label: str | None = Field(
        None, min_length=1, max_length=40, description="name in figures; the name by default"
    )
    settings: dict[str, Any] = Field({}, description="the searcher's settings")

    @field_validator("label")
    @classmethod
    def _legible(cls, label: str | None) -> str | None:
        if label is not None:
            document.check_legible(label)
        return label

    @model_validator(mode="before")
    @classmethod
    def _short(cls, value: Any) -> Any:
        return {"name": value} if isinstance(value, str) else value


class CompareSpec(_Model):
    """What the sweep is to compare: some methods with each other, or one with others."""

    methods: list[str] | None = Field(None, min_length=2, description="labels; each is compared with each")
    method: str | None = Field(None, description="label of the method that is compared with others")
    against: list[str] | None = Field(None, min_length=1, description="their labels; all others by default")
    measure: Literal["final", "anytime"] = Field(
        "final", description="final: values at the end of the budget; anytime: averages over it"
    )
    level: float = Field(0.05, gt=0, le=0.5, description="level of significance of all comparisons together")
    at: list[Annotated[float, Field(gt=0, le=1)]] = Field(
        [1.0],
        min_length=1,
        max_length=MOST_POINTS,
        description="parts of each task's budget after which final values are compared, such as [0.2, 0.5, 1]",
    )

    @model_validator(mode="after")
    def _one_form(self) -> CompareSpec:
        if (self.methods is None) == (self.method is None) or (
            self.against is not None and self.method is None
        ):
            raise ValueError(
                "give methods, such as {methods: [a, b]}, or method and against, such as {method: a, against: [b]}"
            )
        if self.at != sorted(set(self.at)):
            raise ValueError("give the parts of the budget in at in ascending order, each once")
        if self.measure == "anytime" and self.at != [1.0]:
            raise ValueError(
                "measure: anytime averages over the whole budget; give at with measure: final only"
            )
        return self


def _baseline(name: str) -> str:
    """Return the name of a baseline, if it is one."""
    if name not in NAMES and multiple_of(name) is None:
        near = nearest(name, (*NAMES, "random_2x", "random_4x"))
        raise ValueError(f"expected one of {BASELINES_IN_WORDS}; {near}")
    return name


class SweepSpec(_Model):
    """A sweep file."""

    name: Annotated[str, Field(pattern=f"^{NAME}$", description=NAME_IN_WORDS)]
    description: str = ""
    seed: int = Field(0, ge=0, le=LARGEST_SEED, description="root seed, from which every other seed derives")
    repetitions: int = Field(
        ..., ge=1, le=MOST_STUDIES, description="seeded repetitions of every searcher on every task"
    )
    budget: BudgetSpec
    workers: int = Field(1, ge=1, le=MOST_WORKERS, description="virtual workers of each study")
    threads: int = Field(1, ge=1, le=MOST_THREADS, description="threads of one evaluation")
    deadline: float | None = Field(
        None, gt=0, le=LONGEST_DEADLINE, description="seconds one evaluation may take"
    )
    arithmetic: Arithmetic = Field(
        Arithmetic.PORTABLE,
        strict=False,
        description="portable: the same numbers on every processor; native: whatever the libraries choose",
    )
    splits: Splits = Field(
        "fixed",
        description="fixed: the tasks' own training/validation splits; repetition: each repetition draws its own, the "
        "same for all searchers",
    )
    incompatible: Literal["refuse", "leave_out"] = Field(
        "refuse",
        description="refuse: a method that cannot search one of the tasks is an error; leave_out: each method has "
        "studies of the tasks that it can search, and the pairs left out are named",
    )
    compare: CompareSpec | None = Field(
        None, description="what is to be compared, said before there are results"
    )
    baselines: list[Annotated[str, AfterValidator(_baseline)]] = Field(
        [],
        max_length=20,
        description="what methods must beat, drawn and never ranked: references, random_2x, random_4x, best, median",
    )
    reevaluate: int = Field(
        0,
        ge=0,
        le=MOST_REEVALUATIONS,
        description="fresh seeds with which each study's winner is trained again",
    )
    figures: FiguresSpec | None = Field(
        None,
        description="how figures are drawn; no study's identity knows it, and it may be changed at any time",
    )
    tasks: list[TaskSpec] = Field(..., min_length=1, max_length=MOST_LISTED)
    searchers: list[SearcherSpec] = Field(..., min_length=1, max_length=MOST_LISTED)

    @field_validator("baselines")
    @classmethod
    def _once_each(cls, names: list[str]) -> list[str]:
        twice = [name for i, name in enumerate(names) if name in names[:i]]
        if twice:
            raise ValueError(f"baseline {twice[0]!r} is listed twice; list each once")
        return names


@dataclass(frozen=True, slots=True)
class Content:
    """What of a sweep file can be checked against what there is: all of it, or what is readable of it.

    Attributes:
        tasks: Tasks, each with its place in the list.
        searchers: Searchers, each with its place in the list.
        budget: The budget; ``None`` where it is not readable.
        workers: Virtual workers.
        splits: What the file says of them.
        compare: What is to be compared; ``None`` also where not all searchers are readable.
        figures: How figures are drawn; ``None`` also where not all tasks and searchers are readable.
        baselines: The baselines; none where they are not readable.
        incompatible: What becomes of a method and a task that it cannot search.
    """

    tasks: Sequence[tuple[int, TaskSpec]]
    searchers: Sequence[tuple[int, SearcherSpec]]
    budget: BudgetSpec | None
    workers: int = 1
    splits: str = "fixed"
    compare: CompareSpec | None = None
    figures: FiguresSpec | None = None
    baselines: Sequence[str] = ()
    incompatible: str = "refuse"

    @classmethod
    def of(cls, spec: SweepSpec) -> Content:
        """Return the content of a file whose fields are all valid."""
        tasks, searchers = list(enumerate(spec.tasks)), list(enumerate(spec.searchers))
        about = (spec.budget, spec.workers, spec.splits, spec.compare, spec.figures, spec.baselines)
        return cls(tasks, searchers, *about, spec.incompatible)

    @classmethod
    def readable(cls, value: Any) -> Content:
        """Return what is valid of a file that has wrong fields."""
        fields = value if isinstance(value, Mapping) else {}
        tasks, searchers = (
            _entries(TaskSpec, fields.get("tasks")),
            _entries(SearcherSpec, fields.get("searchers")),
        )
        workers, splits = fields.get("workers"), fields.get("splits")
        listed, named = fields.get("searchers"), fields.get("tasks")
        all_readable = isinstance(listed, list) and 0 < len(searchers) == len(listed)
        all_tasks = isinstance(named, list) and 0 < len(tasks) == len(named)
        return cls(
            tasks,
            searchers,
            _valid(BudgetSpec, fields.get("budget")),
            workers if type(workers) is int else 1,
            splits if isinstance(splits, str) else "fixed",
            _valid(CompareSpec, fields.get("compare")) if all_readable else None,
            _valid(FiguresSpec, fields.get("figures")) if all_readable and all_tasks else None,
            _names(fields.get("baselines")),
            "leave_out" if fields.get("incompatible") == "leave_out" else "refuse",
        )


_Entry = TypeVar("_Entry", bound=BaseModel)


def _valid(model: type[_Entry], value: Any) -> _Entry | None:
    """Return what a value says; ``None`` where it is not valid, which has been said."""
    try:
        return model.model_validate(value)
    except ValidationError:
        return None


def _names(value: Any) -> Sequence[str]:
    """Return the baselines of a list that names nothing else; none of any other."""
    listed = value if isinstance(value, list) else []
    known = all(isinstance(name, str) and (name in NAMES or multiple_of(name)) for name in listed)
    return listed if known else ()


def _entries(model: type[_Entry], value: Any) -> list[tuple[int, _Entry]]:
    """Return the valid entries of a list, each with its place."""
    if not isinstance(value, list) or len(value) > MOST_LISTED:
        return []
    read = ((i, _valid(model, entry)) for i, entry in enumerate(value))
    return [(i, entry) for i, entry in read if entry is not None]
