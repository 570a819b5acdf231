"""What came of the comparison that a sweep was made for, in words."""

from __future__ import annotations

import pandas as pd

from analysis.statistics.comparison import Comparison
from analysis.statistics.inputs import Inputs
from analysis.statistics.planned import planned_over_tasks, planned_within
from analysis.statistics.significance import fewest_blocks
from analysis.words import NAMED, joined, listed, p_value
from harness.plan import Compare
from harness.plurals import plural

MOST_PAIRS = 4
"""Planned pairs with one method that have a sentence each; more are sorted by what is shown."""

NEAREST = 3
"""Of many methods that are not shown to differ, those that are named: where p is smallest."""


def planned_words(inputs: Inputs, comparison: Comparison) -> list[str]:
    """Return what came of the comparison that the sweep was made for; nothing where it does not say.

    Returns:
        One paragraph; where it compares at several parts of the budget, first what was to be compared, then one for
        each part, then who could not be.
    """
    compared = inputs.tables.compared
    if compared is None:
        return []
    stated = compared.stated
    who = (
        f"{stated.method} with {_others(stated, comparison)}"
        if stated.method
        else f"{listed(list(stated.methods))} with each other"
    )
    by = "final values" if stated.measure == "final" else "anytime scores"
    over = plural(len(stated.pairs), "pair")
    if stated.at != (1.0,):
        by = f"the best values {listed([_when(at) for at in stated.at])},"
        over = f"{over} at {plural(len(stated.at), 'point')} of the budget"
    how = f"by {by} at the level {stated.level:g}, with Holm's correction over {over}"
    asked = (
        f"Planned before there were results: to compare {who}, {how}."
        if compared.beforehand
        else f"To be compared, as was said after results existed (so that it may have been chosen for them, and "
        f"confirms nothing): {who}, {how}."
    )
    if stated.measure == "anytime" and comparison.anytime is None:
        return [f"{asked} No task declares the references that anytime scores need."]
    known = {*comparison.searchers, *comparison.partial}
    absent = [name for name in stated.methods if name not in known]
    lacking = f"Without a finished study, and so not compared: {listed(absent)}." if absent else ""
    table = planned_over_tasks(inputs, comparison, stated)
    if table["possible"].any():
        blind = _blind(table, stated)
        kept = table[table["possible"]] if blind else table
        found = [
            f"{_begin(at, stated)}over tasks, {_pairs_words(own, stated, 'task', len(table))}"
            for at, own in kept.groupby("at", sort=True)
        ]
        parts = [asked, *(text[:1].upper() + text[1:] for text in found), joined(blind, lacking)]
        return [text for text in parts if text] if len(stated.at) > 1 else [joined(*parts)]
    needed = fewest_blocks(stated.level, len(stated.pairs) * len(stated.at))
    most = int(table["blocks"].max()) if len(table) else 0
    few = (
        f"{plural(most, 'task')} cannot show a difference over tasks, however clear: at least "
        f"{needed} are needed."
    )
    rows = planned_within(inputs, comparison, stated).rename(columns={"repetitions": "blocks"})
    if len(rows) > MOST_PAIRS and not rows["possible"].any():
        most, least = int(rows["blocks"].max()), fewest_blocks(stated.level, len(rows))
        none = (
            f"Nor can {plural(most, 'repetition')} within a task, where at least {least} are needed for "
            f"{plural(len(rows), 'comparison')}."
        )
        return [joined(asked, few, none, lacking)]
    few += " Over the repetitions of each task, which speaks about that task only:"
    parts = [
        f"on {task}, {_begin(at, stated)}{_pairs_words(own, stated, 'repetition', len(rows))}"
        for (task, at), own in rows.groupby(["task", "at"], sort=True)
    ]
    return [joined(asked, few, " ".join(parts), lacking)]


