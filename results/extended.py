"""A published sweep together with what was run to extend it: the tables of the whole."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from harness.errors import RecordError
from harness.plan import Extends
from results.entries import digest_of
from results.merge import differences, of_all, read
from results.publications import folder_of, manifest_of, names_in
from results.published import changed_files
from results.sources import Source
from results.tables import SweepTables, read_exported, with_none


def published_tables(root: Path, name: str) -> SweepTables:
    """Return the tables of what is published by a name.

    Raises:
        RecordError: Nothing is, or some of its files are not as they were published.
    """
    manifest, folder = manifest_of(root, name), folder_of(root, name)
    changed = changed_files(folder, manifest)
    if changed:
        raise RecordError(
            f"{folder} is not as it was published: {'; '.join(changed)}. Restore it from a copy, before it is built on"
        )
    return read_exported(folder)


def whole(tables: SweepTables, root: Path) -> SweepTables:
    """Return the tables of a sweep with what it extends, as those of one sweep; as they are where it extends nothing.

    Args:
        tables: Of a results folder.
        root: Folder of published results.

    Raises:
        RecordError: What it extends is not published here, is another than it was then, or its tasks are others.
    """
    about = tables.extends
    return tables if about is None else _extended(root, about, tables)


def read_whole(source: Source, root: Path) -> SweepTables:
    """Read the tables of what `results.sources` found, with what it extends where that is published here.

    Raises:
        RecordError: They are damaged, or what it extends is another than it was.
    """
    tables = read(source)
    about = tables.extends
    return whole(tables, root) if about is not None and about.name in names_in(root) else tables


def _extended(root: Path, about: Extends, rest: SweepTables) -> SweepTables:
    before = published_tables(root, about.name)
    if digest_of(folder_of(root, about.name)) != about.digest:
        raise RecordError(
            f"{folder_of(root, about.name)} is another than this sweep extends: it was published anew since. Run it "
            f"again with --extend {about.name}: what is on record is reused"
        )
    problems = differences({about.name: before, rest.name: rest}, same_tasks=False)
    if problems:
        raise RecordError(
            f"{rest.name!r} does not extend what is published as {about.name!r}: they differ in more than studies:"
            "\n  " + "\n  ".join(problems)
        )
    studies = _in_order(before, rest)
    tasks = _ordered(list(rest.tasks.index), list(before.tasks.index))
    return replace(
        before,
        name=rest.name,
        trials=_one(before.trials, rest.trials, studies["study"]),
        studies=studies,
        tasks=with_none(
            pd.concat([before.tasks.drop(rest.tasks.index, errors="ignore"), rest.tasks]).loc[tasks]
        ),
        provenance=_provenance(before, rest),
        read_epochs=functools.cache(lambda: _one(before.epochs, rest.epochs, studies["study"])),
        reevaluations=_one(before.reevaluations, rest.reevaluations, studies["study"]),
        baselines=_one(before.baselines, rest.baselines, tasks, by="task").drop_duplicates(
            ["task", "baseline", "repetition"], ignore_index=True
        ),
        baseline_trials=pd.concat([before.baseline_trials, rest.baseline_trials], ignore_index=True),
        confirmed=_confirmed(before, rest),
    )


def _ordered(now: Sequence[str], before: Sequence[str]) -> list[str]:
    """Return all labels: in today's order where these are all, and otherwise with new ones after those of before."""
    return list(now) if set(now) >= set(before) else list(dict.fromkeys([*before, *now]))


def _in_order(before: SweepTables, rest: SweepTables) -> pd.DataFrame:
    """Return the studies of both as a sweep has them: repetition by repetition, tasks and searchers as in its file."""
    every = pd.concat([before.studies, rest.studies], ignore_index=True)
    place = {"repetition": every["repetition"]}
    for column in ("task", "searcher"):
        own = [[str(label) for label in tables.studies[column].unique()] for tables in (rest, before)]
        place[column] = every[column].map({label: number for number, label in enumerate(_ordered(*own))})
    return every.loc[pd.DataFrame(place).sort_values(list(place), kind="stable").index].reset_index(drop=True)


def _one(before: pd.DataFrame, rest: pd.DataFrame, order: Iterable[str], by: str = "study") -> pd.DataFrame:
    """Return the rows of both tables, in an order of what a column holds: study by study, or task by task."""
    every = pd.concat([before, rest], ignore_index=True)
    place = every[by].map({value: number for number, value in enumerate(order)})
    return every.loc[place.sort_values(kind="stable").index].reset_index(drop=True)


def _confirmed(before: SweepTables, rest: SweepTables) -> pd.DataFrame:
    """Return the confirmed winners: of each task those that were confirmed last."""
    anew = set(rest.confirmed["task"])
    kept = before.confirmed[~before.confirmed["task"].isin(anew)]
    return pd.concat([kept, rest.confirmed], ignore_index=True) if anew else before.confirmed


def _provenance(before: SweepTables, rest: SweepTables) -> dict[str, Any]:
    """Return the provenance of the whole: what was said last, the runs of both, and what of each is another."""
    then, now = before.provenance, rest.provenance
    labels = {str(label) for tables in (before, rest) for label in tables.studies["searcher"]}
    return {
        **{name: value for name, value in now.items() if name != "extends"},
        **of_all({"before": then, "extension": now}, labels),
        "runs": [*(then.get("runs") or []), *(now.get("runs") or [])],
    }
