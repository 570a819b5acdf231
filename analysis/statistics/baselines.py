"""Baselines of a sweep: where each ends, and how many times random search's budget a method is worth."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.statistics.aggregates import interquartile_mean
from analysis.statistics.bootstrap import (
    FEWEST_UNITS,
    Floats,
    mean_interval,
    product,
    stratified_interval,
    stratified_weights,
)
from analysis.statistics.inputs import Inputs
from analysis.statistics.ranks import rounded
from analysis.statistics.scores import bounded_regret, budget_of
from analysis.statistics.steps import COST_OF_UNIT, Steps, incumbents, study_steps, union_grid
from analysis.statistics.tasks import Measure
from results.tables import SweepTables

VALUES = ["task", "baseline", "repetition", "state", "validation", "test", "about"]
LINES = ["task", "baseline", "validation", "test", "repetitions", "planned", "about"]
WORTH = ["task", "searcher", "budgets", "low", "high", "most", "tasks", "repetitions"]

GRID = 1000
"""Multiples of the budget at which random search is compared with a method, at most: what is read there is exact."""

ROUNDING = 1e-9
"""Of a budget: sums of costs that agree with it to this are within it."""


def of_task(tables: SweepTables, task: str) -> SweepTables:
    """Return the tables with the baselines of one task alone."""
    own, trials = tables.baselines, tables.baseline_trials
    return dataclasses.replace(
        tables, baselines=own[own["task"] == task], baseline_trials=trials[trials["task"] == task]
    )


def baseline_values(tables: SweepTables) -> pd.DataFrame:
    """Return what every baseline came to, one row per baseline, task and repetition, in the order of the tables.

    Random search with twice the budget is its incumbent once it has spent so much, in the budget's own unit. The
    references are where a study of all of them ends: the best by validation, with its test value.

    Returns:
        Columns of `VALUES`: ``repetition`` is -1 where a value is known and the same for all; ``state`` is that of the
        study, or ``known``; ``validation`` and ``test`` are NaN where there is no finished study or no success.
    """
    table = tables.baselines
    if table.empty:
        return pd.DataFrame(columns=VALUES)
    runs = {measure: _runs(tables, measure) for measure in ("validation", "test")}
    ok = tables.baseline_trials[tables.baseline_trials["status"] == "ok"]
    places = zip(ok["study"], ok["trial"], strict=True)
    trials = dict(zip(places, ok[["value", "test"]].to_numpy(dtype=float).tolist(), strict=True))
    rows = []
    for row in table.to_dict("records"):
        found = [row["value"], row["test"]]
        if row["state"] == "done" and row["trial"] >= 0:
            found = trials.get((row["study"], row["trial"]), [math.nan, math.nan])
        elif row["state"] == "done":
            own = [runs[measure].get(row["study"]) for measure in ("validation", "test")]
            found = [math.nan if run is None else _read(run, row["multiple"]) for run in own]
        rows.append(
            (row["task"], row["baseline"], row["repetition"], row["state"], found[0], found[1], row["about"])
        )
    return pd.DataFrame(rows, columns=VALUES)


def _read(run: Steps, multiple: int) -> float:
    """Return a run's value at a multiple of the budget, or with 0 at its end."""
    return float(run.at(np.array([multiple * (1 + ROUNDING) if multiple else math.inf]))[0])


def _runs(tables: SweepTables, measure: Measure) -> dict[str, Steps]:
    """Return the incumbents of the finished studies that give baselines, by study, over multiples of the task's budget.

    Those of references are over evaluations.
    """
    table, trials = tables.baselines, tables.baseline_trials
    if trials.empty:
        return {}
    studies = table[table["study"] != ""].drop_duplicates("study")
    by_study = trials.drop_duplicates("study").set_index("study")["searcher"]
    named = studies.assign(searcher=studies["study"].map(by_study).fillna(""))
    best = incumbents(dataclasses.replace(tables, trials=trials, studies=named))
    found = {}
    for study in named[named["state"] == "done"].to_dict("records"):
        task = str(study["task"])
        about = dict(tables.tasks.loc[[task]].iloc[0])
        cost, amount = "evaluations", 1.0
        if study["multiple"]:
            cost, amount = COST_OF_UNIT[str(about["budget_unit"])], float(about["budget_amount"])
        own = best[(best["task"] == task) & (best["repetition"] == study["repetition"])]
        runs = study_steps(own, task, cost, measure, [str(study["searcher"])])
        if (run := runs.get((str(study["searcher"]), int(study["repetition"])))) is not None:
            found[str(study["study"])] = Steps(run.costs / amount, run.value)
    return found


