"""A small race of trainings, and the same trials as a user would run them without this project: plain Keras in loops.

Each study of the sweep beside this file becomes the library's own loop, one after the other in one process: numpy for
random search, the grid's points in a list, `optuna.Study.optimize`, `skopt.gp_minimize`, with the sweep's settings and
search seeds. Each trial builds, compiles and fits an ordinary Keras model of the same network on the same images,
for as many epochs, with validation, and measures the test images once (the sweep's measure them after every
epoch). TensorFlow has its default settings: as many threads as there are cores. The points of random and grid
search are those of the sweep; the models see other losses than in the sweep, and so propose others.

Both are timed as processes, from their start to their end. As a script, this is the process of the plain loops.
"""

from __future__ import annotations

import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness import registry
from harness.keys import StudyKey
from harness.space import Choice, Config, Float, Int, Space
from harness.sweep import Sweep, parse_sweep
from harness.task import Task
from harness.threads import VARIABLES

SWEEP = Path(__file__).with_suffix(".yaml")

Loss = Callable[[Config], float]


# The plain loops.


class PlainTrials:
    """Trains configurations of a task with plain Keras, keeping count."""

    def __init__(self) -> None:
        self.number = 0
        self.seconds = 0.0

    def losses(self, task: Task, seed: int) -> Loss:
        """Return a function that trains a configuration and returns one minus its validation accuracy."""
        import keras
        from plain_keras import fit, model_of, pixels

        data = {name: pixels(a) if name[0] == "x" else a for name, a in task.load().items()}
        test = data["x_test"], data["y_test"].astype("int32")

        def loss(config: Config) -> float:
            began = time.perf_counter()
            keras.utils.clear_session()
            training = task.training(config)
            model = model_of(training, data["x_train"].shape[1:], seed)
            history = fit(model, training, data, task.fidelity.high)
            model.evaluate(*test, batch_size=training.batch, verbose=0)
            self.number += 1
            self.seconds += time.perf_counter() - began
            return 1.0 - history["val_accuracy"][-1]

        return loss


def fixed(key: StudyKey, task: Task, loss: Loss) -> None:
    """Go through a list of points: those of the sweep, which are known beforehand."""
    searcher = registry.searcher(key.searcher)(
        task.problem, seed=key.search_seed, budget=key.budget, **key.settings
    )
    for proposal in [searcher.ask() for _ in range(key.budget.amount)]:
        if proposal is not None:
            loss(proposal.config)


def optuna_tpe(key: StudyKey, task: Task, loss: Loss) -> None:
    """Let Optuna search."""
    import optuna

    def objective(trial: optuna.Trial) -> float:
        config: dict[str, Any] = {}
        for name, domain in task.space.parameters.items():
            if not task.space.is_active(name, config):
                continue
            if isinstance(domain, Choice):
                config[name] = trial.suggest_categorical(name, domain.values)
            else:
                suggest = trial.suggest_float if isinstance(domain, Float) else trial.suggest_int
                config[name] = suggest(name, domain.low, domain.high, log=domain.log)
        return loss(config)

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    sampler = optuna.samplers.TPESampler(
        seed=key.search_seed, n_startup_trials=key.settings["n_startup_trials"]
    )
    optuna.create_study(sampler=sampler).optimize(objective, n_trials=key.budget.amount)


def skopt_gp(key: StudyKey, task: Task, loss: Loss) -> None:
    """Let scikit-optimize search; conditions are nothing it knows."""
    import skopt

    def objective(values: list[Any]) -> float:
        plain = {
            name: value.item() if hasattr(value, "item") else value
            for name, value in zip(task.space.parameters, values, strict=True)
        }
        return loss(task.space.active_part(plain))

    skopt.gp_minimize(
        objective,
        list(dimensions(task.space)),
        n_calls=key.budget.amount,
        n_initial_points=key.settings["n_initial_points"],
        acq_func=key.settings["acq_func"],
        random_state=key.search_seed,
    )


def dimensions(space: Space) -> Iterator[Any]:
    """Yield scikit-optimize's dimensions of a space."""
    from skopt.space import Categorical, Integer, Real

    for name, domain in space.parameters.items():
        if isinstance(domain, Choice):
            yield Categorical(list(domain.values), name=name)
        else:
            kind = Integer if isinstance(domain, Int) else Real
            prior = "log-uniform" if domain.log else "uniform"
            yield kind(domain.low, domain.high, prior=prior, name=name)


