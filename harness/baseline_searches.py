"""Which searches give a sweep's baselines on a task, and what of the baselines no task has."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from harness import registry
from harness.baselines import BEST, MEDIAN, PREFIX, REFERENCES, multiple_of, multiples_of, random_name
from harness.budgets import Budgeted
from harness.plan import BaselineStudy, KnownValue
from harness.plurals import plural
from harness.sweep_fields import LARGEST_COST, MOST_BUDGET
from harness.task import Task
from harness.trial import Budget, amount_in_words, unit_in_words

if TYPE_CHECKING:
    from harness.sweep import Sweep

RANDOM: Final = "random"
"""The searcher of which baselines are read, with its default settings: with a larger budget it begins alike."""


@dataclass(frozen=True, slots=True)
class BaselineSearch:
    """A search that gives baselines on a task; see `harness.plan.BaselineStudy`.

    Attributes:
        label: Its label.
        searcher: Registered name of its searcher.
        version: Of that searcher.
        settings: Of that searcher.
        budget: What it may spend.
        multiples: At how many times the task's budget its incumbent is read.
        names: Names of the reference configurations that it evaluates.
    """

    label: str
    searcher: str
    version: int
    settings: Mapping[str, Any]
    budget: Budget
    multiples: tuple[int, ...] = ()
    names: tuple[str, ...] = ()

    def planned(self, study: str, task: str, repetition: int) -> BaselineStudy:
        """Return what the record keeps of one of its studies."""
        return BaselineStudy(
            study=study,
            task=task,
            searcher=self.label,
            repetition=repetition,
            budget_unit=self.budget.unit,
            budget_amount=self.budget.amount,
            budget_full_cost=self.budget.full_cost,
            multiples=self.multiples,
            names=self.names,
        )


def searches(names: Sequence[str], own: Budgeted) -> list[BaselineSearch]:
    """Return the searches that give some baselines on a task.

    Random search is one, at the largest multiple: what it evaluates with less is how it begins.

    Args:
        names: The baselines, by name.
        own: The task, with the budget of each method's study.
    """
    found = []
    references = tuple(own.task.space.references)
    if REFERENCES in names and references:
        found.append(
            _search(REFERENCES, REFERENCES, Budget("evaluations", len(references)), names=references)
        )
    if multiples := multiples_of(names):
        budget = own.budget
        longer = Budget(budget.unit, budget.amount * multiples[-1], budget.full_cost)
        found.append(_search(random_name(multiples[-1]), RANDOM, longer, multiples=multiples))
    return found


def _search(
    name: str, searcher: str, budget: Budget, multiples: tuple[int, ...] = (), names: tuple[str, ...] = ()
) -> BaselineSearch:
    kind = registry.searcher(searcher)
    settings = kind.Settings.model_validate({}).as_json()
    return BaselineSearch(
        PREFIX + name, kind.name, kind.version, settings, budget, multiples=multiples, names=names
    )


def known_values(names: Sequence[str], tasks: Mapping[str, Task]) -> list[KnownValue]:
    """Return the baselines that are known of some tasks, by label, and need no search."""
    found = []
    for label, task in tasks.items():
        known = task.known
        if known is not None and BEST in names:
            found.append(KnownValue(label, BEST, known.best, known.best_test, known.about_best))
        if known is not None and known.median is not None and MEDIAN in names:
            found.append(KnownValue(label, MEDIAN, known.median, known.median_test, known.about_median))
    return found


def lacking(name: str, tasks: Mapping[str, Task]) -> list[str]:
    """Return the labels of the tasks that a baseline does not exist for."""
    if name == REFERENCES:
        return [label for label, task in tasks.items() if not task.space.references]
    if name == BEST:
        return [label for label, task in tasks.items() if task.known is None]
    if name == MEDIAN:
        return [label for label, task in tasks.items() if task.known is None or task.known.median is None]
    return []


_NAMED: Final = 6
"""Tasks that a sentence names."""

_NOT_THERE: Final[Mapping[str, str]] = {
    REFERENCES: "no configuration is named there",
    BEST: "it is not known of what trains",
    MEDIAN: "it is not known of what trains",
}

_LACK: Final[Mapping[str, str]] = {
    REFERENCES: "names a reference configuration in its space",
    BEST: "knows the best of its space, as functions, recordings and public tables do",
    MEDIAN: "knows the median of its space, as functions, recordings and public tables do",
}


def described(sweep: Sweep) -> list[str]:
    """Return what a sweep's baselines take and where there are none, in sentences; nothing without baselines."""
    names = sweep.spec.baselines
    if not names:
        return []
    counts: Counter[str] = Counter()
    for study in sweep.baselines:
        counts[study.searcher] += study.key.budget.full_evaluations(sweep.tasks[study.task].fidelity)
    lines = [f"Baselines, which are drawn and never ranked: {', '.join(names)}."]
    trained = [label for label, task in sweep.tasks.items() if not task.cheap]
    for label, evaluations in counts.items():
        said = f"{label.removeprefix(PREFIX)}: {plural(evaluations, 'evaluation')}"
        if multiples := multiples_of(names) if label != PREFIX + REFERENCES else ():
            said += _shared(sweep, multiples)
        lines.append(f"  {said}.")
    if known := [name for name in names if name in (BEST, MEDIAN)]:
        lines.append(f"  {' and '.join(known)}: known, nothing is evaluated.")
    if trained and counts:
        lines.append(
            f"  On {', '.join(trained)} they are trainings, as those of methods are; on recordings, tables and "
            "functions they take microseconds."
        )
    for name in names:
        if without := lacking(name, sweep.tasks):
            more = f" and {plural(len(without) - _NAMED, 'more task')}" if len(without) > _NAMED else ""
            which = f"{', '.join(without[:_NAMED])}{more}"
            lines += [f"  No {name} on {which}: {_NOT_THERE[name]}."]
    return lines


