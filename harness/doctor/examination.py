"""Examines what a run would use: this machine, the results folder, the tasks' data and the cluster."""

from __future__ import annotations

import platform
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness import files, registry
from harness.arithmetic import Arithmetic, check_processor, level
from harness.doctor.findings import Finding, Grade, fine, problem, size, some, warning
from harness.doctor.probe import Probe
from harness.doctor.storage import examine_copy, examine_folder
from harness.doctor.versions import differences, in_words, locked, needed
from harness.errors import DerbyError, ProcessorError
from harness.loading import TaskData
from harness.machine import processor
from harness.plurals import plural

if TYPE_CHECKING:
    from harness.keys import TaskKey
    from harness.launch import Placement
    from harness.sweep import Sweep
    from harness.task import Data


def examine(sweep: Sweep | None, results: Path, placement: Placement, patience: float) -> Iterator[Finding]:
    """Yield what a run will find, each as soon as it is known; nothing is trained, and nothing is left behind.

    Args:
        sweep: What would be run; ``None``: whatever needs no sweep is examined.
        results: The results folder.
        placement: Where it would run.
        patience: Seconds that a node of a cluster may take for each answer.
    """
    results = results.absolute()
    about = Wanted(sweep)
    yield from _this_machine(about, placement)
    yield from examine_folder(results, None if sweep is None else sweep.as_plan())
    if placement.sync_to is not None:
        yield examine_copy(results, placement.sync_to)
    sizes = _Sizes()
    if sweep is not None:
        yield from _data(sweep, sizes)
    if placement.executor == "ray":
        from harness.doctor.cluster import examine_cluster

        yield from examine_cluster(about, results, placement, patience, sum(sizes.nbytes.values()))
    else:
        yield from _in_this_process(about)


class Wanted:
    """What a sweep, if any, asks of a process that trains or searches.

    Attributes:
        sweep: The sweep.
        threads: Threads of an evaluation.
        arithmetic: What is computed with.
        training: Keys of the tasks that evaluators train, by label.
        cheap: Keys of those that searchers' processes evaluate.
        searchers: Name, and origin of a user's file, of each searcher by label.
    """

    def __init__(self, sweep: Sweep | None) -> None:
        self.sweep = sweep
        self.threads = 1 if sweep is None else sweep.spec.threads
        self.arithmetic = Arithmetic.PORTABLE if sweep is None else sweep.spec.arithmetic
        self.training: dict[str, TaskKey] = {}
        self.cheap: dict[str, TaskKey] = {}
        self.searchers: dict[str, tuple[str, str]] = {}
        for study in () if sweep is None else sweep.every_study:
            tasks = self.cheap if study_is_cheap(sweep, study.task) else self.training
            tasks.setdefault(study.task, study.key.task.unsplit)
            self.searchers.setdefault(study.searcher, (study.key.searcher, study.key.searcher_file))

    @property
    def libraries(self) -> list[str] | None:
        """Distributions of its tasks and searchers; ``None`` where no sweep says which."""
        if self.sweep is None:
            return None
        found = [task.libraries for task in self.sweep.tasks.values()]
        found += [registry.searcher(name, file).libraries for name, file in self.searchers.values()]
        return list(dict.fromkeys(name for each in found for name in each.values()))

    def libraries_of(self, task: str) -> Mapping[str, str]:
        """Return the libraries of a task, by its label: module to distribution."""
        return {} if self.sweep is None else self.sweep.tasks[task].libraries


def study_is_cheap(sweep: Sweep | None, task: str) -> bool:
    """Tell whether a task of a sweep costs less than handing it over."""
    return sweep is not None and sweep.tasks[task].cheap


def _this_machine(about: Wanted, placement: Placement) -> Iterator[Finding]:
    try:
        check_processor()
        yield fine("machine", f"{processor()}, arithmetic {level()}; Python {platform.python_version()}")
    except ProcessorError as error:
        yield Finding(Grade.PROBLEM, "machine", str(error))
    lock = locked()
    if lock is None:
        return
    here = needed(about.libraries, ray=placement.executor == "ray")
    expected = {name: lock[name] for name in here if name in lock}
    found = differences(expected, here)
    if found:
        words = in_words(expected, found, "in requirements.lock")
        yield warning(
            "versions",
            f"{len(found)} of {plural(len(expected), 'library')} are not the locked ones: {some(words)}; equal "
            "records are promised for one set of versions",
            "pip install --requirement requirements.lock",
        )
    else:
        yield fine("versions", f"the locked libraries that it needs are as locked: {len(expected)} of them")


class _Sizes:
    """Takes data as an executor does, and keeps how large they are."""

    def __init__(self) -> None:
        self.nbytes: dict[str, int] = {}

    def add_data(self, task: TaskKey, data: Data) -> None:
        """Note the bytes of a task's data."""
        self.nbytes[task.id] = sum(array.nbytes for array in data.values())


def _data(sweep: Sweep, sizes: _Sizes) -> Iterator[Finding]:
    """Yield which data cannot be loaded, as a run loads them: here, whence they travel to evaluators."""
    loading = TaskData(lambda _: None)
    keys = {study.task: study.key.task for study in sweep.every_study}
    failed = 0
    for label, key in keys.items():
        try:
            loading.load(sweep.tasks[label], key, sizes)  # type: ignore[arg-type]
        except DerbyError as error:
            failed += 1
            yield problem(
                "data",
                f"task {label!r}: {error}",
                "give the folder with --data or DERBY_DATA; it is needed on this machine only",
            )
    if not failed:
        amount = sum(sizes.nbytes.values())
        yield fine("data", f"those of all tasks were loaded{f', {size(amount)}' if amount else ''}")


def _in_this_process(about: Wanted) -> Iterator[Finding]:
    """Yield what cannot be used where all runs in the driver's process."""
    probe = Probe()
    tasks = probe.tasks(files.sources(), {**about.training, **about.cheap}, about.threads, 0.0)
    faults = {
        **{f"task {label!r}": each["fault"] for label, each in tasks.items() if "fault" in each},
        **named_searchers(probe.searchers(files.sources(), about.searchers)),
    }
    for who, fault in faults.items():
        yield problem("code", f"{who} cannot be used: {fault}", CURE_OF_CODE)
    if about.sweep is not None and not faults:
        yield fine("code", "its tasks and searchers can be used")


CURE_OF_CODE = "mend it, or install there what it needs"


def named_searchers(faults: Mapping[str, Any]) -> dict[str, Any]:
    """Return faults of searchers by what they are called in a message."""
    return {f"searcher {label!r}": fault for label, fault in faults.items()}
