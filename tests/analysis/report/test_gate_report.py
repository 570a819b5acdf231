"""A gate's sides in pairs, its figure, and its answer as Markdown, JSON and page."""

import dataclasses
import json

import numpy as np
import pytest

from analysis.errors import AnalysisError
from analysis.figures.gate import gate_figure
from analysis.report.gate import HEADER, Account, as_json, markdown, rows, sentence, write_page
from analysis.statistics.inputs import prepare
from analysis.statistics.sequential import Plan, decide, decide_cost
from analysis.statistics.sides import ALL_TASKS, regret_curves, regret_differences, second_ratios

PLAN = Plan(looks=(5,), margin=0.1)


@pytest.fixture
def side(rows, make):
    """A function that makes a side: two tasks, five repetitions, regret 1 and then a given one."""

    def made(regret, *, repetitions=5, references=(0.0, 2.0), seconds=1.0):
        told = [
            row | {"ask_seconds": seconds}
            for task in ("a_1", "b|2")
            for number in range(repetitions)
            for row in rows(task, "tpe", number, [2.0, 2 * regret, None, 2.5])
        ]
        best, reference = references
        task = {"regret_best": best, "regret_reference": reference, "budget_amount": 4}
        return prepare(make(told, {"a_1": task, "b|2": task}))

    return made


def account_of(one, other):
    quality = decide(regret_differences(one, other, "tpe"), PLAN, 1)
    costs = {"seconds of ask and tell": decide_cost(second_ratios(one.tables, other.tables, "tpe"), PLAN, 1)}
    return Account("tpe", "worse", "1.0", "2.0", PLAN, 5, quality, costs, versions={"tpe": ("1.0", "2.0")})


def test_differences_are_of_regret_in_pairs(side):
    pairs = regret_differences(side(0.2), side(0.5), "tpe")
    assert list(pairs.columns) == ["task", "repetition", "baseline", "candidate", "difference"]
    assert len(pairs) == 10
    assert pairs["difference"].to_numpy() == pytest.approx(np.full(10, 0.3))
    over = regret_differences(side(0.2), side(0.5), "tpe", "anytime")
    assert over["difference"].to_numpy() == pytest.approx(
        np.full(10, 0.3 / 2)
    )  # regret 1 up to the second of four


def test_regret_stays_within_0_and_1(side):
    pairs = regret_differences(side(0.2), side(0.2, references=(1.0, 1.5)), "tpe")
    assert set(pairs["candidate"]) == {0.0}


def test_what_has_no_partner_or_no_scale_is_refused(side):
    with pytest.raises(AnalysisError, match="'a_1', repetition 4, is finished in the baseline only"):
        regret_differences(side(0.2), side(0.2, repetitions=4), "tpe")
    with pytest.raises(AnalysisError, match="no study is finished"):
        second_ratios(side(0.2).tables, side(0.2).tables, "other")
    with pytest.raises(AnalysisError, match="'a_1' declares no references"):
        regret_differences(side(0.2), side(0.2, references=(np.nan, np.nan)), "tpe")


def test_curves_are_of_both_sides_by_task_and_over_all(side):
    curves = regret_curves(side(0.2), side(0.5), "tpe")
    ends = curves[curves["cost"] == 1].set_index(["task", "side"])["mean"]
    assert ends.to_dict() == pytest.approx(
        {
            (task, name): value
            for task in (ALL_TASKS, "a_1", "b|2")
            for name, value in (("baseline", 0.2), ("candidate", 0.5))
        }
    )
    assert (curves.loc[curves["cost"] < 0.5, "mean"] == 1).all()


def test_the_answer_reads_the_same_everywhere(side, tmp_path):
    one, other = side(0.2), side(0.9, seconds=3.0)
    account = account_of(one, other)
    said = sentence(account)
    assert said.startswith(
        "tpe: the candidate (2.0) searches worse than the baseline (1.0) by more than the margin of 0.1."
    )
    assert "It costs more than the margin allows: seconds of ask and tell × 3." in said
    text = markdown(account, "gate.png")
    assert text.startswith("**Worse.** tpe: the candidate")
    assert text.count("| regret, ") == 3
    assert "| regret, b\\|2 |" in text
    assert "](gate.png)" in text
    assert "tpe 1.0 → 2.0" in text
    whole = json.loads(json.dumps(as_json(account)))
    assert whole["quality"]["overall"]["verdict"] == "worse"
    assert whole["quality"]["tasks"]["a_1"]["estimate"] == pytest.approx(0.7)
    assert whole["sentence"] == said
    plot = gate_figure(regret_curves(one, other, "tpe"), account.quality, "tpe")
    page = write_page(account, plot, tmp_path).read_text()
    assert all(cell in page for row in rows(account) for cell in row)
    assert {path.name for path in (tmp_path / "figures").iterdir()} == {
        f"gate.{e}" for e in ("pdf", "svg", "png", "csv")
    }
    assert (plot.data["side"] == "difference").sum() == 3


def test_identical_proposals_need_no_figure(side, tmp_path):
    account = dataclasses.replace(
        account_of(side(0.2), side(0.2)), outcome="identical", quality=None, costs={}
    )
    assert "proposes what the baseline (1.0) proposes" in sentence(account)
    assert rows(account) == []
    assert "| ---" not in markdown(account)
    assert "identical" in write_page(account, None, tmp_path).read_text()
    assert len(HEADER) == 6


def test_a_task_that_is_worse_by_itself_is_named(side):
    plan = Plan(looks=(40,), margin=0.5)
    pairs = regret_differences(side(0.0, repetitions=40), side(0.0, repetitions=40), "tpe")
    pairs.loc[pairs["task"] == "a_1", "difference"] = 0.95
    account = dataclasses.replace(account_of(side(0.2), side(0.2)), quality=decide(pairs, plan, 1), plan=plan)
    assert sentence(account).endswith("By itself it is worse by more than the margin on a_1.")
