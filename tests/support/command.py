"""The command line in this process: what it prints and returns, without another process's imports."""

from __future__ import annotations

import contextlib
import io
import subprocess
from pathlib import Path

import pytest

from harness.cli import main


def derby(
    *arguments: str | Path, cwd: Path | None = None, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run ``derby`` as the installed script does, and return what a process of its own would have.

    What is about processes needs one: streams that nobody reads, signals, what is imported, a plug-in's path.
    An exception that it does not turn into a message is raised here.
    """
    command = ["derby", *map(str, arguments)]
    out, err, code = io.StringIO(), io.StringIO(), 0
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {"COLUMNS": "200", **environment}.items():
            patch.setenv(name, value)
        if cwd is not None:
            patch.chdir(cwd)
        patch.setattr("sys.argv", command)
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                main()
            except SystemExit as ended:
                code = ended.code or 0
    return subprocess.CompletedProcess(command, code, out.getvalue(), err.getvalue())
