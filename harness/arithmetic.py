"""Which arithmetic a process computes with: one declared instruction set, set before any library loads.

Numerical libraries choose their code by the processor they find: another one sums in another order, and what is
last digits in a single product becomes another proposal or another accuracy within one study. Here a
process is held to a level that every processor of an architecture has had for years, so that the same
sweep gives the same numbers on all of them.

On x86-64 the level is x86-64-v3 (AVX2 and FMA; Intel since Haswell, 2013, AMD since Excavator, 2015). What each
variable is for:

* OpenBLAS, of which numpy and scipy each bring their own: the kernels of Haswell.
* numpy's own loops: nothing of AVX-512.
* TensorFlow: oneDNN's operations on all processors, instead of on those that have AVX512_VNNI only, without
  AVX-512. (Eigen's, which it uses otherwise, split their sums by the size of the processor's caches.)
* XLA, PyTorch, MKL, BLIS and Arrow: the same, where they are installed. MKL has no common code for
  AVX2 on processors of Intel and AMD, so that it is held to what all processors have.

glibc's functions (exp, log, …) choose by FMA, which the level has; they, Python and all libraries must be of the same
version for equal numbers.
"""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Iterable, Mapping
from enum import StrEnum
from importlib import import_module
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from harness.errors import ProcessorError


class Arithmetic(StrEnum):
    """What a sweep file can declare."""

    PORTABLE = "portable"
    """The level of the architecture, whatever more the processor has."""
    NATIVE = "native"
    """Whatever the libraries choose on the processor they find: quicker on some, repeatable on one kind only."""


ONE_THREAD: Final = MappingProxyType(
    dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
)
"""How every process begins: searchers run on one thread, an evaluation on the sweep's; see `harness.threads`."""

X86_64_V3: Final = MappingProxyType(
    {
        "OPENBLAS_CORETYPE": "Haswell",
        "NPY_DISABLE_CPU_FEATURES": "X86_V4 AVX512_ICL AVX512_SPR",
        "TF_ENABLE_ONEDNN_OPTS": "1",
        "ONEDNN_MAX_CPU_ISA": "AVX2",
        "ONEDNN_DEFAULT_FPMATH_MODE": "STRICT",
        "XLA_FLAGS": "--xla_cpu_max_isa=AVX2",
        "ATEN_CPU_CAPABILITY": "avx2",
        "MKL_CBWR": "COMPATIBLE",
        "BLIS_ARCH_TYPE": "haswell",
        "ARROW_USER_SIMD_LEVEL": "AVX2",
    }
)
AARCH64: Final = MappingProxyType(
    {
        "OPENBLAS_CORETYPE": "ARMV8",
        "TF_ENABLE_ONEDNN_OPTS": "0",
        "ONEDNN_DEFAULT_FPMATH_MODE": "STRICT",
        "ATEN_CPU_CAPABILITY": "default",
    }
)
LEVELS: Final[Mapping[str, Mapping[str, str]]] = MappingProxyType(
    {"x86_64": X86_64_V3, "AMD64": X86_64_V3, "aarch64": AARCH64}
)
"""What holds libraries to the level, by architecture as Python names it; none is known for others."""

QUICKER: Final = ("TF_ENABLE_ONEDNN_OPTS",)
"""What is not a matter of the instruction set and declared in any case: convolutions take half the time so."""

NAMES: Final = MappingProxyType({"x86_64": "x86-64-v3", "AMD64": "x86-64-v3", "aarch64": "armv8-a"})

DECLARED = "DERBY_ARITHMETIC"
"""The variable in which a process and its children find what was declared for them."""

FIRST = ("numpy", "scipy", "tensorflow", "torch", "pyarrow", "jax")
"""Modules that read the variables when they are loaded, or soon after, and never again."""


def variables(arithmetic: Arithmetic) -> dict[str, str]:
    """Return what a process's environment must hold before it loads any library."""
    own = dict(LEVELS.get(platform.machine(), {}))
    if arithmetic is Arithmetic.NATIVE:
        own = {name: value for name, value in own.items() if name in QUICKER}
    if "XLA_FLAGS" in own:  # a user's own flags stay; of two that contradict each other the last one counts
        others = os.environ.get("XLA_FLAGS", "").replace(own["XLA_FLAGS"], "").split()
        own["XLA_FLAGS"] = " ".join([*others, own["XLA_FLAGS"]])
    return {**ONE_THREAD, **own, DECLARED: arithmetic.value}


_late: list[str] = []
"""What this process had loaded when its arithmetic was declared."""