def _shared(sweep: Sweep, multiples: Sequence[int]) -> str:
    """Say how much of the longest random search the sweep evaluates anyway."""
    less = f", {' and '.join(map(random_name, multiples[:-1]))} among them" if len(multiples) > 1 else ""
    drawn = next(
        (
            study.searcher
            for study in sweep.studies
            if study.key.searcher == RANDOM and _uniform(study.key.settings)
        ),
        None,
    )
    if drawn is None:
        return (
            f"{less}; none of them shared with a method, for none is random search with its default settings"
        )
    return f"{less}; the first 1/{multiples[-1]} of them are those of {drawn}, evaluated once"


def _uniform(settings: Mapping[str, Any]) -> bool:
    return dict(settings) == registry.searcher(RANDOM).Settings.model_validate({}).as_json()


def problems(names: Sequence[str], tasks: Mapping[str, Budgeted]) -> Iterator[tuple[int, str]]:
    """Yield what is wrong with some baselines: the place in the list, and the message.

    Args:
        names: The baselines, by name.
        tasks: The tasks by label, at least one.
    """
    for place, name in enumerate(names):
        if len(lacking(name, {label: own.task for label, own in tasks.items()})) == len(tasks):
            yield place, f"no task of this sweep {_LACK[name]}: leave {name!r} out"
        multiple = multiple_of(name)
        for label, own in tasks.items() if multiple is not None else ():
            budget = own.budget
            amount, most = (
                budget.amount * (multiple or 1),
                LARGEST_COST if budget.unit == "cost" else MOST_BUDGET,
            )
            if amount > most:
                unit = unit_in_words(budget.unit, own.task.cost_unit)
                yield (
                    place,
                    f"{multiple} times the budget of task {label!r} are {amount_in_words(amount)} {unit}, more than "
                    f"the {amount_in_words(most)} of a study; choose a smaller multiple",
                )
