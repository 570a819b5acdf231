"""Arguments and options that several commands have, with their defaults."""

from __future__ import annotations

import os
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from harness.commands import completion
from harness.errors import DerbyError, SweepError, shown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.launch import Placement


class MismatchName(StrEnum):
    """What to do with a study whose replay departs from its journal."""

    fail = "fail"
    restart = "restart"
    tell = "tell"


class ExecutorName(StrEnum):
    """Where evaluations run."""

    serial = "serial"
    ray = "ray"


SweepFile = Annotated[Path, typer.Argument(metavar="SWEEP", help="A sweep file (YAML).")]
SweepName = Annotated[
    str,
    typer.Argument(metavar="SWEEP", help="A sweep's name, or its file.", autocompletion=completion.sweeps),
]
TaskName = Annotated[
    str,
    typer.Argument(
        metavar="TASK",
        help="A task: name, name/variant, or my_task.py:MyTask.",
        autocompletion=completion.tasks,
    ),
]
Results = Annotated[Path, typer.Option(envvar="DERBY_RESULTS", help="The results folder.")]
Out = Annotated[Path | None, typer.Option(help="Folder to write; in the sweep's folder by default.")]
Executors = Annotated[ExecutorName, typer.Option(help="Where evaluations run.")]
DataFolder = Annotated[
    Path | None,
    typer.Option(envvar="DERBY_DATA", help="Folder of data: mnist.npz, fashion_mnist.npz, figs/."),
]
Address = Annotated[str | None, typer.Option(help="Ray: the cluster; a local one by default.")]
Evaluators = Annotated[
    str, typer.Option(metavar="N|auto", help="Ray: how many at most; auto: as many as there is room for.")
]
GpuShare = Annotated[float, typer.Option(min=0.0, help="Ray: share of a GPU for each.")]
MemoryShare = Annotated[
    float | None,
    typer.Option(min=0.1, help="Ray: GB each may take; its share of a machine that runs short by default."),
]
Nodes = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        min=1,
        help="Ray: how many nodes should train; that fewer do is said. Those of `ray up` on machines of your own are "
        "known without.",
    ),
]
SyncTo = Annotated[
    str | None,
    typer.Option(metavar="URI", help="Copy the results there meanwhile: s3://bucket/folder or a folder."),
]
Mismatch = Annotated[
    MismatchName,
    typer.Option(
        help="Where a study's replay departs from its journal: let it fail, restart it, or tell its searcher the "
        "recorded trials and go on."
    ),
]
Walltime = Annotated[
    str | None,
    typer.Option(
        metavar="TIME",
        help="Say how many jobs of a batch system it takes that may run so long: minutes, hours:minutes:seconds or "
        "days-hours, as for sbatch.",
    ),
]
JobEvaluators = Annotated[
    int | None,
    typer.Option(
        metavar="N", min=1, help="With --walltime: how many evaluators such a job has; 1 by default."
    ),
]
Published = Annotated[Path, typer.Option(help="Folder of published results.")]
Extend = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Leave out the studies that are published by this name: what is there is extended.",
        autocompletion=completion.published,
    ),
]
DEFAULT_RESULTS = Path("results/local")
DEFAULT_PUBLISHED = Path("results/published")


def placement_of(
    executor: ExecutorName,
    address: str | None,
    evaluators: str,
    gpus: float,
    memory: float | None,
    sync_to: str | None,
    nodes: int | None,
) -> Placement:
    """Return where to run, from the options that all running commands have."""
    from harness.launch import Placement
    from harness.machine import require_libraries

    if executor is ExecutorName.ray:
        require_libraries("--executor ray", {"ray": "ray[tune]", "psutil": "psutil"})
    if evaluators != "auto" and not (evaluators.isdecimal() and int(evaluators) > 0):
        raise SweepError(f"--evaluators: expected auto or a number from 1, got {evaluators!r}")
    count = None if evaluators == "auto" else int(evaluators)
    nbytes = None if memory is None else int(memory * 1e9)
    return Placement(executor.value, address, count, gpus, nbytes, sync_to, nodes)


def use_data(folder: Path | None) -> None:
    """Let tasks look for their data there. Before a sweep is read: its studies are named by their data, too."""
    if folder is not None:
        os.environ["DERBY_DATA"] = str(folder)


def sweep_name(given: str) -> str:
    """Return a sweep's name, read from its file where a file is given."""
    if given.endswith((".yaml", ".yml")):
        from harness.sweep import sweep_name

        return sweep_name(Path(given))
    return given


def task_options(given: Sequence[str] | None, what: str = "--option") -> dict[str, Any]:
    """Read ``name=value`` texts of an option of the command line, the values as in a sweep file.

    Raises:
        DerbyError: A text has no ``=``, or its value is not valid.
    """
    from harness import document

    options = {}
    for text in given or ():
        name, equals, value = text.partition("=")
        if not (name and equals):
            raise DerbyError(f"{what} {text}: expected NAME=VALUE, such as images=folder")
        read = document.read(value)
        for problem in read.problems:
            raise DerbyError(f"{what} {shown(text)}: {problem.message}")
        options[name] = read.value
    return options


def check_task(text: str) -> None:
    """Check that there is a task that ``name`` or ``name/variant`` means, before anything heavy is loaded.

    Raises:
        DerbyError: There is none.
    """
    from harness import registry

    registry.named_task(text, {})
