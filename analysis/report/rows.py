"""The page's tables as texts, each cell with what its column sorts by."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from analysis import style, words
from analysis.statistics.comparison import Comparison, by_group, ranking, sensitivity
from analysis.statistics.completeness import STATUSES, completeness
from analysis.statistics.inputs import Inputs
from analysis.statistics.standing import leaders_of
from analysis.statistics.steps import COSTS, SPENT_COST
from analysis.statistics.tasks import Measure
from analysis.words import interval, mean_rank, number, probability, with_sd
from harness.plurals import plural
from results.tables import SweepTables


def ranking_rows(comparison: Comparison) -> list[dict[str, Any]]:
    """Return the final ranking as text with what its columns sort by; without scores where there are none."""
    rows = []
    for values in ranking(comparison).to_dict("records"):
        row = {str(key): value for key, value in values.items()}
        cells: list[tuple[str, float, str, str]] = [
            (
                "Mean rank",
                row["rank"],
                mean_rank(row["rank"]),
                interval(row["rank_low"], row["rank_high"], 3),
            ),
            ("Wins", row["wins"], str(row["wins"]), ""),
            ("Ties", row["ties"], str(row["ties"]), ""),
            ("Losses", row["losses"], str(row["losses"]), ""),
        ]
        for title, column in (("Regret (IQM)", "regret"), ("Anytime (IQM)", "anytime")):
            ends = interval(row[f"{column}_low"], row[f"{column}_high"], 3)
            cells.append((title, row[column], number(row[column], 3), ends))
        cells += [
            ("Won against leader", row["won"], number(row["won"], 2), ""),
            ("Effect", row["effect"], number(row["effect"], 2), ""),
        ]
        for title, p in (("p (Holm)", row["p_holm"]), ("p anytime (Holm)", row["p_anytime"])):
            cells.append((title, p, probability(p) if math.isfinite(p) else "–", ""))
        rows.append({"searcher": row["searcher"], "leads": row["leads"], "cells": cells})
    empty = [
        index
        for index in range(len(rows[0]["cells"]))
        if all(not math.isfinite(row["cells"][index][1]) for row in rows)
    ]
    for row in rows:
        row["cells"] = [
            {"title": title, "sort": value if math.isfinite(value) else "", "text": text, "interval": ends}
            for index, (title, value, text, ends) in enumerate(row["cells"])
            if index not in empty
        ]
    return rows


SENSITIVITY = {
    "rank": "As ranked",
    "by_mean": "By mean value",
    "without_failures": "Without failed repetitions",
    "half": "At ½ of the budget",
    "quarter": "At ¼ of the budget",
}
"""Headings of `analysis.statistics.comparison.sensitivity`."""


def sensitivity_table(inputs: Inputs, comparison: Comparison) -> pd.DataFrame:
    """Return mean ranks under other rules and over groups of tasks: headings as columns, methods as rows."""
    table = sensitivity(inputs, comparison).set_index("searcher")[list(SENSITIVITY)]
    table = table.dropna(axis="columns").rename(columns=SENSITIVITY)
    groups = by_group(inputs, comparison)
    table = table.reindex(
        [*table.index, *(name for name in comparison.partial if name in set(groups["searcher"]))]
    )
    for group, own in groups.groupby("group", sort=True):
        among = int(own["methods"].iloc[0])
        more = "" if among == len(comparison.searchers) else f", {plural(among, 'method')}"
        heading = f"On {plural(int(own['tasks'].iloc[0]), 'task')} of group {group}{more}"
        table[heading] = own.set_index("searcher")["rank"]
    return table


def sensitivity_rows(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Return mean ranks under other rules as text; the lowest of each column is marked."""
    best = {
        title: leaders_of({str(n): float(r) for n, r in table[title].dropna().items()}) for title in table
    }
    return [
        {
            "searcher": name,
            "cells": [
                {
                    "title": title,
                    "text": mean_rank(rank) if math.isfinite(rank) else "–",
                    "sort": rank if math.isfinite(rank) else "",
                    "best": name in best[title],
                }
                for title, rank in own.items()
            ],
        }
        for name, own in table.iterrows()
    ]


def paired_rows(comparison: Comparison) -> list[dict[str, Any]]:
    """Return the comparisons within tasks as text, with what each column sorts by."""
    rows = []
    for values in comparison.within.to_dict("records"):
        record = {str(key): value for key, value in values.items()}
        rows.append(
            {
                **record,
                "difference_text": number(record["difference"], 3),
                "interval": interval(record["low"], record["high"], 3),
                "a_text": number(record["a"], 2),
                "p_text": probability(record["p_holm"]) if math.isfinite(record["p_holm"]) else "–",
                "detectable_text": "none"
                if math.isinf(record["detectable"])
                else number(record["detectable"], 2),
            }
        )
    return rows


