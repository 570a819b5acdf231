"""A gate's answer as Markdown for a pull request, as JSON and as a page: verdict, one table, one figure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from analysis.figures.canvas import Plot
from analysis.report.pictures import picture
from analysis.report.templates import environment
from analysis.statistics.percentiles import speed_up
from analysis.statistics.proposals import Proposals
from analysis.statistics.sequential import Bounds, Decision, Plan, Verdict
from analysis.words import number
from harness.plurals import plural

HEADER = ("", "estimate", "at least", "at most", "margin", "verdict")


@dataclass(frozen=True, slots=True)
class Account:
    """What a gate found, in the terms of its report.

    Attributes:
        searcher: The method's label.
        outcome: ``identical``, ``not worse``, ``worse``, ``dearer`` (searches no worse, and costs more) or
            ``undecided``.
        baseline: The side where the method is known to be good, in words.
        candidate: The side that is tested, in words.
        plan: What was decided before.
        repetitions: Of each task, in all.
        quality: About the differences of percentiles among random searches; ``None`` where the proposals are identical.
        percentiles: Their means over tasks, of the baseline and of the candidate; ``None`` likewise.
        costs: About ratios of costs, by what they are, such as ``seconds of ask and tell``.
        proposals: How far both sides propose the same, in words; may be empty.
        versions: Packages whose versions differ, with that of the baseline and that of the candidate.
    """

    searcher: str
    outcome: str
    baseline: str
    candidate: str
    plan: Plan
    repetitions: int
    quality: Decision | None
    percentiles: tuple[float, float] | None = None
    costs: Mapping[str, Decision] = field(default_factory=dict)
    proposals: str = ""
    versions: Mapping[str, tuple[str, str]] = field(default_factory=dict)


_SAID: Mapping[Verdict | None, str] = {
    Verdict.WORSE: "searches worse than {baseline} by more than the margin of {margin}",
    Verdict.NOT_WORSE: "does not search worse than {baseline} by more than the margin of {margin}",
    Verdict.UNDECIDED: "may or may not search worse than {baseline} by more than the margin of {margin}",
    None: "may yet prove to search worse than {baseline} by more than the margin of {margin}",
}


def sentence(account: Account) -> str:
    """Return the answer in words, with what it rests on."""
    after = f"after {account.repetitions} of up to {plural(account.plan.looks[-1], 'repetition')}"
    baseline = f"the baseline ({account.baseline})"
    text = f"{account.searcher}: the candidate ({account.candidate}) "
    if account.quality is None:
        text += f"proposes what {baseline} proposes, trial by trial; {after}."
    else:
        bounds, margin = account.quality.overall, number(account.quality.margin, 3)
        tasks = plural(len(account.quality.tasks), "task")
        text += (
            f"{_SAID[bounds.verdict].format(baseline=baseline, margin=margin)}. {after.capitalize()} its mean "
            f"percentile among random searches on {tasks} differs by {number(bounds.estimate, 2)}, and by "
            f"{number(bounds.low, 2)} to {number(bounds.high, 2)} as far as is known."
        )
        if account.percentiles is not None:
            text += f" {_worth(*account.percentiles)}"
    dearer = [name for name, cost in account.costs.items() if cost.verdict is Verdict.WORSE]
    if dearer:
        ratios = [f"{name} × {number(account.costs[name].overall.estimate, 3)}" for name in dearer]
        text += f" It costs more than the margin allows: {', '.join(ratios)}."
    if account.quality is not None and account.quality.verdict is not Verdict.WORSE:
        worse = [task for task, own in account.quality.tasks.items() if own.verdict is Verdict.WORSE]
        if worse:
            text += f" By itself it is worse by more than the margin on {', '.join(worse)}."
    return text


def proposals_in_words(proposals: Proposals) -> str:
    """Say how far two sides propose the same, and where they part first."""
    if proposals.identical:
        return (
            f"All {proposals.compared} proposals are identical."
            if proposals.compared > 1
            else "The one proposal is identical."
        )
    first, *others = proposals.partings
    words = (
        f"{proposals.equal} of {plural(proposals.compared, 'proposal')} are the same. On {first.task} they part "
        "first in "
        f"repetition {first.repetition}, proposal {first.trial}, at {first.parameter}: {first.baseline} in the "
        f"baseline, {first.candidate} in the candidate"
    )
    if others:
        places = (f"{own.task} ({own.repetition}, {own.trial}, {own.parameter})" for own in others)
        words += f"; elsewhere on {', '.join(places)}"
    return f"{words}."


def _worth(baseline: float, candidate: float) -> str:
    """Say what both sides are worth in budgets of random search."""
    one, other = (f"× {number(speed_up(value), 2)}" for value in (baseline, candidate))
    return (
        f"The candidate ends as random search would with {other} its budget (percentile {number(candidate, 2)}), the "
        f"baseline with {one} ({number(baseline, 2)})."
    )


def rows(account: Account) -> list[tuple[str, ...]]:
    """Return the one table, as cells under `HEADER`."""
    result = []
    if account.quality is not None:
        result += list(_rows(account.quality, "percentile", "+"))
    for name, cost in account.costs.items():
        result.append(_row(name, cost.overall, cost.margin, "× "))
    return result


def markdown(account: Account, figure: str = "") -> str:
    """Return the answer for a pull request.

    Args:
        account: What the gate found.
        figure: Link to its figure; empty for none.
    """
    parts = [f"**{account.outcome.capitalize()}.** {_escaped(sentence(account))}"]
    table = rows(account)
    if table:
        lines = [HEADER, ("---", *["---:"] * 4, "---"), *table]
        parts.append(
            "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
        )
    parts += [_escaped(note) for note in _notes(account)]
    if figure:
        parts.append(f"![Percentile of both sides and the interval of its difference]({figure})")
    return "\n\n".join(parts) + "\n"


def as_json(account: Account) -> dict[str, Any]:
    """Return everything as JSON types, with the answer in words as ``sentence``."""
    result: dict[str, Any] = msgspec.to_builtins(account)
    return {"outcome": account.outcome, "sentence": sentence(account), **result}


def write_page(account: Account, plot: Plot | None, folder: Path) -> Path:
    """Write ``report.html`` and the figure's files into a folder; the same input gives the same bytes.

    Args:
        account: What the gate found.
        plot: What `analysis.figures.gate.gate_figure` returned; ``None`` where the proposals are identical.
        folder: Where; made if absent.

    Returns:
        Path of the page.
    """
    folder.mkdir(parents=True, exist_ok=True)
    page = folder / "report.html"
    text = (
        environment()
        .get_template("gate.html")
        .render(
            account=account,
            sentence=sentence(account),
            header=HEADER,
            rows=rows(account),
            notes=list(_notes(account)),
            picture=None if plot is None else picture(plot, folder, "gate"),
        )
    )
    page.write_text(text, encoding="utf-8", newline="\n")
    return page


def _notes(account: Account) -> Iterator[str]:
    """Yield what a reader of the table should know."""
    if account.versions:
        changed = ", ".join(f"{name} {old} → {new}" for name, (old, new) in account.versions.items())
        yield f"Versions that differ: {changed}."
    if account.proposals:
        yield account.proposals
    if account.quality is not None or account.costs:
        level = f"{100 * account.plan.level:g} %"
        yield (
            f"Each bound holds over all looks but for a probability of {level}"
            + (
                "; those of single tasks all together."
                if account.quality and len(account.quality.tasks) > 1
                else "."
            )
            + " Percentile: the share of random searches with the same budget that end better. It stands as a "
            "difference, candidate minus baseline; costs stand as ratios, candidate to baseline."
        )


def _rows(decision: Decision, name: str, sign: str) -> Iterator[tuple[str, ...]]:
    """Yield the rows of a decision: over tasks, then each of several."""
    if len(decision.tasks) == 1:
        (task,) = decision.tasks
        yield _row(f"{name}, {task}", decision.overall, decision.margin, sign)
        return
    yield _row(f"{name}, mean over tasks", decision.overall, decision.margin, sign)
    for task, bounds in decision.tasks.items():
        yield _row(f"{name}, {task}", bounds, decision.margin, sign)


def _row(name: str, bounds: Bounds, margin: float, sign: str) -> tuple[str, ...]:
    """Return a row; numbers have the sign ``+`` where positive, or stand after ``×``."""

    def text(value: float) -> str:
        plus = "" if sign == "+" and not value > 0 else sign
        return plus + number(value, 2 if sign == "+" else 3)

    values = (bounds.estimate, bounds.low, bounds.high, margin)
    return (name, *map(text, values), "goes on" if bounds.verdict is None else bounds.verdict.value)


def _escaped(text: str) -> str:
    """Return a text in which Markdown sees no marks: names have underscores."""
    for mark in "\\_*`<|":
        text = text.replace(mark, f"\\{mark}")
    return text