LOOPS = {"random": fixed, "grid": fixed, "optuna_tpe": optuna_tpe, "skopt_gp": skopt_gp}


def plain_loops(sweep: Sweep) -> PlainTrials:
    """Run a sweep's studies one after the other."""
    trials = PlainTrials()
    for study in sweep.studies:
        task = sweep.tasks[study.task]
        LOOPS[study.key.searcher](study.key, task, trials.losses(task, study.key.training_seed))
    return trials


# The comparison.


@dataclass(frozen=True, slots=True)
class Compared:
    """One round: both sides' processes."""

    studies: int
    trials: int
    plain: float
    """Seconds of the plain loops' process."""
    plain_training: float
    """Seconds of its trainings."""
    ours: float
    """Seconds of `derby run`."""
    trained: int
    """Trainings of the sweep; the rest of its trials were taken from the record, or waited for an equal one."""
    training: float
    """Seconds of these, added up."""


def compared(studies: int) -> Compared:
    """Run both sides on so many of its studies, rounded up to whole repetitions."""
    text = SWEEP.read_text()
    whole = parse_sweep(text, str(SWEEP))
    of_a_repetition = len(whole.studies) // whole.spec.repetitions
    repetitions = -(-studies // of_a_repetition)
    text, found = re.subn(r"(?m)^repetitions: \d+$", f"repetitions: {repetitions}", text)
    if found != 1:
        raise RuntimeError(f"{SWEEP} has no line of its repetitions")
    with tempfile.TemporaryDirectory() as folder:
        sweep = Path(folder) / "trained.yaml"
        sweep.write_text(text)
        results = Path(folder) / "results"
        command = [Path(sys.executable).with_name("derby"), "run", sweep, "--executor", "ray"]
        ours, _ = timed([*command, "--results", results])
        (run,) = (results / "sweeps" / "trained" / "runs").glob("*.json")
        counts = json.loads(run.read_text())["counts"]
        plain, said = timed([sys.executable, __file__, sweep])
        trials = json.loads(said.splitlines()[-1])
    if counts["failed"] or counts["told"] != trials["number"]:
        raise RuntimeError(f"the two sides differ in their trials: {counts}, {trials}")
    return Compared(
        studies=repetitions * of_a_repetition,
        trials=trials["number"],
        plain=plain,
        plain_training=trials["seconds"],
        ours=ours,
        trained=counts["trained"],
        training=counts["train_seconds"],
    )


def timed(command: list[Any]) -> tuple[float, str]:
    """Run a process as from a user's shell; return its seconds and what it printed."""
    environment = {name: value for name, value in os.environ.items() if name not in VARIABLES}
    environment["TF_CPP_MIN_LOG_LEVEL"] = "3"
    began = time.perf_counter()
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return time.perf_counter() - began, done.stdout


def shares(rounds: list[Compared]) -> Iterator[tuple[str, str, float | None, float | None, list[float]]]:
    """Yield lines of the table: name, unit, ratio, target and values. The four shares multiply to the whole."""

    def values(of: Callable[[Compared], float]) -> list[float]:
        return [of(each) for each in rounds]

    def share(
        name: str, of: Callable[[Compared], float]
    ) -> tuple[str, str, float | None, float | None, list[float]]:
        return f"  {name}", "", statistics.median(values(of)), None, values(of)

    plain, ours = values(lambda each: each.plain), values(lambda each: each.ours)
    yield "plain loops", "s", None, None, plain
    yield "derby run", "s", statistics.median(plain) / statistics.median(ours), 3.0, ours
    yield share("not trained twice: trials / trainings", lambda each: each.trials / each.trained)
    yield share(
        "a training: plain Keras / engine, one thread",
        lambda each: (each.plain_training / each.trials) / (each.training / each.trained),
    )
    yield share("trainings at once, start-up included", lambda each: each.training / each.ours)
    yield share("plain loops: whole / trainings", lambda each: each.plain / each.plain_training)


if __name__ == "__main__":
    done = plain_loops(parse_sweep(Path(sys.argv[1]).read_text(), sys.argv[1]))
    print(json.dumps({"number": done.number, "seconds": done.seconds}))