def failure_rows(failures: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the statuses by method over all tasks, and on which tasks evaluations failed."""
    rows = []
    for searcher in style.ordered(failures["searcher"]):
        own = failures[failures["searcher"] == searcher]
        row: dict[str, Any] = {"searcher": searcher, **{s: int(own[s].sum()) for s in STATUSES}}
        where = [f"{task} ({n})" for task, n in zip(own["task"], own["failed"], strict=True) if n]
        rows.append({**row, "told": sum(row[s] for s in STATUSES), "where": ", ".join(where) or "–"})
    return rows


def completeness_rows(tables: SweepTables) -> list[dict[str, Any]]:
    """Return for every task how many of its planned studies finished, and the methods that lack some."""
    rows = []
    for task, own in completeness(tables).groupby("task", sort=True):
        planned = own[own["planned"] > 0]
        lacking = {
            str(row["searcher"]): f"{row['finished']} of {row['planned']}"
            for row in planned.to_dict("records")
            if row["finished"] < row["planned"]
        }
        named = [f"{name} {lacking[name]}" for name in style.ordered(lacking)]
        rows.append(
            {
                "task": task,
                "finished": int(planned["finished"].sum()),
                "planned": int(planned["planned"].sum()),
                "methods": len(planned),
                "complete": len(planned) - len(lacking),
                "lacking": ", ".join(named) or "–",
            }
        )
    return rows


def leaders_on(comparison: Comparison | None, task: str) -> tuple[str, ...]:
    """Return who has the lowest mean rank on a task; nobody where it is not ranked."""
    if comparison is None or task not in comparison.scores:
        return ()
    return comparison.final.leaders_on(task)


def result_rows(results: pd.DataFrame, leaders: Sequence[str], reported: Measure) -> list[dict[str, Any]]:
    """Return one task's final results as text; the reported value of those that lead on it is marked."""
    rows = []
    for row in results.to_dict("records"):
        done = f"{row['repetitions']} of {row['planned']}"
        if row["unsuccessful"]:
            done += f" ({row['unsuccessful']} without a success)"
        cells = {
            measure: {
                "mean": with_sd(row[measure], row[f"{measure}_sd"]),
                "sort": row[measure] if math.isfinite(row[measure]) else "",
                "interval": interval(row[f"{measure}_low"], row[f"{measure}_high"]),
                "best": measure == reported and row["searcher"] in leaders,
            }
            for measure in ("validation", "test")
        }
        costs = {
            cost: {"text": _amount(row[cost]), "sort": row[cost] if math.isfinite(row[cost]) else ""}
            for cost in (*COSTS, SPENT_COST)
        }
        rows.append(
            {
                "searcher": row["searcher"],
                "repetitions": done,
                "finished": row["repetitions"],
                **cells,
                **costs,
            }
        )
    return rows


def _amount(value: float) -> str:
    """Return a mean cost: without decimals from 100 on, at most 3 significant digits below and 4 above a billion."""
    if not math.isfinite(value):
        return "–"
    if abs(value) >= 1e9:
        return words.number(value, 4)
    return words.grouped(value) if abs(value) >= 100 else f"{value:.3g}"


def provenance_texts(provenance: Mapping[str, Any]) -> dict[str, Any]:
    """Return the provenance as texts; what was not recorded is said to be so."""

    def text(value: Any) -> str:
        return value if isinstance(value, str) else json.dumps(value, indent=2, sort_keys=True, default=str)

    def line(value: Any) -> str:
        if isinstance(value, Mapping):
            parts = {key: f"({line(v)})" if isinstance(v, Mapping) else line(v) for key, v in value.items()}
            return ", ".join(f"{key}: {part}" for key, part in parts.items())
        return " ".join(map(str, value)) if isinstance(value, list) else str(value)

    return {
        "revision": line(provenance.get("revision") or "not recorded"),
        "sweep": text(provenance.get("sweep") or "not recorded"),
        "versions": {str(k): line(v) for k, v in sorted((provenance.get("versions") or {}).items())},
        "machines": [line(machine) for machine in provenance.get("machines") or []],
        "data": {str(k): line(v) for k, v in sorted((provenance.get("data") or {}).items())},
        "runs": [
            {key: line(run[key]) for key in ("started", "ended", "host", "executor", "command") if key in run}
            for run in provenance.get("runs") or []
        ],
    }
