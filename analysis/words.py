"""Words that captions, tables and pages share: numbers, lists, and what every comparison says of itself."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import pandas as pd

from analysis import style
from analysis.statistics.bootstrap import FEWEST_UNITS, LEVEL, RESAMPLES
from analysis.statistics.comparison import Comparison
from analysis.statistics.completeness import ended_short
from analysis.statistics.inputs import Inputs
from analysis.statistics.significance import best_first
from analysis.statistics.steps import SPENT_COST, cost_units
from analysis.statistics.tasks import TaskFacts
from harness.plurals import plural
from harness.trial import RECORDED_SECONDS
from results.tables import SweepTables

COST_LABELS: Mapping[str, str] = {  # but of what is counted in the tasks' own units; see `cost_label`
    "evaluations": "evaluations",
    "spent_epochs": "epochs trained",
    "train_seconds": "training seconds",
    "total_seconds": "training + search seconds",
    "virtual_time": "virtual time (task's own cost unit)",
}


def cost_label(tables: SweepTables, cost: str, tasks: Collection[str]) -> str:
    """Name a cost, as on an axis, with the unit in which it is counted on these tasks."""
    if cost != SPENT_COST:
        return COST_LABELS[cost]
    units = cost_units(tables, cost, tasks)
    if len(units) > 1:
        return "cost (each task's own unit)"
    (unit,) = units
    return "training seconds (recorded)" if unit == RECORDED_SECONDS else f"cost ({unit})"


INTERVAL = f"{100 * LEVEL:g} % bootstrap interval"

REGRET = (
    "Normalised regret is 0 at the task's best known value and 1 at its reference, both frozen with the task; worse "
    "than the reference, and no success, count as 1."
)

_NOT_COMPARABLE = "Data subset or stand-in: not comparable with published figures"
SUBSET = f"{_NOT_COMPARABLE}."
SUBSET_MARK = "Data subset or stand-in."
"""The short form for captions: the page says once, at its top, what it means."""
REPLAY_MARK = "Replay of recorded trainings."
IMPORT_MARK = "Imported, not run here."


# Numbers.


def number(value: float, digits: int = 5) -> str:
    """Return a value with so many significant digits, a dash where there is none."""
    return f"{value:z.{digits}g}".replace("-", "−") if math.isfinite(value) else "–"


class WithSd(NamedTuple):
    """A mean and its standard deviation to the same number of decimals, in units of a power of ten.

    Attributes:
        mean: Digits of the mean; a minus is ``-``.
        sd: Digits of the standard deviation; empty where there is none.
        exponent: Both are to be multiplied by ten to this; 0 for numbers that are short without.
    """

    mean: str
    sd: str
    exponent: int


MOST_DECIMALS = 8
"""A standard deviation that needs more of them is as good as none beside its mean."""


def rounded_by_sd(mean: float, sd: float) -> WithSd:
    """Return a mean and a standard deviation as far as they say something: to two significant digits of the latter.

    Args:
        mean: Finite.
        sd: At least 0, or NaN where there is none. Where it is 0 the mean has five significant digits.

    Example:
        >>> rounded_by_sd(0.8112, 0.01)
        WithSd(mean='0.811', sd='0.010', exponent=0)
    """
    if not math.isfinite(sd):
        return WithSd(f"{mean:z.5g}", "", 0)
    largest = max(abs(mean), sd)
    exponent = math.floor(math.log10(largest)) if largest > 0 else 0
    if -4 < exponent < 6:
        exponent = 0
    # In two steps: a power of ten may be beyond the largest number where the quotient is not.
    half = exponent // 2
    mean, sd = (value / 10.0**half / 10.0 ** (exponent - half) for value in (mean, sd))
    if sd > 0:
        decimals = 1 - math.floor(math.log10(float(f"{sd:.1e}")))
    else:
        decimals = 4 - math.floor(math.log10(abs(mean))) if mean else 0
    decimals = min(max(decimals, 0), MOST_DECIMALS)
    return WithSd(f"{mean:z.{decimals}f}", f"{sd:.{decimals}f}", exponent)


def with_sd(mean: float, sd: float) -> str:
    """Return ``0.811 ± 0.010``, or ``(8.11 ± 0.10)e−07``; the mean alone without an sd, a dash without a mean."""
    if not math.isfinite(mean):
        return "–"
    own = rounded_by_sd(mean, sd)
    if not own.sd:
        return number(mean)
    text = f"{own.mean} ± {own.sd}"
    return (f"({text})e{own.exponent:+03d}" if own.exponent else text).replace("-", "−")


def interval(low: float, high: float, digits: int = 5) -> str:
    """Return an interval's ends, or nothing where there is none."""
    if not (math.isfinite(low) and math.isfinite(high)):
        return ""
    return f"[{number(low, digits)}, {number(high, digits)}]"


