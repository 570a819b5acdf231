"""What the page of a method and that of a task say of each arena that they are in."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from analysis import style
from analysis.report.verdicts import claims
from analysis.site.arenas import Arena
from analysis.site.rankings import Ranked
from analysis.site.sentences import COMPARED, MOST_SETS, WITHIN, budget_words, percent, seconds_words
from analysis.statistics.answers import Answer, groups, pairs_within
from analysis.statistics.bootstrap import Floats, mean_interval
from analysis.statistics.completeness import completeness, failures
from analysis.statistics.curves import final_results
from analysis.statistics.landscape import Landscape
from analysis.statistics.ranks import rounded
from analysis.statistics.standing import Standing, verdict
from analysis.words import interval, mean_rank, number, with_sd
from harness.plurals import plural


def task_frame(arena: Arena) -> pd.DataFrame:
    """Return every method's final result on every task of an arena, with its rank there.

    Returns:
        What `analysis.statistics.curves.final_results` returns, and ``rank``, ``rank_low``, ``rank_high`` (mean over
        the repetitions that all methods of the task finished, with an interval that resamples them), ``of`` (how many
        methods), ``leads``, ``groups`` and ``compared`` as in `analysis.statistics.answers.Answer.table` (``tied``
        where several lead), by tests over the repetitions of the task; NaN or empty where the method has no rank.
    """
    results = final_results(arena.tables, arena.inputs.best)
    columns = ("rank", "rank_low", "rank_high", "of", "leads", "groups", "compared")
    ranked: dict[tuple[str, str], tuple[Any, ...]] = {}
    for task in arena.scores:
        ranked |= {(task, name): row for name, row in _ranks_on(arena, task).items()}
    empty = (np.nan, np.nan, np.nan, 0, False, "", "")
    rows = [
        ranked.get((str(t), str(s)), empty) for t, s in zip(results["task"], results["searcher"], strict=True)
    ]
    return pd.concat([results, pd.DataFrame(rows, columns=list(columns))], axis="columns")


def _ranks_on(arena: Arena, task: str) -> dict[str, tuple[Any, ...]]:
    """Return rank, its interval, how many are ranked, whether it leads, its groups and what tests say, by method."""
    own = arena.scores[task]
    rows = ~np.isnan(own.losses).any(axis=1)
    if len(own.searchers) < 2 or not rows.any():
        return {}
    standing = Standing({task: own.losses[rows]}, {task: own.losses}, own.searchers, arena.tables.paired)
    order = list(standing.mean_ranks)
    pairs = pairs_within(own, paired=arena.tables.paired)
    sets, said = groups(pairs, order), verdict(pairs, standing.leaders[0], order)
    compared = {
        **dict.fromkeys(said.better_than, "worse"),
        **dict.fromkeys(said.worse_than, "better"),
        **dict.fromkeys(said.alike, "not shown"),
        **dict.fromkeys(said.untested, "untested"),
        **dict.fromkeys(standing.leaders, "leads" if len(standing.leaders) == 1 else "tied"),
    }
    ends = _ends(own.losses[rows], paired=arena.tables.paired)
    return {
        name: (
            standing.mean_ranks[name],
            *ends[:, own.searchers.index(name)].tolist(),
            len(order),
            name in standing.leaders,
            " ".join(map(str, sets[name])),
            compared[name],
        )
        for name in order
    }


def _ends(losses: Floats, *, paired: bool) -> Floats:
    """Return the ends of the intervals of mean ranks over repetitions; NaN of runs that are not paired."""
    if not paired:
        return np.full((2, losses.shape[1]), np.nan)
    from scipy.stats import rankdata

    estimate = mean_interval(rankdata(rounded(losses), axis=1))
    return np.stack([estimate.low, estimate.high])


def result_cells(row: Mapping[Any, Any], reported: str) -> dict[str, Any]:
    """Return one row of `task_frame` as texts."""
    rank = float(row["rank"])
    done = f"{row['repetitions']} of {row['planned']}"
    return {
        "method": row["searcher"],
        "task": row["task"],
        "leads": bool(row["leads"]),
        "rank": mean_rank(rank) if math.isfinite(rank) else "–",
        "sort": rank if math.isfinite(rank) else "",
        "interval": interval(row["rank_low"], row["rank_high"], 3),
        "of": row["of"],
        "groups": row["groups"] or "–",
        "compared": WITHIN.get(str(row["compared"]), "not ranked"),
        "value": with_sd(row[reported], row[f"{reported}_sd"]),
        "value_sort": row[reported] if math.isfinite(row[reported]) else "",
        "done": done + (f" ({row['unsuccessful']} without a success)" if row["unsuccessful"] else ""),
    }


def _tested(frame: pd.DataFrame) -> bool:
    """Return whether a test over repetitions could say anything of some rows of `task_frame`."""
    return bool(frame["compared"].isin(["better", "worse", "not shown"]).any())


def method_in(
    arena: Arena,
    method: str,
    ranked: Sequence[Ranked],
    others: Sequence[pd.DataFrame],
    frame: pd.DataFrame,
) -> dict[str, Any]:
    """Return what a method's page says of an arena.

    Args:
        arena: The arena.
        method: The method.
        ranked: All rankings of the arena.
        others: Beside each of them, what `analysis.site.elsewhere.elsewhere` returns.
        frame: What `task_frame` returns.
    """
    own = frame[frame["searcher"] == method].sort_values(["rank", "task"], kind="stable")
    reported = {task: facts.reported for task, facts in arena.inputs.facts.items()}
    key = arena.of_method(method)
    told = failures(arena.tables)
    told = told[told["searcher"] == method]
    studies = completeness(arena.tables)
    studies = studies[(studies["searcher"] == method) & (studies["planned"] > 0)]
    lacking = studies[studies["finished"] < studies["planned"]]
    cannot = {pair.task: pair.reason for pair in arena.tables.left_out if pair.searcher == method}
    absent = sorted(set(map(str, arena.tables.tasks.index)) - set(studies["task"]))
    return {
        "name": arena.name,
        "id": arena.id,
        "workers": arena.workers,
        "standings": _standings(method, ranked, others),
        "verdict": _verdict(method, ranked[0]) if ranked else "",
        "tested": _tested(own),
        "results": [result_cells(row, reported[str(row["task"])]) for row in own.to_dict("records")],
        "first": [str(task) for task in own.loc[own["leads"].astype(bool), "task"]],
        "ranked": int(own["rank"].notna().sum()),
        "costs": [
            {
                "budget": budget_words(point),
                "each": seconds_words(arena.seconds(method, point)),
                "share": percent(arena.share(method, point)),
            }
            for point in arena.looks
        ],
        "settings": {name: _value(value) for name, value in key["settings"].items()},
        "version": key["version"],
        "failed": f"{int(told['failed'].sum())} of {plural(int(told['told'].sum()), 'evaluation')}",
        "lacking": [
            f"{row['task']}: {row['finished']} of {row['planned']} finished"
            for row in lacking.to_dict("records")
        ],
        "absent": [(task, cannot.get(task, "")) for task in absent],
        "early": method in arena.lower,
        "seconds": seconds_words(arena.seconds(method, arena.end)),
    }


def _value(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _verdict(method: str, ranked: Ranked) -> str:
    """Return what tests say of a method against all others of a ranking; empty where it has none, or nothing to say."""
    found = ranked.answer
    if found is None or method not in found.order or found.standing.few:
        return ""
    leads = method in found.standing.leaders
    return f"After {budget_words(ranked.point)}, on {ranked.selection.title}, " + (
        claims("it", found.standing.verdict(method), leads=leads)
    )


def _standings(method: str, ranked: Sequence[Ranked], others: Sequence[pd.DataFrame]) -> list[dict[str, Any]]:
    """Return the method's place in every ranking that has it, and beside those that it cannot be in."""
    rows = []
    for each, frame in zip(ranked, others, strict=True):
        about = {
            "budget": budget_words(each.point),
            "point": each.point,
            "on": each.selection.title,
            "anchor": each.id,
        }
        for row in frame[frame["method"] == method].to_dict("records"):
            shown = f"shown to be better than {row['better']} of them, worse than {row['worse']}"
            rows.append(
                {
                    **about,
                    "on": f"{each.selection.title}: those that it can search",
                    "rank": mean_rank(row["rank"]),
                    "sort": row["rank"],
                    "interval": interval(row["low"], row["high"], 3),
                    "of": row["methods"],
                    "tasks": row["number_of_tasks"],
                    "compared": shown if row["possible"] else "no difference could be shown",
                }
            )
        if each.answer is None or method not in each.answer.order:
            continue
        (row,) = each.answer.table[each.answer.table["method"] == method].to_dict("records")
        rows.append(
            {
                **about,
                "rank": mean_rank(row["rank"]),
                "sort": row["rank"],
                "interval": interval(row["low"], row["high"], 3),
                "of": len(each.answer.order),
                "tasks": len(each.answer.tasks),
                "compared": _compared(each.answer, row),
            }
        )
    return rows


