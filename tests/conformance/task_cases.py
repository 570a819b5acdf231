"""What the conformance suite for tasks runs over, and the fingerprints that are checked in.

After a change that is meant to change a task's numbers, raise its version and write its fingerprints anew, with
the suite's one thread on one core, from the repository's root:

    .venv/bin/python tests/conformance/task_cases.py fashion_cnn "fashion_cnn protocol=published"

Without names, all are written. What is checked in was made on a CPU and holds on others, within tolerances.
"""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import get_args

import numpy as np

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from harness import registry
from tasks.conformance import TaskCase, configurations

CHEAP_TO_EXPENSIVE = ("tiny", "small", "full")
NAMES = sorted(registry.tasks())
ALSO = {
    "fashion_cnn": ({"protocol": "published"},),
    "mnist_net": ({"base": "conv"}, {"validation": "split"}),
}
"""Options, beside the defaults, that make another training of a task."""

FINGERPRINTS = Path(__file__).with_name("fingerprints.json")
FINGERPRINTED = 5
"""Evaluations in a fingerprint."""
LOSS_TOLERANCE = (1e-3, 1e-2)
"""How far the losses of its first and its second epoch may be off, relatively: rounding grows with steps."""
EXAMPLES_TOLERANCE = 2
"""How far its accuracies may be off, in examples."""


def cheapest(cls, **options):
    if "variant" not in cls.Options.model_fields:
        return cls(**options)
    variants = get_args(cls.Options.model_fields["variant"].annotation)
    return cls(variant=next(v for v in CHEAP_TO_EXPENSIVE if v in variants), **options)


def labels(*, cheap=True):
    """The name of every case: a task's, and the options of those beside its defaults."""
    for name in NAMES:
        if cheap or not registry.task(name).cheap:
            yield name
            for options in ALSO.get(name, ()):
                yield " ".join([name, *(f"{k}={v}" for k, v in options.items())])


@cache
def case_of(label):
    name, *options = label.split()
    task = cheapest(registry.task(name), **dict(option.split("=") for option in options))
    return TaskCase(task, default=not options)


def fingerprinted(task) -> list[dict]:
    """Five configurations: references, then points away from the space's edges, where training is chaotic."""
    found = configurations(task)[:FINGERPRINTED]
    rng = np.random.default_rng(462)  # draws no learning rate of RMSprop at which rounding soon matters
    while len(found) < FINGERPRINTED:
        found.append(task.space.from_unit(rng.uniform(0.35, 0.75, len(task.space)).tolist()))
    return found


def fingerprint(case: TaskCase, configs: list[dict]) -> dict:
    """What evaluations of these configurations give, the losses and accuracies of each epoch."""
    evaluations = []
    for config in configs:
        evaluation = case.evaluate(config, epochs=min(len(LOSS_TOLERANCE), case.epochs))
        counted = {f"{part}_accuracy": rows for part, rows in evaluation.confusion.items()}
        curve = {
            name: [float(f"{value:.7g}") for value in values]
            for name, values in evaluation.curve.items()
            if name.endswith("_loss") or name in counted
        }
        examples = {name: int(np.sum(rows)) for name, rows in counted.items()}
        evaluations.append(
            {"config": config, "status": evaluation.status.value, "curve": curve, "examples": examples}
        )
    return {"version": case.task.version, "data": case.digest, "evaluations": evaluations}


def differences(recorded: dict, found: dict) -> Iterator[str]:
    """Say where two fingerprints are further apart than the tolerances."""
    for name in ("version", "data"):
        if found[name] != recorded[name]:
            yield f"{name} {found[name]!r}, recorded is {recorded[name]!r}"
    for old, new in zip(recorded["evaluations"], found["evaluations"], strict=True):
        where = json.dumps(new["config"])
        for name in ("status", "examples"):
            if new[name] != old[name]:
                yield f"{where}: {name} {new[name]}, recorded is {old[name]}"
        if {k: len(v) for k, v in new["curve"].items()} != {k: len(v) for k, v in old["curve"].items()}:
            yield f"{where}: metrics and epochs {new['curve']}, recorded are {old['curve']}"
            continue
        for metric, values in new["curve"].items():
            for epoch, (value, was) in enumerate(zip(values, old["curve"][metric], strict=True)):
                if metric in old["examples"]:
                    near = abs(value - was) * old["examples"][metric] < EXAMPLES_TOLERANCE + 0.5
                else:
                    near = math.isclose(value, was, rel_tol=LOSS_TOLERANCE[epoch])
                if not near:
                    yield f"{where}: {metric} of epoch {epoch + 1} is {value!r}, recorded is {was!r}"


def read_fingerprints() -> dict[str, dict]:
    """Return the fingerprints checked in, by case."""
    return json.loads(FINGERPRINTS.read_text(encoding="utf-8"))


def main(chosen: list[str]) -> None:
    """Write the fingerprints of the chosen cases, or of all, and drop those of cases there no longer are."""
    known = list(labels(cheap=False))
    if unknown := set(chosen) - set(known):
        sys.exit(f"no such case: {sorted(unknown)}; there are {known}")
    old = read_fingerprints() if FINGERPRINTS.exists() else {}
    cases = {label: case_of(label) for label in known if label in (chosen or known)}
    made = {label: fingerprint(case, fingerprinted(case.task)) for label, case in cases.items()}
    kept = {label: {**old, **made}[label] for label in known if label in {**old, **made}}
    text = json.dumps(kept, indent=1)
    innermost = r"([\[{])\s+([^\[\]{}]*?)\s+([\]}])"
    short = re.sub(innermost, lambda found: found[1] + re.sub(r"\s+", " ", found[2]) + found[3], text)
    FINGERPRINTS.write_text(short + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
