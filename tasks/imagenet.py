"""DenseNet121's ImageNet weights, from the file that Keras publishes."""

from __future__ import annotations

import hashlib
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from harness.errors import DataError
from tasks.datasets import ENVIRONMENT, Candidate, data_folder, first_found, keras_cache
from tasks.engine.densenet import DENSENET121, Vectors, as_vectors

FILE: Final = "densenet121_weights_tf_dim_ordering_tf_kernels_notop.h5"
URL: Final = f"https://storage.googleapis.com/tensorflow/keras-applications/densenet/{FILE}"
MD5: Final = "30ee3e1110167f948a6b9946edeeb738"
"""The checksum that Keras expects of the file."""


def imagenet_weights() -> Vectors:
    """Return the weights of DenseNet121 that Keras publishes, learnt on ImageNet.

    The file is looked for in the data folder, then in Keras's cache, and last it is downloaded by Keras
    into that; it is verified by Keras's checksum.

    Raises:
        DataError: It was found nowhere; lists what was tried, and says which file to put where.
    """
    first = data_folder()
    folders = {"data folder": first, "Keras's cache": keras_cache("models")}
    paths = {place: folder / FILE for place, folder in folders.items() if folder is not None}
    places: list[Candidate[Vectors]] = [
        (f"{place} {path}", path, partial(read_weights, path)) for place, path in paths.items()
    ]
    places.append(("download by Keras", None, _download))
    advice = (
        f"Put {FILE} (from {URL}) into a folder and name it with --data or the environment variable {ENVIRONMENT}, "
        "or choose `backbone_weights: none`: random weights, for tests."
    )
    return first_found("DenseNet121's ImageNet weights were not found", first, places, advice)


def _download() -> Vectors:
    from tasks import downloads  # which loads Keras

    return read_weights(downloads.download_file(FILE, URL, MD5))


def read_weights(path: Path) -> Vectors:
    """Read the file that Keras publishes.

    Raises:
        DataError: Its checksum is another.
        ValueError: It does not hold DenseNet121's weights.
        OSError: It cannot be read.
    """
    found = hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
    if found != MD5:
        raise DataError(f"not the file expected: MD5 {found}, expected {MD5}")
    return as_vectors(DENSENET121, read_arrays(path))


def read_arrays(path: Path) -> dict[str, NDArray[np.float32]]:
    """Read Keras's old weight format: a group for each layer, which lists its arrays' names.

    The file was written when layers could be called ``conv1/conv``; now that one is ``conv1_conv``.
    """
    import h5py

    arrays: dict[str, NDArray[np.float32]] = {}
    with h5py.File(path, "r") as file:
        for layer in _names(file.attrs["layer_names"]):
            for weight in _names(file[layer].attrs["weight_names"]):
                name = weight.rpartition("/")[2].partition(":")[0]
                arrays[f"{layer.replace('/', '_')}/{name}"] = np.asarray(file[layer][weight], np.float32)
    return arrays


def _names(attribute: Any) -> list[str]:
    return [name.decode() if isinstance(name, bytes) else str(name) for name in attribute]
