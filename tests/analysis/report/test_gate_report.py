"""A gate's sides in pairs, its figure, and its answer as Markdown, JSON and page."""

import dataclasses
import json

import numpy as np
import pytest

from analysis.errors import AnalysisError
from analysis.figures.gate import gate_figure
from analysis.report.gate import HEADER, Account, as_json, markdown, rows, sentence, write_page
from analysis.statistics.percentiles import Yardstick
from analysis.statistics.sequential import Plan, decide, decide_cost
from analysis.statistics.sides import ALL_TASKS, percentile_curves, percentile_differences, second_ratios

PLAN = Plan(looks=(5,))
STICK = Yardstick(np.arange(100.0), 1.0)
"""By which a loss of 20 or 20.5 is beaten by a fifth of all searches with the whole budget."""
STICKS = {"a_1": STICK, "b|2": STICK}


@pytest.fixture
def side(rows, make):
    """A function that makes a side: two tasks, repetitions that end with a given loss, found halfway."""

    def made(loss, *, repetitions=5, seconds=1.0):
        told = [
            row | {"ask_seconds": seconds}
            for task in ("a_1", "b|2")
            for number in range(repetitions)
            for row in rows(task, "tpe", number, [99.5, loss, None, loss + 5])
        ]
        return make(told, {task: {"budget_amount": 4} for task in STICKS})

    return made


def account_of(one, other):
    quality = decide(percentile_differences(one, other, "tpe", STICKS), PLAN, 1)
    costs = {"seconds of ask and tell": decide_cost(second_ratios(one, other, "tpe"), PLAN, 1)}
    return Account(
        "tpe", "worse", "1.0", "2.0", PLAN, 5, quality, (0.2, 0.9), costs, versions={"tpe": ("1.0", "2.0")}
    )


def test_differences_are_of_percentiles_in_pairs(side):
    pairs = percentile_differences(side(19.5), side(49.5), "tpe", STICKS)
    assert list(pairs.columns) == ["task", "repetition", "baseline", "candidate", "difference"]
    assert len(pairs) == 10
    assert pairs["baseline"].to_numpy() == pytest.approx(np.full(10, 0.2))
    assert pairs["difference"].to_numpy() == pytest.approx(np.full(10, 0.3))


def test_what_has_no_partner_is_refused(side):
    with pytest.raises(AnalysisError, match="'a_1', repetition 4, is finished in the baseline only"):
        percentile_differences(side(20), side(20, repetitions=4), "tpe", STICKS)
    with pytest.raises(AnalysisError, match="no study is finished"):
        second_ratios(side(20), side(20), "other")


def test_curves_are_of_both_sides_by_task_and_over_all(side):
    curves = percentile_curves(side(19.5), side(49.5), "tpe", STICKS)

    def at(cost):
        return curves[np.isclose(curves["cost"], cost)].set_index(["task", "side"])["mean"].to_dict()

    both = {"baseline": 0.2, "candidate": 0.5}
    ends = {(task, name): value for task in (ALL_TASKS, *STICKS) for name, value in both.items()}
    assert at(1) == pytest.approx(ends)
    # Half a search finds less than the same values half the time: 1 − √(1 − q).
    assert at(0.5) == pytest.approx({key: 1 - (1 - value) ** 0.5 for key, value in ends.items()})
    assert set(at(0.25).values()) == {1.0}
    assert set(at(0.24).values()) == {0.5}  # nobody has anything


def test_the_answer_reads_the_same_everywhere(side, tmp_path):
    one, other = side(9.5), side(89.5, seconds=3.9)
    account = account_of(one, other)
    said = sentence(account)
    assert said.startswith(
        "tpe: the candidate (2.0) searches worse than the baseline (1.0) by more than the margin of 0.05."
    )
    assert (
        "as random search would with × 0.11 its budget (percentile 0.9), the baseline with × 4 (0.2)." in said
    )
    assert "It costs more than the margin allows: seconds of ask and tell × 3.9." in said
    text = markdown(account, "gate.png")
    assert text.startswith("**Worse.** tpe: the candidate")
    assert text.count("| percentile, ") == 3
    assert "| percentile, b\\|2 |" in text
    assert "](gate.png)" in text
    assert "tpe 1.0 → 2.0" in text
    whole = json.loads(json.dumps(as_json(account)))
    assert whole["quality"]["overall"]["verdict"] == "worse"
    assert whole["quality"]["tasks"]["a_1"]["estimate"] == pytest.approx(0.8)
    assert whole["sentence"] == said
    plot = gate_figure(percentile_curves(one, other, "tpe", STICKS), account.quality, "tpe")
    page = write_page(account, plot, tmp_path).read_text()
    assert all(cell in page for row in rows(account) for cell in row)
    assert {path.name for path in (tmp_path / "figures").iterdir()} == {
        f"gate.{e}" for e in ("pdf", "svg", "png", "csv")
    }
    assert (plot.data["side"] == "difference").sum() == 3


def test_identical_proposals_need_no_figure(side, tmp_path):
    account = dataclasses.replace(account_of(side(20), side(20)), outcome="identical", quality=None, costs={})
    assert "proposes what the baseline (1.0) proposes" in sentence(account)
    assert rows(account) == []
    assert "| ---" not in markdown(account)
    assert "identical" in write_page(account, None, tmp_path).read_text()
    assert len(HEADER) == 6


def test_a_task_that_is_worse_by_itself_is_named(side):
    plan = Plan(looks=(40,), margin=0.5)
    pairs = percentile_differences(side(0, repetitions=40), side(0, repetitions=40), "tpe", STICKS)
    pairs.loc[pairs["task"] == "a_1", "difference"] = 0.95
    account = dataclasses.replace(account_of(side(20), side(20)), quality=decide(pairs, plan, 1), plan=plan)
    assert sentence(account).endswith("By itself it is worse by more than the margin on a_1.")
