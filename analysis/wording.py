"""What texts say of repetitions, where they are paired by common seeds and where runs are independent."""

from __future__ import annotations

from typing import Final, NamedTuple


class Wording(NamedTuple):
    """Words for one way to compare the repetitions of methods.

    Attributes:
        ranked: Within what ranks are taken, and over what they are averaged.
        unit: What is won or lost, several of them.
        won: By what pairs of methods are compared on a task, one number for each.
        tests: The test within a task, several of them.
        test: Its name.
        over: What it is over.
        why: Why it is that one, in a sentence.
        rule: How ranks are made, for those who ask.
        within: How methods are compared within a task, for those who ask.
    """

    ranked: str
    unit: str
    won: str
    tests: str
    test: str
    over: str
    why: str
    rule: str
    within: str


PAIRED: Final = Wording(
    ranked="within repetitions, over repetitions, then over tasks",
    unit="repetitions",
    won="share of repetitions won minus lost",
    tests="signed-rank tests",
    test="Wilcoxon's signed-rank test",
    over="repetitions",
    why="Within a repetition all methods train with the same seeds, so that the differences are paired.",
    rule="Rank: within each repetition of a task, averaged over repetitions, then over tasks.",
    within="Repetitions share their seeds, so that they are paired. A: probability that the method is better (Vargha "
    "and Delaney); p: signed-rank test with Holm's correction over the comparisons of all tasks; detectable: the true "
    "mean difference found with a power of 0.8.",
)

INDEPENDENT: Final = Wording(
    ranked="among all runs of a task, then over tasks",
    unit="pairs of runs",
    won="share of pairs of runs won minus lost",
    tests="rank-sum tests",
    test="the rank-sum test (Wilcoxon, Mann and Whitney)",
    over="runs",
    why="These runs share no seeds, so that they are not paired: every run is compared with every run of the control.",
    rule="Rank: among all runs of a task, which share no seeds: the mean over all ways to take one run of every "
    "method, then over tasks.",
    within="These runs share no seeds, so that they are not paired. Wins, ties and losses: over all pairs of runs. A: "
    "probability that the method is better (Vargha and Delaney); p: rank-sum test (Wilcoxon, Mann and Whitney) with "
    "Holm's correction over the comparisons of all tasks; detectable: the true mean difference found with a power of "
    "0.8.",
)


def wording(*, paired: bool) -> Wording:
    """Return the words for repetitions that are paired, or for runs that are not."""
    return PAIRED if paired else INDEPENDENT
