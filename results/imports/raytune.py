"""Results from Ray Tune's experiment folders: one run each. Ray is not needed, and nothing is unpickled."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from harness.errors import nearest
from harness.plurals import plural
from results.imports.folders import named_folders
from results.imports.names import Naming
from results.imports.runs import Facts, Problems, Reading, Runs, curve_column, frame
from results.imports.table import config_json

RESULTS, PARAMETERS, ERROR = "result.json", "params.json", "error.txt"

_OWN = frozenset(
    {
        *(
            "timestamp",
            "training_iteration",
            "time_this_iter_s",
            "time_total_s",
            "pid",
            "node_ip",
            "hostname",
        ),
        *(
            "time_since_restore",
            "iterations_since_restore",
            "done",
            "trial_id",
            "date",
            "checkpoint_dir_name",
        ),
    }
)
"""What Ray Tune adds to every result, and is no metric."""


def is_folder(folder: Path) -> bool:
    """Whether there is a trial with results or an error in a folder, however deep."""
    return next(_trials_in(folder), None) is not None


def _trials_in(folder: Path) -> Iterator[Path]:
    for path in folder.rglob(f"*/{PARAMETERS}"):
        if (path.parent / RESULTS).exists() or (path.parent / ERROR).exists():
            yield path.parent


def read_experiments(folder: Path, reading: Reading) -> Runs:
    """Read experiment folders: ``folder`` itself, or those in it.

    A trial is one evaluation, at its last reported iteration; iterations are epochs. Trials are in the order in which
    they reported last. A trial with an error failed, whatever it had reported; one that was still running counts with
    what it had.

    Args:
        folder: One experiment, or a folder with some, however deep.
        reading: How experiments are named, by their path in ``folder``; ``metric`` and ``test``: the results' keys.

    Raises:
        RecordError: It cannot be read, or holds no experiment.
        ForeignResultsError: An experiment cannot be used; every problem is named.
    """
    problems = Problems(str(folder))
    experiments = named_folders(folder, {path.parent for path in _trials_in(folder)}, "experiment")
    identities = Naming(reading, "experiment").of(list(experiments), problems)
    read = {
        name: [
            _Trial(path, problems)
            for path in sorted(experiments[name].iterdir())
            if (path / PARAMETERS).is_file()
        ]
        for name in identities
    }
    problems.check()
    begun = {
        name: [trial for trial in trials if trial.results or trial.failed] for name, trials in read.items()
    }
    left_out = sum(map(len, read.values())) - sum(map(len, begun.values()))
    read = begun
    metric = _metric(read, reading, problems)
    if reading.test:
        _check_key("test", reading.test, read, problems)
    problems.check()
    rows: list[dict[str, Any]] = []
    curves: list[dict[str, Any]] = []
    facts: dict[str, Facts] = {}
    for name, (task, method, repetition) in identities.items():
        facts[task] = Facts(metric=metric, test_metric=reading.test)
        for step, trial in enumerate(sorted(read[name], key=lambda own: (own.ended, own.name)), 1):
            curves += trial.curve(len(rows))
            rows.append(
                {
                    **{
                        "task": task,
                        "method": method,
                        "repetition": repetition,
                        "step": step,
                        "trial": step - 1,
                    },
                    **trial.evaluation(metric, reading.test),
                    "where": f"experiment {name!r}, trial {trial.name}",
                }
            )
    torn = sum(trial.torn for trials in read.values() for trial in trials)
    notes = ["A trial counts as an evaluation with the last value that it reported; iterations are epochs."]
    if left_out:
        notes.append(
            f"Left out: {plural(left_out, 'trial')} of {folder} that {'has' if left_out == 1 else 'have'} reported "
            "nothing yet."
        )
    if torn:
        notes.append(f"The last line of {plural(torn, 'result file')} was cut off, and is left out.")
    table = pd.DataFrame(curves) if curves else None
    return Runs(frame(rows), str(folder), facts, table, tuple(notes))


class _Trial:
    """A trial's folder as it was read."""

    def __init__(self, folder: Path, problems: Problems) -> None:
        self.name = folder.name
        self.torn = False
        self.failed = (folder / ERROR).exists()
        self.config: Mapping[str, Any] = {}
        self.results: list[dict[str, Any]] = []
        try:
            config = json.loads((folder / PARAMETERS).read_text(encoding="utf-8"))
            lines = (folder / RESULTS).read_bytes().split(b"\n") if (folder / RESULTS).exists() else []
        except (OSError, ValueError, RecursionError) as error:
            problems.add(f"{folder / PARAMETERS}: expected the parameters of a trial as JSON: {error}")
            return
        if not isinstance(config, dict):
            problems.add(f"{folder / PARAMETERS}: expected the parameters of a trial as a JSON object")
            return
        self.config = flat(config)
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                result = json.loads(line)
            except (ValueError, RecursionError) as error:
                if number == len(lines):
                    self.torn = True
                    continue
                problems.add(f"{folder / RESULTS}, line {number}: expected a result as JSON: {error}")
                return
            iteration = result.get("training_iteration") if isinstance(result, dict) else None
            if not isinstance(iteration, int) or isinstance(iteration, bool) or not 0 < iteration < 1 << 53:
                problems.add(
                    f"{folder / RESULTS}, line {number}: expected a result with a training_iteration"
                )
                return
            # Restored from a checkpoint, a trial reports some iterations again.
            while self.results and self.results[-1]["training_iteration"] >= iteration:
                self.results.pop()
            self.results.append(
                {key: value for key, value in flat(result).items() if not key.startswith("config/")}
            )

    @property
    def ended(self) -> float:
        """When it reported last, in seconds; infinite where it never did."""
        return number(self.results[-1].get("timestamp")) if self.results else math.inf

    def evaluation(self, metric: str, test: str) -> dict[str, Any]:
        """Return what became of it."""
        last = self.results[-1] if self.results else {}
        value = number(last.get(metric))
        status = (
            "crashed" if self.failed or metric not in last else "ok" if math.isfinite(value) else "diverged"
        )
        tested = number(last.get(test)) if test and status == "ok" else math.nan
        return {
            "status": status,
            "value": value if status == "ok" else math.nan,
            "test": tested if math.isfinite(tested) else math.nan,
            "seconds": number(last.get("time_total_s")) if last else math.nan,
            "epochs": last.get("training_iteration", 0),
            "config": config_json(self.config),
        }

    def curve(self, row: int) -> list[dict[str, Any]]:
        """Return its results by epoch."""
        return [
            {
                "row": row,
                "epoch": result["training_iteration"],
                "seconds": number(result.get("time_this_iter_s")),
                **{curve_column(key): float(value) for key, value in result.items() if is_metric(key, value)},
            }
            for result in self.results
        ]


