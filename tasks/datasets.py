"""MNIST and Fashion-MNIST: the full sets from wherever they lie, and the small subsets embedded here.

Every set is verified by a digest of its arrays' contents, so it does not matter which file it came
from. The full sets are looked for, in this order, in the data folder the user names (the
environment variable ``DERBY_DATA``), in Keras's cache, in Debian's ``dataset-fashion-mnist``
package, and last they are downloaded by Keras. The embedded subsets need no network.
"""

from __future__ import annotations

import gzip
import os
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from harness.errors import DataError, UnknownNameError, nearest
from harness.task import data_digest

Arrays = dict[str, NDArray[np.uint8]]
"""x_train, y_train, x_test, y_test; images (count, 28, 28) and labels (count,), all uint8."""

T = TypeVar("T")
Candidate = tuple[str, Path | None, Callable[[], T]]
"""A place to look in: its description, the path that must exist, and how to read it."""

ENVIRONMENT: Final = "DERBY_DATA"
DEBIAN_FOLDER: Final = Path("/usr/share/datasets/fashion-mnist")
CLASSES: Final = 10


@dataclass(frozen=True, slots=True)
class _Source:
    title: str
    idx_folder: str
    """Folder of gzipped IDX files inside a data folder; the name Keras's cache uses for Fashion-MNIST."""
    full: str
    small: str


_SOURCES: Final[dict[str, _Source]] = {
    "mnist": _Source("MNIST", "mnist", full="51ea33bae9f51e67", small="52c6f7796606691c"),
    "fashion_mnist": _Source(
        "Fashion-MNIST", "fashion-mnist", full="7dd22d2d94588280", small="d67f6f55f290e404"
    ),
}
_KEYS: Final = ("x_train", "y_train", "x_test", "y_test")
_IDX_FILES: Final = {
    "x_train": "train-images-idx3-ubyte.gz",
    "y_train": "train-labels-idx1-ubyte.gz",
    "x_test": "t10k-images-idx3-ubyte.gz",
    "y_test": "t10k-labels-idx1-ubyte.gz",
}
_UNREADABLE: Final = (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile, zlib.error)


def data_folder() -> Path | None:
    """Return the folder looked in first: ``DERBY_DATA``, or ``None``."""
    named = os.environ.get(ENVIRONMENT)
    return Path(named).expanduser() if named else None


def load_small(name: str) -> Arrays:
    """Return the embedded subset: 6000 training and 1000 test images, balanced over the classes.

    Args:
        name: ``"mnist"`` or ``"fashion_mnist"``.

    Raises:
        DataError: The file is missing from the installation or damaged.
        UnknownNameError: No data set has that name.
    """
    source = _source(name)
    file = Path(__file__).with_name("data") / f"{name}_small.npz"  # whatever else is called tasks
    try:
        arrays = _read_npz(file)
    except _UNREADABLE as error:
        raise DataError(f"the embedded subset {file} is unreadable: {error}; reinstall hpo-derby") from error
    found = data_digest(arrays)
    if found != source.small:
        raise DataError(
            f"the embedded subset {file} is not the expected one: digest {found}, expected {source.small}; "
            "reinstall hpo-derby"
        )
    return arrays


def load_full(name: str, *, folder: str | Path | None = None) -> Arrays:
    """Return a full data set: 60 000 training and 10 000 test images.

    Args:
        name: ``"mnist"`` or ``"fashion_mnist"``.
        folder: Folder to look in first, instead of `data_folder`.

    Raises:
        DataError: It was found nowhere; lists what was tried and why each failed.
        UnknownNameError: No data set has that name.
    """
    source = _source(name)
    first = data_folder() if folder is None else Path(folder)
    advice = (
        f"Put {name}.npz (arrays {', '.join(_KEYS)}, uint8) or the four gzipped IDX files into a folder and name it "
        f"with --data or the environment variable {ENVIRONMENT}, or use the variant 'small', which needs no download."
    )
    places = (
        (place, path, partial(_verified, read, source.title, source.full))
        for place, path, read in _places(name, first)
    )
    return first_found(f"{source.title} was not found", first, places, advice)


