"""How faithful a replay is: against numbers computed by hand."""

import math
from dataclasses import dataclass

import numpy as np
import pytest

from analysis.statistics.faithfulness import ceiling, races_agree, values_agree
from analysis.statistics.scores import TaskScores


def test_values_by_hand():
    trained = np.array([[1.0, 3.0], [3.0, 5.0], [6.0, 6.0], [7.0, 9.0]])  # means 2, 4, 6, 8
    said = np.array([2.5, 6.0, 5.0, 8.0])
    found = values_agree(trained, said, 2.0)
    assert (found["configurations"], found["seeds"], found["spread"]) == (4, 2, 2.0)
    assert found["spearman"] == pytest.approx(0.8)  # ranks 1 3 2 4: 1 - 6 · 2 / (4 · 15)
    assert found["kendall"] == pytest.approx(2 / 3)  # five pairs agree, one does not
    assert found["error"] == pytest.approx(math.sqrt((0.25 + 4 + 1 + 0) / 4) / 2)
    assert found["median_error"] == pytest.approx(0.75 / 2)
    assert found["bias"] == pytest.approx((0.5 + 2 - 1 + 0) / 4 / 2)
    assert found["error_ceiling"] == pytest.approx(math.sqrt(0.5))
    # The best tenth is one configuration: nothing to correlate, and an error of its own.
    assert (found["best_spearman"], found["best_kendall"]) == (None, None)
    assert (found["best_error"], found["best_bias"]) == (0.25, 0.25)


def test_the_best_tenth_is_by_what_was_trained():
    trained = np.arange(40.0)[:, None]
    said = np.concatenate([[3.0, 2.0, 1.0, 0.0], np.arange(4.0, 40.0)])
    found = values_agree(trained, said, 1.0)
    assert found["best_spearman"] == found["best_kendall"] == -1.0
    assert found["best_error"] == pytest.approx(math.sqrt((9 + 1 + 1 + 9) / 4))
    assert found["spearman"] > 0.99


def test_what_cannot_be_computed_is_none():
    constant = values_agree(np.ones((5, 2)), np.arange(5.0), 1.0)
    assert constant["spearman"] is constant["kendall"] is constant["ceiling"] is None
    unknown = values_agree(np.arange(5.0)[:, None], np.arange(5.0), 0.0)
    assert unknown["spearman"] == pytest.approx(1.0)
    for name in ("error", "median_error", "bias", "best_error", "ceiling"):
        assert unknown[name] is None, name
    two = values_agree(np.array([[1.0], [2.0]]), np.array([1.0, 2.0]), 1.0)
    assert two["spearman"] is None


def test_the_ceiling_falls_with_the_noise():
    generator = np.random.default_rng(0)
    true, noise = generator.standard_normal(400), generator.standard_normal((400, 8))

    def of(size, alike=0.0):
        return ceiling(true[:, None] + size * noise + alike * np.arange(8.0))

    assert of(0.0) == pytest.approx(1.0)
    # Means over eight seeds, of normal values, with a noise as large as they are: for normal values Spearman's
    # correlation is 6/π arcsin(ρ/2) of Pearson's ρ. The noise of means that stand for true ones makes it larger.
    assert of(math.sqrt(8)) == pytest.approx(6 / math.pi * math.asin(math.sqrt(2 / 3) / 2), abs=0.03)
    assert of(0.3) > of(0.9) > of(3.0)
    assert of(0.9, alike=5.0) == pytest.approx(of(0.9)), "what a seed does to all of them changes no rank"
    assert ceiling(true[:, None]) is None


def test_the_ceiling_knows_that_bad_configurations_scatter_most():
    """Noise of the worst, far from all others, changes no rank; pooled over all it would."""
    losses = np.concatenate([np.arange(20.0), [1000.0]])
    trained = np.stack([losses, losses], axis=1)
    trained[-1] += [-100.0, 100.0]
    assert ceiling(trained) > 0.99


@dataclass
class Race:
    """As much of a comparison as is asked for."""

    scores: dict


