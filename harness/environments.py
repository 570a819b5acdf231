"""Environments beside the running one: they see its packages, and others in front of these.

What is built is kept in a folder named by the digest of all that it was made of, so that it is built once.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import site
import subprocess
import sys
import tarfile
import venv
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from filelock import FileLock

from derby.rooms import ROOMS
from harness.errors import SideError, SweepError, refusal
from harness.keys import digest
from harness.machine import installed
from harness.provenance import now
from results.layout import make_folder, write_atomically


@dataclass(frozen=True, slots=True)
class Wish:
    """What an environment is to have; nothing: the running one.

    Args:
        python: Another interpreter; ``None``: the running one, or one beside it.
        requirements: What pip is to install beside the running environment, such as ``optuna==4.6``.
        revision: A git revision of the code in ``repository``, which is put in front of what is installed.
        repository: A folder of a git repository.

    Raises:
        SweepError: An interpreter and requirements are given.
    """

    python: Path | None = None
    requirements: tuple[str, ...] = ()
    revision: str = ""
    repository: Path = Path()

    def __post_init__(self) -> None:
        if self.python is not None and self.requirements:
            raise SweepError(
                f"one side is given the interpreter {self.python} and packages to install "
                f"({', '.join(self.requirements)}): give one of them; packages are installed beside the running "
                "environment"
            )


def check_different(baseline: Wish, candidate: Wish) -> None:
    """Raise `SweepError` where both sides of a gate are one environment."""
    if baseline == candidate:
        raise SweepError(
            "baseline and candidate are the same environment; give one of them another, such as "
            "--baseline-with 'optuna==4.6', --baseline old/bin/python or --baseline-revision HEAD~1"
        )


@dataclass(frozen=True, slots=True)
class Environment:
    """An interpreter, and what its processes are to import before what is installed.

    Attributes:
        python: The interpreter.
        front: Folder of code that is put in front; ``None``: nothing.
        words: What it is, for people.
    """

    python: Path
    front: Path | None
    words: str

    def variables(self, first: Path) -> dict[str, str]:
        """Return the environment variables of its processes.

        Args:
            first: Folder that they import from before everything else.
        """
        path = [str(first), *([] if self.front is None else [str(self.front)])]
        if self.python == running():
            path += _pythonpath()
        return {**os.environ, "PYTHONPATH": os.pathsep.join(path)}


def rooms(cache: Path) -> Path:
    """Return a folder that has this project's rooms and nothing else: what any interpreter is given to import.

    Where the project is installed, beside its rooms lie all other packages, which are not to come before an
    interpreter's own.
    """
    home = Path(__file__).resolve().parent.parent
    folder = cache / f"rooms-{digest(str(home))}"

    def link() -> None:
        make_folder(folder)
        for room in (*ROOMS, "derby"):
            (folder / room).symlink_to(home / room)

    _once(folder, link)
    return folder


def running() -> Path:
    """Return the running interpreter."""
    return Path(sys.executable)


def made(wish: Wish, cache: Path) -> Environment:
    """Return an environment, building what is not in the cache.

    Args:
        wish: What it is to have.
        cache: Folder where what is built is kept.

    Raises:
        SweepError: There is no such interpreter, repository or revision.
        SideError: It cannot be built.
        WriteError: The cache cannot be written.
    """
    python, words = running(), ["the running environment"]
    if wish.python is not None:
        python, words = _interpreter(wish.python), [str(wish.python)]
    elif wish.requirements:
        python, words = _beside(wish.requirements, cache), [f"with {', '.join(wish.requirements)}"]
    if not wish.revision:
        return Environment(python, None, words[0])
    commit, front = _at_revision(wish.revision, wish.repository, cache)
    words.append(
        f"revision {wish.revision}" + ("" if commit.startswith(wish.revision) else f" ({commit[:12]})")
    )
    return Environment(python, front, ", ".join(words))


def _interpreter(path: Path) -> Path:
    found = shutil.which(path)
    if found is None:
        raise SweepError(f"{path} is no interpreter; give the path of one, such as old/bin/python")
    return Path(found).absolute()  # not what a link leads to: an environment's python is one


def _pythonpath() -> list[str]:
    return [entry for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep) if entry]


def _beside(requirements: Sequence[str], cache: Path) -> Path:
    """Return the interpreter of an environment that sees the running one's packages behind some that pip installs."""
    holds = {
        "python": [str(running()), sys.version],
        "packages": dict(installed()),
        "path": _pythonpath(),
        "requirements": [[text, digest_of_code(Path(text))] for text in requirements],
    }
    folder = cache / f"beside-{digest(holds)[:20]}"
    _once(folder, lambda: _build(requirements, folder))
    return folder.absolute() / "bin" / "python"


