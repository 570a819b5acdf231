"""What libraries raise where a device has no memory left; it is a failed evaluation then, and not a bug of the task."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from harness.errors import said

_SAID: Final = re.compile(
    r"\b(CUDA|HIP|GPU)\b[^\n]*out of memory|CUDA_ERROR_OUT_OF_MEMORY|cudaErrorMemoryAllocation|"
    r"CU(BLAS|DNN)_STATUS_ALLOC_FAILED|Dst tensor is not initialized",
    re.IGNORECASE,
)
"""Where an error has no kind of its own: contexts and handles that find no room, and TensorFlow's copies to a GPU."""


@contextmanager
def memory_errors_told() -> Iterator[None]:
    """Raise `MemoryError` inside this context where a library says in its own way that a device has no memory left."""
    try:
        yield
    except Exception as error:
        if isinstance(error, MemoryError) or not out_of_memory(error):
            raise
        raise MemoryError(str(error)) from error


def out_of_memory(error: Exception) -> bool:
    """Whether an error means that host or device ran out of memory."""
    torch, tf = sys.modules.get("torch"), sys.modules.get("tensorflow")
    kinds: tuple[type[Exception], ...] = (MemoryError,)
    if torch is not None:
        kinds = (*kinds, torch.OutOfMemoryError)
    if tf is not None:
        kinds = (*kinds, tf.errors.ResourceExhaustedError)
    if isinstance(error, kinds):
        return True
    # JAX has one kind of error for all that its compiled programs meet.
    if type(error).__name__ in ("JaxRuntimeError", "XlaRuntimeError") and "RESOURCE_EXHAUSTED" in said(error):
        return True
    return _SAID.search(said(error)) is not None
