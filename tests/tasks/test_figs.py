"""The fig images: a folder of class folders and everything that can be wrong with it, and the stand-in."""

from __future__ import annotations

import unicodedata

import numpy as np
import pytest
from PIL import Image

from harness.errors import DataError
from harness.task import data_digest
from tasks import datasets, figs
from tasks.datasets import load_small
from tasks.figs import StandIn, load_folder, load_stand_in

CLASSES = ("fresh", "overripe", "ripe", "unripe")
COUNTS = (17, 8, 9, 24)


def save(path, value, size=(100, 100), mode="RGB"):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, value if mode == "RGB" else None).save(path)


@pytest.fixture
def folder(tmp_path):
    """Four classes; an image's first two channels tell its class and its number."""
    for label, (name, count) in enumerate(zip(CLASSES, COUNTS, strict=True)):
        for number in range(count):
            save(tmp_path / "figs" / name / f"{number:03}.png", (label, number, 255))
    (tmp_path / "figs" / "README.txt").write_text("beside the class folders")
    (tmp_path / "figs" / "ripe" / ".hidden").write_text("no image")
    return tmp_path / "figs"


def members(images, split):
    """What a split holds: (class, number) of every image."""
    return [(int(x[0, 0, 0]), int(x[0, 0, 1])) for x in images[f"x_{split}"]]


def test_split_is_stratified_complete_and_without_overlap(folder):
    images = load_folder(folder)
    parts = {split: members(images, split) for split in ("train", "val", "test")}
    for split, part in parts.items():
        assert images[f"x_{split}"].shape == (len(part), 100, 100, 3)
        assert images[f"x_{split}"].dtype == images[f"y_{split}"].dtype == np.uint8
        assert [label for label, _ in part] == images[f"y_{split}"].tolist()
    held_out = [2, 1, 1, 3]  # an eighth of 17, 8, 9 and 24, rounded down
    for split in ("val", "test"):
        assert np.bincount(images[f"y_{split}"]).tolist() == held_out
    everything = [item for part in parts.values() for item in part]
    assert sorted(everything) == [(label, n) for label, count in enumerate(COUNTS) for n in range(count)]


def test_split_depends_on_names_alone(folder, tmp_path):
    before = load_folder(folder)
    assert data_digest(load_folder(folder)) == data_digest(before)
    moved = tmp_path / "elsewhere"
    folder.rename(moved)
    assert data_digest(load_folder(moved)) == data_digest(before)
    save(moved / "ripe" / "new.png", (2, 200, 255))  # one more image moves at most one other out of a split
    after = load_folder(moved)
    for split in ("val", "test"):
        assert len(set(members(before, split)) - set(members(after, split))) <= 1


def test_the_folder_lies_in_the_data_folder(folder, monkeypatch):
    monkeypatch.setenv(datasets.ENVIRONMENT, str(folder.parent))
    assert data_digest(load_folder()) == data_digest(load_folder(folder))
    monkeypatch.delenv(datasets.ENVIRONMENT)
    with pytest.raises(DataError, match=r"DERBY_DATA is not set.*class folders.*images: stand_in"):
        load_folder()


