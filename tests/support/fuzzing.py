"""Settings of the tests that try many inputs: a fixed, modest number of them, more where it is asked for."""

from __future__ import annotations

import os
from datetime import timedelta

from hypothesis import HealthCheck, settings

EXAMPLES = int(os.environ.get("DERBY_TEST_FUZZ", "200"))
"""Inputs that each of these tests tries."""

SECONDS = 5
"""What takes longer is a hang."""

FUZZ = settings(
    max_examples=EXAMPLES,
    deadline=timedelta(seconds=SECONDS),
    # The same inputs every time, but where many more are asked for: those are for finding what nobody thought of.
    derandomize="DERBY_TEST_FUZZ" not in os.environ,
    database=None,
    suppress_health_check=[
        HealthCheck.too_slow,
        HealthCheck.function_scoped_fixture,
        HealthCheck.data_too_large,
    ],
)
