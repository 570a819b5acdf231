"""Which tests share a process of ``pytest -n 2``: what starts Ray, what loads TensorFlow, and otherwise a file.

The scheduler is xdist's by scopes. Its marks for groups are not used: they change the names of tests, which pytest 9.2
no longer lets them, and then silently group nothing. So the processes write down their groups, which only they
know, and the scheduler reads them.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import pytest

APART = ("tests/portability/", "tests/searchers/test_native_equivalence.py")
"""Where tests are long and share nothing, so that each may run in another process."""
CASES = "tests/conformance/test_searchers.py"
"""Where the tests of one case share a library."""

_FOLDER: pytest.StashKey[tempfile.TemporaryDirectory[str]] = pytest.StashKey()


class Group(NamedTuple):
    """Tests that share a process."""

    place: int
    """When it begins, among the groups: the longest first, and those that fill the gaps last."""
    name: str


def group(item: pytest.Item) -> Group:
    """Return a test's group.

    Ray's clusters stay in one process, one after the other, and so does whatever loads TensorFlow, which takes ten
    seconds.
    """
    path = item.nodeid.partition("::")[0]
    if item.get_closest_marker("emulated"):
        return Group(0, item.nodeid)
    if item.get_closest_marker("ray") or item.get_closest_marker("cluster"):
        return Group(1, "ray")
    if item.get_closest_marker("tensorflow"):
        return Group(2, "tensorflow")
    alone = 4 if item.get_closest_marker("slow") else 5
    if path == CASES and hasattr(item, "callspec"):
        return Group(alone, f"{path}[{item.callspec.id}]")
    return Group(alone, item.nodeid) if path.startswith(APART) else Group(3, path)


def file(config: pytest.Config) -> Path:
    """Return where the processes write each test's group; they all write the same."""
    if _FOLDER not in config.stash:
        folder = config.stash[_FOLDER] = tempfile.TemporaryDirectory()
        config.add_cleanup(folder.cleanup)
    return Path(config.stash[_FOLDER].name) / "groups.json"


def scheduler(config: pytest.Config, log: Any) -> Any:
    """Return what hands out the groups, in the order in which they were collected."""
    from xdist.scheduler import LoadScopeScheduling

    class ByGroup(LoadScopeScheduling):
        _groups: dict[str, str] | None = None

        def _split_scope(self, nodeid: str) -> str:
            if self._groups is None:
                self._groups = json.loads(file(config).read_text(encoding="utf-8"))
            return self._groups[nodeid]

    config.option.loadscopereorder = False
    return ByGroup(config, log)
