"""A reproduction as it is kept beside its page, or published: all that the page is drawn of, and nothing else.

::

    reproduction.json     what was published, what was run, confusion matrices, and what a reader must know
    *.parquet, provenance.json   tables of its sweep, as `results.tables.export` writes them
    retrained/            the same of the sweep that trained searches' best configurations afresh, where there is one
    networks/<name>.npz   what pictures of networks show; see `analysis.reproduction.shown`
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import msgspec

from analysis.figures.canvas import file_names
from analysis.reproduction import shown as pictures
from analysis.reproduction.published import Line
from analysis.reproduction.shown import Shown
from harness.errors import RecordError
from harness.experiment import Experiment
from results.documents import converted, read_json
from results.layout import make_folder, write_atomically
from results.tables import SweepTables, export, read_exported

KEPT: Final = "reproduction.json"
RETRAINED: Final = "retrained"
NETWORKS: Final = "networks"
FORMAT: Final = 1


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """What came of reproducing a report.

    Attributes:
        report: Its short name.
        about: What was run, in a sentence or two.
        command: The command that ran it.
        tables: The sweep.
        lines: The experiments, with tables of the sweep or of the one that retrained.
        shown: What pictures of networks show, by experiment.
        absent: Labels of the report's experiments that were not run.
        notes: What else a reader must know.
    """

    report: str
    about: str
    command: str
    tables: SweepTables
    lines: tuple[Line, ...]
    shown: Mapping[str, Shown] = field(default_factory=dict)
    absent: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def retrained(self) -> SweepTables | None:
        """The sweep that trained searches' best configurations afresh; ``None`` where there is none."""
        return next((line.tables for line in self.lines if line.tables is not self.tables), None)


class _Line(msgspec.Struct):
    """A line as it is kept."""

    experiment: Experiment
    task: str
    searcher: str
    planned: int
    retrained: bool
    incomparable: str
    classes: tuple[str, ...]
    confusion: tuple[tuple[int, ...], ...]
    confusions: int
    found: dict[str, dict[str, Any]]


class _Kept(msgspec.Struct):
    """The content of `KEPT`."""

    format: int
    report: str
    about: str
    command: str
    lines: list[_Line]
    absent: tuple[str, ...]
    notes: tuple[str, ...]


def save(outcome: Outcome, folder: Path) -> None:
    """Write a reproduction into a folder.

    Raises:
        WriteError: It cannot be written.
    """
    export(outcome.tables, folder)
    again = outcome.retrained
    if again is not None:
        export(again, folder / RETRAINED)
    names = file_names(line.experiment.label for line in outcome.lines)
    if outcome.shown:
        make_folder(folder / NETWORKS)
    for label, seen in outcome.shown.items():
        pictures.save(seen, folder / NETWORKS / f"{names[label]}.npz")
    lines = [
        _Line(
            experiment=line.experiment,
            task=line.task,
            searcher=line.searcher,
            planned=line.planned,
            retrained=line.tables is again,
            incomparable=line.incomparable,
            classes=line.classes,
            confusion=line.confusion,
            confusions=line.confusions,
            found={str(repetition): dict(config) for repetition, config in line.found.items()},
        )
        for line in outcome.lines
    ]
    kept = _Kept(FORMAT, outcome.report, outcome.about, outcome.command, lines, outcome.absent, outcome.notes)
    text = msgspec.json.format(msgspec.json.encode(kept), indent=1).decode()
    write_atomically(folder / KEPT, text + "\n")


def load(folder: Path) -> Outcome:
    """Read back what `save` wrote.

    Raises:
        RecordError: A file is missing, damaged, or of another version.
    """
    path = folder / KEPT
    content = read_json(path)
    if content.get("format") != FORMAT:
        raise RecordError(
            f"{path}: expected a reproduction of format {FORMAT}, got {content.get('format')!r}; it was written by "
            "another version of the project: run `derby reproduce` again, which trains nothing that is recorded"
        )
    kept = converted(content, _Kept, path)
    tables = read_exported(folder)
    again = read_exported(folder / RETRAINED) if any(line.retrained for line in kept.lines) else None
    names = file_names(line.experiment.label for line in kept.lines)
    files = {label: folder / NETWORKS / f"{name}.npz" for label, name in names.items()}
    return Outcome(
        report=kept.report,
        about=kept.about,
        command=kept.command,
        tables=tables,
        lines=tuple(
            Line(
                experiment=line.experiment,
                task=line.task,
                searcher=line.searcher,
                tables=again if line.retrained and again is not None else tables,
                planned=line.planned,
                incomparable=line.incomparable,
                classes=line.classes,
                confusion=line.confusion,
                confusions=line.confusions,
                found={int(repetition): config for repetition, config in line.found.items()},
            )
            for line in kept.lines
        ),
        shown={label: pictures.load(file) for label, file in files.items() if file.exists()},
        absent=kept.absent,
        notes=kept.notes,
    )


def copy(folder: Path, target: Path) -> None:
    """Copy what is kept, but for the tables of the sweep itself, to beside these."""
    shutil.copyfile(folder / KEPT, target / KEPT)
    for part in (RETRAINED, NETWORKS):
        if (folder / part).is_dir():
            shutil.copytree(folder / part, target / part)
