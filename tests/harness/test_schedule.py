"""The order in which studies begin and evaluations are handed out."""

from __future__ import annotations

import itertools
import math

from hypothesis import example, given
from hypothesis import strategies as st

from harness.schedule import EpochTimes, next_to_begin, next_to_submit


def test_a_task_not_seen_yet_may_take_for_ever():
    times = EpochTimes()
    assert times.expected("new", 10) == math.inf
    times.add("seen", 4, 8.0)
    times.add("seen", 1, 7.0)
    assert times.expected("seen", 10) == 30.0
    assert times.expected("new", 10) == math.inf


def test_studies_begin_in_their_order_until_the_end_is_near():
    seconds = [1.0, 5.0, 3.0, 5.0]
    assert next_to_begin(range(4), lambda i: seconds[i], near_end=3) == 0
    assert next_to_begin(range(4), lambda i: seconds[i], near_end=4) == 1


def test_requests_are_handed_out_to_whoever_has_fewest_in_flight_and_then_by_age():
    in_flight = {"a": 2, "b": 1, "c": 1}
    chosen = next_to_submit("abc", in_flight.__getitem__, lambda _: 0.0, ending=False)
    assert "abc"[chosen] == "b"


def test_at_the_end_the_longest_rest_goes_first():
    rest = {"a": 10.0, "b": 30.0, "c": 30.0}
    chosen = next_to_submit("abc", lambda _: 0, rest.__getitem__, ending=True)
    assert "abc"[chosen] == "b"


@given(st.lists(st.floats(0.1, 10), min_size=1, max_size=6), st.integers(1, 4))
@example([3.0, 3.0, 3.0, 3.0, 1.75], 4)
def test_longest_first_ends_no_later_than_a_third_after_the_best_possible(seconds, evaluators):
    """Graham's bound for the rule, with one study after the other on each evaluator."""
    waiting, free = list(seconds), [0.0] * evaluators
    while waiting:
        longest = waiting.pop(next_to_begin(waiting, lambda s: s, near_end=len(seconds)))
        first = free.index(min(free))
        free[first] += longest
    best = min(
        max(sum(s for s, where in zip(seconds, places, strict=True) if where == e) for e in range(evaluators))
        for places in itertools.product(range(evaluators), repeat=len(seconds))
    )
    assert max(free) <= (4 / 3) * best + 1e-9
