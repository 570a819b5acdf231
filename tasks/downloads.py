"""Files that Keras downloads: data sets and published weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from tasks.engine.process import libraries


def download_file(name: str, url: str, md5: str) -> Path:
    """Download a file of weights into Keras's cache and return where it is.

    Raises:
        Exception: Whatever Keras raises when there is no network, or the checksum is another.
    """
    _, keras = libraries()
    return Path(keras.utils.get_file(name, url, cache_subdir="models", file_hash=md5))


def download(name: str) -> dict[str, NDArray[Any]]:
    """Download ``mnist`` or ``fashion_mnist`` into Keras's cache and return it.

    Raises:
        Exception: Whatever Keras raises when there is no network.
    """
    _, keras = libraries()
    (x_train, y_train), (x_test, y_test) = getattr(keras.datasets, name).load_data()
    return {"x_train": x_train, "y_train": y_train, "x_test": x_test, "y_test": y_test}
