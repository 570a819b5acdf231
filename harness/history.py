"""A study's past, followed as recorded, and its searcher told of it: how a study goes on where its replay departs."""

from __future__ import annotations

from collections.abc import Sequence

from harness.errors import SearcherError
from harness.searcher import Searcher
from harness.trial import Evaluation, Proposal

History = Sequence[Proposal | None]
"""What happened in a study, in order: a proposal that was asked, or ``None`` where an evaluation was told."""


class Followed:
    """Repeats a study's recorded proposals, then hands over to a searcher that is told what came of them.

    To its study it is a searcher like any other. The searcher is told every recorded trial as one that it did not
    propose itself, in the order in which they were told, and proposes the rest; trials that the record asked and did
    not tell are told it when they end.

    Args:
        history: The record, up to where the searcher goes on.
        searcher: A fresh searcher.

    Raises:
        SearcherError: It cannot be told trials that it did not propose.
    """

    def __init__(self, history: History, searcher: Searcher) -> None:
        if not searcher.takes():
            raise SearcherError(cannot_take(searcher.name))
        self._history = history
        self._searcher = searcher
        self._position = 0
        self._recorded: set[tuple[int, int]] = set()
        """Trials and epochs that the record proposed and that have not been told."""
        self._told: list[tuple[Proposal, Evaluation]] = []
        self._handed_over = False
        self.name, self.parallel = searcher.name, searcher.parallel
        self.problem, self.budget = searcher.problem, searcher.budget
        self.ask_seconds = 0.0
        self.tell_seconds = 0.0

    def ask(self) -> Proposal | None:
        """Return the recorded proposal, or once there are no more the searcher's."""
        if self._position < len(self._history):
            proposal = self._history[self._position]
            if proposal is not None:
                self._position += 1
                self._recorded.add((proposal.trial, proposal.epochs))
            return proposal  # or, as then, nothing until something is told
        self._hand_over()
        asked = self._searcher.ask()
        self.ask_seconds = self._searcher.ask_seconds
        return asked

    def tell(self, proposal: Proposal, evaluation: Evaluation, cost: float | None = None) -> None:
        """Take the evaluation of a proposal, the record's or the searcher's."""
        if (proposal.trial, proposal.epochs) not in self._recorded:
            self._searcher.tell(proposal, evaluation, cost)
            self.tell_seconds = self._searcher.tell_seconds
            return
        self._recorded.remove((proposal.trial, proposal.epochs))
        self._position += self._position < len(self._history)
        if self._handed_over:
            self._searcher.take(proposal, evaluation)
        else:
            self._told.append((proposal, evaluation))

    def _hand_over(self) -> None:
        if not self._handed_over:
            self._handed_over = True
            self._searcher.reserve(1 + max((step.trial for step in self._history if step), default=-1))
            for proposal, evaluation in self._told:
                self._searcher.take(proposal, evaluation)


def cannot_take(name: str) -> str:
    """Say that a method cannot go on from recorded trials, and what can be done instead."""
    return (
        f"searcher {name!r} cannot be told trials that it did not propose itself; run with --on-mismatch restart to "
        "set the old journal aside and run this study again from its beginning"
    )
