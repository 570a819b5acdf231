"""A synthetic results folder in the record's real formats, as large as asked: for timing what reads it.

``python tests/bench/synthetic_record.py FOLDER`` writes 12 methods × 20 tasks × 30 repetitions × 139 evaluations,
about a million, of which studies of one task and repetition share one in ten.
"""

from __future__ import annotations

import argparse
import math
import time
from pathlib import Path

import msgspec
import numpy as np

from harness.events import Asked, Done, Told
from harness.keys import EvaluationKey, StudyKey, TaskKey
from harness.machine import Description, Machine
from harness.plan import Plan, StudyPlan, TaskPlan
from harness.provenance import provenance
from harness.trial import Budget, Curve, Evaluation, Proposal, Status
from results.documents import document, machine_document
from results.journal import Appender
from results.layout import Layout
from results.schema import EVALUATIONS, LINES, EvaluationLine, Opened, encoded

METHODS = (
    *("random", "grid", "optuna_tpe", "skopt_gp", "gpyopt_gp", "hyperopt_tpe"),
    *("optuna_cmaes", "optuna_gp", "hyperband", "kerastuner_bayes", "pso", "asha"),
)
EPOCHS = 3
SHARED = 14
"""Evaluations at the beginning of a study that are common to all methods, as a common initial design is."""
MACHINE = Machine(Description(processor="synthetic", device="cpu", threads=1))
NAME = "million"


def quality(config: dict[str, object], task: int) -> float:
    """Return the error rate of a configuration without noise: smooth, with one best learning rate per task."""
    lr = math.log10(float(config["lr"])) + 2.5 + 0.05 * task
    units = math.log2(int(config["units"])) - 7
    optimizer = {"sgd": 0.02, "adam": 0.0, "momentum": 0.01}[str(config["optimizer"])]
    return 0.05 + 0.01 * (task % 5) + 0.03 * lr**2 + 0.003 * units**2 + optimizer


def draw(rng: np.random.Generator, task: int, width: float) -> dict[str, object]:
    """Return a configuration; the smaller the width, in (0, 1], the nearer to the best learning rate."""
    low, high = -5.0, 0.0
    best = -2.5 - 0.05 * task
    lr = min(max(best + width * float(rng.uniform(low - best, high - best)), low), high)
    optimizer = ("sgd", "adam", "momentum")[int(rng.integers(3))]
    config: dict[str, object] = {"optimizer": optimizer, "lr": 10**lr, "units": int(rng.integers(16, 513))}
    if optimizer == "momentum":
        config["momentum"] = float(rng.uniform(0.1, 0.99))
    return config


def evaluate(config: dict[str, object], task: int, rng: np.random.Generator) -> Evaluation:
    """Return an evaluation with a curve of every metric that an image task records."""
    if rng.random() < 0.02:
        return Evaluation(Status.DIVERGED, Curve(), 1, message="loss became nan", machine=MACHINE.id)
    error = quality(config, task) + float(rng.normal(0, 0.004))
    columns: dict[str, list[float]] = {}
    for part, worse in (("train", -0.01), ("val", 0.0), ("test", 0.005)):
        accuracy = [1 - min(max(error + worse + 0.1 / epoch, 0.001), 0.9) for epoch in range(1, EPOCHS + 1)]
        columns[f"{part}_loss"] = [-math.log(value) for value in accuracy]
        columns[f"{part}_accuracy"] = accuracy
        if part != "train":
            columns[f"{part}_balanced_accuracy"] = [value - 0.001 for value in accuracy]
            columns[f"{part}_macro_f1"] = [value - 0.002 for value in accuracy]
    columns["seconds"] = rng.uniform(0.5, 1.5, EPOCHS).tolist()
    row = (980, 3, 1, 0, 4, 2, 5, 1, 3, 1)
    confusion = {part: tuple(row[-i:] + row[:-i] for i in range(10)) for part in ("val", "test")}
    return Evaluation(
        Status.OK, Curve(columns), EPOCHS, setup_seconds=0.3, machine=MACHINE.id, confusion=confusion
    )