def test_everything_wrong_is_named_at_once_by_path(folder):
    (folder / "ripe" / "broken.png").write_bytes(b"not an image")
    whole = (folder / "unripe" / "001.png").read_bytes()
    (folder / "unripe" / "001.png").write_bytes(whole[: len(whole) // 2])
    save(folder / "unripe" / "small.png", (3, 1, 255), size=(64, 100))
    save(folder / "unripe" / "grey.png", 0, mode="L")
    for path in (folder / "fresh").iterdir():
        path.unlink()
    (folder / "overripe" / "000.png").unlink()
    (folder / "rotten").mkdir()
    with pytest.raises(DataError) as caught:
        load_folder(folder)
    message = str(caught.value)
    for part in (
        "expected 4 class folders, found 5: fresh, overripe, ripe, rotten, unripe",
        f"{folder / 'fresh'}: no images, expected at least 8",
        f"{folder / 'rotten'}: no images",
        f"{folder / 'overripe'}: only 7 images, expected at least 8",
        f"{folder / 'ripe' / 'broken.png'}: cannot be read as an image",
        f"{folder / 'unripe' / '001.png'}: cannot be read as an image",
        f"{folder / 'unripe' / 'small.png'}: is 64 × 100 pixels, expected 100 × 100",
        f"{folder / 'unripe' / 'grey.png'}: has the colour mode L, expected RGB",
    ):
        assert part in message, part


def test_many_faults_are_counted(folder):
    for number in range(30):
        (folder / "ripe" / f"broken{number}.png").write_bytes(b"")
    with pytest.raises(DataError, match=r"… and 10 more"):
        load_folder(folder)


def test_too_few_classes_and_no_folder(folder):
    (folder / "ripe").rename(folder.parent / "ripe")
    with pytest.raises(DataError, match="expected 4 class folders, found 3: fresh, overripe, unripe"):
        load_folder(folder)
    with pytest.raises(DataError, match="nowhere does not exist"):
        load_folder(folder / "nowhere")


def test_stand_in_is_imbalanced_and_made_of_the_right_images():
    sizes = StandIn(train=40, held_out=10, side=28, subset=True)
    images, original = load_stand_in(sizes), load_small("fashion_mnist")
    assert sizes.counts == {"train": 600, "val": 150, "test": 150}
    assert np.bincount(images["y_train"]).tolist() == [320, 160, 80, 40]
    assert np.bincount(images["y_val"]).tolist() == np.bincount(images["y_test"]).tolist() == [80, 40, 20, 10]
    for label, cloth in enumerate((2, 4, 6, 3)):  # pullover, coat, shirt, dress
        pool = original["x_train"][original["y_train"] == cloth]
        train, val = (images[f"x_{split}"][images[f"y_{split}"] == label] for split in ("train", "val"))
        assert np.array_equal(np.concatenate([train, val])[..., 0], pool[: len(train) + len(val)])
        test = images["x_test"][images["y_test"] == label]
        assert np.array_equal(test[..., 2], original["x_test"][original["y_test"] == cloth][: len(test)])


def test_stand_in_is_resized_and_mixed():
    images = load_stand_in(StandIn(train=4, held_out=2, side=100, subset=True))
    assert images["x_train"].shape == (60, 100, 100, 3)
    assert len(set(images["y_train"][:15])) > 1, "the classes follow one another in blocks"
    small = load_stand_in(StandIn(train=4, held_out=2, side=28, subset=True))
    assert np.array_equal(small["y_train"], images["y_train"])
    shrunk = [
        np.asarray(Image.fromarray(x).resize((28, 28), Image.Resampling.BOX)) for x in images["x_train"]
    ]
    assert np.abs(np.stack(shrunk).astype(int) - small["x_train"]).mean() < 10


def test_full_stand_in_needs_the_full_data(monkeypatch):
    monkeypatch.setattr(figs, "load_full", lambda name: pytest.fail(name, pytrace=False))
    with pytest.raises(pytest.fail.Exception, match="fashion_mnist"):
        load_stand_in(StandIn(train=300, held_out=50, side=100, subset=False))


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_neither_labels_nor_splits_depend_on_how_a_file_system_spells_a_name(tmp_path, form):
    # Composed, é comes after z; decomposed, before it.
    for label, name in enumerate(["a", "ez", "és", "z"]):
        for number in range(9):
            path = (
                tmp_path / unicodedata.normalize(form, name) / unicodedata.normalize(form, f"é{number}.png")
            )
            save(path, (label, number, 255))
    loaded = load_folder(tmp_path)
    assert data_digest(loaded) == "b6b3a7617bfaca21"


def test_names_that_differ_in_their_spelling_alone_are_refused(folder):
    for form in ("NFC", "NFD"):
        save(folder / "ripe" / unicodedata.normalize(form, "é.png"), (2, 0, 255))
    with pytest.raises(
        DataError, match=r"ripe/é\.png: 2 names here differ only in how Unicode spells an accent"
    ):
        load_folder(folder)
