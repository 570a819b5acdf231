"""Large synthetic sweeps, made at once with numpy: as big as a published study, and without training anything."""

from __future__ import annotations

import numpy as np
import pandas as pd
from synthetic_sweeps import ACCURACY, NO_TASK

from analysis import style
from results.tables import SweepTables


def large(
    methods: int = 12,
    tasks: int = 20,
    repetitions: int = 30,
    count: int = 139,
    *,
    seed: int = 0,
    references: bool = True,
    spread: float = 1.0,
) -> SweepTables:
    """Finished studies of every method on every task: 12 × 20 × 30 × 139 are 1 000 800 evaluations.

    Args:
        methods: Methods, the first is random search.
        tasks: Tasks, all accuracies with a test set.
        repetitions: Repetitions.
        count: Evaluations of a study.
        seed: Of everything.
        references: Whether the tasks declare references of regret.
        spread: How different the methods are; 0: all the same.
    """
    rng = np.random.default_rng(seed)
    names = np.array([*style.LOOKS, *(f"method_{i}" for i in range(methods))][:methods])
    labels = np.array([f"task{index:02d}/small" for index in range(tasks)])
    shape = (tasks, methods, repetitions, count)
    t, m, r, c = (axis.ravel() for axis in np.indices(shape))
    # Better methods improve faster and end lower; each task and each repetition has its own difficulty.
    skill = 1 + spread * np.linspace(-0.4, 0.9, methods)[None, :, None, None] * rng.uniform(
        0.6, 1.4, (tasks, methods, 1, 1)
    )
    hard = rng.uniform(0.5, 1.5, (tasks, 1, 1, 1)) * rng.uniform(0.9, 1.1, (tasks, 1, repetitions, 1))
    errors = hard * (
        0.01 + 0.02 / skill + 0.4 * rng.beta(1.5, 4, shape) * np.arange(1, count + 1) ** (-0.3 * skill)
    )
    errors = np.minimum(errors, 0.9)
    tests = np.clip(errors + rng.normal(0, 0.004, shape), 0, 1)
    failed = (rng.random(shape) < 0.01).ravel()
    train = rng.uniform(0.5, 2.0, shape)
    ask = rng.uniform(1e-3, 2e-3, shape) * (
        1 + 0.02 * np.arange(count) * np.arange(methods)[None, :, None, None]
    )
    tell = 0.3 * ask
    seconds = np.cumsum(train, axis=-1)
    total = seconds + np.cumsum(ask, axis=-1) + np.cumsum(tell, axis=-1) - tell
    value = np.where(failed, np.nan, 1 - errors.ravel())
    ids = np.array(
        [
            f"{task}|{name}|{repetition}"
            for task in labels
            for name in names
            for repetition in range(repetitions)
        ]
    )
    study = ids[(t * methods + m) * repetitions + r]
    trials = pd.DataFrame(
        {
            "task": labels[t],
            "searcher": names[m],
            "repetition": r,
            "study": study,
            "step": c + 1,
            "trial": c,
            "config": '{"x":1}',
            "epochs": 9,
            "status": np.where(failed, "diverged", "ok"),
            "value": value,
            "test": np.where(failed, np.nan, 1 - tests.ravel()),
            "loss": -np.nan_to_num(value),
            "evaluations": c + 1,
            "spent_epochs": 9 * (c + 1),
            "spent_cost": 9.0 * (c + 1),
            "train_seconds": seconds.ravel(),
            "total_seconds": total.ravel(),
            "virtual_time": 3 * seconds.ravel(),
            "machine": "m",
            "seconds": train.ravel(),
            "ask_seconds": ask.ravel(),
            "tell_seconds": tell.ravel(),
        }
    )
    first = c == 0
    studies = pd.DataFrame(
        {
            "task": labels[t[first]],
            "searcher": names[m[first]],
            "repetition": r[first],
            "study": study[first],
            "state": "done",
            "reason": "budget",
            "evaluations": count,
            "spent": count,
            "followed": 0,
            "method": names[m[first]],
            "workers": 1,
        }
    )
    about = {**NO_TASK, **ACCURACY, "budget_unit": "evaluations", "budget_amount": count}
    if references:
        about |= {"regret_best": 1.0, "regret_reference": 0.1}
    return SweepTables(
        name="large",
        trials=trials,
        studies=studies,
        tasks=pd.DataFrame([about] * tasks, index=list(labels)),
        provenance={},
        read_epochs=pd.DataFrame,
    )