def write(
    root: Path, *, methods: int = 12, tasks: int = 20, repetitions: int = 30, evaluations: int = 139
) -> int:
    """Write the folder and return how many evaluations its studies were told."""
    layout = Layout(root)
    for folder in (root / "studies", root / "machines", layout.sweep(NAME) / "runs"):
        folder.mkdir(parents=True)
    planned = []
    about = {}
    for task in range(tasks):
        label = f"synthetic_{task:02d}"
        key = TaskKey(label, 1, {"variant": "full"})
        about[label] = TaskPlan(
            name=label,
            source="synthetic",
            metric="val_accuracy",
            test_metric="test_accuracy",
            direction="max",
            failure=0.0,
            full_epochs=EPOCHS,
            budget_unit="evaluations",
            budget_amount=evaluations,
            budget_full_cost=0.0,
            cost_unit="epochs",
            data="",
            subset=False,
            regret_best=1.0,
            regret_reference=0.1,
        )
        layout.evaluations(label).mkdir(parents=True)
        with Appender(layout.evaluations(label) / "20260101T000000-000000.jsonl") as file:
            for repetition in range(repetitions):
                known: dict[str, Evaluation] = {}
                for index, method in enumerate(METHODS[:methods]):
                    study = StudyKey(*(key, method, {}, Budget("evaluations", evaluations), 1, repetition, 0))
                    planned.append(StudyPlan(study.id, label, method, repetition))
                    with Appender(layout.study(study.id)) as journal:
                        _study(study, task, index, evaluations, known, file, journal)
    plan = Plan(NAME, 1, "portable", about, sorted(planned, key=lambda each: each.repetition))
    (layout.sweep(NAME) / "plan.json").write_text(document(plan))
    (layout.sweep(NAME) / "sweep.yaml").write_text(f"name: {NAME}\n")
    (layout.sweep(NAME) / "runs" / "20260101T000000-000000.json").write_text(document(provenance("serial")))
    layout.machine(MACHINE.id).write_text(machine_document(MACHINE.description))
    return len(planned) * evaluations


def _study(
    study: StudyKey,
    task: int,
    method: int,
    count: int,
    known: dict[str, Evaluation],
    file: Appender,
    journal: Appender,
) -> None:
    """Write a study's events; what is not known yet is evaluated and written to the file."""
    rng = np.random.default_rng(study.search_seed)
    common = np.random.default_rng(study.training_seed)
    journal.append(encoded(Opened.of(study, {"numpy": np.__version__}), LINES))
    clock, epochs = 0.0, 0
    for number in range(count):
        # The later and the more skilled, the nearer to the best.
        width = 1.0 if number < SHARED else (1 + number - SHARED) ** (-0.06 * method)
        config = draw(common if number < SHARED else rng, task, width)
        key = EvaluationKey(study.task, config, study.training_seed)
        if key.id not in known:
            known[key.id] = evaluate(config, task, rng)
            file.append(encoded(EvaluationLine.of(key, known[key.id]), EVALUATIONS))
        evaluation = known[key.id]
        ok = evaluation.status is Status.OK
        value = evaluation.curve["val_accuracy"][-1] if ok else None
        test = evaluation.curve["test_accuracy"][-1] if ok else None
        asked = Asked.of(
            number, Proposal(number, config, EPOCHS), clock, 1.0, 1e-3 * (1 + number * (method == 3))
        )
        clock += EPOCHS
        epochs += evaluation.epochs
        told = Told(
            *(number, evaluation.status, value, test, -(value or 0.0), evaluation.epochs, clock),
            *(evaluation.seconds(), 1e-4, MACHINE.id),
        )
        journal.append(encoded(msgspec.structs.replace(asked, evaluation=key.id), LINES))
        journal.append(encoded(told, LINES))
    journal.append(encoded(Done("budget", count, epochs, float(epochs), journal.digest()), LINES))


def main() -> None:
    """Write a folder of the size asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    for name, size in (("methods", 12), ("tasks", 20), ("repetitions", 30), ("evaluations", 139)):
        parser.add_argument(f"--{name}", type=int, default=size)
    sizes = vars(parser.parse_args())
    began = time.perf_counter()
    told = write(sizes.pop("folder"), **sizes)
    print(f"{told} evaluations in {time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main()