def _others(stated: Compare, comparison: Comparison) -> str:
    """Return which methods one is compared with: all others, where there are so many that names would say less."""
    others = [name for name in stated.methods if name != stated.method]
    everyone = {*comparison.searchers, *comparison.partial} - {str(stated.method)}
    if len(others) > NAMED and everyone <= {*others}:
        return f"each of the {len(others)} other methods"
    return listed(others)


def _blind(table: pd.DataFrame, stated: Compare) -> str:
    """Return who shares too few tasks with one method, where that is so at every part of the budget; else nothing."""
    if stated.method is None or len(stated.pairs) <= MOST_PAIRS or len(stated.at) == 1:
        return ""
    found = {
        at: {
            (str(row["second"] if row["first"] == stated.method else row["first"]), int(row["blocks"]))
            for row in own[~own["possible"]].to_dict("records")
        }
        for at, own in table.groupby("at", sort=True)
    }
    first, *others = found.values()
    if not first or any(other != first for other in others):
        return ""
    names = [f"{name} ({plural(blocks, 'task')})" for name, blocks in sorted(first)]
    return f"With too few tasks to be told from {stated.method} at any of these points: {listed(names)}."


def _when(at: float) -> str:
    """Return after what part of the budget, in words."""
    return "at its end" if at == 1 else f"after {100 * at:.3g} % of the budget"


def _begin(at: object, stated: Compare) -> str:
    """Return what a sentence about a part of the budget begins with; nothing where there is one part alone."""
    return "" if stated.at == (1.0,) else f"{_when(float(str(at)))}: "


def _pairs_words(table: pd.DataFrame, stated: Compare, block: str, comparisons: int) -> str:
    """Return what tests of planned pairs say, each with its p: pair by pair, or sorted where they are many."""
    if stated.method is not None and len(stated.pairs) > MOST_PAIRS:
        return _sorted_words(table, stated.method, stated.level, block)
    parts = []
    for row in table.to_dict("records"):
        first, second = (row["first"], row["second"]) if row["effect"] >= 0 else (row["second"], row["first"])
        if not row["possible"]:
            parts.append(
                f"{plural(int(row['blocks']), block)} cannot tell {first} and {second} apart, at least "
                f"{fewest_blocks(stated.level, comparisons)} are needed"
            )
        elif row["p_holm"] <= stated.level and row["effect"] != 0:
            parts.append(f"{first} is shown to be better than {second} ({p_value(row['p_holm'])})")
        else:
            parts.append(f"{first} and {second} are not shown to differ ({p_value(row['p_holm'])})")
    return f"{'; '.join(parts)}."


def _sorted_words(table: pd.DataFrame, method: str, level: float, block: str) -> str:
    """Return which methods are shown to be better than one, which to be worse, and which neither.

    Of many that are not shown to differ, those with the smallest p are named.
    """
    found: dict[str, list[str]] = {}
    for row in table.sort_values("p_holm", kind="stable").to_dict("records"):
        other, sign = (row["second"], -1) if row["first"] == method else (row["first"], 1)
        if not row["possible"]:
            key, said = "too few to tell apart", f"{other} ({plural(int(row['blocks']), block)})"
        else:
            shown = row["p_holm"] <= level and row["effect"] != 0
            key = ("better" if sign * row["effect"] > 0 else "worse") if shown else "not shown to differ"
            said = f"{other} ({p_value(row['p_holm'])})"
        found.setdefault(key, []).append(said)
    heads = {
        "better": f"shown to be better than {method}",
        "worse": f"shown to be worse than {method}",
        "not shown to differ": f"not shown to differ from {method}",
        "too few to tell apart": f"with too few {block}s to be told from {method}",
    }
    words = {key: listed(names) for key, names in found.items()}
    rest = found.get("not shown to differ", [])
    if len(rest) > NAMED + 1:
        words["not shown to differ"] = f"{len(rest)} methods, with the smallest p {listed(rest[:NEAREST])}"
    return f"{'; '.join(f'{head}: {words[key]}' for key, head in heads.items() if key in words)}."
