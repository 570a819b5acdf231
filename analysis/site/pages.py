"""Writes a site: its pages, the tables that they show, the published races themselves, and digests of all."""

from __future__ import annotations

import hashlib
import shlex
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment
from threadpoolctl import threadpool_limits

from analysis import style, words
from analysis.figures import progress
from analysis.figures.canvas import file_names
from analysis.report import templates
from analysis.report.confirmed import confirmed_rows
from analysis.report.notices import notices
from analysis.report.pictures import Picture, picture
from analysis.report.rows import completeness_rows
from analysis.site import elsewhere, entries, rankings
from analysis.site.about import KINDS, About
from analysis.site.arenas import Arena, Race
from analysis.site.chooser import chooser
from analysis.site.planned import Planned, planned
from analysis.site.questions import Question, Selection, questions, selections
from analysis.site.sentences import answer_words, budget_words
from analysis.spreadsheets import write_csv
from analysis.statistics.bootstrap import FEWEST_UNITS, LEVEL, RESAMPLES
from analysis.statistics.landscape import landscape
from analysis.statistics.significance import ALPHA
from analysis.statistics.steps import unusable_studies
from analysis.wording import wording
from results.publications import MANIFEST

DIGESTS = "SHA256SUMS"
"""Lists the SHA-256 of every other file of a site, as ``sha256sum --check`` reads it."""

PUBLISHED = "published"
"""Folder of a site with the published races, as they were published."""


def named_in(found: Sequence[Arena]) -> tuple[list[str], dict[str, dict[str, Any]]]:
    """Return the registered names of the methods of arenas, and by label what names their tasks."""
    methods: list[str] = []
    tasks: dict[str, dict[str, Any]] = {}
    for arena in found:
        methods += [arena.registered(name) for name in arena.methods]
        for task in map(str, arena.tables.tasks.index):
            tasks.setdefault(task, arena.of_task(task))
    return methods, tasks


@dataclass(frozen=True, slots=True)
class _Site:
    """What pages are made from.

    Attributes:
        title: Of the site.
        races: All races.
        arenas: Those that are compared together.
        about: What is known of methods and tasks.
        methods: File names of methods, by label.
        tasks: File names of tasks, by label.
        environment: The templates.
        folder: Where to write.
    """

    title: str
    races: Sequence[Race]
    arenas: Sequence[Arena]
    about: About
    methods: Mapping[str, str]
    tasks: Mapping[str, str]
    environment: Environment
    folder: Path

    def write(self, template: str, path: str, **values: Any) -> None:
        """Write a page."""
        depth = path.count("/")
        page = self.environment.get_template(template).render(
            site=self.title,
            up="../" * depth,
            published=PUBLISHED,
            digests=DIGESTS,
            methods_at=self.methods,
            tasks_at=self.tasks,
            interval=f"{LEVEL * 100:g} %",
            level=ALPHA,
            fewest=FEWEST_UNITS,
            resamples=RESAMPLES,
            **values,
        )
        target = self.folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(page, encoding="utf-8", newline="\n")


def build(found: Sequence[Arena], about: About, folder: Path, *, title: str) -> Path:
    """Write the site of published races into a folder.

    Pages, tables and figures depend on the races and on what is known of methods and tasks alone: the same give the
    same bytes.

    Args:
        found: The races, as `analysis.site.arenas.arenas` puts them together; one or more.
        about: What is known of their methods and tasks.
        folder: An empty folder.
        title: Of the site.

    Returns:
        Path of ``index.html``.

    Raises:
        AnalysisError: A race has nothing to show.
    """
    races = [race for arena in found for race in arena.races]
    site = _Site(
        title=title,
        races=races,
        arenas=found,
        about=about,
        methods=file_names(name for arena in found for name in arena.methods),
        tasks=file_names(str(task) for arena in found for task in arena.tables.tasks.index),
        environment=templates.environment(Path(__file__).parent),
        folder=folder,
    )
    for race in races:
        shutil.copytree(race.folder, folder / PUBLISHED / race.name)
    # So many small matrices that the threads of a product would mostly wait for each other.
    with threadpool_limits(limits=1), style.using(style.Style()):
        _write(site)
    _write_digests(folder)
    return folder / "index.html"


