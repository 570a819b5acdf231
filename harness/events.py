"""What happens in a study, in order: asked, told, done. The record's lines are these, written and read as they are."""

from __future__ import annotations

import json
from typing import Annotated, Self

import msgspec

from harness.trial import Proposal, Status, amount_in_words

EXHAUSTED = "exhausted"
"""How a study ends that had budget left: its searcher had nothing more to propose."""


def ended_short(label: str, spent: float, amount: float, unit: str) -> str:
    """Say that a study ended with budget left.

    Args:
        label: The study.
        spent: What of its budget it spent, in the budget's unit.
        amount: Its budget.
        unit: The unit, in words.
    """
    of = f"{amount_in_words(spent)} of {amount_in_words(amount)} {unit}"
    return f"{label}: ended after {of}; its searcher had nothing more to propose"


Count = Annotated[int, msgspec.Meta(ge=0, le=1 << 53)]
Seconds = Annotated[float, msgspec.Meta(ge=0)]

# Made once: to make it for every proposal is a third of the work.
_encode = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode


class Asked(msgspec.Struct, frozen=True, gc=False, tag_field="event", tag="asked"):
    """A proposal to evaluate; the evaluation is handed in with `Study.deliver` under its number.

    Args:
        number: 0-based order in which it was asked.
        trial: Number of the trial.
        config: Its configuration as JSON text, parameters in the order of the task's space: a million of them are
            read without an object for each value.
        epochs: How far to evaluate it.
        evaluation: Id of the evaluation; empty until it is recorded.
        start: Virtual time at which a worker took it, in the task's cost unit.
        cost: What an epoch of it costs, in the same unit.
        ask_seconds: Measured time the searcher took.
    """

    number: Count
    trial: Count
    config: msgspec.Raw
    epochs: Annotated[int, msgspec.Meta(ge=1, le=1 << 53)]
    evaluation: str
    start: float
    cost: Annotated[float, msgspec.Meta(gt=0)]
    ask_seconds: Seconds

    @classmethod
    def of(cls, number: int, proposal: Proposal, start: float, cost: float, ask_seconds: float) -> Self:
        """Return the event of a proposal.

        Raises:
            TypeError: Its configuration is not made of plain JSON scalars.
            ValueError: A number in it is not finite.
        """
        config = msgspec.Raw(_encode(dict(proposal.config)).encode())
        return cls(number, proposal.trial, config, proposal.epochs, "", start, cost, ask_seconds)

    @property
    def proposal(self) -> Proposal:
        """What to evaluate."""
        return Proposal(self.trial, msgspec.json.decode(self.config), self.epochs)


class Told(msgspec.Struct, frozen=True, gc=False, tag_field="event", tag="told"):
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

    number: Count
    status: Status
    value: float | None
    test: float | None
    loss: float
    epochs: Count
    finish: float
    seconds: Seconds
    tell_seconds: Seconds
    machine: str


class Done(msgspec.Struct, frozen=True, gc=False, tag_field="event", tag="done"):
    """The end of a study.

    Args:
        reason: ``budget`` (what is left does not pay for the next proposal) or ``exhausted`` (the
            searcher has nothing more to propose).
        evaluations: Evaluations told in all.
        epochs: Epochs charged in all.
        cost: What these cost, in the task's cost unit: the sum, in the order told, of epochs times `Asked.cost`.
        digest: Digest of all lines of the journal before this one; empty until it is recorded.
    """

    reason: str
    evaluations: Count
    epochs: Count
    cost: Annotated[float, msgspec.Meta(ge=0)]
    digest: str = ""


Event = Asked | Told | Done
