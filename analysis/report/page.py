"""The report of a sweep: one self-contained page with its figures, tables, gaps and provenance, and its trials."""

from __future__ import annotations

import dataclasses
import json
import math
import multiprocessing
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from threadpoolctl import threadpool_limits

from analysis import style, words
from analysis.figures import catalogue, exploration
from analysis.figures.canvas import file_names
from analysis.report import latex
from analysis.report.pictures import Picture, picture
from analysis.report.summary import notices, summary
from analysis.report.trials import LIMIT, page_data, shown_trials
from analysis.spreadsheets import write_csv
from analysis.statistics.bootstrap import FEWEST_UNITS, LEVEL, RESAMPLES
from analysis.statistics.comparison import Comparison, comparable, compare, ranking
from analysis.statistics.completeness import STATUSES, completeness, failures
from analysis.statistics.curves import final_results
from analysis.statistics.inputs import Inputs, prepare
from analysis.statistics.ranks import SIGNIFICANT_DIGITS
from analysis.statistics.steps import COSTS, unusable_studies, usable_studies
from analysis.words import few_tasks, interval, listed, number, probability
from harness.errors import MissingLibraryError
from results.tables import SweepTables

MANY_TASKS = 8
"""With more tasks, the figures of each are over the budget's cost and total seconds only."""


@dataclass(frozen=True, slots=True)
class Placed:
    """A picture in its place: a section of the catalogue, the task it belongs to, and whether it is read first."""

    section: str
    task: str | None
    primary: bool
    picture: Picture


@dataclass(frozen=True, slots=True)
class Lacking:
    """A figure of a task that needs a library which is not installed, and what to install."""

    task: str
    reason: str


def build(tables: SweepTables, folder: Path, *, processes: int = 1, complete: bool = False) -> Path:
    """Write the report of a sweep: ``report.html``, ``figures/``, ``tables/`` and ``trials/`` in a folder.

    The page needs nothing else to be read; its links lead to the figures as PDF, SVG, PNG and CSV, to
    the tables as CSV, and to a page of trials for each task. The same tables give the same bytes.

    Args:
        tables: The sweep, finished or not; unfinished studies are named and not used.
        folder: Where to write; made if absent. Files of an earlier report are overwritten.
        processes: How many processes draw; with more than one, a script that calls this needs the usual
            ``if __name__ == "__main__":``.
        complete: Refuse to leave out a figure because its library is not installed; else the page says what it lacks.

    Returns:
        Path of ``report.html``.

    Raises:
        AnalysisError: Nothing was told yet, or two studies share a (task, searcher, repetition).
        MissingLibraryError: It would not be ``complete``.
    """
    # So many small matrices that the threads of a product would mostly wait for each other.
    with threadpool_limits(limits=1):
        return _build(tables, folder, processes, complete)


