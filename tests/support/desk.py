"""The machine of the laboratory at which somebody sits: the project's folder and the documented commands."""

from __future__ import annotations

import re
import shlex
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from equipment import PROFILE, ROOT, Equipment, documented, project_files
from machines import Laboratory, Machine
from records import lines_of, study_records

TIMES = {"setup_seconds", "lost_seconds", "machine"}
USER = "me"
HOME = f"/home/{USER}"
PROJECT = f"{HOME}/project"
MINUTES = 60.0
TRIES = 3


class Desk:
    """Runs what `docs/clusters.md` says, from the project's folder.

    Args:
        laboratory: Where it stands.
        address: Its address.
        key: An SSH key, whose public half the other machines know.
        equipment: What is installed.
    """

    def __init__(self, laboratory: Laboratory, address: str, key: Path, equipment: Equipment) -> None:
        self.machine = laboratory.machine(
            "desk",
            address,
            login=key,
            lent={equipment.packages: "/packages"},
            copied={equipment.environment: f"{HOME}/env", equipment.cloud: f"{HOME}/cloud"},
        )
        self.machine.add_user(USER)
        self.machine.user = USER
        self.machine.path("/etc/profile.d/laboratory.sh").write_text(PROFILE)
        self._clone()
        self.machine.run("cat > .ssh/id_ed25519 && chmod 600 .ssh/id_ed25519", input=key.read_text())
        # Who sits there has logged in before, and said yes.
        self.machine.run("echo StrictHostKeyChecking accept-new > .ssh/config")
        self.machine.run(
            "python3 -m venv uv && uv/bin/pip install --quiet uv && "
            "uv/bin/uv pip install --quiet --python env/bin/python --no-deps --editable project",
            timeout=5 * MINUTES,
        )
        self.took: dict[str, float] = {}
        """Seconds that each command took."""

    def _clone(self) -> None:
        self.machine.run(f"mkdir {PROJECT}")
        pack = ["tar", "-C", str(ROOT), "--null", "--files-from", "-", "-cf", "-"]
        packed = subprocess.run(
            pack, input="\0".join(project_files()).encode(), stdout=subprocess.PIPE, check=True
        )
        unpack = ["tar", "-xf", "-", "--no-same-owner", "-C", str(self.machine.path(PROJECT))]
        subprocess.run(unpack, input=packed.stdout, check=True)
        self.machine.run(f"chown -R {USER}:{USER} {PROJECT}", user="root")

    def fill_in(self, file: str, changed: dict[str, str]) -> None:
        """Replace in a file of the project what a user would.

        Args:
            file: Its path in the project.
            changed: What to write, by what stands there.
        """
        path = self.machine.path(f"{PROJECT}/{file}")
        path.write_text(with_changes(path.read_text(), changed))

    def does(
        self,
        start: str,
        changed: dict[str, str] | None = None,
        *,
        environment: str = "env",
        minutes: float = 10.0,
        check: bool = True,
    ) -> str:
        """Run the documented command that begins so, and return what it says.

        Args:
            start: How it begins.
            changed: What to write in place of a part of it, by that part.
            environment: Of which of the desk's environments.
            minutes: How long it may take.
            check: Whether it must end well.
        """
        command = with_changes(documented(start), changed or {})
        return self.runs(command, environment=environment, minutes=minutes, check=check)

    def brings_up(self, file: str, *, environment: str = "env") -> None:
        """Run the documented `ray up` of a cluster file, again where Ray's processes took their time.

        They have half a minute to start, which is little on a computer that is several machines.

        Args:
            file: The cluster file.
            environment: Of which of the desk's environments.
        """
        for _ in range(TRIES - 1):
            said = self.does(f"ray up {file}", environment=environment, minutes=15, check=False)
            if "Failed to setup head node" not in said:
                return
        self.does(f"ray up {file}", environment=environment, minutes=15)

    def runs(
        self, command: str, *, environment: str = "env", minutes: float = 10.0, check: bool = True
    ) -> str:
        """Run a command from the project's folder, and return what it says.

        Args:
            command: The command.
            environment: Of which of the desk's environments.
            minutes: How long it may take.
            check: Whether it must end well.
        """
        # Nobody sits there to confirm.
        command = re.sub(r"\bray (up|down) ", r"ray \1 --yes ", command)
        began = time.monotonic()
        said = self.machine.run(
            f"export PATH={HOME}/{environment}/bin:$PATH; cd {PROJECT}; {{ {command}; }} 2>&1",
            timeout=minutes * MINUTES,
            check=check,
        ).stdout
        self.took[command] = time.monotonic() - began
        print(f"[{self.took[command]:.0f} s] {command}", flush=True)
        return said

    def record(self, folder: str) -> Path:
        """Return a results folder of the project's, as this process can read it."""
        return self.machine.path(f"{PROJECT}/{folder}")


def with_changes(text: str, changed: dict[str, str]) -> str:
    """Return a text with other words in some places, all of which it must have."""
    for before, after in changed.items():
        assert before in text, f"{text!r} has no {before!r}"
        text = text.replace(before, after)
    return text


def install(machine: Machine, user: str, public: str, variables: dict[str, str] | None = None) -> None:
    """Let a machine be what a new one is to `ray up`: a user who may log in, and packages to install from.

    Args:
        machine: The machine.
        user: Who logs in.
        public: Whose key.
        variables: More variables of the environment, also of what is run by ``ssh``.
    """
    machine.add_user(user, keys=public)
    machine.user = user
    more = (variables or {}).items()
    exports = "".join(f"export {name}={shlex.quote(value)}\n" for name, value in more)
    machine.path("/etc/profile.d/laboratory.sh").write_text(PROFILE + exports)
    lines = "".join(f"{name}={value}\n" for name, value in more)
    machine.run("cat > .ssh/environment", input=lines)


def wait_until(done: Callable[[], Any], *, minutes: float, what: str) -> Any:
    """Ask every second until an answer is true, and return it."""
    until = time.monotonic() + minutes * MINUTES
    while not (answer := done()):
        assert time.monotonic() < until, f"not within {minutes:g} minutes: {what}"
        time.sleep(1.0)
    return answer


def trained(results: Path) -> list[dict[str, Any]]:
    """Return every evaluation on record, as often as it was trained, without what is measured."""
    found = []
    for path in sorted((results / "evaluations").glob("*/*.jsonl")):
        for line in lines_of(path):
            line["curve"].pop("seconds")
            found.append({name: value for name, value in line.items() if name not in TIMES})
    return found


def values(results: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return all that is on record but what is measured: studies, and evaluations by id.

    Which machine a searcher was on is no part of it either.
    """
    studies = {
        study: [event for event in events if event["event"] != "hosted"]
        for study, events in study_records(results).items()
    }
    return studies, {line["id"]: line for line in trained(results)}
