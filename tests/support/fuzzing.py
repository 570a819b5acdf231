"""How long tests with random input look for trouble: a little in a suite, more by hand (``DERBY_TEST_FUZZ=10000``)."""

from __future__ import annotations

import os
from datetime import timedelta

from hypothesis import HealthCheck, settings

EXAMPLES = int(os.environ.get("DERBY_TEST_FUZZ", "200"))
"""Examples of each such test."""

SECONDS = 5.0
"""What takes longer counts as a hang."""

fuzzed = settings(
    max_examples=EXAMPLES,
    deadline=timedelta(seconds=SECONDS),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
    print_blob=True,
)
"""Decorates a test with random input."""
