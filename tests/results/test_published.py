"""Published results: frozen whole, never outside their folder, and verified by bytes, numbers and pixels."""

from __future__ import annotations

import hashlib
import json

import pandas as pd
import pytest

from harness.errors import RecordError
from results.columns import TABLES
from results.folders import _host
from results.published import Verification, publish, verify
from results.tables import read_tables

SWEEP = """\
name: release
repetitions: 2
budget: {evaluations: 4}
tasks: [branin]
searchers: [random]
"""


def draw(tables, folder):
    """Stand for the report: a figure whose bytes are the data's."""
    for name in ("figures", "tables"):
        (folder / name).mkdir()
    (folder / "figures" / "best.svg").write_text(str(tables.trials["value"].min()))
    (folder / "tables" / "final.csv").write_text(str(len(tables.trials)))
    (folder / "report.html").write_text("<html>")


@pytest.fixture
def tables(run_sweep):
    run_sweep(SWEEP)
    return read_tables(run_sweep.root, "release")


@pytest.fixture
def root(tmp_path):
    return tmp_path / "published"


@pytest.fixture
def folder(tables, root):
    return publish(tables, root, "first", draw)


def test_what_was_published_verifies(folder, root):
    assert verify(root, "first", draw) == Verification()
    manifest = json.loads((folder / "manifest.json").read_text())
    tables = {f"{name}.parquet" for name in TABLES if name != "confirmed"}  # which none are
    names = {*tables, "provenance.json"}
    drawn = {"figures/best.svg", "tables/final.csv", "report.html", "sweep.yaml"}
    assert set(manifest["files"]) == names | drawn
    assert (folder / "sweep.yaml").read_text() == SWEEP
    assert [path.name for path in root.iterdir()] == ["first"]  # no draft is left


def test_a_changed_figure_is_named_once(folder, root):
    (folder / "figures" / "best.svg").write_text("painted over")
    found = verify(root, "first", draw)
    assert (found.changed, found.redrawn, found.since) == (("figures/best.svg was changed",), (), "")
    assert not found.true


def test_a_figure_that_the_tables_do_not_give_is_named_though_nothing_else_changed(folder, root):
    def otherwise(tables, target):
        draw(tables, target)
        (target / "figures" / "best.svg").write_text("<svg><text>other</text></svg>")

    found = verify(root, "first", otherwise)
    assert found.changed == ()
    (only,) = found.redrawn
    assert only.startswith("figures/best.svg is drawn otherwise from the tables: ")
    assert found.since.startswith("Libraries and arithmetic are those that it was published with: what draws")


def test_changed_data_are_named_even_with_a_mended_manifest(folder, root):
    path = folder / "trials.parquet"
    frame = pd.read_parquet(path)
    frame.assign(value=frame["value"] - 1).to_parquet(path)
    found = verify(root, "first", draw)
    assert found.changed == ("trials.parquet was changed",)
    assert any("best.svg is drawn otherwise from the tables: it says" in each for each in found.redrawn)
    assert found.since == ""  # the tables are why
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["files"]["trials.parquet"] = hashlib.sha256(path.read_bytes()).hexdigest()
    (folder / "manifest.json").write_text(json.dumps(manifest))
    mended = verify(root, "first", draw)
    assert (mended.changed, mended.redrawn) == ((), found.redrawn)
    assert "were replaced together" in mended.since


def test_rounding_is_no_difference(folder, root):
    def elsewhere(tables, target):
        draw(tables, target)
        (target / "tables" / "final.csv").write_text(f"{len(tables.trials) * (1 + 1e-15)!r}")

    assert verify(root, "first", elsewhere) == Verification(
        rounded=("tables/final.csv",), largest=pytest.approx(1e-15, rel=0.2)
    )

    def further(tables, target):
        draw(tables, target)
        (target / "tables" / "final.csv").write_text(f"{len(tables.trials) * (1 + 1e-8)!r}")

    assert any("it says 8.00000008 for 8" in problem for problem in verify(root, "first", further).redrawn)


def test_files_that_come_and_go_are_named(folder, root):
    (folder / "figures" / "new.svg").write_text("")
    (folder / "report.html").unlink()
    assert verify(root, "first", draw).changed == ("figures/new.svg was added", "report.html is missing")


