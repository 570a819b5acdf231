"""Whether imported rows, and what is said of them, hold together."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any, Final

import pandas as pd

from harness.document import check_legible
from results.imports.runs import Facts, Problems, Runs, Said

_MOST_CHARACTERS: Final = {"task": 80, "method": 40}


def check_labels(rows: pd.DataFrame, problems: Problems) -> None:
    """Find labels that a page or a figure could not show."""
    for field, most in _MOST_CHARACTERS.items():
        for label, own in rows.groupby(field, sort=True)["where"]:
            text, place = str(label), str(own.iloc[0])
            try:
                check_legible(text)
            except ValueError as error:
                problems.add(f"{place}, {field} {text[:80]!r}: {error}")
            else:
                if len(text) > most:
                    problems.add(
                        f"{place}, {field} {text[:80]!r}: expected up to {most} characters, got {len(text)}"
                    )


def check_steps(rows: pd.DataFrame, problems: Problems) -> None:
    """Find evaluations that are there twice, or go on with what is not known."""
    run = ["task", "method", "repetition"]
    twice = rows[rows.duplicated([*run, "step"], keep=False)].sort_values([*run, "step"], kind="stable")
    problems.rows(
        "each step of a run must be there once (is the column of the repetition missing?)",
        [
            f"{where}, {method} on {task}, repetition {repetition}, step {step}"
            for where, task, method, repetition, step in twice[["where", *run, "step"]].itertuples(
                index=False
            )
        ],
    )
    unknown = rows[rows.duplicated([*run, "trial"]) & (rows["epochs"] == 0)]
    problems.rows(
        "a trial that is there again was continued, and needs its epochs",
        [f"{where}, trial {trial}" for where, trial in unknown[["where", "trial"]].itertuples(index=False)],
    )


def facts_of(rows: pd.DataFrame, parts: Sequence[Runs], said: Said, problems: Problems) -> dict[str, Facts]:
    """Return what is known of each task, from its sources and from whoever imports them."""
    labels = [str(task) for task in sorted(set(rows["task"]))]
    for task in sorted(set(said.facts) - {"", *labels}):
        problems.add(f"something is said of the task {task!r}, and there is none; tasks: {', '.join(labels)}")
    result = {}
    for task in labels:
        own: dict[str, Any] = {}
        for field in dataclasses.fields(Facts):
            found = [getattr(part.facts.get(task, Facts()), field.name) for part in parts]
            known = list(dict.fromkeys(value for value in found if value not in ("", None)))
            stated = [getattr(said.facts.get(key, Facts()), field.name) for key in (task, "")]
            stated = [value for value in stated if value not in ("", None)][:1]
            if len(known) > 1 and not stated:
                problems.add(f"task {task!r}: the sources say different things of its {field.name}: {known}")
            if field.name == "direction" and stated and known and stated != known:
                problems.add(
                    f"task {task!r}: its source says that its direction is {known[0]}, not {stated[0]}"
                )
            own[field.name] = next(iter([*stated, *known]), field.default)
        facts = Facts(**own)
        if not facts.direction:
            problems.add(
                f"task {task!r}: it is not known whether smaller or larger values are better; say --direction min or "
                f"--direction max, or of one task --direction '{task}=min'"
            )
        _check_references(task, facts, problems)
        result[task] = dataclasses.replace(facts, metric=facts.metric or "value")
    return result


def _check_references(task: str, facts: Facts, problems: Problems) -> None:
    best, reference = facts.best, facts.reference
    if best is None and reference is None:
        return
    if best is None or reference is None:
        lacking = "best" if best is None else "reference"
        problems.add(
            f"task {task!r}: regret needs both a best and a reference value; its {lacking} is not said"
        )
    elif not (math.isfinite(best) and math.isfinite(reference)) or (
        facts.direction and not (best < reference if facts.direction == "min" else best > reference)
    ):
        problems.add(
            f"task {task!r}: expected a best value that is better than the reference (direction "
            f"{facts.direction or 'unknown'}), both finite, got best {best:g} and reference {reference:g}"
        )
