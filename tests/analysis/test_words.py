"""Numbers and lists in words."""

import math

import pytest

from analysis.statistics.tasks import TaskFacts
from analysis.words import (
    grouped,
    interval,
    listed,
    mark,
    marks,
    number,
    number_ranges,
    p_value,
    repetition_counts,
    rounded_by_sd,
    span,
    with_sd,
)


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


NAN = float("nan")


@pytest.mark.parametrize(
    ("mean", "sd", "text"),
    [
        (0.8112, 0.01, "0.811 ± 0.010"),
        (0.8112, 0.00996, "0.811 ± 0.010"),
        (0.8112, 0.0999, "0.81 ± 0.10"),
        (-3.14159, 0.25, "−3.14 ± 0.25"),
        (-0.001, 0.25, "0.00 ± 0.25"),
        (0.8112, 0.0, "0.81120 ± 0.00000"),
        (0.0, 0.0, "0 ± 0"),
        (81234.5, 1234.0, "81234 ± 1234"),
        (8.11e9, 1.04e8, "(8.11 ± 0.10)e+09"),
        (8.1123e-7, 1.04e-8, "(8.11 ± 0.10)e−07"),
        (0.5, 1e-14, "0.50000000 ± 0.00000000"),
        (1.5e308, 1e307, "(1.50 ± 0.10)e+308"),
        (3e-310, 1e-311, "(3.00 ± 0.10)e−310"),
        (0.8112, NAN, "0.8112"),
        (NAN, NAN, "–"),
        (math.inf, NAN, "–"),
    ],
)
def test_a_mean_has_as_many_decimals_as_its_standard_deviation(mean, sd, text):
    assert with_sd(mean, sd) == text
    if math.isfinite(sd):
        own = rounded_by_sd(mean, sd)
        assert len(own.mean.partition(".")[2]) == len(own.sd.partition(".")[2])


def test_there_is_no_negative_zero():
    assert number(-0.0) == "0"
    assert interval(-0.0, 1.0) == "[0, 1]"


def test_a_p_value_is_a_number_or_below_one():
    assert (p_value(0.0123), p_value(0.0009), p_value(1.0)) == ("p = 0.012", "p < 0.001", "p = 1")


def facts(label, **made_on):
    return TaskFacts(
        label, {"validation": "val"}, "min", "1 evaluation", 1, "", made_on.pop("subset", False), **made_on
    )


def test_captions_say_what_numbers_were_made_on():
    whole, part = facts("whole"), facts("part", subset=True)
    replayed, both = (
        facts("replayed", replayed="9 trainings"),
        facts("both", subset=True, replayed="9 trainings"),
    )
    subset, replay = "Data subset or stand-in", "Replay of recorded trainings"
    assert [mark(each) for each in (whole, part, replayed, both)] == [
        "",
        f"{subset}.",
        "Replay of 9 trainings.",
        f"{subset}. Replay of 9 trainings.",
    ]
    assert marks([]) == marks([whole]) == ""
    assert marks([both]) == f"{subset}: both. {replay}: both."
    assert marks([whole, part, both]) == f"{subset}: part, both. {replay}: both."
    assert marks([part, both]) == f"{subset}: all tasks. {replay}: both."