def probability(p: float) -> str:
    """Return a p-value as text: two significant digits, or ``< 0.001``."""
    return "< 0.001" if p < 0.001 else f"{p:.2g}"


def p_value(p: float) -> str:
    """Return ``p = 0.012`` or ``p < 0.001``."""
    return "p < 0.001" if p < 0.001 else f"p = {p:.2g}"


def grouped(value: float) -> str:
    """Return a whole number with its thousands apart: ``20 000``."""
    return f"{value:,.0f}".replace(",", " ")


def amount(value: float) -> str:
    """Return a count with its thousands apart; of what is not whole or above a billion, four significant digits."""
    return grouped(value) if float(value).is_integer() and value < 1e9 else number(value, 4)


def number_ranges(numbers: Sequence[int]) -> str:
    """Return ascending numbers with runs joined: ``0–2, 5``."""
    runs: list[list[int]] = []
    for one in sorted(set(numbers)):
        if runs and one == runs[-1][-1] + 1:
            runs[-1].append(one)
        else:
            runs.append([one])
    return ", ".join(f"{run[0]}" if len(run) == 1 else f"{run[0]}–{run[-1]}" for run in runs)


def span(counts: Sequence[int], word: str) -> str:
    """Return ``1 task``, ``2 tasks``, or ``2 to 5 tasks`` where counts differ."""
    low, high = min(counts), max(counts)
    return plural(low, word) if low == high else f"{low} to {high} {word}s"


# Lists and sentences.


def listed(items: Sequence[str]) -> str:
    """Return ``a``, ``a and b`` or ``a, b and c``."""
    return " and ".join(filter(None, [", ".join(items[:-1]), *items[-1:]]))


NAMED = 6
"""Names that a sentence lists; of more it gives the number."""


def named(items: Sequence[str]) -> str:
    """Return ``a, b and c``; of more than `NAMED` the first ones and how many more."""
    if len(items) <= NAMED + 1:
        return listed(items)
    return listed([*items[:NAMED], f"{len(items) - NAMED} more"])


def mean_rank(rank: float) -> str:
    """Return a mean rank with two decimals, the same in whatever order it was summed."""
    return f"{round(rank, 9):.2f}"


def ranks_of(ranks: Mapping[str, float], most: int = 100) -> str:
    """Return ``a 1.40, b 1.80``: mean ranks, best first; of more than ``most`` the first ones and how many more."""
    parts = [f"{name} {mean_rank(rank)}" for name, rank in best_first(ranks).items()]
    return ", ".join(parts[:most]) + (f" and {len(parts) - most} more" if len(parts) > most else "")


def joined(*sentences: str) -> str:
    """Return the sentences that are not empty as one paragraph."""
    return " ".join(filter(None, sentences))


def by_method(values: pd.Series, spec: str = "") -> str:
    """Return ``random 0.81, grid 0.79``: the values in the methods' order of every figure, formatted by ``spec``."""
    return ", ".join(f"{name} {values[name]:{spec}}" for name in style.ordered(values.index))


def repetition_counts(counts: Mapping[str, int]) -> str:
    """Return ``5 repetitions per method``, or the count of each method where they differ."""
    if len(set(counts.values())) == 1:
        return f"{plural(next(iter(counts.values())), 'repetition')} per method"
    return "repetitions: " + ", ".join(f"{name} {count}" for name, count in counts.items())


