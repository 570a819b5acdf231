"""What a method says whose library is not installed: the one extra that has all it needs."""

import re
import tomllib
from pathlib import Path

import pytest
from native import CONTINUOUS, start

from harness import machine, registry
from harness.errors import MissingLibraryError

PYPROJECT = Path(__file__).parents[2] / "pyproject.toml"


@pytest.mark.parametrize(
    ("name", "extra"), [("flaml_cfo", "flaml"), ("flaml_blendsearch", "flaml"), ("ax_botorch", "ax")]
)
def test_names_the_extra(name, extra, monkeypatch):
    declared = tomllib.loads(PYPROJECT.read_text())["project"]["optional-dependencies"]
    extras = {
        own: {re.match(r"[\w.-]+", each)[0].lower() for each in distributions}
        for own, distributions in declared.items()
    }
    monkeypatch.setattr(machine, "_extras", lambda: extras)
    monkeypatch.setattr(
        machine, "_is_installed", lambda module: module not in registry.searcher(name).libraries
    )
    with pytest.raises(MissingLibraryError, match=rf"pip install 'hpo-derby\[{extra}\]'`"):
        start(name, CONTINUOUS, 1, 5)
