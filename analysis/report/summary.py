"""The report in words: who leads, by how much, and how sure that is."""

from __future__ import annotations

import math
from collections import Counter

import pandas as pd

from analysis import style
from analysis.report.baselines import worth_words
from analysis.report.partial import partial_words
from analysis.report.planned import planned_words
from analysis.report.verdicts import claims
from analysis.sample_sizes import few_tasks
from analysis.statistics.baselines import worth
from analysis.statistics.bootstrap import mean_interval
from analysis.statistics.comparison import Comparison, sensitivity
from analysis.statistics.independent import compared, fewest_runs
from analysis.statistics.inputs import Inputs
from analysis.statistics.reevaluation import reevaluation
from analysis.statistics.significance import ALPHA, differences, fewest_blocks
from analysis.statistics.standing import leaders_of
from analysis.statistics.steps import usable_studies
from analysis.wording import wording
from analysis.words import (
    interval,
    joined,
    listed,
    mean_rank,
    number,
    p_value,
    ranks_of,
)
from harness.plurals import plural


def summary(inputs: Inputs, comparison: Comparison | None, budgets: pd.DataFrame | None = None) -> list[str]:
    """Return the report in a few sentences, one paragraph each: the first says who leads and how sure that is.

    Args:
        inputs: The sweep.
        comparison: What compares its methods; ``None`` where there is nothing to compare.
        budgets: What `analysis.statistics.baselines.worth` returned, where that is known already.
    """
    tables = inputs.tables
    studies, used = tables.studies, usable_studies(tables)
    searchers = style.ordered(str(name) for name in studies["searcher"])
    told, failed = len(tables.trials), int((tables.trials["status"] != "ok").sum())
    scope = (
        f"{plural(len(searchers), 'method')} ({listed(searchers)}) on "
        f"{plural(len(inputs.facts), 'task')}: {len(used)} of {plural(len(studies), 'planned study')} finished, "
        f"{plural(told, 'evaluation')} told, {failed} of them failed."
    )
    if used.empty:
        return ["No study is finished yet, so that there are no results to show.", scope]
    if comparison is None:
        return [
            "There is nothing to compare: no task has a repetition that two or more methods, all of them, finished.",
            scope,
        ]
    plan = planned_words(inputs, comparison)
    said = [*plan, f"{EXPLORATORY} {headline(comparison)}" if plan else headline(comparison)]
    if comparison.few:
        said += [few_tasks(comparison), *tasks_words(comparison), within_words(comparison)]
    else:
        said += [closest(comparison), anytime_words(comparison)]
    said += [
        worth_words(comparison, worth(inputs) if budgets is None else budgets),
        *partial_words(comparison),
        luck_words(inputs, comparison),
        sensitivity_words(inputs, comparison),
        rests_on(comparison),
        scope,
    ]
    return [paragraph for paragraph in said if paragraph]


EXPLORATORY = "Beyond the plan, exploratory:"
"""What all else begins with where a sweep says what it is to compare."""


def headline(comparison: Comparison) -> str:
    """Return who leads by final results, and whom it is shown to be better than, in one or two sentences."""
    standing = comparison.final
    tasks = list(standing.ranks.index)
    over = f"over {plural(len(tasks), 'task')}" if len(tasks) > 1 else f"on {tasks[0]}"
    first = standing.leaders[0]
    rank = mean_rank(standing.mean_ranks[first])
    if len(standing.leaders) > 1:
        lead = f"{listed(list(standing.leaders))} lead together {over}, with a mean rank of {rank} each"
    else:
        estimate = mean_interval(standing.ranks[first].to_numpy(dtype=float))
        ends = interval(float(estimate.low), float(estimate.high), 3)
        second = list(standing.mean_ranks)[1]
        lead = (
            f"{first} leads {over} with a mean rank of {f'{rank} {ends}'.strip()}, ahead of {second} with "
            f"{mean_rank(standing.mean_ranks[second])}"
        )
    if comparison.few:
        return (
            f"{lead}: a description of {'this task' if len(tasks) == 1 else 'these tasks'}, without a test."
        )
    if len(standing.leaders) == 1:
        return f"{lead}. {claims('It', standing.verdict(first))}"
    return joined(f"{lead}.", *(claims(name, standing.verdict(name)) for name in standing.leaders))


