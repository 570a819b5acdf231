"""Sees to it that the project's packages are found before anything of the same name in a user's folder."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType
from typing import Final

ROOMS: Final = ("harness", "tasks", "searchers", "results", "analysis")
"""The project's other top-level packages."""

_HOME: Final = Path(__file__).resolve().parent.parent


class _Rooms:
    """Finds the rooms beside this package, whatever comes before that on Python's path."""

    @staticmethod
    def find_spec(
        name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        return PathFinder.find_spec(name, [str(_HOME)], target) if name in ROOMS else None


def _check_unhidden() -> None:
    """Raise where something else has a room's name already."""
    for name in ROOMS:
        taken = getattr(sys.modules.get(name), "__file__", None)
        if taken is not None and _HOME not in Path(taken).resolve().parents:
            raise ImportError(
                f"the module {name!r} is {taken}, imported before derby, which has a package of that name: import "
                "derby first, or rename that file"
            )


_check_unhidden()
sys.meta_path.insert(0, _Rooms)
