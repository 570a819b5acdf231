"""The error of analysis that a user can act on."""

from __future__ import annotations

from harness.errors import DerbyError


class AnalysisError(DerbyError, ValueError):
    """The tables of a sweep cannot be analysed: nothing was told yet, or their keys contradict each other."""
