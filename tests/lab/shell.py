"""Machines to try something on: a shell on the first of them, and all end with it.

``make lab-shell``, or ``PYTHONPATH=tests/support python tests/lab/shell.py NAME ...``, by root.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from machines import Laboratory, make_key, missing

USER = "me"


def main(names: list[str]) -> None:
    """Make machines that know each other by these names and SSH, and open a shell on the first."""
    with tempfile.TemporaryDirectory() as folder, Laboratory() as laboratory:
        key = Path(folder) / "id"
        public = make_key(key)
        addresses = {name: f"10.83.1.{number}" for number, name in enumerate(names, 1)}
        for name, address in addresses.items():
            machine = laboratory.machine(name, address, login=key)
            machine.add_user(USER, keys=public)
            machine.user = USER
            machine.run("cat > .ssh/id_ed25519 && chmod 600 .ssh/id_ed25519", input=key.read_text())
            machine.run("echo StrictHostKeyChecking accept-new > .ssh/config")
        laboratory.name_machines(addresses)
        print(f"machines {', '.join(names)}; they end with this shell", flush=True)
        become = ["setpriv", "--reuid", USER, "--regid", USER, "--init-groups", "env", f"HOME=/home/{USER}"]
        subprocess.run(
            [*laboratory.machines[names[0]].inside(), *become, "bash", "--login", "-i"], check=False
        )


if __name__ == "__main__":
    sys.exit(missing() or main(sys.argv[1:] or ["one", "two"]))
