"""What reading and reporting a million evaluations costs: seconds, processor seconds and memory.

Run it with ``make bench``. The folder is synthetic and in the record's real formats (`synthetic_record`); it is
made once, in the system's temporary folder or the one given, and takes about 2 GB and some minutes.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import shutil
import tempfile
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

import synthetic_record

from analysis.report.page import build
from results.tables import read_tables


def trials(root: Path) -> str:
    """Read the trials."""
    return f"{len(read_tables(root, synthetic_record.NAME).trials)} trials"


def epochs(root: Path) -> str:
    """Read the trials and their curves."""
    return f"{len(read_tables(root, synthetic_record.NAME).epochs)} epochs"


def report(root: Path) -> str:
    """Read the trials and write the whole report, with two processes."""
    build(read_tables(root, synthetic_record.NAME), root / "report", processes=2)
    return f"{len(list((root / 'report' / 'figures').iterdir()))} files of figures"


def measured(job: Callable[[Path], str], root: Path) -> tuple[str, float, float, float]:
    """Run a job in a process of its own; return what it says, seconds, processor seconds and peak memory in GB."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_run, args=(job, root, there))
    process.start()
    there.close()
    result: tuple[str, float, float, float] = here.recv()
    process.join()
    return result


def _run(job: Callable[[Path], str], root: Path, pipe: Connection) -> None:
    began = time.perf_counter()
    said = job(root)
    seconds = time.perf_counter() - began
    usage = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    busy = sum(each.ru_utime + each.ru_stime for each in usage)
    pipe.send((said, seconds, busy, max(each.ru_maxrss for each in usage) / 1e6))


def main() -> None:
    """Make the folder where it is missing, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "derby-million")
    root = parser.parse_args().folder
    if not (root / "complete").exists():
        shutil.rmtree(root, ignore_errors=True)
        synthetic_record.write(root)
        (root / "complete").touch()
    print(f"{'':32}{'seconds':>10}{'busy':>10}{'GB':>8}")
    for job in (trials, epochs, report):
        said, seconds, busy, memory = measured(job, root)
        print(f"{f'{job.__name__}: {said}':32}{seconds:10.1f}{busy:10.1f}{memory:8.2f}")


if __name__ == "__main__":
    main()
