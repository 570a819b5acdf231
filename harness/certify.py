"""Certifies a recording: how far its replay agrees with fresh trainings, and a race on it with a race on the task.

Both are ordinary sweeps in a results folder: they go on where they were interrupted, run on any executor, and can be
looked at like any other. What they show is written into the recording.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from analysis.statistics.comparison import Comparison, compare
from analysis.statistics.faithfulness import races_agree, values_agree
from analysis.statistics.inputs import prepare
from harness import registry
from harness.errors import DataError, DerbyError, SweepError
from harness.keys import TaskKey
from harness.profile import task_named
from harness.provenance import now, revision
from harness.recording import DIVERGED, OK, About, Recording, named
from harness.recording_file import load
from harness.sweep import Sweep, make_sweep
from harness.task import Task
from harness.trial import Evaluation
from results.tables import read_tables

if TYPE_CHECKING:
    from harness.progress import Progress

REPLAY: Final = "replay"
"""The task that replays recordings."""

METHODS: Final[tuple[Mapping[str, Any], ...]] = (
    {"name": "random"},
    {"name": "optuna_tpe"},
    {"name": "hyperopt_tpe"},
    {"name": "skopt_gp"},
    {"name": "optuna_cmaes"},
    {"name": "pyswarms_pso", "settings": {"n_particles": 5}},
    {"name": "kerastuner_bayes"},
    {"name": "optuna_hyperband"},
)
"""Who races both ways, of these who can search the task."""

FEWEST_METHODS: Final = 3

SUFFICIENT: Final = 0.9
"""Spearman's correlation with fresh trainings that a recording must reach…"""
OF_CEILING: Final = 0.97
"""…or this share of what the seeds' noise lets any predictor reach."""


@dataclass(frozen=True, slots=True)
class Trial:
    """How a recording is tried.

    Args:
        configurations: Fresh ones, trained for real.
        seeds: Training seeds of each, none of them recorded.
        repetitions: Of the race; 0: none.
        budget: Of each study of the race, in evaluations at full fidelity.
        seed: Root of every seed; another than the recording's.
    """

    configurations: int = 100
    seeds: int = 2
    repetitions: int = 10
    budget: int = 20
    seed: int = 1


@dataclass(frozen=True, slots=True)
class Plan:
    """What certifying a recording runs.

    Attributes:
        recording: The recording.
        path: Its file.
        task: The recorded task.
        replay: Its replay.
        trial: How it is tried.
        fresh: Trains fresh configurations.
        races: The same race on the task and on its replay; empty without one.
    """

    recording: Recording
    path: Path
    task: Task
    replay: Task
    trial: Trial
    fresh: Sweep
    races: tuple[Sweep, ...]


def prepared(name: str, trial: Trial) -> Plan:
    """Return what certifying a recording runs.

    Args:
        name: Of a recording that comes with the project, or a file.
        trial: How it is tried.

    Raises:
        DataError: There is no such recording, the recorded task is another by now, or the seed is the recording's.
        SweepError: The recorded task cannot be run here.
    """
    kind = registry.task(REPLAY)
    replay = kind(recording=name)
    recording: Recording = replay.recording  # type: ignore[attr-defined]
    path: Path = replay.path  # type: ignore[attr-defined]
    about = recording.about
    key = about.task
    task = recorded_task(recording, str(path))
    options = {**key["options"], **key["scoring"]}
    size = len(recording.configs)
    whole = recording.whole and size <= trial.configurations
    fresh = _sweep(
        path,
        "values",
        trial,
        about,
        tasks=[{"name": key["name"], "options": options}],
        searchers=[
            {"name": "grid"} if whole else {"name": "random", "settings": {"design_seed": trial.seed}}
        ],
        repetitions=trial.seeds,
        budget={"evaluations": size if whole else trial.configurations},
    )
    check_fresh(fresh, recording, str(path))
    races: tuple[Sweep, ...] = ()
    if trial.repetitions:
        fitting = _fitting(task, trial)
        races = tuple(
            _sweep(
                path,
                what,
                trial,
                about,
                tasks=[which],
                searchers=fitting,
                repetitions=trial.repetitions,
                budget={"full": trial.budget},
            )
            for what, which in (
                ("race", {"name": key["name"], "options": options}),
                ("race-replayed", {"name": REPLAY, "options": {"recording": name}}),
            )
        )
    return Plan(recording, path, task, replay, trial, fresh, races)