def closest(comparison: Comparison) -> str:
    """Return how the first method stands against the next, and what the test over all of them says."""
    standing, said = comparison.final, wording(paired=comparison.paired)
    sentences = []
    if len(standing.leaders) == 1:
        first, second = list(standing.mean_ranks)[:2]
        shares = standing.share(first, second)
        wins, ties = int((shares < 0).sum()), int((shares == 0).sum())
        pairs = standing.pairs
        row = pairs[pairs["first"].isin([first, second]) & pairs["second"].isin([first, second])].iloc[0]
        sentences.append(
            f"Against {second}, the next, {first} wins more {said.unit} than it loses on {wins} of "
            f"{plural(shares.size, 'task')}{f' and as many on {ties}' if ties else ''}, and "
            f"{100 * (1 - shares.mean()) / 2:.0f} % of a task's {said.unit} on average"
            + (f" (Wilcoxon with Holm's correction, {p_value(row['p_holm'])})." if row["possible"] else ".")
        )
    if standing.friedman is not None:
        sentences.append(
            f"Friedman's test over all methods (Iman and Davenport): {p_value(standing.friedman.f_p)}."
        )
    return joined(*sentences)


def anytime_words(comparison: Comparison) -> str:
    """Return who leads by anytime score, with the same tests; empty where there is no such score."""
    standing = comparison.anytime
    if standing is None or standing.few:
        return ""
    leaders = standing.leaders
    rank = mean_rank(standing.mean_ranks[leaders[0]])
    lead = (
        f"Over the whole budget (anytime score), {listed(list(leaders))} "
        f"{'leads with a mean rank of ' + rank if len(leaders) == 1 else 'lead together with ' + rank + ' each'}."
    )
    subject = ("It",) if len(leaders) == 1 else leaders
    return joined(
        lead, *(claims(name, standing.verdict(own)) for name, own in zip(subject, leaders, strict=True))
    )


def luck_words(inputs: Inputs, comparison: Comparison) -> str:
    """Return what is left of the leader's lead where winners were trained again; empty where they were not."""
    runs = reevaluation(inputs)
    runs = runs[runs["task"].isin(list(comparison.scores)) & (runs["seeds"] > 0)]
    if runs.empty or len(comparison.leaders) != 1:
        return ""
    first, second = list(comparison.mean_ranks)[:2]
    facts = {task: inputs.facts[task] for task in runs["task"].unique()}
    if all(own.references for own in facts.values()):
        unit = "of normalised regret"
        spans = {task: abs(r.reference - r.best) for task, own in facts.items() if (r := own.references)}
    elif len(facts) == 1:
        unit = f"{next(iter(facts.values())).metrics['validation']}"
        spans = dict.fromkeys(facts, 1.0)
    else:
        return ""
    scale = runs["task"].map({task: own.sign / spans[task] for task, own in facts.items()})
    gaps = []
    for column in ("selected", "again"):
        scaled = runs.assign(loss=runs[column] * scale)
        means = scaled.pivot_table(index="task", columns="searcher", values="loss", aggfunc="mean")
        if not {first, second} <= set(means.columns):
            return ""
        gaps.append(float((means[second] - means[first]).mean()))
    seeds = plural(int(inputs.tables.reevaluations["number"].max()), "fresh seed")
    over = f" over {plural(len(facts), 'task')}" if len(facts) > 1 else ""
    return (
        f"Winners were trained again with {seeds}, by which nothing was selected. By the validation values that they "
        f"were selected for, {first} is ahead of {second} by {number(gaps[0], 2)} {unit}{over}; by the fresh ones, by "
        f"{number(gaps[1], 2)}."
    )


RULES = {
    "by_mean": "by mean final values, of which one failed or awful repetition can outweigh the rest",
    "without_failures": "without the repetitions in which a method had no success",
    "half": "after half of the budget",
    "quarter": "after a quarter of the budget",
}
"""What ranks otherwise than the ranking does: the columns of `analysis.statistics.comparison.sensitivity`."""


def sensitivity_words(inputs: Inputs, comparison: Comparison) -> str:
    """Return where another sensible rule gives another leader, with its ranks; empty where none does."""
    table = sensitivity(inputs, comparison).set_index("searcher")
    found = []
    for column, rule in RULES.items():
        ranks = {str(name): float(rank) for name, rank in table[column].items()}
        if all(math.isfinite(rank) for rank in ranks.values()) and leaders_of(ranks) != comparison.leaders:
            found.append(f"{rule}, {listed(list(leaders_of(ranks)))} ({ranks_of(ranks, most=4)})")
    return f"Who leads depends on what is asked: {'; '.join(found)}." if found else ""


def rests_on(comparison: Comparison) -> str:
    """Return on how many tasks ranks and tests rest, where that differs; empty where it does not."""
    ranked = len(comparison.scores)
    counts = sorted({int(blocks) for blocks in comparison.final.pairs["blocks"]})
    if comparison.few or counts in ([ranked], []):
        return ""
    pairs = f"{counts[0]} to {counts[-1]}" if len(counts) > 1 else str(counts[0])
    return (
        f"Mean ranks rest on the {plural(ranked, 'task')} that every method finished; the test of a pair rests on "
        f"every task that both finished: {pairs}."
    )


