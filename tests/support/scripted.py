"""A searcher whose every move a test writes down, and evaluations to tell it."""

from __future__ import annotations

from typing import Any

from harness.searcher import Searcher, Suggestion
from harness.space import Float, Space
from harness.trial import Budget, Curve, Evaluation, Fidelity, Objective, Problem, Status

PROBLEM = Problem(Space({"x": Float(0.0, 100.0)}), Fidelity(1, 27), Objective("value", "min", failure=1e6))


class Scripted(Searcher):
    """Proposes what a script says: numbers are new trials at full fidelity, and so on.

    An entry is ``x``, or ``(x, epochs)``, or ``("more", index of an earlier entry, epochs)``, or ``None``.
    """

    name = "scripted"
    parallel = True
    multi_fidelity = True

    def __init__(self, script: list[Any], budget: Budget, problem: Problem = PROBLEM) -> None:
        self.script = list(script)
        self.made: list[Suggestion | None] = []
        self.log: list[tuple[str, float]] = []
        super().__init__(problem, seed=0, budget=budget)

    def _ask(self) -> Suggestion | None:
        if not self.script:
            return None
        entry = self.script.pop(0)
        match entry:
            case None:
                made = None
            case ("more", index, epochs):
                first = self.made[index]
                assert first is not None
                made = Suggestion(first.config, epochs=epochs, continues=first)
            case (x, epochs):
                made = Suggestion({"x": x}, epochs=epochs)
            case Exception():
                raise entry
            case x:
                made = Suggestion({"x": x})
        self.made.append(made)
        if made is not None:
            self.log.append(("ask", float(made.config["x"])))
        return made

    def _tell(self, suggestion: Suggestion, loss: float) -> None:
        self.log.append(("tell", loss))


def value(x: float, epochs: int = 27) -> Evaluation:
    """An evaluation whose metric is ``x`` at every epoch."""
    return Evaluation(Status.OK, Curve({"value": [float(x)] * epochs, "seconds": [1.0] * epochs}), epochs)


def diverged(epochs: int) -> Evaluation:
    """A divergence in an epoch."""
    curve = Curve({"value": [1.0] * (epochs - 1), "seconds": [1.0] * (epochs - 1)})
    return Evaluation(Status.DIVERGED, curve, epochs, lost_seconds=0.5)
