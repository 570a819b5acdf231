"""The process that draws the report of a sweep under way, for the progress page: ``python -m harness.watch.drawing``.

It is a process of its own with the lowest priority, so that it takes only what the run leaves, and whatever becomes of
it, page and run go on.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from harness.arithmetic import declare
from harness.errors import DerbyError

SHOWN = "shown.json"
"""In the folder drawn: which figures the progress page shows, each with its file, what it is, and its task."""


def draw(results: Path, name: str, folder: Path) -> None:
    """Write the report of a sweep as it stands, and which of its figures are shown first.

    Raises:
        DerbyError: There is nothing to draw yet, or the record cannot be read.
    """
    from analysis.figures.canvas import file_names
    from analysis.report.page import build
    from analysis.statistics.inputs import prepare
    from analysis.words import joined, mark, marks
    from results.tables import read_tables

    tables = read_tables(results, name)
    build(tables, folder)
    inputs = prepare(tables)
    axis = inputs.primary
    facts = inputs.facts
    over = joined("Mean rank over tasks.", marks(list(facts.values())))
    figures = [{"stem": f"rank_all-tasks_{axis}", "words": over, "task": ""}]
    for task, file in file_names(facts).items():
        own = joined(f"Best value so far on {task}.", mark(facts[task]))
        figures.append({"stem": f"convergence_{file}_{axis}", "words": own, "task": task})
    shown = [figure for figure in figures if (folder / "figures" / f"{figure['stem']}.png").exists()]
    (folder / SHOWN).write_text(json.dumps(shown), encoding="utf-8")


def main() -> None:
    """Draw what the arguments say (results folder, sweep, folder to write); say in a line why it cannot be."""
    results, name, folder = sys.argv[1:]
    os.nice(19)
    try:
        draw(Path(results), name, Path(folder))
    except DerbyError as error:
        sys.exit(" ".join(str(error).split()))


if __name__ == "__main__":
    declare()  # before anything loads numpy
    main()
