"""The report of a sweep: one self-contained page with its figures, tables, gaps and provenance."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from analysis import captions, figures, style
from analysis.bootstrap import LEVEL, RESAMPLES
from analysis.curves import final_results
from analysis.drawing import Plot, file_names, save
from analysis.facts import task_facts
from analysis.ranks import SIGNIFICANT_DIGITS, rankable
from analysis.steps import COSTS, incumbents, unusable_studies, usable_studies
from results.tables import SweepTables

STATUSES = ("ok", "diverged", "crashed", "timeout")


@dataclass(frozen=True, slots=True)
class Picture:
    """A saved figure as the page shows it: texts, the image as a data URI, and download links by format."""

    id: str
    title: str
    caption: str
    alt: str
    image: str
    size: str
    width: int
    height: int
    downloads: Mapping[str, str]


def build(tables: SweepTables, folder: Path, *, costs: Sequence[str] = COSTS) -> Path:
    """Write the report of a sweep: ``report.html``, ``figures/`` and ``tables/`` in a folder.

    The page needs nothing else to be read; its links lead to the figures as PDF, SVG, PNG and CSV. The
    same tables give the same bytes.

    Args:
        tables: The sweep, finished or not; unfinished studies are named and not used.
        folder: Where to write; made if absent. Files of an earlier report are overwritten.
        costs: Cost axes to draw besides that of the budget: any of `COSTS`.

    Returns:
        Path of ``report.html``.

    Raises:
        AnalysisError: Nothing was told yet, or two studies share a (task, searcher, repetition).
    """
    best = incumbents(tables)
    results = final_results(tables, best)
    failures = evaluation_statuses(tables)
    tasks = [str(task) for task in sorted(tables.tasks.index) if task in set(tables.studies["task"])]
    names = file_names(tasks)
    primary = primary_cost(tables, tasks)
    others = [cost for cost in costs if cost != primary]
    drawn = {task: distinct_costs(best[best["task"] == task], [primary, *others]) for task in tasks}

    def picture(plot: Plot | None, stem: str) -> Picture | None:
        if plot is None:
            return None
        paths = save(plot, folder / "figures", stem)
        image = base64.b64encode(paths["png"].read_bytes()).decode()
        downloads = {ending.upper(): f"figures/{path.name}" for ending, path in paths.items()}
        width, height = (round(float(inches) * style.PNG_DPI) for inches in plot.figure.get_size_inches())
        return Picture(
            id=stem,
            title=plot.title,
            caption=plot.caption,
            alt=plot.alt,
            image=f"data:image/png;base64,{image}",
            size="page" if plot.figure.get_figwidth() > style.COLUMN_WIDTH else "column",
            width=width,
            height=height,
            downloads=downloads,
        )

    def of_task(task: str, cost: str) -> list[Picture]:
        plots = {
            "convergence": figures.convergence(tables, best, task, cost),
            "rank": figures.task_rank(tables, best, task, cost),
        }
        pictures = [picture(plot, f"{kind}_{names[task]}_{cost}") for kind, plot in plots.items()]
        return [item for item in pictures if item is not None]

    compared = [primary, *(cost for cost in distinct_costs(best, [primary, *others]) if cost != primary)]
    ranks = {cost: figures.overall_rank(tables, best, cost) for cost in compared}

    def overall(costs: Sequence[str]) -> list[Picture]:
        pictures = [picture(ranks[cost], f"rank_all-tasks_{cost}") for cost in costs]
        return [item for item in pictures if item is not None]

    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tables").mkdir(exist_ok=True)
    for stem, frame in {"final_results": results, "statuses": failures}.items():
        frame.to_csv(folder / "tables" / f"{stem}.csv", index=False, lineterminator="\n")

    page = _template().render(
        name=tables.name,
        summary=summary(tables, results, failures, ranks[primary]),
        notices=notices(tables),
        overall=overall([primary]),
        overall_other=overall(compared[1:]),
        field=rankable(tables),
        tasks=[
            {
                "label": task,
                "id": f"task-{names[task]}",
                "facts": task_facts(tables, task),
                "rows": _result_rows(tables, results[results["task"] == task]),
                "main": of_task(task, primary),
                "other": [item for cost in drawn[task] if cost != primary for item in of_task(task, cost)],
                "same": [
                    captions.COST_LABELS[cost] for cost in [primary, *others] if cost not in drawn[task]
                ],
            }
            for task in tasks
        ],
        failures=failure_rows(failures),
        statuses=STATUSES,
        completeness=completeness(tables),
        missing=unusable_studies(tables).to_dict("records"),
        provenance=_provenance(tables.provenance),
        primary=captions.COST_LABELS[primary],
        interval=f"{LEVEL * 100:g} %",
        resamples=RESAMPLES,
        digits=SIGNIFICANT_DIGITS,
    )
    path = folder / "report.html"
    path.write_text(page, encoding="utf-8", newline="\n")
    return path


def primary_cost(tables: SweepTables, tasks: Sequence[str]) -> str:
    """Return the cost in which the tasks' budgets are counted; epochs where they differ."""
    units = set(tables.tasks.loc[list(tasks), "budget_unit"])
    return "evaluations" if units == {"evaluations"} else "spent_epochs"


