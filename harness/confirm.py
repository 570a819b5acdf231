"""Confirms a race on recordings: its winners are trained for real, and compared with what the replay promised.

A race on a recording chooses the best of many values that were interpolated, each with a seed's luck in it. What the
winners are worth is what they give on the recorded task itself, with seeds that no recording and no search has seen.
These trainings are an ordinary sweep in a results folder: it goes on where it was interrupted, on any executor.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from analysis.statistics.comparison import compare
from analysis.statistics.inputs import prepare
from analysis.statistics.ranks import rounded
from harness import document
from harness.certify import REPLAY, check_fresh, recorded_task, said
from harness.errors import DataError, SweepError, nearest
from harness.keys import as_name, text_digest
from harness.sweep import Sweep, make_sweep
from harness.task import Task
from results.tables import SweepTables, read_tables

if TYPE_CHECKING:
    from analysis.statistics.scores import TaskScores
    from harness.progress import Progress
    from harness.recording import Recording

Run = Callable[[Sweep], "Progress"]


@dataclass(frozen=True, slots=True)
class Trial:
    """How winners are confirmed.

    Args:
        methods: How many of the leading ones, on each recording.
        seeds: Fresh training seeds of each winner.
        seed: Root of these; another than the recording's and the certificate's.
        only: Labels of the recordings whose winners are trained; all by default.
    """

    methods: int = 5
    seeds: int = 3
    seed: int = 2
    only: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """What confirming the winners on one recording runs.

    Attributes:
        label: The replay's, in the race.
        task: The recorded task.
        replay: Its replay.
        winners: One row for each final incumbent of the leading methods: ``searcher``, ``repetition``, ``config``
            (JSON), ``epochs``, ``found`` (its loss in the race).
        sweep: Trains them, each once for each fresh seed, however many methods found it.
    """

    label: str
    task: Task
    replay: Task
    winners: pd.DataFrame
    sweep: Sweep

    @property
    def trainings(self) -> int:
        """How many trainings this takes."""
        return len(self.winners[["config", "epochs"]].drop_duplicates()) * self.sweep.spec.repetitions


def prepared(tables: SweepTables, trial: Trial) -> list[Plan]:
    """Return what confirming a race runs, one plan for each of its recordings.

    Args:
        tables: The race; what is finished of it counts.
        trial: How its winners are confirmed.

    Raises:
        DataError: It raced on no recording, on one that is not as it was then, or on a task that is another by now, or
            the seed is the recording's.
        SweepError: A recorded task cannot be run here, or one that was asked for is not among the race's.
    """
    replays = _replays(tables)
    for label in trial.only:
        if label not in replays:
            raise SweepError(f"{tables.name} has no recording {label!r}; {nearest(label, list(replays))}")
    if trial.only:
        replays = {label: replay for label, replay in replays.items() if label in trial.only}
    scores = compare(prepare(tables)).every if replays else {}
    plans = [
        _plan(label, replay, tables, _leading(scores[label], trial.methods), trial)
        for label, replay in replays.items()
        if label in scores
    ]
    if not plans:
        raise DataError(
            f"{tables.name} has no finished studies on a recording: expected a race on tasks `replay/NAME`, got "
            f"{', '.join(tables.tasks.index)}; only what replays real trainings can be confirmed by real trainings"
        )
    return plans


def _replays(tables: SweepTables) -> dict[str, Task]:
    """Return the race's replays by label, each checked to be of the recording that was raced on."""
    content = document.read(str(tables.provenance["sweep"])).value
    entries = [entry for entry in content["tasks"] if _name(entry).split("/")[0] == REPLAY]
    if not entries:
        return {}
    probe = {"name": "confirming", "repetitions": 1, "budget": {"evaluations": 1}}
    probe |= {"tasks": entries, "searchers": ["random"]}
    found = dict(make_sweep(probe, f"confirming {tables.name}").tasks)
    for label, task in found.items():
        if label in tables.tasks.index and (then := str(tables.tasks.loc[label, "data"])) != task.pinned_data:
            raise DataError(
                f"{tables.name} raced on another recording {label} than there is here: its digest was {then}, and is "
                f"{task.pinned_data}; race anew, or confirm with the version of the project that raced"
            )
    return found


def _name(entry: Any) -> str:
    return str(entry if isinstance(entry, str) else entry["name"])


