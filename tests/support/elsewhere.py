"""What a search proposes in a process of its own: whatever its hashes are, and leaving nothing behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any


def proposed_elsewhere(code: str, place: Path, folder: Path, hash_seed: str) -> Any:
    """Return what code prints as JSON in another process, which prints and writes nothing else.

    Args:
        code: The code.
        place: The test file's folder, whose modules it may import.
        folder: An empty folder, in which it runs and which is its folder for temporary files.
        hash_seed: Its PYTHONHASHSEED.
    """
    paths = [str(place), str(Path(__file__).parent), str(place.parents[1])]
    done = subprocess.run(
        [sys.executable, "-c", f"import sys\nsys.path[:0] = {paths!r}\n{code}"],
        capture_output=True,
        text=True,
        cwd=folder,
        env={**os.environ, "PYTHONHASHSEED": hash_seed, "TMPDIR": str(folder)},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert list(folder.iterdir()) == []
    return json.loads(done.stdout)
