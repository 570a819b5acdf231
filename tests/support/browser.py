"""Headless Chromium as the tests need it: what a page prints to its console, and what a script finds in it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tempfile
from html import unescape
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)

needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")


def probe(page: Path, script: str, *, size: tuple[int, int] = (1200, 900), dark: bool = False) -> Any:
    """Open a page, run a script in it after its own, and return what the script's expression gives, as JSON.

    Fails where anything is printed to the console, an error above all.
    """
    code = (
        "<script>addEventListener('load', async () => { let found; try { found = await (async () => { "
        f"{script} }})(); }} catch (error) {{ found = {{error: String(error)}}; }}"
        "const out = document.createElement('pre'); out.id = 'probe-result';"
        "out.textContent = JSON.stringify(found); document.body.append(out); });</script>"
    )
    probed = page.with_name(f"probe-{page.name}")
    probed.write_text(page.read_text(encoding="utf-8").replace("</body>", f"{code}</body>"), encoding="utf-8")
    try:
        return found_in(dump(probed.resolve().as_uri(), size=size, dark=dark))
    finally:
        probed.unlink()


def dump(
    address: str, *, size: tuple[int, int] = (1200, 900), dark: bool = False, expected: str | None = None
) -> str:
    """Return what a page is after five seconds of its time.

    Fails where anything is printed to the console that does not contain what is expected there.
    """
    done = _chromium("--dump-dom", address, size, dark)
    console = [
        line
        for line in done.stderr.splitlines()
        if "CONSOLE" in line and (expected is None or expected not in line)
    ]
    assert not console, console
    return done.stdout


def found_in(page: str) -> Any:
    """Return what a script has left in a page's element `probe-result`, as JSON."""
    found = re.search(r'<pre id="probe-result">(.*?)</pre>', page, re.DOTALL)
    assert found, page[-2000:]
    value = json.loads(unescape(found[1]))
    assert not (isinstance(value, dict) and "error" in value), value
    return value


def _chromium(
    action: str, address: str, size: tuple[int, int], dark: bool
) -> subprocess.CompletedProcess[str]:
    assert CHROMIUM
    with tempfile.TemporaryDirectory() as profile:
        options = ["--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr"]
        options += [
            f"--window-size={size[0]},{size[1]}",
            f"--user-data-dir={profile}",
            "--virtual-time-budget=5000",
        ]
        if dark:
            options += ["--force-dark-mode", "--blink-settings=preferredColorScheme=0"]
        command = [CHROMIUM, *options, action, address]
        return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
