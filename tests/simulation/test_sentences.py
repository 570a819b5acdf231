"""Does the report claim what is not so? From tables with a known truth to its sentences and LaTeX tables.

`rates.py` prints the rates of many more settings and data sets. Here a bound is the level plus three simulation errors,
``3 √(p (1 - p) / n)``; seeds are fixed, so that a pass stays a pass.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

sys.path.append(str(Path(__file__).parents[1] / "analysis"))

from sweeps import Claims, Setting, comparison_of, draw, losses_of, printed, quick, read, report

from analysis.statistics.significance import ALPHA

DATASETS = 120
MIXED = {"ties": 1.0, "failures": 0.1, "awful": 0.05}
BOUND = ALPHA + 3 * np.sqrt(ALPHA * (1 - ALPHA) / DATASETS)


def rates(setting: Setting, datasets: int = DATASETS) -> dict[str, float]:
    """How often something false is claimed over tasks, and within tasks, nothing is, and the better method is."""
    rows = [quick(setting, seed)[0] for seed in range(datasets)]
    return {
        "over": float(np.mean([own.false(setting.better)[0] for own in rows])),
        "within": float(np.mean([own.false(setting.better)[1] for own in rows])),
        "silent": float(np.mean([own.silent for own in rows])),
        "found": float(np.mean([any(a == setting.better for a, _ in own.better) for own in rows])),
    }


@pytest.mark.slow
@pytest.mark.parametrize("more", [{}, MIXED], ids=["plain", "ties, failures and awful values"])
@pytest.mark.parametrize(("methods", "tasks", "repetitions"), [(2, 8, 5), (3, 12, 1), (8, 12, 3)])
def test_no_leader_is_shown_better_where_all_methods_are_alike(methods, tasks, repetitions, more):
    own = rates(Setting(methods, tasks, repetitions, interaction=0.0, **more))
    assert own["over"] <= BOUND
    assert own["silent"] > 0.8


@pytest.mark.slow
@pytest.mark.parametrize("baseline", [True, False])
def test_no_difference_is_shown_within_tasks_where_all_methods_are_alike(baseline):
    own = rates(Setting(3, 5, 10, interaction=0.0, baseline=baseline, **MIXED))
    assert own["within"] <= BOUND
    assert (own["over"], own["silent"]) == (0.0, 1.0)  # five tasks cannot show anything over tasks


@pytest.mark.slow
@pytest.mark.parametrize("more", [{}, MIXED], ids=["plain", "ties, failures and awful values"])
def test_a_method_that_is_better_is_found_and_no_other(more):
    own = rates(Setting(3, 12, 5, shift=1.5, **more))
    assert own["found"] > 0.7  # measured: 0.8 with everything mixed in
    assert own["over"] <= BOUND


@pytest.mark.slow
@pytest.mark.parametrize(
    "setting",
    [
        Setting(3, 8, 5, shift=1.5),
        Setting(3, 12, 5, shift=2.0, **MIXED),
        Setting(2, 5, 10, shift=2.0, interaction=0.0),
        Setting(3, 5, 10, shift=2.0, interaction=0.0, baseline=True),
    ],
)
def test_the_page_and_its_latex_tables_claim_the_same(setting):
    """The whole summary, of tables as they are read, on tasks of unlike scales and directions."""
    found = []
    for seed in range(3):
        made = report(draw(setting, seed))
        claims, table = read(made, setting.names), printed(made, setting.names)
        expected, tasks = quick(setting, seed)
        assert claims == expected
        assert list(table.tasks.values()) == tasks
        if len(claims.leaders) == 1:
            (leader,) = claims.leaders
            marked = {b if a == leader else a for a, b in claims.better if leader in (a, b)}
            assert (table.over or set()) == marked
        found.append(len(claims.better) + len(claims.within))
    assert max(found) > 0  # else nothing was compared


def test_a_task_of_another_unit_changes_no_claim():
    for seed in range(5):
        plain = Setting(3, 8, 5, shift=1.5, scales=0.0, **MIXED)
        assert quick(plain, seed) == quick(replace(plain, scales=9.0), seed)


def test_another_method_changes_no_test_of_a_pair():
    """All that may change is the correction: the p-values of the pair before it are the same."""
    setting = Setting(4, 8, 5, shift=1.5, **MIXED)
    whole = comparison_of(setting, losses_of(setting, 1)).final.pairs.set_index(["first", "second"])
    fewer = replace(setting, methods=3)
    part = comparison_of(fewer, losses_of(setting, 1)[:, :, :3]).final.pairs.set_index(["first", "second"])
    for pair in part.index:
        assert part.loc[pair, ["wins", "losses", "effect", "p"]].tolist() == (
            whole.loc[pair, ["wins", "losses", "effect", "p"]].tolist()
        )


def test_what_is_false_is_counted():
    claims = Claims(frozenset({("b", "a")}), frozenset({("t", "a", "b")}), frozenset({"b"}))
    assert claims.false(None) == (True, True)
    assert claims.false("b") == (False, True)
    assert claims.false("a") == (True, False)
