"""Build the small real subsets that the repository embeds, from the full MNIST and Fashion-MNIST.

Run once, from the repository root, when the selection changes::

    python tasks/data/build.py FOLDER

FOLDER holds ``mnist.npz`` and ``fashion_mnist.npz`` (arrays x_train, y_train, x_test, y_test, uint8).
The files written are the same byte for byte wherever and whenever this runs with one version of zlib.
Their digests go into ``tasks/datasets.py``.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from harness.task import data_digest
from tasks.datasets import Arrays, load_full

SEED = 2024
PER_CLASS = {"train": 600, "test": 100}
CLASSES = 10
DESTINATION = Path(__file__).resolve().parent.parent / "tasks" / "data"


def choose(labels: NDArray[np.uint8], per_class: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Return indices of ``per_class`` images of each class, in random order."""
    chosen = [rng.choice(np.flatnonzero(labels == c), size=per_class, replace=False) for c in range(CLASSES)]
    return rng.permutation(np.concatenate(chosen))


def subset(full: Arrays) -> Arrays:
    """Return the class-balanced subset of a full data set; the same for the same arrays."""
    rng = np.random.default_rng(SEED)
    out: Arrays = {}
    for part, per_class in PER_CLASS.items():
        indices = choose(full[f"y_{part}"], per_class, rng)
        out |= {f"{axis}_{part}": full[f"{axis}_{part}"][indices] for axis in "xy"}
    return out


def main() -> None:
    """Write both subsets and print the digests to enter in ``tasks/datasets.py``."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, help="folder with mnist.npz and fashion_mnist.npz")
    folder = parser.parse_args().folder
    for name in ("mnist", "fashion_mnist"):
        arrays = subset(load_full(name, folder=folder))
        path = DESTINATION / f"{name}_small.npz"
        np.savez_compressed(path, **arrays)  # type: ignore[arg-type]  # allow_pickle is no array
        print(f"{path.name}: {path.stat().st_size} bytes, digest {data_digest(arrays)}")  # noqa: T201


if __name__ == "__main__":
    main()
