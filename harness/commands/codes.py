"""Exit codes of the command line, as `docs/commands.md` explains them, besides `harness.launch.INTERRUPTED`."""

from __future__ import annotations

from typing import Final

DONE: Final = 0
SOME_FAILED: Final = 1
UNUSABLE_INPUT: Final = 2
NO_RECORD: Final = 3
NOT_KNOWN: Final = 125
NO_READER: Final = 141
"""A shell's code for SIGPIPE."""
