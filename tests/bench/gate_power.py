"""How often a gate is wrong, and how many repetitions it takes: gates of pools of recorded studies.

Run ``python tests/bench/gate_power.py record POOL.npz``, then ``python tests/bench/gate_power.py simulate POOL.npz``.
The first searches the tasks that a gate has by default, many times each, with Optuna's TPE, with it made worse on
purpose (some of its asks answered at random), and with random search, by which all are measured. It takes some ten
minutes. The second draws gates from the pool: pairs of repetitions, task by task, which are independent because their
seeds are.
"""
# ruff: noqa: E402 - what computes is declared before anything loads it

from __future__ import annotations

from harness.arithmetic import declare

declare()

import argparse
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq

from analysis.statistics.percentiles import Yardstick, speed_up
from analysis.statistics.sequential import Plan, Verdict, upper_bound
from harness import registry
from harness.keys import StudyKey
from harness.searcher import Searcher, SearcherOptions, Suggestion
from harness.side import FULL_EVALUATIONS, TABLES
from harness.task import Task
from harness.trial import Budget, Problem
from searchers.optuna import OptunaTPE

RECORDINGS = ("fashion_mlp-small", "mnist_net-small-dense-split")


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


SIDES: Mapping[str, tuple[type[Searcher], Mapping[str, object]]] = {
    "random": (registry.searcher("random"), {}),
    "tpe": (OptunaTPE, {}),
    "10 % random": (Crippled, {"share": 0.1}),
    "20 % random": (Crippled, {"share": 0.2}),
    "50 % random": (Crippled, {"share": 0.5}),
}
"""By name: the method, and its settings."""


def tasks() -> list[Task]:
    """Return what a gate has by default."""
    recordings = [registry.task("replay")(recording=name) for name in RECORDINGS]
    pairs = (name.split("/") for name in TABLES)
    return [*recordings, *(registry.task(name)(dataset=dataset) for name, dataset in pairs)]


def losses(side: str, task: Task, repetition: int) -> list[float]:
    """Return what a study's evaluations were told as."""
    method, settings = SIDES[side]
    budget = Budget("evaluations", FULL_EVALUATIONS)
    key = StudyKey(task.key, method.name, settings, budget, 1, repetition, root_seed=0)
    problem = Problem(task.space, task.fidelity, task.objective)
    searcher = method(problem, seed=key.search_seed, budget=budget, **settings)
    data, told = task.load(), []
    for _ in range(FULL_EVALUATIONS):
        proposal = searcher.ask()
        assert proposal is not None  # no space is so small
        evaluation = task.evaluate(proposal.config, epochs=proposal.epochs, seed=key.training_seed, data=data)
        searcher.tell(proposal, evaluation)
        told.append(task.objective.loss(evaluation))
    return told


def record(path: Path, repetitions: int) -> None:
    """Search the tasks so many times with each of the sides, and keep the losses: (tasks, repetitions, evaluations)."""
    pool = {}
    for side in SIDES:
        began = time.perf_counter()
        pool[side] = np.array(
            [[losses(side, task, number) for number in range(repetitions)] for task in tasks()]
        )
        np.savez_compressed(path, **pool)
        print(f"{side:16} {time.perf_counter() - began:6.0f} s")


def percentiles(pool: Mapping[str, NDArray[np.float64]]) -> dict[str, NDArray[np.float64]]:
    """Return by side the percentiles of its studies, of shape (tasks, repetitions)."""
    sticks = [Yardstick(np.sort(own, axis=None), float(own.shape[-1])) for own in pool["random"]]
    return {
        side: np.stack([stick.percentile(own.min(axis=-1)) for stick, own in zip(sticks, all_, strict=True)])
        for side, all_ in pool.items()
    }


def differences(found: Mapping[str, NDArray[np.float64]]) -> dict[str, NDArray[np.float64]]:
    """Return by case the differences from TPE's percentiles, of shape (tasks, repetitions)."""
    tpe = found["tpe"]
    same = np.roll(tpe, 1, axis=1) - tpe
    cases = {"tpe, other seeds": same}
    for side in ("10 % random", "20 % random", "50 % random", "random"):
        pairs = min(tpe.shape[1], found[side].shape[1])
        cases[side] = found[side][:, :pairs] - tpe[:, :pairs]
    # As it is, but that some of its studies fail: most of the mean is then in few repetitions.
    draws = np.random.default_rng(1).random(tpe.shape)
    for percent in (3, 10, 30):
        cases[f"tpe, {percent} % failing"] = np.where(draws < percent / 100, 1.0, same + tpe) - tpe
    margin = Plan().margin

    def beyond(shift: float) -> float:
        return float(np.clip(same + shift, -1, 1).mean()) - margin

    cases["shifted to the margin"] = np.clip(same + brentq(beyond, 0, 1), -1, 1)
    # As many failures as make the margin: what decides is in few repetitions.
    order = np.argsort(draws, axis=None)
    gain = np.cumsum((1 - same - tpe).ravel()[order]) / same.size
    failed = np.zeros(same.size, dtype=bool)
    failed[order[: int(np.searchsorted(gain, margin - same.mean()))]] = True
    cases["failing to the margin"] = np.where(failed.reshape(same.shape), 1 - tpe, same)
    return cases


def gate(values: NDArray[np.float64], plan: Plan) -> tuple[Verdict, int]:
    """Return a gate's verdict on differences of shape (tasks, repetitions), and its repetitions; see `decide`."""
    for size in plan.looks:
        seen = values[:, :size].ravel()
        if upper_bound(seen, plan.level) < plan.margin:
            return Verdict.NOT_WORSE, size
        if -upper_bound(-seen, plan.level) > plan.margin:
            return Verdict.WORSE, size
    return Verdict.UNDECIDED, plan.looks[-1]


def simulate(path: Path, gates: int, plan: Plan) -> None:
    """Draw gates from a pool and print their verdicts in per cent."""
    with np.load(path) as file:
        found = percentiles(dict(file))
    for side, own in found.items():
        print(
            f"{side:22} percentile {own.mean():.3f}, worth x {speed_up(own.mean()):.2f}; {own.mean(axis=1).round(2)}"
        )
    print(f"{'case':22} {'difference':>10} {'sd':>5} {'worse':>6} {'not':>6} {'?':>6} {'repetitions':>11}")
    for case, own in differences(found).items():
        random = np.random.default_rng(0)
        results = []
        for _ in range(gates):
            places = random.integers(own.shape[1], size=(own.shape[0], plan.looks[-1]))
            results.append(gate(np.take_along_axis(own, places, axis=1), plan))
        share = {verdict: 100 * np.mean([result[0] is verdict for result in results]) for verdict in Verdict}
        print(
            f"{case:22} {own.mean():10.4f} {own.std():5.2f} {share[Verdict.WORSE]:6.1f} "
            f"{share[Verdict.NOT_WORSE]:6.1f} {share[Verdict.UNDECIDED]:6.1f} "
            f"{np.mean([result[1] for result in results]):11.0f}",
            flush=True,
        )


def main() -> None:
    """Record a pool, or simulate gates of one."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("action", choices=("record", "simulate"))
    parser.add_argument("pool", type=Path)
    parser.add_argument("--repetitions", type=int, default=200)
    parser.add_argument("--gates", type=int, default=200)
    parser.add_argument("--margin", type=float, default=Plan().margin)
    arguments = parser.parse_args()
    if arguments.action == "record":
        record(arguments.pool, arguments.repetitions)
    else:
        simulate(arguments.pool, arguments.gates, Plan(margin=arguments.margin))


if __name__ == "__main__":
    main()
