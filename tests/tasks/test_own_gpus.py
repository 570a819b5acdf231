"""Own code on a GPU, with stand-ins for PyTorch, TensorFlow and JAX that say they see one."""

from __future__ import annotations

import os
import re
import sys
import types

import numpy as np
import pytest
from command import derby

from harness.space import Float
from harness.task import Checkpoint
from harness.trial import Status
from tasks.engine.memory import memory_errors_told
from tasks.own import gpus
from tasks.own.common import Generators
from tasks.own.function import task

SPACE = {"x": Float(0.0, 1.0)}


class OutOfMemoryError(RuntimeError):
    """As PyTorch's: no `MemoryError`."""


class JaxRuntimeError(RuntimeError):
    """As JAX's: one kind for everything."""


class FakeTorch(types.ModuleType):
    """PyTorch with two GPUs, whose generators count what was drawn."""

    OutOfMemoryError = OutOfMemoryError

    def __init__(self, *, available=True):
        super().__init__("torch")
        self.told = []
        self.state, self.states, self.begun = 0, [0, 0], available
        self.backends = types.SimpleNamespace(cudnn=types.SimpleNamespace(benchmark=True))
        self.cuda = types.SimpleNamespace(
            is_available=lambda: available,
            is_initialized=lambda: self.begun,
            device_count=lambda: 2,
            get_device_name=lambda number: f"GPU {number}",
            set_per_process_memory_fraction=lambda part, number: self.told.append((round(part, 3), number)),
            get_rng_state_all=lambda: list(self.states),
            set_rng_state_all=self.set_all,
        )

    def use_deterministic_algorithms(self, wanted):
        self.told.append(wanted)

    def get_rng_state(self):
        return self.state

    def set_rng_state(self, state):
        self.state = state

    def set_all(self, states):
        self.states = list(states)

    def manual_seed(self, seed):
        self.state, self.states = seed, [seed, seed]

    def drawn_on_the_gpu(self):
        self.states[0] += 1
        return self.states[0]


@pytest.fixture
def torch(monkeypatch):
    fake = FakeTorch()
    monkeypatch.setitem(sys.modules, "torch", fake)
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    return fake


@pytest.mark.parametrize(
    ("share", "told"), [(1.0, [True]), (0.25, [True, (0.23, 0), (0.23, 1)])], ids=["whole", "a quarter"]
)
def test_pytorch_repeats_itself_on_a_gpu_and_keeps_to_its_share(torch, monkeypatch, share, told):
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", "")
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG")
    assert gpus.prepare({"torch": "torch"}, 1, share) == "GPU 0"
    assert torch.told == told
    assert not torch.backends.cudnn.benchmark
    assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == gpus.CUBLAS_WORKSPACE


def test_pytorch_is_left_alone_where_it_sees_no_gpu(monkeypatch):
    fake = FakeTorch(available=False)
    monkeypatch.setitem(sys.modules, "torch", fake)
    assert gpus.prepare({"torch": "torch"}, 1, 0.25) == "cpu"
    assert fake.told == []


@pytest.mark.parametrize(
    ("share", "name", "value"),
    [(0.5, "XLA_PYTHON_CLIENT_MEM_FRACTION", "0.460"), (1.0, "XLA_PYTHON_CLIENT_PREALLOCATE", "false")],
)
def test_jax_is_recorded_on_the_gpu_it_takes_and_keeps_to_its_share(monkeypatch, share, name, value):
    for each in ("XLA_PYTHON_CLIENT_MEM_FRACTION", "XLA_PYTHON_CLIENT_PREALLOCATE"):
        monkeypatch.setenv(each, "")
        monkeypatch.delenv(each)
    seen = []

    def devices():
        seen.append(os.environ.get(name))
        return [types.SimpleNamespace(platform="gpu", device_kind="NVIDIA H100 80GB HBM3")]

    monkeypatch.setitem(sys.modules, "jax", types.SimpleNamespace(devices=devices))
    assert gpus.prepare({"jax": "jax"}, 1, share) == "NVIDIA H100 80GB HBM3"
    assert seen == [value]  # it reads them with the first question


def test_of_several_libraries_each_keeps_to_its_share(torch, monkeypatch):
    told = []
    jax = types.SimpleNamespace(
        devices=lambda: [types.SimpleNamespace(platform="gpu", device_kind="GPU of JAX")]
    )
    monkeypatch.setitem(sys.modules, "jax", jax)
    monkeypatch.setenv("XLA_PYTHON_CLIENT_MEM_FRACTION", "")
    monkeypatch.delenv("XLA_PYTHON_CLIENT_MEM_FRACTION")
    monkeypatch.setattr(gpus, "configure_threads", lambda threads, share: told.append((threads, share)))
    monkeypatch.setattr(gpus, "device", lambda: "GPU of TensorFlow")
    libraries = {"jax": "jax", "torch": "torch", "tensorflow": "tensorflow"}
    assert gpus.prepare(libraries, 2, 0.125) == "GPU of TensorFlow"
    assert told == [(2, 0.125)]
    assert torch.told[1:] == [(0.115, 0), (0.115, 1)]
    assert os.environ["XLA_PYTHON_CLIENT_MEM_FRACTION"] == "0.115"


def test_a_gpu_that_others_have_filled_before_the_library_begins_is_no_bug(torch):
    def full(part, number):
        raise RuntimeError(
            "CUDA error: out of memory\nSearch for `cudaErrorMemoryAllocation' in https://docs"
        )

    torch.cuda.set_per_process_memory_fraction = full
    with pytest.raises(MemoryError, match="CUDA error: out of memory"):
        gpus.prepare({"torch": "torch"}, 1, 0.25)


def test_code_without_such_a_library_is_on_the_processor():
    assert gpus.prepare({"sklearn": "scikit-learn"}, 2, 0.5) == "cpu"


