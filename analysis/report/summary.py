"""The report in words: who leads, by how much, how sure that is, and what a reader must know first."""

from __future__ import annotations

import math

import numpy as np

from analysis import style
from analysis.statistics.comparison import Comparison, ranking
from analysis.statistics.inputs import Inputs
from analysis.statistics.moments import mean
from analysis.statistics.paired import fewest_repetitions
from analysis.statistics.ranks import rounded
from analysis.statistics.scores import TaskScores
from analysis.statistics.significance import ALPHA
from analysis.statistics.steps import unusable_studies, usable_studies
from analysis.words import (
    SUBSET,
    few_tasks,
    interval,
    joined,
    listed,
    number,
    plural,
    probability,
    short,
)
from harness.keys import canonical_json
from harness.machine import numbers_of
from harness.plan import study_label


def summary(inputs: Inputs, comparison: Comparison | None) -> list[str]:
    """Return the report in a few sentences, one paragraph each: the leader first."""
    tables = inputs.tables
    plan, used = tables.studies, usable_studies(tables)
    searchers = style.ordered(str(name) for name in plan["searcher"])
    told, failed = len(tables.trials), int((tables.trials["status"] != "ok").sum())
    scope = (
        f"{plural(len(searchers), 'method')} ({listed(searchers)}) on "
        f"{plural(len(inputs.facts), 'task')}: {len(used)} of {len(plan)} planned studies finished, "
        f"{plural(told, 'evaluation')} told, {failed} of them failed."
    )
    if used.empty:
        return ["No study is finished yet, so that there are no results to show.", scope]
    if comparison is None:
        return [
            "There is nothing to compare: no task has a repetition that two or more methods, all of them, finished.",
            scope,
        ]
    if comparison.few:
        said = [few_tasks(comparison), *(task_words(own) for own in comparison.scores.values())]
        said.append(within_words(comparison))
        final = ", ".join(f"{name} {rank:.2f}" for name, rank in comparison.mean_ranks.items())
        said.append(f"Mean rank of the final results over these tasks, as a description: {final}.")
    else:
        said = leader_words(comparison)
    return [*said, scope]


def leader_words(comparison: Comparison) -> list[str]:
    """Return who leads over tasks, by how much, and how sure that is."""
    table: dict[str, dict[str, float]] = {
        str(row["searcher"]): {str(key): value for key, value in row.items()}
        for row in ranking(comparison).to_dict("records")
    }
    names = list(table)
    best, second = names[0], names[1]
    row, against = table[best], table[second]
    leads = "leads" if row["rank"] < against["rank"] else f"leads by name only, with {second}"
    first = (
        f"{best} {leads}: its mean rank by final results is {row['rank']:.2f} "
        f"{interval(row['rank_low'], row['rank_high'], 3)} over {plural(int(row['tasks']), 'task')}, followed "
        f"by {second} with {against['rank']:.2f}"
    )
    first += f" and {plural(len(names) - 2, 'more method')}." if len(names) > 2 else "."
    sure = (
        f"Against {second}, {best} wins on {_wins(comparison, best, second)}; a run of {second} is better than one of "
        f"{best} with a probability of {against['improvement']:.2f}"
    )
    if math.isfinite(against["p_holm"]):
        differs = "differ" if against["p_holm"] <= ALPHA else "are not shown to differ"
        sure += (
            f", and the two {differs} (Wilcoxon with Holm's correction, p = {probability(against['p_holm'])})"
        )
    beaten = [name for name in names[1:] if table[name]["p_holm"] <= ALPHA and table[name]["effect"] < 0]
    alike = [name for name in names[1:] if not table[name]["p_holm"] <= ALPHA]
    spread = f"{best} is shown to be better than {listed(beaten)}." if beaten else ""
    if alike:
        spread += f" Not shown to differ from it: {listed(alike)}."
    test = comparison.friedman
    overall = (
        f"Friedman's test over all methods (Iman and Davenport): p = {probability(test.f_p)}."
        if test is not None
        else ""
    )
    return [first, f"{sure}.", joined(spread.strip(), overall)]


