"""Libraries that a user's own code trains with, on a GPU: their share of it, and that they repeat themselves."""

from __future__ import annotations

import importlib
import os
from collections.abc import Mapping

from tasks.engine.memory import memory_errors_told
from tasks.engine.process import GPU_USABLE, configure_threads, device

CUBLAS_WORKSPACE = ":4096:8"
"""The larger of the two workspaces with which cuBLAS repeats itself, as NVIDIA documents them."""


def prepare(libraries: Mapping[str, str], threads: int, gpu_share: float = 1.0) -> str:
    """Set up the libraries that a task imports, and return what they train on.

    Args:
        libraries: Module to distribution.
        threads: Threads that TensorFlow is given; the others have been told.
        gpu_share: Part of each visible GPU's memory that may be used, up to 1.

    Returns:
        ``"cpu"``, or the name of the first GPU; of several libraries, that of the first of TensorFlow, PyTorch and JAX.

    Raises:
        MemoryError: A GPU has no room for what each process needs on it.
    """
    devices = []
    with memory_errors_told():
        if {"tensorflow", "keras"} & set(libraries):
            configure_threads(threads, gpu_share)
            devices.append(device())
        if "torch" in libraries:
            devices.append(_torch(gpu_share))
        if "jax" in libraries:
            devices.append(_jax(gpu_share))
    return devices[0] if devices else "cpu"


def _torch(gpu_share: float) -> str:
    """Hold PyTorch to reproducible kernels, where it sees a GPU: one that has none says so; and to its share."""
    torch = importlib.import_module("torch")
    if not torch.cuda.is_available():
        return "cpu"
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", CUBLAS_WORKSPACE)  # read with the first matrix product
    torch.use_deterministic_algorithms(True)
    torch.backends.cudnn.benchmark = False  # or the fastest kernel of the moment would be taken
    if gpu_share < 1:
        for number in range(torch.cuda.device_count()):
            torch.cuda.set_per_process_memory_fraction(gpu_share * GPU_USABLE, number)
    return str(torch.cuda.get_device_name(0))


def _jax(gpu_share: float) -> str:
    """Hold JAX to its share, or let it take what it needs as it needs it; it would take three quarters at once."""
    if gpu_share < 1:
        os.environ.setdefault("XLA_PYTHON_CLIENT_MEM_FRACTION", f"{gpu_share * GPU_USABLE:.3f}")
    else:
        os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    first = importlib.import_module("jax").devices()[0]
    return "cpu" if first.platform == "cpu" else str(first.device_kind)