def recorded_task(recording: Recording, called: str) -> Task:
    """Return the task that a recording is of; ``called`` names the recording in messages.

    Raises:
        DataError: It cannot be had here, or is another by now.
    """
    about = recording.about
    key = about.task
    try:
        task = task_named(key["name"], {**key["options"], **key["scoring"]})
    except DerbyError as error:
        raise DataError(f"{called} records {about.label}, which cannot be had here: {error}") from error
    if task.key.training != TaskKey(**key).training:
        raise DataError(
            f"{called} records {about.label} as {key}, and here it is {task.key.as_json()}: record it anew"
        )
    return task


def check_fresh(sweep: Sweep, recording: Recording, called: str) -> None:
    """Raise `DataError` where a sweep trains with seeds that were recorded; ``called`` names the recording."""
    known = {plan.key.training_seed for plan in sweep.studies} & set(recording.seeds.tolist())
    if known:
        raise DataError(
            f"--seed {sweep.spec.seed} gives training seeds that {called} was recorded with, {sorted(known)}: "
            "nothing would be fresh; give another"
        )


def _sweep(path: Path, what: str, trial: Trial, about: About, **fields: Any) -> Sweep:
    content = {
        "name": f"certify-{path.stem}"[: 79 - len(what)] + f"-{what}",
        "description": f"Certifies the recording {path.name}.",
        "seed": trial.seed,
        "threads": about.provenance.threads,
        **fields,
    }
    return make_sweep(content, f"certifying {path.name}")


def _fitting(task: Task, trial: Trial) -> list[Mapping[str, Any]]:
    """Return the methods that can search the task and are installed."""
    usable = []
    for method in METHODS:
        content = {
            "name": "fitting",
            "repetitions": 1,
            "budget": {"full": trial.budget},
            "tasks": [{"name": task.name, "options": task.options.as_json()}],
            "searchers": [method],
        }
        try:
            make_sweep(content, "certifying")
        except SweepError:
            continue
        usable.append(method)
    if len(usable) < FEWEST_METHODS:
        raise DataError(
            f"a race needs {FEWEST_METHODS} methods, and of {[m['name'] for m in METHODS]} only "
            f"{[m['name'] for m in usable]} can search {task.label} here; install their extras, or certify without a "
            "race"
        )
    return usable


def certified(plan: Plan, results: Path, run: Callable[[Sweep], Progress]) -> Recording:
    """Run what is not recorded yet, and return the recording with its certificate.

    Args:
        plan: What `prepared` returned.
        results: The results folder.
        run: Runs a sweep into it.

    Raises:
        DataError: Nothing can be compared, or the file was changed meanwhile.
        RecordError: The record cannot be read or written.
    """
    run(plan.fresh)
    certificate: dict[str, Any] = {
        "made": now(),
        "revision": revision(),
        "metric": plan.recording.about.metric,
        "digest": plan.recording.digest,
        "values": _values(plan, results),
    }
    if plan.races:
        compared: list[Comparison] = []
        for sweep in plan.races:
            run(sweep)
            compared.append(compare(prepare(read_tables(results, sweep.name))))
        certificate["race"] = {"full_evaluations": plan.trial.budget, **races_agree(*compared)}
    if load(plan.path).digest != plan.recording.digest:  # it took hours
        raise DataError(f"{plan.path} was changed while it was certified; certify what is there now")
    return plan.recording.with_(certificate=certificate)


