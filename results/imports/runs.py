"""What every source of imported results is read into: one row per evaluation, and the curves that are known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

import pandas as pd

from harness.errors import ForeignResultsError
from harness.plurals import plural
from harness.trial import Budget

ROWS: Final[Mapping[str, str]] = MappingProxyType(
    {
        **{"task": "str", "method": "str", "repetition": "str", "step": "int64", "trial": "int64"},
        **{"status": "str", "value": "float64", "test": "float64", "seconds": "float64", "epochs": "int64"},
        **{"config": "str", "where": "str"},
    }
)
"""Columns of `Runs.rows` with their types."""

MOST_SHOWN = 20
"""Problems that an error lists; of more it gives the number."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a task; of what nobody says, nothing is assumed.

    Attributes:
        direction: ``min`` or ``max``; empty where it is not known.
        metric: Name of the objective; empty where it is not known.
        test_metric: Name of the test companion; empty where it is not known.
        best: Metric value where regret is 0; ``None`` where it is not known.
        reference: Metric value where regret is 1; ``None`` where it is not known.
        group: Kind of task; may be empty.
    """

    direction: str = ""
    metric: str = ""
    test_metric: str = ""
    best: float | None = None
    reference: float | None = None
    group: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Runs:
    """Evaluations from one source.

    Attributes:
        rows: One row per evaluation, with the columns of `ROWS`: ``repetition`` as the source calls it; ``step`` by
            which a run's evaluations are ordered; ``trial`` that is repeated where an evaluation continued an earlier
            one; ``value`` and ``test`` NaN where there is none; ``seconds`` of the evaluation, NaN where unknown;
            ``epochs`` counted from the first, 0 where unknown; ``config`` as JSON; ``where`` for messages.
        curves: One row per epoch that is known: ``row`` (position in ``rows``), ``epoch`` and a column per metric.
        source: The source in words.
        facts: What it says of its tasks, by label.
        notes: What a reader must know, in sentences.
        digest: SHA-256 of the file; empty where the source is none.
    """

    rows: pd.DataFrame
    source: str
    facts: Mapping[str, Facts] = field(default_factory=dict)
    curves: pd.DataFrame | None = None
    notes: tuple[str, ...] = ()
    digest: str = ""


@dataclass(frozen=True, slots=True)
class Reading:
    """How a source is to be read.

    Attributes:
        task: Label of the task, where neither rows nor names say it.
        method: Label of the method, where neither rows nor names say it.
        metric: What the source calls the objective.
        test: What it calls the test value; empty: no test values but those of a column called so.
        columns: Of a file of rows: its own names of columns, by ours.
        pattern: How tasks, methods and repetitions are named, such as ``{task}-{method}-{repetition}``.
        mapping: Task, method and repetition, by the source's name of a run.
    """

    task: str = ""
    method: str = ""
    metric: str = ""
    test: str = ""
    columns: Mapping[str, str] = field(default_factory=dict)
    pattern: str = ""
    mapping: Mapping[str, tuple[str, str, str]] | None = None


@dataclass(frozen=True, slots=True)
class Said:
    """What whoever imports says of the results.

    Attributes:
        facts: Of tasks, by label; under the empty label of all tasks.
        budget: What each run may spend; the longest run of each task when ``None``.
        paired: Whether runs of different methods with the same repetition share their seeds or data splits.
        baseline: Label of the method that is random search; those labelled so when empty.
    """

    facts: Mapping[str, Facts] = field(default_factory=dict)
    budget: Budget | None = None
    paired: bool = False
    baseline: str = ""


class Problems:
    """Everything wrong with a source, told at once."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._found: list[str] = []

    def __len__(self) -> int:
        return len(self._found)

    def add(self, problem: str) -> None:
        """Add a problem: where, what was expected, what came."""
        self._found.append(problem)

    def rows(self, problem: str, places: Sequence[str], most: int = 3) -> None:
        """Add a problem that several rows have.

        Args:
            problem: In words.
            places: The rows, each with what it holds.
            most: How many are named.
        """
        if not places:
            return
        more = f" and {plural(len(places) - most, 'row more', 'rows more')}" if len(places) > most else ""
        self.add(f"{problem}: {'; '.join(places[:most])}{more}")

    def check(self) -> None:
        """Raise `ForeignResultsError` where there is any."""
        if not self._found:
            return
        count = len(self._found)
        more = (
            [f"and {plural(count - MOST_SHOWN, 'problem more', 'problems more')}"]
            if count > MOST_SHOWN
            else []
        )
        lines = "\n  ".join([*self._found[:MOST_SHOWN], *more])
        raise ForeignResultsError(
            f"{self._what} cannot be imported, {'one problem' if count == 1 else f'{count} problems'}:\n  {lines}"
        )


_TAKEN: Final = frozenset({"row", "study", "step", "epoch", "seconds", "part", "at", "order"})


def curve_column(metric: str) -> str:
    """Return the column of a metric in `Runs.curves`: its name, told apart from what has a meaning of its own there."""
    return f"metric {metric}" if metric in _TAKEN else metric


def frame(rows: Sequence[Mapping[str, object]]) -> pd.DataFrame:
    """Return rows as a table with the columns and types of `ROWS`."""
    return pd.DataFrame(list(rows), columns=list(ROWS)).astype(dict(ROWS))
