"""``derby site`` as a user meets it: what is published in, pages out, and what cannot be shown."""

from __future__ import annotations

import json
import re

import pytest
from command import derby
from leaderboards import Page, dead_links, draw_nothing

from results.published import publish
from results.tables import read_tables

SWEEP = """\
name: first
repetitions: 2
budget: {full: 6}
tasks: [branin, hartmann6, mixed]
searchers: [random, {name: random, label: sobol, settings: {design: sobol}}, grid]
"""


@pytest.fixture
def root(run_sweep, tmp_path):
    """A folder of published results with one race, published without drawing."""
    run_sweep(SWEEP)
    publish(read_tables(run_sweep.root, "first"), tmp_path / "published", "first", draw_nothing)
    return tmp_path / "published"


def test_a_published_race_makes_a_site(root, tmp_path):
    done = derby("site", "first", "--published", root, "--out", tmp_path / "site", "--budgets", "2,4")
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == f"site: {tmp_path / 'site' / 'index.html'}"
    assert dead_links(tmp_path / "site") == []
    task = Page(tmp_path / "site" / "tasks" / "branin.html").text
    assert "Continuous: every parameter is a real number." in task
    method = Page(tmp_path / "site" / "methods" / "sobol.html").text
    assert "searchers/basic.py" in method
    assert re.search(r"design\s*sobol\s*uniform", method)
    chooser = Page(tmp_path / "site" / "choose.html").text
    assert "On continuous spaces (2 tasks)" in chooser
    assert "On mixed spaces (1 task)" in chooser
    assert "No task of this race is on conditional spaces, finite spaces" in chooser
    for point in ("2", "4", "6"):
        assert f"After {point} full evaluations" in chooser


def test_a_site_can_be_made_again_from_itself(root, tmp_path):
    site, again = tmp_path / "site", tmp_path / "again"
    assert derby("site", "first", "--published", root, "--out", site).returncode == 0
    text = Page(site / "verify.html").text
    (command,) = re.findall(r"derby (site published/first --title \S+ --budgets \S+) --out", text)
    assert derby(*command.split(), "--out", again, cwd=site).returncode == 0
    assert (site / "SHA256SUMS").read_text() == (again / "SHA256SUMS").read_text()
    done = derby("site", "first", "--published", root, "--out", site)  # in the place of the former one
    assert done.returncode == 0, done.stderr


def test_what_is_not_as_it_was_published_is_named_and_nothing_is_written(root, tmp_path):
    (root / "first" / "tables" / "final.csv").write_text("1\n")
    done = derby("site", "first", "--published", root, "--out", tmp_path / "site")
    assert done.returncode == 3
    assert "is not as it was published: tables/final.csv was added. Restore it from a copy" in done.stderr
    assert not (tmp_path / "site").exists()


def test_what_is_not_there_or_not_published_is_named(root, tmp_path):
    done = derby("site", "frist", "--published", root, "--out", tmp_path / "site")
    assert (done.returncode, "did you mean 'first'?" in done.stderr) == (3, True)
    (tmp_path / "plain").mkdir()
    done = derby("site", tmp_path / "plain", "--out", tmp_path / "site")
    assert done.returncode == 3
    assert "is not published: it has no manifest.json; publish the sweep first" in done.stderr
    manifest = root / "first" / "manifest.json"
    manifest.write_text(json.dumps({**json.loads(manifest.read_text()), "format": 1}))
    done = derby("site", "first", "--published", root, "--out", tmp_path / "site")
    assert (done.returncode, "another version of the project" in done.stderr) == (3, True)


@pytest.mark.parametrize("budgets", ["ten", "0", "10,,20", "inf"])
def test_budgets_are_numbers(tmp_path, budgets):
    done = derby("site", "first", "--out", tmp_path / "site", "--budgets", budgets)
    assert done.returncode == 2
    assert "--budgets: expected numbers of full evaluations from 1, such as 10,25,50, got" in done.stderr


def test_a_site_never_goes_into_what_it_is_made_from(root, tmp_path):
    done = derby("site", "first", "--published", root, "--out", root)
    assert done.returncode == 3
    done = derby("site", "first", "--published", root, "--out", root / "first" / "site")
    assert (done.returncode, "published and does not change" in done.stderr) == (2, True)
    assert not (root / "first" / "site").exists()
