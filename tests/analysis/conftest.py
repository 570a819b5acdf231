"""Fixtures of the analysis tests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import synthetic_sweeps

from results.tables import SweepTables


@pytest.fixture(scope="session")
def tables() -> SweepTables:
    """The example sweep; treat as read-only."""
    return synthetic_sweeps.example()


@pytest.fixture(scope="session")
def rows() -> Callable[..., list[dict[str, Any]]]:
    """`synthetic_sweeps.study_rows`."""
    return synthetic_sweeps.study_rows


@pytest.fixture(scope="session")
def make() -> Callable[..., SweepTables]:
    """`synthetic_sweeps.tables_of`."""
    return synthetic_sweeps.tables_of
