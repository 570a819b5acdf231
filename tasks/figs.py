"""Images for grading figs: a folder of class folders, or look-alike clothes that stand in for it."""

from __future__ import annotations

import hashlib
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from harness.errors import DataError
from tasks.datasets import ENVIRONMENT, data_folder, load_full, load_small

FOLDER: Final = "figs"
"""Name of the folder of class folders inside the data folder."""
CLASSES: Final = 4
SIDE: Final = 100
"""Height and width of the source's images, in pixels."""
CLOTHES: Final[Mapping[str, int]] = {"pullover": 2, "coat": 4, "shirt": 6, "dress": 3}
"""The stand-in's classes in the order of their labels here: name to label in Fashion-MNIST."""
RATIO: Final = (8, 4, 2, 1)
"""How often the stand-in's classes occur, in every split."""

_HELD_OUT: Final = 8
"""One image in so many of each class is for validation, and as many for the test."""
_SHOWN: Final = 20

Images = dict[str, NDArray[np.uint8]]
"""x_train, y_train, x_val, y_val, x_test, y_test; images (count, side, side, 3) and labels (count,), all uint8."""


@dataclass(frozen=True, slots=True)
class StandIn:
    """Sizes of the stand-in.

    Args:
        train: Training images of the rarest class; the others have 2, 4 and 8 times as many.
        held_out: The same for validation, and for the test.
        side: Height and width in pixels.
        subset: Whether to take them from the embedded subset of Fashion-MNIST.
    """

    train: int
    held_out: int
    side: int
    subset: bool

    @property
    def counts(self) -> dict[str, int]:
        """Images in each split."""
        counts = {"train": self.train, "val": self.held_out, "test": self.held_out}
        return {split: sum(RATIO) * count for split, count in counts.items()}


def load_stand_in(sizes: StandIn) -> Images:
    """Return four look-alike classes of Fashion-MNIST, imbalanced 8 : 4 : 2 : 1, as RGB images.

    Training and validation images of a class are its first ones of the original training set (validation
    after training), test images its first ones of the original test set; a split keeps the original order.
    The 28 × 28 grey images are resized with Pillow's bilinear filter, and the three channels are equal.

    Raises:
        DataError: Fashion-MNIST was not found; see `load_full`.
    """
    arrays = load_small("fashion_mnist") if sizes.subset else load_full("fashion_mnist")
    chosen: dict[str, list[NDArray[np.intp]]] = {"train": [], "val": [], "test": []}
    for share, original in zip(RATIO, CLOTHES.values(), strict=True):
        train, held_out = share * sizes.train, share * sizes.held_out
        places = np.flatnonzero(arrays["y_train"] == original)
        chosen["train"].append(places[:train])
        chosen["val"].append(places[train : train + held_out])
        chosen["test"].append(np.flatnonzero(arrays["y_test"] == original)[:held_out])
    labels = np.zeros(256, np.uint8)
    labels[list(CLOTHES.values())] = range(CLASSES)
    out: Images = {}
    for split, parts in chosen.items():
        order = np.sort(np.concatenate(parts))
        part = "test" if split == "test" else "train"
        out[f"x_{split}"] = _coloured(arrays[f"x_{part}"][order], sizes.side)
        out[f"y_{split}"] = labels[arrays[f"y_{part}"][order]]
    return out