def _write(site: _Site) -> None:
    asked: list[Question] = []
    shown: list[dict[str, Any]] = []
    ranked: dict[str, list[rankings.Ranked]] = {}
    beside: dict[str, list[pd.DataFrame]] = {}
    frames: dict[str, pd.DataFrame] = {}
    for arena in site.arenas:
        chosen = selections(arena, site.about)
        own = rankings.rankings(arena, chosen)
        ranked[arena.id], frames[arena.id] = own, entries.task_frame(arena)
        asked += questions(arena, site.about)
        tables = {
            "ranking": rankings.rankings_frame(own),
            "pairs": rankings.pairs_frame(own),
            "results": frames[arena.id],
            "search": arena.costs,
        }
        others = [elsewhere.elsewhere(arena, each) for each in own]
        beside[arena.id] = others
        if any(len(frame) for frame in others):
            tables["elsewhere"] = pd.concat([frame for frame in others if len(frame)])
        for name, frame in tables.items():
            _write_table(site, f"{name}_{arena.id}", frame)
        said = planned(arena)
        if said:
            _write_table(site, f"planned_{arena.id}", pd.concat([each.tests for each in said]))
        shown.append(_write_arena(site, arena, chosen, own, others, said))
    _write_table(site, "answers", rankings.questions_frame(asked))
    site.write("choose.html", "choose.html", **chooser(site.arenas, site.about, asked), page="choose")
    for method, name in site.methods.items():
        _write_method(site, method, name, ranked, beside, frames)
    for task, name in site.tasks.items():
        _write_task(site, task, name, frames)
    site.write(
        "verify.html", "verify.html", races=list(_race_rows(site)), command=_command(site), page="verify"
    )
    site.write(
        "index.html",
        "index.html",
        arenas=shown,
        methods=[_method_row(site, method) for method in style.ordered(site.methods)],
        tasks=[_task_row(site, task) for task in sorted(site.tasks)],
        page="index",
    )


def _write_table(site: _Site, name: str, frame: pd.DataFrame) -> None:
    folder = site.folder / "tables"
    folder.mkdir(exist_ok=True)
    write_csv(frame, folder / f"{name}.csv")


def _write_arena(
    site: _Site,
    arena: Arena,
    chosen: Sequence[Selection],
    ranked: Sequence[rankings.Ranked],
    others: Sequence[pd.DataFrame],
    said: Sequence[Planned],
) -> dict[str, Any]:
    """Write the page of an arena's rankings; return what the front page says of it."""
    sections = [
        {**rankings.section(arena, each), "elsewhere": elsewhere.elsewhere_rows(frame)}
        for each, frame in zip(ranked, others, strict=True)
    ]
    first = ranked[0].answer
    lead = _rank_figure(site, arena)
    missing = unusable_studies(arena.tables).to_dict("records")
    about = {
        "id": arena.id,
        "name": arena.name,
        "races": [race.name for race in arena.races],
        "workers": arena.workers,
        "apart": arena.apart,
        "methods": len(arena.methods),
        "tasks": len(arena.tables.tasks),
        "repetitions": int(arena.tables.studies.groupby(["task", "searcher"])["repetition"].nunique().max()),
        "budget": budget_words(arena.end),
        "points": [f"{point:g}" for point in arena.looks],
        "planned": [
            {"race": each.race if len(said) > 1 else "", "asked": asked, "found": found}
            for each in said
            for asked, *found in [each.said]
        ],
        "entries": list(arena.entries),
        "confirmed": [item for race in arena.races for item in confirmed_rows(race.tables)],
        "lead": lead,
        "words": [] if first is None else answer_words(first, arena.reference),
        "section": sections[0],
        "notes": list(arena.tables.provenance.get("merged") or []),
        "notices": [note for note in notices(arena.inputs) if not note.startswith("Incomplete")],
        "missing": len(missing),
        "none": [each.title for each in chosen if not each.tasks],
        "rule": wording(paired=arena.tables.paired).rule,
        "unit": wording(paired=arena.tables.paired).unit,
    }
    site.write(
        "ranking.html",
        f"ranking-{arena.id}.html",
        arena=about,
        sections=sections,
        strengths=rankings.strengths(first) if first is not None else None,
        completeness=completeness_rows(arena.tables),
        missing=missing,
        page="ranking",
    )
    return about


def _rank_figure(site: _Site, arena: Arena) -> Picture | None:
    """Draw who leads over the budget; ``None`` where there is nothing to rank."""
    plot = progress.overall_rank(arena.tables, arena.inputs.best, arena.inputs.primary)
    return picture(plot, site.folder, f"rank_{arena.id}") if plot is not None else None


def _write_method(
    site: _Site,
    method: str,
    name: str,
    ranked: Mapping[str, Sequence[rankings.Ranked]],
    beside: Mapping[str, Sequence[pd.DataFrame]],
    frames: Mapping[str, pd.DataFrame],
) -> None:
    inside = [arena for arena in site.arenas if method in arena.methods]
    about = site.about.method(inside[0].registered(method))
    versions = {}
    for arena in inside:
        for library in about.libraries:
            own = (arena.tables.provenance.get("versions") or {}).get(library)
            versions[library] = own if own is not None else "not recorded"
    site.write(
        "method.html",
        f"methods/{name}.html",
        method=method,
        registered=inside[0].registered(method),
        about=about,
        versions={library: _version(value) for library, value in versions.items()},
        arenas=[
            entries.method_in(arena, method, ranked[arena.id], beside[arena.id], frames[arena.id])
            for arena in inside
        ],
        page="method",
    )


