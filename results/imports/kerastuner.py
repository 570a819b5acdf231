"""Results from Keras Tuner's project folders: one run each. Keras Tuner is not needed to read them."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from harness.errors import nearest
from harness.plurals import plural
from results.imports.folders import named_folders
from results.imports.names import Naming
from results.imports.runs import Facts, Problems, Reading, Runs, curve_column, frame
from results.imports.table import config_json

ORACLE, TRIAL = "oracle.json", "trial.json"
_EPOCHS, _FIRST, _BEFORE = "tuner/epochs", "tuner/initial_epoch", "tuner/trial_id"
_ENDED = frozenset({"COMPLETED", "INVALID", "FAILED"})


def is_folder(folder: Path) -> bool:
    """Whether there is a project in a folder, however deep."""
    return next(folder.rglob(ORACLE), None) is not None


def read_projects(folder: Path, reading: Reading) -> Runs:
    """Read project folders: ``folder`` itself, or those in it.

    A trial is one evaluation; its value is the score that Keras Tuner gave it: that of its best epoch, the mean over
    its executions. Trials are in the order in which they ended. Where the tuner chose epochs (Hyperband), these are
    the evaluation's, and a trial that went on from another one continues it; elsewhere they are not on record.

    Args:
        folder: One project, or a folder with some, however deep.
        reading: How projects are named, by their path in ``folder``; ``metric``: the objective, where it cannot be told
            from the scores; ``test``: the metric that is the test value, at the same epoch.

    Raises:
        RecordError: It cannot be read, or holds no project.
        ForeignResultsError: A project cannot be used; every problem is named.
    """
    problems = Problems(str(folder))
    projects = named_folders(folder, {path.parent for path in folder.rglob(ORACLE)}, "project")
    identities = Naming(reading, "project").of(list(projects), problems)
    read = {name: _Project(projects[name], problems) for name in identities}
    problems.check()
    rows: list[dict[str, Any]] = []
    curves: list[dict[str, Any]] = []
    facts: dict[str, Facts] = {}
    left_out = 0
    for name, (task, method, repetition) in identities.items():
        project = read[name]
        left_out += project.open
        metric = project.metric(reading.metric, f"project {name!r}", problems)
        if reading.test and reading.test not in project.metrics:
            problems.add(
                f"--test {reading.test}: project {name!r} has no such metric; {nearest(reading.test, project.metrics)}"
            )
        own = Facts(direction=project.metrics.get(metric, ""), metric=metric, test_metric=reading.test)
        known = facts.setdefault(task, own)
        if known.direction != own.direction:
            problems.add(f"project {name!r}: the direction of {metric!r} is not that of others on {task!r}")
        for step, trial in enumerate(project.trials, 1):
            found = project.evaluation(trial, metric, reading.test)
            curves += _curve(trial, len(rows), found["epochs"])
            rows.append(
                {
                    **{"task": task, "method": method, "repetition": repetition, "step": step},
                    **found,
                    "where": f"project {name!r}, trial {trial['trial_id']}",
                }
            )
    if not rows and identities:
        problems.add("no project that is read has a trial that ended")
    problems.check()
    notes = ["An evaluation's value is the score that Keras Tuner gave the trial: that of its best epoch."]
    if left_out:
        notes.append(
            f"Left out: {plural(left_out, 'trial')} of {folder} that {'has' if left_out == 1 else 'have'} not ended."
        )
    return Runs(frame(rows), str(folder), facts, pd.DataFrame(curves) if curves else None, tuple(notes))


class _Project:
    """A project's folder as it was read.

    Attributes:
        trials: Those that ended, in that order.
        open: How many have not.
        metrics: Direction of each metric on record.
    """

    def __init__(self, folder: Path, problems: Problems) -> None:
        self.trials: list[dict[str, Any]] = []
        self.open = 0
        self.metrics: dict[str, str] = {}
        oracle = _object(folder / ORACLE, problems)
        found: dict[str, dict[str, Any]] = {}
        for path in sorted(folder.glob(f"trial_*/{TRIAL}")):
            trial = _object(path, problems)
            if not _is_trial(trial):
                problems.add(f"{path}: expected a trial with its id, status, hyperparameters and metrics")
                continue
            if trial["status"] not in _ENDED:
                self.open += 1
                continue
            found[str(trial["trial_id"])] = trial
            for name, metric in trial["metrics"]["metrics"].items():
                self.metrics.setdefault(name, str(metric.get("direction", "")))
        order = [str(name) for name in oracle.get("end_order") or () if str(name) in found]
        order += [name for name in found if name not in order]
        self.trials = [found[name] for name in dict.fromkeys(order)]
        self._numbers = {name: number for number, name in enumerate(dict.fromkeys(order))}

    def metric(self, said: str, where: str, problems: Problems) -> str:
        """Return the objective: what is said, or the one metric whose best values are the scores."""
        if said:
            if said not in self.metrics:
                problems.add(f"--metric {said}: {where} has no such metric; {nearest(said, self.metrics)}")
            return said
        fitting = [
            name
            for name in self.metrics
            if all(
                _best(trial, name) == trial.get("score")
                for trial in self.trials
                if _finite(trial.get("score"))
            )
        ]
        if len(fitting) != 1:
            problems.add(
                f"{where}: which metric is the objective is not known; say it with --metric, one of: "
                f"{', '.join(sorted(self.metrics)) or 'none on record'}"
            )
            return ""
        return fitting[0]

    def evaluation(self, trial: Mapping[str, Any], metric: str, test: str) -> dict[str, Any]:
        """Return what became of a trial."""
        values = trial["hyperparameters"]["values"]
        score = _best(trial, metric)
        reported = metric in trial["metrics"]["metrics"]
        ok = trial["status"] == "COMPLETED" and _finite(score)
        failure = "diverged" if reported and not _finite(score) else "crashed"
        epochs = values.get(_EPOCHS)
        step = trial.get("best_step")
        first = self._numbers.get(str(values.get(_BEFORE)))
        chain = self._first_of(str(trial["trial_id"])) if first is not None else str(trial["trial_id"])
        return {
            "trial": self._numbers[chain],
            "status": "ok" if ok else failure,
            "value": score if ok else math.nan,
            "test": _at(trial, test, step) if ok and test else math.nan,
            "seconds": math.nan,
            "epochs": int(epochs) if isinstance(epochs, int) and epochs > 0 else 0,
            "config": config_json(
                {name: value for name, value in values.items() if not name.startswith("tuner/")}
            ),
        }

    def _first_of(self, name: str) -> str:
        """Return the trial that a trial's training began with."""
        trials = {str(trial["trial_id"]): trial for trial in self.trials}
        seen = [name]
        while (before := str(trials[seen[-1]]["hyperparameters"]["values"].get(_BEFORE))) in trials:
            if before in seen:
                break
            seen.append(before)
        return seen[-1]