def baseline_lines(values: pd.DataFrame) -> pd.DataFrame:
    """Return the mean of every baseline on a task over its finished repetitions.

    Args:
        values: What `baseline_values` returned.

    Returns:
        Columns of `LINES`, in the order of the tables: ``validation`` and ``test`` are NaN where a finished repetition
        has no success, or none is finished; ``repetitions`` are those finished of ``planned``, 0 of 0 of what is known.
    """
    rows = []
    for (task, baseline), own in values.groupby(["task", "baseline"], sort=False):
        known = bool((own["state"] == "known").all())
        done = own if known else own[own["state"] == "done"]
        means = [float(done[m].mean(skipna=False)) if len(done) else math.nan for m in ("validation", "test")]
        counts = (0, 0) if known else (len(done), len(own))
        rows.append((task, baseline, *means, *counts, str(own["about"].iloc[0])))
    return pd.DataFrame(rows, columns=LINES)


@dataclass(frozen=True, slots=True, eq=False)
class Regrets:
    """A baseline's normalised regret over tasks.

    Attributes:
        baseline: Its name.
        interquartile: Interquartile mean over runs, as of the methods.
        mean: Mean over tasks of the mean over repetitions.
    """

    baseline: str
    interquartile: float
    mean: float


def baseline_regrets(
    inputs: Inputs, values: pd.DataFrame, repetitions: Mapping[str, Sequence[int]]
) -> list[Regrets]:
    """Return the regret of every baseline that all these tasks have in all these repetitions.

    Of others there would be a mean over other tasks, beside which no method's can be seen.

    Args:
        inputs: The sweep.
        values: What `baseline_values` returned.
        repetitions: Those compared, by task; tasks without references of regret are passed over.
    """
    tasks = [task for task in repetitions if inputs.facts[task].references is not None]
    found = []
    for name in values["baseline"].unique() if tasks else ():
        strata = [_regrets_on(inputs, values, str(name), task, repetitions[task]) for task in tasks]
        parts = [part for part in strata if part is not None]
        if len(parts) == len(tasks):
            middle = float(interquartile_mean(np.concatenate(parts), axis=0))
            found.append(Regrets(str(name), middle, float(np.mean([part.mean() for part in parts]))))
    return found


def _regrets_on(
    inputs: Inputs, values: pd.DataFrame, name: str, task: str, repetitions: Sequence[int]
) -> Floats | None:
    """Return a baseline's regrets on a task, shape ``(repetitions,)``; ``None`` where one is not there."""
    facts = inputs.facts[task]
    own = values[(values["task"] == task) & (values["baseline"] == name)]
    by_repetition = dict(zip(own["repetition"], own.to_dict("records"), strict=True))
    rows = [by_repetition.get(-1, by_repetition.get(number)) for number in repetitions]
    finished = [row for row in rows if row is not None and row["state"] in ("done", "known")]
    if facts.references is None or len(finished) < len(rows):
        return None
    measured = np.array([row[facts.reported] for row in finished], dtype=float)
    if any(row["state"] == "known" for row in finished) and np.isnan(measured).any():
        return None  # the table does not know its test value
    return bounded_regret(facts.references.regret(measured))


