"""The size of modules: one over 450 lines says in its first docstring why it is one."""

import ast
import re
import tomllib
from pathlib import Path

import pytest

from derby.rooms import ROOMS

ROOT = Path(__file__).parents[1]
MOST = 450
REASON = re.compile(r"\bOne module, because \w+ \w+ \w+")


def unexplained(text):
    """Whether a module is longer than it may be, and gives no reason."""
    docstring = ast.get_docstring(ast.parse(text)) or ""
    return len(text.splitlines()) > MOST and not REASON.search(docstring)


def test_a_long_module_gives_a_reason():
    modules = [
        path
        for room in ("derby", *ROOMS)
        for path in (ROOT / room).rglob("*.py")
        if not path.is_relative_to(ROOT / "results" / "local")
        and not path.is_relative_to(ROOT / "results" / "published")
    ]
    assert len(modules) > 200
    assert [path.name for path in modules if unexplained(path.read_text(encoding="utf-8"))] == []


@pytest.mark.parametrize("folder", ["local", "published"])
def test_users_files_that_were_run_or_published_are_not_checked(folder):
    tools = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]
    kept = f"results/{folder}/race-mine/sources/mine-0123456789abcdef.py"
    assert re.search(tools["mypy"]["exclude"], kept)
    assert any(kept.startswith(f"{place}/") for place in tools["ruff"]["extend-exclude"])


@pytest.mark.parametrize(
    ("docstring", "lines", "refused"),
    [
        ("What it is for.", 450, False),
        ("What it is for.", 451, True),
        ("What it is for.\n\nOne module, because.", 451, True),
        ("What it is for.\n\nOne module, because its parts are one.", 451, False),
    ],
)
def test_the_rule(docstring, lines, refused):
    text = f'"""{docstring}"""\n'
    text += "x = 1\n" * (lines - len(text.splitlines()))
    assert unexplained(text) is refused


def test_a_reason_stands_in_the_first_docstring():
    assert unexplained('"""What it is for."""\n# One module, because its parts are one.\n' + "x = 1\n" * 450)
