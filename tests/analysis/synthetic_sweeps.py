"""Synthetic sweeps: tables built by hand from what each study was told, without running anything."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from results.tables import SweepTables

TRIAL_COLUMNS = [
    *(
        "task",
        "searcher",
        "repetition",
        "study",
        "step",
        "trial",
        "config",
        "epochs",
        "status",
        "value",
        "test",
    ),
    *("loss", "evaluations", "spent_epochs", "spent_cost", "train_seconds", "total_seconds", "virtual_time"),
    *("seconds", "ask_seconds", "tell_seconds"),
]
NO_TASK = {
    "metric": "value",
    "test_metric": None,
    "direction": "min",
    "failure": 100.0,
    "full_epochs": 1,
    "budget_unit": "evaluations",
    "budget_amount": 10,
    "budget_full_cost": 0.0,
    "cost_unit": "evaluations",
    "source": "",
    "subset": False,
    "regret_best": np.nan,
    "regret_reference": np.nan,
    "group": "",
    "replayed": "",
    "splits": "fixed",
}


def study_rows(
    task: str,
    searcher: str,
    repetition: int,
    values: Sequence[float | None],
    tests: Sequence[float | None] | None = None,
    *,
    costs: Sequence[float] | None = None,
    epochs: Sequence[int] | None = None,
    trials: Sequence[int] | None = None,
    direction: str = "min",
) -> list[dict[str, Any]]:
    """Rows of the trials table of one study; ``None`` is a diverged evaluation, costs are seconds."""
    rows, spent, reached, before = [], 0, {}, 0.0
    for index, value in enumerate(values):
        trial = trials[index] if trials else index
        length = epochs[index] if epochs else 1
        spent += length - reached.get(trial, 0)
        reached[trial] = length
        seconds = float(costs[index]) if costs else 1.5 * spent
        test = tests[index] if tests is not None else None
        rows.append(
            {
                "task": task,
                "searcher": searcher,
                "repetition": repetition,
                "study": f"{task}|{searcher}|{repetition}",
                "step": index + 1,
                "trial": trial,
                "config": json.dumps({"x": trial}),
                "epochs": length,
                "status": "diverged" if value is None else "ok",
                "value": np.nan if value is None else float(value),
                "test": np.nan if value is None or test is None else float(test),
                "loss": 100.0 if value is None else float(value) * (1 if direction == "min" else -1),
                "evaluations": index + 1,
                "spent_epochs": spent,
                "spent_cost": float(spent),
                "train_seconds": seconds,
                "total_seconds": seconds + 0.1 * (index + 1),
                "virtual_time": seconds,
                "seconds": seconds - before,
                "ask_seconds": 0.1,
                "tell_seconds": 0.0,
            }
        )
        before = seconds
    return rows


def told_of(
    values: Mapping[str, Callable[[int, int], float | None]],
    tasks: int | Sequence[str] = 8,
    repetitions: int = 5,
) -> list[dict[str, Any]]:
    """Rows of one evaluation per study: ``values`` gives a method's value by (place of the task, repetition).

    Tasks are named, or so many of them are ``t0``, ``t1``, ….
    """
    names = [f"t{place}" for place in range(tasks)] if isinstance(tasks, int) else tasks
    return [
        row
        for place, task in enumerate(names)
        for repetition in range(repetitions)
        for name, value in values.items()
        for row in study_rows(task, name, repetition, [value(place, repetition)])
    ]


def tables_of(
    rows: Sequence[Mapping[str, Any]],
    tasks: Mapping[str, Mapping[str, Any]],
    *,
    name: str = "synthetic",
    others: Sequence[Mapping[str, Any]] = (),
    states: Mapping[str, tuple[str, str]] | None = None,
    provenance: Mapping[str, Any] | None = None,
) -> SweepTables:
    """Tables of the studies that the rows belong to (done unless ``states`` says otherwise) and of ``others``."""
    trials = pd.DataFrame(list(rows), columns=TRIAL_COLUMNS)
    studies = []
    for study, group in trials.groupby("study", sort=False):
        state, reason = (states or {}).get(str(study), ("done", ""))
        first = group.iloc[0]
        studies.append(
            {
                "task": first["task"],
                "searcher": first["searcher"],
                "repetition": int(first["repetition"]),
                "study": study,
                "state": state,
                "reason": reason,
                "evaluations": len(group),
                "spent": len(group),
                "followed": 0,
                "method": first["searcher"],
                "workers": 1,
            }
        )
    studies += [
        {
            "study": f"{o['task']}|{o['searcher']}|{o['repetition']}",
            "evaluations": 0,
            "spent": 0,
            "followed": 0,
            "method": "",
            "workers": 0,
            **o,
        }
        for o in others
    ]
    columns = [
        "task",
        "searcher",
        "repetition",
        "study",
        "state",
        "reason",
        "evaluations",
        "spent",
        "followed",
        "method",
        "workers",
    ]
    return SweepTables(
        name=name,
        trials=trials,
        read_epochs=lambda: pd.DataFrame({"study": [], "step": [], "epoch": []}),
        studies=pd.DataFrame(studies, columns=columns),
        tasks=pd.DataFrame([{**NO_TASK, **about} for about in tasks.values()], index=list(tasks)),
        provenance=provenance or {},
    )


ACCURACY = {
    "metric": "val_accuracy",
    "test_metric": "test_accuracy",
    "direction": "max",
    "failure": 0.0,
    "full_epochs": 9,
    "budget_unit": "epochs",
    "budget_amount": 270,
    "source": "a report",
}
LOSS = {**ACCURACY, "metric": "val_loss", "test_metric": "test_loss", "direction": "min", "failure": 9.0}
SKILL = {"random": 1.0, "optuna_tpe": 1.6, "skopt_gp": 2.4, "hyperband": 1.3}


def _errors(rng: np.random.Generator, skill: float, count: int) -> np.ndarray:
    """Error rates that become smaller with the step, faster for a more skilful method."""
    return 0.02 + 0.5 * rng.beta(1, 3, count) * np.arange(1, count + 1) ** (-0.3 * skill)


def example(repetitions: int = 5, count: int = 30, name: str = "example") -> SweepTables:
    """Three tasks, four methods, five repetitions; failures, gaps, continued trials, a task without test."""
    rng = np.random.default_rng(7)
    rows: list[dict[str, Any]] = []
    gaps = {("fashion/small", "skopt_gp", 3), ("mnist/small", "optuna_tpe", 4)}
    for task, direction in (("mnist/small", "max"), ("fashion/small", "min"), ("branin/2d", "min")):
        for repetition in range(repetitions):
            for searcher, skill in SKILL.items():
                if (task, searcher, repetition) in gaps:
                    continue
                deep = searcher == "hyperband" and task != "branin/2d"
                length = 2 * count if deep else count
                errors = _errors(rng, skill, length)
                epochs = [1 if task == "branin/2d" else 9] * length
                trials = list(range(length))
                if deep:  # every second evaluation continues the trial before it from 3 to 9 epochs
                    trials = [index // 2 for index in range(length)]
                    epochs = [3, 9] * count
                    errors = errors * np.where(np.array(epochs) == 3, 1.3, 1.0)
                noisy = np.abs(errors + rng.normal(0, 0.006, length))
                failed = rng.random(length) < (0.1 if task == "mnist/small" else 0.0)
                if task == "branin/2d":
                    values, tests = list(0.3979 + 40 * errors**2), None
                elif direction == "max":
                    values, tests = list(1 - errors), list(1 - noisy)
                else:
                    values, tests = list(3 * errors), list(3 * noisy)
                values = [None if bad else value for value, bad in zip(values, failed, strict=True)]
                seconds = np.cumsum(rng.uniform(0.5, 2.0, length) * (2.0 if searcher == "skopt_gp" else 1.0))
                rows += study_rows(
                    task,
                    searcher,
                    repetition,
                    values,
                    tests,
                    costs=list(seconds),
                    epochs=epochs,
                    trials=trials,
                    direction=direction,
                )
    others = [
        {"task": "fashion/small", "searcher": "skopt_gp", "repetition": 3, "state": "missing", "reason": ""},
        {
            "task": "mnist/small",
            "searcher": "optuna_tpe",
            "repetition": 4,
            "state": "failed",
            "reason": "SearcherError: optuna_tpe proposed nothing",
        },
    ]
    tasks = {
        "mnist/small": ACCURACY,
        "fashion/small": {**LOSS, "subset": True},
        "branin/2d": {"full_epochs": 1, "budget_amount": count, "source": "Branin 1972"},
    }
    provenance = {
        "sweep": "name: example\ntasks: [mnist/small, fashion/small, branin/2d]\n",
        "revision": "0123abc",
        "versions": {"numpy": "2.4", "optuna": "5.0"},
        "machines": [{"id": "a", "processor": "Xeon"}, {"id": "b", "processor": "EPYC", "device": "H100"}],
        "data": {"mnist/small": "aa11", "fashion/small": "bb22"},
    }
    others = [other for other in others if other["repetition"] < repetitions]
    return tables_of(rows, tasks, name=name, others=others, provenance=provenance)