def pinned(name: str, *, small: bool) -> str:
    """Return the digest that `load_small`, or else `load_full`, holds a data set to."""
    source = _source(name)
    return source.small if small else source.full


def first_found(missing: str, folder: Path | None, places: Iterable[Candidate[T]], advice: str) -> T:
    """Read from the first place that holds what is wanted.

    Args:
        missing: What to say where none does.
        folder: The data folder, which is named as tried where there is none.
        places: Where to look, in this order.
        advice: What to do then.

    Raises:
        DataError: It was found nowhere; lists what was tried and why each failed.
    """
    tried = [f"data folder: none is named ({ENVIRONMENT} is not set)"] if folder is None else []
    for place, path, read in places:
        if path is not None and not path.exists():
            tried.append(f"{place}: no such file or folder")
            continue
        try:
            return read()
        except DataError as error:
            tried.append(f"{place}: {error}")
        except Exception as error:  # noqa: BLE001 - a download may raise anything; all are reported below
            tried.append(f"{place}: {type(error).__name__}: {error}")
        if path is not None:  # somebody put it there: say that it is not used, and why
            warnings.warn(f"ignored {tried[-1]}", UserWarning, stacklevel=3)
    raise DataError("\n".join((f"{missing}. Tried:", *(f"  - {line}" for line in tried), advice)))


def keras_cache(kind: str) -> Path:
    """Return Keras's cache of ``datasets`` or ``models``."""
    return Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras") / kind


def _verified(read: Callable[[], Arrays], title: str, expected: str) -> Arrays:
    arrays = read()
    found = data_digest(arrays)
    if found != expected:
        raise DataError(f"not the {title} expected: digest {found}, expected {expected}")
    return arrays


def _source(name: str) -> _Source:
    if name not in _SOURCES:
        raise UnknownNameError(f"no data set is called {name!r}; {nearest(name, _SOURCES)}")
    return _SOURCES[name]


def _places(name: str, folder: Path | None) -> Iterator[Candidate[Arrays]]:
    idx_folder = _SOURCES[name].idx_folder
    if folder is not None:
        for path in (folder / f"{name}.npz", folder / idx_folder):
            yield _place("data folder", path)
    cache = keras_cache("datasets")
    yield _place("Keras's cache", cache / (f"{name}.npz" if name == "mnist" else idx_folder))
    if name == "fashion_mnist":
        yield _place("Debian's dataset-fashion-mnist", DEBIAN_FOLDER)
    yield "download by Keras", None, lambda: _download(name)


def _place(what: str, path: Path) -> Candidate[Arrays]:
    return f"{what} {path}", path, lambda: _read_npz(path) if path.suffix == ".npz" else _read_idx(path)


def _read_npz(path: Path) -> Arrays:
    if not zipfile.is_zipfile(path):  # of which NumPy would say that it may be loaded unsafely
        raise DataError("it is no NumPy archive (.npz)" + (", but a folder" if path.is_dir() else ""))
    with np.load(path, allow_pickle=False) as file:
        lacking = [key for key in _KEYS if key not in file.files]
        if lacking:
            raise DataError(
                f"it lacks the arrays {', '.join(lacking)}, and has {', '.join(file.files) or 'none'}"
            )
        return {key: np.asarray(file[key]) for key in _KEYS}


def _read_idx(folder: Path) -> Arrays:
    return {key: _idx(folder / file) for key, file in _IDX_FILES.items()}


def _idx(path: Path) -> NDArray[np.uint8]:
    """Read one gzipped IDX file of bytes: 00 00 08 rank, each dimension as big-endian int32, the data."""
    with gzip.open(path, "rb") as file:
        content = file.read()
    if content[:3] != b"\x00\x00\x08":
        raise ValueError(f"{path} is not an IDX file of unsigned bytes")
    rank = content[3]
    shape = np.frombuffer(content, ">i4", count=rank, offset=4).tolist()
    return np.frombuffer(content, np.uint8, offset=4 + 4 * rank).reshape(shape)


def _download(name: str) -> Arrays:
    from tasks import downloads  # which loads Keras

    return downloads.download(name)