def _wins(comparison: Comparison, best: str, other: str) -> str:
    losses = comparison.losses[[best, other]].to_numpy(dtype=float)
    one, two = rounded(losses[:, 0]), rounded(losses[:, 1])
    wins, ties = int((one < two).sum()), int((one == two).sum())
    text = f"{wins} of {len(losses)} tasks"
    return text + (f" and ties on {ties}" if ties else "")


def task_words(scores: TaskScores) -> str:
    """Return which method ends best on one task, by how much, and whether repetitions agree."""
    losses = rounded(scores.losses)
    means = mean(losses, axis=0)
    order = np.argsort(means, kind="stable")
    best, second = int(order[0]), int(order[1])
    name, other = scores.searchers[best], scores.searchers[second]
    if not math.isfinite(float(means[second])):
        return f"On {scores.task}, {name} alone has a result in every repetition."
    with np.errstate(over="ignore"):
        difference = losses[:, best] - losses[:, second]
    apart = float(mean(difference))
    count = len(difference)
    wins, ties = int((difference < 0).sum()), int((difference == 0).sum())
    agree = f"ahead in {wins} of {plural(count, 'repetition')}" + (f", equal in {ties}" if ties else "")
    return (
        f"On {scores.task}, {name} ends best by mean {scores.metric}, ahead of {other} by "
        f"{number(-apart, 2)} on average ({agree})."
        if apart < 0
        else f"On {scores.task}, {name} and {other} end equal by mean {scores.metric}."
    )


def within_words(comparison: Comparison) -> str:
    """Return how sure the comparisons within tasks are."""
    table = comparison.within
    shown = table[table["p_holm"] <= ALPHA]
    counts = {len(own.repetitions) for own in comparison.scores.values()}
    tests = len(comparison.searchers) - 1
    fewest = fewest_repetitions(comparisons=tests)
    sentence = (
        f"Of {plural(len(table), 'comparison')} with {comparison.control} within a task, {len(shown)} "
        f"{'shows' if len(shown) == 1 else 'show'} a difference at {ALPHA:g} (signed-rank tests over repetitions, "
        "Holm's correction within each task)"
    )
    if len(shown):
        named = [f"{row['first']} on {row['task']}" for row in shown.to_dict("records")]
        sentence += f": {listed(named)}"
    sentence += "."
    if max(counts) < fewest:
        sentence += (
            f" {plural(max(counts), 'repetition')} cannot show one however large it is: at least {fewest} "
            "are needed."
        )
    return sentence


def notices(inputs: Inputs) -> list[str]:
    """Return what a reader must know before believing a number."""
    tables, items = inputs.tables, []
    subsets = [str(task) for task in sorted(tables.tasks.index[tables.tasks["subset"].astype(bool)])]
    if subsets:
        items.append(f"{SUBSET} Tasks: {', '.join(subsets)}.")
    absent = len(unusable_studies(tables))
    if absent:
        items.append(
            f"Incomplete: {absent} of {len(tables.studies)} planned studies are not finished and not used; "
            "they are listed under Completeness and named in the captions."
        )
    machines = tables.provenance.get("machines") or []
    if len(machines) > 1:
        items.append(
            f"Seconds of this one sweep were measured on {len(machines)} different machines: compare them with care."
        )
    kinds = {canonical_json(numbers_of({**machine, "id": ""})) for machine in machines}
    if len(kinds) > 1:
        items.append(
            f"Trainings come from {len(kinds)} kinds of machine that can give other numbers (device, threads, "
            "arithmetic or versions differ; see Provenance): expect them to repeat exactly on their own kind only."
        )
    ended = short(tables, list(tables.tasks.index))
    if ended:
        items.append(f"{ended} What they would have found with the rest cannot be known.")
    went_on = tables.studies[tables.studies["followed"] > 0]
    if len(went_on):
        named = [
            f"{study_label(row['searcher'], row['task'], row['repetition'])}, after {row['followed']} evaluations"
            for row in went_on.to_dict("records")
        ]
        items.append(
            f"{len(went_on)} of {len(tables.studies)} studies went on from recorded trials: what its searcher "
            "proposed when it was resumed departed from its record, so that a fresh one was told the trials so far "
            f"and proposed the rest ({'; '.join(named)})."
        )
    items += [f"Merged from several folders: {note}." for note in tables.provenance.get("merged") or []]
    return items
