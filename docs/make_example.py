"""Write docs/example.md and its figures from the demo's results and report.

``make demo``, then ``.venv/bin/python docs/make_example.py``.
"""

from __future__ import annotations

import argparse
import textwrap
from pathlib import Path

from PIL import Image

from analysis.figures.canvas import file_names
from analysis.report.notices import notices
from analysis.report.summary import summary
from analysis.statistics.comparison import comparable, compare, ranking
from analysis.statistics.completeness import completeness, failures_by_method
from analysis.statistics.completeness import failures as failures_of
from analysis.statistics.inputs import prepare
from analysis.words import interval, number
from results.tables import read_tables

DOCS = Path(__file__).parent
COLORS = 256


def picture(report: Path, stem: str, words: str) -> str:
    """Copy a figure of the report into docs/figures with few colours, and return the Markdown that shows it."""
    with Image.open(report / "figures" / f"{stem}.png") as image:
        small = image.convert("RGB").quantize(COLORS, dither=Image.Dither.NONE)
        small.save(DOCS / "figures" / f"example_{stem}.png", optimize=True)
    return f"![{words}](figures/example_{stem}.png)"


def wrapped(text: str) -> str:
    """Wrap a paragraph."""
    return "\n".join(textwrap.wrap(text, 118, break_long_words=False, break_on_hyphens=False))


def table(header: list[str], rows: list[list[str]]) -> str:
    """Return a Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def main() -> None:
    """Write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, default=Path("results/local"))
    parser.add_argument("--report", type=Path, help="the demo's report; in its sweep's folder by default")
    given = parser.parse_args()
    report = given.report or given.results / "sweeps" / "demo" / "report"
    tables = read_tables(given.results, "demo")
    inputs = prepare(tables)
    if not comparable(inputs):
        raise SystemExit("the demo is not finished: run `make demo` first")
    comparison = compare(inputs)
    names = file_names(inputs.facts)
    first_words, *more = summary(inputs, comparison)
    first = next(task for task, facts in inputs.facts.items() if "test" in facts.metrics)
    ranks = [
        [
            str(row["searcher"]),
            f"{row['rank']:.2f} {interval(row['rank_low'], row['rank_high'], 3)}",
            number(row["regret"], 2),
            "leads" if row["leads"] else number(row["won"], 2),
            "" if row["leads"] else number(row["p_holm"], 2),
        ]
        for row in ranking(comparison).to_dict("records")
    ]
    repetitions = tables.studies["repetition"].nunique()
    failed = failures_by_method(failures_of(tables))
    planned = completeness(tables)
    parts = [
        "# A worked example: the demo",
        "Written by `docs/make_example.py` from the demo's results, with the figures of its report.",
        wrapped(
            f"`make demo` races {len(comparison.searchers)} methods over {len(inputs.facts)} tasks whose trainings "
            "were recorded: this project's [recordings](recordings.md) and public tables, "
            f"{'once' if repetitions == 1 else f'in {repetitions} seeded repetitions'}, each with the epochs of twenty "
            "evaluations at full fidelity. "
            "`derby report demo` then writes the page this one quotes. What follows shows how to read it. (It "
            "also runs a small race that trains, `docs/sweeps/live.yaml`, before.)"
        ),
        "## The summary comes first",
        "\n>\n".join(
            f"> {wrapped(text)}".replace("\n", "\n> ") for text in (first_words, *notices(inputs), *more)
        ),
        "## The ranking",
        table(["method", "mean rank", "regret", "won against the leader", "p (Holm)"], ranks),
        wrapped(
            "Rank 1 is best, by the test value where a task has one, else by the validation value; intervals are over "
            "tasks. Regret is 0 at a task's best value and 1 at that of its median "
            "configuration, here the mean of the middle half of tasks. The last two columns compare with the leader: "
            "the share of tasks that a method wins from it, and Wilcoxon's signed-rank test over tasks, by Holm's "
            "correction. Methods on one bar of the diagram are not shown to differ."
        ),
        picture(
            report, "differences_wilcoxon", "Mean ranks of all methods, bars join what is not shown to differ"
        ),
        "## Progress",
        wrapped(
            "Left the value that selected the configuration, right what it is worth on the test set. Lines "
            "are exact steps: a value counts from the evaluation that finished it. Straight grey lines are baselines, "
            "which no rank knows of."
        ),
        picture(
            report,
            f"convergence_{names[first]}_{inputs.primary}",
            f"Mean best validation and test value on {first} over {inputs.primary}",
        ),
        picture(
            report, f"rank_all-tasks_{inputs.primary}", f"Mean rank over all tasks over {inputs.primary}"
        ),
        "## What was tried",
        wrapped(
            "Importance is judged by random search alone: trials of a method that searches would tell what "
            "that method believed. Slices and parallel coordinates show where each method went."
        ),
        *(
            picture(report, f"{kind}_{names[first]}", f"{words} on {first}")
            for kind, words in (
                ("importance", "Importance of the parameters"),
                ("slices", "Validation value over each parameter"),
                ("coordinates", "Parallel coordinates of each method's configurations"),
            )
            if (report / "figures" / f"{kind}_{names[first]}.png").exists()
        ),
        "## What failed and what is missing",
        table(
            ["method", "told", "failed"],
            [[str(r["searcher"]), str(r["told"]), str(r["failed"])] for r in failed.to_dict("records")],
        ),
        wrapped(
            f"{int(planned['finished'].sum())} of {int(planned['planned'].sum())} planned studies are "
            "finished. Every ranking names what it leaves out."
        ),
        "## From here",
        wrapped(
            "Every figure is in the report's folder as PDF, SVG, PNG, and CSV with exactly the numbers drawn. "
            "`derby export demo` writes the [tables](tables.md). `derby publish demo` freezes all of it with "
            "a manifest of digests, and `derby verify demo` draws the figures again and says whether they are "
            "the same, byte for byte. `derby compare A B` reports on several results folders together."
        ),
    ]
    (DOCS / "example.md").write_text("\n\n".join(parts) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
