"""How long a short training takes in the engine, and as a notebook would write it with plain Keras.

A notebook's trial builds, compiles, fits with validation and evaluates on the test images, in a process where
TensorFlow has its default settings. The engine's does the same and measures the test images after every
epoch. The two alternate, each in its own process, with the same number of threads; medians are compared.

``make bench`` runs the short trials and the memory of 200 of them, and compares threads with processes; ``--full``
compares one epoch (and the building) of every described network at its report's size, which needs the full data sets.
"""

from __future__ import annotations

import argparse
import dataclasses
import multiprocessing
import os
import random
import statistics
import time
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from typing import Any

import psutil

from harness.arithmetic import declare
from tasks.engine.network import Conv, Dense, Dropout, MaxPool, Optimizer, Training

OUTPUT = Dense(10, "linear")
ROUNDS = 5
TRIALS = 200


def perceptron(units1: int = 128, units2: int = 256) -> Training:
    return Training((Dense(units1), Dense(units2), OUTPUT), Optimizer("adam", 1e-3), 256)


def convolutional(depth: int = 1, units: int = 296) -> Training:
    return Training(
        (Conv(32, 3), MaxPool(), Conv(64, 3), MaxPool(), *(Dense(units),) * depth, OUTPUT),
        Optimizer("adam", 1e-3),
        512,
    )


def short_trials() -> Iterator[tuple[str, list[Training], int]]:
    """Yield a name, a network for each round, and the epochs; a tuner's every trial has other widths."""
    rng = random.Random(0)
    yield "MLP 128-256, batch 256", [perceptron()] * ROUNDS, 9
    yield "MLP, other widths each trial", [perceptron(rng.randint(64, 192), 256) for _ in range(ROUNDS)], 9
    yield "CNN of fashion_cnn, batch 512", [convolutional()] * ROUNDS, 3
    yield (
        "CNN, other widths each trial",
        [convolutional(rng.randint(1, 3), rng.randint(5, 512)) for _ in range(ROUNDS)],
        3,
    )


def full_size() -> Iterator[tuple[str, str, str, Training]]:
    """Yield a task's name, its data set, a reference configuration's name, and its network."""
    from harness import registry
    from tasks.images import ImageClassifier

    for name in sorted(registry.tasks()):
        cls = registry.task(name)
        if not issubclass(cls, ImageClassifier):
            continue
        task = cls()
        seen = set()
        for reference, config in task.space.references.items():
            training = task.training(config)
            kind = (training.layers, training.batch, training.optimizer.name)
            if training.batch >= 32 and kind not in seen:
                seen.add(kind)
                yield name, task.data_set, reference, training


def data_of(name: str, sizes: tuple[int, int, int]) -> dict[str, Any]:
    """Return the first images of a data set, whole or embedded, in the engine's form."""
    from tasks.datasets import load_full, load_small

    train, val, test = sizes
    arrays = load_full(name) if train + val > 6000 else load_small(name)
    parts = {"train": ("train", 0, train), "val": ("train", train, train + val), "test": ("test", 0, test)}
    data = {}
    for part, (where, begin, end) in parts.items():
        data[f"x_{part}"] = arrays[f"x_{where}"][begin:end][..., None].copy()
        data[f"y_{part}"] = arrays[f"y_{where}"][begin:end].copy()
    return data


def engine(pipe: Connection, threads: int) -> None:
    """Train what comes through the pipe, and answer with seconds and resident memory."""
    declare()
    from tasks.engine.process import configure_threads
    from tasks.engine.training import train

    configure_threads(threads)
    loaded: dict[Any, Any] = {}
    process = psutil.Process()
    for seed, (training, which, epochs) in enumerate(iter(pipe.recv, None)):
        if which not in loaded:
            loaded = {which: data_of(*which)}
        begin = time.perf_counter()
        curve = train(training, epochs=epochs, seed=seed, data=loaded[which]).curve
        seconds = time.perf_counter() - begin
        pipe.send((seconds, curve["test_accuracy"][-1], process.memory_info().rss / 2**20))


def notebook(pipe: Connection, threads: int) -> None:
    """The same in plain Keras."""
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    from plain_keras import fit, model_of, pixels

    loaded: dict[Any, Any] = {}
    process = psutil.Process()
    for seed, (training, which, epochs) in enumerate(iter(pipe.recv, None)):
        if which not in loaded:
            data = data_of(*which)
            loaded = {which: {name: pixels(a) if name[0] == "x" else a for name, a in data.items()}}
        data = loaded[which]
        begin = time.perf_counter()
        model = model_of(training, data["x_train"].shape[1:], seed)
        fit(model, training, data, epochs)
        _, accuracy = model.evaluate(
            data["x_test"], data["y_test"].astype("int32"), batch_size=training.batch, verbose=0
        )
        seconds = time.perf_counter() - begin
        pipe.send((seconds, accuracy, process.memory_info().rss / 2**20))


