"""What looks at a machine from within one of its own processes.

It travels to nodes by its code, not by its name, so that it answers where this project is missing or another one: hence
the standard library alone here, until a method is asked for something of the project. All that it returns is plain.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

GPU_SECONDS = 300.0
"""How long a library may take to say which GPUs it sees."""

IN_A_CHILD = """\
import os, pickle, sys
out = os.fdopen(os.dup(1), "wb")
os.dup2(2, 1)  # libraries print
from ray import cloudpickle
function, arguments = cloudpickle.load(sys.stdin.buffer)
out.write(pickle.dumps(function(*arguments)))
"""


class Probe:
    """Answers questions about the machine that it runs on, one after the other."""

    def about(self) -> dict[str, Any]:
        """Describe processor, memory for sharing, GPUs that the driver lists, and the time, in seconds since 1970."""
        return {
            "time": time.time(),
            "pid": os.getpid(),
            "python": platform.python_version(),
            "executable": sys.executable,
            "processor": _processor(),
            "avx512": _avx512(),
            "shm": _free("/dev/shm"),  # noqa: S108 - Ray's object store is there
            "gpus": _gpus(),
        }

    def distributions(self) -> dict[str, str]:
        """Return the version of every distribution that can be imported, by its name in lower case."""
        found: dict[str, str] = {}
        for each in distributions():
            if each.name:
                found.setdefault(each.name.lower(), each.version)
        return found

    def project(self, rooms: Sequence[str]) -> dict[str, str]:
        """Say where this project is and what code it has, or why it cannot be used.

        Args:
            rooms: The project's packages.
        """
        try:
            from derby import rooms as packages
            from harness.arithmetic import check_processor

            home = Path(str(packages.__file__)).resolve().parent.parent
            check_processor()
        except Exception as error:  # noqa: BLE001 - whatever it is, it is the answer
            return {"fault": _said(error)}
        return {"home": str(home), "code": code_digest(home, rooms)}

    def searchers(self, sources: Any, wanted: Mapping[str, tuple[str, str]]) -> dict[str, str]:
        """Load the libraries of searchers; say why some cannot be used here, by label.

        Args:
            sources: Files of the user that they come from.
            wanted: Name, and origin of a user's file, of each.
        """
        import importlib

        from harness import files, registry

        files.add(sources)
        faults = {}
        for label, (name, file) in wanted.items():
            try:
                kind = registry.searcher(name, file)
                kind.require_libraries()
                for module in kind.libraries:
                    importlib.import_module(module)
            except KeyboardInterrupt:
                raise
            except BaseException as error:  # noqa: BLE001 - code of others, and as above
                faults[label] = _said(error)
        return faults

    def tasks(
        self, sources: Any, wanted: Mapping[str, Any], threads: int, share: float
    ) -> dict[str, dict[str, Any]]:
        """Make tasks and set their libraries up, as an evaluator does.

        Args:
            sources: Files of the user that they come from.
            wanted: Their keys by label.
            threads: Threads of one evaluation.
            share: Share of a GPU; 0 trains on processors.

        Returns:
            For each the description of the machine as a record would have it, or the ``fault``.
        """
        if not share:
            return _set_up(sources, wanted, threads, 1.0)
        # In a process of its own: this one was given no GPU, and is to take none from a run that is under way.
        from ray import cloudpickle

        environment = {name: value for name, value in os.environ.items() if name != "CUDA_VISIBLE_DEVICES"}
        given = cloudpickle.dumps((_set_up, (sources, wanted, threads, share)))
        done = subprocess.run(  # noqa: S603 - a program of ours
            [sys.executable, "-c", IN_A_CHILD],
            input=given,
            env=environment,
            capture_output=True,
            timeout=GPU_SECONDS,
            check=False,
        )
        if done.returncode:
            last = done.stderr.decode(errors="replace").strip().rpartition("\n")[2]
            said = f"a process that set its library up ended with {done.returncode}: {last}"
            return {label: {"fault": said} for label in wanted}
        import pickle

        answer: dict[str, dict[str, Any]] = pickle.loads(done.stdout)  # noqa: S301 - our own child's
        return answer

    def locks(self, path: str, token: str) -> str:
        """Try to lock a file that another machine holds.

        Args:
            path: The file.
            token: What the other machine has written into it.

        Returns:
            ``elsewhere`` where there is no such file here, ``refused``, or ``taken``.
        """
        try:
            if Path(path).read_text(encoding="utf-8") != token:
                return "elsewhere"
            import fcntl

            with Path(path).open("r+", encoding="utf-8") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except FileNotFoundError:
            return "elsewhere"
        except (OSError, ImportError):
            return "refused"
        return "taken"


def code_digest(home: Path, rooms: Sequence[str]) -> str:
    """Return a digest of the code of packages below a folder."""
    sha = hashlib.sha256()
    for room in rooms:
        for path in sorted(_code(home / room)):
            content = path.read_bytes()
            sha.update(f"{path.relative_to(home).as_posix()} {len(content)}\n".encode() + content)
    return sha.hexdigest()[:16]


def _code(package: Path) -> list[Path]:
    """Return the modules of a package, and of those in it."""
    if not (package / "__init__.py").is_file():  # a results folder may lie in the room of that name
        return []
    found = list(package.glob("*.py"))
    for inner in package.iterdir():
        if inner.is_dir():
            found += _code(inner)
    return found


def _set_up(sources: Any, wanted: Mapping[str, Any], threads: int, share: float) -> dict[str, dict[str, Any]]:
    import msgspec

    from harness import files
    from harness.evaluator import task_of
    from harness.machine import describe_machine
    from harness.threads import bind

    files.add(sources)
    found: dict[str, dict[str, Any]] = {}
    for label, key in wanted.items():
        try:
            task = task_of(key)
            task.require_libraries()
            bind(threads, task.libraries)
            device = task.prepare(threads, share)
            machine = describe_machine(device, threads, task.libraries)
            found[label] = {"machine": msgspec.to_builtins(machine.description)}
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001 - code of others
            found[label] = {"fault": _said(error)}
    return found


def _said(error: BaseException) -> str:
    """Return what an exception says, with its kind where it is not this project's."""
    try:
        text = " ".join(str(error).split())
    except Exception:  # noqa: BLE001 - of others
        text = "(its __str__ raises)"
    if any(kind.__name__ == "DerbyError" for kind in type(error).__mro__):
        return text
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _processor() -> str:
    return _cpuinfo("model name") or platform.processor() or platform.machine()


def _avx512() -> bool | None:
    flags = _cpuinfo("flags").split()
    return "avx512f" in flags if flags else None


def _cpuinfo(name: str) -> str:
    try:
        with Path("/proc/cpuinfo").open(encoding="utf-8", errors="replace") as file:
            for line in file:
                if line.lower().startswith(name):
                    return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return ""


def _free(folder: str) -> int | None:
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return None


def _gpus() -> int | None:
    """Return how many GPUs NVIDIA's driver lists; ``None`` where it cannot be asked."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return None
    try:
        done = subprocess.run(  # noqa: S603 - a fixed command line
            [program, "-L"], capture_output=True, text=True, timeout=30, check=False
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return sum(line.startswith("GPU ") for line in done.stdout.splitlines()) if not done.returncode else 0
