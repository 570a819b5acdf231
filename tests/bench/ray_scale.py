"""What running on Ray brings and costs, on this machine.

Run it with ``make bench-ray``; ``--only`` chooses among its parts, ``--rounds`` how often each is repeated:

evaluators
    Two evaluators beside one, on short trainings: evaluations a minute from the first one told, and in all.
trained
    A small race of trainings beside the loops a user would write without this project: see `ray_scale_trained`.
overhead
    What the driver takes of 1, 10 and 50 evaluators that sleep through every evaluation, on as many logical
    cores: the part of the time in which they evaluate, and the driver's milliseconds for each evaluation.
functions
    Studies of Branin a second, beside `ray.tune.Tuner` with as many trials and its actors reused; both on a
    cluster that runs.
memory
    The driver's memory as evaluations of functions go by.

What is compared takes turns, each time in a process of its own; medians are compared. Rates are printed as they
are; seconds, milliseconds and megabytes are better where they are smaller, and a ratio is always the better way up.
"""

from __future__ import annotations

import argparse
import importlib
import multiprocessing
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import psutil
import ray_scale_trained

from harness.driver import Driver
from harness.evaluator import Evaluated
from harness.executors.base import Executor, Finished
from harness.progress import Progress
from harness.sweep import parse_sweep
from harness.threads import VARIABLES, begin_with_one
from harness.trial import Evaluation
from results.writer import RecordWriter

BENCH = Path(__file__).resolve().parent

TRAININGS = """\
name: evaluators
repetitions: {repetitions}
budget: {{evaluations: {evaluations}}}
tasks: [mnist_mlp/small, fashion_mlp/small, fashion_cnn/small]
searchers: [random]
"""

SLEEPING = """\
name: overhead
repetitions: 400
budget: {{evaluations: 20}}
tasks: [{{name: sleeping, options: {{seconds: {seconds}}}}}]
searchers: [random]
"""

FUNCTIONS = """\
name: functions
repetitions: {studies}
budget: {{evaluations: {evaluations}}}
tasks: [{tasks}]
searchers: [{searcher}]
"""


# One run of a sweep.


@dataclass(frozen=True, slots=True)
class Sample:
    """How far a run was at one time."""

    at: float
    """Seconds since the epoch."""
    told: int
    done: int
    cpu: float
    """Processor seconds of the driver's process, Ray's own threads included."""
    outside: float
    """Seconds the driver was not waiting."""


@dataclass(slots=True)
class Run:
    """What was seen of a run."""

    began: float = field(default_factory=time.time)
    samples: list[Sample] = field(default_factory=list)
    finished: list[tuple[str, Evaluation]] = field(default_factory=list)
    """Every evaluation and the evaluator it came from."""

    @property
    def first(self) -> Sample:
        """The sample after the first evaluation was told."""
        return next(sample for sample in self.samples if sample.told)

    @property
    def last(self) -> Sample:
        return self.samples[-1]

    @property
    def warm_rate(self) -> float:
        """Evaluations told per second, from the first on."""
        return (self.last.told - self.first.told) / (self.last.at - self.first.at)

    @property
    def rate(self) -> float:
        """Evaluations told per second of the whole run."""
        return self.last.told / (self.last.at - self.began)

    def building(self) -> float:
        """Return the mean seconds before an evaluation's first epoch."""
        return statistics.mean(evaluation.setup_seconds for _, evaluation in self.finished)

    def training(self) -> float:
        """Return the mean seconds of an evaluation's epochs."""
        return statistics.mean(evaluation.seconds() for _, evaluation in self.finished)

    def at(self, when: float) -> Sample:
        """Return the last sample before a time."""
        return max((sample for sample in self.samples if sample.at <= when), key=lambda sample: sample.at)


class EnoughError(Exception):
    """Ends a run that has been watched for long enough."""


