"""The page of a reproduced report: its comparison, tables per class, and the figures the report drew."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd

from analysis.figures.canvas import Plot, file_names, save, save_small
from analysis.reproduction import networks, published
from analysis.reproduction.kept import Outcome
from analysis.reproduction.published import Line
from analysis.reproduction.shown import Shown
from analysis.spreadsheets import write_csv
from analysis.words import listed
from harness.plurals import plural

PAGE = "reproduction.md"


def tables(lines: Sequence[Line]) -> Iterator[tuple[str, Sequence[str], Sequence[Sequence[str]]]]:
    """Yield the tables to print: heading, header and rows of each."""
    heading = f"Published and ours, on {_tasks(lines)}"
    yield heading, published.HEADER, published.as_text(published.side_by_side(lines))
    for line in lines:
        if line.experiment.per_class and line.confusion:
            counted = plural(line.confusions, "repetition")
            heading = f"{line.experiment.label}: test images, {counted} together"
            yield heading, CLASS_HEADER, class_rows(line)


def write(outcome: Outcome, folder: Path, *, small: bool = False) -> Path:
    """Write ``reproduction.md``, its tables as CSV and its figures into a folder; the same input gives the same bytes.

    Args:
        outcome: What came of it.
        folder: Where; made if absent.
        small: Each figure as one small picture, without its numbers, which are in what is kept; for publishing.

    Returns:
        Path of the page.
    """
    lines = outcome.lines
    frame = published.side_by_side(lines)
    (folder / "tables").mkdir(parents=True, exist_ok=True)
    write_csv(frame, folder / "tables" / "comparison.csv")
    classes = class_tables(lines)
    if not classes.empty:
        write_csv(classes, folder / "tables" / "per_class.csv")
    parts = [f"# Report {outcome.report}, reproduced", f"{outcome.about} Tasks: {_tasks(lines)}."]
    parts.append(_table(published.HEADER, published.as_text(frame)))
    parts += [f"- {note}" for note in notes(outcome)]
    for line in lines:
        if line.experiment.per_class and line.confusion:
            parts += [f"## Per class: {line.experiment.label}", _table(CLASS_HEADER, class_rows(line))]
    names = file_names(line.experiment.label for line in lines)
    for line in lines:
        drawn = list(plots(line, outcome.shown.get(line.experiment.label)))
        if drawn:
            parts.append(f"## Figures: {line.experiment.label}")
        for kind, plot in drawn:
            stem = f"{kind}_{names[line.experiment.label]}"
            if small:
                save_small(plot, folder / "figures" / f"{stem}.webp")
                parts.append(f"![{plot.alt}](figures/{stem}.webp)\n\n*{plot.caption}*")
                continue
            save(plot, folder / "figures", stem)
            links = ", ".join(f"[{e.upper()}](figures/{stem}.{e})" for e in ("pdf", "svg", "csv"))
            parts.append(f"![{plot.alt}](figures/{stem}.png)\n\n*{plot.caption}* ({links})")
    page = folder / PAGE
    page.write_text(_paragraphs(parts), encoding="utf-8", newline="\n")
    return page


def notes(outcome: Outcome) -> list[str]:
    """Return what a reader must know, a sentence or two each; what forbids comparing comes first."""
    lines = [*published.notes(outcome.lines), *outcome.notes]
    lines += [
        f"Repetitions were added after results of {look.complete} existed ({look.before} → {look.after})."
        for look in outcome.tables.looks
    ]
    if outcome.absent:
        lines.append(f"Not run here, of what the report has: {listed(outcome.absent)}.")
    machines = processors(outcome)
    if machines:
        lines.append(f"Trained on {listed(machines)}. Run by `{outcome.command}`.")
    return lines


def processors(outcome: Outcome) -> list[str]:
    """Return the models of the processors, or other devices, that trained what counts."""
    found: dict[str, None] = {}
    for tables in dict.fromkeys([outcome.tables, *(line.tables for line in outcome.lines)]):
        for machine in tables.provenance.get("machines") or []:
            device = str(machine.get("device") or "cpu")
            found[
                str(machine.get("processor") or "a processor without a name") if device == "cpu" else device
            ] = None
    return list(found)


def plots(line: Line, shown: Shown | None) -> Iterator[tuple[str, Plot]]:
    """Yield the figures of an experiment, each with its kind; none for what was not recorded."""
    drawn = {
        "curves": networks.learning_curves(line),
        "confusion": networks.confusion_matrix(line),
        "weights": None if shown is None else networks.weights(line, shown),
        "images": None if shown is None else networks.predictions(line, shown),
    }
    for kind, plot in drawn.items():
        if plot is not None:
            yield kind, plot


def class_tables(lines: Sequence[Line]) -> pd.DataFrame:
    """Return precision, recall and F1 per class of every experiment with a confusion matrix, on its test images."""
    pieces = [
        published.per_class(line.confusion).assign(
            experiment=line.experiment.label,
            name=[published.class_name(line, i) for i in range(len(line.confusion))],
        )
        for line in lines
        if line.confusion
    ]
    if not pieces:
        return pd.DataFrame()
    columns = ["experiment", "class", "name", "precision", "recall", "f1", "examples"]
    return pd.concat(pieces, ignore_index=True)[columns]


CLASS_HEADER = ("class", "precision", "recall", "F1", "examples")


def class_rows(line: Line) -> list[tuple[str, ...]]:
    """Return an experiment's table per class as cells under `CLASS_HEADER`."""
    return [
        (
            published.class_name(line, int(row["class"])),
            *(f"{row[measure]:.3f}" for measure in ("precision", "recall", "f1")),
            str(row["examples"]),
        )
        for row in published.per_class(line.confusion).to_dict("records")
    ]


def _tasks(lines: Sequence[Line]) -> str:
    """Name the tasks, with everything in their labels that was not as in the report."""
    return listed(list(dict.fromkeys(line.task for line in lines)))


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def _paragraphs(parts: Sequence[str]) -> str:
    """Join parts with empty lines between them, but not between the items of a list."""
    text = ""
    for before, part in zip(["", *parts], parts, strict=False):
        gap = "" if not text else "\n" if before.startswith("- ") and part.startswith("- ") else "\n\n"
        text += gap + part
    return text + "\n"