def _build(tables: SweepTables, folder: Path, processes: int, complete: bool) -> Path:
    inputs = prepare(tables)
    comparison = compare(inputs) if comparable(inputs) else None
    results = final_results(tables, inputs.best)
    statuses = failures(tables)
    frames = {"final_results": results, "statuses": statuses}
    if comparison is not None:
        frames["paired"] = comparison.within
    printed = latex.all_tables(inputs, comparison) if usable_studies(tables).size else []
    for part in ("figures", "tables", "trials"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    for stem, frame in frames.items():
        write_csv(frame, folder / "tables" / f"{stem}.csv")
    for table in printed:
        latex.save_table(table, folder / "tables")

    names = file_names(inputs.facts)
    drawn = list(_drawn(inputs, comparison, folder, processes))
    placed = [item for item in drawn if isinstance(item, Placed)]
    lacking: dict[str, list[str]] = {}
    for item in drawn:
        if isinstance(item, Lacking):
            lacking.setdefault(item.reason, []).append(item.task)
    if complete and lacking:
        raise MissingLibraryError(next(iter(lacking)))
    lead = _lead(placed, inputs)
    rest = [item for item in placed if item is not lead]
    environment = _environment()
    for task in inputs.facts:
        _write_trials(environment, inputs, task, names[task], folder)
    page = environment.get_template("report.html").render(
        name=tables.name,
        summary=summary(inputs, comparison),
        notices=[
            *notices(inputs),
            *(
                f"Left out on {listed(tasks)}: {reason} and draw the report again."
                for reason, tasks in lacking.items()
            ),
        ],
        lead=lead.picture if lead is not None else None,
        sections=_sections(rest),
        few=few_tasks(comparison) if comparison is not None else "",
        ranking=_ranking_rows(comparison) if comparison is not None else [],
        left_out=inputs.field.left_out,
        paired=_paired_rows(comparison) if comparison is not None else [],
        control=comparison.control if comparison is not None else "",
        tasks=[
            {
                "label": task,
                "id": f"task-{names[task]}",
                "file": names[task],
                "facts": facts,
                "rows": _result_rows(facts.sign, results[results["task"] == task]),
                "main": [p.picture for p in rest if (p.section, p.task) == ("task", task) and p.primary],
                "other": [p.picture for p in rest if (p.section, p.task) == ("task", task) and not p.primary],
                "tried": [p.picture for p in rest if (p.section, p.task) == ("tried", task)],
                "leads": lead is not None and lead.task == task,
            }
            for task, facts in inputs.facts.items()
        ],
        failures=failure_rows(statuses),
        statuses=STATUSES,
        completeness=completeness_rows(tables),
        missing=unusable_studies(tables).to_dict("records"),
        provenance=_provenance(tables.provenance),
        tables=sorted(frames),
        printed=printed,
        subset_mark=words.SUBSET_MARK,
        fewest=FEWEST_UNITS,
        interval=f"{LEVEL * 100:g} %",
        resamples=RESAMPLES,
        digits=SIGNIFICANT_DIGITS,
    )
    path = folder / "report.html"
    path.write_text(page, encoding="utf-8", newline="\n")
    return path


def _drawn(
    inputs: Inputs, comparison: Comparison | None, folder: Path, processes: int
) -> Iterator[Placed | Lacking]:
    """Draw and save every figure: those over tasks first, then those of each task."""
    tasks = list(inputs.facts)
    if len(tasks) > MANY_TASKS:
        kept = tuple(cost for cost in inputs.axes if cost == "total_seconds")
        each = dataclasses.replace(inputs, axes=kept)
    else:
        each = inputs
    if processes < 2 or len(tasks) < 2:
        yield from draw(inputs, comparison, folder)
        for task in tasks:
            yield from draw(each.of_task(task), comparison, folder, task)
        return
    if comparison is not None:
        _ = comparison.within  # computed once, and sent along
    # A fresh interpreter each: forking one that has threads is not safe.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes - 1, mp_context=context) as pool:
        jobs = {
            task: pool.submit(_draw_task, _slim(each.of_task(task)), comparison, folder, task)
            for task in tasks
        }
        yield from draw(inputs, comparison, folder)
        done = {}
        # Meanwhile this process draws what no other has begun, from the end.
        for task in reversed(tasks):
            if jobs[task].cancel():
                done[task] = list(draw(each.of_task(task), comparison, folder, task))
        for task in tasks:
            yield from done[task] if task in done else jobs[task].result()


def _slim(inputs: Inputs) -> Inputs:
    """Return inputs without what no figure needs and what cannot be sent to another process."""
    tables = dataclasses.replace(inputs.tables, provenance={}, read_epochs=pd.DataFrame)
    return dataclasses.replace(inputs, tables=tables)


def _draw_task(
    inputs: Inputs, comparison: Comparison | None, folder: Path, task: str
) -> list[Placed | Lacking]:
    with threadpool_limits(limits=1):
        return list(draw(inputs, comparison, folder, task))


def draw(
    inputs: Inputs, comparison: Comparison | None, folder: Path, task: str | None = None
) -> Iterator[Placed | Lacking]:
    """Draw and save the figures of one task, or those over tasks.

    Args:
        inputs: Of the whole sweep; with a task, those of that task are enough.
        comparison: Of the whole sweep, where there is anything to compare.
        folder: The report's folder.
        task: Label of the task; the figures over tasks when ``None``.
    """
    if inputs.best.empty:  # no study is finished
        return
    tasks = [] if task is None else [task]
    for item in catalogue.all_plots(inputs, tasks=tasks, over_tasks=task is None, comparison=comparison):
        yield Placed(item.section, item.task, item.primary, picture(item.plot, folder, item.stem))
    if task is not None:
        name = file_names(inputs.facts)[task]
        for kind, plot in exploration.plots(inputs.tables, task):
            if isinstance(plot, MissingLibraryError):
                yield Lacking(task, str(plot))
            else:
                yield Placed("tried", task, False, picture(plot, folder, f"{kind}_{name}"))


def _lead(placed: Sequence[Placed], inputs: Inputs) -> Placed | None:
    """Return the figure that the page opens with: who leads over the budget; on one task, its convergence."""
    kinds = ("convergence_",) if len(inputs.facts) == 1 else ("rank_all-tasks_", "convergence_")
    for kind in kinds:
        for item in placed:
            if item.primary and item.picture.id.startswith(kind):
                return item
    return None


def _sections(placed: Sequence[Placed]) -> list[dict[str, Any]]:
    """Return the sections of figures over tasks, in the order of the report, without empty ones."""
    sections = []
    for key, heading in catalogue.SECTIONS.items():
        own = [item for item in placed if item.section == key and key != "task"]
        if own or key == "paired":
            sections.append(
                {
                    "id": f"section-{key}",
                    "key": key,
                    "heading": heading,
                    "main": [item.picture for item in own if item.primary],
                    "other": [item.picture for item in own if not item.primary],
                }
            )
    return sections


def _write_trials(environment: Environment, inputs: Inputs, task: str, name: str, folder: Path) -> None:
    """Write the page of a task's trials and its CSV."""
    trials = inputs.tables.trials
    own = trials[trials["task"] == task]
    shown = shown_trials(own, inputs.facts[task].direction == "min")
    write_csv(shown, folder / "tables" / f"trials_{name}.csv")
    page = environment.get_template("trials.html").render(
        sweep=inputs.tables.name,
        task=task,
        file=name,
        facts=inputs.facts[task],
        data=page_data(shown),
        total=len(own),
        shown=len(shown),
        limit=LIMIT,
        subset_words=words.SUBSET,
        searchers=style.ordered(str(s) for s in own["searcher"]),
        statuses=[status for status in STATUSES if status in set(own["status"])],
    )
    (folder / "trials" / f"{name}.html").write_text(page, encoding="utf-8", newline="\n")


def _ranking_rows(comparison: Comparison) -> list[dict[str, Any]]:
    """Return the final ranking as text with what its columns sort by; without scores where there are none."""
    rows = []
    for values in ranking(comparison).to_dict("records"):
        row = {str(key): value for key, value in values.items()}
        cells: list[tuple[str, float, str, str]] = [
            (
                "Mean rank",
                row["rank"],
                number(row["rank"], 3),
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
            ("P(better than best)", row["improvement"], number(row["improvement"], 2), ""),
            ("Effect against best", row["effect"], number(row["effect"], 2), ""),
        ]
        p = row["p_holm"]
        cells.append(("p (Holm)", p, probability(p) if math.isfinite(p) else "–", ""))
        rows.append({"searcher": row["searcher"], "cells": cells})
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


def _paired_rows(comparison: Comparison) -> list[dict[str, Any]]:
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
    table = completeness(tables)
    for task, own in table[table["planned"] > 0].groupby("task", sort=True):
        lacking = {
            str(row["searcher"]): f"{row['finished']} of {row['planned']}"
            for row in own.to_dict("records")
            if row["finished"] < row["planned"]
        }
        named = [f"{name} {lacking[name]}" for name in style.ordered(lacking)]
        rows.append(
            {
                "task": task,
                "finished": int(own["finished"].sum()),
                "planned": int(own["planned"].sum()),
                "methods": len(own),
                "complete": len(own) - len(lacking),
                "lacking": ", ".join(named) or "–",
            }
        )
    return rows


def _result_rows(sign: float, results: pd.DataFrame) -> list[dict[str, Any]]:
    """Return one task's final results as text; the best mean of each measure is marked."""
    lowest = {measure: (sign * results[measure]).min() for measure in ("validation", "test")}
    rows = []
    for row in results.to_dict("records"):
        done = f"{row['repetitions']} of {row['planned']}"
        if row["unsuccessful"]:
            done += f" ({row['unsuccessful']} without a success)"
        cells = {
            measure: {
                "mean": number(row[measure]),
                "sort": row[measure] if math.isfinite(row[measure]) else "",
                "interval": interval(row[f"{measure}_low"], row[f"{measure}_high"]),
                "best": sign * row[measure] == lowest[measure],
            }
            for measure in ("validation", "test")
        }
        costs = {
            cost: {"text": _amount(row[cost]), "sort": row[cost] if math.isfinite(row[cost]) else ""}
            for cost in COSTS
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
    """Return a mean cost: without decimals from 100 on, at most 3 significant digits below."""
    if not math.isfinite(value):
        return "–"
    return words.grouped(value) if abs(value) >= 100 else f"{value:.3g}"


def _provenance(provenance: Mapping[str, Any]) -> dict[str, Any]:
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


def _environment() -> Environment:
    """Return the templates' environment; every value put into them is escaped."""
    return Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