def distinct_costs(best: pd.DataFrame, costs: Sequence[str]) -> list[str]:
    """Return the costs worth drawing for these rows: without those that repeat an earlier one or are 0 throughout."""
    kept: list[str] = []
    for cost in costs:
        if not any(best[cost].eq(best[other]).all() for other in kept) and bool((best[cost] > 0).any()):
            kept.append(cost)
    return kept


def summary(
    tables: SweepTables, results: pd.DataFrame, failures: pd.DataFrame, ranks: Plot | None
) -> list[str]:
    """Return the report in a few sentences, one paragraph each."""
    plan, used = tables.studies, usable_studies(tables)
    searchers = style.ordered(str(name) for name in plan["searcher"])
    tasks = sorted({str(task) for task in plan["task"]})
    told, failed = int(failures[list(STATUSES)].to_numpy().sum()), int(failures["failed"].sum())
    paragraphs = [
        f"{captions.plural(len(searchers), 'method')} ({captions.listed(searchers)}) on "
        f"{captions.plural(len(tasks), 'task')}: {len(used)} of {len(plan)} planned studies finished, "
        f"{captions.plural(told, 'evaluation')} told, {failed} of them failed."
    ]
    if used.empty:
        return [*paragraphs, "No study is finished yet, so that there are no results to show."]
    winners = []
    for task in tasks:
        rows = results[(results["task"] == task) & results["validation"].notna()]
        if len(rows) > 1:
            row, metric = rows.to_dict("records")[0], task_facts(tables, task).metrics["validation"]
            winners.append(f"{row['searcher']} on {task} ({metric} {_number(row['validation'])})")
    if winners:
        paragraphs.append(f"Best mean final validation value: {'; '.join(winners)}.")
    if ranks is not None:
        final = ranks.data[ranks.data["measure"] == "validation"].groupby("searcher")["mean"].last()
        order = sorted(final.index, key=lambda name: (final[name], str(name)))
        count = captions.plural(int(ranks.data["tasks"].iloc[0]), "task")
        words = ", ".join(f"{name} {final[name]:.2f}" for name in order)
        paragraphs.append(f"Mean rank by validation value at the end, over {count}: {words}.")
    paragraphs.append(
        "These are observed means without a test of significance: a small difference does not say that one "
        "method is better than another."
    )
    return paragraphs


def notices(tables: SweepTables) -> list[str]:
    """Return what a reader must know before believing a number."""
    items = []
    subsets = [str(task) for task in sorted(tables.tasks.index[tables.tasks["subset"].astype(bool)])]
    if subsets:
        items.append(f"{captions.SUBSET[:-1]}: {', '.join(subsets)}.")
    absent = len(unusable_studies(tables))
    if absent:
        items.append(
            f"Incomplete: {absent} of {len(tables.studies)} planned studies are not finished and not used; "
            "they are listed under Completeness and named in the captions."
        )
    machines = tables.provenance.get("machines") or []
    if len(machines) > 1:
        items.append(
            f"Measured numbers of this one sweep come from {len(machines)} different machines: compare seconds with "
            "care, and expect trainings to repeat exactly on the same kind of machine only."
        )
    return items


def evaluation_statuses(tables: SweepTables) -> pd.DataFrame:
    """Return how many evaluations ended how, for every planned task and method, unfinished studies included.

    Returns:
        Columns ``task``, ``searcher``, one per status, and ``failed``, their sum but for ``ok``.
    """
    plan = tables.studies[["task", "searcher"]].drop_duplicates().sort_values(["task", "searcher"])
    trials = tables.trials
    counts = pd.crosstab([trials["task"], trials["searcher"]], trials["status"])
    counts = counts.reindex(pd.MultiIndex.from_frame(plan), fill_value=0)
    counts = counts.reindex(columns=list(STATUSES), fill_value=0).astype(int)
    counts["failed"] = counts[list(STATUSES[1:])].sum(axis=1)
    return counts.reset_index()


