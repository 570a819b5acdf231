"""Where a run's numbers come from: revision, versions, machine, command."""

from __future__ import annotations

import os
import platform
import socket
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

from harness.arithmetic import in_use
from harness.machine import processor


def provenance(executor: str) -> dict[str, Any]:
    """Describe this run as JSON."""
    return {
        "started": now(),
        "host": socket.gethostname(),
        "processor": processor(),
        "arithmetic": in_use(),
        "cores": os.cpu_count(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "executor": executor,
        "command": [Path(sys.argv[0]).name, *sys.argv[1:]],
        "revision": revision(),
        "versions": dict(sorted({d.name.lower(): d.version for d in distributions()}.items())),
    }


def now() -> str:
    """Return the time as ISO 8601 in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def revision() -> str:
    """Return the git revision of the project's checkout, marked where it was changed since.

    ``"none"`` where the project is installed without its repository.
    """
    root = Path(__file__).resolve().parent.parent

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(root), *arguments]  # a fixed command line: nothing of a user's is in it
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()  # noqa: S603

    try:
        if Path(git("rev-parse", "--show-toplevel")).resolve() != root:
            return "none"
        return git("rev-parse", "HEAD") + ("-modified" if git("status", "--porcelain") else "")
    except (OSError, subprocess.SubprocessError):
        return "none"