def race(losses, searchers="abc", repetitions=None):
    losses = np.array(losses)
    scores = TaskScores(
        task="t",
        measure="test",
        metric="test_loss",
        searchers=tuple(searchers),
        repetitions=tuple(repetitions or range(len(losses))),
        losses=losses,
        regrets=None,
        anytime=None,
    )
    return Race({"t": scores})


def test_races_by_hand():
    trained = race([[1.0, 2.0, 3.0]] * 5 + [[2.0, 1.0, 3.0]] * 5)
    replayed = race([[1.5, 2.0, 3.0]] * 10)
    found = races_agree(trained, replayed)
    assert found["repetitions"] == 10
    ranks = {name: (each["rank"], each["replayed_rank"]) for name, each in found["methods"].items()}
    assert ranks == {"a": (1.5, 1.0), "b": (1.5, 2.0), "c": (3.0, 3.0)}
    assert found["largest"] == 0.5
    assert found["spearman"] == pytest.approx(math.sqrt(0.75))
    # In common in every repetition: of ½, 0 and 0 as of -½, 1 and 0.
    assert found["shift"] == pytest.approx(1 / 6)
    differences = {name: each["difference"] for name, each in found["methods"].items()}
    common = found["shift"]
    assert differences == pytest.approx({"a": 0.0 - common, "b": 0.5 - common, "c": 0.0 - common})
    a, c = (found["methods"][name] for name in "ac")
    assert a["low"] < a["difference"] < 0.0 < a["high"]
    # Of c the same is taken every time: its interval is a point beside 0, and so it is off.
    assert c["low"] == c["difference"] == c["high"] == pytest.approx(-common)
    assert found["off"] == 1 + (found["methods"]["b"]["low"] > 0)


def test_a_shift_of_all_methods_is_no_difference_between_them():
    trained = race([[1.0, 2.0, 3.0], [2.0, 1.0, 3.0]] * 5)
    replayed = Race({"t": race(np.array([[1.0, 2.0, 3.0], [2.0, 1.0, 3.0]] * 5) + 0.25).scores["t"]})
    found = races_agree(trained, replayed)
    assert (found["shift"], found["off"], found["largest"]) == (0.25, 0, 0.0)
    assert {each["difference"] for each in found["methods"].values()} == {0.0}


def test_of_few_repetitions_there_is_no_interval():
    found = races_agree(race([[1.0, 2.0, 3.0]] * 4), race([[3.0, 2.0, 1.0]] * 4))
    assert found["off"] is None
    assert found["methods"]["a"]["low"] is None
    assert found["methods"]["a"]["difference"] == 2.0


def test_only_what_is_in_both_races_is_compared():
    """A method or repetition that one of them lacks changes no rank of the other."""
    trained = race([[1.0, 2.0, 3.0, 0.0]] * 6, "abcz", range(6))
    replayed = race([[9.0, 9.0, 9.0]] + [[1.0, 2.0, 3.0]] * 5, "abc", range(1, 7))
    found = races_agree(trained, replayed)
    assert found["repetitions"] == 5
    assert {name: each["rank"] for name, each in found["methods"].items()} == {"a": 1.0, "b": 2.0, "c": 3.0}
    assert found["methods"]["a"]["replayed_rank"] == pytest.approx((2 + 1 * 4) / 5)


def test_a_study_without_a_success_is_off_and_spoils_no_other():
    trained = race([[1.0, 2.0, math.inf]] + [[1.0, 2.0, 3.0]] * 5)
    replayed = race([[1.0, 2.0, 3.0]] * 6)
    found = races_agree(trained, replayed)
    assert found["spearman"] == pytest.approx(1.0)
    assert found["methods"]["c"]["difference"] is None
    assert found["methods"]["a"]["difference"] == 0.0
    assert (found["shift"], found["off"]) == (0.0, 1)
    both = races_agree(trained, trained)
    assert both["off"] == 0
    assert [each["difference"] for each in both["methods"].values()] == [0.0, 0.0, 0.0]
