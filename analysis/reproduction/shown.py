"""What pictures of a network show: densities of its weights, in place of these, and its first predictions.

It is small enough to be published, and all that drawing the pictures again takes.
"""

from __future__ import annotations

import io
import json
import math
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from harness.errors import RecordError
from harness.task import Inspection

BEFORE, AFTER = "before", "after"

LAYERS: Final = 8
"""Layers whose weights are shown at most: the last ones."""
_BINS: Final = 2048
_POINTS: Final = 201

_DATE: Final = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True, slots=True, eq=False)
class Violin:
    """The distribution of a layer's weights at one time.

    Attributes:
        layer: Its name, such as ``dense_1/kernel``.
        when: `BEFORE` the first epoch or `AFTER` the last.
        count: How many weights it has.
        weight: Places, (points,).
        density: Gaussian kernel density estimate there, (points,).
        quartiles: Lower quartile, median, upper quartile.
        deviation: Standard deviation.
    """

    layer: str
    when: str
    count: int
    weight: NDArray[np.float64]
    density: NDArray[np.float64]
    quartiles: tuple[float, float, float]
    deviation: float


@dataclass(frozen=True, slots=True, eq=False)
class Shown:
    """What pictures of a network show.

    Attributes:
        violins: Of the last `LAYERS` layers, before and after, in the order of the network.
        left_out: How many layers before these are not shown.
        images: The first test images, (count, height, width) or (count, height, width, 3), uint8.
        true: Their true classes, by name.
        predicted: The classes predicted, by name.
    """

    violins: tuple[Violin, ...]
    left_out: int
    images: NDArray[np.uint8]
    true: tuple[str, ...]
    predicted: tuple[str, ...]


def shown_of(inspection: Inspection) -> Shown:
    """Return what pictures show of a network that was looked into."""
    names = [name for name in inspection.after if name in inspection.before]
    count = len(inspection.images)
    classes = inspection.classes
    return Shown(
        violins=tuple(
            _violin(name, when, np.ravel(weights[name]).astype(float))
            for name in names[-LAYERS:]
            for when, weights in ((BEFORE, inspection.before), (AFTER, inspection.after))
        ),
        left_out=len(names) - len(names[-LAYERS:]),
        images=inspection.images,
        true=tuple(classes[int(i)] for i in inspection.labels[:count]),
        predicted=tuple(classes[int(i)] for i in inspection.predicted[:count]),
    )


def densities(shown: Shown) -> pd.DataFrame:
    """Return the violins as a table: ``layer``, ``when``, ``quantity``, ``weight``, ``density``."""
    pieces = []
    for violin in shown.violins:
        curve = pd.DataFrame({"quantity": "density", "weight": violin.weight, "density": violin.density})
        quartiles = pd.DataFrame(
            {
                "quantity": ["quartile 1", "median", "quartile 3"],
                "weight": violin.quartiles,
                "density": np.nan,
            }
        )
        pieces.append(
            pd.concat([curve, quartiles], ignore_index=True).assign(layer=violin.layer, when=violin.when)
        )
    return pd.concat(pieces, ignore_index=True)[["layer", "when", "quantity", "weight", "density"]]


def save(shown: Shown, path: Path) -> None:
    """Write what pictures show into an array file; the same gives the same bytes."""
    sizes = [len(violin.weight) for violin in shown.violins]
    arrays = {
        "sizes": np.array(sizes, dtype=np.int64),
        "counts": np.array([violin.count for violin in shown.violins], dtype=np.int64),
        "weight": np.concatenate([np.zeros(0), *(violin.weight for violin in shown.violins)]),
        "density": np.concatenate([np.zeros(0), *(violin.density for violin in shown.violins)]),
        "quartiles": np.array([violin.quartiles for violin in shown.violins], dtype=float).reshape(-1, 3),
        "deviations": np.array([violin.deviation for violin in shown.violins], dtype=float),
        "images": shown.images,
    }
    words = {
        "layers": [[violin.layer, violin.when] for violin in shown.violins],
        "left_out": shown.left_out,
        "true": shown.true,
        "predicted": shown.predicted,
    }
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as file:
        for name, array in arrays.items():
            content = io.BytesIO()
            np.save(content, array, allow_pickle=False)
            file.writestr(_member(f"{name}.npy"), content.getvalue())
        file.writestr(_member("words.json"), json.dumps(words, ensure_ascii=False))


def load(path: Path) -> Shown:
    """Read back what `save` wrote.

    Raises:
        RecordError: It is missing or damaged.
    """
    try:
        with zipfile.ZipFile(path) as file:
            words = json.loads(file.read("words.json"))
            arrays = {
                name.removesuffix(".npy"): np.load(io.BytesIO(file.read(name)), allow_pickle=False)
                for name in file.namelist()
                if name.endswith(".npy")
            }
        ends = np.cumsum(arrays["sizes"])
        weight, density = (np.split(arrays[name], ends) for name in ("weight", "density"))
        violins = tuple(
            Violin(
                layer=str(layer),
                when=str(when),
                count=int(arrays["counts"][i]),
                weight=weight[i],
                density=density[i],
                quartiles=tuple(arrays["quartiles"][i].tolist()),
                deviation=float(arrays["deviations"][i]),
            )
            for i, (layer, when) in enumerate(words["layers"])
        )
        true, predicted = (tuple(map(str, words[name])) for name in ("true", "predicted"))
        return Shown(violins, int(words["left_out"]), arrays["images"], true, predicted)
    except (OSError, EOFError, ValueError, KeyError, IndexError, TypeError, zipfile.BadZipFile) as error:
        raise RecordError(
            f"cannot read {path}: {error}; expected what pictures of a network show: restore it from a copy, or run "
            "`derby reproduce` again"
        ) from error


def _member(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name, _DATE)
    info.compress_type = zipfile.ZIP_DEFLATED
    return info


def _violin(layer: str, when: str, sample: NDArray[np.float64]) -> Violin:
    grid, density = _density(sample)
    low, middle, high = np.quantile(sample, [0.25, 0.5, 0.75]).tolist()
    return Violin(layer, when, len(sample), grid, density, (low, middle, high), float(np.std(sample)))


def _density(sample: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return a Gaussian kernel density estimate at `_POINTS` places over the sample's range.

    The sample is binned finely first, so that a million weights take no longer than a thousand.
    """
    low, high = float(sample.min()), float(sample.max())
    if high - low <= 1e-12 * max(abs(low), abs(high), 1e-300):
        margin = max(abs(low), 1.0) * 1e-3
        return np.array([low - margin, low, low + margin]), np.array([0.0, 1.0, 0.0])
    counts, edges = np.histogram(sample, bins=_BINS, range=(low, high))
    centres = (edges[1:] + edges[:-1]) / 2
    bandwidth = max(float(sample.std()) * len(sample) ** -0.2, (high - low) / _BINS)
    grid = np.linspace(low, high, _POINTS)
    kernel = np.exp(-0.5 * ((grid[:, None] - centres[None, :]) / bandwidth) ** 2)
    return grid, (kernel * counts).sum(axis=1) / (len(sample) * bandwidth * math.sqrt(2 * math.pi))