def failure_rows(failures: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the statuses by method over all tasks, and on which tasks evaluations failed."""
    rows = []
    for searcher in style.ordered(failures["searcher"]):
        own = failures[failures["searcher"] == searcher]
        row: dict[str, Any] = {"searcher": searcher, **{s: int(own[s].sum()) for s in STATUSES}}
        where = [f"{task} ({n})" for task, n in zip(own["task"], own["failed"], strict=True) if n]
        rows.append({**row, "told": sum(row[s] for s in STATUSES), "where": ", ".join(where) or "–"})
    return rows


def completeness(tables: SweepTables) -> dict[str, Any]:
    """Return finished and planned repetitions of every (task, method) as a table for the page."""
    used = set(usable_studies(tables)["study"])
    searchers = style.ordered(tables.studies["searcher"])
    rows = []
    for task, plan in tables.studies.groupby("task", sort=True):
        cells = []
        for searcher in searchers:
            own = plan[plan["searcher"] == searcher]
            done = int(own["study"].isin(used).sum())
            text = f"{done} of {len(own)}" if len(own) else "not planned"
            cells.append({"text": text, "complete": done == len(own)})
        rows.append({"task": task, "cells": cells})
    return {"searchers": searchers, "rows": rows}


def _result_rows(tables: SweepTables, results: pd.DataFrame) -> list[dict[str, Any]]:
    """Return one task's final results as text; the best mean of each measure is marked."""
    if results.empty:
        return []
    sign = task_facts(tables, str(results["task"].iloc[0])).sign
    lowest = {measure: (sign * results[measure]).min() for measure in ("validation", "test")}
    rows = []
    for row in results.to_dict("records"):
        done = f"{row['repetitions']} of {row['planned']}"
        if row["unsuccessful"]:
            done += f" ({row['unsuccessful']} without a success)"
        cells = {
            measure: {
                "mean": _number(row[measure]),
                "interval": _interval(row[f"{measure}_low"], row[f"{measure}_high"]),
                "best": sign * row[measure] == lowest[measure],
            }
            for measure in ("validation", "test")
        }
        costs = {cost: _amount(row[cost]) for cost in COSTS}
        rows.append({"searcher": row["searcher"], "repetitions": done, **cells, **costs})
    return rows


def _number(value: float) -> str:
    """Return a value with 5 significant digits, a dash where there is none."""
    return f"{value:.5g}".replace("-", "−") if math.isfinite(value) else "–"


def _interval(low: float, high: float) -> str:
    """Return an interval's ends, or nothing where there is none."""
    return f"[{_number(low)}, {_number(high)}]" if math.isfinite(low) and math.isfinite(high) else ""


def _amount(value: float) -> str:
    """Return a mean cost: without decimals from 100 on, at most 3 significant digits below."""
    if not math.isfinite(value):
        return "–"
    return f"{value:,.0f}".replace(",", " ") if abs(value) >= 100 else f"{value:.3g}"


def _provenance(provenance: Mapping[str, Any]) -> dict[str, Any]:
    """Return the provenance as texts; what was not recorded is said to be so."""

    def text(value: Any) -> str:
        return value if isinstance(value, str) else json.dumps(value, indent=2, sort_keys=True, default=str)

    def line(value: Any) -> str:
        if isinstance(value, Mapping):
            parts = {key: f"({line(v)})" if isinstance(v, Mapping) else line(v) for key, v in value.items()}
            return ", ".join(f"{key}: {part}" for key, part in parts.items())
        return str(value)

    return {
        "revision": line(provenance.get("revision") or "not recorded"),
        "sweep": text(provenance.get("sweep") or "not recorded"),
        "versions": {str(k): line(v) for k, v in sorted((provenance.get("versions") or {}).items())},
        "machines": [line(machine) for machine in provenance.get("machines") or []],
        "data": {str(k): line(v) for k, v in sorted((provenance.get("data") or {}).items())},
    }


def _template() -> Any:
    """Return the page's template; every value put into it is escaped."""
    loader = FileSystemLoader(Path(__file__).parent)
    environment = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.get_template("report.html")
