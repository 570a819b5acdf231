"""Docstrings as the command line prints them."""

from __future__ import annotations

import doctest
import itertools
import re

import pytest
import yaml

from harness import prose, registry
from harness.prose import rewrapped

TEXT = """Search by halving. A method whose first
    paragraph was wrapped for the source.

    Surprises:

    * the first item goes on
      in a second line, indented
      below its text
    - another mark
    1. a number

    >>> halve(1)
    0.5
"""


def test_paragraphs_and_items_are_filled_and_the_rest_stays():
    assert rewrapped(TEXT, 60).splitlines() == [
        "Search by halving. A method whose first paragraph was",
        "wrapped for the source.",
        "",
        "Surprises:",
        "",
        "* the first item goes on in a second line, indented below",
        "  its text",
        "- another mark",
        "1. a number",
        "",
        ">>> halve(1)",
        "0.5",
    ]


def test_a_block_that_is_announced_stays_as_it_is():
    text = """A search. In a
    sweep::

        searchers:
          - name: mine
            settings:
              depth: 3

          - other

    So it
    goes on.
    """
    assert rewrapped(text, 60).splitlines() == [
        "A search. In a sweep:",
        "",
        "    searchers:",
        "      - name: mine",
        "        settings:",
        "          depth: 3",
        "",
        "      - other",
        "",
        "So it goes on.",
    ]


def test_sweeps_in_descriptions_can_be_copied():
    found = 0
    for name, kind in registry.searchers().items():
        _, _, rest = rewrapped(kind.__doc__, 80).partition("In a sweep:\n\n")
        if rest:
            found += 1
            block = rest.partition("\n\n")[0]
            assert all(each["name"] == name for each in yaml.safe_load(block)["searchers"])
    assert found


def test_its_example_is_true():
    assert doctest.testmod(prose).failed == 0


def bare(text):
    """Return the words without what may be markup."""
    return re.sub(r"[`*]|:+(?=\s)", "", text).split()


@pytest.mark.parametrize("width", [60, 100])
def test_no_description_is_ragged_or_loses_a_word(width):
    for kind in [*registry.searchers().values(), *registry.tasks().values()]:
        text = rewrapped(kind.__doc__, width)
        assert bare(text) == bare(kind.__doc__)
        assert "`" not in text, kind.name
        lines = text.splitlines()
        for line, after in itertools.pairwise(lines):
            first = after.split(" ")[0]
            if first and not after.startswith(" ") and first[0] not in "-*" and not first[0].isdigit():
                assert len(line) + 1 + len(first) > width or not line.strip(), (kind.name, line, after)