def _compared(found: Answer, row: Mapping[Any, Any]) -> str:
    """Return what tests say of a method and the leader; of too few tasks, that they say nothing."""
    if not found.standing.few:
        return COMPARED[str(row["compared"])]
    return f"{'lowest; ' if row['leads'] else ''}no difference could be shown"


def task_in(arena: Arena, task: str, frame: pd.DataFrame) -> dict[str, Any]:
    """Return what a task's page says of an arena."""
    facts = arena.inputs.facts[task]
    own = frame[frame["task"] == task]
    order = own.assign(place=own["rank"].fillna(np.inf)).sort_values(["place", "searcher"], kind="stable")
    named = set(own["searcher"])
    cannot = {pair.searcher: pair.reason for pair in arena.tables.left_out if pair.task == task}
    return {
        "name": arena.name,
        "id": arena.id,
        "workers": arena.workers,
        "budget": facts.budget,
        "metric": facts.metrics[facts.reported],
        "results": [result_cells(row, facts.reported) for row in order.to_dict("records")],
        "tested": _tested(own),
        "sets": _tested(own)
        and len({number for text in own["groups"] for number in text.split()}) <= MOST_SETS,
        "absent": [
            (name, cannot.get(name, "")) for name in style.ordered(arena.methods) if name not in named
        ],
        "data": str((arena.tables.provenance.get("data") or {}).get(task, "")),
    }


def landscape_in(found: Landscape) -> dict[str, Any]:
    """Return a task's landscape as texts, and the line of its values, best at the left, on a picture 300 × 80."""
    values = found.sorted_values
    whose = "random search" if found.random else "all methods, which look where values are good"
    about = {
        "whose": whose,
        "sample": found.sample,
        "evaluations": found.evaluations,
        "failed": found.failed,
        "quantiles": {name: number(value, 4) for name, value in found.quantiles.items()},
        "seeds": found.seeds,
        "noise": number(found.noise, 2),
        "line": "",
        "alt": "",
    }
    if values.size > 1 and values[0] != values[-1]:
        places = np.unique(np.linspace(0, values.size - 1, min(values.size, 150)).astype(int))
        heights = (values[places] - values[-1]) / (values[0] - values[-1])
        across = 300 * places / (values.size - 1)
        about["line"] = " ".join(f"{x:.1f},{78 - 76 * y:.1f}" for x, y in zip(across, heights, strict=True))
        quantiles = "; ".join(f"{name} {number(value, 4)}" for name, value in found.quantiles.items())
        about["alt"] = f"Values of {whose}, sorted, best at the left: {quantiles}."
    return about
