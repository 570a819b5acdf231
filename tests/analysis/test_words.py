"""Numbers and lists in words."""

import math

import pytest

from analysis.words import grouped, interval, listed, number, number_ranges, repetition_counts, span


def test_words_for_counts():
    assert number_ranges([4, 0, 1, 2, 7, 8]) == "0–2, 4, 7–8"
    assert repetition_counts({"a": 1, "b": 1}) == "1 repetition per method"
    assert repetition_counts({"a": 1, "b": 2}) == "repetitions: a 1, b 2"


@pytest.mark.parametrize(("counts", "text"), [([1], "1 run"), ([3, 3], "3 runs"), ([2, 5, 1], "1 to 5 runs")])
def test_counts_that_differ_are_a_span(counts, text):
    assert span(counts, "run") == text


def test_numbers_in_words():
    assert number(-0.000123456789) == "−0.00012346"
    assert number(math.nan) == number(math.inf) == "–"
    assert interval(0.25, 0.5, 2) == "[0.25, 0.5]"
    assert interval(math.nan, 0.5) == ""
    assert grouped(20_000) == "20 000"
    assert grouped(999.6) == "1 000"


def test_lists_in_words():
    assert [listed("abc"[:count]) for count in range(4)] == ["", "a", "a and b", "a, b and c"]
