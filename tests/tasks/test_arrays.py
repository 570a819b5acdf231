"""What a process keeps."""

from __future__ import annotations

from collections import OrderedDict

import pytest

from tasks.engine.arrays import kept


def test_what_was_used_last_is_kept():
    cache = OrderedDict()
    for key in "abab":
        assert kept(cache, key, key.upper, 2) == key.upper()
    kept(cache, "a", lambda: pytest.fail("made again"), 2)
    assert kept(cache, "c", "C".lower, 2) == "c"
    assert list(cache) == ["a", "c"], "b was used before a"
