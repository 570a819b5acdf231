"""Finding, verifying and refusing the data sets."""

from __future__ import annotations

import dataclasses
import gzip
import hashlib
import importlib.util
import os
from pathlib import Path

import numpy as np
import pytest

from harness.errors import DataError, UnknownNameError
from harness.task import data_digest
from tasks import datasets, downloads

NAMES = ("mnist", "fashion_mnist")
REAL = os.environ.get(datasets.ENVIRONMENT)


@pytest.fixture(autouse=True)
def nowhere(tmp_path, monkeypatch):
    """No data set lies anywhere and there is no network."""

    def download(name):
        raise OSError("no route to host")

    monkeypatch.delenv(datasets.ENVIRONMENT, raising=False)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.setattr(datasets, "DEBIAN_FOLDER", tmp_path / "debian")
    monkeypatch.setattr(downloads, "download", download)


@pytest.fixture
def pretend(monkeypatch):
    """Let the embedded subsets pass for the full sets, and return them."""
    for name, source in datasets._SOURCES.items():
        monkeypatch.setitem(datasets._SOURCES, name, dataclasses.replace(source, full=source.small))
    return {name: datasets.load_small(name) for name in NAMES}


def write_npz(path, arrays):
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, **arrays)


def write_idx(folder, arrays):
    folder.mkdir(parents=True, exist_ok=True)
    for key, file in datasets._IDX_FILES.items():
        array = arrays[key]
        header = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">i4").tobytes()
        (folder / file).write_bytes(gzip.compress(header + array.tobytes(), compresslevel=1))


@pytest.mark.parametrize("name", NAMES)
def test_embedded_subset_is_balanced(name):
    arrays = datasets.load_small(name)
    assert arrays["x_train"].shape == (6000, 28, 28)
    assert arrays["x_test"].shape == (1000, 28, 28)
    assert all(array.dtype == np.uint8 for array in arrays.values())
    assert np.bincount(arrays["y_train"]).tolist() == [600] * 10
    assert np.bincount(arrays["y_test"]).tolist() == [100] * 10
    # shuffled: the head of the file is balanced well enough for the tiny variants
    assert np.bincount(arrays["y_train"][:600], minlength=10).min() > 30


def test_damaged_subset_is_refused(monkeypatch):
    source = dataclasses.replace(datasets._SOURCES["mnist"], small="0" * 16)
    monkeypatch.setitem(datasets._SOURCES, "mnist", source)
    with pytest.raises(DataError, match=r"mnist_small\.npz is not the expected one"):
        datasets.load_small("mnist")


def test_unknown_name():
    with pytest.raises(UnknownNameError, match="did you mean 'mnist'"):
        datasets.load_full("mnis")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("how", ["argument", "environment"])
def test_data_folder(name, how, tmp_path, monkeypatch, pretend):
    write_npz(tmp_path / f"{name}.npz", pretend[name])
    if how == "environment":
        monkeypatch.setenv(datasets.ENVIRONMENT, str(tmp_path))
    found = datasets.load_full(name, folder=tmp_path if how == "argument" else None)
    assert data_digest(found) == data_digest(pretend[name])


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("mnist", "folder/mnist"),
        ("fashion_mnist", "folder/fashion-mnist"),
        ("fashion_mnist", "keras/datasets/fashion-mnist"),
        ("fashion_mnist", "debian"),
    ],
)
def test_idx_files(name, place, tmp_path, pretend):
    write_idx(tmp_path / place, pretend[name])
    found = datasets.load_full(name, folder=tmp_path / "folder")
    assert data_digest(found) == data_digest(pretend[name])


def test_keras_cache_and_download(tmp_path, monkeypatch, pretend):
    monkeypatch.setattr(downloads, "download", lambda name: pretend[name])
    assert data_digest(datasets.load_full("mnist")) == data_digest(pretend["mnist"])
    write_npz(tmp_path / "keras/datasets/mnist.npz", pretend["mnist"])
    monkeypatch.setattr(downloads, "download", lambda name: pytest.fail("downloaded although cached"))
    assert data_digest(datasets.load_full("mnist")) == data_digest(pretend["mnist"])