def _values(plan: Plan, results: Path) -> dict[str, Any]:
    """Compare fresh trainings with what the replay says of them."""
    tables = read_tables(results, plan.fresh.name)
    objective = plan.task.objective
    # One row for each configuration, one column for each seed, NaN where a training is missing.
    losses = tables.trials.pivot_table(index="config", columns="repetition", values="loss", aggfunc="first")
    configs = {text: json.loads(text) for text in losses.dropna().index}
    whole = plan.recording.whole
    fresh = [text for text in configs if whole or named(configs[text]) not in plan.recording.places]
    if not fresh:
        raise DataError(
            f"{plan.fresh.name} trained no configuration that is not recorded; ask for more with --configurations"
        )
    replayed = [said(plan.replay, configs[text], objective.loss) for text in fresh]
    trained = losses.loc[fresh].to_numpy(dtype=float)
    return {
        "recorded_configurations": whole,
        **values_agree(trained, np.array(replayed), _spread(plan.recording)),
    }


def said(
    replay: Task, config: Mapping[str, Any], loss: Callable[[Evaluation], float], epochs: int | None = None
) -> float:
    """Return the loss a replay gives a configuration, the mean over so many seeds that its noise hardly counts.

    Args:
        replay: The replay.
        config: The configuration.
        loss: Of an evaluation, smaller is better.
        epochs: Of its training; full fidelity by default.
    """
    known = replay.space.validate(config)
    length = replay.fidelity.high if epochs is None else epochs
    losses = [loss(replay.evaluate(known, epochs=length, seed=seed, data={})) for seed in range(_SAID)]
    return float(np.mean(losses))


_SAID: Final = 64
"""Seeds over which a replay's noise is averaged."""


def _spread(recording: Recording) -> float:
    """Return the standard deviation of a loss over seeds, pooled over configurations whose trainings all succeeded.

    0 where no configuration has two.
    """
    ok = recording.status == OK
    count = ok.sum(axis=1)
    ok &= (count >= 2)[:, None] & ~(recording.status == DIVERGED).any(axis=1)[:, None]
    if not ok.any():
        return 0.0
    rows = ok.any(axis=1)
    ok, count = ok[rows], count[rows][:, None]
    losses = np.where(ok, recording.losses[rows], 0.0)
    deviations = np.where(ok, losses - losses.sum(axis=1, keepdims=True) / count, 0.0)
    return float(np.sqrt((deviations**2).sum() / (count - 1).sum()))


def verdict(certificate: Mapping[str, Any]) -> tuple[bool, str]:
    """Return whether a recording is good enough to be shipped, and why, in words."""
    values = certificate["values"]
    spearman, ceiling = values["spearman"], values["ceiling"]
    if spearman is None:
        return False, "the fresh trainings or the replay have one value only: nothing can be told"
    least = min(SUFFICIENT, OF_CEILING * ceiling) if ceiling is not None else SUFFICIENT
    words = (
        f"rank correlation with fresh trainings {spearman:.3f}, expected at least {least:.3f} (the least of "
        f"{SUFFICIENT:g} and {OF_CEILING:.0%} of what the seeds' noise allows, "
        f"{'unknown' if ceiling is None else format(ceiling, '.3f')})"
    )
    return spearman >= least, words


def shipped() -> Mapping[str, Path]:
    """Return the recordings that come with the project, by name."""
    return registry.task(REPLAY).shipped()  # type: ignore[attr-defined,no-any-return]


def rows(recordings: Mapping[str, Path]) -> Sequence[tuple[str, ...]]:
    """Return a table of recordings and their certificates, one row each under `HEADER`."""
    table = []
    for name, path in recordings.items():
        recording = load(path)
        certificate = recording.about.certificate or {}
        values, race = certificate.get("values", {}), certificate.get("race", {})
        table.append(
            (
                name,
                recording.about.label,
                f"{len(recording.configs)} × {len(recording.seeds)}",
                *(
                    _number(values.get(field))
                    for field in ("spearman", "ceiling", "kendall", "error", "best_spearman")
                ),
                f"{race['off']} of {len(race['methods'])}" if race.get("off") is not None else "",
            )
        )
    return table


HEADER: Final = (
    "recording",
    "task",
    "configurations × seeds",
    "Spearman",
    "ceiling",
    "Kendall",
    "error / seeds' SD",
    "Spearman, best tenth",
    "methods off in a race",
)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"