def _version(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{own} ({race})" for race, own in value.items())
    return str(value)


def _write_task(site: _Site, task: str, name: str, frames: Mapping[str, pd.DataFrame]) -> None:
    inside = [arena for arena in site.arenas if task in arena.tables.tasks.index]
    arena = inside[0]
    facts = arena.inputs.facts[task]
    seen = landscape(arena.tables, task) if task in arena.scores else None
    site.write(
        "task.html",
        f"tasks/{name}.html",
        task=task,
        facts=facts,
        about=site.about.task(task),
        kinds=KINDS,
        key=arena.of_task(task),
        mark=words.mark(facts),
        landscape=entries.landscape_in(seen) if seen is not None else None,
        figures=list(_published_figures(site, arena, task)),
        arenas=[entries.task_in(each, task, frames[each.id]) for each in inside],
        trials=[(race.name, f"{PUBLISHED}/{race.name}/trials.parquet") for race in _with_task(site, task)],
        pages=[
            (race.name, f"{PUBLISHED}/{race.name}/trials/{file}.html")
            for race in _with_task(site, task)
            if (file := file_names(map(str, race.tables.tasks.index))[task])
            and (race.folder / "trials" / f"{file}.html").is_file()
        ],
        page="task",
    )


def _with_task(site: _Site, task: str) -> Iterator[Race]:
    return (race for race in site.races if task in race.tables.tasks.index)


FIGURES = {
    "convergence": ("Best so far over the budget", "Step curves of the best value so far of every method"),
    "importance": ("Which parameters matter", "Bars of the importance of each parameter"),
    "slices": ("Values along each parameter", "Values of what was tried, against each parameter"),
    "coordinates": ("Configurations tried", "Parallel coordinates of the configurations that were tried"),
}
"""Figures of a published report that show a task, by the beginnings of their file names: title and content."""


def _published_figures(site: _Site, arena: Arena, task: str) -> Iterator[dict[str, str]]:
    """Yield the figures of a task that were published with the arena's first race that has it."""
    race = next(race for race in arena.races if task in race.tables.tasks.index)
    name = file_names(map(str, race.tables.tasks.index))[task]
    for kind, (title, content) in FIGURES.items():
        stem = f"{kind}_{name}_{arena.inputs.primary}" if kind == "convergence" else f"{kind}_{name}"
        if (race.folder / "figures" / f"{stem}.png").is_file():
            data = race.folder / "figures" / f"{stem}.csv"
            yield {
                "title": title,
                "alt": f"{content} on {task}; the numbers are in the CSV file.",
                "image": f"{PUBLISHED}/{race.name}/figures/{stem}.png",
                "data": f"{PUBLISHED}/{race.name}/figures/{stem}.csv" if data.is_file() else "",
                "report": f"{PUBLISHED}/{race.name}/report.html"
                if (race.folder / "report.html").is_file()
                else "",
                "race": race.name,
            }


def _method_row(site: _Site, method: str) -> dict[str, Any]:
    inside = [arena for arena in site.arenas if method in arena.methods]
    about = site.about.method(inside[0].registered(method))
    return {
        "name": method,
        "summary": about.summary or f"Nothing more is known of it: {about.unknown}.",
        "races": [arena.name for arena in inside],
    }


def _task_row(site: _Site, task: str) -> dict[str, Any]:
    arena = next(arena for arena in site.arenas if task in arena.tables.tasks.index)
    about, facts = site.about.task(task), arena.inputs.facts[task]
    return {
        "name": task,
        "summary": about.summary or f"Nothing more is known of it: {about.unknown}.",
        "group": facts.group or "–",
        "kinds": ", ".join(kind for kind in KINDS if kind in about.kinds) or "not known",
        "metric": facts.metrics[facts.reported],
        "epochs": facts.full_epochs,
    }


def _race_rows(site: _Site) -> Iterator[dict[str, Any]]:
    for race in site.races:
        manifest = race.folder / MANIFEST
        yield {
            "name": race.name,
            "sweep": race.tables.name,
            "published": race.manifest.get("published", ""),
            "files": len(race.manifest["files"]),
            "digest": hashlib.sha256(manifest.read_bytes()).hexdigest(),
            "versions": race.manifest.get("versions") or {},
            "revision": str(race.tables.provenance.get("revision") or "not recorded"),
            "report": (race.folder / "report.html").is_file(),
            "sweep_file": (race.folder / "sweep.yaml").is_file(),
            "parquet": sorted(path.name for path in race.folder.glob("*.parquet")),
            "sources": sorted(path.name for path in race.folder.glob("sources/*")),
        }


def _command(site: _Site) -> str:
    """Return the command that makes this site again from the races in it."""
    points = ",".join(f"{point:g}" for point in site.arenas[0].wanted)
    words = [*(f"{PUBLISHED}/{race.name}" for race in site.races), "--title", site.title, "--budgets", points]
    return shlex.join(["derby", "site", *words, "--out", "../again"])


def _write_digests(folder: Path) -> None:
    """Write the digest of every file below a folder."""
    lines = []
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            lines.append(f"{digest}  {path.relative_to(folder).as_posix()}\n")
    (folder / DIGESTS).write_text("".join(lines), encoding="utf-8", newline="\n")
