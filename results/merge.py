"""Several results folders as one sweep's tables: two clusters that shared a sweep, or two versions of a library."""

from __future__ import annotations

import functools
import itertools
import json
from collections.abc import Mapping
from typing import Any

import pandas as pd

from harness.errors import RecordError
from results.imports.origin import combined
from results.sources import Source
from results.tables import SweepTables, read_exported, read_tables, with_none

_STATES = ("done", "running", "failed", "missing")
"""From the state whose study is used to the one that is only used when there is no other."""

_REPEATED = ["step", "trial", "config", "epochs", "status", "value", "test", "loss"]
"""Columns of trials that are the same whenever the same study is run by the same versions on the same machine."""


def read(source: Source) -> SweepTables:
    """Read the tables of what `results.sources` found. Raises `RecordError` where they are damaged."""
    if source.sweep is None:
        return read_exported(source.folder)
    return read_tables(source.folder, source.sweep)


def merged(sources: Mapping[str, SweepTables], *, same_tasks: bool = True) -> SweepTables:
    """Merge the tables of one protocol into one.

    A method whose studies are the same in every folder, as far as they were run, stays one method:
    of each study the copy that got furthest is used. A method whose studies differ (other settings,
    other versions, another machine) becomes one method per folder, named ``label (folder)``.

    Args:
        sources: The tables by name of their folder, at least two.
        same_tasks: Whether the folders must have the same tasks; otherwise those that two have must agree.

    Returns:
        The merged tables. ``provenance["merged"]`` says in words what was done with each method.

    Raises:
        RecordError: The folders differ in tasks, data or protocol; the message spells out every difference.
    """
    _refuse_differences(sources, same_tasks=same_tasks)
    studies: list[pd.DataFrame] = []
    notes: list[str] = []
    rows = {name: tables.trials.groupby("study", sort=False).indices for name, tables in sources.items()}
    labels = sorted({str(label) for tables in sources.values() for label in tables.studies["searcher"]})
    for label in labels:
        own = {
            name: tables.studies[tables.studies["searcher"] == label]
            for name, tables in sources.items()
            if (tables.studies["searcher"] == label).any()
        }
        difference = _difference(own, sources, rows)
        if difference:
            notes.append(f"{label} is shown once per folder: {difference}")
            parts = [part.assign(source=name, searcher=f"{label} ({name})") for name, part in own.items()]
        else:
            every = pd.concat([part.assign(source=name) for name, part in own.items()])
            # Stable, so that of equal ones the first folder's is used.
            order = every["state"].map({state: i for i, state in enumerate(_STATES)})
            every = every.assign(order=order).sort_values(
                ["order", "evaluations"], ascending=[True, False], kind="stable"
            )
            parts = [every.drop_duplicates(["task", "repetition"]).drop(columns="order")]
            if len(own) > 1:
                counts = parts[0].loc[parts[0]["state"] != "missing", "source"].value_counts().sort_index()
                notes.append(
                    f"{label} is one method, its studies from "
                    + ", ".join(f"{name} ({count})" for name, count in counts.items())
                )
        studies += parts
    plan = pd.concat(studies).sort_values(["repetition", "task", "searcher"], kind="stable")
    # The same study run by two versions is two studies here.
    twice = plan.duplicated("study", keep=False)
    plan["key"] = plan["study"].where(~twice, plan["study"] + " (" + plan["source"] + ")")
    keys: dict[str, dict[str, str]] = {name: {} for name in sources}
    labels_of: dict[str, dict[str, str]] = {name: {} for name in sources}
    for study in plan.to_dict("records"):
        keys[study["source"]][study["study"]] = study["key"]
        labels_of[study["source"]][study["study"]] = study["searcher"]

    def used(table: str) -> pd.DataFrame:
        """Return the rows of a table that belong to the studies used, under their new names."""
        parts = []
        for name, tables in sources.items():
            rows: pd.DataFrame = getattr(tables, table)
            part = rows[rows["study"].isin(list(keys[name]))]
            part = part.assign(
                searcher=part["study"].map(labels_of[name]), study=part["study"].map(keys[name])
            )
            parts.append(part.astype({"searcher": "str", "study": "str"}))
        return pd.concat(parts, ignore_index=True)

    first = next(iter(sources.values()))
    baselines, baseline_trials = _baselines(sources)
    return SweepTables(
        name=" + ".join(dict.fromkeys(tables.name for tables in sources.values())),
        trials=used("trials"),
        studies=plan.assign(study=plan["key"])[list(first.studies.columns)].reset_index(drop=True),
        tasks=_tasks(sources),
        provenance=_provenance(sources, notes, set(plan["searcher"])),
        read_epochs=functools.cache(lambda: _epochs(sources, keys)),
        reevaluations=used("reevaluations"),
        baselines=baselines,
        baseline_trials=baseline_trials,
    )