class Workers:
    """Processes that train, the two that are compared unless told otherwise, which take turns."""

    def __init__(
        self, threads: int, works: tuple[Callable[[Connection, int], None], ...] = (engine, notebook)
    ):
        context = multiprocessing.get_context("spawn")
        self.pipes = {}
        for work in works:
            ours, theirs = context.Pipe()
            context.Process(target=work, args=(theirs, threads), daemon=True).start()
            self.pipes[work.__name__] = ours

    def close(self) -> None:
        for pipe in self.pipes.values():
            pipe.send(None)

    def run(self, who: str, training: Training, which: Any, epochs: int) -> tuple[float, float, float]:
        self.pipes[who].send((training, which, epochs))
        return self.pipes[who].recv()  # type: ignore[no-any-return]

    def compare(self, title: str, trainings: list[Training], which: Any, epochs: int) -> None:
        """Train each once to warm up, then in turn, and print medians and their ratio."""
        results: dict[str, list[tuple[float, float, float]]] = {"notebook": [], "engine": []}
        first = {who: self.run(who, trainings[0], which, epochs)[0] for who in results}
        for training in trainings:
            for who, runs in results.items():
                runs.append(self.run(who, training, which, epochs))
        seconds = {who: statistics.median(run[0] for run in runs) for who, runs in results.items()}
        accuracy = {who: statistics.median(run[1] for run in runs) for who, runs in results.items()}
        print(
            f"{title:44} {seconds['notebook']:8.2f} {seconds['engine']:8.2f} "
            f"{seconds['notebook'] / seconds['engine']:6.1f}x   first {first['notebook']:.1f} / "
            f"{first['engine']:.1f}   test accuracy {accuracy['notebook']:.3f} / {accuracy['engine']:.3f}",
            flush=True,
        )


def throughput() -> None:
    """Print how many CNNs a minute the cores train: one after the other with all of them, and one on each."""
    cores = os.cpu_count() or 1
    for processes, threads in ((1, cores), (cores, 1)):
        engines = [Workers(threads, (engine,)) for _ in range(processes)]
        task = (convolutional(), ("fashion_mnist", (4800, 1200, 1000)), 3)
        seconds = []
        for _ in range(ROUNDS + 1):
            begin = time.perf_counter()
            for one in engines:
                one.pipes["engine"].send(task)
            for one in engines:
                one.pipes["engine"].recv()
            seconds.append(time.perf_counter() - begin)
        for one in engines:
            one.close()
        rate = processes * 60 / statistics.median(seconds[1:])
        print(f"CNN, {processes} processes of {threads} threads: {rate:.1f} trials a minute", flush=True)


def memory(workers: Workers) -> None:
    """Train networks of random depth, widths, penalties and optimisers, and print the engine's memory."""
    rng = random.Random(1)
    which = ("fashion_mnist", (480, 120, 100))
    for trial in range(1, TRIALS + 1):
        depth, rule = rng.randint(1, 5), rng.choice(("sgd", "rmsprop", "adam"))
        hidden = [Dense(rng.randint(5, 512), l2=rng.choice((0.0, 1e-4))) for _ in range(depth)]
        if rng.random() < 0.5:
            hidden.append(Dropout(rng.uniform(0, 0.5)))
        base = (Conv(16, 3), MaxPool()) if rng.random() < 0.3 else ()
        training = Training((*base, *hidden, OUTPUT), Optimizer(rule, 10 ** rng.uniform(-4, -1)), 128)
        rss = workers.run("engine", training, which, 1)[2]
        if trial % 50 == 0:
            print(f"engine's memory after {trial:3} random networks: {rss:.0f} MiB", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--full", action="store_true", help="one epoch at the reports' sizes")
    options = parser.parse_args()
    workers = Workers(options.threads)
    print(f"{options.threads} threads; seconds a trial, median of {ROUNDS}")
    print(f"{'':44} {'notebook':>8} {'engine':>8} {'ratio':>7}")
    if options.full:
        for name, data_set, reference, training in full_size():
            which = (data_set, (48_000, 12_000, 10_000))
            rounds = [dataclasses.replace(training)] * 3
            workers.compare(f"{name}, {reference}, one epoch", rounds, which, 1)
    else:
        for title, trainings, epochs in short_trials():
            workers.compare(title, trainings, ("fashion_mnist", (4800, 1200, 1000)), epochs)
        memory(workers)
    workers.close()
    if not options.full:
        throughput()


if __name__ == "__main__":
    main()
