"""The table of epochs: of the record that each trial was given, the curve up to the epochs it asked for."""

from __future__ import annotations

import itertools
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from harness.errors import RecordError
from harness.plurals import plural
from harness.trial import Status
from results.columns import EPOCHS
from results.journal import RESTORE
from results.layout import Layout
from results.reading import read_evaluations


def epochs_of(layout: Layout, trials: pd.DataFrame, tasks: pd.DataFrame) -> pd.DataFrame:
    """Return the curves of all trials, in their order: of the record that each was given, the epochs it asked for.

    Args:
        layout: The results folder.
        trials: The trials.
        tasks: Registered ``name`` and ``metric`` of each task, by label.
    """
    wanted = trials[["evaluation", "epochs", "status"]].assign(
        row=np.arange(len(trials)), metric=trials["task"].map(tasks["metric"])
    )
    blocks: list[_Block] = []
    for name, own in wanted.groupby(trials["task"].map(tasks["name"]), sort=False):
        blocks += _given(own, layout.evaluations(str(name)))
    lengths = np.zeros(len(trials), dtype=np.int64)
    for block in blocks:
        lengths[block.rows] = block.lengths
    begins = np.cumsum(lengths) - lengths
    row = np.repeat(np.arange(len(trials)), lengths)
    columns: dict[str, Any] = {
        "study": trials["study"].array.take(row),
        "step": trials["step"].to_numpy()[row],
        "epoch": np.arange(row.size) - begins[row] + 1,
    }
    for metric in itertools.chain.from_iterable(block.metrics for block in blocks):
        if metric not in columns:
            columns[metric] = np.full(row.size, np.nan)
    for block in blocks:
        place = _ranges(begins[block.rows], block.lengths)
        index, stride = _ranges(block.begins, block.lengths), np.repeat(block.strides, block.lengths)
        for metric in block.metrics:
            columns[metric][place] = block.numbers[index]
            index += stride
    return pd.DataFrame(columns, copy=False).astype({name: column.dtype for name, column in EPOCHS.items()})


@dataclass(frozen=True, slots=True, eq=False)
class _Block:
    """Curves with the same metrics.

    Attributes:
        metrics: Their metrics.
        rows: The trial that each belongs to.
        lengths: How many epochs of each belong to it.
        begins: Where each begins in the numbers.
        strides: How many numbers lie between the beginnings of its metrics: all epochs that it has.
        numbers: Curves of a task end to end, each metric by metric.
    """

    metrics: tuple[str, ...]
    rows: NDArray[np.int64]
    lengths: NDArray[np.int64]
    begins: NDArray[np.int64]
    strides: NDArray[np.int64]
    numbers: NDArray[np.float64]


def _given(wanted: pd.DataFrame, folder: Path) -> Iterator[_Block]:
    """Yield the curves that the trials of a task were given, by their metrics.

    Args:
        wanted: ``evaluation``, ``epochs``, ``status``, ``row`` and objective ``metric`` of the trials.
        folder: Where the task's evaluations are.

    Raises:
        RecordError: An evaluation of the trials is not there, or its metrics differ in how many epochs they have.
    """
    ids = set(wanted["evaluation"].to_numpy(dtype=object))
    kinds: dict[tuple[str, ...], int] = {}
    read: dict[str, list[Any]] = {"evaluation": [], "ok": [], "kind": [], "stride": []}
    numbers = array("d")
    for bunch in read_evaluations(folder):
        used = [record for record in bunch.lines if record.id in ids]
        curves = [record.curve for record in used]
        read["evaluation"] += [record.id for record in used]
        read["ok"] += [record.status is Status.OK for record in used]
        read["kind"] += [kinds.setdefault(tuple(curve), len(kinds)) for curve in curves]
        read["stride"] += [len(next(iter(curve.values()), ())) for curve in curves]
        for values in itertools.chain.from_iterable([curve.values() for curve in curves]):
            numbers.fromlist(values)
    records = pd.DataFrame(read).astype({"evaluation": "str", "ok": bool, "kind": "int64", "stride": "int64"})
    widths = np.array([len(metrics) for metrics in kinds], dtype=np.int64)
    sizes = records["stride"] * widths[records["kind"].to_numpy()]
    if sizes.sum() != len(numbers):
        raise RecordError(
            f"{folder}: metrics of an evaluation have different numbers of epochs; a file there was damaged after it "
            f"was written: {RESTORE}"
        )
    pairs = wanted.merge(records.assign(begin=sizes.cumsum() - sizes), on="evaluation")
    # The first that reaches far enough, or that failed as the trial did, is what it was given: of those with the
    # objective's metric, where a task has learnt to measure more.
    fits = np.where(pairs["status"] == "ok", pairs["stride"] >= pairs["epochs"], ~pairs["ok"])
    lacks = pd.Series(data=False, index=pairs.index)
    for metric in pairs["metric"].unique():
        others = [kind for metrics, kind in kinds.items() if metric not in metrics]
        lacks |= (pairs["metric"] == metric) & pairs["kind"].isin(others)
    if lacks.any():
        order = pairs.assign(lacks=lacks).sort_values(["row", "lacks"], kind="stable").index
        pairs, fits = pairs.loc[order], fits[order]
    given = pairs[fits].drop_duplicates("row")
    lost = wanted[~wanted["row"].isin(given["row"])]
    if len(lost):
        first = lost.iloc[0]
        raise RecordError(
            f"{folder}: expected evaluation {first['evaluation']} ({first['status']}, "
            f"{plural(first['epochs'], 'epoch')}), "
            f"which a study was told, and found it in no file, nor {plural(len(lost) - 1, 'other')}; restore the "
            "folder from a copy, or move the studies' journals away to have them run again"
        )
    for metrics, kind in kinds.items():
        own = given[given["kind"] == kind]
        if len(own):
            strides = own["stride"].to_numpy()
            yield _Block(
                metrics,
                own["row"].to_numpy(),
                np.minimum(strides, own["epochs"].to_numpy()),
                own["begin"].to_numpy(),
                strides,
                np.asarray(numbers, dtype=float),
            )


def _ranges(begins: NDArray[np.int64], lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the whole numbers from each beginning on, as many as its length says, end to end."""
    return np.arange(lengths.sum()) + np.repeat(begins - np.cumsum(lengths) + lengths, lengths)
