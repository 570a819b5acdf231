"""Publishing a reproduced report: where its page is kept, whether that is of the record, and drawing it again."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Final

from analysis.reproduction import kept, page
from analysis.reproduction.kept import KEPT
from analysis.words import named
from harness.errors import RecordError
from harness.plurals import plural
from results.layout import Layout
from results.sources import Source
from results.tables import SweepTables

PART: Final = "reproduction"
"""Where a sweep's folder has the page."""

_EXPERIMENT = re.compile(r"^description: Experiment .+ of report (\S+)\.$", re.MULTILINE)


def is_reproduction(folder: Path) -> bool:
    """Whether a folder holds a reproduced report, published or not."""
    return (folder / KEPT).is_file()


def kept_of(source: Source, tables: SweepTables) -> Path | None:
    """Return the folder with the page of what is to be published; ``None`` where it is no reproduced report.

    Args:
        source: What is to be published.
        tables: Its tables.

    Raises:
        RecordError: There is no page, or it is not of what is recorded.
    """
    if source.sweep is None:
        return source.folder if is_reproduction(source.folder) else None
    report = _EXPERIMENT.search(str(tables.provenance.get("sweep", "")))
    folder = Layout(source.folder).sweep(source.sweep) / PART
    if not is_reproduction(folder):
        if report is None:
            return None
        raise RecordError(
            f"{source.sweep!r} was run by `derby reproduce {report[1]}`, which has not written its page into {folder}: "
            "run it to its end, which trains nothing that is recorded; a page written elsewhere with --out is "
            "published by that folder's path"
        )
    there = kept.load(folder)
    if _state(there.tables) != _state(tables):
        raise RecordError(
            f"{folder} is not of what is recorded now of {source.sweep!r}: run `{there.command}` again, which trains "
            "nothing that is recorded"
        )
    return folder


def drawing(folder: Path) -> Callable[[SweepTables, Path], object]:
    """Return what draws a reproduced report from what is kept in a folder, as `results.published` wants it."""

    def draw(tables: SweepTables, target: Path) -> Path:
        del tables  # which are kept, too
        if not is_reproduction(target) and folder.resolve() != target.resolve():
            kept.copy(folder, target)
        return page.write(kept.load(folder), target, small=True)

    return draw


def check_whole(folder: Path) -> None:
    """Raise `RecordError` where studies of a reproduced report are not finished, those that trained afresh included."""
    outcome = kept.load(folder)
    studies = [tables.studies for tables in (outcome.tables, outcome.retrained) if tables is not None]
    unfinished = [
        f"{row['searcher']}, repetition {row['repetition'] + 1}"
        for each in studies
        for row in each[each["state"] != "done"].to_dict("records")
    ]
    if unfinished:
        raise RecordError(
            f"report {outcome.report} is not finished: of {plural(sum(map(len, studies)), 'study')} "
            f"{len(unfinished)} are not "
            f"done ({named(unfinished)}); run `{outcome.command}` to its end before publishing it"
        )


def _state(tables: SweepTables) -> dict[str, tuple[str, int]]:
    """Return how far every study is."""
    columns = (tables.studies[name] for name in ("study", "state", "evaluations"))
    return {str(study): (str(state), int(count)) for study, state, count in zip(*columns, strict=True)}