def worth(inputs: Inputs) -> pd.DataFrame:
    """Return how many times a method's budget random search needs to be as good as the method.

    Within a task and a repetition, random search with m times the budget wins where its incumbent is better than what
    the method ended with, by the validation objective, which is what both search by; equal values count half. The
    number returned is the m with which it wins as often as it loses: where the share of its wins first reaches a half,
    and where it rises above, the geometric mean of both. It needs no unit, so that tasks count alike. Where the share
    stays below a half, random search would need more than the most that it was given: infinity.

    An interval's ends are where the interval of that share reaches a half, for all m by the same resamples: of
    repetitions on one task, and over tasks of tasks, or where these are fewer than `FEWEST_UNITS`, of repetitions
    inside tasks.

    Returns:
        Columns of `WORTH`: ``task`` is empty over all tasks, which are those ranked; ``budgets``, ``low``, ``high``
        (NaN where there are too few units for an interval, infinite beyond ``most``, which random search was given);
        how many ``tasks`` and ``repetitions`` (of all tasks together). Empty without a baseline of random search.
    """
    tables = inputs.tables
    own = tables.baselines[tables.baselines["multiple"] > 0]
    if own.empty or tables.baseline_trials.empty:
        return pd.DataFrame(columns=WORTH)
    runs, most = _runs(tables, "validation"), float(own["multiple"].max())
    shares: dict[tuple[str, str], dict[int, Steps]] = {}
    for task, facts in inputs.facts.items():
        studies = own[own["task"] == task].drop_duplicates("study")
        random = {
            int(row["repetition"]): runs[row["study"]]
            for row in studies.to_dict("records")
            if row["study"] in runs
        }
        cost, _ = budget_of(inputs, task)
        methods = study_steps(inputs.by_task.get(task, inputs.best.iloc[:0]), task, cost, "validation")
        for (name, repetition), run in methods.items():
            if repetition in random:
                won = wins(random[repetition], float(run.value[-1]), facts.sign)
                shares.setdefault((task, name), {})[repetition] = won
    rows = [
        (task, name, *_worth([list(each.values())], most), most, 1, len(each))
        for (task, name), each in shares.items()
    ]
    for name in inputs.field.searchers:
        strata = [
            [each for number, each in shares[task, name].items() if number in blocks.repetitions]
            for task, blocks in inputs.field.tasks.items()
            if (task, name) in shares
        ]
        strata = [part for part in strata if part]
        if strata:
            counts = len(strata), sum(map(len, strata))
            rows.append(("", name, *_worth(strata, most), most, *counts))
    return pd.DataFrame(rows, columns=WORTH).sort_values(["task", "budgets", "searcher"], ignore_index=True)


def wins(random: Steps, final: float, sign: float) -> Steps:
    """Return whether random search is better than a final value, over what it spent: 1, ½ where equal, else 0.

    Args:
        random: Its incumbents' values, NaN before its first success.
        final: What the method ended with; NaN without a success.
        sign: Multiplier that turns a value into a loss.
    """
    losses = np.where(np.isnan(random.value), np.inf, sign * random.value)
    own = np.inf if math.isnan(final) else sign * final
    losses, (own,) = rounded(losses), rounded(np.array([own]))
    value = np.where(losses < own, 1.0, np.where(losses == own, 0.5, 0.0))
    return Steps(random.costs, value).simplified()


def _worth(strata: Sequence[Sequence[Steps]], most: float) -> tuple[float, float, float]:
    """Return for the wins of random search, runs by task, the multiple that balances them, and its interval's ends."""
    every = [run for part in strata for run in part]
    grid = union_grid(every, 0.0, GRID)
    grid = np.unique(np.append(grid[grid <= most * (1 + ROUNDING)], most))
    tables = [np.nan_to_num(np.stack([run.at(grid) for run in part])) for part in strata]
    means = np.stack([table.mean(axis=0) for table in tables])
    mean = means.mean(axis=0)
    if len(strata) >= FEWEST_UNITS or len(strata) == 1:
        estimate = mean_interval(tables[0] if len(strata) == 1 else means)
        low, high = estimate.low, estimate.high
    else:
        sizes = [len(part) for part in strata]
        weights = stratified_weights(sizes)
        resampled = np.mean([product(w, table) for w, table in zip(weights, tables, strict=True)], axis=0)
        low, high = stratified_interval(mean, resampled, sizes, inside=(0.0, 1.0))
    if np.isnan(low).any():
        return balance(grid, mean), math.nan, math.nan
    return balance(grid, mean), balance(grid, high), balance(grid, low)


def balance(grid: Floats, share: Floats) -> float:
    """Return the multiple at which a share of wins passes a half; infinite where it stays below.

    Args:
        grid: Multiples, ascending and positive, shape ``(n,)``.
        share: The share won with each, never falling, shape ``(n,)``.

    Example:
        >>> balance(np.array([1.0, 2.0, 4.0]), np.array([0.2, 0.5, 0.8]))
        2.8284271247461903
    """
    half = 0.5 - ROUNDING
    reached, passed = grid[share >= half], grid[share > 1 - half]
    if not reached.size:
        return math.inf
    return float(math.sqrt(reached[0] * (passed[0] if passed.size else grid[-1])))
