"""DenseNet against Keras's own, and where its weights come from."""

from __future__ import annotations

import h5py
import numpy as np
import pytest

from harness.errors import DataError
from tasks import datasets, downloads, imagenet
from tasks.engine import backbone, densenet, process
from tasks.engine.network import DenseNet

pytestmark = pytest.mark.tensorflow

TINY = (1, 1, 1, 1)


def named(model):
    """A Keras model's weights by name, as `as_vectors` takes them."""
    return {f"{layer.name}/{v.name}": np.array(v.numpy()) for layer in model.layers for v in layer.variables}


@pytest.fixture(scope="module")
def model():
    """Keras's DenseNet121 with weights that make every part matter."""
    process.configure_threads(1)
    import keras

    model = keras.applications.DenseNet121(
        include_top=False, weights=None, input_shape=(64, 64, 3), pooling="avg"
    )
    rng = np.random.default_rng(0)
    for layer in model.layers:
        for variable in layer.variables:
            shape = tuple(variable.shape)
            if variable.name == "kernel":
                value = rng.normal(0, np.sqrt(2 / np.prod(shape[:-1])), shape)
            else:
                value = rng.uniform(0.5, 1.5, shape)
            variable.assign(value.astype(np.float32))
    return model


@pytest.fixture(scope="module")
def vectors(model):
    return densenet.as_vectors(densenet.DENSENET121, named(model))


def test_layout_is_kerass(model):
    shapes = {name: array.shape for name, array in named(model).items()}
    ours = {
        f"{layer.name}/{weight}": layer.shape
        for layer in densenet.layers(densenet.DENSENET121)
        for weight in (
            ("kernel",) if len(layer.shape) > 1 else ("gamma", "beta", "moving_mean", "moving_variance")
        )
    }
    assert ours == shapes
    assert densenet.features(densenet.DENSENET121) == model.output_shape[-1] == 1024


def test_outputs_are_kerass(model, vectors):
    import keras

    pixels = np.random.default_rng(1).integers(0, 256, (5, 64, 64, 3), dtype=np.uint8)
    expected = model(keras.applications.densenet.preprocess_input(pixels.astype(np.float32)), training=False)
    found = backbone.features(DenseNet(), pixels, vectors)
    assert found.shape == (5, 1024)
    assert np.abs(found - expected.numpy()).max() < 1e-5 * np.abs(expected.numpy()).max()


@pytest.mark.parametrize("side", [32, 64, 99, 100])
def test_sides_are_kerass(side):
    process.configure_threads(1)
    from keras.src.applications.densenet import DenseNet as KerasDenseNet

    model = KerasDenseNet(list(TINY), include_top=False, weights=None, input_shape=(side, side, 3))
    for layer in densenet.layers(TINY):
        assert model.get_layer(layer.name).output.shape[1] == densenet.side_behind(side, layer.stride)


def test_features_are_computed_once_for_the_same_arrays(monkeypatch):
    process.configure_threads(1)
    weights = densenet.random_weights(TINY)
    pixels = np.random.default_rng(2).integers(0, 256, (7, 32, 32, 3), dtype=np.uint8)
    first = backbone.features(DenseNet(TINY), pixels, weights)
    assert backbone.features(DenseNet(TINY), pixels, weights) is first
    assert backbone.features(DenseNet(TINY), pixels.copy(), weights) is not first
    monkeypatch.setattr(backbone, "BACKBONE_AT_ONCE", 3)
    assert np.allclose(backbone.features(DenseNet(TINY), pixels.copy(), weights), first, atol=1e-5)
    assert np.isfinite(first).all()
    assert 0.1 < first.std() < 10


def test_random_weights_are_always_the_same():
    first, again = densenet.random_weights(TINY), densenet.random_weights(TINY)
    assert all(np.array_equal(first[name], again[name]) for name in ("backbone", "statistics"))
    assert not np.array_equal(
        first["backbone"], densenet.random_weights((1, 1, 1, 2))["backbone"][: len(first)]
    )


def test_flops_by_hand():
    # 32 × 32: the stem gives 16 × 16, pooling 8 × 8, then 4 × 4, 2 × 2 and 1 × 1
    stem = 7 * 7 * 3 * 64 * 16**2
    first = (64 * 128 + 9 * 128 * 32 + 96 * 48) * 8**2
    second = (48 * 128 + 9 * 128 * 32 + 80 * 40) * 4**2
    third = (40 * 128 + 9 * 128 * 32 + 72 * 36) * 2**2
    fourth = 36 * 128 + 9 * 128 * 32
    assert densenet.forward_flops(TINY, 32) == 2 * (stem + first + second + third + fourth)
    assert densenet.features(TINY) == 36 + 32
    # the 2.9 thousand million multiply-adds known of DenseNet121 at 224 × 224
    assert densenet.forward_flops(densenet.DENSENET121, 224) / 2 == pytest.approx(2.83e9, rel=0.01)


