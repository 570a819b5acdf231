"""What each method tried: the parameters of a task, an even sample of its evaluations, and what matters most."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.statistics.bootstrap import Floats
from analysis.statistics.tasks import TaskFacts, task_facts
from harness.machine import require_libraries
from results.tables import SweepTables

RANDOM = "random"
"""Registered name of random search, whose trials say how a parameter matters by itself."""

FEWEST = 20
"""Random trials below which no importance is given."""

TOP = 0.1
"""Share of trials that importance distinguishes from the rest."""

TOP_TRIALS = 5
"""Trials that the top must hold at least: the share is raised to that where trials are few."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter of a task, as the configurations tried show it: the record does not hold the search space.

    Attributes:
        name: Its name.
        choices: The distinct values in order, for a choice; empty for a number.
        low: Smallest number tried; 0 for a choice.
        high: Largest number tried; last position for a choice.
        log: Whether it is drawn on a log scale: positive over more than a factor of 50.
        whole: Whether all values are integers.
        active: Configurations that have it.
    """

    name: str
    choices: tuple[str, ...]
    low: float
    high: float
    log: bool
    whole: bool
    active: int

    def positions(self, column: Sequence[object]) -> Floats:
        """Return values as numbers, a choice as its position; NaN where a configuration does not have it."""
        if self.choices:
            places = {value: float(place) for place, value in enumerate(self.choices)}
            return np.array([math.nan if v is None else places[as_text(v)] for v in column])
        return np.array([math.nan if v is None else float(v) for v in column])  # type: ignore[arg-type]

    def unit(self, positions: Floats) -> Floats:
        """Map positions to [0, 1], on the log scale where it has one; 0.5 where only one value was tried."""
        scale = np.log if self.log else np.asarray
        low, high = float(scale(self.low)), float(scale(self.high))
        return (scale(positions) - low) / (high - low) if high > low else positions * 0 + 0.5


@dataclass(frozen=True, slots=True, eq=False)
class Tried:
    """The successful evaluations of a task, with their configurations apart.

    Attributes:
        facts: The task.
        trials: Its successful rows of trials, those of full fidelity where there are any, sorted by searcher,
            repetition, step; no more than ``limit`` of each method.
        configs: The configurations, in the same order.
        parameters: The parameters, in the order of the configurations.
        total: Successful evaluations of the task before any was left out.
    """

    facts: TaskFacts
    trials: pd.DataFrame
    configs: Sequence[Mapping[str, object]]
    parameters: Sequence[Parameter]
    total: int


def tried(tables: SweepTables, task: str, *, limit: int | None) -> Tried:
    """Return what the methods tried on a task.

    Args:
        tables: The sweep.
        task: Label of the task.
        limit: How many evaluations of each method to keep at most, evenly spaced in its order; all when ``None``.
    """
    trials = tables.trials
    trials = trials[(trials["task"] == task) & (trials["status"] == "ok")]
    trials = trials.sort_values(["searcher", "repetition", "step"]).reset_index(drop=True)
    total = len(trials)
    if limit is not None:
        size = trials.groupby("searcher")["step"].transform("size").to_numpy()
        place = trials.groupby("searcher").cumcount().to_numpy()
        # The rows at which place × limit / size passes a whole number: evenly spaced, the first among them.
        keep = (size <= limit) | (place * limit // size != (place - 1) * limit // size)
        trials = trials[keep].reset_index(drop=True)
    configs = [json.loads(text) for text in trials["config"]]
    return Tried(task_facts(tables, task), trials, configs, parameters_of(configs), total)


def parameters_of(configs: Sequence[Mapping[str, object]]) -> list[Parameter]:
    """Return the parameters of configurations, in the order in which they first appear.

    Numbers are a range, text and truth values a choice; a parameter with both is a choice.

    Example:
        >>> [p.log for p in parameters_of([{"lr": 1e-4, "units": 16}, {"lr": 0.1, "units": 32}])]
        [True, False]
    """
    found: dict[str, list[object]] = {}
    for config in configs:
        for name, value in config.items():
            found.setdefault(name, []).append(value)
    result = []
    for name, values in found.items():
        numbers = [v for v in values if isinstance(v, int | float) and not isinstance(v, bool)]
        if len(numbers) < len(values):
            distinct = tuple(sorted({as_text(value) for value in values}))
            result.append(Parameter(name, distinct, 0.0, len(distinct) - 1.0, False, False, len(values)))
            continue
        low, high = float(min(numbers)), float(max(numbers))
        whole = all(isinstance(v, int) for v in numbers)
        result.append(Parameter(name, (), low, high, low > 0 and high / low > 50, whole, len(values)))
    return result


def as_text(value: object) -> str:
    """Return a parameter's value as text: a string as it is, anything else as JSON."""
    return value if isinstance(value, str) else json.dumps(value)


