"""What each method tried: the parameters of a task, their importance, parallel coordinates, and slices."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from analysis import captions, style
from analysis.bootstrap import Floats
from analysis.drawing import Plot, add_legend, plain, settle, shortened
from analysis.facts import TaskFacts, task_facts
from analysis.style import Look
from results.tables import SweepTables

SHOWN = 150
"""Evaluations of each method drawn at most, evenly spread over what it tried; the CSV holds those drawn."""

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
            return np.array([math.nan if v is None else places[_text(v)] for v in column])
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


def tried(tables: SweepTables, task: str, *, limit: int | None = SHOWN) -> Tried:
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
            distinct = tuple(sorted({_text(value) for value in values}))
            result.append(Parameter(name, distinct, 0.0, len(distinct) - 1.0, False, False, len(values)))
            continue
        low, high = float(min(numbers)), float(max(numbers))
        whole = all(isinstance(v, int) for v in numbers)
        result.append(Parameter(name, (), low, high, low > 0 and high / low > 50, whole, len(values)))
    return result


def _text(value: object) -> str:
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
    """
    import optuna

    studies = tables.studies
    if "method" not in studies:
        return None
    own = studies[(studies["method"] == RANDOM) & (studies["task"] == task)]["study"]
    sample = tried(_only(tables, own), task, limit=1000)
    full = (sample.trials["epochs"] == sample.facts.full_epochs).to_numpy()
    trials = sample.trials[full]
    configs = [config for config, keep in zip(sample.configs, full, strict=True) if keep]
    parameters = parameters_of(configs)
    varied = [p for p in parameters if p.high > p.low]
    if len(trials) < FEWEST or len(varied) < 2:
        return None
    distributions = {p.name: _distribution(p) for p in varied}
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction="minimize")
    study.add_trials(
        [
            optuna.trial.create_trial(
                params={
                    p.name: _text(config[p.name]) if p.choices else config[p.name]
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
    trials = tables.trials[tables.trials["study"].isin(studies)]
    return SweepTables(
        tables.name, trials, tables.studies, tables.tasks, tables.provenance, tables.read_epochs
    )


def _distribution(parameter: Parameter) -> object:
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if parameter.choices:
        return CategoricalDistribution(parameter.choices)
    if parameter.whole:
        return IntDistribution(int(parameter.low), int(parameter.high), log=parameter.log)
    return FloatDistribution(parameter.low, parameter.high, log=parameter.log)


def importance_plot(tables: SweepTables, task: str) -> Plot | None:
    """Draw the importance of a task's parameters; ``None`` where `importance` gives none."""
    data = importance(tables, task)
    if data is None:
        return None
    facts, top = task_facts(tables, task), float(data["top"].iloc[0])
    with style.applied():
        figure = _figure(style.COLUMN_WIDTH, 0.75 + 0.2 * len(data))
        axes = figure.subplots()
        axes.barh(
            [shortened(str(n), 22) for n in data["parameter"]],
            data["importance"],
            color="#4a90c2",
            height=0.6,
        )
        for place, share in enumerate(data["importance"]):
            axes.text(share + 0.01, place, f"{share:.2f}", va="center", fontsize=7)
        axes.invert_yaxis()
        axes.set_xlim(0, min(1.18 * float(data["importance"].max()) + 0.05, 1.2))
        axes.set_xlabel("importance (shares)")
        axes.grid(visible=False, axis="y")
        figure.suptitle(shortened(f"Parameters of {task}", 46))
        settle(figure)
    words = ", ".join(f"{r.parameter} {r.importance:.2f}" for r in data.itertuples())
    partial = [f"{r.parameter} in {r.trials}" for r in data.itertuples() if r.trials < data["trials"].max()]
    caption = captions.joined(
        f"Importance of the parameters of {task} for reaching "
        f"the best {100 * top:.0f} % of {facts.metrics['validation']}.",
        "PED-ANOVA (Optuna) on the successful random-search trials of full fidelity "
        f"({captions.plural(int(data['trials'].max()), 'trial')}, all repetitions together); no interval.",
        "Ranges are those that random search covered.",
        f"Conditional parameters count where they are active: {captions.listed(partial)}." if partial else "",
        captions.SUBSET if facts.subset else "",
    )
    return Plot(
        title=f"Importance of the parameters of {task}",
        caption=caption,
        alt=f"Bars of parameter importance on {task}: {words}.",
        figure=figure,
        data=data.assign(task=task),
    )


def slices_plot(tables: SweepTables, task: str, looks: Mapping[str, Look]) -> Plot | None:
    """Draw the objective over each parameter, one panel each; ``None`` without a successful evaluation."""
    sample = tried(tables, task)
    if not sample.parameters:
        return None
    columns = min(3, len(sample.parameters))
    rows = math.ceil(len(sample.parameters) / columns)
    metric = sample.facts.metrics["validation"]
    names = style.ordered(str(name) for name in sample.trials["searcher"])
    shown = sample.trials["value"].to_numpy(dtype=float)
    low, high, cut = _value_range(shown, sample.facts.sign)
    parts = []
    with style.applied():
        figure = _figure(style.PAGE_WIDTH if columns > 1 else style.COLUMN_WIDTH, 0.4 + 1.55 * rows)
        panels: list[Axes] = list(np.ravel(figure.subplots(rows, columns, sharey=True, squeeze=False)))
        for unused in panels[len(sample.parameters) :]:
            unused.set_visible(False)
        for place, (parameter, axes) in enumerate(zip(sample.parameters, panels, strict=False)):
            positions = parameter.positions([config.get(parameter.name) for config in sample.configs])
            for name in names:
                mine = ((sample.trials["searcher"] == name) & ~np.isnan(positions)).to_numpy()
                look = looks[name]
                spread = _spread(int(mine.sum())) if parameter.choices else 0.0
                axes.plot(
                    positions[mine] + spread,
                    shown[mine],
                    linestyle="none",
                    marker=look.marker,
                    color=look.color,
                    markersize=2.2,
                    markeredgewidth=0,
                    alpha=0.6,
                )
            _parameter_axis(axes, parameter)
            if place % columns == 0:
                axes.set_ylabel(shortened(metric, 24))
            axes.set_ylim(low, high)
            parts.append(
                sample.trials[["task", "searcher", "repetition", "step", "value"]].assign(
                    parameter=parameter.name, tried=[_cell(c.get(parameter.name)) for c in sample.configs]
                )
            )
        figure.suptitle(shortened(f"What was tried on {task}", 90))
        add_legend_below(figure, sample.trials, looks)
        settle(figure)
    data = pd.concat(parts, ignore_index=True)
    return Plot(
        title=f"Slices of {task}",
        caption=captions.joined(
            f"{metric} of what each method tried on {task}, over one parameter at a time.",
            "One mark per successful evaluation; choices are spread sideways.",
            _sample_words(sample),
            f"The axis is cut: {cut} worse values lie outside." if cut else "",
            "A parameter that a configuration does not have is not drawn.",
            captions.SUBSET if sample.facts.subset else "",
        ),
        alt=f"Scatter plots of {metric} on {task} over {captions.listed([p.name for p in sample.parameters])}.",
        figure=figure,
        data=data[data["tried"] != ""].reset_index(drop=True),
    )


def coordinates_plot(tables: SweepTables, task: str) -> Plot | None:
    """Draw parallel coordinates, one panel per method; ``None`` with fewer than two parameters."""
    sample = tried(tables, task, limit=SHOWN // 2)
    if len(sample.parameters) < 2:
        return None
    facts = sample.facts
    names = style.ordered(str(name) for name in sample.trials["searcher"])
    value = facts.sign * sample.trials["value"].to_numpy(dtype=float)
    # Coloured and placed by rank among all that is drawn, so that one bad value does not hide the rest.
    rank = (pd.Series(value).rank(method="average").to_numpy() - 1) / max(len(value) - 1, 1)
    units = [p.unit(p.positions([c.get(p.name) for c in sample.configs])) for p in sample.parameters]
    lines = np.column_stack([*units, 1 - rank])
    labels = [p.name for p in sample.parameters] + [facts.metrics["validation"]]
    columns = 2 if len(names) > 1 else 1
    rows = math.ceil(len(names) / columns)
    with style.applied():
        figure = _figure(style.PAGE_WIDTH, 0.55 + 1.45 * rows)
        panels: list[Axes] = list(np.ravel(figure.subplots(rows, columns, squeeze=False)))
        for unused in panels[len(names) :]:
            unused.set_visible(False)
        for name, axes in zip(names, panels, strict=False):
            mine = np.flatnonzero((sample.trials["searcher"] == name).to_numpy())
            # The best on top; a line leaves out the parameters that its configuration does not have.
            order = mine[np.argsort(-rank[mine], kind="stable")]
            segments = []
            for row in order:
                there = ~np.isnan(lines[row])
                segments.append(np.column_stack([np.flatnonzero(there), lines[row][there]]))
            colors = _SHADE(rank[order])
            axes.add_collection(LineCollection(segments, colors=colors, linewidths=0.5, alpha=0.7))
            axes.set_xlim(-0.05, len(labels) - 0.95)
            axes.set_ylim(-0.06, 1.06)
            axes.set_title(shortened(name, 40))
            axes.xaxis.set_major_locator(FixedLocator(range(len(labels))))
            size = 14 if len(labels) < 6 else 8
            ticks = axes.set_xticklabels([shortened(label, size) for label in labels], fontsize=6)
            ticks[0].set_horizontalalignment("left")
            ticks[-1].set_horizontalalignment("right")
            axes.yaxis.set_major_locator(NullLocator())
            axes.grid(visible=True, axis="x", color="#999999")
            axes.spines["left"].set_visible(False)
        figure.suptitle(shortened(f"Configurations tried on {task}", 90))
        settle(figure)
    data = sample.trials[["task", "searcher", "repetition", "step", "value"]].assign(
        rank=rank,
        **{f"parameter {p.name}": [_cell(c.get(p.name)) for c in sample.configs] for p in sample.parameters},
    )
    ranges = [f"{p.name} {_range_words(p)}" for p in sample.parameters]
    return Plot(
        title=f"Parallel coordinates of {task}",
        caption=captions.joined(
            f"Configurations that each method tried on {task}: one line per successful evaluation, through its "
            f"parameters and its {facts.metrics['validation']}.",
            f"From bottom to top: {'; '.join(ranges)}; last, the evaluation's rank by value among all that is drawn, "
            "the best on top. Dark lines are better ones.",
            "A line leaves out the parameters that its configuration does not have.",
            _sample_words(sample),
            captions.SUBSET if facts.subset else "",
        ),
        alt=f"Parallel coordinates of the configurations tried on {task} by {captions.listed(names)}.",
        figure=figure,
        data=data,
    )


def plots(tables: SweepTables, task: str, looks: Mapping[str, Look]) -> Iterator[tuple[str, Plot]]:
    """Draw what a sweep tells of one task's parameters: importance, slices, parallel coordinates.

    Yields:
        A kind (``importance``, ``slices``, ``coordinates``) and the plot; a kind with nothing to show is left out.
    """
    for kind, plot in (
        ("importance", importance_plot(tables, task)),
        ("slices", slices_plot(tables, task, looks)),
        ("coordinates", coordinates_plot(tables, task)),
    ):
        if plot is not None:
            yield kind, plot


def _SHADE(rank: Floats) -> Floats:  # noqa: N802 - a colour map
    """Return colours from dark blue (best, 0) to light grey (worst, 1), of shape (n, 4)."""
    dark, light = np.array([0.03, 0.19, 0.42]), np.array([0.82, 0.85, 0.89])
    mixed = dark + np.clip(rank, 0, 1)[:, None] ** 0.7 * (light - dark)
    return np.column_stack([mixed, np.ones(len(rank))])


def _range_words(parameter: Parameter) -> str:
    if parameter.choices:
        return " · ".join(parameter.choices)
    return f"{plain(parameter.low)} to {plain(parameter.high)}{' (log)' if parameter.log else ''}"


def _figure(width: float, height: float) -> Figure:
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def add_legend_below(figure: Figure, data: pd.DataFrame, looks: Mapping[str, Look]) -> None:
    """Add the legend of methods, and keep the panels' height."""
    height = figure.get_figheight()
    add_legend(figure, data, looks)
    figure.set_figheight(height + 0.15 * math.ceil(data["searcher"].nunique() / 4))


def _parameter_axis(axes: Axes, parameter: Parameter) -> None:
    axes.set_xlabel(shortened(parameter.name, 28))
    if parameter.choices:
        axes.xaxis.set_major_locator(FixedLocator(range(len(parameter.choices))))
        labels = [shortened(value, 10) for value in parameter.choices]
        axes.set_xticklabels(labels, fontsize=6 if sum(map(len, labels)) > 18 else 7)
        axes.set_xlim(-0.5, len(parameter.choices) - 0.5)
        return
    if parameter.log:
        axes.set_xscale("log")
        axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(plain))
    if not parameter.log:
        axes.locator_params(axis="x", nbins=5)


def _value_range(values: Floats, sign: float) -> tuple[float, float, int]:
    """Return limits on which the better half can be told apart, and how many values lie outside."""
    losses = np.sort(sign * values)
    best, middle, worst = float(losses[0]), float(np.median(losses)), float(losses[-1])
    edge = min(worst, middle + 3 * (middle - best)) if middle > best else worst
    margin = 0.05 * (edge - best) or max(abs(best) * 0.05, 1e-6)
    outside = int((losses > edge + margin).sum())
    low, high = sorted((sign * (best - margin), sign * (edge + margin)))
    return low, high, outside


def _spread(count: int) -> Floats:
    """Return offsets in (-0.3, 0.3), the same on every machine: the golden ratio's multiples."""
    return np.asarray((np.arange(count) * 0.6180339887498949 % 1.0 - 0.5) * 0.6, dtype=float)


def _sample_words(sample: Tried) -> str:
    drawn = len(sample.trials)
    text = f"{captions.plural(drawn, 'evaluation')}, all repetitions together"
    if drawn < sample.total:
        text += f", evenly chosen from {sample.total} in each method's order"
    return f"Shown: {text}; failed ones are left out."


def _cell(value: object) -> str:
    return "" if value is None else _text(value)