def _tasks(sources: Mapping[str, SweepTables]) -> pd.DataFrame:
    """Return the tasks of all folders, those of the first one first."""
    first, *others = (tables.tasks for tables in sources.values())
    for each in others:
        more = each[~each.index.isin(first.index)]
        if len(more):
            first = pd.concat([first, more]).rename_axis(index="task")
    return with_none(first)


def _baselines(sources: Mapping[str, SweepTables]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the baselines of all folders, each once: from the folder in which its study got furthest."""
    every = pd.concat([tables.baselines.assign(source=name) for name, tables in sources.items()])
    states = {state: i for i, state in enumerate(("known", *_STATES))}
    order = every.assign(order=every["state"].map(states)).sort_values("order", kind="stable")
    kept = order.drop_duplicates(["task", "baseline", "repetition"]).sort_index(kind="stable")
    of_source = {name: set(own["study"]) for name, own in kept.groupby("source")}
    trials = [
        tables.baseline_trials[tables.baseline_trials["study"].isin(of_source.get(name, set()))]
        for name, tables in sources.items()
    ]
    columns = list(next(iter(sources.values())).baselines.columns)
    return kept[columns].reset_index(drop=True), pd.concat(trials, ignore_index=True)


def _refuse_differences(sources: Mapping[str, SweepTables], *, same_tasks: bool) -> None:
    """Raise `RecordError` naming everything in which the folders' tasks, data or protocols differ."""
    problems = differences(sources, same_tasks=same_tasks)
    if problems:
        raise RecordError(
            f"{', '.join(sources)} cannot be compared, they differ in more than their methods:\n  "
            + "\n  ".join(problems)
            + "\nCompare sweeps of the same tasks, budgets and seeds; run one of them again with the other's sweep file"
        )


def differences(sources: Mapping[str, SweepTables], *, same_tasks: bool = True) -> list[str]:
    """Return everything in which the folders' tasks, data or protocols differ, in words; empty where they agree.

    Args:
        sources: The tables by name of their folder.
        same_tasks: Whether a task that only one of two folders has is a difference.
    """
    problems: list[str] = []
    for (a, one), (b, other) in itertools.combinations(sources.items(), 2):
        if (one.imported is None) != (other.imported is None):
            ours, theirs = (a, b) if one.imported is None else (b, a)
            problems.append(
                f"{theirs} was imported, so that it is not known whether its tasks, data and budgets are those of "
                f"{ours}; if you know it, export {ours} and import its trials.parquet together with the source of "
                f"{theirs}"
            )
            continue
        for name, tables, against in ((a, one, other), (b, other, one)) if same_tasks else ():
            only = sorted(set(tables.tasks.index) - set(against.tasks.index))
            if only:
                problems.append(
                    f"only {name} has the task{'s' * (len(only) > 1)} {', '.join(map(str, only))}"
                )
        for task in sorted(set(one.tasks.index) & set(other.tasks.index)):
            left, right = _protocol(one, task), _protocol(other, task)
            problems += [
                f"task {task}: {field} is {_words(left[field])} in {a} and {_words(right[field])} in {b}"
                for field in sorted(left.keys() & right.keys())
                if left[field] != right[field]
            ]
    return list(dict.fromkeys(problems))


def _protocol(tables: SweepTables, task: str) -> dict[str, Any]:
    """Return what must agree on a task: its facts, its data, and the fields of its studies' keys."""
    # Of imported results nobody says what a failure counts: it is the worst value that there is.
    left_out = {"source", "group", "replayed", *(["failure"] if tables.imported is not None else [])}
    fields: dict[str, Any] = {
        str(column): None if pd.isna(value) else getattr(value, "item", lambda value=value: value)()
        for column, value in tables.tasks.loc[task].items()
        if column not in left_out
    }
    digest = (tables.provenance.get("data") or {}).get(task)
    if digest is not None:
        fields["data digest"] = digest
    own = tables.studies[(tables.studies["task"] == task) & (tables.studies["protocol"] != "")]
    keys = [_protocol_of(text) for text in own["protocol"].unique()]
    for field in ("task", "workers", "deadline", "root_seed"):
        values = {json.dumps(key.get(field), sort_keys=True) for key in keys}
        if values:
            fields["task definition" if field == "task" else field.replace("_", " ")] = sorted(values)
    return fields


def _protocol_of(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise RecordError(
            f"a table of studies holds a protocol that is no JSON: {text[:60]!r}: {error}"
        ) from error
    if not isinstance(value, dict):
        raise RecordError(f"a table of studies holds a protocol that is no JSON object: {text[:60]!r}")
    return value


def _words(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.15g}"
    return " and ".join(value) if isinstance(value, list) else repr(value)


def _difference(
    own: Mapping[str, pd.DataFrame],
    sources: Mapping[str, SweepTables],
    rows: Mapping[str, Mapping[Any, Any]],
) -> str:
    """Return how a method's studies differ between folders, in words; empty where they agree.

    Args:
        own: The method's planned studies by folder.
        sources: The tables by folder.
        rows: Positions in ``trials`` by folder and study.
    """
    for (a, left), (b, right) in itertools.combinations(own.items(), 2):
        pairs = left.merge(right, on=["task", "repetition"], suffixes=("_a", "_b"))
        for pair in pairs.to_dict("records"):
            where = f"on {pair['task']}, repetition {pair['repetition']}"
            if pair["study_a"] != pair["study_b"]:
                return f"its settings differ between {a} and {b}"
            found = [rows[a].get(pair["study_a"], ()), rows[b].get(pair["study_b"], ())]
            length = min(map(len, found))
            if not length:
                continue
            one, other = (
                sources[name].trials[_REPEATED].iloc[place[:length]].reset_index(drop=True)
                for name, place in zip((a, b), found, strict=True)
            )
            same = (one == other) | (one.isna() & other.isna())
            if not bool(same.to_numpy().all()):
                step = int((~same.all(axis=1)).to_numpy().argmax())
                column = str(same.columns[~same.loc[step].to_numpy()][0])
                return (
                    f"{where}, step {step + 1}, its {column} is {one.loc[step, column]} in {a} and "
                    f"{other.loc[step, column]} in {b}"
                )
    return ""


def _epochs(sources: Mapping[str, SweepTables], keys: Mapping[str, Mapping[str, str]]) -> pd.DataFrame:
    parts = []
    for name, tables in sources.items():
        part = tables.epochs[tables.epochs["study"].isin(list(keys[name]))]
        parts.append(part.assign(study=part["study"].map(keys[name]).astype("str")))
    return pd.concat(parts, ignore_index=True)


def _compare(about: Mapping[str, Mapping[str, Any]], labels: set[str]) -> Any:
    """Return what all folders say is to be compared, where they say the same and its methods are still one each."""
    first, *others = (value.get("compare") for value in about.values())
    if first is None or any(each != first for each in others) or not set(first["methods"]) <= labels:
        return None
    return first


def _left_out(about: Mapping[str, Mapping[str, Any]], labels: set[str]) -> list[dict[str, Any]]:
    """Return the pairs that any folder has left out, under the names that the methods have now."""
    pairs: dict[tuple[str, str], dict[str, Any]] = {}
    for name, value in about.items():
        for pair in value.get("left_out") or []:
            label = str(pair["searcher"])
            label = label if label in labels else f"{label} ({name})"
            pairs[str(pair["task"]), label] = {**pair, "searcher": label}
    return list(pairs.values())


def of_all(about: Mapping[str, Mapping[str, Any]], labels: set[str]) -> dict[str, Any]:
    """Return what several provenances have of users' files, versions, machines, data and pairs left out.

    Args:
        about: The provenances, by what they are called where they differ.
        labels: Names that the methods have now.
    """
    versions: dict[str, Any] = {}
    for library in sorted({key for value in about.values() for key in value.get("versions") or {}}):
        own = {name: (value.get("versions") or {}).get(library, "none") for name, value in about.items()}
        versions[library] = next(iter(own.values())) if len(set(own.values())) == 1 else own
    machines: dict[str, Any] = {}
    for value in about.values():
        for machine in value.get("machines") or []:
            machines.setdefault(json.dumps(machine, sort_keys=True), machine)
    return {
        "sources": {
            origin: text for value in about.values() for origin, text in (value.get("sources") or {}).items()
        },
        "versions": versions,
        "machines": list(machines.values()),
        "data": {task: value for each in about.values() for task, value in (each.get("data") or {}).items()},
        "left_out": _left_out(about, labels),
    }


def _provenance(sources: Mapping[str, SweepTables], notes: list[str], labels: set[str]) -> dict[str, Any]:
    """Return what the folders have in common as it is, and what differs by folder."""
    about = {name: tables.provenance for name, tables in sources.items()}
    return {
        **of_all(about, labels),
        "sweep": "\n".join(f"# {name}\n{value.get('sweep', '')}" for name, value in about.items()),
        "revision": {name: value.get("revision", "none") for name, value in about.items()},
        "runs": [{"folder": name, **run} for name, value in about.items() for run in value.get("runs") or []],
        "compare": _compare(about, labels),
        "merged": notes,
        **combined(about),
    }
