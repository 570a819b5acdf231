"""Entries into a published race: a method's studies on its tasks, budgets and seeds, and whether they are those.

An entry is published beside its race as anything is. Its manifest names the race and the digest of the race's manifest;
its tables hold the entered method alone, and what is drawn of it is drawn of both together.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec

from harness.errors import RecordError, shown
from harness.keys import StudyKey
from harness.plan import Compare, Plan
from results.merge import merged
from results.publications import MANIFEST, folder_of, manifest_of, names_in
from results.tables import SweepTables, read_exported

ENTERED = "entered"
"""The field of a manifest by which a publication is an entry."""

Protocol = Mapping[str, Mapping[str, Any]]
"""What an entry must have in common with its race: by task, fields with the names that messages have."""


@dataclass(frozen=True, slots=True)
class Entered:
    """What an entry was entered into.

    Attributes:
        race: Its published name.
        digest: SHA-256 of the manifest that it had then.
    """

    race: str
    digest: str

    def as_json(self) -> dict[str, str]:
        """Return what the entry's manifest holds."""
        return {"race": self.race, "digest": self.digest}


def race_named(root: Path, name: str) -> Entered:
    """Return a published race as something is entered into it now.

    Raises:
        RecordError: Nothing usable is published by that name, or it is an entry itself.
    """
    own = entered(manifest_of(root, name))
    if own is not None:
        raise RecordError(
            f"{name!r} is itself an entry, into {own.race!r}; enter that one with --race {own.race}"
        )
    return Entered(name, digest_of(folder_of(root, name)))


def entered(manifest: Mapping[str, Any]) -> Entered | None:
    """Return what a publication was entered into; ``None`` where it is no entry.

    Raises:
        RecordError: The manifest's field is none that derby wrote.
    """
    if ENTERED not in manifest:
        return None
    about = manifest[ENTERED]
    if not (
        isinstance(about, Mapping) and {str(about.get("race")), str(about.get("digest"))} == {*about.values()}
    ):
        raise RecordError(
            f"{MANIFEST}: expected the race's name and digest in {ENTERED!r}, got {shown(about)}; restore the "
            "published folder from a copy"
        )
    return Entered(str(about["race"]), str(about["digest"]))


def race_tables(root: Path, into: Entered) -> SweepTables:
    """Return the tables of the race that something was entered into.

    Raises:
        RecordError: It is not published here, or is another than then.
    """
    if into.race not in names_in(root):
        raise RecordError(
            f"the race {into.race!r} that this was entered into is not in {root}; put its published folder there"
        )
    if digest_of(folder_of(root, into.race)) != into.digest:
        raise RecordError(
            f"{folder_of(root, into.race)} is another than this was entered into: the race was published anew since. "
            "Enter it again: what was run for it is reused"
        )
    return read_exported(folder_of(root, into.race))


def digest_of(folder: Path) -> str:
    """Return the digest of a published folder's manifest, by which entries know their race."""
    return hashlib.sha256((folder / MANIFEST).read_bytes()).hexdigest()


def protocol_of(tables: SweepTables) -> Protocol:
    """Return what an entry must have in common with a race, of its tables."""
    result: dict[str, dict[str, Any]] = {}
    for task, row in tables.tasks.to_dict("index").items():
        own = tables.studies[(tables.studies["task"] == task) & (tables.studies["protocol"] != "")]
        keys = [json.loads(text) for text in own["protocol"].unique()]
        if keys:  # of the race's tasks those that something was run on
            result[str(task)] = {
                **_facts(row, splits=str(row["splits"])),
                **_common(keys[0]),
                "repetitions": sorted({int(number) for number in own["repetition"]}),
            }
    return result


def protocol_planned(plan: Plan, keys: Mapping[str, StudyKey]) -> Protocol:
    """Return the same of a sweep that is to be run.

    Args:
        plan: Its plan.
        keys: Its studies, by id.
    """
    result = {}
    for task, about in plan.tasks.items():
        own = [study for study in plan.studies if study.task == task]
        key = keys[own[0].study].as_json()
        key["task"].pop("split", None)
        result[task] = {
            **_facts(msgspec.structs.asdict(about), splits=plan.splits),
            **_common(json.loads(json.dumps(key))),
            "repetitions": sorted({study.repetition for study in own}),
        }
    return result


def _facts(row: Mapping[Any, Any], *, splits: str) -> dict[str, Any]:
    return {
        "data": str(row["data"]),
        "budget": f"{float(row['budget_amount']):.15g} {row['budget_unit']}",
        "metric": f"{row['direction']} {row['metric']}",
        "splits": splits,
    }


def _common(key: Mapping[str, Any]) -> dict[str, Any]:
    """Return what of a study's key does not depend on its searcher."""
    names = {"task": "definition", "root_seed": "root seed"}
    fields = ("task", "workers", "root_seed", "deadline", "arithmetic", "threads")
    return {names.get(field, field): key.get(field) for field in fields}


def departures(race: SweepTables, entry: Protocol) -> list[str]:
    """Return in what an entry is another than its race, in words; nothing where it has the same protocol."""
    expected, found = protocol_of(race), []
    for task, own in entry.items():
        if task not in expected:
            found.append(f"{task} is no task of the race")
            continue
        theirs = expected[task]
        if own["data"] != theirs["data"]:
            found.append(
                f"{task}: its data have the digest {own['data']}, and had {theirs['data']} in the race: another "
                "version of its recording, table or data set"
            )
            continue
        found += [
            f"{task}: {field} {_said(own[field])}, and {_said(theirs[field])} in the race"
            for field in theirs
            if own[field] != theirs[field]
        ]
    return found


def _said(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True)


def check_entry(race: SweepTables, entry: Protocol) -> None:
    """Raise `RecordError` where an entry has not the race's tasks, data, budget and seeds; the message lists all."""
    found = departures(race, entry)
    if found:
        revision = race.provenance.get("revision") or "none"
        raise RecordError(
            f"this is not the race {race.name!r} as it was published:\n  "
            + "\n  ".join(found)
            + f"\nEnter it with the version of the project that it was run with (revision {revision}), or have the "
            "race run again with this one"
        )


def together(race: SweepTables, entry: SweepTables) -> SweepTables:
    """Return the tables of a race and an entry, with the comparison of the entered method with each of the others.

    That comparison is said to be made after results existed: the race was public when the method was entered.

    Args:
        race: The published race.
        entry: The entry's own tables; tasks that it leaves out may be missing.

    Raises:
        RecordError: The entry has another protocol, or one of the race's labels.
    """
    check_entry(race, protocol_of(entry))
    (label,) = (str(name) for name in entry.studies["searcher"].unique())
    labels = [str(name) for name in race.studies["searcher"].unique()]
    if label in labels:
        raise RecordError(
            f"the race has a method called {label!r} already; enter yours under another --label"
        )
    both = merged({race.name: race, f"entry {label}": replace(entry, tasks=race.tasks)})
    planned = race.compared
    points = planned.stated.at if planned is not None and planned.stated.measure == "final" else (1.0,)
    stated = Compare((*labels, label), label, "final", 0.05, points)
    note = f"{label} was entered into the race {race.name!r}, whose results were public by then"
    about = {**both.provenance, "compare": msgspec.to_builtins(stated), "merged": [note]}
    return replace(both, name=f"{race.name} with {label}", provenance=about)
