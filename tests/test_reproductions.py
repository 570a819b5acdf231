"""What is published of the reports: the page says what the folders say, and these hold no more than they must."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from analysis.reproduction import kept
from analysis.reproduction.publishing import is_reproduction
from results.publications import manifest_of, names_in
from results.published import changed_files

ROOT = Path(__file__).resolve().parent.parent
PUBLISHED = ROOT / "results" / "published"
NAMES = [name for name in names_in(PUBLISHED) if is_reproduction(PUBLISHED / name)]
LARGEST = 2 << 20


@pytest.fixture(scope="module")
def make():
    spec = importlib.util.spec_from_file_location(
        "make_reproductions", ROOT / "docs" / "make_reproductions.py"
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_says_what_is_published(make):
    assert (ROOT / "docs" / "reproductions.md").read_text(encoding="utf-8") == make.text(), (
        "run .venv/bin/python docs/make_reproductions.py"
    )


def test_every_experiment_that_was_not_run_has_its_reason(make):
    assert NAMES
    for name in NAMES:
        outcome = kept.load(PUBLISHED / name)
        for label in outcome.absent:
            assert (outcome.report, label) in make.SINGLE


@pytest.mark.parametrize("name", NAMES)
def test_what_is_published_is_small_and_as_it_was(name):
    folder = PUBLISHED / name
    assert changed_files(folder, manifest_of(PUBLISHED, name)) == ()
    assert sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) < LARGEST
    kinds = {path.suffix for path in folder.rglob("*") if path.is_file()}
    assert kinds <= {".parquet", ".json", ".npz", ".webp", ".csv", ".md", ".yaml"}
