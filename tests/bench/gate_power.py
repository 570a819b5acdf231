"""How often a gate is wrong, and how many repetitions it takes: gates of pools of recorded studies.

Run ``python tests/bench/gate_power.py record POOL.npz``, then ``python tests/bench/gate_power.py simulate POOL.npz``.
The first searches the recordings that come with the project, many times each, with Optuna's TPE, with other seeds,
and with it made worse on purpose: some of its asks answered at random. It takes a quarter of an hour. The second draws
gates from the pool: pairs of repetitions, task by task, which are independent because their seeds are.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from harness import registry
from harness.keys import StudyKey
from harness.searcher import Searcher, SearcherOptions, Suggestion
from harness.trial import Budget, Problem
from searchers.optuna import OptunaTPE

EVALUATIONS = 30
RECORDINGS = ("fashion_mlp-small", "mnist_mlp-small", "mnist_mlp_design-small")


class Crippled(Searcher):
    """Optuna's TPE, of whose asks a share is answered at random; what it is told stays complete."""

    name = "optuna_tpe"  # the seeds of the method it spoils
    conditional = OptunaTPE.conditional
    parallel = True

    class Settings(SearcherOptions):
        """How much of it is random."""

        share: float = 0.1

    settings: Settings

    def _start(self) -> None:
        self._inner = OptunaTPE(self.problem, seed=self.seed, budget=self.budget)
        self._random = np.random.default_rng(self.seed)

    def _ask(self) -> Suggestion | None:
        if self._random.random() < self.settings.share:
            return Suggestion(self.problem.space.from_unit(self._random.random(len(self.problem.space))))
        return self._inner._ask()

    def _tell(self, suggestion: Suggestion, loss: float) -> None:
        if suggestion.handle is None:
            self._inner._take(suggestion.config, loss)
        else:
            self._inner._tell(suggestion, loss)


SIDES: Mapping[str, tuple[type[Searcher], Mapping[str, object], int, int]] = {
    "tpe": (OptunaTPE, {}, 0, EVALUATIONS),
    "tpe, other seeds": (OptunaTPE, {}, 1, EVALUATIONS),
    "10 % random": (Crippled, {"share": 0.1}, 0, EVALUATIONS),
    "20 % random": (Crippled, {"share": 0.2}, 0, EVALUATIONS),
    "50 % random": (Crippled, {"share": 0.5}, 0, EVALUATIONS),
    "random": (registry.searcher("random"), {}, 0, EVALUATIONS),
    "random, twice as long": (registry.searcher("random"), {}, 0, 2 * EVALUATIONS),
}
"""By name: the method, its settings, a number that changes its seeds, and evaluations."""


def regrets(side: str, recording: str, repetition: int) -> NDArray[np.float64]:
    """Return the regret after every evaluation of a study's best validation value so far, within 0 and 1."""
    method, settings, other, evaluations = SIDES[side]
    task = registry.task("replay")(recording=recording)
    budget = Budget("evaluations", evaluations)
    key = StudyKey(task.key, method.name, settings, budget, 1, repetition, root_seed=0)
    problem = Problem(task.space, task.fidelity, task.objective)
    searcher = method(problem, seed=key.search_seed ^ other, budget=budget, **settings)
    losses = []
    while len(losses) < evaluations and (proposal := searcher.ask()) is not None:
        evaluation = task.evaluate(proposal.config, epochs=proposal.epochs, seed=key.training_seed, data={})
        searcher.tell(proposal, evaluation)
        losses.append(task.objective.loss(evaluation))
    best, reference = (task.objective.sign * value for value in (task.regret.best, task.regret.reference))
    return np.clip((np.minimum.accumulate(losses) - best) / (reference - best), 0, 1)


def record(path: Path, repetitions: int, recordings: tuple[str, ...]) -> None:
    """Search the recordings so many times with each of the sides, and keep the regrets."""
    pool = {}
    for side in SIDES:
        began = time.perf_counter()
        curves = [[regrets(side, name, number) for number in range(repetitions)] for name in recordings]
        pool[side] = np.array(curves)
        np.savez_compressed(path, **pool)
        final = pool[side][:, :, -1]
        print(
            f"{side:22} {time.perf_counter() - began:6.0f} s, final regret by task: {final.mean(axis=1).round(4)}"
        )
