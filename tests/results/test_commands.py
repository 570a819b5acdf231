"""``derby compare``, ``publish`` and ``verify`` as a user meets them."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pandas as pd
import pytest

SWEEP = """\
name: small
repetitions: 2
budget: {evaluations: 4}
tasks: [branin]
searchers: [random]
"""


def derby(*arguments, cwd):
    return subprocess.run(
        [sys.executable, "-m", "harness.cli", *map(str, arguments)],
        capture_output=True,
        text=True,
        env={**os.environ, "COLUMNS": "300"},
        cwd=cwd,
        timeout=300,
        check=False,
    )


@pytest.fixture
def folders(run_sweep, tmp_path):
    a, b, c = (tmp_path / name for name in "abc")
    run_sweep(SWEEP, a)
    run_sweep(SWEEP, b)
    run_sweep(SWEEP.replace("name: small", "name: small\nseed: 5"), c)
    return a, b, c


@pytest.mark.slow
def test_compare_reports_on_folders_together(folders, tmp_path):
    a, b, c = folders
    done = derby("compare", a, b, "--out", tmp_path / "both", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "random is one method, its studies from a" in done.stdout
    assert (tmp_path / "both" / "report.html").exists()
    refused = derby("compare", a, c, "--out", tmp_path / "never", cwd=tmp_path)
    assert refused.returncode == 3
    assert "task branin: root seed is 0 in a and 5 in c" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert not (tmp_path / "never").exists()
    alone = derby("compare", a, cwd=tmp_path)
    assert alone.returncode == 2
    assert "expected two or more folders" in alone.stderr


@pytest.mark.slow
def test_what_is_published_verifies_until_it_is_changed(folders, tmp_path):
    published = tmp_path / "published"
    arguments = ("--published", published)
    done = derby("publish", "small", "--results", folders[0], *arguments, "--as", "release-1", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    folder = published / "release-1"
    manifest = json.loads((folder / "manifest.json").read_text())
    assert {"trials.parquet", "sweep.yaml", "report.html"} <= set(manifest["files"])
    assert any(name.startswith("figures/") and name.endswith(".pdf") for name in manifest["files"])
    same = derby("verify", "release-1", *arguments, cwd=tmp_path)
    assert same.returncode == 0, same.stdout + same.stderr
    assert "every figure drawn again is identical" in same.stdout
    trials = pd.read_parquet(folder / "trials.parquet")
    trials.loc[trials.index[-1], "value"] -= 50
    trials.to_parquet(folder / "trials.parquet")
    changed = derby("verify", "release-1", *arguments, cwd=tmp_path)
    assert changed.returncode == 1
    assert "trials.parquet: differs between what is in the manifest" in changed.stdout
    assert "differs between what is published and what is drawn again" in changed.stdout


def test_no_published_name_leaves_its_folder(folders, tmp_path):
    for command in (("publish", "small", "--results", folders[0], "--as", "../out"), ("verify", "../out")):
        done = derby(*command, "--published", tmp_path / "published", cwd=tmp_path)
        assert done.returncode == 3
        assert "published name '../out' cannot be used" in done.stderr
    assert not (tmp_path / "out").exists()