def drive(
    text: str,
    start: Callable[[], Executor],
    *,
    watch: Callable[[Run, Progress], None] = lambda run, progress: None,
) -> Run:
    """Run a sweep as a user does, its record in a temporary folder, and return what was seen.

    Args:
        text: The sweep.
        start: Makes the executor; the run begins with it.
        watch: Called after each wait; may raise `EnoughError`.
    """
    sweep = parse_sweep(text, "bench")
    progress = Progress(len(sweep.studies), 0)
    with tempfile.TemporaryDirectory() as folder:
        with RecordWriter(Path(folder), sweep=sweep.name, host="here", pid=os.getpid()) as writer:
            run = Run()
            executor = start()
            outside, left = 0.0, time.perf_counter()

            def wait() -> list[Any]:
                nonlocal outside, left
                outside += time.perf_counter() - left
                reports = executor.wait()
                for report in reports:
                    if isinstance(report, Finished) and isinstance(report.outcome, Evaluated):
                        run.finished.append((report.where, report.outcome.evaluation))
                left = time.perf_counter()
                return reports

            def tick() -> None:
                now = Sample(time.time(), progress.told, progress.done, time.process_time(), outside)
                run.samples.append(now)
                watch(run, progress)

            try:
                Driver(sweep, writer, progress, tick=tick).run(executor, wait)
            except EnoughError:
                pass
            finally:
                executor.close()
    if progress.failed:
        raise RuntimeError(f"studies failed: {progress.failed}")
    return run


def ray_cluster(cores: int, variables: dict[str, str] = VARIABLES) -> None:
    """Start a cluster with a number of logical cores, as the executor starts its own otherwise."""
    import ray

    ray.init(
        address="local",
        num_cpus=cores,
        object_store_memory=200 << 20,
        runtime_env={"env_vars": dict(variables)} if variables else None,
        include_dashboard=False,
        log_to_driver=False,
        logging_level="error",
    )


def on_ray(**options: Any) -> Executor:
    """Return the Ray executor, one thread for each evaluation."""
    from harness.executors.ray import RayExecutor

    return RayExecutor(1, **options)


def alone(work: Callable[..., Any], *arguments: Any) -> Any:
    """Call a function in a process of its own."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(work, *arguments).result()


# The table.


def heading(title: str) -> None:
    """Print a part's title and the columns."""
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    print(f"\n{title} (load {load})")
    print(f"{'':48}{'median':>10}{'min':>10}{'max':>10}  {'':14}{'ratio':>8}{'target':>8}", flush=True)


def row(
    name: str, values: list[float], unit: str, ratio: float | None = None, target: float | None = None
) -> None:
    """Print a line of the table."""
    cells = "".join(f"{value:10.3f}" for value in (statistics.median(values), min(values), max(values)))
    shown = f"{ratio:8.2f}" if ratio is not None else ""
    if ratio is not None and target is not None:
        shown += f"{target:8.2f}{'' if ratio >= target else '  missed'}"
    print(f"{name:48}{cells}  {unit:14}{shown}", flush=True)


def quotient(above: list[float], below: list[float]) -> float:
    """Return the ratio of two medians."""
    return statistics.median(above) / statistics.median(below)


# Evaluators.


def train(evaluators: int, repetitions: int, evaluations: int) -> Run:
    """Run short trainings with a number of evaluators."""
    text = TRAININGS.format(repetitions=repetitions, evaluations=evaluations)
    return drive(text, lambda: on_ray(evaluators=evaluators))


def evaluators(options: argparse.Namespace) -> None:
    """Compare two evaluators with one."""
    shape = (options.repetitions, options.evaluations)
    alone(train, 2, 1, 1)  # files are read and compiled once: that is not what is measured
    runs: dict[int, list[Run]] = {1: [], 2: []}
    for _ in range(options.rounds):
        for number, seen in runs.items():
            seen.append(alone(train, number, *shape))
    heading(f"evaluators: {3 * shape[0]} studies of {shape[1]} short trainings")
    for title, target in (("from the first told", 1.7), ("in all", None)):
        rates = {
            number: [60 * (run.rate if target is None else run.warm_rate) for run in seen]
            for number, seen in runs.items()
        }
        row(f"one evaluator, {title}", rates[1], "a minute")
        row(f"two evaluators, {title}", rates[2], "a minute", quotient(rates[2], rates[1]), target)
    # What keeps two from being twice as quick: each builds its own programs, and they share memory and caches.
    for title, seconds in (("building", Run.building), ("training", Run.training)):
        spent = {number: [seconds(run) for run in seen] for number, seen in runs.items()}
        row(f"one evaluator, {title}", spent[1], "s each")
        row(f"two evaluators, {title}", spent[2], "s each", quotient(spent[1], spent[2]))


# Overhead.


@contextmanager
def plugged_in() -> Iterator[None]:
    """Have the sleeping task found as if it were installed, here and in processes started inside."""
    with tempfile.TemporaryDirectory() as folder:
        info = Path(folder) / "derby_bench-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: derby-bench\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text("[derby.tasks]\nsleeping = ray_scale_task:Sleeping\n")
        places = [folder, str(BENCH)]
        before = os.environ.get("PYTHONPATH")
        os.environ["PYTHONPATH"] = os.pathsep.join([*places, *filter(None, [before])])
        sys.path[:0] = places
        importlib.invalidate_caches()
        try:
            yield
        finally:
            del sys.path[:2]
            if before is None:
                del os.environ["PYTHONPATH"]
            else:
                os.environ["PYTHONPATH"] = before


