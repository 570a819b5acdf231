"""What a user chose to show of a sweep: tables with these methods and tasks alone, under their names, and the style.

Whatever is computed of these tables is computed of what is shown: ranks, tests and their corrections are among the
methods left, over the tasks left. That is said in every caption. What is recorded is not touched.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from analysis import style
from analysis.style import Look, Style
from analysis.words import joined, listed, named
from harness.errors import SweepError, nearest
from harness.figure_fields import DASHES, FiguresSpec, LookSpec, original, unknown
from harness.plurals import plural
from results import baseline_table
from results.tables import SweepTables


@dataclass(frozen=True, slots=True, eq=False)
class Chosen:
    """What is drawn.

    Attributes:
        tables: What is left of the sweep, under the names chosen.
        style: How it is drawn.
        names: Name of every task, by its label in the sweep.
        notices: What a reader of the report must know of the choice, in sentences; none where nothing is left out.
    """

    tables: SweepTables
    style: Style
    names: Mapping[str, str]
    notices: Sequence[str] = ()

    def task(self, label: str | None) -> str | None:
        """Return the name under which a task is shown, from its label in the sweep or that name."""
        return None if label is None else self.names.get(label, label)


def choose(tables: SweepTables, spec: FiguresSpec, origin: str = "figures") -> Chosen:
    """Return the tables and the style that a user chose.

    Args:
        tables: The sweep.
        spec: The choice, by the sweep's labels or by the names given in their place.
        origin: What says so, for messages.

    Raises:
        SweepError: It names what the sweep does not have, or a font that is not installed; the message lists all.
    """
    methods = style.ordered(str(name) for name in tables.studies["searcher"])
    tasks = [str(task) for task in tables.tasks.index]
    problems = [
        f"{origin}, {'.'.join(map(str, place))}: {text}" for place, text in unknown(spec, methods, tasks)
    ]
    if spec.font and spec.font not in (families := style.families()):
        problems.append(
            f"{origin}, font: no font {spec.font!r} is installed here; {nearest(spec.font, families)}"
        )
    if problems:
        raise SweepError("\n".join(problems))
    if not spec.baselines and not tables.baselines.empty:
        tables = dataclasses.replace(
            tables, baselines=baseline_table.frame(), baseline_trials=baseline_table.no_trials()
        )
    shown = _kept(spec, spec.only, methods)
    shown_tasks = _kept(spec, spec.tasks, tasks)
    new = {name: spec.labels.get(name, name) for name in methods}
    new_tasks = {name: spec.labels.get(name, name) for name in tasks}
    first = [original(spec, name, methods) for name in spec.order]
    order = [name for name in dict.fromkeys([*first, *methods]) if name in shown]
    looks = style.looks(methods)
    for name, own in spec.looks.items():
        looks[original(spec, name, methods)] = _changed(looks[original(spec, name, methods)], own)
    left = [name for name in methods if name not in shown]
    left_tasks = [name for name in tasks if name not in shown_tasks]
    chosen = Style(
        width=spec.inches,
        font=spec.font or "",
        size=spec.font_size,
        comma=spec.decimal == "comma",
        titles=spec.titles,
        formats=tuple(spec.formats),
        order=tuple(new[name] for name in order) if spec.order or spec.labels else (),
        looks={new[name]: looks[name] for name in shown}
        if shown != methods or spec.looks or spec.labels
        else {},
        note=_note(left, left_tasks),
        brief=spec.brief,
    )
    if not left and not left_tasks and not spec.labels:
        return Chosen(tables, chosen, new_tasks)
    provenance, lost = _provenance(tables.provenance, new, new_tasks, left, left_tasks)
    kept = _selected(tables, shown, shown_tasks, new, new_tasks, provenance)
    return Chosen(kept, chosen, new_tasks, [text for text in (_notice(left, left_tasks), lost) if text])


def _kept(spec: FiguresSpec, only: Sequence[str] | None, names: Sequence[str]) -> list[str]:
    """Return the labels that are shown, in their order in the sweep."""
    if only is None:
        return list(names)
    wanted = {original(spec, name, names) for name in only}
    return [name for name in names if name in wanted]


def _changed(look: Look, own: LookSpec) -> Look:
    return Look(
        own.color or look.color,
        look.dash if own.dash is None else DASHES[own.dash],
        own.marker or look.marker,
    )


def _note(methods: Sequence[str], tasks: Sequence[str]) -> str:
    """Return the sentence that ends every caption where something is left out by choice."""
    if not methods and not tasks:
        return ""
    what = listed(
        [*([named(methods)] if methods else []), *([named([f"task {t}" for t in tasks])] if tasks else [])]
    )
    return f"Left out by choice: {what}; ranks and tests are of what is shown."


def _notice(methods: Sequence[str], tasks: Sequence[str]) -> str:
    if not methods and not tasks:
        return ""
    parts = [
        *([f"{plural(len(methods), 'method')} ({listed(methods)})"] if methods else []),
        *([f"{plural(len(tasks), 'task')} ({listed(tasks)})"] if tasks else []),
    ]
    return joined(
        f"By choice this report leaves out {listed(parts)}, which the record has.",
        "Ranks, tests and their corrections are among what is shown, so that they differ from those of the whole "
        "sweep. A choice made after looking at results makes differences seem surer than they are.",
    )


def _selected(
    tables: SweepTables,
    methods: Sequence[str],
    tasks: Sequence[str],
    new: Mapping[str, str],
    new_tasks: Mapping[str, str],
    provenance: Mapping[str, Any],
) -> SweepTables:
    """Return tables with the rows of some methods and tasks, under other names."""

    def part(frame: pd.DataFrame) -> pd.DataFrame:
        own = frame[frame["searcher"].isin(methods) & frame["task"].isin(tasks)].reset_index(drop=True)
        types = own.dtypes[["searcher", "task"]].to_dict()
        return own.assign(searcher=own["searcher"].map(new), task=own["task"].map(new_tasks)).astype(types)

    studies, read_epochs = part(tables.studies), tables.read_epochs

    def epochs() -> pd.DataFrame:
        every = read_epochs()
        return every[every["study"].isin(studies["study"])].reset_index(drop=True)

    def baselines(frame: pd.DataFrame) -> pd.DataFrame:
        own = frame[frame["task"].isin(tasks)].reset_index(drop=True)
        return own.assign(task=own["task"].map(new_tasks)).astype(own.dtypes[["task"]].to_dict())

    about = tables.tasks.loc[list(tasks)]
    return dataclasses.replace(
        tables,
        trials=part(tables.trials),
        studies=studies,
        tasks=about.set_axis(pd.Index([new_tasks[task] for task in tasks], name=about.index.name)),
        provenance=provenance,
        read_epochs=epochs,
        reevaluations=part(tables.reevaluations),
        confirmed=part(tables.confirmed),
        baselines=baselines(tables.baselines),
        baseline_trials=baselines(tables.baseline_trials),
    )


def _provenance(
    provenance: Mapping[str, Any],
    new: Mapping[str, str],
    new_tasks: Mapping[str, str],
    methods: Sequence[str],
    tasks: Sequence[str],
) -> tuple[dict[str, Any], str]:
    """Return the provenance with the names chosen, and what is said where a planned comparison cannot be shown."""

    def renamed(compare: Any) -> Any:
        if not isinstance(compare, Mapping):
            return compare
        method = compare.get("method")
        return {
            **compare,
            "methods": [new.get(name, name) for name in compare["methods"]],
            "method": method if method is None else new.get(method, method),
        }

    stated, lost = provenance.get("compare"), ""
    if stated is not None and (tasks or not {*stated["methods"]}.isdisjoint(methods)):
        lost = (
            f"The comparison that the sweep planned ({listed(stated['methods'])}, on all its tasks) is not shown, "
            "because a part of it is left out."
        )
    return {
        **provenance,
        "left_out": [
            {**pair, "task": new_tasks[pair["task"]], "searcher": new[pair["searcher"]]}
            for pair in provenance.get("left_out") or []
            if pair["task"] not in tasks and pair["searcher"] not in methods
        ],
        "compare": None if lost else renamed(stated),
        "runs": [
            {**run, "compare": renamed(run["compare"])} if "compare" in run else run
            for run in provenance.get("runs") or []
        ],
        "data": {
            new_tasks.get(task, task): digest for task, digest in (provenance.get("data") or {}).items()
        },
    }, lost
