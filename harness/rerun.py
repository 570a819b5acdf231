"""Some studies of a published sweep run again, from what was published alone: do they give the same evaluations?"""

from __future__ import annotations

import random
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd
from rich.console import Console

from harness import registry
from harness.entries import joined
from harness.errors import MissingLibraryError, RecordError
from harness.frozen_sweeps import documents, runnable
from harness.launch import Placement, launch
from harness.machine import require_libraries
from harness.plurals import plural
from harness.searcher import Searcher
from harness.sweep import Sweep, make_sweep
from results.tables import SweepTables, read_tables

SAME = ("step", "trial", "config", "epochs", "status", "value", "test", "loss")
"""Columns of trials that a study gives again."""


@dataclass(frozen=True, slots=True)
class Draw:
    """Studies to run again.

    Attributes:
        sweep: The published sweep.
        ids: The studies drawn.
        absent: Labels of the methods that cannot be run here, because of their libraries.
        install: What these need and what to run for it, in words; empty where all can be run.
        searching: Seconds that the searchers of the studies drawn took when they were run.
        training: Seconds that their trainings took, without those that are replayed.
        departs: In what the sweep is another here than was published, in words; nothing is drawn then.
    """

    sweep: Sweep
    ids: Sequence[str]
    absent: Sequence[str] = ()
    install: str = ""
    searching: float = 0.0
    training: float = 0.0
    departs: str = ""


def draw(tables: SweepTables, number: int) -> Draw:
    """Draw some finished studies to be run again, so that nobody knows beforehand which, among those that can be.

    Args:
        tables: What was published.
        number: How many; all where there are fewer.

    Raises:
        RecordError: What was published is not one sweep of this harness.
        MissingLibraryError: No study of it can be run here.
    """
    if tables.imported is not None:
        raise RecordError(f"{tables.name!r} was imported from elsewhere: nothing of it can be run again here")
    sources, origin = tables.provenance.get("sources") or {}, f"the sweep file of {tables.name!r}"
    parts = []
    for text in documents(str(tables.provenance.get("sweep", ""))):
        with runnable(text, sources, origin) as content:
            parts.append(make_sweep(content, origin, runnable=False))
    sweep = joined(parts)
    kinds = {study.searcher: (study.key.searcher, study.key.searcher_file) for study in sweep.studies}
    needs = {label: registry.searcher(*named) for label, named in kinds.items()}
    lacking = {label: kind.libraries for label, kind in needs.items() if not _has_libraries(kind)}
    own = tables.studies[~tables.studies["searcher"].isin(list(lacking))]
    known = {study.key.id for study in sweep.studies}
    other = own[~own["study"].isin(list(known))]
    if len(other):
        first = other.iloc[0]
        departs = (
            f"{len(other)} of {plural(len(tables.studies), 'study')} are others here than were published, such as "
            f"{first['searcher']} on {first['task']}: its task, data or method are of another version"
        )
        return Draw(sweep, (), departs=departs)
    install = ""
    if lacking:
        every = {module: name for libraries in lacking.values() for module, name in libraries.items()}
        try:
            require_libraries("running them", every)
        except MissingLibraryError as error:
            if own.empty:
                raise MissingLibraryError(f"none of its methods can be run here: {error}") from None
            install = str(error)
    ids = random.SystemRandom().sample(sorted(own["study"]), min(number, len(own)))
    return Draw(sweep, ids, sorted(lacking), install, *_seconds(tables, ids))


def rerun(tables: SweepTables, drawn: Draw, console: Console) -> list[str]:
    """Run studies again that were drawn.

    Args:
        tables: What was published.
        drawn: The studies.
        console: Where progress is shown.

    Returns:
        For each that came out otherwise what is other, in words.
    """
    known = {study.key.id: study for study in drawn.sweep.studies}
    # With nothing that is of all of its studies.
    spec = drawn.sweep.spec.model_copy(update={"reevaluate": 0, "baselines": []})
    alone = replace(drawn.sweep.only(drawn.ids), spec=spec, compare=None, baselines=(), left_out=())
    with tempfile.TemporaryDirectory() as folder:
        progress = launch(alone, Path(folder), Placement(), console)
        problems = [f"{label} failed: {message}" for label, message in progress.failed.items()]
        again = read_tables(Path(folder), drawn.sweep.name)
    for study in drawn.ids:
        apart = _apart(tables.trials, again.trials, study)
        if apart and known[study].label not in progress.failed:
            problems.append(f"{known[study].label}: {apart}")
    return problems


def _has_libraries(kind: type[Searcher]) -> bool:
    try:
        kind.require_libraries()
    except MissingLibraryError:
        return False
    return True


def _seconds(tables: SweepTables, ids: Sequence[str]) -> tuple[float, float]:
    """Return the seconds that studies took: of their searchers, and of trainings that running them again repeats."""
    own = tables.trials[tables.trials["study"].isin(list(ids))]
    trained = own["task"].map(tables.tasks["replayed"]).eq("")
    return float(own["ask_seconds"].sum() + own["tell_seconds"].sum()), float(own["seconds"][trained].sum())


def _apart(published: pd.DataFrame, again: pd.DataFrame, study: str) -> str:
    """Return in what a study's evaluations are others than were published; empty where they are the same."""
    then, now = (
        frame.loc[frame["study"] == study, list(SAME)].reset_index(drop=True) for frame in (published, again)
    )
    if len(then) != len(now):
        return (
            f"{plural(len(then), 'evaluation was', 'evaluations were')} published, and there are {len(now)}"
        )
    same = (then == now) | (then.isna() & now.isna())
    if bool(same.to_numpy().all()):
        return ""
    step = int((~same.all(axis=1)).to_numpy().argmax())
    column = next(name for name in SAME if not same.loc[step, name])
    before, after = str(then[column].iloc[step]), str(now[column].iloc[step])
    return f"at step {step + 1} its {column} was published as {before}, and is {after}"
