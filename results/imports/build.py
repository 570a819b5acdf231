"""The tables of a sweep, made of evaluations that were run elsewhere: what is not known there is left empty."""

from __future__ import annotations

import dataclasses
import functools
import math
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import msgspec
import numpy as np
import pandas as pd

from harness import document
from harness.keys import canonical_json, digest
from harness.machine import versions
from harness.plurals import plural
from harness.trial import Budget, Unit, amount_in_words
from results import reevaluation_table
from results.columns import EPOCHS, STUDIES, TASKS, TRIALS
from results.imports.checks import check_labels, check_steps, facts_of
from results.imports.origin import KEY, SHORTER, Imported
from results.imports.runs import Facts, Problems, Runs, Said
from results.tables import SweepTables, with_none

RUN: Final = ["task", "method", "number"]
"""What names a run: its repetition is a number then, from 0 on."""

RANDOM = "random"
"""Registered name of random search: what other methods are compared with."""

_RANDOM_LABELS = re.compile(r"random([ _-]?(search(er)?|sampler))?", re.IGNORECASE)
_SHOWN = 5


def tables_of(name: str, parts: Sequence[Runs], said: Said) -> SweepTables:
    """Return the tables of imported results.

    Args:
        name: What they are called.
        parts: What was read from each source, one or more.
        said: What whoever imports them says.

    Raises:
        ForeignResultsError: They contradict each other, or something that they need is not said; every problem is
            named.
    """
    sources = ", ".join(part.source for part in parts)
    problems = Problems(sources)
    rows = pd.concat(
        [part.rows.assign(part=place, at=np.arange(len(part.rows))) for place, part in enumerate(parts)],
        ignore_index=True,
    )
    if len(parts) > 1:
        named = zip(rows["part"], rows["where"], strict=True)
        rows["where"] = [f"{where} of {parts[part].source}" for part, where in named]
    check_labels(rows, problems)
    check_steps(rows, problems)
    facts = facts_of(rows, parts, said, problems)
    methods = sorted(set(rows["method"]))
    if said.baseline and said.baseline not in methods:
        problems.add(f"--baseline: expected one of the methods {', '.join(methods)}, got {said.baseline!r}")
    problems.check()
    rows = rows.assign(number=_repetitions(rows, paired=said.paired))
    rows = rows.sort_values([*RUN, "step"], kind="stable", ignore_index=True)
    notes = [*dict.fromkeys(note for part in parts for note in part.notes), *_gaps(rows)]
    notes += _counted(rows)
    rows = _with_costs(rows)
    budgets = _budgets(rows, said.budget)
    rows, cut = _within(rows, budgets, problems)
    problems.check()
    rows, facts, untested = _tested(rows, facts)
    notes += [*cut, *untested, *_timed(rows)]
    tasks = _tasks(facts, budgets, rows, f"imported from {sources}")
    rows = rows.assign(study=_studies_of(rows))
    trials = _trials(rows, tasks)
    epochs = _epochs(rows, parts)
    about = Imported(
        sources=tuple(part.source for part in parts),
        paired=said.paired,
        notes=tuple(notes),
        digests=tuple(part.digest for part in parts if part.digest),
        when=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    return SweepTables(
        name=name,
        trials=trials,
        studies=_studies(rows, tasks, said),
        tasks=tasks,
        provenance={
            "sweep": _in_words(name, about, said, facts),
            "revision": "",
            "versions": versions(("numpy", "pandas", "pyarrow")),
            "machines": [],
            "data": {},
            "runs": [],
            KEY: msgspec.to_builtins(about),
        },
        read_epochs=functools.cache(lambda: epochs),
        reevaluations=reevaluation_table.frame(),
    )


def _natural(label: str) -> tuple[int, int, str]:
    """Return what labels of repetitions are sorted by: numbers by size, before all others."""
    whole = re.fullmatch(r"[0-9]{1,15}(\.0)?", label)
    return (0, int(float(label)), label) if whole else (1, 0, label)


def _repetitions(rows: pd.DataFrame, *, paired: bool) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Return the number of each row's run: that of its label among all where paired, else within task and method."""
    keys = rows.groupby(["task", "method"], sort=False).ngroup().to_numpy()
    labels = rows["repetition"].to_numpy(dtype=object)
    groups = np.zeros(len(rows), dtype=np.int64) if paired else keys
    numbers = {
        group: {
            label: place for place, label in enumerate(sorted(set(labels[groups == group]), key=_natural))
        }
        for group in np.unique(groups).tolist()
    }
    return np.array(
        [numbers[group][label] for group, label in zip(groups.tolist(), labels, strict=True)], dtype=np.int64
    )


def _gaps(rows: pd.DataFrame) -> list[str]:
    """Return the sentence on runs of which steps are missing; nothing where there are none."""
    steps = rows.groupby(RUN, sort=True)["step"].agg(["min", "max", "size"])
    gaps = steps[(steps["max"] - steps["min"] + 1 > steps["size"]) | (steps["min"] > 1)]
    if gaps.empty:
        return []
    names = [f"{method} on {task}, repetition {number}" for task, method, number in gaps.index[:_SHOWN]]
    more = f" and {len(gaps) - _SHOWN} more" if len(gaps) > _SHOWN else ""
    return [
        f"Steps are missing in {len(gaps)} of {plural(len(steps), 'run')} ({'; '.join(names)}{more}): evaluations "
        "are counted by what is there, so that these runs cost less than they did."
    ]


def _counted(rows: pd.DataFrame) -> list[str]:
    """Return the sentence on evaluations whose epochs are not known; nothing where all are."""
    unknown = int((rows["epochs"] == 0).sum())
    if not unknown:
        return []
    if unknown == len(rows):
        return ["Epochs are not known: an evaluation counts one."]
    return [f"Epochs are not known of {unknown} of {plural(len(rows), 'evaluation')}, which count one each."]


def _with_costs(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows with what each run has spent: where epochs are not known, an evaluation counts one."""
    counted = rows["epochs"].clip(lower=1)
    reached = counted.groupby([rows[key] for key in (*RUN, "trial")], sort=False)
    before = reached.cummax().groupby([rows[key] for key in (*RUN, "trial")], sort=False).shift(fill_value=0)
    charged = (counted - before).clip(lower=0)
    runs = rows.groupby(RUN, sort=False)
    train = rows.groupby(RUN, sort=False)["seconds"].transform(
        lambda own: np.cumsum(own.to_numpy(dtype=float))
    )
    return rows.assign(
        epochs=counted,
        evaluations=runs.cumcount() + 1,
        charged=charged,
        spent_epochs=charged.groupby([rows[key] for key in RUN], sort=False).cumsum(),
        train_seconds=train.astype(float),
    )


_SPENT: Final[Mapping[Unit, str]] = {"evaluations": "evaluations", "epochs": "spent_epochs"}


def _budgets(rows: pd.DataFrame, said: Budget | None) -> dict[str, Budget]:
    """Return each task's budget: what is said, or else what its longest run spent.

    In evaluations, where all have the same epochs or these are not known; else in epochs.
    """
    if said is not None:
        return {str(task): said for task in sorted(set(rows["task"]))}
    epochs = rows.loc[rows["status"] == "ok", "epochs"]
    unit: Unit = "epochs" if (epochs != epochs.max()).any() else "evaluations"
    longest = rows.groupby("task", sort=True)[_SPENT[unit]].max()
    return {str(task): Budget(unit, int(most)) for task, most in longest.items()}


def _within(
    rows: pd.DataFrame, budgets: Mapping[str, Budget], problems: Problems
) -> tuple[pd.DataFrame, list[str]]:
    """Return the rows that the budgets pay for, and the sentence on the others."""
    amounts = rows["task"].map({task: budget.amount for task, budget in budgets.items()})
    spent = rows["spent_epochs"] if next(iter(budgets.values())).unit == "epochs" else rows["evaluations"]
    kept = spent <= amounts
    runs = rows.groupby(RUN, sort=False).ngroup()
    empty = rows[~runs.isin(runs[kept])].drop_duplicates(RUN)
    problems.rows(
        "--budget: it does not pay for the first evaluation of a run",
        [f"{row.method} on {row.task}, repetition {row.repetition}" for row in empty.itertuples()],
    )
    beyond = int((~kept).sum())
    words = (
        [f"Left out, because they are beyond the budget: {beyond} of {plural(len(rows), 'evaluation')}."]
        if beyond
        else []
    )
    return rows[kept].reset_index(drop=True), words


def _tested(
    rows: pd.DataFrame, facts: Mapping[str, Facts]
) -> tuple[pd.DataFrame, dict[str, Facts], list[str]]:
    """Return rows and facts with test values only where all successful evaluations of a task have one."""
    result, notes = {}, []
    test = rows["test"].to_numpy(dtype=float).copy()
    for task, own in facts.items():
        mine = ((rows["task"] == task) & (rows["status"] == "ok")).to_numpy()
        known = int(np.isfinite(test[mine]).sum())
        whole = 0 < known == int(mine.sum())
        if 0 < known < int(mine.sum()):
            notes.append(
                f"Test values of {task} are not used: {int(mine.sum()) - known} of its {int(mine.sum())} successful "
                "evaluations have none, and any of them may be a run's best."
            )
        if not whole:
            test[(rows["task"] == task).to_numpy()] = math.nan
        result[task] = dataclasses.replace(own, test_metric=(own.test_metric or "test") if whole else "")
    return rows.assign(test=test), result, notes


def _timed(rows: pd.DataFrame) -> list[str]:
    unknown = int(rows["seconds"].isna().sum())
    if unknown in (0, len(rows)):
        return []
    return [
        f"Seconds are not known of {unknown} of {plural(len(rows), 'evaluation')}, so that nothing is drawn over them."
    ]


def _tasks(
    facts: Mapping[str, Facts], budgets: Mapping[str, Budget], rows: pd.DataFrame, source: str
) -> pd.DataFrame:
    ok = rows[rows["status"] == "ok"].groupby("task")["value"].agg(["min", "max"])
    full = rows.groupby("task")["epochs"].max()
    made = {}
    for task, own in facts.items():
        seen = ok["max" if own.direction == "min" else "min"].get(task, 0.0)
        made[task] = {
            "name": task,
            "source": source,
            "metric": own.metric,
            "test_metric": own.test_metric or None,
            "direction": own.direction,
            "failure": float(seen),
            "full_epochs": int(full[task]),
            "budget_unit": budgets[task].unit,
            "budget_amount": float(budgets[task].amount),
            "budget_full_cost": 0.0,
            "cost_unit": "epochs",
            "subset": False,
            "data": "",
            "regret_best": math.nan if own.best is None else own.best,
            "regret_reference": math.nan if own.reference is None else own.reference,
            "splits": "fixed",
            "group": own.group,
            "replayed": "",
        }
    table = pd.DataFrame.from_dict(made, orient="index")[list(TASKS)].rename_axis("task")
    return with_none(table.astype({name: column.dtype for name, column in TASKS.items()}))


def _studies_of(rows: pd.DataFrame) -> pd.Series:
    """Return the id of each row's study: the same for the same run whenever it is imported."""
    runs = rows.groupby(RUN, sort=False).ngroup()
    first = rows.drop_duplicates(RUN)
    ids = [
        digest(["imported", task, method, int(number)])
        for task, method, number in first[RUN].itertuples(index=False)
    ]
    return runs.map(dict(zip(runs[first.index], ids, strict=True))).astype("str")


def _trials(rows: pd.DataFrame, tasks: pd.DataFrame) -> pd.DataFrame:
    sign = np.where(rows["task"].map(tasks["direction"]) == "min", 1.0, -1.0)
    failure = rows["task"].map(tasks["failure"]).to_numpy(dtype=float)
    ok = (rows["status"] == "ok").to_numpy()
    steps = rows["evaluations"]
    unknown = np.full(len(rows), math.nan)
    frame = rows.assign(
        searcher=rows["method"],
        repetition=rows["number"],
        step=steps,
        loss=sign * np.where(ok, rows["value"], failure),
        spent_cost=rows["spent_epochs"].astype(float),
        total_seconds=unknown,
        virtual_time=rows["spent_epochs"].astype(float),
        virtual_start=(rows["spent_epochs"] - rows["charged"]).astype(float),
        machine="",
        ask_seconds=unknown,
        tell_seconds=unknown,
        evaluation=[digest([study, int(step)]) for study, step in zip(rows["study"], steps, strict=True)],
    )
    return frame[list(TRIALS)].astype({name: column.dtype for name, column in TRIALS.items()})


def _studies(rows: pd.DataFrame, tasks: pd.DataFrame, said: Said) -> pd.DataFrame:
    last = rows.drop_duplicates(RUN, keep="last")
    unit = last["task"].map(tasks["budget_unit"])
    spent = np.where(unit == "epochs", last["spent_epochs"], last["evaluations"]).astype(float)
    least = np.where(unit == "epochs", last["task"].map(rows.groupby("task")["epochs"].min()), 1)
    short = last["task"].map(tasks["budget_amount"]).to_numpy(dtype=float) - spent >= least
    labels = zip(last["method"], last["repetition"], strict=True)
    frame = last.assign(
        searcher=last["method"],
        repetition=last["number"],
        state="done",
        reason=np.where(short, SHORTER, "budget"),
        spent=spent,
        followed=0,
        method=[RANDOM if _is_random(str(label), said) else "" for label in last["method"]],
        workers=0,
        protocol=[canonical_json({"imported": {"method": m, "repetition": r}}) for m, r in labels],
        split=-1,
    )
    frame = frame.sort_values(["number", "task", "searcher"], ignore_index=True)
    return frame[list(STUDIES)].astype({name: column.dtype for name, column in STUDIES.items()})


def _is_random(label: str, said: Said) -> bool:
    return label == said.baseline if said.baseline else _RANDOM_LABELS.fullmatch(label) is not None


def _epochs(rows: pd.DataFrame, parts: Sequence[Runs]) -> pd.DataFrame:
    """Return the curves that are known, in the order of the trials."""
    found = [part.curves.assign(part=place) for place, part in enumerate(parts) if part.curves is not None]
    if not found:
        return pd.DataFrame({name: pd.Series(dtype=column.dtype) for name, column in EPOCHS.items()})
    curves = pd.concat(found, ignore_index=True).rename(columns={"row": "at"})
    places = rows[["part", "at", "study", "evaluations"]].rename(columns={"evaluations": "step"})
    table = places.assign(order=np.arange(len(rows))).merge(curves, on=["part", "at"])
    table = table.sort_values(["order", "epoch"], ignore_index=True).drop(columns=["part", "at", "order"])
    metrics = [name for name in table.columns if name not in EPOCHS]
    return table[[*EPOCHS, *metrics]].astype(
        {**{name: column.dtype for name, column in EPOCHS.items()}, **dict.fromkeys(metrics, "float64")}
    )


def _in_words(name: str, about: Imported, said: Said, facts: Mapping[str, Facts]) -> str:
    """Return what stands where a sweep's file does: what was imported, and how it was understood."""
    tasks = {
        task: {key: value for key, value in dataclasses.asdict(own).items() if value not in ("", None)}
        for task, own in facts.items()
    }
    budget = (
        f"{amount_in_words(said.budget.amount)} {said.budget.unit}"
        if said.budget
        else "that of the longest run"
    )
    text = document.write(
        {
            "name": name,
            "sources": list(about.sources),
            "paired": said.paired,
            "budget": budget,
            "tasks": tasks,
        }
    )
    return f"# Imported: none of this was run by HPO Derby.\n{text}"
