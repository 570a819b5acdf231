"""TensorFlow in this process: its threads, its share of a GPU, its reproducibility; the one place that imports it."""

from __future__ import annotations

import contextlib
import importlib
import os
import re
import subprocess
import tempfile
from collections.abc import Iterator
from typing import Any, Final

from harness.errors import DerbyError
from harness.plurals import plural

LIBRARIES: Final = {"keras": "keras", "tensorflow": "tensorflow"}
"""Module to distribution of what is imported here."""

GPU_USABLE = 0.92
"""Part of a GPU's memory that shares are cut from; every process on it also needs a context outside its share."""

_threads: int | None = None
_CHATTER: Final = re.compile(
    rb"[IW]\d{4} |WARNING: All log messages before absl::InitializeLog|E\d{4} .*\] NodeDef mentions attribute"
)


def configure_threads(n: int, gpu_share: float = 1.0) -> None:
    """Give TensorFlow ``n`` threads in this process, and make what it computes reproducible.

    Of a GPU it takes what it needs as it needs it, or where it has a share only, that part of the memory at once,
    so that evaluators on one device cannot take each other's.

    Must come before anything else in the process uses TensorFlow; the first use here calls it with 1 if nobody did.

    Args:
        n: Threads within an operation and between operations, at least 1.
        gpu_share: Part of each visible GPU's memory, up to 1.

    Raises:
        ValueError: ``n`` is below 1.
        RuntimeError: The process has another number already, or TensorFlow is in use already.
        DerbyError: ``KERAS_BACKEND`` names another backend than TensorFlow.
    """
    global _threads  # noqa: PLW0603 - TensorFlow's threads are a property of the process
    if n < 1:
        raise ValueError(f"threads must be at least 1, got {n}")
    if _threads == n:
        return
    if _threads is not None:
        raise RuntimeError(
            f"this process trains with {plural(_threads, 'thread')} and TensorFlow cannot change that, got {n}; "
            "start another process"
        )
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    backend = os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    if backend != "tensorflow":
        raise DerbyError(
            f"KERAS_BACKEND is {backend!r}, but the training engine needs 'tensorflow'; unset it"
        )
    with quiet():
        tf = importlib.import_module("tensorflow")
    try:
        tf.config.threading.set_intra_op_parallelism_threads(n)
        tf.config.threading.set_inter_op_parallelism_threads(n)
        for number, gpu in enumerate(tf.config.list_physical_devices("GPU")):
            if gpu_share < 1:
                limit = int(gpu_share * GPU_USABLE * gpu_memory()[number])
                tf.config.set_logical_device_configuration(
                    gpu, [tf.config.LogicalDeviceConfiguration(memory_limit=limit)]
                )
            else:
                tf.config.experimental.set_memory_growth(gpu, True)
    except RuntimeError as error:
        raise RuntimeError(
            f"TensorFlow is in use already and cannot be given {plural(n, 'thread')}: call configure_threads first "
            f"in the process; a task's own file uses TensorFlow inside its functions only ({error})"
        ) from error
    tf.config.experimental.enable_op_determinism()
    # A fused matrix product and ReLU makes 0 of NaN, so that a network that has diverged looks alive.
    tf.config.optimizer.set_experimental_options({"remapping": False})
    _threads = n


def gpu_memory() -> list[int]:
    """Return the memory of each GPU that this process may see, in MiB: TensorFlow itself does not tell.

    Raises:
        DerbyError: NVIDIA's own command does not answer.
    """
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    which = [f"--id={visible}"] if visible else []
    command = ["nvidia-smi", "--query-gpu=memory.total", "--format=csv,noheader,nounits", *which]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30)  # noqa: S603
        return [int(line) for line in answer.stdout.split()]
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        raise DerbyError(
            f"cannot find out how much memory the GPU has, of which a share was asked for: {error}; "
            "nvidia-smi must run on every machine whose GPUs are shared, or use --gpus-per-evaluator 1"
        ) from error


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Drop TensorFlow's log lines below errors from standard error, at the level of the file descriptor.

    Some are written while its shared libraries load, when ``TF_CPP_MIN_LOG_LEVEL`` is not yet heeded; and each data set
    that is made reproducible is called an error. All other text is passed on at the end.
    """
    try:
        original = os.dup(2)
    except OSError:  # the process has no standard error
        yield
        return
    with tempfile.TemporaryFile() as caught:
        os.dup2(caught.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(original, 2)
            caught.seek(0)
            for line in caught:
                if not _CHATTER.match(line):
                    os.write(original, line)
            os.close(original)


def device() -> str:
    """Return what this process trains on: ``"cpu"``, or the name of its first GPU."""
    tf, _ = libraries()
    gpus = tf.config.list_physical_devices("GPU")
    return str(tf.config.experimental.get_device_details(gpus[0])["device_name"]) if gpus else "cpu"


def libraries() -> tuple[Any, Any]:
    """Import TensorFlow and Keras, configured."""
    if _threads is None:
        configure_threads(1)
    return importlib.import_module("tensorflow"), importlib.import_module("keras")
