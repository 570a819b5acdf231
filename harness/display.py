"""How a sweep's progress is shown: a live panel, plain lines, and a heartbeat for other terminals."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import msgspec
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Column, Table
from rich.text import Text

from harness.plurals import plural
from harness.progress import Progress, Snapshot

PLAIN_SECONDS = 10.0
"""Seconds between progress lines where there is no terminal."""
HEARTBEAT_SECONDS = 2.0
"""Seconds between two heartbeats, at least."""
SILENT_SECONDS = 60.0
"""A driver whose heartbeat is older may hang."""
FEWEST_ROWS, FAILURES = 3, 5
"""The live panel shows at least so many tasks, even on a low screen, and at most so many failed studies."""


def duration(seconds: float) -> str:
    """Write a duration for people."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def took(seconds: float) -> str:
    """Write how long something took that may be over in a moment."""
    if not seconds:
        return "0 s"
    if seconds < 0.9995:
        return f"{1000 * seconds:.3g} ms"
    return f"{seconds:.1f} s" if seconds < 9.95 else duration(seconds)


def of(done: int, planned: int) -> str:
    """Write how many of how many; without the number planned where that was an estimate, and too low."""
    return f"{done}/{planned}" if done <= planned else str(done)


def headline(snapshot: Snapshot) -> str:
    """Return how far a snapshot is, as one line."""
    s = snapshot
    return (
        f"studies {s.studies_done}/{s.studies}, evaluations {of(s.evaluations_told, s.evaluations)}, "
        f"{_reevaluated(s)}{_rate(s.per_second)}"
    )


def details(snapshot: Snapshot) -> list[str]:
    """Return what else a snapshot says: where evaluations came from, evaluators, seconds, failures; a line each."""
    s = snapshot
    evaluators: dict[str, int] = msgspec.structs.asdict(s.evaluators)
    any_evaluators = any(evaluators[state] for state in ("busy", "idle", "starting"))
    work = [f"trained {s.trained}", f"reused {s.reused}", f"merged {s.merged}"]
    if any_evaluators or s.waiting:
        work.append(f"waiting {s.waiting}")
    if s.retried:
        work.append(f"retried {s.retried}")
    lines = [", ".join(work)]
    if any_evaluators or s.evaluators.lost:
        shown = [f"{state} {number}" for state, number in evaluators.items() if number or state != "lost"]
        lines.append(f"evaluators {', '.join(shown)}")
    if s.missing:
        lines.append(f"missing: {', '.join(s.missing)}")
    lines.append(f"searching {duration(s.search_seconds)}, training {duration(s.train_seconds)}")
    bad = {status: number for status, number in sorted(s.statuses.items()) if status != "ok" and number}
    by_status = f" ({', '.join(f'{status} {number}' for status, number in bad.items())})" if bad else ""
    lines.append(f"failed evaluations {sum(bad.values())}{by_status}")
    if s.studies_failed:
        lines.append(f"failed studies {s.studies_failed}")
    return lines


def _reevaluated(snapshot: Snapshot) -> str:
    """Say how many winners were evaluated again, where any are to be."""
    if not snapshot.reevaluations:
        return ""
    return f"re-evaluations {snapshot.reevaluated}/{snapshot.reevaluations}, "


def _rate(per_second: float) -> str:
    """Write a rate in the unit in which it reads best."""
    if per_second >= 1 or per_second == 0:
        return f"{per_second:.1f}/s"
    return f"{60 * per_second:.1f}/min"


