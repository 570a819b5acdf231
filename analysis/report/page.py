"""The report of a sweep: one self-contained page with its figures, tables, gaps and provenance, and its trials."""

from __future__ import annotations

import dataclasses
import multiprocessing
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment
from threadpoolctl import threadpool_limits

from analysis import style, words
from analysis.figures import catalogue, exploration
from analysis.figures.canvas import file_names
from analysis.figures.chosen import Chosen, choose
from analysis.report import latex, templates
from analysis.report.baselines import baseline_rows, worth_rows
from analysis.report.confirmed import confirmed_rows
from analysis.report.notices import notices
from analysis.report.partial import partial_rows, partial_table
from analysis.report.pictures import Picture, picture
from analysis.report.rows import (
    completeness_rows,
    failure_rows,
    leaders_on,
    paired_rows,
    provenance_texts,
    ranking_rows,
    result_rows,
    sensitivity_rows,
    sensitivity_table,
)
from analysis.report.summary import summary
from analysis.report.trials import LIMIT, page_data, shown_trials
from analysis.sample_sizes import few_tasks
from analysis.spreadsheets import write_csv
from analysis.statistics.baselines import baseline_lines, baseline_values, worth
from analysis.statistics.bootstrap import FEWEST_UNITS, LEVEL, RESAMPLES
from analysis.statistics.comparison import Comparison, comparable, compare
from analysis.statistics.completeness import STATUSES, failures
from analysis.statistics.curves import final_results
from analysis.statistics.inputs import Inputs, prepare
from analysis.statistics.ranks import SIGNIFICANT_DIGITS
from analysis.statistics.steps import unusable_studies, usable_studies
from analysis.style import Style
from analysis.wording import wording
from analysis.words import listed
from harness import document
from harness.errors import MissingLibraryError, RecordError, SweepError
from harness.figure_fields import DEFAULTS, FiguresSpec, load_style
from results.imports import origin
from results.tables import SweepTables

STYLE = "figures.yaml"
"""What was chosen of the figures, as a style file: of a report that was drawn with anything but the defaults."""

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


def build(
    tables: SweepTables,
    folder: Path,
    *,
    processes: int = 1,
    complete: bool = False,
    figures: FiguresSpec | None = None,
) -> Path:
    """Write the report of a sweep: ``report.html``, ``figures/``, ``tables/`` and ``trials/`` in a folder.

    The page needs nothing else to be read; its links lead to the figures as PDF, SVG, PNG and CSV, to
    the tables as CSV, and to a page of trials for each task. The same tables give the same bytes.

    Args:
        tables: The sweep, finished or not; unfinished studies are named and not used.
        folder: Where to write; made if absent. Files of an earlier report are overwritten.
        processes: How many processes draw; with more than one, a script that calls this needs the usual
            ``if __name__ == "__main__":``.
        complete: Refuse to leave out a figure because its library is not installed; else the page says what it lacks.
        figures: What is shown and how it is drawn; kept beside the page as `STYLE` where it is given.

    Returns:
        Path of ``report.html``.

    Raises:
        AnalysisError: Nothing was told yet, or two studies share a (task, searcher, repetition).
        MissingLibraryError: It would not be ``complete``.
        SweepError: ``figures`` names what the sweep does not have.
    """
    spec = figures or DEFAULTS
    chosen = choose(tables, spec)
    # So many small matrices that the threads of a product would mostly wait for each other.
    with threadpool_limits(limits=1), style.using(chosen.style):
        page = _build(chosen, folder, processes, complete)
    if spec.as_json():
        (folder / STYLE).write_text(document.write(spec.as_json()), encoding="utf-8", newline="\n")
    return page


def style_of(folder: Path) -> FiguresSpec | None:
    """Return how the report in a published folder was drawn; ``None``: with the defaults.

    Raises:
        RecordError: What the folder says of it is unusable.
    """
    try:
        return load_style(folder / STYLE) if (folder / STYLE).is_file() else None
    except SweepError as error:
        raise RecordError(f"{error}; restore the published folder from a copy") from error