def _object(path: Path, problems: Problems) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        problems.add(f"{path}: expected JSON: {error}")
        return {}
    if not isinstance(value, dict):
        problems.add(f"{path}: expected a JSON object")
        return {}
    return value


def _is_trial(value: Mapping[str, Any]) -> bool:
    """Whether something has the parts of a trial that are read here."""
    try:
        metrics = value["metrics"]["metrics"]
        return (
            isinstance(value["hyperparameters"]["values"], dict)
            and isinstance(value["status"], str)
            and isinstance(value["trial_id"], str | int)
            and all(
                isinstance(seen["step"], int) and all(isinstance(each, int | float) for each in seen["value"])
                for metric in metrics.values()
                for seen in metric["observations"]
            )
        )
    except (KeyError, TypeError, AttributeError):
        return False


def _finite(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def _observed(trial: Mapping[str, Any], metric: str) -> dict[int, float]:
    """Return the means over executions by step."""
    seen = trial["metrics"]["metrics"].get(metric, {}).get("observations") or ()
    return {own["step"]: math.fsum(own["value"]) / len(own["value"]) for own in seen if own["value"]}


def _best(trial: Mapping[str, Any], metric: str) -> float:
    """Return the best of a metric's values, as Keras Tuner scores a trial; NaN without one."""
    values = [value for value in _observed(trial, metric).values() if math.isfinite(value)]
    if not values:
        return math.nan
    larger = trial["metrics"]["metrics"][metric].get("direction") == "max"
    return max(values) if larger else min(values)


def _at(trial: Mapping[str, Any], metric: str, step: Any) -> float:
    """Return a metric's value at a step, or its only one."""
    seen = _observed(trial, metric)
    value = seen.get(step, next(iter(seen.values())) if len(seen) == 1 else math.nan)
    return value if math.isfinite(value) else math.nan


def _curve(trial: Mapping[str, Any], row: int, epochs: int) -> list[dict[str, Any]]:
    """Return what is on record of a trial's epochs, where it is known how many it had; steps count from 0."""
    by_epoch: dict[int, dict[str, Any]] = {}
    for metric in trial["metrics"]["metrics"]:
        for step, value in _observed(trial, metric).items():
            if 0 <= step < epochs:
                by_epoch.setdefault(step + 1, {"row": row, "epoch": step + 1})[curve_column(metric)] = value
    return [by_epoch[epoch] for epoch in sorted(by_epoch)]
