"""Random affine changes of training images, with the meaning of Keras's ``ImageDataGenerator``."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from harness.keys import derive_seed


@dataclass(frozen=True, slots=True)
class Augmentation:
    """How far each training image may be moved, anew in each epoch; 0 leaves it as it is.

    Names and meaning are those of Keras's ``ImageDataGenerator``, and so is the filling of what lies
    outside the image (with its nearest pixel) and the interpolation (bilinear). Two things surprise there,
    and are kept because a setting found with Keras means them: the shear is an angle in *degrees*, so that
    0.4 is hardly anything; and the height shift moves an image *sideways*, the width shift up or down
    (keras-preprocessing, issue 348).

    Args:
        rotation_range: Degrees; the angle is uniform in ± this.
        width_shift_range: Fraction of the width, below 1; uniform in ± this.
        height_shift_range: Fraction of the height, below 1; uniform in ± this.
        shear_range: Degrees; the angle is uniform in ± this.
        zoom_range: Height and width are each scaled by their own factor, uniform in 1 ± this; below 1.
    """

    rotation_range: float = 0.0
    width_shift_range: float = 0.0
    height_shift_range: float = 0.0
    shear_range: float = 0.0
    zoom_range: float = 0.0


def transforms(
    augmentation: Augmentation, *, seed: int, epoch: int, count: int, side: int
) -> NDArray[np.float32]:
    """Draw the changes of an epoch's images from the seed and the epoch's number.

    An image meets the same draws whatever the ranges are: only how far they reach differs.

    Args:
        augmentation: The ranges.
        seed: Training seed.
        epoch: The epoch's number, from 1.
        count: Images that the epoch visits.
        side: Height and width of an image in pixels.

    Returns:
        One row for each image in the order of the visits, (count, 8): see `affine`.
    """
    rng = np.random.default_rng(derive_seed(seed, "augmentation", epoch))
    angle, down, right, shear, zoom_x, zoom_y = rng.uniform(-1, 1, (count, 6)).T
    return affine(
        theta=augmentation.rotation_range * angle,
        tx=augmentation.height_shift_range * side * down,
        ty=augmentation.width_shift_range * side * right,
        shear=augmentation.shear_range * shear,
        zx=1 + augmentation.zoom_range * zoom_x,
        zy=1 + augmentation.zoom_range * zoom_y,
        side=side,
    )


def affine(
    *,
    theta: NDArray[np.float64],
    tx: NDArray[np.float64],
    ty: NDArray[np.float64],
    shear: NDArray[np.float64],
    zx: NDArray[np.float64],
    zy: NDArray[np.float64],
    side: int,
) -> NDArray[np.float32]:
    """Return the affine maps that Keras's ``apply_affine_transform`` makes of its parameters.

    Where a pixel (x, y), column and row, of the new image is taken from in the old one: the pixel's place
    relative to the image's centre is scaled by (zx, zy), sheared, shifted by (tx, ty), then rotated by theta.

    Args:
        theta: Angles in degrees, (count,).
        tx: Shifts in x, in pixels, (count,).
        ty: Shifts in y, in pixels, (count,).
        shear: Angles in degrees, (count,).
        zx: Factors in x, (count,).
        zy: Factors in y, (count,).
        side: Height and width of the images in pixels.

    Returns:
        (count, 8): a row a is the map of (x, y) to (a₀x + a₁y + a₂, a₃x + a₄y + a₅); a₆ and a₇ are 0. It is what
        TensorFlow calls a projective transform.
    """
    theta, shear = np.deg2rad(theta), np.deg2rad(shear)
    cos, sin = np.cos(theta), np.sin(theta)
    # rotation · shift · shear · zoom, each a 3 × 3 matrix whose last row is (0, 0, 1)
    a = np.zeros((len(theta), 8))
    a[:, 0], a[:, 1] = cos * zx, -(cos * np.sin(shear) + sin * np.cos(shear)) * zy
    a[:, 3], a[:, 4] = sin * zx, (cos * np.cos(shear) - sin * np.sin(shear)) * zy
    centre = side / 2 - 0.5
    a[:, 2] = cos * tx - sin * ty + centre * (1 - a[:, 0] - a[:, 1])
    a[:, 5] = sin * tx + cos * ty + centre * (1 - a[:, 3] - a[:, 4])
    return a.astype(np.float32)
