"""Synthetic sweeps with a known truth, and what the report says of them: from the record's tables to the sentence."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from synthetic_sweeps import NO_TASK

from analysis.report.latex import ranking_table, results_table
from analysis.report.summary import headline, summary, within_words
from analysis.statistics.comparison import Comparison, compare
from analysis.statistics.inputs import Inputs, prepare
from analysis.statistics.scores import TaskScores
from analysis.statistics.significance import ALPHA, smallest_p
from results.tables import SweepTables


@dataclass(frozen=True)
class Setting:
    """What a sweep is drawn from.

    Args:
        methods: Methods; the last one is better where there is a difference.
        tasks: Tasks, each with its own centre, direction and scale.
        repetitions: Repetitions; what a repetition adds is shared by all methods (common random numbers).
        shift: How much smaller the last method's losses are, in standard deviations of a method's own noise.
        scales: Orders of magnitude between the largest and the smallest unit of the tasks.
        ties: Width of the grid that losses are rounded to, in standard deviations; 0: none.
        failures: Probability that a study has no success at all.
        awful: Probability that a study ends at a value a million times too large.
        interaction: Standard deviation of how much better or worse a method is on a task than elsewhere; with 0 and no
            shift all methods are alike on every task.
        references: Whether tasks declare references of regret.
        baseline: Whether the first method is random search, which others are compared with inside tasks.
    """

    methods: int = 3
    tasks: int = 8
    repetitions: int = 5
    shift: float = 0.0
    scales: float = 9.0
    ties: float = 0.0
    failures: float = 0.0
    awful: float = 0.0
    interaction: float = 0.5
    references: bool = False
    baseline: bool = False

    @property
    def names(self) -> list[str]:
        """The methods."""
        return [f"method_{index}" for index in range(self.methods)]

    @property
    def labels(self) -> list[str]:
        """The tasks."""
        return [f"task{index:02d}" for index in range(self.tasks)]

    @property
    def better(self) -> str | None:
        """The method that is better; ``None`` where all are alike."""
        return self.names[-1] if self.shift else None


def losses_of(setting: Setting, seed: int) -> np.ndarray:
    """Return final losses in units of noise, infinite where a study has no success: tasks × repetitions × methods."""
    rng = np.random.default_rng([seed, setting.methods, setting.tasks, setting.repetitions])
    shape = (setting.tasks, setting.repetitions, setting.methods)
    # On a task a method is better or worse than elsewhere, by chance: tasks are what tests over tasks draw.
    losses = rng.normal(size=shape) + setting.interaction * rng.normal(
        size=(setting.tasks, 1, setting.methods)
    )
    losses += 2 * rng.normal(size=(*shape[:2], 1)) + 10 * rng.normal(size=(setting.tasks, 1, 1))
    losses[:, :, -1] -= setting.shift
    if setting.ties:
        losses = np.round(losses / setting.ties) * setting.ties
    losses = np.where(rng.random(shape) < setting.awful, 1e6 * (1 + np.abs(losses)), losses)
    return np.where(rng.random(shape) < setting.failures, np.inf, losses)


def scales_of(setting: Setting, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the unit of every task, and its direction: 1 where smaller is better, else -1."""
    units = 10.0 ** np.random.default_rng([seed, 1]).permutation(
        np.linspace(0, setting.scales, setting.tasks)
    )
    return units, np.where(np.arange(setting.tasks) % 2 == 0, 1.0, -1.0)


def draw(setting: Setting, seed: int) -> SweepTables:
    """Return a finished sweep: studies of one evaluation each, whose values are those of its final incumbents."""
    losses = losses_of(setting, seed)
    units, signs = scales_of(setting, seed)
    values = losses * (signs * units)[:, None, None]
    t, r, m = (axis.ravel() for axis in np.indices(losses.shape))
    names = np.array(setting.names)
    labels = np.array(setting.labels)
    ids = np.array([f"{a}|{b}|{c}" for a, b, c in zip(labels[t], names[m], r, strict=True)])
    key = {"task": labels[t], "searcher": names[m], "repetition": r, "study": ids}
    ok = np.isfinite(losses).ravel()
    value = np.where(ok, values.ravel(), np.nan)
    trials = pd.DataFrame(
        {
            **key,
            "step": 1,
            "trial": 0,
            "config": "{}",
            "epochs": 1,
            "status": np.where(ok, "ok", "diverged"),
            "value": value,
            "test": np.nan,
            "loss": 0.0,
            "evaluations": 1,
            "spent_epochs": 1,
            "spent_cost": 1.0,
            "train_seconds": 1.0,
            "total_seconds": 1.0,
            "virtual_time": 1.0,
            "seconds": 1.0,
            "ask_seconds": 0.0,
            "tell_seconds": 0.0,
        }
    )
    about = {"state": "done", "reason": "budget", "evaluations": 1, "spent": 1, "followed": 0, "workers": 1}
    tasks = [
        {
            **NO_TASK,
            "direction": "min" if sign > 0 else "max",
            "budget_amount": 1,
            "regret_best": sign * unit * -60.0 if setting.references else np.nan,
            "regret_reference": sign * unit * 60.0 if setting.references else np.nan,
        }
        for sign, unit in zip(signs, units, strict=True)
    ]
    return SweepTables(
        name="drawn",
        trials=trials,
        studies=pd.DataFrame(
            {**key, **about, "method": np.where(m == 0, "random", "other") if setting.baseline else names[m]}
        ),
        tasks=pd.DataFrame(tasks, index=list(labels)),
        provenance={},
        read_epochs=pd.DataFrame,
    )


