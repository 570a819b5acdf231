"""A synthetic sweep with parameters: two methods on a task whose value depends on the learning rate above all."""

from __future__ import annotations

import json

import numpy as np
from synthetic_sweeps import study_rows, tables_of

from results.tables import SweepTables


def sweep(*, count: int = 60, repetitions: int = 2, seed: int = 0) -> SweepTables:
    """Two methods on one task whose value depends on the learning rate above all, with a conditional parameter."""
    rng = np.random.default_rng(seed)
    told = []
    for name in ("random", "b"):
        for repetition in range(repetitions):
            configs = []
            for _ in range(count):
                config = {
                    "optimizer": ["sgd", "adam"][rng.integers(2)],
                    "lr": float(10 ** rng.uniform(-5, 0)),
                }
                config["units"] = int(rng.integers(8, 65))
                if config["optimizer"] == "sgd":
                    config["momentum"] = float(rng.uniform(0.1, 0.9))
                configs.append(config)
            values = [abs(np.log10(c["lr"]) + 2) + 0.01 * c["units"] / 64 for c in configs]
            values[3] = None
            own = study_rows("t", name, repetition, values)
            told += [{**row, "config": json.dumps(c)} for row, c in zip(own, configs, strict=True)]
    tables = tables_of(told, {"t": {}})
    tables.studies["method"] = tables.studies["searcher"].replace("b", "skopt_gp")
    return tables
