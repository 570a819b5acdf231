"""Published figures beside ours: which evaluation counts, its metrics over repetitions, and their intervals."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from analysis.statistics.tasks import task_facts
from analysis.words import listed, span
from harness.experiment import Experiment, rounding
from harness.plurals import plural
from harness.trial import ConfusionMatrix
from results.inspections import confusion_matrices
from results.tables import SweepTables

LEVEL: Final = 0.95
SECONDS: Final = "seconds"

YES, NO = "yes", "no"
ONE_REPETITION: Final = "one repetition"
NOT_COMPARABLE: Final = "not comparable"
NONE_OURS: Final = "none of ours"
OTHER_MACHINE: Final = "other machine"
NOTHING_PUBLISHED: Final = ""


@dataclass(frozen=True, slots=True, eq=False)
class Line:
    """An experiment of a report, and where what we measured of it is.

    Attributes:
        experiment: What was published.
        task: Label of the task.
        searcher: Label of the searcher.
        tables: The sweep that holds the evaluations that count.
        planned: Repetitions planned.
        incomparable: Why our numbers cannot be compared with the published ones; empty where they can.
        classes: Names of the classes, empty where they are not known.
        confusion: Summed confusion matrix on the test images of the repetitions that have one.
        confusions: How many repetitions that is.
        found: The best configuration of a search, by repetition.
    """

    experiment: Experiment
    task: str
    searcher: str
    tables: SweepTables
    planned: int
    incomparable: str = ""
    classes: tuple[str, ...] = ()
    confusion: ConfusionMatrix = ()
    confusions: int = 0
    found: Mapping[int, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def metrics(self) -> list[str]:
        """The metrics published; where none are, the objective and its test companion."""
        return list(self.experiment.published) or list(task_facts(self.tables, self.task).metrics.values())


def line_of(
    experiment: Experiment,
    task: str,
    tables: SweepTables,
    results: Path,
    *,
    planned: int,
    incomparable: str = "",
    classes: tuple[str, ...] = (),
    found: Mapping[int, Mapping[str, Any]] | None = None,
) -> Line:
    """Return an experiment with what the record holds of it; its label is the searcher's.

    Args:
        experiment: What was published.
        task: Label of the task.
        tables: The sweep that holds the evaluations that count.
        results: The results folder, for confusion matrices.
        planned: See `Line`, also for the rest.
        incomparable: Why our numbers cannot be compared.
        classes: Names of the classes.
        found: The best configuration of a search, by repetition.
    """
    rows = selected(tables, task, experiment.label)
    wanted = [(str(key), int(epochs)) for key, epochs in zip(rows["evaluation"], rows["epochs"], strict=True)]
    recorded = confusion_matrices(results, str(tables.tasks.loc[task, "name"]), wanted)
    matrices = [np.asarray(parts["test"]) for parts in recorded.values() if "test" in parts]
    return Line(
        experiment=experiment,
        task=task,
        searcher=experiment.label,
        tables=tables,
        planned=planned,
        incomparable=incomparable,
        classes=classes,
        confusion=tuple(map(tuple, np.sum(matrices, axis=0).tolist())) if matrices else (),
        confusions=len(matrices),
        found=found or {},
    )


def selected(tables: SweepTables, task: str, searcher: str) -> pd.DataFrame:
    """Return the evaluation that counts in each finished repetition: the best one told, the first where several tie.

    Returns:
        Rows of ``tables.trials``, by ascending repetition; none for a repetition without a success.
    """
    done = tables.studies.loc[tables.studies["state"] == "done", "study"]
    trials = tables.trials
    rows = trials[
        (trials["task"] == task)
        & (trials["searcher"] == searcher)
        & (trials["status"] == "ok")
        & trials["study"].isin(done)
    ]
    rows = rows.sort_values(["repetition", "loss", "step"]).drop_duplicates("repetition")
    return rows.reset_index(drop=True)


def curves(line: Line) -> pd.DataFrame:
    """Return the learning curves of the evaluations that count: ``repetition``, ``epoch`` and the metrics."""
    chosen = selected(line.tables, line.task, line.searcher)[["study", "step", "repetition"]]
    merged = chosen.merge(line.tables.epochs, on=["study", "step"])
    return merged.sort_values(["repetition", "epoch"]).drop(columns=["study", "step"]).reset_index(drop=True)


def values(line: Line, metric: str) -> NDArray[np.float64]:
    """Return a metric after the last epoch in every successful repetition, (repetitions,); seconds are summed."""
    frame = curves(line)
    if metric not in frame:
        return np.empty(0)
    grouped = frame.groupby("repetition")[metric]
    return (grouped.sum() if metric == SECONDS else grouped.last()).to_numpy(dtype=float)


@dataclass(frozen=True, slots=True)
class Spread:
    """A mean over repetitions with two intervals; NaN where one repetition is all there is.

    Attributes:
        count: Repetitions.
        mean: Their mean.
        low: Lower end of the mean's confidence interval (Student's t).
        high: Its upper end.
        run_low: Lower end of the interval in which one further repetition falls (Student's t).
        run_high: Its upper end.
    """

    count: int
    mean: float
    low: float
    high: float
    run_low: float
    run_high: float


def spread(sample: NDArray[np.float64]) -> Spread:
    """Return mean and intervals of a sample.

    Of n values with mean m and standard deviation s, the mean's interval is m ± t · s / √n, and that of one
    further value m ± t · s · √(1 + 1/n), with t the quantile of Student's distribution with n - 1 degrees of
    freedom; both suppose normal values.
    """
    count = len(sample)
    if not count:
        return Spread(0, math.nan, math.nan, math.nan, math.nan, math.nan)
    mean = float(sample.mean())
    if count == 1:
        return Spread(1, mean, math.nan, math.nan, math.nan, math.nan)
    half = float(stats.t.ppf((1 + LEVEL) / 2, count - 1)) * float(sample.std(ddof=1))
    of_mean, of_run = half / math.sqrt(count), half * math.sqrt(1 + 1 / count)
    return Spread(count, mean, mean - of_mean, mean + of_mean, mean - of_run, mean + of_run)


def verdict(published: str, own: Spread, *, metric: str, incomparable: bool) -> str:
    """Return whether a published figure lies inside the interval of one further repetition, or why that is not asked.

    The figure counts with its rounding: it lies inside when a value that rounds to it does.
    """
    if not published:
        return NOTHING_PUBLISHED
    if incomparable:
        return NOT_COMPARABLE
    if metric == SECONDS:
        return OTHER_MACHINE
    if not own.count:
        return NONE_OURS
    if own.count == 1:
        return ONE_REPETITION
    value, half = float(published), rounding(published)
    # The ends are compared with a hair's breadth, so that binary fractions do not decide.
    hair = 1e-9 * max(abs(value), half)
    return YES if value - half <= own.run_high + hair and value + half >= own.run_low - hair else NO


def side_by_side(lines: Sequence[Line]) -> pd.DataFrame:
    """Return published figures beside ours.

    Returns:
        One row per experiment and metric: ``experiment``, ``task``, ``metric``, ``published`` (as printed; empty
        where nothing is), ``repetitions`` (successful ones), ``planned``, ``mean``, ``mean_low`` and
        ``mean_high`` (its 95 % interval), ``run_low`` and ``run_high`` (95 % interval of one further
        repetition), ``inside`` (see `verdict`), ``incomparable``.
    """
    rows = []
    for line in lines:
        for metric in line.metrics:
            own = spread(values(line, metric))
            published = line.experiment.published.get(metric, "")
            rows.append(
                {
                    "experiment": line.experiment.label,
                    "task": line.task,
                    "metric": metric,
                    "published": published,
                    "repetitions": own.count,
                    "planned": line.planned,
                    "mean": own.mean,
                    "mean_low": own.low,
                    "mean_high": own.high,
                    "run_low": own.run_low,
                    "run_high": own.run_high,
                    "inside": verdict(published, own, metric=metric, incomparable=bool(line.incomparable)),
                    "incomparable": line.incomparable,
                }
            )
    return pd.DataFrame(rows)


HEADER: Final = ("experiment", "metric", "published", "ours", "± mean", "± one run", "inside")


def as_text(frame: pd.DataFrame) -> list[tuple[str, ...]]:
    """Return the rows of `side_by_side` as cells under `HEADER`."""
    rows: list[tuple[str, ...]] = []
    before = None
    for row in frame.to_dict("records"):
        published = str(row["published"])
        mean, of_mean, of_run = (
            measured(row["mean"], published),
            _half(row["mean_low"], row["mean_high"], published),
            _half(row["run_low"], row["run_high"], published),
        )
        label = "" if row["experiment"] == before else str(row["experiment"])
        before = row["experiment"]
        rows.append(
            (label, str(row["metric"]), published or "–", mean, of_mean, of_run, row["inside"] or "–")
        )
    return rows


def notes(lines: Sequence[Line]) -> list[str]:
    """Return what a reader must know of the table, a sentence or two each; what forbids comparing comes first."""
    result = []
    reasons: dict[str, list[str]] = {}
    for line in lines:
        if line.incomparable:
            reasons.setdefault(line.incomparable, []).append(line.experiment.label)
    for reason, labels in reasons.items():
        whom = "" if len(labels) == len(lines) else f" ({listed(labels)})"
        result.append(f"NOT COMPARABLE with the published figures{whom}: {reason}.")
    counts = sorted({len(selected(line.tables, line.task, line.searcher)) for line in lines})
    if counts and counts[-1] > 1:
        result.append(
            f"Ours is the mean over {span(counts, 'repetition')}, which differ by initial weights and data orders. "
            "Both intervals are Student's t, 95 %: of the mean (± mean), and of one further run (± one run). A "
            "published figure is one run: it is inside when a value that rounds to it lies in the interval of one run."
        )
    elif 1 in counts:
        result.append("One repetition: there is no interval. Give --repetitions 3 or more for one.")
    for line in lines:
        label, done = line.experiment.label, selected(line.tables, line.task, line.searcher)
        if len(done) < line.planned:
            result.append(f"{label}: {len(done)} of {plural(line.planned, 'repetition')} succeeded.")
        if line.experiment.note:
            result.append(f"{label}: {line.experiment.note}.")
        if line.found:
            own = "; ".join(f"repetition {r + 1} {_config(config)}" for r, config in line.found.items())
            search = line.experiment.search
            theirs = f" The report: {_config(search.found)}." if search is not None and search.found else ""
            result.append(f"{label} found: {own}.{theirs}")
    return result


def per_class(confusion: ConfusionMatrix) -> pd.DataFrame:
    """Return precision, recall and F1 of every class, from counts by true class (row) and predicted class (column).

    Returns:
        Columns ``class`` (number), ``precision``, ``recall``, ``f1`` and ``examples``. Precision is 0 where the
        class was never predicted, recall where it never occurs, F1 where it does neither.
    """
    counts = np.asarray(confusion, dtype=float)
    hits, examples, predictions = np.diag(counts), counts.sum(axis=1), counts.sum(axis=0)

    def share(total: NDArray[np.float64], of: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.divide(total, of, out=np.zeros_like(total), where=of > 0)

    return pd.DataFrame(
        {
            "class": np.arange(len(counts)),
            "precision": share(hits, predictions),
            "recall": share(hits, examples),
            "f1": share(2 * hits, examples + predictions),
            "examples": examples.astype(int),
        }
    )


def class_name(line: Line, number: int) -> str:
    """Return the name of a class, its number where it has none."""
    return line.classes[number] if number < len(line.classes) else str(number)


def measured(value: float, published: str = "") -> str:
    """Return a value with one digit more than the published figure it is compared with; four decimals otherwise."""
    if not math.isfinite(value):
        return "–"
    if abs(value) >= 1e5:
        return f"{value:.3e}".replace("e+0", "e").replace("e+", "e")
    if not published:
        return f"{value:.4f}"
    unit = 2 * rounding(published)
    return f"{value:.{max(1 - math.floor(math.log10(unit) + 0.5), 0)}f}" if unit < 1 else f"{value:.1f}"


def _half(low: float, high: float, published: str) -> str:
    return f"± {measured((high - low) / 2, published)}" if math.isfinite(low) else "–"


def _config(config: Mapping[str, Any]) -> str:
    def text(value: Any) -> str:
        return f"{value:.4g}" if isinstance(value, float) else json.dumps(value).strip('"')

    return ", ".join(f"{name} {text(value)}" for name, value in config.items())
