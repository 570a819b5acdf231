"""Tables as a publication keeps them: without columns that follow from others, and without curves that are on record.

A published race lies in a repository for years. Nearly half of its trials' bytes are costs, losses and times that are
sums and copies of others; they are left out where these give them to the last bit, and made again when they are read.
The curves of replayed trainings are those of the recording or public table that the task replays.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from results.columns import TRIALS

LEVEL = 19
"""Of zstd: a race of 180 000 trials takes a quarter of a minute at it."""

PAGE = 1 << 28
"""Bytes of a page: as good as a whole column, in which what methods have in common is found again."""

_Rows = list[NDArray[np.intp]]


def without_derived(trials: pd.DataFrame, tasks: pd.DataFrame) -> pd.DataFrame:
    """Return trials without the columns that the others give exactly.

    Args:
        trials: The table ``trials``.
        tasks: The table ``tasks``.
    """
    rows = _studies(trials)
    told = [
        name
        for name, derive in _DERIVED.items()
        if np.array_equal(_bits(derive(trials, tasks, rows)), _bits(trials[name].to_numpy()))
    ]
    return trials.drop(columns=told)


def with_derived(trials: pd.DataFrame, tasks: pd.DataFrame) -> pd.DataFrame:
    """Return trials with all columns, those that were left out made of the others.

    Args:
        trials: What `without_derived` returned, or a table that has all columns.
        tasks: The table ``tasks``.
    """
    lacking = [name for name in _DERIVED if name not in trials.columns]
    if not lacking or any(name not in trials.columns for name in _NEEDED):
        return trials
    rows = _studies(trials)
    for name in lacking:
        trials = trials.assign(**{name: _DERIVED[name](trials, tasks, rows)})
    return trials[[*(name for name in TRIALS if name in trials.columns)]]


def without_replayed(epochs: pd.DataFrame, studies: pd.DataFrame, tasks: pd.DataFrame) -> pd.DataFrame:
    """Return the epochs of trainings that were of this sweep: what a task replays is recorded where it comes from.

    Args:
        epochs: The table ``epochs``.
        studies: The table ``studies``.
        tasks: The table ``tasks``.
    """
    replayed = tasks.index[tasks["replayed"] != ""]
    there = studies.loc[studies["task"].isin(replayed), "study"]
    return epochs[~epochs["study"].isin(there)].reset_index(drop=True)


def write(frame: pd.DataFrame, path: Path) -> None:
    """Write a table as Parquet in as few bytes as it takes."""
    table = pa.Table.from_pandas(frame)
    labels = [name for name in ("task", "searcher", "study", "status", "machine") if name in frame.columns]
    pq.write_table(
        table,
        path,
        compression="zstd",
        compression_level=LEVEL,
        data_page_size=PAGE,
        row_group_size=max(len(frame), 1),
        use_dictionary=labels,
    )


def _studies(trials: pd.DataFrame) -> _Rows:
    """Return the rows of each study, in the order told."""
    return [np.asarray(own) for own in trials.groupby("study", sort=False).indices.values()]


def _bits(values: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return numbers by what is stored, NaN among them."""
    same = np.where(np.isnan(values), np.nan, values)
    return same.view(np.int64)


def _loss(trials: pd.DataFrame, tasks: pd.DataFrame, _: _Rows) -> NDArray[np.float64]:
    """What failed was told as the task's value of failures; losses are minimised."""
    known = tasks[["direction", "failure"]]
    each = known.reindex(trials["task"].to_numpy())
    value = trials["value"].to_numpy()
    value = np.where(np.isnan(value), each["failure"].to_numpy(), value)
    return np.where(each["direction"].to_numpy() == "min", value, -value)


def _train_seconds(trials: pd.DataFrame, _: pd.DataFrame, rows: _Rows) -> NDArray[np.float64]:
    return _by_study(trials["seconds"].to_numpy(), rows, np.cumsum)


def _total_seconds(trials: pd.DataFrame, _: pd.DataFrame, rows: _Rows) -> NDArray[np.float64]:
    """Of one worker: each ask and tell in turn, up to the tell before."""
    ask, tell = trials["ask_seconds"].to_numpy(), trials["tell_seconds"].to_numpy()
    search = np.empty(len(trials))
    for own in rows:
        turns = np.empty(2 * len(own))
        turns[::2], turns[1::2] = ask[own], tell[own]
        search[own] = np.cumsum(turns)[::2]
    total: NDArray[np.float64] = trials["train_seconds"].to_numpy() + search
    return total


def _virtual_time(trials: pd.DataFrame, _: pd.DataFrame, __: _Rows) -> NDArray[np.float64]:
    """Of one worker: what was charged so far."""
    return trials["spent_cost"].to_numpy()


def _virtual_start(trials: pd.DataFrame, _: pd.DataFrame, rows: _Rows) -> NDArray[np.float64]:
    """Of one worker: when the evaluation before was finished."""
    return _by_study(trials["virtual_time"].to_numpy(), rows, lambda own: np.concatenate([[0.0], own[:-1]]))


def _by_study(
    values: NDArray[np.float64], rows: _Rows, derive: Callable[[NDArray[np.float64]], NDArray[np.float64]]
) -> NDArray[np.float64]:
    result = np.empty(len(values))
    for own in rows:
        result[own] = derive(values[own])
    return result


_DERIVED: Mapping[str, Callable[[pd.DataFrame, pd.DataFrame, _Rows], NDArray[np.float64]]] = {
    "loss": _loss,
    "train_seconds": _train_seconds,
    "total_seconds": _total_seconds,
    "virtual_time": _virtual_time,
    "virtual_start": _virtual_start,
}
"""How a column follows from those that stand, or were made, before it."""

_NEEDED = ("task", "study", "value", "seconds", "ask_seconds", "tell_seconds", "spent_cost")
