"""Install the locked dependencies and the project: by uv, and by pip where uv cannot be had.

``make setup`` runs it with the Python of the environment to install into, from the project's root. uv is given what
pip is configured with (index, further indexes, folders of packages, certificates), whether in pip's files or in its
variables, unless uv's own variables say something else.
"""

from __future__ import annotations

import ast
import os
import subprocess
import sys

UV = "uv==0.13.9"
LOCK = "requirements.lock"
PROJECT = ("--no-deps", "--editable", ".")
PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check")

OPTIONS = {
    "index-url": "UV_DEFAULT_INDEX",
    "extra-index-url": "UV_INDEX",
    "find-links": "UV_FIND_LINKS",
    "no-index": "UV_NO_INDEX",
    "trusted-host": "UV_INSECURE_HOST",
    "cert": "SSL_CERT_FILE",
}
"""pip's options that say where packages come from, and uv's variables for them."""
SEVERAL = {"UV_FIND_LINKS": ","}
"""What stands between several values; elsewhere a space, as in pip."""


def configured() -> dict[str, str]:
    """Return what pip is configured with, by option; a variable counts more than a file, as for pip itself."""
    listed = subprocess.run([*PIP, "config", "list"], capture_output=True, text=True, check=True).stdout
    found: dict[str, str] = {}
    settings = dict(line.split("=", 1) for line in listed.splitlines() if "=" in line)
    for section in ("global", "install", ":env:"):
        for name, value in settings.items():
            if name.startswith(f"{section}."):
                found[name.removeprefix(f"{section}.")] = str(ast.literal_eval(value))
    return found


def uv_environment(settings: dict[str, str], environment: dict[str, str]) -> dict[str, str]:
    """Return the variables uv is run with: those there are, and pip's settings under uv's names.

    Args:
        settings: What pip is configured with, by option.
        environment: Variables there are; uv's own stay as they are.
    """
    given = {
        variable: SEVERAL.get(variable, " ").join(settings[option].split())
        for option, variable in OPTIONS.items()
        if settings.get(option)
    }
    # pip takes a version from any of its indexes, uv on its own only from the first that knows the name
    return {"UV_INDEX_STRATEGY": "unsafe-best-match", **given, **environment}


def by_uv(wanted: list[tuple[str, ...]]) -> bool:
    """Install with uv, and return whether that went well.

    Args:
        wanted: What follows ``pip install``, for each step.
    """
    had = subprocess.run([*PIP, "install", "--quiet", UV], check=False, capture_output=True, text=True)
    if had.returncode:
        reason = (had.stderr.strip().splitlines() or ["pip gave no reason"])[-1]
        print(f"{UV} cannot be had here ({reason}): pip installs instead, in minutes.", flush=True)
        return False
    # Compiled now, as pip does: else every process that may not write there compiles TensorFlow, for ten seconds.
    command = [sys.executable, "-m", "uv", "--quiet", "pip", "install", "--python", sys.executable]
    command += ["--compile-bytecode"]
    environment = uv_environment(configured(), dict(os.environ))
    for what in wanted:
        if subprocess.run([*command, *what], env=environment, check=False).returncode:
            print("uv could not install, for the reason above: pip tries, which takes minutes.", flush=True)
            return False
    return True


def main() -> None:
    """Install with what the first argument says, ``uv`` (and pip where that fails) or ``pip``.

    The project and its lock file; with a second argument what that lock file adds, under the versions of the first.
    """
    installer, *further = sys.argv[1:]
    locked = [part for lock in (LOCK, *further) for part in ("--requirement", lock)]
    wanted = [tuple(locked)] if further else [tuple(locked), PROJECT]
    if installer == "uv" and by_uv(wanted):
        return
    for what in wanted:
        if code := subprocess.run([*PIP, "install", "--quiet", *what], check=False).returncode:
            sys.exit(code)


if __name__ == "__main__":
    main()
