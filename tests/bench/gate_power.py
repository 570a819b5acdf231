"""How often a gate is wrong, and how many repetitions it takes: gates of pools of recorded studies.

Run ``python tests/bench/gate_power.py record POOL.npz``, then ``python tests/bench/gate_power.py simulate POOL.npz``.
The first searches the recordings that come with the project, many times each, with Optuna's TPE, with other seeds,
and with it made worse on purpose: some of its asks answered at random. It takes ten minutes. The second draws gates
from the pool: pairs of repetitions, task by task, which are independent because their seeds are. Beside what the gate
does stands what an interval by t would, at the level divided by the number of looks.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from analysis.statistics.sequential import Plan, Verdict, decide
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


def differences(pool: Mapping[str, NDArray[np.float64]]) -> dict[str, NDArray[np.float64]]:
    """Return by case the differences of final regret from TPE's, of shape (tasks, repetitions)."""
    final = {side: curves[:, :, -1] for side, curves in pool.items()}
    own = {side: final[side] - final["tpe"] for side in SIDES if side not in ("tpe", "random, twice as long")}
    # As it is, but that some of its studies fail: most of the mean is then in few repetitions.
    draws = np.random.default_rng(1).random(final["tpe"].shape)
    for percent in (3, 10, 30):
        failed = np.where(draws < percent / 100, 1.0, final["tpe, other seeds"])
        own[f"tpe, {percent} % failing"] = failed - final["tpe"]
    at = own["tpe, other seeds"] + Plan().margin - own["tpe, other seeds"].mean()
    return {**own, "worse by the margin": np.clip(at, -1, 1)}


def gate(values: NDArray[np.float64], plan: Plan) -> tuple[Verdict, int, Verdict]:
    """Return a gate's verdict, its repetitions, and the verdict of intervals by t."""
    frames = [
        pd.DataFrame({"task": str(task), "repetition": np.arange(own.size), "difference": own})
        for task, own in enumerate(values)
    ]
    rows = pd.concat(frames, ignore_index=True)
    verdict, used, by_t = None, 0, None
    for look, size in enumerate(plan.looks, start=1):
        if verdict is None:
            verdict, used = decide(rows[rows["repetition"] < size], plan, look).verdict, size
        if by_t is None:
            by_t = t_verdict(values[:, :size].mean(axis=0), plan)
    return verdict or Verdict.UNDECIDED, used, by_t or Verdict.UNDECIDED


def t_verdict(means: NDArray[np.float64], plan: Plan) -> Verdict | None:
    """Return what an interval by t of means over tasks says at a look."""
    size = means.size
    half = stats.t.ppf(1 - plan.level / len(plan.looks), size - 1) * means.std(ddof=1) / np.sqrt(size)
    if means.mean() - half > plan.margin:
        return Verdict.WORSE
    return Verdict.NOT_WORSE if means.mean() + half < plan.margin else None


def simulate(path: Path, gates: int, plan: Plan) -> None:
    """Draw gates from a pool and print their verdicts in per cent."""
    with np.load(path) as file:
        pool = dict(file)
    twice = pool["random, twice as long"]
    print(
        f"gain of random search's second half: {(twice[:, :, EVALUATIONS - 1] - twice[:, :, -1]).mean():.4f}"
    )
    print(
        f"{'case':22} {'difference':>10} {'worse':>6} {'not':>6} {'?':>6} {'repetitions':>11}   by t: worse, not"
    )
    for case, own in differences(pool).items():
        random = np.random.default_rng(0)
        drawn = random.integers(own.shape[1], size=(gates, own.shape[0], plan.looks[-1]))
        results = [gate(np.take_along_axis(own, places, axis=1), plan) for places in drawn]
        share = {verdict: 100 * np.mean([result[0] is verdict for result in results]) for verdict in Verdict}
        by_t = {verdict: 100 * np.mean([result[2] is verdict for result in results]) for verdict in Verdict}
        print(
            f"{case:22} {own.mean():10.4f} {share[Verdict.WORSE]:6.1f} {share[Verdict.NOT_WORSE]:6.1f} "
            f"{share[Verdict.UNDECIDED]:6.1f} {np.mean([result[1] for result in results]):11.0f}   "
            f"{by_t[Verdict.WORSE]:11.1f} {by_t[Verdict.NOT_WORSE]:5.1f}"
        )


def main() -> None:
    """Record a pool, or simulate gates of one."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("action", choices=("record", "simulate"))
    parser.add_argument("pool", type=Path)
    parser.add_argument("--repetitions", type=int, default=300)
    parser.add_argument("--gates", type=int, default=400)
    parser.add_argument("--margin", type=float, default=Plan().margin)
    arguments = parser.parse_args()
    if arguments.action == "record":
        record(arguments.pool, arguments.repetitions, RECORDINGS)
    else:
        simulate(arguments.pool, arguments.gates, Plan(margin=arguments.margin))


if __name__ == "__main__":
    main()