def test_error_lists_everything_tried(tmp_path):
    with pytest.raises(DataError) as caught:
        datasets.load_full("fashion_mnist", folder=tmp_path)
    message = str(caught.value)
    for part in (
        f"{tmp_path / 'fashion_mnist.npz'}: no such file",
        str(tmp_path / "fashion-mnist"),
        str(tmp_path / "keras" / "datasets" / "fashion-mnist"),
        str(tmp_path / "debian"),
        "download by Keras: OSError: no route to host",
        "DERBY_DATA",
    ):
        assert part in message
    with pytest.raises(DataError, match=r"none is named \(DERBY_DATA is not set\)"):
        datasets.load_full("fashion_mnist")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"<html>not found</html>", "it is no NumPy archive (.npz)"),
        (b"", "it is no NumPy archive (.npz)"),
        (
            {"images": np.zeros(3, np.uint8)},
            "it lacks the arrays x_train, y_train, x_test, y_test, and has images",
        ),
        (None, "it is no NumPy archive (.npz), but a folder"),
    ],
)
def test_a_file_of_another_kind_is_told_without_a_librarys_words(content, words, tmp_path):
    path = tmp_path / "fashion_mnist.npz"
    if content is None:
        path.mkdir()
    elif isinstance(content, bytes):
        path.write_bytes(content)
    else:
        np.savez(path, **content)
    with pytest.warns(UserWarning, match="ignored data folder"), pytest.raises(DataError) as caught:
        datasets.load_full("fashion_mnist", folder=tmp_path)
    assert f"data folder {path}: {words}\n" in str(caught.value)
    assert "unsafe" not in str(caught.value)
    assert "--data or the environment variable DERBY_DATA" in str(caught.value)


def test_wrong_contents_are_named_and_passed_over(tmp_path, pretend):
    changed = dict(pretend["fashion_mnist"])
    changed["y_test"] = changed["y_test"][::-1].copy()
    write_npz(tmp_path / "fashion_mnist.npz", changed)
    expected = rf"fashion_mnist\.npz: not the Fashion-MNIST expected: digest {data_digest(changed)}"
    with pytest.warns(UserWarning, match=expected), pytest.raises(DataError, match=expected):
        datasets.load_full("fashion_mnist", folder=tmp_path)
    write_idx(tmp_path / "debian", pretend["fashion_mnist"])
    with pytest.warns(UserWarning, match=expected):
        found = datasets.load_full("fashion_mnist", folder=tmp_path)
    assert data_digest(found) == data_digest(pretend["fashion_mnist"])


def test_unreadable_files_are_reported_not_raised(tmp_path):
    (tmp_path / "mnist.npz").write_bytes(b"not a zip file")
    with (
        pytest.warns(UserWarning, match="ignored"),
        pytest.raises(DataError, match=r"mnist\.npz: it is no NumPy archive"),
    ):
        datasets.load_full("mnist", folder=tmp_path)


def test_pickles_are_never_loaded(tmp_path):
    np.savez(tmp_path / "mnist.npz", **dict.fromkeys(datasets._KEYS, np.array([print], dtype=object)))
    with pytest.warns(UserWarning), pytest.raises(DataError, match="allow_pickle"):
        datasets.load_full("mnist", folder=tmp_path)


def test_not_an_idx_file(tmp_path, pretend):
    write_idx(tmp_path / "debian", pretend["fashion_mnist"])
    (tmp_path / "debian" / "t10k-labels-idx1-ubyte.gz").write_bytes(gzip.compress(b"hello, world"))
    with pytest.warns(UserWarning), pytest.raises(DataError, match="not an IDX file of unsigned bytes"):
        datasets.load_full("fashion_mnist")


@pytest.mark.skipif(REAL is None, reason=f"{datasets.ENVIRONMENT} is not set")
@pytest.mark.parametrize("name", NAMES)
def test_real_data_and_the_subset_made_of_them(name):
    full = datasets.load_full(name, folder=REAL)
    if name == "mnist":  # published MD5 of the original IDX file
        header = bytes([0, 0, 8, 3]) + np.array(full["x_test"].shape, ">i4").tobytes()
        md5 = hashlib.md5(header + full["x_test"].tobytes()).hexdigest()
        assert md5 == "2646ac647ad5339dbf082846283269ea"
    path = Path(__file__).parents[2] / "tasks" / "data" / "build.py"
    spec = importlib.util.spec_from_file_location("build_small_data", path)
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    assert data_digest(tool.subset(full)) == data_digest(datasets.load_small(name))
