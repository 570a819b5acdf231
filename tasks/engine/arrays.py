"""Data as tensors, converted once for as long as they are used; how a process keeps what was used last."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Final, TypeVar

from numpy.typing import NDArray

from harness.phases import phase
from tasks.engine.process import libraries

K = TypeVar("K")
V = TypeVar("V")

ARRAYS_KEPT: Final = 32
"""Arrays of data a process keeps converted, those used last."""


def resident(array: NDArray[Any], dtype: Any = None) -> Any:
    """Return an array as a tensor, converted once for as long as it is among those used last."""
    tf, _ = libraries()

    def converted() -> tuple[NDArray[Any], Any]:
        with phase("convert data"):  # the entry holds the array, so that no other can have its identity
            return array, tf.constant(array if dtype is None else array.astype(dtype))

    return kept(_tensors, id(array), converted, ARRAYS_KEPT)[1]


def kept(cache: OrderedDict[K, V], key: K, make: Callable[[], V], most: int) -> V:
    """Return what a cache has under a key, made when it has nothing, and leave in it what was used last.

    Args:
        cache: Its entries, those used last at the end.
        key: Of the entry.
        make: Makes it.
        most: Entries to leave.
    """
    if key not in cache:
        cache[key] = make()
    cache.move_to_end(key)
    while len(cache) > most:
        cache.popitem(last=False)
    return cache[key]


_tensors: OrderedDict[int, tuple[NDArray[Any], Any]] = OrderedDict()


def scaled(tf: Any, x: Any) -> Any:
    """Return pixels between 0 and 1, and anything else as it is."""
    if x.dtype != tf.uint8:
        return x
    # By a constant, TensorFlow would multiply by its rounded inverse, and half the pixels would be others.
    return tf.cast(x, tf.float32) / tf.raw_ops.PlaceholderWithDefault(input=255.0, shape=[])


def augmented(images: Any, transforms: Any) -> Any:
    """Return images changed by affine maps; what lies outside an image is filled with its nearest pixel.

    Args:
        images: float32 (count, height, width, channels).
        transforms: float32 (count, 8): see `tasks.engine.augmentation.affine`.
    """
    tf, _ = libraries()
    return tf.raw_ops.ImageProjectiveTransformV3(
        images=images,
        transforms=transforms,
        output_shape=tf.shape(images)[1:3],
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode="NEAREST",
    )