def test_another_library_is_named(folder, root):
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["versions"]["matplotlib"] = "0.1"
    path.write_text(json.dumps(manifest))
    assert verify(root, "first", draw) == Verification()

    def otherwise(tables, target):
        draw(tables, target)
        (target / "figures" / "best.svg").write_text("x")

    since = verify(root, "first", otherwise).since
    assert since.startswith("Since it was published these changed: matplotlib 0.1 → ")


@pytest.mark.parametrize("name", ["../x", "..", "a/b", "/etc", ".hidden", ""])
def test_no_name_leaves_the_folder(tables, root, name):
    with pytest.raises(RecordError, match="cannot be used"):
        publish(tables, root, name, draw)
    with pytest.raises(RecordError, match="cannot be used"):
        verify(root, name, draw)
    assert not root.exists()


def test_a_link_out_of_the_folder_is_refused(tables, root, tmp_path):
    root.mkdir()
    (tmp_path / "elsewhere").mkdir()
    (root / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(RecordError, match=r"outside .*published"):
        publish(tables, root, "link", draw, replace=True)
    with pytest.raises(RecordError, match="outside"):
        verify(root, "link", draw)
    assert not list((tmp_path / "elsewhere").iterdir())


def test_a_taken_name_is_kept_unless_told_otherwise(tables, folder, root):
    with pytest.raises(RecordError, match="exists already"):
        publish(tables, root, "first", draw)
    (folder / "stale").write_text("")
    publish(tables, root, "first", draw, replace=True)
    assert not (folder / "stale").exists()
    assert verify(root, "first", draw) == Verification()


def test_a_record_is_never_replaced(run_sweep, tables):
    results = run_sweep.root
    before = {path: path.read_bytes() for path in results.rglob("*") if path.is_file()}
    with pytest.raises(RecordError, match="carries no manifest.json of derby's, so it is nothing published"):
        publish(tables, results.parent, results.name, draw, replace=True)
    folder = publish(tables, results.parent, "first", draw)
    (folder / "results").mkdir()
    (folder / "results" / "driver.lock").write_text("")
    with pytest.raises(RecordError, match="holds a record .results/driver.lock."):
        publish(tables, results.parent, "first", draw, replace=True)
    assert {path: path.read_bytes() for path in results.rglob("*") if path.is_file()} == before


def test_somebody_elses_manifest_is_none(tables, root):
    (root / "site").mkdir(parents=True)
    (root / "site" / "manifest.json").write_text('{"name": "a web site", "files": {}}')
    with pytest.raises(RecordError, match="nothing published"):
        publish(tables, root, "site", draw, replace=True)
    assert (root / "site" / "manifest.json").exists()


def test_a_failure_leaves_what_is_published(tables, folder, root):
    def fail(tables, folder):
        raise RuntimeError("no ink")

    with pytest.raises(RuntimeError, match="no ink"):
        publish(tables, root, "first", fail, replace=True)
    assert verify(root, "first", draw) == Verification()
    assert [path.name for path in root.iterdir()] == ["first"]


def test_what_a_kill_put_aside_is_found_again(folder, root):
    folder.rename(root / f".first.aside-{2**22 + 1}-{_host()}")
    assert verify(root, "first", draw) == Verification()


def test_an_unfinished_sweep_is_refused(run_sweep, tables, root):
    next((run_sweep.root / "studies").glob("*.jsonl")).unlink()
    with pytest.raises(RecordError, match="not finished: of 2 studies 1 missing"):
        publish(read_tables(run_sweep.root, "release"), root, "first", draw)
    assert not root.exists()


def test_a_failure_leaves_nothing(tables, root):
    def fail(tables, folder):
        raise RuntimeError("no ink")

    with pytest.raises(RuntimeError, match="no ink"):
        publish(tables, root, "first", fail)
    assert not root.exists()


def test_an_unknown_name_gets_the_nearest(folder, root):
    with pytest.raises(RecordError, match="nothing published as 'frist'.*did you mean 'first'"):
        verify(root, "frist", draw)
    (folder / "manifest.json").write_text('{"format": 99}')
    with pytest.raises(RecordError, match="expected a manifest of format 3"):
        verify(root, "first", draw)
