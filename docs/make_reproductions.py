"""Write docs/reproductions.md from the reproductions under results/published.

``derby publish reproduce-S1-full`` and so on, then ``.venv/bin/python docs/make_reproductions.py``.
"""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Final

import pandas as pd

from analysis.reproduction import kept, page, published
from analysis.reproduction.kept import Outcome
from analysis.reproduction.publishing import is_reproduction
from analysis.words import listed
from results.publications import names_in

ROOT: Final = Path(__file__).parent.parent
TARGET: Final = ROOT / "docs" / "reproductions.md"
PUBLISHED: Final = ROOT / "results" / "published"

INTRODUCTION: Final = (
    "What five reports published, beside what comes out here, from the folders under `results/published`. "
    "[Reproducing a report](reproduction.md) says how it is run, published and verified. A published figure is one "
    "run. It counts as inside when a value that rounds to it lies in the interval (Student's t, 95 %) in which one "
    "further run of ours would fall; one repetition gives no interval. Where a report tuned on its test images, so "
    "does what is here."
)

SINGLE: Final = {
    ("S2", "adam_batch_1"): "48 000 updates an epoch for 100 epochs, two and a half hours in the report",
    ("S3", "conv, particle swarm, best of 60"): "60 times five convolutional networks, for hours",
}
"""Why an experiment was not run at full size, by report and label."""

WHOLE: Final = {
    "S0": "its images are not public. A stand-in of look-alike images can be trained, whose figures say nothing of the "
    "report's",
}
"""Why nothing of a report was run at full size."""

REMARKS: Final = {
    "S2": "Three designs explode (`sgd_n10_l2_0.01`, `sgd_n10_l2_0.001`, `sgd_n10_l1_dropout`): their "
    "accuracies come out as published, and their losses a tenth of the published ones. Keras 2 or 3, the "
    "order of examples, how the output layer is initialised, the batch and the scaling of the images do "
    "not explain it. Both Hyperband searches ended by themselves once each of the 36 configurations had "
    "been trained for 2 epochs, and found the report's best.",
}
"""What is known of a report beyond its table."""

HEADER: Final = ("experiment", "metric", "published", "ours", "± mean", "± one run", "inside", "repetitions")


def wrapped(text: str) -> str:
    """Wrap a paragraph."""
    return "\n".join(textwrap.wrap(text, 118, break_long_words=False, break_on_hyphens=False))


def table(outcome: Outcome) -> str:
    """Return a report's comparison as a Markdown table."""
    frame: pd.DataFrame = published.side_by_side(outcome.lines)
    counts = frame["repetitions"].astype(str)
    rows = [(*cells, count) for cells, count in zip(published.as_text(frame), counts, strict=True)]
    lines = [HEADER, ["---"] * len(HEADER), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def section(name: str, outcome: Outcome) -> str:
    """Return what came of one report."""
    absent = [
        f"{label} ({reason})" if (reason := SINGLE.get((outcome.report, label))) else label
        for label in outcome.absent
    ]
    facts = [
        f"Trained on {listed(page.processors(outcome))}. The page with its figures is "
        f"`results/published/{name}/reproduction.md`.",
        f"Not run at full size: {'; '.join(absent)}." if absent else "",
        REMARKS.get(outcome.report, ""),
    ]
    notes = [
        f"- {note}" for note in published.notes(outcome.lines) if not note.startswith("Ours is the mean")
    ]
    parts = [f"## {outcome.report}", *(wrapped(fact) for fact in facts if fact), table(outcome)]
    if notes:
        parts.append("\n".join(notes))
    return "\n\n".join(parts)


def text(folder: Path = PUBLISHED) -> str:
    """Return the page."""
    outcomes = {name: kept.load(folder / name) for name in names_in(folder) if is_reproduction(folder / name)}
    parts = ["# The reports, reproduced", wrapped(INTRODUCTION)]
    parts += [section(name, outcome) for name, outcome in outcomes.items()]
    done = {outcome.report for outcome in outcomes.values()}
    parts += [
        f"## {report}\n\n{wrapped(f'Not run at full size: {why}.')}"
        for report, why in WHOLE.items()
        if report not in done
    ]
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    TARGET.write_text(text(), encoding="utf-8", newline="\n")