def flat(value: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    """Return nested objects as one, keys joined by ``/`` as Ray Tune itself does."""
    result: dict[str, Any] = {}
    for key, inner in value.items():
        if isinstance(inner, dict) and inner:
            result |= flat(inner, f"{above}{key}/")
        else:
            result[f"{above}{key}"] = inner
    return result


def number(value: Any) -> float:
    """Return a value as a number, NaN where it is none."""
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else math.nan


def is_metric(key: str, value: Any) -> bool:
    """Whether a result's entry is a metric."""
    return key not in _OWN and isinstance(value, int | float) and not isinstance(value, bool)


def _keys(read: Mapping[str, list[_Trial]]) -> list[str]:
    results = (result for trials in read.values() for trial in trials for result in trial.results)
    return sorted({key for result in results for key, value in result.items() if is_metric(key, value)})


def _metric(read: Mapping[str, list[_Trial]], reading: Reading, problems: Problems) -> str:
    """Return the key of the objective: the one that is said, or the only one that there is."""
    keys = _keys(read)
    if reading.metric:
        _check_key("metric", reading.metric, read, problems)
        return reading.metric
    if len(keys) == 1:
        return keys[0]
    problems.add(
        f"which result is the objective is not known; say it with --metric, one of: {', '.join(keys) or 'none'}"
    )
    return ""


def _check_key(option: str, key: str, read: Mapping[str, list[_Trial]], problems: Problems) -> None:
    keys = _keys(read)
    if key not in keys:
        problems.add(f"--{option} {key}: no result holds it; {nearest(key, keys)}")
