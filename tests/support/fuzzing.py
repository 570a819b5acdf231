"""How the fuzzers run: the same few hundred cases in every test run, and as many new ones as asked for by hand."""

from __future__ import annotations

import os
from datetime import timedelta

from hypothesis import HealthCheck, settings

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