MOST_TASKS = 3
"""Tasks that have a paragraph each; of more it is said how often each method ends best."""


def tasks_words(comparison: Comparison) -> list[str]:
    """Return who ends best on each task."""
    tasks = list(comparison.scores)
    if len(tasks) <= MOST_TASKS:
        return [task_words(comparison, task) for task in tasks]
    best = Counter(name for task in tasks for name in comparison.final.leaders_on(task))
    parts = [
        f"{name} on {times}" for name, times in sorted(best.items(), key=lambda item: (-item[1], item[0]))
    ]
    shared = sum(len(comparison.final.leaders_on(task)) > 1 for task in tasks)
    together = f" ({plural(shared, 'task')} shared)" if shared else ""
    return [f"Of {plural(len(tasks), 'task')}, these end best: {listed(parts)}{together}."]


def task_words(comparison: Comparison, task: str) -> str:
    """Return which method ends best on one task, by how much, and whether repetitions agree."""
    own, ranks = comparison.scores[task], comparison.final.ranks_on(task)
    leaders = comparison.final.leaders_on(task)
    count = plural(len(own.repetitions), "repetition")
    if len(leaders) > 1:
        rank = mean_rank(ranks[leaders[0]])
        return joined(
            f"On {task}, {listed(list(leaders))} end equal: a mean rank of {rank} each over {count}.",
            _failures(comparison, task),
        )
    name, other = list(ranks)[:2]
    one, two = (own.losses[:, own.searchers.index(n)] for n in (name, other))
    if not comparison.paired:
        found = compared(one, two)
        mean = found["difference"]
        by = (
            f", and by {number(abs(mean), 2)} {own.metric} on average"
            if mean < 0 and math.isfinite(mean)
            else ""
        )
        return joined(
            f"On {task}, {name} ends best: a mean rank of {mean_rank(ranks[name])} over {count}, before {other} "
            f"with {mean_rank(ranks[other])}, than which a run of it is better in {100 * found['a']:.0f} % of all "
            f"pairs{by}.",
            _failures(comparison, task),
        )
    apart = differences(one, two)
    wins, ties = int((apart < 0).sum()), int((apart == 0).sum())
    mean = float(mean_interval(apart).mean)
    by = f", by {number(abs(mean), 2)} {own.metric} on average" if mean < 0 and math.isfinite(mean) else ""
    return joined(
        f"On {task}, {name} ends best: a mean rank of {mean_rank(ranks[name])} over {count}, before {other} with "
        f"{mean_rank(ranks[other])}, than which it is better in {wins}{f' and equal in {ties}' if ties else ''}{by}.",
        _failures(comparison, task),
    )


def _failures(comparison: Comparison, task: str) -> str:
    own = comparison.scores[task]
    failed = [(name, own.failed(name)) for name in own.searchers]
    parts = [f"{name} in {times}" for name, times in failed if times]
    return f"Without a success, and so last: {listed(parts)}." if parts else ""


def within_words(comparison: Comparison) -> str:
    """Return what the comparisons within tasks show, in either direction."""
    table = comparison.within
    if table.empty:
        return ""
    shown = table[(table["p_holm"] <= ALPHA) & (table["effect"] != 0)]
    tests = int(table["comparisons"].iloc[0])
    said, fewest = wording(paired=comparison.paired), fewest_blocks if comparison.paired else fewest_runs
    if not table["possible"].any():
        most = int(table["repetitions"].max())
        return (
            f"{plural(most, 'repetition').capitalize()} cannot show a difference from {comparison.control} on any "
            f"task, however large it is: at least {fewest(comparisons=tests)} are needed for "
            f"{plural(tests, 'comparison')} ({said.tests} with Holm's correction)."
        )
    sentence = (
        f"Of {plural(len(table), 'comparison')} with {comparison.control} within a task, {len(shown)} "
        f"{'shows' if len(shown) == 1 else 'show'} a difference at {ALPHA:g} ({said.tests} over {said.over}, "
        f"Holm's correction over {'all of them' if tests == len(table) else f'the {tests} pairs of all tasks'})"
    )
    if len(shown):
        sentence += f": {listed(_directions(shown))}"
    blind = int((~table["possible"]).sum())
    return f"{sentence}." + (
        f" {plural(blind, 'comparison').capitalize()} had too few repetitions to show any." if blind else ""
    )


def _directions(rows: pd.DataFrame) -> list[str]:
    return [
        f"{row['first']} is {'better' if row['effect'] > 0 else 'worse'} on {row['task']}"
        for row in rows.to_dict("records")
    ]
