"""Augmentation against Keras's ``ImageDataGenerator``, and its draws."""

from __future__ import annotations

import numpy as np
import pytest

from tasks.engine import arrays, process
from tasks.engine.augmentation import Augmentation, affine, transforms

pytestmark = pytest.mark.tensorflow

SIDE = 20
REPORT = Augmentation(29.78, 0.1, 0.4, 0.4, 0.1)
NEUTRAL = {"theta": 0.0, "tx": 0.0, "ty": 0.0, "shear": 0.0, "zx": 1.0, "zy": 1.0}


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).uniform(0, 255, (6, SIDE, SIDE, 3)).astype(np.float32)


def moved(images, **parameters):
    """Apply the same change to all images."""
    process.configure_threads(1)
    chosen = {k: np.full(len(images), v) for k, v in {**NEUTRAL, **parameters}.items()}
    return np.asarray(arrays.augmented(images, affine(**chosen, side=images.shape[1])))


def test_identity_leaves_images_as_they_are(images):
    assert np.array_equal(moved(images), images)


def test_a_shift_by_whole_pixels(images):
    assert np.allclose(moved(images, tx=3)[:, :, :-3], images[:, :, 3:], atol=1e-3)
    assert np.allclose(moved(images, ty=2)[:, :-2], images[:, 2:], atol=1e-3)
    assert np.allclose(moved(images, ty=2)[:, -2:], images[:, -1:], atol=1e-3), "not filled with the edge"


def test_a_quarter_turn(images):
    assert np.allclose(moved(images, theta=90), np.rot90(images, axes=(1, 2)), atol=1e-2), "not anticlockwise"
    assert np.allclose(moved(images, theta=180), images[:, ::-1, ::-1], atol=1e-2)


def test_a_zoom_keeps_the_centre():
    images = np.zeros((1, SIDE, SIDE, 3), np.float32)
    images[:, 8:12, 8:12] = 1  # a square of four pixels
    assert moved(images, zx=0.5, zy=0.5)[0, 7:13, 7:13].min() > 0.9
    assert moved(images, zx=0.5)[0, 7, 10, 0] == 0, "zx changed the height"


@pytest.mark.parametrize("side", [SIDE, 21])
def test_agrees_with_keras(side):
    from keras.src.legacy.preprocessing.image import ImageDataGenerator

    images = np.random.default_rng(1).uniform(0, 255, (40, side, side, 3)).astype(np.float32)
    keras = ImageDataGenerator(
        rotation_range=30, width_shift_range=0.1, height_shift_range=0.4, shear_range=20, zoom_range=0.3
    )
    drawn = [keras.get_random_transform((side, side, 3), seed=place) for place in range(len(images))]
    expected = [keras.apply_transform(image, how) for image, how in zip(images, drawn, strict=True)]
    parameters = {name: np.array([how[name] for how in drawn]) for name in NEUTRAL}
    found = np.asarray(arrays.augmented(images, affine(**parameters, side=side)))
    assert np.abs(found - np.stack(expected)).max() < 0.02  # of 255


@pytest.mark.parametrize(
    ("setting", "parameter", "reach"),
    [
        ("rotation_range", "theta", 1),
        ("width_shift_range", "ty", SIDE),
        ("height_shift_range", "tx", SIDE),
        ("shear_range", "shear", 1),
    ],
)
def test_ranges_are_kerass(setting, parameter, reach):
    """What Keras draws with one range alone, and how it is spread, against what is drawn here."""
    from keras.src.legacy.preprocessing.image import ImageDataGenerator

    keras = ImageDataGenerator(**{setting: 0.4})
    drawn = np.array([keras.get_random_transform((SIDE, SIDE, 3), seed=s)[parameter] for s in range(400)])
    assert 0.35 * reach < np.abs(drawn).max() <= 0.4 * reach
    rows = transforms(Augmentation(**{setting: 0.4}), seed=1, epoch=1, count=400, side=SIDE)
    grid = {name: np.full(401, value) for name, value in NEUTRAL.items()}
    grid[parameter] = np.linspace(-0.4, 0.4, 401) * reach
    possible = affine(**grid, side=SIDE)
    low, high = possible.min(0), possible.max(0)
    assert (rows >= low - 1e-4).all()
    assert (rows <= high + 1e-4).all()
    wide = high - low > 1e-3
    assert wide.any()
    assert ((rows.max(0) - rows.min(0))[wide] > 0.9 * (high - low)[wide]).all()


def test_zoom_factors_lie_around_one():
    rows = transforms(Augmentation(zoom_range=0.3), seed=1, epoch=1, count=500, side=SIDE)
    for factor in (rows[:, 0], rows[:, 4]):
        assert 0.7 <= factor.min() < 0.72
        assert 1.28 < factor.max() <= 1.3
    assert not np.allclose(rows[:, 0], rows[:, 4])


def test_draws_derive_from_seed_and_epoch():
    def draw(seed=1, epoch=1, count=30, how=REPORT):
        return transforms(how, seed=seed, epoch=epoch, count=count, side=SIDE)

    assert draw().shape == (30, 8)
    assert draw().dtype == np.float32
    assert np.array_equal(draw(), draw())
    assert not np.array_equal(draw(), draw(seed=2))
    assert not np.array_equal(draw(), draw(epoch=2))
    assert len(np.unique(draw(), axis=0)) == 30
    assert np.array_equal(draw(how=Augmentation()), np.tile(np.float32([1, 0, 0, 0, 1, 0, 0, 0]), (30, 1)))
    # the same draws whatever the ranges are: twice the range shifts twice as far
    once, twice = (draw(how=Augmentation(width_shift_range=r))[:, 5] for r in (0.1, 0.2))
    assert np.allclose(2 * once, twice, atol=1e-5)