def declare(arithmetic: Arithmetic = Arithmetic.PORTABLE) -> None:
    """Hold this process, and those it starts, to an arithmetic; to be called before any library is loaded.

    What is loaded already keeps its own; `departures` tells where that matters.
    """
    wanted = variables(arithmetic)
    if any(os.environ.get(name) != value for name, value in wanted.items()):
        _late[:] = [module for module in FIRST if module in sys.modules]
    os.environ.update(wanted)


def declared_in(sweep: Path) -> Arithmetic:
    """Return what a sweep file declares, reading nothing else of it and loading nothing that computes.

    What is wrong with the file is for `harness.sweep.load_sweep` to say.
    """
    from harness import document

    try:
        value = document.load(sweep).value
    except OSError:
        return Arithmetic.PORTABLE
    given = value.get("arithmetic") if isinstance(value, dict) else None
    return Arithmetic.NATIVE if given == Arithmetic.NATIVE.value else Arithmetic.PORTABLE


def level() -> str:
    """Name what this process was held to: the architecture's level, or ``native``."""
    portable = os.environ.get(DECLARED) == Arithmetic.PORTABLE and platform.machine() in LEVELS
    return NAMES[platform.machine()] if portable else Arithmetic.NATIVE.value


def check_processor() -> None:
    """Check that this processor has the level that this process is held to.

    Raises:
        ProcessorError: It has not; says what it lacks and what to do.
    """
    if level() != NAMES["x86_64"]:
        return
    if not _features().get("X86_V3", True):
        raise ProcessorError(
            f"this processor ({platform.node()}) lacks AVX2, FMA or another instruction of {level()}, to which "
            "numbers are held so that they are the same everywhere: run on a newer one, or say `arithmetic: "
            "native` in the sweep file for results that this kind of processor alone repeats"
        )


def in_use(modules: Iterable[str] = ()) -> dict[str, Any]:
    """Describe, as JSON, what can change the numbers that this process computes, versions of packages aside.

    Args:
        modules: Modules whose linear algebra counts, besides numpy and scipy.
    """
    return {
        "level": level(),
        "simd": max(
            (name for name, found in _features().items() if found and "_V" in name), default="unknown"
        ),
        "blas": {
            owner: f"{library} {version} {kernels}" for owner, library, version, kernels in _blas(modules)
        },
        "libc": " ".join(platform.libc_ver()).strip() or platform.system(),
        "variables": {
            name: os.environ[name] for name in LEVELS.get(platform.machine(), ()) if name in os.environ
        },
    }


def departures() -> list[str]:
    """Return, in words, what in this process computes otherwise than was declared: it was loaded too early."""
    if level() == Arithmetic.NATIVE:
        return []
    found = []
    kernels = LEVELS[platform.machine()]["OPENBLAS_CORETYPE"].lower()
    for owner, library, _, used in _blas():
        if library == "openblas" and used.lower() != kernels:
            found.append(f"{owner} computes with kernels for {used}")
    if _features().get("X86_V4"):
        found.append("numpy computes with AVX-512")
    late = [module for module in _late if module not in ("numpy", "scipy")]
    if "tensorflow" in late and LEVELS[platform.machine()]["TF_ENABLE_ONEDNN_OPTS"] != str(int(_onednn())):
        found.append(f"tensorflow computes {'with' if _onednn() else 'without'} oneDNN")
    elif _features().get("AVX512F"):
        found += [f"{module} was loaded before" for module in late]
    return found


def _features() -> Mapping[str, bool]:
    """Return which instructions numpy found and may use; empty where it does not say."""
    module = import_module("numpy._core._multiarray_umath")
    return getattr(module, "__cpu_features__", {})


def _blas(modules: Iterable[str] = ()) -> list[tuple[str, str, str, str]]:
    """Return owner, library, version and kernels of the linear algebra that is loaded, numpy's and scipy's always."""
    from threadpoolctl import threadpool_info

    import_module("scipy.linalg")
    owners = ("numpy", "scipy", *modules)
    found = {}
    for pool in threadpool_info():
        parts = Path(pool["filepath"]).parts
        owner = next((o for o in owners if {o, f"{o}.libs"} & set(parts)), None)
        if pool["user_api"] == "blas" and owner is not None:
            kernels = pool.get("architecture") or "unknown"
            found[owner] = (owner, pool["internal_api"], pool.get("version") or "unknown", kernels)
    return [found[owner] for owner in sorted(found)]


def _onednn() -> bool:
    """Whether the TensorFlow of this process uses oneDNN's operations."""
    return bool(import_module("tensorflow.python.util._pywrap_util_port").IsMklEnabled())