def importance(tables: SweepTables, task: str) -> pd.DataFrame | None:
    """Return how much each parameter of a task matters, judged by its random-search trials.

    By PED-ANOVA (S. Watanabe, A. Bansal and F. Hutter, "PED-ANOVA: Efficiently quantifying hyperparameter
    importance in arbitrary subspaces", IJCAI 2023), as Optuna has it: how much the distribution of a
    parameter among the best trials differs from its distribution among all of them. Trials of a
    method that searches would tell what that method believed. Failed trials and trials of
    less than full fidelity are left out.

    Returns:
        Columns ``parameter``, ``importance`` (shares, their sum is 1), ``trials`` (that have the parameter), ``top``
        (the share of best trials distinguished); most important first. ``None`` with fewer than 20 such
        trials or a single parameter.

    Raises:
        MissingLibraryError: There is an importance to give, and Optuna is not installed.
    """
    studies = tables.studies
    own = studies[(studies["method"] == RANDOM) & (studies["task"] == task)]["study"]
    sample = tried(_only(tables, own), task, limit=1000)
    full = (sample.trials["epochs"] == sample.facts.full_epochs).to_numpy()
    trials = sample.trials[full]
    configs = [config for config, keep in zip(sample.configs, full, strict=True) if keep]
    parameters = parameters_of(configs)
    varied = [p for p in parameters if p.high > p.low]
    if len(trials) < FEWEST or len(varied) < 2:
        return None
    require_libraries("the importance of parameters", {"optuna": "optuna"})
    import optuna

    distributions = {p.name: _distribution(p) for p in varied}
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction="minimize")
    study.add_trials(
        [
            optuna.trial.create_trial(
                params={
                    p.name: as_text(config[p.name]) if p.choices else config[p.name]
                    for p in varied
                    if p.name in config
                },
                distributions={name: d for name, d in distributions.items() if name in config},
                value=float(sample.facts.sign * value),
            )
            for config, value in zip(configs, trials["value"], strict=True)
        ]
    )
    top = max(TOP, TOP_TRIALS / len(trials))
    evaluator = optuna.importance.PedAnovaImportanceEvaluator(target_quantile=top)
    shares = optuna.importance.get_param_importances(study, evaluator=evaluator)
    active = {p.name: p.active for p in varied}
    rows = [(name, float(share), active[name], top) for name, share in shares.items()]
    frame = pd.DataFrame(rows, columns=["parameter", "importance", "trials", "top"])
    if not np.isfinite(frame["importance"]).all() or frame["importance"].sum() <= 0:
        return None
    return frame.sort_values(["importance", "parameter"], ascending=[False, True]).reset_index(drop=True)


def _only(tables: SweepTables, studies: pd.Series) -> SweepTables:
    return dataclasses.replace(tables, trials=tables.trials[tables.trials["study"].isin(studies)])


def _distribution(parameter: Parameter) -> object:
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if parameter.choices:
        return CategoricalDistribution(parameter.choices)
    if parameter.whole:
        return IntDistribution(int(parameter.low), int(parameter.high), log=parameter.log)
    return FloatDistribution(parameter.low, parameter.high, log=parameter.log)
