"""Numbers of things in words: "1 study", and never "1 studies"."""

from __future__ import annotations

import ast
import itertools
import re
from pathlib import Path

import pytest

from harness.plurals import plural

ROOT = Path(__file__).resolve().parent.parent.parent
ROOMS = ("harness", "results", "analysis", "tasks", "searchers", "derby")

COUNTED = (
    "epochs|trainings|studies|evaluations|trials|repetitions|tasks|methods|searchers|configurations|seeds|evaluators|"
    "nodes|threads|proposals|workers|winners|races|recordings|sweeps|runs|points|parameters|problems|files|jobs|"
    "libraries|rows|values"
)
"""What is counted in texts, and often is one."""

NEVER_ONE = {
    ("analysis/figures/canvas.py", "count"): "one has words of its own",
    ("analysis/report/partial.py", "len(tasks)"): "one has words of its own",
    ("harness/commands/verifying.py", "number"): "one has words of its own",
    ("harness/doctor/comparing.py", "number"): "one has words of its own",
    ("results/baseline_table.py", "count"): "one has words of its own",
    ("analysis/figures/differences.py", "k"): "a diagram of fewer than two methods is not drawn",
    ("analysis/figures/guides.py", "listed(list(map(str, counts)))"): "one is left out",
    ("analysis/figures/progress.py", "count"): "one has no such sentence",
    ("analysis/figures/progress.py", "methods"): "one is not ranked",
    ("analysis/report/gate.py", "proposals.compared"): "one has a sentence of its own",
    ("analysis/report/partial.py", "len(names)"): "only of many",
    ("analysis/report/planned.py", "len(others)"): "only of many",
    ("analysis/report/planned.py", "len(rest)"): "only of many",
    ("analysis/sample_sizes.py", "needed"): "a list of several",
    ("analysis/site/sentences.py", "others"): "one has a sentence of its own",
    ("analysis/statistics/significance.py", "methods"): "the fewest of a test, two or three",
    ("harness/commands/launching.py", "progress.studies"): "one has words of its own",
    ("harness/commands/running.py", "len(stated.pairs)"): "only of more than four",
    ("harness/commands/trying.py", "searchers"): "of an example",
    ("harness/commands/trying.py", "repetitions"): "of an example",
    ("harness/commands/trying.py", "evaluations"): "of an example",
    ("harness/gate.py", "', '.join(map(str, gate.plan.looks))"): "a list of several",
    ("harness/plan.py", "len(own)"): "only of many",
    ("harness/sweep.py", "len(spec.searchers)"): "a product that is too large",
    ("harness/watch/overview.py", "planned"): "one has a sentence of its own",
    ("results/imports/build.py", "int(mine.sum())"): "a part of them is not known",
    ("results/imports/runs.py", "count"): "one has words of its own",
    ("results/sources.py", "len(names)"): "one is taken",
    ("searchers/basic.py", "parameters"): "more than the most there may be",
    ("searchers/gpyopt.py", "domain.size"): "more than the most there may be",
    ("tasks/replay.py", "seeds"): "one has words of its own",
}
"""Numbers that are more than one wherever they are said, and why."""

NO_NUMBER = {"unit", "sweep.spec.seed", "stated.measure", "searcher.name"}
"""What stands before such a word and does not count it."""

WORDS_BETWEEN = "(?:(?!(?:of|on|to|in|and|that|has|is|they) )[a-z-]+ ){0,2}?"
NOUN = re.compile(f" {WORDS_BETWEEN}(?:{COUNTED})\\b")


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (plural(1, "study"), "1 study"),
        (plural(0, "study"), "0 studies"),
        (plural(2, "pass"), "2 passes"),
        (plural(2, "epoch"), "2 epochs"),
        (plural(2, "batch"), "2 batches"),
        (plural(2, "day"), "2 days"),
        (plural(1, "kind of machine", "kinds of machine"), "1 kind of machine"),
        (plural(3, "kind of machine", "kinds of machine"), "3 kinds of machine"),
        (plural(0.5, "GPU"), "0.5 GPUs"),
        (plural(1.0, "GPU"), "1 GPU"),
    ],
)
def test_a_number_says_what_it_counts(said, expected):
    assert said == expected


def plurals() -> set[tuple[str, str]]:
    """Return file and number of each text that says a number and something in the plural."""
    found = set()
    for path in (path for room in ROOMS for path in sorted((ROOT / room).rglob("*.py"))):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            parts = node.values if isinstance(node, ast.JoinedStr) else []
            for number, text in itertools.pairwise(parts):
                if (
                    isinstance(number, ast.FormattedValue)
                    and isinstance(text, ast.Constant)
                    and NOUN.match(str(text.value))
                    and ast.unparse(number.value) not in NO_NUMBER
                    and not re.fullmatch(r"(\w+\.)*_?[A-Z][A-Z_]+", ast.unparse(number.value))
                ):
                    found.add((path.relative_to(ROOT).as_posix(), ast.unparse(number.value)))
    return found


def test_whatever_may_be_one_is_said_by_plural():
    found = plurals()
    assert found - NEVER_ONE.keys() == set(), "use harness.plurals.plural, or say here why it is never one"
    assert NEVER_ONE.keys() - found == set()
