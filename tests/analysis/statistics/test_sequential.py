"""Sequential decisions: errors over all looks, bounds that hold, refusals."""

import math

import numpy as np
import pandas as pd
import pytest

from analysis.errors import AnalysisError
from analysis.statistics.sequential import SHARES, Plan, Verdict, decide, decide_cost, upper_bound

PLAN = Plan(looks=(5, 10, 20, 40), margin=0.1)


def frame(values, column="difference"):
    """Rows of differences of shape (tasks, repetitions)."""
    return pd.concat(
        [
            pd.DataFrame({"task": f"task {task}", "repetition": range(len(own)), column: own})
            for task, own in enumerate(values)
        ],
        ignore_index=True,
    )


def after(values, look, plan=PLAN):
    """What is decided at a look of values of shape (tasks, repetitions)."""
    return decide(frame(np.asarray(values)[:, : plan.looks[look - 1]]), plan, look)


def verdict(values, plan=PLAN):
    """The verdict of a gate on values of shape (tasks, repetitions)."""
    looks = range(1, len(plan.looks) + 1)
    return next(found for look in looks if (found := after(values, look, plan).verdict) is not None)


def test_the_bound_of_zeros_is_where_the_bet_has_won_enough():
    bound = upper_bound(np.zeros(50), 0.05)
    capital = np.mean([(1 + share * bound / (1 - bound)) ** 50 for share in SHARES])
    assert capital == pytest.approx(20, rel=1e-6)


def test_bounds_are_mirrored_and_hold_the_mean():
    values = np.random.default_rng(0).uniform(-0.4, 0.9, (3, 5))
    one, other = after(values, 1).overall, after(-values, 1).overall
    assert (one.low, one.high) == pytest.approx((-other.high, -other.low))
    assert -1 <= one.low < one.estimate < one.high <= 1
    assert after(np.ones((2, 5)), 1).overall.high == 1.0


def test_order_plays_no_part():
    values = np.random.default_rng(0).uniform(-0.4, 0.9, (3, 10))
    rows = frame(values)
    assert decide(rows.sample(frac=1, random_state=0), PLAN, 2).overall.high == pytest.approx(
        decide(rows, PLAN, 2).overall.high
    )


def test_five_equal_differences_decide_nothing_and_a_large_one_does():
    assert after(np.zeros((1, 5)), 1).verdict is None
    assert verdict(np.zeros((3, 40))) is Verdict.NOT_WORSE
    assert verdict(np.full((3, 40), 0.5)) is Verdict.WORSE
    assert verdict(np.full((3, 40), 0.1)) is Verdict.UNDECIDED


def test_a_task_is_judged_at_a_share_of_the_level():
    values = np.zeros((4, 40))
    values[2] = 0.9
    decision = after(values, 4)
    assert decision.overall.verdict is Verdict.WORSE
    assert [own.verdict for own in decision.tasks.values()] == [
        Verdict.UNDECIDED,
        Verdict.UNDECIDED,
        Verdict.WORSE,
        Verdict.UNDECIDED,
    ]
    assert {own.level for own in decision.tasks.values()} == {PLAN.level / 4}
    assert decision.tasks["task 2"].low == pytest.approx(-upper_bound(np.full(40, -0.9), PLAN.level / 4))


def rare(random, shape):
    """Failures that cost everything, in a tenth of all studies: a mean of the margin."""
    return (random.random(shape) < PLAN.margin).astype(float)


def unlike(random, shape):
    """Tasks of which one gets much worse and the others better, with many ties: a mean of the margin."""
    means = np.linspace(-0.5, 0.5, shape[0])[:, None]
    ties = random.random(shape) < 0.5
    return np.where(ties, PLAN.margin, np.clip(PLAN.margin + 2 * means * random.random(shape), -1, 1))


@pytest.mark.parametrize(("draw", "tasks"), [(rare, 1), (unlike, 4)])
def test_at_the_margin_either_verdict_is_as_rare_as_the_level_says(draw, tasks):
    random = np.random.default_rng(0)
    found = [verdict(draw(random, (tasks, 40))) for _ in range(40)]
    # Of 40 gates at 5 %, 7 or more happen once in three hundred.
    assert sum(one is Verdict.NOT_WORSE for one in found) < 7
    assert sum(one is Verdict.WORSE for one in found) < 7


def searches(random, worth):
    """Percentiles of searches on eight tasks, each worth a random search with so many times the budget."""
    return 1 - (1 - random.random((8, Plan().looks[-1]))) ** (1 / worth)


@pytest.mark.parametrize(
    ("worth", "fewest", "found"),
    [
        (3, 12, Verdict.NOT_WORSE),  # the same method with other seeds: percentile 0.25
        (1, 12, Verdict.WORSE),  # random search in its place: 0.5
        (1.8, 11, Verdict.WORSE),  # between them: 0.36
        (7 / 3, 10, Verdict.UNDECIDED),  # worse by the margin: 0.3
    ],
)
def test_a_gate_by_default_tells_a_method_from_a_worse_one(worth, fewest, found):
    random = np.random.default_rng(0)
    verdicts = [verdict(searches(random, worth) - searches(random, 3), Plan()) for _ in range(12)]
    assert verdicts.count(found) >= fewest


def test_a_cost_is_judged_by_its_factor():
    random = np.random.default_rng(0)
    noise = np.exp(0.1 * random.standard_normal((3, 40)))
    plan = Plan(looks=(40,))
    same, twice = (decide_cost(frame(factor * noise, "ratio"), plan, 1) for factor in (1, 2))
    assert same.verdict is Verdict.NOT_WORSE
    assert twice.verdict is Verdict.WORSE
    assert twice.overall.estimate == pytest.approx(2 * same.overall.estimate)
    assert twice.margin == plan.cost_margin < twice.overall.low < 2
    hiccup = noise.copy()
    hiccup[0, 0] = 1e6
    capped = decide_cost(frame(hiccup, "ratio"), plan, 1).overall.estimate
    assert capped < same.overall.estimate * math.exp(math.log(6) / 120)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda rows: rows.iloc[1:], "same 5 repetitions of every task, got 'task 0' 4"),
        (lambda rows: pd.concat([rows, rows.iloc[:1]]), "counts once, got twice task 'task 0', repetition 0"),
        (lambda rows: rows.assign(difference=1.5), "within -1 and 1, got task 'task 0'"),
        (lambda rows: rows.assign(difference=math.nan), "within -1 and 1"),
        (lambda rows: rows.iloc[:0], "got none"),
        (lambda rows: rows.assign(repetition=rows["repetition"] + 9 * (rows["task"] == "task 1")), "same 5"),
    ],
)
def test_what_is_no_look_is_refused(change, said):
    with pytest.raises(AnalysisError, match=said):
        decide(change(frame(np.zeros((2, 5)))), PLAN, 1)


def test_costs_that_are_none_are_refused():
    with pytest.raises(AnalysisError, match="positive and finite, got task 'task 0'"):
        decide_cost(frame(np.zeros((1, 5)), "ratio"), PLAN, 1)
    with pytest.raises(AnalysisError, match="looks 1 to 4, got 5"):
        decide(frame(np.zeros((1, 40))), PLAN, 5)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"looks": (10, 5)}, "rising"),
        ({"looks": ()}, "rising"),
        ({"margin": 0}, "inside \\(0, 1\\), got 0"),
        ({"cost_margin": 1}, "factor inside"),
        ({"level": 0.5}, "level must lie inside"),
    ],
)
def test_plans_that_are_none_are_refused(fields, said):
    with pytest.raises(AnalysisError, match=said):
        Plan(**fields)
