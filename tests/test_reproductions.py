"""What is published of the reports: the page says what the folders say, and these hold no more than they must."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from analysis.reproduction import kept, published
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


def test_what_the_page_remarks_of_s2_is_what_its_tables_say():
    outcome = kept.load(PUBLISHED / "reproduce-S2-full")
    frame = published.side_by_side(outcome.lines)
    losses = frame[(frame["metric"] == "test_loss") & frame["published"].str.contains("e")]
    assert set(losses["experiment"]) == {"sgd_n10_l2_0.01", "sgd_n10_l2_0.001", "sgd_n10_l1_dropout"}
    for ratio in losses["mean"] / losses["published"].astype(float):
        assert 0.09 < ratio < 0.12
    searched = outcome.tables.trials[outcome.tables.trials["searcher"].str.startswith("Hyperband")]
    assert set(searched.groupby("study")["config"].nunique()) == {36}
    assert set(searched["epochs"]) == {2}
    for line in outcome.lines:
        if line.experiment.search is not None:
            assert all(config == line.experiment.search.found for config in line.found.values())


@pytest.mark.parametrize("name", NAMES)
def test_what_is_published_is_small_and_as_it_was(name):
    folder = PUBLISHED / name
    assert changed_files(folder, manifest_of(PUBLISHED, name)) == ()
    assert sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) < LARGEST
    kinds = {path.suffix for path in folder.rglob("*") if path.is_file()}
    assert kinds <= {".parquet", ".json", ".npz", ".webp", ".csv", ".md", ".yaml"}