def _leading(scores: TaskScores, count: int) -> list[str]:
    """Return the methods with the best mean ranks on a task, of those that finished it, best first."""
    finished = ~np.isnan(scores.losses).any(axis=0)
    ranks = rankdata(rounded(scores.losses[:, finished]), axis=1).mean(axis=0)
    names = np.array(scores.searchers)[finished]
    return [str(names[place]) for place in np.argsort(ranks, kind="stable")[:count]]


def _plan(label: str, replay: Task, tables: SweepTables, leading: Sequence[str], trial: Trial) -> Plan:
    recording: Recording = replay.recording  # type: ignore[attr-defined]
    task = recorded_task(recording, label)
    winners = _winners(tables, label, leading)
    if winners.empty:
        raise DataError(
            f"no study of {', '.join(leading)} on {label} had a success: there is no winner to confirm"
        )
    # What was found after fewer epochs is trained for as many: that is what the race says it is worth.
    by_epochs: dict[int, set[str]] = {}
    for winner in winners.to_dict("records"):
        by_epochs.setdefault(int(winner["epochs"]), set()).add(str(winner["config"]))
    groups: list[dict[str, Any]] = [
        {
            "name": "references",
            "label": _label(epochs),
            "settings": {
                "configurations": [json.loads(text) for text in sorted(configs)],
                **({"epochs": epochs} if epochs < task.fidelity.high else {}),
            },
        }
        for epochs, configs in sorted(by_epochs.items())
    ]
    key = recording.about.task
    sweep = make_sweep(
        {
            "name": _name_of(tables.name, label),
            "description": f"The winners of {tables.name} on {label}, trained for real.",
            "seed": trial.seed,
            "threads": recording.about.provenance.threads,
            "tasks": [{"name": key["name"], "options": {**key["options"], **key["scoring"]}}],
            "searchers": groups,
            "repetitions": trial.seeds,
            "budget": {"evaluations": max(map(len, by_epochs.values()))},
        },
        f"confirming {tables.name}",
    )
    check_fresh(sweep, recording, label)
    return Plan(label, task, replay, winners, sweep)


def _name_of(race: str, label: str) -> str:
    """Return what the sweep is called that trains a race's winners on a recording: another one for any other two."""
    given = f"confirm-{race}-{label.split('/', 1)[1]}"
    plain = as_name(given)
    return given if plain == given and len(given) <= 80 else f"{plain[:71]}-{text_digest(given)[:8]}"


def _label(epochs: int) -> str:
    return f"epochs_{epochs}"


def _winners(tables: SweepTables, label: str, leading: Sequence[str]) -> pd.DataFrame:
    """Return the final incumbents of the leading methods' studies of a task; see `Plan.winners`."""
    sign = 1.0 if tables.tasks.loc[label, "direction"] == "min" else -1.0
    trials = tables.trials
    trials = trials[(trials["task"] == label) & trials["searcher"].isin(leading) & (trials["status"] == "ok")]
    trials = trials.assign(found=sign * trials["value"]).sort_values(
        ["searcher", "repetition", "found", "step"]
    )
    winners = trials.groupby(["searcher", "repetition"], sort=False).head(1)
    return winners[["searcher", "repetition", "config", "epochs", "found"]].reset_index(drop=True)


def confirmed(plan: Plan, results: Path, run: Run) -> pd.DataFrame:
    """Train what is not on record yet, and return the winners with what they are worth.

    Args:
        plan: One that `prepared` returned.
        results: The results folder.
        run: Runs a sweep into it.

    Returns:
        The plan's winners with two losses more: ``promised``, what the replay says of the configuration, free of its
        noise, and ``trained``, the mean over fresh seeds of real trainings; and ``trainings``, how many these are.

    Raises:
        RecordError: The record cannot be read or written.
    """
    run(plan.sweep)
    trials = read_tables(results, plan.sweep.name).trials
    by = trials.groupby([trials["searcher"], trials["config"]])["loss"]
    means, counts = by.mean(), by.count()
    loss = plan.replay.objective.loss
    winners = plan.winners.to_dict("records")
    rows = [(_label(int(winner["epochs"])), str(winner["config"])) for winner in winners]
    return plan.winners.assign(
        promised=[
            said(plan.replay, json.loads(str(winner["config"])), loss, epochs=int(winner["epochs"]))
            for winner in winners
        ],
        trained=[float(means[row]) for row in rows],
        trainings=[int(counts[row]) for row in rows],
    )
