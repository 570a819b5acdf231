"""What the harness itself costs: Branin with random search, beside a bare loop and Optuna's own loop.

Run it with ``make bench``. The four are run in turn, several rounds, and the medians are compared, so that a
machine that slows down slows them all.
"""

from __future__ import annotations

import random
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from harness import registry
from harness.driver import Driver
from harness.events import Asked
from harness.executors.serial import SerialExecutor
from harness.progress import Progress
from harness.study import Study
from harness.sweep import Sweep, parse_sweep
from results.writer import RecordWriter

TRIALS = 1000
ROUNDS = 7

TEXT = f"""\
name: bench
repetitions: 1
budget: {{evaluations: {TRIALS}}}
tasks: [branin]
searchers: [random]
"""


def bare(sweep: Sweep) -> None:
    """Draw and evaluate: what no harness could undercut."""
    task = next(iter(sweep.tasks.values()))
    rng = random.Random(0)
    best = float("inf")
    for _ in range(TRIALS):
        config = task.space.from_unit([rng.random() for _ in range(len(task.space))])
        evaluation = task.evaluate(config, epochs=1, seed=0, data={})
        best = min(best, evaluation.curve["value"][-1])


def study_only(sweep: Sweep) -> None:
    """Add the searcher contract and the study, without a record."""
    key = sweep.studies[0].key
    task = next(iter(sweep.tasks.values()))
    searcher = registry.searcher(key.searcher)(task.problem, seed=key.search_seed, budget=key.budget)
    study = Study(searcher, workers=1, cost=task.cost)
    while study.done is None:
        for event in study.advance():
            if isinstance(event, Asked):
                study.deliver(event.number, task.evaluate(event.proposal.config, epochs=1, seed=0, data={}))


def recorded(sweep: Sweep) -> None:
    """Run the sweep as a user does: driver, serial executor, journal and evaluation record on the disk."""
    with tempfile.TemporaryDirectory() as folder:
        with RecordWriter(Path(folder), sweep="bench", host="here", pid=0) as writer:
            Driver(sweep, writer, Progress(1, TRIALS)).run(SerialExecutor(1))


def optuna_loop(sweep: Sweep) -> None:
    """Run Optuna's own loop: random sampler, in memory."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    task = next(iter(sweep.tasks.values()))
    names = list(task.space.parameters)

    def objective(trial: optuna.Trial) -> float:
        config = {
            name: trial.suggest_float(name, task.space.parameters[name].low, task.space.parameters[name].high)
            for name in names
        }
        return task.evaluate(config, epochs=1, seed=0, data={}).curve["value"][-1]

    optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0)).optimize(objective, n_trials=TRIALS)


def main() -> None:
    """Run the benchmark and print the table."""
    sweep = parse_sweep(TEXT, "bench")
    loops: dict[str, Callable[[Sweep], None]] = {
        "bare loop": bare,
        "study core, no record": study_only,
        "sweep with its record on disk": recorded,
        "Optuna's own loop, in memory": optuna_loop,
    }
    seconds: dict[str, list[float]] = {name: [] for name in loops}
    for loop in loops.values():
        loop(sweep)  # imports and first calls are not what is measured
    for _ in range(ROUNDS):
        for name, loop in loops.items():
            began = time.perf_counter()
            loop(sweep)
            seconds[name].append(time.perf_counter() - began)
    reference = statistics.median(seconds["bare loop"])
    print(f"Branin, random search, {TRIALS} trials, median of {ROUNDS} rounds")
    print(f"{'':32}{'µs a trial':>12}{'min':>8}{'max':>8}{'× bare':>8}")
    for name, values in seconds.items():
        median = statistics.median(values)
        cells = [1e6 / TRIALS * value for value in (median, min(values), max(values))]
        print(f"{name:32}{cells[0]:12.1f}{cells[1]:8.1f}{cells[2]:8.1f}{median / reference:8.1f}")


if __name__ == "__main__":
    main()