def sleep(evaluators: int, seconds: float, watched: float) -> dict[str, float]:
    """Let evaluators sleep; return what the driver took from when all of them had begun, for ``watched`` seconds."""

    def all_begun(run: Run) -> float | None:
        begun: dict[str, float] = {}
        for where, evaluation in run.finished:
            begun.setdefault(where, evaluation.curve["began"][0])
        return max(begun.values()) if len(begun) == evaluators else None

    since: float | None = None

    def watch(run: Run, progress: Progress) -> None:
        nonlocal since
        del progress
        since = since or all_begun(run)
        if since is not None and time.time() > since + watched + 2 * seconds:
            raise EnoughError

    with plugged_in():
        ray_cluster(evaluators)
        run = drive(SLEEPING.format(seconds=seconds), lambda: on_ray(evaluators=evaluators), watch=watch)
    assert since is not None
    until = since + watched
    busy = 0.0
    for _, evaluation in run.finished:
        began, ended = evaluation.curve["began"][0], evaluation.curve["ended"][0]
        busy += max(0.0, min(ended, until) - max(began, since))
    begin, end = run.at(since), run.at(until)
    told = end.told - begin.told
    return {
        "evaluating": 100 * busy / (evaluators * watched),
        "processor": 1000 * (end.cpu - begin.cpu) / told,
        "outside": 1000 * (end.outside - begin.outside) / told,
        "start": since - run.began,
    }


def overhead(options: argparse.Namespace) -> None:
    """Measure what the driver takes."""
    seconds = options.sleep
    runs: dict[int, list[dict[str, float]]] = {number: [] for number in options.sleepers}
    for _ in range(options.rounds):
        for number, seen in runs.items():
            seen.append(alone(sleep, number, seconds, options.watch))
    heading(f"overhead: evaluations of {seconds:g} s, watched for {options.watch:g} s")
    for number, seen in runs.items():
        evaluating = [each["evaluating"] for each in seen]
        share = statistics.median(evaluating) / 100
        row(f"{number} evaluators: evaluating", evaluating, "% of the time", share, 0.95)
        row("  driver's process", [each["processor"] for each in seen], "ms CPU each")
        row("  driver, not waiting", [each["outside"] for each in seen], "ms each")
        row("  until all evaluators have begun", [each["start"] for each in seen], "s")


# Functions.


def studies_on_ray(searcher: str, studies: int, evaluations: int) -> tuple[float, float]:
    """Run studies of Branin on Ray; return studies per second from the first study done on, and in all."""
    ray_cluster(os.cpu_count() or 1)
    text = FUNCTIONS.format(studies=studies, evaluations=evaluations, tasks="branin", searcher=searcher)
    run = drive(text, on_ray)
    first = next(sample for sample in run.samples if sample.done)
    warm = (studies - first.done) / max(run.last.at - first.at, 1e-9)
    return warm, studies / (run.last.at - run.began)


def tuner(searcher: str, evaluations: int) -> float:
    """Run a Tuner of Branin as it is quickest, its actors reused (not the default); return studies per second."""
    from ray import tune
    from ray.tune.search.optuna import OptunaSearch

    from tasks.synthetic import Branin

    def trainable(config: dict[str, float]) -> dict[str, float]:
        return {"value": branin.value(config)}

    branin = Branin()
    space = {name: tune.uniform(d.low, d.high) for name, d in branin.space.parameters.items()}
    search = OptunaSearch(seed=0) if searcher == "optuna_tpe" else None
    ray_cluster(os.cpu_count() or 1, {})  # the environment of ours would cost it fresh processes
    with tempfile.TemporaryDirectory() as folder:
        began = time.time()
        results = tune.Tuner(
            trainable,
            param_space=space,
            tune_config=tune.TuneConfig(
                metric="value",
                mode="min",
                num_samples=evaluations,
                search_alg=search,
                reuse_actors=True,
            ),
            run_config=tune.RunConfig(storage_path=folder, verbose=0),
        ).fit()
        seconds = time.time() - began
    if results.num_terminated != evaluations:
        raise RuntimeError(f"the Tuner ended {results.num_terminated} of {evaluations} trials")
    return 1 / seconds


