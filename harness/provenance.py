"""Where a run's numbers come from: revision, versions, machine, command."""

from __future__ import annotations

import os
import platform
import socket
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import msgspec

from harness.arithmetic import in_use
from harness.events import Count, Seconds
from harness.machine import PROJECT, installed, processor
from harness.plan import Compare

_Amount = Annotated[float, msgspec.Meta(ge=0)]


class Counts(msgspec.Struct, frozen=True):
    """What a run did; see `harness.progress.Progress`."""

    studies: Count
    complete_before: Count
    done: Count
    failed: dict[str, str]
    told: Count
    reevaluated: Count
    unreevaluated: dict[str, str]
    trained: Count
    reused: Count
    merged: Count
    retried: Count
    followed: list[str]
    short: dict[str, tuple[_Amount, _Amount]]
    seconds: Seconds
    train_seconds: Seconds
    search_seconds: Seconds


class Found(msgspec.Struct, frozen=True):
    """What was on record of a sweep when a run began, as it had been planned before and as it is planned now.

    Args:
        told: Evaluations that had been told in its studies.
        repetitions: Repetitions planned before; 0 where this is the first run.
        complete: How many of these were complete: the results of all their studies existed.
    """

    told: Count
    repetitions: Count
    complete: Count


class Run(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where a run's numbers come from.

    Args:
        started: When it began, ISO 8601 in UTC.
        host: Name of its driver's machine.
        processor: Model of the processor there.
        arithmetic: What computes there, see `harness.arithmetic.in_use`.
        cores: Cores there are.
        system: The operating system.
        python: Version of Python.
        executor: Where evaluations ran.
        command: The command line.
        revision: See `revision`.
        versions: Versions of all installed distributions.
        data: Digest of each task's data, by label.
        ended: When it ended, empty before.
        counts: What it did, none before it ended.
        compare: What was to be compared, as the sweep file said when it began.
        repetitions: Repetitions planned when it began.
        found: What was on record of the sweep when it began.
        sources: Origins of the users' files that its tasks and searchers come from: ``my_task.py`` and its digest. What
            they hold is recorded beside it; see `results.layout.Layout.source`.
    """

    started: str
    host: str
    processor: str
    arithmetic: dict[str, Any]
    cores: Count | None
    system: str
    python: str
    executor: str
    command: list[str]
    revision: str
    versions: dict[str, str]
    data: dict[str, str] = {}
    ended: str = ""
    counts: Counts | None = None
    compare: Compare | None = None
    repetitions: Count = 0
    found: Found | None = None
    sources: list[str] = []


def provenance(executor: str) -> Run:
    """Describe this run."""
    return Run(
        started=now(),
        host=socket.gethostname(),
        processor=processor(),
        arithmetic=in_use(),
        cores=os.cpu_count(),
        system=platform.platform(),
        python=platform.python_version(),
        executor=executor,
        command=[Path(sys.argv[0]).name, *sys.argv[1:]],
        revision=revision(),
        versions=dict(installed()),
    )


def now() -> str:
    """Return the time as ISO 8601 in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def version_in_words() -> str:
    """Return version and revision of the project, and the version of Python."""
    known, changed, _ = revision().partition("-modified")
    of = "" if known == "none" else f" (revision {known[:12]}{', with changes since' if changed else ''})"
    return f"HPO Derby {installed().get(PROJECT, 'not installed')}{of}, Python {platform.python_version()}"


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
