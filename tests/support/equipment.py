"""What the laboratory's machines have installed, since they have no network, and what they may install from.

Made once, in a few minutes, and kept in a cache. An environment has what the cluster files' commands would install, so
that those find most of it there; what they do install comes from a folder of packages. Stand-ins in it for CUDA's
libraries, which are gigabytes and of no use here, have a name and a version and nothing else. Of Ray one number is
changed: how long its processes may take to start.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from machines import FIRST_USER

ROOT = Path(__file__).resolve().parents[2]
LOCK = ROOT / "requirements.lock"
PYTHON = "/usr/bin/python3"
"""The machines' own, which they see where it is here."""
PAGE = ROOT / "docs" / "clusters.md"

SIMULATED_CLOUD = "moto[server,ec2,s3]==5.2.5"

CONTENT = 2
"""Raised when what is made here changes, so that it is made anew."""

PROFILE = """\
export PIP_NO_INDEX=1 PIP_FIND_LINKS=/packages PIP_DISABLE_PIP_VERSION_CHECK=1
export UV_OFFLINE=1 UV_NO_INDEX=1 UV_FIND_LINKS=/packages UV_PYTHON_DOWNLOADS=never
export RAY_worker_niceness=0 RAY_agent_register_timeout_ms=300000
"""
"""Lets the installers on a machine take packages from the folder lent to it; and evaluators, which would yield to
everything else that runs, have their share of a computer that is not the laboratory's alone, where Ray's agents take
their time to start, too."""


@dataclass(frozen=True, slots=True)
class Equipment:
    """Folders of this computer to lend to machines.

    Attributes:
        environment: The lock file's libraries and what `ray[default]` has beside them.
        cloud: What `ray up` on AWS needs, and the simulated cloud.
        packages: What machines install from.
    """

    environment: Path
    cloud: Path
    packages: Path


def locked(package: str) -> str:
    """Return a package's version in the lock file."""
    return re.search(rf"^{package}==(\S+)$", LOCK.read_text(), re.MULTILINE).group(1)


def missing() -> str | None:
    """Return what this computer lacks for it, or ``None``."""
    if not Path(PYTHON).exists():
        return f"no {PYTHON} here, which the machines use"
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    probe = f"import ensurepip, sys; print('%d.%d' % sys.version_info[:2] == '{version}')"
    tried = subprocess.run([PYTHON, "-c", probe], capture_output=True, text=True, check=False)
    if tried.stdout.strip() != "True":
        return f"{PYTHON} is not Python {version} with venv (Debian: python3-venv)"
    return None


def equipment() -> Equipment:
    """Return it, made now where the cache has none for this lock file."""
    stamp = f"{LOCK.read_bytes()!r} {SIMULATED_CLOUD} {sys.version} {CONTENT}"
    cache = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "hpo-derby-laboratory"
    made = cache / hashlib.sha256(stamp.encode()).hexdigest()[:16]
    if not made.exists():
        shutil.rmtree(cache, ignore_errors=True)
        draft = cache / "draft"
        draft.mkdir(parents=True)
        _environment(
            draft / "environment",
            [
                ["--requirement", str(LOCK)],
                ["--constraint", str(LOCK), f"ray[default]=={locked('ray')}"],
            ],
        )
        _environment(draft / "cloud", [[f"ray[default]=={locked('ray')}", "boto3", SIMULATED_CLOUD]])
        _packages(draft / "packages", draft / "cloud")
        draft.rename(made)
    return Equipment(made / "environment", made / "cloud", made / "packages")


def _environment(folder: Path, wanted: list[list[str]]) -> None:
    uv = [sys.executable, "-m", "uv", "--quiet"]
    subprocess.run([*uv, "venv", "--relocatable", "--python", PYTHON, str(folder)], check=True)
    for what in wanted:
        install = [*uv, "pip", "install", "--compile-bytecode", "--python", str(folder / "bin" / "python")]
        subprocess.run([*install, *what], check=True)
    _be_patient(folder)
    # A machine's user may install into it: of the machine's copy, so that files here stay as they are.
    for path, _, _ in os.walk(folder):
        os.chown(path, FIRST_USER, FIRST_USER)


def _be_patient(environment: Path) -> None:
    """Give Ray's processes more than half a minute to start, which is little on a computer that is several machines."""
    (path,) = environment.glob("lib/*/site-packages/ray/_private/node.py")
    before = path.read_text(encoding="utf-8")
    after = before.replace("raylet_start_wait_time_s = 30\n", "raylet_start_wait_time_s = 300\n")
    assert after != before, "Ray waits for its processes in another way"
    path.unlink()  # it may be the installer's own, in its cache
    path.write_text(after, encoding="utf-8")


def _packages(folder: Path, cloud: Path) -> None:
    """Fill the folder of packages: what the setup commands install that is not in the environment already."""
    folder.mkdir()
    frozen = subprocess.run(
        [sys.executable, "-m", "uv", "--quiet", "pip", "freeze", "--python", str(cloud / "bin" / "python")],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    of_boto3 = ("boto3", "botocore", "jmespath", "s3transfer", "python-dateutil", "six", "urllib3")
    wanted = [line for line in frozen if line.partition("==")[0] in of_boto3]
    wanted += [f"uv=={metadata.version('uv')}", "setuptools>=77", f"six=={locked('six')}"]
    download = [sys.executable, "-m", "pip", "--quiet", "download", "--no-deps", "--only-binary", ":all:"]
    subprocess.run([*download, "--dest", str(folder), *wanted], check=True)
    later = f"python-dateutil=={locked('python-dateutil')}"  # the lock file's, which boto3 does not take
    subprocess.run([*download, "--dest", str(folder), later], check=True)
    for name, version in cuda_libraries().items():
        _stand_in(folder, name, version)


def cuda_libraries() -> dict[str, str]:
    """Return the lowest version that TensorFlow takes of each library of CUDA."""
    found = {}
    for requirement in metadata.requires("tensorflow") or ():
        if "and-cuda" in requirement:
            name, lowest = re.match(r"([\w-]+).*>=([\d.]+)", requirement.split(";")[0]).groups()
            found[name] = lowest
    return found


def _stand_in(folder: Path, name: str, version: str) -> None:
    """Write a package that has a name and a version, and holds nothing."""
    stem = f"{name.replace('-', '_')}-{version}"
    info = f"{stem}.dist-info"
    files = {
        "METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\nSummary: A stand-in, for a test\n",
        "WHEEL": "Wheel-Version: 1.0\nGenerator: laboratory\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        "RECORD": "".join(f"{info}/{file},,\n" for file in ("METADATA", "WHEEL", "RECORD")),
    }
    with zipfile.ZipFile(folder / f"{stem}-py3-none-any.whl", "w") as wheel:
        for file, text in files.items():
            wheel.writestr(f"{info}/{file}", text)


def project_files() -> list[str]:
    """Return the project's files, as a clone would have them, with what is not committed yet."""
    listed = ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    found = subprocess.run(listed, capture_output=True, text=True, check=True).stdout.split("\0")
    return [file for file in found if file and (ROOT / file).exists()]


def documented(start: str, page: Path = PAGE) -> str:
    """Return the command of a page that begins so, as it stands there: one, or it is an error.

    Args:
        start: How it begins.
        page: The page.
    """
    blocks = re.findall(r"```sh\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    lines = [re.sub(r"\\\n\s*", "", block).splitlines() for block in blocks]
    found = {line.strip() for block in lines for line in block if line.strip().startswith(start)}
    if len(found) != 1:
        raise LookupError(f"{page.name} has {len(found)} commands that begin with {start!r}: {found}")
    return found.pop()