def functions(options: argparse.Namespace) -> None:
    """Compare studies of Branin with Tuners."""
    seen: dict[str, list[tuple[float, float, float]]] = {"random": [], "optuna_tpe": []}
    for _ in range(options.rounds):
        for searcher, rates in seen.items():
            studies = options.studies_of_functions // (1 if searcher == "random" else 4)
            ours = alone(studies_on_ray, searcher, studies, options.trials)
            rates.append((*ours, alone(tuner, searcher, options.trials)))
    heading(f"functions: studies of {options.trials} trials of Branin")
    for searcher, rates in seen.items():
        # A model's study is mostly its library's own work, which both do: nothing is asked of its ratio.
        target = 200 if searcher == "random" else None
        warm, whole, tuned = ([each[place] for each in rates] for place in range(3))
        row(f"{searcher}: one Tuner after the other", tuned, "studies a s")
        row("  a sweep, from the first study done", warm, "studies a s", quotient(warm, tuned), target)
        row("  a sweep, in all", whole, "studies a s", quotient(whole, tuned), target)


# Memory.


def remember(evaluations: int, every: int) -> list[tuple[int, float]]:
    """Evaluate functions; return the driver's resident MB each so many evaluations."""
    process = psutil.Process()
    seen: list[tuple[int, float]] = []

    def watch(run: Run, progress: Progress) -> None:
        del run.samples[:-1]  # what is measured is the driver's memory
        if progress.told >= len(seen) * every:
            seen.append((progress.told, process.memory_info().rss / 1e6))

    ray_cluster(os.cpu_count() or 1)
    tasks = "branin, hartmann6"
    studies = -(-evaluations // (2 * 100))
    drive(
        FUNCTIONS.format(studies=studies, evaluations=100, tasks=tasks, searcher="random"),
        on_ray,
        watch=watch,
    )
    return seen


def memory(options: argparse.Namespace) -> None:
    """Watch the driver's memory."""
    every = max(options.memory // 10, 1)
    rounds = [alone(remember, options.memory, every) for _ in range(options.rounds)]
    heading(f"memory: {options.memory} evaluations of functions, studies of 100")
    for samples in zip(*rounds, strict=False):
        told = round(statistics.median(sample[0] for sample in samples))
        row(f"driver after {told} evaluations", [sample[1] for sample in samples], "MB")
    for samples in rounds:
        for (_, before), (_, after) in pairwise(samples[1:]):
            if after > 1.1 * before:
                print(f"grew by more than a tenth: from {before:.0f} to {after:.0f} MB")


# A race of trainings.


def trained(options: argparse.Namespace) -> None:
    """Compare a race of trainings with plain loops."""
    seen = [ray_scale_trained.compared(options.studies) for _ in range(options.rounds)]
    heading(
        f"trained: {seen[0].studies} studies, {seen[0].trials} trials; plain loops, {os.cpu_count()} threads"
    )
    for name, unit, ratio, target, value in ray_scale_trained.shares(seen):
        row(name, value, unit, ratio, target)


# All.

PARTS: dict[str, Callable[[argparse.Namespace], None]] = {
    "evaluators": evaluators,
    "trained": trained,
    "overhead": overhead,
    "functions": functions,
    "memory": memory,
}


def main() -> None:
    """Run the parts and print their tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", default=",".join(PARTS), help="parts, with commas between them")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--repetitions", type=int, default=3, help="evaluators: repetitions of three tasks")
    parser.add_argument("--evaluations", type=int, default=6, help="evaluators: of each study")
    parser.add_argument("--studies", type=int, default=40, help="trained: of its 40 studies, in whole eights")
    parser.add_argument("--sleep", type=float, default=1.0, help="overhead: seconds of an evaluation")
    parser.add_argument("--sleepers", type=int, nargs="+", default=[1, 10, 50], help="overhead: evaluators")
    parser.add_argument("--watch", type=float, default=30.0, help="overhead: seconds")
    parser.add_argument("--trials", type=int, default=60, help="functions: of a study")
    parser.add_argument("--studies-of-functions", type=int, default=400, help="functions: random studies")
    parser.add_argument("--memory", type=int, default=100_000, help="memory: evaluations")
    options = parser.parse_args()
    chosen = options.only.split(",")
    if unknown := set(chosen) - set(PARTS):
        parser.error(f"no part is called {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    begin_with_one()  # as the command line does; inherited by every process of ours
    for name in chosen:
        PARTS[name](options)


if __name__ == "__main__":
    main()