def test_a_wrong_shape_is_named(model):
    arrays = named(model)
    arrays["conv1_bn/beta"] = np.zeros(3)
    with pytest.raises(ValueError, match=r"conv1_bn/beta: expected shape \(64,\), found shape \(3,\)"):
        densenet.as_vectors(densenet.DENSENET121, arrays)
    del arrays["conv1_bn/beta"]
    with pytest.raises(ValueError, match="conv1_bn/beta: expected shape .*, found nothing"):
        densenet.as_vectors(densenet.DENSENET121, arrays)


def write(path, model):
    """Write a file like the published one: Keras's old format, layers of the stem called conv1/…."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        names = []
        for layer in model.layers:
            if layer.variables:
                name = (
                    layer.name.replace("conv1_", "conv1/", 1)
                    if layer.name.startswith("conv1_")
                    else layer.name
                )
                group, weights = file.create_group(name), []
                for variable in layer.variables:
                    weights.append(f"{name}/{variable.name}:0")
                    group[weights[-1]] = np.array(variable.numpy())
                group.attrs["weight_names"] = [weight.encode() for weight in weights]
                names.append(name)
        file.attrs["layer_names"] = [name.encode() for name in names]


@pytest.fixture
def nowhere(tmp_path, monkeypatch):
    """No weights lie anywhere and there is no network; any checksum is right."""

    def download(name, url, md5):
        raise OSError("no route to host")

    monkeypatch.delenv(datasets.ENVIRONMENT, raising=False)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.setattr(downloads, "download_file", download)
    return tmp_path


@pytest.fixture
def pretend(nowhere, monkeypatch):
    """Let any file pass for the published one."""

    class AnyMd5:
        def __init__(self, content, usedforsecurity):
            pass

        def hexdigest(self):
            return imagenet.MD5

    monkeypatch.setattr(imagenet.hashlib, "md5", AnyMd5)
    return nowhere


@pytest.mark.parametrize("place", ["folder", "keras/models"])
def test_weights_are_found(place, pretend, monkeypatch, model, vectors):
    write(pretend / place / imagenet.FILE, model)
    monkeypatch.setenv(datasets.ENVIRONMENT, str(pretend / "folder"))
    found = imagenet.imagenet_weights()
    assert {name: array.dtype for name, array in found.items()} == dict.fromkeys(vectors, np.float32)
    assert all(np.array_equal(found[name], vectors[name]) for name in vectors)


def test_kerass_own_writer_is_read(tmp_path, model, vectors):
    from keras.src.legacy.saving.legacy_h5_format import save_weights_to_hdf5_group

    with h5py.File(tmp_path / "w.h5", "w") as file:
        save_weights_to_hdf5_group(file, model)
    found = densenet.as_vectors(densenet.DENSENET121, imagenet.read_arrays(tmp_path / "w.h5"))
    assert all(np.array_equal(found[name], vectors[name]) for name in vectors)


def test_missing_weights_say_which_file_to_put_where(nowhere, monkeypatch):
    with pytest.raises(DataError, match=r"none is named \(DERBY_DATA is not set\)"):
        imagenet.imagenet_weights()
    monkeypatch.setenv(datasets.ENVIRONMENT, str(nowhere / "folder"))
    with pytest.raises(DataError) as caught:
        imagenet.imagenet_weights()
    message = str(caught.value)
    for part in (
        f"data folder {nowhere / 'folder' / imagenet.FILE}: no such file",
        f"Keras's cache {nowhere / 'keras' / 'models' / imagenet.FILE}: no such file",
        "download by Keras: OSError: no route to host",
        f"Put {imagenet.FILE} (from https://storage.googleapis.com/",
        "DERBY_DATA",
        "backbone_weights: none",
    ):
        assert part in message, part


def test_another_file_is_refused_and_named(nowhere, monkeypatch):
    path = nowhere / "folder" / imagenet.FILE
    path.parent.mkdir()
    path.write_bytes(b"something else")
    monkeypatch.setenv(datasets.ENVIRONMENT, str(path.parent))
    expected = rf"{imagenet.FILE}: not the file expected: MD5 \w+, expected {imagenet.MD5}"
    with pytest.warns(UserWarning, match=expected), pytest.raises(DataError, match=expected):
        imagenet.imagenet_weights()