def sides(panels: int = 2) -> tuple[str, ...]:
    """Return where the panels of a figure of a page's width are: beside each other, or below where it is narrow."""
    ends = ("left", "right") if style.beside(panels) == panels else ("top", "bottom")
    return ends if panels == 2 else (ends[0], "middle", ends[1])


# What is missing, and what may not be compared.


def absent_studies(rows: pd.DataFrame) -> list[str]:
    """Return unfinished studies of one task in words, one item per method and state."""
    return [
        f"{searcher}, repetition{'s' if len(group) > 1 else ''} "
        f"{number_ranges([int(r) for r in group['repetition']])} ({state})"
        for (searcher, state), group in rows.groupby(["searcher", "state"], sort=True)
    ]


MOST_NAMED: Final = 6
"""Things of one kind that a caption names; of more it names the first."""


def some(items: Sequence[str]) -> str:
    """Return items as a caption names them: all of a few, of many the first and how many more there are."""
    if len(items) <= MOST_NAMED:
        return "; ".join(items)
    return "; ".join([*items[:MOST_NAMED], f"and {len(items) - MOST_NAMED} more, which the report names"])


def short(
    tables: SweepTables,
    tasks: Collection[str],
    searchers: Collection[str] | None = None,
    *,
    name: Callable[[Sequence[str]], str] = some,
) -> str:
    """Return the sentence that names who ended with budget left on some tasks; empty where none did.

    Args:
        tables: The sweep.
        tasks: Labels of the tasks.
        searchers: Only these methods; all when ``None``.
        name: How many are named; for a caption, `some`.
    """
    table = ended_short(tables)
    alike: dict[tuple[str, str], list[str]] = {}
    for row in table[table["task"].isin(list(tasks))].to_dict("records"):
        if searchers is None or row["searcher"] in searchers:
            alike.setdefault((str(row["searcher"]), _spent(row)), []).append(str(row["task"]))
    if not alike:
        return ""
    named = [f"{searcher} on {listed(own)} ({spent})" for (searcher, spent), own in alike.items()]
    if len(named) > MOST_NAMED:
        named = [
            _short_throughout(str(searcher), own)
            for searcher, own in table[table["task"].isin(list(tasks))].groupby("searcher", sort=True)
            if searchers is None or searcher in searchers
        ]
    why = "with nothing more to propose" if tables.imported is None else "and held at their last values"
    return f"Ended short of the budget, {why}: {name(named)}."


def _short_throughout(searcher: str, rows: pd.DataFrame) -> str:
    """Return ``grid on 14 tasks (64 to 96 % of the budget, 70 repetitions)``."""
    where = listed([*rows["task"]]) if len(rows) <= 2 else plural(len(rows), "task")
    low, high = (
        100 * float((rows[end] / rows["budget"]).agg(how)) for end, how in (("low", "min"), ("high", "max"))
    )
    ends = f"{low:.0f}" if round(low) == round(high) else f"{low:.0f} to {high:.0f}"
    return f"{searcher} on {where} ({ends} % of the budget, {plural(int(rows['repetitions'].sum()), 'repetition')})"


def _spent(row: Mapping[Hashable, Any]) -> str:
    """Return ``28 of 2000 epochs, 3 repetitions``."""
    spent = amount(row["high"])
    if row["low"] != row["high"]:
        spent = f"{amount(row['low'])} to {spent}"
    return f"{spent} of {amount(row['budget'])} {row['unit']}, {plural(row['repetitions'], 'repetition')}"


def caveats(tables: SweepTables, facts: TaskFacts, searchers: Collection[str] | None = None) -> str:
    """Return what a figure of one task ends with: who ended short of the budget, and what its numbers were made on."""
    return joined(short(tables, [facts.label], searchers), mark(facts))


def left_out(items: Sequence[str]) -> str:
    """Return the sentence that names what a figure lacks; empty when it lacks nothing."""
    return f"Left out: {some(items)}." if items else ""


def mark(facts: TaskFacts) -> str:
    """Return the mark of what a task's numbers were made on or taken from; empty where that is its source's data."""
    return joined(
        SUBSET_MARK if facts.subset else "",
        f"Replay of {facts.replayed}." if facts.replayed else "",
        IMPORT_MARK if facts.imported else "",
    )