def _build(chosen: Chosen, folder: Path, processes: int, complete: bool) -> Path:
    tables = chosen.tables
    inputs = prepare(tables)
    comparison = compare(inputs) if comparable(inputs) else None
    results = final_results(tables, inputs.best)
    statuses = failures(tables)
    frames = {"final_results": results, "statuses": statuses}
    rules = sensitivity_table(inputs, comparison) if comparison is not None else None
    if comparison is not None and rules is not None:
        frames["paired"] = comparison.within
        frames["rules"] = rules.reset_index()
    partial = partial_table(comparison) if comparison is not None else pd.DataFrame()
    if not partial.empty:
        frames["partial"] = partial
    lines = baseline_lines(baseline_values(tables))
    budgets = worth(inputs)
    if not lines.empty:
        frames["baselines"] = lines
    if not budgets.empty:
        frames["worth"] = budgets
    printed = latex.all_tables(inputs, comparison) if usable_studies(tables).size else []
    brief = style.current().brief
    for part in ("figures", "tables") if brief else ("figures", "tables", "trials"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    for stem, frame in frames.items():
        write_csv(frame, folder / "tables" / f"{stem}.csv")
    for table in printed:
        latex.save_table(table, folder / "tables")

    names = file_names(inputs.facts)
    # A brief report shows progress over what budgets count, and search time for itself.
    shown = dataclasses.replace(inputs, axes=()) if brief else inputs
    drawn = list(_drawn(shown, comparison, folder, processes))
    placed = [item for item in drawn if isinstance(item, Placed)]
    lacking: dict[str, list[str]] = {}
    for item in drawn:
        if isinstance(item, Lacking):
            lacking.setdefault(item.reason, []).append(item.task)
    if complete and lacking:
        raise MissingLibraryError(next(iter(lacking)))
    lead = _lead(placed, inputs)
    rest = [item for item in placed if item is not lead]
    environment = templates.environment()
    for task in () if brief else inputs.facts:
        _write_trials(environment, inputs, task, names[task], folder)
    page = environment.get_template("report.html").render(
        name=tables.name,
        summary=summary(inputs, comparison, budgets),
        notices=[
            *chosen.notices,
            *notices(inputs),
            *(
                f"Left out on {listed(tasks)}: {reason} and draw the report again."
                for reason, tasks in lacking.items()
            ),
        ],
        lead=lead.picture if lead is not None else None,
        sections=_sections(rest, few=comparison is not None and comparison.few),
        few=few_tasks(comparison) if comparison is not None else "",
        ranking=ranking_rows(comparison) if comparison is not None else [],
        partial=partial_rows(partial),
        confirmed=confirmed_rows(tables),
        sensitivity=sensitivity_rows(rules) if rules is not None else [],
        left_out=inputs.field.left_out,
        worth=worth_rows(budgets),
        paired=paired_rows(comparison) if comparison is not None else [],
        control=comparison.control if comparison is not None else "",
        tasks=[
            {
                "label": task,
                "id": f"task-{names[task]}",
                "file": names[task],
                "facts": facts,
                "mark": words.mark(facts),
                "rows": result_rows(
                    results[results["task"] == task], leaders_on(comparison, task), facts.reported
                ),
                "main": [p.picture for p in rest if (p.section, p.task) == ("task", task) and p.primary],
                "other": [p.picture for p in rest if (p.section, p.task) == ("task", task) and not p.primary],
                "tried": [p.picture for p in rest if (p.section, p.task) == ("tried", task)],
                "leads": lead is not None and lead.task == task,
                "baselines": baseline_rows(lines, task),
            }
            for task, facts in inputs.facts.items()
        ],
        failures=failure_rows(statuses),
        statuses=STATUSES,
        completeness=completeness_rows(tables),
        missing=unusable_studies(tables).to_dict("records"),
        provenance=provenance_texts(tables.provenance),
        tables=sorted(frames),
        printed=printed,
        fewest=FEWEST_UNITS,
        said=wording(paired=tables.paired),
        paired_runs=tables.paired,
        imported=tables.imported,
        interval=f"{LEVEL * 100:g} %",
        resamples=RESAMPLES,
        digits=SIGNIFICANT_DIGITS,
        brief=brief,
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
            task: pool.submit(
                _draw_task, style.current(), _slim(each.of_task(task)), comparison, folder, task
            )
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
    kept = {key: value for key, value in inputs.tables.provenance.items() if key == origin.KEY}
    tables = dataclasses.replace(inputs.tables, provenance=kept, read_epochs=pd.DataFrame)
    return dataclasses.replace(inputs, tables=tables)


def _draw_task(
    chosen: Style, inputs: Inputs, comparison: Comparison | None, folder: Path, task: str
) -> list[Placed | Lacking]:
    with threadpool_limits(limits=1), style.using(chosen):
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
    if task is not None and not style.current().brief:
        name = file_names(inputs.facts)[task]
        for kind, plot in exploration.plots(inputs.tables, task):
            if isinstance(plot, MissingLibraryError):
                yield Lacking(task, str(plot))
            else:
                yield Placed("tried", task, False, picture(plot, folder, f"{kind}_{name}"))


def _lead(placed: Sequence[Placed], inputs: Inputs) -> Placed | None:
    """Return the figure that the page opens with: who leads over the budget; on one task, its convergence.

    With many methods it is who leads in the end: lines over the budget cannot show it of all.
    """
    over = ("ranking", "rank_all-tasks_", "convergence_")
    kinds = ("convergence_",) if len(inputs.facts) == 1 else over
    for kind in kinds:
        for item in placed:
            if item.primary and item.picture.id.startswith(kind):
                return item
    return None


def _sections(placed: Sequence[Placed], *, few: bool) -> list[dict[str, Any]]:
    """Return the sections of figures over tasks, in the order of the report, without empty ones.

    Comparisons within tasks come first where tasks are too few for a test over them, and else last.
    """
    sections: list[dict[str, Any]] = []
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
    return sections if few else sorted(sections, key=lambda section: section["key"] == "paired")


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
        mark=words.mark(inputs.facts[task]),
        searchers=style.ordered(str(s) for s in own["searcher"]),
        statuses=[status for status in STATUSES if status in set(own["status"])],
    )
    (folder / "trials" / f"{name}.html").write_text(page, encoding="utf-8", newline="\n")