def _coloured(images: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """Resize grey images and repeat them in three channels, shape (count, side, side, 3)."""
    from PIL import Image

    out = np.empty((len(images), side, side, 3), np.uint8)
    for place, image in enumerate(images):
        resized = Image.fromarray(image).resize((side, side), Image.Resampling.BILINEAR)
        out[place] = np.asarray(resized)[:, :, np.newaxis]
    return out


def load_folder(folder: Path | None = None) -> Images:
    """Return the images of a folder that holds one folder for each of the four classes.

    Labels 0 … 3 are the class folders in the order of their names. Of each class, one image in eight
    (rounded down) is for validation and as many for the test, chosen by the SHA-256 of ``class/file``: the
    smallest digests are the test's, the next the validation's, and the rest, in that order, is for
    training. So the split depends on names alone, and an image that is added moves few others. Names are
    taken in Unicode's composed form (NFC): file systems differ in how they spell an accent.

    Args:
        folder: Folder of class folders; by default ``figs`` in the data folder. Hidden files and folders in
            it are passed over, and so are files beside the class folders.

    Raises:
        DataError: There is no such folder, it has not four classes, a class has fewer than eight images,
            two names differ in their spelling alone, or an image cannot be read or is not 100 × 100 RGB.
            The message names every one of them by path.
    """
    folder = _default_folder() if folder is None else folder
    if not folder.is_dir():
        raise DataError(f"the folder of fig images {folder} does not exist; {_EXPECTED}")
    classes = sorted((path for path in _visible(folder) if path.is_dir()), key=lambda path: _name(path.name))
    faults = _spelt_alike(classes)
    if len(classes) != CLASSES:
        found = ", ".join(path.name for path in classes) or "none"
        faults.append(f"{folder}: expected {CLASSES} class folders, found {len(classes)}: {found}")
    splits: dict[str, list[tuple[NDArray[np.uint8], int]]] = {"test": [], "val": [], "train": []}
    for label, place in enumerate(classes):
        files = sorted(_visible(place), key=_digest)
        faults += _spelt_alike(files)
        held_out = len(files) // _HELD_OUT
        if not held_out:
            count = f"only {len(files)}" if files else "no"
            faults.append(f"{place}: {count} images, expected at least {_HELD_OUT}")
        for position, path in enumerate(files):
            split = ("test", "val", "train")[min(position // max(held_out, 1), 2)]
            image = _read(path)
            if isinstance(image, str):
                faults.append(f"{path}: {image}")
            elif not faults:
                splits[split].append((image, label))
    if faults:
        shown = [f"  - {fault}" for fault in faults[:_SHOWN]]
        if len(faults) > _SHOWN:
            shown.append(f"  … and {len(faults) - _SHOWN} more")
        raise DataError("\n".join([f"the fig images in {folder} cannot be used:", *shown, _EXPECTED]))
    out: Images = {}
    for split in ("train", "val", "test"):
        out[f"x_{split}"] = np.stack([image for image, _ in splits[split]])
        out[f"y_{split}"] = np.array([label for _, label in splits[split]], np.uint8)
    return out


_EXPECTED: Final = (
    f"expected is a folder {FOLDER!r} inside the data folder ({ENVIRONMENT}) with {CLASSES} class folders of "
    f"{SIDE} × {SIDE} RGB images; `images: stand_in` needs none"
)


def _default_folder() -> Path:
    folder = data_folder()
    if folder is None:
        raise DataError(f"no data folder is named ({ENVIRONMENT} is not set); {_EXPECTED}")
    return folder / FOLDER


def _visible(folder: Path) -> Iterator[Path]:
    return (path for path in folder.iterdir() if not path.name.startswith("."))


def _digest(path: Path) -> str:
    return hashlib.sha256(
        _name(f"{path.parent.name}/{path.name}").encode(errors="surrogateescape")
    ).hexdigest()


def _name(text: str) -> str:
    """Return a name as it is compared: one spelling for what reads the same."""
    return unicodedata.normalize("NFC", text)


def _spelt_alike(paths: Sequence[Path]) -> list[str]:
    """Say which names read the same: no order among them could be told from the names."""
    names = Counter(_name(path.name) for path in paths)
    return [
        f"{path}: {names[_name(path.name)]} names here differ only in how Unicode spells an accent; rename them"
        for path in paths
        if names[_name(path.name)] > 1
    ]


def _read(path: Path) -> NDArray[np.uint8] | str:
    """Return an image, shape (SIDE, SIDE, 3), or what is wrong with it."""
    from PIL import Image

    try:
        with Image.open(path) as image:
            if image.size != (SIDE, SIDE):
                return f"is {image.width} × {image.height} pixels, expected {SIDE} × {SIDE}"
            if image.mode != "RGB":
                return f"has the colour mode {image.mode}, expected RGB"
            return np.array(image)
    except Exception as error:  # noqa: BLE001 - a decoder may raise anything; the caller reports all of them
        return f"cannot be read as an image ({type(error).__name__}: {error})"
