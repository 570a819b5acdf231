"""What nodes answered is compared with each other and with this machine, and those alike are told together."""

from __future__ import annotations

import pytest

from harness.arithmetic import Arithmetic
from harness.doctor import comparing
from harness.doctor.findings import Grade

MACHINE = {
    "processor": "one",
    "architecture": "x86_64",
    "device": "cpu",
    "threads": 1,
    "arithmetic": {"level": "x86-64-v3", "libc": "glibc 2.36"},
    "python": "3.11.7",
    "versions": {"numpy": "2.4"},
}


def answered(**changes):
    return {"task": {"machine": {**MACHINE, **changes}}}


def test_nodes_that_lack_the_same_are_told_together_with_what_to_install():
    expected = {f"library-{i}": "1.0" for i in range(6)}
    right = dict(expected)
    old = {**right, "library-0": "0.9"}
    old["Library_1"] = old.pop("library-1")  # the same name, as another release wrote it
    found = list(comparing.versions({"a": right, "b": old, "c": old, "d": {}}, expected))
    assert [each.grade for each in found] == [Grade.PROBLEM] * 2
    assert found[0].text == "b, c: library-0 0.9 (here 1.0)"
    assert found[0].cure.endswith("pip install library-0==1.0")
    assert found[1].text.startswith("d: library-0 is missing (here 1.0), ")
    assert found[1].cure.endswith("pip install --requirement requirements.lock")
    (fine,) = comparing.versions({"a": right}, expected)
    assert fine.grade is Grade.FINE


@pytest.mark.parametrize(
    ("arithmetic", "grade"), [(Arithmetic.PORTABLE, Grade.FINE), (Arithmetic.NATIVE, Grade.WARNING)]
)
def test_processors_of_several_kinds_matter_where_arithmetic_is_native(arithmetic, grade):
    found = comparing.processors(["Xeon, AVX-512", "EPYC, no AVX-512"], arithmetic)
    assert found.grade is grade and "Xeon, AVX-512, EPYC, no AVX-512" in found.text


def test_machines_that_can_give_other_numbers_are_told_by_what_differs():
    other = {"level": "x86-64-v3", "libc": "glibc 2.39"}
    nodes = {"a": answered(), "b": answered(processor="two"), "c": answered(arithmetic=other)}
    (found,) = comparing.machines(nodes)
    assert found.grade is Grade.WARNING
    assert found.text.endswith("other numbers: a, b: libc glibc 2.36; c: libc glibc 2.39")
    (found,) = comparing.machines({"a": answered(device="T4"), "b": answered(device="A100")})
    assert found.text.endswith("a: device T4; b: device A100")
    alike = {"a": answered(), "b": answered(versions={"numpy": "2.3"}), "c": {"task": {"fault": "no"}}}
    assert list(comparing.machines(alike)) == []  # versions are told otherwise


def test_a_library_that_sees_no_gpu_is_a_problem_and_a_task_that_wants_none_is_told():
    nodes = {"a": {"net": {"machine": MACHINE}}, "b": {"net": {"machine": {**MACHINE, "device": "T4"}}}}
    (found,) = comparing.devices(nodes, {"net": {"tensorflow": "tensorflow"}})
    assert found.grade is Grade.PROBLEM and found.text.startswith("a: tensorflow sees no GPU for task 'net'")
    (found,) = comparing.devices(nodes, {"net": {}})
    assert found.grade is Grade.WARNING
    (found,) = comparing.devices({"b": nodes["b"]}, {"net": {}})
    assert found.grade is Grade.FINE


def test_a_clock_is_only_called_wrong_when_no_delay_explains_it():
    assert list(comparing.clock("a", 100.0, 130.0, 160.0)) == []
    assert list(comparing.clock("a", 100.0, 163.0, 160.0)) == []
    (ahead,) = comparing.clock("a", 100.0, 230.0, 160.0)
    (behind,) = comparing.clock("a", 100.0, 60.0, 160.0)
    assert "a: its clock is 70 s ahead" in ahead.text and "40 s behind" in behind.text
    assert ahead.grade is Grade.FINE