def marks(tasks: Sequence[TaskFacts]) -> str:
    """Return the short marks of tasks, each with those that it is of."""
    found = {
        SUBSET_MARK: [facts.label for facts in tasks if facts.subset],
        REPLAY_MARK: [facts.label for facts in tasks if facts.replayed],
        IMPORT_MARK: [facts.label for facts in tasks if facts.imported],
    }
    return joined(
        *(
            f"{text.removesuffix('.')}: {'all tasks' if 1 < len(tasks) == len(names) else ', '.join(names)}."
            for text, names in found.items()
            if names
        )
    )


def uncertainty(
    counts: Collection[int],
    word: str,
    *,
    marks: str = "Bands",
    singly: str = "Thin lines",
    resampled: str = "",
) -> str:
    """Return what stands for the uncertainty of means: intervals, the single units where there are few, or nothing.

    Args:
        counts: Units of each mean, such as the repetitions of each method.
        word: What a unit is, such as ``repetition``.
        marks: What draws an interval.
        singly: What draws a single unit; empty where a figure does not show them.
        resampled: What the bootstrap resamples; the units when empty.
    """
    fewest = min(counts)
    if max(counts) == 1:
        return f"One {word}: no interval."
    bands = f"{marks}: {INTERVAL}s, resampling {resampled or f'{word}s'} ({RESAMPLES} resamples)."
    if fewest >= FEWEST_UNITS:
        return bands
    single = f"fewer than {FEWEST_UNITS}: no interval"
    if max(counts) < FEWEST_UNITS:
        return (
            f"{singly}: single {word}s ({single})."
            if singly
            else f"No interval: fewer than {FEWEST_UNITS} {word}s."
        )
    return f"{bands} {singly or 'Means without one'}: single {word}s where there are {single}."


# What a comparison over tasks says of itself.


def extent(comparison: Comparison) -> str:
    """Return how many methods, tasks and repetitions there are: ``4 methods, 7 tasks, 3 repetitions per task``."""
    repetitions = span([len(own.repetitions) for own in comparison.scores.values()], "repetition")
    return (
        f"{plural(len(comparison.searchers), 'method')}, {plural(len(comparison.scores), 'task')}, "
        f"{repetitions} per task"
    )


def scope(comparison: Comparison) -> str:
    """Return the sentence that counts methods, tasks and repetitions, and says which values are meant."""
    tested = sum(own.measure == "test" for own in comparison.scores.values())
    by = {0: "objective (no task has a test set)", len(comparison.scores): "test values"}.get(
        tested,
        f"test values ({plural(len(comparison.scores) - tested, 'task')} without a test set: objective)",
    )
    return f"{extent(comparison)}; final incumbents selected by validation, by their {by}."


def end(inputs: Inputs, comparison: Comparison, more: Sequence[str] = ()) -> str:
    """Return what every figure over tasks ends with: what it lacks, and what its numbers were made on."""
    ended = short(inputs.tables, list(comparison.scores), comparison.searchers)
    made_on = marks([inputs.facts[task] for task in comparison.scores])
    return joined(left_out([*comparison.left_out, *more]), ended, made_on)


def without_references(comparison: Comparison) -> list[str]:
    """Return the tasks that scores over tasks leave out, with the reason."""
    return [f"task {task} (declares no references of regret)" for task in comparison.unnormalised()]


def few(comparison: Comparison) -> str:
    """Return the sentence that limits a figure to its tasks; empty with enough of them."""
    if not comparison.few:
        return ""
    return f"With {plural(len(comparison.scores), 'task')}, this speaks about these tasks, not about tasks in general."


def untested(pairs: pd.DataFrame) -> str:
    """Return the sentence that names pairs with too few blocks for any difference to be shown; empty where none is."""
    rows = pairs[~pairs["possible"]]
    if rows.empty:
        return ""
    names = [f"{a} and {b}" for a, b in zip(rows["first"], rows["second"], strict=True)]
    return f"Too few tasks in common for a test, and so joined as well: {'; '.join(names)}."
