"""What happens in a study, in order: asked, told, done."""

from __future__ import annotations

from dataclasses import dataclass

from harness.trial import Proposal, Status

EXHAUSTED = "exhausted"
"""How a study ends that had budget left: its searcher had nothing more to propose."""


def ended_short(label: str, spent: int, amount: int, unit: str) -> str:
    """Say that a study ended with budget left.

    Args:
        label: The study.
        spent: What of its budget it spent, in the budget's unit.
        amount: Its budget.
        unit: The unit: evaluations or epochs.
    """
    return f"{label}: ended after {spent} of {amount} {unit}; its searcher had nothing more to propose"


@dataclass(frozen=True, slots=True)
class Asked:
    """A proposal to evaluate; the evaluation is handed in with `Study.deliver` under its number.

    Args:
        number: 0-based order in which it was asked.
        proposal: What to evaluate.
        start: Virtual time at which a worker took it, in the task's cost unit.
        ask_seconds: Measured time the searcher took.
    """

    number: int
    proposal: Proposal
    start: float
    ask_seconds: float


@dataclass(frozen=True, slots=True)
class Told:
    """An evaluation told to the searcher.

    Args:
        number: That of the `Asked` event it answers.
        status: How the evaluation ended.
        value: The objective's metric; ``None`` when the evaluation failed.
        test: Its test companion; ``None`` when it failed or the task has none.
        loss: What the searcher was told.
        epochs: Epochs charged to the budget.
        finish: Virtual time at which it finished.
        seconds: Measured training time of the charged epochs, as first recorded.
        tell_seconds: Measured time the searcher took.
        machine: Digest of the machine it was trained on.
    """

    number: int
    status: Status
    value: float | None
    test: float | None
    loss: float
    epochs: int
    finish: float
    seconds: float
    tell_seconds: float
    machine: str


@dataclass(frozen=True, slots=True)
class Done:
    """The end of a study.

    Args:
        reason: ``budget`` (what is left does not pay for the next proposal) or ``exhausted`` (the
            searcher has nothing more to propose).
        evaluations: Evaluations told in all.
        epochs: Epochs charged in all.
    """

    reason: str
    evaluations: int
    epochs: int


Event = Asked | Told | Done