def _once(folder: Path, build: Callable[[], None]) -> None:
    """Build a folder unless it was built to its end, and by one process at a time."""
    make_folder(folder.parent)
    complete = folder / "complete.txt"
    with FileLock(folder.with_name(f"{folder.name}.lock")):
        if complete.exists():
            return
        shutil.rmtree(folder, ignore_errors=True)  # what a killed process left of it
        build()
        write_atomically(complete, f"{now()}\n")


def _build(requirements: Sequence[str], folder: Path) -> None:
    """Make a virtual environment whose path ends with that of the running one, and install into it.

    What pip finds behind is not installed again where it fits, and not touched where it doesn't.
    """
    venv.create(folder, symlinks=True)
    seen = [f"import site; site.addsitedir({path!r})" for path in _site_folders()]
    (site_packages,) = folder.glob("lib/python*/site-packages")
    (site_packages / "derby_beside.pth").write_text(
        "\n".join([*_pythonpath(), *seen]) + "\n", encoding="utf-8"
    )
    pip = [
        sys.executable,
        "-m",
        "pip",
        "--python",
        str(folder / "bin" / "python"),
        "--disable-pip-version-check",
    ]
    # A user's own command line: what to install is for them to say.
    done = subprocess.run(  # noqa: S603
        [*pip, "install", "--quiet", "--no-input", *requirements], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SideError(
            f"pip cannot install {', '.join(requirements)} beside {sys.executable}: "
            f"{done.stderr.strip() or f'it ended with {done.returncode}'}"
        )


def _site_folders() -> list[str]:
    """Return the folders of packages that the running interpreter looks into."""
    folders = site.getsitepackages()
    if site.ENABLE_USER_SITE:
        folders = [site.getusersitepackages(), *folders]
    return [folder for folder in folders if Path(folder).is_dir()]


SOURCES: Final = frozenset({".py", ".pyi", ".pyx", ".c", ".cpp", ".h", ".so", ".toml", ".cfg", ".txt"})
"""Suffixes of files that decide what a package does."""


def digest_of_code(path: Path) -> str:
    """Return the digest of a file, or of a folder's code without hidden folders; empty where there is neither."""
    files = (
        [path] if path.is_file() else sorted(found for found in path.rglob("*") if found.suffix in SOURCES)
    )
    sha = hashlib.sha256()
    for file in files:
        name = file.relative_to(path)
        if file.is_file() and not any(part.startswith(".") for part in name.parts):
            content = file.read_bytes()
            sha.update(f"{name.as_posix()} {len(content)}\n".encode() + content)
    return sha.hexdigest() if files else ""


def _at_revision(revision: str, repository: Path, cache: Path) -> tuple[str, Path]:
    """Return a revision's commit, and the folder of its code: ``src`` where it has one."""
    commit = _git(
        repository, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}"
    )
    folder = cache / f"revision-{commit}"

    def extract() -> None:
        make_folder(folder)
        archive = folder / ".archive.tar"
        top = _git(repository, "rev-parse", "--show-toplevel")
        _git(Path(top), "archive", "--format=tar", f"--output={archive.absolute()}", commit)
        with tarfile.open(archive) as tar:
            tar.extractall(folder, filter="data")
        archive.unlink()

    _once(folder, extract)
    source = folder.absolute() / "src"
    return commit, source if source.is_dir() else folder.absolute()


def _git(repository: Path, *arguments: str) -> str:
    command = ["git", "-C", str(repository), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - no shell
    except OSError as error:
        raise SweepError(f"a revision was given, and git cannot be run: {refusal(error)}") from error
    if done.returncode:
        said = done.stderr.strip() or "there is no such revision"
        raise SweepError(f"{repository.absolute()}, {arguments[-1]}: {said}")
    return done.stdout.strip()