class Display:
    """Shows progress: a live panel in a terminal, a line now and then elsewhere; and sends the heartbeat.

    Args:
        console: Where to show it.
        progress: What to show.
        heartbeat: Called with a snapshot when the display begins and then every `HEARTBEAT_SECONDS` at most,
            for those who watch from elsewhere.
    """

    def __init__(
        self,
        console: Console,
        progress: Progress,
        heartbeat: Callable[[Snapshot], None] | None = None,
    ) -> None:
        self._console = console
        self._progress = progress
        self._heartbeat = heartbeat
        self._last = self._beaten = time.monotonic()

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Show the display inside this context."""
        now = time.monotonic()
        self._progress.sample(now)
        self._beat(now)
        if not self._console.is_terminal:
            yield
            self._line()
            return
        with Live(get_renderable=self._panel, console=self._console, refresh_per_second=4, transient=False):
            yield

    def tick(self) -> None:
        """Tell the display that something happened; cheap.

        Whatever the heartbeat raises passes through.
        """
        now = time.monotonic()
        self._progress.sample(now)
        if now - self._beaten >= HEARTBEAT_SECONDS:
            self._beat(now)
        if now - self._last >= PLAIN_SECONDS and not self._console.is_terminal:
            self._line()

    def _beat(self, now: float) -> None:
        self._beaten = now
        if self._heartbeat is not None:
            self._heartbeat(self._progress.snapshot())

    def _line(self) -> None:
        self._last = time.monotonic()
        seen = self._progress.snapshot()
        text = "; ".join([f"[{duration(seen.elapsed)}] {headline(seen)}", *details(seen)])
        if seen.remaining is not None:
            text += f"; about {duration(seen.remaining)} left"
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    def _panel(self) -> Group:
        seen = self._progress.snapshot()
        told, planned = seen.evaluations_told, seen.evaluations
        bar = Table.grid(padding=(0, 1))
        bar.add_row(
            # Past an estimate a bar would stand still at its end; it moves without end then.
            ProgressBar(total=max(planned, 1) if told <= planned else None, completed=told, width=40),
            f"{of(told, planned)} {'evaluation' if max(told, planned) == 1 else 'evaluations'}",
        )
        left = "" if seen.remaining is None else f", about {duration(seen.remaining)} left"
        parts: list[RenderableType] = [
            bar,
            Text(
                f"studies {seen.studies_done}/{seen.studies}, {_reevaluated(seen)}{_rate(seen.per_second)}, "
                f"elapsed {duration(seen.elapsed)}{left}"
            ),
            *(Text(line) for line in details(seen)),
        ]
        failed = list(self._progress.failed.items())
        failures = [_one_line(f"failed: {label}: {message}", "red") for label, message in failed[-FAILURES:]]
        if len(failed) > FAILURES:
            failures.append(_one_line(f"and {len(failed) - FAILURES} that failed before", "red"))
        others = len(parts) + len(failures) + 3  # a heading, "and more", the cursor's line
        return Group(*parts, *self._best(max(self._console.height - others, FEWEST_ROWS)), *failures)

    def _best(self, rows: int) -> Iterator[RenderableType]:
        """Yield the best values of the tasks that changed last, in the order in which tasks began."""
        best = dict(self._progress.best)
        if not best:
            return
        shown = set(sorted(best, key=lambda label: best[label].found)[-rows:])
        # Where it is narrow names are cut, those of tasks the least, and values never.
        most = 16 if self._console.width < 100 else None
        columns = (
            Column("task"),
            Column("metric", max_width=most),
            Column("best so far", no_wrap=True, justify="right"),
            Column("by", max_width=most),
        )
        table = Table(*columns, box=None, pad_edge=False, header_style="dim")
        for label, entry in best.items():
            if label in shown:
                names = [_one_line(name) for name in (label, entry.metric, entry.searcher)]
                table.add_row(*names[:2], f"{entry.value:.4f}", names[2])
        yield table
        if len(best) > rows:
            yield _one_line(
                f"and {plural(len(best) - rows, 'task whose', 'tasks whose')} best has stood for longer",
                "dim",
            )


def _one_line(text: str, style: str = "") -> Text:
    """Return text that is cut where its place ends."""
    return Text(" ".join(text.split()), style=style, no_wrap=True, overflow="ellipsis")
