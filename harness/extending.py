"""A published sweep extended: of its sweep file, as it is now, the studies that are not published yet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from harness.errors import SweepError
from harness.plan import Extends
from harness.plurals import plural
from harness.sweep import Sweep
from harness.sweep_studies import PlannedStudy
from results.entries import digest_of, entered
from results.extended import published_tables
from results.publications import folder_of, manifest_of

_SHOWN = 3
"""Published studies that are named where a sweep has them no more."""


def rest_of(sweep: Sweep, root: Path, name: str) -> Sweep:
    """Return the studies of a sweep that are not published yet, as a sweep by the same name.

    Further repetitions, methods and tasks of a published sweep are run so on a machine that has nothing of its record
    but what is published; ``derby publish`` puts both together.

    Args:
        sweep: The sweep as its file says now: all that was published, and more.
        root: Folder of published results.
        name: The published name.

    Raises:
        RecordError: Nothing usable is published by that name.
        SweepError: It is no sweep of this kind, the sweep lacks some of its studies, or has no others.
    """
    into = entered(manifest_of(root, name))
    if into is not None:
        raise SweepError(
            f"{name!r} is an entry into {into.race!r}, and is not extended: extend {into.race!r}"
        )
    published = published_tables(root, name)
    if published.imported is not None:
        raise SweepError(f"{name!r} was imported from elsewhere: it has no studies that can be gone on with")
    given = published.baselines[published.baselines["study"] != ""]
    done = {*published.studies["study"], *given["study"]}
    lost = published.studies[~published.studies["study"].isin([study.key.id for study in sweep.studies])]
    if len(lost):
        revision = published.provenance.get("revision") or "not recorded"
        some = "; ".join(
            f"{row['searcher']} on {row['task']}, repetition {row['repetition']}"
            for row in lost.head(_SHOWN).to_dict("records")
        )
        raise SweepError(
            f"{len(lost)} of {plural(len(published.studies), 'study')} published as {name!r} are none of this sweep's: "
            f"{some}{'; …' * (len(lost) > _SHOWN)}. It must have all of them, with the same tasks, data, budgets, "
            "seeds, methods and settings, and more: take the sweep file that was published and add to it, "
            f"with the version of the project that it was run with ({revision})"
        )
    rest = sweep.only({study.key.id for study in sweep.every_study} - done)
    _check_baselines(sweep, rest, done)
    if not rest.studies:
        raise SweepError(
            f"all of sweep {sweep.name!r}, {plural(len(sweep.studies), 'study')}, is published as {name!r}: nothing is "
            "left to run. Ask for more repetitions, tasks or searchers"
        )
    about = Extends(
        name=name,
        digest=digest_of(folder_of(root, name)),
        studies=len(published.studies),
        told=len(published.trials),
        repetitions=1 + int(published.studies["repetition"].max()),
        compare=None if published.compared is None else published.compared.stated,
    )
    return replace(rest, extends=about)


def _check_baselines(sweep: Sweep, rest: Sweep, done: set[str]) -> None:
    """Refuse baselines that would be lost: those on tasks on which no study is left to run."""
    there = {study.key.id for study in rest.baselines}
    lost: Sequence[PlannedStudy] = [
        study for study in sweep.baselines if study.key.id not in done and study.key.id not in there
    ]
    if lost:
        raise SweepError(
            f"baselines are added on {', '.join(dict.fromkeys(study.task for study in lost))}, where all studies are "
            "published: a published sweep is extended by studies. Leave them out of the file, or ask for more "
            "repetitions"
        )
