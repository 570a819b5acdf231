"""What a running sweep has done so far, and its live display."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

PLAIN_SECONDS = 10.0
"""Seconds between progress lines where there is no terminal."""


@dataclass(slots=True)
class Best:
    """The best validation value seen on a task in this run."""

    metric: str
    value: float
    loss: float
    searcher: str


@dataclass(slots=True)
class Progress:
    """Counters of a running sweep, kept by the driver.

    Attributes:
        studies: Studies planned.
        evaluations: Evaluations planned, an estimate where the budget is in epochs.
        complete: Studies that were done before this run.
        done: Studies done in this run.
        failed: Label and message of the studies that failed in this run.
        told: Evaluations told in this run.
        told_before: Evaluations of the studies that were done before.
        trained: Evaluations trained in this run.
        reused: Evaluations taken from the record.
        merged: Evaluations that several studies waited for and one training gave.
        statuses: Evaluations told by status.
        train_seconds: Seconds of the trainings of this run.
        search_seconds: Seconds of ask and tell in this run.
        best: Best value by task label.
        paced_from: When the first evaluation was told, since starting up says nothing about the pace.
    """

    studies: int
    evaluations: int
    complete: int = 0
    done: int = 0
    failed: dict[str, str] = field(default_factory=dict)
    told: int = 0
    told_before: int = 0
    trained: int = 0
    reused: int = 0
    merged: int = 0
    statuses: Counter[str] = field(default_factory=Counter)
    train_seconds: float = 0.0
    search_seconds: float = 0.0
    best: dict[str, Best] = field(default_factory=dict)
    started: float = field(default_factory=time.monotonic)
    paced_from: float | None = None

    @property
    def elapsed(self) -> float:
        """Seconds since the run began."""
        return time.monotonic() - self.started

    @property
    def remaining(self) -> float | None:
        """Expected seconds to the end at the pace so far; ``None`` before there is a pace."""
        if self.paced_from is None or self.told < 2:
            return None
        left = max(self.evaluations - self.told - self.told_before, 0)
        return (time.monotonic() - self.paced_from) / (self.told - 1) * left

    def summary(self) -> str:
        """Return the counters as one line."""
        failures = sum(self.statuses.values()) - self.statuses["ok"]
        parts = [
            f"studies {self.complete + self.done}/{self.studies}",
            f"evaluations {self.told + self.told_before}/{self.evaluations}",
            f"{self.told / self.elapsed:.1f}/s" if self.elapsed > 0 else "",
            f"trained {self.trained}",
            f"reused {self.reused}",
            f"merged {self.merged}",
            f"failed evaluations {failures}",
            f"failed studies {len(self.failed)}" if self.failed else "",
        ]
        return ", ".join(part for part in parts if part)


def duration(seconds: float) -> str:
    """Write a duration for people."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


class Display:
    """Shows progress: a live panel in a terminal, a line now and then elsewhere.

    Args:
        console: Where to show it.
        progress: What to show.
    """

    def __init__(self, console: Console, progress: Progress) -> None:
        self._console = console
        self._progress = progress
        self._last = time.monotonic()

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Show the display inside this context."""
        if not self._console.is_terminal:
            yield
            self._line()
            return
        with Live(get_renderable=self._panel, console=self._console, refresh_per_second=4, transient=False):
            yield

    def tick(self) -> None:
        """Tell the display that something happened; cheap."""
        if not self._console.is_terminal and time.monotonic() - self._last >= PLAIN_SECONDS:
            self._line()

    def _line(self) -> None:
        self._last = time.monotonic()
        left = self._progress.remaining
        text = f"[{duration(self._progress.elapsed)}] {self._progress.summary()}"
        done = self._progress.told + self._progress.told_before >= self._progress.evaluations
        if left is not None and not done:
            text += f", about {duration(left)} left"
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    def _panel(self) -> Group:
        p = self._progress
        told = p.told + p.told_before
        left = "unknown" if p.remaining is None else duration(p.remaining)
        bar = Table.grid(padding=(0, 1))
        bar.add_row(
            ProgressBar(total=max(p.evaluations, 1), completed=min(told, p.evaluations), width=40),
            f"{told}/{p.evaluations} evaluations",
        )
        best = Table("task", "best so far", "by", box=None, pad_edge=False, header_style="dim")
        for label, entry in p.best.items():
            best.add_row(Text(label), f"{entry.metric} {entry.value:.4f}", Text(entry.searcher))
        parts: list[Text | Table] = [
            bar,
            Text(p.summary()),
            Text(f"elapsed {duration(p.elapsed)}, left {left}", style="dim"),
        ]
        if p.best:
            parts.append(best)
        parts += [Text(f"failed: {label}: {message}", style="red") for label, message in p.failed.items()]
        return Group(*parts)
