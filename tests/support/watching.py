"""What the tests of executors need: the trainings that were written down, and things that happen meanwhile."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from results.schema import CHECK

SECONDS = ("setup_seconds", "lost_seconds", "machine")


def watched(folder: Path, event: str | None = None) -> list[dict[str, Any]]:
    """Return what the plug-in's task ``watched`` wrote down: all of it, or the beginnings or the ends.

    A line that a training is writing at this moment counts once it has its end.
    """
    path = folder / "watched"
    lines = path.read_text().splitlines(keepends=True) if path.exists() else []
    events = [json.loads(line) for line in lines if line.endswith("\n")]
    return [entry for entry in events if event in (None, entry["event"])]


def training(entry: dict[str, Any]) -> tuple[Any, ...]:
    """Return which training an event belongs to: configuration, seed and last epoch."""
    return *entry["training"], entry["last"]


def evaluation_records(root: Path) -> dict[str, dict[str, Any]]:
    """Every evaluation, as far as it was trained, without what is measured."""
    longest: dict[str, dict[str, Any]] = {}
    for path in sorted((root / "evaluations").glob("*/*.jsonl")):
        for line in path.read_text().splitlines():
            made = {name: value for name, value in json.loads(line).items() if name not in (*SECONDS, CHECK)}
            made["curve"].pop("seconds", None)
            if made["epochs"] >= longest.get(made["id"], made)["epochs"]:
                longest[made["id"]] = made
    return longest


def meanwhile(executor: Any, *happenings: tuple[Callable[[], bool], Callable[[], Any]]) -> list[Any]:
    """Let things happen in turn while an executor is waited for; return those still to come.

    Args:
        executor: The executor.
        happenings: When, and what.
    """
    to_come, wait = list(happenings), executor.wait

    def eventful() -> Any:
        if to_come and to_come[0][0]():
            to_come.pop(0)[1]()
        return wait()

    executor.wait = eventful
    return to_come
