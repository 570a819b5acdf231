"""Prints how often reports claim what is not so, and what is: ``python tests/simulation/rates.py [DATASETS]``.

It takes an hour or two for 1000 data sets per setting; `test_sentences.py` holds a part of it to bounds.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

sys.path += [
    str(Path(__file__).parents[2]),
    str(Path(__file__).parents[1] / "analysis"),
    str(Path(__file__).parent),
]

import numpy as np
from sweeps import Setting, quick

MIXED = {"plain": {}, "ties": {"ties": 1.0}, "failures": {"failures": 0.1}, "awful": {"awful": 0.05}}
MIXED["all of it"] = {"ties": 1.0, "failures": 0.1, "awful": 0.05}


SIZES = [
    (2, 8, 5),
    (3, 8, 5),
    (3, 12, 1),
    (3, 12, 3),
    (8, 12, 5),
    (8, 25, 3),
    (2, 5, 10),
    (3, 5, 10),
    (3, 1, 10),
]
"""Methods, tasks and repetitions: the last three have too few tasks for a test over them."""


def settings() -> Iterator[tuple[str, Setting]]:
    """Yield what is simulated, with its name."""
    for size in SIZES:
        for name, more in MIXED.items():
            yield name, Setting(*size, interaction=0.0, **more)
        if size[1] < 6:
            yield "baseline", Setting(*size, interaction=0.0, baseline=True)
        else:
            yield "interaction", Setting(*size)
    for size in SIZES:
        interaction = 0.5 if size[1] > 6 else 0.0
        for shift in (0.5, 1.0, 2.0):
            yield "difference", Setting(*size, shift=shift, interaction=interaction)
        yield (
            "difference, all of it",
            Setting(*size, shift=1.0, interaction=interaction, **MIXED["all of it"]),
        )


def main(datasets: int) -> None:
    """Print one line per setting."""
    print(
        "what                  methods tasks reps shift | false over within one task | silent found leads within"
    )
    for name, setting in settings():
        rows = []
        better = setting.better
        for seed in range(datasets):
            claims, tasks = quick(setting, seed)
            apart = [bool(own) if better is None else False for own in tasks]
            found = any(first == better for first, _ in claims.better)
            mistaken = (*claims.false(better), np.mean(apart) if apart else 0.0)
            rows.append((*mistaken, claims.silent, found, better in claims.leaders, len(claims.within)))
        false, within, each, silent, found, leads, said = np.mean(np.array(rows, dtype=float), axis=0)
        print(
            f"{name:21} {setting.methods:7} {setting.tasks:5} {setting.repetitions:4} {setting.shift:5} | "
            f"{false:10.4f} {within:6.4f} {each:8.4f} | {silent:6.3f} {found:5.3f} {leads:5.3f} {said:6.2f}",
            flush=True,
        )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000)