def test_trainings_that_take_turns_draw_on_the_gpu_as_if_alone(torch):
    """As Hyperband continues them: each goes on in the generators of the GPUs, too, where it was."""

    def draws(generators, count):
        with generators.inside():
            return [torch.drawn_on_the_gpu() for _ in range(count)]

    alone = draws(Generators(100), 4)
    first, second = Generators(100), Generators(200)
    torch.states = [7, 8]
    turns = [draws(first, 1), draws(second, 3), draws(first, 2), draws(second, 1), draws(first, 1)]
    assert turns[0] + turns[2] + turns[4] == alone == [101, 102, 103, 104]
    assert turns[1] + turns[3] == [201, 202, 203, 204]
    assert torch.states == [7, 8]


def test_generators_of_gpus_that_nobody_has_begun_to_use_are_not_asked_for(torch):
    """Asking would take memory of them."""
    torch.begun = False
    torch.cuda.get_rng_state_all = None
    with Generators(1).inside():
        torch.begun, torch.cuda.get_rng_state_all = True, lambda: list(torch.states)
        torch.drawn_on_the_gpu()
    assert torch.states == [2, 1]


def exhausted():
    tensorflow = types.SimpleNamespace(
        errors=types.SimpleNamespace(ResourceExhaustedError=type("ResourceExhaustedError", (Exception,), {})),
        random=types.SimpleNamespace(set_seed=lambda seed: None),
    )
    return tensorflow, tensorflow.errors.ResourceExhaustedError("OOM when allocating")


def raised(kind):
    """A library's stand-in by module, and what it raises where a GPU's memory is at its end."""
    if kind == "torch":
        return FakeTorch(), OutOfMemoryError("CUDA out of memory. Tried to allocate 9 GiB")
    if kind == "tensorflow":
        return exhausted()
    return types.SimpleNamespace(), JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 9 bytes")


@pytest.mark.parametrize("kind", ["torch", "tensorflow", "jax"])
@pytest.mark.parametrize("yields", [True, False], ids=["yields", "returns"])
def test_a_gpu_without_memory_is_a_failed_evaluation_and_the_next_one_trains(monkeypatch, kind, yields):
    module, error = raised(kind)
    monkeypatch.setitem(sys.modules, kind, module)

    def value(config):
        if config["x"] > 0.5:
            raise error
        return config["x"]

    if yields:

        @task(space=SPACE, direction="min", failure=9.0, epochs=2, name="hungry")
        def hungry(config):
            while True:
                yield value(config)
    else:

        @task(space=SPACE, direction="min", failure=9.0, name="hungry")
        def hungry(config):
            return value(config)

    made, checkpoint = hungry(), Checkpoint.fresh()
    with pytest.raises(MemoryError, match=r"(?i)out of memory|OOM"):
        made.evaluate({"x": 0.9}, epochs=1, seed=1, data={}, checkpoint=checkpoint)
    assert checkpoint.state is None
    after = made.evaluate({"x": 0.25}, epochs=1, seed=1, data={})
    assert (after.status, after.curve["value"]) == (Status.OK, (0.25,))


def test_a_run_says_at_its_end_why_evaluations_crashed_and_not_that_evaluators_were_lost(
    tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "full.py").write_text(
        """\
import derby

@derby.task(space={"x": derby.Float(0, 1)}, direction="min", failure=9.0)
def full(config):
    if config["x"] > 0.3:
        raise RuntimeError(f"CUDA error: out of memory{99 * ' and more'}")
    return config["x"]
"""
    )
    (tmp_path / "s.yaml").write_text(
        """\
name: s
repetitions: 1
budget: {evaluations: 4}
tasks: ["full.py:full"]
searchers: [random]
"""
    )
    done = derby("run", "s.yaml")
    assert done.returncode == 0
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("crashed")]
    assert re.match(
        r"crashed: \d evaluations of full, the first: out of memory: CUDA error: out of memory and more and",
        line,
    )
    assert line.endswith(" …")
    assert "lost" not in done.stdout


@pytest.mark.parametrize(
    "said",
    [
        "CUDA error: out of memory\nCUDA kernel errors might be asynchronously reported",
        "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
        "cuDNN error: CUDNN_STATUS_ALLOC_FAILED",
        "HIP out of memory. Tried to allocate 2.00 GiB",
        "Failed copying input tensor from CPU:0 to GPU:0 in order to run _EagerConst: Dst tensor is not initialized.",
        "[09:12:01] common.h:46: cudaErrorMemoryAllocation: out of memory",
    ],
)
def test_what_has_no_kind_of_error_of_its_own_is_known_by_its_text(said):
    """The first is PyTorch's where a process finds no room to begin on a GPU, as seen on one that was full."""
    with pytest.raises(MemoryError) as told, memory_errors_told():
        raise RuntimeError(said)
    assert str(told.value) == said


@pytest.mark.parametrize(
    "error",
    [
        ValueError("the budget is out of memory cells"),
        RuntimeError("CUDA error: device-side assert triggered"),
        RuntimeError("RESOURCE_EXHAUSTED: quota"),
        KeyError("GPU"),
    ],
)
def test_an_error_about_something_else_stays_what_it_is(error):
    with pytest.raises(type(error)) as told, memory_errors_told():
        raise error
    assert told.value is error


def test_other_errors_of_a_library_are_bugs(torch):
    @task(space=SPACE, direction="min", failure=9.0)
    def broken(config):
        raise JaxRuntimeError("INVALID_ARGUMENT: shapes")

    with pytest.raises(JaxRuntimeError, match="INVALID_ARGUMENT"):
        broken().evaluate({"x": np.float64(0.5)}, epochs=1, seed=1, data={})
