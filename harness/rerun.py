"""Some studies of a published sweep run again, from what was published alone: do they give the same evaluations?"""

from __future__ import annotations

import random
import tempfile
from dataclasses import replace
from pathlib import Path

import pandas as pd
from rich.console import Console

from harness.entries import joined
from harness.errors import RecordError
from harness.frozen_sweeps import documents, runnable
from harness.launch import Placement, launch
from harness.plurals import plural
from harness.sweep import make_sweep
from results.tables import SweepTables, read_tables

SAME = ("step", "trial", "config", "epochs", "status", "value", "test", "loss")
"""Columns of trials that a study gives again."""


def rerun(tables: SweepTables, number: int, console: Console) -> tuple[int, list[str]]:
    """Run some finished studies again, drawn so that nobody knows beforehand which.

    Args:
        tables: What was published.
        number: How many; all where there are fewer.
        console: Where progress is shown.

    Returns:
        How many were run again, and for each that came out otherwise what is other, in words.

    Raises:
        RecordError: What was published is not one sweep of this harness.
    """
    if tables.imported is not None:
        raise RecordError(f"{tables.name!r} was imported from elsewhere: nothing of it can be run again here")
    sources, origin = tables.provenance.get("sources") or {}, f"the sweep file of {tables.name!r}"
    parts = []
    for text in documents(str(tables.provenance.get("sweep", ""))):
        with runnable(text, sources, origin) as content:
            parts.append(make_sweep(content, origin))
    sweep = joined(parts)
    known = {study.key.id: study for study in sweep.studies}
    other = tables.studies[~tables.studies["study"].isin(list(known))]
    if len(other):
        first = other.iloc[0]
        return 0, [
            f"{len(other)} of {plural(len(tables.studies), 'study')} are others here than were published, such as "
            f"{first['searcher']} on {first['task']}: its task, data or method are of another version"
        ]
    ids = random.SystemRandom().sample(sorted(known), min(number, len(known)))
    # With nothing that is of all of its studies.
    again_spec = sweep.spec.model_copy(update={"reevaluate": 0})
    alone = replace(sweep.only(set(ids)), spec=again_spec, compare=None, baselines=(), left_out=())
    with tempfile.TemporaryDirectory() as folder:
        progress = launch(alone, Path(folder), Placement(), console)
        problems = [f"{label} failed: {message}" for label, message in progress.failed.items()]
        again = read_tables(Path(folder), sweep.name)
    for study in ids:
        apart = _apart(tables.trials, again.trials, study)
        if apart and known[study].label not in progress.failed:
            problems.append(f"{known[study].label}: {apart}")
    return len(ids), problems


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
