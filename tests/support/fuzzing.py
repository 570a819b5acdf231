"""How the fuzzers run: the same few hundred cases in every test run, and as many new ones as asked for by hand.

And how they damage a file.
"""

from __future__ import annotations

import json
import os
from datetime import timedelta

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

EXAMPLES = int(os.environ.get("DERBY_TEST_FUZZ", "200"))
"""Cases of each fuzzer; ``DERBY_TEST_FUZZ=10000`` for more."""

SECONDS = 5.0
"""What takes longer counts as a hang."""

fuzzed = settings(
    max_examples=EXAMPLES,
    deadline=timedelta(seconds=SECONDS),
    derandomize="DERBY_TEST_FUZZ" not in os.environ,
    suppress_health_check=list(HealthCheck),
    database=None,
    print_blob=True,
)
"""Decorates a fuzzer."""


# How a file is damaged: its bytes, and what they become.

VALUES = st.sampled_from(
    [
        None,
        True,
        -1,
        0,
        1,
        1.5,
        -0.5,
        1e308,
        10**30,
        "",
        "x",
        "ok",
        "é" * 50,
        [],
        {},
        [[]],
        {"a": 1},
        "x" * 5000,
    ]
)
RAW = st.sampled_from(
    ["1e400", "NaN", "-Infinity", "9" * 5000, "[" * 3000, '"\\ud800"', '"\x00"', "01", "1.", "{"]
)


def paths_in(value, path=()):
    """Where values are in a JSON value."""
    yield path
    if isinstance(value, dict | list):
        for key in value if isinstance(value, dict) else range(len(value)):
            yield from paths_in(value[key], (*path, key))


def put(value, path, new):
    if not path:
        return new
    made = dict(value) if isinstance(value, dict) else list(value)
    made[path[0]] = put(made[path[0]], path[1:], new)
    return made


def with_a_value_changed(draw, text: str) -> str:
    value = json.loads(text)
    path = draw(st.sampled_from(list(paths_in(value))))
    if draw(st.booleans()):
        return json.dumps(put(value, path, draw(VALUES)))
    return json.dumps(put(value, path, "\x01here\x01")).replace(json.dumps("\x01here\x01"), draw(RAW))


def flip(draw, data):
    place = draw(st.integers(0, len(data) - 1))
    return data[:place] + bytes([draw(st.integers(0, 255))]) + data[place + 1 :]


def cut_anywhere(draw, data):
    return data[: draw(st.integers(0, len(data)))]


def left_out(draw, data):
    begin = draw(st.integers(0, len(data)))
    return data[:begin] + data[begin + draw(st.integers(1, 200)) :]


def put_in(draw, data):
    place = draw(st.integers(0, len(data)))
    text = draw(st.one_of(st.binary(min_size=1, max_size=20), st.text(min_size=1, max_size=10).map(encode)))
    return data[:place] + text + data[place:]


def encode(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
