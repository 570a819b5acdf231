"""Where two sides part: which trial, which parameter, which values."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pandas as pd

from analysis.statistics.proposals import NOTHING, Parting, compared
from results.tables import SweepTables

Proposals = Mapping[tuple[str, int], list[tuple[dict[str, Any], int]]]


def tables(proposals: Proposals) -> SweepTables:
    """Return the tables of studies by task and repetition, each a list of configurations and epochs."""
    rows = [
        (task, repetition, step, json.dumps(config), epochs)
        for (task, repetition), study in proposals.items()
        for step, (config, epochs) in enumerate(study, start=1)
    ]
    trials = pd.DataFrame(rows, columns=["task", "repetition", "step", "config", "epochs"])
    tasks = pd.DataFrame(index=pd.Index(dict.fromkeys(task for task, _ in proposals)))
    return SweepTables("made", trials, pd.DataFrame(), tasks, {}, pd.DataFrame)


A, B = {"lr": 0.1, "units": 3}, {"lr": 0.1, "units": 4}


def test_equal_proposals_are_identical():
    sweep = {("b", 0): [(A, 9), (B, 9)], ("a", 0): [(A, 9)]}
    found = compared(tables(sweep), tables(sweep))
    assert found.identical
    assert (found.compared, found.equal, found.partings) == (3, 3, ())


def test_the_first_parting_of_each_task_is_named():
    baseline = {
        ("b", 0): [(A, 9), (A, 9)],
        ("b", 1): [(A, 9), (B, 9)],
        ("a", 0): [(A, 9)],
        ("c", 0): [(A, 9)],
    }
    candidate = {
        ("b", 0): [(A, 9), (A, 9)],
        ("b", 1): [(B, 9), (A, 9)],
        ("a", 0): [(A, 3)],
        ("c", 0): [(A, 9)],
    }
    found = compared(tables(baseline), tables(candidate))
    assert not found.identical
    assert (found.compared, found.equal) == (6, 3)
    assert found.partings == (Parting("b", 1, 1, "units", 3, 4), Parting("a", 0, 1, "epochs", 9, 3))


def test_a_side_that_ends_earlier_parts_there():
    found = compared(tables({("a", 0): [(A, 9), (B, 9)]}), tables({("a", 0): [(A, 9)]}))
    assert not found.identical
    assert found.partings == (Parting("a", 0, 2, "lr", 0.1, NOTHING),)


def test_a_parameter_of_one_side_alone_is_named():
    found = compared(tables({("a", 0): [({"lr": 0.1}, 9)]}), tables({("a", 0): [(A, 9)]}))
    assert found.partings == (Parting("a", 0, 1, "units", NOTHING, 3),)


def test_nothing_is_not_identical():
    found = compared(tables({("a", 0): []}), tables({("a", 0): []}))
    assert not found.identical
