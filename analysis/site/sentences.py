"""An answer in words: who leads, how sure that is, and what is not shown."""

from __future__ import annotations

import math
from collections.abc import Sequence

from analysis.report.verdicts import claims
from analysis.statistics.answers import Answer
from analysis.words import interval, joined, mean_rank, named
from harness.plurals import plural

LIMIT_WORDS = {
    "any": "any search time",
    "1": "at most 1 s of search per evaluation",
    "0.1": "at most 0.1 s of search per evaluation",
    "0.01": "at most 0.01 s of search per evaluation",
}
FIDELITY_WORDS = {
    "any": "all methods, on all of these tasks",
    "yes": "trainings can be stopped early",
    "no": "every training runs to its end",
}


def budget_words(point: float) -> str:
    """Return ``50 full evaluations``."""
    return plural(point, "full evaluation")


def when_words(when: Sequence[tuple[str, str]]) -> str:
    """Return the conditions of a question, as pairs of a key of `FIDELITY_WORDS` and one of `LIMIT_WORDS`."""
    limits_of = {
        stops: tuple(limit for limit in LIMIT_WORDS if (stops, limit) in when) for stops in FIDELITY_WORDS
    }
    alike: dict[tuple[str, ...], list[str]] = {}
    for stops, limits in limits_of.items():
        if limits:
            alike.setdefault(limits, []).append(FIDELITY_WORDS[stops])
    parts = []
    for limits, words in alike.items():
        even = f", and the same with {LIMIT_WORDS[limits[-1]]}" if len(limits) > 1 else ""
        parts.append(f"{' or '.join(words)}: {LIMIT_WORDS[limits[0]]}{even}")
    text = "; ".join(parts)
    return text[:1].upper() + text[1:]


def lead_words(answer: Answer) -> str:
    """Return who has the lowest mean rank, with its interval."""
    standing, leaders = answer.standing, answer.standing.leaders
    row = answer.table.iloc[0]
    rank = f"{mean_rank(row['rank'])} {interval(row['low'], row['high'], 3)}".strip()
    tasks = plural(len(answer.tasks), "task")
    of = f"among {plural(len(answer.order), 'method')} over {tasks}"
    if len(leaders) == len(answer.order):
        return f"All tie {of}, with a mean rank of {mean_rank(row['rank'])} each."
    if len(leaders) > 1:
        return f"{named(leaders)} lead together {of}, with a mean rank of {rank} each."
    second = answer.table.iloc[1]
    ahead = (
        f"{row['method']} leads {of} with a mean rank of {rank}, ahead of {second['method']} with "
        f"{mean_rank(second['rank'])}"
    )
    sure = (
        f" It leads in {percent(row['first'])} of resamples of the tasks."
        if math.isfinite(row["first"])
        else ""
    )
    return f"{ahead}.{sure if not standing.few else ''}"


def shown_words(answer: Answer) -> str:
    """Return what tests over tasks show of who leads: *no difference shown* where that is the answer."""
    standing = answer.standing
    if standing.few:
        k = len(answer.order)
        return (
            f"No difference shown, and none could be: with {plural(len(answer.tasks), 'task')} no test separates "
            f"{plural(k, 'method')}, however clear; it takes {plural(standing.needed, 'task')}."
        )
    if len(standing.leaders) == len(answer.order):
        return "No difference shown."
    said = [standing.verdict(name) for name in standing.leaders]
    if not any(each.better_than or each.worse_than for each in said):
        return "No difference shown: no test separates a leader from any other method."
    names = ("It",) if len(standing.leaders) == 1 else standing.leaders
    return joined(*(claims(name, each) for name, each in zip(names, said, strict=True)))


def strengths_words(answer: Answer) -> str:
    """Return who is first on how many tasks: what an average hides."""
    firsts = answer.table[answer.table["first_on"] > 0].sort_values(
        "first_on", ascending=False, kind="stable"
    )
    if len(answer.tasks) < 2 or firsts.empty:
        return ""
    parts = [f"{row['method']} on {row['first_on']}" for row in firsts.to_dict("records")]
    return f"First task by task: {named(parts)}."


def left_out_words(answer: Answer) -> str:
    """Return what is not ranked, and why; empty where all is."""
    return f"Not ranked: {'; '.join(answer.left_out)}." if answer.left_out else ""


def reference_words(answer: Answer, reference: str) -> str:
    """Return who is shown to differ from random search; empty where it leads, or nothing could be shown.

    Args:
        answer: The answer.
        reference: The label of random search; empty where it was not raced.
    """
    standing = answer.standing
    if reference not in answer.order or reference in standing.leaders or standing.few:
        return ""
    (row,) = answer.table[answer.table["method"] == reference].to_dict("records")
    said = standing.verdict(reference)
    shown = [
        f"{named(names)} {'is' if len(names) == 1 else 'are'} shown to be {how} than it"
        for names, how in ((said.worse_than, "better"), (said.better_than, "worse"))
        if names
    ]
    others = len(said.alike)
    if others == 1:
        shown.append("from the one other it is not shown to differ")
    elif others and shown:
        shown.append(f"from none of the {others} others is it shown to differ")
    elif others:
        shown.append(f"it is shown to differ from none of the {others} other methods")
    rank = f"{mean_rank(row['rank'])} {interval(row['low'], row['high'], 3)}".strip()
    return f"Random search ({reference}) has {rank}: {'; '.join(shown)}."


def answer_words(answer: Answer, reference: str = "") -> list[str]:
    """Return an answer, a paragraph each.

    Args:
        answer: The answer.
        reference: The label of random search, beside which the others are told; empty where it was not raced.
    """
    said = (
        lead_words(answer),
        shown_words(answer),
        reference_words(answer, reference),
        strengths_words(answer),
        left_out_words(answer),
    )
    return [text for text in said if text]


MOST_SETS = 6
"""Sets of methods that no test separates whose numbers a table can have; more say less than how many differ."""


def percent(share: float) -> str:
    """Return a share as a percentage: ``< 1 %`` and ``> 99 %`` at its ends."""
    if not math.isfinite(share):
        return "–"
    if 0 < share < 0.01:
        return "< 1 %"
    if 0.99 < share < 1:
        return "> 99 %"
    return f"{100 * share:.0f} %"


COMPARED = {
    "leads": "leads",
    "better": "shown to be better",
    "worse": "shown to be worse",
    "not shown": "no difference shown",
    "untested": "too few tasks for a test",
}
"""What tests say of a method and the leader, in a table; keys are those of `Answer.table`."""

WITHIN = {**COMPARED, "tied": "leads, tied with others", "untested": "–"}
"""The same on one task, where a dash is for repetitions too few to test."""


def seconds_words(seconds: float) -> str:
    """Return a time as people read it."""
    if not math.isfinite(seconds):
        return "–"
    if seconds < 0.001:
        return "< 1 ms"
    if seconds < 0.1:
        return f"{1000 * seconds:.2g} ms"
    return f"{seconds:.2g} s" if seconds < 100 else f"{seconds:.0f} s"