@dataclass(frozen=True)
class Claims:
    """What a report claims of its methods.

    Attributes:
        better: (first, second): the first is said to be better than the second, over tasks.
        within: The same for each claim about one task, with the task.
        leaders: Who leads.
    """

    better: frozenset[tuple[str, str]]
    within: frozenset[tuple[str, str, str]]
    leaders: frozenset[str]

    @property
    def silent(self) -> bool:
        """Whether no difference is claimed over tasks."""
        return not self.better

    def false(self, better: str | None) -> tuple[bool, bool]:
        """Return whether anything claimed over tasks, and within tasks, is not so."""

        def wrong(first: str, second: str) -> bool:
            return better is None or first != better or second == better

        return (
            any(wrong(first, second) for first, second in self.better),
            any(wrong(first, second) for _, first, second in self.within),
        )


@dataclass(frozen=True)
class Report:
    """What the page is made of: ``said`` are the paragraphs of its summary."""

    inputs: Inputs | None
    comparison: Comparison
    said: list[str]


def report(tables: SweepTables) -> Report:
    """Return what the page says of a sweep."""
    inputs = prepare(tables)
    comparison = compare(inputs)
    return Report(inputs, comparison, summary(inputs, comparison))


def read(made: Report, names: list[str]) -> Claims:
    """Return what the sentences of a summary claim: words are read, not what they were made from."""
    better: set[tuple[str, str]] = set()
    within: set[tuple[str, str, str]] = set()
    leaders: set[str] = set()
    for paragraph in made.said:
        head = re.split(" leads | lead together ", paragraph, maxsplit=1)
        if not leaders and len(head) == 2:
            leaders = {name for name in names if name in head[0].replace(",", " ").split()}
        if "Over the whole budget (anytime" in paragraph:
            continue
        subject = ""
        for sentence in paragraph.replace("; it ", ". It ").split(". "):
            if " leads " in sentence or (sentence.split()[:1] and sentence.split()[0] in names):
                subject = sentence.split()[0]
            for words, turned in (
                ("is shown to be better than ", False),
                ("is shown to be worse than ", True),
            ):
                if words in sentence:
                    others = sentence.split(words)[1].split(", in spite")[0]
                    named = [n for n in names if n in others.replace(",", " ").rstrip(".").split()]
                    assert named, sentence
                    better |= {(o, subject) if turned else (subject, o) for o in named}
        if "comparison" in paragraph and "within a task" in paragraph:
            control = made.comparison.control
            for name in names:
                for task in made.comparison.scores:
                    if f"{name} is better on {task}" in paragraph:
                        within.add((task, name, control))
                    if f"{name} is worse on {task}" in paragraph:
                        within.add((task, control, name))
    return Claims(frozenset(better), frozenset(within), frozenset(leaders))


@dataclass(frozen=True)
class Printed:
    """Which methods the LaTeX tables mark as worse or better than who leads: neither bold nor underlined.

    Attributes:
        over: In the ranking; ``None`` where it underlines nobody, so that it claims nothing.
        tasks: By task in the table of final values; without the tasks of which it says that there was no test.
    """

    over: frozenset[str] | None
    tasks: Mapping[str, frozenset[str]]


def printed(made: Report, names: list[str]) -> Printed:
    """Return what the LaTeX tables claim."""
    ranking, results = (make(made.inputs, made.comparison) for make in (ranking_table, results_table))

    def cells(latex: str) -> list[list[str]]:
        body = latex.split(r"\midrule")[1].split(r"\bottomrule", maxsplit=1)[0]
        return [line.removesuffix(r" \\").split(" & ") for line in body.strip().split("\n")]

    def bare(cell: str) -> bool:
        return not cell.startswith((r"\textbf", r"\underline"))

    def name(cell: str) -> str:
        return next(n for n in names if n.replace("_", r"\_") in cell)

    over = None
    if "Underlined" in ranking.caption:
        over = frozenset(name(row[0]) for row in cells(ranking.latex) if bare(row[0]))
    untested = (
        results.caption.split("No test on ")[1].split(":")[0] if "No test on " in results.caption else ""
    )
    tasks = {
        task: frozenset(name(row[0]) for row in cells(results.latex) if bare(row[1 + place]))
        for place, task in enumerate(made.comparison.scores)
        if task not in untested and "Underlined" in results.caption
    }
    return Printed(over, tasks)


def comparison_of(setting: Setting, losses: np.ndarray) -> Comparison:
    """Return the comparison of losses, tasks × repetitions × methods, smaller being better."""
    repetitions = tuple(range(setting.repetitions))
    scores = {
        task: TaskScores(task, "validation", "value", tuple(setting.names), repetitions, own, None, None)
        for task, own in zip(setting.labels, losses, strict=True)
    }
    baseline = setting.names[0] if setting.baseline else None
    return Comparison(scores, scores, tuple(setting.names), (), baseline, dict.fromkeys(scores, "min"))


def quick(setting: Setting, seed: int) -> tuple[Claims, list[frozenset[str]]]:
    """Return what the summary claims, and whom tests of one task set apart from who leads on it, for every task.

    Without tables and LaTeX, twenty times as fast: the same comparison from the same losses.
    """
    units, _ = scales_of(setting, seed)
    comparison = comparison_of(setting, losses_of(setting, seed) * units[:, None, None])
    said = [headline(comparison), *([within_words(comparison)] if comparison.few else [])]
    apart = []
    if smallest_p(setting.repetitions) * setting.methods * (setting.methods - 1) / 2 <= ALPHA:
        for task in comparison.scores:
            verdicts = comparison.verdict_on(task)
            apart.append(frozenset(n for v in verdicts.values() for n in (*v.better_than, *v.worse_than)))
    return read(Report(None, comparison, said), setting.names), apart
