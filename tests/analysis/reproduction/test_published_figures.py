"""Published figures beside ours: intervals against their textbook values, verdicts, tables per class."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn.metrics import precision_recall_fscore_support

from analysis.reproduction.published import (
    NOT_COMPARABLE,
    OTHER_MACHINE,
    measured,
    per_class,
    spread,
    verdict,
)


def test_intervals_by_hand():
    own = spread(np.array([1.0, 2.0, 3.0, 4.0]))
    half = 3.182446 * 1.290994  # Student's t of 3 degrees of freedom, standard deviation
    assert (own.count, own.mean) == (4, 2.5)
    assert own.high - own.mean == pytest.approx(half / 2, rel=1e-6)
    assert own.mean - own.run_low == pytest.approx(half * math.sqrt(1.25), rel=1e-6)


def test_the_interval_of_one_run_holds_one_further_run_in_95_of_100_cases():
    random = np.random.default_rng(3)
    samples, further = random.normal(size=(4000, 4)), random.normal(size=4000)
    held = [s.run_low <= x <= s.run_high for s, x in zip(map(spread, samples), further, strict=True)]
    assert np.mean(held) == pytest.approx(0.95, abs=0.012)


def test_without_a_second_repetition_there_is_no_interval():
    assert math.isnan(spread(np.array([0.5])).run_low)
    assert spread(np.empty(0)).count == 0


@pytest.mark.parametrize(
    ("published", "sample", "metric", "expected"),
    [
        ("0.89", [0.881, 0.883], "test_accuracy", "yes"),  # t of one degree of freedom is wide
        ("0.89", [0.8850, 0.8850], "test_accuracy", "yes"),  # rounds to it
        ("0.89", [0.8849, 0.8849], "test_accuracy", "no"),
        ("0.89", [0.8951, 0.8951], "test_accuracy", "no"),
        ("1.17e9", [1.174e9, 1.174e9], "test_loss", "yes"),
        ("1.17e9", [1.18e9, 1.18e9], "test_loss", "no"),
        ("0.89", [0.89], "test_accuracy", "one repetition"),
        ("0.89", [], "test_accuracy", "none of ours"),
        ("108", [108.0, 108.0], "seconds", OTHER_MACHINE),
        ("", [0.89, 0.89], "test_accuracy", ""),
    ],
)
def test_verdicts(published, sample, metric, expected):
    own = spread(np.array(sample))
    assert verdict(published, own, metric=metric, incomparable=False) == expected
    assert verdict(published, own, metric=metric, incomparable=True) == (NOT_COMPARABLE if published else "")


def test_per_class_is_scikit_learns():
    random = np.random.default_rng(1)
    labels, predicted = random.integers(0, 4, 300), random.integers(0, 3, 300)
    confusion = np.zeros((5, 5), int)  # class 3 is never predicted, class 4 never occurs
    np.add.at(confusion, (labels, predicted), 1)
    table = per_class(tuple(map(tuple, confusion.tolist())))
    expected = precision_recall_fscore_support(labels, predicted, labels=range(5), zero_division=0)
    for name, values in zip(("precision", "recall", "f1", "examples"), expected, strict=True):
        assert table[name].to_numpy() == pytest.approx(values)


@pytest.mark.parametrize(
    ("value", "published", "text"),
    [
        (0.88912, "0.89", "0.889"),
        (0.85341, "0.8534", "0.85341"),
        (2.31, "2.3", "2.31"),
        (1.1723e9, "1.17e9", "1.172e9"),
        (104.26, "108", "104.3"),
        (0.123456, "", "0.1235"),
        (math.nan, "0.89", "–"),
    ],
)
def test_ours_has_one_digit_more_than_the_published_figure(value, published, text):
    assert measured(value, published) == text
